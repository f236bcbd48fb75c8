//! The statements, on both databases; and the tables, compared.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use chrono::{SubsecRound, TimeDelta, Utc};
use uuid::Uuid;

use crate::{
    id::{AccountId, ClientId, UserId},
    secret::{ExposeSecret, SecretString},
    store::{
        Error, Family, Mapping, NewCustomer, NewSession, NewUser, On, RefreshToken, Settings, Store,
        audit::{Actor, Event},
        sql,
        testing::{self, on_both_stores},
    },
};

fn mapping(n: u64) -> Mapping {
    Mapping {
        user: UserId(Uuid::now_v7()),
        client: ClientId(1000 + n),
        account: AccountId::parse(&format!("001{n:012}")).unwrap(),
    }
}

fn event() -> Event {
    Event::done("test", Actor::System, Utc::now())
}

async fn insert(store: &Store, email: &str, mapping: &Mapping) -> Result<(), Error> {
    let at = Utc::now().trunc_subsecs(6);
    let hash = SecretString::from("$argon2id$…");
    let mut tx = store.begin().await?;
    tx.insert_user(&NewUser { id: mapping.user, email, password_hash: &hash, locale: "ja", at }).await?;
    tx.insert_mapping(mapping, at).await?;
    tx.commit().await
}

on_both_stores! {
    async fn a_user_is_found_by_address_and_by_either_id(store: TestStore) {
        let taro = mapping(1);
        insert(&store, "taro@example.jp", &taro).await.unwrap();
        let user = store.user_by_email("taro@example.jp").await.unwrap().unwrap();
        assert_eq!(user.id, taro.user);
        assert!(!user.is_disabled);
        assert!(store.user_by_email("jiro@example.jp").await.unwrap().is_none());
        assert_eq!(store.mapping_of_user(taro.user).await.unwrap(), Some(taro));
        assert_eq!(store.mapping_of_client(taro.client).await.unwrap(), Some(taro));
        assert_eq!(store.mapping_of_account(taro.account).await.unwrap(), Some(taro));
        assert_eq!(store.mapping_of_client(ClientId(u64::MAX)).await.unwrap(), None);
    }

    async fn a_link_is_used_while_the_address_changes(store: TestStore) {
        let (taro, now, token) = (mapping(1), Utc::now().trunc_subsecs(6), [7_u8; 32]);
        insert(&store, "taro@example.jp", &taro).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        tx.insert_password_reset(&token, taro.user, now, now + TimeDelta::minutes(30)).await.unwrap();
        tx.commit().await.unwrap();
        let mut changing = store.begin().await.unwrap();
        changing.lock_user(taro.user).await.unwrap();
        let mut resetting = std::pin::pin!(async {
            let mut tx = store.begin().await?;
            tx.reset_password(&token, &"another hash".into(), now).await
        });
        // It waits for the user, and holds nothing meanwhile that the other one wants.
        tokio::time::timeout(Duration::from_millis(300), &mut resetting).await.unwrap_err();
        let (old, new) = ("taro@example.jp", "taro.new@example.jp");
        assert!(changing.change_email(taro.user, old, new, now).await.unwrap());
        changing.commit().await.unwrap();
        assert_eq!(resetting.await.unwrap(), None);
    }

    async fn an_address_a_client_and_an_account_belong_to_one_user(store: TestStore) {
        let taro = mapping(1);
        insert(&store, "taro@example.jp", &taro).await.unwrap();
        let same_address = insert(&store, "taro@example.jp", &mapping(2)).await;
        assert!(matches!(same_address, Err(Error::Taken)), "{same_address:?}");
        let same_client = Mapping { client: taro.client, ..mapping(3) };
        assert!(matches!(insert(&store, "b@example.jp", &same_client).await, Err(Error::Taken)));
        let same_account = Mapping { account: taro.account, ..mapping(4) };
        assert!(matches!(insert(&store, "c@example.jp", &same_account).await, Err(Error::Taken)));
        assert!(store.user_by_email("b@example.jp").await.unwrap().is_none(), "the transaction is undone");
    }

    async fn a_password_hash_is_replaced_once(store: TestStore) {
        let taro = mapping(1);
        insert(&store, "taro@example.jp", &taro).await.unwrap();
        let old = store.user_by_email("taro@example.jp").await.unwrap().unwrap().password_hash;
        let (new, at) = (SecretString::from("$argon2id$new"), Utc::now());
        assert!(store.upgrade_password(taro.user, &old, &new, at, event()).await.unwrap());
        assert!(!store.upgrade_password(taro.user, &old, &"other".into(), at, event()).await.unwrap());
        let now = store.user_by_email("taro@example.jp").await.unwrap().unwrap().password_hash;
        assert_eq!(now.expose_secret(), new.expose_secret());
    }

    async fn a_session_ends_once_and_with_its_user(store: TestStore) {
        let taro = mapping(1);
        insert(&store, "taro@example.jp", &taro).await.unwrap();
        let now = Utc::now().trunc_subsecs(6);
        let session = NewSession {
            id: Uuid::now_v7(),
            user: taro.user,
            user_agent_class: "browser",
            device_name: String::new(),
            network: None,
            device: None,
            created_at: now,
            expires_at: now + TimeDelta::days(30),
        };
        let other = NewSession { id: Uuid::now_v7(), ..session.clone() };
        let mut tx = store.begin().await.unwrap();
        tx.insert_session(&session).await.unwrap();
        tx.insert_session(&other).await.unwrap();
        tx.commit().await.unwrap();

        let state = store.session(session.id).await.unwrap().unwrap();
        assert_eq!((state.mapping, state.expires_at, state.is_ended), (Some(taro), session.expires_at, false));
        let mut tx = store.begin().await.unwrap();
        assert_eq!(tx.revoke_session(session.id, "sign-out", now).await.unwrap(), Some(taro.user));
        assert_eq!(tx.revoke_session(session.id, "sign-out", now).await.unwrap(), None);
        tx.commit().await.unwrap();
        assert!(store.session(session.id).await.unwrap().unwrap().is_ended);
        assert!(!store.session(other.id).await.unwrap().unwrap().is_ended);
        assert!(store.disable_user(taro.user, now, event()).await.unwrap());
        assert!(store.session(other.id).await.unwrap().unwrap().is_ended);
        assert!(store.session(Uuid::now_v7()).await.unwrap().is_none());
        assert_eq!(store.purge_sessions(now + TimeDelta::days(31)).await.unwrap(), 2);
        assert!(store.session(other.id).await.unwrap().is_none());
    }

    async fn a_refresh_token_has_one_successor(store: TestStore) {
        let taro = mapping(1);
        insert(&store, "taro@example.jp", &taro).await.unwrap();
        let now = Utc::now().trunc_subsecs(6);
        let expires_at = now + TimeDelta::days(14);
        let id = Uuid::now_v7();
        let mut tx = store.begin().await.unwrap();
        tx.insert_session(&NewSession {
            id, user: taro.user, user_agent_class: "app", device_name: String::new(), network: None, device: None,
            created_at: now, expires_at,
        }).await.unwrap();
        let first = RefreshToken {
            token_hash: vec![1; 32], session_id: id, parent_hash: None, issued_at: now, used_at: None, expires_at,
        };
        tx.insert_refresh_token(&first).await.unwrap();
        tx.commit().await.unwrap();

        let mut tx = store.begin().await.unwrap();
        let family = Family { id, user: taro.user, expires_at, is_ended: false };
        assert_eq!(tx.lock_family(&[1; 32], now).await.unwrap(), Some(family));
        assert_eq!(tx.lock_family(&[9; 32], now).await.unwrap(), None);
        assert_eq!(tx.refresh_token(&[1; 32]).await.unwrap(), Some(first.clone()));
        tx.use_refresh_token(&[1; 32], now).await.unwrap();
        let second = RefreshToken { token_hash: vec![2; 32], parent_hash: Some(vec![1; 32]), ..first.clone() };
        tx.insert_refresh_token(&second).await.unwrap();
        let third = RefreshToken { token_hash: vec![3; 32], ..second };
        assert!(matches!(tx.insert_refresh_token(&third).await, Err(Error::Taken)));
    }

    async fn a_batch_is_stored_once(store: TestStore) {
        let customers: Vec<_> = (1..=2_500)
            .map(|n| NewCustomer { mapping: mapping(n), email: format!("{n}@example.jp"), locale: "en" })
            .collect();
        let hash = SecretString::from("$argon2id$…");
        let at = Utc::now();
        assert_eq!(store.insert_customers(&customers[..2_000], &hash, at).await.unwrap(), 2_000);
        assert_eq!(store.insert_customers(&customers, &hash, at).await.unwrap(), 500);
        assert_eq!(store.insert_customers(&[], &hash, at).await.unwrap(), 0);
        let last = customers[2_499].mapping;
        assert_eq!(store.mapping_of_client(last.client).await.unwrap(), Some(last));
    }

    async fn migrations_may_run_again_and_the_database_answers(store: TestStore) {
        let again = Store::connect(&store.settings()).await.unwrap();
        again.migrate(&testing::keys()).await.unwrap();
        again.ping().await.unwrap();
        again.close().await;
        assert!(again.ping().await.is_err());
        store.ping().await.unwrap();
    }
}

