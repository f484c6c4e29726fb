use portico_kernel::{EventDeclaration, Fault, Kind, PlatformRole, TenantRole};

use super::*;
use crate::{
    deployment::Deployments,
    page::{NewPage, PageStatus, Pages},
    section::{NewSection, SectionType, Sections},
    seo::{SeoUpdate, Seos},
    site::{NewSite, SiteUpdate, Sites},
    testing::{Store, env, member, tenant, user},
};

/// A member of staff in tenant 1.
fn staff() -> Scope {
    let permissions = PlatformRole::Staff.permissions().union(TenantRole::Editor.permissions());
    user(Some(tenant(1)), permissions, true)
}

fn price(amount: i64, currency: &str) -> Offer {
    Offer { amount, currency: currency.to_owned() }
}

/// A site of tenant 1 that answers at its address.
async fn published(store: &mut Store) -> Site {
    let (scope, env) = (member(TenantRole::Owner), env());
    let input = NewSite { name: "Bakery".to_owned(), ..NewSite::default() };
    let site = Sites::new(store, &scope, &env).create(input).await.unwrap();
    let stored = store.sites.last_mut().unwrap();
    stored.status = SiteStatus::Published;
    stored.live_deployment_id = Some(env.new_id());
    store.take_events();
    site
}

#[tokio::test]
async fn an_offered_site_is_shown_to_everybody_until_it_is_withdrawn() {
    let (mut store, staff, env) = (Store::default(), staff(), env());
    let site = published(&mut store).await;
    let visitor = Scope::anonymous(staff.request.clone());
    let request = PageRequest::default();
    assert_eq!(Sales::new(&mut store, &visitor, &env).on_offer(None, request).await.unwrap().total, 0);

    let offered =
        Sales::new(&mut store, &staff, &env).offer(site.id, price(35900, "usd"), None).await.unwrap();
    assert_eq!((offered.status, offered.price.as_ref().unwrap().amount), (SiteStatus::ForSale, 35900));
    let mut sales = Sales::new(&mut store, &visitor, &env);
    assert_eq!(sales.on_offer(None, request).await.unwrap().items, std::slice::from_ref(&offered));
    assert_eq!(sales.on_offer_at("bakery").await.unwrap(), offered);
    assert!(matches!(sales.on_offer_at("other").await, Err(SitesError::NotFound("site"))));

    let mut sales = Sales::new(&mut store, &staff, &env);
    let cheaper = sales.offer(site.id, price(100, "eur"), Some(offered.version)).await.unwrap();
    assert_eq!(cheaper.price.as_ref().unwrap().currency, "eur");
    let stale = sales.offer(site.id, price(1, "eur"), Some(offered.version)).await.unwrap_err();
    assert_eq!(stale.kind(), Kind::PreconditionFailed);
    let withdrawn = sales.withdraw(site.id, None).await.unwrap();
    assert_eq!((withdrawn.status, withdrawn.price), (SiteStatus::Published, None));
    assert!(matches!(sales.withdraw(site.id, None).await, Err(SitesError::NotForSale)));
    assert!(matches!(sales.on_offer_at("bakery").await, Err(SitesError::NotFound("site"))));
    assert_eq!(store.take_events(), ["site.offered", "site.offered", "site.withdrawn"]);
}

#[tokio::test]
async fn only_the_operators_people_offer_sites_of_their_own_tenants() {
    let (mut store, env) = (Store::default(), env());
    let site = published(&mut store).await;
    let owner = member(TenantRole::Owner);
    let denied = Sales::new(&mut store, &owner, &env).offer(site.id, price(1, "usd"), None).await;
    assert!(matches!(denied, Err(SitesError::Denied(_))));
    assert!(matches!(
        Sales::new(&mut store, &owner, &env).withdraw(site.id, None).await,
        Err(SitesError::Denied(_))
    ));
    for tenant in [Some(tenant(2)), None] {
        let elsewhere = user(tenant, PlatformRole::Staff.permissions(), true);
        let mut sales = Sales::new(&mut store, &elsewhere, &env);
        let missing = sales.offer(site.id, price(1, "usd"), None).await;
        assert!(matches!(missing, Err(SitesError::NotFound("site"))), "{missing:?}");
    }
    assert_eq!(store.take_events(), Vec::<String>::new());
}

#[tokio::test]
async fn what_does_not_answer_cannot_be_offered() {
    let (mut store, staff, env) = (Store::default(), staff(), env());
    let site = published(&mut store).await;
    let bad =
        Sales::new(&mut store, &staff, &env).offer(site.id, price(0, "dollars"), None).await.unwrap_err();
    let fields: Vec<_> = bad.fields().iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["amount", "currency"]);
    for (status, live, code) in [
        (SiteStatus::Draft, false, "not_published"),
        (SiteStatus::Published, false, "not_published"),
        (SiteStatus::Sold, true, "site_sold"),
        (SiteStatus::Suspended, true, "site_suspended"),
    ] {
        store.sites[0].status = status;
        store.sites[0].live_deployment_id = live.then(|| env.new_id());
        let error =
            Sales::new(&mut store, &staff, &env).offer(site.id, price(1, "usd"), None).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Conflict, code), "{status:?}");
    }
}

