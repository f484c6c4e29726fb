use portico_kernel::{Fault, Kind, SectionId, TenantRole};
use serde_json::json;

use super::{
    duplicate::{cut, free_slug},
    *,
};
use crate::{
    section::{NewSection, SectionType, Sections},
    site::{NewSite, Sites},
    testing::{Store, env, member, tenant, user},
};

async fn store_with_site(env: &Env) -> (Store, Scope, SiteId) {
    let (mut store, scope) = (Store::default(), member(TenantRole::Owner));
    let input = NewSite { name: "Bakery".to_owned(), ..NewSite::default() };
    let site = Sites::new(&mut store, &scope, env).create(input).await.unwrap();
    store.events.clear();
    (store, scope, site.id)
}

fn titled(title: &str) -> NewPage {
    NewPage { title: title.to_owned(), ..NewPage::default() }
}

#[tokio::test]
async fn creating_in_a_given_site_is_one_insert_and_one_event() {
    let env = env();
    let (mut store, scope, site) = store_with_site(&env).await;
    store.calls = 0;
    let page = Pages::new(&mut store, &scope, &env).create(Some(site), titled("About us")).await.unwrap();
    assert_eq!(store.calls, 2);
    assert_eq!((page.slug.as_str(), page.status, page.is_home), ("about-us", PageStatus::Draft, false));
    assert_eq!(store.take_events(), ["page.created"]);
}

#[tokio::test]
async fn the_keys_of_the_store_do_the_checks() {
    let env = env();
    let (mut store, scope, site) = store_with_site(&env).await;
    let other = user(Some(tenant(2)), TenantRole::Owner.permissions(), true);
    let foreign = Pages::new(&mut store, &other, &env).create(Some(site), titled("a")).await;
    assert!(matches!(foreign, Err(SitesError::NotFound("site"))));
    let none = Pages::new(&mut store, &other, &env).create(None, titled("a")).await;
    assert!(matches!(none, Err(SitesError::NoSite)));
    let mut pages = Pages::new(&mut store, &scope, &env);
    pages.create(None, titled("About")).await.unwrap();
    assert!(matches!(pages.create(Some(site), titled("about")).await, Err(SitesError::SlugTaken)));
    assert!(store.events.iter().all(|event| event.tenant == tenant(1)));
}

#[tokio::test]
async fn all_errors_come_at_once() {
    let env = env();
    let (mut store, scope, site) = store_with_site(&env).await;
    let input = NewPage {
        title: String::new(),
        slug: Some("No Slug".to_owned()),
        status: Some(PageStatus::Archived),
        is_home: Some(true),
        ..NewPage::default()
    };
    let error = Pages::new(&mut store, &scope, &env).create(Some(site), input).await.unwrap_err();
    let fields: Vec<&str> = error.fields().iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["title", "slug", "status"]);
    assert!(store.pages.is_empty() && store.events.is_empty());
}

#[tokio::test]
async fn publishing_notes_the_time_and_appends_an_event_of_its_own() {
    let env = env();
    let (mut store, scope, site) = store_with_site(&env).await;
    let to = |status| PageUpdate { status: Some(status), ..PageUpdate::default() };
    let mut pages = Pages::new(&mut store, &scope, &env);
    let page = pages.create(Some(site), titled("About")).await.unwrap();
    let published = pages.update(page.id, to(PageStatus::Published), None).await.unwrap();
    assert_eq!(published.published_at, Some(published.updated_at));
    let again = pages.update(page.id, to(PageStatus::Published), None).await.unwrap();
    assert_eq!(again.published_at, published.published_at, "it was published already");
    let archived = pages.update(page.id, to(PageStatus::Archived), None).await.unwrap();
    assert_eq!((archived.status, archived.published_at), (PageStatus::Archived, published.published_at));
    let back = pages.update(page.id, to(PageStatus::Published), None).await.unwrap();
    assert!(back.published_at > published.published_at);
    assert_eq!(
        store.take_events(),
        [
            "page.created",
            "page.updated",
            "page.published",
            "page.updated",
            "page.updated",
            "page.unpublished",
            "page.updated",
            "page.published"
        ]
    );
    let input = NewPage { status: Some(PageStatus::Published), ..titled("Live") };
    Pages::new(&mut store, &scope, &env).create(Some(site), input).await.unwrap();
    assert_eq!(store.take_events(), ["page.created", "page.published"]);
}

#[tokio::test]
async fn one_page_is_home_and_it_is_not_archived() {
    let env = env();
    let (mut store, scope, site) = store_with_site(&env).await;
    let home = || NewPage { is_home: Some(true), ..titled("Welcome") };
    let mut pages = Pages::new(&mut store, &scope, &env);
    let first = pages.create(Some(site), home()).await.unwrap();
    let second = pages.create(Some(site), titled("Other")).await.unwrap();
    let update = PageUpdate { is_home: Some(true), ..PageUpdate::default() };
    assert!(pages.update(second.id, update, None).await.unwrap().is_home);
    assert!(!pages.get(first.id).await.unwrap().is_home);
    let archive = PageUpdate { status: Some(PageStatus::Archived), ..PageUpdate::default() };
    let refused = pages.update(second.id, archive.clone(), None).await.unwrap_err();
    assert_eq!(refused.fields()[0].code, "home_page_archived");
    let both = PageUpdate { is_home: Some(false), ..archive };
    assert_eq!(pages.update(second.id, both, None).await.unwrap().status, PageStatus::Archived);
}

