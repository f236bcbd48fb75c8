-- Whether anybody signed in on a device is asked before anything is known of who asks.

CREATE INDEX devices_of_token ON devices (token_hash);