/// Name, type, whether null is refused, place in the primary key.
type Column = (String, String, String, bool, i64);

async fn columns(store: &Store) -> Vec<Column> {
    let text = match store.read() {
        On::Sqlite(_) => {
            "SELECT t.name, c.name, lower(c.type), c.\"notnull\" = 1, c.pk
             FROM sqlite_master t JOIN pragma_table_info(t.name) c
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name <> '_sqlx_migrations'
             ORDER BY t.name, c.cid"
        }
        On::Postgres(_) => {
            "SELECT c.table_name::text, c.column_name::text,
                CASE c.data_type WHEN 'uuid' THEN 'blob' WHEN 'bytea' THEN 'blob' WHEN 'bigint' THEN 'integer'
                    WHEN 'boolean' THEN 'integer'
                    WHEN 'timestamp with time zone' THEN 'text' ELSE c.data_type::text END,
                c.is_nullable = 'NO', coalesce(k.ordinal_position, 0)::bigint
             FROM information_schema.columns c
             LEFT JOIN information_schema.key_column_usage k
                ON k.table_name = c.table_name AND k.column_name = c.column_name
                AND k.constraint_name = c.table_name || '_pkey'
             WHERE c.table_schema = 'public' AND c.table_name <> '_sqlx_migrations'
             ORDER BY c.table_name COLLATE \"C\", c.ordinal_position"
        }
    };
    sql!(store.read(), text, [], fetch_all as Column).unwrap()
}

