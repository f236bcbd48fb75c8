//! The gateway's own state: users, mappings, sessions. Every SQL statement stands in this room.
//!
//! One set of statements runs on SQLite (the default: a file, nothing to install) and on PostgreSQL.
//! Both pools are typed, and [`sql!`] runs the same text on whichever is there. That costs a second
//! compilation of each statement and keeps real types on both sides; `sqlx::Any` would lose
//! booleans, uuids and instants. What only one database understands is not used.
//!
//! SQLite has one writer at a time, so it gets one writing connection, whose queue is ours and fair,
//! and a pool of readers that never wait for it (write-ahead log).

pub mod audit;
mod challenges;
mod devices;
mod erasure;
mod exports;
pub mod inbox;
pub mod jobs;
pub mod leases;
mod mappings;
mod mirrors;
mod notifications;
mod partner_grants;
mod partners;
mod passkeys;
mod password_resets;
mod plain;
mod proofs;
mod sealed;
mod sessions;
mod sign_ins;
mod signing_keys;
pub mod streams;
#[cfg(any(test, feature = "sandbox"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod totp;
mod users;
mod vault;
mod verifications;
pub mod workflows;

use std::{
    fs::OpenOptions,
    path::Path,
    str::FromStr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::FutureExt;
use sqlx::{
    Connection, PgConnection, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool, Transaction,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

pub use challenges::{ChallengeRow, NewChallenge};
pub use devices::{DeviceRow, NewDevice};
pub use exports::{ExportRow, Gathered};
pub use mappings::{Mapping, NewCustomer};
pub use mirrors::{MirrorRow, MirroredList, MirroredRows};
pub use notifications::{NewNotification, NotificationRow};
pub use partner_grants::{Allowed, GrantRow, GrantedRow, NewGrant, PastGrantRow};
pub use partners::{PartnerRow, PartnerSecretRow, PartnerUsageRow};
pub use passkeys::{NewCeremony, NewPasskey, PasskeyKey, PasskeyRow};
pub use sealed::Resealed;
pub use sessions::{Family, NewSession, RefreshToken, SessionRow, SessionState};
pub use sign_ins::{NewSignIn, SignInRow};
pub use signing_keys::SigningKeyRow;
pub use totp::{NewEnrolment, TotpRow};
pub use users::{NewUser, User};
pub use verifications::VerificationRow;

use crate::{
    error,
    seal::{self, Keyring},
    store::vault::Vault,
};

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// How long a statement of SQLite waits for another process that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long PostgreSQL keeps a transaction in which nothing is said: that of a process that was stopped, or cut off, must not
/// hold its rows against whoever takes over. No longer than the shortest lease.
const IDLE_IN_TRANSACTION: &str = "SET idle_in_transaction_session_timeout = '10s'";

/// How long PostgreSQL may take to answer at the start.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Where the state lives.
#[derive(Clone)]
pub struct Settings {
    /// `sqlite:<path>` or `postgres://user:password@host:port/database`. A secret: it may hold a password.
    pub url: secrecy::SecretString,
    /// Connections at most; on SQLite, of readers.
    pub max_connections: u32,
    /// How long a request waits for a free connection, before it fails.
    pub acquire_timeout: Duration,
}

/// What can go wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address names neither database.
    #[error("the database address must begin with sqlite: or postgres:, and name a file or a database")]
    Address,
    /// The database cannot be opened.
    #[error("cannot open the database {target}: {reason}")]
    Connect {
        /// Host and database, or the file; never a password.
        target: String,
        /// What the driver or the system says.
        reason: String,
    },
    /// The tables cannot be brought up to date.
    #[error("cannot bring the tables up to date: {0}")]
    Migrate(#[from] MigrateError),
    /// A row with this key is already there.
    #[error("already there")]
    Taken,
    /// Something may lie here under this data key, which is not configured, or is another key of the same number.
    #[error(
        "the database was written with the data key {number}, which is {}: set DATA_KEYS to the keys with which it was \
         written, or, if that was done without DATA_KEYS, DATA_DIR to the folder in which data-key lies",
        if matches!(reason, seal::Error::UnknownKey(_)) { "not configured" } else { "not the configured one of that number" }
    )]
    DataKey {
        /// The number.
        number: i64,
        /// Why it does not open.
        reason: seal::Error,
    },
    /// Something that lies sealed does not open.
    #[error("what lies sealed in the database: {0}")]
    Sealed(#[from] seal::Error),
    /// The keys were not opened: see [`Store::migrate`].
    #[error("the keys of the database are not open")]
    Locked,
    /// Everything else.
    #[error("the database failed: {0}")]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Error {
    fn from(cause: sqlx::Error) -> Self {
        match cause.as_database_error() {
            Some(known) if known.is_unique_violation() => Self::Taken,
            _ => Self::Database(cause),
        }
    }
}

impl From<Error> for error::Error {
    fn from(cause: Error) -> Self {
        use sqlx::Error::{Io, PoolClosed, PoolTimedOut, Tls, WorkerCrashed};
        match cause {
            Error::Database(Io(_) | PoolClosed | PoolTimedOut | Tls(_) | WorkerCrashed) => {
                Self::StoreAway(error::SourceError::new(cause))
            }
            _ => Self::internal(cause),
        }
    }
}

/// The result of every statement.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is there for SQLite, or the same for PostgreSQL.
#[derive(Clone)]
enum On<S, P> {
    Sqlite(S),
    Postgres(P),
}

/// Runs one statement, the same text on either database, and gives what the driver's `fetch_…` gives;
/// or, without `as`, the number of rows that it touched.
///
/// `sql!(self.read(), "SELECT … WHERE user_id = $1", [id], fetch_optional as (Uuid, String))`
macro_rules! sql {
    ($on:expr, $text:expr, [$($value:expr),* $(,)?], $fetch:ident as $row:ty) => {
        match $on {
            $crate::store::On::Sqlite(db) => {
                sqlx::query_as::<sqlx::Sqlite, $row>($text)$(.bind($value))*.$fetch(db).await
            }
            $crate::store::On::Postgres(db) => {
                sqlx::query_as::<sqlx::Postgres, $row>($text)$(.bind($value))*.$fetch(db).await
            }
        }
    };
    ($on:expr, $text:expr, [$($value:expr),* $(,)?]) => {
        match $on {
            $crate::store::On::Sqlite(db) => sqlx::query::<sqlx::Sqlite>($text)
                $(.bind($value))*.execute(db).await.map(|done| done.rows_affected()),
            $crate::store::On::Postgres(db) => sqlx::query::<sqlx::Postgres>($text)
                $(.bind($value))*.execute(db).await.map(|done| done.rows_affected()),
        }
    };
}
use sql;

/// The database. Clones share its connections.
#[derive(Clone)]
pub struct Store {
    pools: On<SqlitePools, PgPool>,
    vault: Arc<OnceLock<Vault>>,
}

#[derive(Clone)]
struct SqlitePools {
    readers: SqlitePool,
    writer: SqlitePool,
}

impl Store {
    /// Opens the database. The file of SQLite is created, readable by its owner only, with the folders above it.
    ///
    /// # Errors
    /// [`Error::Address`] and [`Error::Connect`], each one readable line without a password.
    pub async fn connect(settings: &Settings) -> Result<Self> {
        use secrecy::ExposeSecret;

        let url = settings.url.expose_secret();
        let pools = if let Some(file) = url.strip_prefix("sqlite:") {
            let file = file.strip_prefix("//").unwrap_or(file);
            // Readers and the writer are separate connections: a database in memory would be two of them.
            if file.is_empty() || file == ":memory:" || file.contains('?') {
                return Err(Error::Address);
            }
            On::Sqlite(SqlitePools::open(Path::new(file), settings).await?)
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let options = PgConnectOptions::from_str(url).map_err(|_| Error::Address)?;
            let target = format!(
                "{}:{}/{}",
                options.get_host(),
                options.get_port(),
                options.get_database().unwrap_or_default()
            );
            let options = options.application_name("portal-gateway");
            // A pool tries again until its time is out, and then says only that; one connection says why.
            let refused = |reason: String| Error::Connect { target: target.clone(), reason };
            tokio::time::timeout(CONNECT_WITHIN, PgConnection::connect_with(&options))
                .await
                .map_err(|_| refused(format!("no answer within {} s", CONNECT_WITHIN.as_secs())))?
                .map_err(|cause| refused(cause.to_string()))?
                .close()
                .await?;
            let pool = PgPoolOptions::new()
                .max_connections(settings.max_connections)
                .acquire_timeout(settings.acquire_timeout)
                .after_connect(|connection, _| {
                    async { sqlx::query(IDLE_IN_TRANSACTION).execute(connection).await.map(drop) }.boxed()
                })
                .connect_lazy_with(options);
            On::Postgres(pool)
        } else {
            return Err(Error::Address);
        };
        Ok(Self { pools, vault: Arc::default() })
    }

    /// Brings the tables up to date, opens the keys of what lies sealed, and seals what an earlier release wrote plain. Safe to run from several processes at once, and when there
    /// is nothing to do.
    ///
    /// # Errors
    /// [`Error::Migrate`], also when an applied migration was edited or is unknown to this release; [`Error::DataKey`]
    /// when a data key that was used here is missing, or another.
    pub async fn migrate(&self, keys: &Keyring) -> Result<()> {
        match &self.pools {
            On::Sqlite(pools) => SQLITE.run(&pools.writer).await?,
            // Whoever owns nothing may not even ask for the table of migrations to be made if it is missing.
            On::Postgres(pool) if is_up_to_date(pool).await => {}
            On::Postgres(pool) => POSTGRES.run(pool).await?,
        }
        self.unlock(keys).await?;
        self.seal_plain().await
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`Error::Database`] when it does not.
    pub async fn ping(&self) -> Result<()> {
        sql!(self.read(), "SELECT 1", [], fetch_one as (i32,))?;
        Ok(())
    }

    /// Closes every connection, after the statements that are under way.
    pub async fn close(&self) {
        match &self.pools {
            On::Sqlite(pools) => {
                pools.readers.close().await;
                pools.writer.close().await;
            }
            On::Postgres(pool) => pool.close().await,
        }
    }

    /// A transaction that may write. It is undone unless [`Tx::commit`] is called.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn begin(&self) -> Result<Tx> {
        let on = match &self.pools {
            On::Sqlite(pools) => On::Sqlite(pools.writer.begin_with("BEGIN IMMEDIATE").await?),
            On::Postgres(pool) => On::Postgres(pool.begin().await?),
        };
        Ok(Tx { on, store: self.clone(), events: Vec::new() })
    }

    fn read(&self) -> On<&SqlitePool, &PgPool> {
        match &self.pools {
            On::Sqlite(pools) => On::Sqlite(&pools.readers),
            On::Postgres(pool) => On::Postgres(pool),
        }
    }

    fn write(&self) -> On<&SqlitePool, &PgPool> {
        match &self.pools {
            On::Sqlite(pools) => On::Sqlite(&pools.writer),
            On::Postgres(pool) => On::Postgres(pool),
        }
    }
}

