use portico_kernel::{CursorRequest, Env, Event, EventDeclaration, Scope, TenantRole, UserId};
use serde_json::json;
use time::Duration;

use super::{record::surplus, *};
use crate::{
    SitesError,
    page::{NewPage, PageUpdate, Pages},
    section::{NewSection, Provenance, SectionOrder, SectionType, SectionUpdate, Sections},
    site::{NewSite, Sites},
    testing::{Store, env, member, tenant, user},
};

/// A page of a site, and what happens at the end of each transaction.
struct Desk {
    store: Store,
    scope: Scope,
    env: Env,
    page: PageId,
}

impl Desk {
    async fn new() -> Self {
        let (mut store, scope, env) = (Store::default(), member(TenantRole::Owner), env());
        let input = NewSite { name: "Bakery".to_owned(), ..NewSite::default() };
        Sites::new(&mut store, &scope, &env).create(input).await.unwrap();
        let input =
            NewPage { title: "Bread".to_owned(), slug: Some("bread".to_owned()), ..NewPage::default() };
        let page = Pages::new(&mut store, &scope, &env).create(None, input).await.unwrap().id;
        let mut desk = Self { store, scope, env, page };
        desk.commit().await;
        desk
    }

    /// What the unit of work does before it commits.
    async fn commit(&mut self) {
        let events: Vec<Event> = self.store.events.drain(..).collect();
        record(&mut self.store, changes(&events)).await.unwrap();
    }

    async fn write(&mut self, html: &str) -> SectionId {
        let content = json!({"html": format!("<p>{html}</p>")});
        let input = NewSection { kind: Some(SectionType::Text), content, ..NewSection::default() };
        let section = Sections::new(&mut self.store, &self.scope, &self.env).create(self.page, input).await;
        self.commit().await;
        section.unwrap().id
    }

    async fn rename(&mut self, title: &str, slug: &str) {
        let update = PageUpdate {
            title: Some(title.to_owned()),
            slug: Some(slug.to_owned()),
            ..PageUpdate::default()
        };
        Pages::new(&mut self.store, &self.scope, &self.env).update(self.page, update, None).await.unwrap();
        self.commit().await;
    }

    fn versions(&mut self) -> PageVersions<'_> {
        PageVersions::new(&mut self.store, &self.scope, &self.env)
    }

    async fn list(&mut self) -> Vec<PageVersion> {
        let page = self.page;
        let request = CursorRequest { cursor: None, limit: 100 };
        self.versions().list(page, request).await.unwrap().items
    }

    async fn content(&mut self) -> PageContent {
        let page = self.store.pages.iter().find(|page| page.id == self.page).unwrap().clone();
        PageContent::read(&mut self.store, page.tenant, page.id, (&page).into()).await.unwrap()
    }

    async fn restore(&mut self, version: &PageVersion) -> Result<Page, SitesError> {
        let page = self.page;
        let restored = self.versions().restore(page, version.id, None).await;
        self.commit().await;
        restored
    }
}

#[tokio::test]
async fn every_transaction_that_changes_a_page_leaves_a_version() {
    let mut desk = Desk::new().await;
    let first = desk.write("One").await;
    let second = desk.write("Two").await;
    let (page, scope, env) = (desk.page, desk.scope.clone(), desk.env.clone());
    let order = SectionOrder { ids: vec![second, first] };
    Sections::new(&mut desk.store, &scope, &env).reorder(page, order).await.unwrap();
    desk.commit().await;
    let update = SectionUpdate { visible: Some(false), ..SectionUpdate::default() };
    Sections::new(&mut desk.store, &scope, &env).update(page, first, update, None).await.unwrap();
    Sections::new(&mut desk.store, &scope, &env).delete(page, second, None).await.unwrap();
    desk.commit().await;
    desk.rename("Bread and cake", "bread").await;
    let now = desk.content().await;

    let list = desk.list().await;
    let summaries: Vec<(i64, &str)> =
        list.iter().map(|version| (version.number, version.summary.as_str())).collect();
    assert_eq!(
        summaries,
        [
            (6, "Page changed"),
            (5, "1 section changed, 1 section deleted"),
            (4, "Sections reordered"),
            (3, "1 section added"),
            (2, "1 section added"),
            (1, "Page created"),
        ]
    );
    assert_eq!(desk.versions().get(page, list[0].id).await.unwrap().content, now);
    let reordered = desk.versions().get(page, list[2].id).await.unwrap().content;
    assert_eq!(reordered.sections.iter().map(|section| section.id).collect::<Vec<_>>(), [second, first]);
    // What changes nothing leaves nothing.
    desk.rename("Bread and cake", "bread").await;
    assert_eq!(desk.list().await.len(), 6);
}

