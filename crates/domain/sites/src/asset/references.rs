//! References to pictures.

use portico_kernel::{AssetId, TenantId, Violations};

use super::Asset;
use crate::{SitesError, ports::SiteRepositories};

/// Notes every reference that leads to no picture of the tenant. Asks the store once, and not at all without references.
pub(crate) async fn check_pictures(
    repositories: &mut dyn SiteRepositories,
    tenant: TenantId,
    references: &[(String, AssetId)],
    violations: &mut Violations,
) -> Result<(), SitesError> {
    find_pictures(repositories, tenant, references, violations).await.map(drop)
}

/// Like [`check_pictures`], and answers the files that were found.
pub(crate) async fn find_pictures(
    repositories: &mut dyn SiteRepositories,
    tenant: TenantId,
    references: &[(String, AssetId)],
    violations: &mut Violations,
) -> Result<Vec<Asset>, SitesError> {
    if references.is_empty() {
        return Ok(Vec::new());
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
    Ok(found)
}
