//! What lies in the database, at any time.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use portal_gateway::store::Store;
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

/// How often it looks.
const EVERY: Duration = Duration::from_millis(5);

/// Reads all rows again and again, so that those are seen, too, that do not stay.
pub struct Watch {
    store: Store,
    stop: CancellationToken,
    looking: JoinHandle<()>,
    seen: Arc<Mutex<BTreeSet<(String, String)>>>,
}

/// What was seen.
pub struct Stored {
    /// Every row, as often as it was another.
    pub text: String,
    /// The tables that were always empty.
    pub unseen: Vec<String>,
}

impl Watch {
    pub fn begin(store: Store) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let seen = Arc::<Mutex<BTreeSet<_>>>::default();
        let (all, read) = (seen.clone(), store.clone());
        let looking = tokio::spawn(async move {
            while !stopped.is_cancelled() {
                let rows = read.rows().await;
                all.lock().unwrap().extend(rows);
                sleep(EVERY).await;
            }
        });
        Self { store, stop, looking, seen }
    }

    /// Looks now.
    pub async fn look(&self) {
        let rows = self.store.rows().await;
        self.seen.lock().unwrap().extend(rows);
    }

    /// Ends it with a last look.
    pub async fn end(self) -> Stored {
        self.stop.cancel();
        self.looking.await.unwrap();
        let rows = self.store.rows().await;
        let mut seen = std::mem::take(&mut *self.seen.lock().unwrap());
        seen.extend(rows);
        let mut unseen = self.store.tables().await;
        unseen.retain(|table| !seen.iter().any(|(name, _)| name == table));
        unseen.sort();
        let seen: Vec<_> = seen.into_iter().collect();
        Stored { text: text(&seen), unseen }
    }
}

/// Rows as a text, each with its table.
pub fn text(rows: &[(String, String)]) -> String {
    rows.iter().map(|(table, row)| format!("{table}: {row}\n")).collect()
}

/// A text as a value of bytes, as a statement for the store of this run writes it.
pub fn bytes(text: &str) -> String {
    let hex = hex::encode(text);
    match std::env::var("TEST_STORE").as_deref() {
        Ok("postgres") => format!("decode('{hex}', 'hex')"),
        _ => format!("x'{hex}'"),
    }
}
