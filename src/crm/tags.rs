//! What changes together for one account: the domain's reads carry these tags, and a change raises them.

use crate::{
    freshness::Tag,
    id::{AccountId, CaseId},
};

/// The orders with their lines.
pub fn orders(account: AccountId) -> Tag {
    tag(account, "orders")
}

/// The list of cases.
pub fn cases(account: AccountId) -> Tag {
    tag(account, "cases")
}

/// What the account may order at its address.
pub fn eligibility(account: AccountId) -> Tag {
    tag(account, "eligibility")
}

/// What the account says of its person: name, address and the rest.
pub fn account(account: AccountId) -> Tag {
    tag(account, "person")
}

/// The messages of one case.
pub fn conversation(case: CaseId) -> Tag {
    Tag::new(format!("case:{case}:conversation"))
}

/// The plans that are offered to everybody.
pub fn catalogue() -> Tag {
    Tag::new("catalogue")
}

/// Everything that is kept by account.
pub fn everything(account: AccountId) -> Vec<Tag> {
    vec![orders(account), cases(account), eligibility(account), self::account(account)]
}

fn tag(account: AccountId, what: &str) -> Tag {
    Tag::new(format!("account:{account}:{what}"))
}
