//! Every SQL statement of the gateway.
