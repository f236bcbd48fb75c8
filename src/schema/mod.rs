//! The graph: query, mutation, edges between domains, node ids, error codes.

pub mod cookies;
