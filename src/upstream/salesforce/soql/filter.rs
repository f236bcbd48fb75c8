//! Conditions of a select.

use super::{
    Invalid, Name, Value,
    value::{escape_like, quoted},
};

/// A condition on a record.
///
/// Comparisons of text ignore case. A test "is not" also holds for a record without a value
/// ([`Filter::ne`], [`Filter::none_of`]), unlike in SQL. An empty list matches nothing and costs no
/// call: conditions that cannot hold are worked out here.
#[derive(Clone, Debug)]
#[must_use]
pub struct Filter(Node);

#[derive(Clone, Debug)]
enum Node {
    Always,
    Never,
    Test(Result<String, Invalid>),
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
}

impl Filter {
    /// Holds for every record.
    pub fn always() -> Self {
        Self(Node::Always)
    }

    /// `field = value`.
    pub fn eq(field: impl AsRef<str>, value: impl Into<Value>) -> Self {
        Self::compare(field, "=", value)
    }

    /// `field != value`; holds also where the field is empty.
    pub fn ne(field: impl AsRef<str>, value: impl Into<Value>) -> Self {
        Self::compare(field, "!=", value)
    }

    /// `field < value`.
    pub fn lt(field: impl AsRef<str>, value: impl Into<Value>) -> Self {
        Self::compare(field, "<", value)
    }

    /// `field <= value`.
    pub fn le(field: impl AsRef<str>, value: impl Into<Value>) -> Self {
        Self::compare(field, "<=", value)
    }

    /// `field > value`.
    pub fn gt(field: impl AsRef<str>, value: impl Into<Value>) -> Self {
        Self::compare(field, ">", value)
    }

    /// `field >= value`.
    pub fn ge(field: impl AsRef<str>, value: impl Into<Value>) -> Self {
        Self::compare(field, ">=", value)
    }

    /// The field has no value.
    pub fn is_null(field: impl AsRef<str>) -> Self {
        Self::test(field, |field| Ok(format!("{field} = NULL")))
    }

    /// The field has a value.
    pub fn is_not_null(field: impl AsRef<str>) -> Self {
        Self::test(field, |field| Ok(format!("{field} != NULL")))
    }

    /// The field is one of the values; of none, when there are none.
    pub fn one_of<V: Into<Value>>(field: impl AsRef<str>, values: impl IntoIterator<Item = V>) -> Self {
        Self::list(field, "IN", values).unwrap_or(Self(Node::Never))
    }

    /// The field is none of the values; holds also where the field is empty.
    pub fn none_of<V: Into<Value>>(field: impl AsRef<str>, values: impl IntoIterator<Item = V>) -> Self {
        Self::list(field, "NOT IN", values).unwrap_or(Self(Node::Always))
    }

    /// The text field contains the text; `%` and `_` stand for themselves.
    pub fn contains(field: impl AsRef<str>, text: &str) -> Self {
        Self::like(field, "%", text)
    }

    /// The text field begins with the text; `%` and `_` stand for themselves.
    pub fn starts_with(field: impl AsRef<str>, text: &str) -> Self {
        Self::like(field, "", text)
    }

    /// Both hold.
    pub fn and(self, other: Self) -> Self {
        Self(match (self.0, other.0) {
            (Node::Always, node) | (node, Node::Always) => node,
            (Node::Never, _) | (_, Node::Never) => Node::Never,
            (Node::All(mut nodes), node) => {
                nodes.push(node);
                Node::All(nodes)
            }
            (one, two) => Node::All(vec![one, two]),
        })
    }

    /// At least one holds.
    pub fn or(self, other: Self) -> Self {
        Self(match (self.0, other.0) {
            (Node::Never, node) | (node, Node::Never) => node,
            (Node::Always, _) | (_, Node::Always) => Node::Always,
            (Node::Any(mut nodes), node) => {
                nodes.push(node);
                Node::Any(nodes)
            }
            (one, two) => Node::Any(vec![one, two]),
        })
    }

    /// It does not hold.
    #[expect(clippy::should_implement_trait, reason = "reads as its siblings `and` and `or`")]
    pub fn not(self) -> Self {
        Self(match self.0 {
            Node::Always => Node::Never,
            Node::Never => Node::Always,
            Node::Not(node) => *node,
            node => Node::Not(Box::new(node)),
        })
    }

    /// Whether no record can meet it.
    pub(super) fn is_never(&self) -> bool {
        matches!(self.0, Node::Never)
    }

    /// The condition, `None` when every record meets it. Where the language mixes operators it wants
    /// parentheses, so every group within another has them.
    pub(super) fn into_condition(self) -> Result<Option<String>, Invalid> {
        Ok(match self.0 {
            Node::Always => None,
            // The language has no constants; a record always has an id.
            Node::Never => Some("Id = NULL".to_owned()),
            node => Some(node.write(true)?),
        })
    }

