use portico_kernel::{
    AssetId, Env, Fault, Feature, JobType, Kind, Meter, PageRequest, Permission, Permissions, Scope,
    TenantRole, name::Slug,
};
use serde_json::{Value, json};

use super::*;
use crate::{
    SitesError,
    asset::{Asset, AssetType},
    look::{Look, Style},
    page::PageStatus,
    ports::{PageDraft, SiteRepositories, Tokens, WizardFilter},
    section::{Provenance, SectionType},
    template::{Template, TemplatePage, TemplateSection},
    testing::{Store, env, member, tenant, user},
};

fn section(key: &str, kind: SectionType, content: Value) -> TemplateSection {
    TemplateSection { key: key.to_owned(), kind, content }
}

fn page(key: &str, sections: Vec<TemplateSection>) -> TemplatePage {
    TemplatePage {
        key: key.to_owned(),
        title: key.to_uppercase(),
        slug: Slug::trusted(key.to_owned()),
        is_home: key == "home",
        seo_title: Some("Example".to_owned()),
        seo_description: Some("Example".to_owned()),
        sections,
    }
}

fn template(env: &Env, slug: &str) -> Template {
    Template {
        id: env.new_id(),
        name: slug.to_owned(),
        slug: Slug::trusted(slug.to_owned()),
        category: "food-and-drink".to_owned(),
        industry: "bakery".to_owned(),
        description: "For bakeries".to_owned(),
        language: "en".to_owned(),
        is_premium: false,
        is_featured: false,
        popularity: 0,
        look: Look { style: Style::Bold, colors: None, fonts: None },
        pages: vec![
            page(
                "home",
                vec![
                    section(
                        "hero",
                        SectionType::Hero,
                        json!({"heading": "Example", "imageUrl": "/library/a.svg", "ctaLabel": "Ask", "ctaUrl": "/contact#form"}),
                    ),
                    section(
                        "features",
                        SectionType::Features,
                        json!({"items": [{"title": "Example", "icon": "wheat"}]}),
                    ),
                ],
            ),
            page("about", vec![section("text", SectionType::Text, json!({"html": "<p>Example</p>"}))]),
            page(
                "contact",
                vec![section(
                    "contact",
                    SectionType::Contact,
                    json!({"heading": "Write to us", "email": "example@example.com", "phone": "555 0100"}),
                )],
            ),
        ],
        created_at: env.now(),
        updated_at: env.now(),
        version: 1,
    }
}

struct Stage {
    env: Env,
    store: Store,
    scope: Scope,
    template: Template,
}

impl Stage {
    async fn new() -> Self {
        let env = env();
        let mut store = Store::default();
        let template = template(&env, "bread");
        store.templates().insert(&template).await.unwrap();
        Self { env, store, scope: member(TenantRole::Editor), template }
    }

    fn wizards(&mut self) -> Wizards<'_> {
        Wizards::new(&mut self.store, &self.scope, &self.env)
    }

    async fn start(&mut self) -> Wizard {
        self.wizards().start(WizardUpdate::default()).await.unwrap()
    }

    async fn save(&mut self, id: WizardId, parts: Value) -> Result<Wizard, SitesError> {
        let input = serde_json::from_value(parts).unwrap();
        self.wizards().update(id, input, None).await
    }

    /// One part after the other, in the order of the steps.
    fn parts(&self) -> Vec<Value> {
        vec![
            json!({"businessInfo": {"name": " Panadería Luz ", "industry": "bakery", "description": "Bread."}}),
            json!({"goals": {"goals": ["bookings"], "language": "es"}}),
            json!({"templateId": self.template.id}),
            json!({"design": {"style": "elegant", "colors": {"primary": "#AA0000"}}}),
            json!({"pages": [{"key": "about", "title": "Quiénes somos", "slug": "quienes-somos"}, {"key": "home"}, {"title": "Pedidos"}]}),
            json!({"content": {"mode": "own", "sections": [
                {"page": "home", "section": "hero", "content": {"heading": "Pan fresco"}},
                {"page": "pedidos", "type": "text", "content": {"html": "<p>Llame<script>x</script></p>"}},
            ]}}),
            json!({"seo": {"title": "Luz", "keywords": ["pan"], "phone": "+502 5555 1234", "subdomain": "luz"}}),
        ]
    }

    async fn filled(&mut self) -> Wizard {
        let id = self.start().await.id;
        for part in self.parts() {
            self.save(id, part).await.unwrap();
        }
        self.wizards().get(id).await.unwrap()
    }

    async fn ready(&mut self, id: WizardId) -> Launch {
        match self.wizards().prepare_launch(id, None).await.unwrap() {
            LaunchState::Ready(launch) => *launch,
            LaunchState::Done(wizard) => panic!("{wizard:?} has made its site"),
        }
    }
}

fn fields(error: &SitesError) -> Vec<(&str, &str)> {
    error.fields().iter().map(|error| (error.field.as_str(), error.code.as_ref())).collect()
}

