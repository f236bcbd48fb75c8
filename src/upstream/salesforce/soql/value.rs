//! Typed values and the literals they become.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use rust_decimal::Decimal;

use crate::id::{AccountId, CaseId, OrderId, RecordId};

/// The longest text literal that the vendor reads, in characters between the quotes.
const LONGEST_TEXT: usize = 4_000;

/// A value to compare a field with. There is no null among them: see
/// [`Filter::is_null`](super::Filter::is_null).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Any text but one with a NUL in it.
    Text(String),
    /// A record id.
    Id(RecordId),
    /// A number, for number, currency and percent fields.
    Number(Decimal),
    /// True or false.
    Flag(bool),
    /// A day; compares with date fields only.
    Day(NaiveDate),
    /// An instant; compares with datetime fields only. Read by the vendor to the millisecond.
    Instant(DateTime<Utc>),
}

impl Value {
    /// The literal, or why there is none.
    pub(super) fn literal(&self) -> Result<String, &'static str> {
        Ok(match self {
            Self::Text(text) => quoted(escape(text)?)?,
            Self::Id(id) => format!("'{id}'"),
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => if *flag { "TRUE" } else { "FALSE" }.to_owned(),
            Self::Day(day) => day.format("%Y-%m-%d").to_string(),
            Self::Instant(instant) => instant.to_rfc3339_opts(SecondsFormat::Millis, true),
        })
    }
}

/// Puts escaped text in quotes.
pub(super) fn quoted(escaped: String) -> Result<String, &'static str> {
    if escaped.chars().count() > LONGEST_TEXT {
        return Err("it is too long");
    }
    Ok(format!("'{escaped}'"))
}

/// Escapes text for a literal: first the backslash, then quotes and control characters.
///
/// `\b` is left alone, since the vendor reads it as a bell. `{` is escaped although the language does
/// not ask for it: in the URL of a composite subrequest `@{…}` refers to another subrequest.
pub(super) fn escape(text: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\0' => return Err("it holds a NUL"),
            '\\' | '\'' | '"' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '{' | '\u{2028}' | '\u{2029}' => out.push_str(&unit(c)),
            c if c.is_control() => out.push_str(&unit(c)),
            c => out.push(c),
        }
    }
    Ok(out)
}

/// Escapes text for a `LIKE` pattern, in which `%` and `_` stand for themselves.
pub(super) fn escape_like(text: &str) -> Result<String, &'static str> {
    // `escape` writes neither character, so each one found is the text's own.
    Ok(escape(text)?.replace('%', "\\%").replace('_', "\\_"))
}

fn unit(c: char) -> String {
    format!("\\u{:04X}", u32::from(c))
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

macro_rules! value_from {
    ($($type:ty => $make:expr;)*) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Self {
                let make: fn($type) -> Self = $make;
                make(value)
            }
        })*
    };
}

