//! Partners over HTTP: their tokens, what customers allow them, what they may see, and what it costs them.

use std::collections::HashMap;

use chrono::TimeDelta;
use portal_gateway::{
    identity::{NewPartner, PartnerDesk, Scope, Scopes, Terms},
    secret::{ExposeSecret, SecretString},
    store::audit::Filter,
};
use serde_json::{Value, json};

use crate::{
    gateway::{Customer, Gateway},
    live::{ids, invoice_of, invoices},
    process::run,
    socket::Socket,
    wire::{Reply, ask},
};

const CONSENT: &str = include_str!("../../examples/queries/partner-consent.graphql");
const GRANT: &str = include_str!("../../examples/queries/grant-create.graphql");
const REVOKE: &str = include_str!("../../examples/queries/grant-revoke.graphql");
const GRANTS: &str = include_str!("../../examples/queries/grants.graphql");
const PARTNER: &str = include_str!("../../examples/queries/partner.graphql");

const ORDERS: &str = "{ viewer { orders(first: 1) { totalCount } } }";
const INVOICES: &str = "{ viewer { id invoices(first: 1) { totalCount nodes { id number } } } }";

const ROOMY: Terms = Terms { requests_per_second: 1_000, cost_maximum: 1_000_000, cost_restore: 100_000 };

/// A partner with its secret.
struct Partner<'a> {
    gateway: &'a Gateway,
    client_id: String,
    secret: SecretString,
}

fn desk(gateway: &Gateway) -> PartnerDesk {
    PartnerDesk::new(gateway.app.store.clone(), gateway.app.clock.clone())
}

async fn partner<'a>(gateway: &'a Gateway, scopes: &str, terms: Terms) -> Partner<'a> {
    made(gateway, scopes, false, terms).await
}

async fn made<'a>(gateway: &'a Gateway, scopes: &str, is_first_party: bool, terms: Terms) -> Partner<'a> {
    let scopes = Scopes::parse(scopes).unwrap();
    let new = NewPartner { name: "Household Books".to_owned(), scopes, is_first_party, terms };
    let (client_id, secret) = desk(gateway).create(new).await.unwrap();
    Partner { gateway, client_id, secret }
}

/// Asks the token endpoint with the fields of a form.
async fn token(gateway: &Gateway, basic: Option<(&str, &str)>, form: &[(&str, &str)]) -> Reply {
    let mut request = gateway.request("POST", "/oauth/token").form(form);
    if let Some((id, secret)) = basic {
        request = request.basic_auth(id, Some(secret));
    }
    Reply::to(request).await
}

const CREDENTIALS: (&str, &str) = ("grant_type", "client_credentials");

impl Partner<'_> {
    fn secret(&self) -> &str {
        self.secret.expose_secret()
    }

    async fn reply(&self, scope: Option<&str>) -> Reply {
        let mut form = vec![CREDENTIALS];
        form.extend(scope.map(|scope| ("scope", scope)));
        token(self.gateway, Some((&self.client_id, self.secret())), &form).await
    }

    /// A token.
    async fn token(&self, scope: Option<&str>) -> String {
        let reply = self.reply(scope).await;
        reply.json()["access_token"].as_str().unwrap_or_else(|| panic!("{reply:?}")).to_owned()
    }

    /// What a customer allows it. Gives the grant's id.
    async fn granted(&self, customer: &Customer<'_>, scopes: &[&str]) -> Value {
        let input = json!({ "clientId": self.client_id, "scopes": scopes });
        let made = customer.ask(GRANT, json!({ "input": input })).await.data()["grantCreate"].clone();
        assert_eq!(made["userErrors"], json!([]), "{made}");
        made["grant"]["id"].clone()
    }
}

async fn as_partner(gateway: &Gateway, token: &str, customer: Option<&str>, query: &str) -> Reply {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("authorization", bearer.as_str())];
    headers.extend(customer.map(|id| ("portal-customer", id)));
    ask(gateway, &headers, query, json!({})).await
}

