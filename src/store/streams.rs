//! Rows of `event_cursors`, `undecoded_events` and `reconciliations`: how far the CRM's event bus has been read, and
//! what was lost on the way.
//!
//! A cursor moves in the transaction that stores the events before it, so neither is ever without the other.

use chrono::{DateTime, Utc};

use crate::{
    seal::Place,
    store::{Result, Store, Tx, inbox::NewEvent, sealed, sql},
};

/// How far a channel has been read.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Cursor {
    /// The channel, such as `/data/OrderChangeEvent`.
    pub channel: String,
    /// The position behind the last event, opaque; `None` for the earliest that the bus keeps.
    pub position: Option<Vec<u8>>,
    /// When it was moved last.
    pub moved_at: DateTime<Utc>,
    /// When the last event happened that was read; `None` before the first.
    pub event_at: Option<DateTime<Utc>>,
}

/// An event that could not be decoded.
#[derive(Clone, Copy, Debug)]
pub struct Undecoded<'a> {
    /// The channel.
    pub channel: &'a str,
    /// Its place there.
    pub position: &'a [u8],
    /// The schema that it claims.
    pub schema: &'a str,
    /// The bytes as they came. They may hold personal data, and are stored sealed.
    pub payload: &'a [u8],
    /// How its dead letter reads.
    pub letter: NewEvent<'a>,
    /// Why, in a fixed sentence.
    pub reason: &'a str,
}

/// A request to compare what we serve with the other system, since events of it may be lost.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Reconciliation {
    /// What: a channel, an object such as `Order`, or `billing`.
    pub scope: String,
    /// Why, in a fixed sentence.
    pub reason: String,
    /// When it was asked for last.
    pub requested_at: DateTime<Utc>,
}

impl Store {
    /// How far a channel has been read; `None` when it never was.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn event_cursor(&self, channel: &str) -> Result<Option<Cursor>> {
        Ok(sql!(
            self.read(),
            "SELECT channel, position, moved_at, event_at FROM event_cursors WHERE channel = $1",
            [channel],
            fetch_optional as Cursor
        )?)
    }

    /// How far every channel has been read.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn event_cursors(&self) -> Result<Vec<Cursor>> {
        Ok(sql!(
            self.read(),
            "SELECT channel, position, moved_at, event_at FROM event_cursors ORDER BY channel",
            [],
            fetch_all as Cursor
        )?)
    }

    /// Forgets the bytes of undecoded events that were received before that instant. Gives their number.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn purge_undecoded(&self, received_before: DateTime<Utc>) -> Result<u64> {
        Ok(sql!(self.write(), "DELETE FROM undecoded_events WHERE received_at < $1", [received_before])?)
    }

    /// What has to be compared, oldest request first.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn reconciliations(&self) -> Result<Vec<Reconciliation>> {
        Ok(sql!(
            self.read(),
            "SELECT scope, reason, requested_at FROM reconciliations ORDER BY requested_at, scope",
            [],
            fetch_all as Reconciliation
        )?)
    }

    /// Settles a request, unless it was made again in the meantime.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn reconciled(&self, done: &Reconciliation) -> Result<bool> {
        let gone = sql!(
            self.write(),
            "DELETE FROM reconciliations WHERE scope = $1 AND requested_at = $2",
            [done.scope.as_str(), done.requested_at]
        )?;
        Ok(gone == 1)
    }
}

