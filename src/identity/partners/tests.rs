//! Partners on several replicas, on both databases.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use chrono::TimeDelta;

use super::*;
use crate::{
    deadline::{Budget, Lane},
    freshness::Owner,
    identity::{
        Context, Credential, Viewer,
        tests::{registration, replica},
    },
    secret::{ExposeSecret, SecretString},
    store::{Store, testing::on_both_stores},
};

const TERMS: Terms = Terms { requests_per_second: 10, cost_maximum: 1_000, cost_restore: 100 };

async fn request(desk: &PartnerDesk, scopes: &str) -> TokenRequest {
    let scopes = Scopes::parse(scopes).unwrap();
    let new = NewPartner { name: "Books".to_owned(), scopes, is_first_party: false, terms: TERMS };
    let (client_id, secret) = desk.create(new).await.unwrap();
    TokenRequest { client_id, secret, scope: None }
}

async fn token(identity: &Identity, request: &TokenRequest) -> SecretString {
    identity.partner_token(request, &Context::default()).await.unwrap().access_token
}

on_both_stores! {
    async fn what_one_replica_ends_every_replica_refuses_within_five_seconds(store: TestStore) {
        let here = replica(&store);
        let (clock, there) = (here.clock.clone(), here.twin(&store));
        let desk = PartnerDesk::new(Store::clone(&store), clock.clone());
        let asks = request(&desk, "billing:read orders:read").await;
        let user = here.register(&registration(1, "taro@example.jp"), Credential::Phc("-".into())).await.unwrap();
        let session = here.enter("taro@example.jp").await.unwrap();
        let principal = here.authenticate(session.access_token.expose_secret()).await.unwrap();
        let viewer = Viewer::new(principal, Budget::new(Duration::from_secs(10), Lane::Interactive));
        let bearer = token(&here, &asks).await;
        let bearer = bearer.expose_secret();
        let code = async |replica: &Identity| match replica.caller(bearer, Some(user)).await {
            Ok(_) => "",
            Err(error) => error.code(),
        };
        assert_eq!((code(&here).await, code(&there).await), ("CUSTOMER_NOT_GRANTED", "CUSTOMER_NOT_GRANTED"));
        let grant = here.create_grant(&viewer, &asks.client_id, &["billing:read".to_owned()]).await.unwrap();
        assert_eq!(code(&here).await, "", "at once where it was allowed");
        clock.advance(TimeDelta::seconds(5));
        assert_eq!(code(&there).await, "");

        // What is seen is what all three allow, and it is told apart from what its customer sees.
        let caller = there.caller(bearer, Some(user)).await.unwrap();
        let scopes = Scopes::parse("billing:read").unwrap();
        let owner = Owner::Partner { partner: caller.partner().unwrap().partner, scopes: scopes.bits(), user: Some(user) };
        assert_eq!(caller.owner(), owner);
        assert_ne!(owner, viewer.owner());
        assert_eq!(there.recall_caller(bearer, Some(user)), Some(caller));
        assert_eq!((there.recall_caller(bearer, None), there.recall_caller(bearer, Some(UserId(Uuid::nil())))), (None, None));
        let stands_by = caller.badge().1;
        assert_eq!(stands_by, [caller.partner().unwrap().secret, grant.id]);
        assert!(there.ended(&stands_by).await.unwrap().is_empty());

        assert!(here.revoke_grant(&viewer, grant.id).await.unwrap());
        assert_eq!(code(&here).await, "CUSTOMER_NOT_GRANTED", "at once where it was taken back");
        assert_eq!(there.ended(&stands_by).await.unwrap(), [grant.id].into(), "its sockets end, too");
        clock.advance(TimeDelta::seconds(5));
        assert_eq!(code(&there).await, "CUSTOMER_NOT_GRANTED");

        here.create_grant(&viewer, &asks.client_id, &["billing:read".to_owned()]).await.unwrap();
        clock.advance(TimeDelta::seconds(5));
        assert_eq!((code(&here).await, code(&there).await), ("", ""));
        assert!(here.disable(user).await.unwrap());
        clock.advance(TimeDelta::seconds(5));
        assert_eq!((code(&here).await, code(&there).await), ("CUSTOMER_NOT_GRANTED", "CUSTOMER_NOT_GRANTED"));
        assert!(desk.revoke(&asks.client_id).await.unwrap());
        clock.advance(TimeDelta::seconds(5));
        assert_eq!((code(&here).await, code(&there).await), ("UNAUTHENTICATED", "UNAUTHENTICATED"));
    }

    async fn what_a_partner_of_the_house_listens_to_ends_with_its_customer_its_secret_and_itself(store: TestStore) {
        let here = replica(&store);
        let user = here.register(&registration(1, "taro@example.jp"), Credential::Phc("-".into())).await.unwrap();
        let desk = PartnerDesk::new(Store::clone(&store), here.clock.clone());
        let scopes = Scopes::parse("billing:read").unwrap();
        let new = NewPartner { name: "House".to_owned(), scopes, is_first_party: true, terms: TERMS };
        let (client_id, secret) = desk.create(new).await.unwrap();
        let first = TokenRequest { client_id: client_id.clone(), secret, scope: None };
        let stands_by = async |request: &TokenRequest, user: Option<UserId>| {
            here.caller(token(&here, request).await.expose_secret(), user).await.unwrap().badge().1
        };
        let (of_customer, of_nobody) = (stands_by(&first, Some(user)).await, stands_by(&first, None).await);
        let second = TokenRequest { secret: desk.rotate(&client_id).await.unwrap().unwrap(), ..first.clone() };
        here.clock.advance(TimeDelta::seconds(5));
        let by_second = stands_by(&second, Some(user)).await;
        let has_ended = async |ids: &[Uuid]| !here.ended(ids).await.unwrap().is_empty();
        assert!(!has_ended(&of_customer).await && !has_ended(&of_nobody).await && !has_ended(&by_second).await);
        // A retired secret takes what came by it with it, and nothing else.
        assert_eq!(desk.retire(&client_id).await.unwrap(), Some(1));
        assert!(has_ended(&of_customer).await && has_ended(&of_nobody).await && !has_ended(&by_second).await);
        let by_second_of_nobody = stands_by(&second, None).await;
        assert!(here.disable(user).await.unwrap());
        assert!(has_ended(&by_second).await && !has_ended(&by_second_of_nobody).await);
        assert!(desk.revoke(&client_id).await.unwrap());
        assert!(has_ended(&by_second_of_nobody).await);
    }

    async fn two_secrets_count_while_one_is_replaced_and_hashes_are_all_that_is_kept(store: TestStore) {
        let here = replica(&store);
        let desk = PartnerDesk::new(Store::clone(&store), here.clock.clone());
        let first = request(&desk, "billing:read").await;
        let with = |secret: SecretString| TokenRequest { secret, ..first.clone() };
        let second = with(desk.rotate(&first.client_id).await.unwrap().unwrap());
        let counts = async |request: &TokenRequest| here.partner_token(request, &Context::default()).await.is_ok();
        assert!(counts(&first).await && counts(&second).await);
        assert!(matches!(desk.rotate(&first.client_id).await, Err(SecretError::Full)), "a third would end the first");
        assert!(counts(&first).await && counts(&second).await, "nothing was done");
        assert_eq!(desk.retire(&first.client_id).await.unwrap(), Some(1));
        assert!(!counts(&first).await && counts(&second).await);
        let third = with(desk.rotate(&first.client_id).await.unwrap().unwrap());
        assert_eq!(desk.retire(&first.client_id).await.unwrap(), Some(1));
        assert!(!counts(&second).await && counts(&third).await);
        let partner = store.partner_by_client_id(&first.client_id).await.unwrap().unwrap();
        let kept = store.partner_secrets(PartnerId(partner.partner_id)).await.unwrap();
        assert_eq!((kept.len(), kept[0].secret_hash.len()), (1, 32));
        assert_eq!((desk.rotate("pc_nobody").await.unwrap().is_none(), desk.retire("pc_nobody").await.unwrap()), (true, None));
    }

    async fn of_many_grants_at_once_one_stands(store: TestStore) {
        let here = replica(&store);
        let desk = PartnerDesk::new(Store::clone(&store), here.clock.clone());
        let asks = request(&desk, "billing:read orders:read").await;
        here.register(&registration(1, "taro@example.jp"), Credential::Phc("-".into())).await.unwrap();
        let session = here.enter("taro@example.jp").await.unwrap();
        let principal = here.authenticate(session.access_token.expose_secret()).await.unwrap();
        let viewer = Viewer::new(principal, Budget::new(Duration::from_secs(10), Lane::Interactive));
        let scopes = ["billing:read".to_owned()];
        let made = (0..10).map(|_| here.create_grant(&viewer, &asks.client_id, &scopes));
        let made = futures::future::join_all(made).await;
        assert!(made.iter().all(Result::is_ok), "{made:?}");
        assert_eq!(here.grants(&viewer).await.unwrap().len(), 1);
    }

    async fn usage_is_counted_by_day_and_added_up(store: TestStore) {
        let (here, partner) = (replica(&store), PartnerId(Uuid::now_v7()));
        let desk = PartnerDesk::new(Store::clone(&store), here.clock.clone());
        let asks = request(&desk, "billing:read").await;
        let bearer = token(&here, &asks).await;
        let caller = here.caller(bearer.expose_secret(), None).await.unwrap();
        let caller = *caller.partner().unwrap();
        for _ in 0..2 {
            here.charge(&caller, 100).await.unwrap();
            here.settle(&caller, 100, 30, false).await;
            // What was written is added to.
            here.usage(caller.partner, 10).await.unwrap();
        }
        here.charge(&caller, 10_000).await.unwrap_err();
        let used = here.usage(caller.partner, 10).await.unwrap();
        assert_eq!((used.len(), used[0].requests, used[0].cost, used[0].refusals), (1, 3, 60, 1));
        assert_eq!(desk.usage(&asks.client_id, 10).await.unwrap().unwrap().1, used);
        assert_eq!(here.usage(partner, 10).await.unwrap(), []);
    }
}
