//! Answers that are sent again without being executed: when one may be kept, and how it is found.

use std::sync::LazyLock;

use async_graphql::parser::types::OperationType;
use axum::body::Bytes;
use metrics::Counter;

use crate::{
    freshness::{Cache, Found, Owner, Reader, Responses},
    http::{finished::Finished, questions::Question},
};

/// The answers that are kept, and whose each of them is.
pub struct Answers<V> {
    kept: Responses<Finished>,
    owner: fn(&V) -> Owner,
}

/// How a request met the answers that are kept; its name stands in the log line and in the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was answered from them.
    Hit,
    /// There was none, and now there is.
    Miss,
    /// There was one, but something has changed, or it was no longer fresh. Now there is a new one.
    Old,
    /// Not a query.
    Mutation,
    /// Nobody is signed in.
    Anonymous,
    /// A partner asks: its answers tell how its budget stands.
    Partner,
    /// Something failed.
    Failed,
    /// Something was read that must not be kept, or is older than it should be.
    Uncovered,
}

impl Outcome {
    /// Its name, and why for those that the answers did not concern.
    pub(super) const fn as_str(self) -> (&'static str, &'static str) {
        match self {
            Self::Hit => ("hit", ""),
            Self::Miss => ("miss", ""),
            Self::Old => ("old", ""),
            Self::Mutation => ("bypass", "mutation"),
            Self::Anonymous => ("bypass", "anonymous"),
            Self::Partner => ("bypass", "partner"),
            Self::Failed => ("bypass", "failed"),
            Self::Uncovered => ("bypass", "uncovered"),
        }
    }

    pub(super) fn count(self) {
        static COUNTERS: LazyLock<[Counter; 8]> = LazyLock::new(|| {
            use Outcome::{Anonymous, Failed, Hit, Miss, Mutation, Old, Partner, Uncovered};
            [Hit, Miss, Old, Mutation, Anonymous, Partner, Failed, Uncovered].map(|outcome| {
                let (outcome, reason) = outcome.as_str();
                metrics::counter!("cache_responses_total", "outcome" => outcome, "reason" => reason)
            })
        });
        COUNTERS[self as usize].increment(1);
    }
}

impl<V> Answers<V> {
    /// No answers yet, and room for `bytes`. `owner` says whose an answer to somebody is.
    pub fn new(cache: Cache, bytes: u64, owner: fn(&V) -> Owner) -> Self {
        Self { kept: Responses::new(cache, bytes), owner }
    }

    /// How many answers are kept, and what they weigh in bytes.
    pub fn size(&self) -> (u64, u64) {
        self.kept.size()
    }

    /// The answer that somebody got to the same question, while it stands.
    pub(super) fn get(&self, viewer: &V, question: &Question) -> Found<Finished> {
        self.kept.get(&(self.owner)(viewer).response(question.hash))
    }

    /// Keeps an answer when it may be given again: an answer to a query, without failures (`data` is there),
    /// every part of which is covered by what its reader noted.
    pub(super) fn keep(
        &self,
        owner: Option<Owner>,
        question: &Question,
        data: Option<Bytes>,
        reader: Option<&Reader>,
    ) -> Outcome {
        if question.kind != OperationType::Query {
            return Outcome::Mutation;
        }
        let Some(owner) = owner else { return Outcome::Anonymous };
        let Some(data) = data else { return Outcome::Failed };
        let Some(basis) = reader.and_then(Reader::basis) else { return Outcome::Uncovered };
        let finished = Finished::new(data);
        let weight = finished.weight(basis.seen.len());
        self.kept.insert(owner.response(question.hash), finished, weight, basis);
        Outcome::Miss
    }

    pub(super) fn owner(&self, viewer: &V) -> Owner {
        (self.owner)(viewer)
    }
}
