//! Licenses that several units of work change at once: none waits for another one that waits for it.
//!
//! Only on Postgres: SQLite has one writer at a time.

use std::{sync::Arc, time::Duration as Wait};

use portico_kernel::{
    RequestInfo, Scope,
    sealing::{SealError, Sealer},
};
use portico_licensing::{
    activation::Activation,
    issuing::{Entitlement, Issuance, LicensedPurchase},
    key::KeyVault,
    lease::LeaseEnds,
    license::{License, LicenseStatus},
    ports::{KeyDigests, LicensingRepositories},
    transfer::TransferOffer,
};
use portico_testkit::{TestDatabase, env};
use time::Duration;

use crate::{
    fixtures::{at_once, stored_tenant},
    licenses::{insert, license, machine, stored_purchase},
};

/// For units of work that make no keys.
struct NoKeys;

impl Sealer for NoKeys {
    fn seal(&self, _: &str, _: &[u8], _: &[u8]) -> Result<Vec<u8>, SealError> {
        panic!("no key is made")
    }

    fn open(&self, _: &str, _: &[u8], _: &[u8]) -> Option<Vec<u8>> {
        panic!("no key is read")
    }

    fn reseal(&self, _: &str, _: &[u8], _: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        panic!("no key is kept")
    }
}

impl KeyDigests for NoKeys {
    fn digest(&self, _: &str) -> [u8; 32] {
        panic!("no key is made")
    }

    fn digests(&self, _: &str) -> Vec<[u8; 32]> {
        panic!("no key is looked up")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_changes_is_not_waited_for() {
    let database = TestDatabase::postgres().await;
    let (env, store) = (env(), database.store());
    let tenant = stored_tenant(store, &env, "one").await.id;
    let stored = license(&env, tenant, None, 0);
    insert(store, &stored).await.unwrap();
    let now = env.now();
    let lapsed = Activation { lease_ends_at: Some(now), lapsed: true, ..machine(&env, &stored, "lapsed") };
    let offer = TransferOffer {
        tenant_id: tenant,
        license_id: stored.id,
        digest: env.random_bytes(),
        email: "ada@example.com".to_owned(),
        expires_at: now,
        created_at: now,
    };
    let mut work = store.begin().await.unwrap();
    work.activations().insert(&lapsed).await.unwrap();
    work.license_transfers().offer(&offer).await.unwrap();
    work.commit().await.unwrap();

    let mut refund = store.begin().await.unwrap();
    assert!(refund.licenses().lock(tenant, stored.id).await.unwrap().is_some());
    assert_eq!(refund.activations().delete_all(tenant, stored.id).await.unwrap(), 1);
    assert!(refund.license_transfers().withdraw(tenant, stored.id).await.unwrap());
    let mut schedule = store.begin().await.unwrap();
    let swept = async {
        let machines = schedule.activations().forget_lapsed(now, 10).await.unwrap();
        (machines, schedule.license_transfers().delete_expired(now).await.unwrap())
    };
    let swept = tokio::time::timeout(Wait::from_secs(10), swept).await.expect("it waits for nobody");
    assert_eq!(swept, (0, 0));
    // The other one thinks better of it.
    drop(refund);
    let mut again = store.begin().await.unwrap();
    assert!(again.licenses().lock(tenant, stored.id).await.unwrap().is_some());
    assert_eq!(again.activations().forget_lapsed(now, 10).await.unwrap(), 1);
    assert_eq!(again.license_transfers().delete_expired(now).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_and_ends_of_leases_do_not_wait_for_each_other_in_a_circle() {
    let database = TestDatabase::postgres().await;
    let (env, store) = (env(), database.store());
    let tenant = stored_tenant(store, &env, "one").await.id;
    let purchase = stored_purchase(store, &env, tenant).await;
    let now = env.now();
    // The units, the leases and the ids are in three different orders.
    for number in 0..16_i64 {
        let unit = u32::try_from(15 - number).unwrap();
        let stored = license(&env, tenant, Some(purchase), unit);
        insert(store, &stored).await.unwrap();
        let over = Some(now - Duration::minutes(number * 7 % 16));
        let held = Activation { lease_ends_at: over, ..machine(&env, &stored, "over") };
        let mut work = store.begin().await.unwrap();
        work.activations().insert(&held).await.unwrap();
        work.commit().await.unwrap();
    }
    let vault = KeyVault::new(Arc::new(NoKeys), Arc::new(NoKeys));
    at_once(store, 8, |store, number| {
        let (env, vault) = (env.clone(), vault.clone());
        async move {
            let mut work = store.begin().await.unwrap();
            if number % 2 == 0 {
                assert!(LeaseEnds::new(&mut work, &env).note().await.unwrap());
            } else {
                let refunded = LicensedPurchase {
                    tenant_id: tenant,
                    purchase_id: purchase,
                    entitlement: Entitlement::Withdrawn,
                    items: Vec::new(),
                };
                let scope = Scope::system(Some(tenant), RequestInfo::default());
                Issuance::new(&mut work, &scope, &env, &vault).follow(&refunded).await.unwrap();
            }
            work.commit().await.unwrap();
        }
    })
    .await;
    let mut reader = store.reader();
    let left: Vec<License> = reader.licenses().of_purchases(tenant, &[purchase]).await.unwrap();
    assert_eq!(left.len(), 16);
    assert!(left.iter().all(|license| license.status == LicenseStatus::Revoked));
}
