//! Every field of the roots, asked by everybody who could ask it (requirement Z4). What comes back is held against two tables
//! that know nothing of each other: the list below, which was written by hand, and the committed `docs/authorization.md`.

use std::{collections::BTreeMap, time::Duration};

use portal_gateway::{
    identity::{NewPartner, PartnerDesk, Scope, Scopes, Terms},
    notify::{Hint, Subject, Topic},
    secret::{ExposeSecret, SecretString},
};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    gateway::{Gateway, Wishes},
    roots::{Root, roots},
    wire::Reply,
};

const DOCUMENT: &str = include_str!("../../docs/authorization.md");
const GRANT: &str = include_str!("../../examples/queries/grant-create.graphql");
/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who may ask a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Anybody,
    /// People, signed in or not.
    People,
    /// A customer or a partner for one; null for nobody.
    Viewer,
    Customer,
    /// A customer, and a partner for one.
    ForCustomer,
    /// The same, and the partner has this scope.
    With(&'static str),
    Partner,
}

/// By hand: whoever adds a field says here, too, who may ask it.
const BY_HAND: &[(Who, &[&str])] = &[
    (Who::Anybody, &["Query.postalLookup"]),
    (Who::Viewer, &["Query.viewer"]),
    (Who::Partner, &["Query.partner"]),
    (Who::ForCustomer, &["Query.node", "Query.nodes", "Viewer.id", "Viewer.summary"]),
    (
        Who::People,
        &[
            "Query.signInHandOff",
            "Query.captcha",
            "Mutation.sessionCreate",
            "Mutation.sessionVerify",
            "Mutation.sessionCodeResend",
            "Mutation.sessionRefresh",
            "Mutation.sessionEnd",
            "Mutation.availabilityRequest",
            "Mutation.signUpBegin",
            "Mutation.signUpResend",
            "Mutation.signUpVerify",
            "Mutation.signUpVerifyByBilling",
            "Mutation.signUpResume",
            "Mutation.signUpComplete",
            "Mutation.accountLink",
            "Mutation.passwordResetRequest",
            "Mutation.passwordReset",
            "Mutation.passkeySignInBegin",
            "Mutation.passkeySignInFinish",
        ],
    ),
    (
        Who::Customer,
        &[
            "Mutation.passwordChange",
            "Mutation.sessionRevoke",
            "Mutation.sessionRevokeOthers",
            "Mutation.deviceRevoke",
            "Mutation.passkeyRegistrationBegin",
            "Mutation.passkeyRegistrationFinish",
            "Mutation.passkeyRename",
            "Mutation.passkeyRemove",
            "Mutation.stepUpBegin",
            "Mutation.stepUpCodeSend",
            "Mutation.stepUp",
            "Mutation.totpEnrolBegin",
            "Mutation.totpEnrolFinish",
            "Mutation.totpRemove",
            "Mutation.recoveryCodesRegenerate",
            "Mutation.profileUpdate",
            "Mutation.addressUpdate",
            "Mutation.emailChangeBegin",
            "Mutation.emailChangeResend",
            "Mutation.emailChangeFinish",
            "Mutation.dataExportRequest",
            "Mutation.accountEraseBegin",
            "Mutation.accountErase",
            "Mutation.grantCreate",
            "Mutation.grantRevoke",
            "Mutation.notificationMarkRead",
            "Mutation.notificationMarkAllRead",
            "Mutation.notificationDismiss",
            "LiveUpdates.accountChanged",
            "Viewer.sessions",
            "Viewer.devices",
            "Viewer.signIns",
            "Viewer.passkeys",
            "Viewer.secondFactors",
            "Viewer.dataExports",
            "Viewer.grants",
            "Viewer.partnerConsent",
        ],
    ),
    (Who::With("profile:read"), &["Viewer.profile"]),
    (
        Who::With("services:read"),
        &["Viewer.subscriptions", "Summary.activeSubscriptions", "Summary.nextRenewalOn"],
    ),
    (
        Who::With("billing:read"),
        &[
            "Viewer.invoices",
            "Viewer.paymentMethods",
            "LiveUpdates.invoiceUpdated",
            "Summary.unpaidInvoices",
            "Summary.overdueInvoices",
            "Summary.amountDue",
            "Summary.nextInvoice",
        ],
    ),
    (Who::With("lines:read"), &["LiveUpdates.lineUpdated"]),
    (Who::With("orders:read"), &["Viewer.orders", "LiveUpdates.orderUpdated", "Summary.openOrders"]),
    (Who::With("cases:read"), &["Viewer.cases", "LiveUpdates.caseUpdated", "Summary.openCases"]),
    (Who::With("notifications:read"), &["Viewer.notifications", "LiveUpdates.notificationReceived"]),
];