impl Tx {
    /// Moves a cursor; without `event_at` the time of the last event stays.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn move_cursor(
        &mut self,
        channel: &str,
        position: Option<&[u8]>,
        event_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        sql!(
            self.on(),
            "INSERT INTO event_cursors (channel, position, moved_at, event_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (channel) DO UPDATE SET position = excluded.position, moved_at = excluded.moved_at,
                event_at = coalesce(excluded.event_at, event_cursors.event_at)",
            [channel, position, now, event_at]
        )?;
        Ok(())
    }

    /// Puts an event that cannot be decoded aside, with a dead letter. False when it was put aside before.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn bury_undecoded(&mut self, event: &Undecoded<'_>) -> Result<bool> {
        let row = sealed::row(&[event.channel.as_bytes(), event.letter.event_id.as_bytes()]);
        let place = Place { table: "undecoded_events", column: "payload", row: &row };
        let payload = self.store.vault()?.keys().seal(place, event.payload)?;
        let stored = sql!(
            self.on(),
            "INSERT INTO undecoded_events (channel, event_id, position, schema_id, payload, received_at)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (channel, event_id) DO NOTHING",
            [
                event.channel,
                event.letter.event_id,
                event.position,
                event.schema,
                payload,
                event.letter.received_at
            ]
        )?;
        if stored == 1 {
            self.bury_event(&event.letter, event.reason).await?;
        }
        Ok(stored == 1)
    }

    /// Asks for a comparison, which stays asked for until somebody has done it.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn request_reconciliation(
        &mut self,
        scope: &str,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<()> {
        sql!(
            self.on(),
            "INSERT INTO reconciliations (scope, reason, requested_at) VALUES ($1, $2, $3)
             ON CONFLICT (scope) DO UPDATE SET reason = excluded.reason, requested_at = excluded.requested_at",
            [scope, reason, now]
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use chrono::{SubsecRound, TimeDelta};

    use super::*;
    use crate::store::{inbox::Source, testing::on_both_stores};

    const CHANNEL: &str = "/data/OrderChangeEvent";

    on_both_stores! {
        async fn a_cursor_moves_with_what_its_transaction_does(store: TestStore) {
            let now = Utc::now().trunc_subsecs(6);
            assert_eq!(store.event_cursor(CHANNEL).await.unwrap(), None);
            let mut tx = store.begin().await.unwrap();
            tx.move_cursor(CHANNEL, Some(&[0, 0, 7]), Some(now), now).await.unwrap();
            drop(tx);
            assert_eq!(store.event_cursor(CHANNEL).await.unwrap(), None);
            let mut tx = store.begin().await.unwrap();
            tx.move_cursor(CHANNEL, Some(&[0, 0, 7]), Some(now), now).await.unwrap();
            tx.move_cursor(CHANNEL, None, None, now).await.unwrap();
            tx.commit().await.unwrap();
            let cursor = Cursor { channel: CHANNEL.into(), position: None, moved_at: now, event_at: Some(now) };
            assert_eq!(store.event_cursor(CHANNEL).await.unwrap(), Some(cursor.clone()));
            assert_eq!(store.event_cursors().await.unwrap(), [cursor]);
        }

        async fn an_undecoded_event_is_put_aside_once(store: TestStore) {
            let now = Utc::now().trunc_subsecs(6);
            let letter = NewEvent {
                source: Source::Crm,
                event_id: "e1",
                fingerprint: &[1],
                topic: CHANNEL,
                record: CHANNEL,
                payload: "{}",
                occurred_at: now,
                received_at: now,
            };
            let event = Undecoded {
                channel: CHANNEL, position: &[1], schema: "s", payload: &[1, 2], letter, reason: "broken",
            };
            let mut tx = store.begin().await.unwrap();
            assert!(tx.bury_undecoded(&event).await.unwrap());
            assert!(!tx.bury_undecoded(&event).await.unwrap());
            tx.commit().await.unwrap();
            assert_eq!(store.event_backlog(Source::Crm).await.unwrap().dead, 1);
            assert_eq!(store.purge_undecoded(now).await.unwrap(), 0);
            assert_eq!(store.purge_undecoded(now + TimeDelta::seconds(1)).await.unwrap(), 1);
        }

        async fn a_comparison_stays_asked_for_until_the_last_request_is_settled(store: TestStore) {
            let now = Utc::now().trunc_subsecs(6);
            let ask = async |at| {
                let mut tx = store.begin().await.unwrap();
                tx.request_reconciliation(CHANNEL, "the position was refused", at).await.unwrap();
                tx.commit().await.unwrap();
            };
            ask(now).await;
            let first = store.reconciliations().await.unwrap().remove(0);
            ask(now + TimeDelta::seconds(1)).await;
            assert!(!store.reconciled(&first).await.unwrap(), "it was asked for again");
            let second = store.reconciliations().await.unwrap().remove(0);
            assert!(store.reconciled(&second).await.unwrap());
            assert!(store.reconciliations().await.unwrap().is_empty());
        }
    }
}
