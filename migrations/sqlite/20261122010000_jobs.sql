-- Work that must be done after its cause was committed, by any replica. Additive only.

-- One row a job; its key is remembered for a while after it was done, so that a repetition adds none. The payload is
-- sealed, and gone once the job is done.
-- due_at: the next try; null when there is none. claim: who tries now, until claimed_until. attempts: tries that were begun.
-- finished_at: done, or worthless before it was. died_at: given up; the payload stays for people to look after it.
CREATE TABLE jobs (
    job_id        BLOB    NOT NULL PRIMARY KEY,
    kind          TEXT    NOT NULL,
    unique_key    TEXT    NOT NULL,
    payload       BLOB,
    created_at    TEXT    NOT NULL,
    due_at        TEXT,
    expires_at    TEXT,
    attempts      INTEGER NOT NULL DEFAULT 0,
    claim         BLOB,
    claimed_until TEXT,
    finished_at   TEXT,
    died_at       TEXT,
    reason        TEXT,
    UNIQUE (kind, unique_key)
) STRICT;
CREATE INDEX jobs_due ON jobs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_dead ON jobs (died_at) WHERE died_at IS NOT NULL;
