//! How one installation differs from the next in what it sends: typing, empty lists, escaping.
//!
//! Actions build answers in the mixed dialect; [`Dialect::apply`] turns them into any other.

use serde_json::{Map, Value};

/// The switches of an installation. The default is the commonest one.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// Numbers or numeric text.
    pub numbers: Numbers,
    /// What an empty list looks like.
    pub empty_lists: EmptyLists,
    /// Stored text is HTML-escaped once (`&amp;`, `&#039;`).
    pub entities: bool,
    /// Unset days and instants are `0000-00-00…`; otherwise JSON null.
    pub zero_dates: bool,
    /// `"`, `&`, `'`, `<`, `>` inside JSON text are `\u0022` and so on.
    pub hex_escapes: bool,
    /// `/` inside JSON text is `\/`.
    pub escaped_slashes: bool,
    /// Characters beyond ASCII are `\uXXXX`, as PHP's encoder does unless told otherwise.
    pub unicode_escapes: bool,
    /// A release before 8.0: `productids`, client ids from ValidateLogin, no `users`, no `qty`.
    pub legacy: bool,
    /// CapturePayment fails with a bare `warning` instead of an error.
    pub capture_warning: bool,
    /// The text `false` counts as true in parameters.
    pub php_truthiness: bool,
    /// Release 9.0: only Draft invoices may be edited.
    pub immutable_invoices: bool,
    /// An invoice gets its sequential number when it is paid.
    pub number_on_payment: bool,
}

/// Typing of ids and counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// By action, as most installations have it.
    Mixed,
    /// All numeric text, except `numreturned`, which clients add to their offset.
    Strings,
    /// All native numbers, as from PHP 8.1.
    Native,
}

/// What an empty list looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyLists {
    /// `""`, `[]` or `{"singular":[]}`, by action.
    PerAction,
    /// The key is left out.
    Missing,
    /// `{}`.
    Object,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            numbers: Numbers::Mixed,
            empty_lists: EmptyLists::PerAction,
            entities: true,
            zero_dates: true,
            hex_escapes: true,
            escaped_slashes: true,
            unicode_escapes: true,
            legacy: false,
            capture_warning: false,
            php_truthiness: true,
            immutable_invoices: false,
            number_on_payment: true,
        }
    }
}

/// Keys whose text is emitted as it is stored: message bodies, links, tokens, address headers.
const RAW: &[&str] = &[
    "message",
    "body",
    "lastlogin",
    "redirect_url",
    "remote_token",
    "to",
    "orderdata",
    "fraudoutput",
    "warning",
];

/// Lists that are `""` when they are empty.
const TEXT_WHEN_EMPTY: &[&str] = &["transactions", "domains", "products"];

/// Keys that hold ids and counts.
fn holds_number(key: &str) -> bool {
    matches!(
        key,
        "totalresults"
            | "startnumber"
            | "phonecc"
            | "qty"
            | "taxed"
            | "format"
            | "ordernum"
            | "currency"
            | "retry_count"
            | "pending"
            | "failed"
            | "allowSingleSignOn"
            | "allowqty"
            | "quantity_available"
            | "count"
            | "minqty"
            | "maxqty"
            | "relid"
            | "paymethodid"
            | "userid"
            | "clientid"
            | "orderid"
            | "invoiceid"
            | "serviceid"
            | "serverid"
            | "promoid"
            | "refundid"
            | "contactid"
            | "accountid"
            | "billingcid"
            | "groupid"
            | "transactionid"
            | "campaign_id"
            | "pid"
            | "gid"
            | "id"
            | "owner_id"
            | "addonid"
    ) || key.ends_with("_id")
        || key.starts_with("num")
        || key.starts_with("products")
        || key.starts_with("orders_")
        || key.starts_with("tickets_")
}

impl Dialect {
    /// Turns an answer in the mixed dialect into this one.
    pub fn apply(&self, answer: Map<String, Value>) -> Value {
        match self.convert("", Value::Object(answer)) {
            Some(value) => value,
            None => Value::Object(Map::new()),
        }
    }

