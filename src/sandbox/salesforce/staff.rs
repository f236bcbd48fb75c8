//! What people do in the application: records created, changed and deleted without a token, by the same rules and with
//! the same events as through REST. For tests, the admin endpoint and demonstrations.

use serde_json::{Map, Value};

use crate::{
    id::RecordId,
    sandbox::salesforce::{
        org::Org,
        pubsub::capture::Origin,
        refusal::Refusal,
        schema::{Object, object},
        store::seed::staff_user,
        write::{Writer, id_of},
    },
};

impl Org {
    /// Creates a record as a person of the staff; gives its id.
    ///
    /// # Errors
    /// As the REST interface refuses.
    pub fn create(&self, object: &str, body: &Value) -> Result<RecordId, Refusal> {
        let (object, body) = (known(object)?, fields(body)?);
        self.as_staff(|writer| writer.create(object, body))
    }

    /// Changes a record as a person of the staff.
    ///
    /// # Errors
    /// As the REST interface refuses.
    pub fn edit(&self, object: &str, id: &str, body: &Value) -> Result<(), Refusal> {
        let (object, body) = (known(object)?, fields(body)?);
        let id = id_of(object, id)?;
        self.as_staff(|writer| writer.update(object, id, body))
    }

    /// Deletes a record as a person of the staff.
    ///
    /// # Errors
    /// As the REST interface refuses.
    pub fn delete(&self, object: &str, id: &str) -> Result<(), Refusal> {
        let object = known(object)?;
        let id = id_of(object, id)?;
        self.as_staff(|writer| writer.delete(object, id))
    }

    /// One transaction of a person of the staff. What is refused leaves nothing.
    fn as_staff<T>(&self, work: impl FnOnce(&mut Writer<'_>) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let mut overlay = self.write();
        let savepoint = overlay.savepoint();
        let done = work(&mut Writer {
            org: self,
            overlay: &mut overlay,
            settings: self.settings(),
            now: self.core.clock.now(),
            user: staff_user(),
            assigns: true,
            saves_duplicates: true,
            blob: None,
        });
        if done.is_err() {
            overlay.roll_back(savepoint);
        }
        self.commit(&mut overlay, Origin::person(staff_user()));
        done
    }
}

fn known(name: &str) -> Result<&'static Object, Refusal> {
    object(name).ok_or_else(Refusal::not_found)
}

fn fields(body: &Value) -> Result<&Map<String, Value>, Refusal> {
    body.as_object().ok_or_else(|| Refusal::new("JSON_PARSER_ERROR", "The body must be an object"))
}
