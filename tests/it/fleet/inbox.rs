//! When each change was acknowledged: its row in the inbox says so.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use portal_gateway::{secret::ExposeSecret, store::testing::TestStore};
use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions, sqlite::SqliteConnectOptions};

use super::{
    Fleet,
    history::{Known, quantile},
    registers::Register,
};

/// One row: what it is about, when it was applied on every replica, and how often.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Event {
    pub source: String,
    pub event_id: String,
    pub record: String,
    pub settled_at: Option<DateTime<Utc>>,
    pub passes: i64,
}

/// All rows, oldest first.
pub async fn events(store: &TestStore) -> Vec<Event> {
    const ROWS: &str =
        "SELECT source, event_id, record, settled_at, passes FROM inbox_events ORDER BY sequence";
    let url = store.settings().url.expose_secret().to_owned();
    if url.starts_with("sqlite:") {
        let mut connection = url.parse::<SqliteConnectOptions>().unwrap().connect().await.unwrap();
        let rows = sqlx::query_as(ROWS).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        rows
    } else {
        let mut connection = url.parse::<PgConnectOptions>().unwrap().connect().await.unwrap();
        let rows = sqlx::query_as(ROWS).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        rows
    }
}

/// Waits until every write of the registers has an event that is applied.
pub async fn all_applied(fleet: &Fleet, registers: &[Register], within: Duration) {
    let applied = async {
        loop {
            let events = events(&fleet.store).await;
            let lacking: Vec<_> = registers
                .iter()
                .filter(|register| acknowledged(&events, register).len() < register.writes().len())
                .map(Register::record)
                .collect();
            if lacking.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    };
    if tokio::time::timeout(within, applied).await.is_err() {
        let events = events(&fleet.store).await;
        for register in registers {
            let (acknowledged, written) = (acknowledged(&events, register).len(), register.writes().len());
            eprintln!("{:?}: {acknowledged} of {written} writes are acknowledged", register.record());
        }
        panic!("changes are not acknowledged within {within:?}");
    }
}

/// From when on each value of a register had to be known. Every write makes one event and each row is settled once, so
/// when so many rows are settled, one of them stands for the write of that number or a later one.
pub fn acknowledged(events: &[Event], register: &Register) -> Vec<Known> {
    let (source, record) = register.record();
    let mut settled: Vec<_> = events
        .iter()
        .filter(|event| event.source == source && event.record == record)
        .filter_map(|event| event.settled_at)
        .collect();
    settled.sort();
    // The store keeps whole milliseconds of an instant, or more.
    let pairs = register.writes().into_iter().zip(settled);
    pairs.map(|(write, at)| Known { value: write.value, from: at + TimeDelta::milliseconds(1) }).collect()
}

/// How long it took from a change to the last replica's knowledge of it: half of all, 99 of 100, and the most.
pub fn lag(events: &[Event], registers: &[Register]) -> [TimeDelta; 3] {
    let mut lags = Vec::new();
    for register in registers {
        let known = acknowledged(events, register);
        lags.extend(register.writes().iter().zip(known).map(|(write, known)| known.from - write.began));
    }
    [0.5, 0.99, 1.0].map(|share| quantile(&mut lags, share).unwrap_or_default())
}
