//! How an event is hashed, and what names a place in the chain.

use std::{fmt, str::FromStr};

use super::{Event, EventRow};
use crate::store::vault::Vault;

/// Bytes of a network's name: enough that two networks never share one.
const NETWORK: usize = 16;

/// A place in the chain: who kept one elsewhere can later tell that nothing before it was changed, and nothing up to it cut
/// off. Reads and writes as `<sequence>:<hash in hexadecimal>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The event.
    pub sequence: i64,
    /// Its hash.
    pub hash: Vec<u8>,
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, hex::encode(&self.hash))
    }
}

impl FromStr for Anchor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (sequence, hash) = text.split_once(':')?;
            Some(Self { sequence: sequence.parse().ok()?, hash: hex::decode(hash).ok()? })
        };
        read().ok_or("is not an anchor as `audit verify` prints it")
    }
}

/// The row of an event behind the one with that hash.
pub(super) fn row(vault: &Vault, event: Event, sequence: i64, previous_hash: Vec<u8>) -> EventRow {
    let mut row = EventRow {
        sequence,
        at: event.at,
        actor_kind: event.actor.kind().to_owned(),
        actor_id: event.actor.id(),
        subject_id: event.subject.map(|user| user.0),
        act: event.act.to_owned(),
        outcome: if event.reason.is_some() { "refused" } else { "done" }.to_owned(),
        reason: event.reason,
        request_id: event.origin.request_id,
        network: event.origin.network.map(|bytes| network(vault, &bytes)),
        user_agent_class: event.origin.user_agent_class.map(str::to_owned),
        // A map of texts always serializes.
        details: serde_json::to_string(&event.details).unwrap_or_default(),
        previous_hash,
        hash: Vec::new(),
    };
    row.hash = hash(vault, &row).to_vec();
    row
}

/// The hash of a row: over the one before it and every column, each with its length; one that is absent differs from an
/// empty one.
pub(super) fn hash(vault: &Vault, row: &EventRow) -> [u8; 32] {
    let (sequence, at) = (row.sequence.to_be_bytes(), row.at.timestamp_micros().to_be_bytes());
    let columns: [Option<&[u8]>; 13] = [
        Some(&row.previous_hash),
        Some(&sequence),
        Some(&at),
        Some(row.actor_kind.as_bytes()),
        row.actor_id.as_deref().map(str::as_bytes),
        row.subject_id.as_ref().map(|id| id.as_bytes().as_slice()),
        Some(row.act.as_bytes()),
        Some(row.outcome.as_bytes()),
        row.reason.as_deref().map(str::as_bytes),
        row.request_id.as_deref().map(str::as_bytes),
        row.network.as_deref(),
        row.user_agent_class.as_deref().map(str::as_bytes),
        Some(row.details.as_bytes()),
    ];
    let parts = columns.iter().flat_map(|column| match column {
        Some(value) => [&b"+"[..], value],
        None => [&b"-"[..], &[]],
    });
    vault.chain(parts)
}

/// The code that a mark carries.
pub(super) fn mark_mac(vault: &Vault, mark: &str, anchor: &Anchor) -> [u8; 32] {
    vault.chain([b"mark", mark.as_bytes(), &anchor.sequence.to_be_bytes(), &anchor.hash])
}

/// The name of a network.
pub(super) fn network(vault: &Vault, bytes: &[u8]) -> Vec<u8> {
    vault.index("audit_events.network", bytes)[..NETWORK].to_vec()
}
