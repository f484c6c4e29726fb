//! The site that is made in the end.

use portico_kernel::{Feature, Meter};

use super::*;
use crate::page::PageStatus;

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
