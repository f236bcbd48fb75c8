//! Emulators of the three systems, for development and tests.
