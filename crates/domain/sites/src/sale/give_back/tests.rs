use portico_kernel::{DomainId, SectionId, name::Slug};
use time::Duration;
use uuid::Uuid;

use super::*;
use crate::{
    domain::Domain,
    navigation::NavItem,
    page::Page,
    sale::hand_over::tests::{branding, sold, system},
    section::Section,
    testing::{Store, env, tenant},
};

/// A site that tenant 2 has bought from tenant 1, with the picture that it shows and when it was sold.
async fn bought(store: &mut Store) -> (Site, AssetId, Timestamp) {
    let (site, shown) = sold(store).await;
    let (scope, env, sold_at) = (system(), env(), site.updated_at);
    let mut sales = Sales::new(store, &scope, &env);
    let handed = sales.hand_over(tenant(1), site.id, tenant(2), branding(), &[shown]).await.unwrap();
    store.take_events();
    store.jobs.clear();
    (handed.site, shown, sold_at)
}

#[tokio::test]
async fn the_seller_gets_what_they_sold_and_what_visitors_saw_as_a_draft() {
    let (mut store, env, scope) = (Store::default(), env(), system());
    let (site, shown, sold_at) = bought(&mut store).await;
    let later = sold_at + Duration::DAY;
    // Of the time of the buyer: a page that visitors see, a draft with an entry, a page that is not deployed yet, and a domain.
    let page = store.pages[0].clone();
    for (number, status, slug, days) in [
        (101, PageStatus::Published, "news", 1),
        (102, PageStatus::Draft, "secret", 1),
        (106, PageStatus::Published, "planned", 3),
    ] {
        let (id, slug) = (PageId::from_uuid(Uuid::from_u128(number)), Slug::from_title(slug));
        let mut added = Page { id, status, slug, is_home: false, ..page.clone() };
        (added.created_at, added.updated_at) = (later, sold_at + Duration::days(days));
        store.pages.push(added);
    }
    // Sections that the buyer has added to the seller's page: seen, not deployed yet, and not visible.
    let section = store.sections[0].clone();
    for (number, place, visible, days) in [(107, 1, true, 1), (108, 2, true, 3), (109, 3, false, 1)] {
        let (id, position) = (SectionId::from_uuid(Uuid::from_u128(number)), section.position + place);
        let mut added = Section { id, position, visible, created_at: later, ..section.clone() };
        added.updated_at = sold_at + Duration::days(days);
        store.sections.push(added);
    }
    for deployment in &mut store.deployments {
        deployment.started_at = Some(sold_at + Duration::days(2));
    }
    store.pages[0].translation_of = Some(PageId::from_uuid(Uuid::from_u128(102)));
    let item = store.items[0].clone();
    let [of_draft, under] = [103, 104].map(|number| NavItemId::from_uuid(Uuid::from_u128(number)));
    let draft = Some(PageId::from_uuid(Uuid::from_u128(102)));
    store.items.push(NavItem { id: of_draft, page_id: draft, ..item.clone() });
    store.items.push(NavItem { id: under, parent_id: Some(of_draft), ..item.clone() });
    let domain = store.domains.domains[0].clone();
    let hers = DomainId::from_uuid(Uuid::from_u128(105));
    let name = "hers.example".to_owned();
    store.domains.domains.push(Domain { id: hers, name, created_at: later, ..domain });

    let mut sales = Sales::new(&mut store, &scope, &env);
    let parcel = sales.return_parcel(tenant(2), site.id, sold_at).await.unwrap();
    assert_eq!(parcel.assets.iter().map(|asset| asset.id).collect::<Vec<_>>(), [shown]);
    let returned = sales.give_back(tenant(2), site.id, tenant(1), sold_at, &[shown]).await.unwrap();
    assert_eq!(returned.bytes, 0, "the seller has kept the picture");
    let back = &returned.site;
    assert_eq!((back.id, back.tenant_id, back.status), (site.id, tenant(1), SiteStatus::Draft));
    assert_eq!((back.live_deployment_id, back.price.as_ref()), (None, None));

    assert!(store.sites.iter().all(|site| site.tenant_id == tenant(1)) && store.sites.len() == 1);
    let mut pages: Vec<_> = store.pages.iter().map(|page| (page.tenant, page.id)).collect();
    pages.sort_unstable();
    let published = PageId::from_uuid(Uuid::from_u128(101));
    let mut expected = vec![(tenant(1), page.id), (tenant(1), published)];
    expected.sort_unstable();
    assert_eq!(pages, expected, "without what was not deployed");
    let mut sections: Vec<_> = store.sections.iter().map(|section| (section.tenant, section.id)).collect();
    sections.sort_unstable();
    let added = SectionId::from_uuid(Uuid::from_u128(107));
    let mut expected = vec![(tenant(1), section.id), (tenant(1), added)];
    expected.sort_unstable();
    assert_eq!(sections, expected, "without what was not deployed");
    assert!(store.pages.iter().all(|page| page.translation_of.is_none()));
    let items: Vec<_> = store.items.iter().map(|item| (item.tenant, item.id)).collect();
    assert_eq!(items, [(tenant(1), item.id)]);
    let domains: Vec<_> =
        store.domains.domains.iter().map(|domain| (domain.tenant, domain.name.as_str())).collect();
    assert_eq!(domains, [(tenant(1), "bakery.example")]);
    assert!(store.deployments.iter().all(|deployment| deployment.tenant != tenant(1)));

    let jobs: Vec<_> = store.jobs.iter().map(|job| (job.kind, job.tenant)).collect();
    assert_eq!(jobs, [("site.purge", tenant(2)), ("domain.check", tenant(1))]);
    let events: Vec<_> = store.events.iter().map(|event| (event.kind.to_string(), event.tenant)).collect();
    assert_eq!(events[0], ("site.taken_back".to_owned(), tenant(2)));
    assert_eq!(events[1], ("site.returned".to_owned(), tenant(1)));
    assert!(site::changes(&store.events[..2]).is_empty(), "it changes nothing that is frozen");

    let mut sales = Sales::new(&mut store, &scope, &env);
    let again = sales.give_back(tenant(2), site.id, tenant(1), sold_at, &[shown]).await;
    assert!(matches!(again, Err(SitesError::NotFound("site"))));
}

