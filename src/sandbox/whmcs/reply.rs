//! What actions answer, and the pieces that answers are made of.

use chrono::{NaiveDate, NaiveDateTime};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::sandbox::whmcs::account::cents;
use crate::sandbox::whmcs::params::Params;

/// An answer's own fields (an object), or a refusal.
pub type Reply = Result<Value, Refusal>;

/// A business failure; always HTTP 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `{"result":"error","message":…}`.
    Error(String),
    /// `{"status":"error","message":…}`: GetEmails.
    Status(String),
    /// `{"warning":…}` alone: nothing was done.
    Warning(String),
}

/// The usual refusal.
pub fn refuse<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Error(message.into()))
}

/// The usual refusal, for `ok_or_else`.
pub fn error(message: &str) -> impl FnOnce() -> Refusal {
    let message = message.to_owned();
    move || Refusal::Error(message)
}

/// Two places, dot, no grouping.
pub fn money(amount: Decimal) -> String {
    format!("{:.2}", cents(amount))
}

/// Three places.
pub fn rate(amount: Decimal) -> String {
    format!("{amount:.3}")
}

/// `Y-m-d`, or the zero date.
pub fn date(day: Option<NaiveDate>) -> String {
    day.map_or_else(|| "0000-00-00".to_owned(), |day| day.format("%Y-%m-%d").to_string())
}

/// `Y-m-d H:i:s`, or the zero instant.
pub fn date_time(at: Option<NaiveDateTime>) -> String {
    at.map_or_else(|| "0000-00-00 00:00:00".to_owned(), |at| at.format("%Y-%m-%d %H:%M:%S").to_string())
}

/// A window of a list.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    pub start: u64,
    pub limit: u64,
}

impl Page {
    /// `limitstart` and `limitnum`, 0 and 25 by default.
    pub fn of(params: &Params) -> Self {
        Self { start: params.number("limitstart").unwrap_or(0), limit: params.id("limitnum").unwrap_or(25) }
    }

    /// The rows inside the window.
    pub fn cut<T>(self, rows: impl Iterator<Item = T>) -> Vec<T> {
        let as_usize = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        rows.skip(as_usize(self.start)).take(as_usize(self.limit)).collect()
    }

    /// The three counters, and the list under its plural and singular names.
    pub fn answer(self, total: u64, plural: &str, singular: &str, rows: Vec<Value>) -> Value {
        json!({
            "totalresults": total,
            "startnumber": self.start,
            "numreturned": rows.len(),
            plural: { singular: rows },
        })
    }
}

/// Whether a text begins with another, without regard to case.
pub fn has_prefix(text: &str, prefix: &str) -> bool {
    text.to_lowercase().starts_with(&prefix.to_lowercase())
}

/// Writes the fields of `from` (an object) into `into`.
pub fn extend(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}