/// Who asks.
enum Kind {
    Nobody,
    Customer,
    Partner { scopes: Vec<&'static str>, acts: bool },
}

struct Asker {
    name: String,
    kind: Kind,
    /// Of a partner.
    token: String,
    /// For whom a partner acts.
    customer: String,
}

/// What becomes of a question: `yes`, or the code of the refusal.
type Verdict = &'static str;

const YES: Verdict = "yes";

/// What hangs from the viewer is null for nobody, which is no refusal.
fn is_below(name: &str) -> bool {
    name.starts_with("Viewer.") || name.starts_with("Summary.")
}

/// By asker and field.
type Verdicts = BTreeMap<(String, String), Verdict>;

/// What a table says of every field.
fn said(askers: &[Asker], names: &[&str], says: impl Fn(&Kind, &str) -> Verdict) -> Verdicts {
    let all = askers.iter().flat_map(|asker| names.iter().map(move |name| (asker, *name)));
    all.map(|(asker, name)| ((asker.name.clone(), name.to_owned()), says(&asker.kind, name))).collect()
}

fn by_hand(table: &[(&str, Who)], kind: &Kind, name: &str) -> Verdict {
    let (_, who) =
        table.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{name} is not listed"));
    match (kind, who) {
        (_, Who::Anybody) | (Kind::Nobody, Who::People | Who::Viewer) => YES,
        (Kind::Nobody, _) if is_below(name) => YES,
        (Kind::Nobody, _) => "UNAUTHENTICATED",
        (Kind::Customer, Who::Partner) | (Kind::Partner { .. }, Who::People | Who::Customer) => "FORBIDDEN",
        (Kind::Customer, _) | (Kind::Partner { .. }, Who::Partner) => YES,
        (Kind::Partner { acts: false, .. }, _) => "FORBIDDEN",
        (Kind::Partner { scopes, .. }, Who::With(scope)) if !scopes.contains(scope) => "FORBIDDEN",
        (Kind::Partner { .. }, _) => YES,
    }
}

/// The rows of the document: a field, and its columns.
fn rows(document: &str) -> BTreeMap<String, Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        line.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    let rows = document.lines().filter(|line| line.starts_with("| `")).map(cells);
    rows.map(|row| (row[1].split('(').next().unwrap().to_owned(), row[2..7].to_vec())).collect()
}

fn by_document(rows: &BTreeMap<String, Vec<String>>, kind: &Kind, name: &str) -> Verdict {
    let row = rows.get(name).unwrap_or_else(|| panic!("{name} is not in the document"));
    let refusal = match kind {
        Kind::Nobody => "UNAUTHENTICATED",
        _ => "FORBIDDEN",
    };
    let may = match kind {
        Kind::Nobody => matches!(row[0].as_str(), "yes" | "null") || is_below(name),
        Kind::Customer => row[1] == "yes",
        Kind::Partner { acts: false, .. } => row[2] == "yes",
        Kind::Partner { scopes, .. } => {
            row[3] == "yes" && (row[4].is_empty() || scopes.contains(&row[4].as_str()))
        }
    };
    if may { YES } else { refusal }
}

/// Where what came back is not what a table says.
fn differences(observed: &Verdicts, said: &Verdicts) -> Vec<String> {
    assert_eq!(observed.len(), said.len());
    let pairs = observed.iter().filter(|(question, came)| said[question] != **came);
    pairs
        .map(|((asker, name), came)| {
            let wanted = said[&(asker.clone(), name.clone())];
            format!("{name} by {asker}: {came}, not {wanted}")
        })
        .collect()
}

struct Program {
    id: String,
    secret: SecretString,
}

async fn program(gateway: &Gateway, scopes: &str, is_first_party: bool) -> Program {
    let terms = Terms { requests_per_second: 100_000, cost_maximum: 10_000_000, cost_restore: 1_000_000 };
    let scopes = Scopes::parse(scopes).unwrap();
    let new = NewPartner { name: "Household Books".to_owned(), scopes, is_first_party, terms };
    let desk = PartnerDesk::new(gateway.app.store.clone(), gateway.app.clock.clone());
    let (id, secret) = desk.create(new).await.unwrap();
    Program { id, secret }
}

