//! Pictures of the owner.

use portico_kernel::AssetId;

use super::*;
use crate::{
    asset::{Asset, AssetType},
    section::Provenance,
};

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
        held: false,
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
