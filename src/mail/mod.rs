//! Mails to people: what they say, in English and Japanese, and how they leave.
//!
//! A [`Mail`] is a typed value. It is put into the queue of jobs within the transaction of its cause, so it leaves exactly
//! when that is committed, and a restart loses none:
//!
//! ```ignore
//! let mail = Mail { to: email, language: Language::Japanese, message: Message::SignInCode { code, expires_at } };
//! jobs.put(&mut tx, &format!("sign-in:{challenge}"), &mail).await?;
//! tx.commit().await?;
//! jobs.wake();
//! ```
//!
//! Text and HTML are two renderings of one [`letter::Letter`], so they never say different things. Nothing in a mail is
//! loaded from elsewhere, and nothing tells us that it was read. A mail may leave twice when a try ended untold; both
//! carry the same `Message-ID`, made of the job's id.

mod english;
mod japanese;
mod letter;
mod mailer;
mod message;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use lettre::Address;
use serde::{Deserialize, Serialize};

pub use self::{
    mailer::{Error, Mailer},
    message::{Message, Proof, SecondFactor},
};
use crate::{jobs::Job, secret::SecretString};

/// A language of mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    /// English.
    #[serde(rename = "en")]
    English,
    /// Japanese.
    #[serde(rename = "ja")]
    Japanese,
}

impl Language {
    /// Reads a user's locale; whatever is not `ja` is English.
    pub fn of(locale: &str) -> Self {
        if locale == "ja" { Self::Japanese } else { Self::English }
    }

    /// As `lang` and `Content-Language` spell it.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Japanese => "ja",
        }
    }
}

/// A mail to one person. It prints neither the address nor what it says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// The address, without a name.
    pub to: String,
    /// In which language.
    pub language: Language,
    /// What it says.
    pub message: Message,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("language", &self.language).field("message", &self.message).finish()
    }
}

impl Job for Mail {
    const KIND: &'static str = "mail";

    /// A code or a link that is good no more would only confuse.
    fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.message.expires_at()
    }
}

/// How mails leave, and under which name.
#[derive(Clone)]
pub struct Settings {
    /// The mail server: `smtps://user:password@host:465`, or `smtp://user:password@host:587?tls=required`. Without
    /// `tls` it is spoken to in plaintext. A secret: it holds a password.
    pub url: SecretString,
    /// The address that mails come from.
    pub from: Address,
    /// Where answers go; to `from` when there is none.
    pub reply_to: Option<Address>,
    /// The name of the service, as sender and in the text, in English.
    pub name: String,
    /// The same in Japanese.
    pub name_japanese: String,
    /// How long one exchange with the mail server may take.
    pub timeout: Duration,
    /// Connections to the mail server at most, on one replica.
    pub connections: u32,
    /// Tries of one mail.
    pub attempts: u32,
}

impl Settings {
    /// The name of the service in a language.
    fn name_in(&self, language: Language) -> &str {
        match language {
            Language::English => &self.name,
            Language::Japanese => &self.name_japanese,
        }
    }
}

/// Whether a mail server can be reached under such an address, and whether it is spoken to under TLS.
///
/// # Errors
/// What the address must be, as a sentence without the address.
pub fn uses_tls(url: &url::Url) -> Result<bool, &'static str> {
    let tls = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
    match (url.scheme(), tls.as_deref()) {
        _ if !url.has_host() => Err("must name a host"),
        ("smtps", None) | ("smtp", Some("required")) => Ok(true),
        ("smtp", None) => Ok(false),
        _ => Err("must be smtps://… or smtp://…?tls=required"),
    }
}
