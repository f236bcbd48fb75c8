//! Conditions on records: SOQL's own notion of equality, null and text.

use std::{cmp::Ordering, collections::HashSet};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde_json::Value;

use crate::{
    clock::TOKYO,
    id::RecordId,
    sandbox::salesforce::{
        refusal::Refusal,
        schema::field::{Field, Kind},
        soql::ast::{Literal, Operator, Piece},
        store::{
            Record, View,
            record::{day, instant},
        },
    },
};

/// A field of a record or, over references, of a parent.
#[derive(Clone, Debug)]
pub struct Column {
    /// References to follow.
    pub hops: Vec<&'static Field>,
    /// The field at the end.
    pub field: &'static Field,
}

impl PartialEq for Column {
    fn eq(&self, other: &Self) -> bool {
        self.field.name == other.field.name
            && self.hops.len() == other.hops.len()
            && self.hops.iter().zip(&other.hops).all(|(one, other)| one.name == other.name)
    }
}

impl Column {
    /// The value for a record; null when a parent is missing.
    pub fn value(&self, view: &View<'_>, record: &Record) -> Value {
        let [first, rest @ ..] = &self.hops[..] else {
            return view.value(record, self.field);
        };
        let mut parent = record.reference(first.name).and_then(|id| view.get(id));
        for hop in rest {
            parent = parent.and_then(|record| view.get(record.reference(hop.name)?));
        }
        // The field may belong to another of a reference's targets than the parent is.
        parent
            .and_then(|record| Some(view.value(&record, record.object.field(self.field.name)?)))
            .unwrap_or(Value::Null)
    }
}

/// What a condition is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// A field.
    Column(Column),
    /// An aggregate of the group, by its place.
    Aggregate(usize),
}

/// A bound literal.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// Null.
    Null,
    /// Text, in lower case: compared without regard to case.
    Text(String),
    /// Compared as it is: ids of 18 characters, days, instants, case-sensitive text.
    Exact(String),
    /// A number.
    Number(f64),
    /// A flag.
    Flag(bool),
    /// From, inclusive, to, exclusive.
    Span(String, String),
}

/// A bound condition.
#[derive(Clone, Debug)]
pub enum Filter {
    /// All hold.
    And(Vec<Self>),
    /// Any holds.
    Or(Vec<Self>),
    /// Does not hold.
    Not(Box<Self>),
    /// A comparison.
    Compare(Subject, Operator, Operand),
    /// A pattern.
    Like(Subject, Vec<Piece>),
    /// One of some values; negated when the flag is set.
    In(Subject, bool, Vec<Operand>),
    /// One of some ids; negated when the flag is set.
    InSet(Subject, bool, HashSet<RecordId>),
    /// Any of these sets of values is among the chosen; negated when the flag is set.
    Includes(Subject, bool, Vec<Vec<String>>),
}

impl Filter {
    /// Whether it holds, given the values of its subjects.
    pub fn holds(&self, value: &impl Fn(&Subject) -> Value) -> bool {
        match self {
            Self::And(terms) => terms.iter().all(|term| term.holds(value)),
            Self::Or(terms) => terms.iter().any(|term| term.holds(value)),
            Self::Not(term) => !term.holds(value),
            Self::Compare(subject, operator, operand) => compare(&value(subject), *operator, operand),
            Self::Like(subject, pattern) => {
                value(subject).as_str().is_some_and(|text| is_like(text, pattern))
            }
            Self::In(subject, negated, operands) => {
                let value = value(subject);
                operands.iter().any(|operand| compare(&value, Operator::Equal, operand)) != *negated
            }
            Self::InSet(subject, negated, ids) => {
                let id = value(subject).as_str().and_then(RecordId::parse);
                id.is_some_and(|id| ids.contains(&id)) != *negated
            }
            Self::Includes(subject, negated, sets) => {
                let value = value(subject);
                let chosen: Vec<&str> =
                    value.as_str().map(|text| text.split(';').collect()).unwrap_or_default();
                let includes =
                    sets.iter().any(|set| set.iter().all(|wanted| chosen.contains(&wanted.as_str())));
                includes != *negated
            }
        }
    }
}

