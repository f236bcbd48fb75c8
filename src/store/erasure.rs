//! A person leaves: every row that is about them goes, in one transaction.
//!
//! Most rows hang on `users` and go with it. Those that do not are named here: mirrors, which are a client's; codes,
//! verifications and workflows, which know a person by a hash or an id. A table that is added later and does not hang on
//! `users` belongs here.

use uuid::Uuid;

use crate::{
    id::{ClientId, UserId},
    store::{Result, Tx, mappings::number, sql},
};

impl Tx {
    /// Deletes all that is stored of a user. `subjects` are the keyed hashes under which codes and verifications know the
    /// address. False when there is no such user; then nothing is done.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn erase_user(
        &mut self,
        user: UserId,
        client: ClientId,
        subjects: &[[u8; 32]],
    ) -> Result<bool> {
        if sql!(self.on(), "DELETE FROM users WHERE user_id = $1", [user.0])? == 0 {
            return Ok(false);
        }
        for subject in subjects {
            sql!(self.on(), "DELETE FROM challenges WHERE subject = $1", [&subject[..]])?;
            sql!(self.on(), "DELETE FROM verifications WHERE subject = $1", [&subject[..]])?;
        }
        let result = user.to_string();
        sql!(self.on(), "DELETE FROM workflows WHERE result = $1 AND ended_at IS NOT NULL", [result])?;
        self.forget_mirrors(client).await?;
        Ok(true)
    }

    /// Deletes what of a client was mirrored, unless somebody is mapped to it again.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn forget_stray_mirrors(&mut self, client: ClientId) -> Result<()> {
        let mapped = sql!(
            self.on(),
            "SELECT user_id FROM id_mappings WHERE client_id = $1",
            [number(client)],
            fetch_optional as (Uuid,)
        )?;
        if mapped.is_none() {
            self.forget_mirrors(client).await?;
        }
        Ok(())
    }
}
