-- Partners: programs of others that act for customers who allowed it. Additive only.

-- scopes: names with spaces between; the last three: requests and points of cost, and how many points come back in a second.
CREATE TABLE partners (
    partner_id          uuid NOT NULL PRIMARY KEY,
    client_id           text NOT NULL UNIQUE,
    name                text NOT NULL,
    scopes              text NOT NULL,
    is_first_party      boolean NOT NULL,
    requests_per_second bigint NOT NULL,
    cost_maximum        bigint NOT NULL,
    cost_restore        bigint NOT NULL,
    created_at          timestamptz NOT NULL,
    revoked_at          timestamptz
);

-- Two at most are active, while one is being replaced. secret_hash: SHA-256 of 256 random bits.
CREATE TABLE partner_secrets (
    secret_id   uuid NOT NULL PRIMARY KEY,
    partner_id  uuid NOT NULL REFERENCES partners ON DELETE CASCADE,
    secret_hash bytea NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL,
    retired_at  timestamptz
);
CREATE INDEX partner_secrets_of_partner ON partner_secrets (partner_id);

-- What a customer allowed. One of a customer and a partner stands; those of before are kept as they were.
CREATE TABLE partner_grants (
    grant_id   uuid NOT NULL PRIMARY KEY,
    partner_id uuid NOT NULL REFERENCES partners ON DELETE CASCADE,
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    scopes     text NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE UNIQUE INDEX partner_grants_that_stand ON partner_grants (partner_id, user_id) WHERE revoked_at IS NULL;
CREATE INDEX partner_grants_of_user ON partner_grants (user_id);

-- day: of UTC, 2026-11-28.
CREATE TABLE partner_usage (
    partner_id uuid NOT NULL REFERENCES partners ON DELETE CASCADE,
    day        text NOT NULL,
    requests   bigint NOT NULL,
    cost       bigint NOT NULL,
    refusals   bigint NOT NULL,
    PRIMARY KEY (partner_id, day)
);
