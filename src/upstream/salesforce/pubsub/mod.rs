//! x
#[cfg(test)]
mod generated;
