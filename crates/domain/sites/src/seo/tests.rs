use portico_kernel::{Fault, TenantRole};
use serde_json::json;

use super::*;
use crate::{
    page::{NewPage, Page, Pages},
    site::{NewSite, Sites},
    testing::{Store, env, member, tenant, user},
};

async fn page(store: &mut Store, scope: &Scope, env: &Env) -> Page {
    let site = NewSite { name: "Bakery".to_owned(), ..NewSite::default() };
    Sites::new(store, scope, env).create(site).await.unwrap();
    let page = NewPage { title: "About".to_owned(), ..NewPage::default() };
    let page = Pages::new(store, scope, env).create(None, page).await.unwrap();
    store.take_events();
    page
}

fn update(value: Value) -> SeoUpdate {
    serde_json::from_value(value).unwrap()
}

#[tokio::test]
async fn what_is_set_is_read_back_and_taken_away() {
    let (mut store, env) = (Store::default(), env());
    let scope = member(TenantRole::Owner);
    let page = page(&mut store, &scope, &env).await;
    let mut seos = Seos::new(&mut store, &scope, &env);
    let nothing = seos.get(page.id).await.unwrap();
    assert_eq!((nothing.version, nothing.title.as_deref()), (0, None));

    let wish = update(json!({
        "title": " Bread ", "keywords": ["bread", "bread", "cake"], "robots": "NOINDEX",
        "canonicalUrl": "https://example.com/about", "openGraph": {"title": "Fresh bread"},
        "structuredData": {"@type": "Bakery"},
    }));
    let seo = seos.update(page.id, wish, Some(0)).await.unwrap();
    assert_eq!((seo.title.as_deref(), seo.version), (Some("Bread"), 1));
    assert_eq!(seo.keywords, ["bread", "cake"]);
    assert!(seo.is_noindex());

    let change = update(json!({"title": null, "openGraph": {"description": "Every day"}}));
    let seo = seos.update(page.id, change, None).await.unwrap();
    assert_eq!((seo.title, seo.version), (None, 2));
    assert_eq!(seo.open_graph.title.as_deref(), Some("Fresh bread"));
    assert_eq!(seo.open_graph.description.as_deref(), Some("Every day"));
    assert_eq!(seos.get(page.id).await.unwrap().version, 2);

    let stale = seos.update(page.id, SeoUpdate::default(), Some(1)).await.unwrap_err();
    assert_eq!(stale.code(), "precondition_failed");
    seos.delete(page.id, Some(2)).await.unwrap();
    seos.delete(page.id, None).await.unwrap();
    assert_eq!(seos.get(page.id).await.unwrap().version, 0);
    assert_eq!(store.take_events(), ["seo.updated", "seo.updated", "seo.deleted"]);
}

#[tokio::test]
async fn everything_that_is_wrong_is_named_at_once() {
    let (mut store, env) = (Store::default(), env());
    let scope = member(TenantRole::Owner);
    let page = page(&mut store, &scope, &env).await;
    let mut many: Vec<String> = (0..30).map(|number| format!("word {number}")).collect();
    many[0] = "a,b".to_owned();
    let wish = update(json!({
        "title": "x".repeat(121), "description": "x".repeat(321), "keywords": many, "robots": "nothing",
        "canonicalUrl": "/about", "openGraph": {"title": "y".repeat(121)}, "structuredData": {"name": "x"},
    }));
    let error = Seos::new(&mut store, &scope, &env).update(page.id, wish, None).await.unwrap_err();
    let fields: Vec<&str> = error.fields().iter().map(|error| error.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "title",
            "description",
            "keywords",
            "keywords[0]",
            "canonicalUrl",
            "robots",
            "openGraph.title",
            "structuredData",
        ]
    );
    for address in ["javascript:alert(1)", "mailto:a@b.example", "//evil.example", "#a"] {
        let wish = update(json!({"canonicalUrl": address}));
        let error = Seos::new(&mut store, &scope, &env).update(page.id, wish, None).await.unwrap_err();
        assert_eq!(error.fields()[0].code, "invalid_url", "{address}");
    }
    assert!(store.seo.is_empty() && store.events.is_empty());
}

#[tokio::test]
async fn pages_of_others_and_readers() {
    let (mut store, env) = (Store::default(), env());
    let scope = member(TenantRole::Owner);
    let page = page(&mut store, &scope, &env).await;
    let stranger = user(Some(tenant(2)), TenantRole::Owner.permissions(), true);
    let error = Seos::new(&mut store, &stranger, &env).get(page.id).await.unwrap_err();
    assert_eq!(error.code(), "not_found");
    let reader = member(TenantRole::Viewer);
    assert!(Seos::new(&mut store, &reader, &env).get(page.id).await.is_ok());
    let error = Seos::new(&mut store, &reader, &env).delete(page.id, None).await.unwrap_err();
    assert_eq!(error.code(), "forbidden");
}
