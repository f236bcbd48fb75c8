//! Sign-in, rotation and revocation, on both databases.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::{
    deadline::{Budget, Lane},
    id::{AccountId, ClientId},
    store::{
        NewUser,
        audit::{Event, Filter},
        testing::on_both_stores,
    },
};

const EMAIL: &str = "taro.yamada@example.jp";

pub(super) fn settings() -> Settings {
    const DAY: u64 = 24 * 60 * 60;
    Settings {
        signing_key: None,
        verification_keys: Vec::new(),
        secret: Some("a secret of thirty-two characters".into()),
        data_dir: std::env::temp_dir().join(format!("portal-gateway-{}", Uuid::now_v7())),
        issuer: "https://portal.test".to_owned(),
        audience: "portal".to_owned(),
        access_lifetime: Duration::from_secs(600),
        refresh_idle: Duration::from_secs(14 * DAY),
        refresh_absolute: Duration::from_secs(30 * DAY),
        failure_floor: Duration::ZERO,
        reset_page: "https://portal.test/reset-password".to_owned(),
        reset_lifetime: Duration::from_secs(30 * 60),
        audit_keep: Duration::from_secs(365 * DAY),
        passwords: PasswordSettings::default(),
        codes: challenge::Settings::default(),
        limits: Limits::default(),
        trusted_for: Duration::from_secs(7 * DAY),
        device_lifetime: Duration::from_secs(365 * DAY),
        sessions_per_user: 10,
        history_for: Duration::from_secs(365 * DAY),
        hand_off_lifetime: Duration::from_secs(300),
        maintenance: None,
        passkeys: PasskeySettings {
            rp_id: "portal.test".to_owned(),
            origins: vec!["https://portal.test".to_owned()],
            most: 20,
        },
        totp_issuer: "Portal".to_owned(),
        fresh_within: Duration::from_secs(300),
        captcha: None,
    }
}

pub(super) fn ground(store: &Store, clock: &Clock) -> Ground {
    let keys = crate::store::testing::keys();
    let jobs = Queue::new(store.clone(), keys.clone(), clock.clone());
    Ground { store: store.clone(), jobs, keys, redis: None, clock: clock.clone(), captcha: None }
}

/// One replica: the key stands in a folder that goes away with it.
pub(super) struct Replica {
    pub(super) identity: Identity,
    pub(super) clock: Clock,
    pub(super) folder: tempfile::TempDir,
}

impl std::ops::Deref for Replica {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.identity
    }
}

pub(super) fn replica(store: &Store) -> Replica {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::default();
    let settings = Settings { data_dir: folder.path().to_owned(), ..settings() };
    let identity = Identity::new(ground(store, &clock), &settings).unwrap();
    Replica { identity, clock, folder }
}

impl Replica {
    /// Lets everything be tried as often as wanted.
    pub(super) fn roomy(&mut self, store: &Store) {
        let rate = Rate { limit: 1_000_000, window: Duration::from_secs(1) };
        let limits = Limits { code_sends: rate, code_tries: rate, ..Limits::default() };
        let settings = Settings { data_dir: self.folder.path().to_owned(), limits, ..settings() };
        self.identity = Identity::new(ground(store, &self.clock), &settings).unwrap();
    }

    /// Another replica with the same keys and clock.
    pub(super) fn twin(&self, store: &Store) -> Identity {
        let settings = Settings { data_dir: self.folder.path().to_owned(), ..settings() };
        Identity::new(ground(store, &self.clock), &settings).unwrap()
    }

    async fn enrol(&self, n: u64, email: &str) -> UserId {
        self.register(&registration(n, email), Credential::Password(password())).await.unwrap()
    }

    async fn attempt(&self, email: &str, password: &SecretString, from: &Context) -> Result<SignIn> {
        let entry = Entry { delivery: Delivery::Tokens, device: None, from };
        self.identity.sign_in(email, password, None, &entry).await
    }

    async fn on_a_trusted_device(&self, email: &str, password: &SecretString, from: &Context) -> Grant {
        let device = SecretString::from("a device of theirs");
        self.identity.trust_everywhere(&device).await.unwrap();
        let entry = Entry { delivery: Delivery::Tokens, device: Some(&device), from };
        match self.identity.sign_in(email, password, None, &entry).await.unwrap() {
            SignIn::Entered(entrance) => entrance.grant,
            SignIn::Challenged(..) => panic!("the device is trusted"),
        }
    }

