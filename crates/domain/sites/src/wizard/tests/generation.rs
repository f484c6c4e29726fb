//! Texts that a generator writes.

use portico_kernel::{JobType, Permission, Permissions};

use super::*;
use crate::{
    ports::{PageDraft, Tokens},
    section::Provenance,
};

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
