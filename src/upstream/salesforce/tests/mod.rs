#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod gathering;
mod records;
mod sessions;
mod vendor;

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use crate::{
    deadline::{Budget, Lane},
    id::RecordId,
    upstream::{
        Kind,
        salesforce::{
            soql::{Filter, Select, Soql},
            tests::vendor::{Vendor, fixture},
            *,
        },
    },
};

fn budget() -> Budget {
    lane(Lane::Interactive)
}

fn lane(lane: Lane) -> Budget {
    Budget::new(Duration::from_secs(5), lane)
}

/// The n-th of many statements.
fn statement(n: usize) -> Soql {
    from("Order", n)
}

fn from(object: &str, n: usize) -> Soql {
    let filter = Filter::eq("OrderNumber", format!("n{n} + O'Brien\\ 日本"));
    Select::from(object).fields(["Id"]).filter(filter).build().unwrap()
}

fn some_id() -> RecordId {
    RecordId::parse("80190000001pPvH").unwrap()
}

/// What the vendor answers unless told otherwise: the statement itself.
#[derive(Debug, PartialEq, Deserialize)]
struct Echo {
    statement: String,
}

async fn echo(client: &Client, soql: Soql) -> Result<String, Kind> {
    let mut echoes = client.query::<Echo>(budget(), soql).await.map_err(|error| error.kind)?;
    assert_eq!(echoes.len(), 1);
    Ok(echoes.remove(0).statement)
}
