//! Rows of `sessions` and `refresh_tokens`: what keeps a person signed in.
//!
//! The rules of rotation stand in [`crate::identity`]; here are the steps that they take, inside one
//! transaction that begins with [`Tx::lock_family`].

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::{Database, Postgres, QueryBuilder, Sqlite};
use uuid::Uuid;

use crate::{
    id::UserId,
    store::{Mapping, On, Result, Store, Tx, sql},
};

/// Sessions of one question.
const BATCH: usize = 500;

/// A session to be stored.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// A version 7 uuid.
    pub id: Uuid,
    /// Who signed in.
    pub user: UserId,
    /// What kind of program: `browser`, `app`, `other`.
    pub user_agent_class: &'static str,
    /// Browser and system, such as `Firefox, Windows`; empty when unknown.
    pub device_name: String,
    /// Its network, sealed.
    pub network: Option<Vec<u8>>,
    /// The device, when it is one that is known.
    pub device: Option<Uuid>,
    /// Now.
    pub created_at: DateTime<Utc>,
    /// The session ends here, however often it is refreshed.
    pub expires_at: DateTime<Utc>,
}

/// What is known about a session at one moment.
#[derive(Clone, Copy, Debug)]
pub struct SessionState {
    /// The session.
    pub id: Uuid,
    /// Whose it is.
    pub user: UserId,
    /// The client and account of the user; `None` when the mapping is missing.
    pub mapping: Option<Mapping>,
    /// The session ends here, however often it is refreshed.
    pub expires_at: DateTime<Utc>,
    /// Signed out, revoked, or the user is disabled.
    pub is_ended: bool,
}

/// A session while it is being refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// The session.
    pub id: Uuid,
    /// Whose it is.
    pub user: UserId,
    /// It ends here, however often it is refreshed.
    pub expires_at: DateTime<Utc>,
    /// Signed out, revoked, or the user is disabled.
    pub is_ended: bool,
}

/// A refresh token, known by its hash only.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct RefreshToken {
    /// SHA-256 of the token.
    pub token_hash: Vec<u8>,
    /// The family.
    pub session_id: Uuid,
    /// The hash of the token that it replaced; `None` for the first of a family.
    pub parent_hash: Option<Vec<u8>>,
    /// When it was made.
    pub issued_at: DateTime<Utc>,
    /// When it was exchanged for its successor.
    pub used_at: Option<DateTime<Utc>>,
    /// From then on it is refused.
    pub expires_at: DateTime<Utc>,
}

/// A session that stands.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct SessionRow {
    /// Its id.
    pub session_id: Uuid,
    /// What kind of program signed in.
    pub user_agent_class: String,
    /// Browser and system; empty when unknown.
    pub device_name: String,
    /// Its network, sealed.
    pub network: Option<Vec<u8>>,
    /// The device, when it is one that is known.
    pub device_id: Option<Uuid>,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When its tokens were last exchanged.
    pub refreshed_at: DateTime<Utc>,
    /// It ends then.
    pub expires_at: DateTime<Utc>,
}

