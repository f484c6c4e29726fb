//! [`portico_sites::ports::TemplateRepository`], and what it needs of pages and navigation.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use futures_util::future::join_all;
use portico_kernel::name::Slug;
use portico_kernel::{PageRequest, SectionId, StoreError, TemplateId, TenantId, Timestamp};
use portico_sites::{
    look::{Look, Style},
    page::Page,
    ports::{SiteRepositories, TemplateFilter, TemplateSort, TemplateSortKey},
    section::{SectionOrigin, SectionType},
    template::{LibraryTemplate, Template, TemplatePage, TemplateSection, library_id},
};
use portico_testkit::on_each_database;
use serde_json::json;

use crate::fixture::{Fixture, assert_conflict, assert_missing, assert_one_wins, assert_stale};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000 + seconds).expect("a time")
}

/// A template that is not stored yet; later numbers are made later.
fn template(number: u8, slug: &str) -> Template {
    let section = TemplateSection {
        key: "hero".to_owned(),
        kind: SectionType::Hero,
        content: json!({"heading": "Óptica \"Luz\"", "items": [1, 2.5, null, {"deep": []}]}),
    };
    let page = TemplatePage {
        key: "home".to_owned(),
        title: "Home".to_owned(),
        slug: Slug::trusted("home".to_owned()),
        is_home: true,
        seo_title: Some("Title".to_owned()),
        seo_description: None,
        sections: vec![section],
    };
    Template {
        id: format!("00000000-0000-7000-8000-0000000000{number:02x}").parse().expect("an id"),
        name: format!("Template {slug}"),
        slug: Slug::trusted(slug.to_owned()),
        category: "food".to_owned(),
        industry: "bakery".to_owned(),
        description: "Good for bread.".to_owned(),
        language: "en".to_owned(),
        is_premium: false,
        is_featured: false,
        popularity: 0,
        look: Look { style: Style::Bold, colors: None, fonts: None },
        pages: vec![page],
        created_at: at(i64::from(number)),
        updated_at: at(i64::from(number)),
        version: 1,
    }
}

async fn insert(fixture: &Fixture<'_>, template: &Template) -> Result<(), StoreError> {
    fixture.write(async |unit| unit.templates().insert(template).await).await
}

async fn find(fixture: &Fixture<'_>, id: TemplateId) -> Option<Template> {
    fixture.database.store().reader().templates().find(id).await.unwrap()
}

async fn delete(fixture: &Fixture<'_>, id: TemplateId, version: i64) -> bool {
    fixture.write(async |unit| unit.templates().delete(id, version, at(99)).await).await.unwrap()
}

async fn count(fixture: &Fixture<'_>, id: TemplateId) -> bool {
    fixture.write(async |unit| unit.templates().count_use(id).await).await.unwrap()
}

fn library(template: Template, fingerprint: &str) -> LibraryTemplate {
    let template = Template { id: library_id(&template.slug), ..template };
    LibraryTemplate { template, fingerprint: fingerprint.to_owned() }
}

async fn put(fixture: &Fixture<'_>, templates: &[LibraryTemplate]) {
    fixture.write(async |unit| unit.templates().put_library(templates).await).await.unwrap();
}

