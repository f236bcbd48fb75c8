//! Rows of `audit_events`: who did what, to whom, when, and how it ended (requirement P3).
//!
//! An event is written in the transaction of its act: neither is there without the other. Each row carries a keyed hash over
//! the row before and over itself, so an edit, a deletion or another order shows ([`Store::verify_audit`]), and nobody
//! without the data keys can reckon the chain anew. The hash counts every part with its length: no text, whatever line
//! breaks or separators stand in it, can pass for two parts or for another event.
//!
//! A chain needs one order, and the row of its head is the lock that gives it. Events are gathered by [`Tx::audit`] and
//! appended as the last statements of the transaction, so the lock is held for three statements and the commit, is always
//! the last one taken (no deadlock), and costs about a millisecond. The other design, rows that commit unchained and one
//! leased writer that chains them afterwards, would let more commits run side by side; but until they are chained, rows
//! could vanish without a trace, and each audited act hashes a password, asks another system or is rare: 500
//! sign-ins at once spend some fifteen seconds of a core on their passwords and half a second on this lock.
//!
//! Rows hold ids, codes and classes. A network address is kept as a keyed hash only: it tells which events came from one
//! network, and, asked for an address, which came from there; it would otherwise have to be sealed, and what is sealed
//! must be written anew when a data key is replaced, which an append-only table rules out.

mod chain;
mod on_record;
#[cfg(test)]
mod tests;
mod verify;

use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

pub use self::{
    chain::Anchor,
    on_record::OnRecord,
    verify::{Fault, Verdict},
};
use crate::{
    id::UserId,
    store::{On, Result, Store, Tx, sql, vault::Vault},
};

/// Events of one transaction of the purge.
const PURGED_AT_ONCE: i64 = 5_000;

/// The marks: the last event, and the last that was purged.
const HEAD: &str = "head";
const ANCHOR: &str = "anchor";

/// The act of an event that notes a forged head.
const TAMPERED: &str = "audit.tampered";

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Nobody who is known: a sign-in that failed, a token that is none.
    Nobody,
    /// A customer.
    User(UserId),
    /// A partner's program, by its id.
    Partner(String),
    /// Somebody at the commands of this program.
    Operator,
    /// The gateway itself.
    System,
}

impl Actor {
    fn kind(&self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::User(_) => "user",
            Self::Partner(_) => "partner",
            Self::Operator => "operator",
            Self::System => "system",
        }
    }

    fn id(&self) -> Option<String> {
        match self {
            Self::User(user) => Some(user.0.to_string()),
            Self::Partner(id) => Some(id.clone()),
            Self::Nobody | Self::Operator | Self::System => None,
        }
    }
}

/// Where an act came from, as far as it is kept.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The id of the request.
    pub request_id: Option<String>,
    /// The bytes of the network: an IPv4 address, or the first half of one of IPv6. Only a keyed hash is stored.
    pub network: Option<Vec<u8>>,
    /// What kind of program: `browser`, `app`, `other`.
    pub user_agent_class: Option<&'static str>,
    /// What of the request was refused and is on record; none of it is stored.
    pub on_record: OnRecord,
}

/// What is written into the log.
#[derive(Clone, Debug)]
pub struct Event {
    act: &'static str,
    actor: Actor,
    subject: Option<UserId>,
    /// Why it was refused; `None` when it was done.
    reason: Option<String>,
    origin: Origin,
    details: BTreeMap<&'static str, String>,
    at: DateTime<Utc>,
}

impl Event {
    /// Something was done. `act` is a thing and what was done to it: `session.create`.
    pub fn done(act: &'static str, actor: Actor, at: DateTime<Utc>) -> Self {
        let subject = match actor {
            Actor::User(user) => Some(user),
            _ => None,
        };
        Self {
            act,
            actor,
            subject,
            reason: None,
            origin: Origin::default(),
            details: BTreeMap::new(),
            at: at.trunc_subsecs(6),
        }
    }

