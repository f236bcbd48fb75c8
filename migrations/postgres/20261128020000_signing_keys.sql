-- The keys that sign access tokens, one generation after the other. Additive only: an earlier release signs with its own.

-- kid: the thumbprint of the public key. private_key: sealed. A key signs from signs_from until the next one does; it verifies
-- from when it is known here until some time after it ceased to sign, and then its row goes. So no row is ever changed, and
-- whoever knows the rows and the time knows the state of every key.
CREATE TABLE signing_keys (
    generation  bigint      NOT NULL PRIMARY KEY,
    kid         text        NOT NULL UNIQUE,
    public_key  bytea       NOT NULL,
    private_key bytea       NOT NULL,
    created_at  timestamptz NOT NULL,
    signs_from  timestamptz NOT NULL
);
