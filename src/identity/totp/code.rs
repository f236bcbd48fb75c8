//! The codes themselves: what an app shows, how it learns its secret, and what stands in for it.
//!
//! Six digits of HMAC-SHA-1 over steps of 30 seconds (RFC 6238): what every app takes; several quietly ignore anything else.

use chrono::{DateTime, Utc};
use qrcode::{EcLevel, QrCode, render::svg};
use subtle::ConstantTimeEq;
use totp_rs::{Builder, Totp};

use crate::{
    error::{Error, Result},
    secret::{ExposeSecret, SecretString},
};

/// Bytes of a secret: as many as the hash gives (RFC 4226).
const SECRET: usize = 20;
/// Seconds of a step.
const STEP: i64 = 30;
/// Steps by which the clock of an app may differ.
const SKEW: i64 = 1;
/// Digits of a code.
const DIGITS: usize = 6;

/// Characters of recovery codes: none that is taken for another.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Characters of a recovery code, 60 bits, and of each of its groups.
const RECOVERY: usize = 12;
const GROUP: usize = 4;

/// A secret that nobody can foresee.
pub(super) fn fresh() -> [u8; SECRET] {
    rand::random()
}

/// What is typed where a code is asked for.
#[derive(Clone)]
pub(super) enum Typed {
    /// Six digits.
    App(String),
    /// What has the form of a recovery code, without spaces and hyphens.
    Recovery(SecretString),
}

/// Reads what is typed; `None` when it can be neither.
pub(super) fn read(typed: &SecretString) -> Option<Typed> {
    let typed: String = typed
        .expose_secret()
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .take(RECOVERY + 1)
        .map(|c| c.to_ascii_uppercase())
        .collect();
    if typed.len() == DIGITS && typed.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Typed::App(typed));
    }
    (typed.len() == RECOVERY && typed.bytes().all(|byte| ALPHABET.contains(&byte)))
        .then(|| Typed::Recovery(typed.into()))
}

/// The secret of one app.
pub(super) struct App(Totp);

impl App {
    /// `service` and `account` are what the app calls it; a colon in them stands for a space, as it parts the two.
    pub(super) fn new(secret: &[u8], service: &str, account: &str) -> Result<Self> {
        let totp = Builder::new()
            .with_secret(secret.to_vec())
            .with_account_name(account.replace(':', " "))
            .with_issuer(Some(service.replace(':', " ")))
            .build();
        // The cause would quote what it holds.
        totp.map(Self).map_err(|_| Error::internal("a secret of an app cannot be used"))
    }

    /// The step after `last` whose code this is, of those around an instant.
    pub(super) fn step(&self, code: &str, last: i64, at: DateTime<Utc>) -> Option<i64> {
        let now = at.timestamp().div_euclid(STEP);
        let mut found = None;
        // All are compared, so that the time tells nothing.
        for step in now - SKEW..=now + SKEW {
            let is_it = bool::from(self.code(step).as_bytes().ct_eq(code.as_bytes()));
            if is_it && step > last {
                found = Some(step);
            }
        }
        found
    }

    fn code(&self, step: i64) -> String {
        self.0.generate(u64::try_from(step * STEP).unwrap_or_default()).to_string()
    }

    /// For apps, as an address.
    pub(super) fn uri(&self) -> Result<SecretString> {
        let uri = self.0.to_url();
        uri.map(SecretString::from).map_err(|_| Error::internal("an app cannot be named"))
    }

    /// For people who type it, in base32.
    pub(super) fn base32(&self) -> SecretString {
        self.0.secret().to_base32().into()
    }

    /// The address as a picture: SVG to be put into a page as it is.
    pub(super) fn qr(&self) -> Result<SecretString> {
        let uri = self.uri()?;
        let code = QrCode::with_error_correction_level(uri.expose_secret(), EcLevel::M)
            .map_err(|_| Error::internal("an address is too long for a picture"))?;
        let picture = code.render::<svg::Color<'_>>().min_dimensions(240, 240).build();
        // What stands before the element belongs to a file of its own.
        let element = picture.find("<svg").and_then(|at| picture.get(at..)).unwrap_or_default();
        Ok(element.to_owned().into())
    }
}

