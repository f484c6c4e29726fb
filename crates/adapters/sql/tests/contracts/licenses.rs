//! `portico_licensing::ports`.

use portico_billing::{
    ports::BillingRepositories,
    purchase::{Purchase, PurchaseStatus},
};
use portico_kernel::{Env, LicenseId, PageRequest, PurchaseId, StoreError, TenantId};
use portico_licensing::{
    activation::Activation,
    key::SealedKey,
    license::{License, LicenseStatus, Move, SeatReleases},
    policy::{LicensePolicy, catalogue},
    ports::{LicenseFilter, LicensingRepositories},
    succession::LicensePlace,
    transfer::TransferOffer,
};
use portico_sql::SqlStore;
use portico_testkit::{env, on_each_database};
use time::{Date, Duration, Month};

use crate::fixtures::{at_once, stored_tenant, stored_user};

/// A license of a unit of a purchase; of none where there is no purchase.
pub fn license(env: &Env, tenant: TenantId, purchase: Option<PurchaseId>, unit: u32) -> License {
    let policy = catalogue().remove(0);
    License {
        id: env.new_id(),
        tenant_id: tenant,
        key: SealedKey { digest: env.random_bytes(), sealed: vec![0, 1, 255] },
        product_type: policy.product_type,
        product_name: "Licencia ñ".to_owned(),
        purchase_id: purchase,
        unit: purchase.map(|_| (0, unit)),
        status: LicenseStatus::Active,
        suspended_by: None,
        expires_at: None,
        supported_until: Some(env.now() + Duration::DAY),
        activation_limit: Some(3),
        terms: policy.terms,
        releases: SeatReleases::default(),
        created_at: env.now(),
    }
}

/// A machine that holds a seat until it is freed.
pub fn machine(env: &Env, license: &License, fingerprint: &str) -> Activation {
    Activation {
        id: env.new_id(),
        tenant_id: license.tenant_id,
        license_id: license.id,
        fingerprint: fingerprint.to_owned(),
        name: Some("Caja ñ".to_owned()),
        platform: None,
        ip: Some("192.0.2.7".to_owned()),
        activated_at: env.now(),
        last_seen_at: env.now(),
        offline_until: None,
        lease_ends_at: None,
        lapsed: false,
    }
}

/// A purchase that is paid.
pub async fn stored_purchase(store: &SqlStore, env: &Env, tenant: TenantId) -> PurchaseId {
    let id: PurchaseId = env.new_id();
    let buyer = stored_user(store, env, &format!("{id}@example.com")).await;
    let purchase = Purchase {
        id,
        tenant_id: tenant,
        user_id: buyer.id,
        amount: 35900,
        currency: "usd".to_owned(),
        status: PurchaseStatus::Completed,
        items: Vec::new(),
        discount: 0,
        coupon: None,
        refunded_amount: 0,
        created_at: env.now(),
        completed_at: Some(env.now()),
    };
    let mut work = store.begin().await.unwrap();
    work.purchases().insert(&purchase).await.unwrap();
    work.commit().await.unwrap();
    id
}

/// Stores it.
pub async fn insert(store: &SqlStore, license: &License) -> Result<(), StoreError> {
    let mut work = store.begin().await.unwrap();
    work.licenses().insert(license).await?;
    work.commit().await
}