#[tokio::test]
async fn each_step_moves_the_progress_in_whatever_order() {
    for order in [[0, 1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1, 0], [2, 0, 6, 4, 1, 5, 3]] {
        let mut stage = Stage::new().await;
        let started = stage.start().await;
        assert_eq!((started.step, started.progress, started.status), (1, 0, WizardStatus::InProgress));
        let (parts, mut progress) = (stage.parts(), 0);
        for part in order {
            let wizard = stage.save(started.id, parts[part].clone()).await.unwrap();
            assert!(wizard.progress > progress, "{} after {progress}", wizard.progress);
            progress = wizard.progress;
            assert!(wizard.steps[part].complete);
            let first_open = wizard.steps.iter().find(|state| !state.complete).unwrap();
            assert_eq!(wizard.step, first_open.step);
        }
        assert_eq!(progress, 87);
        // Back to a step: nothing is lost.
        let again = stage.save(started.id, parts[1].clone()).await.unwrap();
        assert_eq!((again.progress, again.step), (87, 8));
    }
}

#[tokio::test]
async fn all_errors_of_all_parts_come_at_once_and_nothing_is_saved() {
    let mut stage = Stage::new().await;
    let id = stage.start().await.id;
    let bad = json!({
        "businessInfo": {"name": " ", "industry": "witchcraft", "services": ["", "x"]},
        "goals": {"goals": [], "language": "english"},
        "templateId": stage.env.new_id::<portico_kernel::TemplateKind>(),
        "design": {"colors": {"primary": "red"}, "fonts": {"body": "comic"}, "logoAssetId": stage.env.new_id::<portico_kernel::AssetKind>()},
        "pages": [{"key": "home"}, {"key": "home"}, {"slug": "No Slug"}],
        "content": {"sections": [{"page": "", "content": 7}, {"page": "home", "type": "cta", "content": {"label": "Go"}}]},
        "seo": {"email": "nobody", "phone": "call me", "subdomain": "www"},
    });
    let error = stage.save(id, bad).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(
        fields(&error),
        [
            ("templateId", "not_found"),
            ("businessInfo.name", "required"),
            ("businessInfo.industry", "unknown_industry"),
            ("businessInfo.services[0]", "required"),
            ("goals.goals", "required"),
            ("goals.language", "invalid_language"),
            ("design.logoAssetId", "unknown_asset"),
            ("design.colors.primary", "invalid_color"),
            ("design.fonts.body", "unknown_font"),
            ("pages[2].title", "required"),
            ("pages[2].slug", "invalid_slug"),
            ("pages[1]", "duplicate"),
            ("content.mode", "required"),
            ("content.sections[0].page", "required"),
            ("content.sections[0].type", "required"),
            ("content.sections[1].content.heading", "required"),
            ("content.sections[1].content.url", "required"),
            ("seo.email", "invalid_email"),
            ("seo.phone", "invalid_phone"),
            ("seo.subdomain", "reserved_subdomain"),
        ]
    );
    assert_eq!(stage.wizards().get(id).await.unwrap().progress, 0);
    let of_part = as_part(error, "businessInfo");
    assert_eq!(fields(&of_part)[1], ("name", "required"));
}

#[tokio::test]
async fn pages_are_checked_against_the_template_as_soon_as_there_is_one() {
    let mut stage = Stage::new().await;
    let id = stage.start().await.id;
    let pages = json!({"pages": [{"key": "home"}, {"key": "menu"}, {"title": "Extra"}]});
    stage.save(id, pages.clone()).await.unwrap();
    // The template has no menu: that page is left out, the others stay.
    let wizard = stage.save(id, json!({"templateId": stage.template.id})).await.unwrap();
    assert_eq!(wizard.pages.unwrap().iter().map(PageChoice::name).collect::<Vec<_>>(), ["home", "extra"]);
    let error = stage.save(id, pages).await.unwrap_err();
    assert_eq!(fields(&error), [("pages[1].key", "unknown_page")]);
    let twice = json!({"pages": [{"key": "home"}, {"title": "Home"}]});
    assert!(fields(&stage.save(id, twice).await.unwrap_err()).contains(&("pages[1]", "duplicate")));
    let slugs = json!({"pages": [{"key": "home", "slug": "a"}, {"key": "about", "slug": "a"}]});
    assert_eq!(fields(&stage.save(id, slugs).await.unwrap_err()), [("pages[1].slug", "duplicate")]);
}

#[tokio::test]
async fn another_template_without_the_chosen_pages_opens_the_step_again() {
    let mut stage = Stage::new().await;
    let id = stage.start().await.id;
    stage.save(id, json!({"templateId": stage.template.id, "pages": [{"key": "about"}]})).await.unwrap();
    let mut other = template(&stage.env, "other");
    other.pages.retain(|page| page.key == "home");
    stage.store.templates().insert(&other).await.unwrap();
    let wizard = stage.save(id, json!({"templateId": other.id})).await.unwrap();
    assert_eq!(wizard.pages, None);
}

