//! Rotation, on both databases.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use futures::future::join_all;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk};
use serde_json::Value;

use super::*;
use crate::{
    identity::{
        Context, Grant, Identity,
        tests::{Replica, replica, settings},
    },
    secret::ExposeSecret,
    store::{audit::Filter, testing::on_both_stores},
};

fn kid(grant: &Grant) -> String {
    decode_header(grant.access_token.expose_secret()).unwrap().kid.unwrap()
}

async fn is_known(identity: &Identity, grant: &Grant) -> bool {
    identity.authenticate(grant.access_token.expose_secret()).await.is_ok()
}

async fn rotate(replica: &Replica, store: &Store, lead: TimeDelta) -> String {
    rotate_signing_key(store, replica.clock.now(), lead).await.unwrap().0
}

fn published(identity: &Identity) -> Vec<String> {
    let set: Value = serde_json::from_str(&identity.published_keys()).unwrap();
    let keys = set["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// The published keys, and a library of others.
fn verifies_elsewhere(identity: &Identity, grant: &Grant) -> bool {
    let set: jwk::JwkSet = serde_json::from_str(&identity.published_keys()).unwrap();
    let Some(key) = set.find(&kid(grant)) else { return false };
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["portal"]);
    validation.set_issuer(&["https://portal.test"]);
    validation.validate_exp = false;
    let key = DecodingKey::from_jwk(key).unwrap();
    decode::<Value>(grant.access_token.expose_secret(), &key, &validation).is_ok()
}

on_both_stores! {
    async fn a_rotation_under_running_sessions_signs_nobody_out(store: TestStore) {
        let replica = replica(&store);
        let twin = replica.twin(&store);
        let mut grants = [replica.session().await, replica.session().await];
        let first = kid(&grants[0]);
        let mut second = None;
        let mut seen = Vec::new();
        for minute in 0..45 {
            replica.clock.advance(TimeDelta::minutes(1));
            // What both do by themselves.
            for identity in [&*replica, &twin] {
                identity.0.tokens.keys().look(replica.clock.now()).await.unwrap();
            }
            if minute == 3 {
                second = Some(rotate(&replica, &store, TimeDelta::minutes(10)).await);
            }
            for (n, grant) in grants.iter_mut().enumerate() {
                for identity in [&*replica, &twin] {
                    assert!(is_known(identity, grant).await, "minute {minute}, session {n}");
                    assert!(verifies_elsewhere(identity, grant), "minute {minute}, session {n}");
                }
                // Each at its own times, in turn on either replica.
                if (minute + n * 4) % 9 == 0 {
                    let identity = if (minute / 9) % 2 == 0 { &twin } else { &*replica };
                    *grant = identity.refresh(&grant.refresh_token, &Context::default()).await.unwrap();
                    seen.push((minute, kid(grant)));
                }
            }
        }
        let second = second.unwrap();
        assert!(seen.iter().all(|(minute, kid)| *kid == if *minute < 14 { &*first } else { &*second }), "{seen:?}");
        assert!(seen.iter().any(|(minute, _)| *minute > 3 && *minute < 14), "signed by the old one, the new one waiting");
        assert_eq!(published(&twin), std::slice::from_ref(&second), "the old one is of no use any more");
        replica.0.purge().await;
        let left: Vec<_> = store.signing_keys().await.unwrap().into_iter().map(|row| row.kid).collect();
        assert_eq!(left, [second]);
        let filter = Filter { act: Some("signing-key.rotate".to_owned()), ..Filter::default() };
        let events = store.audit_events(&filter, 0, 9).await.unwrap();
        assert_eq!((events.len(), events[0].actor_kind.as_str()), (1, "operator"));
        assert!(events[0].details.contains(&left[0]), "{}", events[0].details);
    }

    async fn a_key_is_published_before_it_signs_and_verifies_after_it_did(store: TestStore) {
        let replica = replica(&store);
        let old = replica.session().await;
        let first = kid(&old);
        assert_eq!(published(&replica), std::slice::from_ref(&first));
        let second = rotate(&replica, &store, TimeDelta::minutes(10)).await;
        let state = async || {
            replica.0.tokens.keys().look(replica.clock.now()).await.unwrap();
            let listed = signing_keys(&store, replica.clock.now()).await.unwrap();
            (published(&replica), listed.into_iter().map(|key| key.state).collect::<Vec<_>>())
        };
        assert_eq!(state().await, (vec![first.clone(), second.clone()], vec![KeyState::Active, KeyState::Next]));
        let error = rotate_signing_key(&store, replica.clock.now(), TimeDelta::zero()).await.unwrap_err();
        assert!(matches!(&error, RotationError::Pending { kid, .. } if *kid == second), "{error}");
        replica.clock.advance(TimeDelta::minutes(10));
        assert_eq!(state().await, (vec![first, second.clone()], vec![KeyState::Retired, KeyState::Active]));
        assert_eq!(kid(&replica.session().await), second);
        assert!(is_known(&replica, &old).await, "of another key, and within the skew of its end");
        replica.clock.advance(TimeDelta::seconds(31));
        assert!(!is_known(&replica, &old).await, "it has run out, as always");
        replica.clock.advance(OVERLAP);
        assert_eq!(state().await.0, [second]);
    }

    async fn a_token_of_a_new_key_is_looked_for_once_a_second(store: TestStore) {
        let replica = replica(&store);
        let twin = replica.twin(&store);
        let old = replica.session().await;
        assert!(is_known(&twin, &old).await);
        // Without notice: the twin has not looked since.
        rotate(&replica, &store, TimeDelta::zero()).await;
        replica.0.tokens.keys().look(replica.clock.now()).await.unwrap();
        let new = replica.session().await;
        assert_ne!(kid(&new), kid(&old));
        // It looked a moment ago; as far ahead as can be, since the clock goes on.
        let ahead = TimeDelta::milliseconds(900);
        *twin.0.tokens.keys().looked_at.lock().await = Some(replica.clock.now() + ahead);
        assert!(!is_known(&twin, &new).await);
        replica.clock.advance(TimeDelta::seconds(2));
        let all = join_all((0..20).map(|_| is_known(&twin, &new))).await;
        assert!(all.into_iter().all(|is_known| is_known), "one look serves all");
        assert!(is_known(&twin, &old).await);
    }

    async fn many_that_start_at_once_make_one_first_key(store: TestStore) {
        let replica = replica(&store);
        let twins: Vec<_> = (0..8).map(|_| replica.twin(&store)).collect();
        join_all(twins.iter().map(|twin| async { twin.open_keys().await.unwrap() })).await;
        assert_eq!(store.signing_keys().await.unwrap().len(), 1);
        let all: Vec<_> = twins.iter().map(published).collect();
        assert!(all.iter().all(|keys| *keys == all[0] && keys.len() == 1), "{all:?}");
    }

    async fn a_configured_key_signs_whatever_lies_in_the_store(store: TestStore) {
        use ed25519_dalek::pkcs8::{EncodePrivateKey, EncodePublicKey, spki::der::pem::LineEnding};

        let replica = replica(&store);
        let stored = replica.session().await;
        let key = SigningKey::from_bytes(&[7; 32]);
        let pem = key.to_pkcs8_pem(LineEnding::LF).unwrap();
        let settings = |signing_key| Settings {
            data_dir: replica.folder.path().to_owned(),
            signing_key,
            verification_keys: vec![key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap()],
            ..settings()
        };
        let ground = || crate::identity::tests::ground(&store, &replica.clock);
        let configured = Identity::new(ground(), &settings(Some(pem.to_string().into()))).unwrap();
        let own = configured.refresh(&stored.refresh_token, &Context::default()).await.unwrap();
        assert_eq!(kid(&own), keys::thumbprint(&key.verifying_key()));
        assert!(is_known(&configured, &own).await && verifies_elsewhere(&configured, &own));
        assert!(is_known(&configured, &stored).await, "one of the store verifies all the same");
        // Without the setting the store's signs again; what the configured one signed is good where that is listed.
        let without = Identity::new(ground(), &settings(None)).unwrap();
        assert!(is_known(&without, &own).await);
        let again = without.refresh(&own.refresh_token, &Context::default()).await.unwrap();
        assert_eq!(kid(&again), kid(&stored));
    }
}
