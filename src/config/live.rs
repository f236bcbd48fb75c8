//! Live updates: what open connections may cost, and how long notifications are kept.

use std::time::Duration;

use crate::{config::reader::Reader, notify};

/// What open connections may cost (requirement S7, domain reference §26).
#[derive(Clone, Debug)]
pub struct Live {
    /// Open sockets and event streams of one user, on one replica.
    pub connections_per_user: usize,
    /// Operations under way on one socket.
    pub operations_per_socket: usize,
    /// Bytes of one message to us.
    pub message_bytes: usize,
    /// From the opening of a socket to its `connection_init`.
    pub init_within: Duration,
    /// How often a silent connection is asked for a sign of life.
    pub heartbeat: Duration,
    /// How long a reader may take nothing of what is there for it.
    pub send_within: Duration,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            connections_per_user: 3,
            operations_per_socket: 20,
            message_bytes: 64 * 1024,
            init_within: Duration::from_secs(3),
            heartbeat: Duration::from_secs(30),
            send_within: Duration::from_secs(5),
        }
    }
}

pub(super) fn read(env: &mut Reader<'_>) -> (Live, notify::Settings) {
    env.section("Live updates");
    let live = Live {
        connections_per_user: env
            .get(
                "LIVE_CONNECTIONS_PER_USER",
                "connections",
                "Open sockets and event streams of one user, on one replica.",
            )
            .number(3, 1..=1_000_000),
        operations_per_socket: env
            .get("LIVE_OPERATIONS_PER_SOCKET", "operations", "Operations under way on one socket.")
            .number(20, 1..=1_000),
        message_bytes: 1024
            * env.get("LIVE_MESSAGE_KIB", "KiB", "One message of a client.").number(64, 1..=1_024),
        init_within: env
            .get("LIVE_INIT_TIMEOUT", "duration", "From the opening of a socket to its first message.")
            .duration("3s", "100ms", "1m"),
        heartbeat: env
            .get(
                "LIVE_HEARTBEAT",
                "duration",
                "How often a connection is asked for a sign of life; one that gives none is closed.",
            )
            .duration("30s", "1s", "10m"),
        send_within: env
            .get(
                "LIVE_SEND_TIMEOUT",
                "duration",
                "How long a client may take nothing of what is there for it, before it is dropped.",
            )
            .duration("5s", "100ms", "1m"),
    };
    let notify = notify::Settings {
        queue: env
            .get("LIVE_QUEUE", "hints", "Changes that may wait for one subscription; one more ends it.")
            .number(64, 1..=10_000),
        lifetime: env
            .get("NOTIFICATION_LIFETIME", "duration", "How long a notification is shown.")
            .duration("30d", "1h", "365d"),
        redis: None,
    };
    (live, notify)
}
