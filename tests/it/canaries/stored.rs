//! What lies in the database, at any time.

use std::{collections::BTreeSet, time::Duration};

use portal_gateway::store::Store;
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

/// How often it looks.
const EVERY: Duration = Duration::from_millis(200);

/// Reads all rows again and again, so that those are seen, too, that do not stay.
pub struct Watch {
    stop: CancellationToken,
    looking: JoinHandle<BTreeSet<(String, String)>>,
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
        let looking = tokio::spawn(async move {
            let mut seen = BTreeSet::new();
            while !stopped.is_cancelled() {
                seen.extend(store.rows().await);
                sleep(EVERY).await;
            }
            seen
        });
        Self { stop, looking }
    }

    /// Ends it with a last look.
    pub async fn end(self, store: &Store) -> Stored {
        self.stop.cancel();
        let mut seen = self.looking.await.unwrap();
        seen.extend(store.rows().await);
        let mut unseen = store.tables().await;
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
