//! Who a token stands for: `userinfo` and the identity URL. Source: Salesforce reference §2.6.

use serde_json::{Value, json};

use crate::{
    id::RecordId,
    sandbox::salesforce::{
        answer::Answer,
        node::Node,
        org::Org,
        refusal::Refusal,
        store::{View, shared::organization_id},
    },
};

/// The identity URL of a user: it ends with the ids of the organisation and the user.
pub fn url(org: &Org, user: &str) -> String {
    format!("{}/id/{}/{user}", org.public_url, organization_id())
}

/// `GET /services/oauth2/userinfo` and `GET /id/<org>/<user>`.
///
/// # Errors
/// No such user.
pub fn identity(org: &Org, user: &str) -> Result<Answer, Refusal> {
    let overlay = org.read();
    let view = View::new(&org.core.world, &org.shared, &overlay);
    let record = RecordId::parse(user).and_then(|id| view.living(id)).ok_or_else(Refusal::not_found)?;
    let get = |field: &str| record.get(field).clone();
    let base = &org.public_url;
    let rest = |path: &str| format!("{base}/services/data/v{{version}}/{path}");
    let urls = json!({
        "enterprise": format!("{base}/services/Soap/c/{{version}}/{}", &organization_id()[..15]),
        "partner": format!("{base}/services/Soap/u/{{version}}/{}", &organization_id()[..15]),
        "rest": rest(""),
        "sobjects": rest("sobjects/"),
        "search": rest("search/"),
        "query": rest("query/"),
        "recent": rest("recent/"),
        "profile": format!("{base}/{user}"),
    });
    Ok(Answer::ok(Node::Value(json!({
        "id": url(org, user),
        "sub": url(org, user),
        "asserted_user": true,
        "user_id": user,
        "organization_id": organization_id(),
        "username": get("Username"),
        "preferred_username": get("Username"),
        "nick_name": get("Alias"),
        "nickname": get("Alias"),
        "display_name": get("Name"),
        "name": get("Name"),
        "given_name": get("FirstName"),
        "family_name": get("LastName"),
        "email": get("Email"),
        "email_verified": true,
        "zoneinfo": get("TimeZoneSidKey"),
        "timezone": get("TimeZoneSidKey"),
        "user_type": "STANDARD",
        "language": get("LanguageLocaleKey"),
        "locale": get("LocaleSidKey"),
        "utcOffset": 32_400_000,
        "active": Value::Bool(record.is("IsActive")),
        "is_app_installed": true,
        "urls": urls,
    }))))
}
