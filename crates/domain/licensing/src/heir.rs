//! The way from a license that was given away to the one that follows it.

use crate::{LicensingError, license::License, ports::LicensingRepositories};

/// The license that follows one which was given away, maybe more than once; `None` where it was not.
///
/// # Errors
/// Those of the store.
pub(crate) async fn heir_of(
    repositories: &mut dyn LicensingRepositories,
    license: &License,
) -> Result<Option<License>, LicensingError> {
    let mut last = (license.tenant_id, license.id);
    while let Some(heir) = repositories.license_transfers().heir(last.0, last.1).await? {
        last = heir;
    }
    if last == (license.tenant_id, license.id) {
        return Ok(None);
    }
    Ok(repositories.licenses().find(last.0, last.1).await?)
}