/// The id by which partners name a customer.
async fn id(customer: &Customer<'_>) -> String {
    let data = customer.ask("{ viewer { id } }", json!({})).await.data();
    data["viewer"]["id"].as_str().unwrap().to_owned()
}

async fn revoke(customer: &Customer<'_>, grant: &Value) -> bool {
    let answer = customer.ask(REVOKE, json!({ "input": { "id": grant } })).await.data();
    answer["grantRevoke"]["revoked"] == true
}

#[tokio::test]
async fn a_secret_gives_a_token_by_basic_and_by_form_and_every_refusal_is_that_of_the_rfc() {
    let gateway = Gateway::start().await;
    let partner = partner(&gateway, "billing:read orders:read", ROOMY).await;
    let (id, secret) = (partner.client_id.as_str(), partner.secret());
    assert!(secret.len() >= 43 + 3);
    let by_form = [CREDENTIALS, ("client_id", id), ("client_secret", secret)];
    for reply in
        [token(&gateway, Some((id, secret)), &[CREDENTIALS]).await, token(&gateway, None, &by_form).await]
    {
        let body = reply.json();
        assert_eq!((reply.status, &body["token_type"]), (200, &json!("Bearer")), "{reply:?}");
        assert_eq!((&body["expires_in"], &body["scope"]), (&json!(600), &json!("billing:read orders:read")));
        assert!(body["refresh_token"].is_null());
        assert_eq!((reply.header("cache-control"), reply.header("pragma")), ("no-store", "no-cache"));
    }
    assert_eq!(partner.reply(Some("orders:read")).await.json()["scope"], "orders:read");

    let more = [CREDENTIALS, ("scope", "billing:read cases:read")];
    let twice = [CREDENTIALS, ("scope", "billing:read"), ("scope", "billing:read")];
    let both = [CREDENTIALS, ("client_secret", secret)];
    for (basic, form, status, error) in [
        (Some((id, secret)), &more[..], 400, "invalid_scope"),
        (Some((id, secret)), &[CREDENTIALS, ("scope", "billing:write")], 400, "invalid_scope"),
        (Some((id, secret)), &twice, 400, "invalid_request"),
        (Some((id, secret)), &both, 400, "invalid_request"),
        (Some((id, secret)), &[("scope", "billing:read")], 400, "invalid_request"),
        (Some((id, secret)), &[("grant_type", "password")], 400, "unsupported_grant_type"),
        (Some((id, "ps_wrong")), &[CREDENTIALS], 401, "invalid_client"),
        (Some(("pc_nobody", secret)), &[CREDENTIALS], 401, "invalid_client"),
        (None, &[CREDENTIALS, ("client_id", id)], 401, "invalid_client"),
    ] {
        let reply = token(&gateway, basic, form).await;
        assert_eq!((reply.status, &reply.json()["error"]), (status, &json!(error)), "{form:?}: {reply:?}");
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(!reply.header("www-authenticate").is_empty(), status == 401 && basic.is_some());
        assert!(!reply.text.contains(secret));
    }
    let json = gateway.request("POST", "/oauth/token").json(&json!({ "grant_type": "client_credentials" }));
    assert_eq!(Reply::to(json).await.json()["error"], "invalid_request");
    assert_eq!(Reply::to(gateway.request("GET", "/oauth/token")).await.status, 405);
}

#[tokio::test]
async fn the_token_endpoint_has_a_limit_of_its_own() {
    let env = HashMap::from([("PARTNER_TOKEN_RATE_LIMIT_LIMIT", "3".to_owned())]);
    let gateway = Gateway::with(crate::gateway::Wishes { env, ..Default::default() }).await;
    let (partner, other) =
        (partner(&gateway, "billing:read", ROOMY).await, partner(&gateway, "billing:read", ROOMY).await);
    for _ in 0..3 {
        assert_eq!(token(&gateway, Some((&partner.client_id, "ps_wrong")), &[CREDENTIALS]).await.status, 401);
    }
    let refused = partner.reply(None).await;
    assert_eq!((refused.status, &refused.json()["error"]), (429, &json!("temporarily_unavailable")));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    assert_eq!(other.reply(None).await.status, 200);
}

