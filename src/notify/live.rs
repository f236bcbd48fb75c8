//! The hub: who listens to what on this replica.
//!
//! A hint costs a look-up of its topic and a place in the queue of each listener; publishing never waits for
//! a reader. A reader that leaves its queue full is dropped: it subscribes again and reads anew, which is cheaper than
//! what it missed.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures::Stream;
use tokio::sync::mpsc;

use crate::notify::{Hint, Settings, Topic, bus::Bus};

/// Brings hints to open subscriptions. Clones share one hub.
#[derive(Clone)]
pub struct Live {
    hub: Arc<Hub>,
    bus: Option<Bus>,
}

/// The listeners of this replica.
pub(super) struct Hub {
    queue: usize,
    topics: Mutex<HashMap<Topic, Vec<Arc<Seat>>>>,
}

/// One subscription.
struct Seat {
    hints: mpsc::Sender<Arc<Hint>>,
    has_lagged: AtomicBool,
}

impl Live {
    /// A hub, with the way to the other replicas when there is one. It needs a runtime then: a task of its own
    /// listens and connects again by itself, until the last clone is gone.
    ///
    /// # Errors
    /// When the address of Redis is none.
    pub fn new(settings: &Settings) -> Result<Self, redis::RedisError> {
        let hub = Arc::new(Hub { queue: settings.queue.max(1), topics: Mutex::default() });
        let bus = settings.redis.as_ref().map(|redis| Bus::start(redis, &hub)).transpose()?;
        Ok(Self { hub, bus })
    }

    /// Tells every listener of the hint's topic, here and on all replicas. It does not fail: replicas that
    /// could not be told are told later that they missed something.
    pub async fn publish(&self, hint: Hint) {
        metrics::counter!("live_hints_total", "subject" => hint.subject.name()).increment(1);
        let hint = Arc::new(hint);
        self.hub.deliver(&hint);
        if let Some(bus) = &self.bus {
            bus.publish(&hint).await;
        }
    }

    /// Listens to some topics and to what concerns everyone, from now on.
    pub fn subscribe(&self, topics: impl IntoIterator<Item = Topic>) -> Listening {
        let (hints, queue) = mpsc::channel(self.hub.queue);
        let seat = Arc::new(Seat { hints, has_lagged: AtomicBool::new(false) });
        let mut listening = Listening { hub: Arc::clone(&self.hub), seat, queue, topics: Vec::new() };
        metrics::gauge!("live_subscriptions").increment(1);
        for topic in topics.into_iter().chain([Topic::Everyone]) {
            listening.also(topic);
        }
        listening
    }
}

impl Hub {
    /// Puts a hint into the queues of its listeners.
    pub(super) fn deliver(&self, hint: &Arc<Hint>) {
        let topics = self.lock();
        for seat in topics.get(&hint.topic).into_iter().flatten() {
            if seat.hints.try_send(Arc::clone(hint)).is_err()
                && !seat.has_lagged.swap(true, Ordering::Relaxed)
            {
                metrics::counter!("live_lagged_total").increment(1);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Topic, Vec<Arc<Seat>>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hints of some topics, as a stream. It ends only when its reader was too slow; what it had not read is
/// lost then. Dropping it stops listening.
pub struct Listening {
    hub: Arc<Hub>,
    seat: Arc<Seat>,
    queue: mpsc::Receiver<Arc<Hint>>,
    topics: Vec<Topic>,
}

impl Listening {
    /// Listens to one more topic.
    pub fn also(&mut self, topic: Topic) {
        if !self.topics.contains(&topic) {
            self.hub.lock().entry(topic.clone()).or_default().push(Arc::clone(&self.seat));
            self.topics.push(topic);
        }
    }
}

impl Stream for Listening {
    type Item = Arc<Hint>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.seat.has_lagged.load(Ordering::Relaxed) {
            return Poll::Ready(None);
        }
        self.queue.poll_recv(cx)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut topics = self.hub.lock();
        for topic in &self.topics {
            let Some(seats) = topics.get_mut(topic) else { continue };
            if let Some(at) = seats.iter().position(|seat| Arc::ptr_eq(seat, &self.seat)) {
                seats.swap_remove(at);
            }
            if seats.is_empty() {
                topics.remove(topic);
            }
        }
        metrics::gauge!("live_subscriptions").decrement(1);
    }
}
