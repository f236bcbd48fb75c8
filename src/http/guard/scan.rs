//! What can be refused from the raw bytes, before anything is built from them.
//!
//! The parser recurses once per bracket and allocates per token, so both are bounded here first.
//! One pass, no allocation.

use crate::http::guard::{Limits, Refusal};

/// Counts tokens and brackets of a document. Gives the number of tokens.
///
/// Unclosed strings and brackets end here too: the parser would look for their end again and again.
pub(super) fn document(text: &str, limits: &Limits) -> Result<usize, Refusal> {
    if text.len() > limits.document_bytes {
        return Err(Refusal::over("DOCUMENT_TOO_LARGE", "bytes of a document", limits.document_bytes));
    }
    let bytes = text.as_bytes();
    let (mut at, mut tokens, mut open) = (0, 0_usize, 0_usize);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {
                at += 1;
                continue;
            }
            b'#' => {
                at = end_of(bytes, at, |b| !matches!(b, b'\n' | b'\r'));
                continue;
            }
            // The byte order mark counts as white space.
            0xEF if bytes[at..].starts_with(&[0xEF, 0xBB, 0xBF]) => {
                at += 3;
                continue;
            }
            b'{' | b'(' | b'[' => {
                open += 1;
                if open > limits.nesting {
                    return Err(Refusal::over(
                        "NESTING_LIMIT",
                        "brackets inside one another",
                        limits.nesting,
                    ));
                }
                at += 1;
            }
            b'}' | b')' | b']' => {
                open = open.checked_sub(1).ok_or_else(|| syntax("a bracket is closed that was not open"))?;
                at += 1;
            }
            b'"' if bytes[at..].starts_with(b"\"\"\"") => at = end_of_block(bytes, at + 3)?,
            b'"' => at = end_of_string(bytes, at + 1)?,
            b'.' => at = end_of(bytes, at, |b| b == b'.'),
            b if is_word(b) => at = end_of(bytes, at, is_word),
            _ => at += 1,
        }
        tokens += 1;
        if tokens > limits.tokens {
            return Err(Refusal::over("TOO_MANY_TOKENS", "tokens of a document", limits.tokens));
        }
    }
    if open > 0 {
        return Err(syntax("a bracket is not closed"));
    }
    Ok(tokens)
}

/// Bounds size and depth of the variables as they came, so that building them cannot recurse far.
pub(super) fn variables(json: &str, limits: &Limits) -> Result<(), Refusal> {
    if json.len() > limits.variables_bytes {
        return Err(Refusal::over("VARIABLES_TOO_LARGE", "bytes of the variables", limits.variables_bytes));
    }
    let (mut open, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        if quoted {
            (quoted, escaped) = (escaped || byte != b'"', !escaped && byte == b'\\');
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'{' | b'[' => open += 1,
            b'}' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > limits.variables_depth {
            return Err(Refusal::over(
                "VARIABLES_TOO_DEEP",
                "levels of the variables",
                limits.variables_depth,
            ));
        }
    }
    Ok(())
}

fn syntax(message: &str) -> Refusal {
    Refusal::new("GRAPHQL_PARSE_FAILED", message)
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn end_of(bytes: &[u8], from: usize, holds: impl Fn(u8) -> bool) -> usize {
    bytes[from..].iter().position(|&b| !holds(b)).map_or(bytes.len(), |n| from + n)
}

fn end_of_string(bytes: &[u8], mut at: usize) -> Result<usize, Refusal> {
    loop {
        match bytes.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at += 2,
            Some(b'\n' | b'\r') | None => return Err(syntax("a string is not closed")),
            Some(_) => at += 1,
        }
    }
}

fn end_of_block(bytes: &[u8], mut at: usize) -> Result<usize, Refusal> {
    loop {
        match bytes.get(at..) {
            Some(rest) if rest.starts_with(b"\"\"\"") => return Ok(at + 3),
            Some(rest) if rest.starts_with(b"\\\"\"\"") => at += 4,
            Some([_, ..]) => at += 1,
            _ => return Err(syntax("a string is not closed")),
        }
    }
}
