//! Whole answers, each with what it was built from.
//!
//! An answer is found by who asks and what is asked, and is used only while everything that it was
//! built from still stands: that is looked at with every use, so raising one tag makes each answer old
//! that shows anything of it, at once. How an answer looks is not known here.

use std::sync::Arc;

use moka::sync::Cache as Table;

use super::{Basis, Cache, Owner};

/// Names an answer: whose it is, and what was asked. It can only be made from an [`Owner`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResponseKey {
    owner: Owner,
    question: [u8; 32],
}

impl Owner {
    /// The key of this owner's answer to a question, which is named by a hash that no other question has.
    pub const fn response(self, question: [u8; 32]) -> ResponseKey {
        ResponseKey { owner: self, question }
    }
}

/// What is found under a key.
#[derive(Debug)]
pub enum Found<T> {
    /// An answer that still stands.
    Standing(Arc<Kept<T>>),
    /// An answer that something has changed since, or that is no longer fresh. It is forgotten.
    Old,
    /// None.
    Nothing,
}

/// An answer that is kept.
#[derive(Debug)]
pub struct Kept<T> {
    /// The answer.
    pub answer: T,
    /// What it was built from.
    pub basis: Basis,
    weight: u32,
}

/// The answers that were given lately, the most asked for first when room is short.
pub struct Responses<T> {
    table: Table<ResponseKey, Arc<Kept<T>>, foldhash::quality::RandomState>,
    cache: Cache,
}

impl<T> Clone for Responses<T> {
    fn clone(&self) -> Self {
        Self { table: self.table.clone(), cache: self.cache.clone() }
    }
}

impl<T: Send + Sync + 'static> Responses<T> {
    /// No answers yet, and room for `bytes`. `cache` judges whether they stand.
    pub fn new(cache: Cache, bytes: u64) -> Self {
        let table = Table::builder()
            .max_capacity(bytes)
            .weigher(|_, kept: &Arc<Kept<T>>| kept.weight)
            .build_with_hasher(foldhash::quality::RandomState::default());
        Self { table, cache }
    }

    /// The answer under a key. Waits for nothing, and allocates nothing.
    pub fn get(&self, key: &ResponseKey) -> Found<T> {
        match self.table.get(key) {
            None => Found::Nothing,
            Some(kept) if self.cache.holds(&kept.basis) => Found::Standing(kept),
            Some(_) => {
                self.table.invalidate(key);
                Found::Old
            }
        }
    }

    /// Keeps an answer of `bytes`.
    pub fn insert(&self, key: ResponseKey, answer: T, bytes: usize, basis: Basis) {
        // The constant stands for the structs and the tables around them.
        let weight = u32::try_from(512 + bytes + basis.weight()).unwrap_or(u32::MAX);
        self.table.insert(key, Arc::new(Kept { answer, basis, weight }));
    }

    /// How many answers are kept, and what they weigh in bytes.
    pub fn size(&self) -> (u64, u64) {
        self.table.run_pending_tasks();
        (self.table.entry_count(), self.table.weighted_size())
    }
}
