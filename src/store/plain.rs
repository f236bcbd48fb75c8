//! Seals what an earlier release wrote plain, when the database is brought up to date.
//!
//! In batches, and each row only if it is still as it was read: several replicas may do it at once, a start that was
//! stopped goes on with the next one, and a replica of the earlier release that is still there may go on writing.

use uuid::Uuid;

use crate::store::{Result, Store, notifications, sql, users};

/// Rows of one transaction.
const BATCH: i64 = 500;

impl Store {
    /// Seals all that lies plain.
    pub(super) async fn seal_plain(&self) -> Result<()> {
        while self.seal_plain_users().await? > 0 {}
        while self.seal_plain_notifications().await? > 0 {}
        self.forget_plain_mirrors().await
    }

    /// Gives how many were plain.
    async fn seal_plain_users(&self) -> Result<usize> {
        let plain = sql!(
            self.read(),
            "SELECT user_id, email_normalised FROM users WHERE email_sealed IS NULL
             ORDER BY user_id LIMIT $1",
            [BATCH],
            fetch_all as (Uuid, String)
        )?;
        if plain.is_empty() {
            return Ok(0);
        }
        let mut tx = self.begin().await?;
        for (user, email) in &plain {
            let (index, sealed) = self.seal_email(*user, email)?;
            sql!(
                tx.on(),
                "UPDATE users SET email_index = $3, email_sealed = $4, email_normalised = $5
                 WHERE user_id = $1 AND email_normalised = $2 AND email_sealed IS NULL",
                [*user, email.as_str(), index, sealed, users::no_email(*user)]
            )?;
        }
        tx.commit().await?;
        Ok(plain.len())
    }

    async fn seal_plain_notifications(&self) -> Result<usize> {
        type Row = (Uuid, String, String, Option<String>);
        let plain = sql!(
            self.read(),
            "SELECT notification_id, title, message, link FROM notifications WHERE sealed IS NULL
             ORDER BY notification_id LIMIT $1",
            [BATCH],
            fetch_all as Row
        )?;
        if plain.is_empty() {
            return Ok(0);
        }
        let mut tx = self.begin().await?;
        for (id, title, message, link) in &plain {
            let words = notifications::Words {
                title: title.as_str().into(),
                message: message.as_str().into(),
                link: link.as_deref().map(Into::into),
            };
            let sealed = self.seal_words(*id, &words)?;
            sql!(
                tx.on(),
                "UPDATE notifications SET sealed = $2, title = '', message = '', link = NULL
                 WHERE notification_id = $1 AND sealed IS NULL",
                [*id, sealed]
            )?;
        }
        tx.commit().await?;
        Ok(plain.len())
    }

    /// Lists that were mirrored plain are forgotten: they fill again as customers ask.
    async fn forget_plain_mirrors(&self) -> Result<()> {
        let (plain,) = sql!(
            self.read(),
            "SELECT (SELECT count(*) FROM invoices_mirror WHERE sealed IS NULL)
                + (SELECT count(*) FROM subscriptions_mirror WHERE sealed IS NULL)",
            [],
            fetch_one as (i64,)
        )?;
        if plain == 0 {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        sql!(
            tx.on(),
            "DELETE FROM mirrored_lists WHERE client_id IN (
                SELECT client_id FROM invoices_mirror WHERE sealed IS NULL
                UNION SELECT client_id FROM subscriptions_mirror WHERE sealed IS NULL)",
            []
        )?;
        sql!(tx.on(), "DELETE FROM invoices_mirror WHERE sealed IS NULL", [])?;
        sql!(tx.on(), "DELETE FROM subscriptions_mirror WHERE sealed IS NULL", [])?;
        tx.commit().await
    }
}
