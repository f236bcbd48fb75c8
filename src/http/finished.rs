//! An answer as finished bytes, sent again to whoever asks the same.
//!
//! The data is written once and shared by all who get it. Behind it stand two short pieces: how old the
//! data is, written once a second, and the id of the request.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    pin::Pin,
    sync::{Mutex, OnceLock, PoisonError},
    task::{Context, Poll},
};

use async_graphql::{Response, Value, to_value};
use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, header::IF_NONE_MATCH},
};
use chrono::{DateTime, Utc};
use hyper::body::{Frame, SizeHint};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    freshness::{Origin, Source},
    http::RequestId,
};

/// The data of an answer without errors, from the first brace to where `extensions` begin.
pub(super) struct Finished {
    data: Bytes,
    tag: OnceLock<Option<HeaderValue>>,
    /// What follows the data, as it was in that second.
    aged: Mutex<(i64, Bytes)>,
}

impl Finished {
    /// From the serialized data.
    pub(super) fn new(data: Bytes) -> Self {
        Self { data, tag: OnceLock::new(), aged: Mutex::new((i64::MIN, Bytes::new())) }
    }

    /// What it weighs, in bytes: the age is written of each path.
    pub(super) fn weight(&self, paths: usize) -> usize {
        self.data.len() + paths * 96
    }

    /// The weak entity tag of the data.
    pub(super) fn tag(&self) -> Option<&HeaderValue> {
        self.tag.get_or_init(|| entity_tag(&self.data)).as_ref()
    }

    /// The whole answer to one request. `seen` is where the data came from when it was written: by now it
    /// has all come from memory.
    pub(super) fn body(&self, seen: &[(String, Origin)], now: DateTime<Utc>, id: &RequestId) -> Body {
        let second = now.timestamp();
        let aged = {
            let mut aged = self.aged.lock().unwrap_or_else(PoisonError::into_inner);
            if aged.0 != second {
                let remembered = seen
                    .iter()
                    .map(|(path, origin)| (path.as_str(), Origin { source: Source::Memory, ..*origin }));
                *aged = (second, head(remembered, now).into());
            }
            aged.1.clone()
        };
        Body::new(Whole { pieces: [self.data.clone(), aged, foot(id).into()], next: 0 })
    }
}

/// The entity tag of an answer's data: weak, since the id of the request differs each time.
pub(super) fn entity_tag(data: &[u8]) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("W/\"{}\"", hex::encode(&Sha256::digest(data)[..16]))).ok()
}

/// Whether the client says that it has the data with this tag.
pub(super) fn is_known(tag: &HeaderValue, request: &HeaderMap) -> bool {
    let strong = |tag: &'_ str| tag.trim().trim_start_matches("W/").to_owned();
    let Ok(ours) = tag.to_str().map(strong) else { return false };
    let values = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|theirs| theirs.trim() == "*" || strong(theirs) == ours)
}

/// Where the value behind a path came from.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Seen<'a> {
    path: &'a str,
    source: &'static str,
    age_seconds: i64,
    stale: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// Of every path whose value was not read live, where it came from. Of two values behind one path the older
/// one counts.
fn listed<'a>(seen: impl Iterator<Item = (&'a str, Origin)>, now: DateTime<Utc>) -> Vec<Seen<'a>> {
    let mut paths: BTreeMap<&str, Origin> = BTreeMap::new();
    for (path, origin) in seen.filter(|(_, origin)| origin.source != Source::Live) {
        let known = paths.entry(path).or_insert(origin);
        if (origin.stale.is_some(), known.loaded_at) > (known.stale.is_some(), origin.loaded_at) {
            *known = origin;
        }
    }
    let entry = |(path, origin): (&'a str, Origin)| Seen {
        path,
        source: origin.source.as_str(),
        age_seconds: origin.age(now).num_seconds(),
        stale: origin.stale.is_some(),
        reason: origin.stale.map(|stale| stale.as_str()),
    };
    paths.into_iter().map(entry).collect()
}

/// What stands between the data and the id: where the data came from.
pub(super) fn head<'a>(seen: impl Iterator<Item = (&'a str, Origin)>, now: DateTime<Utc>) -> Vec<u8> {
    let listed = listed(seen, now);
    let mut text = br#","extensions":{"#.to_vec();
    if !listed.is_empty() {
        text.extend_from_slice(br#""freshness":"#);
        // Texts and numbers always serialize.
        let _ = serde_json::to_writer(&mut text, &listed);
        text.push(b',');
    }
    if listed.iter().any(|seen| seen.stale) {
        text.extend_from_slice(br#""stale":true,"#);
    }
    text
}

/// The same for an answer that is still the engine's.
pub(super) fn tell(response: &mut Response, seen: &[(String, Origin)], now: DateTime<Utc>) {
    let listed = listed(seen.iter().map(|(path, origin)| (path.as_str(), *origin)), now);
    if listed.iter().any(|seen| seen.stale) {
        response.extensions.insert("stale".to_owned(), Value::from(true));
    }
    if let (false, Ok(listed)) = (listed.is_empty(), to_value(&listed)) {
        response.extensions.insert("freshness".to_owned(), listed);
    }
}

/// The end of every answer. The id needs no escape.
pub(super) fn foot(id: &RequestId) -> Vec<u8> {
    [br#""requestId":""#, id.as_str().as_bytes(), br#""}}"#].concat()
}

/// A body in pieces whose length is known.
struct Whole {
    pieces: [Bytes; 3],
    next: usize,
}

impl hyper::body::Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.next;
        self.next += 1;
        let piece = self.pieces.get_mut(next).map(std::mem::take);
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.next >= self.pieces.len()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.pieces.iter().map(|piece| piece.len() as u64).sum())
    }
}
