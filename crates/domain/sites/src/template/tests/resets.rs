//! What was customised of a template, and how it goes back.

use super::*;

#[tokio::test]
async fn what_was_customised_is_told_by_field_and_item() {
    let mut bakery = Bakery::new().await;
    assert_eq!(bakery.state().await.template_id, None, "not made from a template");
    let applied = bakery.apply_to_page().await;
    assert_eq!((applied.sections, applied.replaced_sections), (3, 0));
    let state = bakery.state().await;
    assert_eq!(state.template_id, Some(bakery.template.id));
    assert_eq!((state.template_page.as_deref(), state.is_customised), (Some("home"), false));
    assert!(state.sections.iter().all(|section| section.state == Customisation::Unchanged));

    let sections = bakery.sections().await;
    bakery.write(&sections[0], json!({"heading": "Mine", "ctaLabel": "Visit", "ctaUrl": "/about"})).await;
    bakery
        .write(
            &sections[1],
            json!({"items": [{"title": "One"}, {"title": "2"}, {"title": "Three"}, {"title": "Four"}]}),
        )
        .await;
    let page = bakery.page.id;
    bakery.sections_of().delete(page, sections[2].id, None).await.unwrap();
    let text: NewSection =
        serde_json::from_value(json!({"type": "text", "content": {"html": "<p>x</p>"}, "position": 0}))
            .unwrap();
    bakery.sections_of().create(page, text).await.unwrap();

    let state = bakery.state().await;
    assert!(state.is_customised && !state.is_reordered);
    let states: Vec<_> =
        state.sections.iter().map(|s| (s.section_key.as_deref(), s.state, s.fields.join(" "))).collect();
    assert_eq!(
        states,
        [
            (None, Customisation::Added, String::new()),
            (Some("hero"), Customisation::Customised, "heading".to_owned()),
            (Some("why"), Customisation::Customised, "items[1] items[3]".to_owned()),
        ]
    );
    assert_eq!(state.removed.len(), 1);
    assert_eq!(
        (state.removed[0].section_key.as_str(), state.removed[0].section_id),
        ("call", sections[2].id)
    );
}

#[tokio::test]
async fn one_field_goes_back_and_versions_go_up() {
    let mut bakery = Bakery::new().await;
    bakery.apply_to_page().await;
    let sections = bakery.sections().await;
    let (hero, why) = (sections[0].clone(), sections[1].clone());
    bakery.write(&hero, json!({"heading": "Mine", "subheading": "Also mine"})).await;
    bakery.write(&why, json!({"items": [{"title": "Only"}]})).await;
    bakery.store.take_events();

    let state = bakery.reset(Some(&hero), Some("heading")).await.unwrap();
    assert_eq!(state.sections[0].fields, ["ctaLabel", "ctaUrl", "subheading"]);
    let now = bakery.sections().await;
    assert_eq!(now[0].content["heading"], "Warm bread");
    assert_eq!(now[0].content["subheading"], "Also mine");
    assert_eq!(now[0].version, 3, "made, changed, reset");
    assert_eq!(bakery.store.take_events(), ["section.updated", "page.reset_to_template"]);

    // A button needs both: half of it is refused, and names what is missing.
    let half = bakery.reset(Some(&hero), Some("ctaLabel")).await.unwrap_err();
    assert_eq!(fields(half), ["content.ctaUrl"]);
    bakery.reset(Some(&why), Some("items[2]")).await.unwrap();
    let items = bakery.sections().await[1].content["items"].clone();
    assert_eq!((items[0]["title"].as_str(), items[1]["title"].as_str()), (Some("Only"), Some("Three")));

    for wrong in ["colour", "items[7]", "items[", ""] {
        assert_eq!(fields(bakery.reset(Some(&hero), Some(wrong)).await.unwrap_err()), ["field"], "{wrong:?}");
    }
    assert_eq!(fields(bakery.reset(None, Some("heading")).await.unwrap_err()), ["sectionId"]);
    bakery.store.take_events();
    let version = bakery.sections().await[0].version;
    bakery.reset(Some(&hero), Some("heading")).await.unwrap();
    assert_eq!(bakery.sections().await[0].version, version, "nothing to do");
    assert_eq!(bakery.store.take_events(), Vec::<String>::new());
}

