//! [`portico_sites::ports::SectionRepository`].

use portico_sites::{
    page::{Page, PageStatus},
    ports::SiteRepositories,
    section::{Section, SectionType},
};
use portico_testkit::on_each_database;
use serde_json::json;

use crate::fixture::{Fixture, assert_missing, assert_stale};

#[tokio::test]
async fn stores_and_finds_sections_of_their_tenant_and_page_only() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let site = fixture.site(ours, "shop").await;
        let (page, other) = (fixture.page(&site, "about").await, fixture.page(&site, "other").await);
        let (second, first) = (fixture.new_section(&page, 1), fixture.new_section(&page, 0));
        fixture.insert_sections(&[second.clone(), first.clone()]).await.unwrap();
        fixture.insert_sections(&[]).await.unwrap();
        let mut reader = database.store().reader();
        let mut sections = reader.sections();
        assert_eq!(sections.find(ours, page.id, first.id).await.unwrap().as_ref(), Some(&first));
        assert_eq!(sections.find(theirs, page.id, first.id).await.unwrap(), None);
        assert_eq!(sections.find(ours, other.id, first.id).await.unwrap(), None);
        assert_eq!(sections.list(ours, page.id).await.unwrap(), [first, second]);
        assert!(sections.list(theirs, page.id).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn stores_more_sections_than_fit_into_one_statement() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let site = fixture.site(fixture.tenant("ours").await, "shop").await;
        let page = fixture.page(&site, "about").await;
        let many: Vec<_> = (0..1200).map(|position| fixture.new_section(&page, position)).collect();
        fixture.insert_sections(&many).await.unwrap();
        assert_eq!(database.store().reader().sections().list(page.tenant, page.id).await.unwrap(), many);
    })
    .await;
}

#[tokio::test]
async fn a_section_needs_a_page_of_its_own_tenant() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let site = fixture.site(theirs, "shop").await;
        let page = fixture.page(&site, "about").await;
        let smuggled = Section { tenant: ours, ..fixture.new_section(&page, 0) };
        assert_missing(fixture.insert_sections(&[smuggled]).await);
        let nowhere = fixture.new_page(&site, "none");
        let all_or_nothing = [fixture.new_section(&page, 0), fixture.new_section(&nowhere, 1)];
        assert_missing(fixture.insert_sections(&all_or_nothing).await);
        assert!(database.store().reader().sections().list(theirs, page.id).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_is_published_is_visible_and_on_published_pages() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let tenant = fixture.tenant("ours").await;
        let (site, other) = (fixture.site(tenant, "shop").await, fixture.site(tenant, "other").await);
        let (page, next) = (fixture.page(&site, "about").await, fixture.page(&site, "next").await);
        let draft = Page { status: PageStatus::Draft, ..fixture.new_page(&site, "draft") };
        fixture.insert_page(&draft).await.unwrap();
        let elsewhere = fixture.page(&other, "about").await;
        let (second, first) = (fixture.new_section(&page, 1), fixture.new_section(&page, 0));
        let third = fixture.new_section(&next, 0);
        let hidden = Section { visible: false, ..fixture.new_section(&page, 2) };
        let unpublished = [fixture.new_section(&draft, 0), fixture.new_section(&elsewhere, 0), hidden];
        fixture.insert_sections(&unpublished).await.unwrap();
        fixture.insert_sections(&[second.clone(), first.clone(), third.clone()]).await.unwrap();
        let mut expected = vec![first, second, third];
        expected.sort_by_key(|section| (section.page_id.uuid(), section.position));
        let published = database.store().reader().sections().published(tenant, site.id).await.unwrap();
        assert_eq!(published, expected);
    })
    .await;
}

#[tokio::test]
async fn an_update_counts_the_version_and_refuses_an_older_one() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let site = fixture.site(fixture.tenant("ours").await, "shop").await;
        let (page, other) = (fixture.page(&site, "about").await, fixture.page(&site, "other").await);
        let section = fixture.new_section(&page, 0);
        fixture.insert_sections(std::slice::from_ref(&section)).await.unwrap();
        let changed = Section {
            kind: SectionType::Text,
            content: json!({"html": "<p>12</p>"}),
            position: 4,
            visible: false,
            ..section
        };
        fixture.write(async |unit| unit.sections().update(&changed).await).await.unwrap();
        let stored = database.store().reader().sections().list(page.tenant, page.id).await.unwrap();
        assert_eq!(stored, [Section { version: 2, ..changed.clone() }]);
        assert_stale(fixture.write(async |unit| unit.sections().update(&changed).await).await);
        let on_another_page = Section { page_id: other.id, version: 2, ..changed };
        assert_stale(fixture.write(async |unit| unit.sections().update(&on_another_page).await).await);
    })
    .await;
}

#[tokio::test]
async fn deletes_sections_of_the_page_only() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let site = fixture.site(ours, "shop").await;
        let (page, other) = (fixture.page(&site, "about").await, fixture.page(&site, "other").await);
        let (gone, kept) = (fixture.new_section(&page, 0), fixture.new_section(&page, 1));
        let elsewhere = fixture.new_section(&other, 0);
        fixture.insert_sections(&[gone.clone(), kept.clone(), elsewhere.clone()]).await.unwrap();
        let ids = [gone.id, elsewhere.id];
        fixture.write(async |unit| unit.sections().delete(theirs, page.id, &ids).await).await.unwrap();
        fixture.write(async |unit| unit.sections().delete(ours, page.id, &[]).await).await.unwrap();
        let mut reader = database.store().reader();
        assert_eq!(reader.sections().list(ours, page.id).await.unwrap(), [gone, kept.clone()]);
        fixture.write(async |unit| unit.sections().delete(ours, page.id, &ids).await).await.unwrap();
        assert_eq!(reader.sections().list(ours, page.id).await.unwrap(), [kept]);
        assert_eq!(reader.sections().list(ours, other.id).await.unwrap(), [elsewhere]);
    })
    .await;
}

#[tokio::test]
async fn orders_sections_without_counting_versions() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let site = fixture.site(ours, "shop").await;
        let (page, other) = (fixture.page(&site, "about").await, fixture.page(&site, "other").await);
        let sections: Vec<_> = (0..5).map(|position| fixture.new_section(&page, position)).collect();
        fixture.insert_sections(&sections).await.unwrap();
        let elsewhere = fixture.new_section(&other, 7);
        fixture.insert_sections(std::slice::from_ref(&elsewhere)).await.unwrap();
        let order = [3, 1, 4, 0, 2].map(|index: usize| sections[index].id);
        let mut reader = database.store().reader();

        fixture.write(async |unit| unit.sections().order(theirs, page.id, &order).await).await.unwrap();
        assert_eq!(reader.sections().list(ours, page.id).await.unwrap(), sections);
        fixture.write(async |unit| unit.sections().order(ours, page.id, &order).await).await.unwrap();
        fixture
            .write(async |unit| unit.sections().order(ours, page.id, &[elsewhere.id]).await)
            .await
            .unwrap();
        fixture.write(async |unit| unit.sections().order(ours, page.id, &[]).await).await.unwrap();

        let stored = reader.sections().list(ours, page.id).await.unwrap();
        assert_eq!(stored.iter().map(|section| section.id).collect::<Vec<_>>(), order);
        let positions: Vec<_> = stored.iter().map(|section| (section.position, section.version)).collect();
        assert_eq!(positions, [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1)]);
        assert_eq!(reader.sections().list(ours, other.id).await.unwrap(), [elsewhere]);
    })
    .await;
}
