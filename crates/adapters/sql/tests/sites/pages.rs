//! [`portico_sites::ports::PageRepository`].

use portico_kernel::name::Slug;
use portico_kernel::{PageRequest, Permission, Permissions, RequestInfo, Scope, StoreError};
use portico_sites::{
    SitesError,
    generation::{Generation, PageTask},
    page::{Page, PageStatus},
    ports::{BusinessInfo, PageBrief, PageDraft, PageFilter, SiteRepositories, Sort, SortKey, Tokens, Tone},
    section::Provenance,
};
use portico_testkit::{env, on_each_database};

use crate::fixture::{
    Fixture, assert_blocks, assert_conflict, assert_missing, assert_one_wins, assert_stale,
};

#[tokio::test]
async fn stores_and_finds_a_page_of_its_tenant_only() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let site = fixture.site(ours, "shop").await;
        let page = Page { is_home: true, ..fixture.new_page(&site, "about") };
        fixture.insert_page(&page).await.unwrap();
        let mut reader = database.store().reader();
        assert_eq!(reader.pages().find(ours, page.id).await.unwrap(), Some(page.clone()));
        assert_eq!(reader.pages().find(theirs, page.id).await.unwrap(), None);
        let mut unit = fixture.begin().await;
        assert_eq!(unit.pages().lock(ours, page.id).await.unwrap(), Some(page.clone()));
        assert_eq!(unit.pages().lock(theirs, page.id).await.unwrap(), None);
        drop(unit);

        let other = fixture.page(&site, "other").await;
        let mut unit = fixture.begin().await;
        let all = [other.id, fixture.new_page(&site, "never stored").id, page.id];
        let mut expected = vec![page.clone(), other];
        expected.sort_by_key(|page| page.id);
        assert_eq!(unit.pages().lock_all(ours, &all).await.unwrap(), expected);
        assert_eq!(unit.pages().lock_all(ours, &[page.id]).await.unwrap(), std::slice::from_ref(&page));
        assert_eq!(unit.pages().lock_all(theirs, &all).await.unwrap(), []);
        assert_eq!(unit.pages().lock_all(ours, &[]).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_slug_is_unique_in_its_site() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let tenant = fixture.tenant("ours").await;
        let (site, other) = (fixture.site(tenant, "shop").await, fixture.site(tenant, "other").await);
        fixture.page(&site, "about").await;
        assert_conflict(fixture.insert_page(&fixture.new_page(&site, "about")).await);
        fixture.page(&other, "about").await;
        let page = fixture.page(&site, "contact").await;
        let taken = Page { slug: Slug::trusted("about".to_owned()), ..page };
        assert_conflict(fixture.write(async |unit| unit.pages().update(&taken).await).await);
    })
    .await;
}

#[tokio::test]
async fn one_of_many_gets_a_slug() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let site = fixture.site(fixture.tenant("ours").await, "shop").await;
        let pages: Vec<_> = (0..16).map(|_| fixture.new_page(&site, "about")).collect();
        assert_one_wins(pages.iter().map(|page| fixture.insert_page(page))).await;
    })
    .await;
}

#[tokio::test]
async fn a_page_needs_a_site_of_its_own_tenant() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let mut site = fixture.site(theirs, "shop").await;
        site.tenant_id = ours;
        assert_missing(fixture.insert_page(&fixture.new_page(&site, "about")).await);
        assert_missing(
            fixture.insert_page(&fixture.new_page(&fixture.new_site(ours, "none"), "about")).await,
        );
    })
    .await;
}