    /// The same was refused, for a reason that is a stable code.
    #[must_use]
    pub fn refused(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Whose account or data it is about, when that is not the actor's own.
    #[must_use]
    pub fn about(mut self, user: UserId) -> Self {
        self.subject = Some(user);
        self
    }

    /// Where it came from.
    #[must_use]
    pub fn from(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// Notes with its request that it need not be written again, if it was refused.
    pub fn settle(&self) {
        if let Some(reason) = &self.reason {
            self.origin.on_record.add(reason);
        }
    }

    /// What was done, and why it was refused: of the same kind are events that say the same of different people.
    pub fn kind(&self) -> String {
        format!("{}:{}", self.act, self.reason.as_deref().unwrap_or_default())
    }

    /// An id, a count or a code that belongs to it. Never personal data.
    #[must_use]
    pub fn with(mut self, name: &'static str, id: impl ToString) -> Self {
        self.details.insert(name, id.to_string());
        self
    }
}

/// A stored event.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct EventRow {
    /// Its place in the log, from 1, without gaps.
    pub sequence: i64,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// `user`, `partner`, `operator`, `system` or `nobody`.
    pub actor_kind: String,
    /// The id of a user or partner.
    pub actor_id: Option<String>,
    /// Whose account or data it is about.
    pub subject_id: Option<Uuid>,
    /// What was done, or was to be done.
    pub act: String,
    /// `done` or `refused`.
    pub outcome: String,
    /// Why it was refused, as a code.
    pub reason: Option<String>,
    /// The id of the request.
    pub request_id: Option<String>,
    /// The keyed hash of the network.
    pub network: Option<Vec<u8>>,
    /// What kind of program it was.
    pub user_agent_class: Option<String>,
    /// Ids as a JSON object.
    pub details: String,
    /// The hash of the event before.
    pub previous_hash: Vec<u8>,
    /// Over that and this event.
    pub hash: Vec<u8>,
}

/// Which events are listed. What is left out restricts nothing.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this act.
    pub act: Option<String>,
    /// About this user, or by them.
    pub user: Option<UserId>,
    /// From this instant on.
    pub since: Option<DateTime<Utc>>,
    /// From this network: see [`Origin::network`].
    pub network: Option<Vec<u8>>,
}

impl Tx {
    /// Writes an event into the log when the transaction is committed.
    pub fn audit(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Appends what was gathered to the chain. Nothing may be done in the transaction after it.
    pub(super) async fn append_events(&mut self) -> Result<()> {
        let mut events = std::mem::take(&mut self.events);
        if events.is_empty() {
            return Ok(());
        }
        let store = self.store.clone();
        let vault = store.vault()?;
        // A process that is paused right here would keep the head locked. PostgreSQL ends its transaction then; SQLite
        // has one process.
        if let On::Postgres(db) = self.on() {
            sqlx::query("SET LOCAL idle_in_transaction_session_timeout = '10s'").execute(db).await?;
        }
        type Head = (i64, Vec<u8>, Vec<u8>);
        let (sequence, hash, mac) = sql!(
            self.on(),
            "UPDATE audit_marks SET sequence = sequence WHERE mark = 'head' RETURNING sequence, hash, mac",
            [],
            fetch_one as Head
        )?;
        let mut head = Anchor { sequence, hash };
        if mac != chain::mark_mac(vault, HEAD, &head) {
            // Somebody wrote it who has not the key. Going on as if nothing were would hide what they cut off.
            tracing::error!(sequence, "the end of the audit log is not what was written: see `audit verify`");
            events.insert(0, Event::done(TAMPERED, Actor::System, events[0].at).with("head", sequence));
        }
        for event in events {
            event.settle();
            let row = chain::row(vault, event, head.sequence + 1, head.hash);
            sql!(
                self.on(),
                "INSERT INTO audit_events (sequence, at, actor_kind, actor_id, subject_id, act, outcome, reason,
                    request_id, network, user_agent_class, details, previous_hash, hash)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
                [
                    row.sequence,
                    row.at,
                    &row.actor_kind,
                    &row.actor_id,
                    row.subject_id,
                    &row.act,
                    &row.outcome,
                    &row.reason,
                    &row.request_id,
                    &row.network,
                    &row.user_agent_class,
                    &row.details,
                    &row.previous_hash,
                    &row.hash
                ]
            )?;
            head = Anchor { sequence: row.sequence, hash: row.hash };
        }
        self.set_mark(vault, HEAD, &head).await
    }