#[tokio::test]
async fn a_whole_page_goes_back_to_what_the_template_was() {
    let mut bakery = Bakery::new().await;
    bakery.apply_to_page().await;
    let original = bakery.sections().await;
    // Staff change the template afterwards: that must not reach the customer.
    let (scope, slug) = (staff(), bakery.template.slug.clone());
    let update = TemplateUpdate { pages: Some(input("x").pages[..1].to_vec()), ..TemplateUpdate::default() };
    Templates::new(&mut bakery.store, &scope, &bakery.env).update(&slug, update, None).await.unwrap();

    let page = bakery.page.id;
    bakery.write(&original[0], json!({"heading": "Mine"})).await;
    bakery.sections_of().delete(page, original[1].id, None).await.unwrap();
    let hidden = SectionUpdate { visible: Some(false), position: Some(0), ..SectionUpdate::default() };
    bakery.sections_of().update(page, original[2].id, hidden, None).await.unwrap();
    let text: NewSection =
        serde_json::from_value(json!({"type": "text", "content": {"html": "<p>x</p>"}})).unwrap();
    bakery.sections_of().create(page, text).await.unwrap();
    let state = bakery.state().await;
    assert!(state.is_reordered && state.removed.len() == 1);
    assert_eq!(state.sections[0].fields, ["visible"]);
    bakery.store.take_events();

    let state = bakery.reset(None, None).await.unwrap();
    assert!(!state.is_customised, "{state:?}");
    assert_eq!(state, bakery.state().await, "what is answered is what is stored");
    let now = bakery.sections().await;
    let texts = |all: &[Section]| {
        all.iter().map(|s| (s.kind, s.content.clone(), s.position, s.visible)).collect::<Vec<_>>()
    };
    assert_eq!(texts(&now), texts(&original));
    assert_eq!((now[0].id, now[2].id), (original[0].id, original[2].id));
    assert_ne!(now[1].id, original[1].id, "made anew, so that an old version is not taken for it");
    assert!(now[0].version > original[0].version && now[2].version > original[2].version);
    let mut events = bakery.store.take_events();
    events.sort();
    assert_eq!(
        events,
        [
            "page.reset_to_template",
            "section.created",
            "section.deleted",
            "section.updated",
            "section.updated"
        ]
    );
    bakery.reset(None, None).await.unwrap();
    assert_eq!(bakery.store.take_events(), Vec::<String>::new(), "nothing to do");
}

#[tokio::test]
async fn one_section_goes_back_also_when_it_was_removed_or_became_another() {
    let mut bakery = Bakery::new().await;
    bakery.apply_to_page().await;
    let original = bakery.sections().await;
    let page = bakery.page.id;
    let other: SectionUpdate =
        serde_json::from_value(json!({"type": "text", "content": {"html": "<p>x</p>"}})).unwrap();
    bakery.sections_of().update(page, original[0].id, other, None).await.unwrap();
    assert_eq!(bakery.state().await.sections[0].fields, ["type"]);
    assert_eq!(fields(bakery.reset(Some(&original[0]), Some("heading")).await.unwrap_err()), ["field"]);
    bakery.reset(Some(&original[0]), None).await.unwrap();
    assert_eq!(bakery.sections().await[0].content, original[0].content);

    bakery.sections_of().delete(page, original[1].id, None).await.unwrap();
    assert!(matches!(
        bakery.reset(Some(&original[1]), Some("items[0]")).await,
        Err(SitesError::NotFound("section"))
    ));
    let state = bakery.reset(Some(&original[1]), None).await.unwrap();
    assert!(!state.is_customised, "{state:?}");
    assert_eq!(bakery.sections().await[1].content, original[1].content);

    let text: NewSection =
        serde_json::from_value(json!({"type": "text", "content": {"html": "<p>x</p>"}})).unwrap();
    let added = bakery.sections_of().create(page, text).await.unwrap();
    assert!(matches!(bakery.reset(Some(&added), None).await, Err(SitesError::NotFromTemplate)));
    let nowhere = Section { id: bakery.env.new_id(), ..added };
    assert!(matches!(bakery.reset(Some(&nowhere), None).await, Err(SitesError::NotFound("section"))));
}

#[tokio::test]
async fn a_reset_looks_at_the_version_that_the_client_saw() {
    let mut bakery = Bakery::new().await;
    assert!(matches!(bakery.reset(None, None).await, Err(SitesError::NotFromTemplate)));
    bakery.apply_to_page().await;
    let hero = bakery.sections().await[0].clone();
    bakery.write(&hero, json!({"heading": "Mine"})).await;
    let page = bakery.page.id;
    let input = PageReset { section_id: Some(hero.id), field: None };
    let stale = bakery.templates().reset(page, input.clone(), Some(hero.version)).await;
    assert!(matches!(stale, Err(SitesError::PreconditionFailed)));
    bakery.templates().reset(page, input, Some(hero.version + 1)).await.unwrap();
    let stale = bakery.templates().reset(page, PageReset::default(), Some(99)).await;
    assert!(matches!(stale, Err(SitesError::PreconditionFailed)));
}

#[tokio::test]
async fn a_copy_of_a_page_can_be_reset_too() {
    let mut bakery = Bakery::new().await;
    bakery.apply_to_page().await;
    let copy =
        Pages::new(&mut bakery.store, &bakery.scope, &bakery.env).duplicate(bakery.page.id).await.unwrap();
    bakery.page = copy;
    let section = bakery.sections().await[0].clone();
    bakery.write(&section, json!({"heading": "Mine"})).await;
    assert_eq!(bakery.state().await.sections[0].fields, ["ctaLabel", "ctaUrl", "heading"]);
    assert!(!bakery.reset(None, None).await.unwrap().is_customised);
}