fn compare(value: &Value, operator: Operator, operand: &Operand) -> bool {
    let order = match (value, operand) {
        (Value::Null, Operand::Null) => Some(Ordering::Equal),
        (Value::String(text), Operand::Text(other)) => Some(text.to_lowercase().cmp(other)),
        (Value::String(text), Operand::Exact(other)) => Some(text.as_str().cmp(other)),
        (Value::Number(number), Operand::Number(other)) => {
            number.as_f64().and_then(|number| number.partial_cmp(other))
        }
        (Value::Bool(flag), Operand::Flag(other)) => Some(flag.cmp(other)),
        (Value::String(text), Operand::Span(from, to)) => Some(if text < from {
            Ordering::Less
        } else if text >= to {
            Ordering::Greater
        } else {
            Ordering::Equal
        }),
        _ => None,
    };
    match operator {
        Operator::Equal => order == Some(Ordering::Equal),
        // Unlike SQL, `!=` also holds for null.
        Operator::NotEqual => order != Some(Ordering::Equal),
        Operator::Less => order == Some(Ordering::Less),
        Operator::LessOrEqual => order.is_some_and(Ordering::is_le),
        Operator::Greater => order == Some(Ordering::Greater),
        Operator::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
    }
}

/// Matches greedily with one step back to the last `%`, so that no pattern takes more than quadratic time.
fn is_like(text: &str, pattern: &[Piece]) -> bool {
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let (mut at, mut piece, mut star) = (0, 0, None);
    while at < text.len() {
        let matches = match pattern.get(piece) {
            Some(Piece::One) => true,
            Some(Piece::Char(c)) => c.to_lowercase().eq(std::iter::once(text[at])),
            _ => false,
        };
        if pattern.get(piece) == Some(&Piece::Any) {
            star = Some((piece, at));
            piece += 1;
        } else if matches {
            at += 1;
            piece += 1;
        } else if let Some((back, from)) = star {
            star = Some((back, from + 1));
            at = from + 1;
            piece = back + 1;
        } else {
            return false;
        }
    }
    pattern[piece.min(pattern.len())..].iter().all(|piece| *piece == Piece::Any)
}

/// Binds a literal to a field; without a field, to an aggregate.
///
/// # Errors
/// A literal of another type than the field.
pub fn operand(field: Option<&Field>, literal: &Literal, now: DateTime<Utc>) -> Result<Operand, Refusal> {
    let Some(field) = field else {
        return Ok(match literal {
            Literal::Number(number) | Literal::Currency(number) => Operand::Number(*number),
            Literal::Text(text) => Operand::Text(text.to_lowercase()),
            Literal::Date(date) => Operand::Exact(day(*date)),
            Literal::DateTime(at) => Operand::Exact(instant(*at)),
            Literal::Boolean(flag) => Operand::Flag(*flag),
            Literal::Null => Operand::Null,
            Literal::Period(_) => {
                return Err(Refusal::malformed("date literals cannot be compared with an aggregate"));
            }
        });
    };
    let wrong = |quoted: &str| {
        Err(Refusal::new(
            "INVALID_FIELD",
            format!(
                "value of filter criterion for field '{}' must be of type {} and should {quoted}be enclosed in quotes",
                field.name,
                field.kind.as_str()
            ),
        ))
    };
    Ok(match (field.kind, literal) {
        (Kind::Boolean, Literal::Null) => Operand::Flag(false),
        (_, Literal::Null) => Operand::Null,
        (Kind::Id | Kind::Reference, Literal::Text(text)) => match RecordId::parse(text) {
            Some(id) => Operand::Exact(id.to_string()),
            None if text.is_empty() => Operand::Null,
            None => {
                let message = format!("invalid ID field: {text}");
                return Err(Refusal::new("INVALID_QUERY_FILTER_OPERATOR", message));
            }
        },
        (kind, Literal::Text(text)) if kind.is_text() => match (text.as_str(), field.case_sensitive) {
            ("", _) => Operand::Null,
            (_, true) => Operand::Exact(text.clone()),
            (_, false) => Operand::Text(text.to_lowercase()),
        },
        (kind, Literal::Number(number)) if kind.is_number() => Operand::Number(*number),
        (Kind::Currency, Literal::Currency(number)) => Operand::Number(*number),
        (Kind::Boolean, Literal::Boolean(flag)) => Operand::Flag(*flag),
        (Kind::Date, Literal::Date(date)) => Operand::Exact(day(*date)),
        (Kind::DateTime, Literal::DateTime(at)) => Operand::Exact(instant(*at)),
        (Kind::Date, Literal::Period(period)) => {
            let (from, to) = period.days(now.with_timezone(&TOKYO).date_naive());
            Operand::Span(day(from), day(to))
        }
        (Kind::DateTime, Literal::Period(period)) => {
            let (from, to) = period.days(now.with_timezone(&TOKYO).date_naive());
            Operand::Span(instant(midnight(from)), instant(midnight(to)))
        }
        (kind, _) if kind.is_text() || kind.is_id() => return wrong(""),
        _ => return wrong("not "),
    })
}

/// Midnight in Tokyo, the running user's zone.
fn midnight(date: NaiveDate) -> DateTime<Utc> {
    let local = date.and_time(chrono::NaiveTime::MIN).and_utc();
    local.checked_sub_signed(TimeDelta::hours(9)).unwrap_or(local)
}
