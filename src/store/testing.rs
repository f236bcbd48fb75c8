//! A fresh database for a test, on either system; it goes away with the value.
//!
//! PostgreSQL is the server of `TEST_DATABASE_URL`, which `scripts/test` starts. A test that needs it
//! fails when it is missing: a test that was skipped has shown nothing.
//!
//! Each process migrates one database of each kind, the template, of which every test gets a copy: that takes a third of the
//! time of its migrations.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    ops::Deref,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::{
    seal::{DataKey, Keyring},
    store::{On, Settings, Store, Tx},
};

/// A store with tables and no rows.
pub struct TestStore {
    store: Store,
    url: String,
    place: Place,
}

enum Place {
    File(PathBuf),
    Database { admin: String, name: String },
}

impl TestStore {
    /// The address, for a second gateway on the same database.
    pub fn settings(&self) -> Settings {
        settings(&self.url)
    }

    async fn open(url: String, place: Place) -> Self {
        let store = Store::connect(&settings(&url)).await.unwrap();
        store.unlock(&keys()).await.unwrap();
        Self { store, url, place }
    }
}

fn settings(url: &str) -> Settings {
    Settings { url: url.to_owned().into(), max_connections: 5, acquire_timeout: Duration::from_secs(10) }
}

/// Makes the tables of a template, and leaves it.
async fn migrate(url: &str) {
    let store = Store::connect(&settings(url)).await.unwrap();
    store.migrate(&keys()).await.unwrap();
    store.close().await;
}

impl Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

/// The data keys of test stores: number 1, all zeros.
///
/// # Panics
/// Never: the key is one.
pub fn keys() -> Keyring {
    let key = DataKey::parse(&format!("1:{}=", "A".repeat(43))).unwrap();
    Keyring::new(&[key], std::path::Path::new("/nowhere")).unwrap()
}

/// A new SQLite file in the temporary folder.
///
/// # Panics
/// When it cannot be made.
pub async fn sqlite() -> TestStore {
    static TEMPLATE: OnceCell<Vec<u8>> = OnceCell::const_new();
    let template = TEMPLATE.get_or_init(async || {
        let (file, url) = new_file();
        migrate(&url).await;
        let bytes = std::fs::read(&file).unwrap();
        remove(&file);
        bytes
    });
    let (file, url) = new_file();
    std::fs::write(&file, template.await).unwrap();
    TestStore::open(url, Place::File(file)).await
}

fn new_file() -> (PathBuf, String) {
    let file = std::env::temp_dir().join(format!("portal-gateway-{}.db", Uuid::now_v7()));
    let url = format!("sqlite:{}", file.display());
    (file, url)
}

fn remove(file: &Path) {
    for end in ["", "-wal", "-shm"] {
        let mut file = file.as_os_str().to_owned();
        file.push(end);
        let _ = std::fs::remove_file(file);
    }
}

/// A new database on the PostgreSQL server of `TEST_DATABASE_URL`.
///
/// # Panics
/// When the variable is not set or the server does not answer.
pub async fn postgres() -> TestStore {
    let Ok(admin) = std::env::var("TEST_DATABASE_URL") else {
        panic!("TEST_DATABASE_URL is not set: run scripts/test, which starts PostgreSQL for the tests");
    };
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let template = TEMPLATE.get_or_init(async || {
        let name = format!("template_{}", Uuid::now_v7().simple());
        migrate(&new_database(&admin, &name, "template0").await).await;
        name
    });
    let name = format!("test_{}", Uuid::now_v7().simple());
    let url = new_database(&admin, &name, template.await).await;
    TestStore::open(url, Place::Database { admin, name }).await
}

async fn new_database(admin: &str, name: &str, template: &str) -> String {
    let mut connection = PgConnection::connect(admin).await.unwrap();
    let text = format!("CREATE DATABASE {name} TEMPLATE {template}");
    sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
    let mut url = url::Url::parse(admin).unwrap();
    url.set_path(name);
    url.into()
}

impl Drop for TestStore {
    fn drop(&mut self) {
        match &self.place {
            Place::File(file) => remove(file),
            Place::Database { admin, name } => {
                let (admin, name) = (admin.clone(), name.clone());
                // A thread of its own: the runtime of the test may already be stopping.
                let _ = std::thread::spawn(move || drop_database(&admin, &name)).join();
            }
        }
    }
}

fn drop_database(admin: &str, name: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if let Ok(mut connection) = PgConnection::connect(admin).await {
            let text = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            let _ = sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await;
        }
    });
}

/// Writes each test twice: `<name>::sqlite` and `<name>::postgres`.
#[cfg(test)]
macro_rules! on_both_stores {
    ($(async fn $name:ident($store:ident: TestStore) $body:block)*) => { $(
        mod $name {
            use super::*;

            async fn run($store: $crate::store::testing::TestStore) $body

            #[tokio::test]
            async fn sqlite() {
                run($crate::store::testing::sqlite().await).await;
            }

            #[tokio::test]
            async fn postgres() {
                run($crate::store::testing::postgres().await).await;
            }
        }
    )* };
}
#[cfg(test)]
pub(crate) use on_both_stores;