#[tokio::test]
async fn a_picture_that_the_seller_has_lost_comes_along() {
    let (mut store, env, scope) = (Store::default(), env(), system());
    let (site, shown, sold_at) = bought(&mut store).await;
    let sellers = |asset: &Asset| asset.tenant == tenant(1) && asset.id == shown;
    store.assets.assets.iter_mut().find(|asset| sellers(asset)).unwrap().purge_at = Some(sold_at);
    let mut sales = Sales::new(&mut store, &scope, &env);
    let returned = sales.give_back(tenant(2), site.id, tenant(1), sold_at, &[shown]).await.unwrap();
    assert_eq!(returned.bytes, 1000);
    let restored = store.assets.assets.iter().find(|asset| sellers(asset)).unwrap();
    assert_eq!(restored.purge_at, None);
}

#[tokio::test]
async fn a_site_that_changed_or_is_sold_again_is_not_returned() {
    let (mut store, env, scope) = (Store::default(), env(), system());
    let (site, shown, sold_at) = bought(&mut store).await;
    let mut sales = Sales::new(&mut store, &scope, &env);
    let stale = sales.give_back(tenant(2), site.id, tenant(1), sold_at, &[]).await;
    assert!(matches!(stale, Err(SitesError::Store(StoreError::Stale))));
    for (status, code) in [(SiteStatus::ForSale, "site_for_sale"), (SiteStatus::Sold, "site_sold")] {
        store.sites[0].status = status;
        let mut sales = Sales::new(&mut store, &scope, &env);
        let refused = sales.give_back(tenant(2), site.id, tenant(1), sold_at, &[shown]).await;
        assert_eq!(portico_kernel::Fault::code(&refused.unwrap_err()), code);
    }
    assert_eq!((store.sites.len(), store.sites[0].tenant_id), (1, tenant(2)));
    assert!(store.events.is_empty() && store.jobs.is_empty());
}
