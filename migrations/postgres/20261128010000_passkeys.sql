-- Passkeys, and when a session was last proved. Additive only: a session without a proof was proved when it began.

ALTER TABLE sessions ADD COLUMN proved_at timestamptz;
ALTER TABLE sessions ADD COLUMN proved_by text;

-- The name under which authenticators know a person: random, so that it says nothing about them.
CREATE TABLE passkey_users (
    user_id uuid  NOT NULL PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    handle  bytea NOT NULL UNIQUE
);

-- public_key: the key and what never changes; state: the signature counter, and whether it is backed up; name: sealed.
CREATE TABLE passkeys (
    passkey_id    uuid        NOT NULL PRIMARY KEY,
    user_id       uuid        NOT NULL REFERENCES passkey_users ON DELETE CASCADE,
    credential_id bytea       NOT NULL UNIQUE,
    public_key    bytea       NOT NULL,
    state         bytea       NOT NULL,
    transports    bigint      NOT NULL,
    name          bytea       NOT NULL,
    created_at    timestamptz NOT NULL,
    last_used_at  timestamptz
);
CREATE INDEX passkeys_of_user ON passkeys (user_id);

-- What was asked of an authenticator and not answered yet. A row goes when it is answered: each challenge counts once.
CREATE TABLE passkey_ceremonies (
    challenge_hash bytea       NOT NULL PRIMARY KEY,
    purpose        text        NOT NULL,
    session_id     uuid        REFERENCES sessions ON DELETE CASCADE,
    state          bytea       NOT NULL,
    expires_at     timestamptz NOT NULL
);
CREATE INDEX passkey_ceremonies_by_expiry ON passkey_ceremonies (expires_at);
CREATE INDEX passkey_ceremonies_of_session ON passkey_ceremonies (session_id);
