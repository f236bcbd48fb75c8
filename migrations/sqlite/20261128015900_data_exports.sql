-- What people asked to be given of all that is known of them. The content lies sealed, and goes after some days.
CREATE TABLE data_exports (
    export_id    BLOB NOT NULL PRIMARY KEY,
    user_id      BLOB NOT NULL REFERENCES users ON DELETE CASCADE,
    requested_at TEXT NOT NULL,
    -- Null while it is gathered.
    ready_at     TEXT,
    expires_at   TEXT,
    -- The parts that could not be had, by their names with spaces between them.
    missing      TEXT NOT NULL,
    content      BLOB
) STRICT;
-- A person has one at a time that is gathered.
CREATE UNIQUE INDEX data_exports_gathered ON data_exports (user_id) WHERE ready_at IS NULL;
CREATE INDEX data_exports_of_user ON data_exports (user_id, requested_at);
CREATE INDEX data_exports_by_expiry ON data_exports (expires_at);
