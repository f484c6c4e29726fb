//! `portico_identity::ports::EmailChangeRepository`.

use portico_identity::{email_change::EmailChange, ports::IdentityRepositories, user::EmailAddress};
use portico_kernel::{Env, UserId};
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::fixtures::{at_once, stored_user};

fn change(env: &Env, user: UserId, email: &str) -> EmailChange {
    EmailChange {
        id: env.new_id(),
        user,
        session: env.new_id(),
        email: EmailAddress::parse(email).unwrap(),
        created_at: env.now(),
        expires_at: env.now() + Duration::hours(24),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_change_takes_the_place_of_an_older_one_of_the_same_user() {
    on_each_database(async |database| {
        let env = env();
        let ada = stored_user(database.store(), &env, "ada@example.com").await;
        let bob = stored_user(database.store(), &env, "bob@example.com").await;
        let (first, second) =
            (change(&env, ada.id, "one@example.org"), change(&env, ada.id, "two@example.org"));
        let other = change(&env, bob.id, "one@example.org");
        let mut work = database.store().begin().await.unwrap();
        for change in [&first, &other, &second] {
            work.email_changes().put(change).await.unwrap();
        }
        work.commit().await.unwrap();
        let mut reader = database.store().reader();
        assert_eq!(reader.email_changes().find(first.id).await.unwrap(), None);
        assert_eq!(reader.email_changes().find(second.id).await.unwrap(), Some(second));
        assert_eq!(reader.email_changes().find(other.id).await.unwrap(), Some(other));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_changes_of_a_user_at_once_leave_one() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let ada = stored_user(store, &env, "ada@example.com").await;
        let changes: Vec<_> = (0..20).map(|n| change(&env, ada.id, &format!("n{n}@example.org"))).collect();
        let put = changes.clone();
        at_once(store, 20, move |store, number| {
            let change = put[number].clone();
            async move {
                let mut work = store.begin().await.unwrap();
                work.email_changes().put(&change).await.unwrap();
                work.commit().await.unwrap();
            }
        })
        .await;
        let mut left = 0;
        for change in &changes {
            left += usize::from(store.reader().email_changes().find(change.id).await.unwrap().is_some());
        }
        assert_eq!(left, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_taken_once_and_never_after_it_has_expired() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let ada = stored_user(store, &env, "ada@example.com").await;
        let waiting = change(&env, ada.id, "one@example.org");
        let mut work = store.begin().await.unwrap();
        work.email_changes().put(&waiting).await.unwrap();
        work.commit().await.unwrap();

        let mut work = store.begin().await.unwrap();
        assert_eq!(work.email_changes().take(waiting.id, waiting.expires_at).await.unwrap(), None);
        assert_eq!(work.email_changes().take(env.new_id(), env.now()).await.unwrap(), None);
        drop(work);
        let found = store.reader().email_changes().find(waiting.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(&waiting), "also when it has expired");

        let (id, now) = (waiting.id, env.now());
        let taken = at_once(store, 30, move |store, _| async move {
            let mut work = store.begin().await.unwrap();
            let taken = work.email_changes().take(id, now).await.unwrap();
            work.commit().await.unwrap();
            taken
        })
        .await;
        assert_eq!(taken.into_iter().flatten().collect::<Vec<_>>(), [waiting]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_deleted_with_its_user_or_with_the_session_that_asked_for_it() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let ada = stored_user(store, &env, "ada@example.com").await;
        let bob = stored_user(store, &env, "bob@example.com").await;
        let (first, other) =
            (change(&env, ada.id, "one@example.org"), change(&env, bob.id, "two@example.org"));
        let mut work = store.begin().await.unwrap();
        for (user, session, left) in
            [(ada.id, Some(other.session), true), (ada.id, Some(first.session), false), (ada.id, None, false)]
        {
            work.email_changes().put(&first).await.unwrap();
            work.email_changes().put(&other).await.unwrap();
            work.email_changes().delete(user, session).await.unwrap();
            assert_eq!(work.email_changes().find(first.id).await.unwrap().is_some(), left, "{session:?}");
            assert!(work.email_changes().find(other.id).await.unwrap().is_some(), "somebody else's");
        }
    })
    .await;
}