#[tokio::test]
async fn somebody_else_goes_on_and_the_version_tells_who_was_late() {
    let mut stage = Stage::new().await;
    let wizard = stage.start().await;
    let first = stage.save(wizard.id, stage.parts()[0].clone()).await.unwrap();
    assert_eq!(first.version, 2);
    stage.scope = member(TenantRole::Owner);
    let input: WizardUpdate = serde_json::from_value(stage.parts()[1].clone()).unwrap();
    let late = stage.wizards().update(wizard.id, input.clone(), Some(1)).await;
    assert!(matches!(late, Err(SitesError::PreconditionFailed)));
    let second = stage.wizards().update(wizard.id, input, Some(2)).await.unwrap();
    assert!(second.business_info.is_some() && second.goals.is_some());
    assert_eq!(stage.store.take_events(), ["wizard.started", "wizard.updated", "wizard.updated"]);

    stage.scope = member(TenantRole::Viewer);
    assert!(stage.wizards().get(wizard.id).await.is_ok());
    let refused = stage.save(wizard.id, json!({})).await.unwrap_err();
    assert_eq!(refused.code(), "forbidden");
    stage.scope = user(Some(tenant(2)), TenantRole::Owner.permissions(), true);
    assert!(matches!(stage.wizards().get(wizard.id).await, Err(SitesError::NotFound("wizard"))));
    assert!(matches!(stage.save(wizard.id, json!({})).await, Err(SitesError::NotFound("wizard"))));
    assert!(matches!(stage.wizards().delete(wizard.id, None).await, Err(SitesError::NotFound("wizard"))));
}

#[tokio::test]
async fn twenty_may_be_open() {
    let mut stage = Stage::new().await;
    for _ in 0..MAX_OPEN {
        stage.start().await;
    }
    let refused = stage.wizards().start(WizardUpdate::default()).await;
    assert!(matches!(refused, Err(SitesError::TooManyWizards)));
    let all =
        stage.wizards().list(WizardFilter::default(), PageRequest { page: 1, limit: 100 }).await.unwrap();
    assert_eq!(all.total, MAX_OPEN);
    stage.wizards().delete(all.items[0].id, None).await.unwrap();
    stage.start().await;
}

#[tokio::test]
async fn every_missing_step_is_named() {
    let mut stage = Stage::new().await;
    let id = stage.start().await.id;
    let error = stage.wizards().prepare_launch(id, None).await.unwrap_err();
    let named: Vec<&str> = fields(&error).into_iter().map(|(field, _)| field).collect();
    assert_eq!(named, ["businessInfo", "goals", "templateId", "design", "content", "seo"]);
    stage.save(id, json!({"content": {"mode": "ai"}})).await.unwrap();
    let error = stage.wizards().prepare_launch(id, None).await.unwrap_err();
    assert!(fields(&error).contains(&("content.mode", "not_generated")));
}

#[tokio::test]
async fn without_a_choice_of_pages_the_site_has_all_of_the_template() {
    let mut stage = Stage::new().await;
    let id = stage.start().await.id;
    for part in stage.parts().into_iter().filter(|part| part.get("pages").is_none()) {
        let part = if part.get("content").is_some() { json!({"content": {"mode": "own"}}) } else { part };
        stage.save(id, part).await.unwrap();
    }
    assert_eq!(stage.wizards().get(id).await.unwrap().step, 5, "the choice may still be made");
    let launch = stage.ready(id).await;
    let (completed, ..) = stage.wizards().launch(launch, false).await.unwrap();
    let keys: Vec<_> = stage.template.pages.iter().map(|page| page.key.clone()).collect();
    let taken: Vec<_> = completed.pages.unwrap().into_iter().filter_map(|page| page.key).collect();
    assert_eq!((taken, completed.progress), (keys.clone(), 100));
    assert_eq!(stage.store.pages.len(), keys.len());
}

#[tokio::test]
async fn a_site_is_made_of_what_was_said() {
    let mut stage = Stage::new().await;
    let wizard = stage.filled().await;
    stage.store.events.clear();
    let launch = stage.ready(wizard.id).await;
    assert_eq!(launch.look.style, Style::Elegant);
    assert_eq!(launch.look.colors.as_ref().unwrap().primary, "#aa0000");
    let (completed, site, review) = stage.wizards().launch(launch, false).await.unwrap();
    assert_eq!(review.sample_content, []);
    let stock: Vec<_> =
        review.stock_pictures.iter().map(|place| (place.page_slug.as_str(), place.field.as_str())).collect();
    assert_eq!(stock, [("home", "imageUrl")]);
    assert_eq!((completed.progress, completed.step, completed.site_id), (100, 8, Some(site.id)));
    assert_eq!(
        (site.name.as_str(), site.subdomain.as_str(), site.language.as_str()),
        ("Panadería Luz", "luz", "es")
    );
    assert_eq!(site.industry.as_deref(), Some("bakery"));
    assert_eq!(site.look.as_ref().unwrap().colors.as_ref().unwrap().primary, "#aa0000");

    let pages: Vec<_> =
        stage.store.pages.iter().map(|page| (page.slug.as_str(), page.is_home, page.status)).collect();
    let published = PageStatus::Published;
    assert_eq!(
        pages,
        [("quienes-somos", false, published), ("home", true, published), ("pedidos", false, published)]
    );
    let labels: Vec<_> = stage.store.items.iter().map(|item| item.label.as_str()).collect();
    assert_eq!(labels, ["Quiénes somos", "Pedidos"]);
    let contents: Vec<&Value> = stage.store.sections.iter().map(|section| &section.content).collect();
    // Nobody wrote this page, so it says what was answered, and nothing of the example.
    assert_eq!(contents[0]["html"], "<p>Bread.</p>");
    assert_eq!(contents[1]["heading"], "Pan fresco");
    assert!(!serde_json::to_string(&contents).unwrap().contains("Example"));
    // The page that the button led to was left out.
    assert_eq!(
        (&contents[1]["ctaUrl"], &contents[1]["imageUrl"]),
        (&json!("/#form"), &json!("/library/a.svg"))
    );
    // No page has a contact section any more: the home page gets one.
    assert_eq!(contents[2]["phone"], "+502 5555 1234");
    assert_eq!(contents[2]["email"], Value::Null);
    assert_eq!(contents[3]["heading"], "Pedidos");
    assert_eq!(contents[4]["html"], "<p>Llame</p>");
    assert_eq!(contents.len(), 5);
    let home = stage.store.pages[1].id;
    let seo = stage.store.seo.iter().find(|seo| seo.page_id == home).unwrap();
    assert_eq!((seo.title.as_deref(), seo.description.as_deref()), (Some("Luz"), Some("Bread.")));
    assert_eq!(seo.keywords, ["pan"]);
    let events = stage.store.take_events();
    for kind in ["site.created", "page.created", "page.published", "template.applied", "wizard.completed"] {
        assert!(events.iter().any(|event| event == kind), "{kind} is in {events:?}");
    }

    let again = stage.wizards().prepare_launch(wizard.id, Some(1)).await.unwrap();
    assert!(matches!(again, LaunchState::Done(done) if done.site_id == Some(site.id)));
    let late = stage.save(wizard.id, json!({})).await;
    assert!(matches!(late, Err(SitesError::WizardCompleted)));
}

