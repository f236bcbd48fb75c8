//! What is looked for, and in which forms.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::EMAIL;

/// So many digits stand in longer numbers and in hexadecimal ones by chance.
const FEW: usize = 7;

/// What must not be found, by what it is.
#[derive(Default)]
pub struct Canaries(Vec<(String, String)>);

impl Canaries {
    /// Plants a value, and gives it back.
    pub fn plant(&mut self, what: &str, value: impl Into<String>) -> String {
        let value = value.into();
        assert!(value.chars().count() >= 5, "{what} is too short to be told from chance: {value}");
        self.0.push((what.to_owned(), value.clone()));
        value
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// A token of an answer.
    pub fn token(&mut self, what: &str, value: &Value) -> String {
        self.plant(what, value.as_str().unwrap_or_else(|| panic!("{what}: {value}")))
    }

    /// Which are found, with what is around the first of each.
    pub fn found(&self, text: &str) -> Vec<String> {
        let lower = text.to_lowercase();
        let mut found = Vec::new();
        for (what, value) in &self.0 {
            let at = if value.len() <= FEW && value.bytes().all(|byte| byte.is_ascii_digit()) {
                // A code is six digits, and so are the microseconds of a time.
                let mut at = lower.match_indices(value.as_str()).map(|(at, _)| at);
                at.find(|at| stands_alone(&lower, *at, value.len()))
            } else {
                let plain = plain_forms(value).into_iter().find_map(|form| lower.find(&form));
                plain.or_else(|| base64_forms(value).into_iter().find_map(|form| text.find(&form)))
            };
            if let Some(at) = at {
                let start = (0..=at.saturating_sub(160)).rev().find(|at| text.is_char_boundary(*at));
                let around: String = text[start.unwrap_or(0)..].chars().take(400).collect();
                found.push(format!("{what}: …{around}…"));
            }
        }
        found
    }
}

fn stands_alone(text: &str, at: usize, length: usize) -> bool {
    let before = text[..at].chars().next_back();
    let after = text[at + length..].chars().next();
    let joins =
        |c: Option<char>, also: &str| c.is_some_and(|c| c.is_ascii_alphanumeric() || also.contains(c));
    !joins(before, ".-_") && !joins(after, "-_")
}

/// In lower case: as it is, as an address has it, in hex, and as JSON inside of JSON or Rust's debug form has it.
fn plain_forms(value: &str) -> Vec<String> {
    let form = url::form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>();
    let forms = [
        value.to_owned(),
        utf8_percent_encode(value, NON_ALPHANUMERIC).to_string(),
        form,
        hex::encode(value),
        value.escape_default().to_string(),
    ];
    forms.into_iter().map(|form| form.to_lowercase()).collect()
}

/// In base64, wherever in a longer text it begins.
fn base64_forms(value: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for before in 0..3 {
        let bytes = [&vec![0; before][..], value.as_bytes()].concat();
        // What depends on the neighbours is left out.
        let whole = bytes.len() / 3 * 3;
        for text in
            [BASE64_STANDARD_NO_PAD.encode(&bytes[..whole]), BASE64_URL_SAFE_NO_PAD.encode(&bytes[..whole])]
        {
            forms.push(text[if before == 0 { 0 } else { 4 }..].to_owned());
        }
    }
    forms.retain(|form| form.len() >= 6);
    forms
}

#[test]
fn a_planted_leak_is_found_in_every_form() {
    let mut canaries = Canaries::default();
    canaries.plant("address", EMAIL);
    canaries.plant("code", "482913");
    let clean = "2026-11-28T00:00:00.482913Z  INFO answered id=1482913 took 0.482913 s, a482913b";
    assert_eq!(canaries.found(clean), [""; 0]);
    let encoded = |bytes: &str| BASE64_STANDARD_NO_PAD.encode(bytes);
    for leak in [
        EMAIL.to_owned(),
        EMAIL.to_uppercase(),
        hex::encode(EMAIL),
        hex::encode_upper(EMAIL),
        EMAIL.replace('@', "%40"),
        utf8_percent_encode(EMAIL, NON_ALPHANUMERIC).to_string(),
        encoded(EMAIL),
        encoded(&format!("{{\"sub\":\"{EMAIL}\"}}")),
        encoded(&format!("{{\"emai\":\"{EMAIL}\"}}")),
        encoded(&format!("{{\"email\":\"{EMAIL}\"}}")),
    ] {
        let found = canaries.found(&format!("{clean}\nINFO mailed to={leak} \n"));
        assert_eq!(found.len(), 1, "{leak}");
    }
    assert_eq!(canaries.found("mailed code=482913").len(), 1);
    assert_eq!(canaries.found("\"code\":\"482913\"").len(), 1);
}
