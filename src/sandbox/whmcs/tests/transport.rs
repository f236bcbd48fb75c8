use super::*;
use crate::sandbox::core::{Rule, RuleKind, System};
use crate::sandbox::whmcs::{Access, Credential};

const SIGNED: &str =
    "identifier=sandboxIdentifier000000000000001&secret=sandboxSecret0000000000000000001&responsetype=json";

fn refusal(message: &str) -> Value {
    json!({"result": "error", "message": message})
}

fn parsed((status, media, body): (StatusCode, String, String)) -> (u16, String, Value) {
    (status.as_u16(), media, serde_json::from_str(&body).unwrap())
}

fn refused(status: u16, message: &str) -> (u16, String, Value) {
    (status, "application/json".to_owned(), refusal(message))
}

#[tokio::test]
async fn each_way_to_sign_a_call_is_taken() {
    let bench = Bench::new();
    let legacy = SIGNED.replace("identifier", "username").replace("secret=", "password=");
    let admin = "username=admin&password=3f09ecda8c4b2d7bb0a7e2a4d3e1f6c5&responsetype=json";
    for form in [SIGNED, &legacy] {
        let (status, media, body) = bench.post(&format!("{form}&action=whmcsdetails")).await;
        assert_eq!((status, media.as_str()), (StatusCode::OK, "application/json"), "{body}");
    }
    let answer = parsed(bench.post(&format!("{admin}&action=WhmcsDetails")).await);
    assert_eq!(answer, refused(403, "Invalid password provided"));
    let good = Access::default().credentials[1].secret.clone();
    let (status, ..) =
        bench.post(&format!("username=admin&password={good}&action=WhmcsDetails&responsetype=json")).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn access_failures_are_403_and_a_missing_action_is_400() {
    let denied = |credential| Settings {
        access: Access { credentials: vec![credential], ..Access::default() },
        ..Settings::default()
    };
    let pair = || Credential::pair(WHMCS_IDENTIFIER, WHMCS_SECRET);
    let reader = Credential { actions: Some(vec!["GetInvoices".to_owned()]), ..pair() };
    let action = "&action=GetClients";
    for (settings, form, status, message) in [
        (Settings::default(), SIGNED.to_owned(), 400, "Empty action request"),
        (Settings::default(), "responsetype=json".to_owned(), 400, "Empty action request"),
        (Settings::default(), format!("responsetype=json{action}"), 403, "Invalid or missing credentials"),
        (
            Settings::default(),
            format!("{SIGNED}{action}").replace("sandboxSecret", "wrong"),
            403,
            "Authentication Failed",
        ),
        (
            Settings::default(),
            format!("identifier=x&secret=y&responsetype=json{action}"),
            403,
            "Authentication Failed",
        ),
        (
            denied(Credential { enabled: false, ..pair() }),
            format!("{SIGNED}{action}"),
            403,
            "Administrator Account Disabled",
        ),
        (
            denied(Credential { api_access: false, ..pair() }),
            format!("{SIGNED}{action}"),
            403,
            "Access Denied",
        ),
        (
            denied(reader),
            format!("{SIGNED}{action}"),
            403,
            "Invalid Permissions: API action \"getclients\" is not allowed",
        ),
        (
            Settings::default(),
            format!("{SIGNED}&action=NoSuchThing"),
            403,
            "Invalid Permissions: API action \"nosuchthing\" is not allowed",
        ),
    ] {
        let answer = Bench::with(settings).post(&form).await;
        assert!(!answer.2.contains("\\\""), "quotes are hex escapes");
        assert_eq!(parsed(answer), refused(status, message), "{form}");
    }
}

#[tokio::test]
async fn the_address_is_checked_first_and_an_access_key_bypasses_only_that() {
    let access =
        Access { allowed_ips: Some(Vec::new()), access_key: Some("k!1".to_owned()), ..Access::default() };
    let bench = Bench::with(Settings { access, ..Settings::default() });
    let answer = bench.post("action=GetClients&responsetype=json").await;
    assert_eq!(parsed(answer), refused(403, "Invalid IP 127.0.0.1"));
    let answer = bench.post("accesskey=k!1&action=GetClients&responsetype=json").await;
    assert_eq!(parsed(answer), refused(403, "Invalid or missing credentials"));
    assert_eq!(bench.post(&format!("{SIGNED}&accesskey=k%211&action=WhmcsDetails")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn query_and_body_are_merged_and_a_json_body_is_not_read() {
    let bench = Bench::new();
    let request = |query: &str, media: &str, body: &str| {
        Request::post(format!("/billing/includes/api.php?{query}"))
            .header(header::CONTENT_TYPE, media)
            .body(Body::from(body.to_owned()))
            .unwrap()
    };
    let form = "application/x-www-form-urlencoded";
    let (status, ..) = bench.send(request("action=GETCLIENTS", form, SIGNED)).await;
    assert_eq!(status, StatusCode::OK);
    let body =
        json!({"action": "GetClients", "identifier": WHMCS_IDENTIFIER, "secret": WHMCS_SECRET}).to_string();
    let answer = bench.send(request("responsetype=json", "application/json", &body)).await;
    assert_eq!(parsed(answer), refused(400, "Empty action request"));
    let multipart: String =
        [("action", "WhmcsDetails"), ("identifier", WHMCS_IDENTIFIER), ("secret", WHMCS_SECRET)]
            .map(|(k, v)| format!("--b\r\nContent-Disposition: form-data; name=\"{k}\"\r\n\r\n{v}\r\n"))
            .concat();
    let (status, ..) = bench
        .send(request("responsetype=json", "multipart/form-data; boundary=b", &(multipart + "--b--\r\n")))
        .await;
    assert_eq!(status, StatusCode::OK);
    let wrong = Request::post("/includes/api.php").body(Body::empty()).unwrap();
    assert_eq!(bench.send(wrong).await.0, StatusCode::NOT_FOUND, "the prefix belongs to the path");
}

#[tokio::test]
async fn xml_and_pairs_are_well_formed_too() {
    let bench = Bench::new();
    let form = SIGNED.replace("json", "xml");
    let (_, media, body) = bench.post(&format!("{form}&action=GetCurrencies")).await;
    assert!(media.starts_with("application/xml"));
    assert!(body.contains("<action>getcurrencies</action>\n<result>success</result>"), "{body}");
    let form = SIGNED.replace("&responsetype=json", "");
    let (_, _, body) = bench.post(&format!("{form}&action=WhmcsDetails")).await;
    assert!(body.contains("result=success;") && body.contains("whmcs[version]=8.13.1;"), "{body}");
}

#[tokio::test]
async fn calls_are_journalled_by_their_documented_name_with_ids_and_a_hash_of_the_address_only() {
    use crate::sandbox::journal::Filter;
    let bench = Bench::new();
    bench.ok("getclientsdetails", &[("clientid", DEMO), ("email", "someone@example.jp")]).await;
    let entries = bench.core.journal.entries(&Filter::default());
    assert_eq!(&*entries[0].operation, "GetClientsDetails");
    assert_eq!(entries[0].detail.as_ref().unwrap().get(), r#"{"clientid":1001,"who":"064007642c216151"}"#);
}

#[tokio::test]
async fn injected_faults_take_the_vendors_shape() {
    let bench = Bench::new();
    let form = format!("{SIGNED}&action=GetCurrencies");
    let rule = |kind| Rule { times: Some(1), ..Rule::every(System::Whmcs, kind) };
    let business = Rule { message: Some("No way".to_owned()), ..rule(RuleKind::Business) };
    bench.core.faults.add(business);
    assert_eq!(parsed(bench.post(&form).await), refused(200, "No way"));
    bench.core.faults.add(rule(RuleKind::Expire));
    assert_eq!(parsed(bench.post(&form).await), refused(403, "Authentication Failed"));
    bench.core.faults.add(Rule { status: Some(500), ..rule(RuleKind::Status) });
    assert_eq!(bench.post(&form).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(bench.post(&form).await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_applied_fault_fails_after_the_work_is_done() {
    let bench = Bench::new();
    let rule = Rule {
        times: Some(1),
        applied: true,
        status: Some(500),
        ..Rule::every(System::Whmcs, RuleKind::Status)
    };
    bench.core.faults.add(rule);
    let (status, ..) =
        bench.post(&format!("{SIGNED}&action=AddCredit&clientid=1001&amount=5&description=x")).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        bench.ok("GetCredits", &[("clientid", DEMO)]).await["credits"]["credit"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()["amount"],
        "5.00"
    );
}
