use portico_kernel::{Fault, Kind, TenantRole};
use serde_json::json;

use super::*;
use crate::{
    page::{NewPage, Pages},
    section::{BulkChange, BulkUpdate},
    site::{NewSite, Sites},
    testing::{Store, env, member, tenant, user},
};

async fn store_with_page(env: &Env) -> (Store, Scope, PageId) {
    let (mut store, scope) = (Store::default(), member(TenantRole::Owner));
    let input = NewSite { name: "Bakery".to_owned(), ..NewSite::default() };
    let site = Sites::new(&mut store, &scope, env).create(input).await.unwrap();
    let input = NewPage { title: "About".to_owned(), ..NewPage::default() };
    let page = Pages::new(&mut store, &scope, env).create(Some(site.id), input).await.unwrap();
    store.events.clear();
    (store, scope, page.id)
}

fn text(html: &str, position: Option<u32>) -> NewSection {
    NewSection {
        kind: Some(SectionType::Text),
        content: json!({"html": html}),
        position,
        ..NewSection::default()
    }
}

/// The texts of the page in their order, given that the stored positions are dense.
fn texts(store: &Store) -> String {
    let mut sections: Vec<&Section> = store.sections.iter().collect();
    sections.sort_by_key(|section| section.position);
    for (position, section) in (0..).zip(&sections) {
        assert_eq!(section.position, position, "positions are dense");
    }
    sections.iter().filter_map(|section| section.content["html"].as_str()).collect()
}

async fn filled(env: &Env, letters: &[&str]) -> (Store, Scope, PageId, Vec<SectionId>) {
    let (mut store, scope, page) = store_with_page(env).await;
    let mut ids = Vec::new();
    for letter in letters {
        ids.push(Sections::new(&mut store, &scope, env).create(page, text(letter, None)).await.unwrap().id);
    }
    store.events.clear();
    (store, scope, page, ids)
}

fn codes(error: &SitesError) -> Vec<(&str, &str)> {
    error.fields().iter().map(|error| (error.field.as_str(), error.code.as_ref())).collect()
}

#[tokio::test]
async fn sections_are_put_where_they_are_wanted() {
    let env = env();
    let (mut store, scope, page) = store_with_page(&env).await;
    let mut sections = Sections::new(&mut store, &scope, &env);
    for (letter, position, expected) in
        [("a", None, 0), ("b", Some(0), 0), ("c", Some(1), 1), ("d", Some(99), 3)]
    {
        let section = sections.create(page, text(letter, position)).await.unwrap();
        assert_eq!(section.position, expected, "{letter}");
        assert!(section.visible);
    }
    assert_eq!(texts(&store), "bcad");
    assert_eq!(store.take_events(), ["section.created"; 4]);
}

#[tokio::test]
async fn a_page_has_at_most_a_hundred() {
    let env = env();
    let (mut store, scope, page) = store_with_page(&env).await;
    let mut sections = Sections::new(&mut store, &scope, &env);
    let create = vec![text("x", None); MAX_SECTIONS];
    let all = sections.bulk(page, BulkChange { create, ..BulkChange::default() }).await.unwrap();
    let error = sections.create(page, text("y", None)).await.unwrap_err();
    assert_eq!(codes(&error), [("sections", "too_many")]);
    let swap = BulkChange { create: vec![text("y", None)], delete: vec![all[0].id], ..BulkChange::default() };
    assert_eq!(sections.bulk(page, swap).await.unwrap().len(), MAX_SECTIONS);
    let huge = BulkChange { create: vec![text("y", None); MAX_SECTIONS + 1], ..BulkChange::default() };
    assert_eq!(codes(&sections.bulk(page, huge).await.unwrap_err()), [("create", "too_many")]);
}

#[tokio::test]
async fn updates_merge_move_and_check_the_version() {
    let env = env();
    let (mut store, scope, page, ids) = filled(&env, &["a", "b", "c"]).await;
    let mut sections = Sections::new(&mut store, &scope, &env);
    let hide = SectionUpdate { visible: Some(false), ..SectionUpdate::default() };
    let hidden = sections.update(page, ids[2], hide, Some(1)).await.unwrap();
    assert_eq!((hidden.visible, hidden.version, hidden.position), (false, 2, 2));
    let to_front = SectionUpdate { position: Some(0), ..SectionUpdate::default() };
    let moved = sections.update(page, ids[2], to_front.clone(), None).await.unwrap();
    assert_eq!((moved.position, moved.visible, moved.version), (0, false, 3));
    assert_eq!(sections.get(page, ids[2]).await.unwrap(), moved);
    let stale = sections.update(page, ids[2], to_front, Some(1)).await.unwrap_err();
    assert_eq!(stale.kind(), Kind::PreconditionFailed);

    let retype = SectionUpdate { kind: Some(SectionType::Cta), ..SectionUpdate::default() };
    let error = sections.update(page, ids[0], retype.clone(), None).await.unwrap_err();
    assert_eq!(codes(&error), [("content", "required")]);
    let content = Some(json!({"heading": "Come", "label": "Go", "url": "/"}));
    let cta = sections.update(page, ids[0], SectionUpdate { content, ..retype }, None).await.unwrap();
    assert_eq!((cta.kind, &cta.content["label"]), (SectionType::Cta, &json!("Go")));
    assert_eq!(texts(&store), "cb");
    assert_eq!(store.take_events(), ["section.updated"; 3]);
}

#[tokio::test]
async fn deleting_leaves_no_gap() {
    let env = env();
    let (mut store, scope, page, ids) = filled(&env, &["a", "b", "c"]).await;
    let mut sections = Sections::new(&mut store, &scope, &env);
    sections.delete(page, ids[0], None).await.unwrap();
    assert!(matches!(sections.delete(page, ids[0], None).await, Err(SitesError::NotFound("section"))));
    assert_eq!(texts(&store), "bc");
    assert_eq!(store.take_events(), ["section.deleted"]);
}

