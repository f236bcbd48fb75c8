#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

fn state() -> Arc<State> {
    Arc::new(State { core: Arc::new(Core::new(42, 1, false)), tokens: Mutex::default() })
}

async fn solve(state: &Arc<State>) -> String {
    solve_for(state, CAPTCHA_SITE_KEY).await
}

async fn solve_for(state: &Arc<State>, site_key: &str) -> String {
    let query = HashMap::from([("sitekey".to_owned(), site_key.to_owned())]);
    let response = widget(Shared(Arc::clone(state)), Query(query)).await;
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    serde_json::from_slice::<Value>(&body).unwrap()["token"].as_str().unwrap().to_owned()
}

fn check(state: &State, fields: &[(&str, &str)]) -> Value {
    state.check(&fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

#[tokio::test]
async fn a_token_is_good_once_and_for_five_minutes() {
    let state = state();
    let token = solve(&state).await;
    let shown = [("secret", CAPTCHA_SECRET), ("response", token.as_str())];
    let first = check(&state, &shown);
    assert_eq!((&first["success"], &first["hostname"]), (&json!(true), &json!("localhost")));
    assert_eq!(check(&state, &shown), refused("timeout-or-duplicate"));

    let old = solve(&state).await;
    state.core.clock.advance(TimeDelta::minutes(5));
    let late = check(&state, &[("secret", CAPTCHA_SECRET), ("response", &old)]);
    assert_eq!(late, refused("timeout-or-duplicate"));
}

#[tokio::test]
async fn every_refusal_has_the_vendors_code_and_a_wrong_secret_uses_nothing_up() {
    let state = state();
    let token = solve(&state).await;
    assert_eq!(check(&state, &[("response", &token)]), refused("missing-input-secret"));
    assert_eq!(check(&state, &[("secret", "x"), ("response", &token)]), refused("invalid-input-secret"));
    assert_eq!(check(&state, &[("secret", CAPTCHA_SECRET)]), refused("missing-input-response"));
    let made_up = [("secret", CAPTCHA_SECRET), ("response", "made-up")];
    assert_eq!(check(&state, &made_up), refused("invalid-input-response"));
    let good = check(&state, &[("secret", CAPTCHA_SECRET), ("response", &token)]);
    assert_eq!(good["success"], true);
}

#[tokio::test]
async fn a_token_of_another_widget_is_worth_nothing() {
    let state = state();
    let token = solve_for(&state, "somebody-elses").await;
    let shown = check(&state, &[("secret", CAPTCHA_SECRET), ("response", &token)]);
    assert_eq!(shown, refused("sitekey-secret-mismatch"));
    let response = widget(Shared(Arc::clone(&state)), Query(HashMap::new())).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(state.tokens().is_empty());
}
