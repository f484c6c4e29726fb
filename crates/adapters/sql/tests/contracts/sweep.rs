//! Deleting what has expired.

use portico_identity::{
    ports::IdentityRepositories,
    token::{OneTimeToken, TokenPurpose},
};
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::fixtures::{session, stored_user};

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_long_ago_is_deleted_and_nothing_else() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let user = stored_user(store, &env, "ada@example.com").await;
        let now = env.now();
        let (old, good) = (session(&env, user.id, None), session(&env, user.id, None));
        let mut work = store.begin().await.unwrap();
        let mut expired = old.clone();
        expired.expires_at = now - Duration::days(31);
        work.sessions().insert(&expired).await.unwrap();
        work.sessions().insert(&good).await.unwrap();
        for (byte, expires_at) in [(1, now - Duration::days(1)), (2, now + Duration::minutes(1))] {
            let purpose = TokenPurpose::PasswordReset;
            let token =
                OneTimeToken { hash: [byte; 32], user: user.id, purpose, expires_at, created_at: now };
            work.one_time_tokens().insert(&token).await.unwrap();
        }
        work.commit().await.unwrap();

        assert_eq!(store.sweep(now).await.unwrap(), 2);
        assert_eq!(store.sweep(now).await.unwrap(), 0);
        let mut work = store.begin().await.unwrap();
        assert_eq!(work.sessions().find(old.id).await.unwrap(), None);
        assert!(work.sessions().find(good.id).await.unwrap().is_some());
        let found = work.one_time_tokens().consume([2; 32], TokenPurpose::PasswordReset, now).await.unwrap();
        assert_eq!(found, Some(user.id));
    })
    .await;
}
