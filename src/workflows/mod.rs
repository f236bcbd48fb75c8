//! What spans several domains and must be finished: sign-up, the linking of existing customers, changes of an address.
//!
//! A workflow is a list of steps ([`engine::Workflow`]), each a value with a name, and a small coordinator ([`engine::Engine`])
//! that stores where it stands before and after every call. It runs as a job, so any replica goes on where another was killed.
//! Whoever began it waits for its end as long as the request may take, and may ask again.
//!
//! Source: domain reference §6, requirements G1, G2 and G6.

pub mod availability;
pub mod email_change;
pub mod engine;
pub mod erasure;
pub mod export;
pub mod form;
pub mod jobs;
pub mod numbers;
pub mod profile;
pub mod refusals;
pub mod registration;
pub mod sign_up;

/// How workflows behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a person may take between proving an address and completing the sign-up.
    pub verification_lifetime: std::time::Duration,
    /// How long a mutation waits for the end of what it began, before it says that it goes on.
    pub wait: std::time::Duration,
    /// How long after a call of unknown outcome what it may have made can still appear.
    pub settle: std::time::Duration,
    /// Years of age from which a person may sign up.
    pub least_age: u32,
    /// The terms that are to be accepted.
    pub terms_version: String,
    /// How long what was gathered for a person can be had.
    pub export_keep: std::time::Duration,
    /// Plants the fault of a workflow that sends again without looking, so that a test can see that it is noticed.
    #[cfg(any(test, feature = "sandbox"))]
    pub plant_blind_resend: bool,
    /// Tries of a workflow, and of what is brought to the CRM later, before people must look.
    pub attempts: u32,
}

impl Default for Settings {
    fn default() -> Self {
        use std::time::Duration;
        Self {
            verification_lifetime: Duration::from_secs(30 * 60),
            wait: Duration::from_secs(8),
            settle: Duration::from_secs(10),
            least_age: 18,
            terms_version: "1".to_owned(),
            export_keep: Duration::from_secs(7 * 24 * 60 * 60),
            #[cfg(any(test, feature = "sandbox"))]
            plant_blind_resend: false,
            attempts: 100,
        }
    }
}