#[tokio::test]
async fn examples_of_contact_details_are_never_published() {
    let mut stage = Stage::new().await;
    let wizard = stage.filled().await;
    let pages = json!([{"key": "home"}, {"key": "contact"}]);
    stage
        .save(wizard.id, json!({"pages": pages, "content": {"mode": "own"}, "seo": {"subdomain": "luz"}}))
        .await
        .unwrap();
    let launch = stage.ready(wizard.id).await;
    stage.wizards().launch(launch, false).await.unwrap();
    assert!(stage.store.sections.iter().all(|section| section.kind != SectionType::Contact));
    let all = serde_json::to_string(&stage.store.sections).unwrap();
    assert!(!all.contains("example@example.com") && !all.contains("555 0100"));
    assert!(
        stage.store.sections.iter().any(|section| section.content["heading"] == "CONTACT"),
        "not an empty page"
    );
}

#[tokio::test]
async fn texts_of_ones_own_that_fit_nowhere_are_named() {
    let mut stage = Stage::new().await;
    let wizard = stage.filled().await;
    let sections = json!([
        {"page": "home", "section": "footer", "content": {}},
        {"page": "nowhere", "section": "hero", "content": {}},
        {"page": "contact", "section": "contact", "content": {"heading": "Left out for now"}},
        {"page": "home", "section": "hero", "content": {"heading": null, "color": "red"}},
    ]);
    stage.save(wizard.id, json!({"content": {"mode": "own", "sections": sections}})).await.unwrap();
    let error = stage.wizards().prepare_launch(wizard.id, None).await.unwrap_err();
    assert_eq!(
        fields(&error),
        [
            ("content.sections[0].section", "unknown_section"),
            ("content.sections[1].page", "unknown_page"),
            ("content.sections[3].content.heading", "required"),
            ("content.sections[3].content.color", "unknown_field"),
        ]
    );
}

fn draft(assignment: &Assignment, heading: &str) -> PageDraft {
    let write = |(kind, before): &(SectionType, Value)| {
        let content = match kind {
            SectionType::Hero => {
                json!({"heading": heading, "imageUrl": "https://evil.example/x.png", "ctaLabel": "Now", "ctaUrl": "https://evil.example/"})
            }
            SectionType::Text => json!({"html": format!("<p>{heading}</p>")}),
            SectionType::Features => json!({"items": [{"title": heading}]}),
            _ => before.clone(),
        };
        (*kind, content)
    };
    PageDraft {
        sections: assignment.brief.sections.iter().map(write).collect(),
        provenance: Provenance::Generated,
        tokens: Tokens { input: 3, output: 4 },
    }
}

