-- Who did what: an append-only log whose rows are chained; and the keys that the store itself needs. Additive only.

-- Secrets that last as long as the data: of the chain, and of the names under which sealed values are looked up. They are
-- sealed with the data keys, so these can be replaced without touching what was made with the former.
CREATE TABLE stored_keys (
    key_name TEXT NOT NULL PRIMARY KEY,
    sealed   BLOB NOT NULL
) STRICT;

-- The data keys under which something may lie here, each with a known text sealed by it: a start without one of them, or
-- with another key of the same number, is refused before anything is written.
CREATE TABLE data_keys (
    key_number INTEGER NOT NULL PRIMARY KEY,
    proof      BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

-- The sequence has no gaps. hash: over the hash of the row before and all columns of this one. network: a keyed hash. No
-- reference to users: what was done stays when a user goes.
CREATE TABLE audit_events (
    sequence         INTEGER NOT NULL PRIMARY KEY,
    at               TEXT    NOT NULL,
    actor_kind       TEXT    NOT NULL,
    actor_id         TEXT,
    subject_id       BLOB,
    act              TEXT    NOT NULL,
    outcome          TEXT    NOT NULL,
    reason           TEXT,
    request_id       TEXT,
    network          BLOB,
    user_agent_class TEXT,
    details          TEXT    NOT NULL,
    previous_hash    BLOB    NOT NULL,
    hash             BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_events_by_time ON audit_events (at);
CREATE INDEX audit_events_of_subject ON audit_events (subject_id, sequence);

-- head: the last event; its row is the lock that gives the chain its order. anchor: the last event that was purged; the
-- chain begins behind it. mac: over both with the key of the chain.
CREATE TABLE audit_marks (
    mark     TEXT    NOT NULL PRIMARY KEY,
    sequence INTEGER NOT NULL,
    hash     BLOB    NOT NULL,
    mac      BLOB    NOT NULL
) STRICT;
INSERT INTO audit_marks (mark, sequence, hash, mac) VALUES ('head', 0, x'', x''), ('anchor', 0, x'', x'');

-- Only inserts; a deletion only up to the anchor, which is moved first.
CREATE TRIGGER audit_events_unchanged BEFORE UPDATE ON audit_events BEGIN
    SELECT RAISE(ABORT, 'audit events are neither changed nor deleted');
END;
CREATE TRIGGER audit_events_kept BEFORE DELETE ON audit_events
    WHEN OLD.sequence > (SELECT sequence FROM audit_marks WHERE mark = 'anchor') BEGIN
    SELECT RAISE(ABORT, 'audit events are neither changed nor deleted');
END;
