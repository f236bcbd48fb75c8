//! Tells a client that drips the headers of a request from one that has nothing to ask, and one that takes
//! nothing of its answer.
//!
//! hyper has one timer for both, and arms it anew for every request; this is two numbers that the
//! connection looks at now and then.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A request is being answered.
const BUSY: u64 = u64::MAX;
/// What is there for the client can be written.
const FLOWS: u64 = u64::MAX;
/// Set between two requests; otherwise headers are arriving.
const IDLE: u64 = 1;

/// What the client owes, and since when.
#[derive(Debug)]
pub(super) struct Pace {
    accepted: Instant,
    /// Twice the milliseconds after `accepted`, with [`IDLE`]; or [`BUSY`].
    since: AtomicU64,
    /// Milliseconds after `accepted` since when nothing could be written, or [`FLOWS`].
    stalled_since: AtomicU64,
}

impl Pace {
    /// A new connection owes a request.
    pub(super) fn start() -> Arc<Self> {
        Arc::new(Self {
            accepted: Instant::now(),
            since: AtomicU64::new(0),
            stalled_since: AtomicU64::new(FLOWS),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.accepted.elapsed().as_millis()).unwrap_or(u64::MAX >> 2)
    }

    /// The headers are there.
    pub(super) fn asked(&self) {
        self.since.store(BUSY, Ordering::Relaxed);
    }

    /// The request is answered.
    pub(super) fn answered(&self) {
        self.since.store(self.now() << 1 | IDLE, Ordering::Relaxed);
    }

    fn received(&self) {
        let since = self.since.load(Ordering::Relaxed);
        if since != BUSY && since & IDLE != 0 {
            self.since.store(self.now() << 1, Ordering::Relaxed);
        }
    }

    /// Something was to be written, and could be or not.
    fn wrote(&self, could: bool) {
        let since = self.stalled_since.load(Ordering::Relaxed);
        if could && since != FLOWS {
            self.stalled_since.store(FLOWS, Ordering::Relaxed);
        } else if !could && since == FLOWS {
            self.stalled_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Whether the client has taken nothing for longer than that although something was there for it.
    pub(super) fn is_stalled_for(&self, within: Duration) -> bool {
        let since = self.stalled_since.load(Ordering::Relaxed);
        since != FLOWS && u128::from(self.now().saturating_sub(since)) > within.as_millis()
    }

    /// Whether headers have been arriving for longer than `headers`, or nothing for longer than `idle`.
    pub(super) fn is_over(&self, headers: Duration, idle: Duration) -> bool {
        let since = self.since.load(Ordering::Relaxed);
        let within = if since & IDLE != 0 { idle } else { headers };
        since != BUSY && u128::from(self.now().saturating_sub(since >> 1)) > within.as_millis()
    }
}

/// A request that counts as answered when this is dropped.
pub(super) struct Answering(pub(super) Arc<Pace>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answered();
    }
}

/// A connection that tells its pace when bytes arrive.
pub(super) struct Paced {
    pub stream: TcpStream,
    pub pace: Arc<Pace>,
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        if into.filled().len() > before {
            self.pace.received();
        }
        read
    }
}

impl AsyncWrite for Paced {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.pace.wrote(written.is_ready());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.pace.wrote(written.is_ready());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