#[tokio::test]
async fn a_slug_is_found_in_the_site_or_in_the_primary_one() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let (first, second) = (fixture.site(ours, "first").await, fixture.site(ours, "second").await);
        let (about, other) = (fixture.page(&first, "about").await, fixture.page(&second, "about").await);
        fixture.page(&second, "contact").await;
        let mut reader = database.store().reader();
        let mut pages = reader.pages();
        assert_eq!(pages.by_slug(ours, None, "about").await.unwrap(), Some(about));
        assert_eq!(pages.by_slug(ours, Some(second.id), "about").await.unwrap(), Some(other));
        assert_eq!(pages.by_slug(ours, None, "contact").await.unwrap(), None);
        assert_eq!(pages.by_slug(theirs, None, "about").await.unwrap(), None);
        assert_eq!(pages.by_slug(theirs, Some(first.id), "about").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_cut_into_pages() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let tenant = fixture.tenant("ours").await;
        let (site, other) = (fixture.site(tenant, "shop").await, fixture.site(tenant, "other").await);
        fixture.page(&other, "elsewhere").await;
        for (slug, title, status) in [
            ("c", "charlie", PageStatus::Draft),
            ("a", "Alpha", PageStatus::Published),
            ("b", "bravo", PageStatus::Archived),
        ] {
            let page = Page { title: title.to_owned(), status, ..fixture.new_page(&site, slug) };
            fixture.insert_page(&page).await.unwrap();
        }
        let touched =
            database.store().reader().pages().by_slug(tenant, Some(site.id), "a").await.unwrap().unwrap();
        let touched = Page { updated_at: fixture.new_page(&site, "later").updated_at, ..touched };
        fixture.write(async |unit| unit.pages().update(&touched).await).await.unwrap();

        let list = async |filter: PageFilter, page: u64, limit: u64| {
            let request = PageRequest { page, limit };
            let list =
                database.store().reader().pages().list(tenant, site.id, filter, request).await.unwrap();
            (
                list.items.into_iter().map(|page| page.slug.into_string()).collect::<Vec<_>>().join(" "),
                list.total,
            )
        };
        let sort = |key, descending| PageFilter { sort: Sort { key, descending }, ..PageFilter::default() };
        let found = |slugs: &str, total: u64| (slugs.to_owned(), total);
        assert_eq!(list(PageFilter::default(), 1, 20).await, found("b a c", 3));
        assert_eq!(list(sort(SortKey::Name, false), 1, 20).await, found("a b c", 3));
        assert_eq!(list(sort(SortKey::Name, true), 2, 2).await, found("a", 3));
        assert_eq!(list(sort(SortKey::UpdatedAt, true), 1, 20).await, found("a b c", 3));
        let draft = PageFilter { status: Some(PageStatus::Draft), ..PageFilter::default() };
        assert_eq!(list(draft, 1, 20).await, found("c", 1));
        let search = PageFilter { q: Some("ALPH".to_owned()), ..PageFilter::default() };
        assert_eq!(list(search, 1, 20).await, found("a", 1));
        let wildcard = PageFilter { q: Some("%".to_owned()), ..PageFilter::default() };
        assert_eq!(list(wildcard, 1, 20).await, found("", 0));
    })
    .await;
}

#[tokio::test]
async fn published_pages_come_home_first_then_oldest_first() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let site = fixture.site(fixture.tenant("ours").await, "shop").await;
        fixture.page(&site, "first").await;
        fixture.page(&site, "second").await;
        let home = Page { is_home: true, ..fixture.new_page(&site, "home") };
        fixture.insert_page(&home).await.unwrap();
        let draft = Page { status: PageStatus::Draft, ..fixture.new_page(&site, "draft") };
        fixture.insert_page(&draft).await.unwrap();
        let pages = database.store().reader().pages().published(site.tenant_id, site.id).await.unwrap();
        assert_eq!(
            pages.iter().map(|page| page.slug.as_str()).collect::<Vec<_>>(),
            ["home", "first", "second"]
        );
    })
    .await;
}

#[tokio::test]
async fn slugs_that_start_alike_are_told_from_others() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let site = fixture.site(fixture.tenant("ours").await, "shop").await;
        for slug in ["about", "about-copy", "about-copy-2", "about-copyright", "contact"] {
            fixture.page(&site, slug).await;
        }
        let mut reader = database.store().reader();
        let mut slugs = reader.pages().slugs_like(site.tenant_id, site.id, "about-copy").await.unwrap();
        slugs.sort();
        assert_eq!(slugs, ["about-copy", "about-copy-2"]);
        assert!(reader.pages().slugs_like(site.tenant_id, site.id, "a%").await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_update_counts_the_version_and_refuses_an_older_one() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let site = fixture.site(fixture.tenant("ours").await, "shop").await;
        let page = fixture.page(&site, "about").await;
        let changed = Page {
            title: "Über uns".to_owned(),
            slug: Slug::trusted("us".to_owned()),
            status: PageStatus::Draft,
            is_home: true,
            template_id: None,
            published_at: None,
            ..page
        };
        fixture.write(async |unit| unit.pages().update(&changed).await).await.unwrap();
        let stored = database.store().reader().pages().find(site.tenant_id, changed.id).await.unwrap();
        assert_eq!(stored, Some(Page { version: 2, ..changed.clone() }));
        assert_stale(fixture.write(async |unit| unit.pages().update(&changed).await).await);
        let elsewhere = Page { tenant: fixture.tenant("theirs").await, version: 2, ..changed };
        assert_stale(fixture.write(async |unit| unit.pages().update(&elsewhere).await).await);
    })
    .await;
}