#[tokio::test]
async fn reordering_takes_every_permutation_and_nothing_else() {
    let env = env();
    let (mut store, scope, page, ids) = filled(&env, &["a", "b", "c"]).await;
    for (order, expected) in [
        ([0, 1, 2], "abc"),
        ([0, 2, 1], "acb"),
        ([1, 0, 2], "bac"),
        ([1, 2, 0], "bca"),
        ([2, 0, 1], "cab"),
        ([2, 1, 0], "cba"),
    ] {
        let order = SectionOrder { ids: order.iter().map(|index: &usize| ids[*index]).collect() };
        let answer = Sections::new(&mut store, &scope, &env).reorder(page, order.clone()).await.unwrap();
        assert_eq!(answer.iter().map(|section| section.id).collect::<Vec<_>>(), order.ids);
        assert_eq!(texts(&store), expected);
    }
    let unknown: SectionId = env.new_id();
    let mut sections = Sections::new(&mut store, &scope, &env);
    for (order, expected) in [
        (vec![], ("ids", "incomplete")),
        (vec![ids[0], ids[1]], ("ids", "incomplete")),
        (vec![ids[0], ids[1], ids[1]], ("ids[2]", "duplicate")),
        (vec![ids[0], ids[1], unknown], ("ids[2]", "not_found")),
        (vec![ids[0]; 1000], ("ids", "too_many")),
    ] {
        let error = sections.reorder(page, SectionOrder { ids: order }).await.unwrap_err();
        assert_eq!(codes(&error), [expected]);
    }
    assert_eq!(texts(&store), "cba");
}

#[tokio::test]
async fn bulk_changes_do_everything() {
    let env = env();
    let (mut store, scope, page, ids) = filled(&env, &["a", "b", "c", "d"]).await;
    let change = BulkChange {
        create: vec![text("x", Some(0)), text("y", None)],
        update: vec![
            BulkUpdate { id: Some(ids[3]), position: Some(0), ..BulkUpdate::default() },
            BulkUpdate { id: Some(ids[1]), content: Some(json!({"html": "B"})), ..BulkUpdate::default() },
        ],
        delete: vec![ids[0]],
    };
    let answer = Sections::new(&mut store, &scope, &env).bulk(page, change).await.unwrap();
    assert_eq!(texts(&store), "xdBcy");
    assert_eq!(answer, Sections::new(&mut store, &scope, &env).list(page).await.unwrap());
    let mut events = store.take_events();
    events.sort();
    assert_eq!(
        events,
        ["section.created", "section.created", "section.deleted", "section.updated", "section.updated"]
    );
}

#[tokio::test]
async fn bulk_changes_do_nothing_when_anything_is_wrong() {
    let env = env();
    let (mut store, scope, page, ids) = filled(&env, &["a", "b"]).await;
    let before = store.sections.clone();
    let unknown: SectionId = env.new_id();
    let hero = |content| NewSection { kind: Some(SectionType::Hero), content, ..NewSection::default() };
    let change = BulkChange {
        create: vec![hero(json!({"heading": "", "extra": 1})), NewSection::default(), text("fine", None)],
        update: vec![
            BulkUpdate { id: Some(ids[0]), content: Some(json!({"html": 7})), ..BulkUpdate::default() },
            BulkUpdate { id: Some(ids[1]), visible: Some(false), ..BulkUpdate::default() },
            BulkUpdate { id: Some(ids[1]), kind: Some(SectionType::Faq), ..BulkUpdate::default() },
            BulkUpdate::default(),
        ],
        delete: vec![unknown, ids[0]],
    };
    let error = Sections::new(&mut store, &scope, &env).bulk(page, change).await.unwrap_err();
    assert_eq!(
        codes(&error),
        [
            ("delete[0]", "not_found"),
            ("update[0].id", "duplicate"),
            ("update[2].id", "duplicate"),
            ("update[3].id", "required"),
            ("update[0].content.html", "invalid_type"),
            ("update[2].content", "required"),
            ("create[0].content.heading", "required"),
            ("create[0].content.extra", "unknown_field"),
            ("create[1].type", "required"),
        ]
    );
    assert_eq!(store.sections, before);
    assert!(store.events.is_empty());
}

#[tokio::test]
async fn permissions_and_other_tenants() {
    let env = env();
    let (mut store, _, page, ids) = filled(&env, &["a"]).await;
    let viewer = member(TenantRole::Viewer);
    let mut sections = Sections::new(&mut store, &viewer, &env);
    assert_eq!(sections.list(page).await.unwrap().len(), 1);
    assert!(matches!(sections.create(page, NewSection::default()).await, Err(SitesError::Denied(_))));
    assert!(matches!(sections.bulk(page, BulkChange::default()).await, Err(SitesError::Denied(_))));
    let other = user(Some(tenant(2)), TenantRole::Owner.permissions(), true);
    let mut sections = Sections::new(&mut store, &other, &env);
    assert!(matches!(sections.list(page).await, Err(SitesError::NotFound("page"))));
    assert!(matches!(sections.get(page, ids[0]).await, Err(SitesError::NotFound("section"))));
    assert!(matches!(sections.create(page, text("x", None)).await, Err(SitesError::NotFound("page"))));
    assert!(matches!(sections.delete(page, ids[0], None).await, Err(SitesError::NotFound("page"))));
    let order = SectionOrder { ids: ids.clone() };
    assert!(matches!(sections.reorder(page, order).await, Err(SitesError::NotFound("page"))));
}
