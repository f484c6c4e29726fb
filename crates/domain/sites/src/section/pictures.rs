//! Where sections refer to pictures.

use portico_kernel::{AssetId, PageId, SectionId, name::Slug};
use serde::Serialize;
use serde_json::Value;

use super::{SectionType, content::SectionContent};

/// Addresses of the pictures of our library begin with this.
pub const STOCK_PREFIX: &str = "/library/";

/// A field of a section that shows a picture of our library, where the owner may put one of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StockPicture {
    /// The page.
    pub page_id: PageId,
    /// Title of the page.
    pub page_title: String,
    /// Slug of the page.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "about"))]
    pub page_slug: Slug,
    /// The section.
    pub section_id: SectionId,
    /// What sort of block it is.
    #[serde(rename = "type")]
    pub kind: SectionType,
    /// Its place on the page, from 0.
    pub position: i32,
    /// The field of its content with the address of the picture. An `imageAssetId` beside it goes before it.
    #[cfg_attr(feature = "openapi", schema(example = "images[2].url"))]
    pub field: String,
}

/// The fields of a content that show a picture of our library.
pub fn stock_fields(kind: SectionType, content: &Value) -> Vec<String> {
    let is_stock = |holder: &Value, name: &str| {
        let address = holder.get(name).and_then(Value::as_str).unwrap_or_default();
        let uploaded = holder.get("imageAssetId").is_some_and(|id| !id.is_null());
        address.trim_start().starts_with(STOCK_PREFIX) && !uploaded
    };
    match kind {
        SectionType::Hero if is_stock(content, "imageUrl") => vec!["imageUrl".to_owned()],
        SectionType::Gallery => {
            let images = content.get("images").and_then(Value::as_array).into_iter().flatten().enumerate();
            let stock = images.filter(|(_, image)| is_stock(image, "url"));
            stock.map(|(index, _)| format!("images[{index}].url")).collect()
        }
        _ => Vec::new(),
    }
}

/// The pictures that the content of a section refers to, each with the field that names it (`images[2].imageAssetId`).
pub fn pictures_in(content: &SectionContent) -> Vec<(String, AssetId)> {
    let one = |id: &Option<AssetId>| id.iter().map(|id| ("imageAssetId".to_owned(), *id)).collect();
    let many = |list: &str, ids: Vec<Option<AssetId>>| {
        let named = ids.into_iter().enumerate();
        named.filter_map(|(index, id)| Some((format!("{list}[{index}].imageAssetId"), id?))).collect()
    };
    match content {
        SectionContent::Hero(hero) => one(&hero.image_asset_id),
        SectionContent::Gallery(gallery) => {
            many("images", gallery.images.iter().map(|image| image.image_asset_id).collect())
        }
        SectionContent::Features(features) => {
            many("items", features.items.iter().map(|item| item.image_asset_id).collect())
        }
        SectionContent::Testimonials(testimonials) => {
            many("items", testimonials.items.iter().map(|item| item.image_asset_id).collect())
        }
        SectionContent::Text(_)
        | SectionContent::Pricing(_)
        | SectionContent::Faq(_)
        | SectionContent::Contact(_)
        | SectionContent::Cta(_)
        | SectionContent::Html(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_pictures_of_the_library_that_are_shown_are_stock() {
        let of = |kind, content| stock_fields(kind, &content);
        assert_eq!(of(SectionType::Hero, json!({"imageUrl": "/library/a.svg"})), ["imageUrl"]);
        for content in [
            json!({"imageUrl": "/library/a.svg", "imageAssetId": "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d"}),
            json!({"imageUrl": "https://a.example/library/a.svg"}),
            json!({"heading": "/library/a.svg"}),
            json!(["/library/a.svg"]),
            Value::Null,
        ] {
            assert_eq!(of(SectionType::Hero, content), [""; 0]);
        }
        let images = json!({"images": [
            {"url": "/library/a.svg"}, {"url": "/a.png"}, {"imageAssetId": "x"}, {"url": "/library/b.svg", "imageAssetId": null},
        ]});
        assert_eq!(of(SectionType::Gallery, images.clone()), ["images[0].url", "images[3].url"]);
        assert_eq!(of(SectionType::Text, images), [""; 0]);
    }
}