    fn test(field: impl AsRef<str>, write: impl FnOnce(&str) -> Result<String, Invalid>) -> Self {
        Self(Node::Test(Name::path(field.as_ref()).and_then(|name| write(name.as_str()))))
    }

    fn compare(field: impl AsRef<str>, operator: &str, value: impl Into<Value>) -> Self {
        Self::test(field, |field| Ok(format!("{field} {operator} {}", literal(field, &value.into())?)))
    }

    fn list<V: Into<Value>>(
        field: impl AsRef<str>,
        operator: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Option<Self> {
        let values: Vec<Value> = values.into_iter().map(Into::into).collect();
        (!values.is_empty()).then(|| {
            Self::test(field, |field| {
                let mut literals =
                    values.iter().map(|value| literal(field, value)).collect::<Result<Vec<_>, _>>()?;
                let mut seen = std::collections::HashSet::new();
                literals.retain(|literal| seen.insert(literal.clone()));
                Ok(format!("{field} {operator} ({})", literals.join(", ")))
            })
        })
    }

    fn like(field: impl AsRef<str>, before: &str, text: &str) -> Self {
        Self::test(field, |field| {
            let pattern = escape_like(text)
                .and_then(|escaped| quoted(format!("{before}{escaped}%")))
                .map_err(|reason| Invalid::Text { field: field.to_owned(), reason })?;
            Ok(format!("{field} LIKE {pattern}"))
        })
    }
}

fn literal(field: &str, value: &Value) -> Result<String, Invalid> {
    value.literal().map_err(|reason| Invalid::Text { field: field.to_owned(), reason })
}

impl Node {
    fn write(self, outermost: bool) -> Result<String, Invalid> {
        let group = |nodes: Vec<Node>, operator: &str| {
            let parts = nodes.into_iter().map(|node| node.write(false)).collect::<Result<Vec<_>, _>>()?;
            let joined = parts.join(operator);
            Ok(if outermost { joined } else { format!("({joined})") })
        };
        match self {
            // Unreachable inside a group: `and`, `or` and `not` fold the constants away.
            Node::Always => Ok("Id != NULL".to_owned()),
            Node::Never => Ok("Id = NULL".to_owned()),
            Node::Test(test) => test,
            Node::All(nodes) => group(nodes, " AND "),
            Node::Any(nodes) => group(nodes, " OR "),
            Node::Not(node) => Ok(format!("(NOT {})", node.write(false)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::{super::Select, *};

    fn condition(filter: Filter) -> Option<String> {
        filter.into_condition().unwrap()
    }

    #[test]
    fn groups_within_groups_are_parenthesised() {
        let filter = Filter::eq("A", 1).and(Filter::eq("B", 2)).or(Filter::eq("C", 3).not());
        assert_eq!(condition(filter).unwrap(), "(A = 1 AND B = 2) OR (NOT C = 3)");
        let filter = Filter::eq("A", 1).and(Filter::lt("B", 2)).and(Filter::ge("C", 3));
        assert_eq!(condition(filter).unwrap(), "A = 1 AND B < 2 AND C >= 3");
        let filter = Filter::eq("A", 1).or(Filter::eq("B", 2)).not().and(Filter::is_not_null("C"));
        assert_eq!(condition(filter).unwrap(), "(NOT (A = 1 OR B = 2)) AND C != NULL");
    }

    #[test]
    fn an_empty_list_is_worked_out_without_asking() {
        let nobody = || Filter::one_of::<&str>("Id", []);
        assert!(nobody().is_never());
        assert!(nobody().and(Filter::eq("A", 1)).is_never());
        assert_eq!(condition(nobody().or(Filter::eq("A", 1))).unwrap(), "A = 1");
        assert_eq!(condition(nobody().not()), None);
        assert_eq!(condition(Filter::none_of::<&str>("Id", [])), None);
        let built = Select::from("Order").fields(["Id"]).filter(nobody()).build().unwrap();
        assert!(built.is_empty());
        assert_eq!(built.to_string(), "SELECT Id FROM Order WHERE Id = NULL");
    }

    #[test]
    fn a_list_names_each_value_once() {
        let filter = Filter::one_of("Name", ["a", "b'", "a"]);
        assert_eq!(condition(filter).unwrap(), r"Name IN ('a', 'b\'')");
        let filter = Filter::none_of("Name", ["a"]);
        assert_eq!(condition(filter).unwrap(), "Name NOT IN ('a')");
    }

    #[test]
    fn a_pattern_keeps_only_our_own_wildcards() {
        assert_eq!(condition(Filter::contains("Name", "5%_\\'")).unwrap(), r"Name LIKE '%5\%\_\\\'%'");
        assert_eq!(condition(Filter::starts_with("Name", "日本")).unwrap(), "Name LIKE '日本%'");
    }

    #[test]
    fn the_error_names_the_field_and_never_the_value() {
        let error = Filter::eq("Secret__c", "pass\0word").into_condition().unwrap_err();
        assert_eq!(error.to_string(), "the text compared with Secret__c cannot be sent: it holds a NUL");
    }
}
