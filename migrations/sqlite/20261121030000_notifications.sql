-- What the bell of the portal shows. Additive only.

-- One event notifies a person once, however often it is delivered: hence the unique key.
CREATE TABLE notifications (
    notification_id BLOB NOT NULL PRIMARY KEY,
    user_id         BLOB NOT NULL REFERENCES users ON DELETE CASCADE,
    type            TEXT NOT NULL,
    title           TEXT NOT NULL,
    message         TEXT NOT NULL,
    link            TEXT,
    source          TEXT NOT NULL,
    source_id       TEXT NOT NULL,
    created_at      TEXT NOT NULL,
    expires_at      TEXT NOT NULL,
    read_at         TEXT,
    dismissed_at    TEXT,
    UNIQUE (user_id, type, source_id)
) STRICT;
CREATE INDEX notifications_of_user ON notifications (user_id, created_at);
