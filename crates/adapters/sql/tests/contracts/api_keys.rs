//! `portico_identity::ports::{ApiKeyRepository, ApiKeyUsageRepository}`.

use std::collections::BTreeMap;

use portico_billing::{
    limits::Overrides,
    ports::{BillingRepositories, RowCount},
    subscription::SubscriptionStatus,
};
use portico_identity::{
    api_key::{
        AddressRange, ApiKey, KeySecret, Mode,
        usage::{Activity, Endpoint, KeyUsage, Seen},
    },
    ports::IdentityRepositories,
    user::{User, UserStatus},
};
use portico_kernel::{
    Actor, Env, Event, Fault, KeyMaker, Meter, Outbox, PageRequest, Permission, Permissions, PlatformRole,
    RequestInfo, Scope, StoreError, TenantId, Timestamp,
};
use portico_sql::SqlStore;
use portico_tenancy::{ports::TenancyRepositories, tenant::TenantStatus};
use portico_testkit::{env, on_each_database};
use time::{Date, Duration, macros::date};

use crate::fixtures::{at_once, declared, stored_tenant, stored_user, subscribe};

fn key(env: &Env, tenant: TenantId, name: &str) -> ApiKey {
    let ranges = ["192.0.2.1", "2001:db8::/32"].map(|text| AddressRange::parse(text).unwrap());
    ApiKey {
        id: env.new_id(),
        tenant,
        name: name.to_owned(),
        prefix: format!("sn_test_{name}"),
        permissions: Permissions::from_list(&[Permission::PagesRead, Permission::SitesDeploy]),
        mode: Mode::Test,
        active: true,
        allowed_addresses: ranges.to_vec(),
        rate_limit_per_minute: Some(7),
        expires_at: Some(env.now() + Duration::DAY),
        previous_secret_expires_at: None,
        last_used_at: None,
        created_at: env.now(),
        updated_at: env.now(),
        revoked_at: None,
        made_by: None,
        version: 1,
    }
}

async fn store_key(store: &SqlStore, key: &ApiKey) {
    let mut work = store.begin().await.unwrap();
    assert!(work.api_keys().insert(key, [1; 32], 100).await.unwrap());
    work.commit().await.unwrap();
}

