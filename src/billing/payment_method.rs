//! Stored cards and bank accounts.

use async_graphql::{Enum, SimpleObject};
use serde::{Deserialize, Serialize};

use crate::{id::PaymentMethodId, upstream::whmcs};

/// A stored card or bank account.
#[derive(Clone, Debug, Deserialize, Serialize, SimpleObject)]
#[graphql(complex)]
pub struct PaymentMethod {
    /// Its number in billing.
    #[graphql(skip)]
    pub key: PaymentMethodId,
    /// Card or bank account.
    pub kind: PaymentMethodKind,
    /// The customer's own name for it. Null when they gave none.
    pub description: Option<String>,
    /// Brand of a card, or name of a bank. Null when it is not known.
    pub brand: Option<String>,
    /// Last four digits of a card. Null for a bank account.
    pub last_four: Option<String>,
    /// Month in which a card expires, 1 to 12. Null for a bank account.
    pub expiry_month: Option<i32>,
    /// Year in which a card expires, four digits. Null for a bank account.
    pub expiry_year: Option<i32>,
}

/// The kind of a payment method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, Enum)]
pub enum PaymentMethodKind {
    /// A credit or debit card.
    Card,
    /// A bank account.
    BankAccount,
    /// A kind that this gateway does not know.
    Unknown,
}

impl PaymentMethod {
    /// From a row of the stored methods. Who holds the card, locally or remotely, does not matter here.
    pub(super) fn new(row: whmcs::PayMethod) -> Self {
        let (expiry_month, expiry_year) = row.expiry_date.as_deref().and_then(expiry).unzip();
        Self {
            key: PaymentMethodId(row.id),
            kind: match row.kind.as_str() {
                "CreditCard" | "RemoteCreditCard" => PaymentMethodKind::Card,
                "BankAccount" | "RemoteBankAccount" => PaymentMethodKind::BankAccount,
                _ => PaymentMethodKind::Unknown,
            },
            description: row.description.filter(|text| !text.is_empty()),
            brand: row.card_type.or(row.bank_name).filter(|text| !text.is_empty()),
            last_four: row.card_last_four.filter(|text| !text.is_empty()),
            expiry_month,
            expiry_year,
        }
    }
}

/// Reads `MM/YY` or `MM/YYYY`.
fn expiry(text: &str) -> Option<(i32, i32)> {
    let (month, year) = text.split_once('/')?;
    let month = month.trim().parse().ok().filter(|month| (1..=12).contains(month))?;
    let year: i32 = year.trim().parse().ok()?;
    match year {
        0..=99 => Some((month, 2000 + year)),
        2000..=2999 => Some((month, year)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_read_with_two_or_four_digits() {
        assert_eq!(expiry("02/28"), Some((2, 2028)));
        assert_eq!(expiry("12/2031"), Some((12, 2031)));
        for text in ["", "13/28", "0/28", "0228", "a/b", "01/-5"] {
            assert_eq!(expiry(text), None, "{text}");
        }
    }
}
