-- Authenticator apps and recovery codes. Additive only: an earlier release asks for the mailed code instead.

-- The app of a user. secret: sealed; last_step: the newest step whose code was used, which with all before it counts no more.
CREATE TABLE totp_factors (
    user_id      uuid        NOT NULL PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    factor_id    uuid        NOT NULL UNIQUE,
    secret       bytea       NOT NULL,
    last_step    bigint      NOT NULL,
    enrolled_at  timestamptz NOT NULL,
    last_used_at timestamptz
);

-- An app that has not shown a code yet. secret: sealed. A row goes when it did, or with the session that began it.
CREATE TABLE totp_enrolments (
    user_id    uuid        NOT NULL PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    factor_id  uuid        NOT NULL UNIQUE,
    session_id uuid        NOT NULL REFERENCES sessions ON DELETE CASCADE,
    secret     bytea       NOT NULL,
    tries_left bigint      NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX totp_enrolments_by_expiry ON totp_enrolments (expires_at);
CREATE INDEX totp_enrolments_of_session ON totp_enrolments (session_id);

-- Only keyed hashes: a copy of this table opens nothing.
CREATE TABLE recovery_codes (
    code_hash bytea NOT NULL PRIMARY KEY,
    user_id   uuid  NOT NULL REFERENCES totp_factors ON DELETE CASCADE,
    used_at   timestamptz
);
CREATE INDEX recovery_codes_of_user ON recovery_codes (user_id);
