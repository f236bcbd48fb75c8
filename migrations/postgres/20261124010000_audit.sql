-- Who did what: an append-only log whose rows are chained; and the keys that the store itself needs. Additive only.

-- Secrets that last as long as the data: of the chain, and of the names under which sealed values are looked up. They are
-- sealed with the data keys, so these can be replaced without touching what was made with the former.
CREATE TABLE stored_keys (
    key_name text  NOT NULL PRIMARY KEY,
    sealed   bytea NOT NULL
);

-- The data keys under which something may lie here, each with a known text sealed by it: a start without one of them, or
-- with another key of the same number, is refused before anything is written.
CREATE TABLE data_keys (
    key_number bigint NOT NULL PRIMARY KEY,
    proof      bytea  NOT NULL
);

-- The sequence has no gaps. hash: over the hash of the row before and all columns of this one. network: a keyed hash. No
-- reference to users: what was done stays when a user goes.
CREATE TABLE audit_events (
    sequence         bigint      NOT NULL PRIMARY KEY,
    at               timestamptz NOT NULL,
    actor_kind       text        NOT NULL,
    actor_id         text,
    subject_id       uuid,
    act              text        NOT NULL,
    outcome          text        NOT NULL,
    reason           text,
    request_id       text,
    network          bytea,
    user_agent_class text,
    details          text        NOT NULL,
    previous_hash    bytea       NOT NULL,
    hash             bytea       NOT NULL
);
CREATE INDEX audit_events_by_time ON audit_events (at);
CREATE INDEX audit_events_of_subject ON audit_events (subject_id, sequence);

-- head: the last event; its row is the lock that gives the chain its order. anchor: the last event that was purged; the
-- chain begins behind it. mac: over both with the key of the chain.
CREATE TABLE audit_marks (
    mark     text   NOT NULL PRIMARY KEY,
    sequence bigint NOT NULL,
    hash     bytea  NOT NULL,
    mac      bytea  NOT NULL
);
INSERT INTO audit_marks (mark, sequence, hash, mac) VALUES ('head', 0, '', ''), ('anchor', 0, '', '');

-- Only inserts; a deletion only up to the anchor, which is moved first.
CREATE FUNCTION audit_events_are_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.sequence <= (SELECT sequence FROM audit_marks WHERE mark = 'anchor') THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'audit events are neither changed nor deleted';
END
$$;
CREATE TRIGGER audit_events_kept BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION audit_events_are_kept();
CREATE FUNCTION audit_events_are_not_emptied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit events are neither changed nor deleted';
END
$$;
CREATE TRIGGER audit_events_not_emptied BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_events_are_not_emptied();
