//! Maps as the vendor takes them: PHP's `serialize`, in base64. Source: WHMCS reference §1.6.

use std::fmt::Write;

use base64::{Engine, prelude::BASE64_STANDARD};

/// Values of custom fields by their ids. Lengths count bytes, so any text may stand in it.
pub(super) fn custom_fields(fields: &[(u64, &str)]) -> String {
    let mut text = format!("a:{}:{{", fields.len());
    for (id, value) in fields {
        // Writing into a `String` does not fail.
        let _ = write!(text, "i:{id};s:{}:\"{value}\";", value.len());
    }
    text.push('}');
    BASE64_STANDARD.encode(text)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn lengths_count_bytes_and_nothing_is_escaped() {
        let plain = |fields: &[(u64, &str)]| {
            String::from_utf8(BASE64_STANDARD.decode(custom_fields(fields)).unwrap()).unwrap()
        };
        assert_eq!(plain(&[]), "a:0:{}");
        assert_eq!(plain(&[(3, "ABC")]), r#"a:1:{i:3;s:3:"ABC";}"#);
        assert_eq!(
            plain(&[(198, "P1"), (203, r#"日本";i:9"#)]),
            r#"a:2:{i:198;s:2:"P1";i:203;s:11:"日本";i:9";}"#
        );
    }
}
