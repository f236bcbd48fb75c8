//! Keys and tags.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::id::UserId;

/// Whose data a key holds, and who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Data that everybody may see, such as the catalogue.
    Public,
    /// Data of one portal user.
    User {
        /// The user.
        user: UserId,
        /// Who reads it.
        view: View,
    },
}

/// Who reads the data of a user: by whom, with which rights, and in which language.
///
/// It is a part of every key and of the name of every answer that is kept, so what was read with more rights is never
/// the answer to somebody with fewer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct View {
    /// Who reads in the user's stead; nil for the user.
    pub reader: Uuid,
    /// The rights of that reader, one bit for each; the user has them all, and says none.
    pub scopes: u64,
    /// The number of the language in which it is read; zero for the one that the user has set.
    pub locale: u16,
}

impl Owner {
    /// A user who reads their own data, with all rights.
    pub fn person(user: UserId) -> Self {
        Self::User { user, view: View::default() }
    }

    /// A key of this owner: what kind of read, and which record (empty for the one there is).
    pub fn key(self, kind: &super::Kind, id: impl fmt::Display) -> Key {
        Key { owner: kind.owned(self), kind: kind.name, id: id.to_string().into() }
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
            Owner::User { user, view: View { reader, scopes, locale } } => {
                format!("{user}:{reader}:{scopes}:{locale}")
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