#[tokio::test]
async fn texts_are_kept_page_by_page_and_never_asked_for_twice() {
    let mut stage = Stage::new().await;
    let env = stage.env.clone();
    let wizard = stage.filled().await;
    let run = stage.env.new_id();
    let queued = stage.wizards().request_content(wizard.id, run, None).await.unwrap();
    assert_eq!((queued.status, queued.percent, queued.pages.len()), (GenerationStatus::Queued, 0, 3));
    assert_eq!(stage.store.jobs.last().unwrap().kind, GenerateContent::KIND);
    let again = stage.wizards().request_content(wizard.id, env.new_id(), None).await;
    assert!(matches!(again, Err(SitesError::GenerationInProgress)));
    let busy = stage.wizards().prepare_launch(wizard.id, None).await;
    assert!(matches!(busy, Err(SitesError::GenerationInProgress)));
    let other = template(&stage.env, "other");
    stage.store.templates().insert(&other).await.unwrap();
    let moved = stage.save(wizard.id, json!({"templateId": other.id})).await;
    assert!(matches!(moved, Err(SitesError::GenerationInProgress)));

    stage.scope = Scope::system(Some(tenant(1)), stage.scope.request.clone());
    let work = stage.wizards().begin_content(wizard.id, run).await.unwrap().unwrap();
    assert_eq!(work.iter().map(|one| one.page.as_str()).collect::<Vec<_>>(), ["about", "home", "pedidos"]);
    assert_eq!((work[0].brief.language.as_str(), work[0].brief.title.as_str()), ("es", "Quiénes somos"));
    assert_eq!(work[0].brief.business.name, "Panadería Luz");
    assert!(
        stage.wizards().store_page(wizard.id, run, "home", Some(draft(&work[1], "Horneado"))).await.unwrap()
    );
    let status = stage.wizards().content_status(wizard.id).await.unwrap();
    assert_eq!((status.status, status.percent), (GenerationStatus::Running, 33));
    assert_eq!(status.pages[1].sections[0].content["heading"], "Horneado");

    // The worker dies here, and another one takes the job.
    let work = stage.wizards().begin_content(wizard.id, run).await.unwrap().unwrap();
    assert_eq!(work.iter().map(|one| one.page.as_str()).collect::<Vec<_>>(), ["about", "pedidos"]);
    let late = stage.wizards().store_page(wizard.id, run, "home", Some(draft(&work[0], "Twice"))).await;
    assert!(late.unwrap(), "it goes on with what is missing");
    assert!(!stage.wizards().store_page(wizard.id, env.new_id(), "about", None).await.unwrap());
    stage.wizards().store_page(wizard.id, run, "about", None).await.unwrap();
    stage.wizards().store_page(wizard.id, run, "pedidos", Some(draft(&work[1], "Pedidos"))).await.unwrap();
    let ended = stage.wizards().finish_content(wizard.id, run, None).await.unwrap().unwrap();
    assert_eq!(
        (ended.status, ended.percent, ended.tokens, ended.has_texts()),
        (GenerationStatus::Done, 100, 14, true)
    );
    assert!(ended.error.is_some() && ended.pages[0].status == PageState::Failed);
    assert_eq!(stage.wizards().finish_content(wizard.id, run, None).await.unwrap(), None);
    assert_eq!(stage.wizards().begin_content(wizard.id, run).await.unwrap(), None);
    assert_eq!(stage.store.take_events().last().unwrap(), "wizard.content_generated");

    // In the site: the customer's own words first, then what was generated, with the pictures and links of the template.
    stage.scope = member(TenantRole::Editor);
    assert!(stage.wizards().get(wizard.id).await.unwrap().is_complete(StepName::Content));
    let launch = stage.ready(wizard.id).await;
    let (_, _, review) = stage.wizards().launch(launch, true).await.unwrap();
    let samples = review.sample_content;
    // Only what a model wrote and the customer put nothing of their own into.
    let places: Vec<_> = samples.iter().map(|place| (place.page_title.as_str(), place.kind)).collect();
    assert_eq!(
        places,
        [("HOME", SectionType::Features), ("Pedidos", SectionType::Hero), ("Pedidos", SectionType::Text)]
    );
    assert!(samples.iter().all(|place| place.provenance == Provenance::Generated));
    let contents: Vec<&Value> = stage.store.sections.iter().map(|section| &section.content).collect();
    assert_eq!(contents[0]["html"], "<p>Bread.</p>", "nothing usable came for this page");
    assert_eq!(contents[1]["heading"], "Pan fresco");
    assert_eq!((&contents[1]["ctaUrl"], &contents[1]["ctaLabel"]), (&json!("/#form"), &json!("Now")));
    assert_eq!(contents[1]["imageUrl"], "/library/a.svg");
    let item = &contents[2]["items"][0];
    assert_eq!((&item["title"], &item["icon"]), (&json!("Horneado"), &Value::Null));
    let all = serde_json::to_string(&stage.store.sections).unwrap();
    assert!(!all.contains("evil") && all.contains("<p>Pedidos</p>"));
    assert_eq!(stage.store.sites[0].look, Some(Look { style: Style::Elegant, colors: None, fonts: None }));
}

#[tokio::test]
async fn a_run_from_which_nothing_came_leaves_the_step_open_and_a_new_one_may_begin() {
    let mut stage = Stage::new().await;
    let env = stage.env.clone();
    let wizard = stage.filled().await;
    let system = Scope::system(Some(tenant(1)), stage.scope.request.clone());
    let run = stage.env.new_id();
    stage.wizards().request_content(wizard.id, run, None).await.unwrap();
    let editor = std::mem::replace(&mut stage.scope, system);
    stage.wizards().begin_content(wizard.id, run).await.unwrap();
    let ended = stage.wizards().finish_content(wizard.id, run, Some("Down.")).await.unwrap().unwrap();
    assert_eq!(
        (ended.status, ended.has_texts(), ended.error.as_deref()),
        (GenerationStatus::Failed, false, Some("Down."))
    );
    stage.scope = editor;
    let after = stage.wizards().get(wizard.id).await.unwrap();
    assert!(!after.is_complete(StepName::Content) && after.step == 6);
    stage.wizards().request_content(wizard.id, env.new_id(), None).await.unwrap();
    // A use of the text generator costs: it takes its own permission.
    let only_sites = Permissions::from_list(&[Permission::SitesWrite, Permission::SitesRead]);
    stage.scope = user(Some(tenant(1)), only_sites, true);
    let refused = stage.wizards().request_content(wizard.id, env.new_id(), None).await;
    assert_eq!(refused.unwrap_err().code(), "forbidden");
}

