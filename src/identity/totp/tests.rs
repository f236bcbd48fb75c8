//! What lies in the store of an app and its recovery codes, and what it is worth, on both databases.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::{
    identity::{
        Context, Credential, Delivery, Entry, Method, SecondStep, SignIn,
        tests::{enrol_app, password, registration, replica},
    },
    secret::ExposeSecret,
    store::testing::on_both_stores,
};

const EMAIL: &str = "taro.yamada@example.jp";

on_both_stores! {
    async fn what_lies_in_the_store_opens_nothing(store: TestStore) {
        let replica = replica(&store);
        let user =
            replica.register(&registration(1, EMAIL), Credential::Password(password())).await.unwrap();
        let codes = enrol_app(&replica, EMAIL).await;
        let this = &*replica.0;
        let row = store.totp(user).await.unwrap().unwrap();
        let secret = this.seals.open(enrolled(&row.factor_id), &row.secret).unwrap();
        assert!(!row.secret.windows(secret.len()).any(|part| part == secret), "the secret lies open");
        // Moved to another row, or taken for one that is not enrolled yet, it does not open.
        assert!(this.seals.open(enrolled(&Uuid::now_v7()), &row.secret).is_err());
        assert!(this.seals.open(pending(&row.factor_id), &row.secret).is_err());
        // One code has another name for each user.
        let other =
            replica.register(&registration(2, "hanako@example.jp"), Credential::Password(password())).await;
        assert_ne!(
            store.recovery_codes(user, &codes).unwrap(),
            store.recovery_codes(other.unwrap(), &codes).unwrap()
        );
    }

    async fn of_two_uses_of_one_step_or_code_the_second_is_none(store: TestStore) {
        let replica = replica(&store);
        let user =
            replica.register(&registration(1, EMAIL), Credential::Password(password())).await.unwrap();
        let codes = enrol_app(&replica, EMAIL).await;
        let (this, from) = (&*replica.0, Context::default());
        let factor = store.totp(user).await.unwrap().unwrap();
        let now = this.now();
        let used = async |fit: &proof::Fit| {
            let owner = store.user(user).await.unwrap().unwrap();
            let mut tx = store.begin().await.unwrap();
            let method = this.use_fit(&mut tx, owner, fit, &from, now).await.unwrap();
            tx.commit().await.unwrap();
            method
        };
        let step = |step| proof::Fit::App { factor: factor.factor_id, step };
        let next = factor.last_step + 1;
        assert_eq!(used(&step(factor.last_step)).await, None, "that of the enrolment");
        assert_eq!(used(&step(next)).await, Some(Method::Totp));
        assert_eq!(used(&step(next)).await, None);
        assert_eq!(used(&step(next + 1)).await, Some(Method::Totp));
        assert_eq!(used(&step(next)).await, None, "an earlier one");
        let gone = proof::Fit::App { factor: Uuid::now_v7(), step: next + 2 };
        assert_eq!(used(&gone).await, None, "of an app that was replaced");

        let code = this.fit(user, &codes[0], now).await.unwrap().unwrap();
        assert_eq!(used(&code).await, Some(Method::RecoveryCode));
        assert_eq!(used(&code).await, None);
        assert_eq!(store.recovery_codes_left(user).await.unwrap(), 9);
    }

    async fn recovery_codes_outlive_a_secret_that_is_replaced_in_the_configuration(store: TestStore) {
        let replica = replica(&store);
        let user =
            replica.register(&registration(1, EMAIL), Credential::Password(password())).await.unwrap();
        let codes = enrol_app(&replica, EMAIL).await;
        let settings = crate::identity::Settings {
            secret: Some("another secret of thirty-two characters".into()),
            data_dir: replica.folder.path().to_owned(),
            ..crate::identity::tests::settings()
        };
        let ground = crate::identity::tests::ground(&store, &replica.clock);
        let identity = Identity::new(ground, &settings).unwrap();
        let entry = Entry { delivery: Delivery::Tokens, device: None, from: &Context::default() };
        let SignIn::Challenged(opened, step) = identity.sign_in(EMAIL, &password(), None, &entry).await.unwrap()
        else {
            panic!("an app is asked for")
        };
        assert_eq!((step, opened.tries_left), (SecondStep::Totp, 5));
        let verified = identity.verify(opened.id, &codes[0], false, &entry).await.unwrap();
        assert!(matches!(verified, crate::identity::Verified::Entered(_)));
        assert!(!codes[0].expose_secret().is_empty() && store.recovery_codes_left(user).await.unwrap() == 9);
    }
}
