//! One-time codes, on both databases.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::{
    identity::{
        Credential, Delivery, Entry, SignIn, Verified,
        tests::{Replica, password, registration, replica},
    },
    jobs::Job,
    store::testing::on_both_stores,
};

const EMAIL: &str = "Taro.Yamada@example.jp";
const NORMALISED: &str = "taro.yamada@example.jp";

fn from() -> Context {
    Context {
        address: Some("192.0.2.1".parse().unwrap()),
        user_agent: Some("Mozilla/5.0".to_owned()),
        ..Context::default()
    }
}

async fn open(replica: &Replica, kind: Kind, email: &str) -> Opened {
    let challenges = replica.identity.challenges();
    let draft = challenges.draft(kind, email, Language::Japanese, Asker::Anybody, &from()).await.unwrap();
    let mut tx = challenges.store.begin().await.unwrap();
    let opened = challenges.open(&mut tx, draft, &("payload", email)).await.unwrap();
    tx.commit().await.unwrap();
    opened
}

/// The code of the newest mail, as its person reads it.
async fn mailed(replica: &Replica) -> (String, SecretString) {
    let challenges = replica.identity.challenges();
    let now = replica.clock.now();
    let jobs = challenges.store.claim_jobs(100, now, Duration::from_secs(1)).await.unwrap();
    replica.clock.advance(TimeDelta::seconds(1));
    let newest = jobs.into_iter().max_by_key(|job| (job.created_at, job.id)).unwrap();
    assert_eq!(newest.kind, Mail::KIND);
    let place = Place { table: "jobs", column: "payload", row: newest.id.as_bytes() };
    let mail: Mail = serde_json::from_slice(&challenges.keys.open(place, &newest.payload).unwrap()).unwrap();
    assert_eq!((mail.to.as_str(), mail.language), (NORMALISED, Language::Japanese));
    match mail.message {
        Message::SignInCode { code, .. }
        | Message::SignUpCode { code, .. }
        | Message::EmailChangeCode { code, .. } => {
            assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
            (mail.to, code.into())
        }
        other => panic!("{other:?}"),
    }
}

/// A code that differs from the right one.
fn wrong(code: &SecretString) -> SecretString {
    let next = (code.expose_secret().parse::<u32>().unwrap() + 1) % 1_000_000;
    format!("{next:06}").into()
}

async fn prove(
    replica: &Replica,
    kind: Kind,
    id: Uuid,
    code: &SecretString,
) -> Result<Proved<(String, String)>, (&'static str, u32)> {
    match replica.identity.challenges().prove(kind, id, code, &from()).await.unwrap() {
        Answer::Proved(proved) => Ok(proved),
        Answer::Refused(refusal) => Err((refusal.error.code, refusal.tries_left)),
    }
}

