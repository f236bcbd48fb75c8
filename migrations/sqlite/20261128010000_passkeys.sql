-- Passkeys, and when a session was last proved. Additive only: a session without a proof was proved when it began.

ALTER TABLE sessions ADD COLUMN proved_at TEXT;
ALTER TABLE sessions ADD COLUMN proved_by TEXT;

-- The name under which authenticators know a person: random, so that it says nothing about them.
CREATE TABLE passkey_users (
    user_id BLOB NOT NULL PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    handle  BLOB NOT NULL UNIQUE
) STRICT;

-- public_key: the key and what never changes; state: the signature counter, and whether it is backed up; name: sealed.
CREATE TABLE passkeys (
    passkey_id    BLOB    NOT NULL PRIMARY KEY,
    user_id       BLOB    NOT NULL REFERENCES passkey_users ON DELETE CASCADE,
    credential_id BLOB    NOT NULL UNIQUE,
    public_key    BLOB    NOT NULL,
    state         BLOB    NOT NULL,
    transports    INTEGER NOT NULL,
    name          BLOB    NOT NULL,
    created_at    TEXT    NOT NULL,
    last_used_at  TEXT
) STRICT;
CREATE INDEX passkeys_of_user ON passkeys (user_id);

-- What was asked of an authenticator and not answered yet. A row goes when it is answered: each challenge counts once.
CREATE TABLE passkey_ceremonies (
    challenge_hash BLOB NOT NULL PRIMARY KEY,
    purpose        TEXT NOT NULL,
    session_id     BLOB REFERENCES sessions ON DELETE CASCADE,
    state          BLOB NOT NULL,
    expires_at     TEXT NOT NULL
) STRICT;
CREATE INDEX passkey_ceremonies_by_expiry ON passkey_ceremonies (expires_at);
CREATE INDEX passkey_ceremonies_of_session ON passkey_ceremonies (session_id);