#[tokio::test]
async fn stores_and_finds_templates_by_id_and_slug() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let template = template(1, "one");
        insert(&fixture, &template).await.unwrap();
        let mut reader = database.store().reader();
        let mut templates = reader.templates();
        assert_eq!(templates.find(template.id).await.unwrap().as_ref(), Some(&template));
        assert_eq!(templates.by_slug("one").await.unwrap().as_ref(), Some(&template));
        assert_eq!(templates.by_slug("On").await.unwrap(), None);
        assert!(templates.exists(template.id).await.unwrap());
        assert!(!templates.exists(library_id("one")).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_slug_is_had_by_one_template_also_under_concurrency() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let all: Vec<Template> = (1..=8).map(|number| template(number, "same")).collect();
        assert_one_wins(all.iter().map(|template| insert(&fixture, template))).await;
        let winner = database.store().reader().templates().by_slug("same").await.unwrap().unwrap();
        let other = template(20, "other");
        insert(&fixture, &other).await.unwrap();
        let renamed = Template { slug: Slug::trusted("same".to_owned()), ..other };
        assert_conflict(fixture.write(async |unit| unit.templates().update(&renamed).await).await);
        // Once it is deleted, another one may have it.
        assert!(count(&fixture, winner.id).await);
        assert!(delete(&fixture, winner.id, 1).await);
        insert(&fixture, &template(30, "same")).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_paged_without_what_is_deleted() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let mut all =
            [template(1, "cherry"), template(2, "apple"), template(3, "banana"), template(4, "gone")];
        all[0].name = "Öl & Essig".to_owned();
        (all[1].industry, all[1].is_premium) = ("hotel".to_owned(), true);
        (all[2].category, all[2].language, all[2].is_featured) = ("travel".to_owned(), "es".to_owned(), true);
        for template in &all {
            insert(&fixture, template).await.unwrap();
        }
        assert!(count(&fixture, all[1].id).await);
        assert!(delete(&fixture, all[3].id, 1).await);
        let mut reader = database.store().reader();
        let mut templates = reader.templates();
        let sort = |key, descending| TemplateSort { key, descending };
        let popular = sort(TemplateSortKey::Popularity, true);
        let newest = sort(TemplateSortKey::CreatedAt, true);
        let none = TemplateFilter::default;
        let text = |text: &str| Some(text.to_owned());
        for (filter, expected) in [
            (none(), vec!["apple", "banana", "cherry"]),
            (TemplateFilter { sort: newest, ..none() }, vec!["banana", "apple", "cherry"]),
            (TemplateFilter { sort: popular, ..none() }, vec!["apple", "banana", "cherry"]),
            (TemplateFilter { q: text("öL &"), ..none() }, vec!["cherry"]),
            (TemplateFilter { q: text("BREAD"), ..none() }, vec!["apple", "banana", "cherry"]),
            (TemplateFilter { q: text("100%"), ..none() }, vec![]),
            (TemplateFilter { category: text("food"), ..none() }, vec!["apple", "cherry"]),
            (TemplateFilter { industry: text("hotel"), ..none() }, vec!["apple"]),
            (TemplateFilter { language: text("es"), ..none() }, vec!["banana"]),
            (TemplateFilter { featured: Some(true), ..none() }, vec!["banana"]),
            (TemplateFilter { premium: Some(false), ..none() }, vec!["banana", "cherry"]),
        ] {
            let found = templates.list(filter.clone(), PageRequest::default()).await.unwrap();
            let slugs: Vec<_> = found.items.iter().map(|template| template.slug.as_str()).collect();
            assert_eq!(slugs, expected, "{filter:?}");
            assert_eq!(found.total, expected.len() as u64);
        }
        let second = templates.list(none(), PageRequest { page: 2, limit: 2 }).await.unwrap();
        assert_eq!((second.items.len(), second.total, second.items[0].slug.as_str()), (1, 3, "cherry"));
        let listed = &second.items[0];
        assert_eq!((&listed.pages, &listed.look), (&all[0].outline(), &all[0].look));
        let words =
            |words: &[(&str, u64)]| words.iter().map(|(w, n)| ((*w).to_owned(), *n)).collect::<Vec<_>>();
        assert_eq!(templates.categories().await.unwrap(), words(&[("food", 2), ("travel", 1)]));
        assert_eq!(templates.industries().await.unwrap(), words(&[("bakery", 2), ("hotel", 1)]));
    })
    .await;
}

#[tokio::test]
async fn an_update_counts_the_version_and_leaves_the_popularity() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let stored = template(1, "one");
        insert(&fixture, &stored).await.unwrap();
        assert!(count(&fixture, stored.id).await);
        let changed =
            Template { name: "Changed".to_owned(), updated_at: at(50), popularity: 0, ..stored.clone() };
        fixture.write(async |unit| unit.templates().update(&changed).await).await.unwrap();
        assert_eq!(
            find(&fixture, stored.id).await,
            Some(Template { version: 2, popularity: 1, ..changed.clone() })
        );
        assert_stale(fixture.write(async |unit| unit.templates().update(&changed).await).await);
        assert!(!delete(&fixture, stored.id, 1).await, "another version");
        assert!(delete(&fixture, stored.id, 2).await);
        assert!(!delete(&fixture, stored.id, 3).await, "deleted already");
        let again = Template { version: 3, ..changed };
        assert_stale(fixture.write(async |unit| unit.templates().update(&again).await).await);
    })
    .await;
}