    async fn enter(&self) {
        let entered = self.attempt(EMAIL, &password(), &Context::default()).await.unwrap();
        assert!(matches!(entered, SignIn::Challenged(..)));
    }

    /// Signs in a person who is registered with a hash, so that no password is hashed.
    pub(super) async fn session(&self) -> Grant {
        if self.0.store.user_by_email(EMAIL).await.unwrap().is_none() {
            self.register(&registration(1, EMAIL), Credential::Phc("-".into())).await.unwrap();
        }
        self.identity.enter(EMAIL).await.unwrap()
    }
}

/// Enrols an app of somebody who is registered. Gives the recovery codes.
pub(super) async fn enrol_app(identity: &Identity, email: &str) -> Vec<SecretString> {
    let grant = identity.enter(email).await.unwrap();
    let principal = identity.authenticate(grant.access_token.expose_secret()).await.unwrap();
    let viewer = viewer(principal);
    let enrolment = identity.begin_totp(&viewer).await.unwrap();
    let app = totp_rs::Totp::from_url(enrolment.uri.expose_secret()).unwrap();
    let code = app.generate(u64::try_from(identity.0.now().timestamp()).unwrap()).to_string();
    identity.finish_totp(&viewer, &code.into()).await.unwrap()
}

pub(super) fn password() -> SecretString {
    "correct horse battery".into()
}

pub(super) fn registration(n: u64, email: &str) -> Registration {
    Registration {
        email: email.to_owned(),
        client: ClientId(1000 + n),
        account: AccountId::parse(&format!("001{n:012}")).unwrap(),
        locale: "ja",
    }
}

fn viewer(principal: Principal) -> Viewer {
    Viewer::new(principal, Budget::new(Duration::from_secs(10), Lane::Interactive))
}

fn code(error: &Error) -> &'static str {
    match error {
        Error::Rejected(reasons) => reasons[0].code,
        other => other.code(),
    }
}

