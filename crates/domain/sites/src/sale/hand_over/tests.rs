use portico_kernel::{RequestInfo, Scope, TenantRole};
use serde_json::json;

use super::*;
use crate::{
    asset::AssetType,
    deployment::DeploymentStatus,
    domain::{DomainMode, DomainStatus},
    navigation::{Navigation, NewNavItem},
    page::{NewPage, PageStatus, Pages},
    section::{NewSection, SectionType, Sections},
    site::{NewSite, Sites},
    testing::{Store, env, member, tenant},
};

pub(in crate::sale) fn branding() -> (Colors, Fonts) {
    (Colors { primary: "#112233".to_owned(), ..Colors::default() }, Fonts::default())
}

pub(in crate::sale) fn system() -> Scope {
    Scope::system(None, RequestInfo::default())
}

fn asset(id: AssetId, owner: TenantId, now: Timestamp) -> Asset {
    Asset {
        id,
        tenant: owner,
        filename: "bread.jpg".to_owned(),
        content_type: AssetType::Jpeg,
        size: 1000,
        width: Some(640),
        height: Some(480),
        hash: "0".repeat(64),
        variants: Vec::new(),
        alt_text: None,
        purge_at: None,
        held: false,
        created_at: now,
        updated_at: now,
        version: 1,
    }
}

/// A sold site of tenant 1: a page with a picture, a domain, an entry of the navigation, and a picture that it does not show.
pub(in crate::sale) async fn sold(store: &mut Store) -> (Site, AssetId) {
    let (owner, env) = (member(TenantRole::Owner), env());
    let input = NewSite { name: "Bakery".to_owned(), ..NewSite::default() };
    let site = Sites::new(store, &owner, &env).create(input).await.unwrap();
    let (shown, other): (AssetId, AssetId) = (env.new_id(), env.new_id());
    store.assets.assets.extend([asset(shown, tenant(1), env.now()), asset(other, tenant(1), env.now())]);
    let page =
        NewPage { title: "Welcome".to_owned(), status: Some(PageStatus::Published), ..NewPage::default() };
    let page = Pages::new(store, &owner, &env).create(None, page).await.unwrap();
    let content = json!({"heading": "Fresh bread", "imageAssetId": shown});
    let section = NewSection { kind: Some(SectionType::Hero), content, ..NewSection::default() };
    Sections::new(store, &owner, &env).create(page.id, section).await.unwrap();
    let item = NewNavItem { label: "Home".to_owned(), page_id: Some(page.id), ..NewNavItem::default() };
    Navigation::new(store, &owner, &env).create(None, item).await.unwrap();
    let live = env.new_id();
    store.deployments.push(Deployment {
        id: live,
        tenant: tenant(1),
        site_id: site.id,
        status: DeploymentStatus::Live,
        progress: 100,
        error: None,
        created_at: env.now(),
        started_at: None,
        finished_at: None,
        cleaned_at: None,
    });
    store.domains.domains.push(Domain {
        id: env.new_id(),
        tenant: tenant(1),
        site_id: site.id,
        name: "bakery.example".to_owned(),
        mode: DomainMode::Primary,
        status: DomainStatus::Verified,
        reason: None,
        checked_at: Some(env.now()),
        verified_at: Some(env.now()),
        created_at: env.now(),
        updated_at: env.now(),
        records: Vec::new(),
        token: "proof".to_owned(),
        missing_since: None,
        misses: 0,
        round: 3,
        version: 1,
    });
    let stored = store.sites.last_mut().unwrap();
    (stored.status, stored.live_deployment_id) = (SiteStatus::ForSale, Some(live));
    let scope = system();
    let site = Sales::new(store, &scope, &env).sell(tenant(1), site.id).await.unwrap();
    store.take_events();
    store.jobs.clear();
    (site, shown)
}

#[tokio::test]
async fn a_paid_site_is_sold_once() {
    let (mut store, env, scope) = (Store::default(), env(), system());
    let (site, _) = sold(&mut store).await;
    assert_eq!(site.status, SiteStatus::Sold);
    let mut sales = Sales::new(&mut store, &scope, &env);
    assert!(matches!(sales.sell(tenant(1), site.id).await, Err(SitesError::SiteSold)));
    assert!(matches!(sales.sell(tenant(2), site.id).await, Err(SitesError::NotFound("site"))));
    store.sites[0].status = SiteStatus::Suspended;
    let suspended = Sales::new(&mut store, &scope, &env).sell(tenant(1), site.id).await;
    assert!(matches!(suspended, Err(SitesError::SiteSuspended)));
}

#[tokio::test]
async fn a_sale_that_is_taken_back_leaves_an_ordinary_site() {
    let (mut store, env, scope) = (Store::default(), env(), system());
    let (site, _) = sold(&mut store).await;
    let mut sales = Sales::new(&mut store, &scope, &env);
    assert!(matches!(sales.take_back(tenant(2), site.id).await, Err(SitesError::NotFound("site"))));
    for _ in 0..2 {
        let back = sales.take_back(tenant(1), site.id).await.unwrap();
        assert_eq!((back.status, back.price), (SiteStatus::Published, None));
    }
    assert_eq!(store.take_events(), ["site.unsold"]);
}