/// Recovery codes that nobody can foresee, as [`read`] gives them.
pub(super) fn recovery_codes(count: usize) -> Vec<SecretString> {
    let character = |byte: u8| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]);
    let code = || rand::random::<[u8; RECOVERY]>().map(character).iter().collect::<String>().into();
    (0..count).map(|_| code()).collect()
}

/// A recovery code in the form that people read: `ABCD-EFGH-JKLM`.
pub(super) fn shown(code: &SecretString) -> SecretString {
    let characters: Vec<_> = code.expose_secret().chars().collect();
    let groups: Vec<String> = characters.chunks(GROUP).map(|group| group.iter().collect()).collect();
    groups.join("-").into()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use chrono::TimeDelta;

    use super::*;

    fn app() -> App {
        App::new(b"12345678901234567890", "Example: Portal", "taro@example.jp").unwrap()
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    /// Source: RFC 6238, appendix B, of whose eight digits ours are the last six.
    #[test]
    fn the_codes_are_those_of_the_specification() {
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(app().step(code, 0, at(seconds)), Some(seconds / 30), "{seconds}");
        }
    }

    #[test]
    fn a_code_is_good_one_step_around_its_own_and_after_the_last_one_only() {
        let (app, own) = (app(), at(1_111_111_110));
        let step = own.timestamp() / 30;
        for (steps, is_good) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let now = own + TimeDelta::seconds(30 * steps);
            assert_eq!(app.step("050471", 0, now), is_good.then_some(step), "{steps}");
        }
        assert_eq!(app.step("050471", step - 1, own), Some(step));
        assert_eq!(app.step("050471", step, own), None, "it was used");
        assert_eq!(app.step("050472", 0, own), None);
        assert_eq!(app.step("", 0, own), None);
    }

    #[test]
    fn an_app_is_told_secret_service_and_account() {
        let uri = app().uri().unwrap();
        let uri = url::Url::parse(uri.expose_secret()).unwrap();
        assert_eq!((uri.scheme(), uri.host_str()), ("otpauth", Some("totp")));
        let query: std::collections::HashMap<_, _> = uri.query_pairs().into_owned().collect();
        assert_eq!(query["secret"], "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(query["issuer"], "Example  Portal");
        assert_eq!(app().base32().expose_secret(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert!(uri.path().contains("taro"), "{uri}");
        let picture = app().qr().unwrap();
        let picture = picture.expose_secret();
        assert!(picture.starts_with("<svg xmlns=") && picture.ends_with("</svg>"), "{picture}");
        for active in ["<script", "href", "url(", "<image", "<!"] {
            assert!(!picture.contains(active), "{active}");
        }
    }

    #[test]
    fn what_is_typed_is_read_however_it_is_spaced() {
        let app = |text: &str| matches!(read(&text.into()), Some(Typed::App(code)) if code == "050471");
        assert!(app("050471") && app(" 050 471 ") && app("050-471"));
        let codes = recovery_codes(10);
        for code in &codes {
            let shown = shown(code);
            let text = shown.expose_secret();
            assert_eq!((text.len(), text.matches('-').count()), (14, 2), "{text}");
            for typed in [text.to_owned(), text.to_lowercase(), text.replace('-', " ")] {
                let read = read(&typed.into());
                assert!(
                    matches!(read, Some(Typed::Recovery(read)) if read.expose_secret() == code.expose_secret())
                );
            }
        }
        let all: std::collections::HashSet<_> = codes.iter().map(ExposeSecret::expose_secret).collect();
        assert_eq!(all.len(), 10);
        for nonsense in
            ["", "05047", "0504711", "O50471", "ABCD-EFGH-JKL", "ABCD-EFGH-JKL0", &"A".repeat(100_000)]
        {
            assert!(read(&nonsense.into()).is_none(), "{nonsense:.20}");
        }
    }
}
