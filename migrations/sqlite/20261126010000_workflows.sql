-- What spans several systems and must be finished, whoever is killed on the way. Additive only.

-- unique_key: a keyed hash of what may have one workflow of a kind at a time; it is free again when that has ended.
-- state: sealed, and gone once it has ended. step: what is done now; is_sending: the intent of it is stored, its outcome is not,
-- so that whoever resumes looks before it sends. fence: rises with every run; an older run can store nothing any more.
-- status: running, review (people must look), done, refused. result: what came of it, never personal data.
CREATE TABLE workflows (
    workflow_id BLOB        NOT NULL PRIMARY KEY,
    kind        TEXT        NOT NULL,
    unique_key  BLOB       NOT NULL,
    state       BLOB,
    step        TEXT        NOT NULL,
    is_sending  INTEGER     NOT NULL,
    status      TEXT        NOT NULL,
    result      TEXT,
    fence       INTEGER     NOT NULL,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL,
    ended_at    TEXT
) STRICT;
CREATE UNIQUE INDEX workflows_running ON workflows (kind, unique_key) WHERE ended_at IS NULL;
CREATE INDEX workflows_ended ON workflows (ended_at) WHERE ended_at IS NOT NULL;
