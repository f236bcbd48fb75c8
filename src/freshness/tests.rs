#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use uuid::Uuid;

use super::*;
use crate::{deadline::Lane, id::UserId};

const KIND: Kind = Kind { name: "things", service: Service::Billing, fresh: Duration::from_secs(60) };

fn owner(n: u128) -> Owner {
    Owner::User(UserId(Uuid::from_u128(n)))
}

fn budget() -> Budget {
    Budget::new(Duration::from_secs(5), Lane::Interactive)
}

fn tags() -> Vec<Tag> {
    vec![Tag::new("client:1:things")]
}

async fn read(cache: &Cache, loads: &Arc<AtomicUsize>, key: Key) -> Result<Arc<usize>> {
    cache
        .read(&KIND, budget(), key, tags(), || {
            let loads = Arc::clone(loads);
            async move { Ok(loads.fetch_add(1, Ordering::SeqCst)) }
        })
        .await
}

#[tokio::test]
async fn a_second_read_costs_nothing_until_a_tag_is_bumped() {
    let (cache, loads) = (Cache::new(&Settings::default()), Arc::default());
    assert_eq!(*read(&cache, &loads, owner(1).key(&KIND, "")).await.unwrap(), 0);
    assert_eq!(*read(&cache, &loads, owner(1).key(&KIND, "")).await.unwrap(), 0);
    cache.invalidate(&tags());
    assert_eq!(*read(&cache, &loads, owner(1).key(&KIND, "")).await.unwrap(), 1);
    assert_eq!(*read(&cache, &loads, owner(1).key(&KIND, "")).await.unwrap(), 1);
}

#[tokio::test]
async fn two_owners_never_share_a_value() {
    let (cache, loads) = (Cache::new(&Settings::default()), Arc::default());
    let first = *read(&cache, &loads, owner(1).key(&KIND, "")).await.unwrap();
    let second = *read(&cache, &loads, owner(2).key(&KIND, "")).await.unwrap();
    assert_ne!(first, second);
}

#[tokio::test]
async fn a_thousand_readers_share_one_load_and_a_lost_leader_fails_nobody() {
    let cache = Cache::new(&Settings::default());
    let (loads, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let reader = || {
        let (cache, loads, gate) = (cache.clone(), Arc::clone(&loads), Arc::clone(&gate));
        async move {
            cache
                .read(&KIND, budget(), owner(1).key(&KIND, ""), tags(), || async move {
                    loads.fetch_add(1, Ordering::SeqCst);
                    gate.notified().await;
                    Ok(7_usize)
                })
                .await
        }
    };
    let leader = tokio::spawn(reader());
    while loads.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let readers: Vec<_> = (0..1000).map(|_| tokio::spawn(reader())).collect();
    leader.abort();
    assert!(leader.await.is_err());
    gate.notify_one();
    for reader in readers {
        assert_eq!(*reader.await.unwrap().unwrap(), 7);
    }
    assert_eq!(loads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_load_that_began_before_a_bump_is_not_believed_after_it() {
    let cache = Cache::new(&Settings::default());
    let (started, gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let old = tokio::spawn({
        let (cache, started, gate) = (cache.clone(), Arc::clone(&started), Arc::clone(&gate));
        async move {
            cache
                .read(&KIND, budget(), owner(1).key(&KIND, ""), tags(), || async move {
                    started.notify_one();
                    gate.notified().await;
                    Ok("old")
                })
                .await
        }
    });
    started.notified().await;
    cache.invalidate(&tags());
    let read = |value: &'static str| {
        cache.read(&KIND, budget(), owner(1).key(&KIND, ""), tags(), move || async move { Ok(value) })
    };
    assert_eq!(*read("new").await.unwrap(), "new");
    gate.notify_one();
    assert_eq!(*old.await.unwrap().unwrap(), "old");
    assert_ne!(*read("newer").await.unwrap(), "old");
}

#[tokio::test]
async fn failures_and_panics_reach_every_reader_and_are_not_remembered() {
    let cache = Cache::new(&Settings::default());
    let key = || owner(1).key(&KIND, "");
    let failed: Result<Arc<u8>> =
        cache.read(&KIND, budget(), key(), tags(), || async { Err(Error::Forbidden) }).await;
    assert!(matches!(failed, Err(Error::Forbidden)));
    let panicked: Result<Arc<u8>> = cache
        .read(&KIND, budget(), key(), tags(), || async { if true { panic!("boom") } else { Ok(1) } })
        .await;
    assert!(matches!(panicked, Err(Error::Internal(_))));
    assert_eq!(*cache.read(&KIND, budget(), key(), tags(), || async { Ok(3_u8) }).await.unwrap(), 3);
}

#[tokio::test]
async fn a_batch_loads_only_what_is_missing() {
    let cache = Cache::new(&Settings::default());
    let wanted = |ids: &[u32]| ids.iter().map(|id| (owner(1).key(&KIND, id), tags())).collect::<Vec<_>>();
    let asked = Arc::new(AtomicUsize::new(0));
    for ids in [&[1, 2][..], &[1, 2, 3], &[3]] {
        let found = cache
            .read_many(&KIND, budget(), &wanted(ids), |keys| {
                asked.fetch_add(keys.len(), Ordering::SeqCst);
                async move { Ok(keys.into_iter().map(|key| (key, 1_u8)).collect()) }
            })
            .await
            .unwrap();
        assert_eq!(found.len(), ids.len());
    }
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}