#[tokio::test]
async fn a_customer_is_asked_allows_and_takes_back() {
    let gateway = Gateway::start().await;
    let partner = partner(&gateway, "billing:read orders:read", ROOMY).await;
    let customer = gateway.sign_in(1).await;
    let asked = json!({ "clientId": partner.client_id, "scopes": ["billing:read"], "language": "JAPANESE" });
    let consent = customer.ask(CONSENT, asked.clone()).await.data()["viewer"]["partnerConsent"].clone();
    assert_eq!((&consent["partnerName"], &consent["grant"]), (&json!("Household Books"), &Value::Null));
    let scope = &consent["scopes"][0];
    assert_eq!(
        (&scope["name"], scope["description"].as_str().unwrap().contains("ご請求書")),
        (&json!("billing:read"), true)
    );
    for (client, scopes, code, field) in [
        ("pc_nobody", json!(["billing:read"]), "PARTNER_UNKNOWN", "clientId"),
        (&partner.client_id, json!(["cases:read"]), "GRANT_SCOPES", "scopes"),
        (&partner.client_id, json!(["billing:write"]), "GRANT_SCOPES", "scopes"),
        (&partner.client_id, json!([]), "GRANT_SCOPES", "scopes"),
    ] {
        let input = json!({ "clientId": client, "scopes": scopes });
        let refused = customer.ask(GRANT, json!({ "input": input })).await.data()["grantCreate"].clone();
        let error = &refused["userErrors"][0];
        assert_eq!((&error["code"], &error["field"]), (&json!(code), &json!([field])), "{refused}");
    }
    let grant = partner.granted(&customer, &["billing:read"]).await;
    let listed = customer.ask(GRANTS, json!({})).await.data()["viewer"]["grants"].clone();
    assert_eq!((&listed[0]["id"], &listed[0]["scopes"]), (&grant, &json!(["billing:read"])));
    let consent = customer.ask(CONSENT, asked).await.data()["viewer"]["partnerConsent"].clone();
    assert_eq!(consent["grant"]["id"], grant);

    // The next one replaces it; and a proof of who is there must be fresh.
    let next = partner.granted(&customer, &["orders:read"]).await;
    let listed = customer.ask(GRANTS, json!({})).await.data()["viewer"]["grants"].clone();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["id"]), (1, &next));
    gateway.app.clock.advance(TimeDelta::minutes(6));
    let input = json!({ "clientId": partner.client_id, "scopes": ["billing:read"] });
    let stale = customer.ask(GRANT, json!({ "input": input })).await.data()["grantCreate"].clone();
    assert_eq!(stale["userErrors"][0]["code"], "STEP_UP_REQUIRED");

    assert!(!revoke(&gateway.sign_in(2).await, &next).await, "it is not another's to take back");
    assert!(revoke(&customer, &next).await && !revoke(&customer, &next).await);
    assert_eq!(customer.ask(GRANTS, json!({})).await.data()["viewer"]["grants"], json!([]));

    let acts = async |act: &str| {
        let filter = Filter { act: Some(act.to_owned()), ..Filter::default() };
        let rows = gateway.app.store.audit_events(&filter, 0, 100).await.unwrap();
        rows.into_iter().filter(|row| row.outcome == "done").collect::<Vec<_>>()
    };
    assert_eq!((acts("grant.create").await.len(), acts("grant.revoke").await.len()), (2, 1));
    assert!(acts("grant.create").await[0].details.contains("billing:read"));
}

