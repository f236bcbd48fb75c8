//! Secrets and personal data: types that do not print, masks for what must be shown, and files of our own secrets.

use std::{fs, io, io::Write, path::Path};

use uuid::Uuid;

pub use secrecy::{ExposeSecret, SecretString};

/// What the file holds; if it is not there, it is made first, readable by its owner only. Of two
/// processes that start together one makes it, and both use that.
///
/// # Errors
/// When the file can be neither made nor read.
pub fn keep(file: &Path, make: impl FnOnce() -> String) -> io::Result<SecretString> {
    if !file.exists() {
        let draft = file.with_extension(Uuid::now_v7().simple().to_string());
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut open = fs::OpenOptions::new();
        open.create_new(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
        open.open(&draft)?.write_all(make().as_bytes())?;
        let linked = fs::hard_link(&draft, file);
        fs::remove_file(&draft)?;
        linked.or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Ok(()),
            _ => Err(error),
        })?;
    }
    fs::read_to_string(file).map(SecretString::from)
}

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
