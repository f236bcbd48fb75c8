//! Records: those of the seeded world, and those written over them.

pub mod home;
pub mod overlay;
pub mod record;
pub mod seed;
pub mod shared;
pub mod view;

pub use overlay::{Before, Overlay, Savepoint};
pub use record::Record;
pub use view::View;
