//! Rows of `leases`: what one replica at a time does.
//!
//! A lease runs out by itself when its holder is gone. A holder that was only paused resumes without knowing, so the
//! lease carries a fencing number that rises with every holder, and whoever writes under it checks the number in the
//! transaction that writes ([`Tx::holds`]).

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::store::{On, Result, Store, Tx, sql};

/// A lease that was given to this process. It may have ended since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    name: &'static str,
    holder: Uuid,
    fence: i64,
}

impl Lease {
    /// The fencing number: greater than that of every earlier holder.
    pub fn fence(&self) -> i64 {
        self.fence
    }
}

impl Store {
    /// Takes a lease that is free or has run out; `None` while another holds it.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn acquire_lease(
        &self,
        name: &'static str,
        now: DateTime<Utc>,
        lasting: Duration,
    ) -> Result<Option<Lease>> {
        let holder = Uuid::new_v4();
        let given = sql!(
            self.write(),
            "INSERT INTO leases (lease_name, holder, fence, expires_at) VALUES ($1, $2, 1, $4)
             ON CONFLICT (lease_name) DO UPDATE
                SET holder = excluded.holder, fence = leases.fence + 1, expires_at = excluded.expires_at
                WHERE leases.expires_at <= $3
             RETURNING fence",
            [name, holder, now, until(now, lasting)],
            fetch_optional as (i64,)
        )?;
        Ok(given.map(|(fence,)| Lease { name, holder, fence }))
    }

    /// Lengthens a lease. False when another has it.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn renew_lease(&self, lease: &Lease, now: DateTime<Utc>, lasting: Duration) -> Result<bool> {
        let changed = sql!(
            self.write(),
            "UPDATE leases SET expires_at = $4 WHERE lease_name = $1 AND holder = $2 AND fence = $3",
            [lease.name, lease.holder, lease.fence, until(now, lasting)]
        )?;
        Ok(changed == 1)
    }

    /// Gives a lease back, so that another need not wait until it runs out.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn release_lease(&self, lease: &Lease, now: DateTime<Utc>) -> Result<()> {
        self.renew_lease(lease, now, Duration::ZERO).await.map(drop)
    }
}

impl Tx {
    /// Whether a lease is still the caller's; if so, nobody else takes it before this transaction ends. To be asked
    /// last, so that it is held for no longer than the commit takes.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn holds(&mut self, lease: &Lease) -> Result<bool> {
        // A process that is paused right here would keep the row locked, and its successor out. PostgreSQL ends the
        // transaction then; SQLite has one process.
        if let On::Postgres(db) = self.on() {
            sqlx::query("SET LOCAL idle_in_transaction_session_timeout = '10s'").execute(db).await?;
        }
        let held = sql!(
            self.on(),
            "UPDATE leases SET fence = fence WHERE lease_name = $1 AND holder = $2 AND fence = $3",
            [lease.name, lease.holder, lease.fence]
        )?;
        Ok(held == 1)
    }
}

fn until(now: DateTime<Utc>, lasting: Duration) -> DateTime<Utc> {
    now + TimeDelta::from_std(lasting).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::store::testing::on_both_stores;

    const NAME: &str = "reader";
    const LASTING: Duration = Duration::from_secs(30);

    on_both_stores! {
        async fn one_at_a_time_holds_a_lease_and_the_number_rises(store: TestStore) {
            let now = Utc::now();
            let first = store.acquire_lease(NAME, now, LASTING).await.unwrap().unwrap();
            assert_eq!(store.acquire_lease(NAME, now, LASTING).await.unwrap(), None);
            assert!(store.acquire_lease("another", now, LASTING).await.unwrap().is_some());
            let later = now + TimeDelta::seconds(29);
            assert!(store.renew_lease(&first, later, LASTING).await.unwrap());
            let after = now + TimeDelta::seconds(31);
            assert_eq!(store.acquire_lease(NAME, after, LASTING).await.unwrap(), None, "it was renewed");
            let end = later + TimeDelta::seconds(30);
            let second = store.acquire_lease(NAME, end, LASTING).await.unwrap().unwrap();
            assert!(second.fence() > first.fence());
            assert!(!store.renew_lease(&first, end, LASTING).await.unwrap());
            store.release_lease(&first, end).await.unwrap();
            assert_eq!(store.acquire_lease(NAME, end, LASTING).await.unwrap(), None, "it was not the first's to give");
            store.release_lease(&second, end).await.unwrap();
            let third = store.acquire_lease(NAME, end, LASTING).await.unwrap().unwrap();
            assert!(third.fence() > second.fence());
        }

        async fn a_write_under_a_lease_that_has_gone_over_is_told(store: TestStore) {
            let now = Utc::now();
            let first = store.acquire_lease(NAME, now, LASTING).await.unwrap().unwrap();
            let mut tx = store.begin().await.unwrap();
            assert!(tx.holds(&first).await.unwrap());
            tx.commit().await.unwrap();
            let end = now + TimeDelta::seconds(31);
            let mut tx = store.begin().await.unwrap();
            assert!(tx.holds(&first).await.unwrap(), "it has run out, and nobody has taken it");
            drop(tx);
            let second = store.acquire_lease(NAME, end, LASTING).await.unwrap().unwrap();
            let mut tx = store.begin().await.unwrap();
            assert!(!tx.holds(&first).await.unwrap());
            assert!(tx.holds(&second).await.unwrap());
        }
    }
}
