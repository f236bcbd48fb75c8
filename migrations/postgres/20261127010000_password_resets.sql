-- Links by which a forgotten password is replaced. Additive only: an earlier release changes passwords without raising
-- their version, which leaves a link good for its half hour.

-- How often the password was changed; not counted when its hash alone is made anew.
ALTER TABLE users ADD COLUMN password_version bigint NOT NULL DEFAULT 0;

-- Only hashes: a copy of this table opens nothing. A link is void once the password has another version.
CREATE TABLE password_resets (
    token_hash       bytea       NOT NULL PRIMARY KEY,
    user_id          uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    password_version bigint      NOT NULL,
    created_at       timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,
    used_at          timestamptz
);
CREATE INDEX password_resets_by_expiry ON password_resets (expires_at);
CREATE INDEX password_resets_of_user ON password_resets (user_id);
