//! Sessions: families of refresh tokens, of which each is exchanged once.
//!
//! A successor is derived from its predecessor and the server's secret, so the same one can be given
//! again to a client that lost the answer, though only hashes are stored (requirements A6, A7).

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use moka::{future::Cache, policy::EvictionPolicy};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    id::UserId,
    identity::{Context, Settings, derive},
    jobs::Queue,
    mail::{Language, Mail, Message},
    secret::SecretString,
    store::{
        Family, NewSession, RefreshToken, SessionState, Store, Tx,
        audit::{Actor, Event},
    },
};

/// How long a predecessor may be presented again while its successor is unused.
const GRACE: TimeDelta = TimeDelta::seconds(10);
/// How long the state of a session is believed: with what a request takes, less than the 5 s of requirement A8.
pub(super) const BELIEF: TimeDelta = TimeDelta::seconds(4);
/// How long an ended session is remembered here: longer than an access token lives.
const ENDED_MEMORY: Duration = Duration::from_secs(15 * 60);
/// Sessions whose state is remembered at most: as many as come within what is believed of one.
const CAPACITY: u64 = 25_000;
/// What they weigh at most, in bytes.
pub(super) const BYTES: u64 = CAPACITY * 400;
/// How long a state stays here that is not asked for again: for nothing, once it is no longer believed.
const SEEN_MEMORY: Duration = Duration::from_secs(5);
/// Sessions that were ended here and are remembered at most.
const ENDED_CAPACITY: u64 = 200_000;

/// A refresh token that was just made or given again.
pub(super) struct Issued {
    pub(super) user: UserId,
    pub(super) session: Uuid,
    pub(super) refresh_token: SecretString,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) session_ends_at: DateTime<Utc>,
}

/// The state of a session when it was last read.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) at: DateTime<Utc>,
    pub(super) state: Option<SessionState>,
}

/// Opens, refreshes and ends sessions.
pub(super) struct Sessions {
    store: Store,
    jobs: Queue,
    key: [u8; 32],
    idle: TimeDelta,
    absolute: TimeDelta,
    seen: Cache<Uuid, Seen>,
    /// Sessions that were ended here. It outlives what a concurrent read may put into `seen`.
    ended: Cache<Uuid, ()>,
    /// How often something here made what was believed of sessions doubtful.
    ends: AtomicU64,
}

impl Sessions {
    pub(super) fn new(store: Store, jobs: Queue, settings: &Settings, key: [u8; 32]) -> Self {
        Self {
            store,
            jobs,
            key,
            idle: TimeDelta::from_std(settings.refresh_idle).unwrap_or(TimeDelta::days(14)),
            absolute: TimeDelta::from_std(settings.refresh_absolute).unwrap_or(TimeDelta::days(30)),
            seen: Cache::builder()
                .max_capacity(CAPACITY)
                .time_to_live(SEEN_MEMORY)
                .support_invalidation_closures()
                .build(),
            ended: Cache::builder()
                .max_capacity(ENDED_CAPACITY)
                .time_to_live(ENDED_MEMORY)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            ends: AtomicU64::new(0),
        }
    }