async fn tenants(store: &SqlStore, env: &Env) -> (TenantId, TenantId) {
    (stored_tenant(store, env, "one").await.id, stored_tenant(store, env, "two").await.id)
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_that_are_there_stay_as_they_are() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let policy = catalogue().remove(0);
        let other = LicensePolicy { seats: None, ..policy.clone() };
        let mut work = store.begin().await.unwrap();
        assert!(work.license_policies().insert_missing(&policy, env.now()).await.unwrap());
        assert!(!work.license_policies().insert_missing(&other, env.now()).await.unwrap());
        assert_eq!(work.license_policies().find("base_product").await.unwrap(), Some(policy));
        assert_eq!(work.license_policies().find("mug").await.unwrap(), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn licenses_belong_to_their_tenant_and_a_unit_has_one() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) = tenants(store, &env).await;
        let purchase = stored_purchase(store, &env, ours).await;
        let second = license(&env, ours, Some(purchase), 1);
        let first = license(&env, ours, Some(purchase), 0);
        let by_hand = license(&env, ours, None, 0);
        for license in [&second, &first, &by_hand, &license(&env, ours, None, 0)] {
            insert(store, license).await.unwrap();
        }
        let twice = license(&env, ours, Some(purchase), 1);
        assert!(matches!(insert(store, &twice).await, Err(StoreError::Conflict(_))), "the unit has one");
        let same_key = License { key: first.key.clone(), ..license(&env, theirs, None, 0) };
        assert!(matches!(insert(store, &same_key).await, Err(StoreError::Conflict(_))), "the key is taken");
        let foreign = license(&env, theirs, Some(purchase), 5);
        assert!(matches!(insert(store, &foreign).await, Err(StoreError::MissingReference(_))));

        let mut reader = store.reader();
        assert_eq!(reader.licenses().find(ours, first.id).await.unwrap(), Some(first.clone()));
        assert_eq!(reader.licenses().find(theirs, first.id).await.unwrap(), None);
        assert_eq!(reader.licenses().tenant_of(first.id).await.unwrap(), Some(ours));
        assert_eq!(reader.licenses().tenant_of(env.new_id()).await.unwrap(), None);
        let digests = [env.random_bytes(), first.key.digest];
        assert_eq!(reader.licenses().owner_of(&digests).await.unwrap(), Some((ours, first.id)));
        assert_eq!(reader.licenses().owner_of(&digests[..1]).await.unwrap(), None);
        let of = reader.licenses().of_purchases(ours, &[purchase, env.new_id()]).await.unwrap();
        assert_eq!(of, [first.clone(), second], "by item and unit");
        assert_eq!(reader.licenses().of_purchases(theirs, &[purchase]).await.unwrap(), []);
        assert_eq!(reader.licenses().of_purchases(ours, &[]).await.unwrap(), []);
        let list = reader.licenses().list(ours, env.now(), PageRequest { page: 2, limit: 2 }).await.unwrap();
        assert_eq!((list.items.len(), list.total, list.items[1].activations), (2, 4, 0));
        assert_eq!(reader.licenses().list(theirs, env.now(), PageRequest::default()).await.unwrap().total, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_16_that_issue_a_unit_at_once_one_does() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (tenant, _) = tenants(store, &env).await;
        let purchase = stored_purchase(store, &env, tenant).await;
        let licenses: Vec<License> = (0..16).map(|_| license(&env, tenant, Some(purchase), 0)).collect();
        let stored = at_once(store, 16, move |store, number| {
            let license = licenses[number].clone();
            async move {
                match insert(&store, &license).await {
                    Ok(()) => true,
                    Err(StoreError::Conflict(_)) => false,
                    Err(error) => panic!("{error}"),
                }
            }
        })
        .await;
        assert_eq!(stored.into_iter().filter(|stored| *stored).count(), 1);
        let mut reader = store.reader();
        assert_eq!(reader.licenses().of_purchases(tenant, &[purchase]).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_status_and_releases_change_and_a_key_is_replaced_as_a_whole() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (tenant, other) = tenants(store, &env).await;
        let stored = license(&env, tenant, None, 0);
        let neighbour = license(&env, other, None, 0);
        insert(store, &stored).await.unwrap();
        insert(store, &neighbour).await.unwrap();
        let month = Date::from_calendar_date(2026, Month::November, 1).unwrap();
        let releases = SeatReleases { month: Some(month), count: 4 };
        let changed = License { releases, ..stored.after(Move::Dispute) };
        let spoilt = License {
            product_type: "mug".to_owned(),
            activation_limit: None,
            key: neighbour.key.clone(),
            ..changed.clone()
        };
        let mut work = store.begin().await.unwrap();
        work.licenses().update(&spoilt).await.unwrap();
        work.commit().await.unwrap();
        let mut reader = store.reader();
        assert_eq!(reader.licenses().find(tenant, stored.id).await.unwrap(), Some(changed.clone()));

        let mut work = store.begin().await.unwrap();
        let taken = work.licenses().replace_key(&spoilt).await;
        assert!(matches!(taken, Err(StoreError::Conflict(_))), "{taken:?}");
        drop(work);
        let key = SealedKey { digest: env.random_bytes(), sealed: vec![9] };
        let anew = License { key, ..changed };
        let mut work = store.begin().await.unwrap();
        work.licenses().replace_key(&anew).await.unwrap();
        work.commit().await.unwrap();
        assert_eq!(reader.licenses().find(tenant, stored.id).await.unwrap(), Some(anew.clone()));
        assert_eq!(reader.licenses().owner_of(&[stored.key.digest]).await.unwrap(), None);
        let owner = reader.licenses().owner_of(&[anew.key.digest]).await.unwrap();
        assert_eq!(owner, Some((tenant, stored.id)));
        let all = reader.licenses().stored(None, 10).await.unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(reader.licenses().stored(Some(all[0].id), 10).await.unwrap(), all[1..]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_find_licenses_by_what_they_are_now() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (one, other) = tenants(store, &env).await;
        let now = env.now();
        let over = License { expires_at: Some(now), ..license(&env, one, None, 0) };
        let noted =
            License { id: env.new_id(), key: license(&env, one, None, 0).key, ..over.after(Move::Expire) };
        let lasting = License { expires_at: Some(now + Duration::SECOND), ..license(&env, one, None, 0) };
        let held = license(&env, other, None, 0).after(Move::Suspend);
        let ended = license(&env, other, None, 0).after(Move::Revoke);
        let mug = License { product_type: "mug".to_owned(), ..license(&env, other, None, 0) };
        for license in [&over, &noted, &lasting, &held, &ended, &mug] {
            insert(store, license).await.unwrap();
        }
        let found = async |filter: LicenseFilter| {
            let mut reader = store.reader();
            let page = reader.licenses().managed(true, &filter, now, PageRequest::default()).await.unwrap();
            assert_eq!(page.total, page.items.len() as u64);
            let mut ids: Vec<LicenseId> =
                page.items.into_iter().map(|item| item.counted.license.id).collect();
            ids.sort_unstable();
            ids
        };
        let sorted = |licenses: &[&License]| {
            let mut ids: Vec<LicenseId> = licenses.iter().map(|license| license.id).collect();
            ids.sort_unstable();
            ids
        };
        let any = LicenseFilter::default;
        let with = |status| LicenseFilter { status: Some(status), ..any() };
        for (filter, expected) in [
            (any(), sorted(&[&over, &noted, &lasting, &held, &ended, &mug])),
            (with(LicenseStatus::Active), sorted(&[&lasting, &mug])),
            (with(LicenseStatus::Expired), sorted(&[&over, &noted])),
            (with(LicenseStatus::Suspended), sorted(&[&held])),
            (with(LicenseStatus::Revoked), sorted(&[&ended])),
            (LicenseFilter { tenant: Some(other), ..any() }, sorted(&[&held, &ended, &mug])),
            (LicenseFilter { product_type: Some("mug".to_owned()), ..any() }, sorted(&[&mug])),
            (LicenseFilter { digests: Some(vec![[0; 32], held.key.digest]), ..any() }, sorted(&[&held])),
            (
                LicenseFilter {
                    tenant: Some(one),
                    product_type: Some("mug".to_owned()),
                    ..with(LicenseStatus::Active)
                },
                vec![],
            ),
        ] {
            assert_eq!(found(filter.clone()).await, expected, "{filter:?}");
        }
        let mut reader = store.reader();
        let ids = |licenses: Vec<License>| licenses.into_iter().map(|license| license.id).collect::<Vec<_>>();
        assert_eq!(ids(reader.licenses().ended(now, 10).await.unwrap()), [over.id], "and no other status");
        let later = now + Duration::DAY;
        assert_eq!(ids(reader.licenses().ended(later, 10).await.unwrap()), [over.id, lasting.id]);
        assert_eq!(ids(reader.licenses().ended(later, 1).await.unwrap()), [over.id]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_there_once_for_a_license() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (tenant, other) = tenants(store, &env).await;
        let stored = license(&env, tenant, None, 0);
        env.clock.advance(Duration::SECOND);
        let second = license(&env, tenant, None, 0);
        insert(store, &stored).await.unwrap();
        insert(store, &second).await.unwrap();
        let one = machine(&env, &stored, "f1");
        env.clock.advance(Duration::SECOND);
        let two = machine(&env, &stored, "f2");
        let elsewhere = machine(&env, &second, "f1");
        let mut work = store.begin().await.unwrap();
        for machine in [&one, &two, &elsewhere] {
            work.activations().insert(machine).await.unwrap();
        }
        work.commit().await.unwrap();
        for (wrong, is_conflict) in [
            (machine(&env, &stored, "f1"), true),
            (Activation { tenant_id: other, ..machine(&env, &stored, "f9") }, false),
        ] {
            let mut work = store.begin().await.unwrap();
            let refused = work.activations().insert(&wrong).await.unwrap_err();
            assert_eq!(matches!(refused, StoreError::Conflict(_)), is_conflict, "{refused:?}");
            assert_eq!(matches!(refused, StoreError::MissingReference(_)), !is_conflict, "{refused:?}");
        }
        let mut reader = store.reader();
        assert_eq!(reader.activations().count(tenant, stored.id, env.now()).await.unwrap(), 2);
        assert_eq!(reader.activations().count(other, stored.id, env.now()).await.unwrap(), 0);
        let page =
            reader.activations().list(tenant, stored.id, env.now(), PageRequest::default()).await.unwrap();
        assert_eq!(page.items, [two.clone(), one.clone()], "the one activated last first");
        let of = reader.activations().of_fingerprint(tenant, stored.id, "f1").await.unwrap();
        assert_eq!(of, Some(one.clone()));
        assert_eq!(reader.activations().of_fingerprint(other, stored.id, "f1").await.unwrap(), None);
        assert_eq!(reader.activations().find(tenant, stored.id, one.id).await.unwrap(), Some(one.clone()));
        assert_eq!(reader.activations().find(tenant, second.id, one.id).await.unwrap(), None);
        assert_eq!(reader.activations().find(other, stored.id, one.id).await.unwrap(), None);
        let counted = reader.licenses().list(tenant, env.now(), PageRequest::default()).await.unwrap();
        let counts: Vec<_> = counted.items.iter().map(|item| (item.license.id, item.activations)).collect();
        assert_eq!(counts, [(second.id, 1), (stored.id, 2)]);

        let seen = Activation {
            name: None,
            platform: Some("linux".to_owned()),
            ip: None,
            last_seen_at: env.now() + Duration::MINUTE,
            offline_until: Some(env.now() + Duration::DAY),
            lease_ends_at: Some(env.now() + Duration::DAY),
            lapsed: true,
            ..one.clone()
        };
        let mut work = store.begin().await.unwrap();
        let spoilt =
            Activation { fingerprint: "f7".to_owned(), activated_at: seen.last_seen_at, ..seen.clone() };
        work.activations().update(&spoilt).await.unwrap();
        assert_eq!(work.activations().delete(tenant, second.id, one.id).await.unwrap(), None);
        assert_eq!(work.activations().delete(other, stored.id, one.id).await.unwrap(), None);
        assert_eq!(work.activations().delete(tenant, stored.id, one.id).await.unwrap(), Some(seen));
        assert_eq!(work.activations().delete(tenant, stored.id, one.id).await.unwrap(), None);
        assert_eq!(work.activations().delete_all(tenant, stored.id).await.unwrap(), 1);
        work.commit().await.unwrap();
        assert_eq!(reader.activations().count(tenant, stored.id, env.now()).await.unwrap(), 0);
        assert_eq!(reader.activations().count(tenant, second.id, env.now()).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_is_replaced_withdrawn_or_leads_to_the_license_that_follows() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (tenant, other) = tenants(store, &env).await;
        let stored = license(&env, tenant, None, 0);
        let heir = license(&env, other, None, 0);
        insert(store, &stored).await.unwrap();
        insert(store, &heir).await.unwrap();
        let offer = |email: &str| TransferOffer {
            tenant_id: tenant,
            license_id: stored.id,
            digest: env.random_bytes(),
            email: email.to_owned(),
            expires_at: env.now() + Duration::DAY,
            created_at: env.now(),
        };
        let mut work = store.begin().await.unwrap();
        work.license_transfers().offer(&offer("a@example.com")).await.unwrap();
        let second = offer("b@example.com");
        work.license_transfers().offer(&second).await.unwrap();
        assert_eq!(work.license_transfers().find(tenant, stored.id).await.unwrap(), Some(second.clone()));
        assert_eq!(work.license_transfers().find(other, stored.id).await.unwrap(), None);
        assert_eq!(work.license_transfers().heir(tenant, stored.id).await.unwrap(), None);
        assert!(!work.license_transfers().withdraw(other, stored.id).await.unwrap());
        assert!(work.license_transfers().withdraw(tenant, stored.id).await.unwrap());
        assert!(!work.license_transfers().withdraw(tenant, stored.id).await.unwrap());
        let to = (other, heir.id);
        assert!(!work.license_transfers().accept(tenant, stored.id, to).await.unwrap(), "it was taken back");
        assert_eq!(work.license_transfers().heir(tenant, stored.id).await.unwrap(), None);
        work.license_transfers().offer(&second).await.unwrap();
        assert_eq!(work.license_transfers().delete_expired(env.now()).await.unwrap(), 0);
        assert!(work.license_transfers().accept(tenant, stored.id, to).await.unwrap());
        assert!(!work.license_transfers().accept(tenant, stored.id, to).await.unwrap(), "it was accepted");
        assert_eq!(work.license_transfers().heir(tenant, stored.id).await.unwrap(), Some(to));
        assert_eq!(work.license_transfers().find(tenant, stored.id).await.unwrap(), None);
        let (from, to) = (LicensePlace::of(&stored), LicensePlace::of(&heir));
        for (place, follower, origin) in [(from, Some(to), None), (to, None, Some(from))] {
            let (whose, id) = (place.tenant_id, place.license_id);
            let found = work.licenses().find_managed(whose, id, env.now()).await.unwrap().unwrap();
            assert_eq!((found.counted.heir, found.follows), (follower, origin), "{place:?}");
            let counted = work.licenses().find_counted(whose, id, env.now()).await.unwrap();
            assert_eq!(counted, Some(found.counted));
        }
        assert_eq!(work.licenses().find_managed(other, stored.id, env.now()).await.unwrap(), None);
        assert_eq!(work.licenses().find_counted(other, stored.id, env.now()).await.unwrap(), None);
        assert!(!work.license_transfers().withdraw(tenant, stored.id).await.unwrap());
        let late = env.now() + Duration::WEEK;
        assert_eq!(work.license_transfers().delete_expired(late).await.unwrap(), 0, "it was accepted");
        let open = TransferOffer { tenant_id: other, license_id: heir.id, ..offer("c@example.com") };
        work.license_transfers().offer(&open).await.unwrap();
        assert_eq!(work.license_transfers().delete_expired(late).await.unwrap(), 1);
        work.commit().await.unwrap();
        let mut work = store.begin().await.unwrap();
        let foreign = TransferOffer { license_id: heir.id, ..second };
        let refused = work.license_transfers().offer(&foreign).await;
        assert!(matches!(refused, Err(StoreError::MissingReference(_))), "{refused:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_16_that_put_a_machine_there_at_once_one_does() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (tenant, _) = tenants(store, &env).await;
        let stored = license(&env, tenant, None, 0);
        insert(store, &stored).await.unwrap();
        let id = stored.id;
        let machines: Vec<_> = (0..16).map(|_| machine(&env, &stored, "same")).collect();
        // Without the lock of the license: the fingerprint itself is there once.
        let stored = at_once(store, 16, move |store, number| {
            let machine = machines[number].clone();
            async move {
                let mut work = store.begin().await.unwrap();
                let inserted = work.activations().insert(&machine).await;
                match inserted {
                    Ok(()) => {
                        work.commit().await.unwrap();
                        true
                    }
                    Err(StoreError::Conflict(_)) => false,
                    Err(error) => panic!("{error}"),
                }
            }
        })
        .await;
        assert_eq!(stored.into_iter().filter(|stored| *stored).count(), 1);
        assert_eq!(store.reader().activations().count(tenant, id, env.now()).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_locks_a_license_waits_and_sees_what_the_one_before_has_stored() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (tenant, _) = tenants(store, &env).await;
        let stored = license(&env, tenant, None, 0);
        insert(store, &stored).await.unwrap();
        let id = stored.id;
        let mut seen = at_once(store, 16, move |store, _| async move {
            let mut work = store.begin().await.unwrap();
            let license = work.licenses().lock(tenant, id).await.unwrap().unwrap();
            let releases = SeatReleases { count: license.releases.count + 1, ..license.releases };
            work.licenses().update(&License { releases, ..license.clone() }).await.unwrap();
            work.commit().await.unwrap();
            license.releases.count
        })
        .await;
        seen.sort_unstable();
        assert_eq!(seen, (0..16).collect::<Vec<u32>>(), "none read what another one was about to change");
        let last = store.reader().licenses().find(tenant, id).await.unwrap().unwrap();
        assert_eq!(last.releases.count, 16);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_locks_a_license_sees_the_seats_that_the_one_before_has_taken() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (tenant, _) = tenants(store, &env).await;
        let stored = license(&env, tenant, None, 0);
        insert(store, &stored).await.unwrap();
        let machines: Vec<_> = (0..16).map(|number| machine(&env, &stored, &format!("f{number}"))).collect();
        let (id, now) = (stored.id, env.now());
        let mut seen = at_once(store, 16, move |store, number| {
            let machine = machines[number].clone();
            async move {
                let mut work = store.begin().await.unwrap();
                assert!(work.licenses().lock(tenant, id).await.unwrap().is_some());
                let taken = work.activations().count(tenant, id, now).await.unwrap();
                work.activations().insert(&machine).await.unwrap();
                work.commit().await.unwrap();
                taken
            }
        })
        .await;
        seen.sort_unstable();
        assert_eq!(seen, (0..16).collect::<Vec<u64>>());
    })
    .await;
}
