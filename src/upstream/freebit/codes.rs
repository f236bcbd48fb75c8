//! What the carrier's failure codes mean.
//!
//! The carrier's own list is not known, so nothing here is compiled in: the codes are data, by default those of the
//! sandbox, to be replaced by the ones of the contract. A code in none of the lists is final. Source: Freebit
//! reference §3.2 and §5.

use std::time::Duration;

use crate::upstream::error::Kind;

/// Status codes by what they mean for us.
#[derive(Clone, Debug)]
pub struct Codes {
    /// The key or the partner's credentials are refused. Default 910, 911.
    pub session: Vec<String>,
    /// There is no such account. Default 920.
    pub absent: Vec<String>,
    /// Too many requests. Default 960.
    pub busy: Vec<String>,
    /// The carrier itself fails for the moment. Default 5, 999; beside them every result code from 500 to 599.
    pub transient: Vec<String>,
}

impl Default for Codes {
    fn default() -> Self {
        let list = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
        Self {
            session: list(&["910", "911"]),
            absent: list(&["920"]),
            busy: list(&["960"]),
            transient: list(&["5", "999"]),
        }
    }
}

/// The code of [`Kind::Refused`] when there is no such account, whatever the carrier's number.
pub(super) const ABSENT: &str = "absent";

impl Codes {
    /// What a failure means. `result` and `status` are the two codes of the envelope.
    pub(super) fn kind(&self, result: &str, status: &str, message: &str) -> Kind {
        let is = |list: &[String]| list.iter().any(|code| code == status || code == result);
        if is(&self.session) {
            Kind::Session
        } else if is(&self.absent) {
            Kind::refused(ABSENT, message)
        } else if is(&self.busy) {
            Kind::RateLimited { retry_after: Duration::from_secs(1) }
        } else if is(&self.transient) || result.len() == 3 && result.starts_with('5') {
            Kind::Unavailable { code: format!("{result}-{status}") }
        } else {
            Kind::refused(format!("{result}-{status}"), message)
        }
    }
}