#[tokio::test]
async fn copies_have_sections_and_the_next_free_slug() {
    let env = env();
    let (mut store, scope, site) = store_with_site(&env).await;
    let input = NewPage {
        is_home: Some(true),
        status: Some(PageStatus::Published),
        slug: Some("about".to_owned()),
        ..titled(&"é".repeat(200))
    };
    let page = Pages::new(&mut store, &scope, &env).create(Some(site), input).await.unwrap();
    for html in ["<p>1</p>", "<p>2</p>"] {
        let input = NewSection {
            kind: Some(SectionType::Text),
            content: json!({"html": html}),
            ..NewSection::default()
        };
        Sections::new(&mut store, &scope, &env).create(page.id, input).await.unwrap();
    }
    store.events.clear();
    let mut copies = Vec::new();
    for _ in 0..3 {
        copies.push(Pages::new(&mut store, &scope, &env).duplicate(page.id).await.unwrap());
    }
    let slugs: Vec<&str> = copies.iter().map(|copy| copy.slug.as_str()).collect();
    assert_eq!(slugs, ["about-copy", "about-copy-2", "about-copy-3"]);
    assert_eq!(store.take_events(), ["page.created"; 3]);
    let copy = &copies[0];
    assert_eq!(
        (copy.status, copy.is_home, copy.published_at, copy.version),
        (PageStatus::Draft, false, None, 1)
    );
    assert!(copy.title.ends_with("é (copy)") && copy.title.chars().count() == MAX_TITLE);
    let sections = Sections::new(&mut store, &scope, &env).list(copy.id).await.unwrap();
    let htmls: Vec<&serde_json::Value> = sections.iter().map(|section| &section.content["html"]).collect();
    assert_eq!(htmls, ["<p>1</p>", "<p>2</p>"]);
    let ids: Vec<SectionId> = store.sections.iter().map(|section| section.id).collect();
    assert!(ids.iter().enumerate().all(|(index, id)| !ids[..index].contains(id)));
}

#[test]
fn the_longest_slug_can_be_copied() {
    let base = Slug::from_title(&format!("{}-copy", cut(&"a".repeat(100), 80)));
    let taken: Vec<String> = vec![base.as_str().to_owned(), format!("{base}-2"), format!("{base}-4")];
    assert_eq!(free_slug(&base, &taken).as_str(), format!("{base}-3"));
    assert!(Slug::parse(free_slug(&base, &taken).as_str()).is_ok());
}

#[tokio::test]
async fn versions_permissions_and_other_tenants() {
    let env = env();
    let (mut store, scope, site) = store_with_site(&env).await;
    let mut pages = Pages::new(&mut store, &scope, &env);
    let page = pages.create(Some(site), titled("About")).await.unwrap();
    let rename = PageUpdate { title: Some("New".to_owned()), ..PageUpdate::default() };
    assert_eq!(pages.update(page.id, rename.clone(), Some(1)).await.unwrap().version, 2);
    let stale = pages.update(page.id, rename.clone(), Some(1)).await.unwrap_err();
    assert_eq!(stale.kind(), Kind::PreconditionFailed);
    assert_eq!(pages.by_slug(None, "about").await.unwrap().id, page.id);
    assert!(matches!(pages.by_slug(Some(site), "x").await, Err(SitesError::NotFound("page"))));

    let viewer = member(TenantRole::Viewer);
    let mut as_viewer = Pages::new(&mut store, &viewer, &env);
    assert!(as_viewer.get(page.id).await.is_ok());
    assert!(matches!(as_viewer.duplicate(page.id).await, Err(SitesError::Denied(_))));
    assert!(matches!(as_viewer.delete(page.id, None).await, Err(SitesError::Denied(_))));

    let other = user(Some(tenant(2)), TenantRole::Owner.permissions(), true);
    let mut as_other = Pages::new(&mut store, &other, &env);
    assert!(matches!(as_other.get(page.id).await, Err(SitesError::NotFound("page"))));
    assert!(matches!(as_other.update(page.id, rename, None).await, Err(SitesError::NotFound("page"))));
    assert!(matches!(as_other.duplicate(page.id).await, Err(SitesError::NotFound("page"))));
    let list = as_other.list(Some(site), PageFilter::default(), PageRequest::default()).await;
    assert!(matches!(list, Err(SitesError::NotFound("site"))));

    Pages::new(&mut store, &scope, &env).delete(page.id, None).await.unwrap();
    assert_eq!(store.take_events(), ["page.created", "page.updated", "page.deleted"]);
    let mut pages = Pages::new(&mut store, &scope, &env);
    let empty = pages.list(None, PageFilter::default(), PageRequest::default()).await.unwrap();
    assert_eq!(empty.total, 0);
}