impl Program {
    async fn token(&self, gateway: &Gateway, scope: &str) -> String {
        let form = [("grant_type", "client_credentials"), ("scope", scope)];
        let request = gateway.request("POST", "/oauth/token").form(&form);
        let reply = Reply::to(request.basic_auth(&self.id, Some(self.secret.expose_secret()))).await;
        reply.json()["access_token"].as_str().unwrap_or_else(|| panic!("{reply:?}")).to_owned()
    }
}

/// Every kind of asker.
async fn askers(gateway: &Gateway) -> Vec<Asker> {
    let customer = gateway.sign_in(1).await;
    let id = customer.ask("{ viewer { id } }", json!({})).await.data()["viewer"]["id"].clone();
    let id = id.as_str().unwrap();
    let every: Vec<_> = Scope::ALL.into_iter().map(Scope::as_str).collect();
    let (all, own) =
        (program(gateway, &every.join(" "), false).await, program(gateway, &every.join(" "), true).await);
    let poor = program(gateway, "cases:read billing:read", false).await;
    for (program, scopes) in [(&all, &every[..]), (&poor, &["billing:read"])] {
        let input = json!({ "clientId": program.id, "scopes": scopes });
        let made = customer.ask(GRANT, json!({ "input": input })).await.data();
        assert_eq!(made["grantCreate"]["userErrors"], json!([]), "{made}");
    }
    let person = |name: &str, kind| Asker {
        name: name.to_owned(),
        kind,
        token: String::new(),
        customer: String::new(),
    };
    let partner = |name: String, scopes: &[&'static str], token: String, acts: bool| Asker {
        name,
        kind: Kind::Partner { scopes: scopes.to_vec(), acts },
        token,
        customer: if acts { id.to_owned() } else { String::new() },
    };
    let mut askers = vec![person("nobody", Kind::Nobody), person("customer", Kind::Customer)];
    // What its token says and what the customer allowed have nothing in common.
    let token = poor.token(gateway, "cases:read").await;
    askers.push(partner("a partner with no scope".to_owned(), &[], token, true));
    for scope in &every {
        let token = all.token(gateway, scope).await;
        askers.push(partner(format!("a partner with {scope}"), &[scope], token, true));
    }
    for (name, program) in [("a partner with every scope", &all), ("a partner of our own", &own)] {
        let token = program.token(gateway, &every.join(" ")).await;
        askers.push(partner(name.to_owned(), &every, token.clone(), true));
        askers.push(partner(format!("{name} for nobody"), &every, token, false));
    }
    askers
}

/// The code with which a policy refused an answer; `yes` for any other.
fn verdict(name: &str, answer: &Value) -> Verdict {
    let errors = answer["errors"].as_array().cloned().unwrap_or_default();
    let code = |error: &Value| match error["extensions"]["code"].as_str() {
        Some("FORBIDDEN") => Some("FORBIDDEN"),
        Some("UNAUTHENTICATED") => Some("UNAUTHENTICATED"),
        _ => None,
    };
    let codes: Vec<_> = errors.iter().filter_map(code).collect();
    let Some(first) = codes.first() else { return YES };
    assert!(codes.len() == errors.len() && codes.iter().all(|code| code == first), "{name}: {answer}");
    assert!(answer["data"].is_null(), "{name} was refused and answered: {answer}");
    first
}

async fn ask(gateway: &Gateway, asker: &Asker, root: &Root) -> Verdict {
    let mut request = gateway.request("POST", "/graphql");
    let mut variables = root.variables.clone();
    match asker.kind {
        Kind::Nobody => {}
        Kind::Customer => request = request.bearer_auth(gateway.sign_in(1).await.token.unwrap()),
        Kind::Partner { acts, .. } => {
            request = request.bearer_auth(&asker.token);
            if acts {
                request = request.header("portal-customer", &asker.customer);
            }
        }
    }
    if root.name == "Mutation.sessionRefresh" {
        // One that is none is refused for what it is.
        let email = gateway.sandbox.core().world.customer(2).email.clone();
        let grant = gateway.app.identity.enter(&email).await.unwrap();
        variables = json!({ "input": { "refreshToken": grant.refresh_token.expose_secret() } });
    }
    let body = json!({ "query": root.document("__typename"), "variables": variables });
    let answer = match root.is_subscription() {
        true => first_event(gateway, request.json(&body)).await,
        false => Reply::to(request.json(&body)).await.json(),
    };
    let failed = answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default();
    assert!(!failed.starts_with("GRAPHQL") && failed != "INTERNAL", "{}: {answer}", root.name);
    verdict(&root.name, &answer)
}

