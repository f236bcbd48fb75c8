-- What somebody has proved about themselves before they have an account, and what they agreed to. Additive only.

-- Only a hash of the token is kept; what was proved lies sealed. Each is good for one purpose and a short time.
CREATE TABLE verifications (
    verification_id uuid        NOT NULL PRIMARY KEY,
    token_hash      bytea       NOT NULL UNIQUE,
    purpose         text        NOT NULL,
    proved          bytea       NOT NULL,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL
);
CREATE INDEX verifications_by_expiry ON verifications (expires_at);

-- Which terms a user accepted, and whether advertising was welcome then.
CREATE TABLE consents (
    user_id       uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    terms_version text        NOT NULL,
    marketing     boolean     NOT NULL,
    accepted_at   timestamptz NOT NULL,
    PRIMARY KEY (user_id, terms_version)
);
