//! Roles and permissions.

use serde::{Deserialize, Serialize};

use crate::{StaffArea, StaffAreas};

/// All properties of one permission. They are declared once, in the table below: a permission that leaves any of them out does
/// not compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Declaration {
    /// Its name, `resource:action`, as in API keys and error texts.
    name: &'static str,
    /// The least role in a tenant that has it; so do those above it.
    tenant: Option<TenantRole>,
    /// Who on the platform has it.
    platform: Holder,
    /// Whether it only grants reading in a tenant.
    reading: bool,
    /// Whether an API key may have it. What decides over people, keys and the existence of the tenant, and everything
    /// platform-wide, stays with people: a stolen key must not be able to make itself another one.
    keys: bool,
    /// Whether an impersonator may use it: what a key may have, so no impersonator gets access to a tenant that outlasts the
    /// hour. Keys may be revoked, because that is what a call for help may be about; whatever issues a key requires the person
    /// themselves.
    impersonators: bool,
}

/// Who on the platform has a permission, whichever tenant they act in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// Staff, and super admins. Where [areas](StaffAreas) were set for a member of staff: those with one of these areas.
    StaffIn(&'static [StaffArea]),
    /// Super admins only.
    SuperAdmin,
}

impl Holder {
    /// The least role that has it.
    const fn least(self) -> PlatformRole {
        match self {
            Self::StaffIn(_) => PlatformRole::Staff,
            Self::SuperAdmin => PlatformRole::SuperAdmin,
        }
    }

    /// Whether a member of staff who is narrowed to these areas has it.
    fn works_in(self, areas: StaffAreas) -> bool {
        matches!(self, Self::StaffIn(needed) if needed.iter().any(|area| areas.contains(*area)))
    }
}

