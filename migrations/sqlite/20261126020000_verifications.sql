-- What somebody has proved about themselves before they have an account, and what they agreed to. Additive only.

-- Only a hash of the token is kept; what was proved lies sealed. Each is good for one purpose and a short time.
CREATE TABLE verifications (
    verification_id BLOB        NOT NULL PRIMARY KEY,
    token_hash      BLOB       NOT NULL UNIQUE,
    purpose         TEXT        NOT NULL,
    proved          BLOB       NOT NULL,
    created_at      TEXT NOT NULL,
    expires_at      TEXT NOT NULL
) STRICT;
CREATE INDEX verifications_by_expiry ON verifications (expires_at);

-- Which terms a user accepted, and whether advertising was welcome then.
CREATE TABLE consents (
    user_id       BLOB        NOT NULL REFERENCES users ON DELETE CASCADE,
    terms_version TEXT        NOT NULL,
    marketing     INTEGER     NOT NULL,
    accepted_at   TEXT NOT NULL,
    PRIMARY KEY (user_id, terms_version)
) STRICT;
