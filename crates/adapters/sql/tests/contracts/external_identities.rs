//! `portico_identity::ports`: accounts elsewhere, and attempts to sign in with them.

use portico_identity::{
    external::{ExternalIdentity, SignInAttempt},
    ports::IdentityRepositories,
};
use portico_kernel::{Env, StoreError, UserId};
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::fixtures::{at_once, stored_user, user};

fn identity(env: &Env, user: UserId, issuer: &str, subject: &str) -> ExternalIdentity {
    ExternalIdentity {
        id: env.new_id(),
        user,
        provider: "test".to_owned(),
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        email: Some("ada@example.com".to_owned()),
        name: None,
        language: None,
        linked_at: env.now(),
        last_used_at: None,
    }
}

fn attempt(env: &Env, state: u8, user: Option<UserId>) -> SignInAttempt {
    SignInAttempt {
        state: [state; 32],
        provider: "test".to_owned(),
        browser: [7; 32],
        user,
        created_at: env.now(),
        expires_at: env.now() + Duration::minutes(10),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_comes_back_as_stored_and_is_found_by_issuer_and_subject() {
    on_each_database(async |database| {
        let env = env();
        let ada = stored_user(database.store(), &env, "ada@example.com").await;
        let eve = stored_user(database.store(), &env, "eve@example.com").await;
        let mut first = identity(&env, ada.id, "https://one.example", "Subject");
        env.clock.advance(Duration::seconds(1));
        let second = identity(&env, ada.id, "https://two.example", "Subject");
        let other = identity(&env, eve.id, "https://one.example", "subject");
        let mut work = database.store().begin().await.unwrap();
        for identity in [&second, &first, &other] {
            work.external_identities().insert(identity).await.unwrap();
        }
        (first.email, first.last_used_at) = (None, Some(env.now()));
        (first.name, first.language) = (Some("Ada".to_owned()), Some("es".to_owned()));
        // Nothing else changes.
        let sent = ExternalIdentity { provider: "other".to_owned(), user: eve.id, ..first.clone() };
        work.external_identities().update(&sent).await.unwrap();
        work.commit().await.unwrap();

        let mut reader = database.store().reader();
        let mut links = reader.external_identities();
        assert_eq!(links.list(ada.id).await.unwrap(), [first.clone(), second]);
        assert_eq!(links.find("https://one.example", "Subject").await.unwrap(), Some(first));
        assert_eq!(links.find("https://one.example", "subject").await.unwrap(), Some(other));
        for (issuer, subject) in
            [("https://ONE.example", "Subject"), ("https://one.example", "SUBJECT"), ("", "")]
        {
            assert_eq!(links.find(issuer, subject).await.unwrap(), None, "{issuer} {subject}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_is_linked_once_under_concurrency() {
    on_each_database(async |database| {
        let env = env();
        let ada = stored_user(database.store(), &env, "ada@example.com").await;
        let links: Vec<_> = (0..8).map(|_| identity(&env, ada.id, "https://one.example", "1")).collect();
        let results = at_once(database.store(), links.len(), |store, number| {
            let link = links[number].clone();
            async move {
                let mut work = store.begin().await?;
                work.external_identities().insert(&link).await?;
                work.commit().await
            }
        })
        .await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        assert!(
            results.iter().all(|result| matches!(result, Ok(()) | Err(StoreError::Conflict(_)))),
            "{results:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_deleted_by_its_owner_only() {
    on_each_database(async |database| {
        let env = env();
        let ada = stored_user(database.store(), &env, "ada@example.com").await;
        let eve = stored_user(database.store(), &env, "eve@example.com").await;
        let link = identity(&env, ada.id, "https://one.example", "1");
        let mut work = database.store().begin().await.unwrap();
        let mut links = work.external_identities();
        links.insert(&link).await.unwrap();
        assert!(!links.delete(eve.id, link.id).await.unwrap());
        assert!(links.delete(ada.id, link.id).await.unwrap());
        assert!(!links.delete(ada.id, link.id).await.unwrap());
        for number in 0..3 {
            let user = if number == 2 { eve.id } else { ada.id };
            links.insert(&identity(&env, user, "https://one.example", &number.to_string())).await.unwrap();
        }
        assert_eq!(links.delete_all(ada.id).await.unwrap(), 2);
        assert!(links.list(ada.id).await.unwrap().is_empty());
        assert_eq!(links.list(eve.id).await.unwrap().len(), 1);
    })
    .await;
}

/// Eight at once each take one link away unless it is the last one.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_locks_a_user_sees_what_the_one_before_did() {
    on_each_database(async |database| {
        let env = env();
        let ada = stored_user(database.store(), &env, "ada@example.com").await.id;
        let links: Vec<_> =
            (0..8).map(|number| identity(&env, ada, "https://one.example", &number.to_string())).collect();
        let mut work = database.store().begin().await.unwrap();
        for link in &links {
            work.external_identities().insert(link).await.unwrap();
        }
        work.commit().await.unwrap();
        let taken = at_once(database.store(), links.len(), |store, number| {
            let id = links[number].id;
            async move {
                let mut work = store.begin().await.unwrap();
                work.users().lock(ada).await.unwrap();
                let last = work.external_identities().list(ada).await.unwrap().len() == 1;
                let taken = !last && work.external_identities().delete(ada, id).await.unwrap();
                work.commit().await.unwrap();
                taken
            }
        })
        .await;
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 7);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_is_used_once_under_concurrency() {
    on_each_database(async |database| {
        let env = env();
        let ada = stored_user(database.store(), &env, "ada@example.com").await;
        let stored = attempt(&env, 1, Some(ada.id));
        let mut work = database.store().begin().await.unwrap();
        work.sign_in_attempts().insert(&stored).await.unwrap();
        work.commit().await.unwrap();
        let now = env.now();
        let used = at_once(database.store(), 8, |store, _| async move {
            let mut work = store.begin().await.unwrap();
            let used = work.sign_in_attempts().consume([1; 32], now).await.unwrap();
            work.commit().await.unwrap();
            used
        })
        .await;
        let used: Vec<_> = used.into_iter().flatten().collect();
        assert_eq!(used, [stored]);

        let eve = stored_user(database.store(), &env, "eve@example.com").await;
        let mut work = database.store().begin().await.unwrap();
        for (state, user) in [(1, Some(ada.id)), (2, Some(eve.id)), (3, None)] {
            work.sign_in_attempts().insert(&attempt(&env, state, user)).await.unwrap();
        }
        work.sign_in_attempts().delete_all(ada.id).await.unwrap();
        for (state, left) in [(1, false), (2, true), (3, true)] {
            let found = work.sign_in_attempts().consume([state; 32], now).await.unwrap();
            assert_eq!(found.is_some(), left, "attempt {state}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_expires_and_a_rolled_back_use_is_none() {
    on_each_database(async |database| {
        let env = env();
        let mut work = database.store().begin().await.unwrap();
        work.sign_in_attempts().insert(&attempt(&env, 1, None)).await.unwrap();
        work.commit().await.unwrap();

        let mut dropped = database.store().begin().await.unwrap();
        assert!(dropped.sign_in_attempts().consume([1; 32], env.now()).await.unwrap().is_some());
        drop(dropped);
        env.clock.advance(Duration::minutes(10));
        let mut work = database.store().begin().await.unwrap();
        assert_eq!(work.sign_in_attempts().consume([2; 32], env.now()).await.unwrap(), None);
        assert_eq!(work.sign_in_attempts().consume([1; 32], env.now()).await.unwrap(), None);
        let just_before = env.now() - Duration::seconds(1);
        assert!(work.sign_in_attempts().consume([1; 32], just_before).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_claim_an_address_without_proof_are_found_newest_first() {
    on_each_database(async |database| {
        let env = env();
        let mut users = Vec::new();
        for _ in 0..5 {
            env.clock.advance(Duration::seconds(1));
            users.push(stored_user(database.store(), &env, "ada@example.com").await);
        }
        stored_user(database.store(), &env, "eve@example.com").await;
        let [oldest, second, owner, gone, newest] = &mut users[..] else { panic!("five users") };
        owner.email_verified = true;
        gone.status = portico_identity::user::UserStatus::Deleted;
        let mut work = database.store().begin().await.unwrap();
        work.users().update(owner).await.unwrap();
        work.users().update(gone).await.unwrap();
        work.commit().await.unwrap();
        let mut reader = database.store().reader();
        let email = user(&env, "ada@example.com").email;
        assert_eq!(reader.users().claimants(&email, 10).await.unwrap(), [newest.id, second.id, oldest.id]);
        assert_eq!(reader.users().claimants(&email, 1).await.unwrap(), [newest.id]);
    })
    .await;
}
