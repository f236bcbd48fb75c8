//! Tells whose an answer is: many values of the world say to which customer they belong.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::sandbox::world::{Customer, ids};

/// What tells that an answer belongs to one customer.
#[derive(Clone, Debug)]
pub struct Witness {
    n: u64,
    email: String,
    customer_number: String,
}

impl Witness {
    /// The witness of a customer.
    pub fn of(customer: &Customer) -> Self {
        Self {
            n: customer.n,
            email: customer.email.clone(),
            customer_number: customer.customer_number.clone(),
        }
    }

    /// Counts the values in an answer that tell whose they are.
    ///
    /// # Errors
    /// A sentence when one is somebody else's.
    pub fn check(&self, answer: &Value) -> Result<usize, String> {
        match answer {
            Value::Array(items) => items.iter().map(|item| self.check(item)).sum(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| {
                    let is_own = match (name.as_str(), value.as_str()) {
                        ("email", Some(email)) => Some(email == self.email),
                        ("customerNumber", Some(number)) => Some(number == self.customer_number),
                        ("phoneNumber", Some(number)) => ids::line_parse(number).map(|(n, _)| n == self.n),
                        ("id", Some(id)) => owner_of(id).map(|n| n == self.n),
                        _ => None,
                    };
                    match is_own {
                        Some(true) => Ok(1),
                        Some(false) => Err(format!("customer {} was shown a foreign {name}", self.n)),
                        None => self.check(value),
                    }
                })
                .sum(),
            _ => Ok(0),
        }
    }
}

/// The customer to whom an object belongs, by the sandbox's arithmetic of ids.
fn owner_of(id: &str) -> Option<u64> {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(id).ok()?).ok()?;
    let (kind, key) = text.split_once(':')?;
    let number = || key.parse().ok();
    match kind {
        "Subscription" => number().map(|id| ids::service_parse(id).0),
        "Invoice" => number().map(|id| ids::invoice_parse(id).0),
        "PaymentMethod" => number().map(|id| ids::pay_method_parse(id).0),
        "Order" | "Case" => ids::sf_parse(key).map(|(_, n, _)| n),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{clock::Clock, sandbox::world::World};

    fn id(text: &str) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(text)
    }

    fn answer(email: &str, subscription: u64) -> Value {
        json!({ "viewer": {
            "email": email,
            "subscriptions": { "nodes": [{ "id": id(&format!("Subscription:{subscription}")), "line": null }] },
        } })
    }

    #[test]
    fn an_answer_of_ones_own_passes_and_a_planted_foreign_value_does_not() {
        let world = World::new(1, 3, Clock::system().today());
        let (own, other) = (world.customer(1), world.customer(2));
        let witness = Witness::of(&own);
        assert_eq!(witness.check(&answer(&own.email, ids::service_id(1, 1))), Ok(2));
        assert!(witness.check(&answer(&other.email, ids::service_id(1, 1))).is_err());
        assert!(witness.check(&answer(&own.email, ids::service_id(2, 1))).is_err());
        assert_eq!(witness.check(&json!({ "viewer": null })), Ok(0));
    }
}