#[tokio::test]
async fn restoring_brings_everything_back_but_publishes_nothing() {
    let mut desk = Desk::new().await;
    let (first, second) = (desk.write("One").await, desk.write("Two").await);
    let (page, scope, env) = (desk.page, desk.scope.clone(), desk.env.clone());
    let before = desk.content().await;
    let kept = desk.list().await[0].clone();

    let all = crate::section::BulkChange { delete: vec![first, second], ..Default::default() };
    Sections::new(&mut desk.store, &scope, &env).bulk(page, all).await.unwrap();
    desk.commit().await;
    desk.write("Three").await;
    let update = PageUpdate { status: Some(PageStatus::Published), ..PageUpdate::default() };
    Pages::new(&mut desk.store, &scope, &env).update(page, update, None).await.unwrap();
    desk.commit().await;
    desk.rename("Cake", "cake").await;
    let left = desk.content().await;

    let restored = desk.restore(&kept).await.unwrap();
    assert_eq!((restored.title.as_str(), restored.slug.as_str()), ("Bread", "bread"));
    assert_eq!(restored.status, PageStatus::Published, "that is another decision");
    let now = desk.content().await;
    assert_eq!((&now.sections, &now.seo), (&before.sections, &before.seo));
    let positions: Vec<i32> = desk.store.sections.iter().map(|section| section.position).collect();
    assert_eq!(positions.len(), 2);
    let list = desk.list().await;
    assert_eq!((list[0].summary.as_str(), list[0].restored_from), ("Version 3 restored", Some(3)));

    // What was there just before is a version, too.
    desk.restore(&list[1]).await.unwrap();
    assert_eq!(desk.content().await, left);
    // Restoring what is there already is recorded all the same.
    let newest = desk.list().await[0].clone();
    desk.restore(&newest).await.unwrap();
    assert_eq!(desk.content().await, left);
    assert_eq!(desk.list().await[0].restored_from, Some(newest.number));
}

#[tokio::test]
async fn restoring_does_not_take_the_slug_of_another_page() {
    let mut desk = Desk::new().await;
    let kept = desk.list().await[0].clone();
    desk.rename("Cake", "cake").await;
    let (scope, env) = (desk.scope.clone(), desk.env.clone());
    let other = NewPage { title: "Bread".to_owned(), slug: Some("bread".to_owned()), ..NewPage::default() };
    Pages::new(&mut desk.store, &scope, &env).create(None, other).await.unwrap();
    desk.commit().await;
    assert!(matches!(desk.restore(&kept).await, Err(SitesError::SlugTaken)));
    let page = desk.page;
    let stale = desk.versions().restore(page, kept.id, Some(1)).await;
    assert!(matches!(stale, Err(SitesError::PreconditionFailed)));
}

#[tokio::test]
async fn who_may_see_and_restore() {
    let mut desk = Desk::new().await;
    let (page, kept, env) = (desk.page, desk.list().await[0].clone(), desk.env.clone());
    let other = user(Some(tenant(2)), TenantRole::Owner.permissions(), true);
    let mut theirs = PageVersions::new(&mut desk.store, &other, &env);
    let request = CursorRequest::default();
    assert!(matches!(theirs.list(page, request.clone()).await, Err(SitesError::NotFound("page"))));
    assert!(matches!(theirs.get(page, kept.id).await, Err(SitesError::NotFound(_))));
    assert!(matches!(theirs.compare(page, Some(kept.id), None).await, Err(SitesError::NotFound(_))));
    assert!(matches!(theirs.restore(page, kept.id, None).await, Err(SitesError::NotFound(_))));
    let viewer = member(TenantRole::Viewer);
    let mut viewers = PageVersions::new(&mut desk.store, &viewer, &env);
    assert_eq!(viewers.list(page, request).await.unwrap().items.len(), 1);
    assert!(matches!(viewers.restore(page, kept.id, None).await, Err(SitesError::Denied(_))));
    // The second one is an id, but none that we gave.
    for bad in ["x", "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d", "7", ""] {
        let request = CursorRequest { cursor: Some(bad.to_owned()), limit: 10 };
        assert!(matches!(viewers.list(page, request).await, Err(SitesError::Invalid(_))), "{bad}");
    }
}

fn text(id: u8, html: &str) -> KeptSection {
    let id = format!("00000000-0000-7000-8000-0000000000{id:02x}").parse().unwrap();
    KeptSection {
        id,
        kind: SectionType::Text,
        content: json!({"html": html, "list": [1, 2]}),
        visible: true,
        provenance: Provenance::Own,
    }
}

fn content(sections: Vec<KeptSection>) -> PageContent {
    let page = KeptPage {
        title: "Bread".to_owned(),
        slug: "bread".to_owned(),
        language: None,
        translation_of: None,
        status: PageStatus::Draft,
        is_home: false,
        publish_at: None,
    };
    PageContent { page, sections, seo: None }
}