#[tokio::test]
async fn what_was_used_or_is_of_the_library_stays_as_a_row() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (unused, used) = (template(1, "unused"), template(2, "used"));
        insert(&fixture, &unused).await.unwrap();
        insert(&fixture, &used).await.unwrap();
        put(&fixture, &[library(template(3, "library"), "a")]).await;
        assert!(count(&fixture, used.id).await);
        for (id, kept) in [(unused.id, false), (used.id, true), (library_id("library"), true)] {
            assert!(delete(&fixture, id, 1).await);
            assert_eq!(find(&fixture, id).await, None);
            assert!(!count(&fixture, id).await, "a template that is gone is not used");
            let records = database.store().reader().templates().records().await.unwrap();
            let record = records.iter().find(|record| record.id == id);
            assert_eq!(record.map(|record| record.is_deleted), kept.then_some(true));
        }
    })
    .await;
}

#[tokio::test]
async fn every_use_is_counted_under_concurrency() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let stored = template(1, "one");
        insert(&fixture, &stored).await.unwrap();
        let counted = join_all((0..50).map(|_| count(&fixture, stored.id))).await;
        assert!(counted.into_iter().all(|there| there));
        assert_eq!(find(&fixture, stored.id).await.unwrap().popularity, 50);
    })
    .await;
}

#[tokio::test]
async fn the_library_changes_nothing_of_the_staffs() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let first = ["plain", "edited", "deleted"].map(|slug| library(template(1, slug), "first"));
        put(&fixture, &first).await;
        put(&fixture, &[]).await;
        assert!(count(&fixture, library_id("plain")).await);
        let edited = Template { name: "Edited".to_owned(), ..first[1].template.clone() };
        fixture.write(async |unit| unit.templates().update(&edited).await).await.unwrap();
        assert!(delete(&fixture, library_id("deleted"), 1).await);
        let second = ["plain", "edited", "deleted"].map(|slug| {
            let newer = Template { name: "Newer".to_owned(), updated_at: at(70), ..template(9, slug) };
            library(newer, "second")
        });
        put(&fixture, &second).await;
        let plain = find(&fixture, library_id("plain")).await.unwrap();
        let created_at = first[0].template.created_at;
        assert_eq!(plain, Template { popularity: 1, version: 2, created_at, ..second[0].template.clone() });
        assert_eq!(find(&fixture, library_id("edited")).await, Some(Template { version: 2, ..edited }));
        assert_eq!(find(&fixture, library_id("deleted")).await, None);
        let mut records = database.store().reader().templates().records().await.unwrap();
        records.sort_by(|one, other| one.slug.cmp(&other.slug));
        let told: Vec<_> = records
            .iter()
            .map(|r| (r.slug.as_str(), r.fingerprint.as_deref(), r.is_staffs, r.is_deleted))
            .collect();
        assert_eq!(
            told,
            [
                ("deleted", Some("first"), false, true),
                ("edited", Some("first"), true, false),
                ("plain", Some("second"), false, false),
            ]
        );
    })
    .await;
}

fn origin(page: &Page, section: SectionId, position: i32) -> SectionOrigin {
    SectionOrigin {
        tenant: page.tenant,
        section_id: section,
        page_id: page.id,
        template_id: library_id("one"),
        page_key: "home".to_owned(),
        section_key: format!("s{position}"),
        kind: SectionType::Hero,
        content: json!({"heading": "Óptica", "items": [null, 1]}),
        position,
        applied_at: at(7),
    }
}

async fn track(fixture: &Fixture<'_>, origins: &[SectionOrigin]) -> Result<(), StoreError> {
    fixture.write(async |unit| unit.templates().track(origins).await).await
}

