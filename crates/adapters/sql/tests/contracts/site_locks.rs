//! Sites of one name that are made and deleted at the same moment: none waits for another one that waits for it.

use portico_billing::subscription::SubscriptionStatus;
use portico_kernel::{
    Actor, Env, Meter, Permission, Permissions, PlatformRole, RequestInfo, Scope, StoreError, TenantId,
};
use portico_sites::{
    SitesError,
    ports::SiteRepositories,
    site::{NewSite, Site, Sites},
};
use portico_sql::SqlStore;
use portico_testkit::{env, on_each_database};

use crate::{
    fixtures::{at_once, stored_tenant, subscribe},
    usage::site_of,
};

fn owner(env: &Env, tenant: TenantId) -> Scope {
    let actor = Actor::User {
        id: env.new_id(),
        session: env.new_id(),
        email_verified: true,
        role: PlatformRole::Customer,
        impersonator: None,
    };
    let permissions = Permissions::from_list(&[Permission::SitesWrite, Permission::SitesDelete]);
    Scope::user(actor, Some(tenant), permissions, RequestInfo::default())
}

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
                let scope = owner(&env, tenant);
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
