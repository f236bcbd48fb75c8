//! Where somebody is to show that they are a person (domain reference §7.2): after a few failures of an account, a device or
//! a network, or, where the operator wants that, of everybody who has no session.
//!
//! It stands beside the limits and spares none of them. So while the service that judges does not answer, people are let
//! through: a fault of a third party shuts nobody out, and guessing still waits. But whoever floods it, or uses its own limit
//! up, is let nowhere: what is shown counts for its network, and too much of it all told waits.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{
    Context, Identity, Inner,
    limits::{Doubted, Guess, Purpose, Secret},
    passwords::Admission,
    rejected,
};
use crate::{
    deadline::{Budget, Lane},
    error::{Result, UserError},
    secret::{ExposeSecret, SecretString},
    upstream::captcha::{Client, Kind, Verdict},
};

/// The service takes as long as its own time allows (`CAPTCHA_TIMEOUT`), but nobody waits longer for a sign-in.
const WITHIN: Duration = Duration::from_secs(20);
/// The longest token that is shown to it, in bytes; vendors promise 2,048.
const LONGEST: usize = 4_096;

const REQUIRED: UserError = UserError {
    code: "AUTH_CAPTCHA_REQUIRED",
    field: Vec::new(),
    message: "Please show that you are a person, and try again.",
};

/// When somebody is to show that they are a person.
#[derive(Clone, Debug)]
pub struct CaptchaSettings {
    /// The key of the widget, for frontends.
    pub site_key: String,
    /// Asked of everybody who begins something without a session, not only after failures.
    pub is_always_on: bool,
    /// Failures of an account or a device before it is asked; a network may have several times as many.
    pub after: u32,
    /// Hosts of the pages on which it may be solved; any when there are none.
    pub hostnames: Vec<String>,
}

/// The check, and when it is asked for.
pub(super) struct Captcha {
    client: Client,
    settings: CaptchaSettings,
}

impl Identity {
    /// When people are asked to show that they are; `None` where nobody is.
    pub fn captcha(&self) -> Option<&CaptchaSettings> {
        self.0.captcha.as_ref().map(|captcha| &captcha.settings)
    }

    /// Asks whoever begins something without a session to show that they are a person, where everybody is asked.
    ///
    /// # Errors
    /// [`crate::error::Error::Rejected`] with `AUTH_CAPTCHA_REQUIRED`; [`crate::error::Error::RateLimited`] when too many are
    /// shown.
    pub async fn check_person(&self, from: &Context) -> Result<()> {
        match &self.0.captcha {
            Some(captcha) if captcha.settings.is_always_on => self.0.ask_person(captcha, None, from).await,
            _ => Ok(()),
        }
    }
}

impl Inner {
    /// Counts a secret that is to be tried, for an account on its device or anywhere, and asks for a person first where too
    /// many were wrong. Whoever is asked gives up the place for a hash, since another service takes its time over it.
    ///
    /// # Errors
    /// [`crate::error::Error::Rejected`] with `AUTH_CAPTCHA_REQUIRED`; [`crate::error::Error::RateLimited`].
    pub(super) async fn guess(
        &self,
        secret: Secret,
        account: &[u8],
        device: Option<&[u8]>,
        place: &mut Option<Admission>,
        from: &Context,
        now: DateTime<Utc>,
    ) -> Result<Guess> {
        let doubt = match &self.captcha {
            None => Guess::default(),
            Some(captcha) => {
                let CaptchaSettings { after, is_always_on, .. } = captcha.settings;
                let (counted, is_asked) =
                    match self.gate.doubt(secret, account, device, after, from, now).await {
                        Doubted::Yes(counted) => (counted, true),
                        Doubted::No(counted) => (counted, is_always_on),
                    };
                let who = device.map(|device| [device, account].concat());
                if is_asked {
                    *place = None;
                    if let Err(refused) = self.ask_person(captcha, who.as_deref(), from).await {
                        self.gate.untried(counted).await;
                        return Err(refused);
                    }
                }
                counted
            }
        };
        match self.gate.guess_at(secret, account, device, from, now).await {
            Ok(guess) => Ok(guess.and(doubt)),
            Err(error) => {
                self.gate.untried(doubt).await;
                Err(error)
            }
        }
    }

    /// `known`: the device of an account on which that is tried. What is shown there counts there, and neighbours do not.
    async fn ask_person(&self, captcha: &Captcha, known: Option<&[u8]>, from: &Context) -> Result<()> {
        if let Some(token) = from.captcha.as_ref().filter(looks_like_one) {
            match known {
                Some(device) => {
                    self.gate.pass_account(Purpose::Captcha, device, from, self.now()).await?;
                }
                None => self.gate.pass(Purpose::Captcha, None, from, self.now()).await?,
            }
            if captcha.is_person(token, from).await? {
                return Ok(());
            }
        }
        let event = from.event("attempt", from.actor(), self.now()).refused(REQUIRED.code);
        self.gate.note_stranger(event, from, self.now()).await;
        Err(rejected(UserError { field: vec!["captchaToken"], ..REQUIRED }))
    }
}

impl Captcha {
    pub(super) fn new(settings: CaptchaSettings, client: Client) -> Self {
        Self { client, settings }
    }

    async fn is_person(&self, token: &SecretString, from: &Context) -> Result<bool> {
        let budget = Budget::new(WITHIN, Lane::Interactive);
        match self.client.verify(budget, token, from.address).await {
            Ok(Verdict { is_person, hostname }) => {
                let allowed = &self.settings.hostnames;
                let is_ours = |host: String| allowed.iter().any(|known| known.eq_ignore_ascii_case(&host));
                let is_ours = allowed.is_empty() || hostname.is_some_and(is_ours);
                if is_person && !is_ours {
                    tracing::warn!("a CAPTCHA was solved on a page that CAPTCHA_HOSTNAMES does not name");
                }
                Ok(is_person && is_ours)
            }
            Err(error) if matches!(error.kind, Kind::Shed { .. } | Kind::RateLimited { .. }) => {
                Err(error.into())
            }
            Err(error) => {
                tracing::warn!(%error, "nobody can say who is a person; people are let through");
                Ok(true)
            }
        }
    }
}

/// Whether a text may be a token: what a firewall before the service might stumble over is not shown to it.
fn looks_like_one(token: &&SecretString) -> bool {
    let token = token.expose_secret().as_bytes();
    (1..=LONGEST).contains(&token.len())
        && token.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte))
}
