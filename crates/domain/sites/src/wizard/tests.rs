use portico_kernel::{Env, Fault, Kind, PageRequest, Scope, TenantRole, name::Slug};
use serde_json::{Value, json};

use super::*;
use crate::{
    SitesError,
    look::{Look, Style},
    ports::{SiteRepositories, WizardFilter},
    section::SectionType,
    template::{Template, TemplatePage, TemplateSection},
    testing::{Store, env, member, tenant, user},
};

mod generation;
mod launch;
mod pictures;

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
