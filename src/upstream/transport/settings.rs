//! What one upstream can bear, and when we stop asking it.

use std::time::Duration;

/// Limits and thresholds of one upstream. The base address belongs to its client.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Calls in flight at once. Defaults: WHMCS 15, Salesforce 15, Freebit 5, Japan Post 5.
    pub concurrency: usize,
    /// Calls in a minute; a minute's worth may go at once after a quiet minute. `None` means no limit. Defaults:
    /// WHMCS 300, Salesforce 600, Freebit none, Japan Post none.
    pub calls_per_minute: Option<u32>,
    /// Calls that may wait for their turn; one more and the last of the least urgent is shed. Default 200.
    pub queue: usize,
    /// The longest that one call may take, queue and retries included, when its request allows more. Default 8 s, Japan Post 10 s.
    pub call_timeout: Duration,
    /// The longest wait for a connection. Default 2 s.
    pub connect_timeout: Duration,
    /// The largest answer, in bytes after decompression. Default 16 MiB.
    pub answer_limit: usize,
    /// When to stop asking, and when to try again.
    pub breaker: Breaker,
    /// How reads are asked again.
    pub retry: Retry,
}

/// When a breaker opens and closes.
#[derive(Clone, Debug)]
pub struct Breaker {
    /// This many failures in a row open it, however slowly they come. Default 5.
    pub consecutive: u32,
    /// The window of the ratio. Default 2 s.
    pub window: Duration,
    /// The share of failures within the window that opens it. Default 0.5.
    pub ratio: f64,
    /// The least number of calls within the window for the ratio to mean something. Default 20.
    pub calls: u32,
    /// A call that has waited this long counts as failed when nothing else of its class has succeeded since it
    /// began: so a system that hangs is known before its calls time out. Default 1.5 s.
    pub slow: Duration,
    /// How long it stays open first. Doubles with every failed probe. Default 1 s.
    pub open: Duration,
    /// The longest it stays open. With the probe's [`slow`](Self::slow) it bounds recovery. Default 5 s.
    pub open_max: Duration,
}

/// How reads are asked again. Writes never are.
#[derive(Clone, Debug)]
pub struct Retry {
    /// Further attempts after the first. Default 2.
    pub attempts: u32,
    /// Full jitter: the n-th wait is drawn from 0 to `base` × 2ⁿ. Default 100 ms.
    pub base: Duration,
    /// The share of calls, over all callers, that may be repeated. Default 0.1.
    pub budget: f32,
    /// Repeats a second that are allowed whatever the share, so that a quiet gateway may retry too. Default 1.
    pub reserve: u32,
}

impl Settings {
    /// Source: domain reference §28.
    pub fn whmcs() -> Self {
        Self { concurrency: 15, calls_per_minute: Some(300), ..Self::base() }
    }

    /// Source: domain reference §28.
    pub fn salesforce() -> Self {
        Self { concurrency: 15, calls_per_minute: Some(600), ..Self::base() }
    }

    /// Source: domain reference §28.
    pub fn freebit() -> Self {
        Self { concurrency: 5, calls_per_minute: None, ..Self::base() }
    }

    /// Source: domain reference §9.3. How often it may be asked is not known.
    pub fn japan_post() -> Self {
        Self { call_timeout: Duration::from_secs(10), ..Self::base() }
    }

    /// A person waits before a form while it is asked.
    pub fn captcha() -> Self {
        Self { concurrency: 20, call_timeout: Duration::from_secs(3), ..Self::base() }
    }

    fn base() -> Self {
        Self {
            concurrency: 5,
            calls_per_minute: None,
            queue: 200,
            call_timeout: Duration::from_secs(8),
            connect_timeout: Duration::from_secs(2),
            answer_limit: 16 << 20,
            breaker: Breaker::default(),
            retry: Retry::default(),
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            consecutive: 5,
            window: Duration::from_secs(2),
            ratio: 0.5,
            calls: 20,
            slow: Duration::from_millis(1500),
            open: Duration::from_secs(1),
            open_max: Duration::from_secs(5),
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 2, base: Duration::from_millis(100), budget: 0.1, reserve: 1 }
    }
}