#[tokio::test]
async fn a_partner_sees_what_its_token_the_customer_and_the_operator_allow() {
    let gateway = Gateway::start().await;
    let partner = partner(&gateway, "billing:read orders:read services:read", ROOMY).await;
    let customer = gateway.sign_in(1).await;
    let named = id(&customer).await;
    partner.granted(&customer, &["billing:read", "orders:read"]).await;
    let whole = partner.token(None).await;
    let own = customer.ask(INVOICES, json!({})).await.data();
    let seen = as_partner(&gateway, &whole, Some(&named), INVOICES).await.json();
    assert_eq!(seen["data"], own, "viewer is the customer");
    assert!(as_partner(&gateway, &whole, Some(&named), ORDERS).await.json()["errors"].is_null());

    // The customer did not allow it, the token does not say it, the operator never allowed it.
    let narrow = partner.token(Some("orders:read services:read")).await;
    for (token, document, field) in [
        (&whole, "{ viewer { subscriptions { totalCount } } }", "Viewer.subscriptions"),
        (&narrow, INVOICES, "Viewer.invoices"),
        (&whole, "{ viewer { cases { totalCount } } }", "Viewer.cases"),
        (&whole, "{ viewer { orders { nodes { subscriptions { name } } } } }", "Order.subscriptions"),
        (&whole, "{ viewer { sessions { id } } }", "Viewer.sessions"),
        (&whole, "mutation { sessionRevokeOthers { revokedCount } }", "Mutation.sessionRevokeOthers"),
        (&whole, "mutation { passkeyRegistrationBegin { options } }", "Mutation.passkeyRegistrationBegin"),
    ] {
        let reply = as_partner(&gateway, token, Some(&named), document).await;
        let body = reply.json();
        assert_eq!((reply.code().as_str(), body.get("data")), ("FORBIDDEN", None), "{document}: {reply:?}");
        assert_eq!(body["errors"][0]["extensions"]["field"], field, "{document}");
    }
    // An id of what its scopes do not cover tells nothing, not even that there is something.
    let invoice = own["viewer"]["invoices"]["nodes"][0]["id"].as_str().unwrap();
    let node = |id: &str| format!("{{ node(id: \"{id}\") {{ __typename id }} }}");
    let found = as_partner(&gateway, &whole, Some(&named), &node(invoice)).await.json();
    assert_eq!(found["data"]["node"]["id"], invoice);
    for id in [invoice, "SW52b2ljZTo5OTk5OTk5OQ"] {
        let hidden = as_partner(&gateway, &narrow, Some(&named), &node(id)).await;
        assert_eq!((hidden.code().as_str(), &hidden.json()["data"]["node"]), ("FORBIDDEN", &Value::Null));
    }
    // Each is what it was, whoever asked in between.
    for _ in 0..3 {
        assert_eq!(customer.ask(INVOICES, json!({})).await.data(), own);
        assert_eq!(as_partner(&gateway, &narrow, Some(&named), INVOICES).await.code(), "FORBIDDEN");
    }
    // A refusal is on record as the partner's.
    let refused = Filter { act: Some("access".to_owned()), ..Filter::default() };
    let events = gateway.app.store.audit_events(&refused, 0, 100).await.unwrap();
    assert!(
        events.iter().any(|event| event.actor_kind == "partner" && event.details.contains("Viewer.cases"))
    );
}

#[tokio::test]
async fn a_customer_who_allowed_nothing_is_as_one_who_does_not_exist() {
    let gateway = Gateway::start().await;
    let (first, second) =
        (partner(&gateway, "billing:read", ROOMY).await, partner(&gateway, "billing:read", ROOMY).await);
    let (customer, other) = (gateway.sign_in(1).await, gateway.sign_in(2).await);
    let (named, stranger) = (id(&customer).await, id(&other).await);
    let grant = first.granted(&customer, &["billing:read"]).await;
    let (token, crossed) = (first.token(None).await, second.token(None).await);
    assert_eq!(as_partner(&gateway, &token, Some(&named), INVOICES).await.status, 200);
    let text = async |token: &str, named: &str| {
        let reply = as_partner(&gateway, token, Some(named), INVOICES).await;
        assert_eq!((reply.status, reply.code().as_str()), (403, "CUSTOMER_NOT_GRANTED"), "{reply:?}");
        reply.text.replace(reply.header("x-request-id"), "")
    };
    let missing = text(&token, "Vmlld2VyOjAxOTBhYmNkLTAwMDAtNzAwMC04MDAwLTAwMDAwMDAwMDAwMA").await;
    for named in [stranger.as_str(), "", "nonsense", "SW52b2ljZTox"] {
        assert_eq!(text(&token, named).await, missing, "{named}");
    }
    // Another client's token is no key to what this one was allowed.
    assert_eq!(text(&crossed, &named).await, missing);
    assert!(revoke(&customer, &grant).await);
    assert_eq!(text(&token, &named).await, missing, "at once on the replica that was told");
}

