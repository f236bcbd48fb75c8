//! Words, numbers, strings and signs of a statement.

use chrono::{DateTime, NaiveDate, Utc};
use winnow::{
    LocatingSlice, ModalResult, Parser,
    combinator::{alt, opt, preceded, terminated},
    error::{ContextError, ErrMode},
    stream::{Location, Stream},
    token::{any, one_of, take_while},
};

use crate::sandbox::salesforce::soql::{LONGEST_STRING, Malformed, ast::Piece};

/// A token and the byte where it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it begins, bytes.
    pub at: usize,
    /// Where it ends, bytes.
    pub end: usize,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A name, keyword, or a date literal with its number (`LAST_N_DAYS:7`).
    Word(String),
    /// A quoted string. The pieces tell wildcards from escaped characters, for `LIKE`.
    Text(Vec<Piece>),
    /// A number.
    Number(f64),
    /// A day.
    Date(NaiveDate),
    /// An instant.
    DateTime(DateTime<Utc>),
    /// `( ) , . = != < <= > >=` (`<>` is read as `!=`).
    Sign(&'static str),
}

type Input<'a> = LocatingSlice<&'a str>;

/// Splits a statement into tokens.
///
/// # Errors
/// A character that SOQL does not know, an unterminated or overlong string, an unknown escape, a day that is not in
/// the calendar.
pub fn tokens(statement: &str) -> Result<Vec<Token>, Malformed> {
    let mut input = LocatingSlice::new(statement);
    let mut tokens = Vec::new();
    loop {
        let _ = take_while::<_, Input<'_>, ErrMode<ContextError>>(0.., char::is_whitespace)
            .parse_next(&mut input);
        let at = input.current_token_start();
        if input.is_empty() {
            return Ok(tokens);
        }
        let kind = if input.starts_with('\'') {
            let _ = input.next_token();
            Kind::Text(text(&mut input, statement, at)?)
        } else {
            let start = input.checkpoint();
            match alt((day, number, word, sign)).parse_next(&mut input) {
                Ok(kind) => kind,
                Err(_) => {
                    input.reset(&start);
                    let found = input.chars().next().unwrap_or(' ');
                    return Err(Malformed::at(
                        statement,
                        at,
                        &format!("line 1:{at} no viable alternative at character '{found}'"),
                    ));
                }
            }
        };
        tokens.push(Token { kind, at, end: input.current_token_start() });
    }
}

fn word(input: &mut Input<'_>) -> ModalResult<Kind> {
    let name = (
        one_of(|c: char| c.is_ascii_alphabetic() || c == '_'),
        take_while(0.., |c: char| c.is_ascii_alphanumeric() || c == '_'),
    );
    (name, opt((':', take_while(1.., |c: char| c.is_ascii_digit()))))
        .take()
        .map(|word: &str| Kind::Word(word.to_owned()))
        .parse_next(input)
}

fn sign(input: &mut Input<'_>) -> ModalResult<Kind> {
    alt((
        "<>".value("!="),
        "!=".value("!="),
        "<=".value("<="),
        ">=".value(">="),
        alt(("(".value("("), ")".value(")"), ",".value(","), ".".value("."))),
        alt(("=".value("="), "<".value("<"), ">".value(">"))),
    ))
    .map(Kind::Sign)
    .parse_next(input)
}

fn digits<'a>(count: usize) -> impl FnMut(&mut Input<'a>) -> ModalResult<&'a str> {
    move |input| take_while(count, |c: char| c.is_ascii_digit()).parse_next(input)
}

fn number(input: &mut Input<'_>) -> ModalResult<Kind> {
    let integer = || take_while(1.., |c: char| c.is_ascii_digit());
    (
        opt(one_of(['-', '+'])),
        alt(((integer(), opt(preceded('.', integer()))).void(), preceded('.', integer()).void())),
    )
        .take()
        .verify_map(|text: &str| text.parse().ok())
        .map(Kind::Number)
        .parse_next(input)
}

fn day(input: &mut Input<'_>) -> ModalResult<Kind> {
    let date = (digits(4), '-', digits(2), '-', digits(2)).take();
    let fraction = opt(('.', take_while(1.., |c: char| c.is_ascii_digit())));
    let time = ('T', digits(2), ':', digits(2), ':', digits(2), fraction).take();
    let zone =
        alt((one_of(['Z', 'z']).void(), (one_of(['+', '-']), digits(2), opt(':'), digits(2)).void())).take();
    (terminated(date, winnow::combinator::not('.')), opt((time, zone)))
        .verify_map(|(date, time): (&str, Option<(&str, &str)>)| match time {
            None => date.parse().ok().map(Kind::Date),
            Some((time, zone)) => {
                let zone = if zone.eq_ignore_ascii_case("z") { "+0000" } else { zone };
                DateTime::parse_from_str(&format!("{date}{time}{zone}"), "%Y-%m-%dT%H:%M:%S%.f%z")
                    .ok()
                    .map(|at| Kind::DateTime(at.to_utc()))
            }
        })
        .parse_next(input)
}

/// The rest of a string after its opening quote, which is at `open`.
fn text(input: &mut Input<'_>, statement: &str, open: usize) -> Result<Vec<Piece>, Malformed> {
    let mut pieces = Vec::new();
    let unterminated = || {
        Malformed::at(statement, open, &format!("line 1:{open} mismatched character '<EOF>' expecting '''"))
    };
    loop {
        let at = input.current_token_start();
        let piece = match input.next_token() {
            None => return Err(unterminated()),
            Some('\'') => return Ok(pieces),
            Some('%') => Piece::Any,
            Some('_') => Piece::One,
            Some('\\') => {
                if input.is_empty() {
                    return Err(unterminated());
                }
                Piece::Char(
                    escape(input).map_err(|_| {
                        Malformed::at(statement, at, "invalid escape sequence in string literal")
                    })?,
                )
            }
            Some('\0') => return Err(Malformed::at(statement, at, "unexpected character in string literal")),
            Some(other) => Piece::Char(other),
        };
        pieces.push(piece);
        if pieces.len() > LONGEST_STRING {
            return Err(Malformed::at(statement, open, "string literal is longer than 4000 characters"));
        }
    }
}

fn escape(input: &mut Input<'_>) -> ModalResult<char> {
    let hex =
        || take_while(4, |c: char| c.is_ascii_hexdigit()).verify_map(|hex| u16::from_str_radix(hex, 16).ok());
    let unit = preceded(one_of(['u', 'U']), hex());
    let pair = (unit, opt(preceded(('\\', one_of(['u', 'U'])), hex()))).verify_map(|(high, low)| {
        let units = [Some(high), low];
        let mut decoded = char::decode_utf16(units.into_iter().flatten());
        match (decoded.next(), decoded.next()) {
            (Some(Ok(c)), None) => Some(c),
            _ => None,
        }
    });
    let single = preceded(one_of(['u', 'U']), hex()).verify_map(|unit| char::from_u32(u32::from(unit)));
    let short = any.verify_map(|c: char| match c {
        '\'' | '"' | '\\' | '_' | '%' => Some(c),
        'n' | 'N' => Some('\n'),
        'r' | 'R' => Some('\r'),
        't' | 'T' => Some('\t'),
        'b' | 'B' => Some('\u{7}'),
        'f' | 'F' => Some('\u{c}'),
        _ => None,
    });
    alt((pair, single, short)).parse_next(input)
}

/// The text that pieces stand for when they are no pattern.
pub fn plain(pieces: &[Piece]) -> String {
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Any => '%',
            Piece::One => '_',
            Piece::Char(c) => *c,
        })
        .collect()
}
