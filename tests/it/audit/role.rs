//! On PostgreSQL, a gateway whose role owns nothing, made by the statements of `docs/operating.md`.

use std::collections::HashMap;

use portal_gateway::{
    secret::ExposeSecret,
    store::{audit::Filter, testing},
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use url::Url;
use uuid::Uuid;

use super::story;
use crate::gateway::Wishes;

const OPERATING: &str = include_str!("../../../docs/operating.md");
/// `insufficient_privilege`.
const DENIED: &str = "42501";

/// The statements of the chapter, for a role of this name.
fn statements(role: &str) -> String {
    let (_, chapter) = OPERATING.split_once("### A role for the gateway").unwrap();
    let (_, block) = chapter.split_once("```sql").unwrap();
    block.split_once("```").unwrap().0.replace("portal_gateway", role)
}

#[tokio::test]
async fn a_role_that_owns_nothing_runs_the_gateway_and_cannot_touch_what_is_in_the_log() {
    let store = testing::postgres().await;
    let owners = store.settings().url.expose_secret().to_owned();
    let role = format!("gateway_{}", Uuid::now_v7().simple());
    let mut owner = PgConnection::connect(&owners).await.unwrap();
    owner.execute(AssertSqlSafe(statements(&role))).await.unwrap();
    let mut roles = Url::parse(&owners).unwrap();
    roles.set_username(&role).unwrap();
    roles.set_password(Some("choose-one")).unwrap();

    let env = HashMap::from([("DATABASE_URL", roles.to_string())]);
    let gateway = story::gateway(Wishes { env, ..Wishes::default() }).await;
    story::play(&gateway).await;
    assert!(store.audit_events(&Filter::default(), 0, 1_000).await.unwrap().len() > 40);

    let mut gateways = PgConnection::connect(roles.as_str()).await.unwrap();
    for forbidden in [
        "UPDATE audit_events SET act = 'nothing'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "DROP TRIGGER audit_events_kept ON audit_events",
        "DROP TRIGGER audit_events_not_emptied ON audit_events",
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",
        "ALTER TABLE audit_events OWNER TO CURRENT_USER",
        "DROP TABLE audit_events",
        "DROP FUNCTION audit_events_are_kept() CASCADE",
        "CREATE OR REPLACE FUNCTION audit_events_are_kept() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
        "SET session_replication_role = 'replica'",
        "DELETE FROM _sqlx_migrations",
    ] {
        let refused = gateways.execute(forbidden).await.expect_err(forbidden);
        let code = refused.as_database_error().and_then(|error| error.code()).unwrap_or_default();
        assert_eq!(code, DENIED, "{forbidden}: {refused}");
    }
    // Whoever owns the table can, but for the triggers: the role is what refuses the rest.
    let mut undone = owner.begin().await.unwrap();
    undone.execute("ALTER TABLE audit_events DISABLE TRIGGER ALL").await.unwrap();
    undone.execute("DELETE FROM audit_events").await.unwrap();
    undone.rollback().await.unwrap();
    let verdict = gateway.app.store.verify_audit(None, |_, _| ()).await.unwrap();
    assert_eq!(verdict.faults, []);

    drop(gateway);
    gateways.close().await.unwrap();
    owner.execute(AssertSqlSafe(format!("DROP OWNED BY {role}; DROP ROLE {role}"))).await.unwrap();
}