/// Whether the migrations of this release, as they are, and no others were applied.
async fn is_up_to_date(pool: &PgPool) -> bool {
    type Applied = (i64, Vec<u8>, bool);
    let read = "SELECT version, checksum, success FROM _sqlx_migrations ORDER BY version";
    // What cannot be read is for the migrations to tell.
    let applied: Vec<Applied> = sqlx::query_as(read).fetch_all(pool).await.unwrap_or_default();
    let known = POSTGRES.iter().map(|one| (one.version, &*one.checksum, true));
    applied.iter().map(|(version, checksum, done)| (*version, &checksum[..], *done)).eq(known)
}

impl SqlitePools {
    async fn open(file: &Path, settings: &Settings) -> Result<Self> {
        let target = file.display().to_string();
        let failed = |reason: String| Error::Connect { target: target.clone(), reason };
        create_private(file).map_err(|cause| failed(cause.to_string()))?;
        let options =
            SqliteConnectOptions::new().filename(file).busy_timeout(BUSY_TIMEOUT).foreign_keys(true);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(BUSY_TIMEOUT)
            .connect_with(
                options.clone().journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Normal),
            )
            .await
            .map_err(|cause| failed(cause.to_string()))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.acquire_timeout)
            .connect_with(options.pragma("query_only", "on"))
            .await
            .map_err(|cause| failed(cause.to_string()))?;
        Ok(Self { readers, writer })
    }
}

/// Creates an empty file, if it is not there, that only its owner may read: it will hold password hashes.
fn create_private(file: &Path) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut open = OpenOptions::new();
    open.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
    open.open(file).map(drop)
}

/// A transaction on either database.
pub struct Tx {
    on: On<Transaction<'static, Sqlite>, Transaction<'static, Postgres>>,
    store: Store,
    /// What the audit log is to say of it.
    events: Vec<audit::Event>,
}

impl Tx {
    /// Makes everything done in it lasting and visible, with what the audit log says of it.
    ///
    /// # Errors
    /// [`Error::Database`]; then nothing was done.
    pub async fn commit(mut self) -> Result<()> {
        self.append_events().await?;
        match self.on {
            On::Sqlite(tx) => tx.commit().await?,
            On::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }

    fn on(&mut self) -> On<&mut SqliteConnection, &mut PgConnection> {
        match &mut self.on {
            On::Sqlite(tx) => On::Sqlite(tx),
            On::Postgres(tx) => On::Postgres(tx),
        }
    }
}
