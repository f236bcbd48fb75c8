//! How often what is served is compared with the systems.

use crate::{config::reader::Reader, events::reconcile::Settings};

pub(super) fn read(env: &mut Reader<'_>) -> Settings {
    Settings {
        per_minute: env
            .get(
                "RECONCILE_PER_MINUTE",
                "customers a minute",
                "How many customers are compared with the systems in the background; 0 for none.",
            )
            .number(30, 0..=6_000),
        every: env
            .get(
                "RECONCILE_EVERY",
                "duration",
                "From the end of one comparison of all customers to the begin of the next.",
            )
            .duration("1h", "1m", "30d"),
        settle: env
            .get(
                "RECONCILE_SETTLE",
                "duration",
                "How long a difference is watched before it counts, since a report of it may be on its way.",
            )
            .duration("6s", "0s", "1m"),
    }
}
