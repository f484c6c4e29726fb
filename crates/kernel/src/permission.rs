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
    /// See who belongs to the tenant.
    MembersRead,
    /// Invite people, change their roles, and remove them. Owners are beyond it, see
    /// [`Permission::TenantTransfer`].
    MembersWrite,
    /// Make somebody an owner, and change or remove an owner.
    TenantTransfer,
    /// See the API keys and how they are used.
    ApiKeysRead,
    /// Make, change, rotate and revoke API keys.
    ApiKeysWrite,
    /// See files that were uploaded.
    AssetsRead,
    /// Upload, change and delete files.
    AssetsWrite,
    /// See the domains of a site.
    DomainsRead,
    /// Connect and remove domains of a site.
    DomainsWrite,
    /// See who visits a site.
    AnalyticsRead,
    /// Read what visitors sent through contact forms.
    SubmissionsRead,
    /// Mark and delete what visitors sent.
    SubmissionsWrite,
    /// Let texts be written; counts against the plan.
    AiGenerate,
    /// See webhooks and what was sent to them.
    WebhooksRead,
    /// Make, change and delete webhooks, and send to them again.
    WebhooksWrite,
    /// Platform: see all tenants and everybody's audit trail.
    PlatformAudit,
    /// Platform: list and replay failed background jobs.
    PlatformJobs,
    /// Platform: see, make, change, suspend and erase users.
    PlatformUsers,
    /// Platform: act as a customer, with both written down.
    PlatformImpersonate,
    /// Platform: suspend tenants, bring them back, and name their dealers.
    PlatformTenants,
    /// Platform: make and edit website templates.
    PlatformTemplates,
    /// Platform: prepare sites and offer them for sale.
    PlatformSites,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 37] = [
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
        Self::MembersRead,
        Self::MembersWrite,
        Self::TenantTransfer,
        Self::ApiKeysRead,
        Self::ApiKeysWrite,
        Self::AssetsRead,
        Self::AssetsWrite,
        Self::DomainsRead,
        Self::DomainsWrite,
        Self::AnalyticsRead,
        Self::SubmissionsRead,
        Self::SubmissionsWrite,
        Self::AiGenerate,
        Self::WebhooksRead,
        Self::WebhooksWrite,
        Self::PlatformAudit,
        Self::PlatformJobs,
        Self::PlatformUsers,
        Self::PlatformImpersonate,
        Self::PlatformTenants,
        Self::PlatformTemplates,
        Self::PlatformSites,
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
            Self::MembersRead => "members:read",
            Self::MembersWrite => "members:write",
            Self::TenantTransfer => "tenant:transfer",
            Self::ApiKeysRead => "api_keys:read",
            Self::ApiKeysWrite => "api_keys:write",
            Self::AssetsRead => "assets:read",
            Self::AssetsWrite => "assets:write",
            Self::DomainsRead => "domains:read",
            Self::DomainsWrite => "domains:write",
            Self::AnalyticsRead => "analytics:read",
            Self::SubmissionsRead => "submissions:read",
            Self::SubmissionsWrite => "submissions:write",
            Self::AiGenerate => "ai:generate",
            Self::WebhooksRead => "webhooks:read",
            Self::WebhooksWrite => "webhooks:write",
            Self::PlatformAudit => "platform:audit",
            Self::PlatformJobs => "platform:jobs",
            Self::PlatformUsers => "platform:users",
            Self::PlatformImpersonate => "platform:impersonate",
            Self::PlatformTenants => "platform:tenants",
            Self::PlatformTemplates => "platform:templates",
            Self::PlatformSites => "platform:sites",
        }
    }

    /// The permission of this word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.as_str() == text)
    }

    /// Whether it only lets one see something in a tenant.
    pub fn is_reading(self) -> bool {
        self.as_str().ends_with(":read")
    }

    /// Whether somebody who acts as a person may use it: what a key may have, so nobody gets a foothold in a tenant that
    /// outlasts the hour. Keys may be revoked, because that is what a call for help may be about; whatever gives a key out
    /// asks for the person themselves.
    pub const fn is_delegable(self) -> bool {
        self.is_for_keys() || matches!(self, Self::ApiKeysWrite)
    }

    /// Whether an API key may have it. What decides over people, keys and the existence of the tenant, and everything
    /// platform-wide, stays with people: a stolen key must not be able to make itself another one.
    pub const fn is_for_keys(self) -> bool {
        !matches!(
            self,
            Self::TenantDelete
                | Self::TenantTransfer
                | Self::MembersWrite
                | Self::ApiKeysWrite
                | Self::WebhooksWrite
                | Self::PlatformAudit
                | Self::PlatformJobs
                | Self::PlatformUsers
                | Self::PlatformImpersonate
                | Self::PlatformTenants
                | Self::PlatformTemplates
                | Self::PlatformSites
        )
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

    /// What is in both sets.
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether everything in this set is in the other one too.
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Those of the set that only let one see something.
    #[must_use]
    pub fn reading(self) -> Self {
        self.iter()
            .filter(|permission| permission.is_reading())
            .fold(Self::NONE, |set, permission| set.union(Self::of(&[permission])))
    }

    /// Those of the set that whoever acts as somebody may have in their place, see [`Permission::is_delegable`].
    #[must_use]
    pub fn delegable(self) -> Self {
        self.iter()
            .filter(|permission| permission.is_delegable())
            .fold(Self::NONE, |set, permission| set.union(Self::of(&[permission])))
    }

    /// The permissions in the set, in the order of [`Permission::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.contains(*permission))
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
    /// Creates and deletes sites, changes settings and branding, manages members, API keys and webhooks, reads the audit
    /// trail.
    Admin,
    /// Everything, deleting the tenant included.
    Owner,
}

