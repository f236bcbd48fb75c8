//! The cache: keys, tags, versions, one load per key.
