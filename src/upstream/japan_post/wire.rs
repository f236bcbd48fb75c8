//! The service's answers, decoded.

use std::fmt;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de};

use crate::upstream::error::Kind;

/// The answer to client credentials.
#[derive(Debug, Deserialize)]
pub(super) struct Token {
    pub(super) token: SecretString,
    /// Seconds.
    pub(super) expires_in: u64,
}

/// Why a call was refused.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    pub(super) error_code: String,
    #[serde(default)]
    pub(super) message: String,
}

/// The answer to a search.
#[derive(Debug, Deserialize)]
pub(super) struct Found {
    #[serde(default)]
    addresses: Vec<Row>,
}

/// An address. Absent and empty values are the same.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Row {
    #[serde(deserialize_with = "code")]
    zip_code: Option<String>,
    pref_name: Option<String>,
    pref_kana: Option<String>,
    pref_roma: Option<String>,
    city_name: Option<String>,
    city_kana: Option<String>,
    city_roma: Option<String>,
    town_name: Option<String>,
    town_kana: Option<String>,
    town_roma: Option<String>,
    biz_name: Option<String>,
    biz_kana: Option<String>,
    biz_roma: Option<String>,
    block_name: Option<String>,
    other_name: Option<String>,
}

/// One address that a code stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The postal code, seven digits.
    pub zip_code: String,
    /// The prefecture.
    pub pref: Name,
    /// The city, with its ward or its county.
    pub city: Name,
    /// The town; `None` where the code covers what no other town does.
    pub town: Option<Name>,
    /// The organisation whose own code it is.
    pub biz: Option<Name>,
    /// Block numbers in Japanese, of an organisation or a digital address.
    pub block_name: Option<String>,
    /// Building and room in Japanese, of a digital address.
    pub other_name: Option<String>,
}

/// A name in its writings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// In Japanese.
    pub name: String,
    /// In katakana.
    pub kana: Option<String>,
    /// Romanised, in capitals: `YOKOHAMA-SHI NISHI-KU`.
    pub roma: Option<String>,
}

impl Name {
    fn read(name: Option<String>, kana: Option<String>, roma: Option<String>) -> Option<Self> {
        Some(Self { name: filled(name)?, kana: filled(kana), roma: filled(roma) })
    }
}

/// What the code `asked` stands for. An address of another postal code is never handed up.
pub(super) fn found(found: Found, asked: &str) -> Result<Vec<Address>, Kind> {
    let is_postal = asked.bytes().all(|byte| byte.is_ascii_digit());
    let address = |(at, row): (usize, Row)| {
        let wrong = |name: &str| Kind::Decode { path: format!("addresses[{at}].{name}") };
        let zip_code = filled(row.zip_code).ok_or_else(|| wrong("zip_code"))?;
        if zip_code.len() != 7 || (is_postal && zip_code != asked) {
            return Err(wrong("zip_code"));
        }
        Ok(Address {
            zip_code,
            pref: Name::read(row.pref_name, row.pref_kana, row.pref_roma)
                .ok_or_else(|| wrong("pref_name"))?,
            city: Name::read(row.city_name, row.city_kana, row.city_roma)
                .ok_or_else(|| wrong("city_name"))?,
            // Where no town has the code, the vendor's data say so in words, 以下に掲載がない場合.
            town: Name::read(row.town_name, row.town_kana, row.town_roma)
                .filter(|town| !town.name.starts_with("以下に掲載がない")),
            biz: Name::read(row.biz_name, row.biz_kana, row.biz_roma),
            block_name: filled(row.block_name),
            other_name: filled(row.other_name),
        })
    };
    found.addresses.into_iter().enumerate().map(address).collect()
}

fn filled(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// A postal code as text, or as a number that has lost its zeros.
fn code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    struct Code;
    impl de::Visitor<'_> for Code {
        type Value = Option<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a postal code")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(text.replace('-', "")))
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
            Ok(Some(format!("{number:07}")))
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }
    deserializer.deserialize_any(Code)
}
