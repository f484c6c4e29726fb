//! Where sections refer to pictures.

use portico_kernel::AssetId;

use super::content::SectionContent;

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