value_from! {
    String => Self::Text;
    &String => |text| Self::Text(text.clone());
    RecordId => Self::Id;
    AccountId => |id| Self::Id(id.0);
    OrderId => |id| Self::Id(id.0);
    CaseId => |id| Self::Id(id.0);
    Decimal => Self::Number;
    i32 => |number| Self::Number(number.into());
    i64 => |number| Self::Number(number.into());
    u32 => |number| Self::Number(number.into());
    u64 => |number| Self::Number(number.into());
    bool => Self::Flag;
    NaiveDate => Self::Day;
    DateTime<Utc> => Self::Instant;
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use chrono::TimeZone;
    use proptest::prelude::*;

    use super::*;

    /// Reads one literal as the reference's table of escapes says, sharing nothing with the writer.
    /// `None` unless the whole input is exactly one literal.
    fn read(literal: &str) -> Option<String> {
        let mut rest = literal.strip_prefix('\'')?;
        let mut units: Vec<u16> = Vec::new();
        loop {
            let c = rest.chars().next()?;
            rest = &rest[c.len_utf8()..];
            match c {
                '\'' => break,
                '\\' => {
                    let escaped = rest.chars().next()?;
                    rest = &rest[escaped.len_utf8()..];
                    units.push(match escaped {
                        '\'' | '"' | '\\' => escaped as u16,
                        'n' | 'N' => 10,
                        'r' | 'R' => 13,
                        't' | 'T' => 9,
                        'b' | 'B' => 7,
                        'f' | 'F' => 12,
                        'u' => {
                            let unit = u16::from_str_radix(rest.get(..4)?, 16).ok()?;
                            rest = &rest[4..];
                            unit
                        }
                        _ => return None,
                    });
                }
                c => units.extend(c.encode_utf16(&mut [0; 2]).iter()),
            }
        }
        rest.is_empty().then(|| String::from_utf16(&units).ok())?
    }

    /// Whether a `LIKE` pattern has a wildcard, and the text that it stands for without escapes.
    fn read_like(escaped: &str) -> (bool, String) {
        let mut chars = escaped.chars();
        let (mut wild, mut plain) = (false, String::new());
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some(c @ ('%' | '_')) => plain.push(c),
                    Some(c) => plain.extend(['\\', c]),
                    None => plain.push('\\'),
                },
                '%' | '_' => wild = true,
                c => plain.push(c),
            }
        }
        (wild, plain)
    }

    #[test]
    fn well_known_attacks_stay_text() {
        for text in [
            "O'Brien\\",
            "O\\'Brien",
            "' OR Name != '",
            "\\' OR Name LIKE '%",
            "\\\\' --",
            "a\"b",
            "line\nfeed\r\ttab\u{8}\u{7}\u{c}\u{7f}\u{85}\u{2028}",
            "@{other.records[0].Id}",
            "\\u0027 OR Id != null",
            "日本語 😀 \u{feff}",
            "%_",
            "",
        ] {
            let literal = Value::from(text).literal().unwrap();
            assert_eq!(read(&literal).as_deref(), Some(text));
        }
        assert_eq!(Value::from("O'Brien\\").literal().unwrap(), r"'O\'Brien\\'");
        assert!(!Value::from("@{a.b}").literal().unwrap().contains("@{"));
    }

    #[test]
    fn text_that_no_literal_carries_is_refused() {
        assert!(Value::from("a\0b").literal().is_err());
        assert!(Value::from("x".repeat(4_000)).literal().is_ok());
        assert!(Value::from("x".repeat(4_001)).literal().is_err());
        assert!(Value::from("'".repeat(2_001)).literal().is_err());
    }

    #[test]
    fn other_values_are_written_from_their_types() {
        let instant = Utc.with_ymd_and_hms(2026, 11, 20, 3, 4, 5).unwrap();
        for (value, literal) in [
            (Value::from(instant), "2026-11-20T03:04:05.000Z"),
            (Value::from(instant.date_naive()), "2026-11-20"),
            (Value::from(true), "TRUE"),
            (Value::from(-12_i64), "-12"),
            (Value::from(Decimal::new(12_345, 2)), "123.45"),
            (Value::from(RecordId::parse("00190000001pPvH").unwrap()), "'00190000001pPvHAAU'"),
        ] {
            assert_eq!(value.literal().unwrap(), literal);
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_its_literal(text in any::<String>()) {
            match Value::from(text.as_str()).literal() {
                Ok(literal) => prop_assert_eq!(read(&literal), Some(text)),
                Err(_) => prop_assert!(text.contains('\0') || text.chars().count() > 600),
            }
        }

        #[test]
        fn text_made_of_dangerous_characters_comes_back(text in "[\\\\'\"%_@{}\nnurbtf0-9A-F\\p{C}]{0,60}") {
            prop_assume!(!text.contains('\0'));
            let literal = Value::from(text.as_str()).literal().unwrap();
            prop_assert_eq!(read(&literal), Some(text));
        }

        #[test]
        fn no_wildcard_of_the_text_survives_in_a_pattern(text in "[\\\\'\"%_a-c\n]{0,40}") {
            let escaped = escape_like(&text).unwrap();
            let (wild, plain) = read_like(&escaped);
            prop_assert!(!wild);
            prop_assert_eq!(read(&format!("'{plain}'")), Some(text));
        }
    }
}