on_both_stores! {
    async fn a_person_signs_in_and_is_known_by_the_token(store: TestStore) {
        let replica = replica(&store);
        let user = replica.enrol(1, EMAIL).await;
        let from = Context::default();
        let grant = replica.on_a_trusted_device(" Taro.Yamada@EXAMPLE.jp", &password(), &from).await;
        let principal = replica.authenticate(grant.access_token.expose_secret()).await.unwrap();
        let expected = registration(1, EMAIL);
        assert_eq!((principal.user, principal.client), (user, expected.client));
        assert_eq!((principal.account, principal.session), (expected.account, grant.session));
        let idle = grant.refresh_expires_at - replica.0.now();
        assert!(idle > TimeDelta::days(14) - TimeDelta::minutes(1) && idle <= TimeDelta::days(14));
        assert!(replica.twin(&store).authenticate(grant.access_token.expose_secret()).await.is_ok());
    }

    async fn unknown_wrong_and_disabled_are_told_the_same_for_one_hash_each(store: TestStore) {
        let replica = replica(&store);
        replica.enrol(1, EMAIL).await;
        let disabled = replica.enrol(2, "hanako@example.jp").await;
        assert!(replica.disable(disabled).await.unwrap());
        let mut answers = Vec::new();
        for (email, password) in [
            ("nobody@example.jp", password()),
            ("not an address", password()),
            (EMAIL, "wrong horse battery".into()),
            ("hanako@example.jp", password()),
        ] {
            let before = replica.0.passwords.performed();
            let error = replica.attempt(email, &password, &Context::default()).await.err().unwrap();
            assert_eq!(replica.0.passwords.performed() - before, 1, "{email}");
            assert_eq!(code(&error), "AUTH_INVALID_CREDENTIALS");
            answers.push(format!("{error:?}"));
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }

    async fn failures_delay_an_account_that_is_there_or_not_and_success_forgets_them(store: TestStore) {
        let replica = replica(&store);
        replica.enrol(1, EMAIL).await;
        for email in [EMAIL, "nobody@example.jp"] {
            let attempt = async |password: SecretString| {
                replica.attempt(email, &password, &Context::default()).await
            };
            for _ in 0..5 {
                assert_eq!(code(&attempt("wrong horse battery".into()).await.err().unwrap()), "AUTH_INVALID_CREDENTIALS");
            }
            let before = replica.0.passwords.performed();
            let error = attempt(password()).await.err().unwrap();
            assert!(matches!(error, Error::RateLimited { retry_after, service: None }
                if retry_after <= Duration::from_secs(1)));
            assert_eq!(replica.0.passwords.performed(), before, "nothing is tried");
        }
        replica.clock.advance(TimeDelta::seconds(2));
        replica.enter().await;
        for _ in 0..5 {
            let error = replica.attempt(EMAIL, &"wrong".into(), &Context::default()).await.err().unwrap();
            assert_eq!(code(&error), "AUTH_INVALID_CREDENTIALS");
        }
    }

    async fn guessing_over_many_accounts_delays_the_address(store: TestStore) {
        let replica = replica(&store);
        let context = |address: &str| Context { address: Some(address.parse().unwrap()), ..Context::default() };
        for n in 0..50 {
            let email = format!("{n}@example.jp");
            assert!(replica.attempt(&email, &password(), &context("2001:db8::1")).await.is_err());
        }
        let error = replica.attempt("x@example.jp", &password(), &context("2001:db8::2")).await.err().unwrap();
        assert_eq!(code(&error), "RATE_LIMITED");
        for _ in 0..20 {
            let error = replica.attempt("y@example.jp", &password(), &context("2001:db8::3")).await.err().unwrap();
            assert_eq!(code(&error), "RATE_LIMITED");
        }
        let error = replica.attempt("y@example.jp", &password(), &context("192.0.2.1")).await.err().unwrap();
        assert_eq!(code(&error), "AUTH_INVALID_CREDENTIALS", "a refused try delays no account");
    }

    async fn failures_of_neighbours_slow_a_network_down_and_are_forgotten(store: TestStore) {
        let replica = replica(&store);
        replica.enrol(1, EMAIL).await;
        let office = Context { address: Some("192.0.2.1".parse().unwrap()), ..Context::default() };
        let enter = async || replica.attempt(EMAIL, &password(), &office).await;
        // Somebody there mistypes all week, on one account after the other, and others sign in.
        for n in 0..60 {
            let email = format!("{}@example.jp", n % 30);
            let refused = replica.attempt(&email, &"wrong".into(), &office).await.err().unwrap();
            assert_eq!(code(&refused), "AUTH_INVALID_CREDENTIALS", "{n}");
            replica.clock.advance(TimeDelta::hours(2));
        }
        for _ in 0..2 {
            assert!(matches!(enter().await, Ok(SignIn::Challenged(..))));
            replica.clock.advance(TimeDelta::seconds(1));
        }
        // Somebody guesses in earnest: the others wait once, and not after each sign-in.
        for n in 0..50 {
            assert!(replica.attempt(&format!("{n}@example.com"), &password(), &office).await.is_err());
        }
        let Err(Error::RateLimited { retry_after, .. }) = enter().await else { panic!("they guess on") };
        assert!(retry_after < Duration::from_secs(60), "{retry_after:?}");
        replica.clock.advance(TimeDelta::from_std(retry_after).unwrap());
        for _ in 0..2 {
            assert!(matches!(enter().await, Ok(SignIn::Challenged(..))));
            replica.clock.advance(TimeDelta::seconds(1));
        }
    }

    async fn an_outdated_hash_is_made_anew_once(store: TestStore) {
        let replica = replica(&store);
        let params = argon2::Params::new(8 * 1024, 1, 1, None).unwrap();
        let weak = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let salt = argon2::password_hash::SaltString::encode_b64(b"sixteen bytes ok").unwrap();
        let phc = argon2::PasswordHasher::hash_password(&weak, password().expose_secret().as_bytes(), &salt);
        let phc = SecretString::from(phc.unwrap().to_string());
        replica.register(&registration(1, EMAIL), Credential::Phc(phc)).await.unwrap();
        for hashes in [2, 1] {
            let before = replica.0.passwords.performed();
            replica.enter().await;
            assert_eq!(replica.0.passwords.performed() - before, hashes);
        }
        let hash = store.user_by_email(EMAIL).await.unwrap().unwrap().password_hash;
        assert!(hash.expose_secret().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    }

    async fn a_hash_of_the_earlier_portal_is_replaced_at_the_first_sign_in(store: TestStore) {
        let replica = replica(&store);
        let old = SecretString::from(bcrypt::hash(password().expose_secret(), 4).unwrap());
        replica.register(&registration(1, EMAIL), Credential::Phc(old)).await.unwrap();
        for hashes in [2, 1] {
            let before = replica.0.passwords.performed();
            replica.enter().await;
            assert_eq!(replica.0.passwords.performed() - before, hashes);
        }
        let hash = store.user_by_email(EMAIL).await.unwrap().unwrap().password_hash;
        assert!(hash.expose_secret().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    }

    async fn beyond_the_failures_of_everybody_only_known_devices_enter(store: TestStore) {
        let mut replica = replica(&store);
        let failures = Rate { limit: 5, window: Duration::from_secs(300) };
        let limits = Limits { failures, ..Limits::default() };
        let settings = Settings { data_dir: replica.folder.path().to_owned(), limits, ..settings() };
        replica.identity = Identity::new(ground(&store, &replica.clock), &settings).unwrap();
        replica.enrol(1, EMAIL).await;
        let from = Context::default();
        for n in 0..5 {
            let refused = replica.attempt(&format!("{n}@example.jp"), &password(), &from).await.err().unwrap();
            assert_eq!(code(&refused), "AUTH_INVALID_CREDENTIALS");
        }
        let stranger = replica.attempt(EMAIL, &password(), &from).await.err().unwrap();
        assert_eq!(code(&stranger), "RATE_LIMITED");
        replica.on_a_trusted_device(EMAIL, &password(), &from).await;
    }

    async fn a_refresh_token_is_exchanged_once_and_reuse_ends_the_session(store: TestStore) {
        let replica = replica(&store);
        let first = replica.session().await;
        let mut last = first.clone();
        for _ in 0..3 {
            replica.clock.advance(TimeDelta::seconds(1));
            let next = replica.refresh(&last.refresh_token, &Context::default()).await.unwrap();
            assert_eq!(next.session, first.session);
            assert_ne!(next.refresh_token.expose_secret(), last.refresh_token.expose_secret());
            last = next;
        }
        replica.authenticate(last.access_token.expose_secret()).await.unwrap();
        // A grandparent never qualifies, inside the 10 seconds or not.
        assert_eq!(code(&replica.refresh(&first.refresh_token, &Context::default()).await.unwrap_err()), "UNAUTHENTICATED");
        assert_eq!(code(&replica.refresh(&last.refresh_token, &Context::default()).await.unwrap_err()), "UNAUTHENTICATED");
        let refused = replica.authenticate(last.access_token.expose_secret()).await;
        assert_eq!(code(&refused.unwrap_err()), "UNAUTHENTICATED", "at once, on this replica");
        let backlog = store.job_backlog().await.unwrap();
        assert!(backlog.iter().any(|one| one.kind == "mail" && one.waiting == 1), "the owner is told");
    }

    async fn a_lost_answer_is_given_again_for_ten_seconds(store: TestStore) {
        let replica = replica(&store);
        let first = replica.session().await;
        let second = replica.refresh(&first.refresh_token, &Context::default()).await.unwrap();
        replica.clock.advance(TimeDelta::seconds(9));
        let again = replica.twin(&store).refresh(&first.refresh_token, &Context::default()).await.unwrap();
        assert_eq!(again.refresh_token.expose_secret(), second.refresh_token.expose_secret());
        assert_eq!(again.refresh_expires_at, second.refresh_expires_at);
        replica.clock.advance(TimeDelta::seconds(2));
        assert!(replica.refresh(&first.refresh_token, &Context::default()).await.is_err(), "too late");
        assert!(replica.refresh(&second.refresh_token, &Context::default()).await.is_err(), "the session is ended");
    }

    async fn a_predecessor_is_refused_once_its_successor_was_used(store: TestStore) {
        let replica = replica(&store);
        let first = replica.session().await;
        let second = replica.refresh(&first.refresh_token, &Context::default()).await.unwrap();
        let third = replica.refresh(&second.refresh_token, &Context::default()).await.unwrap();
        assert!(replica.refresh(&first.refresh_token, &Context::default()).await.is_err());
        assert!(replica.refresh(&third.refresh_token, &Context::default()).await.is_err(), "the session is ended");
    }

    async fn a_token_that_was_exchanged_ends_the_session_however_old_it_is(store: TestStore) {
        let replica = replica(&store);
        let first = replica.session().await;
        let mut last = first.clone();
        for _ in 0..3 {
            replica.clock.advance(TimeDelta::days(5));
            last = replica.refresh(&last.refresh_token, &Context::default()).await.unwrap();
        }
        assert!(replica.refresh(&first.refresh_token, &Context::default()).await.is_err());
        assert!(replica.refresh(&last.refresh_token, &Context::default()).await.is_err(), "the session is ended");
    }

    async fn a_session_that_idled_away_is_neither_shown_nor_counted(store: TestStore) {
        let replica = replica(&store);
        let idle = replica.session().await;
        replica.clock.advance(TimeDelta::days(10));
        let mut kept = Vec::new();
        for _ in 0..9 {
            kept.push(replica.session().await);
        }
        replica.clock.advance(TimeDelta::days(5));
        kept.push(replica.session().await);
        let principal = replica.authenticate(kept[9].access_token.expose_secret()).await.unwrap();
        let shown = replica.sessions(&viewer(principal)).await.unwrap();
        assert_eq!(shown.len(), 10);
        assert!(shown.iter().all(|one| one.id != idle.session));
        let row = store.session(idle.session).await.unwrap().unwrap();
        assert!(!row.is_ended, "it does not take the place of one that stands");
    }

    async fn a_device_is_revoked_while_the_password_changes(store: TestStore) {
        let replica = replica(&store);
        replica.session().await;
        let user = store.user_by_email(EMAIL).await.unwrap().unwrap();
        let token = SecretString::from("a device of theirs");
        for round in 0..10_u8 {
            replica.identity.trust_everywhere(&token).await.unwrap();
            let device = store.devices_of_user(user.id, DateTime::UNIX_EPOCH).await.unwrap()[0].device_id;
            let mut tx = store.begin().await.unwrap();
            let origin = origin::Origin::of(&Context::default());
            let now = replica.0.now();
            for _ in 0..5 {
                replica.0.open_session(&mut tx, user.id, &origin, Some(device), now).await.unwrap();
            }
            tx.commit().await.unwrap();
            let changing = async {
                let (old, _) = store.user(user.id).await.unwrap().unwrap();
                let mut tx = store.begin().await.unwrap();
                let new = SecretString::from(format!("hash {round}"));
                assert!(tx.replace_password(user.id, &old.password_hash, &new, now).await.unwrap());
                tx.revoke_sessions(user.id, "password changed", now).await.unwrap();
                tx.distrust_devices(user.id).await.unwrap();
                tx.commit().await.unwrap();
            };
            let event = Event::done("device.revoke", Actor::User(user.id), now);
            let revoking = store.delete_device(user.id, device, now, event);
            let ((), revoked) = tokio::join!(changing, revoking);
            assert!(revoked.unwrap());
        }
    }

    async fn fifty_at_once_get_one_successor(store: TestStore) {
        let replica = replica(&store);
        let first = replica.session().await;
        let twin = replica.twin(&store);
        let tries: Vec<_> = (0..50)
            .map(|n| {
                let identity = if n % 2 == 0 { replica.identity.clone() } else { twin.clone() };
                let token = first.refresh_token.clone();
                tokio::spawn(async move { identity.refresh(&token, &Context::default()).await.unwrap().refresh_token })
            })
            .collect();
        let mut successors = std::collections::HashSet::new();
        for one in tries {
            successors.insert(one.await.unwrap().expose_secret().to_owned());
        }
        assert_eq!(successors.len(), 1);
        let live = store.count("refresh_tokens WHERE used_at IS NULL").await;
        assert_eq!(live, 1, "of one session one token is good, whatever was answered");
        let leaf = SecretString::from(successors.into_iter().next().unwrap());
        replica.refresh(&leaf, &Context::default()).await.unwrap();
    }

    async fn a_session_ends_when_idle_and_in_any_case_after_thirty_days(store: TestStore) {
        let replica = replica(&store);
        let idle = replica.session().await;
        let mut busy = replica.session().await;
        replica.clock.advance(TimeDelta::days(13));
        busy = replica.refresh(&busy.refresh_token, &Context::default()).await.unwrap();
        replica.clock.advance(TimeDelta::days(2));
        assert!(replica.refresh(&idle.refresh_token, &Context::default()).await.is_err(), "15 days idle");
        replica.clock.advance(TimeDelta::days(10));
        busy = replica.refresh(&busy.refresh_token, &Context::default()).await.unwrap();
        let left = busy.refresh_expires_at - replica.0.now();
        assert!(left <= TimeDelta::days(5), "{left}: the session's own end comes first");
        replica.clock.advance(TimeDelta::days(5));
        assert!(replica.refresh(&busy.refresh_token, &Context::default()).await.is_err(), "30 days old");
    }

    async fn signing_out_is_seen_here_at_once_and_elsewhere_within_five_seconds(store: TestStore) {
        let replica = replica(&store);
        let twin = replica.twin(&store);
        let (grant, other) = (replica.session().await, replica.session().await);
        let token = grant.access_token.expose_secret();
        let viewer = viewer(replica.authenticate(token).await.unwrap());
        twin.authenticate(token).await.unwrap();
        replica.sign_out(&viewer).await.unwrap();
        assert_eq!(code(&replica.authenticate(token).await.unwrap_err()), "UNAUTHENTICATED");
        assert!(replica.refresh(&grant.refresh_token, &Context::default()).await.is_err());
        replica.clock.advance(TimeDelta::seconds(5));
        assert_eq!(code(&twin.authenticate(token).await.unwrap_err()), "UNAUTHENTICATED");
        twin.authenticate(other.access_token.expose_secret()).await.unwrap();
    }

    async fn disabling_ends_every_session(store: TestStore) {
        let replica = replica(&store);
        let grants = [replica.session().await, replica.session().await];
        for grant in &grants {
            replica.authenticate(grant.access_token.expose_secret()).await.unwrap();
        }
        replica.disable(grants[0].user).await.unwrap();
        for grant in &grants {
            assert!(replica.authenticate(grant.access_token.expose_secret()).await.is_err());
            assert!(replica.refresh(&grant.refresh_token, &Context::default()).await.is_err());
        }
    }

    async fn a_user_without_a_mapping_is_told_so(store: TestStore) {
        let replica = replica(&store);
        let hash = replica.hash_password(&password()).await.unwrap();
        let now = replica.0.now();
        let id = UserId(Uuid::now_v7());
        let mut tx = store.begin().await.unwrap();
        tx.insert_user(&NewUser { id, email: EMAIL, password_hash: &hash, locale: "ja", at: now }).await.unwrap();
        tx.commit().await.unwrap();
        let error = replica.attempt(EMAIL, &password(), &Context::default()).await.err().unwrap();
        assert_eq!(code(&error), "MAPPING_MISSING");
        let grant = replica.session().await;
        let error = replica.authenticate(grant.access_token.expose_secret()).await.unwrap_err();
        assert_eq!(code(&error), "MAPPING_MISSING");
    }

    async fn one_address_client_and_account_are_registered_once(store: TestStore) {
        let replica = replica(&store);
        let phc = || Credential::Phc("-".into());
        replica.register(&registration(1, EMAIL), phc()).await.unwrap();
        for again in [registration(2, EMAIL), registration(1, "b@example.jp")] {
            assert_eq!(code(&replica.register(&again, phc()).await.unwrap_err()), "ALREADY_REGISTERED");
        }
        let error = replica.register(&registration(3, "c"), phc()).await.unwrap_err();
        assert_eq!(error.to_string(), "email: is not an e-mail address");
        let short = Credential::Password("short".into());
        let error = replica.register(&registration(3, "c@example.jp"), short).await.unwrap_err();
        assert_eq!(code(&error), "PASSWORD_LENGTH");
    }

    async fn many_are_registered_with_one_hash(store: TestStore) {
        let replica = replica(&store);
        let phc = replica.hash_password(&password()).await.unwrap();
        let people: Vec<_> = (1..=1_500).map(|n| registration(n, &format!("demo.{n}@example.jp"))).collect();
        assert_eq!(replica.register_many(&people, &phc).await.unwrap(), 1_500);
        assert_eq!(replica.register_many(&people, &phc).await.unwrap(), 0);
        replica.attempt("demo.1500@example.jp", &password(), &Context::default()).await.unwrap();
    }

    async fn every_act_is_in_the_audit_log_and_no_secret_is(store: TestStore) {
        let replica = replica(&store);
        let user = replica.enrol(1, EMAIL).await;
        let context = Context {
            address: Some("2001:db8::1".parse().unwrap()),
            user_agent: Some("Mozilla/5.0 canary-agent".to_owned()),
            request_id: Some("request-1".to_owned()),
            ..Context::default()
        };
        replica.attempt(EMAIL, &"wrong horse battery".into(), &context).await.err().unwrap();
        let grant = replica.on_a_trusted_device(EMAIL, &password(), &context).await;
        let other = replica.on_a_trusted_device(EMAIL, &password(), &context).await;
        let principal = replica.authenticate(grant.access_token.expose_secret()).await.unwrap();
        let viewer = viewer(principal).from(context.clone());
        let new = SecretString::from("another horse battery");
        replica.change_password(&viewer, &"wrong".into(), &new).await.unwrap_err();
        replica.change_password(&viewer, &password(), &new).await.unwrap();
        replica.end_other_sessions(&viewer).await.unwrap();
        let third = replica.on_a_trusted_device(EMAIL, &new, &context).await;
        assert!(replica.end_session(&viewer, third.session).await.unwrap());
        assert!(!replica.end_session(&viewer, other.session).await.unwrap());
        replica.refresh(&grant.refresh_token, &context).await.unwrap();
        replica.clock.advance(TimeDelta::seconds(11));
        replica.refresh(&grant.refresh_token, &context).await.unwrap_err();
        replica.sign_out(&viewer).await.unwrap();
        replica.disable(user).await.unwrap();

        let rows = store.audit_events(&Filter::default(), 0, 100).await.unwrap();
        let told: Vec<_> = rows
            .iter()
            .map(|row| {
                let reason = row.reason.as_deref().unwrap_or_default();
                format!("{} {} {reason}", row.act, row.actor_kind).trim_end().to_owned()
            })
            .collect();
        assert_eq!(told, [
            "user.register system",
            "session.create nobody AUTH_INVALID_CREDENTIALS",
            "session.create user",
            "session.create user",
            "password.change user AUTH_INVALID_CREDENTIALS",
            "password.change user",
            "session.end-others user",
            "session.create user",
            "session.end user",
            "session.refresh user",
            "session.refresh nobody TOKEN_REUSED",
            "user.disable operator",
        ]);
        for row in &rows[1..11] {
            assert_eq!(row.request_id.as_deref(), Some("request-1"));
            assert_eq!(row.user_agent_class.as_deref(), Some("browser"));
            assert!(row.network == rows[1].network && row.network.is_some());
        }
        assert_eq!(rows[10].subject_id, Some(user.0), "whose token it was is known");
        let written = format!("{rows:?}");
        for secret in [EMAIL, "taro", "horse", "2001:db8", "canary-agent", grant.refresh_token.expose_secret()] {
            assert!(!written.contains(secret), "{secret}");
        }
        assert_eq!(store.verify_audit(None, |_, _| ()).await.unwrap().faults, []);
    }
}

#[tokio::test]
async fn a_text_that_is_no_refresh_token_is_refused() {
    let store = crate::store::testing::sqlite().await;
    let replica = replica(&store);
    for text in ["", "a", &"A".repeat(43), &"A".repeat(44), &"A".repeat(100_000), "é"] {
        assert!(replica.refresh(&text.to_owned().into(), &Context::default()).await.is_err());
    }
}
