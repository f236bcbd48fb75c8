-- What was proved under an address goes with its person. Additive only: a verification of the release before has none, and
-- runs out within the hour.

-- subject: the keyed hash under which codes know the address.
ALTER TABLE verifications ADD COLUMN subject bytea;
CREATE INDEX verifications_of_subject ON verifications (subject);