#[tokio::test]
async fn texts_need_a_business_and_a_template() {
    let mut stage = Stage::new().await;
    let env = stage.env.clone();
    let id = stage.start().await.id;
    let error = stage.wizards().request_content(id, env.new_id(), None).await.unwrap_err();
    assert_eq!(fields(&error), [("businessInfo", "required"), ("templateId", "required")]);
    stage.save(id, stage.parts()[0].clone()).await.unwrap();
    stage.save(id, stage.parts()[2].clone()).await.unwrap();
    let all = stage.wizards().request_content(id, env.new_id(), None).await.unwrap();
    assert_eq!(all.pages.len(), 3, "all pages of the template");
}

#[test]
fn whoever_writes_decides_words_only() {
    let before = json!({"heading": "Example", "ctaLabel": "Ask", "ctaUrl": "/contact", "imageUrl": "/a.svg", "imageAlt": "A loaf"});
    let merge_generated =
        |written: Value| plan::merge_generated(SectionType::Hero, &before, written).unwrap();
    let kept = merge_generated(json!({"heading": "Fresh"}));
    assert_eq!((&kept["ctaLabel"], &kept["ctaUrl"]), (&json!("Ask"), &json!("/contact")));
    let evil = json!({"heading": "Fresh", "ctaLabel": "Now", "ctaUrl": "https://evil.example/", "imageUrl": "https://evil.example/x.png"});
    let kept = merge_generated(evil);
    assert_eq!((&kept["ctaLabel"], &kept["ctaUrl"]), (&json!("Now"), &json!("/contact")));
    assert_eq!((&kept["imageUrl"], &kept["imageAlt"]), (&json!("/a.svg"), &json!("A loaf")));
    let bare = plan::merge_generated(
        SectionType::Hero,
        &json!({"heading": "Example"}),
        json!({"heading": "x", "ctaLabel": "Now", "ctaUrl": "https://evil.example/"}),
    );
    assert_eq!(bare.unwrap()["ctaLabel"], Value::Null);
    // What cannot be shown is not stored.
    assert_eq!(
        plan::merge_generated(SectionType::Cta, &Value::Null, json!({"heading": "x", "label": "y"})),
        None
    );
    assert_eq!(plan::merge_generated(SectionType::Hero, &before, json!(["x"])), None);
}

#[tokio::test]
async fn pictures_are_those_of_the_tenant() {
    let mut stage = Stage::new().await;
    let id = stage.start().await.id;
    let stranger = stage.env.new_id::<portico_kernel::AssetKind>();
    let sections = json!([
        {"page": "home", "section": "hero", "content": {"heading": "x", "imageAssetId": stranger}},
        {"page": "home", "type": "gallery", "content": {"images": [{"imageAssetId": stranger}]}},
    ]);
    let error = stage.save(id, json!({"content": {"mode": "own", "sections": sections}})).await.unwrap_err();
    let named = [
        ("content.sections[0].content.imageAssetId", "unknown_asset"),
        ("content.sections[1].content.images[0].imageAssetId", "unknown_asset"),
    ];
    assert_eq!(fields(&error), named);
}

#[tokio::test]
async fn links_of_the_example_reach_the_business_that_the_site_is_about() {
    let mut stage = Stage::new().await;
    let mut template = template(&stage.env, "links");
    let call = |url: &str| json!({"heading": "Example", "label": "Example", "url": url});
    template.pages[0].sections[0].content["ctaUrl"] = json!("tel:+15550188");
    for (key, url) in [("us", "/about/#us"), ("elsewhere", "https://x.example/about")] {
        template.pages[0].sections.push(section(key, SectionType::Cta, call(url)));
    }
    stage.store.templates().insert(&template).await.unwrap();
    let wizard = stage.filled().await;
    let parts = json!({
        "templateId": template.id, "pages": [{"key": "home"}, {"key": "about", "slug": "us"}], "content": {"mode": "own"},
        "seo": {"phone": "+502 (5555) 1234"},
    });
    stage.save(wizard.id, parts).await.unwrap();
    let launch = stage.ready(wizard.id).await;
    stage.wizards().launch(launch, true).await.unwrap();
    let contents: Vec<&Value> = stage.store.sections.iter().map(|section| &section.content).collect();
    assert_eq!(contents[0]["ctaUrl"], "tel:+50255551234");
    assert_eq!(contents[1]["url"], "/us#us");
    assert_eq!(contents[2]["url"], "https://x.example/about");
    // The template's SEO metadata is about the business of its example.
    let descriptions: Vec<_> = stage.store.seo.iter().filter_map(|seo| seo.description.as_deref()).collect();
    assert_eq!(descriptions, ["Bread."]);
}

#[tokio::test]
async fn the_plan_is_asked_when_a_template_is_chosen_and_when_the_site_is_made() {
    let mut stage = Stage::new().await;
    let wizard = stage.filled().await;
    stage.store.templates.templates[0].is_premium = true;
    stage.store.entitlements.missing.push(Feature::PremiumTemplates);
    let template = json!({"templateId": stage.template.id});
    assert_eq!(stage.save(wizard.id, template).await.unwrap_err().code(), "plan_required");
    let refused = stage.wizards().prepare_launch(wizard.id, None).await;
    assert_eq!(refused.err().map(|error| error.code()), Some("plan_required"));

    stage.store.entitlements.missing.clear();
    let launch = stage.ready(wizard.id).await;
    stage.wizards().launch(launch, false).await.unwrap();
    assert_eq!(stage.store.entitlements.used(Meter::Sites), 1, "counted once");
}

