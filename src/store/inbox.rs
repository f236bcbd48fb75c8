//! Rows of `inbox_events` and `dead_letters`: what the other systems reported, until it is applied.
//!
//! An event is stored before it is acknowledged and settled only after its effect, so it is applied at least once. Any
//! replica may claim it; a claim is a lease with a token, and who resumes after the lease cannot settle any more. Of one
//! record the oldest unsettled event alone can be claimed: that keeps the order without a lock. A pass that has to be
//! repeated later (the sender spoke before its change was visible) is the same row, due again, and holds nobody up.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::store::{Error, Result, Store, Tx, sql};

/// Tries that an event has before it is given up (requirement E5).
const TRIES: i64 = 5;

/// Who reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The billing system.
    Billing,
    /// The CRM.
    Crm,
}

impl Source {
    /// As the rows and the metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Billing => "billing",
            Self::Crm => "crm",
        }
    }

    fn parse(text: &str) -> Result<Self> {
        match text {
            "billing" => Ok(Self::Billing),
            "crm" => Ok(Self::Crm),
            _ => Err(Error::Database(sqlx::Error::Decode("an unknown source of events".into()))),
        }
    }
}

/// An event to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewEvent<'a> {
    /// Who reports it.
    pub source: Source,
    /// The sender's id of the event, unique for the source.
    pub event_id: &'a str,
    /// SHA-256 of what was received: tells a repetition from another event under the same id.
    pub fingerprint: &'a [u8],
    /// What kind of event, in the sender's words.
    pub topic: &'a str,
    /// Events of one record are applied in order: `invoice:31`.
    pub record: &'a str,
    /// Ids and kinds as JSON; never personal data.
    pub payload: &'a str,
    /// When it happened, as the sender says.
    pub occurred_at: DateTime<Utc>,
    /// Now.
    pub received_at: DateTime<Utc>,
}

/// What became of an event that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is stored.
    New,
    /// It was there already, with the same fingerprint.
    Duplicate,
    /// Another event is there under this id; this one is not stored.
    Conflict,
}

/// An event that this process may apply until its lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The place in the inbox, ascending.
    pub sequence: i64,
    /// Who reported it.
    pub source: Source,
    /// The sender's id.
    pub event_id: String,
    /// What kind of event, in the sender's words.
    pub topic: String,
    /// What it is about.
    pub record: String,
    /// Ids and kinds as JSON.
    pub payload: String,
    /// When it happened, as the sender says.
    pub occurred_at: DateTime<Utc>,
    /// When it was stored.
    pub received_at: DateTime<Utc>,
    /// How often it was applied before: above zero this is a repetition.
    pub passes: i64,
    /// How often applying it failed.
    pub failures: i64,
    claim: Uuid,
}

/// What becomes of an event that could not be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// It is tried again from then on.
    Retried(DateTime<Utc>),
    /// It was given up: it is in `dead_letters` and holds its record up no longer.
    Dead,
    /// The lease had ended; it is another's now.
    Lost,
}

/// How full the inbox is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Events that are not settled.
    pub waiting: i64,
    /// When the oldest of them was stored.
    pub oldest: Option<DateTime<Utc>>,
    /// Events that were given up and that nobody has removed.
    pub dead: i64,
}

#[derive(sqlx::FromRow)]
struct Row {
    sequence: i64,
    source: String,
    event_id: String,
    topic: String,
    record: String,
    payload: String,
    occurred_at: DateTime<Utc>,
    received_at: DateTime<Utc>,
    passes: i64,
    failures: i64,
}

impl Row {
    fn claimed(self, claim: Uuid) -> Result<Claimed> {
        Ok(Claimed {
            sequence: self.sequence,
            source: Source::parse(&self.source)?,
            event_id: self.event_id,
            topic: self.topic,
            record: self.record,
            payload: self.payload,
            occurred_at: self.occurred_at,
            received_at: self.received_at,
            passes: self.passes,
            failures: self.failures,
            claim,
        })
    }
}

impl Store {
    /// Stores one event in a transaction of its own: when it returns, the event is durable.
    ///
    /// # Errors
    /// [`Error::Database`]; then it may be stored or not, and the sender has to repeat it.
    pub async fn receive_event(&self, event: &NewEvent<'_>) -> Result<Received> {
        let mut tx = self.begin().await?;
        let received = tx.receive_event(event).await?;
        tx.commit().await?;
        Ok(received)
    }

