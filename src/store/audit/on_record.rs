use std::sync::{Arc, Mutex, PoisonError};

/// Why something of a request was refused, as far as the log has it: whoever hands a refusal to a client asks here whether the
/// act has put it on record itself. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct OnRecord(Arc<Mutex<Vec<String>>>);

impl OnRecord {
    /// The log has a refusal with this reason.
    pub fn add(&self, reason: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(reason.to_owned());
    }

    /// Whether the log has a refusal with this reason that was not asked for yet: each stands for one.
    pub fn take(&self, reason: &str) -> bool {
        let mut reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = reasons.iter().position(|known| known == reason);
        known.map(|known| reasons.swap_remove(known)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_on_record_stands_for_one_of_its_reason() {
        let (known, same) = (OnRecord::default(), OnRecord::default());
        known.clone().add("STEP_UP_REQUIRED");
        assert!(!known.take("PASSKEY_LIMIT") && !same.take("STEP_UP_REQUIRED"));
        assert!(known.take("STEP_UP_REQUIRED"));
        assert!(!known.take("STEP_UP_REQUIRED"), "the next of the same request is another");
    }
}
