//! SOQL: the lexer, the grammar, the date literals.
//!
//! Names are checked against the schema later, in `query`; here only the form is judged, and every fault is
//! `MALFORMED_QUERY` with the excerpt, the caret and the place, as the vendor prints it.
//! Source: Salesforce reference §4.3, §9, §10.

pub mod ast;
pub mod lexer;
pub mod parser;
pub mod period;

pub use parser::parse;

/// Characters that a statement may have.
pub const LONGEST_STATEMENT: usize = 100_000;

/// Characters that a string literal may have.
pub const LONGEST_STRING: usize = 4_000;

/// A statement that is not SOQL: its message has the excerpt, the caret, the row and column, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

impl Malformed {
    /// A fault at a byte of the statement.
    pub fn at(statement: &str, offset: usize, reason: &str) -> Self {
        let offset =
            (0..=offset.min(statement.len())).rev().find(|at| statement.is_char_boundary(*at)).unwrap_or(0);
        let before = &statement[..offset];
        let row = before.matches('\n').count() + 1;
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before[line_start..].chars().count() + 1;
        let shown: Vec<char> = before[line_start..].chars().rev().take(40).collect();
        let head: String = shown.iter().rev().collect();
        let tail: String = statement[offset..].chars().take_while(|c| *c != '\n').take(40).collect();
        let caret = " ".repeat(shown.len());
        Self(format!("\n{head}{tail}\n{caret}^\nERROR at Row:{row}:Column:{column}\n{reason}"))
    }
}
