-- Links by which a forgotten password is replaced. Additive only: an earlier release changes passwords without raising
-- their version, which leaves a link good for its half hour.

-- How often the password was changed; not counted when its hash alone is made anew.
ALTER TABLE users ADD COLUMN password_version INTEGER NOT NULL DEFAULT 0;

-- Only hashes: a copy of this table opens nothing. A link is void once the password has another version.
CREATE TABLE password_resets (
    token_hash       BLOB    NOT NULL PRIMARY KEY,
    user_id          BLOB    NOT NULL REFERENCES users ON DELETE CASCADE,
    password_version INTEGER NOT NULL,
    created_at       TEXT    NOT NULL,
    expires_at       TEXT    NOT NULL,
    used_at          TEXT
) STRICT;
CREATE INDEX password_resets_by_expiry ON password_resets (expires_at);
CREATE INDEX password_resets_of_user ON password_resets (user_id);