#[tokio::test]
async fn no_fact_of_an_example_gets_into_a_site() {
    let mut stage = Stage::new().await;
    let example = |kind: SectionType, content: Value| section(kind.as_str(), kind, content);
    let home = page(
        "home",
        vec![
            example(
                SectionType::Testimonials,
                json!({"items": [{"quote": "Example quote", "author": "Ana Example"}]}),
            ),
            example(SectionType::Pricing, json!({"plans": [{"name": "Example", "price": "$ 40"}]})),
            example(
                SectionType::Gallery,
                json!({"images": [{"url": "/library/a.svg", "caption": "Example house"}]}),
            ),
            example(
                SectionType::Faq,
                json!({"items": [{"question": "Example?", "answer": "<p>Since 1987.</p>"}]}),
            ),
            example(
                SectionType::Cta,
                json!({"heading": "Example", "label": "Call 555 0188", "url": "tel:5550188"}),
            ),
            example(SectionType::Text, json!({"html": "<p>Example</p>"})),
        ],
    );
    let menu = page("menu", vec![example(SectionType::Text, json!({"html": "<p>Example</p>"}))]);
    let other = Template { pages: vec![home, menu], ..template(&stage.env, "facts") };
    stage.store.templates().insert(&other).await.unwrap();
    let wizard = stage.filled().await;
    let own = json!([{"page": "home", "section": "pricing", "content": {"plans": [{"name": "Pan", "price": "Q 25"}]}}]);
    let changes = json!({"templateId": other.id, "pages": [{"key": "home"}, {"key": "menu"}], "content": {"mode": "own", "sections": own}});
    stage.save(wizard.id, changes).await.unwrap();
    let launch = stage.ready(wizard.id).await;
    let (_, site, review) = stage.wizards().launch(launch, false).await.unwrap();
    assert_eq!(review.sample_content, []);
    let kinds: Vec<_> = stage.store.sections.iter().map(|section| section.kind).collect();
    // No quotes, no pictures; the prices are the customer's. The second text would say nothing, and its page is not empty.
    use SectionType::{Contact, Cta, Faq, Hero, Pricing, Text};
    assert_eq!(kinds, [Pricing, Faq, Cta, Text, Contact, Hero]);
    let all = serde_json::to_string(&stage.store.sections).unwrap();
    for fact in ["Example", "1987", "555 0188", "5550188", "$ 40", "Ana"] {
        assert!(!all.contains(fact), "{fact} is in {all}");
    }
    // What is reset is the example again, and has to be confirmed.
    let text = stage.store.sections.iter().find(|section| section.kind == Text).unwrap().clone();
    let input = crate::template::PageReset { section_id: Some(text.id), field: None };
    let mut templates = crate::template::Templates::new(&mut stage.store, &stage.scope, &stage.env);
    templates.reset(text.page_id, input, None).await.unwrap();
    let samples = stage.store.sections().samples(tenant(1), site.id).await.unwrap();
    assert_eq!(samples.iter().map(|place| place.section_id).collect::<Vec<_>>(), [text.id]);
}

/// A file of the tenant.
fn asset(env: &Env, content_type: AssetType, alt_text: Option<String>) -> Asset {
    Asset {
        id: env.new_id(),
        tenant: tenant(1),
        filename: "file".to_owned(),
        content_type,
        size: 1000,
        width: None,
        height: None,
        hash: "00".repeat(32),
        variants: Vec::new(),
        alt_text,
        purge_at: None,
        created_at: env.now(),
        updated_at: env.now(),
        version: 1,
    }
}

/// Uploads pictures; every other one has a description.
async fn photos(stage: &mut Stage, count: u128) -> Vec<AssetId> {
    let assets: Vec<Asset> = (0..count)
        .map(|number| {
            let alt_text = number.is_multiple_of(2).then(|| format!("Loaf {number}"));
            asset(&stage.env, AssetType::Jpeg, alt_text)
        })
        .collect();
    stage.store.assets().insert(&assets).await.unwrap();
    assets.into_iter().map(|asset| asset.id).collect()
}

#[tokio::test]
async fn at_most_twelve_different_pictures_of_the_tenant_are_chosen() {
    let mut stage = Stage::new().await;
    let id = stage.start().await.id;
    let ids = photos(&mut stage, 13).await;
    let stranger = stage.env.new_id::<portico_kernel::AssetKind>();
    let document = asset(&stage.env, AssetType::Pdf, None);
    stage.store.assets().insert(std::slice::from_ref(&document)).await.unwrap();
    let error = stage.save(id, json!({"design": {"photoAssetIds": ids}})).await.unwrap_err();
    assert_eq!(fields(&error), [("design.photoAssetIds", "too_many")]);
    let bad = json!([ids[0], stranger, document.id, ids[0]]);
    let error = stage.save(id, json!({"design": {"photoAssetIds": bad}})).await.unwrap_err();
    let expected = [
        ("design.photoAssetIds[1]", "unknown_asset"),
        ("design.photoAssetIds[2]", "not_a_picture"),
        ("design.photoAssetIds[3]", "duplicate"),
    ];
    assert_eq!(fields(&error), expected);
    assert_eq!(fields(&as_part(error, "design"))[0], ("photoAssetIds[1]", "unknown_asset"));
    let saved = stage.save(id, json!({"design": {"photo_asset_ids": ids[..12]}})).await.unwrap();
    assert_eq!(saved.design.unwrap().photo_asset_ids, ids[..12]);
}

