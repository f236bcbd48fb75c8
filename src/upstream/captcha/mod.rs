//! Whether it is a person who asks, and no program: the check ("siteverify") that Turnstile, hCaptcha and reCAPTCHA v2 have
//! in common.
//!
//! A widget in the browser gives a token; the check says, once for each token, whether it is good. Services that give marks
//! instead of an answer (reCAPTCHA v3) are not understood: their success means nothing. Source: the vendors' public references
//! ("Verify the response on the server side").

use std::{net::IpAddr, sync::Arc};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

pub use crate::upstream::error::Kind;
use crate::{
    deadline::Budget,
    error::Service,
    upstream::{
        error::Error,
        transport::{self, Answer, Call, Class, Transport},
    },
};

/// Codes that say that our own secret is at fault. One that does not fit the key of the widget is none of them: a token that
/// was solved for somebody else's key is answered so.
const OUR_FAULT: [&str; 2] = ["missing-input-secret", "invalid-input-secret"];
/// Codes that say that the service could not judge.
const THEIR_FAULT: [&str; 1] = ["internal-error"];

/// Where the service is, and as whom we ask.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The whole address of the check, such as `https://hcaptcha.com/siteverify`.
    pub verify_url: Url,
    /// The secret that belongs to the key of the widget.
    pub secret: SecretString,
    /// What the service can bear.
    pub transport: transport::Settings,
}

/// What the service says of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// A person solved it, within the time that the vendor allows, and it was shown for the first time.
    pub is_person: bool,
    /// The host of the page on which it was solved, if the vendor says so.
    pub hostname: Option<String>,
}

/// The answer of the check. Fields that we do not need are not read.
#[derive(Deserialize)]
struct Checked {
    success: bool,
    hostname: Option<String>,
    #[serde(default, rename = "error-codes")]
    error_codes: Option<Vec<String>>,
}

/// A client of the service. Clones share everything.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    transport: Transport,
    settings: Settings,
}

impl Client {
    /// Builds the client; asks nothing yet.
    ///
    /// # Errors
    /// As [`Transport::new`].
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let transport = Transport::new(Service::Captcha, "captcha", settings.transport.clone())?;
        Ok(Self(Arc::new(Inner { transport, settings })))
    }

    /// Asks what a token is worth, and uses it up: so it is asked once. `address` is where the person asks from.
    ///
    /// # Errors
    /// [`Kind::Session`] when our secret is refused; else as [`Transport::send`].
    pub async fn verify(
        &self,
        budget: Budget,
        token: &SecretString,
        address: Option<IpAddr>,
    ) -> Result<Verdict, Error> {
        let Inner { transport, settings } = &*self.0;
        let address = address.map(|address| address.to_canonical().to_string());
        let mut form = vec![("secret", settings.secret.expose_secret()), ("response", token.expose_secret())];
        form.extend(address.as_deref().map(|address| ("remoteip", address)));
        let call = Call { operation: "siteverify", class: Class::Write, budget };
        let build = |http: &reqwest::Client| http.post(settings.verify_url.clone()).form(&form);
        transport.send(call, build, |answer: Answer| judge(&answer)).await
    }

    /// Shows a token that nobody was given: the proof that address and secret are right.
    ///
    /// # Errors
    /// As [`Client::verify`].
    pub async fn warm_up(&self, budget: Budget) -> Result<(), Error> {
        self.verify(budget, &"nobody-was-given-this".into(), None).await.map(drop)
    }
}

fn judge(answer: &Answer) -> Result<Verdict, Kind> {
    // Some say with 400 what others say with 200: only the body tells.
    let Ok(checked) = answer.json::<Checked>() else {
        return Err(if answer.status.is_success() { Kind::Garbage } else { answer.status_kind() });
    };
    let codes = checked.error_codes.unwrap_or_default();
    let has = |known: &[&str]| codes.iter().any(|code| known.contains(&code.as_str()));
    if has(&OUR_FAULT) {
        return Err(Kind::Session);
    }
    if has(&THEIR_FAULT) {
        return Err(Kind::Unavailable { code: "internal-error".to_owned() });
    }
    Ok(Verdict { is_person: checked.success, hostname: checked.hostname })
}

#[cfg(test)]
mod tests;