async fn origins(fixture: &Fixture<'_>, tenant: TenantId, page: &Page) -> Vec<SectionOrigin> {
    fixture.database.store().reader().templates().origins(tenant, page.id).await.unwrap()
}

#[tokio::test]
async fn what_sections_were_made_from_outlives_them_and_goes_with_the_page() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let site = fixture.site(ours, "shop").await;
        let (page, other) = (fixture.page(&site, "about").await, fixture.page(&site, "other").await);
        let sections: Vec<_> = (0..3).map(|position| fixture.new_section(&page, position)).collect();
        fixture.insert_sections(&sections).await.unwrap();
        let made: Vec<_> = (0..).zip(&sections).map(|(at, section)| origin(&page, section.id, at)).collect();
        track(&fixture, &[made[2].clone(), made[0].clone(), made[1].clone()]).await.unwrap();
        track(&fixture, &[]).await.unwrap();
        assert_eq!(origins(&fixture, ours, &page).await, made);
        assert!(origins(&fixture, theirs, &page).await.is_empty(), "another tenant");
        assert!(origins(&fixture, ours, &other).await.is_empty(), "another page");

        let smuggled = SectionOrigin { tenant: theirs, ..made[0].clone() };
        assert_missing(track(&fixture, &[smuggled]).await);
        let nowhere = fixture.new_page(&site, "nowhere");
        assert_missing(
            track(&fixture, &[origin(&nowhere, SectionId::from_uuid(library_id("x").uuid()), 0)]).await,
        );

        let ids = [sections[0].id];
        fixture.write(async |unit| unit.sections().delete(ours, page.id, &ids).await).await.unwrap();
        assert_eq!(origins(&fixture, ours, &page).await.len(), 3, "one is gone, and that is known");
        fixture.write(async |unit| unit.templates().untrack(theirs, page.id).await).await.unwrap();
        assert_eq!(origins(&fixture, ours, &page).await.len(), 3);
        fixture.write(async |unit| unit.templates().untrack(ours, page.id).await).await.unwrap();
        assert!(origins(&fixture, ours, &page).await.is_empty());
        track(&fixture, &made).await.unwrap();
        fixture.write(async |unit| unit.pages().delete(ours, page.id).await).await.unwrap();
        assert!(origins(&fixture, ours, &page).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn many_pages_and_items_are_stored_at_once_or_not_at_all() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let site = fixture.site(ours, "shop").await;
        let pages: Vec<Page> =
            (0..700).map(|number| fixture.new_page(&site, &format!("p{number}"))).collect();
        let insert =
            async |pages: &[Page]| fixture.write(async |unit| unit.pages().insert_all(pages).await).await;
        insert(&pages).await.unwrap();
        insert(&[]).await.unwrap();
        let stored = database.store().reader().pages().published(ours, site.id).await.unwrap();
        assert_eq!(stored.len(), 700);
        let taken = [fixture.new_page(&site, "free"), fixture.new_page(&site, "p7")];
        assert_conflict(insert(&taken).await);
        let smuggled =
            [fixture.new_page(&site, "free"), Page { tenant: theirs, ..fixture.new_page(&site, "x") }];
        assert_missing(insert(&smuggled).await);
        let free = database.store().reader().pages().by_slug(ours, Some(site.id), "free").await.unwrap();
        assert_eq!(free, None);

        let items: Vec<_> = (0..5).map(|at| fixture.new_item(&site, &format!("i{at}"), at)).collect();
        fixture.write(async |unit| unit.navigation().insert_all(&items).await).await.unwrap();
        fixture.write(async |unit| unit.navigation().insert_all(&[]).await).await.unwrap();
        assert_eq!(database.store().reader().navigation().list(ours, site.id, false).await.unwrap(), items);
        let mut smuggled = vec![fixture.new_item(&site, "a", 5), fixture.new_item(&site, "b", 6)];
        smuggled[1].tenant = theirs;
        assert_missing(fixture.write(async |unit| unit.navigation().insert_all(&smuggled).await).await);
        assert_eq!(database.store().reader().navigation().list(ours, site.id, false).await.unwrap().len(), 5);
    })
    .await;
}
