#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use uuid::Uuid;

use super::*;
use crate::{
    deadline::Lane,
    id::{PartnerId, UserId},
    store::testing::keys,
};

const MINUTE: Lifetime = Lifetime::fresh_for(Duration::from_secs(60));
const KIND: Kind = Kind::new("things", Service::Billing, MINUTE);
const BALANCE: Kind = KIND.never_stale();

fn owner(n: u128) -> Owner {
    Owner::User(UserId(Uuid::from_u128(n)))
}

fn reader() -> Reader {
    Reader::new(Budget::new(Duration::from_secs(5), Lane::Interactive))
}

fn tags() -> Vec<Tag> {
    vec![Tag::new("client:1:things")]
}

fn cache() -> (Cache, Clock) {
    let clock = Clock::system();
    (Cache::new(Settings::default(), keys(), clock.clone()).unwrap(), clock)
}

/// A replica on the Redis of the test run, with keys of its own test.
fn replica(prefix: &str, settings: Settings) -> Cache {
    let url = std::env::var("TEST_REDIS_URL").expect("TEST_REDIS_URL: scripts/services sets it");
    let redis = Some(redis::Settings { url: url.into(), prefix: prefix.to_owned() });
    Cache::new(Settings { redis, ..settings }, keys(), Clock::system()).unwrap()
}

async fn fleet(count: usize) -> Vec<Cache> {
    let prefix = format!("test-{}", Uuid::new_v4());
    let fleet: Vec<_> = (0..count).map(|_| replica(&prefix, Settings::default())).collect();
    for cache in &fleet {
        live(cache).await;
    }
    fleet
}

async fn live(cache: &Cache) {
    let waited = async {
        while !cache.is_live() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waited).await.unwrap();
}

async fn read(cache: &Cache, loads: &Arc<AtomicUsize>, key: Key) -> Result<Read<usize>> {
    cache
        .read(&reader(), &KIND, key, tags(), || {
            let loads = Arc::clone(loads);
            async move { Ok(loads.fetch_add(1, Ordering::SeqCst)) }
        })
        .await
}

async fn fail(cache: &Cache, kind: &Kind, key: Key) -> Result<Read<usize>> {
    cache.read(&reader(), kind, key, tags(), || async { Err(late(Service::Billing)) }).await
}

#[tokio::test]
async fn a_second_read_costs_nothing_until_a_tag_is_raised() {
    let ((cache, _), loads) = (cache(), Arc::default());
    assert_eq!(*read(&cache, &loads, owner(1).key(&KIND, "")).await.unwrap(), 0);
    let again = read(&cache, &loads, owner(1).key(&KIND, "")).await.unwrap();
    assert_eq!((*again, again.origin().source), (0, Source::Memory));
    cache.invalidate(&tags()).await.unwrap();
    assert_eq!(*read(&cache, &loads, owner(1).key(&KIND, "")).await.unwrap(), 1);
    assert_eq!(*read(&cache, &loads, owner(1).key(&KIND, "")).await.unwrap(), 1);
}

#[tokio::test]
async fn two_owners_never_share_a_value() {
    let ((cache, _), loads) = (cache(), Arc::default());
    let first = *read(&cache, &loads, owner(1).key(&KIND, "")).await.unwrap();
    let second = *read(&cache, &loads, owner(2).key(&KIND, "")).await.unwrap();
    assert_ne!(first, second);
    assert_ne!(owner(1).key(&KIND, "").digest(), owner(2).key(&KIND, "").digest());
    assert_ne!(owner(1).key(&KIND, "1").digest(), owner(1).key(&KIND, "2").digest());
}

#[test]
fn who_reads_with_other_rights_has_other_keys() {
    let user = UserId(Uuid::from_u128(1));
    let by = |partner, scopes| {
        let partner = PartnerId(Uuid::from_u128(partner));
        Owner::Partner { partner, scopes, user: Some(user) }
    };
    let owners = [Owner::User(user), by(7, 1), by(8, 1), by(7, 3)];
    for (n, one) in owners.iter().enumerate() {
        for other in &owners[..n] {
            assert_ne!(one.key(&KIND, ""), other.key(&KIND, ""));
            assert_ne!(one.key(&KIND, "").digest(), other.key(&KIND, "").digest());
            assert_ne!(one.response([0; 32]), other.response([0; 32]));
        }
    }
}

