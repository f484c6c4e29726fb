use portico_kernel::{Fault, TenantRole, name::Subdomain};

use super::*;
use crate::{
    page::{NewPage, Pages},
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

fn item(label: &str, parent: Option<NavItemId>) -> NewNavItem {
    NewNavItem { label: label.to_owned(), parent_id: parent, ..NewNavItem::default() }
}

fn codes(error: &SitesError) -> Vec<(&str, &str)> {
    error.fields().iter().map(|error| (error.field.as_str(), error.code.as_ref())).collect()
}

/// `a(b c(d)) e` for the stored items, given that positions are dense under each parent.
fn outline(store: &Store, parent: Option<NavItemId>) -> String {
    let mut items: Vec<&NavItem> = store.items.iter().filter(|item| item.parent_id == parent).collect();
    items.sort_by_key(|item| item.position);
    let parts = (0..).zip(items).map(|(position, item)| {
        assert_eq!(item.position, position, "positions are dense");
        match outline(store, Some(item.id)) {
            children if children.is_empty() => item.label.clone(),
            children => format!("{}({children})", item.label),
        }
    });
    parts.collect::<Vec<_>>().join(" ")
}

/// `a(b c(d)) e`, and the ids of a, b, c, d, e.
async fn forest(env: &Env) -> (Store, Scope, SiteId, [NavItemId; 5]) {
    let (mut store, scope, site) = store_with_site(env).await;
    let mut navigation = Navigation::new(&mut store, &scope, env);
    let a = navigation.create(None, item("a", None)).await.unwrap().id;
    let b = navigation.create(None, item("b", Some(a))).await.unwrap().id;
    let c = navigation.create(Some(site), item("c", Some(a))).await.unwrap().id;
    let d = navigation.create(None, item("d", Some(c))).await.unwrap().id;
    let e = navigation.create(None, item("e", None)).await.unwrap().id;
    assert_eq!(store.take_events(), ["navigation.created"; 5]);
    assert_eq!(outline(&store, None), "a(b c(d)) e");
    (store, scope, site, [a, b, c, d, e])
}

#[tokio::test]
async fn items_say_something_and_lead_somewhere() {
    let env = env();
    let (mut store, scope, site) = store_with_site(&env).await;
    let input = NewPage { title: "About".to_owned(), ..NewPage::default() };
    let page = Pages::new(&mut store, &scope, &env).create(Some(site), input).await.unwrap().id;
    let mut second = store.sites[0].clone();
    (second.id, second.subdomain) = (env.new_id(), Subdomain::trusted("second".to_owned()));
    let mut foreign = store.pages[0].clone();
    (foreign.id, foreign.site_id) = (env.new_id(), second.id);
    store.sites.push(second);
    store.pages.push(foreign.clone());

    let mut navigation = Navigation::new(&mut store, &scope, &env);
    let to_page =
        navigation.create(None, NewNavItem { page_id: Some(page), ..item("About", None) }).await.unwrap();
    assert_eq!((to_page.page_id, to_page.position, to_page.version), (Some(page), 0, 1));
    let url = Some(" https://example.com ".to_owned());
    let to_url =
        navigation.create(None, NewNavItem { url, position: Some(0), ..item("Out", None) }).await.unwrap();
    assert_eq!(to_url.url.as_deref(), Some("https://example.com"));

    let both = NewNavItem { page_id: Some(page), url: Some("/x".to_owned()), ..item(" ", None) };
    let error = navigation.create(None, both).await.unwrap_err();
    assert_eq!(codes(&error), [("label", "required"), ("url", "exclusive")]);
    let bad = NewNavItem {
        url: Some("javascript:alert(1)".to_owned()),
        parent_id: Some(env.new_id()),
        ..item("x", None)
    };
    let error = navigation.create(None, bad).await.unwrap_err();
    assert_eq!(codes(&error), [("url", "invalid_url"), ("parentId", "not_found")]);
    for page_id in [foreign.id, env.new_id()] {
        let error = navigation
            .create(None, NewNavItem { page_id: Some(page_id), ..item("x", None) })
            .await
            .unwrap_err();
        assert_eq!(codes(&error), [("pageId", "not_found")]);
    }

    let to = |page_id, url| NavItemUpdate { page_id, url, ..NavItemUpdate::default() };
    let changed = navigation.update(to_page.id, to(None, Some(Some("#top".to_owned()))), None).await.unwrap();
    assert_eq!((changed.page_id, changed.url.as_deref()), (None, Some("#top")), "one replaces the other");
    let changed = navigation.update(to_page.id, to(Some(Some(page)), None), None).await.unwrap();
    assert_eq!((changed.page_id, changed.url), (Some(page), None));
    let changed = navigation.update(to_page.id, to(Some(None), None), Some(changed.version)).await.unwrap();
    assert_eq!((changed.page_id, changed.url), (None, None), "a group");
    let stale = navigation.update(to_page.id, NavItemUpdate::default(), Some(1)).await;
    assert!(matches!(stale, Err(SitesError::PreconditionFailed)));
    assert_eq!(outline(&store, None), "Out About");
}

#[tokio::test]
async fn depth_and_number_are_limited() {
    let env = env();
    let (mut store, scope, _, [_, _, _, d, _]) = forest(&env).await;
    let mut navigation = Navigation::new(&mut store, &scope, &env);
    let error = navigation.create(None, item("x", Some(d))).await.unwrap_err();
    assert_eq!(codes(&error), [("parentId", "too_deep")]);
    for _ in 5..MAX_ITEMS {
        navigation.create(None, item("x", None)).await.unwrap();
    }
    let error = navigation.create(None, item("x", None)).await.unwrap_err();
    assert_eq!(codes(&error), [("items", "too_many")]);
}

#[tokio::test]
async fn moving_keeps_the_shape_sound() {
    let env = env();
    let (mut store, scope, _, [a, b, c, d, e]) = forest(&env).await;
    let to =
        |parent, position| NavItemUpdate { parent_id: Some(parent), position, ..NavItemUpdate::default() };
    for (id, parent, code) in [(a, a, "cycle"), (a, d, "cycle"), (c, b, "too_deep"), (a, e, "too_deep")] {
        let error = Navigation::new(&mut store, &scope, &env).update(id, to(Some(parent), None), None).await;
        assert_eq!(codes(&error.unwrap_err()), [("parentId", code)]);
    }
    assert_eq!(outline(&store, None), "a(b c(d)) e");
    for (id, parent, position, expected) in [
        (c, None, Some(0), "c(d) a(b) e"),
        (b, Some(c), Some(0), "c(b d) a e"),
        (e, Some(c), Some(1), "c(b e d) a"),
        (b, Some(c), Some(9), "c(e d b) a"),
        (d, None, None, "c(e b) a d"),
    ] {
        let update = to(parent, position);
        let moved = Navigation::new(&mut store, &scope, &env).update(id, update, None).await.unwrap();
        assert_eq!(outline(&store, None), expected);
        assert_eq!(store.items.iter().find(|item| item.id == id), Some(&moved));
    }
}

#[tokio::test]
async fn deleting_takes_children_along() {
    let env = env();
    let (mut store, scope, _, [a, _, c, _, _]) = forest(&env).await;
    Navigation::new(&mut store, &scope, &env).delete(c, None).await.unwrap();
    assert_eq!(outline(&store, None), "a(b) e");
    assert_eq!(store.take_events(), ["navigation.deleted"; 2]);
    Navigation::new(&mut store, &scope, &env).delete(a, None).await.unwrap();
    assert_eq!(outline(&store, None), "e");
    assert!(matches!(
        Navigation::new(&mut store, &scope, &env).delete(a, None).await,
        Err(SitesError::NotFound(_))
    ));
}

fn at(id: NavItemId, parent_id: Option<NavItemId>, position: u32) -> NavPosition {
    NavPosition { id: Some(id), parent_id, position }
}

#[tokio::test]
async fn reordering_gives_a_new_shape() {
    let env = env();
    let (mut store, scope, site, [a, b, c, d, e]) = forest(&env).await;
    let items = vec![at(a, Some(d), 5), at(b, None, 7), at(c, Some(d), 2), at(d, None, 7), at(e, Some(c), 0)];
    let order = NavigationOrder { items };
    let answer = Navigation::new(&mut store, &scope, &env).reorder(Some(site), order.clone()).await.unwrap();
    assert_eq!(outline(&store, None), "b d(c(e) a)");
    assert_eq!(answer, Navigation::new(&mut store, &scope, &env).list(None).await.unwrap());
    assert_eq!(store.take_events(), ["navigation.reordered"]);
    let versions: i64 = store.items.iter().map(|item| item.version).sum();
    Navigation::new(&mut store, &scope, &env).reorder(None, order).await.unwrap();
    assert_eq!(store.items.iter().map(|item| item.version).sum::<i64>(), versions, "nothing changed");
}

#[tokio::test]
async fn reordering_refuses_what_is_not_a_forest_of_all_items() {
    let env = env();
    let (mut store, scope, _, [a, b, c, d, e]) = forest(&env).await;
    let foreign: NavItemId = env.new_id();
    let flat = |ids: &[NavItemId]| ids.iter().map(|id| at(*id, None, 0)).collect::<Vec<_>>();
    let cases = [
        (flat(&[a, b, c, d]), vec![("items", "incomplete")]),
        (flat(&[a, b, c, d, d]), vec![("items[4].id", "duplicate")]),
        (flat(&[a, b, c, d, foreign]), vec![("items[4].id", "not_found")]),
        (vec![NavPosition::default()], vec![("items[0].id", "required")]),
        (vec![NavPosition::default(); 200], vec![("items", "too_many")]),
        (
            vec![at(a, Some(b), 0), at(b, Some(a), 0), at(c, Some(a), 0), at(d, None, 0), at(e, Some(e), 0)],
            vec![
                ("items[0].parentId", "cycle"),
                ("items[1].parentId", "cycle"),
                ("items[2].parentId", "cycle"),
                ("items[4].parentId", "cycle"),
            ],
        ),
        (
            vec![
                at(a, None, 0),
                at(b, Some(a), 0),
                at(c, Some(b), 0),
                at(d, Some(c), 0),
                at(e, Some(foreign), 0),
            ],
            vec![("items[3].parentId", "too_deep"), ("items[4].parentId", "not_found")],
        ),
    ];
    for (items, expected) in cases {
        let order = NavigationOrder { items };
        let error = Navigation::new(&mut store, &scope, &env).reorder(None, order).await.unwrap_err();
        assert_eq!(codes(&error), expected);
    }
    assert_eq!(outline(&store, None), "a(b c(d)) e");
}

#[tokio::test]
async fn permissions_and_other_tenants() {
    let env = env();
    let (mut store, _, site, [a, ..]) = forest(&env).await;
    let viewer = member(TenantRole::Viewer);
    let mut navigation = Navigation::new(&mut store, &viewer, &env);
    assert_eq!(navigation.list(Some(site)).await.unwrap().len(), 5);
    assert!(matches!(navigation.create(None, item("x", None)).await, Err(SitesError::Denied(_))));
    assert!(matches!(navigation.delete(a, None).await, Err(SitesError::Denied(_))));
    let other = user(Some(tenant(2)), TenantRole::Owner.permissions(), true);
    let mut navigation = Navigation::new(&mut store, &other, &env);
    assert!(matches!(navigation.list(Some(site)).await, Err(SitesError::NotFound("site"))));
    assert!(matches!(navigation.list(None).await, Err(SitesError::NoSite)));
    assert!(matches!(navigation.get(a).await, Err(SitesError::NotFound(_))));
    assert!(matches!(navigation.delete(a, None).await, Err(SitesError::NotFound(_))));
    let create = navigation.create(Some(site), item("x", None)).await;
    assert!(matches!(create, Err(SitesError::NotFound("site"))));
}
