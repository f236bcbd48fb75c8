//! What an event of either system means.

use crate::{events::Change, id::AccountId};

/// What an event means in the portal's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    /// What changed.
    pub changes: Vec<Change>,
    /// Whether its sender may have spoken before the change was visible: then one look is not enough.
    pub is_early: bool,
    /// What a customer is to be told.
    pub notice: Option<Notice>,
    /// Whether anything may have changed, so that only a comparison finds out what.
    pub asks_comparison: bool,
}

impl From<Vec<Change>> for Meaning {
    fn from(changes: Vec<Change>) -> Self {
        Self { changes, ..Self::default() }
    }
}

/// What a customer is to be told by the bell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Staff decided whether internet can be had at the address of an account.
    Eligibility {
        /// Whose.
        account: AccountId,
        /// Whether it can.
        is_eligible: bool,
    },
}
