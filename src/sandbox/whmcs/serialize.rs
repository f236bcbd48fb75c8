//! The subset of PHP `unserialize` that parameters use: scalars and arrays, inside base64.
//!
//! Lengths count bytes and are strict; depth and size are limited; objects (`O:`, `C:`) and
//! references are refused. Whatever cannot be read behaves like an empty map, as in the real system.

use base64::{Engine as _, alphabet, engine};

use crate::sandbox::whmcs::php::{Key, Php, PhpArray};

const MAX_BYTES: usize = 256 * 1024;
const MAX_DEPTH: usize = 16;

const BASE64: engine::GeneralPurpose = engine::GeneralPurpose::new(
    &alphabet::STANDARD,
    engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(engine::DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The map inside `base64(serialize(map))`; empty when the text is anything else.
pub fn decode_map(encoded: &str) -> PhpArray {
    try_decode_map(encoded).unwrap_or_default()
}

/// Like [`decode_map`], but tells an unreadable text (`None`) from an empty map.
pub fn try_decode_map(encoded: &str) -> Option<PhpArray> {
    // Like PHP's lenient decoder: characters outside the alphabet are skipped.
    let kept: String =
        encoded.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/')).collect();
    match unserialize(&BASE64.decode(kept).ok()?)? {
        Php::Array(array) => Some(array),
        _ => None,
    }
}

/// Reads one serialized value that fills the whole input.
pub fn unserialize(bytes: &[u8]) -> Option<Php> {
    if bytes.len() > MAX_BYTES {
        return None;
    }
    let mut reader = Reader { rest: bytes };
    let value = reader.value(0)?;
    reader.rest.is_empty().then_some(value)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Option<Php> {
        if depth > MAX_DEPTH {
            return None;
        }
        if self.eat(b"N;").is_some() {
            return Some(Php::Null);
        }
        let (kind, rest) = self.rest.split_at_checked(2)?;
        self.rest = rest;
        match kind {
            b"b:" => match self.until(b';')? {
                "0" => Some(Php::Bool(false)),
                "1" => Some(Php::Bool(true)),
                _ => None,
            },
            b"i:" => Some(Php::Int(self.until(b';')?.parse().ok()?)),
            b"d:" => Some(Php::Float(self.until(b';')?.parse().ok()?)),
            b"s:" => Some(Php::Text(self.text()?)),
            b"a:" => self.array(depth).map(Php::Array),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<String> {
        let length: usize = self.until(b':')?.parse().ok()?;
        self.eat(b"\"")?;
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        self.eat(b"\";")?;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    fn array(&mut self, depth: usize) -> Option<PhpArray> {
        let count: usize = self.until(b':')?.parse().ok()?;
        self.eat(b"{")?;
        let mut array = PhpArray::default();
        for _ in 0..count {
            let key = match self.value(MAX_DEPTH)? {
                Php::Int(number) => Key::Int(number),
                Php::Text(text) => Key::new(&text),
                _ => return None,
            };
            let value = self.value(depth + 1)?;
            array.set(key, value);
        }
        self.eat(b"}")?;
        Some(array)
    }

    fn eat(&mut self, expected: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(expected)?;
        Some(())
    }

    fn until(&mut self, end: u8) -> Option<&'a str> {
        let at = self.rest.iter().position(|b| *b == end)?;
        let (text, rest) = self.rest.split_at(at);
        self.rest = &rest[1..];
        std::str::from_utf8(text).ok()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn the_reference_example_decodes() {
        let map = decode_map("YToxOntpOjM7czozOiJBQkMiO30=");
        assert_eq!(map.get(&Key::Int(3)), Some(&Php::Text("ABC".to_owned())));
        assert_eq!(map, decode_map("YToxOntpOjM7czozOiJBQkMiO30"), "padding may be missing");
    }

    #[test]
    fn lengths_count_bytes() {
        assert_eq!(unserialize("s:6:\"山田\";".as_bytes()), Some(Php::Text("山田".to_owned())));
        assert_eq!(unserialize("s:2:\"山田\";".as_bytes()), None);
    }

    #[test]
    fn nested_scalars_decode() {
        let value = unserialize(b"a:3:{s:1:\"x\";b:1;i:2;d:2.5;s:1:\"7\";a:1:{i:0;N;}}").unwrap();
        let Php::Array(map) = value else { panic!("an array") };
        assert_eq!(map.get(&Key::new("x")), Some(&Php::Bool(true)));
        assert_eq!(map.get(&Key::Int(2)), Some(&Php::Float(2.5)));
        assert!(matches!(map.get(&Key::Int(7)), Some(Php::Array(_))));
    }

    #[test]
    fn anything_else_behaves_like_an_empty_map() {
        for bad in
            ["", "a:1:{i:0;i:1;", "O:8:\"stdClass\":0:{}", "a:2:{i:0;i:1;}", "i:1", "a:1:{i:0;R:1;}", "i:1;x"]
        {
            assert_eq!(unserialize(bad.as_bytes()), None, "{bad}");
        }
        assert!(decode_map("not base64 at all!").iter().next().is_none());
        let deep = format!("{}i:1;{}", "a:1:{i:0;".repeat(40), "}".repeat(40));
        assert_eq!(unserialize(deep.as_bytes()), None);
    }
}