/// Makes the permissions, the list of all of them and their declarations from one table.
macro_rules! permissions {
    ($($(#[$doc:meta])+ $name:ident { $($declaration:tt)+ })+) => {
        /// Something a caller may do in a tenant, or on the whole platform. Written `resource:action`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Permission {
            $($(#[$doc])+ $name,)+
        }

        impl Permission {
            /// Every permission.
            pub const ALL: [Self; [$(stringify!($name)),+].len()] = [$(Self::$name),+];

            const fn declaration(self) -> Declaration {
                use Holder::{StaffIn, SuperAdmin};
                use StaffArea::{Billing, Content, Operations, Support};
                use TenantRole::{Admin, Editor, Owner, Viewer};
                match self {
                    $(Self::$name => Declaration { $($declaration)+ },)+
                }
            }
        }
    };
}

permissions! {
    /// See the tenant.
    TenantRead { name: "tenant:read", tenant: Some(Viewer), platform: SuperAdmin, reading: true, keys: true, impersonators: true }
    /// Change the tenant's name and settings.
    TenantWrite { name: "tenant:write", tenant: Some(Admin), platform: SuperAdmin, reading: false, keys: true, impersonators: true }
    /// Delete the tenant.
    TenantDelete { name: "tenant:delete", tenant: Some(Owner), platform: SuperAdmin, reading: false, keys: false, impersonators: false }
    /// See colours, fonts and logo.
    BrandingRead { name: "branding:read", tenant: Some(Viewer), platform: SuperAdmin, reading: true, keys: true, impersonators: true }
    /// Change colours, fonts and logo.
    BrandingWrite { name: "branding:write", tenant: Some(Admin), platform: SuperAdmin, reading: false, keys: true, impersonators: true }
    /// Read the audit trail of the tenant.
    AuditRead { name: "audit:read", tenant: Some(Admin), platform: SuperAdmin, reading: true, keys: true, impersonators: true }
    /// See plan, usage and quotas.
    BillingRead { name: "billing:read", tenant: Some(Viewer), platform: SuperAdmin, reading: true, keys: true, impersonators: true }
    /// Buy something for the tenant.
    BillingWrite { name: "billing:write", tenant: Some(Admin), platform: SuperAdmin, reading: false, keys: false, impersonators: false }
    /// See the licenses of the tenant with their keys, and where they are used.
    LicensesRead { name: "licenses:read", tenant: Some(Viewer), platform: SuperAdmin, reading: true, keys: true, impersonators: true }
    /// Free the seats of licenses, replace their keys, and get license files.
    LicensesWrite { name: "licenses:write", tenant: Some(Admin), platform: SuperAdmin, reading: false, keys: false, impersonators: false }
    /// See sites and their deployments.
    SitesRead { name: "sites:read", tenant: Some(Viewer), platform: SuperAdmin, reading: true, keys: true, impersonators: true }
    /// Create and change sites.
    SitesWrite { name: "sites:write", tenant: Some(Editor), platform: SuperAdmin, reading: false, keys: true, impersonators: true }
    /// Delete sites.
    SitesDelete { name: "sites:delete", tenant: Some(Admin), platform: SuperAdmin, reading: false, keys: true, impersonators: true }
    /// Publish a site, or go back to an earlier deployment.
    SitesDeploy { name: "sites:deploy", tenant: Some(Editor), platform: SuperAdmin, reading: false, keys: true, impersonators: true }
    /// See pages and sections, drafts included.
    PagesRead { name: "pages:read", tenant: Some(Viewer), platform: SuperAdmin, reading: true, keys: true, impersonators: true }
    /// Create, change and delete pages and sections.
    PagesWrite { name: "pages:write", tenant: Some(Editor), platform: SuperAdmin, reading: false, keys: true, impersonators: true }
    /// See the navigation.
    NavigationRead { name: "navigation:read", tenant: Some(Viewer), platform: SuperAdmin, reading: true, keys: true, impersonators: true }
    /// Change the navigation.
    NavigationWrite { name: "navigation:write", tenant: Some(Editor), platform: SuperAdmin, reading: false, keys: true, impersonators: true }
    /// See who belongs to the tenant.
    MembersRead { name: "members:read", tenant: Some(Viewer), platform: SuperAdmin, reading: true, keys: true, impersonators: true }
    /// Invite people, change their roles, and remove them. Owners are beyond it, see
    /// [`Permission::TenantTransfer`].
    MembersWrite { name: "members:write", tenant: Some(Admin), platform: SuperAdmin, reading: false, keys: false, impersonators: false }
    /// Make a user an owner, and change or remove an owner.
    TenantTransfer { name: "tenant:transfer", tenant: Some(Owner), platform: SuperAdmin, reading: false, keys: false, impersonators: false }
    /// See the API keys and how they are used.
    ApiKeysRead { name: "api_keys:read", tenant: Some(Admin), platform: SuperAdmin, reading: true, keys: true, impersonators: true }
    /// Make, change, rotate and revoke API keys.
    ApiKeysWrite { name: "api_keys:write", tenant: Some(Admin), platform: SuperAdmin, reading: false, keys: false, impersonators: true }
    /// See files that were uploaded.
    AssetsRead { name: "assets:read", tenant: Some(Viewer), platform: SuperAdmin, reading: true, keys: true, impersonators: true }
    /// Upload, change and delete files.
    AssetsWrite { name: "assets:write", tenant: Some(Editor), platform: SuperAdmin, reading: false, keys: true, impersonators: true }
    /// See the domains of a site.
    DomainsRead { name: "domains:read", tenant: Some(Viewer), platform: SuperAdmin, reading: true, keys: true, impersonators: true }
    /// Connect and remove domains of a site.
    DomainsWrite { name: "domains:write", tenant: Some(Admin), platform: SuperAdmin, reading: false, keys: true, impersonators: true }
    /// See who visits a site.
    AnalyticsRead { name: "analytics:read", tenant: Some(Viewer), platform: SuperAdmin, reading: true, keys: true, impersonators: true }
    /// Read what visitors sent through contact forms.
    SubmissionsRead { name: "submissions:read", tenant: Some(Editor), platform: SuperAdmin, reading: true, keys: true, impersonators: true }
    /// Mark and delete what visitors sent.
    SubmissionsWrite { name: "submissions:write", tenant: Some(Editor), platform: SuperAdmin, reading: false, keys: true, impersonators: true }
    /// Generate texts; counts against the plan.
    AiGenerate { name: "ai:generate", tenant: Some(Editor), platform: SuperAdmin, reading: false, keys: true, impersonators: true }
    /// See webhooks and what was sent to them.
    WebhooksRead { name: "webhooks:read", tenant: Some(Admin), platform: SuperAdmin, reading: true, keys: true, impersonators: true }
    /// Make, change and delete webhooks, and send to them again.
    WebhooksWrite { name: "webhooks:write", tenant: Some(Admin), platform: SuperAdmin, reading: false, keys: false, impersonators: false }
    /// See what everybody in the tenant asks support, and be told of it. One's own tickets need [`Permission::SupportWrite`] only.
    SupportRead { name: "support:read", tenant: Some(Admin), platform: SuperAdmin, reading: true, keys: true, impersonators: true }
    /// Ask support, and see and answer one's own tickets. People ask for themselves.
    SupportWrite { name: "support:write", tenant: Some(Viewer), platform: SuperAdmin, reading: false, keys: false, impersonators: false }
    /// Platform: see all tenants and every audit trail.
    PlatformAudit { name: "platform:audit", tenant: None, platform: SuperAdmin, reading: false, keys: false, impersonators: false }
    /// Platform: list and replay failed background jobs.
    PlatformJobs { name: "platform:jobs", tenant: None, platform: StaffIn(&[Operations]), reading: false, keys: false, impersonators: false }
    /// Platform: see, make, change, suspend and erase users.
    PlatformUsers { name: "platform:users", tenant: None, platform: SuperAdmin, reading: false, keys: false, impersonators: false }
    /// Platform: act as a customer, with both recorded.
    PlatformImpersonate { name: "platform:impersonate", tenant: None, platform: StaffIn(&[Support]), reading: false, keys: false, impersonators: false }
    /// Platform: suspend tenants, bring them back, and name their dealers.
    PlatformTenants { name: "platform:tenants", tenant: None, platform: SuperAdmin, reading: false, keys: false, impersonators: false }
    /// Platform: make and edit plans and coupons, and put tenants on plans.
    PlatformPlans { name: "platform:plans", tenant: None, platform: StaffIn(&[Billing]), reading: false, keys: false, impersonators: false }
    /// Platform: see customers: tenants with their owners, plans and usage.
    PlatformCustomers { name: "platform:customers", tenant: None, platform: StaffIn(&[Support, Billing, Operations]), reading: false, keys: false, impersonators: false }
    /// Platform: suspend customers and bring them back.
    PlatformSuspensions { name: "platform:suspensions", tenant: None, platform: StaffIn(&[Support, Operations]), reading: false, keys: false, impersonators: false }
    /// Platform: agree on other limits with a customer than those of the plan.
    PlatformLimits { name: "platform:limits", tenant: None, platform: StaffIn(&[Billing]), reading: false, keys: false, impersonators: false }
    /// Platform: see what customers have bought, and give money back.
    PlatformRefunds { name: "platform:refunds", tenant: None, platform: StaffIn(&[Billing]), reading: false, keys: false, impersonators: false }
    /// Platform: see what was sold, given back and earned.
    PlatformFinance { name: "platform:finance", tenant: None, platform: StaffIn(&[Billing]), reading: false, keys: false, impersonators: false }
    /// Platform: see how many register, stay, and use what.
    PlatformGrowth { name: "platform:growth", tenant: None, platform: StaffIn(&[Billing, Operations]), reading: false, keys: false, impersonators: false }
    /// Platform: see, issue, suspend and revoke licenses.
    PlatformLicenses { name: "platform:licenses", tenant: None, platform: StaffIn(&[Support, Billing]), reading: false, keys: false, impersonators: false }
    /// Platform: make, publish and withdraw releases, and see who downloaded them.
    PlatformReleases { name: "platform:releases", tenant: None, platform: StaffIn(&[Content]), reading: false, keys: false, impersonators: false }
    /// Platform: make and edit products, their prices, and what licenses of them allow.
    PlatformProducts { name: "platform:products", tenant: None, platform: StaffIn(&[Billing]), reading: false, keys: false, impersonators: false }
    /// Platform: read and answer what customers ask support, and keep answers ready.
    PlatformSupport { name: "platform:support", tenant: None, platform: StaffIn(&[Support]), reading: false, keys: false, impersonators: false }
    /// Platform: make and edit website templates.
    PlatformTemplates { name: "platform:templates", tenant: None, platform: StaffIn(&[Content]), reading: false, keys: false, impersonators: false }
    /// Platform: prepare sites and offer them for sale.
    PlatformSites { name: "platform:sites", tenant: None, platform: StaffIn(&[Content]), reading: false, keys: false, impersonators: false }
}

const _: () = assert!(Permission::ALL.len() <= u128::BITS as usize, "a set of permissions has 128 places");

impl Permission {
    /// Its name, as in API keys and error texts.
    pub const fn as_str(self) -> &'static str {
        self.declaration().name
    }

    /// The permission of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.as_str() == text)
    }

    /// Whether it only grants reading in a tenant.
    pub const fn is_reading(self) -> bool {
        self.declaration().reading
    }

    /// Whether an impersonator may use it.
    pub const fn is_delegable(self) -> bool {
        self.declaration().impersonators
    }

    /// Whether an API key may have it.
    pub const fn is_for_keys(self) -> bool {
        self.declaration().keys
    }
}

/// A set of permissions: a bit for each. In memory only; stores and messages have the names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions(u128);

impl Permissions {
    /// No permission.
    pub const NONE: Self = Self(0);

    /// A set of the given permissions.
    pub const fn from_list(list: &[Permission]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < list.len() {
            bits |= 1 << list[i] as u32;
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

    fn those(self, keep: impl Fn(Permission) -> bool) -> Self {
        let kept = self.iter().filter(|permission| keep(*permission));
        kept.fold(Self::NONE, |set, permission| set.union(Self::from_list(&[permission])))
    }

    /// Those of the set that only grant reading.
    #[must_use]
    pub fn reading(self) -> Self {
        self.those(Permission::is_reading)
    }

    /// Those of the set that an impersonator may use, see [`Permission::is_delegable`].
    #[must_use]
    pub fn delegable(self) -> Self {
        self.those(Permission::is_delegable)
    }

    /// The permissions in the set, in the order of [`Permission::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.contains(*permission))
    }

    /// Whether the permission is in the set.
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u32) != 0
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
        const VIEWER: Permissions = of_tenant(TenantRole::Viewer);
        const EDITOR: Permissions = of_tenant(TenantRole::Editor);
        const ADMIN: Permissions = of_tenant(TenantRole::Admin);
        const OWNER: Permissions = of_tenant(TenantRole::Owner);
        match self {
            Self::Viewer => VIEWER,
            Self::Editor => EDITOR,
            Self::Admin => ADMIN,
            Self::Owner => OWNER,
        }
    }

    /// Name in JSON and in the database.
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
    /// Works for the operator: looks after customers (their plans, limits and suspensions), answers what they ask support, manages
    /// background jobs, templates and sites for sale, and helps customers by acting as them. Stays inside their own tenants otherwise.
    /// May be narrowed to [areas](StaffAreas).
    Staff,
    /// Works for the operator: may cross tenants and do everything.
    SuperAdmin,
}

