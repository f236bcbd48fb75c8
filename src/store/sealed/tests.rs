//! What a dump shows, and how keys are replaced, on both databases.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{SubsecRound, TimeDelta};

use super::*;
use crate::{
    id::{AccountId, ClientId, InvoiceId, NotificationId, UserId},
    seal::DataKey,
    secret::SecretString,
    store::{
        Error, Mapping, MirrorRow, MirroredList, NewNotification, NewUser,
        testing::{self, TestStore, on_both_stores},
    },
};

const EMAIL: &str = "canary.taro@example.jp";
const TARO: ClientId = ClientId(1001);

fn key(number: u32, byte: u8) -> DataKey {
    DataKey::parse(&format!("{number}:{}", BASE64_STANDARD.encode([byte; 32]))).unwrap()
}

/// The key of test stores.
fn first() -> DataKey {
    key(1, 0)
}

/// The same database as another process has it open, with these keys.
async fn with_keys(store: &TestStore, keys: &[DataKey]) -> Result<Store> {
    let again = Store::connect(&store.settings()).await?;
    again.migrate(&Keyring::new(keys, Path::new("/nowhere")).unwrap()).await?;
    Ok(again)
}

async fn enrol(store: &Store, n: u64, email: &str) -> Uuid {
    let (id, at) = (Uuid::now_v7(), Utc::now().trunc_subsecs(6));
    let hash = SecretString::from("$argon2id$…");
    let account = AccountId::parse(&format!("001{n:012}")).unwrap();
    let mapping = Mapping { user: UserId(id), client: ClientId(1000 + n), account };
    let mut tx = store.begin().await.unwrap();
    tx.insert_user(&NewUser { id: UserId(id), email, password_hash: &hash, locale: "ja", at }).await.unwrap();
    tx.insert_mapping(&mapping, at).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn notify(store: &Store, user: Uuid, source_id: &str, title: &str) {
    let at = Utc::now().trunc_subsecs(6);
    let new = NewNotification {
        id: NotificationId(Uuid::now_v7()),
        user: UserId(user),
        kind: "test",
        title,
        message: "canary-message",
        link: Some("/canary-link"),
        source: "test",
        source_id,
        created_at: at,
        expires_at: at + TimeDelta::days(1),
    };
    assert!(store.insert_notification(&new).await.unwrap());
}

async fn mirror(store: &Store, client: ClientId, record: &str, at: DateTime<Utc>) {
    for list in MirroredList::ALL {
        let row = MirrorRow { id: client.0 * 10, record: record.to_owned() };
        assert!(store.mirror_list(list, client, &[row], at).await.unwrap());
    }
}

/// The names of all tables, with their columns.
async fn columns(store: &Store) -> Vec<(String, String)> {
    let text = match store.read() {
        On::Sqlite(_) => {
            "SELECT t.name, c.name FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'"
        }
        On::Postgres(_) => {
            "SELECT table_name::text, column_name::text FROM information_schema.columns WHERE table_schema = 'public'"
        }
    };
    sql!(store.read(), text, [], fetch_all as (String, String)).unwrap()
}

/// Every value of every table, as text that shows bytes both as they are and as hex.
pub(in crate::store) async fn dump(store: &Store) -> String {
    let mut all = String::new();
    for (table, column) in columns(store).await {
        let text = match store.read() {
            On::Sqlite(_) => {
                format!("SELECT CAST(\"{column}\" AS BLOB) FROM \"{table}\" WHERE \"{column}\" IS NOT NULL")
            }
            On::Postgres(_) => {
                format!(
                    "SELECT convert_to(\"{column}\"::text, 'UTF8') FROM \"{table}\" WHERE \"{column}\" IS NOT NULL"
                )
            }
        };
        let values = sql!(store.read(), AssertSqlSafe(text), [], fetch_all as (Vec<u8>,)).unwrap();
        for (value,) in values {
            all +=
                &format!("{table}.{column}\t{}\t{}\n", String::from_utf8_lossy(&value), hex::encode(&value));
        }
    }
    all
}

/// Where a value shows in a dump: as it is, in base64 or in hex.
fn shows(dump: &str, canary: &str) -> Option<String> {
    let forms = [
        canary.to_lowercase(),
        // Without the last characters, which depend on what follows.
        BASE64_STANDARD.encode(&canary[..canary.len() / 3 * 3]).to_lowercase(),
        hex::encode(canary),
    ];
    let line =
        dump.to_lowercase().lines().find(|line| forms.iter().any(|form| line.contains(form)))?.to_owned();
    Some(line)
}

on_both_stores! {
    async fn a_dump_shows_nothing_personal(store: TestStore) {
        let now = Utc::now().trunc_subsecs(6);
        let taro = enrol(&store, 1, EMAIL).await;
        notify(&store, taro, "1", "canary-title").await;
        mirror(&store, TARO, "{\"name\":\"canary-record\"}", now).await;
        let canaries = [EMAIL, "canary", "canary-title", "canary-message", "canary-link", "canary-record"];
        let dumped = dump(&store).await;
        assert!(dumped.contains("users.locale\tja"), "a dump holds what is plain");
        for canary in canaries {
            assert_eq!(shows(&dumped, canary), None, "{canary}");
        }
        // The control: planted leaks are found, in each form.
        for planted in [EMAIL.to_owned(), BASE64_STANDARD.encode(EMAIL), hex::encode(EMAIL)] {
            sql!(store.write(), "UPDATE users SET locale = $1", [planted.as_str()]).unwrap();
            assert!(shows(&dump(&store).await, EMAIL).is_some(), "{planted}");
        }
        sql!(store.write(), "UPDATE users SET locale = 'ja'", []).unwrap();
        // And all of it is read back.
        let (user, email) = store.user(UserId(taro)).await.unwrap().unwrap();
        assert_eq!((user.id.0, email.as_str()), (taro, EMAIL));
        assert_eq!(store.user_by_email(EMAIL).await.unwrap().unwrap().id.0, taro);
        let told = store.notifications(UserId(taro), now).await.unwrap();
        assert_eq!((told[0].title.as_str(), told[0].link.as_deref()), ("canary-title", Some("/canary-link")));
        let list = store.mirrored_list(MirroredList::Invoices, TARO).await.unwrap().unwrap();
        assert_eq!(list.records, ["{\"name\":\"canary-record\"}"]);
    }

    async fn a_value_that_was_moved_does_not_open(store: TestStore) {
        let (taro, hanako) = (enrol(&store, 1, EMAIL).await, enrol(&store, 2, "hanako@example.jp").await);
        let sealed = "SELECT email_sealed FROM users WHERE user_id = $1";
        let (of_taro,) = sql!(store.read(), sealed, [taro], fetch_one as (Vec<u8>,)).unwrap();
        sql!(store.write(), "UPDATE users SET email_sealed = $1 WHERE user_id = $2", [&of_taro, hanako]).unwrap();
        assert!(matches!(store.user(UserId(hanako)).await, Err(Error::Sealed(_))), "another row");
        store.user(UserId(taro)).await.unwrap().unwrap();
        notify(&store, taro, "1", "title").await;
        sql!(store.write(), "UPDATE notifications SET sealed = $1", [&of_taro]).unwrap();
        assert!(matches!(store.notifications(UserId(taro), Utc::now()).await, Err(Error::Sealed(_))), "another column");
        mirror(&store, TARO, "{}", Utc::now().trunc_subsecs(6)).await;
        sql!(store.write(), "UPDATE invoices_mirror SET sealed = (SELECT sealed FROM subscriptions_mirror)", []).unwrap();
        let moved = store.mirrored_list(MirroredList::Invoices, TARO).await;
        assert!(matches!(moved, Err(Error::Sealed(_))), "another table");
        store.mirrored_list(MirroredList::Subscriptions, TARO).await.unwrap().unwrap();
    }

    async fn what_lay_plain_is_sealed_by_the_next_start(store: TestStore) {
        let at = Utc::now().trunc_subsecs(6);
        let mut users = Vec::new();
        // More than one batch.
        for n in 0..1_100 {
            let id = Uuid::now_v7();
            let email = format!("plain.{n}@example.jp");
            sql!(store.write(),
                "INSERT INTO users (user_id, email_normalised, password_hash, locale, created_at, updated_at)
                 VALUES ($1, $2, '-', 'ja', $3, $3)", [id, email.as_str(), at]).unwrap();
            users.push((id, email));
        }
        let taro = users[0].0;
        sql!(store.write(),
            "INSERT INTO notifications (notification_id, user_id, type, title, message, link, source, source_id, created_at, expires_at)
             VALUES ($1, $1, 'test', 'plain-title', 'plain-message', '/plain-link', 'test', '1', $2, $3)",
            [taro, at, at + TimeDelta::days(1)]).unwrap();
        mirror(&store, TARO, "{}", at).await;
        sql!(store.write(), "UPDATE invoices_mirror SET sealed = NULL, record = 'plain-record'", []).unwrap();
        assert!(shows(&dump(&store).await, "plain.1099@example.jp").is_some());
        // Two replicas that start at once.
        let keys = [first()];
        let (one, two) = tokio::join!(with_keys(&store, &keys), with_keys(&store, &keys));
        let (one, _two) = (one.unwrap(), two.unwrap());
        let dumped = dump(&store).await;
        for plain in ["plain.", "plain-title", "plain-message", "plain-link", "plain-record"] {
            assert_eq!(shows(&dumped, plain), None, "{plain}");
        }
        for (id, email) in &users {
            assert_eq!(one.user_by_email(email).await.unwrap().unwrap().id.0, *id);
        }
        assert_eq!(one.notifications(UserId(taro), at).await.unwrap()[0].title, "plain-title");
        assert_eq!(one.mirrored_list(MirroredList::Invoices, TARO).await.unwrap(), None, "it fills again");
    }

    async fn a_key_is_replaced_while_everybody_writes(store: TestStore) {
        let now = Utc::now().trunc_subsecs(6);
        let mut users = Vec::new();
        // More than one page.
        for n in 0..700 {
            users.push((enrol(&store, n, &format!("{n}@example.jp")).await, format!("{n}@example.jp")));
        }
        for n in 0..20 {
            mirror(&store, ClientId(1000 + n), "{\"n\":0}", now).await;
        }
        let (old, both) = ([first()], [key(2, 9), first()]);
        let new = with_keys(&store, &both).await.unwrap();
        let is_done = AtomicBool::new(false);
        // Writers of a replica that has the new key: lists are replaced, people enrol.
        let writing = async {
            let (mut round, mut more) = (0_u64, Vec::new());
            while !is_done.load(Ordering::Relaxed) || round < 3 {
                round += 1;
                let at = now + TimeDelta::seconds(i64::try_from(round).unwrap());
                for n in 0..5 {
                    mirror(&new, ClientId(1000 + n), &format!("{{\"n\":{round}}}"), at).await;
                }
                let email = format!("late.{round}@example.jp");
                more.push((enrol(&new, 5_000 + round, &email).await, email));
                tokio::task::yield_now().await;
            }
            (round, more)
        };
        let rotating = async {
            let mut looked = 0;
            let walk = new.reseal(|more| looked += more).await.unwrap();
            assert!(walk.failed.is_empty(), "{walk:?}");
            assert!(walk.done >= 700 && looked >= 740, "{walk:?}, {looked}");
            is_done.store(true, Ordering::Relaxed);
        };
        let ((round, more), ()) = tokio::join!(writing, rotating);
        users.extend(more);
        let rest = new.reseal(|_| ()).await.unwrap();
        assert_eq!(rest, Resealed::default(), "all lies under the new key");

        assert!(matches!(with_keys(&store, &[key(2, 9)]).await, Err(Error::DataKey { number: 1, .. })));
        assert_eq!(new.forget_data_keys(now).await.unwrap(), [1]);
        assert_eq!(new.forget_data_keys(now).await.unwrap(), [0_i64; 0]);
        // The old key alone opens nothing any more, and the new one everything.
        assert!(with_keys(&store, &old).await.is_err());
        assert!(matches!(with_keys(&store, &[key(2, 8)]).await, Err(Error::DataKey { number: 2, .. })), "another key of the number");
        let only = with_keys(&store, &[key(2, 9)]).await.unwrap();
        for (id, email) in &users {
            assert_eq!(only.user(UserId(*id)).await.unwrap().unwrap().1, *email);
            assert_eq!(only.user_by_email(email).await.unwrap().unwrap().id.0, *id);
        }
        for n in 0..20 {
            let list = only.mirrored_list(MirroredList::Invoices, ClientId(1000 + n)).await.unwrap().unwrap();
            assert_eq!(list.records, [format!("{{\"n\":{}}}", if n < 5 { round } else { 0 })]);
        }
        assert_eq!(only.owner_of_mirrored_invoice(InvoiceId(10_000)).await.unwrap(), Some(ClientId(1000)));
        assert_eq!(only.verify_audit(None, |_, _| ()).await.unwrap().faults, []);
    }

    async fn a_value_that_does_not_open_is_counted_and_left(store: TestStore) {
        let taro = enrol(&store, 1, EMAIL).await;
        enrol(&store, 2, "hanako@example.jp").await;
        let new = with_keys(&store, &[key(2, 9), first()]).await.unwrap();
        sql!(store.write(), "UPDATE users SET email_sealed = $1 WHERE user_id = $2", [vec![0_u8; 60], taro]).unwrap();
        let walk = new.reseal(|_| ()).await.unwrap();
        assert_eq!(walk.failed, BTreeMap::from([("users.email_sealed".to_owned(), 1)]));
        new.user_by_email("hanako@example.jp").await.unwrap().unwrap();
    }
}

/// Every place that is sealed stands in [`COLUMNS`]: else a replaced key would leave it behind.
#[tokio::test]
async fn every_sealed_column_is_known() {
    let store = testing::sqlite().await;
    let there = columns(&store).await;
    for Column { table, column, key } in COLUMNS {
        let names = key.iter().map(|(name, _)| *name).chain([*column]);
        for name in names {
            assert!(there.iter().any(|(t, c)| t == table && c == name), "{table}.{name}");
        }
    }
    let mut sources = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut found = 0;
    while let Some(path) = sources.pop() {
        if path.is_dir() {
            sources.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        if path.ends_with("tests.rs") || path.extension().is_none_or(|end| end != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        // Up to the tests of the file.
        let text = text.split("#[cfg(test)]").next().unwrap();
        for place in text.split("Place { table: \"").skip(1) {
            let table = place.split('"').next().unwrap();
            found += 1;
            let is_proof = table == "data_keys";
            assert!(is_proof || COLUMNS.iter().any(|column| column.table == table), "{table}, of {path:?}");
        }
    }
    assert!(found >= 8, "{found}");
}
