-- One-time codes: what a person proves by typing what was mailed to them. Additive only.

-- subject: keyed hash of the normalised address, for limits; address and payload are sealed. code_hash: keyed hash of the
-- code with this row's id and kind, so a copy of the table proves nothing. client_hash: keyed hash of what asked for it.
-- A row goes when its code was proved, or some time after it ran out.
CREATE TABLE challenges (
    challenge_id uuid NOT NULL PRIMARY KEY,
    kind         text NOT NULL,
    subject      bytea NOT NULL,
    address      bytea NOT NULL,
    language     text NOT NULL,
    payload      bytea NOT NULL,
    code_hash    bytea NOT NULL,
    client_hash  bytea NOT NULL,
    tries_left   bigint NOT NULL,
    sends        bigint NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX challenges_by_expiry ON challenges (expires_at);
