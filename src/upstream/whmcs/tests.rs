#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use insta::assert_debug_snapshot;
use proptest::prelude::*;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{body_string_contains, method, path},
};

use super::*;
use crate::deadline::Lane;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/whmcs/", $name, ".json"))
    };
}

fn answer(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: body.into().into(),
    }
}

fn fine(body: &str) -> Answer {
    answer(200, body)
}

#[test]
fn the_documented_answers_decode() {
    assert_debug_snapshot!("client", clients::decode(&fine(fixture!("get_clients_details")), 42));
    assert_debug_snapshot!("products", products::decode(&fine(fixture!("get_clients_products")), 42));
    assert_debug_snapshot!("invoices", invoices::decode_page(&fine(fixture!("get_invoices")), 42));
    assert_debug_snapshot!("invoice", invoices::decode_details(&fine(fixture!("get_invoice")), 31));
    assert_debug_snapshot!("pay_methods", pay_methods::decode(&fine(fixture!("get_pay_methods")), 42));
}

#[test]
fn another_installation_spells_the_same_invoice_otherwise() {
    assert_debug_snapshot!(
        "invoice_other_dialect",
        invoices::decode_details(&fine(fixture!("get_invoice_other_dialect")), 31)
    );
}

#[test]
fn an_invoice_that_is_not_there_is_none() {
    assert!(invoices::decode_details(&fine(fixture!("invoice_not_found")), 31).unwrap().is_none());
}

#[test]
fn rows_of_another_client_are_never_handed_up() {
    let faults = [
        clients::decode(&fine(fixture!("get_clients_details")), 7).err(),
        products::decode(&fine(fixture!("get_clients_products")), 7).err(),
        invoices::decode_page(&fine(fixture!("get_invoices")), 7).err(),
        invoices::decode_details(&fine(fixture!("get_invoice")), 7).err(),
        pay_methods::decode(&fine(fixture!("get_pay_methods")), 7).err(),
    ];
    for fault in faults {
        assert!(matches!(fault, Some(Kind::Decode { .. })), "{fault:?}");
    }
}

