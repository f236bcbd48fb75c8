//! How WHMCS writes JSON, read in one place: numbers as strings, amounts, zero dates, entities, and lists in all
//! their shapes. The same logical value decodes identically in every spelling.
//!
//! Each function serves as a `deserialize_with`. Source: WHMCS reference §1.8.

use std::{borrow::Cow, fmt, marker::PhantomData, str::FromStr};

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use rust_decimal::Decimal;
use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeSeed, Error, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor,
        value::MapAccessDeserializer,
    },
};
use serde_json::value::RawValue;

/// The text of a scalar: a string's content, a number's digits as sent, `1` or `0` for a boolean, none for null.
fn scalar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?.get();
    match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(raw).map(Cow::from).map(Some).map_err(D::Error::custom),
        Some(b'n') => Ok(None),
        Some(b't') => Ok(Some("1".into())),
        Some(b'f') => Ok(Some("0".into())),
        Some(b'[' | b'{') => Err(D::Error::custom("a list where one value is due")),
        _ => Ok(Some(raw.into())),
    }
}

/// The trimmed text of a scalar, none when it is empty.
fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(scalar(deserializer)?.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
}

/// A text, its entities decoded exactly once. Null is the empty text.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = scalar(deserializer)?.unwrap_or_default();
    Ok(html_escape::decode_html_entities(&text).into_owned())
}

/// A text, its entities decoded exactly once; none when it is empty.
pub(super) fn opt_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    text(deserializer).map(|text| Some(text).filter(|text| !text.is_empty()))
}

/// A number, or a string that holds one.
pub(super) fn number<'de, D: Deserializer<'de>, T: FromStr>(deserializer: D) -> Result<T, D::Error> {
    opt_number(deserializer)?.ok_or_else(|| D::Error::custom("no number"))
}

/// A number, or a string that holds one; none when it is empty or null.
pub(super) fn opt_number<'de, D: Deserializer<'de>, T: FromStr>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    word(deserializer)?
        .map(|word| word.parse().map_err(|_| D::Error::custom("not a number of the right kind")))
        .transpose()
}

/// An amount, from its digits and never by way of a float.
pub(super) fn decimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    let word = word(deserializer)?.ok_or_else(|| D::Error::custom("no amount"))?;
    Decimal::from_str_exact(&word)
        .or_else(|_| Decimal::from_scientific(&word))
        .map_err(|_| D::Error::custom("not an amount"))
}

/// A truth in any of PHP's spellings. Null and the empty text are false.
pub(super) fn boolean<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match word(deserializer)?.as_deref().map(str::to_ascii_lowercase).as_deref() {
        Some("1" | "on" | "true" | "yes") => Ok(true),
        None | Some("0" | "off" | "false" | "no") => Ok(false),
        Some(_) => Err(D::Error::custom("neither true nor false")),
    }
}

/// A day; none for a zero date. A time after it is dropped.
pub(super) fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NaiveDate>, D::Error> {
    Ok(datetime(deserializer)?.map(|at| at.date()))
}

/// A moment in the server's own time, which has no zone; none for a zero date. A day alone is its midnight.
pub(super) fn datetime<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<NaiveDateTime>, D::Error> {
    let Some(word) = word(deserializer)? else { return Ok(None) };
    // PHP formats a zero date that it has parsed as 30 November of the year -1.
    if word.starts_with("0000-00-00") || word.starts_with("-0001") {
        return Ok(None);
    }
    let at = match word.split_once([' ', 'T']) {
        Some(_) => NaiveDateTime::parse_from_str(&word.replacen('T', " ", 1), "%Y-%m-%d %H:%M:%S"),
        None => NaiveDate::parse_from_str(&word, "%Y-%m-%d").map(|day| day.and_time(NaiveTime::MIN)),
    };
    at.map(Some).map_err(|_| D::Error::custom("not a date"))
}

/// A flat list: an array, an object with numbers for keys, a single object, `""`, `{}` or null.
pub(super) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Rows { nested: false, row: PhantomData }.deserialize(deserializer)
}

/// A list of two levels, `{"invoices":{"invoice":[…]}}`; the inner level takes all shapes of [`list`], and the
/// outer one may be missing its inner level.
pub(super) fn nested<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Rows { nested: true, row: PhantomData }.deserialize(deserializer)
}

struct Rows<T> {
    nested: bool,
    row: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Rows<T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Rows<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E: Error>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<T>, E> {
        if text.trim().is_empty() { Ok(Vec::new()) } else { Err(E::custom("a text where a list is due")) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(row) = rows.next_element()? {
            list.push(row);
        }
        Ok(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut rows: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(key) = rows.next_key::<String>()? {
            if key.bytes().all(|byte| byte.is_ascii_digit()) {
                list.push(rows.next_value()?);
            } else if self.nested {
                list.extend(rows.next_value_seed(Rows { nested: false, row: PhantomData })?);
            } else if list.is_empty() {
                let row = MapAccessDeserializer::new(From { first: Some(key), rest: rows });
                return Ok(vec![T::deserialize(row)?]);
            } else {
                rows.next_value::<IgnoredAny>()?;
            }
        }
        Ok(list)
    }
}

/// An object whose first key has already been read.
struct From<A> {
    first: Option<String>,
    rest: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for From<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        match self.first.take() {
            Some(key) => seed.deserialize(key.into_deserializer()).map(Some),
            None => self.rest.next_key_seed(seed),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.rest.next_value_seed(seed)
    }
}
