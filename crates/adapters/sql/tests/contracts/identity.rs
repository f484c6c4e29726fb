//! `portico_identity::ports`.

use std::collections::HashSet;

use portico_billing::subscription::SubscriptionStatus;
use portico_identity::{
    ports::{IdentityRepositories, PasswordHash},
    token::{OneTimeToken, TokenPurpose},
    user::UserStatus,
};
use portico_kernel::{SessionId, StoreError, TenantRole};
use portico_tenancy::{ports::TenancyRepositories, tenant::TenantStatus};
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::fixtures::{at_once, join, session, stored_tenant, stored_user, subscribe, user};

#[tokio::test(flavor = "multi_thread")]
async fn a_user_comes_back_as_stored() {
    on_each_database(async |database| {
        let env = env();
        env.clock.advance(Duration::microseconds(123_456));
        let stored = stored_user(database.store(), &env, "ada@example.com").await;
        let mut reader = database.store().reader();
        assert_eq!(reader.users().find(stored.id).await.unwrap(), Some(stored.clone()));
        assert_eq!(reader.users().find(env.new_id()).await.unwrap(), None);
        let credential = reader.users().credential(stored.id).await.unwrap().unwrap();
        assert_eq!(credential.user, stored);
        assert_eq!(credential.password, Some(PasswordHash("$argon2id$stored".to_owned())));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_needs_the_stored_version() {
    on_each_database(async |database| {
        let env = env();
        let mut changed = stored_user(database.store(), &env, "ada@example.com").await;
        changed.full_name = "Ada King".to_owned();
        changed.phone = None;
        let mut work = database.store().begin().await.unwrap();
        work.users().update(&changed).await.unwrap();
        assert!(matches!(work.users().update(&changed).await, Err(StoreError::Stale)), "it is version 2 now");
        work.users().set_password(changed.id, Some(PasswordHash("$argon2id$new".to_owned()))).await.unwrap();
        work.users().touch_login(changed.id, env.now()).await.unwrap();
        work.commit().await.unwrap();

        changed.version = 2;
        changed.last_login_at = Some(env.now());
        let credential = database.store().reader().users().credential(changed.id).await.unwrap().unwrap();
        assert_eq!(credential.user, changed);
        assert_eq!(credential.password, Some(PasswordHash("$argon2id$new".to_owned())));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_lists_the_one_who_proved_it_then_the_newest() {
    on_each_database(async |database| {
        let env = env();
        let mut users = Vec::new();
        for _ in 0..4 {
            env.clock.advance(Duration::seconds(1));
            users.push(stored_user(database.store(), &env, "ada@example.com").await);
        }
        let [oldest, second, newest, deleted] = &mut users[..] else { panic!("four users") };
        oldest.email_verified = true;
        deleted.status = UserStatus::Deleted;
        let mut work = database.store().begin().await.unwrap();
        work.users().update(oldest).await.unwrap();
        work.users().update(deleted).await.unwrap();
        work.commit().await.unwrap();

        let mut reader = database.store().reader();
        let found = reader.users().by_email(&oldest.email).await.unwrap();
        let ids: Vec<_> = found.iter().map(|credential| credential.user.id).collect();
        assert_eq!(ids, [oldest.id, newest.id]);
        assert!(!ids.contains(&second.id));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_verified_by_one_account_also_under_concurrency() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let mut users = Vec::new();
        for _ in 0..16 {
            users.push(stored_user(store, &env, "ada@example.com").await);
        }
        let outcomes = at_once(store, 16, |store, number| {
            let mut user = users[number].clone();
            async move {
                user.email_verified = true;
                let mut work = store.begin().await?;
                work.users().update(&user).await?;
                work.commit().await
            }
        })
        .await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        let conflicts =
            outcomes.iter().filter(|outcome| matches!(outcome, Err(StoreError::Conflict(_)))).count();
        assert_eq!(conflicts, 15, "{outcomes:?}");

        let mut late = user(&env, "ada@example.com");
        late.email_verified = true;
        let mut work = store.begin().await.unwrap();
        assert!(matches!(work.users().insert(&late, None).await, Err(StoreError::Conflict(_))));
        drop(work);

        // Deleting the account that has the address frees it.
        let mut owner = store.reader().users().by_email(&late.email).await.unwrap().remove(0).user;
        assert!(owner.email_verified);
        owner.status = UserStatus::Deleted;
        let mut work = store.begin().await.unwrap();
        work.users().update(&owner).await.unwrap();
        work.users().insert(&late, None).await.unwrap();
        work.commit().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_tenant_is_the_oldest_active_membership() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let ada = stored_user(store, &env, "ada@example.com").await;
        assert_eq!(store.reader().users().default_tenant(ada.id).await.unwrap(), None);
        let mut first = stored_tenant(store, &env, "first").await;
        let second = stored_tenant(store, &env, "second").await;
        join(store, &env, ada.id, first.id, TenantRole::Owner).await;
        env.clock.advance(Duration::seconds(1));
        join(store, &env, ada.id, second.id, TenantRole::Viewer).await;
        assert_eq!(store.reader().users().default_tenant(ada.id).await.unwrap(), Some(first.id));

        first.status = TenantStatus::Suspended;
        let mut work = store.begin().await.unwrap();
        work.tenants().update(&first).await.unwrap();
        work.commit().await.unwrap();
        assert_eq!(store.reader().users().default_tenant(ada.id).await.unwrap(), Some(second.id));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_rotations_at_once_one_succeeds() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let ada = stored_user(store, &env, "ada@example.com").await;
        let session = session(&env, ada.id, None);
        let mut work = store.begin().await.unwrap();
        work.sessions().insert(&session).await.unwrap();
        work.commit().await.unwrap();

        let mut next = session.clone();
        next.generation = 2;
        next.rotated_at = env.clock.advance(Duration::minutes(5));
        next.last_used_at = env.now();
        next.expires_at = env.now() + Duration::days(7);
        next.address = Some("192.0.2.9".to_owned());
        let outcomes = at_once(store, 16, |store, _| {
            let next = next.clone();
            async move {
                let mut work = store.begin().await.unwrap();
                let rotated = work.sessions().rotate(&next).await.unwrap();
                work.commit().await.unwrap();
                rotated
            }
        })
        .await;
        assert_eq!(outcomes.into_iter().filter(|rotated| *rotated).count(), 1);
        assert_eq!(store.reader().sessions().find(session.id).await.unwrap(), Some(next.clone()));

        let mut work = store.begin().await.unwrap();
        assert!(work.sessions().end(ada.id, session.id, env.now()).await.unwrap());
        next.generation = 3;
        assert!(!work.sessions().rotate(&next).await.unwrap(), "it has ended");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_once_and_only_for_their_user() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let ada = stored_user(store, &env, "ada@example.com").await;
        let bob = stored_user(store, &env, "bob@example.com").await;
        let mut ids: Vec<SessionId> = Vec::new();
        let mut work = store.begin().await.unwrap();
        for number in 0..4 {
            env.clock.advance(Duration::seconds(1));
            let mut session = session(&env, ada.id, None);
            if number == 0 {
                session.expires_at = env.now() + Duration::seconds(10);
            }
            work.sessions().insert(&session).await.unwrap();
            ids.push(session.id);
        }
        work.commit().await.unwrap();
        let now = env.clock.advance(Duration::minutes(1));

        let listed = store.reader().sessions().list(ada.id, now).await.unwrap();
        let listed: Vec<_> = listed.iter().map(|session| session.id).collect();
        assert_eq!(listed, [ids[3], ids[2], ids[1]], "newest first, without the expired one");

        let mut work = store.begin().await.unwrap();
        assert!(!work.sessions().end(bob.id, ids[1], now).await.unwrap(), "not his");
        assert!(work.sessions().end(ada.id, ids[1], now).await.unwrap());
        assert!(!work.sessions().end(ada.id, ids[1], now).await.unwrap(), "ended before");
        assert!(!work.sessions().end(ada.id, ids[0], now).await.unwrap(), "expired");
        assert_eq!(work.sessions().end_all(ada.id, Some(ids[3]), now).await.unwrap(), [ids[2]]);
        assert_eq!(work.sessions().end_all(ada.id, None, now).await.unwrap(), [ids[3]]);
        work.commit().await.unwrap();
        assert!(store.reader().sessions().list(ada.id, now).await.unwrap().is_empty());
        assert!(store.reader().sessions().find(ids[2]).await.unwrap().unwrap().ended_at == Some(now));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_a_running_session_of_an_active_user() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let mut ada = stored_user(store, &env, "ada@example.com").await;
        let mut home = stored_tenant(store, &env, "home").await;
        let foreign = stored_tenant(store, &env, "foreign").await;
        join(store, &env, ada.id, home.id, TenantRole::Admin).await;
        let (running, ended) = (session(&env, ada.id, Some(home.id)), session(&env, ada.id, None));
        let mut work = store.begin().await.unwrap();
        work.sessions().insert(&running).await.unwrap();
        work.sessions().insert(&ended).await.unwrap();
        work.sessions().end(ada.id, ended.id, env.now()).await.unwrap();
        work.commit().await.unwrap();

        let now = env.now();
        let mut reader = store.reader();
        let caller = reader.sessions().caller(running.id, Some(home.id), now).await.unwrap().unwrap();
        assert_eq!(caller.user, ada.id);
        assert!(!caller.email_verified);
        assert_eq!(caller.expires_at, running.expires_at);
        assert_eq!((caller.membership, caller.plan), (Some((home.id, TenantRole::Admin)), None));
        subscribe(store, &env, home.id, "starter", SubscriptionStatus::Active).await;
        subscribe(store, &env, foreign.id, "starter", SubscriptionStatus::Active).await;
        let former = stored_tenant(store, &env, "former").await;
        join(store, &env, ada.id, former.id, TenantRole::Viewer).await;
        subscribe(store, &env, former.id, "starter", SubscriptionStatus::Canceled).await;
        let caller = reader.sessions().caller(running.id, Some(former.id), now).await.unwrap().unwrap();
        assert_eq!((caller.membership.is_some(), caller.plan), (true, None), "a subscription that ended");
        let caller = reader.sessions().caller(running.id, Some(home.id), now).await.unwrap().unwrap();
        assert_eq!(caller.plan.as_deref(), Some("starter"));
        for tenant in [None, Some(foreign.id)] {
            let caller = reader.sessions().caller(running.id, tenant, now).await.unwrap().unwrap();
            assert_eq!((caller.membership, caller.plan), (None, None), "{tenant:?}");
        }
        assert_eq!(reader.sessions().caller(ended.id, None, now).await.unwrap(), None, "ended");
        assert_eq!(
            reader.sessions().caller(running.id, None, running.expires_at).await.unwrap(),
            None,
            "expired"
        );

        home.status = TenantStatus::Suspended;
        let mut work = store.begin().await.unwrap();
        work.tenants().update(&home).await.unwrap();
        work.commit().await.unwrap();
        let caller = reader.sessions().caller(running.id, Some(home.id), now).await.unwrap().unwrap();
        assert_eq!((caller.membership, caller.plan), (None, None), "the tenant is suspended");

        ada.status = UserStatus::Suspended;
        let mut work = store.begin().await.unwrap();
        work.users().update(&ada).await.unwrap();
        work.commit().await.unwrap();
        assert_eq!(
            reader.sessions().caller(running.id, Some(home.id), now).await.unwrap(),
            None,
            "suspended"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_used_once_in_time_and_for_its_purpose() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let ada = stored_user(store, &env, "ada@example.com").await;
        let token = |hash: u8, purpose| OneTimeToken {
            hash: [hash; 32],
            user: ada.id,
            purpose,
            expires_at: env.now() + Duration::hours(1),
            created_at: env.now(),
        };
        let mut work = store.begin().await.unwrap();
        for (hash, purpose) in [
            (1, TokenPurpose::PasswordReset),
            (2, TokenPurpose::PasswordReset),
            (3, TokenPurpose::EmailVerification),
        ] {
            work.one_time_tokens().insert(&token(hash, purpose)).await.unwrap();
        }
        work.commit().await.unwrap();

        let now = env.now();
        let mut work = store.begin().await.unwrap();
        let wrong_purpose =
            work.one_time_tokens().consume([1; 32], TokenPurpose::EmailVerification, now).await;
        assert_eq!(wrong_purpose.unwrap(), None);
        let late = now + Duration::hours(1);
        assert_eq!(
            work.one_time_tokens().consume([1; 32], TokenPurpose::PasswordReset, late).await.unwrap(),
            None
        );
        assert_eq!(
            work.one_time_tokens().consume([9; 32], TokenPurpose::PasswordReset, now).await.unwrap(),
            None
        );
        drop(work);
        for (hash, purpose, at, whose) in [
            (1, TokenPurpose::PasswordReset, now, Some(ada.id)),
            (1, TokenPurpose::EmailVerification, now, None),
            (1, TokenPurpose::PasswordReset, late, None),
            (9, TokenPurpose::PasswordReset, now, None),
        ] {
            let found = store.reader().one_time_tokens().find([hash; 32], purpose, at).await.unwrap();
            assert_eq!(found, whose, "token {hash} for {purpose:?}");
        }

        let outcomes = at_once(store, 50, |store, _| async move {
            let mut work = store.begin().await.unwrap();
            let user =
                work.one_time_tokens().consume([1; 32], TokenPurpose::PasswordReset, now).await.unwrap();
            work.commit().await.unwrap();
            user
        })
        .await;
        let winners: Vec<_> = outcomes.into_iter().flatten().collect();
        assert_eq!(winners, [ada.id]);

        let mut work = store.begin().await.unwrap();
        work.one_time_tokens().revoke(ada.id, TokenPurpose::PasswordReset).await.unwrap();
        assert_eq!(
            work.one_time_tokens().consume([2; 32], TokenPurpose::PasswordReset, now).await.unwrap(),
            None
        );
        let other =
            work.one_time_tokens().consume([3; 32], TokenPurpose::EmailVerification, now).await.unwrap();
        assert_eq!(other, Some(ada.id), "another purpose is left alone");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_keep_their_order_to_the_microsecond() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let ada = stored_user(store, &env, "ada@example.com").await;
        // Fractions of every length, as texts of every length.
        let micros =
            [0, 1, 9, 10, 99, 100, 101, 999, 1_000, 10_000, 100_000, 120_000, 123_456, 500_000, 999_999];
        let mut sessions = Vec::new();
        let mut work = store.begin().await.unwrap();
        for micros in micros {
            let mut session = session(&env, ada.id, None);
            session.expires_at = env.now() + Duration::microseconds(micros);
            work.sessions().insert(&session).await.unwrap();
            sessions.push(session);
        }
        work.commit().await.unwrap();
        let mut reader = store.reader();
        for session in &sessions {
            assert_eq!(reader.sessions().find(session.id).await.unwrap().as_ref(), Some(session));
            let left = reader.sessions().list(ada.id, session.expires_at).await.unwrap();
            let left: HashSet<_> = left.iter().map(|session| session.id).collect();
            let expected: HashSet<_> = sessions
                .iter()
                .filter(|other| other.expires_at > session.expires_at)
                .map(|other| other.id)
                .collect();
            assert_eq!(left, expected, "after {}", session.expires_at);
        }
    })
    .await;
}
