//! The JWT of the bearer flow, verified against the app's certificate. Source: Salesforce reference §2.1, §2.4.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;
use serde_json::Value;

use crate::sandbox::{
    credentials::{SALESFORCE_CLIENT_ID, SALESFORCE_PUBLIC_KEY, SALESFORCE_USERNAME},
    salesforce::oauth::token::Denial,
};

/// Seconds that clocks may differ.
const SKEW: i64 = 60;

/// Seconds that an assertion may live.
const LONGEST_LIFE: i64 = 300;

/// The claims of a good assertion.
#[derive(Debug)]
pub struct Claims {
    /// When it ends, seconds since 1970.
    pub expires: i64,
    /// Its id, when it has one.
    pub jti: Option<String>,
}

#[derive(Deserialize)]
struct Wire {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Value>,
    exp: Option<Value>,
    jti: Option<String>,
}

/// Verifies an assertion.
///
/// # Errors
/// Unknown app, bad signature, wrong audience, expired or too far ahead, unknown user.
pub fn verify(assertion: &str, public_url: &str, now: i64) -> Result<Claims, Denial> {
    let invalid = || Denial::grant("invalid assertion");
    let mut validation = Validation::new(Algorithm::RS256);
    // Times and audiences have their own refusals; `exp` may be a string of digits.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let key = DecodingKey::from_rsa_pem(SALESFORCE_PUBLIC_KEY.as_bytes()).map_err(|_| invalid())?;
    let claims = decode::<Wire>(assertion, &key, &validation);
    let wire = claims.map_err(|_| invalid())?.claims;
    if wire.iss.as_deref() != Some(SALESFORCE_CLIENT_ID) {
        return Err(Denial::new("invalid_client_id", "client identifier invalid"));
    }
    let audiences = ["https://login.salesforce.com", "https://test.salesforce.com", public_url];
    if !wire
        .aud
        .as_ref()
        .and_then(Value::as_str)
        .is_some_and(|aud| audiences.contains(&aud.trim_end_matches('/')))
    {
        return Err(Denial::grant("audience is invalid"));
    }
    let expires = match &wire.exp {
        Some(Value::Number(number)) => number.as_i64().or(number.as_f64().map(|exp| exp as i64)),
        Some(Value::String(digits)) => digits.parse().ok(),
        _ => None,
    };
    let expires = expires.ok_or_else(invalid)?;
    if expires + SKEW < now {
        return Err(Denial::grant("expired authorization code"));
    }
    if expires > now + LONGEST_LIFE + SKEW {
        return Err(invalid());
    }
    if wire.sub.as_deref() != Some(SALESFORCE_USERNAME) {
        return Err(Denial::grant("user hasn't approved this consumer"));
    }
    Ok(Claims { expires, jti: wire.jti })
}