#[tokio::test]
async fn a_site_has_one_home_also_when_several_want_to_be() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let tenant = fixture.tenant("ours").await;
        let (site, other) = (fixture.site(tenant, "shop").await, fixture.site(tenant, "other").await);
        let untouched = Page { is_home: true, ..fixture.new_page(&other, "home") };
        fixture.insert_page(&untouched).await.unwrap();
        let make_home = async |slug: String| {
            let page = Page { is_home: true, ..fixture.new_page(&site, &slug) };
            fixture
                .write(async |unit| {
                    unit.pages().clear_home(tenant, site.id).await?;
                    unit.pages().insert(&page).await
                })
                .await
        };
        let results = futures_util::future::join_all((0..8).map(|n| make_home(format!("home-{n}")))).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        let pages = database.store().reader().pages().published(tenant, site.id).await.unwrap();
        assert_eq!(pages.iter().filter(|page| page.is_home).count(), 1);
        assert_eq!(
            pages.iter().filter(|page| page.version == 2).count(),
            7,
            "a page that loses the mark has changed"
        );
        assert_eq!(
            database.store().reader().pages().find(tenant, untouched.id).await.unwrap(),
            Some(untouched)
        );
    })
    .await;
}

#[tokio::test]
async fn deleting_takes_sections_and_navigation_along() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let site = fixture.site(ours, "shop").await;
        let (page, kept) = (fixture.page(&site, "about").await, fixture.page(&site, "kept").await);
        let section = fixture.new_section(&page, 0);
        fixture.insert_sections(std::slice::from_ref(&section)).await.unwrap();
        let mut leads_there = fixture.new_item(&site, "About", 0);
        leads_there.page_id = Some(page.id);
        let mut leads_elsewhere = fixture.new_item(&site, "Kept", 1);
        leads_elsewhere.page_id = Some(kept.id);
        fixture.insert_item(&leads_there).await.unwrap();
        fixture.insert_item(&leads_elsewhere).await.unwrap();

        let delete = async |tenant| {
            fixture.write(async |unit| unit.pages().delete(tenant, page.id).await).await.unwrap()
        };
        assert!(!delete(theirs).await, "it is not theirs");
        assert!(delete(ours).await);
        assert!(!delete(ours).await, "it is gone");
        let mut reader = database.store().reader();
        assert_eq!(reader.sections().find(ours, page.id, section.id).await.unwrap(), None);
        assert_eq!(reader.navigation().list(ours, site.id, false).await.unwrap(), [leads_elsewhere]);
    })
    .await;
}