impl Store {
    /// The session of a refresh token, whether or not it is good.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn session_of_token(&self, token_hash: &[u8]) -> Result<Option<Uuid>> {
        let row = sql!(
            self.read(),
            "SELECT session_id FROM refresh_tokens WHERE token_hash = $1",
            [token_hash],
            fetch_optional as (Uuid,)
        )?;
        Ok(row.map(|(session,)| session))
    }

    /// The state of a session; `None` when there is none.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn session(&self, id: Uuid) -> Result<Option<SessionState>> {
        #[derive(sqlx::FromRow)]
        struct Row {
            user_id: Uuid,
            expires_at: DateTime<Utc>,
            revoked_at: Option<DateTime<Utc>>,
            disabled_at: Option<DateTime<Utc>>,
            client_id: Option<i64>,
            account_id: Option<String>,
        }
        sql!(
            self.read(),
            "SELECT s.user_id, s.expires_at, s.revoked_at, u.disabled_at, m.client_id, m.account_id
             FROM sessions s JOIN users u ON u.user_id = s.user_id
             LEFT JOIN id_mappings m ON m.user_id = s.user_id
             WHERE s.session_id = $1",
            [id],
            fetch_optional as Row
        )?
        .map(|row| {
            Ok(SessionState {
                id,
                user: UserId(row.user_id),
                mapping: row
                    .client_id
                    .zip(row.account_id)
                    .map(|(client, account)| Mapping::read(row.user_id, client, &account))
                    .transpose()?,
                expires_at: row.expires_at,
                is_ended: row.revoked_at.or(row.disabled_at).is_some(),
            })
        })
        .transpose()
    }

    /// Those of some sessions that have neither ended nor run out, and whose user is not disabled.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn standing_sessions(&self, ids: &[Uuid], now: DateTime<Utc>) -> Result<HashSet<Uuid>> {
        let mut standing = HashSet::with_capacity(ids.len());
        for batch in ids.chunks(BATCH) {
            let rows: Vec<(Uuid,)> = match self.read() {
                On::Sqlite(db) => standing_of::<Sqlite>(batch, now).build_query_as().fetch_all(db).await?,
                On::Postgres(db) => {
                    standing_of::<Postgres>(batch, now).build_query_as().fetch_all(db).await?
                }
            };
            standing.extend(rows.into_iter().map(|(id,)| id));
        }
        Ok(standing)
    }

    /// The sessions of a user that have neither ended nor run out and were refreshed after `idle_since`, the latest first.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn sessions_of_user(
        &self,
        user: UserId,
        now: DateTime<Utc>,
        idle_since: DateTime<Utc>,
    ) -> Result<Vec<SessionRow>> {
        Ok(sql!(
            self.read(),
            "SELECT session_id, user_agent_class, device_name, network, device_id, created_at, refreshed_at, expires_at
             FROM sessions
             WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2 AND refreshed_at > $3
             ORDER BY refreshed_at DESC, session_id DESC",
            [user.0, now, idle_since],
            fetch_all as SessionRow
        )?)
    }

    /// Deletes the sessions that ran out before an instant, with their tokens. Gives their number.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn purge_sessions(&self, before: DateTime<Utc>) -> Result<u64> {
        Ok(sql!(self.write(), "DELETE FROM sessions WHERE expires_at < $1", [before])?)
    }
}

/// The statement that asks for a batch of sessions.
fn standing_of<DB: Database>(ids: &[Uuid], now: DateTime<Utc>) -> QueryBuilder<DB>
where
    Uuid: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    DateTime<Utc>: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
{
    let mut select = QueryBuilder::new(
        "SELECT s.session_id FROM sessions s JOIN users u ON u.user_id = s.user_id
         WHERE s.revoked_at IS NULL AND u.disabled_at IS NULL AND s.expires_at > ",
    );
    select.push_bind(now).push(" AND s.session_id IN (");
    let mut list = select.separated(", ");
    for id in ids {
        list.push_bind(*id);
    }
    select.push(")");
    select
}

