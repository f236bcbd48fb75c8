//! A mail's parts in order, and their two renderings.

use askama::Template;

use crate::mail::{Language, Mail, Settings, english, japanese};

/// A part of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A paragraph.
    Text(String),
    /// A code to be typed elsewhere.
    Code(String),
    /// A link to be followed.
    Link {
        /// What following it does.
        label: &'static str,
        /// Where it leads.
        url: String,
    },
    /// Names and values.
    Facts(Vec<(&'static str, String)>),
}

impl Part {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

/// What a message says in one language.
pub(super) struct Words {
    pub(super) subject: &'static str,
    pub(super) parts: Vec<Part>,
}

/// A mail before it is rendered.
pub(super) struct Letter<'a> {
    pub(super) language: &'static str,
    pub(super) subject: &'static str,
    parts: Vec<Part>,
    /// The name of the service.
    service: &'a str,
    footer: &'static str,
}

#[derive(Template)]
#[template(path = "mail/letter.txt", escape = "none")]
struct Text<'a> {
    letter: &'a Letter<'a>,
}

#[derive(Template)]
#[template(path = "mail/letter.html")]
struct Html<'a> {
    letter: &'a Letter<'a>,
}

impl<'a> Letter<'a> {
    pub(super) fn new(mail: &Mail, settings: &'a Settings) -> Self {
        let service = settings.name_in(mail.language);
        let (words, footer) = match mail.language {
            Language::English => (english::words(&mail.message), english::FOOTER),
            Language::Japanese => (japanese::words(&mail.message), japanese::FOOTER),
        };
        let Words { subject, parts } = words;
        Self { language: mail.language.tag(), subject, parts, service, footer }
    }

    /// As plain text.
    pub(super) fn text(&self) -> Result<String, askama::Error> {
        Text { letter: self }.render()
    }

    /// As HTML that loads nothing.
    pub(super) fn html(&self) -> Result<String, askama::Error> {
        Html { letter: self }.render()
    }
}
