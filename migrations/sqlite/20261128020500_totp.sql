-- Authenticator apps and recovery codes. Additive only: an earlier release asks for the mailed code instead.

-- The app of a user. secret: sealed; last_step: the newest step whose code was used, which with all before it counts no more.
CREATE TABLE totp_factors (
    user_id      BLOB    NOT NULL PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    factor_id    BLOB    NOT NULL UNIQUE,
    secret       BLOB    NOT NULL,
    last_step    INTEGER NOT NULL,
    enrolled_at  TEXT    NOT NULL,
    last_used_at TEXT
) STRICT;

-- An app that has not shown a code yet. secret: sealed. A row goes when it did, or with the session that began it.
CREATE TABLE totp_enrolments (
    user_id    BLOB    NOT NULL PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    factor_id  BLOB    NOT NULL UNIQUE,
    session_id BLOB    NOT NULL REFERENCES sessions ON DELETE CASCADE,
    secret     BLOB    NOT NULL,
    tries_left INTEGER NOT NULL,
    expires_at TEXT    NOT NULL
) STRICT;
CREATE INDEX totp_enrolments_by_expiry ON totp_enrolments (expires_at);
CREATE INDEX totp_enrolments_of_session ON totp_enrolments (session_id);

-- Only keyed hashes: a copy of this table opens nothing.
CREATE TABLE recovery_codes (
    code_hash BLOB NOT NULL PRIMARY KEY,
    user_id   BLOB NOT NULL REFERENCES totp_factors ON DELETE CASCADE,
    used_at   TEXT
) STRICT;
CREATE INDEX recovery_codes_of_user ON recovery_codes (user_id);
