//! The mails that were taken: the newest, up to a number and a weight.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Deserialize;
use tokio::sync::watch;

use crate::sandbox::smtp::Mail;

/// Mails that are kept; older ones fall out.
const KEPT: usize = 1_000;
/// Bytes that they may weigh together.
const WEIGHT: usize = 64 << 20;

/// Which mails are wanted; an absent part matches all.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only to this address.
    pub to: Option<String>,
    /// Only those after this id.
    pub since: Option<u64>,
    /// At most so many, the newest.
    pub limit: Option<usize>,
}

#[derive(Debug, Default)]
struct Kept {
    newest: u64,
    weight: usize,
    mails: VecDeque<Arc<Mail>>,
}

/// What the mail server took.
#[derive(Debug)]
pub struct Mailbox {
    kept: Mutex<Kept>,
    newest: watch::Sender<u64>,
}

impl Default for Mailbox {
    fn default() -> Self {
        Self { kept: Mutex::default(), newest: watch::Sender::new(0) }
    }
}

impl Mailbox {
    /// Keeps a mail under the next id.
    pub(super) fn put(&self, mut mail: Mail) {
        let id = {
            let mut kept = self.kept();
            kept.newest += 1;
            mail.id = kept.newest;
            kept.weight += mail.raw.len();
            kept.mails.push_back(Arc::new(mail));
            while kept.mails.len() > KEPT || kept.weight > WEIGHT {
                let Some(old) = kept.mails.pop_front() else { break };
                kept.weight -= old.raw.len();
            }
            kept.newest
        };
        self.newest.send_replace(id);
    }

    /// The mails that match, oldest first.
    pub fn find(&self, filter: &Filter) -> Vec<Arc<Mail>> {
        let matches = |mail: &&Arc<Mail>| {
            filter.to.as_deref().is_none_or(|to| mail.is_to(to))
                && filter.since.is_none_or(|since| mail.id > since)
        };
        let mut found: Vec<_> = self.kept().mails.iter().filter(matches).cloned().collect();
        found.drain(..found.len().saturating_sub(filter.limit.unwrap_or(usize::MAX)));
        found
    }

    /// The mails to an address, oldest first.
    pub fn to(&self, address: &str) -> Vec<Arc<Mail>> {
        self.find(&Filter { to: Some(address.to_owned()), ..Filter::default() })
    }

    /// One mail.
    pub fn one(&self, id: u64) -> Option<Arc<Mail>> {
        self.kept().mails.iter().find(|mail| mail.id == id).cloned()
    }

    /// The id of the newest mail so far; 0 before the first.
    pub fn newest(&self) -> u64 {
        self.kept().newest
    }

    /// Waits for the first mail to an address after an id, without an end of its own.
    pub async fn next(&self, address: &str, since: u64) -> Arc<Mail> {
        let filter = Filter { to: Some(address.to_owned()), since: Some(since), ..Filter::default() };
        let mut newest = self.newest.subscribe();
        loop {
            newest.mark_unchanged();
            if let Some(mail) = self.find(&filter).into_iter().next() {
                return mail;
            }
            // The sender lives as long as the mailbox does.
            let _ = newest.changed().await;
        }
    }

    /// Forgets all mails. Ids go on.
    pub fn clear(&self) {
        let mut kept = self.kept();
        kept.mails = VecDeque::new();
        kept.weight = 0;
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
