//! Where content refers to pictures.

use portico_kernel::{AssetId, TenantId, Violations};

use super::Asset;
use crate::{SitesError, ports::SiteRepositories, section::content::SectionContent};

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

/// Notes every reference that leads to no picture of the tenant. Asks the store once, and not at all without references.
pub(crate) async fn check_pictures(
    repositories: &mut dyn SiteRepositories,
    tenant: TenantId,
    references: &[(String, AssetId)],
    violations: &mut Violations,
) -> Result<(), SitesError> {
    if references.is_empty() {
        return Ok(());
    }
    let ids: Vec<AssetId> = references.iter().map(|(_, id)| *id).collect();
    let found = repositories.assets().find_many(tenant, &ids).await?;
    for (field, id) in references {
        match found.iter().find(|asset| asset.id == *id) {
            Some(asset) if Asset::is_picture(asset) => {}
            Some(_) => violations.add(field, "not_a_picture", "This file is not a picture."),
            None => violations.add(field, "unknown_asset", "There is no such asset."),
        }
    }
    Ok(())
}