impl Store {
    /// A transaction that lets nobody else write a table, on SQLite any table, until it ends.
    ///
    /// # Panics
    /// When the database does not answer.
    pub async fn hold(&self, table: &str) -> Tx {
        let mut tx = self.begin().await.unwrap();
        if let On::Postgres(on) = tx.on() {
            let text = format!("LOCK TABLE {table} IN EXCLUSIVE MODE");
            sqlx::query(AssertSqlSafe(text)).execute(on).await.unwrap();
        }
        tx
    }

    /// Lets every insert into a table fail, until [`Store::allow`].
    ///
    /// # Panics
    /// When the database does not answer.
    pub async fn refuse(&self, table: &str) {
        match &self.pools {
            On::Sqlite(_) => {
                self.execute(&format!(
                    "CREATE TRIGGER refused BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'refused'); END"
                ))
                .await;
            }
            On::Postgres(_) => {
                self.execute(&format!(
                    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                        $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
                     CREATE TRIGGER refused BEFORE INSERT ON {table} EXECUTE FUNCTION refuse()"
                ))
                .await;
            }
        }
    }

    /// Ends what [`Store::refuse`] began.
    ///
    /// # Panics
    /// When the database does not answer.
    pub async fn allow(&self, table: &str) {
        match &self.pools {
            On::Sqlite(_) => self.execute("DROP TRIGGER refused").await,
            On::Postgres(_) => {
                self.execute(&format!("DROP TRIGGER refused ON {table}; DROP FUNCTION refuse()")).await;
            }
        }
    }

    /// Runs statements as they stand.
    ///
    /// # Panics
    /// When they fail.
    pub async fn execute(&self, statements: &str) {
        let text = AssertSqlSafe(statements.to_owned());
        match self.write() {
            On::Sqlite(pool) => drop(sqlx::raw_sql(text).execute(pool).await.unwrap()),
            On::Postgres(pool) => drop(sqlx::raw_sql(text).execute(pool).await.unwrap()),
        }
    }

    /// How many rows there are: `count("users WHERE disabled_at IS NULL")`.
    ///
    /// # Panics
    /// When the database does not answer, or takes it for no statement.
    pub async fn count(&self, rows: &str) -> i64 {
        let text = AssertSqlSafe(format!("SELECT count(*) FROM {rows}"));
        let (count,): (i64,) = match &self.pools {
            On::Sqlite(pools) => sqlx::query_as(text).fetch_one(&pools.readers).await.unwrap(),
            On::Postgres(pool) => sqlx::query_as(text).fetch_one(pool).await.unwrap(),
        };
        count
    }

    /// The names of all tables.
    ///
    /// # Panics
    /// When the database does not answer.
    pub async fn tables(&self) -> Vec<String> {
        let names: Result<Vec<(String,)>, sqlx::Error> = match &self.pools {
            On::Sqlite(pools) => {
                sqlx::query_as(
                    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
                )
                .fetch_all(&pools.readers)
                .await
            }
            On::Postgres(pool) => {
                sqlx::query_as("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
                    .fetch_all(pool)
                    .await
            }
        };
        names.unwrap().into_iter().map(|(table,)| table).collect()
    }

    /// Every row of every table, as text under the name of its table; bytes in hexadecimal digits.
    ///
    /// # Panics
    /// When the database does not answer.
    pub async fn rows(&self) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        for table in self.tables().await {
            let found: Vec<(String,)> = match &self.pools {
                On::Sqlite(pools) => {
                    let columns: Vec<(String,)> =
                        sqlx::query_as("SELECT 'quote(\"' || name || '\")' FROM pragma_table_info($1)")
                            .bind(&table)
                            .fetch_all(&pools.readers)
                            .await
                            .unwrap();
                    let columns: Vec<_> = columns.into_iter().map(|(column,)| column).collect();
                    let text = format!("SELECT {} FROM \"{table}\"", columns.join(" || ' ' || "));
                    sqlx::query_as(AssertSqlSafe(text)).fetch_all(&pools.readers).await.unwrap()
                }
                On::Postgres(pool) => {
                    let text = format!("SELECT to_jsonb(t)::text FROM \"{table}\" t");
                    sqlx::query_as(AssertSqlSafe(text)).fetch_all(pool).await.unwrap()
                }
            };
            rows.extend(found.into_iter().map(|(row,)| (table.clone(), row)));
        }
        rows
    }

    /// The same in lower case.
    ///
    /// # Panics
    /// When the database does not answer.
    pub async fn dump(&self) -> Vec<(String, String)> {
        self.rows().await.into_iter().map(|(table, row)| (table, row.to_lowercase())).collect()
    }
}
