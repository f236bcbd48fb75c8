-- Where the reading of the CRM's event bus stands, who reads it, and what of it could not be understood.
-- Additive only: nothing of an earlier release reads or writes these tables.

-- One replica at a time does what the lease is named for. The number rises with every new holder, and a holder's
-- writes are refused once it has: see the transactions that check it.
CREATE TABLE leases (
    lease_name text        NOT NULL PRIMARY KEY,
    holder     uuid        NOT NULL,
    fence      bigint      NOT NULL,
    expires_at timestamptz NOT NULL
);

-- A position is the bus's own and opaque; null means the earliest event that the bus keeps. event_at: when the last
-- event happened that was read.
CREATE TABLE event_cursors (
    channel    text        NOT NULL PRIMARY KEY,
    position   bytea,
    moved_at   timestamptz NOT NULL,
    event_at   timestamptz
);

-- The bytes of events that could not be decoded, for people to look at. They may hold personal data and are purged
-- with the inbox; dead_letters tells of each.
CREATE TABLE undecoded_events (
    channel     text        NOT NULL,
    event_id    text        NOT NULL,
    position    bytea       NOT NULL,
    schema_id   text        NOT NULL,
    payload     bytea       NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (channel, event_id)
);
CREATE INDEX undecoded_events_by_receipt ON undecoded_events (received_at);

-- What has to be compared with the other system because events of it may be lost. A row goes when that is done.
CREATE TABLE reconciliations (
    scope        text        NOT NULL PRIMARY KEY,
    reason       text        NOT NULL,
    requested_at timestamptz NOT NULL
);
