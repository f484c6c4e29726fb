use portico_kernel::{Env, RequestInfo, Scope, TenantRole};
use serde_json::json;

use super::*;
use crate::{
    page::{NewPage, PageUpdate},
    site::{NewSite, SiteStatus, Sites},
    testing::{Store, env, member, tenant},
};

async fn draft(env: &Env) -> (Store, Scope, Page) {
    let (mut store, scope) = (Store::default(), member(TenantRole::Editor));
    let input = NewSite { name: "Bakery".to_owned(), ..NewSite::default() };
    Sites::new(&mut store, &member(TenantRole::Owner), env).create(input).await.unwrap();
    let input = NewPage { title: "News".to_owned(), ..NewPage::default() };
    let page = Pages::new(&mut store, &scope, env).create(None, input).await.unwrap();
    store.events.clear();
    (store, scope, page)
}

fn at(publish_at: Option<Timestamp>) -> PageUpdate {
    PageUpdate { publish_at: Some(publish_at), ..PageUpdate::default() }
}

fn to(status: PageStatus) -> PageUpdate {
    PageUpdate { status: Some(status), ..PageUpdate::default() }
}

#[tokio::test]
async fn a_draft_is_published_at_its_time_once() {
    let env = env();
    let (mut store, scope, page) = draft(&env).await;
    let wish = env.now() + Duration::minutes(1);
    let updated = Pages::new(&mut store, &scope, &env).update(page.id, at(Some(wish)), None).await.unwrap();
    assert_eq!((updated.publish_at, updated.status), (Some(wish), PageStatus::Draft));
    let job = &store.jobs[0];
    assert_eq!((job.kind, job.run_at), (PublishPage::KIND, wish));
    assert_eq!(job.payload, json!({"pageId": page.id, "publishAt": wish}));
    store.events.clear();

    let system = Scope::system(Some(tenant(1)), RequestInfo::default());
    let early = Pages::new(&mut store, &system, &env).publish_scheduled(page.id, wish).await.unwrap();
    assert_eq!(early, None, "before its time");
    while env.now() < wish {}
    let mut pages = Pages::new(&mut store, &system, &env);
    let published = pages.publish_scheduled(page.id, wish).await.unwrap().unwrap();
    assert_eq!((published.status, published.publish_at), (PageStatus::Published, None));
    assert!(published.published_at >= Some(wish));
    assert_eq!(pages.publish_scheduled(page.id, wish).await.unwrap(), None, "once");
    assert_eq!(store.take_events(), ["page.updated", "page.published"]);
    assert_eq!(store.jobs.len(), 1, "a site that was never deployed is not deployed now");
}

#[tokio::test]
async fn a_live_site_is_deployed_then() {
    let env = env();
    let (mut store, scope, page) = draft(&env).await;
    store.sites[0].live_deployment_id = Some(env.new_id());
    let wish = env.now() + Duration::seconds(10);
    Pages::new(&mut store, &scope, &env).update(page.id, at(Some(wish)), None).await.unwrap();
    while env.now() < wish {}
    let system = Scope::system(Some(tenant(1)), RequestInfo::default());
    Pages::new(&mut store, &system, &env).publish_scheduled(page.id, wish).await.unwrap().unwrap();
    assert_eq!(
        (store.jobs[1].kind, &store.jobs[1].payload),
        (DeploySite::KIND, &json!({"siteId": page.site_id}))
    );
}

#[tokio::test]
async fn a_wish_that_was_changed_is_not_fulfilled() {
    let env = env();
    let system = Scope::system(Some(tenant(1)), RequestInfo::default());
    for change in [at(None), to(PageStatus::Published), to(PageStatus::Archived)] {
        let (mut store, scope, page) = draft(&env).await;
        let wish = env.now() + Duration::seconds(20);
        Pages::new(&mut store, &scope, &env).update(page.id, at(Some(wish)), None).await.unwrap();
        let changed = Pages::new(&mut store, &scope, &env).update(page.id, change, None).await.unwrap();
        assert_eq!(changed.publish_at, None);
        while env.now() < wish {}
        let done = Pages::new(&mut store, &system, &env).publish_scheduled(page.id, wish).await.unwrap();
        assert_eq!(done, None);
    }
    let (mut store, scope, page) = draft(&env).await;
    let (first, second) = (env.now() + Duration::seconds(20), env.now() + Duration::seconds(30));
    for wish in [first, second, second] {
        Pages::new(&mut store, &scope, &env).update(page.id, at(Some(wish)), None).await.unwrap();
    }
    assert_eq!(store.jobs.len(), 2, "the same wish again is no new one");
    while env.now() < second {}
    let mut pages = Pages::new(&mut store, &system, &env);
    assert_eq!(pages.publish_scheduled(page.id, first).await.unwrap(), None);
    assert!(pages.publish_scheduled(page.id, second).await.unwrap().is_some());
    // A page that is gone.
    assert_eq!(pages.publish_scheduled(env.new_id(), second).await.unwrap(), None);
}

#[tokio::test]
async fn on_a_site_that_only_staff_change_it_stays_a_draft() {
    let env = env();
    let system = Scope::system(Some(tenant(1)), RequestInfo::default());
    for (status, over_limit) in [(SiteStatus::ForSale, false), (SiteStatus::Published, true)] {
        let (mut store, scope, page) = draft(&env).await;
        let wish = env.now() + Duration::seconds(10);
        Pages::new(&mut store, &scope, &env).update(page.id, at(Some(wish)), None).await.unwrap();
        (store.sites[0].status, store.sites[0].over_limit) = (status, over_limit);
        while env.now() < wish {}
        let done = Pages::new(&mut store, &system, &env).publish_scheduled(page.id, wish).await.unwrap();
        assert_eq!((done, store.pages[0].status), (None, PageStatus::Draft), "{status:?}");
    }
}

#[tokio::test]
async fn only_drafts_and_times_within_a_year() {
    let env = env();
    let (mut store, scope, page) = draft(&env).await;
    for wish in [env.now() - Duration::hours(1), env.now() + Duration::days(366)] {
        let refused = Pages::new(&mut store, &scope, &env).update(page.id, at(Some(wish)), None).await;
        let Err(SitesError::Invalid(errors)) = refused else { panic!("{refused:?}") };
        assert_eq!((errors[0].field.as_str(), errors[0].code.as_ref()), ("publishAt", "out_of_range"));
    }
    let wish = Some(env.now() + Duration::hours(1));
    let both = PageUpdate { publish_at: Some(wish), ..to(PageStatus::Published) };
    let refused = Pages::new(&mut store, &scope, &env).update(page.id, both, None).await;
    let Err(SitesError::Invalid(errors)) = refused else { panic!("{refused:?}") };
    assert_eq!((errors[0].field.as_str(), errors[0].code.as_ref()), ("publishAt", "exclusive"));
    assert!(store.jobs.is_empty() && store.events.is_empty());
    // And what is published can be taken back.
    Pages::new(&mut store, &scope, &env).update(page.id, to(PageStatus::Published), None).await.unwrap();
    Pages::new(&mut store, &scope, &env).update(page.id, to(PageStatus::Draft), None).await.unwrap();
    assert_eq!(store.take_events(), ["page.updated", "page.published", "page.updated", "page.unpublished"]);
}
