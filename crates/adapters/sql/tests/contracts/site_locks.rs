//! Sites that are made, deleted and handed over at the same moment: none waits for another one that waits for it.

use portico_billing::{period::Period, ports::BillingRepositories, subscription::SubscriptionStatus};
use portico_kernel::{Env, Meter, Permission, Scope, StoreError};
use portico_sites::{
    SitesError,
    ports::SiteRepositories,
    site::{NewSite, Site, Sites},
};
use portico_sql::SqlStore;
use portico_testkit::{env, on_each_database};

use crate::{
    fixtures::{at_once, member_scope, stored_tenant, subscribe},
    usage::site_of,
};

/// Makes a site as the API does, or as the wizard, which counts it before it decides about its branding.
async fn make(
    store: &SqlStore,
    env: &Env,
    scope: &Scope,
    wish: &Site,
    by_wizard: bool,
) -> Result<Site, SitesError> {
    let mut work = store.begin().await?;
    let site = if by_wizard {
        work.entitlements().take(wish.tenant_id, Meter::Sites, 1).await?;
        work.sites().insert(wish).await?;
        wish.clone()
    } else {
        let subdomain = Some(wish.subdomain.to_string());
        let new = NewSite { name: wish.name.clone(), subdomain, ..NewSite::default() };
        Sites::new(&mut work, scope, env).create(new).await?
    };
    work.commit().await?;
    Ok(site)
}

async fn delete(store: &SqlStore, env: &Env, scope: &Scope, site: &Site) -> Result<(), SitesError> {
    let mut work = store.begin().await?;
    Sites::new(&mut work, scope, env).delete(site.id, None).await?;
    Ok(work.commit().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn sites_of_one_name_do_not_wait_for_each_other_in_a_circle() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "one").await.id;
        subscribe(store, &env, tenant, "everything", SubscriptionStatus::Active).await;
        let made = at_once(store, 12, |store, number| {
            let env = env.clone();
            async move {
                let scope = member_scope(&env, tenant, &[Permission::SitesWrite, Permission::SitesDelete]);
                let mut made = 0_usize;
                for _ in 0..8 {
                    let wish = site_of(&env, tenant, "bakery");
                    let outcome = make(&store, &env, &scope, &wish, number.is_multiple_of(2)).await;
                    match outcome {
                        Ok(site) => {
                            delete(&store, &env, &scope, &site).await.unwrap();
                            made += 1;
                        }
                        // Somebody else has the name at the moment.
                        Err(SitesError::SubdomainTaken | SitesError::Store(StoreError::Conflict(_))) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
                made
            }
        })
        .await;
        assert!(made.iter().sum::<usize>() > 0, "{made:?}");
        assert_eq!(store.reader().sites().primary(tenant).await.unwrap(), None, "all were deleted");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_to_and_fro_between_two_tenants_does_not_wait_in_a_circle() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let mut tenants = Vec::new();
        for name in ["one", "two"] {
            let tenant = stored_tenant(store, &env, name).await.id;
            subscribe(store, &env, tenant, "everything", SubscriptionStatus::Active).await;
            let mut work = store.begin().await.unwrap();
            work.entitlements().take(tenant, Meter::Sites, 50).await.unwrap();
            work.commit().await.unwrap();
            tenants.push(tenant);
        }
        let (one, two) = (tenants[0], tenants[1]);
        at_once(store, 32, |store, number| async move {
            let (from, to) = if number.is_multiple_of(2) { (one, two) } else { (two, one) };
            let mut work = store.begin().await.unwrap();
            work.entitlements().transfer(Meter::Sites, (from, 1), (to, 1)).await.unwrap();
            work.commit().await.unwrap();
        })
        .await;
        for tenant in tenants {
            let used = store.reader().meters().used(tenant, Meter::Sites, Period::Standing).await.unwrap();
            assert_eq!(used, 50);
        }
    })
    .await;
}