#[tokio::test]
async fn everything_that_visitors_see_goes_to_the_buyer() {
    let (mut store, env, scope) = (Store::default(), env(), system());
    let (site, shown) = sold(&mut store).await;
    let mut sales = Sales::new(&mut store, &scope, &env);
    let parcel = sales.parcel(tenant(1), site.id).await.unwrap();
    assert_eq!(
        parcel.assets.iter().map(|asset| asset.id).collect::<Vec<_>>(),
        [shown],
        "what it does not show stays"
    );
    let handed = sales.hand_over(tenant(1), site.id, tenant(2), branding(), &[shown]).await.unwrap();
    assert_eq!(handed.bytes, 1000);
    let theirs = &handed.site;
    assert_eq!((theirs.id, theirs.tenant_id, theirs.status), (site.id, tenant(2), SiteStatus::Published));
    assert_eq!((&theirs.subdomain, theirs.live_deployment_id), (&site.subdomain, site.live_deployment_id));
    assert_eq!((theirs.price.as_ref(), theirs.custom_domain.as_ref()), (None, site.custom_domain.as_ref()));
    let look = theirs.look.as_ref().unwrap();
    assert_eq!(look.colors.as_ref().unwrap().primary, "#112233", "as the seller's branding had it");

    assert!(store.sites.iter().all(|site| site.tenant_id == tenant(2)));
    assert!(store.pages.iter().all(|page| page.tenant == tenant(2)) && store.pages.len() == 1);
    assert!(store.sections.iter().all(|section| section.tenant == tenant(2)) && store.sections.len() == 1);
    assert!(store.items.iter().all(|item| item.tenant == tenant(2)) && store.items.len() == 1);
    assert!(store.deployments.iter().all(|live| live.tenant == tenant(2)) && store.deployments.len() == 1);
    let domain = &store.domains.domains[0];
    assert_eq!((domain.tenant, domain.status, domain.round), (tenant(2), DomainStatus::Verified, 4));
    assert_eq!(
        (store.domains.domains.len(), domain.token.as_str()),
        (1, "proof"),
        "the proof in the DNS stays good"
    );
    let pictures: Vec<_> =
        store.assets.assets.iter().filter(|asset| asset.id == shown).map(|asset| asset.tenant).collect();
    assert_eq!(pictures, [tenant(1), tenant(2)], "the seller keeps the file");

    let jobs: Vec<_> = store.jobs.iter().map(|job| (job.kind, job.tenant)).collect();
    assert_eq!(jobs, [("site.purge", tenant(1)), ("domain.check", tenant(2))]);
    let events: Vec<_> = store.events.iter().map(|event| (event.kind.to_string(), event.tenant)).collect();
    let kinds: Vec<_> = events.iter().map(|(kind, tenant)| (kind.as_str(), *tenant)).collect();
    assert_eq!(
        kinds,
        [("site.handed_over", tenant(1)), ("site.received", tenant(2)), ("page.created", tenant(2))]
    );
    assert!(store.events[0].before.is_some() && store.events[1].after.is_some());
    assert!(
        site::changes(&store.events[..2]).is_empty(),
        "a buyer who claims it changes nothing that is frozen"
    );
}

#[tokio::test]
async fn a_site_that_changed_since_its_files_were_copied_is_not_handed_over() {
    let (mut store, env, scope) = (Store::default(), env(), system());
    let (site, _) = sold(&mut store).await;
    let mut sales = Sales::new(&mut store, &scope, &env);
    let stale = sales.hand_over(tenant(1), site.id, tenant(2), branding(), &[]).await;
    assert!(matches!(stale, Err(SitesError::Store(StoreError::Stale))));
    let missing = sales.hand_over(tenant(2), site.id, tenant(2), branding(), &[]).await;
    assert!(matches!(missing, Err(SitesError::NotFound("site"))));
    assert_eq!(store.sites[0].tenant_id, tenant(1));
    assert!(store.events.is_empty());
}

#[tokio::test]
async fn only_a_sold_site_is_handed_over() {
    let (mut store, env, scope) = (Store::default(), env(), system());
    let (site, shown) = sold(&mut store).await;
    for status in SiteStatus::ALL.into_iter().filter(|status| *status != SiteStatus::Sold) {
        store.sites[0].status = status;
        let refused = Sales::new(&mut store, &scope, &env)
            .hand_over(tenant(1), site.id, tenant(2), branding(), &[shown])
            .await;
        let code = portico_kernel::Fault::code(&refused.unwrap_err());
        assert_eq!(code, if status == SiteStatus::Suspended { "site_suspended" } else { "not_for_sale" });
        assert_eq!((store.sites.len(), store.sites[0].tenant_id), (1, tenant(1)), "{status:?}");
        assert!(store.events.is_empty() && store.jobs.is_empty());
    }
}