#[test]
fn the_body_is_judged_before_the_status() {
    let success = r#"{"result":"success"}"#;
    let status_only = r#"{"status":"success"}"#;
    let error = r#"{"result":"error","message":"Client Not Found"}"#;
    let denied = fixture!("access_denied");
    for (status, body, verdict) in [
        (200, success, None),
        (200, status_only, None),
        (200, "\u{feff}{\"result\":\"success\"}", None),
        (200, error, Some(Kind::refused("", "Client Not Found"))),
        (400, error, Some(Kind::refused("", "Client Not Found"))),
        (200, r#"{"status":"error","message":"no"}"#, Some(Kind::refused("", "no"))),
        (200, fixture!("warning"), Some(Kind::refused("warning", "Invalid or missing payment information"))),
        (403, denied, Some(Kind::Session)),
        (200, denied, Some(Kind::Session)),
        (403, r#"{"result":"error","message":"Invalid password provided"}"#, Some(Kind::Session)),
        (500, error, Some(Kind::Status(500))),
        (200, "{}", Some(Kind::Decode { path: "result".to_owned() })),
        (200, "<html>maintenance</html>", Some(Kind::Garbage)),
        (200, "", Some(Kind::Garbage)),
        (200, r#"{"result":"succ"#, Some(Kind::Garbage)),
        (403, "<html>blocked</html>", Some(Kind::Status(403))),
        (404, "<html>", Some(Kind::Status(404))),
        (302, "", Some(Kind::Status(302))),
        (500, "<html>", Some(Kind::Status(500))),
        (429, "<html>", Some(Kind::RateLimited { retry_after: Duration::from_secs(1) })),
    ] {
        assert_eq!(read::<serde::de::IgnoredAny>(&answer(status, body)).err(), verdict, "{status} {body}");
    }
}

#[test]
fn a_wrong_shape_is_told_by_its_path() {
    let body = fixture!("get_invoices").replace("\"total\":\"23.80\"", "\"total\":\"n/a\"");
    let error = invoices::decode_page(&fine(&body), 42).unwrap_err();
    assert_eq!(error, Kind::Decode { path: "invoices.invoice[0].total".to_owned() });
}

#[tokio::test]
async fn the_action_is_posted_as_a_form() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/billing/includes/api.php"))
        .and(body_string_contains("identifier=ID&secret=S%2BCRET&action=WhmcsDetails&responsetype=json"))
        .respond_with(ResponseTemplate::new(200).set_body_raw(fixture!("whmcs_details"), "application/json"))
        .mount(&server)
        .await;
    let client = Client::new(Settings {
        base_url: format!("{}/billing//", server.uri()).parse().unwrap(),
        identifier: "ID".to_owned(),
        secret: "S+CRET".into(),
        transport: transport::Settings::whmcs(),
    })
    .unwrap();
    assert!(!format!("{client:?}").contains("CRET"));
    let budget = Budget::new(Duration::from_secs(5), Lane::Interactive);
    assert_eq!(client.whmcs_details(budget).await.unwrap(), "8.13.1-release.1");
}

/// One invoice as it is meant.
#[derive(Clone, Debug)]
struct Meant {
    id: u32,
    cents: i32,
    paid: Option<(u8, u8)>,
    text: String,
    taxed: bool,
}

/// How one server happens to spell it.
#[derive(Clone, Debug)]
struct Spelling {
    number_as_text: bool,
    amount_as_text: bool,
    zero_date: usize,
    truth: usize,
    list: usize,
    hex: bool,
}

fn meant() -> impl Strategy<Value = Meant> {
    let paid = proptest::option::of((1..=12u8, 1..=28u8));
    (any::<u32>(), any::<i32>(), paid, "[a-z<>&\"'ぁ-ん ]{0,12}", any::<bool>())
        .prop_map(|(id, cents, paid, text, taxed)| Meant { id, cents, paid, text, taxed })
}

fn spelling() -> impl Strategy<Value = Spelling> {
    (any::<bool>(), any::<bool>(), 0..5usize, 0..5usize, 0..4usize, any::<bool>()).prop_map(
        |(number_as_text, amount_as_text, zero_date, truth, list, hex)| Spelling {
            number_as_text,
            amount_as_text,
            zero_date,
            truth,
            list,
            hex,
        },
    )
}

fn spell(meant: &Meant, spelling: &Spelling) -> String {
    let quote = |yes: bool, text: String| if yes { format!("\"{text}\"") } else { text };
    let number = |n: u32| quote(spelling.number_as_text, n.to_string());
    let sign = if meant.cents < 0 { "-" } else { "" };
    let cents = meant.cents.unsigned_abs();
    let amount = quote(spelling.amount_as_text, format!("{sign}{}.{:02}", cents / 100, cents % 100));
    let paid = match meant.paid {
        Some((month, day)) => format!("\"2025-{month:02}-{day:02} 10:30:00\""),
        None => ["\"0000-00-00 00:00:00\"", "\"0000-00-00\"", "null", "\"\"", "\"-0001-11-30 00:00:00\""]
            [spelling.zero_date]
            .to_owned(),
    };
    let truth = match meant.taxed {
        true => ["true", "1", "\"1\"", "\"on\"", "\"true\""],
        false => ["false", "0", "\"0\"", "\"\"", "\"off\""],
    }[spelling.truth];
    let escaped = html_escape::encode_quoted_attribute(&meant.text);
    let mut text = serde_json::to_string(&escaped).unwrap();
    if spelling.hex {
        text = text.replace('&', "\\u0026").replace('\'', "\\u0027");
    }
    let item = format!(
        r#"{{"id":{},"type":"Hosting","relid":{},"description":{text},"amount":{amount},"taxed":{truth},"new":[]}}"#,
        number(1),
        number(9),
    );
    let items = match spelling.list {
        0 => format!(r#"{{"item":[{item}]}}"#),
        1 => format!(r#"{{"item":{{"0":{item}}}}}"#),
        2 => format!(r#"{{"item":{item}}}"#),
        _ => format!("[{item}]"),
    };
    format!(
        r#"{{"result":"success","invoiceid":{id},"userid":{id},"datepaid":{paid},"subtotal":{amount},"credit":"0.00",
        "tax":{amount},"tax2":0,"total":{amount},"balance":{amount},"status":"Paid","items":{items},"transactions":""}}"#,
        id = number(meant.id),
    )
}

proptest! {
    #[test]
    fn all_spellings_mean_the_same(meant in meant(), one in spelling(), other in spelling()) {
        let read = |spelling| {
            invoices::decode_details(&fine(&spell(&meant, spelling)), meant.id.into()).unwrap().unwrap()
        };
        let invoice = read(&one);
        prop_assert_eq!(format!("{invoice:?}"), format!("{:?}", read(&other)));
        prop_assert_eq!(&invoice.items[0].description, &meant.text);
        prop_assert_eq!(invoice.items[0].taxed, meant.taxed);
        prop_assert_eq!(invoice.total, rust_decimal::Decimal::new(meant.cents.into(), 2));
        prop_assert_eq!(invoice.datepaid.is_some(), meant.paid.is_some());
    }

    #[test]
    fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..200), status in 100..600u16) {
        decode_all(&answer(status, body));
    }

    #[test]
    fn no_damage_panics(at in any::<prop::sample::Index>(), byte in any::<u8>(), which in 0..5usize) {
        let fixtures = [
            fixture!("get_clients_details"),
            fixture!("get_clients_products"),
            fixture!("get_invoices"),
            fixture!("get_invoice"),
            fixture!("get_pay_methods"),
        ];
        let mut body = fixtures[which].as_bytes().to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        decode_all(&answer(200, body));
    }
}

fn decode_all(answer: &Answer) {
    _ = clients::decode(answer, 42);
    _ = products::decode(answer, 42);
    _ = invoices::decode_page(answer, 42);
    _ = invoices::decode_details(answer, 31);
    _ = pay_methods::decode(answer, 42);
}

#[test]
fn every_empty_list_is_empty() {
    for empty in [r#""""#, "null", "[]", "{}", r#"{"invoice":[]}"#, r#"{"invoice":""}"#, r#"{"invoice":{}}"#]
    {
        let body = format!(r#"{{"result":"success","totalresults":"0","invoices":{empty}}}"#);
        assert!(invoices::decode_page(&fine(&body), 42).unwrap().invoices.is_empty(), "{empty}");
    }
    let missing = fine(r#"{"result":"success","totalresults":0}"#);
    assert!(invoices::decode_page(&missing, 42).unwrap().invoices.is_empty());
}

#[test]
fn an_address_that_a_user_has_is_told_apart_from_other_refusals() {
    let added = |body: &str| client_writes::added(&fine(body));
    assert_eq!(added(r#"{"result":"success","clientid":"42","owner_id":57}"#), Ok(Added::Client(42)));
    let taken = r#"{"result":"error","message":"A user already exists with that email address"}"#;
    assert_eq!(added(taken), Ok(Added::EmailTaken));
    let refused = added(r#"{"result":"error","message":"You did not enter your first name"}"#);
    assert!(matches!(refused, Err(Kind::Refused { .. })));
    let cut = added(r#"{"result":"succ"#).unwrap_err();
    assert!(cut.may_have_happened(), "{cut}");
}

#[test]
fn the_addresses_of_a_client_and_of_its_owner_are_told_apart() {
    let told = email_writes::emails(
        &fine(include_str!("../../../tests/fixtures/whmcs/get_clients_details.json")),
        42,
    );
    let owner = Some(LoginUser { id: 57, email: "buyer@example.test".to_owned() });
    assert_eq!(told, Ok(ClientEmails { email: "buyer@example.test".to_owned(), owner }));
    let old = r#"{"result":"success","client":{"id":"42","email":"a@example.test"}}"#;
    assert_eq!(email_writes::emails(&fine(old), 42).unwrap().owner, None, "before there were users");
    assert!(email_writes::emails(&fine(old), 43).is_err(), "somebody else's");
}

#[test]
fn an_address_that_somebody_has_is_told_apart_from_one_that_is_none() {
    for taken in ["Duplicate Email Address", "A user already exists with that email address"] {
        let refusal = format!(r#"{{"result":"error","message":"{taken}"}}"#);
        assert_eq!(email_writes::written(&fine(&refusal), taken), Ok(EmailChanged::Taken));
        let other = r#"{"result":"error","message":"The email address entered is not valid"}"#;
        assert!(matches!(email_writes::written(&fine(other), taken), Err(Kind::Refused { .. })));
    }
    assert_eq!(
        email_writes::written(&fine(r#"{"result":"success","clientid":"42"}"#), "x"),
        Ok(EmailChanged::Done)
    );
}

#[test]
fn a_password_proves_nothing_where_a_second_factor_is_or_may_be() {
    for (body, login) in [
        (
            r#"{"result":"success","userid":57,"passwordhash":"b7","twoFactorEnabled":false}"#,
            Some(Login::Proven),
        ),
        (r#"{"result":"success","userid":57,"twoFactorEnabled":true}"#, Some(Login::SecondFactor)),
        (r#"{"result":"success","userid":"57","twoFactorEnabled":"true"}"#, Some(Login::SecondFactor)),
        (r#"{"result":"error","message":"Email or Password Invalid"}"#, Some(Login::Wrong)),
        (r#"{"result":"success","userid":57,"passwordhash":"b7"}"#, None),
    ] {
        assert_eq!(logins::validated(&fine(body)).ok(), login, "{body}");
    }
}
