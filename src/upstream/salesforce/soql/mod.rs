//! Statements of the CRM's query language, built from typed parts.
//!
//! A [`Soql`] can only come out of a [`Select`]: every name is checked against the shape of an
//! identifier, every value is a typed literal and every string is escaped, so text from outside can
//! never change what a statement asks. The vendor's REST interface has no bind variables, so this is
//! the only defence. Checks are kept until [`Select::build`], which reports the first that failed:
//! one `?` a statement.
//!
//! Source: Salesforce reference §9 and §10.

mod filter;
mod value;

use std::fmt::{self, Write};

pub use filter::Filter;
pub use value::Value;

/// The longest statement that the vendor reads, in characters.
const LONGEST_STATEMENT: usize = 100_000;
/// The most steps of a path from child to parent: `A.B.C.D.E.Field` has five.
const MOST_HOPS: usize = 5;

/// Why a statement could not be built. It never quotes a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Not a name of an object, a field or a relationship.
    #[error("{0:?} is not a name")]
    Name(String),
    /// Text that no literal can carry: it holds a NUL, or is longer than 4,000 characters escaped.
    #[error("the text compared with {field} cannot be sent: {reason}")]
    Text {
        /// The field that it would be compared with.
        field: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A select without fields.
    #[error("{0} is asked for no field")]
    NoFields(String),
    /// A child select within a child select.
    #[error("{0} is nested too deep")]
    Nested(String),
    /// More characters than the vendor reads.
    #[error("the statement has {0} characters, more than {LONGEST_STATEMENT}")]
    TooLong(usize),
}

/// A finished statement. It does not print, since its literals are personal data.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Soql {
    text: String,
    /// Whether the condition can hold for no record, so that nobody needs to be asked.
    empty: bool,
}

impl Soql {
    /// The statement as the vendor reads it.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether no record can answer it: an empty list was asked for.
    pub fn is_empty(&self) -> bool {
        self.empty
    }
}

impl fmt::Debug for Soql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Soql({} characters)", self.text.chars().count())
    }
}

#[cfg(test)]
impl fmt::Display for Soql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The order of a list. Records without a value come last in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Smallest or earliest first.
    Ascending,
    /// Greatest or latest first.
    Descending,
}

/// A select under construction.
///
/// ```
/// use portal_gateway::{id::RecordId, upstream::salesforce::soql::*};
/// # fn main() -> Result<(), Invalid> {
/// # let Some(account) = RecordId::parse("00190000001pPvH") else { return Ok(()) };
/// let statement = Select::from("Order")
///     .fields(["Id", "OrderNumber", "Account.Name"])
///     .child(Select::from("OrderItems").fields(["Id", "Quantity"]))
///     .filter(Filter::eq("AccountId", account).and(Filter::one_of("Status", ["Draft", "O'Brien"])))
///     .order_by("CreatedDate", Direction::Descending)
///     .limit(50)
///     .build()?;
/// # let _ = statement;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Select {
    from: Result<Name, Invalid>,
    fields: Vec<Result<Name, Invalid>>,
    children: Vec<Select>,
    filter: Filter,
    order: Vec<(Result<Name, Invalid>, Direction)>,
    limit: Option<u32>,
    offset: Option<u32>,
}

impl Select {
    /// Selects from an object (`Order`), or, for [`Select::child`], from a relationship
    /// (`OrderItems`, `Lines__r`).
    pub fn from(object: impl AsRef<str>) -> Self {
        Self {
            from: Name::word(object.as_ref()),
            fields: Vec::new(),
            children: Vec::new(),
            filter: Filter::always(),
            order: Vec::new(),
            limit: None,
            offset: None,
        }
    }

    /// Adds fields, each a name or a path to a parent's field (`Account.Name`). A field named twice
    /// is asked once.
    pub fn fields<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        for name in names {
            let name = Name::path(name.as_ref());
            let known = |other: &Result<Name, Invalid>| match (other, &name) {
                (Ok(other), Ok(name)) => other.0.eq_ignore_ascii_case(&name.0),
                _ => false,
            };
            if !self.fields.iter().any(known) {
                self.fields.push(name);
            }
        }
        self
    }

    /// Adds the records of a child relationship to each record.
    pub fn child(mut self, child: Select) -> Self {
        self.children.push(child);
        self
    }

    /// Narrows the select; every filter given must hold.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = self.filter.and(filter);
        self
    }

    /// Orders by a field, after those given before.
    pub fn order_by(mut self, field: impl AsRef<str>, direction: Direction) -> Self {
        self.order.push((Name::path(field.as_ref()), direction));
        self
    }

    /// Takes at most so many records.
    pub fn limit(mut self, records: u32) -> Self {
        self.limit = Some(records);
        self
    }

    /// Skips so many records; the vendor refuses more than 2,000.
    pub fn offset(mut self, records: u32) -> Self {
        self.offset = Some(records);
        self
    }

    /// The finished statement.
    ///
    /// # Errors
    /// The first part that no statement may carry: see [`Invalid`].
    pub fn build(self) -> Result<Soql, Invalid> {
        let mut text = String::new();
        let empty = self.filter.is_never();
        self.write(&mut text, true)?;
        let characters = text.chars().count();
        if characters > LONGEST_STATEMENT {
            return Err(Invalid::TooLong(characters));
        }
        Ok(Soql { text, empty })
    }

    fn write(self, out: &mut String, outermost: bool) -> Result<(), Invalid> {
        let from = self.from?;
        if self.fields.is_empty() && self.children.is_empty() {
            return Err(Invalid::NoFields(from.0));
        }
        if !outermost && !self.children.is_empty() {
            return Err(Invalid::Nested(from.0));
        }
        out.push_str("SELECT ");
        let mut comma = "";
        for field in self.fields {
            out.push_str(comma);
            out.push_str(&field?.0);
            comma = ", ";
        }
        for child in self.children {
            out.push_str(comma);
            out.push('(');
            child.write(out, false)?;
            out.push(')');
            comma = ", ";
        }
        out.push_str(" FROM ");
        out.push_str(&from.0);
        if let Some(condition) = self.filter.into_condition()? {
            out.push_str(" WHERE ");
            out.push_str(&condition);
        }
        let mut lead = " ORDER BY ";
        for (field, direction) in self.order {
            out.push_str(lead);
            out.push_str(&field?.0);
            out.push_str(match direction {
                Direction::Ascending => " ASC NULLS LAST",
                Direction::Descending => " DESC NULLS LAST",
            });
            lead = ", ";
        }
        for (word, count) in [(" LIMIT ", self.limit), (" OFFSET ", self.offset)] {
            if let Some(count) = count {
                out.push_str(word);
                // Writing to a string cannot fail.
                let _ = write!(out, "{count}");
            }
        }
        Ok(())
    }
}

