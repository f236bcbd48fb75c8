//! JSON whose keys keep their order: rows answer in the order of the `SELECT`, `attributes` first.

use std::borrow::Cow;

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// What has no order to keep.
    Value(Value),
    /// A list.
    List(Vec<Self>),
    /// An object with its keys in order.
    Object(Vec<(Cow<'static, str>, Self)>),
}

impl Node {
    /// Null.
    pub const NULL: Self = Self::Value(Value::Null);

    /// An object.
    pub fn object<const N: usize>(parts: [(&'static str, Self); N]) -> Self {
        Self::Object(parts.into_iter().map(|(key, node)| (Cow::Borrowed(key), node)).collect())
    }

    /// The same as plain JSON.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Value(value) => value.clone(),
            Self::List(list) => list.iter().map(Self::to_value).collect(),
            Self::Object(parts) => Value::Object(
                parts.iter().map(|(key, node)| (key.clone().into_owned(), node.to_value())).collect(),
            ),
        }
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(serializer),
            Self::List(list) => list.serialize(serializer),
            Self::Object(parts) => {
                let mut map = serializer.serialize_map(Some(parts.len()))?;
                for (key, node) in parts {
                    map.serialize_entry(key, node)?;
                }
                map.end()
            }
        }
    }
}

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::Value(Value::String(text.to_owned()))
    }
}

impl From<bool> for Node {
    fn from(fact: bool) -> Self {
        Self::Value(Value::Bool(fact))
    }
}

impl From<usize> for Node {
    fn from(count: usize) -> Self {
        Self::Value(count.into())
    }
}

impl From<Vec<Self>> for Node {
    fn from(list: Vec<Self>) -> Self {
        Self::List(list)
    }
}
