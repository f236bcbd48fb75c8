//! Who is connected: at most so many of a user, and nobody longer than their token and session.
//!
//! One task looks after all open connections of this process. A token's end is known beforehand; whether the sessions still
//! stand is asked of the store for all of them at once, which costs a few statements however many are
//! open. It looks often enough that a revocation closes within 5 seconds (requirement S7).

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use tokio::{
    sync::oneshot,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use uuid::Uuid;

use crate::{clock::Clock, error::Result};

/// How often the ends of tokens are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Each so many looks the sessions are asked for.
const ASK_EVERY: u32 = 2;
/// How long the store may take to say which sessions stand.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long connections stay open while nobody can say whether their sessions stand.
const UNKNOWN_FOR: Duration = Duration::from_secs(15);

/// What a connection is known by.
#[derive(Clone, Copy, Debug)]
pub struct Badge {
    /// Whose it is.
    pub user: Uuid,
    /// By what it stands, all of it: twice the session of its token, or what lets a partner in, and what lets it see the customer.
    pub stands_by: [Uuid; 2],
    /// When its token ends.
    pub expires_at: DateTime<Utc>,
}

/// Says which of some of [`Badge::stands_by`] have ended.
pub type Ended = Arc<dyn Fn(Vec<Uuid>) -> BoxFuture<'static, Result<HashSet<Uuid>>> + Send + Sync>;

/// Why a connection may not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its token has run out.
    Expired,
    /// Its session was ended.
    Revoked,
    /// Nobody can say whether its session stands.
    Unknown,
}

/// Why there is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// The token has run out.
    Expired,
    /// The user has as many as they may.
    Full,
}

/// The open connections of this process. Clones share them.
#[derive(Clone)]
pub struct Seats(Arc<Room>);

struct Room {
    of_one_user: usize,
    clock: Clock,
    ended: Ended,
    look: Duration,
    unknown_for: Duration,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    by_user: HashMap<Uuid, Vec<Place>>,
    is_watched: bool,
}

struct Place {
    number: u64,
    badge: Badge,
    end: Option<oneshot::Sender<End>>,
}

/// The right to one connection, given back when dropped.
pub(super) struct Seat {
    room: Arc<Room>,
    user: Uuid,
    number: u64,
    end: oneshot::Receiver<End>,
}

impl Seats {
    /// At most `of_one_user` connections of each user.
    pub fn new(of_one_user: usize, clock: Clock, ended: Ended) -> Self {
        Self::watched(of_one_user, clock, ended, LOOK, UNKNOWN_FOR)
    }

    /// The same at a pace of one's own.
    fn watched(
        of_one_user: usize,
        clock: Clock,
        ended: Ended,
        look: Duration,
        unknown_for: Duration,
    ) -> Self {
        Self(Arc::new(Room { of_one_user, clock, ended, look, unknown_for, taken: Mutex::default() }))
    }

    /// Takes a seat.
    ///
    /// # Errors
    /// [`Denied`]: what would be ended with the next look does not begin.
    pub(super) fn take(&self, badge: Badge) -> std::result::Result<Seat, Denied> {
        if badge.expires_at <= self.0.clock.now() {
            return Err(Denied::Expired);
        }
        let (sender, end) = oneshot::channel();
        let mut taken = self.0.lock();
        let number = taken.next;
        let places = taken.by_user.entry(badge.user).or_default();
        if places.len() >= self.0.of_one_user {
            return Err(Denied::Full);
        }
        places.push(Place { number, badge, end: Some(sender) });
        taken.next += 1;
        if !std::mem::replace(&mut taken.is_watched, true) {
            tokio::spawn(watch(Arc::downgrade(&self.0)));
        }
        drop(taken);
        metrics::gauge!("live_connections").increment(1);
        Ok(Seat { room: Arc::clone(&self.0), user: badge.user, number, end })
    }
}

impl Seat {
    /// Waits until the connection must end.
    pub(super) async fn ended(&mut self) -> End {
        (&mut self.end).await.unwrap_or(End::Unknown)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.room.lock();
        if let Some(places) = taken.by_user.get_mut(&self.user) {
            places.retain(|place| place.number != self.number);
            if places.is_empty() {
                taken.by_user.remove(&self.user);
            }
        }
        drop(taken);
        metrics::gauge!("live_connections").decrement(1);
    }
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connections that a reason applies to.
    fn end(&self, reason: impl Fn(&Badge) -> Option<End>) {
        let mut taken = self.lock();
        for place in taken.by_user.values_mut().flatten() {
            if let Some(end) = reason(&place.badge)
                && let Some(sender) = place.end.take()
            {
                // Whoever has gone in the meantime needs no word.
                let _ = sender.send(end);
            }
        }
    }

