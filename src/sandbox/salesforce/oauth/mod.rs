//! OAuth: tokens, who they stand for, and what is refused. Source: Salesforce reference §2.

pub mod assertion;
pub mod identity;
pub mod session;
pub mod token;

pub use session::Sessions;