    /// Takes up to `limit` events that are due, one of a record at most, oldest first.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn claim_events(
        &self,
        limit: u32,
        now: DateTime<Utc>,
        lease: Duration,
    ) -> Result<Vec<Claimed>> {
        let claim = Uuid::new_v4();
        let until = now + TimeDelta::from_std(lease).unwrap_or(TimeDelta::MAX);
        // The conditions stand twice: PostgreSQL looks again at a row for which it had to wait, but not at the inner
        // question.
        let rows = sql!(
            self.write(),
            "UPDATE inbox_events SET claim = $4, claimed_until = $3
             WHERE due_at <= $1 AND (claimed_until IS NULL OR claimed_until <= $1)
                AND sequence IN (
                    SELECT e.sequence FROM inbox_events e
                    WHERE e.due_at <= $1 AND (e.claimed_until IS NULL OR e.claimed_until <= $1)
                        AND (e.settled_at IS NOT NULL OR NOT EXISTS (
                            SELECT 1 FROM inbox_events b
                            WHERE b.source = e.source AND b.record = e.record AND b.settled_at IS NULL
                                AND b.sequence < e.sequence))
                    ORDER BY e.sequence LIMIT $2)
             RETURNING sequence, source, event_id, topic, record, payload, occurred_at, received_at, passes,
                failures",
            [now, i64::from(limit), until, claim],
            fetch_all as Row
        )?;
        let mut claimed = rows.into_iter().map(|row| row.claimed(claim)).collect::<Result<Vec<_>>>()?;
        claimed.sort_by_key(|event| event.sequence);
        Ok(claimed)
    }

    /// Gives a claimed event back without counting a failure: what it needs is away. It is due again at `due`.
    /// False when the lease had ended.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn event_postponed(&self, event: &Claimed, due: DateTime<Utc>) -> Result<bool> {
        let changed = sql!(
            self.write(),
            "UPDATE inbox_events SET claim = NULL, claimed_until = NULL, due_at = $3
             WHERE sequence = $1 AND claim = $2",
            [event.sequence, event.claim, due]
        )?;
        Ok(changed == 1)
    }

    /// Counts a failure of a claimed event: it is due again after 1, 2, 4, 8 s, and the fifth time it is given up.
    /// `reason` is a fixed sentence without personal data.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn event_failed(&self, event: &Claimed, reason: &str, now: DateTime<Utc>) -> Result<Failed> {
        let mut tx = self.begin().await?;
        let failures = event.failures + 1;
        let is_dead = failures >= TRIES;
        let due = now + TimeDelta::seconds(1 << event.failures.clamp(0, TRIES));
        let changed = sql!(
            tx.on(),
            "UPDATE inbox_events SET failures = $3, due_at = $4, settled_at = coalesce(settled_at, $5),
                claim = NULL, claimed_until = NULL
             WHERE sequence = $1 AND claim = $2",
            [event.sequence, event.claim, failures, (!is_dead).then_some(due), is_dead.then_some(now)]
        )?;
        if changed == 0 {
            return Ok(Failed::Lost);
        }
        if is_dead {
            sql!(
                tx.on(),
                "INSERT INTO dead_letters (dead_letter_id, source, event_id, topic, record, payload, occurred_at,
                    received_at, failures, reason, died_at)
                 SELECT $2, source, event_id, topic, record, payload, occurred_at, received_at, failures, $3, $4
                 FROM inbox_events WHERE sequence = $1",
                [event.sequence, Uuid::now_v7(), reason, now]
            )?;
        }
        tx.commit().await?;
        Ok(if is_dead { Failed::Dead } else { Failed::Retried(due) })
    }

    /// Forgets settled events that were received before that instant. Gives their number.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn purge_events(&self, received_before: DateTime<Utc>) -> Result<u64> {
        let purged = sql!(
            self.write(),
            "DELETE FROM inbox_events WHERE received_at < $1 AND settled_at IS NOT NULL AND due_at IS NULL",
            [received_before]
        )?;
        Ok(purged)
    }

    /// How full the inbox of one source is.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn event_backlog(&self, source: Source) -> Result<Backlog> {
        let (waiting, oldest): (i64, Option<DateTime<Utc>>) = sql!(
            self.read(),
            "SELECT count(*), min(received_at) FROM inbox_events WHERE source = $1 AND settled_at IS NULL",
            [source.as_str()],
            fetch_one as (i64, Option<DateTime<Utc>>)
        )?;
        let (dead,): (i64,) = sql!(
            self.read(),
            "SELECT count(*) FROM dead_letters WHERE source = $1",
            [source.as_str()],
            fetch_one as (i64,)
        )?;
        Ok(Backlog { waiting, oldest, dead })
    }
}

impl Tx {
    /// Stores one event with everything else that the transaction does.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn receive_event(&mut self, event: &NewEvent<'_>) -> Result<Received> {
        let stored = sql!(
            self.on(),
            "INSERT INTO inbox_events (source, event_id, fingerprint, topic, record, payload, occurred_at,
                received_at, due_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) ON CONFLICT (source, event_id) DO NOTHING",
            [
                event.source.as_str(),
                event.event_id,
                event.fingerprint,
                event.topic,
                event.record,
                event.payload,
                event.occurred_at,
                event.received_at
            ]
        )?;
        if stored == 1 {
            return Ok(Received::New);
        }
        let known = sql!(
            self.on(),
            "SELECT fingerprint FROM inbox_events WHERE source = $1 AND event_id = $2",
            [event.source.as_str(), event.event_id],
            fetch_optional as (Vec<u8>,)
        )?;
        Ok(match known {
            Some((fingerprint,)) if fingerprint != event.fingerprint => Received::Conflict,
            _ => Received::Duplicate,
        })
    }

    /// Settles a claimed event after its effect. `again` makes it due once more. False when the lease had ended: then
    /// nothing is changed, and another applies it, too.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn event_applied(
        &mut self,
        event: &Claimed,
        now: DateTime<Utc>,
        again: Option<DateTime<Utc>>,
    ) -> Result<bool> {
        let changed = sql!(
            self.on(),
            "UPDATE inbox_events SET settled_at = coalesce(settled_at, $3), due_at = $4, passes = passes + 1,
                failures = 0, claim = NULL, claimed_until = NULL
             WHERE sequence = $1 AND claim = $2",
            [event.sequence, event.claim, now, again]
        )?;
        Ok(changed == 1)
    }

    /// Keeps an event that cannot be understood for people to look at; it never enters the inbox.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn bury_event(&mut self, event: &NewEvent<'_>, reason: &str) -> Result<()> {
        sql!(
            self.on(),
            "INSERT INTO dead_letters (dead_letter_id, source, event_id, topic, record, payload, occurred_at,
                received_at, failures, reason, died_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $8)",
            [
                Uuid::now_v7(),
                event.source.as_str(),
                event.event_id,
                event.topic,
                event.record,
                event.payload,
                event.occurred_at,
                event.received_at,
                0_i64,
                reason
            ]
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
