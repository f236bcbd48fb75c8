//! How sign-up and the other workflows behave.

use crate::{config::reader::Reader, workflows::Settings};

pub(super) fn read(env: &mut Reader<'_>) -> Settings {
    let default = Settings::default();
    env.section("Sign-up");
    Settings {
        verification_lifetime: env
            .get(
                "SIGN_UP_VERIFICATION_LIFETIME",
                "duration",
                "How long a person may take between proving an address and completing the sign-up.",
            )
            .duration("30m", "1m", "1d"),
        wait: env
            .get(
                "SIGN_UP_WAIT",
                "duration",
                "How long an answer waits for the end of a sign-up before it says that it goes on; less than REQUEST_TIMEOUT.",
            )
            .duration("8s", "0ms", "1m"),
        settle: env
            .get(
                "SIGN_UP_SETTLE",
                "duration",
                "How long after a call of unknown outcome what it may have made can still appear; before that nothing is sent again.",
            )
            .duration("10s", "0ms", "10m"),
        least_age: env
            .get("SIGN_UP_LEAST_AGE", "years", "The age from which a person may sign up.")
            .number(default.least_age, 0..=100),
        terms_version: env
            .get("TERMS_VERSION", "text", "The version of the terms that are to be accepted.")
            .text_or(&default.terms_version),
        export_keep: env
            .get(
                "DATA_EXPORT_KEEP",
                "duration",
                "How long a customer can download what was gathered of all that is known of them.",
            )
            .duration("7d", "1h", "30d"),
        #[cfg(any(test, feature = "sandbox"))]
        plant_blind_resend: false,
        attempts: env
            .get(
                "WORKFLOW_ATTEMPTS",
                "tries",
                "Tries of a workflow, and of what is brought to the CRM later, before people must look.",
            )
            .number(default.attempts, 1..=10_000),
    }
}
