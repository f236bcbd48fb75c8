//! Rows of `notifications`: what the bell shows. What they say lies sealed.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    id::{NotificationId, UserId},
    seal::{self, Place},
    store::{Error, Result, Store, audit::Event, sql},
};

/// The most rows of a person that are read: a bell that shows ten needs no more.
const MOST: i64 = 500;

/// A notification to be stored.
#[derive(Clone, Debug)]
pub struct NewNotification<'a> {
    /// A version 7 uuid.
    pub id: NotificationId,
    /// Whom it is for.
    pub user: UserId,
    /// What it is about, in the words of `notify`.
    pub kind: &'a str,
    /// One line.
    pub title: &'a str,
    /// A sentence or two.
    pub message: &'a str,
    /// The page of the portal that it leads to.
    pub link: Option<&'a str>,
    /// What reported it.
    pub source: &'a str,
    /// The report: one of each kind is kept for a person.
    pub source_id: &'a str,
    /// Now.
    pub created_at: DateTime<Utc>,
    /// It is shown until then.
    pub expires_at: DateTime<Utc>,
}

/// A stored notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationRow {
    /// Its id.
    pub notification_id: Uuid,
    /// What it is about, in the words of `notify`.
    pub r#type: String,
    /// One line.
    pub title: String,
    /// A sentence or two.
    pub message: String,
    /// The page of the portal that it leads to.
    pub link: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was read; `None` while it is new.
    pub read_at: Option<DateTime<Utc>>,
}

/// What a notification says.
#[derive(Serialize, Deserialize)]
pub(super) struct Words<'a> {
    pub(super) title: Cow<'a, str>,
    pub(super) message: Cow<'a, str>,
    pub(super) link: Option<Cow<'a, str>>,
}

impl Store {
    /// Seals what a notification says.
    pub(super) fn seal_words(&self, id: Uuid, words: &Words<'_>) -> Result<Vec<u8>> {
        let plain = serde_json::to_vec(words).map_err(|_| Error::Sealed(seal::Error::Malformed))?;
        Ok(self.vault()?.keys().seal(place(id.as_bytes()), &plain)?)
    }

    fn open_words(&self, id: Uuid, sealed: &[u8]) -> Result<Words<'static>> {
        let plain = self.vault()?.keys().open(place(id.as_bytes()), sealed)?;
        serde_json::from_slice(&plain).map_err(|_| Error::Sealed(seal::Error::Malformed))
    }

    /// The language of a user's mails and messages: `en` or `ja`; `None` when there is no such user.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn locale_of_user(&self, user: UserId) -> Result<Option<String>> {
        let row = sql!(
            self.read(),
            "SELECT locale FROM users WHERE user_id = $1",
            [user.0],
            fetch_optional as (String,)
        )?;
        Ok(row.map(|(locale,)| locale))
    }

    /// Stores a notification; false when its person has one of this kind from this report already.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn insert_notification(&self, new: &NewNotification<'_>) -> Result<bool> {
        let words =
            Words { title: new.title.into(), message: new.message.into(), link: new.link.map(Into::into) };
        let sealed = self.seal_words(new.id.0, &words)?;
        let stored = sql!(
            self.write(),
            "INSERT INTO notifications (notification_id, user_id, type, title, message, sealed, source,
                source_id, created_at, expires_at)
             VALUES ($1, $2, $3, '', '', $4, $5, $6, $7, $8)
             ON CONFLICT (user_id, type, source_id) DO NOTHING",
            [
                new.id.0,
                new.user.0,
                new.kind,
                sealed,
                new.source,
                new.source_id,
                new.created_at,
                new.expires_at
            ]
        )?;
        Ok(stored == 1)
    }

    /// The notifications of a user that are neither dismissed nor expired, newest first, at most 500.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn notifications(&self, user: UserId, now: DateTime<Utc>) -> Result<Vec<NotificationRow>> {
        type Row = (Uuid, String, Option<Vec<u8>>, DateTime<Utc>, Option<DateTime<Utc>>);
        let rows = sql!(
            self.read(),
            "SELECT notification_id, type, sealed, created_at, read_at FROM notifications
             WHERE user_id = $1 AND dismissed_at IS NULL AND expires_at > $2
             ORDER BY created_at DESC, notification_id DESC LIMIT $3",
            [user.0, now, MOST],
            fetch_all as Row
        )?;
        let open = |(notification_id, r#type, sealed, created_at, read_at): Row| {
            // One that a replica of an earlier release wrote plain waits for the next start, which seals it.
            let words = sealed.map(|sealed| self.open_words(notification_id, &sealed)).transpose()?;
            let row = |Words { title, message, link }: Words<'_>| NotificationRow {
                notification_id,
                r#type,
                title: title.into_owned(),
                message: message.into_owned(),
                link: link.map(Cow::into_owned),
                created_at,
                read_at,
            };
            Ok(words.map(row))
        };
        rows.into_iter().filter_map(|row| open(row).transpose()).collect()
    }

    /// Marks one as read, or all when `id` is `None`; those that are read already stay as they are.
    /// Gives how many it changed. The event is written when it changed any.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn read_notifications(
        &self,
        user: UserId,
        id: Option<NotificationId>,
        at: DateTime<Utc>,
        event: Event,
    ) -> Result<u64> {
        let mut tx = self.begin().await?;
        let changed = match id {
            Some(id) => sql!(
                tx.on(),
                "UPDATE notifications SET read_at = $2 WHERE user_id = $1 AND read_at IS NULL
                 AND dismissed_at IS NULL AND expires_at > $2 AND notification_id = $3",
                [user.0, at, id.0]
            ),
            None => sql!(
                tx.on(),
                "UPDATE notifications SET read_at = $2 WHERE user_id = $1 AND read_at IS NULL
                 AND dismissed_at IS NULL AND expires_at > $2",
                [user.0, at]
            ),
        }?;
        if changed > 0 {
            tx.audit(event.with("count", changed));
            tx.commit().await?;
        }
        Ok(changed)
    }

    /// Takes one off the list; false when it is not there. The event is written when it was done.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn dismiss_notification(
        &self,
        user: UserId,
        id: NotificationId,
        at: DateTime<Utc>,
        event: Event,
    ) -> Result<bool> {
        let mut tx = self.begin().await?;
        let changed = sql!(
            tx.on(),
            "UPDATE notifications SET dismissed_at = $2
             WHERE user_id = $1 AND dismissed_at IS NULL AND expires_at > $2 AND notification_id = $3",
            [user.0, at, id.0]
        )?;
        if changed == 1 {
            tx.audit(event);
            tx.commit().await?;
        }
        Ok(changed == 1)
    }

    /// Deletes the notifications of a user that expired before an instant. Gives their number.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn purge_notifications(&self, user: UserId, before: DateTime<Utc>) -> Result<u64> {
        Ok(sql!(
            self.write(),
            "DELETE FROM notifications WHERE user_id = $1 AND expires_at < $2",
            [user.0, before]
        )?)
    }
}

fn place(row: &[u8]) -> Place<'_> {
    Place { table: "notifications", column: "sealed", row }
}
