-- What spans several systems and must be finished, whoever is killed on the way. Additive only.

-- unique_key: a keyed hash of what may have one workflow of a kind at a time; it is free again when that has ended.
-- state: sealed, and gone once it has ended. step: what is done now; is_sending: the intent of it is stored, its outcome is not,
-- so that whoever resumes looks before it sends. fence: rises with every run; an older run can store nothing any more.
-- status: running, review (people must look), done, refused. result: what came of it, never personal data.
CREATE TABLE workflows (
    workflow_id uuid        NOT NULL PRIMARY KEY,
    kind        text        NOT NULL,
    unique_key  bytea       NOT NULL,
    state       bytea,
    step        text        NOT NULL,
    is_sending  boolean     NOT NULL,
    status      text        NOT NULL,
    result      text,
    fence       bigint      NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    ended_at    timestamptz
);
CREATE UNIQUE INDEX workflows_running ON workflows (kind, unique_key) WHERE ended_at IS NULL;
CREATE INDEX workflows_ended ON workflows (ended_at) WHERE ended_at IS NOT NULL;
