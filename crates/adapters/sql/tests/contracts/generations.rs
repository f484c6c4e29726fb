//! `portico_billing::ports::GenerationRepository`, and meters by period.

use portico_billing::{generation::Reservation, period::Period, ports::BillingRepositories};
use portico_kernel::{Meter, StoreError};
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::fixtures::{at_once, stored_tenant};

const NOVEMBER: Period = Period::Month { year: 2026, month: 11 };
const DECEMBER: Period = Period::Month { year: 2026, month: 12 };

#[tokio::test(flavor = "multi_thread")]
async fn periods_are_counted_apart() {
    on_each_database(async |database| {
        let store = database.store();
        let tenant = stored_tenant(store, &env(), "one").await.id;
        let mut work = store.begin().await.unwrap();
        let mut meters = work.meters();
        for period in [Period::Standing, NOVEMBER, DECEMBER] {
            assert!(meters.add(tenant, Meter::AiGenerations, period, 2, Some(2)).await.unwrap());
            assert!(!meters.add(tenant, Meter::AiGenerations, period, 1, Some(2)).await.unwrap());
        }
        meters.subtract(tenant, Meter::AiGenerations, NOVEMBER, 1).await.unwrap();
        for (period, used) in [(Period::Standing, 2), (NOVEMBER, 1), (DECEMBER, 2)] {
            assert_eq!(meters.used(tenant, Meter::AiGenerations, period).await.unwrap(), used, "{period:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_is_taken_once() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let now = env.now();
        let reservation = |expires_at| Reservation {
            id: env.new_id(),
            tenant: ours,
            period: NOVEMBER,
            tokens: 7,
            expires_at,
        };
        let (good, old) = (reservation(now + Duration::minutes(1)), reservation(now - Duration::minutes(1)));
        let mut work = store.begin().await.unwrap();
        for reservation in [&good, &old] {
            work.generations().insert(reservation).await.unwrap();
        }
        work.commit().await.unwrap();
        let mut work = store.begin().await.unwrap();
        let twice = work.generations().insert(&good).await;
        assert!(matches!(twice, Err(StoreError::Conflict(_))), "{twice:?}");
        drop(work);

        let mut reader = store.reader();
        assert_eq!(reader.generations().find(ours, good.id).await.unwrap(), Some(good.clone()));
        assert_eq!(reader.generations().find(theirs, good.id).await.unwrap(), None);
        let mut work = store.begin().await.unwrap();
        assert_eq!(work.generations().take(theirs, good.id).await.unwrap(), None);
        assert_eq!(work.generations().take_expired(theirs, now).await.unwrap(), []);
        assert_eq!(work.generations().take_expired(ours, now).await.unwrap(), std::slice::from_ref(&old));
        assert_eq!(work.generations().take_expired(ours, now).await.unwrap(), []);
        drop(work);

        // Rolled back: both are there again. Of many who want them, each goes to one.
        let (id, tenant) = (good.id, ours);
        let taken = at_once(store, 16, |store, _| async move {
            let mut work = store.begin().await.unwrap();
            let taken = work.generations().take(tenant, id).await.unwrap().is_some();
            let expired = work.generations().take_expired(tenant, now).await.unwrap().len();
            work.commit().await.unwrap();
            (taken, expired)
        })
        .await;
        assert_eq!(taken.iter().filter(|(taken, _)| *taken).count(), 1);
        assert_eq!(taken.iter().map(|(_, expired)| expired).sum::<usize>(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_never_overshoot() {
    on_each_database(async |database| {
        let store = database.store();
        let mut work = store.begin().await.unwrap();
        let mut generations = work.generations();
        assert_eq!(generations.spent(NOVEMBER).await.unwrap(), 0);
        assert!(!generations.spend(NOVEMBER, 11, Some(10)).await.unwrap(), "over the limit at once");
        assert!(generations.spend(NOVEMBER, 6, Some(10)).await.unwrap());
        assert!(!generations.spend(NOVEMBER, 5, Some(10)).await.unwrap());
        assert!(generations.spend(DECEMBER, 5, Some(10)).await.unwrap());
        assert!(generations.spend(NOVEMBER, 100, None).await.unwrap());
        assert!(!generations.spend(NOVEMBER, u64::MAX, None).await.unwrap(), "does not overflow");
        generations.unspend(NOVEMBER, 6).await.unwrap();
        assert_eq!(generations.spent(NOVEMBER).await.unwrap(), 100);
        generations.unspend(NOVEMBER, 1000).await.unwrap();
        assert_eq!(generations.spent(NOVEMBER).await.unwrap(), 0);
        drop(generations);
        drop(work);

        let spent = at_once(store, 64, |store, _| async move {
            let mut work = store.begin().await.unwrap();
            let spent = work.generations().spend(NOVEMBER, 10, Some(35)).await.unwrap();
            work.commit().await.unwrap();
            spent
        })
        .await;
        assert_eq!(spent.into_iter().filter(|spent| *spent).count(), 3);
        assert_eq!(store.reader().generations().spent(NOVEMBER).await.unwrap(), 30);
    })
    .await;
}