#[tokio::test]
async fn pictures_of_the_owner_take_the_places_of_drawings() {
    let mut stage = Stage::new().await;
    let wizard = stage.filled().await;
    let ids = photos(&mut stage, 3).await;
    stage.save(wizard.id, json!({"design": {"photoAssetIds": ids}})).await.unwrap();
    let launch = stage.ready(wizard.id).await;
    assert!(!stage.wizards().get(wizard.id).await.unwrap().design.unwrap().photo_asset_ids.is_empty());
    let (_, _, review) = stage.wizards().launch(launch, false).await.unwrap();
    assert_eq!(review, crate::section::ContentReview::default(), "no drawing is left");
    let home = stage.store.pages[1].id;
    let sections: Vec<_> = stage.store.sections.iter().filter(|s| s.page_id == home).collect();
    let kinds: Vec<_> = sections.iter().map(|section| section.kind).collect();
    // The template has no gallery: one is added behind the last section with content, before the contact details.
    assert_eq!(kinds, [SectionType::Hero, SectionType::Gallery, SectionType::Contact]);
    assert!(sections.iter().all(|section| section.provenance == Provenance::Own));
    let hero = &sections[0].content;
    assert_eq!(
        (&hero["imageAssetId"], &hero["imageUrl"], &hero["imageAlt"], &hero["heading"]),
        (&json!(ids[0]), &Value::Null, &json!("Loaf 0"), &json!("Pan fresco"))
    );
    let images = sections[1].content["images"].as_array().unwrap();
    let shown: Vec<_> = images.iter().map(|image| (&image["imageAssetId"], &image["alt"])).collect();
    // Without a description, it is the picture of the business.
    let expected = [(json!(ids[1]), json!("Panadería Luz")), (json!(ids[2]), json!("Loaf 2"))];
    assert_eq!(shown, expected.iter().map(|(id, alt)| (id, alt)).collect::<Vec<_>>());
}

#[tokio::test]
async fn ones_own_texts_go_before_the_pictures_that_were_chosen() {
    let mut stage = Stage::new().await;
    let gallery = |key: &str| {
        section(
            key,
            SectionType::Gallery,
            json!({"images": [{"url": "/library/a.svg", "caption": "Example"}]}),
        )
    };
    let mut other = template(&stage.env, "galleries");
    other.pages[0].sections.push(gallery("gallery"));
    other.pages[1].sections.push(gallery("work"));
    stage.store.templates().insert(&other).await.unwrap();
    let wizard = stage.filled().await;
    let ids = photos(&mut stage, 2).await;
    let own = json!([
        {"page": "home", "section": "hero", "content": {"imageUrl": "https://cdn.example/a.jpg"}},
        {"page": "home", "section": "gallery", "content": {"heading": "Our bread", "images": [{"url": "https://cdn.example/b.jpg"}]}},
        {"page": "about", "section": "work", "content": {"heading": "Our work"}},
    ]);
    let parts = json!({
        "templateId": other.id, "pages": [{"key": "about"}, {"key": "home"}],
        "design": {"photoAssetIds": ids}, "content": {"mode": "own", "sections": own},
    });
    stage.save(wizard.id, parts).await.unwrap();
    let launch = stage.ready(wizard.id).await;
    let (_, _, review) = stage.wizards().launch(launch, false).await.unwrap();
    assert_eq!(review.stock_pictures, []);
    let contents: Vec<_> =
        stage.store.sections.iter().map(|section| (section.kind, &section.content)).collect();
    let about: Vec<_> = contents.iter().filter(|(kind, _)| *kind == SectionType::Gallery).collect();
    assert_eq!(about[0].1["heading"], "Our work");
    let shown: Vec<_> =
        about[0].1["images"].as_array().unwrap().iter().map(|i| i["imageAssetId"].clone()).collect();
    assert_eq!(json!(shown), json!(ids), "none that was chosen is lost");
    assert_eq!(about[1].1["images"][0]["url"], "https://cdn.example/b.jpg");
    let hero = contents.iter().find(|(kind, _)| *kind == SectionType::Hero).unwrap().1;
    assert_eq!(
        (&hero["imageUrl"], &hero["imageAssetId"]),
        (&json!("https://cdn.example/a.jpg"), &Value::Null)
    );
}

#[tokio::test]
async fn a_picture_that_was_deleted_meanwhile_is_named_when_the_site_is_made() {
    let mut stage = Stage::new().await;
    let wizard = stage.filled().await;
    let ids = photos(&mut stage, 2).await;
    stage.save(wizard.id, json!({"design": {"photoAssetIds": ids}})).await.unwrap();
    stage.store.assets.assets.retain(|asset| asset.id != ids[1]);
    let error = stage.wizards().prepare_launch(wizard.id, None).await.unwrap_err();
    assert_eq!(fields(&error), [("design.photoAssetIds[1]", "unknown_asset")]);
}
