//! Bodies in the three response types: JSON as PHP encodes it, minimal XML, and name-value pairs.

use std::io;

use serde::Serialize as _;
use serde_json::{Serializer, Value, ser::Formatter};

use crate::sandbox::whmcs::dialect::{Dialect, encode_entities};

/// `responsetype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseType {
    Json,
    Xml,
    /// Deprecated; also what comes when the parameter is left out.
    Nvp,
}

impl ResponseType {
    /// Reads the parameter.
    pub fn parse(text: Option<&str>) -> Self {
        match text.map(str::to_ascii_lowercase).as_deref() {
            Some("json") => Self::Json,
            Some("xml") => Self::Xml,
            _ => Self::Nvp,
        }
    }

    /// The header that goes with it.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Xml => "application/xml; charset=utf-8",
            Self::Nvp => "text/plain; charset=utf-8",
        }
    }

    /// The body of an answer.
    pub fn body(self, action: &str, answer: &Value, dialect: &Dialect) -> String {
        match self {
            Self::Json => json(answer, dialect),
            Self::Xml => xml(action, answer),
            Self::Nvp => nvp(answer),
        }
    }
}

/// PHP's `json_encode` with the dialect's flags.
pub fn json(answer: &Value, dialect: &Dialect) -> String {
    let mut out = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut out, Php { dialect });
    match answer.serialize(&mut serializer) {
        Ok(()) => String::from_utf8(out).unwrap_or_default(),
        Err(_) => String::new(),
    }
}

struct Php<'a> {
    dialect: &'a Dialect,
}

impl Formatter for Php<'_> {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        let mut plain = 0;
        for (at, c) in text.char_indices() {
            let escape = match c {
                '&' | '\'' | '<' | '>' => self.dialect.hex_escapes,
                '/' => self.dialect.escaped_slashes,
                other => !other.is_ascii() && self.dialect.unicode_escapes,
            };
            if escape {
                writer.write_all(&text.as_bytes()[plain..at])?;
                plain = at + c.len_utf8();
                if c == '/' {
                    writer.write_all(b"\\/")?;
                } else if c.is_ascii() {
                    write!(writer, "\\u{:04X}", u32::from(c))?;
                } else {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        write!(writer, "\\u{unit:04x}")?;
                    }
                }
            }
        }
        writer.write_all(&text.as_bytes()[plain..])
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: serde_json::ser::CharEscape,
    ) -> io::Result<()> {
        use serde_json::ser::CharEscape as E;
        match escape {
            E::Quote if self.dialect.hex_escapes => writer.write_all(b"\\u0022"),
            E::Quote => writer.write_all(b"\\\""),
            E::ReverseSolidus => writer.write_all(b"\\\\"),
            E::Solidus => writer.write_all(b"\\/"),
            E::Backspace => writer.write_all(b"\\b"),
            E::FormFeed => writer.write_all(b"\\f"),
            E::LineFeed => writer.write_all(b"\\n"),
            E::CarriageReturn => writer.write_all(b"\\r"),
            E::Tab => writer.write_all(b"\\t"),
            E::AsciiControl(byte) => write!(writer, "\\u{byte:04x}"),
        }
    }
}

/// Root `whmcsapi`, the action, the verdict, then the same names; lists repeat the singular element.
fn xml(action: &str, answer: &Value) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<whmcsapi version=\"8.13.1\">\n");
    element(&mut out, "action", &Value::from(action.to_ascii_lowercase()));
    if let Value::Object(map) = answer {
        if let Some(result) = map.get("result") {
            element(&mut out, "result", result);
        }
        for (name, value) in map.iter().filter(|(name, _)| *name != "result") {
            element(&mut out, name, value);
        }
    }
    out.push_str("</whmcsapi>\n");
    out
}

fn element(out: &mut String, name: &str, value: &Value) {
    let tag = tag_name(name);
    match value {
        Value::Array(rows) => rows.iter().for_each(|row| element(out, name, row)),
        Value::Object(map) => {
            out.push_str(&format!("<{tag}>\n"));
            map.iter().for_each(|(k, v)| element(out, k, v));
            out.push_str(&format!("</{tag}>\n"));
        }
        scalar => {
            let text: String = scalar_text(scalar).chars().filter(|c| is_xml_char(*c)).collect();
            out.push_str(&format!("<{tag}>{}</{tag}>\n", encode_entities(&text)));
        }
    }
}

fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r') || (c >= ' ' && !matches!(c, '\u{FFFE}' | '\u{FFFF}'))
}

/// An element name: keys that XML does not allow (dates, currency codes with spaces) get an underscore.
fn tag_name(key: &str) -> String {
    let mut name: String = key
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '_' })
        .collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        name.insert(0, '_');
    }
    name
}

fn nvp(answer: &Value) -> String {
    let mut out = String::new();
    if let Value::Object(map) = answer {
        map.iter().for_each(|(k, v)| pairs(&mut out, k, v));
    }
    out
}

fn pairs(out: &mut String, name: &str, value: &Value) {
    match value {
        Value::Array(rows) => {
            rows.iter().enumerate().for_each(|(i, row)| pairs(out, &format!("{name}[{i}]"), row));
        }
        Value::Object(map) => map.iter().for_each(|(k, v)| pairs(out, &format!("{name}[{k}]"), v)),
        scalar => out.push_str(&format!("{name}={};", scalar_text(scalar))),
    }
}

fn scalar_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "1".to_owned(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_escaped_as_php_escapes_it() {
        let answer = json!({"m": "a \"b\" & 'c' <d>/\u{e9}\u{1F600}\n"});
        assert_eq!(
            json(&answer, &Dialect::default()),
            r#"{"m":"a \u0022b\u0022 \u0026 \u0027c\u0027 \u003Cd\u003E\/\u00e9\ud83d\ude00\n"}"#
        );
        let plain = Dialect {
            hex_escapes: false,
            escaped_slashes: false,
            unicode_escapes: false,
            ..Dialect::default()
        };
        assert_eq!(json(&answer, &plain), "{\"m\":\"a \\\"b\\\" & 'c' <d>/\u{e9}\u{1F600}\\n\"}");
    }

    #[test]
    fn xml_repeats_the_singular_and_is_well_formed() {
        let answer =
            json!({"result": "success", "users": {"user": [{"id": 1}, {"id": 2}]}, "2025-01-01": "a&b"});
        assert_eq!(
            ResponseType::Xml.body("GetX", &answer, &Dialect::default()).lines().skip(1).collect::<String>(),
            "<whmcsapi version=\"8.13.1\"><action>getx</action><result>success</result>\
             <_2025-01-01>a&amp;b</_2025-01-01><users><user><id>1</id></user><user><id>2</id></user></users></whmcsapi>"
        );
    }

    #[test]
    fn pairs_flatten_nested_names() {
        let answer = json!({"a": {"b": [{"c": 1}]}, "result": "success"});
        assert_eq!(ResponseType::Nvp.body("X", &answer, &Dialect::default()), "a[b][0][c]=1;result=success;");
    }
}
