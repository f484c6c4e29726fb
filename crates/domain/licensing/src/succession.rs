//! Licenses named with their tenants, as the one that follows another tenant's is.

use portico_kernel::{LicenseId, TenantId};
use serde::Serialize;

use crate::license::License;

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