/// The checked name of an object, a field or a relationship. Names cannot be escaped, so only the
/// shape `[A-Za-z][A-Za-z0-9_]*`, for paths joined by dots, gets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(String);

impl Name {
    /// One word.
    pub(super) fn word(text: &str) -> Result<Self, Invalid> {
        let mut bytes = text.bytes();
        let shaped = bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if shaped { Ok(Self(text.to_owned())) } else { Err(Invalid::Name(text.chars().take(80).collect())) }
    }

    /// Words joined by dots, at most five of them parents.
    pub(super) fn path(text: &str) -> Result<Self, Invalid> {
        for word in text.split('.') {
            Self::word(word)?;
        }
        if text.split('.').count() > MOST_HOPS + 1 {
            return Err(Invalid::Name(text.chars().take(80).collect()));
        }
        Ok(Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::id::RecordId;

    fn account() -> RecordId {
        RecordId::parse("00190000001pPvH").unwrap()
    }

    #[test]
    fn a_whole_statement_reads_as_the_vendor_documents_it() {
        let statement = Select::from("Order")
            .fields(["Id", "OrderNumber", "Account.Name", "id"])
            .child(
                Select::from("OrderItems")
                    .fields(["Id", "Quantity"])
                    .filter(Filter::gt("Quantity", 0))
                    .order_by("Id", Direction::Ascending)
                    .limit(200),
            )
            .filter(Filter::eq("AccountId", account()))
            .filter(Filter::one_of("Status", ["Draft", "Activated"]).or(Filter::is_null("Status")))
            .order_by("CreatedDate", Direction::Descending)
            .limit(50)
            .offset(10)
            .build()
            .unwrap();
        assert_eq!(
            statement.to_string(),
            "SELECT Id, OrderNumber, Account.Name, (SELECT Id, Quantity FROM OrderItems WHERE Quantity > 0 \
             ORDER BY Id ASC NULLS LAST LIMIT 200) FROM Order WHERE AccountId = '00190000001pPvHAAU' AND \
             (Status IN ('Draft', 'Activated') OR Status = NULL) ORDER BY CreatedDate DESC NULLS LAST \
             LIMIT 50 OFFSET 10"
        );
        assert!(!statement.is_empty());
        assert_eq!(format!("{statement:?}"), "Soql(293 characters)");
    }

    #[test]
    fn only_names_pass_for_names() {
        for name in
            ["", "1Id", "_Id", "Id FROM User", "Id,Name", "Na\u{ff4d}e", "A..B", ".A", "A.", "Id--", "A'B"]
        {
            let built = Select::from("Order").fields([name]).build();
            assert!(matches!(built, Err(Invalid::Name(_))), "{name}");
            let built = Select::from("Order").fields(["Id"]).order_by(name, Direction::Ascending).build();
            assert!(matches!(built, Err(Invalid::Name(_))), "{name}");
            let built = Select::from("Order").fields(["Id"]).filter(Filter::is_null(name)).build();
            assert!(matches!(built, Err(Invalid::Name(_))), "{name}");
            assert!(matches!(Select::from(name).fields(["Id"]).build(), Err(Invalid::Name(_))), "{name}");
        }
        assert!(
            Select::from("Order").fields(["A.B.C.D.E.F", "My_Field__c", "Look__r.Up__c"]).build().is_ok()
        );
        assert!(Select::from("Order").fields(["A.B.C.D.E.F.G"]).build().is_err());
        assert!(Select::from("Account.Orders").fields(["Id"]).build().is_err());
    }

    #[test]
    fn what_the_vendor_would_refuse_is_refused_here() {
        assert_eq!(Select::from("Order").build(), Err(Invalid::NoFields("Order".into())));
        let grandchild = Select::from("A").fields(["Id"]);
        let child = Select::from("B").fields(["Id"]).child(grandchild);
        assert_eq!(Select::from("C").fields(["Id"]).child(child).build(), Err(Invalid::Nested("B".into())));
        let ids = (0..5_000).map(|n| RecordId::parse(&format!("001{n:012}")).unwrap());
        let built = Select::from("Order").fields(["Id"]).filter(Filter::one_of("Id", ids)).build();
        assert!(matches!(built, Err(Invalid::TooLong(_))));
    }
}
