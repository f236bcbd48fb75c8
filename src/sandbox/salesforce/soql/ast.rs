//! The shape of a statement.

use chrono::{DateTime, NaiveDate, Utc};

use crate::sandbox::salesforce::soql::period::Period;

/// A `SELECT`.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// What is selected.
    pub select: Vec<Selection>,
    /// The object, or in a subquery the child relationship.
    pub from: String,
    /// The object's alias.
    pub alias: Option<String>,
    /// `WHERE`.
    pub filter: Option<Condition>,
    /// `GROUP BY`.
    pub group_by: Vec<Path>,
    /// `HAVING`.
    pub having: Option<Condition>,
    /// `ORDER BY`.
    pub order_by: Vec<Ordering>,
    /// `LIMIT`.
    pub limit: Option<u64>,
    /// `OFFSET`.
    pub offset: u64,
}

/// One element of the `SELECT` list.
#[derive(Clone, Debug, PartialEq)]
pub enum Selection {
    /// A field, perhaps of a parent, perhaps with an alias (legal when grouping).
    Field(Path, Option<String>),
    /// An aggregate with its alias.
    Aggregate(Aggregate, Option<String>),
    /// `COUNT()`.
    Count,
    /// A child subquery.
    Children(Box<Query>),
    /// `FIELDS(…)`.
    Fields(FieldSet),
    /// `TYPEOF reference WHEN type THEN fields … ELSE fields END`.
    TypeOf(Path, Vec<(String, Vec<Path>)>, Vec<Path>),
}

/// The argument of `FIELDS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldSet {
    /// All fields.
    All,
    /// The platform's.
    Standard,
    /// The organisation's.
    Custom,
}

/// A dotted name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(pub Vec<String>);

/// An aggregate function over a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// Which.
    pub function: Function,
    /// Over which field.
    pub path: Path,
}

/// An aggregate function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// Values that are not null.
    Count,
    /// Distinct values that are not null.
    CountDistinct,
    /// Total.
    Sum,
    /// Mean.
    Avg,
    /// Least.
    Min,
    /// Greatest.
    Max,
}

/// What a condition compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A field.
    Field(Path),
    /// An aggregate: in `HAVING` and its `ORDER BY`.
    Aggregate(Aggregate),
}

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// All hold.
    And(Vec<Self>),
    /// Any holds.
    Or(Vec<Self>),
    /// Does not hold.
    Not(Box<Self>),
    /// Operand, operator, value.
    Compare(Operand, Operator, Literal),
    /// `LIKE`, the pattern's pieces.
    Like(Operand, Vec<Piece>),
    /// `IN` or, when the flag is set, `NOT IN`.
    In(Operand, bool, Vec<Literal>),
    /// `IN (SELECT …)` or, when the flag is set, `NOT IN (SELECT …)`.
    InQuery(Operand, bool, Box<Query>),
    /// `INCLUDES` or, when the flag is set, `EXCLUDES`: each string is values joined with `;`.
    Includes(Operand, bool, Vec<String>),
}

/// A piece of a `LIKE` pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// `%`.
    Any,
    /// `_`.
    One,
    /// Itself.
    Char(char),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=` and `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// Quoted text, unescaped.
    Text(String),
    /// A number.
    Number(f64),
    /// `TRUE`, `FALSE`.
    Boolean(bool),
    /// `NULL`.
    Null,
    /// A day.
    Date(NaiveDate),
    /// An instant.
    DateTime(DateTime<Utc>),
    /// A date literal such as `LAST_N_DAYS:7`.
    Period(Period),
    /// An amount with its currency, such as `JPY1000`.
    Currency(f64),
}

/// One element of `ORDER BY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordering {
    /// By what.
    pub operand: Operand,
    /// `DESC`.
    pub descending: bool,
    /// `NULLS LAST`.
    pub nulls_last: bool,
}
