//! Which license follows one that was given away.

use portico_kernel::{LicenseId, TenantId};
use serde::Serialize;

use crate::license::License;

/// A license that was given away, and the one that follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Succession {
    /// The one that ended.
    pub from: LicensePlace,
    /// The one that was issued for it.
    pub to: LicensePlace,
}

/// A license and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LicensePlace {
    /// The license.
    pub license_id: LicenseId,
    /// The tenant that it belongs to.
    pub tenant_id: TenantId,
}

impl LicensePlace {
    /// That of a license.
    pub fn of(license: &License) -> Self {
        Self { license_id: license.id, tenant_id: license.tenant_id }
    }
}
