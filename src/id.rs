//! The ids of the three systems and our own, each a type of its own so that none is taken for another.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! record_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(pub RecordId);

        impl $name {
            /// The 18 characters.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// Reads 15 or 18 characters; `None` for anything else.
            pub fn parse(text: &str) -> Option<Self> {
                RecordId::parse(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

/// A portal user: a row of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UserId(pub Uuid);

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A partner: a row of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PartnerId(pub Uuid);

impl fmt::Display for PartnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A notification of the bell: a row of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NotificationId(pub Uuid);

impl fmt::Display for NotificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

number_id!(
    /// A billing client.
    ClientId
);
number_id!(
    /// A subscription: a product instance that a client owns.
    SubscriptionId
);
number_id!(
    /// An invoice.
    InvoiceId
);
number_id!(
    /// A stored payment method.
    PaymentMethodId
);
record_id!(
    /// A customer account in the CRM.
    AccountId
);
record_id!(
    /// An order in the CRM.
    OrderId
);
record_id!(
    /// A support case in the CRM.
    CaseId
);

/// An 18-character CRM record id.
///
/// Fifteen case-sensitive base-62 characters and three check characters that carry their case.
/// Source: Salesforce reference §1.3.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordId([u8; 18]);

impl RecordId {
    /// Reads an id of 15 or 18 characters and normalises it to 18. `None` when it is neither, or
    /// when the check characters do not fit.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if !matches!(bytes.len(), 15 | 18) || !bytes.iter().all(u8::is_ascii_alphanumeric) {
            return None;
        }
        let mut id = [0; 18];
        id[..15].copy_from_slice(&bytes[..15]);
        for group in 0..3 {
            let bits =
                (0..5).fold(0, |bits, i| bits | usize::from(id[group * 5 + i].is_ascii_uppercase()) << i);
            id[15 + group] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[bits];
        }
        (bytes.len() == 15 || id[15..].eq_ignore_ascii_case(&bytes[15..])).then_some(Self(id))
    }

    /// The 18 characters.
    #[expect(clippy::expect_used, reason = "only ASCII letters and digits are ever stored")]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("record ids are ASCII")
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for RecordId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for RecordId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a record id"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifteen_characters_become_the_documented_eighteen() {
        for (short, long) in [
            ("00190000001pPvH", "00190000001pPvHAAU"),
            ("001R00000066cnd", "001R00000066cndIAA"),
            ("003RO0000035WQg", "003RO0000035WQgYAM"),
            ("0014H00002LbR7Q", "0014H00002LbR7QQAV"),
            ("000000000000000", "000000000000000AAA"),
        ] {
            assert_eq!(RecordId::parse(short).map(|id| id.to_string()).as_deref(), Some(long));
            assert_eq!(RecordId::parse(long), RecordId::parse(short));
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "001", "00190000001pPvHAAA", "00190000001pPv'", "00190000001pPvHAAU0"] {
            assert_eq!(RecordId::parse(text), None, "{text}");
        }
    }
}