#[tokio::test]
async fn tokens_of_people_and_of_partners_do_not_pass_for_each_other() {
    let gateway = Gateway::start().await;
    let partner = partner(&gateway, "billing:read", ROOMY).await;
    let customer = gateway.sign_in(1).await;
    let named = id(&customer).await;
    let person = customer.token.clone().unwrap();
    let as_person = as_partner(&gateway, &person, Some(&named), INVOICES).await;
    assert_eq!((as_person.status, as_person.code().as_str()), (403, "FORBIDDEN"), "a person names nobody");
    let token = partner.token(None).await;
    assert!(gateway.app.identity.authenticate(&token).await.is_err(), "it is no session");
    let [head, _, signature]: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let claims = person.split('.').nth(1).unwrap();
    let forged = as_partner(&gateway, &format!("{head}.{claims}.{signature}"), None, PARTNER).await;
    assert_eq!(forged.status, 401);
    gateway.app.clock.advance(TimeDelta::seconds(631));
    assert_eq!(as_partner(&gateway, &token, None, PARTNER).await.status, 401, "after ten minutes");
}

#[tokio::test]
async fn without_a_customer_a_partner_sees_itself_and_what_is_public() {
    let gateway = Gateway::start().await;
    let partner = partner(&gateway, "billing:read orders:read", ROOMY).await;
    let mut named = Vec::new();
    for n in 1..=3 {
        let customer = gateway.sign_in(n).await;
        partner.granted(&customer, &["billing:read"]).await;
        named.push(id(&customer).await);
    }
    let token = partner.token(None).await;
    let own = as_partner(&gateway, &token, None, PARTNER).await.json()["data"]["partner"].clone();
    assert_eq!(
        (&own["name"], &own["scopes"]),
        (&json!("Household Books"), &json!(["billing:read", "orders:read"]))
    );
    assert_eq!(own["budget"]["maximumAvailable"], ROOMY.cost_maximum);
    let nodes = own["customers"]["nodes"].as_array().unwrap();
    let mut listed: Vec<_> = nodes.iter().map(|node| node["id"].as_str().unwrap().to_owned()).collect();
    assert!(nodes.iter().all(|node| node["scopes"] == json!(["billing:read"])));
    listed.sort();
    named.sort();
    assert_eq!(listed, named);
    // Page by page.
    let mut paged = Vec::new();
    let mut after = Value::Null;
    loop {
        let document = format!(
            "{{ partner {{ customers(first: 2, after: {after}) {{ totalCount nodes {{ id }} pageInfo {{ hasNextPage endCursor }} }} }} }}"
        );
        let page = as_partner(&gateway, &token, None, &document).await.json()["data"]["partner"]["customers"]
            .clone();
        assert_eq!(page["totalCount"], 3);
        paged.extend(
            page["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap().to_owned()),
        );
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
    paged.sort();
    assert_eq!(paged, named);

    let postal =
        as_partner(&gateway, &token, None, "{ postalLookup(code: \"150-0041\") { postalCode } }").await;
    assert!(postal.json()["errors"].is_null(), "{postal:?}");
    let viewer = as_partner(&gateway, &token, None, INVOICES).await;
    assert_eq!(viewer.code(), "FORBIDDEN");
    assert!(viewer.text.contains("portal-customer"), "it says what is missing: {viewer:?}");
    assert_eq!(
        gateway.sign_in(1).await.ask(PARTNER, json!({})).await.body["errors"][0]["extensions"]["code"],
        "FORBIDDEN"
    );
}

#[tokio::test]
async fn a_partner_of_the_house_acts_for_everybody() {
    let gateway = Gateway::start().await;
    let partner = made(&gateway, "billing:read", true, ROOMY).await;
    let (one, two) = (gateway.sign_in(1).await, gateway.sign_in(2).await);
    let token = partner.token(None).await;
    for customer in [&one, &two] {
        let named = id(customer).await;
        let own = customer.ask(INVOICES, json!({})).await.data();
        assert_eq!(as_partner(&gateway, &token, Some(&named), INVOICES).await.json()["data"], own);
        assert_eq!(as_partner(&gateway, &token, Some(&named), ORDERS).await.code(), "FORBIDDEN");
    }
    let input = json!({ "clientId": partner.client_id, "scopes": ["billing:read"] });
    let refused = one.ask(GRANT, json!({ "input": input })).await.data()["grantCreate"].clone();
    assert_eq!(refused["userErrors"][0]["code"], "GRANT_NOT_NEEDED");
    let nobody = as_partner(
        &gateway,
        &token,
        Some("Vmlld2VyOjAxOTBhYmNkLTAwMDAtNzAwMC04MDAwLTAwMDAwMDAwMDAwMA"),
        INVOICES,
    )
    .await;
    assert_eq!(nobody.code(), "CUSTOMER_NOT_GRANTED");
}

/// What another process does is known here within 5 seconds; what was believed until then is 4 seconds old at most.
#[tokio::test]
async fn what_operators_and_other_replicas_revoke_ends_within_five_seconds() {
    let gateway = Gateway::start().await;
    let partner = partner(&gateway, "billing:read", ROOMY).await;
    let customer = gateway.sign_in(1).await;
    let named = id(&customer).await;
    let status = async |token: &str| as_partner(&gateway, token, Some(&named), INVOICES).await.status;
    partner.granted(&customer, &["billing:read"]).await;

    // Two secrets are active; the first is retired, and its tokens end.
    let first = partner.token(None).await;
    let second = Partner {
        secret: desk(&gateway).rotate(&partner.client_id).await.unwrap().unwrap(),
        client_id: partner.client_id.clone(),
        ..partner
    };
    let by_second = second.token(None).await;
    assert_eq!((status(&first).await, status(&by_second).await), (200, 200));
    assert_eq!(desk(&gateway).retire(&partner.client_id).await.unwrap(), Some(1));
    assert_eq!(partner.reply(None).await.status, 401, "a secret that was rotated out");
    gateway.app.clock.advance(TimeDelta::seconds(5));
    assert_eq!((status(&first).await, status(&by_second).await), (401, 200));

    // A grant that is revoked past this replica.
    let user = gateway.app.identity.authenticate(customer.token.as_deref().unwrap()).await.unwrap().user;
    let grant = gateway.app.store.grants_of_user(user).await.unwrap()[0].grant_id;
    let mut tx = gateway.app.store.begin().await.unwrap();
    tx.revoke_grant(user, grant, gateway.app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    gateway.app.clock.advance(TimeDelta::seconds(5));
    assert_eq!(status(&by_second).await, 403);
    second.granted(&customer, &["billing:read"]).await;
    assert_eq!(status(&by_second).await, 200, "allowed again, at once");

    assert!(desk(&gateway).revoke(&partner.client_id).await.unwrap());
    assert_eq!(second.reply(None).await.status, 401);
    gateway.app.clock.advance(TimeDelta::seconds(5));
    assert_eq!(status(&by_second).await, 401, "a revoked client");
    assert!(!desk(&gateway).revoke(&partner.client_id).await.unwrap());
    assert_eq!(customer.ask(GRANTS, json!({})).await.data()["viewer"]["grants"], json!([]));
}

#[tokio::test]
async fn every_answer_tells_its_cost_and_a_budget_runs_out_and_comes_back() {
    let gateway = Gateway::start().await;
    let terms = Terms { requests_per_second: 50, cost_maximum: 100, cost_restore: 10 };
    let partner = partner(&gateway, "billing:read", terms).await;
    let customer = gateway.sign_in(1).await;
    let named = id(&customer).await;
    partner.granted(&customer, &["billing:read"]).await;
    let token = partner.token(None).await;
    let twenty = "{ viewer { invoices(first: 20) { nodes { id number status } } } }";
    let reply = as_partner(&gateway, &token, Some(&named), twenty).await;
    let cost = reply.json()["extensions"]["cost"].clone();
    let (requested, actual) =
        (cost["requestedQueryCost"].as_u64().unwrap(), cost["actualQueryCost"].as_u64().unwrap());
    assert!(requested > 60 && (1..=requested).contains(&actual), "{cost}");
    let status = &cost["throttleStatus"];
    assert_eq!((&status["maximumAvailable"], &status["restoreRate"]), (&json!(100), &json!(10)));
    assert_eq!(status["currentlyAvailable"].as_u64().unwrap(), 100 - actual, "what was not needed came back");

    let mut refused = None;
    for _ in 0..20 {
        let reply = as_partner(&gateway, &token, Some(&named), twenty).await;
        if reply.status != 200 {
            refused = Some(reply);
            break;
        }
    }
    let refused = refused.expect("the budget runs out");
    assert_eq!((refused.status, refused.code().as_str()), (429, "RATE_LIMITED"), "{refused:?}");
    let body = refused.json();
    let wait = refused.header("retry-after").parse::<i64>().unwrap();
    let ms = body["errors"][0]["extensions"]["retryAfterMs"].as_i64().unwrap();
    assert_eq!(wait, (ms + 999) / 1000);
    assert_eq!((body.get("data"), &body["extensions"]["cost"]["actualQueryCost"]), (None, &Value::Null));
    gateway.app.clock.advance(TimeDelta::seconds(wait));
    assert_eq!(as_partner(&gateway, &token, Some(&named), twenty).await.status, 200);

    let whole = "{ viewer { invoices(first: 100) { nodes { id number status } } } }";
    let dear = as_partner(&gateway, &token, Some(&named), whole).await;
    assert_eq!(dear.code(), "COST_LIMIT", "{dear:?}");

    // A customer pays nothing, and is told nothing of costs.
    for _ in 0..60 {
        assert!(customer.ask(whole, json!({})).await.body["extensions"]["cost"].is_null());
    }
    let used = as_partner(&gateway, &token, None, "{ partner { usage { day requests cost refusals } } }")
        .await
        .json();
    let day = &used["data"]["partner"]["usage"][0];
    assert_eq!((&day["day"], &day["refusals"]), (&json!("2026-11-20"), &json!("2")), "{used}");
    let (requests, cost): (u64, u64) =
        (day["requests"].as_str().unwrap().parse().unwrap(), day["cost"].as_str().unwrap().parse().unwrap());
    assert!(requests >= 4 && cost >= 2 * actual, "{used}");
}

#[tokio::test]
async fn a_partner_listens_for_a_customer_until_that_takes_it_back() {
    let gateway = Gateway::start().await;
    let partner = partner(&gateway, "billing:read orders:read", ROOMY).await;
    let customer = gateway.sign_in(1).await;
    let named = id(&customer).await;
    let grant = partner.granted(&customer, &["billing:read"]).await;
    let authorization = format!("Bearer {}", partner.token(None).await);
    let open = async |named: &str| {
        let mut socket = Socket::open(&gateway).await;
        let payload = json!({ "authorization": authorization, "portal-customer": named });
        socket.say(json!({ "type": "connection_init", "payload": payload })).await;
        socket
    };
    assert_eq!(open(&id(&gateway.sign_in(2).await).await).await.closed().await.0, 4403);
    let mut socket = open(&named).await;
    assert_eq!(socket.hear().await, json!({ "type": "connection_ack" }));
    socket.subscribe("1", "subscription { orderUpdated { id } }").await;
    let refused = socket.hear().await;
    assert_eq!(
        (&refused["type"], &refused["payload"][0]["extensions"]["code"]),
        (&json!("error"), &json!("FORBIDDEN"))
    );
    let heard = "subscription { invoiceUpdated { invoice { number } } }";
    socket.subscribe("2", heard).await;
    socket.settle().await;
    let (client, _) = ids(&gateway, &customer).await;
    let (_, invoice) = invoices(&customer).await.remove(0);
    gateway.app.live.publish(invoice_of(client, invoice)).await;
    let told = socket.hear().await;
    assert!(told["payload"]["data"]["invoiceUpdated"]["invoice"]["number"].is_string(), "{told}");
    assert!(revoke(&customer, &grant).await);
    assert_eq!(socket.closed().await.0, 4403);
}

#[tokio::test]
async fn requests_have_a_rate_whatever_they_cost() {
    let gateway = Gateway::start().await;
    let terms = Terms { requests_per_second: 3, ..ROOMY };
    let partner = partner(&gateway, "billing:read", terms).await;
    let token = partner.token(None).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(as_partner(&gateway, &token, None, "{ __typename }").await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
    gateway.app.clock.advance(TimeDelta::seconds(1));
    assert_eq!(as_partner(&gateway, &token, None, "{ __typename }").await.status, 200);
}

#[tokio::test]
async fn operators_create_rotate_list_and_revoke_at_the_commands() {
    let sandbox = Gateway::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut env = portal_gateway::demo::settings(&sandbox.sandbox);
    env.insert("DATA_DIR", folder.path().display().to_string());
    env.insert("DATABASE_URL", format!("sqlite:{}", folder.path().join("portal.db").display()));
    let create = ["partner", "create", "--name", "Household Books", "--scopes", "billing:read"];
    let created = run(&create, &env).await;
    let word = |out: &str, name: &str| {
        let line = out.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{out}"));
        line.trim().to_owned()
    };
    let (client, secret) = (word(&created.out, "client_id"), word(&created.out, "client_secret"));
    assert!(client.starts_with("pc_") && secret.starts_with("ps_"));
    let rotated = word(&run(&["partner", "rotate", &client], &env).await.out, "client_secret");
    assert_ne!(rotated, secret);
    let third = run(&["partner", "rotate", &client], &env).await;
    assert_eq!((third.code, third.out.as_str()), (Some(1), ""), "{third:?}");
    assert!(third.err.contains("nothing was done"), "{third:?}");
    assert!(third.err.contains(&format!("`partner rotate --retire-old {client}`")), "{third:?}");
    let retired = run(&["partner", "rotate", "--retire-old", &client], &env).await.out;
    assert_eq!(retired, "1 secret was retired.\n", "the third ended none");
    let retired = run(&["partner", "rotate", "--retire-old", &client], &env).await.out;
    assert_eq!(retired, "0 secrets were retired.\n");
    let usage = run(&["partner", "usage", &client], &env).await;
    assert!(usage.code == Some(0) && usage.out.contains("requests") && usage.err.is_empty(), "{usage:?}");
    assert_eq!(run(&["partner", "revoke", &client], &env).await.code, Some(0));
    let usage = run(&["partner", "usage", &client], &env).await;
    assert!(usage.code == Some(0) && usage.err.contains(&format!("{client} was revoked at 20")), "{usage:?}");
    let nobody = run(&["partner", "usage", "pc_nobody"], &env).await;
    assert_eq!(
        (nobody.code, nobody.err.as_str()),
        (Some(1), "portal-gateway: there is no partner pc_nobody\n")
    );
    let list = run(&["partner", "list"], &env).await.out;
    assert!(list.contains(&client) && list.contains("revoked") && !list.contains(&secret), "{list}");
    let again = run(&["partner", "revoke", &client], &env).await;
    assert!(again.code == Some(1) && again.err.contains("no partner"), "{again:?}");
    let wrong = run(&["partner", "create", "--name", "X", "--scopes", "billing:write"], &env).await;
    assert!(wrong.code == Some(2) && wrong.err.contains("billing:read"), "{wrong:?}");
    for name in ["", "  ", "Household\nBooks", &"x".repeat(101)] {
        let wrong = run(&["partner", "create", "--name", name], &env).await;
        let told = "must have 1 to 100 characters, and no line breaks or other control characters";
        assert!(wrong.code == Some(2) && wrong.err.contains(told), "{name:?}: {wrong:?}");
    }
}

#[test]
fn every_scope_is_told_in_both_languages() {
    for scope in Scope::ALL {
        let (english, japanese) = scope.told();
        assert!(english.is_ascii() && !japanese.is_ascii(), "{}", scope.as_str());
    }
}
