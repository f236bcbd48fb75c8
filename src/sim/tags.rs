//! What changes together for one line: the domain's reads carry these tags, and a change raises them.

use crate::freshness::Tag;

/// State, plan and options.
pub fn state(number: &str) -> Tag {
    tag(number, "state")
}

/// Data used.
pub fn usage(number: &str) -> Tag {
    tag(number, "usage")
}

/// Data added.
pub fn quota(number: &str) -> Tag {
    tag(number, "quota")
}

/// Everything that the network knows of a line.
pub fn everything(number: &str) -> Vec<Tag> {
    vec![state(number), usage(number), quota(number)]
}

fn tag(number: &str, what: &str) -> Tag {
    Tag::new(format!("line:{number}:{what}"))
}