    /// The converted value; `None` leaves the key out.
    fn convert(&self, key: &str, value: Value) -> Option<Value> {
        if is_empty_list(key, &value) {
            return match self.empty_lists {
                EmptyLists::PerAction => Some(value),
                EmptyLists::Missing => None,
                EmptyLists::Object => Some(Value::Object(Map::new())),
            };
        }
        Some(match value {
            Value::Object(map) => Value::Object(
                map.into_iter()
                    .filter(|(k, _)| !(self.legacy && matches!(k.as_str(), "qty" | "users")))
                    .filter_map(|(k, v)| {
                        let v = self.convert(&k, v)?;
                        Some((if self.legacy && k == "serviceids" { "productids".to_owned() } else { k }, v))
                    })
                    .collect(),
            ),
            Value::Array(rows) => {
                Value::Array(rows.into_iter().filter_map(|row| self.convert(key, row)).collect())
            }
            Value::Number(number) if self.numbers == Numbers::Strings && key != "numreturned" => {
                Value::String(number.to_string())
            }
            Value::String(text) => self.text(key, text),
            other => other,
        })
    }

    fn text(&self, key: &str, text: String) -> Value {
        if !self.zero_dates && text.starts_with("0000-00-00") {
            return Value::Null;
        }
        if self.numbers == Numbers::Native && holds_number(key) && is_canonical_number(&text) {
            if let Ok(number) = text.parse::<u64>() {
                return number.into();
            }
        }
        if self.entities && !RAW.contains(&key) && text.contains(['&', '<', '>', '"', '\'']) {
            return Value::String(encode_entities(&text));
        }
        Value::String(text)
    }
}

fn is_canonical_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'))
}

fn is_empty_list(key: &str, value: &Value) -> bool {
    match value {
        Value::Array(rows) => rows.is_empty(),
        Value::Object(map) if map.len() == 1 => {
            map.values().all(|v| matches!(v, Value::Array(rows) if rows.is_empty()))
        }
        Value::String(text) => text.is_empty() && TEXT_WHEN_EMPTY.contains(&key),
        _ => false,
    }
}

/// PHP's `htmlspecialchars` with both quotes.
pub fn encode_entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#039;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn apply(dialect: &Dialect, value: Value) -> Value {
        match value {
            Value::Object(map) => dialect.apply(map),
            other => other,
        }
    }

    #[test]
    fn numbers_are_typed_by_the_switch() {
        let answer =
            || json!({"id": 1, "clientid": "42", "numreturned": 1, "total": "10.00", "postcode": "150"});
        let dialect = |numbers| Dialect { numbers, ..Dialect::default() };
        assert_eq!(apply(&dialect(Numbers::Mixed), answer()), answer());
        assert_eq!(
            apply(&dialect(Numbers::Strings), answer()),
            json!({"id": "1", "clientid": "42", "numreturned": 1, "total": "10.00", "postcode": "150"})
        );
        assert_eq!(
            apply(&dialect(Numbers::Native), answer()),
            json!({"id": 1, "clientid": 42, "numreturned": 1, "total": "10.00", "postcode": "150"})
        );
    }

    #[test]
    fn empty_lists_take_the_shape_of_the_switch() {
        let answer = || json!({"transactions": "", "paymethods": [], "credits": {"credit": []}, "notes": ""});
        let dialect = |empty_lists| Dialect { empty_lists, ..Dialect::default() };
        assert_eq!(apply(&dialect(EmptyLists::PerAction), answer()), answer());
        assert_eq!(apply(&dialect(EmptyLists::Missing), answer()), json!({"notes": ""}));
        assert_eq!(
            apply(&dialect(EmptyLists::Object), answer()),
            json!({"transactions": {}, "paymethods": {}, "credits": {}, "notes": ""})
        );
    }

    #[test]
    fn stored_text_is_escaped_once_and_bodies_are_not() {
        let answer =
            json!({"companyname": "A & B's \"x\"", "message": "<p>", "datepaid": "0000-00-00 00:00:00"});
        assert_eq!(
            apply(&Dialect { zero_dates: false, ..Dialect::default() }, answer),
            json!({"companyname": "A &amp; B&#039;s &quot;x&quot;", "message": "<p>", "datepaid": null})
        );
    }

    #[test]
    fn a_legacy_release_uses_the_old_names() {
        let legacy = Dialect { legacy: true, ..Dialect::default() };
        let answer = json!({"serviceids": "1,2", "qty": "1", "users": {"user": [1]}, "id": 1});
        assert_eq!(apply(&legacy, answer), json!({"productids": "1,2", "id": 1}));
    }
}
