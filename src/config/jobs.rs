//! How jobs are done.

use crate::{
    config::{reader::Reader, server::Server},
    jobs::Settings,
};

pub(super) fn read(env: &mut Reader<'_>, server: &Server) -> Settings {
    env.section("Jobs");
    let settings = Settings {
        concurrency: env
            .get("QUEUE_CONCURRENCY", "jobs", "Jobs that one replica does at once.")
            .number(8, 1..=1_000),
        poll: env
            .get(
                "QUEUE_POLL",
                "duration",
                "How often a replica looks for jobs that another put in, or that have become due.",
            )
            .duration("1s", "50ms", "1m"),
        lease: env
            .get(
                "QUEUE_LEASE",
                "duration",
                "How long a try may take before another replica takes over; it is ended after three quarters of that.",
            )
            .duration("60s", "10s", "1h"),
        attempts: env
            .get("QUEUE_DEFAULT_ATTEMPTS", "tries", "Tries of a job before it is given up and kept for people.")
            .number(3, 1..=100),
        backoff: env
            .get(
                "QUEUE_BACKOFF_DELAY",
                "duration",
                "The wait after the first failed try; it doubles with each, less a random quarter at most.",
            )
            .duration("5s", "10ms", "1h"),
        backoff_most: env
            .get("QUEUE_BACKOFF_MOST", "duration", "The longest wait between two tries.")
            .duration("10m", "10ms", "1d"),
        keep: env
            .get("QUEUE_KEEP", "duration", "How long a finished job is remembered, so that its cause adds no second one.")
            .duration("7d", "1h", "365d"),
        keep_dead: env
            .get("QUEUE_KEEP_DEAD", "duration", "How long a job is kept that was given up.")
            .duration("30d", "1h", "365d"),
        grace: server.shutdown_grace,
    };
    if settings.backoff_most < settings.backoff {
        env.refuse("QUEUE_BACKOFF_MOST", "must not be shorter than QUEUE_BACKOFF_DELAY");
    }
    settings
}
