//! A mail that was taken, and what a reader makes of it.

use chrono::{DateTime, Utc};
use mail_parser::{HeaderValue, Message, MessageParser, PartType};
use serde::Serialize;

/// Headers that the page shows.
const SHOWN: [&str; 9] = [
    "From",
    "To",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "Content-Language",
    "Content-Type",
];

/// Digits of a one-time code.
const DIGITS: usize = 6;

/// A mail that was taken. In the JSON of the admin endpoint the raw bytes are left out.
#[derive(Clone, Debug, Serialize)]
pub struct Mail {
    /// Its number, from 1, ascending.
    pub id: u64,
    /// When it was taken, on the sandbox's clock.
    pub received_at: DateTime<Utc>,
    /// The sender of the envelope.
    pub from: String,
    /// The recipients of the envelope.
    pub to: Vec<String>,
    /// Decoded; empty when there is none.
    pub subject: String,
    /// Without angle brackets.
    pub message_id: Option<String>,
    /// The telling headers, decoded, in the order of their standard.
    pub headers: Vec<(&'static str, String)>,
    /// The plain part, decoded.
    pub text: Option<String>,
    /// The HTML part, decoded.
    pub html: Option<String>,
    /// The first six digits that stand alone in the plain part.
    pub code: Option<String>,
    /// The addresses of web pages in the plain part.
    pub links: Vec<String>,
    /// The mail as it travelled, without its dot-stuffing.
    #[serde(skip)]
    pub raw: Vec<u8>,
}

impl Mail {
    /// Reads what was sent. What cannot be read stays empty.
    pub(super) fn read(received_at: DateTime<Utc>, from: String, to: Vec<String>, raw: Vec<u8>) -> Self {
        let mut mail = Self {
            id: 0,
            received_at,
            from,
            to,
            subject: String::new(),
            message_id: None,
            headers: Vec::new(),
            text: None,
            html: None,
            code: None,
            links: Vec::new(),
            raw,
        };
        // Taken out for as long as it is read; nothing can be read of an empty mail.
        let raw = std::mem::take(&mut mail.raw);
        if let Some(read) = MessageParser::default().parse(&raw) {
            mail.fill(&read);
        }
        mail.raw = raw;
        mail
    }

    fn fill(&mut self, read: &Message<'_>) {
        // Only what the mail itself holds; the parser would make one form from the other.
        self.text = read.text_bodies().find_map(|part| match &part.body {
            PartType::Text(text) => Some(text.to_string()),
            _ => None,
        });
        self.html = read.html_bodies().find_map(|part| match &part.body {
            PartType::Html(html) => Some(html.to_string()),
            _ => None,
        });
        let header = |name: &'static str| {
            let decoded = match read.header(name) {
                Some(HeaderValue::Text(text)) => Some(text.to_string()),
                Some(_) => read.header_raw(name).map(|raw| raw.trim().replace("\r\n", "")),
                None => None,
            };
            decoded.map(|value| (name, value))
        };
        self.subject = read.subject().unwrap_or_default().to_owned();
        self.message_id = read.message_id().map(str::to_owned);
        self.headers = SHOWN.into_iter().filter_map(header).collect();
        let plain = self.text.as_deref().unwrap_or_default();
        (self.code, self.links) = (code(plain), links(plain));
    }

    /// Whether it went to an address, without regard to case.
    pub fn is_to(&self, address: &str) -> bool {
        self.to.iter().any(|to| to.eq_ignore_ascii_case(address))
    }
}

fn code(text: &str) -> Option<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .find(|word| word.len() == DIGITS && word.bytes().all(|b| b.is_ascii_digit()))
        .map(str::to_owned)
}

fn links(text: &str) -> Vec<String> {
    text.split_whitespace()
        .filter(|word| word.starts_with("https://") || word.starts_with("http://"))
        .map(str::to_owned)
        .collect()
}
