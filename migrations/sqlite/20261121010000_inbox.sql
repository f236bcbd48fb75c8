-- Events of the other systems: stored before they are acknowledged, then applied by any replica.
-- Additive only: nothing of an earlier release reads or writes these tables.

-- One row an event; its id is remembered for as long as a sender may repeat it. The payload holds ids and kinds only.
-- settled_at: its first pass is over (applied, or given up). due_at: the next pass; null when there is none.
CREATE TABLE inbox_events (
    sequence      INTEGER     NOT NULL PRIMARY KEY AUTOINCREMENT,
    source        TEXT        NOT NULL,
    event_id      TEXT        NOT NULL,
    fingerprint   BLOB        NOT NULL,
    topic         TEXT        NOT NULL,
    record        TEXT        NOT NULL,
    payload       TEXT        NOT NULL,
    occurred_at   TEXT        NOT NULL,
    received_at   TEXT        NOT NULL,
    passes        INTEGER     NOT NULL DEFAULT 0,
    failures      INTEGER     NOT NULL DEFAULT 0,
    due_at        TEXT,
    claim         BLOB,
    claimed_until TEXT,
    settled_at    TEXT,
    UNIQUE (source, event_id)
) STRICT;
CREATE INDEX inbox_events_due ON inbox_events (due_at) WHERE due_at IS NOT NULL;
-- Events of one record are applied in the order of their sequence.
CREATE INDEX inbox_events_of_record ON inbox_events (source, record, sequence) WHERE settled_at IS NULL;
CREATE INDEX inbox_events_by_receipt ON inbox_events (received_at);

-- Events that nobody could apply, kept for people.
CREATE TABLE dead_letters (
    dead_letter_id BLOB        NOT NULL PRIMARY KEY,
    source         TEXT        NOT NULL,
    event_id       TEXT        NOT NULL,
    topic          TEXT        NOT NULL,
    record         TEXT        NOT NULL,
    payload        TEXT        NOT NULL,
    occurred_at    TEXT        NOT NULL,
    received_at    TEXT        NOT NULL,
    failures       INTEGER     NOT NULL,
    reason         TEXT        NOT NULL,
    died_at        TEXT        NOT NULL
) STRICT;
CREATE INDEX dead_letters_by_death ON dead_letters (died_at);
