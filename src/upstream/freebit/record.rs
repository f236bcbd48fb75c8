//! How Freebit writes JSON: names in changing case, numbers as strings, two-digit flags, days without hyphens.
//!
//! Inconsistent casing is a real property of the service, so a name is looked up without regard to case, under all
//! names that have been met. Source: Freebit reference §1.3, §1.4 and §2.4.

use chrono::NaiveDate;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::upstream::error::Kind;

/// An object whose names are all in lower case.
#[derive(Clone, Debug, Default)]
pub(super) struct Record(Map<String, Value>);

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(Self::from)
    }
}

impl From<Map<String, Value>> for Record {
    fn from(map: Map<String, Value>) -> Self {
        let mut record = Map::new();
        for (name, value) in map {
            // Both spellings may come at once: the one that says something stays.
            let place = record.entry(name.to_ascii_lowercase()).or_insert(Value::Null);
            if place.is_null() || place == "" {
                *place = value;
            }
        }
        Self(record)
    }
}

impl Record {
    fn find(&self, names: &[&str]) -> Option<&Value> {
        names
            .iter()
            .filter_map(|name| self.0.get(&name.to_ascii_lowercase()))
            .find(|value| !value.is_null() && *value != "")
    }

    /// A text or a number as text, under the first name that has one; `None` when absent, empty or neither.
    pub(super) fn text(&self, names: &[&str]) -> Option<String> {
        match self.find(names)? {
            Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// A two-digit flag: `10` is yes, `20` is no, anything else is unknown.
    pub(super) fn flag(&self, names: &[&str]) -> Option<bool> {
        match self.text(names)?.as_str() {
            "10" => Some(true),
            "20" => Some(false),
            _ => None,
        }
    }

    /// A whole number; `None` when absent.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Kind> {
        self.text(&[name]).map(|text| parse(&text, name)).transpose()
    }

    /// Whole numbers as an array, a list with commas or a single one; none when absent.
    pub(super) fn numbers(&self, name: &str) -> Result<Vec<u64>, Kind> {
        match self.find(&[name]) {
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| match item {
                    Value::Number(number) => parse(&number.to_string(), name),
                    Value::String(text) => parse(text, name),
                    _ => Err(wrong(name)),
                })
                .collect(),
            _ => match self.text(&[name]) {
                Some(text) => text.split(',').map(|item| parse(item, name)).collect(),
                None => Ok(Vec::new()),
            },
        }
    }

    /// A day in any of the three forms met; `None` when absent or all zeros.
    pub(super) fn date(&self, name: &str) -> Result<Option<NaiveDate>, Kind> {
        let Some(text) = self.text(&[name]) else { return Ok(None) };
        let digits = text.replace(['/', '-'], "");
        if digits.bytes().all(|digit| digit == b'0') {
            return Ok(None);
        }
        NaiveDate::parse_from_str(&digits, "%Y%m%d").map(Some).map_err(|_| wrong(name))
    }

    /// An object within.
    pub(super) fn record(&self, name: &str) -> Option<Self> {
        Some(self.find(&[name])?.as_object()?.clone().into())
    }

    /// The objects of a list; a single one counts as a list.
    pub(super) fn records(&self, name: &str) -> Result<Vec<Self>, Kind> {
        match self.find(&[name]) {
            None => Ok(Vec::new()),
            Some(Value::Object(one)) => Ok(vec![one.clone().into()]),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| item.as_object().cloned().map(Self::from).ok_or_else(|| wrong(name)))
                .collect(),
            Some(_) => Err(wrong(name)),
        }
    }
}

fn parse(text: &str, name: &str) -> Result<u64, Kind> {
    text.trim().parse().map_err(|_| wrong(name))
}

/// The value under this name has a shape that we do not know.
pub(super) fn wrong(name: &str) -> Kind {
    Kind::Decode { path: name.to_owned() }
}
