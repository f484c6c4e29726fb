//! Who belongs to a tenant.

use portico_kernel::{TenantId, TenantRole, Timestamp, UserId};
use serde::Serialize;

/// A user's place in a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Where.
    pub tenant: TenantId,
    /// Who.
    pub user: UserId,
    /// As what.
    pub role: TenantRole,
    /// Since when.
    pub joined_at: Timestamp,
}

/// A tenant as its member's profile shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TenantSummary {
    /// Which.
    pub id: TenantId,
    /// Display name.
    pub name: String,
    /// The member's role.
    pub role: TenantRole,
}
