//! `portico_identity::ports`: second factors, passkeys, sign-ins that wait.

use portico_identity::{
    passkey::{Passkey, PasskeyChallenge, PasskeyPurpose},
    pending_sign_in::PendingSignIn,
    ports::{IdentityRepositories, PasswordHash, StoredFactors},
    totp::Totp,
    user::User,
};
use portico_kernel::{Env, StoreError};
use portico_sql::SqlStore;
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::fixtures::{at_once, session, stored_user};

fn totp(env: &Env, user: &User, sealed: u8) -> Totp {
    Totp { user: user.id, sealed: vec![sealed; 40], confirmed_at: None, created_at: env.now() }
}

fn passkey(env: &Env, user: &User, credential_id: u8) -> Passkey {
    Passkey {
        id: env.new_id(),
        user: user.id,
        name: "Ñandú".to_owned(),
        credential_id: vec![credential_id; 16],
        data: "{}".to_owned(),
        created_at: env.now(),
        last_used_at: None,
    }
}

fn count(outcomes: Vec<bool>) -> usize {
    outcomes.into_iter().filter(|outcome| *outcome).count()
}

/// Stores and commits a sign-in that waits.
async fn stored_pending(store: &SqlStore, env: &Env, user: &User) -> PendingSignIn {
    let now = env.now();
    let expires_at = now + Duration::minutes(5);
    let pending = PendingSignIn { id: env.new_id(), user: user.id, tries: 0, created_at: now, expires_at };
    let mut work = store.begin().await.unwrap();
    work.pending_sign_ins().insert(&pending).await.unwrap();
    work.commit().await.unwrap();
    pending
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_confirmed_once_and_not_replaced_after() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let ada = stored_user(store, &env, "ada@example.com").await;
        let (first, second) = (totp(&env, &ada, 1), totp(&env, &ada, 2));
        let mut work = store.begin().await.unwrap();
        assert_eq!(work.second_factors().totp(ada.id).await.unwrap(), None);
        assert!(work.second_factors().put_totp(&first).await.unwrap());
        assert!(!work.second_factors().use_totp_step(ada.id, 5).await.unwrap(), "not confirmed");
        assert!(work.second_factors().put_totp(&second).await.unwrap(), "in place of the one that waits");
        assert!(!work.second_factors().confirm_totp(ada.id, &first.sealed, 5, env.now()).await.unwrap());
        work.commit().await.unwrap();

        let confirmed = at_once(store, 16, |store, _| {
            let (second, now) = (second.clone(), env.now());
            async move {
                let mut work = store.begin().await.unwrap();
                let confirmed =
                    work.second_factors().confirm_totp(second.user, &second.sealed, 5, now).await.unwrap();
                work.commit().await.unwrap();
                confirmed
            }
        })
        .await;
        assert_eq!(count(confirmed), 1);
        let mut work = store.begin().await.unwrap();
        assert!(!work.second_factors().put_totp(&first).await.unwrap(), "there is a confirmed one");
        let stored = work.second_factors().totp(ada.id).await.unwrap();
        assert_eq!(stored, Some(Totp { confirmed_at: Some(env.now()), ..second }));
        assert!(work.second_factors().delete_totp(ada.id).await.unwrap());
        assert!(!work.second_factors().delete_totp(ada.id).await.unwrap());
        assert!(work.second_factors().put_totp(&first).await.unwrap());
        assert!(!work.second_factors().delete_totp(ada.id).await.unwrap(), "it was not confirmed");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_step_is_used_once_also_at_once_and_none_before_it() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let ada = stored_user(store, &env, "ada@example.com").await;
        let app = totp(&env, &ada, 1);
        let mut work = store.begin().await.unwrap();
        work.second_factors().put_totp(&app).await.unwrap();
        work.second_factors().confirm_totp(ada.id, &app.sealed, 5, env.now()).await.unwrap();
        work.commit().await.unwrap();
        let user = ada.id;
        let used = at_once(store, 20, move |store, _| async move {
            let mut work = store.begin().await.unwrap();
            let used = work.second_factors().use_totp_step(user, 7).await.unwrap();
            work.commit().await.unwrap();
            used
        })
        .await;
        assert_eq!(count(used), 1);
        let mut work = store.begin().await.unwrap();
        for (step, works) in [(5, false), (6, false), (7, false), (8, true), (8, false)] {
            assert_eq!(work.second_factors().use_totp_step(ada.id, step).await.unwrap(), works, "{step}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_secrets_of_apps_are_listed_in_pieces_and_replaced_unless_they_changed() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let mut users = Vec::new();
        for (number, address) in ["ada@example.com", "bob@example.com", "eve@example.com"].iter().enumerate()
        {
            let user = stored_user(store, &env, address).await;
            let mut work = store.begin().await.unwrap();
            assert!(work.second_factors().put_totp(&totp(&env, &user, number as u8)).await.unwrap());
            work.commit().await.unwrap();
            users.push(user.id);
        }
        let mut work = store.begin().await.unwrap();
        let mut factors = work.second_factors();
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let piece = factors.sealed_secrets(after, 2).await.unwrap();
            assert!(piece.len() <= 2);
            let Some((last, _)) = piece.last() else { break };
            after = Some(*last);
            listed.extend(piece);
        }
        let ids: Vec<_> = listed.iter().map(|(user, _)| *user).collect();
        users.sort();
        assert_eq!(ids, users);
        let (user, was) = listed.remove(0);
        assert!(factors.reseal(user, &was, &[7; 40]).await.unwrap());
        assert!(!factors.reseal(user, &was, &[8; 40]).await.unwrap(), "it changed meanwhile");
        assert_eq!(factors.totp(user).await.unwrap().unwrap().sealed, vec![7; 40]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_code_is_used_once_also_at_once() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let ada = stored_user(store, &env, "ada@example.com").await;
        let bob = stored_user(store, &env, "bob@example.com").await;
        let mut work = store.begin().await.unwrap();
        work.second_factors().replace_recovery_codes(ada.id, &[[9; 32]], env.now()).await.unwrap();
        work.second_factors().replace_recovery_codes(ada.id, &[[1; 32], [2; 32]], env.now()).await.unwrap();
        work.commit().await.unwrap();
        let user = ada.id;
        let used = at_once(store, 20, move |store, _| async move {
            let mut work = store.begin().await.unwrap();
            let used = work.second_factors().use_recovery_code(user, [1; 32]).await.unwrap();
            work.commit().await.unwrap();
            used
        })
        .await;
        assert_eq!(count(used), 1);
        let mut work = store.begin().await.unwrap();
        assert_eq!(work.second_factors().recovery_codes_left(ada.id).await.unwrap(), 1);
        assert!(!work.second_factors().use_recovery_code(bob.id, [2; 32]).await.unwrap(), "not his");
        assert!(!work.second_factors().use_recovery_code(ada.id, [9; 32]).await.unwrap(), "replaced");
        assert!(work.second_factors().use_recovery_code(ada.id, [2; 32]).await.unwrap());
        assert_eq!(work.second_factors().recovery_codes_left(ada.id).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tries_are_counted_also_at_once_and_a_sign_in_ends_once() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let ada = stored_user(store, &env, "ada@example.com").await;
        let pending = stored_pending(store, &env, &ada).await;
        let found = store.reader().pending_sign_ins().find(pending.id).await.unwrap();
        assert_eq!(found, Some(pending.clone()));
        let (id, now) = (pending.id, env.now());
        let counted = at_once(store, 20, move |store, _| async move {
            let mut work = store.begin().await.unwrap();
            let counted = work.pending_sign_ins().count_try(id, 5, now).await.unwrap();
            work.commit().await.unwrap();
            counted
        })
        .await;
        assert_eq!(count(counted), 5);
        let late = stored_pending(store, &env, &ada).await;
        let mut work = store.begin().await.unwrap();
        assert!(!work.pending_sign_ins().count_try(late.id, 5, late.expires_at).await.unwrap(), "expired");
        assert!(work.pending_sign_ins().count_try(late.id, 5, env.now()).await.unwrap());
        work.commit().await.unwrap();
        let deleted = at_once(store, 8, move |store, _| async move {
            let mut work = store.begin().await.unwrap();
            let deleted = work.pending_sign_ins().delete(id).await.unwrap();
            work.commit().await.unwrap();
            deleted
        })
        .await;
        assert_eq!(count(deleted), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_deletes_the_sign_ins_that_wait() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let ada = stored_user(store, &env, "ada@example.com").await;
        let bob = stored_user(store, &env, "bob@example.com").await;
        let (hers, his) = (stored_pending(store, &env, &ada).await, stored_pending(store, &env, &bob).await);
        let mut work = store.begin().await.unwrap();
        assert_eq!(work.users().lock(ada.id).await.unwrap().unwrap().user, ada);
        assert!(work.users().lock(env.new_id()).await.unwrap().is_none());
        work.users().set_password(ada.id, Some(PasswordHash("$argon2id$new".to_owned()))).await.unwrap();
        work.commit().await.unwrap();
        let mut reader = store.reader();
        assert_eq!(reader.pending_sign_ins().find(hers.id).await.unwrap(), None);
        assert_eq!(reader.pending_sign_ins().find(his.id).await.unwrap(), Some(his));
        let stored = reader.users().find(ada.id).await.unwrap().unwrap();
        assert_eq!(stored.version, ada.version, "a lock changes nothing");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_proves_a_second_factor_is_told_of_one_user() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let ada = stored_user(store, &env, "ada@example.com").await;
        let bob = stored_user(store, &env, "bob@example.com").await;
        let (app, none) = (totp(&env, &ada, 1), StoredFactors::default());
        let mut work = store.begin().await.unwrap();
        assert!(work.second_factors().put_totp(&app).await.unwrap());
        assert_eq!(work.second_factors().stored(ada.id).await.unwrap(), none, "not confirmed");
        assert!(work.second_factors().confirm_totp(ada.id, &app.sealed, 5, env.now()).await.unwrap());
        let mut stored = StoredFactors { totp: true, ..none };
        assert_eq!(work.second_factors().stored(ada.id).await.unwrap(), stored);
        work.second_factors().replace_recovery_codes(ada.id, &[[7; 32]], env.now()).await.unwrap();
        stored.recovery_codes = true;
        assert_eq!(work.second_factors().stored(ada.id).await.unwrap(), stored);
        work.passkeys().insert(&passkey(&env, &ada, 1)).await.unwrap();
        stored.passkeys = true;
        assert_eq!(work.second_factors().stored(ada.id).await.unwrap(), stored);
        assert_eq!(work.second_factors().stored(bob.id).await.unwrap(), none);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_belongs_to_one_user() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let ada = stored_user(store, &env, "ada@example.com").await;
        let bob = stored_user(store, &env, "bob@example.com").await;
        let first = passkey(&env, &ada, 1);
        env.clock.advance(Duration::seconds(1));
        let second = passkey(&env, &ada, 2);
        let mut work = store.begin().await.unwrap();
        work.passkeys().insert(&second).await.unwrap();
        work.passkeys().insert(&first).await.unwrap();
        work.commit().await.unwrap();
        let mut work = store.begin().await.unwrap();
        let taken = work.passkeys().insert(&passkey(&env, &bob, 1)).await;
        assert!(matches!(taken, Err(StoreError::Conflict(_))), "{taken:?}");
        drop(work);

        let mut work = store.begin().await.unwrap();
        let list = work.passkeys().list(ada.id).await.unwrap();
        assert_eq!(list, [first.clone(), second.clone()], "oldest first");
        assert_eq!(work.passkeys().by_credential(&[1; 16]).await.unwrap(), Some(first.clone()));
        assert_eq!(work.passkeys().by_credential(&[3; 16]).await.unwrap(), None);
        assert_eq!(work.passkeys().find(bob.id, first.id).await.unwrap(), None);
        let used = Passkey { data: "{\"a\":1}".into(), last_used_at: Some(env.now()), ..first.clone() };
        work.passkeys().update(&used).await.unwrap();
        work.passkeys().update(&Passkey { user: bob.id, name: "His".into(), ..first.clone() }).await.unwrap();
        assert_eq!(work.passkeys().find(ada.id, first.id).await.unwrap(), Some(used));
        assert!(!work.passkeys().delete(bob.id, first.id).await.unwrap());
        assert!(work.passkeys().delete(ada.id, first.id).await.unwrap());
        assert!(!work.passkeys().delete(ada.id, first.id).await.unwrap());
        assert_eq!(work.passkeys().delete_all(ada.id).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_answered_once_in_time_and_for_its_purpose() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let expires_at = env.now() + Duration::minutes(5);
        let challenge = |state: &str| PasskeyChallenge {
            hash: [4; 32],
            purpose: PasskeyPurpose::SignIn,
            state: state.to_owned(),
            expires_at,
        };
        let mut work = store.begin().await.unwrap();
        work.passkeys().put_challenge(&challenge("first")).await.unwrap();
        work.passkeys().put_challenge(&challenge("second")).await.unwrap();
        for (hash, purpose, now) in [
            ([5; 32], PasskeyPurpose::SignIn, env.now()),
            ([4; 32], PasskeyPurpose::Registration, env.now()),
            ([4; 32], PasskeyPurpose::SignIn, expires_at),
        ] {
            assert_eq!(
                work.passkeys().take_challenge(hash, purpose, now).await.unwrap(),
                None,
                "{purpose:?}"
            );
        }
        work.commit().await.unwrap();
        let now = env.now();
        let taken = at_once(store, 20, move |store, _| async move {
            let mut work = store.begin().await.unwrap();
            let taken = work.passkeys().take_challenge([4; 32], PasskeyPurpose::SignIn, now).await.unwrap();
            work.commit().await.unwrap();
            taken
        })
        .await;
        assert_eq!(taken.into_iter().flatten().collect::<Vec<_>>(), ["second"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_running_session_of_the_user_is_made_fresh() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let ada = stored_user(store, &env, "ada@example.com").await;
        let bob = stored_user(store, &env, "bob@example.com").await;
        let (running, ended) = (session(&env, ada.id, None), session(&env, ada.id, None));
        let mut deputy = session(&env, ada.id, None);
        deputy.impersonator = Some(bob.id);
        let mut work = store.begin().await.unwrap();
        for session in [&running, &ended, &deputy] {
            work.sessions().insert(session).await.unwrap();
        }
        work.sessions().end(ada.id, ended.id, env.now()).await.unwrap();
        let now = env.clock.advance(Duration::hours(1));
        for (user, session, works) in [
            (ada.id, &running, true),
            (bob.id, &running, false),
            (ada.id, &ended, false),
            (ada.id, &deputy, false),
        ] {
            assert_eq!(work.sessions().authenticate(user, session.id, now).await.unwrap(), works);
        }
        let stored = work.sessions().find(running.id).await.unwrap().unwrap();
        assert_eq!(stored.authenticated_at, now);
        let late = work.sessions().authenticate(ada.id, running.id, running.expires_at).await.unwrap();
        assert!(!late, "expired");
    })
    .await;
}
