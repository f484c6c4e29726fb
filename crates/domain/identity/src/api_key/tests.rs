use portico_kernel::{Actor, Denied, Fault, KeyMaker, Kind, PlatformRole, RequestInfo, TenantRole};
use secrecy::ExposeSecret;

use super::*;
use crate::fixture::{Store, tokens};

/// A caller in the store's tenant with these permissions.
fn caller(store: &mut Store, permissions: Permissions, impersonated: bool) -> Scope {
    let user = store.user("ada@example.com", true);
    let actor = Actor::User {
        id: user.id,
        session: store.session(&user).id,
        email_verified: true,
        role: PlatformRole::Customer,
        impersonator: impersonated.then_some(user.id),
    };
    Scope::user(actor, Some(store.tenant()), permissions, RequestInfo::default())
}

fn admin(store: &mut Store) -> Scope {
    caller(store, TenantRole::Admin.permissions(), false)
}

fn new_key(permissions: &[&str]) -> NewApiKey {
    let permissions = permissions.iter().map(|word| (*word).to_owned()).collect();
    NewApiKey { name: " Shop import ".to_owned(), permissions, ..NewApiKey::default() }
}

async fn created(store: &mut Store, scope: &Scope) -> (ApiKey, String) {
    let env = store.env();
    let made = ApiKeys::new(store, scope, &env).create(new_key(&["pages:read"]), &tokens()).await;
    let (key, text) = made.unwrap();
    (key, text.expose_secret().to_owned())
}

