//! Whole numbers that may pass 2³¹.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use serde::{Deserialize, Serialize};

/// A whole number that may not fit 32 bits, written as a decimal string: `"5368709120"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BigInt(pub u64);

/// A whole number that may not fit 32 bits, written as a decimal string: `"5368709120"`.
#[Scalar]
impl ScalarType for BigInt {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(digits) => Ok(Self(digits.parse()?)),
            Value::Number(number) => {
                number.as_u64().map(Self).ok_or_else(|| InputValueError::custom("not a whole number"))
            }
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}
