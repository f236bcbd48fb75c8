use chrono::TimeDelta;

use super::*;
use crate::sandbox::credentials::DEMO_PASSWORD;
use crate::sandbox::whmcs::Dialect;

async fn email_of(bench: &Bench, client: &str) -> String {
    text(&bench.ok("GetClientsDetails", &[("clientid", client)]).await["email"])
}

#[tokio::test]
async fn a_password_proves_a_user_unless_a_second_factor_is_asked() {
    let bench = Bench::new();
    let email = email_of(&bench, DEMO).await;
    let answer = bench.ok("ValidateLogin", &[("email", &email), ("password2", DEMO_PASSWORD)]).await;
    assert_eq!((&answer["userid"], &answer["twoFactorEnabled"]), (&json!(5_000_001), &json!(false)));
    assert_eq!(answer["passwordhash"].as_str().unwrap().len(), 32);
    let details = bench.ok("GetClientsDetails", &[("clientid", DEMO)]).await;
    assert!(text(&details["client"]["lastlogin"]).starts_with("Date: "));

    let second = email_of(&bench, "1002").await;
    let answer = bench.ok("ValidateLogin", &[("email", &second), ("password2", DEMO_PASSWORD)]).await;
    assert_eq!(answer, json!({"result": "success", "userid": 5_000_002, "twoFactorEnabled": true}));
    for (email, password) in [(email.as_str(), "wrong"), ("nobody@example.jp", DEMO_PASSWORD)] {
        bench
            .refused(
                "ValidateLogin",
                &[("email", email), ("password2", password)],
                "Email or Password Invalid",
            )
            .await;
    }
    let dialect = Dialect { legacy: true, ..Dialect::default() };
    let old = Bench::with(Settings { dialect, ..Settings::default() });
    let answer = old.ok("ValidateLogin", &[("email", &email), ("password2", DEMO_PASSWORD)]).await;
    assert_eq!(answer["userid"], 1001, "a client id before 8.0");
}

#[tokio::test]
async fn a_reset_mails_a_link() {
    let bench = Bench::new();
    let email = email_of(&bench, DEMO).await;
    for params in [[("email", email.as_str())], [("id", "5000001")]] {
        assert_eq!(bench.ok("ResetPassword", &params).await, json!({"result": "success"}));
    }
    let mails = bench.ok("GetEmails", &[("clientid", DEMO), ("subject", "password reset")]).await;
    assert_eq!(mails["totalresults"], 2);
    bench.refused("ResetPassword", &[], "Please enter the email address or provide the id").await;
    bench.refused("ResetPassword", &[("email", "x")], "Please provide a valid email address").await;
    bench.refused("ResetPassword", &[("email", "x@example.test")], "User Not Found").await;
    bench.refused("ResetPassword", &[("id", "1")], "User Not Found").await;
}

async fn redeem(bench: &Bench, url: &str) -> (StatusCode, Option<String>, String) {
    let path = url.strip_prefix("https://billing.example.test").unwrap();
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = bench.router.clone().oneshot(request).await.unwrap();
    let location = response.headers().get(header::LOCATION).map(|value| value.to_str().unwrap().to_owned());
    let has_cookie = response.headers().contains_key(header::SET_COOKIE);
    assert_eq!(has_cookie, location.is_some());
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, location, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_token_works_once_for_a_minute() {
    let bench = Bench::new();
    let params = [("client_id", DEMO), ("destination", "clientarea:invoices")];
    let answer = bench.ok("CreateSsoToken", &params).await;
    let (token, url) = (text(&answer["access_token"]), text(&answer["redirect_url"]));
    assert!(token.len() == 40 && token.bytes().all(|b| b.is_ascii_hexdigit()));
    assert_eq!(
        url,
        format!("https://billing.example.test/billing/oauth/singlesignon.php?access_token={token}")
    );
    let (status, location, _) = redeem(&bench, &url).await;
    assert_eq!(status, StatusCode::FOUND);
    assert_eq!(location.unwrap(), "https://billing.example.test/billing/clientarea.php?action=invoices");
    let (status, _, body) = redeem(&bench, &url).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(body.contains("Unable to authenticate"));

    let late = text(&bench.ok("CreateSsoToken", &params).await["redirect_url"]);
    bench.core.clock.advance(TimeDelta::seconds(61));
    assert_eq!(redeem(&bench, &late).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_token_leads_only_into_the_installation() {
    let bench = Bench::new();
    let redirect = |path: &'static str| {
        vec![("client_id", DEMO), ("destination", "sso:custom_redirect"), ("sso_redirect_path", path)]
    };
    let url = text(&bench.ok("CreateSsoToken", &redirect("viewinvoice.php?id=1001")).await["redirect_url"]);
    let (_, location, _) = redeem(&bench, &url).await;
    assert_eq!(location.unwrap(), "https://billing.example.test/billing/viewinvoice.php?id=1001");
    for path in ["https://evil.test/", "//evil.test/", "javascript:alert(1)", "\\\\evil.test"] {
        let answer = bench.call("CreateSsoToken", &redirect(path)).await;
        assert!(text(&answer["message"]).starts_with("Token could not be provisioned"), "{path}");
    }
    let service = |id: &'static str| {
        vec![("client_id", DEMO), ("destination", "clientarea:product_details"), ("service_id", id)]
    };
    bench.ok("CreateSsoToken", &service("101")).await;
    for id in ["", "201"] {
        let answer = bench.call("CreateSsoToken", &service(id)).await;
        assert!(text(&answer["message"]).starts_with("Token could not be provisioned"));
    }
}

#[tokio::test]
async fn a_token_is_refused_with_the_vendors_texts() {
    let bench = Bench::new();
    for (params, message) in [
        (vec![("client_id", "3")], "Invalid client_id"),
        (vec![("user_id", "3")], "Invalid user_id"),
        (vec![("client_id", DEMO), ("user_id", "5000002")], "Invalid user_id for client"),
        (vec![], "A valid client_id or user_id is required"),
        (vec![("client_id", DEMO), ("destination", "clientarea:nowhere")], "Invalid destination"),
    ] {
        bench.refused("CreateSsoToken", &params, message).await;
    }
    bench.ok("CreateSsoToken", &[("user_id", "5000001")]).await;
    let open = text(&bench.ok("CreateSsoToken", &[("client_id", DEMO)]).await["redirect_url"]);
    bench.ok("CloseClient", &[("clientid", DEMO)]).await;
    bench
        .refused("CreateSsoToken", &[("client_id", DEMO)], "SSO authentication blocked for client 1001")
        .await;
    let (status, _, body) = redeem(&bench, &open).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(body.contains("Closed"));
}