#[tokio::test]
async fn a_locked_page_makes_others_wait() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let site = fixture.site(fixture.tenant("ours").await, "shop").await;
        let page = fixture.page(&site, "about").await;
        assert_blocks(&fixture, async |unit| {
            assert!(unit.pages().lock(page.tenant, page.id).await.unwrap().is_some());
        })
        .await;
        assert_blocks(&fixture, async |unit| {
            assert_eq!(unit.pages().lock_all(page.tenant, &[page.id]).await.unwrap().len(), 1);
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn nothing_is_stored_without_a_commit() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let site = fixture.site(fixture.tenant("ours").await, "shop").await;
        let page = fixture.new_page(&site, "about");
        let failed = fixture
            .write(async |unit| {
                unit.pages().insert(&page).await?;
                Err::<(), _>(StoreError::Stale)
            })
            .await;
        assert_stale(failed);
        assert_eq!(database.store().reader().pages().find(site.tenant_id, page.id).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_page_that_is_added_later_is_stored_or_refused_by_the_commit() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let site = fixture.site(fixture.tenant("ours").await, "shop").await;
        let (page, same_slug) = (fixture.new_page(&site, "about"), fixture.new_page(&site, "about"));
        let nowhere = fixture.new_page(&fixture.new_site(site.tenant_id, "unknown"), "nowhere");
        let add = async |page: &Page| fixture.write(async |unit| unit.pages().insert_later(page).await).await;
        add(&page).await.unwrap();
        let taken = add(&same_slug).await;
        assert!(matches!(&taken, Err(StoreError::Conflict(key)) if key.starts_with("pages")), "{taken:?}");
        let missing = add(&nowhere).await;
        assert!(
            matches!(&missing, Err(StoreError::MissingReference(key)) if key.starts_with("pages") || key.is_empty()),
            "{missing:?}"
        );
        let mut reader = database.store().reader();
        assert_eq!(reader.pages().by_slug(page.tenant, None, "about").await.unwrap(), Some(page));
        assert_eq!(reader.pages().find(nowhere.tenant, nowhere.id).await.unwrap(), None);

        // Whatever is asked of pages before the commit finds it.
        let later = fixture.new_page(&site, "later");
        let found = fixture
            .write(async |unit| {
                unit.pages().insert_later(&later).await?;
                unit.pages().find(later.tenant, later.id).await
            })
            .await;
        assert_eq!(found.unwrap(), Some(later));
    })
    .await;
}

#[tokio::test]
async fn a_page_that_was_written_is_refused_where_another_one_has_its_slug_by_now() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let tenant = fixture.tenant("ours").await;
        let site = fixture.site(tenant, "shop").await;
        let brief = PageBrief {
            business: BusinessInfo::default(),
            language: "en".to_owned(),
            tone: Tone::default(),
            title: "About".to_owned(),
            purpose: None,
            sections: Vec::new(),
        };
        let task = PageTask { brief, site: site.id, slug: "about".to_owned(), create: true };
        let draft =
            PageDraft { sections: Vec::new(), provenance: Provenance::Own, tokens: Tokens::default() };
        let env = env();
        let permissions = Permissions::from_list(&[Permission::PagesWrite]);
        let scope = Scope::api_key(env.new_id(), None, tenant, permissions, RequestInfo::default());
        fixture.page(&site, "about").await;
        let mut unit = fixture.begin().await;
        let refused = Generation::new(&mut unit, &scope, &env).create_page(&task, &draft).await;
        assert!(matches!(refused, Err(SitesError::SlugTaken)), "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn unarchived_is_all_that_a_draft_shows() {
    on_each_database(async |database| {
        let fixture = Fixture::new(database);
        let (ours, theirs) = (fixture.tenant("ours").await, fixture.tenant("theirs").await);
        let (site, other) = (fixture.site(ours, "shop").await, fixture.site(ours, "other").await);
        let mut shown = Vec::new();
        for (slug, status, home) in [
            ("one", PageStatus::Published, false),
            ("two", PageStatus::Draft, true),
            ("three", PageStatus::Archived, false),
        ] {
            let page = Page { status, is_home: home, ..fixture.new_page(&site, slug) };
            fixture.insert_page(&page).await.unwrap();
            let hidden = portico_sites::section::Section { visible: false, ..fixture.new_section(&page, 1) };
            let section = fixture.new_section(&page, 0);
            fixture.insert_sections(&[section.clone(), hidden]).await.unwrap();
            if status != PageStatus::Archived {
                shown.insert(0, (page, section));
            }
        }
        fixture.page(&other, "elsewhere").await;
        let mut reader = database.store().reader();
        let pages = reader.pages().unarchived(ours, site.id).await.unwrap();
        assert_eq!(pages, shown.iter().map(|(page, _)| page.clone()).collect::<Vec<_>>(), "home first");
        let mut sections = reader.sections().unarchived(ours, site.id).await.unwrap();
        sections.sort_by_key(|section| std::cmp::Reverse(section.created_at));
        assert_eq!(sections, shown.iter().map(|(_, section)| section.clone()).collect::<Vec<_>>());
        assert_eq!(reader.pages().unarchived(theirs, site.id).await.unwrap(), []);
        assert_eq!(reader.sections().unarchived(theirs, site.id).await.unwrap(), []);
        assert_eq!(reader.seo().unarchived(ours, site.id).await.unwrap(), []);
    })
    .await;
}
