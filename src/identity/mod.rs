//! Who is asking: accounts, passwords, sessions, tokens, and the mapping to the other systems.