impl Tx {
    /// Stores a session.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn insert_session(&mut self, session: &NewSession) -> Result<()> {
        sql!(
            self.on(),
            "INSERT INTO sessions (session_id, user_id, user_agent_class, created_at, refreshed_at, expires_at,
                device_name, network, device_id)
             VALUES ($1, $2, $3, $4, $4, $5, $6, $7, $8)",
            [
                session.id,
                session.user.0,
                session.user_agent_class,
                session.created_at,
                session.expires_at,
                &session.device_name,
                session.network.as_deref(),
                session.device
            ]
        )?;
        Ok(())
    }

    /// Ends the oldest sessions of a user beyond `kept`, of those that were refreshed after `idle_since`. Gives which.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn cap_sessions(
        &mut self,
        user: UserId,
        kept: u32,
        at: DateTime<Utc>,
        idle_since: DateTime<Utc>,
    ) -> Result<Vec<Uuid>> {
        let ended = sql!(
            self.on(),
            "UPDATE sessions SET revoked_at = $2, revoked_reason = 'too many' WHERE session_id IN (
                SELECT session_id FROM sessions
                WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2 AND refreshed_at > $4
                ORDER BY created_at DESC, session_id DESC LIMIT 1000000 OFFSET $3)
             RETURNING session_id",
            [user.0, at, i64::from(kept), idle_since],
            fetch_all as (Uuid,)
        )?;
        Ok(ended.into_iter().map(|(id,)| id).collect())
    }

    /// Takes the family of a token for this transaction: whoever else wants it waits. `None` when the
    /// token is unknown.
    ///
    /// The write is the lock, since both databases understand it: SQLite lets one transaction write,
    /// PostgreSQL locks the row.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn lock_family(&mut self, token_hash: &[u8], at: DateTime<Utc>) -> Result<Option<Family>> {
        #[derive(sqlx::FromRow)]
        struct Row {
            session_id: Uuid,
            user_id: Uuid,
            expires_at: DateTime<Utc>,
            revoked_at: Option<DateTime<Utc>>,
            disabled_at: Option<DateTime<Utc>>,
        }
        let row = sql!(
            self.on(),
            "UPDATE sessions SET refreshed_at = $2
             WHERE session_id = (SELECT session_id FROM refresh_tokens WHERE token_hash = $1)
             RETURNING session_id, user_id, expires_at, revoked_at,
                (SELECT u.disabled_at FROM users u WHERE u.user_id = sessions.user_id) AS disabled_at",
            [token_hash, at],
            fetch_optional as Row
        )?;
        Ok(row.map(|row| Family {
            id: row.session_id,
            user: UserId(row.user_id),
            expires_at: row.expires_at,
            is_ended: row.revoked_at.or(row.disabled_at).is_some(),
        }))
    }

    /// The token with this hash.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn refresh_token(&mut self, token_hash: &[u8]) -> Result<Option<RefreshToken>> {
        Ok(sql!(
            self.on(),
            "SELECT token_hash, session_id, parent_hash, issued_at, used_at, expires_at
             FROM refresh_tokens WHERE token_hash = $1",
            [token_hash],
            fetch_optional as RefreshToken
        )?)
    }

    /// Stores a token.
    ///
    /// # Errors
    /// [`crate::store::Error::Taken`] when its parent has a successor.
    pub async fn insert_refresh_token(&mut self, token: &RefreshToken) -> Result<()> {
        sql!(
            self.on(),
            "INSERT INTO refresh_tokens (token_hash, session_id, parent_hash, issued_at, used_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
            [
                &token.token_hash[..],
                token.session_id,
                token.parent_hash.as_deref(),
                token.issued_at,
                token.used_at,
                token.expires_at
            ]
        )?;
        Ok(())
    }

    /// Marks a token as exchanged.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn use_refresh_token(&mut self, token_hash: &[u8], at: DateTime<Utc>) -> Result<()> {
        sql!(self.on(), "UPDATE refresh_tokens SET used_at = $2 WHERE token_hash = $1", [token_hash, at])?;
        Ok(())
    }

    /// Ends all sessions of a user but one. Gives their number.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn revoke_other_sessions(
        &mut self,
        user: UserId,
        kept: Uuid,
        reason: &str,
        at: DateTime<Utc>,
    ) -> Result<u64> {
        Ok(sql!(
            self.on(),
            "UPDATE sessions SET revoked_at = $3, revoked_reason = $4
             WHERE user_id = $1 AND session_id <> $2 AND revoked_at IS NULL",
            [user.0, kept, at, reason]
        )?)
    }

    /// Ends a session. Gives whose it was; `None` when there is none, or it has been ended before.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn revoke_session(
        &mut self,
        id: Uuid,
        reason: &str,
        at: DateTime<Utc>,
    ) -> Result<Option<UserId>> {
        let ended = sql!(
            self.on(),
            "UPDATE sessions SET revoked_at = $2, revoked_reason = $3
             WHERE session_id = $1 AND revoked_at IS NULL RETURNING user_id",
            [id, at, reason],
            fetch_optional as (Uuid,)
        )?;
        Ok(ended.map(|(user,)| UserId(user)))
    }
}
