-- Copies of the lists that billing holds of each client, for when it does not answer and no cache knows them either.
-- They can be dropped and made again at any time. Additive only.

-- A list that was read; an empty one is a list, too. digest: of its rows, so that a list that did not change is not
-- written again. changed_at: when a change of it was reported last.
CREATE TABLE mirrored_lists (
    client_id  bigint      NOT NULL,
    list       text        NOT NULL,
    digest     bytea       NOT NULL,
    loaded_at  timestamptz NOT NULL,
    changed_at timestamptz,
    PRIMARY KEY (client_id, list)
);

-- The rows of a list in its order, as the domain writes them.
CREATE TABLE invoices_mirror (
    client_id  bigint NOT NULL,
    invoice_id bigint NOT NULL,
    place      bigint NOT NULL,
    record     text   NOT NULL,
    PRIMARY KEY (client_id, invoice_id)
);
CREATE INDEX invoices_mirror_by_invoice ON invoices_mirror (invoice_id);

CREATE TABLE subscriptions_mirror (
    client_id       bigint NOT NULL,
    subscription_id bigint NOT NULL,
    place           bigint NOT NULL,
    record          text   NOT NULL,
    PRIMARY KEY (client_id, subscription_id)
);
