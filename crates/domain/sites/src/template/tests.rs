//! Templates in use: from the library to a page, changed, and back.

use portico_kernel::{
    Env, Fault, Feature, PageRequest, Permission, Permissions, Scope, TenantRole, name::Slug,
};
use serde_json::{Value, json};

use super::*;
use crate::{
    SitesError,
    page::{NewPage, Page, PageStatus, Pages},
    ports::{SiteRepositories, TemplateFilter},
    section::{NewSection, Provenance, Section, SectionType, SectionUpdate, Sections},
    site::{NewSite, Site, Sites},
    testing::{Store, env, member, tenant, user},
};

mod resets;

fn staff() -> Scope {
    user(None, Permissions::from_list(&[Permission::PlatformTemplates]), true)
}

/// What staff would send.
fn input(name: &str) -> NewTemplate {
    serde_json::from_value(json!({
        "name": name, "category": "food-and-drink", "industry": "bakery", "description": "For bakeries.",
        "look": {"style": "playful", "fonts": {"heading": "slab"}},
        "pages": [
            {"key": "about", "title": "About us", "sections": [
                {"key": "story", "type": "text", "content": {"html": "<p>Since 1958.</p>"}},
            ]},
            {"key": "home", "title": "Welcome", "isHome": true, "seoTitle": "Bread", "sections": [
                {"key": "hero", "type": "hero", "content": {"heading": "Warm bread", "ctaLabel": "Visit", "ctaUrl": "/about"}},
                {"key": "why", "type": "features", "content": {"items": [{"title": "One"}, {"title": "Two"}, {"title": "Three"}]}},
                {"key": "call", "type": "cta", "content": {"heading": "Come by", "label": "Call", "url": "tel:123"}},
            ]},
        ],
    }))
    .unwrap()
}

struct Bakery {
    store: Store,
    scope: Scope,
    env: Env,
    template: Template,
    site: Site,
    page: Page,
}

impl Bakery {
    async fn new() -> Self {
        let (mut store, env, scope) = (Store::default(), env(), member(TenantRole::Editor));
        let template =
            Templates::new(&mut store, &staff(), &env).create(input("Corner Bakery")).await.unwrap();
        let new = NewSite { name: "Luz".to_owned(), ..NewSite::default() };
        let site = Sites::new(&mut store, &scope, &env).create(new).await.unwrap();
        let new = NewPage { title: "Mine".to_owned(), ..NewPage::default() };
        let page = Pages::new(&mut store, &scope, &env).create(Some(site.id), new).await.unwrap();
        store.take_events();
        Self { store, scope, env, template, site, page }
    }

    fn templates(&mut self) -> Templates<'_> {
        Templates::new(&mut self.store, &self.scope, &self.env)
    }

    fn sections_of(&mut self) -> Sections<'_> {
        Sections::new(&mut self.store, &self.scope, &self.env)
    }

    async fn apply(&mut self, input: TemplateApplication) -> Result<Applied, SitesError> {
        let template = self.template.clone();
        self.templates().apply(&template, input).await
    }

    async fn apply_to_page(&mut self) -> Applied {
        let wish = TemplateApplication { page_id: Some(self.page.id), ..TemplateApplication::default() };
        self.apply(wish).await.unwrap()
    }

    async fn sections(&mut self) -> Vec<Section> {
        let page = self.page.id;
        self.sections_of().list(page).await.unwrap()
    }

    async fn state(&mut self) -> PageTemplate {
        let page = self.page.id;
        self.templates().state(page).await.unwrap()
    }

    async fn reset(
        &mut self,
        section: Option<&Section>,
        field: Option<&str>,
    ) -> Result<PageTemplate, SitesError> {
        let page = self.page.id;
        let input = PageReset { section_id: section.map(|s| s.id), field: field.map(str::to_owned) };
        self.templates().reset(page, input, None).await
    }

    async fn write(&mut self, section: &Section, content: Value) {
        let page = self.page.id;
        let update = SectionUpdate { content: Some(content), ..SectionUpdate::default() };
        self.sections_of().update(page, section.id, update, None).await.unwrap();
    }
}

