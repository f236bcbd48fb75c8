//! The calls about single records and about the organisation.

use std::collections::BTreeMap;

use http::StatusCode;
use percent_encoding::utf8_percent_encode;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    deadline::Budget,
    id::RecordId,
    upstream::{
        Error, Kind,
        salesforce::{
            client::{Client, SEGMENT, success},
            soql::Name,
            wire::{Allowance, Describe, Saved, allowances},
        },
        transport::{Answer, Class},
    },
};

/// What an upsert did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upserted {
    /// The record; `None` where an old version of the interface answers an update without a body.
    pub id: Option<RecordId>,
    /// Whether the record is new.
    pub created: bool,
}

impl Client {
    /// Some fields of one record. `None` when there is no such record.
    ///
    /// # Errors
    /// [`Kind::Request`] for an object or field that is no name, and as for [`Client::query`].
    pub async fn retrieve<T: DeserializeOwned>(
        &self,
        budget: Budget,
        object: &str,
        id: RecordId,
        fields: &[&str],
    ) -> Result<Option<T>, Error> {
        const OPERATION: &str = "retrieve";
        let object = self.name(OPERATION, object)?;
        for field in fields {
            self.name(OPERATION, field)?;
        }
        let path = format!("{}/sobjects/{object}/{id}?fields={}", self.base(), fields.join(","));
        let get = |http: &reqwest::Client, instance: &str| http.get(format!("{instance}{path}"));
        let judge = |answer: Answer| match success(&answer) {
            Ok(answer) => answer.json().map(Some),
            Err(Kind::Refused { code, .. }) if matches!(code.as_str(), "NOT_FOUND" | "ENTITY_IS_DELETED") => {
                Ok(None)
            }
            Err(kind) => Err(kind),
        };
        self.admit(OPERATION, budget)?;
        self.call(OPERATION, Class::Read, budget, get, judge).await
    }

    /// Creates a record. Sent once: the vendor knows no key that would make a second sending harmless.
    ///
    /// # Errors
    /// [`Kind::Refused`] with the vendor's code; see also [`Kind::may_have_happened`].
    pub async fn create(
        &self,
        budget: Budget,
        object: &str,
        record: &(impl Serialize + Sync),
    ) -> Result<RecordId, Error> {
        const OPERATION: &str = "create";
        let path = format!("{}/sobjects/{}", self.base(), self.name(OPERATION, object)?);
        let post =
            |http: &reqwest::Client, instance: &str| http.post(format!("{instance}{path}")).json(record);
        let judge = |answer: Answer| success(&answer)?.json::<Saved>().map(|saved| saved.id);
        self.admit(OPERATION, budget)?;
        self.call(OPERATION, Class::Write, budget, post, judge).await
    }

    /// Changes fields of a record; null empties one.
    ///
    /// # Errors
    /// As for [`Client::create`].
    pub async fn update(
        &self,
        budget: Budget,
        object: &str,
        id: RecordId,
        changes: &(impl Serialize + Sync),
    ) -> Result<(), Error> {
        const OPERATION: &str = "update";
        let path = format!("{}/sobjects/{}/{id}", self.base(), self.name(OPERATION, object)?);
        let patch =
            |http: &reqwest::Client, instance: &str| http.patch(format!("{instance}{path}")).json(changes);
        self.admit(OPERATION, budget)?;
        // A page that says 200 has updated nothing.
        let judge = |answer: Answer| match success(&answer)?.status {
            StatusCode::NO_CONTENT => Ok(()),
            _ => Err(Kind::Garbage),
        };
        self.call(OPERATION, Class::Write, budget, patch, judge).await
    }

    /// Creates the record whose external id has this value, or changes it. `record` leaves that field out.
    ///
    /// # Errors
    /// As for [`Client::create`]; [`Kind::Refused`] with the code `MULTIPLE_CHOICES` when several records have the
    /// value: then nothing was written.
    ///
    /// Source: Salesforce reference §6.
    pub async fn upsert(
        &self,
        budget: Budget,
        object: &str,
        external_id: &str,
        value: &str,
        record: &(impl Serialize + Sync),
    ) -> Result<Upserted, Error> {
        const OPERATION: &str = "upsert";
        let path = format!(
            "{}/sobjects/{}/{}/{}",
            self.base(),
            self.name(OPERATION, object)?,
            self.name(OPERATION, external_id)?,
            segment(value).ok_or_else(|| self.error(OPERATION, Kind::Request))?,
        );
        let patch =
            |http: &reqwest::Client, instance: &str| http.patch(format!("{instance}{path}")).json(record);
        let judge = |answer: Answer| match answer.status {
            StatusCode::NO_CONTENT => Ok(Upserted { id: None, created: false }),
            StatusCode::MULTIPLE_CHOICES => {
                Err(Kind::refused("MULTIPLE_CHOICES", "several records have this external id"))
            }
            status => {
                let saved: Saved = success(&answer)?.json()?;
                let created = saved.created.unwrap_or(status == StatusCode::CREATED);
                Ok(Upserted { id: Some(saved.id), created })
            }
        };
        self.admit(OPERATION, budget)?;
        self.call(OPERATION, Class::Write, budget, patch, judge).await
    }

    /// The fields of an object, as our user sees them.
    ///
    /// # Errors
    /// [`Kind::Refused`] with `NOT_FOUND` when there is no such object.
    pub async fn describe(&self, budget: Budget, object: &str) -> Result<Describe, Error> {
        const OPERATION: &str = "describe";
        let path = format!("{}/sobjects/{}/describe", self.base(), self.name(OPERATION, object)?);
        let get = |http: &reqwest::Client, instance: &str| http.get(format!("{instance}{path}"));
        self.admit(OPERATION, budget)?;
        self.call(OPERATION, Class::Read, budget, get, |answer| success(&answer)?.json()).await
    }

    /// The organisation's allowances by the vendor's names, such as `DailyApiRequests`. Minutes old:
    /// [`Client::usage`] is fresher.
    ///
    /// # Errors
    /// The transport's.
    pub async fn limits(&self, budget: Budget) -> Result<BTreeMap<String, Allowance>, Error> {
        let path = format!("{}/limits", self.base());
        let get = |http: &reqwest::Client, instance: &str| http.get(format!("{instance}{path}"));
        self.call("limits", Class::Read, budget, get, |answer| success(&answer)?.json().map(allowances)).await
    }

    fn name<'a>(&self, operation: &'static str, text: &'a str) -> Result<&'a str, Error> {
        Name::word(text).map(|_| text).map_err(|_| self.error(operation, Kind::Request))
    }
}

/// A value as one segment of a path. Dots alone would be read as steps, and nothing is no segment.
fn segment(value: &str) -> Option<String> {
    let plain = !matches!(value, "" | "." | "..");
    plain.then(|| utf8_percent_encode(value, SEGMENT).to_string())
}
