//! The parameters of one call, read the way PHP code reads them.

use chrono::{NaiveDate, NaiveDateTime};
use rust_decimal::{Decimal, prelude::ToPrimitive};

use crate::sandbox::whmcs::php::{Key, Php, PhpArray};
use crate::sandbox::whmcs::serialize;

/// Query and body of a call, merged.
#[derive(Clone, Debug, Default)]
pub struct Params {
    array: PhpArray,
    /// Whether the text `false` counts as true, as a plain PHP test has it.
    php_truthiness: bool,
}

impl Params {
    /// Wraps merged variables. `php_truthiness` is the dialect's switch.
    pub fn new(array: PhpArray, php_truthiness: bool) -> Self {
        Self { array, php_truthiness }
    }

    fn value(&self, name: &str) -> Option<&Php> {
        self.array.get(&Key::Text(name.to_owned()))
    }

    /// The scalar as sent, when the key is there at all.
    pub fn sent(&self, name: &str) -> Option<&str> {
        match self.value(name) {
            Some(Php::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The scalar, trimmed, when it is not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.sent(name).map(str::trim).filter(|text| !text.is_empty())
    }

    /// The scalar as a positive number, read as `(int)` does: leading digits count, text is nothing.
    pub fn id(&self, name: &str) -> Option<u64> {
        self.text(name).and_then(leading_number).filter(|id| *id > 0)
    }

    /// Like [`Params::id`], with 0 allowed.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name).and_then(leading_number)
    }

    /// A PHP truth test: absent, empty and `0` are false, all else is true.
    pub fn flag(&self, name: &str) -> bool {
        self.sent(name).is_some_and(|text| self.is_true(text))
    }

    /// The truth of a flag that was sent; `None` when it was left out.
    pub fn sent_flag(&self, name: &str) -> Option<bool> {
        self.sent(name).map(|text| self.is_true(text))
    }

    /// Whether a text counts as true.
    pub fn is_true(&self, text: &str) -> bool {
        !matches!(text, "" | "0")
            && (self.php_truthiness || !matches!(text.to_ascii_lowercase().as_str(), "false" | "off" | "no"))
    }

    /// A decimal amount; `None` when absent or not a number.
    pub fn amount(&self, name: &str) -> Option<Decimal> {
        self.text(name).and_then(|text| text.parse().ok())
    }

    /// A day (`Y-m-d`, with or without a time).
    pub fn date(&self, name: &str) -> Option<NaiveDate> {
        self.text(name).and_then(parse_date)
    }

    /// An instant in the installation's zone; a bare day means its midnight.
    pub fn date_time(&self, name: &str) -> Option<NaiveDateTime> {
        self.text(name).and_then(parse_date_time)
    }

    /// The key as an array, when it was sent as one.
    pub fn array(&self, name: &str) -> Option<&PhpArray> {
        match self.value(name) {
            Some(Php::Array(array)) => Some(array),
            _ => None,
        }
    }

    /// Entries of an array parameter, scalars as text; nothing when it was not sent as an array.
    pub fn entries(&self, name: &str) -> Vec<(Key, String)> {
        self.array(name)
            .into_iter()
            .flat_map(PhpArray::iter)
            .filter_map(|(k, v)| Some((k.clone(), v.to_text()?)))
            .collect()
    }

    /// Whether the key was sent in any form.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The map inside a base64 and `serialize` parameter: number of the key and text of the value.
    pub fn serialized(&self, name: &str) -> Vec<(Key, String)> {
        self.sent(name).map(decode_texts).unwrap_or_default()
    }

    /// The entry of an array parameter at an index.
    pub fn at(&self, name: &str, index: &Key) -> Option<String> {
        self.array(name)?.get(index)?.to_text()
    }

    /// Top-level names that begin with `stem` and go on with a number, in numeric order.
    pub fn numbered(&self, stem: &str) -> Vec<(u64, String)> {
        let mut found: Vec<_> = self
            .array
            .iter()
            .filter_map(|(k, v)| Some((k.to_string().strip_prefix(stem)?.parse().ok()?, v.to_text()?)))
            .collect();
        found.sort_by_key(|(number, _)| *number);
        found
    }
}

/// The scalars of a base64 and `serialize` map.
pub fn decode_texts(encoded: &str) -> Vec<(Key, String)> {
    let map = serialize::decode_map(encoded);
    map.iter().filter_map(|(k, v)| Some((k.clone(), v.to_text()?))).collect()
}

/// What `(int)` makes of a text, when it begins with digits.
pub fn leading_number(text: &str) -> Option<u64> {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

/// A key as an id.
pub fn key_id(key: &Key) -> Option<u64> {
    match key {
        Key::Int(number) => number.to_u64(),
        Key::Text(text) => leading_number(text),
    }
}

fn parse_date(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text.get(..10)?, "%Y-%m-%d").ok()
}

fn parse_date_time(text: &str) -> Option<NaiveDateTime> {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S")
        .ok()
        .or_else(|| parse_date(text).and_then(|day| day.and_hms_opt(0, 0, 0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::whmcs::php::parse_form;

    #[test]
    fn the_text_false_is_true_to_php() {
        let form = parse_form(b"a=false&b=0&c=&d=1");
        let php = Params::new(form.clone(), true);
        assert_eq!(["a", "b", "c", "d", "e"].map(|f| php.flag(f)), [true, false, false, true, false]);
        assert!(!Params::new(form, false).flag("a"));
    }

    #[test]
    fn numbers_are_read_like_an_int_cast() {
        let params = Params::new(parse_form(b"a=42&b=42abc&c=abc&d=0&e[]=1"), true);
        assert_eq!(["a", "b", "c", "d", "e"].map(|f| params.id(f)), [Some(42), Some(42), None, None, None]);
    }
}
