-- Who may sign in, which client and account they are elsewhere, and what keeps them signed in.
-- Additive only: nothing of an earlier release reads or writes these tables.

CREATE TABLE users (
    user_id          uuid        NOT NULL PRIMARY KEY,
    email_normalised text        NOT NULL UNIQUE,
    password_hash    text        NOT NULL,
    locale           text        NOT NULL,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    disabled_at      timestamptz
);

-- One user is one billing client and one CRM account: a second user for either would see another's data.
CREATE TABLE id_mappings (
    user_id    uuid        NOT NULL PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    client_id  bigint      NOT NULL UNIQUE,
    account_id text        NOT NULL UNIQUE,
    created_at timestamptz NOT NULL
);

-- A session is a family of refresh tokens, of which one at most is unused.
CREATE TABLE sessions (
    session_id       uuid        NOT NULL PRIMARY KEY,
    user_id          uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    user_agent_class text        NOT NULL,
    created_at       timestamptz NOT NULL,
    refreshed_at     timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,
    revoked_at       timestamptz,
    revoked_reason   text
);
CREATE INDEX sessions_of_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Only hashes: a copy of this table signs nobody in. A parent has one successor, whoever asks at once.
CREATE TABLE refresh_tokens (
    token_hash  bytea       NOT NULL PRIMARY KEY,
    session_id  uuid        NOT NULL REFERENCES sessions ON DELETE CASCADE,
    parent_hash bytea       UNIQUE,
    issued_at   timestamptz NOT NULL,
    used_at     timestamptz,
    expires_at  timestamptz NOT NULL
);
CREATE INDEX refresh_tokens_of_session ON refresh_tokens (session_id);