impl TenantRole {
    /// What the role may do.
    pub const fn permissions(self) -> Permissions {
        use Permission::*;
        const VIEWER: Permissions = Permissions::of(&[
            TenantRead,
            BrandingRead,
            BillingRead,
            SitesRead,
            PagesRead,
            NavigationRead,
            MembersRead,
            AssetsRead,
            DomainsRead,
            AnalyticsRead,
        ]);
        const EDITOR: Permissions = VIEWER.union(Permissions::of(&[
            SitesWrite,
            SitesDeploy,
            PagesWrite,
            NavigationWrite,
            AssetsWrite,
            SubmissionsRead,
            SubmissionsWrite,
            AiGenerate,
        ]));
        const ADMIN: Permissions = EDITOR.union(Permissions::of(&[
            TenantWrite,
            BrandingWrite,
            AuditRead,
            SitesDelete,
            MembersWrite,
            ApiKeysRead,
            ApiKeysWrite,
            DomainsWrite,
            WebhooksRead,
            WebhooksWrite,
        ]));
        const OWNER: Permissions = ADMIN.union(Permissions::of(&[TenantDelete, TenantTransfer]));
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
    /// Works for the operator: looks after background jobs, templates and sites for sale, and helps customers by acting
    /// as them. Stays inside their own tenants otherwise.
    Staff,
    /// Works for the operator: may cross tenants and do everything.
    SuperAdmin,
}

impl PlatformRole {
    /// What the role may do outside of any tenant.
    pub const fn permissions(self) -> Permissions {
        match self {
            Self::Customer => Permissions::NONE,
            Self::Staff => Permissions::of(&[
                Permission::PlatformJobs,
                Permission::PlatformImpersonate,
                Permission::PlatformTemplates,
                Permission::PlatformSites,
            ]),
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
        assert!(owner.iter().all(|permission| !permission.as_str().starts_with("platform:")));
    }

    #[test]
    fn words_are_read_back() {
        for permission in Permission::ALL {
            assert_eq!(Permission::parse(permission.as_str()), Some(permission));
        }
        assert_eq!(Permission::parse("pages:*"), None);
    }

    #[test]
    fn sets_are_compared() {
        let (viewer, owner) = (TenantRole::Viewer.permissions(), TenantRole::Owner.permissions());
        assert!(viewer.is_subset(owner) && !owner.is_subset(viewer));
        assert_eq!(viewer.intersection(owner), viewer);
        assert_eq!(Permissions::of(&viewer.iter().collect::<Vec<_>>()), viewer);
    }
}
