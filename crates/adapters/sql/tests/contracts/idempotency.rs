//! Requests with a key: claimed once, kept with their effect, free again when whoever has them dies.

use portico_identity::ports::IdentityRepositories;
use portico_kernel::{
    Env, TenantId, Timestamp, UserId,
    idempotency::{Claim, IdempotencyKeys, KeyedRequest, Record},
};
use portico_sql::SqlStore;
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::fixtures::{at_once, user};

const LEASE: Duration = Duration::seconds(10);

fn claim(env: &Env, fingerprint: &str) -> Claim {
    Claim {
        request: KeyedRequest { tenant: env.new_id(), caller: env.random_uuid(), key: "order 17".to_owned() },
        fingerprint: fingerprint.to_owned(),
        holder: env.random_uuid(),
        expires_at: env.now() + Duration::days(1),
    }
}

/// Another attempt at the same request.
fn again(env: &Env, claim: &Claim) -> Claim {
    Claim { holder: env.random_uuid(), expires_at: env.now() + Duration::days(1), ..claim.clone() }
}

async fn take(store: &SqlStore, claim: &Claim, now: Timestamp) -> Option<Record> {
    store.claim(claim, now + LEASE, now).await.unwrap()
}

fn answer(record: Option<Record>) -> Option<Vec<u8>> {
    record.unwrap().answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_to_one_of_many_at_once() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let first = claim(&env, "one");
        let attempts: Vec<Claim> = (0..50).map(|_| again(&env, &first)).collect();
        let now = env.now();
        let found = at_once(store, 50, |store, number| {
            let attempt = attempts[number].clone();
            async move { take(&store, &attempt, now).await }
        })
        .await;
        assert_eq!(found.iter().filter(|record| record.is_none()).count(), 1);
        let expected = Record { fingerprint: "one".to_owned(), leased_until: now + LEASE, answer: None };
        assert!(found.into_iter().flatten().all(|record| record == expected));
        // Other tenants, callers and keys are other requests.
        let tenant = KeyedRequest { tenant: TenantId::PLATFORM, ..first.request.clone() };
        let caller = KeyedRequest { caller: env.random_uuid(), ..first.request.clone() };
        let key = KeyedRequest { key: "order 18".to_owned(), ..first.request.clone() };
        for request in [tenant, caller, key] {
            assert_eq!(store.find(&request, now).await.unwrap(), None);
            assert_eq!(take(store, &Claim { request, ..first.clone() }, now).await, None);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_kept_if_and_only_if_the_effect_is() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let first = claim(&env, "one");
        assert_eq!(take(store, &first, env.now()).await, None);
        let ada = user(&env, "ada@example.com");
        let mut work = store.begin().await.unwrap();
        work.users().insert(&ada, None).await.unwrap();
        assert!(work.idempotency().complete(&first, b"made").await.unwrap());
        drop(work);
        assert_eq!(answer(take(store, &again(&env, &first), env.now()).await), None, "rolled back");

        let mut work = store.begin().await.unwrap();
        work.users().insert(&ada, None).await.unwrap();
        assert!(work.idempotency().complete(&first, b"made").await.unwrap());
        work.commit().await.unwrap();
        let kept = Some(b"made".to_vec());
        assert_eq!(answer(take(store, &again(&env, &first), env.now()).await), kept);
        // What is kept stays.
        assert!(!store.complete(&first, b"other").await.unwrap());
        assert!(!store.extend(&first, env.now() + LEASE).await.unwrap());
        store.release(&first).await.unwrap();
        env.clock.advance(Duration::hours(23));
        assert_eq!(answer(store.find(&first.request, env.now()).await.unwrap()), kept);
        // For a day.
        env.clock.advance(Duration::hours(1));
        assert_eq!(store.find(&first.request, env.now()).await.unwrap(), None);
        let next = Claim { fingerprint: "two".to_owned(), ..again(&env, &first) };
        assert_eq!(take(store, &next, env.now()).await, None);
        assert_eq!(answer(store.find(&first.request, env.now()).await.unwrap()), None);

        env.clock.advance(Duration::days(1) + Duration::microseconds(1));
        assert_eq!(store.sweep(env.now()).await.unwrap(), 1);
        assert_eq!(store.sweep(env.now()).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_ends_with_its_lease_and_cannot_be_used_any_more() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let slow = claim(&env, "one");
        let quick = Claim { fingerprint: "two".to_owned(), ..again(&env, &slow) };
        assert_eq!(take(store, &slow, env.now()).await, None);
        env.clock.advance(LEASE - Duration::microseconds(1));
        assert!(take(store, &quick, env.now()).await.is_some());
        assert!(store.extend(&slow, env.now() + LEASE).await.unwrap());
        env.clock.advance(LEASE - Duration::microseconds(1));
        assert!(take(store, &quick, env.now()).await.is_some(), "extended");
        env.clock.advance(Duration::microseconds(1));
        assert_eq!(take(store, &quick, env.now()).await, None, "taken for dead");

        assert!(!store.extend(&slow, env.now() + LEASE).await.unwrap());
        assert!(!store.complete(&slow, b"late").await.unwrap());
        let mut work = store.begin().await.unwrap();
        assert!(!work.idempotency().complete(&slow, b"late").await.unwrap());
        work.idempotency().release(&slow).await.unwrap();
        work.commit().await.unwrap();
        store.release(&slow).await.unwrap();
        let found = store.find(&slow.request, env.now()).await.unwrap().unwrap();
        assert_eq!((found.fingerprint.as_str(), found.answer), ("two", None), "the other one goes on");
        assert!(store.complete(&quick, b"done").await.unwrap());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_is_given_up_is_free_at_once() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let first = claim(&env, "one");
        assert_eq!(take(store, &first, env.now()).await, None);
        let mut work = store.begin().await.unwrap();
        work.idempotency().release(&first).await.unwrap();
        drop(work);
        let second = again(&env, &first);
        assert!(take(store, &second, env.now()).await.is_some(), "rolled back");
        store.release(&first).await.unwrap();
        assert_eq!(take(store, &second, env.now()).await, None);
        // A caller who erases themselves takes the claim along; the answer is kept all the same.
        let erased = Claim { request: KeyedRequest { caller: env.random_uuid(), ..first.request }, ..second };
        assert_eq!(take(store, &erased, env.now()).await, None);
        let mut work = store.begin().await.unwrap();
        work.personal_data().erase(UserId::from_uuid(erased.request.caller)).await.unwrap();
        assert!(work.idempotency().complete(&erased, b"gone").await.unwrap());
        work.commit().await.unwrap();
        assert_eq!(answer(store.find(&erased.request, env.now()).await.unwrap()), Some(b"gone".to_vec()));
    })
    .await;
}

/// A process that seemed dead ends what it was at in the very moment in which another one begins it anew.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_late_end_and_a_new_beginning_one_holds() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        for round in 0..20 {
            let late = claim(&env, "one");
            assert_eq!(take(store, &late, env.now()).await, None);
            let now = env.clock.advance(LEASE);
            let new = again(&env, &late);
            let effect = user(&env, &format!("user{round}@example.com"));
            let ending = async {
                let mut work = store.begin().await.unwrap();
                work.users().insert(&effect, None).await.unwrap();
                let kept = work.idempotency().complete(&late, b"late").await.unwrap();
                if kept {
                    work.commit().await.unwrap();
                }
                kept
            };
            let (kept, found) = tokio::join!(ending, take(store, &new, now));
            assert_eq!(found.is_none(), !kept, "one of the two: {found:?}");
            assert_eq!(store.reader().users().find(effect.id).await.unwrap().is_some(), kept);
            if let Some(found) = found {
                assert_eq!(found.answer, Some(b"late".to_vec()));
            }
        }
    })
    .await;
}