    fn sessions(&self) -> Vec<Uuid> {
        let taken = self.lock();
        let all = taken.by_user.values().flatten().flat_map(|place| place.badge.stands_by);
        all.collect::<HashSet<_>>().into_iter().collect()
    }
}

/// Looks after the connections until there are none.
async fn watch(room: Weak<Room>) {
    let Some(every) = room.upgrade().map(|room| room.look) else { return };
    let mut looks = interval(every);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut look, mut known_at) = (0_u32, Instant::now());
    loop {
        looks.tick().await;
        let Some(room) = room.upgrade() else { return };
        let now = room.clock.now();
        room.end(|badge| (now >= badge.expires_at).then_some(End::Expired));
        look += 1;
        if look.is_multiple_of(ASK_EVERY) {
            match timeout(ANSWER_WITHIN, (room.ended)(room.sessions())).await {
                Ok(Ok(ended)) => {
                    known_at = Instant::now();
                    let is_over = |badge: &Badge| badge.stands_by.iter().any(|id| ended.contains(id));
                    room.end(|badge| is_over(badge).then_some(End::Revoked));
                }
                _ if known_at.elapsed() > room.unknown_for => room.end(|_| Some(End::Unknown)),
                _ => tracing::warn!("whether the sessions of open connections stand cannot be asked"),
            }
        }
        let mut taken = room.lock();
        if taken.by_user.is_empty() {
            taken.is_watched = false;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use chrono::TimeDelta;

    use super::*;
    use crate::error::Error;

    fn badge(clock: &Clock, user: u128, session: u128) -> Badge {
        Badge {
            user: Uuid::from_u128(user),
            stands_by: [Uuid::from_u128(session); 2],
            expires_at: clock.now() + TimeDelta::minutes(10),
        }
    }

    fn seats(clock: &Clock, ended: impl Fn() -> Result<HashSet<Uuid>> + Send + Sync + 'static) -> Seats {
        let ended: Ended = Arc::new(move |_| {
            let ended = ended();
            Box::pin(async { ended })
        });
        Seats::watched(2, clock.clone(), ended, Duration::from_millis(5), Duration::from_millis(100))
    }

    #[tokio::test]
    async fn a_user_has_so_many_seats_and_gets_them_back() {
        let clock = Clock::system();
        let seats = seats(&clock, || Ok(HashSet::new()));
        let first = seats.take(badge(&clock, 1, 1)).unwrap();
        let _second = seats.take(badge(&clock, 1, 2)).unwrap();
        assert_eq!(seats.take(badge(&clock, 1, 3)).err(), Some(Denied::Full));
        assert!(seats.take(badge(&clock, 2, 4)).is_ok());
        drop(first);
        assert!(seats.take(badge(&clock, 1, 3)).is_ok());
        let late = Badge { expires_at: clock.now(), ..badge(&clock, 3, 5) };
        assert_eq!(seats.take(late).err(), Some(Denied::Expired));
    }

    #[tokio::test]
    async fn the_end_of_a_token_and_of_a_session_end_the_seat_and_no_other() {
        let clock = Clock::system();
        let seats = seats(&clock, || Ok(HashSet::from([Uuid::from_u128(2)])));
        let mut standing = seats.take(badge(&clock, 1, 3)).unwrap();
        for _ in 0..3 {
            let mut revoked = seats.take(badge(&clock, 1, 2)).unwrap();
            assert_eq!(revoked.ended().await, End::Revoked);
        }
        // It was looked at as often, and stays.
        assert!(standing.end.try_recv().is_err());
        clock.advance(TimeDelta::minutes(10));
        assert_eq!(standing.ended().await, End::Expired);
    }

    #[tokio::test]
    async fn a_store_that_does_not_answer_is_borne_for_some_seconds() {
        let clock = Clock::system();
        let seats = seats(&clock, || Err(Error::internal("down")));
        let mut seat = seats.take(badge(&clock, 1, 1)).unwrap();
        let began = Instant::now();
        assert_eq!(seat.ended().await, End::Unknown);
        assert!(began.elapsed() > Duration::from_millis(100));
    }
}
