//! The list of versions, and the list of resources of one. Source: Salesforce reference §1.2.

use serde_json::{Value, json};

use crate::sandbox::salesforce::{answer::Answer, node::Node, oauth::identity, org::Org, refusal::Refusal};

const OLDEST: u32 = 31;
const NEWEST: u32 = 68;

/// `GET /services/data`: oldest first.
pub fn versions() -> Answer {
    let version = |version: u32| {
        let (season, year) = (["Spring", "Summer", "Winter"][version as usize % 3], (version + 1) / 3 + 4);
        let label = format!("{season} '{year}");
        json!({"label": label, "url": format!("/services/data/v{version}.0"), "version": format!("{version}.0")})
    };
    Answer::ok(Node::Value((OLDEST..=NEWEST).map(version).collect()))
}

/// Refuses a version that is retired or unknown.
///
/// # Errors
/// 410 `UNSUPPORTED_API_VERSION`, 404 `NOT_FOUND`.
pub fn check(version: u32) -> Result<(), Refusal> {
    match version {
        21..OLDEST => Err(Refusal::new("UNSUPPORTED_API_VERSION", "The API version is retired")),
        OLDEST..=NEWEST => Ok(()),
        _ => Err(Refusal::not_found()),
    }
}

/// `GET /services/data/vNN.0`.
pub fn resources(org: &Org, version: u32, user: &str) -> Answer {
    let names = ["sobjects", "query", "queryAll", "limits", "recent", "composite", "tooling"];
    let mut resources: Value = names
        .iter()
        .map(|name| ((*name).to_owned(), json!(format!("/services/data/v{version}.0/{name}"))))
        .collect();
    resources["identity"] = json!(identity::url(org, user));
    Answer::ok(Node::Value(resources))
}
