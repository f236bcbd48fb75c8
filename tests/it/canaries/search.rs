//! What is looked for, and in which forms.

use std::collections::BTreeMap;

use aho_corasick::AhoCorasick;
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
        let mut found = BTreeMap::new();
        self.look(&lower, plain_forms, &mut found);
        self.look(text, base64_forms, &mut found);
        let tell = |(canary, around): (usize, String)| format!("{}: …{around}…", self.0[canary].0);
        found.into_iter().map(tell).collect()
    }

    /// Looks for some forms of all of them in one go.
    fn look(&self, text: &str, forms: fn(&str) -> Vec<String>, found: &mut BTreeMap<usize, String>) {
        let (mut patterns, mut whose) = (Vec::new(), Vec::new());
        for (canary, (_, value)) in self.0.iter().enumerate() {
            let more = forms(value);
            whose.extend(more.iter().map(|_| canary));
            patterns.extend(more);
        }
        let automaton = AhoCorasick::new(&patterns).unwrap();
        for hit in automaton.find_overlapping_iter(text) {
            let canary = whose[hit.pattern().as_usize()];
            if !found.contains_key(&canary)
                && (!is_code(&self.0[canary].1) || stands_alone(text, hit.start(), hit.len()))
            {
                let start = (0..=hit.start().saturating_sub(160)).rev().find(|at| text.is_char_boundary(*at));
                found.insert(canary, text[start.unwrap_or(0)..].chars().take(400).collect());
            }
        }
    }
}

/// A code is six digits, and so are the microseconds of a time.
fn is_code(value: &str) -> bool {
    value.len() <= FEW && value.bytes().all(|byte| byte.is_ascii_digit())
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
    if is_code(value) {
        return vec![value.to_owned()];
    }
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
    if is_code(value) {
        return Vec::new();
    }
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
