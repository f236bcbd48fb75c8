//! What upstream calls cost, noted for whoever asked to have an answer explained.
//!
//! A load is run inside a ledger; every call that it makes writes a line there. Where no ledger is open
//! nothing is noted and nothing allocated.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::error::Service;

/// One call of a system.
#[derive(Clone, Copy, Debug)]
pub struct Spending {
    /// The system.
    pub service: Service,
    /// The operation, in its system's own word.
    pub operation: &'static str,
    /// How long it waited for its turn.
    pub queued: Duration,
    /// How long it took in all, its wait and its repeats included.
    pub took: Duration,
    /// How often it was sent: each counts against the system's allowance.
    pub attempts: u32,
}

type Lines = Arc<Mutex<Vec<Spending>>>;

tokio::task_local! {
    static LEDGER: Lines;
}

/// Runs a future inside a ledger of its own, and gives what its calls cost.
pub async fn noted<F: Future>(future: F) -> (F::Output, Vec<Spending>) {
    let lines = Lines::default();
    let output = LEDGER.scope(Arc::clone(&lines), future).await;
    let spent = std::mem::take(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner));
    (output, spent)
}

/// Carries the ledger of this task, if there is one, into a task that is about to be spawned.
pub fn carried<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let lines = LEDGER.try_with(Arc::clone).ok();
    async move {
        match lines {
            Some(lines) => LEDGER.scope(lines, future).await,
            None => future.await,
        }
    }
}

/// Writes a line into the ledger of this task, if there is one.
pub fn note(spending: Spending) {
    let _ = LEDGER.try_with(|lines| lines.lock().unwrap_or_else(PoisonError::into_inner).push(spending));
}

#[cfg(test)]
mod tests {
    #![expect(clippy::expect_used, reason = "a test may panic")]

    use super::*;

    const CALL: Spending = Spending {
        service: Service::Billing,
        operation: "GetInvoices",
        queued: Duration::ZERO,
        took: Duration::from_millis(80),
        attempts: 1,
    };

    #[tokio::test]
    async fn a_ledger_holds_the_calls_of_its_future_and_of_the_tasks_it_is_carried_into() {
        note(CALL);
        let ((), spent) = noted(async {
            note(CALL);
            let task = tokio::spawn(carried(async { note(Spending { attempts: 2, ..CALL }) }));
            task.await.expect("it does not panic");
        })
        .await;
        assert_eq!(spent.iter().map(|line| line.attempts).collect::<Vec<_>>(), [1, 2]);
    }
}
