//! [`portico_sites::ports::SectionRepository`].

use portico_sites::{
    page::{Page, PageStatus},
    ports::SiteRepositories,
    section::{ContentReview, Provenance, Section, SectionType, StockPicture},
    site::Site,
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
        assert_eq!(sections.list(ours, page.id).await.unwrap(), [first.clone(), second.clone()]);
        assert!(sections.list(theirs, page.id).await.unwrap().is_empty());

        let third = fixture.new_section(&other, 0);
        fixture.insert_sections(std::slice::from_ref(&third)).await.unwrap();
        let mut all = vec![first.clone(), second.clone(), third];
        all.sort_by_key(|section| (section.page_id, section.position));
        assert_eq!(sections.of_pages(ours, &[other.id, page.id]).await.unwrap(), all);
        assert_eq!(sections.of_pages(ours, &[page.id]).await.unwrap(), [first, second]);
        assert_eq!(sections.of_pages(theirs, &[page.id]).await.unwrap(), []);
        assert_eq!(sections.of_pages(ours, &[]).await.unwrap(), []);
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

#[tokio::test]
async fn samples_are_named_with_their_pages_and_confirmed_where_they_are_shown() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let (site, other) = (fixture.site(ours, "shop").await, fixture.site(ours, "other").await);
        let about = fixture.page(&site, "about").await;
        let home = Page { is_home: true, ..fixture.new_page(&site, "home") };
        let draft = Page { status: PageStatus::Draft, ..fixture.new_page(&site, "draft") };
        for page in [&home, &draft] {
            fixture.insert_page(page).await.unwrap();
        }
        let elsewhere = fixture.page(&other, "about").await;
        let section =
            |page: &Page, position, provenance| Section { provenance, ..fixture.new_section(page, position) };
        let (own, sample) = (Provenance::Own, Provenance::Sample);
        let shown = [
            section(&about, 1, Provenance::Generated),
            section(&about, 0, sample),
            section(&home, 0, own),
            section(&home, 1, sample),
        ];
        let hidden = Section { visible: false, ..section(&home, 2, sample) };
        let kept = [hidden, section(&draft, 0, sample), section(&elsewhere, 0, sample)];
        fixture.insert_sections(&shown).await.unwrap();
        fixture.insert_sections(&kept).await.unwrap();
        let samples = async |tenant, site: &Site| {
            database.store().reader().sections().samples(tenant, site.id).await.unwrap()
        };
        let places = samples(ours, &site).await;
        let named: Vec<_> =
            places.iter().map(|place| (place.section_id, place.position, place.provenance)).collect();
        let expected = [&shown[3], &shown[1], &shown[0]].map(|s| (s.id, s.position, s.provenance));
        assert_eq!(named, expected, "home first");
        assert_eq!(
            (&places[0].page_title, places[0].page_id, places[0].kind),
            (&home.title, home.id, shown[3].kind)
        );
        assert_eq!(samples(theirs, &site).await, []);

        // The same, and the pictures of the library, of what is the customer's own, too.
        let of_library = |page: &Page, position, kind, content| Section {
            provenance: own,
            kind,
            content,
            ..fixture.new_section(page, position)
        };
        let hero =
            of_library(&home, 3, SectionType::Hero, json!({"heading": "x", "imageUrl": "/library/a.svg"}));
        let images = json!({"images": [{"url": "/b.png"}, {"url": "/library/a.svg"}]});
        let gallery = of_library(&about, 2, SectionType::Gallery, images);
        let mention = of_library(&about, 3, SectionType::Text, json!({"html": "<p>/library/a.svg</p>"}));
        let out_of_sight = [
            Section { visible: false, ..of_library(&home, 4, hero.kind, hero.content.clone()) },
            of_library(&draft, 1, hero.kind, hero.content.clone()),
        ];
        fixture.insert_sections(&[gallery.clone(), mention.clone(), hero.clone()]).await.unwrap();
        fixture.insert_sections(&out_of_sight).await.unwrap();
        let review = async |tenant, site: &Site| {
            database.store().reader().sections().review(tenant, site.id).await.unwrap()
        };
        let found = review(ours, &site).await;
        assert_eq!(found.sample_content, places);
        let stock = |page: &Page, section: &Section, field: &str| StockPicture {
            page_id: page.id,
            page_title: page.title.clone(),
            page_slug: page.slug.clone(),
            section_id: section.id,
            kind: section.kind,
            position: section.position,
            field: field.to_owned(),
        };
        let expected = [stock(&home, &hero, "imageUrl"), stock(&about, &gallery, "images[1].url")];
        assert_eq!(found.stock_pictures, expected);
        assert_eq!(review(theirs, &site).await, ContentReview::default());
        fixture
            .write(async |unit| {
                unit.sections().delete(ours, home.id, &[hero.id, out_of_sight[0].id]).await?;
                unit.sections().delete(ours, draft.id, &[out_of_sight[1].id]).await?;
                unit.sections().delete(ours, about.id, &[gallery.id, mention.id]).await
            })
            .await
            .unwrap();

        let at = fixture.now();
        fixture.write(async |unit| unit.sections().confirm(theirs, site.id, at).await).await.unwrap();
        assert_eq!(samples(ours, &site).await.len(), 3);
        fixture.write(async |unit| unit.sections().confirm(ours, site.id, at).await).await.unwrap();
        assert_eq!(samples(ours, &site).await, []);
        let mut reader = database.store().reader();
        let stored = reader.sections().list(ours, about.id).await.unwrap();
        let confirmed = |s: &Section| Section { provenance: own, version: 2, updated_at: at, ..s.clone() };
        assert_eq!(stored, [confirmed(&shown[1]), confirmed(&shown[0])]);
        let stored = reader.sections().list(ours, home.id).await.unwrap();
        assert_eq!(stored, [shown[2].clone(), confirmed(&shown[3]), kept[0].clone()]);
        assert_eq!(reader.sections().list(ours, draft.id).await.unwrap(), kept[1..2]);
        assert_eq!(samples(ours, &other).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_was_stored_before_provenance_was_is_the_customers_own() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let tenant = fixture.tenant("ours").await;
        let site = fixture.site(tenant, "shop").await;
        let page = fixture.page(&site, "about").await;
        let section = Section { provenance: Provenance::Sample, ..fixture.new_section(&page, 0) };
        fixture.insert_sections(std::slice::from_ref(&section)).await.unwrap();
        let store = database.store();
        let migrations = store.migration_status().await.unwrap();
        let later = migrations.iter().rev().take_while(|other| !other.name.ends_with("provenance")).count();
        store.migrate_down(later as u32 + 1).await.unwrap();
        store.migrate().await.unwrap();
        assert_eq!(store.reader().sections().samples(tenant, site.id).await.unwrap(), []);
        let stored = store.reader().sections().list(tenant, page.id).await.unwrap();
        assert_eq!(stored, [Section { provenance: Provenance::Own, ..section }]);
    })
    .await;
}
