use proptest::prelude::*;

use super::*;
use crate::sandbox::whmcs::{Dialect, EmptyLists, Numbers, router_with};

/// Every reading action of a client, as the gateway calls it.
fn reads(client: u64) -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let id = client.to_string();
    let n = client - 1000;
    vec![
        ("GetClientsDetails", vec![("clientid", id.clone()), ("stats", "1".to_owned())]),
        ("GetClientsProducts", vec![("clientid", id.clone())]),
        ("GetInvoices", vec![("userid", id.clone())]),
        ("GetInvoice", vec![("invoiceid", (n * 1000 + 1).to_string())]),
        ("GetPayMethods", vec![("clientid", id.clone())]),
        ("GetOrders", vec![("userid", id.clone())]),
        ("GetTransactions", vec![("clientid", id.clone())]),
        ("GetCredits", vec![("clientid", id.clone())]),
        ("GetEmails", vec![("clientid", id.clone())]),
        ("GetContacts", vec![("userid", id)]),
        ("GetUsers", vec![("limitnum", "3".to_owned())]),
    ]
}

fn dialects() -> impl Strategy<Value = Dialect> {
    let numbers = prop_oneof![Just(Numbers::Mixed), Just(Numbers::Strings), Just(Numbers::Native)];
    let lists = prop_oneof![Just(EmptyLists::PerAction), Just(EmptyLists::Missing), Just(EmptyLists::Object)];
    (numbers, lists, any::<[bool; 6]>()).prop_map(|(numbers, empty_lists, flags)| Dialect {
        numbers,
        empty_lists,
        entities: flags[0],
        zero_dates: flags[1],
        hex_escapes: flags[2],
        escaped_slashes: flags[3],
        unicode_escapes: flags[4],
        legacy: flags[5],
        ..Dialect::default()
    })
}

/// What a tolerant client makes of an answer: scalars as text, empty lists and unset dates gone, entities decoded.
fn meaning(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Bool(flag) => Some(u8::from(*flag).to_string().into()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::String(text) if text.is_empty() || text.starts_with("0000-00-00") => None,
        Value::String(text) => Some(html_escape::decode_html_entities(text).into_owned().into()),
        Value::Array(rows) => {
            let rows: Vec<_> = rows.iter().filter_map(meaning).collect();
            (!rows.is_empty()).then_some(Value::Array(rows))
        }
        Value::Object(map) => {
            let map: serde_json::Map<_, _> = map
                .iter()
                .filter(|(key, _)| !matches!(key.as_str(), "qty" | "users" | "message"))
                .filter_map(|(key, value)| Some((key.clone(), meaning(value)?)))
                .collect();
            (!map.is_empty()).then_some(Value::Object(map))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_customer_means_the_same_in_every_dialect(n in 1_u64..=50, dialect in dialects()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let plain = Bench::new();
            let other = Bench::with(Settings { dialect, ..Settings::default() });
            for (action, params) in reads(1000 + n) {
                let params: Vec<_> = params.iter().map(|(k, v)| (*k, v.as_str())).collect();
                let (expected, answer) = (plain.call(action, &params).await, other.call(action, &params).await);
                assert_eq!(meaning(&answer), meaning(&expected), "{action} {params:?}");
            }
        });
    }
}

#[tokio::test]
async fn text_is_escaped_for_html_once_and_for_json_in_hex() {
    let bench = Bench::new();
    bench
        .ok("UpdateClient", &[("clientid", DEMO), ("companyname", "R&D \"X\" <y>'s"), ("city", "渋谷/区")])
        .await;
    let form = format!(
        "identifier={WHMCS_IDENTIFIER}&secret={WHMCS_SECRET}&action=GetClientsDetails&clientid={DEMO}&responsetype=json"
    );
    let (.., body) = bench.post(&form).await;
    assert!(body.contains(r"R\u0026amp;D \u0026quot;X\u0026quot; \u0026lt;y\u0026gt;\u0026#039;s"), "{body}");
    assert!(body.contains(r"\u6e0b\u8c37\/\u533a"));
    let dialect =
        Dialect { entities: false, hex_escapes: false, unicode_escapes: false, ..Dialect::default() };
    let raw = Bench::with(Settings { dialect, ..Settings::default() });
    raw.ok("UpdateClient", &[("clientid", DEMO), ("companyname", "R&D")]).await;
    assert_eq!(raw.ok("GetClientsDetails", &[("clientid", DEMO)]).await["client"]["companyname"], "R&D");
}

#[tokio::test]
async fn the_text_false_is_true_unless_switched_off() {
    let bench = Bench::new();
    bench.ok("UpdateClient", &[("clientid", DEMO), ("taxexempt", "false")]).await;
    assert_eq!(bench.ok("GetClientsDetails", &[("clientid", DEMO)]).await["client"]["taxexempt"], true);
    let dialect = Dialect { php_truthiness: false, ..Dialect::default() };
    let lenient = Bench::with(Settings { dialect, ..Settings::default() });
    lenient.ok("UpdateClient", &[("clientid", DEMO), ("taxexempt", "false")]).await;
    assert_eq!(lenient.ok("GetClientsDetails", &[("clientid", DEMO)]).await["client"]["taxexempt"], false);
}

#[tokio::test]
async fn a_legacy_release_speaks_of_productids() {
    let dialect = Dialect { legacy: true, ..Dialect::default() };
    let bench = Bench::with(Settings { dialect, ..Settings::default() });
    let answer =
        bench.ok("AddOrder", &[("clientid", DEMO), ("paymentmethod", "mailin"), ("pid[]", "100")]).await;
    assert_eq!((&answer["productids"], &answer["serviceids"]), (&json!("150000001"), &Value::Null));
    let services = bench.ok("GetClientsProducts", &[("clientid", DEMO)]).await;
    assert!(services["products"]["product"][0].get("qty").is_none());
}

#[tokio::test]
async fn a_million_customers_cost_nothing_until_written() {
    let core = Arc::new(Core::new(7, 1_000_000, false));
    let router = router_with(Arc::clone(&core), "http://127.0.0.1".to_owned(), Settings::default());
    let form = format!("identifier={WHMCS_IDENTIFIER}&secret={WHMCS_SECRET}&responsetype=json");
    for action in [
        "action=GetClients&limitstart=999990",
        "action=GetClients&sorting=DESC",
        "action=GetInvoices&userid=1001000",
        "action=GetUsers",
    ] {
        let request = Request::post("/includes/api.php")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(format!("{form}&{action}")))
            .unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert!(answer["numreturned"].as_u64().unwrap() > 0, "{action}");
    }
}