    /// When a session ends at the latest that begins now.
    pub(super) fn ends_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + self.absolute
    }

    /// A session whose tokens were last exchanged at this instant has ended now by idling.
    pub(super) fn idle_since(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now - self.idle
    }

    /// Begins a session, with everything else that the transaction does.
    pub(super) async fn open(&self, tx: &mut Tx, session: &NewSession) -> Result<Issued> {
        let token: [u8; 32] = rand::random();
        let row = self.row(&token, session.id, None, session.created_at, session.expires_at);
        tx.insert_session(session).await?;
        tx.insert_refresh_token(&row).await?;
        Ok(Issued {
            user: session.user,
            session: session.id,
            refresh_token: write(&token),
            expires_at: row.expires_at,
            session_ends_at: session.expires_at,
        })
    }

    /// The session of a token, whether or not it is good.
    pub(super) async fn of_token(&self, token: &str) -> Result<Option<Uuid>> {
        let Some(token) = read(token) else { return Ok(None) };
        Ok(self.store.session_of_token(&Sha256::digest(token)).await?)
    }

    /// Exchanges a token for its successor.
    pub(super) async fn refresh(&self, token: &str, context: &Context, now: DateTime<Utc>) -> Result<Issued> {
        let exchanged = self.exchange(token, context, now).await;
        if let Ok(None) = exchanged {
            let event = context.event("session.refresh", Actor::Nobody, now);
            self.store.audit(event.refused(Error::Unauthenticated.code())).await?;
        }
        exchanged?.ok_or(Error::Unauthenticated)
    }

    /// `None` for a token that is none, has run out or whose session has ended: all but one that comes back.
    async fn exchange(&self, token: &str, context: &Context, now: DateTime<Utc>) -> Result<Option<Issued>> {
        let Some(token) = read(token) else { return Ok(None) };
        let token_hash = Sha256::digest(token);
        let successor = derive(&self.key, &token);

        let mut tx = self.store.begin().await?;
        let family = tx.lock_family(&token_hash, now).await?;
        let Some(family) = family.filter(|family| !family.is_ended && now < family.expires_at) else {
            return Ok(None);
        };
        let Some(presented) = tx.refresh_token(&token_hash).await? else { return Ok(None) };
        let event =
            context.event("session.refresh", Actor::User(family.user), now).with("session", family.id);
        let expires_at = match presented.used_at {
            None if now >= presented.expires_at => return Ok(None),
            None => {
                let next = self.row(&successor, family.id, Some(&token_hash), now, family.expires_at);
                tx.use_refresh_token(&token_hash, now).await?;
                tx.insert_refresh_token(&next).await?;
                tx.audit(event);
                next.expires_at
            }
            Some(used_at) => {
                let next = tx.refresh_token(&Sha256::digest(successor)).await?;
                match next.filter(|next| next.used_at.is_none() && now < used_at + GRACE) {
                    Some(next) => {
                        // The same successor, for an answer that was lost.
                        tx.audit(event.with("again", true));
                        next.expires_at
                    }
                    None => {
                        tx.revoke_session(family.id, "reuse", now).await?;
                        let event =
                            context.event("session.refresh", Actor::Nobody, now).refused("TOKEN_REUSED");
                        tx.audit(event.about(family.user).with("session", family.id));
                        tx.commit().await?;
                        self.note_end(family.id).await;
                        self.tell_owner(&family, now).await;
                        tracing::warn!(session = %family.id, "a refresh token was used twice; the session is ended");
                        return Err(Error::Unauthenticated);
                    }
                }
            }
        };
        tx.commit().await?;
        Ok(Some(Issued {
            user: family.user,
            session: family.id,
            refresh_token: write(&successor),
            expires_at,
            session_ends_at: family.expires_at,
        }))
    }

    /// Mails the owner of a session that a token of it was used twice. It has ended, whatever becomes of the mail.
    async fn tell_owner(&self, family: &Family, now: DateTime<Utc>) {
        let put = async {
            let Some((user, email)) = self.store.user(family.user).await? else { return Ok(()) };
            let message = Message::SessionRevoked { device: None, at: now };
            let mail = Mail { to: email, language: Language::of(&user.locale), message };
            let mut tx = self.store.begin().await?;
            self.jobs.put(&mut tx, &format!("session-revoked:{}", family.id), &mail).await?;
            tx.commit().await?;
            self.jobs.wake();
            Ok::<_, Error>(())
        };
        if let Err(error) = put.await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "an owner is not told of an ended session"
            );
        }
    }

    /// Ends a session. The event says by whom; it is written when the session stood until now.
    pub(super) async fn end(
        &self,
        session: Uuid,
        reason: &str,
        event: Event,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let mut tx = self.store.begin().await?;
        if let Some(user) = tx.revoke_session(session, reason, now).await? {
            tx.audit(event.about(user).with("ended", session).with("why", reason));
            tx.commit().await?;
        }
        self.note_end(session).await;
        Ok(())
    }

    /// The state of a session, at most 4 seconds old; without one when there is none.
    pub(super) async fn state(&self, session: Uuid, now: DateTime<Utc>) -> Result<Seen> {
        let ended = Seen { at: now, state: None };
        if self.ended.contains_key(&session) {
            return Ok(ended);
        }
        if let Some(seen) = self.seen.get(&session).await {
            // A clock that was set back is no reason to believe for longer.
            if (TimeDelta::zero()..BELIEF).contains(&(now - seen.at)) {
                return Ok(seen);
            }
            self.seen.invalidate(&session).await;
        }
        let load = async {
            let state = self.store.session(session).await?;
            Ok::<_, Error>(Seen { at: now, state })
        };
        let seen = self.seen.try_get_with(session, load).await;
        match seen {
            Ok(_) if self.ended.contains_key(&session) => Ok(ended),
            Ok(seen) => Ok(seen),
            Err(error) => Err((*error).clone()),
        }
    }

    /// Reads the sessions of a user anew.
    pub(super) fn recheck(&self, user: UserId) {
        let is_theirs = move |_: &Uuid, seen: &Seen| seen.state.is_some_and(|state| state.user == user);
        // It fails only without the support that the builder asked for.
        let _ = self.seen.invalidate_entries_if(is_theirs);
        self.ends.fetch_add(1, Ordering::Release);
    }

    /// Makes what was believed of anybody doubtful.
    pub(super) fn doubt(&self) {
        self.ends.fetch_add(1, Ordering::Release);
    }

    /// What was believed before this number changed must be looked at again.
    pub(super) fn ends(&self) -> u64 {
        self.ends.load(Ordering::Acquire)
    }

    /// Notes that a transaction ended some sessions, after its commit.
    pub(super) async fn note_ends(&self, sessions: Vec<Uuid>) {
        for session in sessions {
            self.note_end(session).await;
        }
    }

    async fn note_end(&self, session: Uuid) {
        self.ended.insert(session, ()).await;
        self.seen.invalidate(&session).await;
        // Last, so that whoever reads the new number finds the session ended.
        self.ends.fetch_add(1, Ordering::Release);
    }

    fn row(
        &self,
        token: &[u8],
        session_id: Uuid,
        parent_hash: Option<&[u8]>,
        now: DateTime<Utc>,
        session_ends_at: DateTime<Utc>,
    ) -> RefreshToken {
        RefreshToken {
            token_hash: Sha256::digest(token).to_vec(),
            session_id,
            parent_hash: parent_hash.map(<[u8]>::to_vec),
            issued_at: now,
            used_at: None,
            expires_at: (now + self.idle).min(session_ends_at),
        }
    }
}

fn write(token: &[u8; 32]) -> SecretString {
    BASE64_URL_SAFE_NO_PAD.encode(token).into()
}

fn read(token: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 33];
    let length = BASE64_URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).ok()?;
    bytes[..length].try_into().ok()
}
