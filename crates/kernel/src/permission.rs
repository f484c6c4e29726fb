//! Roles and permissions.

use serde::{Deserialize, Serialize};

/// Something a caller may do in a tenant, or on the whole platform. Written `resource:action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Permission {
    /// See the tenant.
    TenantRead,
    /// Change the tenant's name and settings.
    TenantWrite,
    /// Delete the tenant.
    TenantDelete,
    /// See colours, fonts and logo.
    BrandingRead,
    /// Change colours, fonts and logo.
    BrandingWrite,
    /// Read the audit trail of the tenant.
    AuditRead,
    /// See plan, usage and quotas.
    BillingRead,
    /// See sites and their deployments.
    SitesRead,
    /// Create and change sites.
    SitesWrite,
    /// Delete sites.
    SitesDelete,
    /// Publish a site, or go back to an earlier deployment.
    SitesDeploy,
    /// See pages and sections, drafts included.
    PagesRead,
    /// Create, change and delete pages and sections.
    PagesWrite,
    /// See the navigation.
    NavigationRead,
    /// Change the navigation.
    NavigationWrite,
    /// Platform: see all tenants and everybody's audit trail.
    PlatformAudit,
    /// Platform: list and replay failed background jobs.
    PlatformJobs,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 17] = [
        Self::TenantRead,
        Self::TenantWrite,
        Self::TenantDelete,
        Self::BrandingRead,
        Self::BrandingWrite,
        Self::AuditRead,
        Self::BillingRead,
        Self::SitesRead,
        Self::SitesWrite,
        Self::SitesDelete,
        Self::SitesDeploy,
        Self::PagesRead,
        Self::PagesWrite,
        Self::NavigationRead,
        Self::NavigationWrite,
        Self::PlatformAudit,
        Self::PlatformJobs,
    ];

    /// The word for it, as in API keys and error texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TenantRead => "tenant:read",
            Self::TenantWrite => "tenant:write",
            Self::TenantDelete => "tenant:delete",
            Self::BrandingRead => "branding:read",
            Self::BrandingWrite => "branding:write",
            Self::AuditRead => "audit:read",
            Self::BillingRead => "billing:read",
            Self::SitesRead => "sites:read",
            Self::SitesWrite => "sites:write",
            Self::SitesDelete => "sites:delete",
            Self::SitesDeploy => "sites:deploy",
            Self::PagesRead => "pages:read",
            Self::PagesWrite => "pages:write",
            Self::NavigationRead => "navigation:read",
            Self::NavigationWrite => "navigation:write",
            Self::PlatformAudit => "platform:audit",
            Self::PlatformJobs => "platform:jobs",
        }
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions(u64);

impl Permissions {
    /// No permission.
    pub const NONE: Self = Self(0);

    /// A set of the given permissions.
    pub const fn of(list: &[Permission]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < list.len() {
            bits |= 1 << list[i] as u64;
            i += 1;
        }
        Self(bits)
    }

    /// What is in either set.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the permission is in the set.
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u64) != 0
    }
}

/// What a member is in a tenant. Each role may do all that the one before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum TenantRole {
    /// Sees everything but the audit trail.
    Viewer,
    /// Edits content and publishes it.
    Editor,
    /// Creates and deletes sites, changes settings and branding, reads the audit trail.
    Admin,
    /// Everything, deleting the tenant included.
    Owner,
}

impl TenantRole {
    /// What the role may do.
    pub const fn permissions(self) -> Permissions {
        use Permission::*;
        const VIEWER: Permissions =
            Permissions::of(&[TenantRead, BrandingRead, BillingRead, SitesRead, PagesRead, NavigationRead]);
        const EDITOR: Permissions =
            VIEWER.union(Permissions::of(&[SitesWrite, SitesDeploy, PagesWrite, NavigationWrite]));
        const ADMIN: Permissions =
            EDITOR.union(Permissions::of(&[TenantWrite, BrandingWrite, AuditRead, SitesDelete]));
        const OWNER: Permissions = ADMIN.union(Permissions::of(&[TenantDelete]));
        match self {
            Self::Viewer => VIEWER,
            Self::Editor => EDITOR,
            Self::Admin => ADMIN,
            Self::Owner => OWNER,
        }
    }

    /// The word for it in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// The role of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Viewer, Self::Editor, Self::Admin, Self::Owner].into_iter().find(|role| role.as_str() == text)
    }
}

/// What a user is on the platform, across tenants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PlatformRole {
    /// Acts in the tenants they are a member of.
    #[default]
    Customer,
    /// Works for the operator: looks after background jobs. Stays inside their own tenants otherwise.
    Staff,
    /// Works for the operator: may cross tenants and do everything.
    SuperAdmin,
}

impl PlatformRole {
    /// What the role may do outside of any tenant.
    pub const fn permissions(self) -> Permissions {
        match self {
            Self::Customer => Permissions::NONE,
            Self::Staff => Permissions::of(&[Permission::PlatformJobs]),
            Self::SuperAdmin => Permissions::of(&Permission::ALL),
        }
    }

    /// The word for it in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Staff => "staff",
            Self::SuperAdmin => "super_admin",
        }
    }

    /// The role of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Customer, Self::Staff, Self::SuperAdmin].into_iter().find(|role| role.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_every_permission_once() {
        for (position, permission) in Permission::ALL.iter().enumerate() {
            assert_eq!(*permission as usize, position);
        }
    }

    #[test]
    fn each_role_may_do_what_the_one_before_it_may() {
        let roles = [TenantRole::Viewer, TenantRole::Editor, TenantRole::Admin, TenantRole::Owner];
        for pair in roles.windows(2) {
            let (less, more) = (pair[0].permissions(), pair[1].permissions());
            assert_eq!(less.union(more), more);
            assert_ne!(less, more);
        }
    }

    #[test]
    fn no_tenant_role_reaches_the_platform() {
        let owner = TenantRole::Owner.permissions();
        assert!(!owner.contains(Permission::PlatformAudit));
        assert!(!owner.contains(Permission::PlatformJobs));
    }
}