#[tokio::test]
async fn only_staff_changes_a_site_for_sale() {
    let (mut store, staff, env) = (Store::default(), staff(), env());
    let site = published(&mut store).await;
    Sales::new(&mut store, &staff, &env).offer(site.id, price(35900, "usd"), None).await.unwrap();
    let rename = || SiteUpdate { name: Some("Other".to_owned()), ..SiteUpdate::default() };
    let owner = member(TenantRole::Owner);
    let refused = [
        Sites::new(&mut store, &owner, &env).update(site.id, rename(), None).await.map(drop),
        Sites::new(&mut store, &owner, &env).delete(site.id, None).await.map(drop),
        Deployments::new(&mut store, &owner, &env).request(site.id, false).await.map(drop),
        Deployments::new(&mut store, &owner, &env).rollback(site.id, env.new_id()).await.map(drop),
    ];
    for result in refused {
        assert_eq!(result.unwrap_err().code(), "site_for_sale");
    }
    Sites::new(&mut store, &staff, &env).update(site.id, rename(), None).await.unwrap();
}

/// The refusals at the end of a transaction: whether of a person, with the code.
async fn refusals(store: &mut Store) -> Vec<(bool, &'static str)> {
    let events = std::mem::take(&mut store.events);
    let mut refused = Vec::new();
    for (tenant, changes) in site::by_tenant(&site::changes(&events)) {
        let frozen = store.sites().frozen_among(tenant, &changes.sites, &changes.pages).await.unwrap();
        refused.extend(changes.refused(frozen));
    }
    refused.into_iter().map(|change| (change.person.is_some(), change.error.code())).collect()
}

#[tokio::test]
async fn a_change_of_anything_on_a_frozen_site_is_refused_at_the_end() {
    let (mut store, env) = (Store::default(), env());
    let site = published(&mut store).await;
    let owner = member(TenantRole::Owner);
    let page = |title: &str| NewPage { title: title.to_owned(), ..NewPage::default() };
    let home = Pages::new(&mut store, &owner, &env).create(Some(site.id), page("Home")).await.unwrap();
    assert_eq!(refusals(&mut store).await, [], "while it is published");
    for (status, over_limit, code) in [
        (SiteStatus::ForSale, false, "site_for_sale"),
        (SiteStatus::Sold, true, "site_sold"),
        (SiteStatus::Suspended, true, "site_suspended"),
        (SiteStatus::Published, true, "over_limit"),
        (SiteStatus::Draft, true, "over_limit"),
    ] {
        (store.sites[0].status, store.sites[0].over_limit) = (status, over_limit);
        let title = format!("Draft {}", status.as_str());
        Pages::new(&mut store, &owner, &env).create(Some(site.id), page(&title)).await.unwrap();
        assert_eq!(refusals(&mut store).await, [(true, code)], "a new page");
        Pages::new(&mut store, &owner, &env).duplicate(home.id).await.unwrap();
        assert_eq!(refusals(&mut store).await, [(true, code)], "a copy");
        let input = SeoUpdate { title: Some(Some(title.clone())), ..SeoUpdate::default() };
        Seos::new(&mut store, &owner, &env).update(home.id, input, None).await.unwrap();
        assert_eq!(refusals(&mut store).await, [(true, code)], "texts for search engines");
        let key = Scope::api_key(
            env.new_id(),
            None,
            tenant(1),
            TenantRole::Editor.permissions(),
            owner.request.clone(),
        );
        let section = NewSection {
            kind: Some(SectionType::Text),
            content: serde_json::json!({"html": "<p>Mine</p>"}),
            ..NewSection::default()
        };
        Sections::new(&mut store, &key, &env).create(home.id, section).await.unwrap();
        assert_eq!(refusals(&mut store).await, [(false, code)], "a key is no person");
        // An event of an unknown kind, about something on a page.
        let event = Event::new(&env, &owner, EventDeclaration::named("comment.created"), env.random_uuid());
        store.events.push(event.after(&serde_json::json!({"pageId": home.id})));
        assert_eq!(refusals(&mut store).await, [(true, code)], "what comes next");
        // Portico itself may not change what is shown, but its checks and builds record results.
        let portico = Scope::system(Some(tenant(1)), owner.request.clone());
        for (kind, refused) in [("page.updated", true), ("domain.updated", false), ("site.deployed", false)] {
            let event = Event::new(&env, &portico, EventDeclaration::named(kind), home.id.uuid());
            store.events.push(event.after(&serde_json::json!({"siteId": site.id})));
            assert_eq!(!refusals(&mut store).await.is_empty(), refused, "{kind}");
        }
        for kind in ["submission.received", "submission.deleted", "preview.created"] {
            let event = Event::new(&env, &owner, EventDeclaration::named(kind), env.random_uuid());
            store.events.push(event.after(&serde_json::json!({"siteId": site.id})));
            assert_eq!(refusals(&mut store).await, [], "{kind}");
        }
    }
}

#[tokio::test]
async fn nothing_is_offered_while_a_deployment_could_still_change_it() {
    let (mut store, staff, env) = (Store::default(), staff(), env());
    let site = published(&mut store).await;
    let owner = member(TenantRole::Owner);
    let page =
        NewPage { title: "Home".to_owned(), status: Some(PageStatus::Published), ..NewPage::default() };
    Pages::new(&mut store, &owner, &env).create(Some(site.id), page).await.unwrap();
    let building = Deployments::new(&mut store, &owner, &env).request(site.id, false).await.unwrap();
    let refused = Sales::new(&mut store, &staff, &env).offer(site.id, price(1, "usd"), None).await;
    assert!(matches!(refused, Err(SitesError::DeploymentInProgress)), "{refused:?}");
    let portico = Scope::system(Some(tenant(1)), owner.request.clone());
    Deployments::new(&mut store, &portico, &env).fail(site.id, building.id, "No luck.").await.unwrap();
    Sales::new(&mut store, &staff, &env).offer(site.id, price(1, "usd"), None).await.unwrap();
    // Neither does Portico deploy it by itself from then on.
    let by_itself = Deployments::new(&mut store, &portico, &env).request(site.id, false).await;
    assert!(matches!(by_itself, Err(SitesError::SiteForSale)), "{by_itself:?}");
}
