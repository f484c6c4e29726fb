//! What `portico_identity::ports` promises of failures and known devices.

use portico_identity::{
    device::{KnownDevice, REMEMBERED, Recognized},
    ports::{FailureKey, IdentityRepositories},
    user::{User, UserStatus},
};
use portico_kernel::{Env, Timestamp, limits::Quota};
use portico_sql::SqlStore;
use portico_testkit::{env, on_each_database};
use time::Duration;
use uuid::Uuid;

use crate::fixtures::{at_once, stored_user};

const ONE: FailureKey = [1; 32];
const TWO: FailureKey = [2; 32];

async fn add(store: &SqlStore, keys: &[FailureKey], since: Timestamp, now: Timestamp) {
    let mut work = store.begin().await.unwrap();
    work.sign_in_failures().add(keys, since, now, now + Duration::hours(2)).await.unwrap();
    work.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_counted_by_key_and_span() {
    on_each_database(async |database| {
        let (store, env) = (database.store(), env());
        let (first, second) = (env.now(), env.now() + Duration::minutes(5));
        add(store, &[TWO, ONE], first, first + Duration::seconds(1)).await;
        add(store, &[ONE, ONE], first, first + Duration::seconds(2)).await;
        add(store, &[ONE], second, second + Duration::microseconds(1)).await;
        let counts = async |keys: &[FailureKey], after: Timestamp| {
            let mut counts = store.reader().sign_in_failures().counts(keys, after).await.unwrap();
            counts.sort_by_key(|count| (count.key, count.since));
            counts.into_iter().map(|c| (c.key, c.since, c.failures, c.last_at)).collect::<Vec<_>>()
        };
        let before = first - Duration::microseconds(1);
        let one = (ONE, first, 2, first + Duration::seconds(2));
        let later = (ONE, second, 1, second + Duration::microseconds(1));
        let two = (TWO, first, 1, first + Duration::seconds(1));
        assert_eq!(counts(&[ONE, TWO], before).await, [one, later, two]);
        assert_eq!(counts(&[TWO, [3; 32]], before).await, [two]);
        assert_eq!(counts(&[ONE, TWO], first).await, [later], "spans that began after the time");
        assert_eq!(counts(&[], before).await, []);

        let mut work = store.begin().await.unwrap();
        work.sign_in_failures().clear(&[TWO]).await.unwrap();
        work.sign_in_failures().clear(&[]).await.unwrap();
        work.commit().await.unwrap();
        assert_eq!(counts(&[ONE, TWO], before).await, [one, later]);

        assert_eq!(store.sweep(first + Duration::hours(2) + Duration::minutes(1)).await.unwrap(), 1);
        assert_eq!(counts(&[ONE, TWO], before).await, [later]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_failure_of_many_at_once_is_lost() {
    on_each_database(async |database| {
        let env = env();
        let now = env.now();
        at_once(database.store(), 64, |store, number| async move {
            // Some name the keys in the other order.
            let keys = if number % 2 == 0 { [ONE, TWO] } else { [TWO, ONE] };
            add(&store, &keys, now, now).await;
        })
        .await;
        let after = now - Duration::hours(1);
        let counts = database.store().reader().sign_in_failures().counts(&[ONE, TWO], after).await.unwrap();
        assert_eq!(counts.iter().map(|count| count.failures).collect::<Vec<_>>(), [64, 64]);
    })
    .await;
}

fn device(env: &Env, user: &User, device: u128, network: &str) -> KnownDevice {
    KnownDevice {
        user: user.id,
        device: Uuid::from_u128(device),
        network: network.to_owned(),
        agent: "Firefox on Linux".to_owned(),
        returned: false,
        first_seen: env.now(),
        last_seen: env.now(),
    }
}

async fn save(store: &SqlStore, device: &KnownDevice) {
    let mut work = store.begin().await.unwrap();
    work.known_devices().save(device).await.unwrap();
    work.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_kept_once_for_each_network() {
    on_each_database(async |database| {
        let (store, env) = (database.store(), env());
        let ada = stored_user(store, &env, "ada@example.com").await;
        let eve = stored_user(store, &env, "eve@example.com").await;
        let home = KnownDevice { returned: true, ..device(&env, &ada, 1, "192.0.2.1") };
        save(store, &home).await;
        env.clock.advance(Duration::microseconds(1));
        save(store, &device(&env, &ada, 1, "192.0.2.2")).await;
        save(store, &device(&env, &eve, 1, "192.0.2.1")).await;
        env.clock.advance(Duration::microseconds(1));
        save(store, &KnownDevice { agent: "curl".to_owned(), ..device(&env, &ada, 1, "192.0.2.1") }).await;

        let list = store.reader().known_devices().list(ada.id).await.unwrap();
        let again = KnownDevice { agent: "curl".to_owned(), last_seen: env.now(), ..home.clone() };
        assert_eq!(list[0], again, "first seen and returned stay");
        assert_eq!((list.len(), &*list[1].network), (2, "192.0.2.2"));

        let mut work = store.begin().await.unwrap();
        work.known_devices().remove(ada.id, home.device, "192.0.2.2").await.unwrap();
        work.commit().await.unwrap();
        assert_eq!(store.reader().known_devices().list(ada.id).await.unwrap(), [again]);
        assert_eq!(store.reader().known_devices().list(eve.id).await.unwrap().len(), 1);

        let mut work = store.begin().await.unwrap();
        work.known_devices().forget_user(ada.id).await.unwrap();
        work.commit().await.unwrap();
        let count = async |user| store.reader().known_devices().list(user).await.unwrap().len();
        assert_eq!((count(ada.id).await, count(eve.id).await), (0, 1));
        store.sweep(env.now() + REMEMBERED - Duration::seconds(1)).await.unwrap();
        assert_eq!(count(eve.id).await, 1);
        store.sweep(env.now() + REMEMBERED + Duration::seconds(1)).await.unwrap();
        assert_eq!(count(eve.id).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_of_the_account_that_proved_the_address_are_recognized() {
    on_each_database(async |database| {
        let (store, env) = (database.store(), env());
        let mut owner = stored_user(store, &env, "ada@example.com").await;
        let squatter = stored_user(store, &env, "ada@example.com").await;
        let update = async |user: &mut User| {
            let mut work = store.begin().await.unwrap();
            work.users().update(user).await.unwrap();
            work.commit().await.unwrap();
            user.version += 1;
        };
        save(store, &device(&env, &owner, 1, "192.0.2.1")).await;
        save(store, &device(&env, &squatter, 2, "192.0.2.2")).await;
        let email = owner.email.clone();
        let recognize = async |device: Option<u128>, network: &str, since: Timestamp| {
            let device = device.map(Uuid::from_u128);
            store.reader().known_devices().recognize(&email, device, network, since).await.unwrap()
        };
        let now = env.now();
        assert_eq!(recognize(Some(1), "192.0.2.1", now).await, Recognized::default(), "nothing proven");
        owner.email_verified = true;
        update(&mut owner).await;
        for (device, network, expected) in [
            (Some(1), "192.0.2.1", (true, true)),
            (Some(1), "192.0.2.9", (true, false)),
            (None, "192.0.2.1", (false, true)),
            (Some(3), "192.0.2.1", (false, true)),
            (Some(2), "192.0.2.2", (false, false)),
            (None, "192.0.2.9", (false, false)),
        ] {
            let expected = Recognized { device: expected.0, network: expected.1 };
            assert_eq!(recognize(device, network, now).await, expected, "{device:?} {network}");
        }
        let later = now + Duration::microseconds(1);
        assert_eq!(recognize(Some(1), "192.0.2.1", later).await, Recognized::default(), "too long ago");
        owner.status = UserStatus::Deleted;
        update(&mut owner).await;
        assert_eq!(recognize(Some(1), "192.0.2.1", now).await, Recognized::default());
    })
    .await;
}

async fn take(store: &SqlStore, key: FailureKey, quota: Quota, now: Timestamp) -> bool {
    let mut work = store.begin().await.unwrap();
    let taken = work.mail_budgets().take(key, quota, now).await.unwrap();
    work.commit().await.unwrap();
    taken
}

async fn give_back(store: &SqlStore, key: FailureKey, quota: Quota) {
    let mut work = store.begin().await.unwrap();
    work.mail_budgets().give_back(key, quota).await.unwrap();
    work.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_of_mail_is_used_up_and_comes_back() {
    on_each_database(async |database| {
        let (store, now) = (database.store(), env().now());
        let quota = Quota::per_hour(4);
        let all = async |key, now| {
            let mut taken = 0;
            while take(store, key, quota, now).await {
                taken += 1;
            }
            taken
        };
        assert_eq!(all(ONE, now).await, 4);
        let soon = now + Duration::minutes(15);
        assert!(!take(store, ONE, quota, soon - Duration::microseconds(1)).await);
        assert_eq!(all(ONE, soon).await, 1, "what was refused is not counted");
        assert_eq!(all(TWO, soon).await, 4, "each key by itself");
        give_back(store, ONE, quota).await;
        assert_eq!(all(ONE, soon).await, 1);
        let late = now + Duration::hours(9);
        give_back(store, ONE, quota).await;
        assert_eq!(all(ONE, late).await, 4, "never more than the quota");
        give_back(store, [3; 32], quota).await;
        assert_eq!(store.sweep(late).await.unwrap(), 1, "what is full again is forgotten");
        assert_eq!(all(ONE, late).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_of_mail_never_overshoots() {
    on_each_database(async |database| {
        let now = env().now();
        let quota = Quota::per_hour(7);
        let taken =
            at_once(database.store(), 64, |store, _| async move { take(&store, ONE, quota, now).await })
                .await;
        assert_eq!(taken.into_iter().filter(|taken| *taken).count(), 7);
    })
    .await;
}
