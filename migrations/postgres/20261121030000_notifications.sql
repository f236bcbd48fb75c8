-- What the bell of the portal shows. Additive only.

-- One event notifies a person once, however often it is delivered: hence the unique key.
CREATE TABLE notifications (
    notification_id uuid        NOT NULL PRIMARY KEY,
    user_id         uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    type            text        NOT NULL,
    title           text        NOT NULL,
    message         text        NOT NULL,
    link            text,
    source          text        NOT NULL,
    source_id       text        NOT NULL,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    read_at         timestamptz,
    dismissed_at    timestamptz,
    UNIQUE (user_id, type, source_id)
);
CREATE INDEX notifications_of_user ON notifications (user_id, created_at);