fn version(number: i64, author: u8, minute: i64) -> PageVersion {
    let id = format!("00000000-0000-7000-8000-0000000{number:05x}").parse().unwrap();
    PageVersion {
        id,
        tenant: tenant(1),
        page_id: "00000000-0000-7000-8000-000000000001".parse().unwrap(),
        number,
        author: VersionAuthor { kind: ActorKind::User, id: Some(author.to_string()), name: None },
        summary: "Page changed".to_owned(),
        restored_from: None,
        created_at: Timestamp::from_unix_seconds(1_800_000_000).unwrap() + Duration::minutes(minute),
        size: 1000,
    }
}

#[test]
fn a_comparison_names_every_field() {
    let before = content(vec![text(1, "one"), text(2, "two"), text(3, "three"), text(4, "four")]);
    let mut after = content(vec![text(4, "four"), text(1, "one"), text(2, "2"), text(5, "five")]);
    after.page.title = "Cake".to_owned();
    after.sections[2].content["list"] = json!([1, 3, 4]);
    after.seo = Some(KeptSeo {
        title: Some("Best bread".to_owned()),
        description: None,
        keywords: Vec::new(),
        canonical_url: None,
        robots: None,
        open_graph: OpenGraph::default(),
        structured_data: None,
    });
    let found = Comparison::new((version(1, 1, 0), &before), (version(2, 1, 0), &after));
    assert_eq!(json!(found.page), json!([{"field": "title", "before": "Bread", "after": "Cake"}]));
    assert_eq!(json!(found.seo), json!([{"field": "title", "after": "Best bread"}]));
    let differing: Vec<_> = found
        .sections
        .iter()
        .map(|section| json!([section.position_before, section.position_after, section.changes]))
        .collect();
    assert_eq!(
        json!(differing),
        json!([[3, 0, ["moved"]], [1, 2, ["changed"]], [null, 3, ["added"]], [2, null, ["removed"]]])
    );
    assert_eq!(
        json!(found.sections[1].fields),
        json!([
            {"field": "content.html", "before": "two", "after": "2"},
            {"field": "content.list[1]", "before": 2, "after": 3},
            {"field": "content.list[2]", "after": 4},
        ])
    );
    let same = Comparison::new((version(1, 1, 0), &before), (version(2, 1, 0), &before));
    assert_eq!((same.page.len(), same.sections.len(), same.seo.len()), (0, 0, 0));
}

#[test]
fn room_is_made_by_steps_of_one_piece_of_work_first() {
    let numbers = |versions: &[PageVersion], gone: &[PageVersionId]| -> Vec<i64> {
        versions.iter().filter(|v| !gone.contains(&v.id)).map(|v| v.number).collect()
    };
    // Newest first: 60 single changes of one person long ago, then 60 of another one within minutes.
    let long_ago = (1..=60).map(|number| version(number, 1, number * 60));
    let lately = (61..=120).map(|number| version(number, 2, 100_000 + number / 60));
    let mut versions: Vec<PageVersion> = long_ago.chain(lately).collect();
    versions.reverse();
    let left = numbers(&versions, &surplus(versions.clone()));
    assert_eq!(left.len(), 90);
    assert_eq!(left[0], 120, "the newest one stays");
    assert!((1..=60).all(|number| left.contains(&number)), "{left:?}");

    // Nothing but separate changes: the oldest ones are deleted.
    let mut versions: Vec<PageVersion> = (1..=101).map(|number| version(number, 1, number * 60)).collect();
    versions.reverse();
    let left = numbers(&versions, &surplus(versions.clone()));
    assert_eq!((left.len(), left[0], left[89]), (90, 101, 12));

    // Large ones.
    for version in &mut versions {
        version.size = MAX_BYTES / 2;
    }
    assert_eq!(numbers(&versions, &surplus(versions.clone())), [101, 100, 99]);
    assert!(surplus(vec![versions[0].clone()]).is_empty());
}

#[test]
fn deleted_pages_and_other_things_leave_no_version() {
    let (env, scope) = (env(), member(TenantRole::Owner));
    let (page, other): (PageId, PageId) = (env.new_id(), env.new_id());
    let section = json!({"pageId": page});
    let event = |kind, id: PageId| Event::new(&env, &scope, EventDeclaration::named(kind), id.uuid());
    let user: UserId = env.new_id();
    let events = [
        event("site.updated", env.new_id()),
        event("section.deleted", env.new_id()).before(&section),
        event("page.updated", other).by_user(user),
        event("page.updated", page),
        event("section.created", env.new_id()),
    ];
    let found = changes(&events);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(changes(&[&events[..], &[event("page.deleted", page)]].concat()).len(), 1);
}
