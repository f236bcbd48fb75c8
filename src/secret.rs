//! Secrets and personal data: types that do not print, and masks for what must be shown.

pub use secrecy::{ExposeSecret, SecretString};

/// Masks an e-mail address for a log: `t***@example.jp`.
pub fn mask_email(email: &str) -> String {
    match email.split_once('@') {
        Some((name, host)) => format!("{}***@{host}", name.chars().next().unwrap_or('*')),
        None => "***".to_owned(),
    }
}

/// Keeps the last four characters of an identifier: `************3450`.
pub fn mask_tail(text: &str) -> String {
    let count = text.chars().count();
    let shown = if count > 8 { 4 } else { 0 };
    text.chars().enumerate().map(|(i, c)| if i + shown < count { '*' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tail_of_a_long_identifier_is_kept() {
        assert_eq!(mask_tail("8981100000000001234"), "***************1234");
        assert_eq!(mask_tail("1234"), "****");
        assert_eq!(mask_email("taro@example.jp"), "t***@example.jp");
    }
}