/// What a stream of events says first, while things happen that are told to everybody.
async fn first_event(gateway: &Gateway, request: RequestBuilder) -> Value {
    let mut answer = request.header("accept", "text/event-stream").send().await.unwrap();
    let heard = async {
        let mut text = String::new();
        loop {
            if let Some(data) = text.lines().find_map(|line| line.strip_prefix("data: {")) {
                return serde_json::from_str(&format!("{{{data}")).unwrap();
            }
            let news = Hint::new(Topic::Everyone, Subject::Everything);
            gateway.app.live.publish(news).await;
            // Until something comes: it may not listen yet.
            if let Ok(chunk) = timeout(Duration::from_millis(100), answer.chunk()).await {
                text += std::str::from_utf8(&chunk.unwrap().expect("an event")).unwrap();
            }
        }
    };
    timeout(PATIENCE, heard).await.expect("something is said")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_is_given_what_the_tables_say_and_nothing_else() {
    let mut wishes = Wishes::default();
    for limit in ["LOGIN_RATE_LIMIT_LIMIT", "OTP_SEND_RATE_LIMIT_LIMIT"] {
        wishes.env.insert(limit, "100000".to_owned());
    }
    let gateway = Gateway::with(wishes).await;
    let (askers, roots) = (askers(&gateway).await, roots());
    let names: Vec<_> = roots.iter().map(|root| root.name.as_str()).collect();
    let table: Vec<_> =
        BY_HAND.iter().flat_map(|(who, names)| names.iter().map(move |name| (*name, *who))).collect();
    assert_eq!(table.len(), names.len(), "what is listed is there");
    let wanted = said(&askers, &names, |kind, name| by_hand(&table, kind, name));

    gateway.mailed_so_far().await;
    gateway.forget_calls();
    let mut observed = Verdicts::new();
    // First what is forbidden: none of it may change anything.
    for is_refused in [true, false] {
        for asker in &askers {
            for root in &roots {
                let question = (asker.name.clone(), root.name.clone());
                if (wanted[&question] != YES) == is_refused {
                    observed.insert(question, ask(&gateway, asker, root).await);
                }
            }
        }
        if is_refused {
            assert_eq!(gateway.written(), Vec::<String>::new(), "what was refused changed something");
        }
    }
    let refused = observed.values().filter(|verdict| **verdict != YES).count();
    assert!(refused > 300 && observed.len() - refused > 200, "{refused} of {}", observed.len());
    assert_eq!(differences(&observed, &wanted), Vec::<String>::new(), "by hand");
    let document = rows(DOCUMENT);
    let documented = said(&askers, &names, |kind, name| by_document(&document, kind, name));
    assert_eq!(differences(&observed, &documented), Vec::<String>::new(), "docs/authorization.md");

    // A gateway that is looser than a table says is found, by each kind of rule.
    for (field, who, by) in [
        ("Viewer.invoices", Who::With("orders:read"), "a partner with billing:read"),
        ("Mutation.stepUpBegin", Who::Partner, "customer"),
        ("Query.node", Who::Customer, "a partner with no scope"),
        ("Mutation.signUpBegin", Who::Customer, "nobody"),
    ] {
        let stricter = table.iter().map(|(name, was)| (*name, if *name == field { who } else { *was }));
        let stricter: Vec<_> = stricter.collect();
        let said = said(&askers, &names, |kind, name| by_hand(&stricter, kind, name));
        let found = differences(&observed, &said);
        let is_named = found.iter().any(|one| one.starts_with(&format!("{field} by {by}: yes")));
        assert!(is_named && found.iter().all(|one| one.starts_with(field)), "{field}: {found:?}");
    }
    let row = "| `LiveUpdates.caseUpdated(id)` | – | yes | – | yes |";
    let stricter = DOCUMENT.replace(row, "| `LiveUpdates.caseUpdated(id)` | – | yes | – | – |");
    assert_ne!(stricter, DOCUMENT);
    let stricter = rows(&stricter);
    let said = said(&askers, &names, |kind, name| by_document(&stricter, kind, name));
    assert_eq!(differences(&observed, &said).len(), 3, "with the scope, with every, and one of our own");
}
