//! Mobile lines: usage, plan and voice options.