fn fields(error: SitesError) -> Vec<String> {
    error.fields().iter().map(|error| error.field.clone()).collect()
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_template_is_named() {
    let mut bakery = Bakery::new().await;
    let wrong: NewTemplate = serde_json::from_value(json!({
        "name": " ", "slug": "Not a slug", "category": "Food & drink", "industry": "witchcraft", "description": "",
        "language": "english", "look": {"fonts": {"body": "comic"}},
        "pages": [
            {"key": "home", "title": "", "isHome": true, "sections": []},
            {"key": "home", "title": "Two", "slug": "two", "isHome": true, "seoTitle": "x".repeat(121), "sections": [
                {"key": "", "type": "hero", "content": {"subheading": "no heading", "colour": "red"}},
                {"key": "a", "content": {}},
                {"key": "a", "type": "hero", "content": {"heading": "A", "imageAssetId": "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d"}},
                {"key": "b", "type": "text", "content": {"html": "<script>alert(1)</script>"}},
            ]},
        ],
    }))
    .unwrap();
    let scope = staff();
    let error = Templates::new(&mut bakery.store, &scope, &bakery.env).create(wrong).await.unwrap_err();
    let mut named = fields(error);
    named.sort();
    let mut expected = [
        "name",
        "slug",
        "category",
        "industry",
        "description",
        "language",
        "look.fonts.body",
        "pages[0].title",
        "pages[0].sections",
        "pages[1].key",
        "pages[1].isHome",
        "pages[1].seoTitle",
        "pages[1].sections[0].key",
        "pages[1].sections[0].content.heading",
        "pages[1].sections[0].content.colour",
        "pages[1].sections[1].type",
        "pages[1].sections[2].key",
        "pages[1].sections[2].content",
        "pages[1].sections[3].content.html",
    ];
    expected.sort_unstable();
    assert_eq!(named, expected);
    assert_eq!(bakery.store.take_events(), Vec::<String>::new());
}

#[tokio::test]
async fn only_staff_make_change_and_delete_templates() {
    let mut bakery = Bakery::new().await;
    let slug = bakery.template.slug.clone();
    assert_eq!(slug, "corner-bakery");
    assert!(bakery.template.pages[1].is_home && !bakery.template.pages[0].is_home);
    for scope in [member(TenantRole::Owner), Scope::anonymous(Default::default())] {
        let mut templates = Templates::new(&mut bakery.store, &scope, &bakery.env);
        assert!(matches!(templates.create(input("Mine")).await, Err(SitesError::Denied(_))));
        let update = TemplateUpdate::default();
        assert!(matches!(templates.update(&slug, update, None).await, Err(SitesError::Denied(_))));
        assert!(matches!(templates.delete(&slug, None).await, Err(SitesError::Denied(_))));
        assert_eq!(templates.get(&slug).await.unwrap().name, "Corner Bakery", "reading is for everybody");
    }
    let scope = staff();
    let mut templates = Templates::new(&mut bakery.store, &scope, &bakery.env);
    let again = templates.create(input("Corner Bakery")).await.unwrap_err();
    assert_eq!(again.code(), "slug_taken");
    let update = TemplateUpdate { is_featured: Some(true), ..TemplateUpdate::default() };
    let changed = templates.update(&slug, update.clone(), Some(1)).await.unwrap();
    assert!(changed.is_featured && changed.version == 2 && changed.pages == bakery.template.pages);
    assert!(matches!(templates.update(&slug, update, Some(1)).await, Err(SitesError::PreconditionFailed)));
    assert!(matches!(templates.delete(&slug, Some(1)).await, Err(SitesError::PreconditionFailed)));
    templates.delete(&slug, Some(2)).await.unwrap();
    assert!(matches!(templates.get(&slug).await, Err(SitesError::NotFound("template"))));
    assert_eq!(bakery.store.take_events(), ["template.updated", "template.deleted"]);
}

#[tokio::test]
async fn a_new_site_gets_pages_and_navigation_in_a_dozen_calls() {
    let mut bakery = Bakery::new().await;
    let calls = bakery.store.calls;
    let wish = TemplateApplication { site_name: Some("Sol".to_owned()), ..TemplateApplication::default() };
    let applied = bakery.apply(wish).await.unwrap();
    let calls = bakery.store.calls - calls;
    assert!(calls <= 13, "{calls} calls");
    let site = applied.new_site.unwrap();
    assert_eq!((site.language.as_str(), site.industry.as_deref()), ("en", Some("bakery")));
    assert_eq!(site.look.unwrap().style, crate::look::Style::Playful);
    let shown: Vec<_> = applied.pages.iter().map(|p| (p.slug.as_str(), p.is_home, p.status)).collect();
    assert_eq!(shown, [("about-us", false, PageStatus::Draft), ("welcome", true, PageStatus::Draft)]);
    assert!(applied.pages.iter().all(|page| page.template_id == Some(bakery.template.id)));
    assert_eq!(applied.review.sample_content.len(), applied.sections);
    let items = bakery.store.navigation().list(tenant(1), site.id, false).await.unwrap();
    assert_eq!(items.len(), 1, "the home page is reached by the name of the site");
    assert_eq!((items[0].label.as_str(), items[0].page_id), ("About us", Some(applied.pages[0].id)));
    assert_eq!(bakery.store.seo, [], "those of the template are about the business of its example");
    let events = bakery.store.take_events();
    assert_eq!(events, ["site.created", "page.created", "page.created", "template.applied"]);
    let id = bakery.template.id.to_string();
    assert_eq!(bakery.templates().get(&id).await.unwrap().popularity, 1);
}

#[tokio::test]
async fn pages_come_to_a_site_behind_those_it_has() {
    let mut bakery = Bakery::new().await;
    for (round, slugs) in [["about-us", "welcome"], ["about-us-2", "welcome-2"]].into_iter().enumerate() {
        let wish = TemplateApplication {
            site_id: Some(bakery.site.id),
            status: Some(PageStatus::Published),
            ..TemplateApplication::default()
        };
        let applied = bakery.apply(wish).await.unwrap();
        let found: Vec<_> = applied.pages.iter().map(|page| page.slug.as_str()).collect();
        assert_eq!(found, slugs);
        assert!(applied.pages.iter().all(|page| !page.is_home), "the home page is the customer's choice");
        let items = bakery.store.navigation().list(tenant(1), bakery.site.id, false).await.unwrap();
        let positions: Vec<i32> = items.iter().map(|item| item.position).collect();
        assert_eq!(positions, (0..2 * (round as i32 + 1)).collect::<Vec<_>>());
    }
    let wish = TemplateApplication {
        site_id: Some(bakery.site.id),
        template_page: Some("about".to_owned()),
        ..TemplateApplication::default()
    };
    assert_eq!(bakery.apply(wish).await.unwrap().pages[0].slug, "about-us-3");
}

#[tokio::test]
async fn a_wish_must_be_clear() {
    let mut bakery = Bakery::new().await;
    let (page, site) = (bakery.page.id, bakery.site.id);
    for (wish, expected) in [
        (json!({}), vec!["siteName"]),
        (json!({"pageId": page, "siteId": site}), vec!["pageId", "siteId"]),
        (json!({"pageId": page, "subdomain": "x", "status": "draft"}), vec!["subdomain", "status"]),
        (json!({"siteName": "A", "templatePage": "home"}), vec!["templatePage"]),
        (
            json!({"siteId": site, "templatePage": "nowhere", "status": "archived"}),
            vec!["status", "templatePage"],
        ),
    ] {
        let input = serde_json::from_value(wish.clone()).unwrap();
        assert_eq!(fields(bakery.apply(input).await.unwrap_err()), expected, "{wish}");
    }
    let nowhere =
        TemplateApplication { page_id: Some(bakery.env.new_id()), ..TemplateApplication::default() };
    assert!(matches!(bakery.apply(nowhere).await, Err(SitesError::NotFound("page"))));
    assert_eq!(bakery.store.take_events(), Vec::<String>::new());
    bakery.scope = member(TenantRole::Viewer);
    let wish = TemplateApplication { page_id: Some(page), ..TemplateApplication::default() };
    assert!(matches!(bakery.apply(wish).await, Err(SitesError::Denied(_))));
}

#[tokio::test]
async fn a_page_names_a_template_that_there_is() {
    let mut bakery = Bakery::new().await;
    let (template, nowhere) = (bakery.template.id, bakery.env.new_id());
    let mut pages = Pages::new(&mut bakery.store, &bakery.scope, &bakery.env);
    let named =
        |template| NewPage { title: "Named".to_owned(), template_id: Some(template), ..NewPage::default() };
    assert_eq!(fields(pages.create(None, named(nowhere)).await.unwrap_err()), ["templateId"]);
    assert_eq!(pages.create(None, named(template)).await.unwrap().template_id, Some(template));
}

#[tokio::test]
async fn the_library_is_seeded_once_and_leaves_alone_what_staff_did() {
    let mut bakery = Bakery::new().await;
    let env = env();
    let author = |slug: &str, name: &str| Template {
        slug: Slug::trusted(slug.to_owned()),
        name: name.to_owned(),
        ..bakery.template.clone()
    };
    let authored = [
        author("one", "One"),
        author("two", "Two"),
        author("three", "Three"),
        author("corner-bakery", "Clash"),
    ];
    let library = Library::prepare(&env, &authored);
    assert_eq!((library.templates.len(), library.refused.len()), (4, 0));
    let store = &mut bakery.store;
    let editions = library.templates.iter().map(|one| (one.template.slug.as_str(), one.fingerprint.as_str()));
    let editions: Vec<(&str, &str)> = editions.collect();
    assert!(!is_seeded(&editions, store).await.unwrap());
    assert_eq!(library.seed(store).await.unwrap(), 3, "what staff made under its slug stays");
    assert!(is_seeded(&editions, store).await.unwrap());
    assert!(!is_seeded(&[("one", "newer")], store).await.unwrap());
    let calls = store.calls;
    assert_eq!(library.seed(store).await.unwrap(), 0);
    assert_eq!(store.calls - calls, 1, "one query when nothing changed");

    let scope = staff();
    let mut templates = Templates::new(store, &scope, &env);
    let rename = TemplateUpdate { name: Some("Edited".to_owned()), ..TemplateUpdate::default() };
    templates.update("one", rename, None).await.unwrap();
    templates.delete("two", None).await.unwrap();
    let of_staff = [("one", "newer"), ("two", "newer"), ("corner-bakery", "newer")];
    assert!(is_seeded(&of_staff, store).await.unwrap());
    let next = [author("one", "One, newer"), author("two", "Two, newer"), author("three", "Three, newer")];
    let next = Library::prepare(&env, &next);
    assert_eq!(next.seed(store).await.unwrap(), 1);
    let mut templates = Templates::new(store, &scope, &env);
    assert_eq!(templates.get("one").await.unwrap().name, "Edited");
    assert!(templates.get("two").await.is_err(), "does not come back");
    let three = templates.get("three").await.unwrap();
    assert_eq!((three.name.as_str(), three.version, three.id), ("Three, newer", 2, library_id("three")));
    assert_eq!(next.seed(store).await.unwrap(), 0);
}

#[test]
fn ids_of_the_library_are_the_same_everywhere() {
    assert_eq!(library_id("millstone-bakery"), library_id("millstone-bakery"));
    assert_ne!(library_id("millstone-bakery"), library_id("millstone-baker"));
    assert_eq!(library_id("one").uuid().get_version_num(), 8);
}

#[tokio::test]
async fn a_library_template_that_breaks_rules_is_left_out() {
    let bakery = Bakery::new().await;
    let mut wrong = Template {
        slug: Slug::trusted("wrong".to_owned()),
        industry: "witchcraft".to_owned(),
        ..bakery.template.clone()
    };
    wrong.pages[0].sections[0].content = json!({"html": ""});
    let library = Library::prepare(&bakery.env, &[bakery.template.clone(), wrong, bakery.template.clone()]);
    assert_eq!(library.templates.len(), 1);
    let named: Vec<_> = library.refused.iter().map(|(slug, errors)| (slug.as_str(), errors.len())).collect();
    assert_eq!(named, [("wrong", 2), ("corner-bakery", 1)]);
}

#[tokio::test]
async fn the_catalogue_refuses_an_industry_that_there_is_not() {
    let mut bakery = Bakery::new().await;
    let filter =
        |industry: &str| TemplateFilter { industry: Some(industry.to_owned()), ..TemplateFilter::default() };
    let mut templates = bakery.templates();
    assert_eq!(templates.list(filter("bakery"), PageRequest::default()).await.unwrap().total, 1);
    assert_eq!(templates.list(filter("hotel"), PageRequest::default()).await.unwrap().total, 0);
    let error = templates.list(filter("witchcraft"), PageRequest::default()).await.unwrap_err();
    assert_eq!(fields(error), ["industry"]);
    let industries = templates.industries().await.unwrap();
    let with: Vec<_> =
        industries.iter().filter(|i| i.templates > 0).map(|i| (i.industry.id, i.templates)).collect();
    assert_eq!(with, [("bakery", 1)]);
    assert_eq!(industries.len(), crate::industry::INDUSTRIES.len());
}

#[tokio::test]
async fn a_premium_template_is_applied_where_the_plan_has_them() {
    let mut bakery = Bakery::new().await;
    bakery.store.entitlements.missing.push(Feature::PremiumTemplates);
    bakery.apply_to_page().await;
    bakery.template.is_premium = true;
    let wish = TemplateApplication { page_id: Some(bakery.page.id), ..TemplateApplication::default() };
    assert_eq!(bakery.apply(wish).await.unwrap_err().code(), "plan_required");
}

/// The sections of the page with content that nobody wrote or confirmed.
fn samples(bakery: &Bakery) -> Vec<SectionType> {
    let unconfirmed = bakery.store.sections.iter().filter(|section| !section.provenance.is_own());
    unconfirmed.map(|section| section.kind).collect()
}

#[tokio::test]
async fn the_example_of_a_template_is_marked_until_somebody_writes_or_confirms_it() {
    use SectionType::{Cta, Features, Hero};
    let mut bakery = Bakery::new().await;
    let applied = bakery.apply_to_page().await;
    let places: Vec<_> =
        applied.review.sample_content.iter().map(|place| (place.kind, place.provenance)).collect();
    let sample = Provenance::Sample;
    assert_eq!(places, [(Hero, sample), (Features, sample), (Cta, sample)]);
    let sections = bakery.sections().await;
    assert_eq!(applied.review.sample_content[1].section_id, sections[1].id);
    let page = bakery.page.id;

    // Moving and hiding it is not writing it.
    let moved = SectionUpdate { position: Some(2), visible: Some(true), ..SectionUpdate::default() };
    bakery.sections_of().update(page, sections[0].id, moved, None).await.unwrap();
    let not_confirmed = SectionUpdate { confirm: Some(false), ..SectionUpdate::default() };
    bakery.sections_of().update(page, sections[0].id, not_confirmed, None).await.unwrap();
    assert_eq!(samples(&bakery).len(), 3);
    bakery.write(&sections[0], json!({"heading": "Our bread"})).await;
    let confirm = SectionUpdate { confirm: Some(true), ..SectionUpdate::default() };
    let confirmed = bakery.sections_of().update(page, sections[1].id, confirm, None).await.unwrap();
    assert_eq!((confirmed.provenance, &confirmed.content), (Provenance::Own, &sections[1].content));
    assert_eq!(samples(&bakery), [Cta]);

    // A copy is as much of an example as the original; so is what is reset, but not what changes nothing.
    let copy = Pages::new(&mut bakery.store, &bakery.scope, &bakery.env).duplicate(page).await.unwrap();
    assert_eq!(samples(&bakery), [Cta, Cta]);
    let bulk = crate::section::BulkChange {
        update: bakery
            .store
            .sections
            .iter()
            .filter(|section| section.page_id == copy.id)
            .map(|section| crate::section::BulkUpdate {
                id: Some(section.id),
                confirm: Some(true),
                ..crate::section::BulkUpdate::default()
            })
            .collect(),
        ..crate::section::BulkChange::default()
    };
    bakery.sections_of().bulk(copy.id, bulk).await.unwrap();
    assert_eq!(samples(&bakery), [Cta]);
    bakery.reset(Some(&sections[1]), None).await.unwrap();
    assert_eq!(samples(&bakery), [Cta], "it was confirmed as it is");
    bakery.reset(Some(&sections[0]), Some("heading")).await.unwrap();
    assert_eq!(samples(&bakery).len(), 2);
    bakery.write(&sections[0], json!({"heading": "Our bread"})).await;
    bakery.reset(None, None).await.unwrap();
    assert_eq!(samples(&bakery).len(), 2);
}
