-- Personal data lies sealed. What lay plain is sealed by the program, which has the keys, when it brings the database up to
-- date; a former column then holds nothing personal any more, and goes when no release reads it.

-- email_index: a keyed hash of the normalised address, by which a user is found. email_normalised: the user's id, once the
-- address is sealed.
ALTER TABLE users ADD COLUMN email_index BLOB;
ALTER TABLE users ADD COLUMN email_sealed BLOB;
CREATE UNIQUE INDEX users_by_email ON users (email_index);

-- sealed: title, message and link, which are empty then.
ALTER TABLE notifications ADD COLUMN sealed BLOB;

-- sealed: the record, which is empty then. What another release mirrored plain is forgotten; it fills again.
ALTER TABLE invoices_mirror ADD COLUMN sealed BLOB;
ALTER TABLE subscriptions_mirror ADD COLUMN sealed BLOB;

-- From now on the payload lies sealed. The dead letters still tell of each.
DELETE FROM undecoded_events;
