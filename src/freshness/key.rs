//! Keys and tags.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::{PartnerId, UserId};

/// Whose data a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Data that everybody may see, such as the catalogue.
    Public,
    /// Data of one portal user, read with that user's rights.
    User(UserId),
    /// Data of one portal user, read by a partner with the scopes that it has then. It is kept apart from what the user
    /// reads, and from what other scopes read.
    Partner {
        /// Who reads.
        partner: PartnerId,
        /// A number for what it may see.
        scopes: u32,
        /// For whom; `None` for itself.
        user: Option<UserId>,
    },
}

impl Owner {
    /// A key of this owner: what kind of read, and which record (empty for the one there is).
    pub fn key(self, kind: &super::Kind, id: impl fmt::Display) -> Key {
        Key { owner: self, kind: kind.name, id: id.to_string().into() }
    }
}

/// Names a cached value. It can only be made from an [`Owner`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    owner: Owner,
    kind: &'static str,
    id: Arc<str>,
}

impl Key {
    /// Its name in Redis: a hash, since the id of a record may be a telephone number.
    pub(super) fn digest(&self) -> String {
        let owner = match self.owner {
            Owner::Public => String::new(),
            Owner::User(user) => user.to_string(),
            Owner::Partner { partner, scopes, user } => {
                format!("{partner}/{scopes:x}/{}", user.map(|user| user.to_string()).unwrap_or_default())
            }
        };
        let mut hash = Sha256::new();
        for part in [owner.as_str(), self.kind, &self.id] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hex::encode(&hash.finalize()[..16])
    }
}

/// Names something that can change, such as `client:42:invoices`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tag(Arc<str>);

impl Tag {
    /// A tag by its name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Tag {
    fn borrow(&self) -> &str {
        &self.0
    }
}
