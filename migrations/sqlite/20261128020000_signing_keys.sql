-- The keys that sign access tokens, one generation after the other. Additive only: an earlier release signs with its own.

-- kid: the thumbprint of the public key. private_key: sealed. A key signs from signs_from until the next one does; it verifies
-- from when it is known here until some time after it ceased to sign, and then its row goes. So no row is ever changed, and
-- whoever knows the rows and the time knows the state of every key.
CREATE TABLE signing_keys (
    generation  INTEGER NOT NULL PRIMARY KEY,
    kid         TEXT    NOT NULL UNIQUE,
    public_key  BLOB    NOT NULL,
    private_key BLOB    NOT NULL,
    created_at  TEXT    NOT NULL,
    signs_from  TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
