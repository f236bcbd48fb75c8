//! Which passwords may be chosen (requirement A1): long enough, and not easily guessed. Nothing else is asked of them.

use zxcvbn::{Score, zxcvbn};

use crate::{
    error::{Error, Result, UserError},
    secret::{ExposeSecret, SecretString},
};

/// Characters at least; any of Unicode, none required.
const MIN_LENGTH: usize = 12;
/// Characters at most.
const MAX_LENGTH: usize = 128;
/// Below it, a password falls to a list of common ones, to the words of its context, or to their usual disguises.
const LEAST: Score = Score::Three;
/// Letters and digits of a password, at least, that are not of its context.
const BEYOND: usize = 6;
/// What everybody here would try first.
const CONTEXT: [&str; 6] = ["portal", "internet", "mobile", "password", "pasuwado", "whmcs"];

/// Whether a new password is acceptable. `words` are those that somebody who knows its owner would try, such as the
/// address; `field` is named when it is not. A long password takes milliseconds, so it is judged off the async threads, as
/// hashes are.
///
/// # Errors
/// [`Error::Rejected`] with `PASSWORD_LENGTH` or `PASSWORD_GUESSABLE`.
pub(super) async fn check(password: SecretString, words: Vec<String>, field: &'static str) -> Result<()> {
    let judged = tokio::task::spawn_blocking(move || {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        judge(&password, &words, field)
    });
    judged.await.map_err(Error::internal)?
}

fn judge(password: &SecretString, words: &[&str], field: &'static str) -> Result<()> {
    let text = password.expose_secret();
    let refuse = |code, message| Err(Error::Rejected(vec![UserError { code, field: vec![field], message }]));
    if !(MIN_LENGTH..=MAX_LENGTH).contains(&text.chars().count()) {
        return refuse("PASSWORD_LENGTH", "A password has 12 to 128 characters.");
    }
    let parts = words.iter().flat_map(|word| word.split(|c: char| !c.is_alphanumeric()));
    let words: Vec<_> =
        words.iter().copied().chain(parts).chain(CONTEXT).filter(|word| word.chars().count() > 2).collect();
    if zxcvbn(text, &words).score() < LEAST || is_made_of(text, &words) {
        return refuse("PASSWORD_GUESSABLE", "This password is easy to guess. Please choose another.");
    }
    Ok(())
}

/// Whether hardly anything is left of a password without some words.
fn is_made_of(password: &str, words: &[&str]) -> bool {
    let mut words: Vec<_> = words.iter().map(|word| word.to_lowercase()).collect();
    words.sort_unstable_by_key(|word| std::cmp::Reverse(word.len()));
    let left = words.iter().fold(password.to_lowercase(), |left, word| left.replace(word.as_str(), ""));
    left.chars().filter(|c| c.is_alphanumeric()).count() < BEYOND
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn verdict(password: &str, words: &[&str]) -> Option<&'static str> {
        match judge(&password.into(), words, "password") {
            Ok(()) => None,
            Err(Error::Rejected(errors)) => Some(errors.first().unwrap().code),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn the_length_is_counted_in_characters() {
        let long = "xq7Lw0zt".repeat(16);
        for (password, code) in [
            (&long[..11], Some("PASSWORD_LENGTH")),
            (&long[..12], None),
            ("本当に長い秘密の合言葉です", None),
            (&long, None),
            (&format!("{long}x"), Some("PASSWORD_LENGTH")),
        ] {
            assert_eq!(verdict(password, &[]), code, "{password}");
        }
    }

    #[test]
    fn what_is_easily_guessed_is_refused_and_nothing_else_is_asked() {
        for password in [
            "password1234",
            "P@ssw0rd1234",
            "qwertyuiopas",
            "aaaaaaaaaaaa",
            "123456789012",
            "iloveyouiloveyou",
            "abcdefghijkl",
            "portalportal",
        ] {
            assert_eq!(verdict(password, &[]), Some("PASSWORD_GUESSABLE"), "{password}");
        }
        for password in ["correct horse battery staple", "ohne zahlen und zeichen", "kxvqtzlpwmdh"] {
            assert_eq!(verdict(password, &[]), None, "{password}");
        }
        let own = ["hanako.yamada@example.jp"];
        assert_eq!(verdict("HanakoYamada1", &own), Some("PASSWORD_GUESSABLE"));
        assert_eq!(verdict("hanako.yamada@example.jp", &own), Some("PASSWORD_GUESSABLE"));
    }
}
