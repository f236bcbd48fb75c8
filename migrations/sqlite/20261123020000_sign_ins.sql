-- How people signed in, and on what: devices that are known, the history, and what spares the second step once.
-- Additive only: an earlier release leaves the new columns of sessions empty.

-- A browser or app in which somebody signed in. token_hash: SHA-256 of the random token that it keeps. network is sealed.
-- Until trusted_until the password is enough on it; later it is only known. A row goes when it was not seen for long.
CREATE TABLE devices (
    device_id     BLOB NOT NULL PRIMARY KEY,
    user_id       BLOB NOT NULL REFERENCES users ON DELETE CASCADE,
    token_hash    BLOB NOT NULL,
    kind          TEXT NOT NULL,
    name          TEXT NOT NULL,
    network       BLOB,
    created_at    TEXT NOT NULL,
    seen_at       TEXT NOT NULL,
    trusted_until TEXT,
    UNIQUE (user_id, token_hash)
) STRICT;
CREATE INDEX devices_by_sight ON devices (seen_at);

-- Every sign-in of a known account, and every try that failed. network is sealed. method: null when it failed before that.
CREATE TABLE sign_ins (
    sign_in_id BLOB NOT NULL PRIMARY KEY,
    user_id    BLOB NOT NULL REFERENCES users ON DELETE CASCADE,
    at         TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    method     TEXT,
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    network    BLOB
) STRICT;
CREATE INDEX sign_ins_of_user ON sign_ins (user_id, at);
CREATE INDEX sign_ins_by_time ON sign_ins (at);

-- Who has just proved the address of an account signs in with the password alone, once.
CREATE TABLE hand_offs (
    token_hash BLOB NOT NULL PRIMARY KEY,
    user_id    BLOB NOT NULL REFERENCES users ON DELETE CASCADE,
    expires_at TEXT NOT NULL
) STRICT;
CREATE INDEX hand_offs_by_expiry ON hand_offs (expires_at);

ALTER TABLE sessions ADD COLUMN device_name TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN network BLOB;
ALTER TABLE sessions ADD COLUMN device_id BLOB;
