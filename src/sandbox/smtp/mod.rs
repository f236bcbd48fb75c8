//! The mail server: takes every mail, delivers none, and shows what it took.
//!
//! It speaks SMTP (RFC 5321) in plaintext with `AUTH PLAIN`, `8BITMIME`, `SIZE` and `PIPELINING`. Parsing is left to `smtp-proto` and
//! `mail-parser`, which share nothing with the gateway's own sender; servers that can be embedded whole (`mailin`, `samotop`)
//! are not kept. Mails stay in memory, a bounded number of them. The admin endpoint shows them as JSON and as pages.

pub mod admin;
mod mail;
mod mailbox;
mod session;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub use self::{
    mail::Mail,
    mailbox::{Filter, Mailbox},
};
use crate::sandbox::core::Core;

/// Answers on a port until told to stop; then connections are cut.
pub(super) async fn serve(
    listener: TcpListener,
    core: Arc<Core>,
    mailbox: Arc<Mailbox>,
    stopping: CancellationToken,
) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            Some(_) = sessions.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    sessions.spawn(session::run(stream, Arc::clone(&core), Arc::clone(&mailbox)));
                }
                Err(error) => {
                    tracing::warn!(%error, "the sandbox's mail server cannot accept");
                    tokio::task::yield_now().await;
                }
            },
        }
    }
}
