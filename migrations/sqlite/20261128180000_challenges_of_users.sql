-- A challenge of an account goes with it, also one that proves another address. Additive only: one of the release before has
-- no user, and runs out within the hour.

-- user_id: whose account asked for it; none at a sign-up.
ALTER TABLE challenges ADD COLUMN user_id BLOB REFERENCES users ON DELETE CASCADE;
CREATE INDEX challenges_of_user ON challenges (user_id);