fn broken<T: std::fmt::Debug>(result: Result<T, IdentityError>) -> Vec<(String, String)> {
    match result {
        Err(IdentityError::Invalid(errors)) => {
            errors.into_iter().map(|error| (error.field, error.code.into_owned())).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(field, code)| ((*field).to_owned(), (*code).to_owned())).collect()
}

#[tokio::test]
async fn a_key_is_made_with_an_event_that_holds_no_secret() {
    let mut store = Store::default();
    let scope = admin(&mut store);
    let (key, text) = created(&mut store, &scope).await;
    assert_eq!((key.name.as_str(), key.mode, key.active), ("Shop import", Mode::Live, true));
    assert!(text.starts_with(&key.prefix) && text.len() > key.prefix.len() + 40);
    let secret = KeyText::parse(&text).unwrap().secret().to_owned();
    let events = store.events();
    assert_eq!((events.len(), events[0].kind.as_ref()), (1, "api_key.created"));
    let after = events[0].after.as_ref().unwrap();
    assert_eq!(after["permissions"], serde_json::json!(["pages:read"]));
    assert!(!after.to_string().contains(&secret[..8]), "{after}");
}

#[tokio::test]
async fn nobody_gives_away_what_they_do_not_have() {
    let mut store = Store::default();
    let held = [Permission::ApiKeysWrite, Permission::PagesRead, Permission::TenantDelete];
    let scope = caller(&mut store, Permissions::from_list(&held), false);
    let env = store.env();
    let wanted = ["pages:read", "pages:write", "pages:*", "tenant:delete", "api_keys:write", "pages:read"];
    let refused = ApiKeys::new(&mut store, &scope, &env).create(new_key(&wanted), &tokens()).await;
    let expected = [
        ("permissions[1]", "not_yours"),
        ("permissions[2]", "unknown_permission"),
        ("permissions[3]", "not_for_keys"),
        ("permissions[4]", "not_for_keys"),
        ("permissions[5]", "duplicate"),
    ];
    assert_eq!(broken(refused), pairs(&expected));

    let (key, _) = created(&mut store, &scope).await;
    let input = ApiKeyUpdate { permissions: Some(vec!["pages:write".to_owned()]), ..ApiKeyUpdate::default() };
    let refused = ApiKeys::new(&mut store, &scope, &env).update(key.id, input, None).await;
    assert_eq!(broken(refused), pairs(&[("permissions[0]", "not_yours")]));
}

#[tokio::test]
async fn every_broken_rule_is_told_at_once() {
    let mut store = Store::default();
    let scope = admin(&mut store);
    let env = store.env();
    let input = NewApiKey {
        name: "a\nb".to_owned(),
        expires_at: Some(env.now()),
        allowed_addresses: vec!["192.0.2.1".to_owned(), "nowhere".to_owned()],
        rate_limit_per_minute: Some(0),
        ..NewApiKey::default()
    };
    let refused = ApiKeys::new(&mut store, &scope, &env).create(input, &tokens()).await;
    let expected = [
        ("name", "invalid_characters"),
        ("permissions", "required"),
        ("allowedAddresses[1]", "invalid_address"),
        ("rateLimitPerMinute", "out_of_range"),
        ("expiresAt", "out_of_range"),
    ];
    assert_eq!(broken(refused), pairs(&expected));
}

#[tokio::test]
async fn somebody_else_in_ones_name_makes_no_key_but_may_revoke_one() {
    let mut store = Store::default();
    let owner = admin(&mut store);
    let (key, _) = created(&mut store, &owner).await;
    let staff = caller(&mut store, TenantRole::Owner.permissions(), true);
    let env = store.env();
    let mut keys = ApiKeys::new(&mut store, &staff, &env);
    let made = keys.create(new_key(&["pages:read"]), &tokens()).await.map(drop);
    let changed = keys.update(key.id, ApiKeyUpdate::default(), None).await.map(drop);
    let rotated = keys.rotate(key.id, Rotation::default(), None, &tokens()).await.map(drop);
    for refused in [made, changed, rotated] {
        assert!(matches!(refused, Err(IdentityError::Denied(Denied::Impersonated))), "{refused:?}");
    }
    keys.revoke(key.id, None).await.unwrap();
    assert_eq!(store.event_kinds(), ["api_key.created", "api_key.revoked"]);
}

#[tokio::test]
async fn an_unverified_address_makes_no_key_but_revokes_one() {
    let mut store = Store::default();
    let owner = admin(&mut store);
    let (key, _) = created(&mut store, &owner).await;
    let user = store.user("eve@example.com", false);
    let scope = store.signed_in(&user);
    let permissions = TenantRole::Admin.permissions();
    let scope = Scope::user(scope.actor().clone(), Some(store.tenant()), permissions, RequestInfo::default());
    let env = store.env();
    let mut keys = ApiKeys::new(&mut store, &scope, &env);
    let made = keys.create(new_key(&["pages:read"]), &tokens()).await.map(drop);
    let changed = keys.update(key.id, ApiKeyUpdate::default(), None).await.map(drop);
    let rotated = keys.rotate(key.id, Rotation::default(), None, &tokens()).await.map(drop);
    for refused in [made, changed, rotated] {
        assert!(matches!(refused, Err(IdentityError::Denied(Denied::EmailUnverified))), "{refused:?}");
    }
    keys.revoke(key.id, None).await.unwrap();
}

#[tokio::test]
async fn whoever_rotates_a_key_answers_for_the_new_secret() {
    let mut store = Store::default();
    let first = admin(&mut store);
    let (key, _) = created(&mut store, &first).await;
    let second = caller(&mut store, TenantRole::Admin.permissions(), false);
    let [maker, rotator] = [&first, &second].map(|scope| scope.require_user().unwrap().0);
    let env = store.env();
    assert_eq!(key.made_by, Some(maker));
    let (rotated, _) = ApiKeys::new(&mut store, &second, &env)
        .rotate(key.id, Rotation::default(), None, &tokens())
        .await
        .unwrap();
    assert_eq!(rotated.made_by, Some(rotator));
    let state = store.api_keys().state(&key.prefix).await.unwrap().unwrap();
    assert_eq!(state.makers().collect::<Vec<_>>(), [rotator, maker]);
}

#[tokio::test]
async fn a_key_makes_no_key() {
    let mut store = Store::default();
    let tenant = store.tenant();
    let env = store.env();
    let every = Permissions::from_list(&Permission::ALL);
    let scope = Scope::api_key(env.new_id(), None, tenant, every, RequestInfo::default());
    let made = ApiKeys::new(&mut store, &scope, &env).create(new_key(&["pages:read"]), &tokens()).await;
    assert!(matches!(made, Err(IdentityError::Denied(Denied::NotAPerson))));
}

#[tokio::test]
async fn rotating_keeps_the_old_secret_for_the_overlap() {
    let mut store = Store::default();
    let scope = admin(&mut store);
    let (key, old) = created(&mut store, &scope).await;
    let env = store.env();
    let mut keys = ApiKeys::new(&mut store, &scope, &env);
    for seconds in [-1, MAX_OVERLAP + 1] {
        let input = Rotation { overlap_seconds: Some(seconds) };
        let refused = keys.rotate(key.id, input, None, &tokens()).await;
        assert_eq!(broken(refused), pairs(&[("overlapSeconds", "out_of_range")]));
    }
    let input = Rotation { overlap_seconds: Some(60) };
    let (rotated, new) = keys.rotate(key.id, input, Some(1), &tokens()).await.unwrap();
    assert_eq!((rotated.prefix.as_str(), rotated.version), (key.prefix.as_str(), 2));
    assert!(matches!(
        keys.rotate(key.id, Rotation::default(), Some(1), &tokens()).await,
        Err(IdentityError::PreconditionFailed)
    ));

    let digest = |text: &str| tokens().digest(KeyText::parse(text).unwrap().secret());
    let state = store.api_keys().state(&key.prefix).await.unwrap().unwrap();
    let address = std::net::IpAddr::from([192, 0, 2, 1]);
    let judge = |text: &str, now| state.judge(&digest(text), address, now);
    let (during, after) = (env.now() + Duration::seconds(59), env.now() + Duration::seconds(60));
    let new = new.expose_secret();
    let (maker, _) = scope.require_user().unwrap();
    let good = KeyCheck::Good(Some(KeyMaker { id: maker, email_verified: true }));
    assert_eq!([judge(&old, during), judge(new, during)], [good, good]);
    assert_eq!([judge(&old, after), judge(new, after)], [KeyCheck::Ended, good]);
}

#[tokio::test]
async fn a_revoked_key_is_not_there_any_more() {
    let mut store = Store::default();
    let scope = admin(&mut store);
    let (key, _) = created(&mut store, &scope).await;
    let env = store.env();
    let mut keys = ApiKeys::new(&mut store, &scope, &env);
    assert!(matches!(keys.revoke(key.id, Some(9)).await, Err(IdentityError::PreconditionFailed)));
    keys.revoke(key.id, Some(1)).await.unwrap();
    assert!(matches!(keys.get(key.id).await, Err(IdentityError::NotFound(_))));
    assert!(matches!(keys.revoke(key.id, None).await, Err(IdentityError::NotFound(_))));
    assert_eq!(keys.list(PageRequest::default()).await.unwrap().total, 0);
    assert!(!store.api_keys().state(&key.prefix).await.unwrap().unwrap().usable);
}

#[tokio::test]
async fn a_tenant_has_a_hundred_keys_at_most() {
    let mut store = Store::default();
    let scope = admin(&mut store);
    let (first, _) = created(&mut store, &scope).await;
    for _ in 1..MAX_KEYS {
        created(&mut store, &scope).await;
    }
    let env = store.env();
    let mut keys = ApiKeys::new(&mut store, &scope, &env);
    let refused = keys.create(new_key(&["pages:read"]), &tokens()).await.map(drop).unwrap_err();
    assert_eq!(refused.code(), "too_many_api_keys");
    keys.revoke(first.id, None).await.unwrap();
    keys.create(new_key(&["pages:read"]), &tokens()).await.unwrap();
}

#[tokio::test]
async fn a_plan_includes_so_many_keys_and_one_that_is_revoked_does_not_count() {
    let mut store = Store::default();
    store.limit_keys(2);
    let scope = admin(&mut store);
    let (first, _) = created(&mut store, &scope).await;
    created(&mut store, &scope).await;
    let (env, told) = (store.env(), store.events().len());
    let mut keys = ApiKeys::new(&mut store, &scope, &env);
    let refused = keys.create(new_key(&["pages:read"]), &tokens()).await.map(drop).unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (Kind::Quota, "quota_exceeded"));
    let members = refused.members();
    assert!(
        members.contains(&("meter", "api_keys".into())) && members.contains(&("used", 2.into())),
        "{members:?}"
    );
    assert_eq!(store.events().len(), told);

    // There are no transactions here: the refused one is there, too.
    store.limit_keys(3);
    let mut keys = ApiKeys::new(&mut store, &scope, &env);
    keys.revoke(first.id, None).await.unwrap();
    keys.create(new_key(&["pages:read"]), &tokens()).await.unwrap();
}