pub async fn stored_key(store: &SqlStore, env: &Env, name: &str) -> ApiKey {
    let key = key(env, stored_tenant(store, env, name).await.id, name);
    store_key(store, &key).await;
    key
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_comes_back_as_stored_and_is_its_tenants_only() {
    on_each_database(async |database| {
        let (store, env) = (database.store(), env());
        env.clock.advance(Duration::microseconds(123_456));
        let stored = stored_key(store, &env, "luz").await;
        let other = stored_key(store, &env, "sol").await;
        let mut reader = store.reader();
        let mut keys = reader.api_keys();
        assert_eq!(keys.find(stored.tenant, stored.id).await.unwrap(), Some(stored.clone()));
        assert_eq!(keys.find(other.tenant, stored.id).await.unwrap(), None);
        let list = keys.list(stored.tenant, PageRequest::default()).await.unwrap();
        assert_eq!((list.items, list.total), (vec![stored], 1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_is_taken_once() {
    on_each_database(async |database| {
        let (store, env) = (database.store(), env());
        let stored = stored_key(store, &env, "luz").await;
        let tenant = stored_tenant(store, &env, "sol").await.id;
        let same = ApiKey { id: env.new_id(), tenant, ..stored };
        let mut work = store.begin().await.unwrap();
        let refused = work.api_keys().insert(&same, [2; 32], 100).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_no_more_keys_are_made_than_there_may_be() {
    on_each_database(async |database| {
        let (store, env) = (database.store(), env());
        let tenant = stored_tenant(store, &env, "luz").await.id;
        let mut revoked = key(&env, tenant, "revoked");
        revoked.revoked_at = Some(env.now());
        store_key(store, &revoked).await;
        let made = at_once(store, 12, |store, number| {
            let key = key(&env, tenant, &format!("key{number}"));
            async move {
                let mut work = store.begin().await.unwrap();
                let made = work.api_keys().insert(&key, [1; 32], 5).await.unwrap();
                work.commit().await.unwrap();
                made
            }
        })
        .await;
        assert_eq!(made.into_iter().filter(|made| *made).count(), 5);
        let list = store.reader().api_keys().list(tenant, PageRequest::default()).await.unwrap();
        assert_eq!(list.total, 5);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_keys_at_once_as_many_are_made_as_the_plan_includes() {
    on_each_database(async |database| {
        let (store, env) = (database.store(), env());
        let tenant = stored_tenant(store, &env, "luz").await.id;
        subscribe(store, &env, tenant, "starter", SubscriptionStatus::Active).await;
        let overrides =
            Overrides { limits: BTreeMap::from([(Meter::ApiKeys, Some(3))]), ..Overrides::default() };
        let mut work = store.begin().await.unwrap();
        work.subscriptions().set_overrides(tenant, &overrides).await.unwrap();
        work.commit().await.unwrap();
        // Neither a revoked one nor one of another tenant counts; one that has expired does, because it can be prolonged.
        let mut revoked = key(&env, tenant, "revoked");
        revoked.revoked_at = Some(env.now());
        store_key(store, &revoked).await;
        stored_key(store, &env, "other").await;
        let mut expired = key(&env, tenant, "expired");
        expired.expires_at = Some(env.now() - Duration::DAY);
        store_key(store, &expired).await;
        let outcomes = at_once(store, 64, |store, number| {
            let key = key(&env, tenant, &format!("key{number}"));
            async move {
                let mut work = store.begin().await.unwrap();
                assert!(work.api_keys().insert(&key, [1; 32], 100).await.unwrap());
                let mut room = IdentityRepositories::headroom(&mut work);
                let checked = room.check_room(tenant, Meter::ApiKeys, 1).await;
                drop(room);
                match checked {
                    Ok(()) => {
                        work.commit().await.unwrap();
                        "made"
                    }
                    Err(refused) => refused.code(),
                }
            }
        })
        .await;
        let made = outcomes.iter().filter(|outcome| **outcome == "made").count();
        assert_eq!((made, outcomes.iter().filter(|outcome| **outcome == "quota_exceeded").count()), (2, 62));
        let count = store.reader().meters().rows(tenant, Meter::ApiKeys).await.unwrap();
        assert_eq!(count, Some(RowCount { used: 3, limit: Some(3) }));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_needs_the_stored_version_and_leaves_the_last_use() {
    on_each_database(async |database| {
        let (store, env) = (database.store(), env());
        let mut changed = stored_key(store, &env, "luz").await;
        let used = env.now();
        let mut work = store.begin().await.unwrap();
        work.api_key_usage().begin(changed.tenant, changed.id, Some(used)).await.unwrap().unwrap();
        changed.name = "Other".to_owned();
        changed.permissions = Permissions::from_list(&[Permission::PagesWrite]);
        changed.active = false;
        changed.allowed_addresses.clear();
        changed.rate_limit_per_minute = None;
        changed.expires_at = None;
        changed.previous_secret_expires_at = Some(env.now());
        work.api_keys().update(&changed).await.unwrap();
        assert!(
            matches!(work.api_keys().update(&changed).await, Err(StoreError::Stale)),
            "it is version 2 now"
        );
        work.commit().await.unwrap();
        changed.version = 2;
        changed.last_used_at = Some(used);
        assert_eq!(store.reader().api_keys().find(changed.tenant, changed.id).await.unwrap(), Some(changed));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_a_key_says_whether_it_can_be_used() {
    on_each_database(async |database| {
        let (store, env) = (database.store(), env());
        let mut key = stored_key(store, &env, "luz").await;
        let ada = stored_user(store, &env, "ada@example.com").await;
        let state = async || store.reader().api_keys().state("sn_test_luz").await.unwrap().unwrap();
        assert_eq!(store.reader().api_keys().state("sn_test_lu").await.unwrap(), None);
        let first = state().await;
        assert_eq!((first.id, first.tenant, first.permissions), (key.id, key.tenant, key.permissions));
        assert_eq!(
            (first.usable, first.expires_at, first.secret, first.previous),
            (true, key.expires_at, KeySecret { hash: [1; 32], maker: None, maker_barred: false }, None)
        );
        assert_eq!(
            (first.rate_limit_per_minute, first.allowed_addresses),
            (Some(7), key.allowed_addresses.clone())
        );
        assert_eq!(first.plan, None);
        subscribe(store, &env, key.tenant, "starter", SubscriptionStatus::Active).await;
        assert_eq!(state().await.plan.as_deref(), Some("starter"));

        let until = env.now() + Duration::HOUR;
        let mut work = store.begin().await.unwrap();
        key.previous_secret_expires_at = Some(until);
        work.api_keys().update(&key).await.unwrap();
        work.api_keys().replace_secret(key.tenant, key.id, [2; 32], ada.id).await.unwrap();
        work.commit().await.unwrap();
        let rotated = state().await;
        let hers = Some(KeyMaker { id: ada.id, email_verified: ada.email_verified });
        assert_eq!(rotated.secret, KeySecret { hash: [2; 32], maker: hers, maker_barred: false });
        assert_eq!(rotated.previous, Some((first.secret, until)));

        let change = async |active, revoked_at| {
            let mut work = store.begin().await.unwrap();
            let stored = work.api_keys().find(key.tenant, key.id).await.unwrap().unwrap();
            work.api_keys().update(&ApiKey { active, revoked_at, ..stored }).await.unwrap();
            work.commit().await.unwrap();
            state().await.usable
        };
        assert!(!change(false, None).await);
        assert!(change(true, None).await);
        assert!(!change(true, Some(env.now())).await);
        assert!(change(true, None).await);
        let mut work = store.begin().await.unwrap();
        let mut tenant = work.tenants().find(key.tenant).await.unwrap().unwrap();
        tenant.status = TenantStatus::Deleted;
        work.tenants().update(&tenant).await.unwrap();
        work.commit().await.unwrap();
        assert!(!state().await.usable);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_makers_of_a_keys_secrets_are_as_their_accounts_are_now() {
    on_each_database(async |database| {
        let (store, env) = (database.store(), env());
        let ada = stored_user(store, &env, "ada@example.com").await;
        let bob = stored_user(store, &env, "bob@example.com").await;
        let tenant = stored_tenant(store, &env, "luz").await.id;
        let key = ApiKey { made_by: Some(ada.id), ..key(&env, tenant, "luz") };
        store_key(store, &key).await;
        let found = store.reader().api_keys().find(tenant, key.id).await.unwrap().unwrap();
        assert_eq!(found.made_by, Some(ada.id));
        let mut work = store.begin().await.unwrap();
        let rotated = ApiKey { previous_secret_expires_at: Some(env.now()), made_by: None, ..found };
        work.api_keys().update(&rotated).await.unwrap();
        let kept = work.api_keys().find(tenant, key.id).await.unwrap().unwrap();
        assert_eq!(kept.made_by, Some(ada.id), "it goes with the secret");
        work.api_keys().replace_secret(tenant, key.id, [2; 32], bob.id).await.unwrap();
        work.commit().await.unwrap();

        let state = async || {
            let state = store.reader().api_keys().state("sn_test_luz").await.unwrap().unwrap();
            let secrets = [state.secret, state.previous.unwrap().0];
            secrets.map(|secret| (secret.maker.unwrap(), secret.maker_barred))
        };
        let change = async |user: &User, adjust: fn(&mut User)| {
            let mut work = store.begin().await.unwrap();
            let mut user = work.users().find(user.id).await.unwrap().unwrap();
            adjust(&mut user);
            work.users().update(&user).await.unwrap();
            work.commit().await.unwrap();
        };
        let maker = |user: &User, email_verified| KeyMaker { id: user.id, email_verified };
        change(&ada, |user| user.email_verified = true).await;
        change(&bob, |user| user.email_verified = false).await;
        assert_eq!(state().await, [(maker(&bob, false), false), (maker(&ada, true), false)]);
        change(&bob, |user| user.status = UserStatus::Suspended).await;
        change(&ada, |user| user.status = UserStatus::Deleted).await;
        assert_eq!(state().await, [(maker(&bob, false), true), (maker(&ada, true), true)]);
        change(&bob, |user| user.status = UserStatus::Active).await;
        assert_eq!(state().await[0], (maker(&bob, false), false));

        let eve = stored_user(store, &env, "eve@example.com").await;
        let mut work = store.begin().await.unwrap();
        for (user, made) in [(&ada, true), (&bob, true), (&eve, false)] {
            let keys = work.api_keys().made_by(user.id).await.unwrap();
            assert_eq!(keys.iter().any(|made| made.id == key.id), made, "{}", user.email);
        }
        let found = work.api_keys().find(tenant, key.id).await.unwrap().unwrap();
        let revoked = ApiKey { revoked_at: Some(env.now()), ..found };
        work.api_keys().update(&revoked).await.unwrap();
        assert!(work.api_keys().made_by(bob.id).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_from_before_makers_were_recorded_find_theirs_in_the_audit_trail() {
    on_each_database(async |database| {
        let (store, env) = (database.store(), env());
        let ada = stored_user(store, &env, "ada@example.com").await;
        let bob = stored_user(store, &env, "bob@example.com").await;
        let rotated = stored_key(store, &env, "luz").await;
        let forgotten = stored_key(store, &env, "sol").await;
        let mut work = store.begin().await.unwrap();
        for (kind, user) in [("api_key.created", &ada), ("api_key.rotated", &bob), ("api_key.updated", &ada)]
        {
            let actor = Actor::User {
                id: user.id,
                session: env.new_id(),
                email_verified: true,
                role: PlatformRole::Customer,
                impersonator: None,
            };
            let scope = Scope::user(actor, Some(rotated.tenant), Permissions::NONE, RequestInfo::default());
            work.events().append(Event::new(&env, &scope, declared(kind), rotated.id.uuid())).await.unwrap();
            env.clock.advance(Duration::SECOND);
        }
        work.commit().await.unwrap();

        let status = store.migration_status().await.unwrap();
        let place = status.iter().position(|migration| migration.name.ends_with("_key_makers")).unwrap();
        store.migrate_down((status.len() - place) as u32).await.unwrap();
        store.migrate().await.unwrap();
        let mut reader = store.reader();
        let state = reader.api_keys().state(&rotated.prefix).await.unwrap().unwrap();
        assert_eq!(state.makers().collect::<Vec<_>>(), [bob.id]);
        let stored = reader.api_keys().find(rotated.tenant, rotated.id).await.unwrap().unwrap();
        assert_eq!(stored.made_by, Some(bob.id));
        let state = reader.api_keys().state(&forgotten.prefix).await.unwrap().unwrap();
        assert_eq!((state.makers().count(), state.secret.maker, state.usable), (0, None, true));
    })
    .await;
}

fn endpoint(day: Date, status: u16) -> Endpoint {
    Endpoint { day, method: "GET".to_owned(), path: "/pages".to_owned(), status }
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_add_up_by_day_and_by_endpoint() {
    on_each_database(async |database| {
        let (store, env) = (database.store(), env());
        let key = stored_key(store, &env, "luz").await;
        let other = stored_key(store, &env, "sol").await;
        let (first, last) = (date!(2025 - 12 - 31), date!(2026 - 01 - 02));
        let mut work = store.begin().await.unwrap();
        let mut usage = work.api_key_usage();
        for (owner, day, status, count) in [
            (&key, first, 200, 2),
            (&key, first, 200, 3),
            (&key, first, 403, 1),
            (&key, last, 200, 4),
            (&key, last.next_day().unwrap(), 200, 100),
            (&other, last, 200, 1000),
        ] {
            usage.add(owner.tenant, owner.id, &endpoint(day, status), count).await.unwrap();
        }
        assert_eq!(usage.days(key.tenant, key.id, first, last).await.unwrap(), [(first, 6), (last, 4)]);
        let mut endpoints = usage.endpoints(key.tenant, key.id, first, last).await.unwrap();
        endpoints.sort();
        let row = |status, count| ("GET".to_owned(), "/pages".to_owned(), status, count);
        assert_eq!(endpoints, [row(200, 9), row(403, 1)]);
        assert!(usage.days(other.tenant, key.id, first, last).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_use_only_moves_forward() {
    on_each_database(async |database| {
        let (store, env) = (database.store(), env());
        let key = stored_key(store, &env, "luz").await;
        let mut work = store.begin().await.unwrap();
        let mut usage = work.api_key_usage();
        let now = env.now();
        for at in [None, Some(now), Some(now - Duration::SECOND), None] {
            let recorded = usage.begin(key.tenant, key.id, at).await.unwrap().unwrap();
            assert_eq!((recorded.name.as_str(), recorded.refusals_noticed_at), ("luz", None));
        }
        assert_eq!(usage.begin(key.tenant, env.new_id(), Some(now)).await.unwrap(), None);
        usage.notice_refusals(key.tenant, key.id, now).await.unwrap();
        let recorded = usage.begin(key.tenant, key.id, None).await.unwrap().unwrap();
        assert_eq!(recorded.refusals_noticed_at, Some(now));
        drop(usage);
        let stored = work.api_keys().find(key.tenant, key.id).await.unwrap().unwrap();
        assert_eq!((stored.last_used_at, stored.version), (Some(now), 1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_remembered_up_to_a_number() {
    on_each_database(async |database| {
        let (store, env) = (database.store(), env());
        let key = stored_key(store, &env, "luz").await;
        let mut work = store.begin().await.unwrap();
        let mut usage = work.api_key_usage();
        let now = env.now();
        let mut seen = Vec::new();
        for (address, at) in [("a", now), ("b", now), ("a", now + Duration::HOUR), ("c", now), ("b", now)] {
            seen.push(usage.see_address(key.tenant, key.id, address, at, 2).await.unwrap());
        }
        assert_eq!(seen, [Seen::First, Seen::New, Seen::Known, Seen::Known, Seen::Known]);
        let addresses = usage.addresses(key.tenant, key.id, 10).await.unwrap();
        let told: Vec<_> =
            addresses.iter().map(|a| (a.address.as_str(), a.first_seen_at, a.last_seen_at)).collect();
        assert_eq!(told, [("a", now, now + Duration::HOUR), ("b", now, now)]);
        assert_eq!(usage.addresses(key.tenant, key.id, 1).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_is_deleted() {
    on_each_database(async |database| {
        let (store, env) = (database.store(), env());
        let key = stored_key(store, &env, "luz").await;
        let mut work = store.begin().await.unwrap();
        let mut usage = work.api_key_usage();
        let (now, old, new) = (env.now(), date!(2026 - 01 - 01), date!(2026 - 01 - 02));
        for day in [old, new] {
            usage.add(key.tenant, key.id, &endpoint(day, 200), 1).await.unwrap();
        }
        usage.see_address(key.tenant, key.id, "old", now - Duration::SECOND, 9).await.unwrap();
        usage.see_address(key.tenant, key.id, "new", now, 9).await.unwrap();
        for (minute, count) in [(9, 1), (10, 2), (10, 4), (11, 8)] {
            usage.add_refusals(key.tenant, key.id, minute, count).await.unwrap();
        }
        assert_eq!(usage.refusals_since(key.tenant, key.id, 10).await.unwrap(), 14);
        usage.forget(new, now, 11).await.unwrap();
        assert_eq!(usage.days(key.tenant, key.id, old, new).await.unwrap(), [(new, 1)]);
        assert_eq!(usage.addresses(key.tenant, key.id, 9).await.unwrap().len(), 1);
        assert_eq!(usage.refusals_since(key.tenant, key.id, 0).await.unwrap(), 8);
    })
    .await;
}

/// Twelve processes record the same key at the same moment, each with an address and refusals of its own.
#[tokio::test(flavor = "multi_thread")]
async fn what_many_record_at_once_adds_up_and_is_noticed_once() {
    on_each_database(async |database| {
        let (store, env) = (database.store(), env());
        let key = stored_key(store, &env, "luz").await;
        let (tenant, id, now): (_, _, Timestamp) = (key.tenant, key.id, env.now());
        let day = now.into_inner().date();
        at_once(store, 12, |store, number| {
            let env = env.env.clone();
            async move {
                let mut activity = Activity::new(tenant, id);
                activity.last_used_at = Some(now);
                activity.requests.insert(endpoint(day, 200), 10);
                activity.addresses.insert(format!("192.0.2.{}", number / 2), now);
                activity.refusals.insert(portico_identity::api_key::usage::minute(now), 10);
                let mut work = store.begin().await.unwrap();
                KeyUsage::new(&mut work, &env).record(&activity).await.unwrap();
                work.commit().await.unwrap();
            }
        })
        .await;
        let mut reader = store.reader();
        assert_eq!(reader.api_key_usage().days(tenant, id, day, day).await.unwrap(), [(day, 120)]);
        let trail = reader.audit().list(Some(tenant), Default::default(), Default::default()).await.unwrap();
        let kinds: Vec<_> = trail.items.iter().map(|entry| entry.kind.as_str()).collect();
        let count = |kind| kinds.iter().filter(|other| **other == kind).count();
        // Six addresses, the first of which is no news.
        assert_eq!((count("api_key.new_address"), count("api_key.refusals"), kinds.len()), (5, 1, 6));
    })
    .await;
}