impl PlatformRole {
    /// What the role may do outside of any tenant.
    pub const fn permissions(self) -> Permissions {
        const CUSTOMER: Permissions = of_platform(PlatformRole::Customer);
        const STAFF: Permissions = of_platform(PlatformRole::Staff);
        const SUPER_ADMIN: Permissions = of_platform(PlatformRole::SuperAdmin);
        match self {
            Self::Customer => CUSTOMER,
            Self::Staff => STAFF,
            Self::SuperAdmin => SUPER_ADMIN,
        }
    }

    /// The same where areas were set: they narrow what staff may do, and nothing else.
    #[must_use]
    pub fn permissions_in(self, areas: Option<StaffAreas>) -> Permissions {
        match (self, areas) {
            (Self::Staff, Some(areas)) => {
                self.permissions().those(|permission| permission.declaration().platform.works_in(areas))
            }
            _ => self.permissions(),
        }
    }

    /// Name in JSON and in the database.
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

/// What a role in a tenant may do.
const fn of_tenant(role: TenantRole) -> Permissions {
    let (mut set, mut i) = (Permissions::NONE, 0);
    while i < Permission::ALL.len() {
        let permission = Permission::ALL[i];
        if let Some(least) = permission.declaration().tenant
            && least as u8 <= role as u8
        {
            set = set.union(Permissions::from_list(&[permission]));
        }
        i += 1;
    }
    set
}

/// What a role of the platform may do outside of any tenant.
const fn of_platform(role: PlatformRole) -> Permissions {
    let (mut set, mut i) = (Permissions::NONE, 0);
    while i < Permission::ALL.len() {
        let permission = Permission::ALL[i];
        if permission.declaration().platform.least() as u8 <= role as u8 {
            set = set.union(Permissions::from_list(&[permission]));
        }
        i += 1;
    }
    set
}

#[cfg(test)]
mod tests;