fn told<T>(answer: Result<T, (&'static str, u32)>) -> (&'static str, u32) {
    answer.err().unwrap()
}

const VOID: (&str, u32) = ("AUTH_OTP_EXPIRED", 0);

on_both_stores! {
    async fn a_mailed_code_proves_an_address_once(store: TestStore) {
        let replica = replica(&store);
        let opened = open(&replica, Kind::SignUp, EMAIL).await;
        assert_eq!((opened.masked_address.as_str(), opened.tries_left), ("t***@example.jp", 3));
        let (_, code) = mailed(&replica).await;
        let (start, end) = code.expose_secret().split_at(3);
        let proved = prove(&replica, Kind::SignUp, opened.id, &format!(" {start} {end}").into()).await.ok().unwrap();
        assert_eq!((proved.address.as_str(), proved.language), (NORMALISED, Language::Japanese));
        assert_eq!(proved.payload, ("payload".to_owned(), EMAIL.to_owned()));
        let challenges = replica.identity.challenges();
        for is_first in [true, false] {
            let mut tx = store.begin().await.unwrap();
            assert_eq!(challenges.consume(&mut tx, &proved).await.unwrap(), is_first);
            tx.commit().await.unwrap();
        }
        assert_eq!(told(prove(&replica, Kind::SignUp, opened.id, &code).await), VOID);
    }

    async fn a_right_code_waits_for_an_erasure_and_is_none_then(store: TestStore) {
        let replica = replica(&store);
        let registered = registration(1, EMAIL);
        replica.register(&registered, Credential::Password(password())).await.unwrap();
        let (from, user) = (from(), store.user_by_email(NORMALISED).await.unwrap().unwrap().id);
        let entry = Entry { delivery: Delivery::Tokens, device: None, from: &from };
        let SignIn::Challenged(opened, _) = replica.sign_in(EMAIL, &password(), None, &entry).await.unwrap()
        else {
            panic!("a code is mailed");
        };
        let (_, code) = mailed(&replica).await;
        let mut erasing = store.begin().await.unwrap();
        erasing.lock_user(user).await.unwrap();
        let mut verifying = std::pin::pin!(replica.verify(opened.id, &code, false, &entry));
        // It waits for the user, and holds nothing meanwhile that the other one wants.
        tokio::time::timeout(Duration::from_millis(300), &mut verifying).await.err().unwrap();
        let subjects = replica.identity.challenges().subjects(NORMALISED);
        assert!(erasing.erase_user(user, registered.client, &subjects).await.unwrap());
        erasing.commit().await.unwrap();
        assert!(matches!(verifying.await.unwrap(), Verified::Refused(_)));
    }

    async fn a_try_that_a_right_code_took_is_given_back(store: TestStore) {
        let replica = replica(&store);
        let challenges = replica.identity.challenges();
        let opened = open(&replica, Kind::SignIn, EMAIL).await;
        let (_, code) = mailed(&replica).await;
        for _ in 0..4 {
            let proved = prove(&replica, Kind::SignIn, opened.id, &code).await.ok().unwrap();
            challenges.give_back(&proved).await.unwrap();
        }
        assert_eq!(told(prove(&replica, Kind::SignIn, opened.id, &wrong(&code)).await), ("AUTH_OTP_INVALID", 2));
    }

    async fn the_third_wrong_code_voids_it(store: TestStore) {
        let replica = replica(&store);
        let opened = open(&replica, Kind::SignIn, EMAIL).await;
        let (_, code) = mailed(&replica).await;
        for left in [2, 1, 0] {
            let answer = told(prove(&replica, Kind::SignIn, opened.id, &wrong(&code)).await);
            assert_eq!(answer, ("AUTH_OTP_INVALID", left));
        }
        assert_eq!(told(prove(&replica, Kind::SignIn, opened.id, &code).await), VOID, "too late");
        let again = replica.identity.challenges().resend(Kind::SignIn, opened.id, &from()).await.unwrap();
        assert_eq!(again, Err(refused()), "another code does not help");
    }

    async fn fifty_tries_at_once_are_three(store: TestStore) {
        let mut replica = replica(&store);
        replica.roomy(&store);
        let opened = open(&replica, Kind::SignIn, EMAIL).await;
        let (_, code) = mailed(&replica).await;
        let tries = (0..50).map(|_| prove(&replica, Kind::SignIn, opened.id, &code));
        let answers = futures::future::join_all(tries).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3, "each was one of the three");
        // Of those that are right one is used.
        let mut used = 0;
        for proved in answers.iter().filter_map(|answer| answer.as_ref().ok()) {
            let mut tx = store.begin().await.unwrap();
            used += u32::from(replica.identity.challenges().consume(&mut tx, proved).await.unwrap());
            tx.commit().await.unwrap();
        }
        assert_eq!(used, 1);
    }

    async fn a_code_is_bound_to_its_challenge_and_kind(store: TestStore) {
        let replica = replica(&store);
        let one = open(&replica, Kind::SignIn, EMAIL).await;
        let (_, code) = mailed(&replica).await;
        let other = open(&replica, Kind::SignIn, EMAIL).await;
        let (_, code_of_other) = mailed(&replica).await;
        if code.expose_secret() != code_of_other.expose_secret() {
            assert_eq!(told(prove(&replica, Kind::SignIn, one.id, &code_of_other).await).0, "AUTH_OTP_INVALID");
        }
        assert_eq!(told(prove(&replica, Kind::SignUp, one.id, &code).await), VOID, "of another kind");
        assert_eq!(told(prove(&replica, Kind::SignIn, Uuid::new_v4(), &code).await), VOID, "there is none");
        // Nor does a hash count that was moved to another row.
        let row = store.challenge(one.id, Kind::SignIn.as_str(), replica.clock.now()).await.unwrap().unwrap();
        let mut tx = store.begin().await.unwrap();
        let now = replica.clock.now();
        let until = now + TimeDelta::minutes(5);
        assert!(tx.renew_challenge(other.id, 1, &row.code_hash, now, until).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(told(prove(&replica, Kind::SignIn, other.id, &code).await).0, "AUTH_OTP_INVALID");
        assert!(prove(&replica, Kind::SignIn, one.id, &code).await.is_ok());
    }

    async fn another_code_replaces_the_one_before_and_the_tries_stay(store: TestStore) {
        let replica = replica(&store);
        let opened = open(&replica, Kind::NewEmail, EMAIL).await;
        let (_, first) = mailed(&replica).await;
        assert_eq!(told(prove(&replica, Kind::NewEmail, opened.id, &wrong(&first)).await).1, 2);
        replica.clock.advance(TimeDelta::minutes(5));
        let again = replica.identity.challenges().resend(Kind::NewEmail, opened.id, &from()).await.unwrap().unwrap();
        assert_eq!((again.id, again.tries_left), (opened.id, 2));
        assert!(again.expires_at > opened.expires_at);
        let (_, second) = mailed(&replica).await;
        if first.expose_secret() != second.expose_secret() {
            assert_eq!(told(prove(&replica, Kind::NewEmail, opened.id, &first).await).1, 1);
        }
        assert!(prove(&replica, Kind::NewEmail, opened.id, &second).await.is_ok());
    }

    async fn a_code_is_good_for_ten_minutes_and_then_forgotten(store: TestStore) {
        let replica = replica(&store);
        let opened = open(&replica, Kind::PresentEmail, EMAIL).await;
        let (_, code) = mailed(&replica).await;
        replica.clock.advance(TimeDelta::minutes(10));
        assert_eq!(told(prove(&replica, Kind::PresentEmail, opened.id, &code).await), VOID);
        assert_eq!(store.purge_challenges(replica.clock.now() - TimeDelta::hours(1)).await.unwrap(), 0);
        assert_eq!(store.purge_challenges(replica.clock.now()).await.unwrap(), 1);
    }

    async fn five_mails_in_five_minutes_go_to_an_address(store: TestStore) {
        let replica = replica(&store);
        let challenges = replica.identity.challenges();
        let opened = open(&replica, Kind::SignUp, EMAIL).await;
        for _ in 0..4 {
            challenges.resend(Kind::SignUp, opened.id, &from()).await.unwrap().unwrap();
        }
        let limited = async |kind| {
            let draft = challenges.draft(kind, NORMALISED, Language::English, Asker::Anybody, &from()).await;
            matches!(draft.err(), Some(Error::RateLimited { .. }))
        };
        assert!(limited(Kind::SignUp).await && limited(Kind::NewEmail).await);
        let (other, from) = ("hanako@example.jp", from());
        let other = challenges.draft(Kind::SignUp, other, Language::English, Asker::Anybody, &from);
        assert!(other.await.is_ok());
        replica.clock.advance(TimeDelta::minutes(1));
        assert!(!limited(Kind::SignUp).await);
    }

    async fn whoever_proved_nothing_keeps_nobody_from_getting_in(store: TestStore) {
        let replica = replica(&store);
        let challenges = replica.identity.challenges();
        let stranger = |n: u8| Context { address: Some([198, 51, 100, n].into()), ..Context::default() };
        // A stranger asks for codes of the owner's address and tries them, until nobody may any more.
        let draft = challenges.draft(Kind::SignUp, EMAIL, Language::Japanese, Asker::Anybody, &stranger(1)).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        let opened = challenges.open(&mut tx, draft, &()).await.unwrap();
        tx.commit().await.unwrap();
        let mut sends = 1;
        let again = async || {
            challenges.draft(Kind::SignUp, EMAIL, Language::Japanese, Asker::Anybody, &stranger(2)).await
        };
        while again().await.is_ok() {
            sends += 1;
        }
        let mut tries = 0;
        while challenges.prove::<()>(Kind::SignUp, opened.id, &"0".into(), &stranger(3)).await.is_ok() {
            tries += 1;
            // Void challenges count for nobody: the stranger opens others.
            store.refill_challenge(opened.id).await.unwrap();
        }
        assert_eq!((sends, tries), (5, 10));
        for kind in [Kind::SignIn, Kind::StepUp, Kind::PresentEmail] {
            let opened = open(&replica, kind, EMAIL).await;
            let refused = told(prove(&replica, kind, opened.id, &"0".into()).await);
            assert_eq!(refused, ("AUTH_OTP_INVALID", 2), "{kind:?}");
        }
    }

    async fn codes_at_home_count_apart_from_those_of_strangers(store: TestStore) {
        let replica = replica(&store);
        let challenges = replica.identity.challenges();
        replica.register(&registration(1, EMAIL), Credential::Password(password())).await.unwrap();
        let user = store.user_by_email(NORMALISED).await.unwrap().unwrap().id;
        let ask = async |kind, asker| {
            challenges.draft(kind, NORMALISED, Language::Japanese, asker, &from()).await
        };
        // All sessions and known devices together: more of them are no more codes.
        for asker in [Asker::Stranger(user), Asker::AtHome(user)] {
            for _ in 0..5 {
                let _ = ask(Kind::SignIn, asker).await.unwrap();
            }
            for kind in [Kind::SignIn, Kind::StepUp, Kind::PresentEmail, Kind::Erasure] {
                assert!(ask(kind, asker).await.is_err(), "{kind:?} {asker:?}");
            }
        }
        // An address that is to come is nobody's yet: its mails are limited, wherever they are asked for.
        for asker in [Asker::Stranger(user), Asker::AtHome(user), Asker::Anybody].into_iter().cycle().take(5) {
            let _ = ask(Kind::NewEmail, asker).await.unwrap();
        }
        assert!(ask(Kind::NewEmail, Asker::AtHome(user)).await.is_err());
    }

    async fn what_an_account_asked_for_goes_with_it_whatever_address_it_proves(store: TestStore) {
        let replica = replica(&store);
        let challenges = replica.identity.challenges();
        let registered = registration(1, EMAIL);
        replica.register(&registered, Credential::Password(password())).await.unwrap();
        let user = store.user_by_email(NORMALISED).await.unwrap().unwrap().id;
        let asker = Asker::AtHome(user);
        let ask = async |kind, address| {
            let draft = challenges.draft(kind, address, Language::Japanese, asker, &from()).await.unwrap();
            let mut tx = store.begin().await.unwrap();
            let opened = challenges.open(&mut tx, draft, &()).await?;
            tx.commit().await.unwrap();
            Ok::<_, Error>(opened)
        };
        for (kind, address) in [(Kind::NewEmail, "new@example.jp"), (Kind::PresentEmail, NORMALISED)] {
            ask(kind, address).await.unwrap();
        }
        open(&replica, Kind::SignUp, "hanako@example.jp").await;
        let left = async || store.dump().await.iter().filter(|(table, _)| table == "challenges").count();
        assert_eq!(left().await, 3);
        let mut erasing = store.begin().await.unwrap();
        let subjects = challenges.subjects(NORMALISED);
        assert!(erasing.erase_user(user, registered.client, &subjects).await.unwrap());
        erasing.commit().await.unwrap();
        assert_eq!(left().await, 1);
        let late = ask(Kind::NewEmail, "newer@example.jp").await;
        assert!(matches!(late, Err(Error::Unauthenticated)));
        assert_eq!(left().await, 1);
    }

    async fn a_challenge_ends_however_often_it_is_renewed(store: TestStore) {
        let replica = replica(&store);
        let challenges = replica.identity.challenges();
        let opened = open(&replica, Kind::SignUp, EMAIL).await;
        let end = opened.expires_at + TimeDelta::minutes(20);
        for _ in 0..3 {
            replica.clock.advance(TimeDelta::minutes(9));
            let again = challenges.resend(Kind::SignUp, opened.id, &from()).await.unwrap().unwrap();
            assert!(again.expires_at <= end);
        }
        replica.clock.advance(TimeDelta::minutes(4));
        assert_eq!(challenges.resend(Kind::SignUp, opened.id, &from()).await.unwrap(), Err(refused()));
        // And a stranger cannot fill a mailbox with it, however slowly.
        let opened = open(&replica, Kind::SignUp, EMAIL).await;
        for n in 2..8 {
            replica.clock.advance(TimeDelta::minutes(2));
            let again = challenges.resend(Kind::SignUp, opened.id, &from()).await.unwrap();
            assert_eq!(again.is_ok(), n <= 5, "code {n}");
        }
    }

    async fn neither_the_code_nor_the_address_lies_open_in_the_row(store: TestStore) {
        let replica = replica(&store);
        let opened = open(&replica, Kind::SignIn, EMAIL).await;
        let (_, code) = mailed(&replica).await;
        let row = store.challenge(opened.id, Kind::SignIn.as_str(), replica.clock.now()).await.unwrap().unwrap();
        for column in [&row.subject, &row.address, &row.payload, &row.code_hash, &row.client_hash] {
            for secret in [code.expose_secret(), NORMALISED, EMAIL] {
                assert!(!column.windows(secret.len()).any(|part| part == secret.as_bytes()));
            }
        }
        // A row's sealed values do not open in another row.
        assert!(replica.identity.challenges().address(Uuid::new_v4(), &row.address).is_err());
    }
}
