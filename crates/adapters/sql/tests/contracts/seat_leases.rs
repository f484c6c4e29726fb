//! Leases of `portico_licensing::ports::ActivationRepository`.

use portico_kernel::{Env, PageRequest};
use portico_licensing::{activation::Activation, license::License, ports::LicensingRepositories};
use portico_sql::SqlStore;
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::{
    fixtures::{at_once, stored_tenant},
    licenses::{insert, license, machine},
};

async fn stored(store: &SqlStore, env: &Env) -> License {
    let tenant = stored_tenant(store, env, "one").await.id;
    let mut stored = license(env, tenant, None, 0);
    stored.terms.lease_seconds = Some(600);
    insert(store, &stored).await.unwrap();
    stored
}

async fn put(store: &SqlStore, machine: &Activation) {
    let mut work = store.begin().await.unwrap();
    work.activations().insert(machine).await.unwrap();
    work.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seat_is_held_until_its_lease_is_over_and_noted_once() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let license = stored(store, &env).await;
        let (tenant, id, now) = (license.tenant_id, license.id, env.now());
        assert_eq!(
            store.reader().licenses().find(tenant, id).await.unwrap(),
            Some(license.clone()),
            "with terms"
        );
        let until = |fingerprint: &str, end| Activation {
            lease_ends_at: Some(end),
            ..machine(&env, &license, fingerprint)
        };
        let for_good = machine(&env, &license, "for good");
        let held = until("held", now + Duration::SECOND);
        let over = until("over", now);
        let earlier = until("earlier", now - Duration::HOUR);
        let lapsed = Activation { lapsed: true, ..until("lapsed", now - Duration::HOUR) };
        for machine in [&for_good, &held, &over, &earlier, &lapsed] {
            put(store, machine).await;
        }
        let mut reader = store.reader();
        assert_eq!(reader.activations().count(tenant, id, now).await.unwrap(), 2);
        assert_eq!(reader.activations().count(tenant, id, now + Duration::SECOND).await.unwrap(), 1);
        let page = reader.activations().list(tenant, id, now, PageRequest::default()).await.unwrap();
        let mut names: Vec<_> = page.items.iter().map(|machine| machine.fingerprint.as_str()).collect();
        names.sort_unstable();
        assert_eq!((names, page.total), (vec!["for good", "held"], 2));
        let listed = reader.licenses().list(tenant, now, PageRequest::default()).await.unwrap();
        assert_eq!(listed.items[0].activations, 2);
        let found = reader.activations().of_fingerprint(tenant, id, "lapsed").await.unwrap();
        assert_eq!(found, Some(lapsed.clone()), "it is known");

        let lapsing = reader.activations().lapsing(now, 10).await.unwrap();
        assert_eq!(lapsing, [earlier.clone(), over]);
        assert_eq!(reader.activations().lapsing(now, 1).await.unwrap(), [earlier]);
        let mut work = store.begin().await.unwrap();
        assert_eq!(work.activations().forget_lapsed(now - Duration::DAY, 10).await.unwrap(), 0);
        assert_eq!(
            work.activations().forget_lapsed(now, 10).await.unwrap(),
            1,
            "and none that was not noted"
        );
        assert_eq!(work.activations().find(tenant, id, lapsed.id).await.unwrap(), None);
        work.commit().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_that_take_the_last_seats_at_once_as_many_do_as_leases_are_over() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let license = stored(store, &env).await;
        let (tenant, id, now) = (license.tenant_id, license.id, env.now());
        // Three seats, two of them with a lease that is over.
        for (name, end) in [("a", now), ("b", now - Duration::HOUR), ("c", now + Duration::HOUR)] {
            put(store, &Activation { lease_ends_at: Some(end), ..machine(&env, &license, name) }).await;
        }
        let lease = license.terms.lease_end(now, None);
        let machines: Vec<_> = (0..64)
            .map(|number| Activation {
                lease_ends_at: lease,
                ..machine(&env, &license, &format!("f{number}"))
            })
            .collect();
        let taken = at_once(store, 64, move |store, number| {
            let machine = machines[number].clone();
            async move {
                let mut work = store.begin().await.unwrap();
                assert!(work.licenses().lock(tenant, id).await.unwrap().is_some());
                let is_free = work.activations().count(tenant, id, now).await.unwrap() < 3;
                if is_free {
                    work.activations().insert(&machine).await.unwrap();
                    work.commit().await.unwrap();
                }
                is_free
            }
        })
        .await;
        assert_eq!(taken.into_iter().filter(|taken| *taken).count(), 2);
        assert_eq!(store.reader().activations().count(tenant, id, now).await.unwrap(), 3);
    })
    .await;
}
