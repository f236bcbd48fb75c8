-- How people signed in, and on what: devices that are known, the history, and what spares the second step once.
-- Additive only: an earlier release leaves the new columns of sessions empty.

-- A browser or app in which somebody signed in. token_hash: SHA-256 of the random token that it keeps. network is sealed.
-- Until trusted_until the password is enough on it; later it is only known. A row goes when it was not seen for long.
CREATE TABLE devices (
    device_id     uuid NOT NULL PRIMARY KEY,
    user_id       uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    token_hash    bytea NOT NULL,
    kind          text NOT NULL,
    name          text NOT NULL,
    network       bytea,
    created_at    timestamptz NOT NULL,
    seen_at       timestamptz NOT NULL,
    trusted_until timestamptz,
    UNIQUE (user_id, token_hash)
);
CREATE INDEX devices_by_sight ON devices (seen_at);

-- Every sign-in of a known account, and every try that failed. network is sealed. method: null when it failed before that.
CREATE TABLE sign_ins (
    sign_in_id uuid NOT NULL PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    at         timestamptz NOT NULL,
    outcome    text NOT NULL,
    method     text,
    kind       text NOT NULL,
    name       text NOT NULL,
    network    bytea
);
CREATE INDEX sign_ins_of_user ON sign_ins (user_id, at);
CREATE INDEX sign_ins_by_time ON sign_ins (at);

-- Who has just proved the address of an account signs in with the password alone, once.
CREATE TABLE hand_offs (
    token_hash bytea NOT NULL PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);
CREATE INDEX hand_offs_by_expiry ON hand_offs (expires_at);

ALTER TABLE sessions ADD COLUMN device_name text NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN network bytea;
ALTER TABLE sessions ADD COLUMN device_id uuid;
