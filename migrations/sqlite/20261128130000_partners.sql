-- Partners: programs of others that act for customers who allowed it. Additive only.

-- scopes: names with spaces between; the last three: requests and points of cost, and how many points come back in a second.
CREATE TABLE partners (
    partner_id          BLOB NOT NULL PRIMARY KEY,
    client_id           TEXT NOT NULL UNIQUE,
    name                TEXT NOT NULL,
    scopes              TEXT NOT NULL,
    is_first_party      INTEGER NOT NULL,
    requests_per_second INTEGER NOT NULL,
    cost_maximum        INTEGER NOT NULL,
    cost_restore        INTEGER NOT NULL,
    created_at          TEXT NOT NULL,
    revoked_at          TEXT
) STRICT;

-- Two at most are active, while one is being replaced. secret_hash: SHA-256 of 256 random bits.
CREATE TABLE partner_secrets (
    secret_id   BLOB NOT NULL PRIMARY KEY,
    partner_id  BLOB NOT NULL REFERENCES partners ON DELETE CASCADE,
    secret_hash BLOB NOT NULL UNIQUE,
    created_at  TEXT NOT NULL,
    retired_at  TEXT
) STRICT;
CREATE INDEX partner_secrets_of_partner ON partner_secrets (partner_id);

-- What a customer allowed. One of a customer and a partner stands; those of before are kept as they were.
CREATE TABLE partner_grants (
    grant_id   BLOB NOT NULL PRIMARY KEY,
    partner_id BLOB NOT NULL REFERENCES partners ON DELETE CASCADE,
    user_id    BLOB NOT NULL REFERENCES users ON DELETE CASCADE,
    scopes     TEXT NOT NULL,
    created_at TEXT NOT NULL,
    revoked_at TEXT
) STRICT;
CREATE UNIQUE INDEX partner_grants_that_stand ON partner_grants (partner_id, user_id) WHERE revoked_at IS NULL;
CREATE INDEX partner_grants_of_user ON partner_grants (user_id);

-- day: of UTC, 2026-11-28.
CREATE TABLE partner_usage (
    partner_id BLOB NOT NULL REFERENCES partners ON DELETE CASCADE,
    day        TEXT NOT NULL,
    requests   INTEGER NOT NULL,
    cost       INTEGER NOT NULL,
    refusals   INTEGER NOT NULL,
    PRIMARY KEY (partner_id, day)
) STRICT;
