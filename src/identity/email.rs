//! An e-mail address in the form in which addresses are compared.

use crate::error::{Error, Result};

/// A normalised address: no space around it, lower case.
///
/// Lower case also before the `@`: no provider in use tells `Taro` from `taro`, and two accounts for one
/// mailbox would be worse.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Email(String);

impl Email {
    /// Reads what a person typed; `None` when it cannot be an address. Longest is 254 bytes (RFC 5321).
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > 254 || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return None;
        }
        let (name, host) = text.rsplit_once('@')?;
        (!name.is_empty() && !host.is_empty()).then(|| Self(text.to_lowercase()))
    }

    /// The normalised text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The same, given away.
    pub(super) fn into_string(self) -> String {
        self.0
    }
}

/// Reads an address to which something is to be mailed, so that it is refused here and not where nobody hears of it: in plain
/// letters, as billing and the CRM want it, and at a domain of more than one part.
///
/// # Errors
/// [`Error::BadInput`].
pub(super) fn read_email(email: &str) -> Result<Email> {
    let is_mailable = |email: &Email| {
        let host = email.0.rsplit_once('@').map_or("", |(_, host)| host);
        // A name: mail servers rarely take what is sent to a number.
        let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
            && host
                .rsplit('.')
                .next()
                .is_some_and(|last| last.bytes().any(|byte| byte.is_ascii_alphabetic()));
        is_name && email.0.is_ascii() && host.contains('.') && email.0.parse::<lettre::Address>().is_ok()
    };
    let refused = Error::BadInput { argument: "email", reason: "is not an e-mail address" };
    Email::parse(email).filter(is_mailable).ok_or(refused)
}

#[cfg(test)]
mod tests {
    use super::{Email, read_email};

    #[test]
    fn what_no_mail_reaches_is_refused_before_anything_is_mailed() {
        for text in ["taro.yamada@example.jp", " Taro+portal@mail.example.co.jp ", "o'brien@example.jp"] {
            assert!(read_email(text).is_ok(), "{text}");
        }
        let unmailable = [
            "a@b",
            "a..b@example.jp",
            ".a@example.jp",
            "用户@example.jp",
            "a@例え.jp",
            "x@-a.jp",
            "b@127.0.0.1",
        ];
        for text in unmailable.into_iter().chain(["b@[127.0.0.1]", "b@[IPv6:::1]", "b@exa_mple.jp"]) {
            assert!(read_email(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spelling_does_not_matter_and_what_is_no_address_is_refused() {
        let read = |text: &str| Email::parse(text).map(|email| email.as_str().to_owned());
        assert_eq!(read("  Taro.Yamada@Example.JP ").as_deref(), Some("taro.yamada@example.jp"));
        for text in ["", "taro", "@example.jp", "taro@", "ta ro@example.jp", "taro\n@example.jp"] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(read(&format!("{}@example.jp", "a".repeat(250))), None);
    }
}
