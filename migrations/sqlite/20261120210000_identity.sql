-- Who may sign in, which client and account they are elsewhere, and what keeps them signed in.
-- Additive only: nothing of an earlier release reads or writes these tables.

CREATE TABLE users (
    user_id          BLOB        NOT NULL PRIMARY KEY,
    email_normalised TEXT        NOT NULL UNIQUE,
    password_hash    TEXT        NOT NULL,
    locale           TEXT        NOT NULL,
    created_at       TEXT        NOT NULL,
    updated_at       TEXT        NOT NULL,
    disabled_at      TEXT
) STRICT;

-- One user is one billing client and one CRM account: a second user for either would see another's data.
CREATE TABLE id_mappings (
    user_id    BLOB        NOT NULL PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    client_id  INTEGER     NOT NULL UNIQUE,
    account_id TEXT        NOT NULL UNIQUE,
    created_at TEXT        NOT NULL
) STRICT;

-- A session is a family of refresh tokens, of which one at most is unused.
CREATE TABLE sessions (
    session_id       BLOB        NOT NULL PRIMARY KEY,
    user_id          BLOB        NOT NULL REFERENCES users ON DELETE CASCADE,
    user_agent_class TEXT        NOT NULL,
    created_at       TEXT        NOT NULL,
    refreshed_at     TEXT        NOT NULL,
    expires_at       TEXT        NOT NULL,
    revoked_at       TEXT,
    revoked_reason   TEXT
) STRICT;
CREATE INDEX sessions_of_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Only hashes: a copy of this table signs nobody in. A parent has one successor, whoever asks at once.
CREATE TABLE refresh_tokens (
    token_hash  BLOB        NOT NULL PRIMARY KEY,
    session_id  BLOB        NOT NULL REFERENCES sessions ON DELETE CASCADE,
    parent_hash BLOB        UNIQUE,
    issued_at   TEXT        NOT NULL,
    used_at     TEXT,
    expires_at  TEXT        NOT NULL
) STRICT;
CREATE INDEX refresh_tokens_of_session ON refresh_tokens (session_id);
