-- One-time codes: what a person proves by typing what was mailed to them. Additive only.

-- subject: keyed hash of the normalised address, for limits; address and payload are sealed. code_hash: keyed hash of the
-- code with this row's id and kind, so a copy of the table proves nothing. client_hash: keyed hash of what asked for it.
-- A row goes when its code was proved, or some time after it ran out.
CREATE TABLE challenges (
    challenge_id BLOB NOT NULL PRIMARY KEY,
    kind         TEXT NOT NULL,
    subject      BLOB NOT NULL,
    address      BLOB NOT NULL,
    language     TEXT NOT NULL,
    payload      BLOB NOT NULL,
    code_hash    BLOB NOT NULL,
    client_hash  BLOB NOT NULL,
    tries_left   INTEGER NOT NULL,
    sends        INTEGER NOT NULL,
    created_at   TEXT NOT NULL,
    expires_at   TEXT NOT NULL
) STRICT;
CREATE INDEX challenges_by_expiry ON challenges (expires_at);