#[tokio::test]
async fn a_thousand_readers_share_one_load_and_a_lost_leader_fails_nobody() {
    let (cache, _) = cache();
    let (loads, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let reader = || {
        let (cache, loads, gate) = (cache.clone(), Arc::clone(&loads), Arc::clone(&gate));
        async move {
            cache
                .read(&reader(), &KIND, owner(1).key(&KIND, ""), tags(), || async move {
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

/// Reads the older value while a change happens, and then again.
async fn read_across_a_change(cache: &Cache) -> String {
    let (started, gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let old = tokio::spawn({
        let (cache, started, gate) = (cache.clone(), Arc::clone(&started), Arc::clone(&gate));
        async move {
            cache
                .read(&reader(), &KIND, owner(1).key(&KIND, ""), tags(), || async move {
                    started.notify_one();
                    gate.notified().await;
                    Ok("old".to_owned())
                })
                .await
        }
    });
    started.notified().await;
    cache.invalidate(&tags()).await.unwrap();
    gate.notify_one();
    assert_eq!(*old.await.unwrap().unwrap(), "old");
    let load = || async { Ok("new".to_owned()) };
    cache.read(&reader(), &KIND, owner(1).key(&KIND, ""), tags(), load).await.unwrap().to_string()
}

#[tokio::test]
async fn a_load_that_began_before_a_change_is_not_believed_after_it() {
    let (cache, _) = cache();
    assert_eq!(read_across_a_change(&cache).await, "new");
}

#[tokio::test]
async fn with_the_versions_noted_late_it_would_be_believed() {
    let settings = Settings { plant_late_capture: true, ..Settings::default() };
    let cache = Cache::new(settings, keys(), Clock::system()).unwrap();
    assert_eq!(read_across_a_change(&cache).await, "old");
}

#[tokio::test]
async fn a_reader_after_a_change_does_not_wait_for_a_load_from_before() {
    let (cache, _) = cache();
    let (started, gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = tokio::spawn({
        let (cache, started, gate) = (cache.clone(), Arc::clone(&started), Arc::clone(&gate));
        async move {
            let load = || async move {
                started.notify_one();
                gate.notified().await;
                Ok(1_u8)
            };
            cache.read(&reader(), &KIND, owner(1).key(&KIND, ""), tags(), load).await
        }
    });
    started.notified().await;
    cache.invalidate(&tags()).await.unwrap();
    let next = |n: u8| async move { Ok(n) };
    let asker = reader();
    let key = || owner(1).key(&KIND, "");
    assert_eq!(*cache.read(&asker, &KIND, key(), tags(), || next(2)).await.unwrap(), 2);
    gate.notify_one();
    assert_eq!(*slow.await.unwrap().unwrap(), 1);
    assert_ne!(*cache.read(&asker, &KIND, key(), tags(), || next(3)).await.unwrap(), 1);
}

#[tokio::test]
async fn failures_and_panics_reach_every_reader_and_are_not_remembered() {
    let (cache, _) = cache();
    let key = || owner(1).key(&KIND, "");
    let failed: Result<Read<u8>> =
        cache.read(&reader(), &KIND, key(), tags(), || async { Err(Error::Forbidden) }).await;
    assert!(matches!(failed, Err(Error::Forbidden)));
    let panicked: Result<Read<u8>> = cache
        .read(&reader(), &KIND, key(), tags(), || async { if true { panic!("boom") } else { Ok(1) } })
        .await;
    assert!(matches!(panicked, Err(Error::Internal(_))));
    assert_eq!(*cache.read(&reader(), &KIND, key(), tags(), || async { Ok(3_u8) }).await.unwrap(), 3);
}

#[tokio::test]
async fn a_batch_loads_only_what_is_missing() {
    let (cache, _) = cache();
    let wanted = |ids: &[u32]| ids.iter().map(|id| (owner(1).key(&KIND, id), tags())).collect::<Vec<_>>();
    let asked = Arc::new(AtomicUsize::new(0));
    for ids in [&[1, 2][..], &[1, 2, 3], &[3]] {
        let found = cache
            .read_many(&reader(), &KIND, &wanted(ids), |keys| {
                asked.fetch_add(keys.len(), Ordering::SeqCst);
                async move { Ok(keys.into_iter().map(|key| (key, 1_u8)).collect()) }
            })
            .await
            .unwrap();
        assert_eq!(found.len(), ids.len());
    }
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn what_grew_old_by_time_is_shown_at_once_and_read_anew() {
    let ((cache, clock), loads) = (cache(), Arc::default());
    let key = || owner(1).key(&KIND, "");
    read(&cache, &loads, key()).await.unwrap();
    clock.advance(TimeDelta::seconds(80));
    let shown = read(&cache, &loads, key()).await.unwrap();
    assert_eq!((*shown, shown.origin().stale), (0, Some(Stale::Refreshing)));
    assert!(shown.origin().age(clock.now()) >= TimeDelta::seconds(80));
    while loads.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    let shown = read(&cache, &loads, key()).await.unwrap();
    assert_eq!((*shown, shown.origin().stale), (1, None));
    // Beyond the time for that, the reader waits.
    clock.advance(TimeDelta::seconds(600));
    assert_eq!(*read(&cache, &loads, key()).await.unwrap(), 2);
}

#[tokio::test]
async fn while_a_system_fails_nobody_waits_for_it_to_show_what_was_before_a_change() {
    let ((cache, _), loads) = (cache(), Arc::default());
    let key = || owner(1).key(&KIND, "");
    read(&cache, &loads, key()).await.unwrap();
    cache.invalidate(&tags()).await.unwrap();
    // The first one finds out.
    assert_eq!(fail(&cache, &KIND, key()).await.unwrap().origin().stale, Some(Stale::Unavailable));
    let reader = reader();
    let asked = cache.read(&reader, &KIND, key(), tags(), std::future::pending::<Result<usize>>);
    let shown = tokio::time::timeout(Duration::from_secs(1), asked).await.expect("at once").unwrap();
    assert_eq!((*shown, shown.origin().stale), (0, Some(Stale::Unavailable)));
}

#[tokio::test]
async fn when_the_system_fails_the_last_value_is_shown_and_says_so() {
    let ((cache, clock), loads) = (cache(), Arc::default());
    let key = || owner(1).key(&KIND, "");
    assert!(fail(&cache, &KIND, key()).await.is_err());
    read(&cache, &loads, key()).await.unwrap();
    cache.invalidate(&tags()).await.unwrap();
    let shown = fail(&cache, &KIND, key()).await.unwrap();
    assert_eq!((*shown, shown.origin().stale), (0, Some(Stale::Unavailable)));
    // Not for ever.
    clock.advance(TimeDelta::seconds(25 * 3600));
    assert!(fail(&cache, &KIND, key()).await.is_err());
    // And not what our own fault spoiled.
    let fault: Result<Read<usize>> =
        cache.read(&reader(), &KIND, key(), tags(), || async { Err(Error::internal("ours")) }).await;
    assert!(fault.is_err());
}

#[tokio::test]
async fn what_is_never_stale_is_not_shown_old_and_keeps_the_answer_from_being_kept() {
    let (cache, clock) = cache();
    let key = || owner(1).key(&BALANCE, "");
    let asker = reader();
    cache.read(&asker, &BALANCE, key(), tags(), || async { Ok(1_usize) }).await.unwrap();
    assert!(asker.basis().is_none());
    clock.advance(TimeDelta::seconds(80));
    let next = cache.read(&reader(), &BALANCE, key(), tags(), || async { Ok(2_usize) }).await.unwrap();
    assert_eq!((*next, next.origin().stale), (2, None));
    cache.invalidate(&tags()).await.unwrap();
    assert!(fail(&cache, &BALANCE, key()).await.is_err());
}

#[tokio::test]
async fn an_answer_stands_as_long_as_everything_it_was_built_from() {
    let ((cache, clock), loads) = (cache(), Arc::default());
    let asker = reader();
    let load = |n: usize| move || async move { Ok(n) };
    cache.read(&asker, &KIND, owner(1).key(&KIND, "a"), vec![Tag::new("a")], load(1)).await.unwrap();
    cache.read(&asker, &KIND, owner(1).key(&KIND, "b"), vec![Tag::new("b")], load(2)).await.unwrap();
    let basis = asker.basis().unwrap();
    assert!(cache.holds(&basis));
    cache.invalidate(&[Tag::new("c")]).await.unwrap();
    assert!(cache.holds(&basis));
    cache.invalidate(&[Tag::new("b")]).await.unwrap();
    assert!(!cache.holds(&basis));

    let asker = reader();
    cache.read(&asker, &KIND, owner(1).key(&KIND, "a"), vec![Tag::new("a")], load(3)).await.unwrap();
    let basis = asker.basis().unwrap();
    clock.advance(TimeDelta::seconds(70));
    assert!(!cache.holds(&basis));
    // Nothing that is old is part of an answer that is kept.
    let asker = reader();
    read(&cache, &loads, owner(1).key(&KIND, "a")).await.unwrap();
    cache.read(&asker, &KIND, owner(1).key(&KIND, "a"), vec![Tag::new("a")], load(4)).await.unwrap();
    assert!(reader().basis().is_none());
}

#[tokio::test]
async fn three_replicas_load_once_and_learn_of_every_change_before_it_is_confirmed() {
    let (fleet, loads) = (fleet(3).await, Arc::default());
    let key = || owner(1).key(&KIND, "");
    for round in 0..50 {
        for cache in &fleet {
            assert_eq!(*read(cache, &loads, key()).await.unwrap(), round);
        }
        fleet[round % 3].invalidate(&tags()).await.unwrap();
    }
    assert_eq!(loads.load(Ordering::SeqCst), 50);
    let source = {
        read(&fleet[0], &loads, key()).await.unwrap();
        read(&fleet[1], &loads, key()).await.unwrap().origin().source
    };
    assert_eq!(source, Source::Redis);
}

#[tokio::test]
async fn readers_of_three_replicas_share_one_load() {
    let fleet = fleet(3).await;
    let loads = Arc::new(AtomicUsize::new(0));
    let readers: Vec<_> = (0..300)
        .map(|n| {
            let (cache, loads) = (fleet[n % 3].clone(), Arc::clone(&loads));
            tokio::spawn(async move {
                let load = || async move {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    Ok(loads.fetch_add(1, Ordering::SeqCst))
                };
                *cache.read(&reader(), &KIND, owner(1).key(&KIND, ""), tags(), load).await.unwrap()
            })
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.await.unwrap(), 0);
    }
    assert_eq!(loads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_replica_that_starts_later_asks_redis_what_was_raised_before() {
    let prefix = format!("test-{}", Uuid::new_v4());
    let (first, loads) = (replica(&prefix, Settings::default()), Arc::default());
    live(&first).await;
    let (kept, raised) = (owner(1).key(&KIND, "kept"), owner(1).key(&KIND, "raised"));
    let other = || vec![Tag::new("other")];
    read(&first, &loads, kept.clone()).await.unwrap();
    first.read(&reader(), &KIND, raised.clone(), other(), || async { Ok(100_usize) }).await.unwrap();
    first.invalidate(&other()).await.unwrap();
    let second = replica(&prefix, Settings::default());
    live(&second).await;
    let found = read(&second, &loads, kept).await.unwrap();
    assert_eq!((*found, found.origin().source), (0, Source::Redis));
    let found = second.read(&reader(), &KIND, raised, other(), || async { Ok(200_usize) }).await.unwrap();
    assert_eq!((*found, found.origin().source), (200, Source::Live));
}

#[tokio::test]
async fn without_redis_reads_go_on_and_changes_stay_owed() {
    let ((cache, clock), loads) = (cut_off(), Arc::default());
    let key = || owner(1).key(&KIND, "");
    assert_eq!(*read(&cache, &loads, key()).await.unwrap(), 0);
    assert_eq!(*read(&cache, &loads, key()).await.unwrap(), 0);
    // Its own change it knows at once, and says that others may not.
    assert!(cache.invalidate(&tags()).await.is_err());
    assert_eq!(*read(&cache, &loads, key()).await.unwrap(), 1);
    clock.advance(TimeDelta::seconds(6));
    assert_eq!(*read(&cache, &loads, key()).await.unwrap(), 2);
}

/// A replica whose Redis never answers.
fn cut_off() -> (Cache, Clock) {
    let redis = Some(redis::Settings { url: "redis://127.0.0.1:1".into(), prefix: "test".into() });
    let clock = Clock::system();
    (Cache::new(Settings { redis, ..Settings::default() }, keys(), clock.clone()).unwrap(), clock)
}

#[tokio::test]
async fn what_is_never_stale_is_asked_for_each_time_while_nobody_tells_of_changes() {
    let (cache, _) = cut_off();
    let key = || owner(1).key(&BALANCE, "");
    for n in 1..4_usize {
        let next = cache.read(&reader(), &BALANCE, key(), tags(), || async move { Ok(n) }).await.unwrap();
        assert_eq!((*next, next.origin().source), (n, Source::Live));
    }
    assert!(fail(&cache, &BALANCE, key()).await.is_err());
}

#[tokio::test]
async fn who_comes_during_a_load_while_nobody_tells_of_changes_waits_for_one_that_begins_later() {
    let (cache, _) = cut_off();
    let (loads, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let ask = |cache: &Cache| {
        let (cache, loads, gate) = (cache.clone(), Arc::clone(&loads), Arc::clone(&gate));
        tokio::spawn(async move {
            let load = || async move {
                let n = loads.fetch_add(1, Ordering::SeqCst);
                if n == 0 {
                    gate.notified().await;
                }
                Ok(n)
            };
            *cache.read(&reader(), &BALANCE, owner(1).key(&BALANCE, ""), tags(), load).await.unwrap()
        })
    };
    let first = ask(&cache);
    while loads.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    // Another replica's change may have been acknowledged here: the load under way may bring what was before.
    let later: Vec<_> = (0..100).map(|_| ask(&cache)).collect();
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    gate.notify_one();
    assert_eq!(first.await.unwrap(), 0);
    for one in later {
        assert_ne!(one.await.unwrap(), 0);
    }
    // They share, though each would have had a right to a load of its own.
    assert!(loads.load(Ordering::SeqCst) <= 4, "{loads:?} loads");
}

#[tokio::test]
async fn each_kind_says_for_how_long_it_is_of_use_while_its_system_does_not_answer() {
    let ((cache, clock), loads) = (cache(), Arc::default());
    let short = Kind::new("short", Service::Billing, Lifetime { stale: Duration::from_secs(600), ..MINUTE });
    let (key, other) = (|| owner(1).key(&KIND, ""), || owner(1).key(&short, ""));
    read(&cache, &loads, key()).await.unwrap();
    cache.read(&reader(), &short, other(), tags(), || async { Ok(7_usize) }).await.unwrap();
    clock.advance(TimeDelta::seconds(599));
    assert_eq!(*fail(&cache, &short, other()).await.unwrap(), 7);
    clock.advance(TimeDelta::seconds(2));
    assert!(fail(&cache, &short, other()).await.is_err());
    assert_eq!(*fail(&cache, &KIND, key()).await.unwrap(), 0);
}

#[test]
fn what_is_loaded_together_does_not_grow_old_together() {
    let minute = Duration::from_secs(60);
    let drawn: Vec<_> = (0..1_000).map(|_| load::jitter(minute)).collect();
    let (least, most) = (*drawn.iter().min().unwrap(), *drawn.iter().max().unwrap());
    assert!(least >= TimeDelta::seconds(54) && most <= TimeDelta::seconds(66), "{least} {most}");
    assert!(most - least > TimeDelta::seconds(9), "{least} {most}");
}

#[tokio::test]
async fn memory_holds_no_more_than_it_may() {
    let settings = Settings { memory_bytes: 1 << 20, ..Settings::default() };
    let cache = Cache::new(settings, keys(), Clock::system()).unwrap();
    let text = "x".repeat(10_000);
    for n in 0..500 {
        let text = text.clone();
        let load = || async { Ok(text) };
        cache.read(&reader(), &KIND, owner(1).key(&KIND, n), tags(), load).await.unwrap();
    }
    cache.0.entries.run_pending_tasks().await;
    let (entries, bytes) = cache.size();
    assert!(entries > 10 && bytes <= 1 << 20, "{entries} entries of {bytes} bytes");
}

/// The link of a replica to Redis.
fn link(cache: &Cache) -> &Link {
    cache.0.link.as_ref().unwrap()
}

/// What lies in Redis under the key of an entry; it is stored without anybody waiting for it.
async fn stored(redis: &mut ::redis::aio::MultiplexedConnection, name: &str) -> Vec<u8> {
    loop {
        let stored: Option<Vec<u8>> = ::redis::cmd("GET").arg(name).query_async(redis).await.unwrap();
        if let Some(stored) = stored {
            return stored;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn entries_lie_in_redis_compressed_and_sealed_and_count_under_their_own_name_alone() {
    let fleet = fleet(2).await;
    let url = std::env::var("TEST_REDIS_URL").expect("TEST_REDIS_URL: scripts/services sets it");
    let client = ::redis::Client::open(url).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let (mine, theirs) = (owner(1).key(&KIND, ""), owner(2).key(&KIND, ""));
    let name = |key: &Key| link(&fleet[0]).entry_name(key);
    let value = "a value that says the same again and again; ".repeat(500);
    for (key, text) in [(&mine, value.clone()), (&theirs, "of somebody else".to_owned())] {
        let load = || async { Ok(text) };
        fleet[0].read(&reader(), &KIND, key.clone(), tags(), load).await.unwrap();
    }
    let sealed = stored(&mut redis, &name(&mine)).await;
    assert!(sealed.len() < value.len() / 20, "{} of {} bytes", sealed.len(), value.len());
    for part in ["a value", "client:1:things"] {
        assert!(!sealed.windows(part.len()).any(|bytes| bytes == part.as_bytes()), "{part}");
    }
    let of_link = link(&fleet[1]).get(std::slice::from_ref(&mine)).await.unwrap().remove(0).unwrap();
    assert_eq!(
        *Entry::unpack::<String>(&of_link).unwrap().value.clone().downcast::<String>().unwrap(),
        value
    );

    // Whoever can write to Redis cannot give one the entry of another, nor make one up.
    let foreign = stored(&mut redis, &name(&theirs)).await;
    for planted in [foreign, of_link] {
        ::redis::cmd("SET").arg(name(&mine)).arg(planted).exec_async(&mut redis).await.unwrap();
        assert!(link(&fleet[1]).get(std::slice::from_ref(&mine)).await.unwrap()[0].is_none());
    }
    let load = || async { Ok("loaded anew".to_owned()) };
    assert_eq!(*fleet[1].read(&reader(), &KIND, mine, tags(), load).await.unwrap(), "loaded anew");
}

#[tokio::test]
async fn a_replica_that_died_while_it_loaded_costs_the_others_its_lease_and_no_more() {
    let (fleet, loads) = (fleet(2).await, Arc::default());
    let key = owner(1).key(&KIND, "");
    let name = load::lease_name(&[(key.clone(), tags().into())], &fleet[0]);
    // It took the lease, and then nobody heard of it again.
    assert!(link(&fleet[1]).lease(&name, std::slice::from_ref(&key)).await.unwrap().0);
    let began = Instant::now();
    let reader = Reader::new(Budget::new(Duration::from_secs(20), Lane::Interactive));
    let load = || {
        let loads: Arc<AtomicUsize> = Arc::clone(&loads);
        async move { Ok(loads.fetch_add(1, Ordering::SeqCst)) }
    };
    assert_eq!(*fleet[0].read(&reader, &KIND, key, tags(), load).await.unwrap(), 0);
    let waited = began.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(8)).contains(&waited), "{waited:?}");
}
