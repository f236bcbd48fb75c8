//! The one key that all calls to a system share.
//!
//! Whoever needs a key while there is none obtains it, and everybody else waits for that one: so the key is asked
//! for once, and a caller that goes away meanwhile leaves the place to the next.

use secrecy::SecretString;
use tokio::{
    sync::Mutex,
    time::{Duration, Instant, timeout_at},
};

use crate::upstream::error::{Error, Kind};

/// How long refused credentials are remembered, so that those who wait do not try them one after the other.
const REFUSED: Duration = Duration::from_secs(1);

/// A key, and which one it is.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) value: SecretString,
    number: u64,
}

/// Where the key is kept.
#[derive(Debug, Default)]
pub(super) struct Session(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    key: Option<(Key, Instant)>,
    /// How many keys there have been.
    count: u64,
    refused: Option<(Error, Instant)>,
}

impl Session {
    /// The key, obtained by `authenticate`, which tells how long to use it, when there is none, when it is too old, or
    /// when it is `refused`, the one that has just been turned down. `late` is the error of a caller whose deadline passes while it waits.
    pub(super) async fn key(
        &self,
        deadline: Instant,
        refused: Option<&Key>,
        late: Error,
        authenticate: impl Future<Output = Result<(SecretString, Duration), Error>>,
    ) -> Result<Key, Error> {
        let Ok(mut state) = timeout_at(deadline, self.0.lock()).await else { return Err(late) };
        let now = Instant::now();
        if let Some((key, until)) = &state.key
            && *until > now
            && refused.is_none_or(|refused| refused.number != key.number)
        {
            return Ok(key.clone());
        }
        if let Some((error, until)) = &state.refused
            && *until > now
        {
            return Err(error.clone());
        }
        state.key = None;
        match authenticate.await {
            Ok((value, lasts)) => {
                state.count += 1;
                let key = Key { value, number: state.count };
                state.key = Some((key.clone(), Instant::now() + lasts));
                state.refused = None;
                Ok(key)
            }
            Err(error) => {
                if error.kind == Kind::Session {
                    state.refused = Some((error.clone(), Instant::now() + REFUSED));
                }
                Err(error)
            }
        }
    }
}
