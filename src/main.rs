//! The commands of the gateway.

fn main() {}