/// Table, column, table and rule of every foreign key.
async fn references(store: &Store) -> Vec<(String, String, String, String)> {
    let text = match store.read() {
        On::Sqlite(_) => {
            "SELECT t.name, f.\"from\", f.\"table\", f.on_delete
             FROM sqlite_master t JOIN pragma_foreign_key_list(t.name) f
             WHERE t.type = 'table' ORDER BY 1, 2"
        }
        On::Postgres(_) => {
            "SELECT k.table_name::text, k.column_name::text, u.table_name::text, r.delete_rule::text
             FROM information_schema.referential_constraints r
             JOIN information_schema.key_column_usage k ON k.constraint_name = r.constraint_name
             JOIN information_schema.table_constraints u ON u.constraint_name = r.unique_constraint_name
             ORDER BY 1, 2"
        }
    };
    sql!(store.read(), text, [], fetch_all as (String, String, String, String)).unwrap()
}

/// Table, whether unique, and the columns of every index.
async fn indexes(store: &Store) -> Vec<(String, bool, String)> {
    let text = match store.read() {
        On::Sqlite(_) => {
            "SELECT t.name, i.\"unique\" = 1,
                (SELECT group_concat(c.name) FROM pragma_index_info(i.name) c)
             FROM sqlite_master t JOIN pragma_index_list(t.name) i
             WHERE t.type = 'table' AND t.name <> '_sqlx_migrations' ORDER BY 1, 3"
        }
        On::Postgres(_) => {
            "SELECT t.relname::text, i.indisunique,
                (SELECT string_agg(a.attname::text, ',' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = i.indexrelid)
             FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
             WHERE n.nspname = 'public' AND t.relname <> '_sqlx_migrations'
                -- A key that counts up is the row id of SQLite, which has no index of its own.
                AND NOT (i.indisprimary AND EXISTS (SELECT 1 FROM pg_attribute a
                    WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) AND a.attidentity <> ''))
             ORDER BY t.relname::text COLLATE \"C\", 3"
        }
    };
    sql!(store.read(), text, [], fetch_all as (String, bool, String)).unwrap()
}

#[tokio::test]
async fn both_folders_of_migrations_make_the_same_tables() {
    let (sqlite, postgres) = (testing::sqlite().await, testing::postgres().await);
    let tables = columns(&sqlite).await;
    assert!(tables.len() > 20, "{tables:?}");
    assert_eq!(tables, columns(&postgres).await);
    assert_eq!(indexes(&sqlite).await, indexes(&postgres).await);
    assert_eq!(references(&sqlite).await, references(&postgres).await);
    let named = |folder: &sqlx::migrate::Migrator| {
        folder.iter().map(|one| (one.version, one.description.to_string())).collect::<Vec<_>>()
    };
    assert_eq!(named(&super::SQLITE), named(&super::POSTGRES));
}

#[tokio::test]
async fn a_reader_of_sqlite_cannot_write() {
    let store = testing::sqlite().await;
    let refused = sql!(store.read(), "DELETE FROM users", []);
    assert!(refused.unwrap_err().to_string().contains("readonly"));
}

#[tokio::test]
async fn a_bad_address_is_one_readable_line_without_the_password() {
    let connect = async |url: &str| {
        let settings = Settings {
            url: url.to_owned().into(),
            max_connections: 1,
            acquire_timeout: std::time::Duration::from_secs(5),
        };
        Store::connect(&settings).await.err().unwrap().to_string()
    };
    for url in ["", "mysql://host/db", "sqlite::memory:", "postgres://[", "sqlite:", "sqlite://a.db?mode=ro"]
    {
        assert!(connect(url).await.starts_with("the database address must begin with"), "{url}");
    }
    let line = connect("postgres://portal:hunter2@127.0.0.1:1/portal").await;
    assert!(line.starts_with("cannot open the database 127.0.0.1:1/portal: "), "{line}");
    assert!(!line.contains("hunter2") && !line.contains('\n'), "{line}");
    let line = connect("sqlite:/proc/nowhere/portal.db").await;
    assert!(line.starts_with("cannot open the database /proc/nowhere/portal.db: "), "{line}");
}