    /// Authenticates the marks of an empty log.
    pub(super) async fn begin_audit(&mut self, vault: &Vault) -> Result<()> {
        let beginning = Anchor { sequence: 0, hash: Vec::new() };
        for mark in [HEAD, ANCHOR] {
            self.set_mark(vault, mark, &beginning).await?;
        }
        Ok(())
    }

    async fn set_mark(&mut self, vault: &Vault, mark: &'static str, anchor: &Anchor) -> Result<()> {
        let mac = chain::mark_mac(vault, mark, anchor);
        sql!(
            self.on(),
            "UPDATE audit_marks SET sequence = $2, hash = $3, mac = $4 WHERE mark = $1",
            [mark, anchor.sequence, &anchor.hash[..], mac.as_slice()]
        )?;
        Ok(())
    }
}

impl Store {
    /// Writes one event in a transaction of its own: for what was refused, and so changed nothing.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn audit(&self, event: Event) -> Result<()> {
        let mut tx = self.begin().await?;
        tx.audit(event);
        tx.commit().await
    }

    /// Whether the log has an event of an act about a user, with an id among its details.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn audit_tells(
        &self,
        user: UserId,
        act: &'static str,
        name: &'static str,
        id: Uuid,
    ) -> Result<bool> {
        let (count,) = sql!(
            self.read(),
            "SELECT count(*) FROM audit_events WHERE subject_id = $1 AND act = $2 AND details LIKE $3",
            [user.0, act, format!("%\"{name}\":\"{id}\"%")],
            fetch_one as (i64,)
        )?;
        Ok(count > 0)
    }

    /// Events behind a place in the log, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn audit_events(&self, filter: &Filter, after: i64, limit: u32) -> Result<Vec<EventRow>> {
        let vault = self.vault()?;
        let user = filter.user.map(|user| user.0);
        let network = filter.network.as_deref().map(|network| chain::network(vault, network));
        Ok(sql!(
            self.read(),
            "SELECT sequence, at, actor_kind, actor_id, subject_id, act, outcome, reason, request_id, network,
                user_agent_class, details, previous_hash, hash
             FROM audit_events
             WHERE sequence > $1 AND ($2 IS NULL OR act = $2)
                AND ($3 IS NULL OR subject_id = $3 OR actor_id = $4) AND ($5 IS NULL OR at >= $5)
                AND ($6 IS NULL OR network = $6)
             ORDER BY sequence LIMIT $7",
            [
                after,
                filter.act.as_deref(),
                user,
                user.map(|user| user.to_string()),
                filter.since,
                network.as_deref(),
                i64::from(limit)
            ],
            fetch_all as EventRow
        )?)
    }

    /// Deletes events that are older than an instant, from the beginning of the log on, a limited number at once; the
    /// chain then begins behind the last of them. Gives their number: zero when there is nothing left to do.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`]; then nothing was deleted.
    pub async fn purge_audit(&self, before: DateTime<Utc>) -> Result<u64> {
        let vault = self.vault()?;
        let mut tx = self.begin().await?;
        // Two replicas that purge do it one after the other.
        let (anchor,) = sql!(
            tx.on(),
            "UPDATE audit_marks SET sequence = sequence WHERE mark = 'anchor' RETURNING sequence",
            [],
            fetch_one as (i64,)
        )?;
        let last: Option<(i64, Vec<u8>)> = sql!(
            tx.on(),
            "SELECT sequence, hash FROM audit_events
             WHERE sequence <= $2 AND sequence < coalesce(
                (SELECT min(sequence) FROM audit_events WHERE at >= $1), 9223372036854775807)
             ORDER BY sequence DESC LIMIT 1",
            [before, anchor + PURGED_AT_ONCE],
            fetch_optional as (i64, Vec<u8>)
        )?;
        let Some((sequence, hash)) = last else { return Ok(0) };
        tx.set_mark(vault, ANCHOR, &Anchor { sequence, hash }).await?;
        let purged = sql!(tx.on(), "DELETE FROM audit_events WHERE sequence <= $1", [sequence])?;
        tx.commit().await?;
        Ok(purged)
    }
}
