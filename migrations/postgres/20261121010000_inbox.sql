-- Events of the other systems: stored before they are acknowledged, then applied by any replica.
-- Additive only: nothing of an earlier release reads or writes these tables.

-- One row an event; its id is remembered for as long as a sender may repeat it. The payload holds ids and kinds only.
-- settled_at: its first pass is over (applied, or given up). due_at: the next pass; null when there is none.
CREATE TABLE inbox_events (
    sequence      bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source        text        NOT NULL,
    event_id      text        NOT NULL,
    fingerprint   bytea       NOT NULL,
    topic         text        NOT NULL,
    record        text        NOT NULL,
    payload       text        NOT NULL,
    occurred_at   timestamptz NOT NULL,
    received_at   timestamptz NOT NULL,
    passes        bigint      NOT NULL DEFAULT 0,
    failures      bigint      NOT NULL DEFAULT 0,
    due_at        timestamptz,
    claim         uuid,
    claimed_until timestamptz,
    settled_at    timestamptz,
    UNIQUE (source, event_id)
);
CREATE INDEX inbox_events_due ON inbox_events (due_at) WHERE due_at IS NOT NULL;
-- Events of one record are applied in the order of their sequence.
CREATE INDEX inbox_events_of_record ON inbox_events (source, record, sequence) WHERE settled_at IS NULL;
CREATE INDEX inbox_events_by_receipt ON inbox_events (received_at);

-- Events that nobody could apply, kept for people.
CREATE TABLE dead_letters (
    dead_letter_id uuid        NOT NULL PRIMARY KEY,
    source         text        NOT NULL,
    event_id       text        NOT NULL,
    topic          text        NOT NULL,
    record         text        NOT NULL,
    payload        text        NOT NULL,
    occurred_at    timestamptz NOT NULL,
    received_at    timestamptz NOT NULL,
    failures       bigint      NOT NULL,
    reason         text        NOT NULL,
    died_at        timestamptz NOT NULL
);
CREATE INDEX dead_letters_by_death ON dead_letters (died_at);
