//! Change that begins in the CRM: read from its event bus, stored, and said in the portal's words.
//!
//! One replica at a time reads ([`Consumer`]): it holds a lease, and every write checks that it still does, so one that
//! was paused and resumes can write nothing. Each channel has a stream and a durable cursor; events and cursor are
//! stored in one transaction, so a crash at any point neither loses an event nor stores one twice. What an event says
//! is reduced to ids and kinds before it is stored ([`Report`]); any replica's worker then asks what it means
//! ([`Changes`]).
//!
//! A position that the bus refuses is an alarm: the channel is read from the earliest event that is still kept, and a
//! comparison with the CRM is asked for, which stays asked for until it is done. Comments on cases have no change
//! event, so they are asked for by the time of their last change, in the background lane.
//!
//! Source: requirements E1 to E5; Salesforce reference §16.4, §20 to §24.

mod backoff;
mod changes;
mod comments;
mod consumer;
mod health;
mod intake;
mod owners;
mod report;
mod settings;
mod stream;

pub use changes::{Changes, Unmapped};
pub use consumer::Consumer;
pub use health::{ChannelHealth, Health};
pub use report::{Entity, Report};
pub use settings::{Settings, Start};
