//! A company or person whose data is kept apart from that of all others.

use portico_kernel::{
    Env, Event, EventDeclaration, List, PageRequest, Permission, Scope, StoreError, TenantId, TenantRole,
    Timestamp, UserId, Violations,
};
use serde::{Deserialize, Serialize};

use crate::{
    TenancyError,
    branding::Branding,
    events,
    membership::Membership,
    ports::TenancyRepositories,
    subdomain::{self, Subdomain},
};

/// Longest display name, in characters.
const NAME_MAX: usize = 100;

/// The plan every tenant begins with.
const FIRST_PLAN: &str = "free";

/// Whether a tenant can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum TenantStatus {
    /// In use.
    #[default]
    Active,
    /// Locked by the operator. Its sites are offline.
    Suspended,
    /// About to be deleted: its members only read, and its sites are offline.
    Deleting,
    /// Deleted; kept for the audit trail. Its sites do not answer.
    Deleted,
}

/// By what a list of tenants is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TenantSortKey {
    /// Time of creation.
    #[default]
    CreatedAt,
    /// Time of the last change.
    UpdatedAt,
    /// Name.
    Name,
}

/// Which tenants to list, and in which order. Every field that is set narrows the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantFilter {
    /// Part of the name or the subdomain, ignoring case.
    pub q: Option<String>,
    /// The status.
    pub status: Option<TenantStatus>,
    /// Id of the plan.
    pub plan: Option<String>,
    /// The key of the order, and whether the largest comes first; newest first when absent.
    pub sort: Option<(TenantSortKey, bool)>,
}

impl TenantStatus {
    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Suspended, Self::Deleting, Self::Deleted]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// A company or person whose data is kept apart from that of all others.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tenant {
    /// UUIDv7.
    pub id: TenantId,
    /// Display name.
    pub name: String,
    /// Reserved for the tenant among all tenants and sites.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub subdomain: Subdomain,
    /// Whether it can be used.
    pub status: TenantStatus,
    /// Id of the plan it is subscribed to, for instance `free`. Kept by billing; read-only here.
    pub plan: String,
    /// When it will be deleted, if that was requested.
    pub delete_at: Option<Timestamp>,
    /// Why it is suspended, in the operator's words.
    pub suspension_reason: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// Counts changes, for optimistic locking and `ETag`.
    #[serde(skip)]
    pub version: i64,
}

/// A tenant to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewTenant {
    /// Display name, 1 to 100 characters.
    #[cfg_attr(
        feature = "openapi",
        schema(required, example = "Panaderia Luz", min_length = 1, max_length = 100)
    )]
    #[serde(default)]
    pub name: String,
    /// Requested subdomain; made from the name where absent.
    #[cfg_attr(feature = "openapi", schema(example = "panaderia-luz", min_length = 3, max_length = 63))]
    pub subdomain: Option<String>,
}

/// A change of a tenant; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TenantUpdate {
    /// Display name, 1 to 100 characters.
    #[cfg_attr(feature = "openapi", schema(example = "Panaderia Luz", min_length = 1, max_length = 100))]
    pub name: Option<String>,
    /// Subdomain.
    #[cfg_attr(feature = "openapi", schema(example = "panaderia-luz", min_length = 3, max_length = 63))]
    pub subdomain: Option<String>,
}

/// Use cases around tenants. Those without a tenant argument act in the scope's active tenant.
///
/// Suspension and deletion are in [`crate::lifecycle`].
pub struct Tenants<'a> {
    pub(crate) repositories: &'a mut dyn TenancyRepositories,
    pub(crate) scope: &'a Scope,
    pub(crate) env: &'a Env,
}

impl<'a> Tenants<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn TenancyRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Makes a tenant with default branding, owned by `owner`: the caller, or any user where the caller may cross tenants. A
    /// caller who may not owns `most` tenants at most, however many requests they send at once. Billing makes the subscription to
    /// its first plan, in the same unit of work. Errors: [`TenancyError::TooManyTenants`].
    pub async fn create(
        &mut self,
        input: NewTenant,
        owner: UserId,
        most: u64,
    ) -> Result<Tenant, TenancyError> {
        if !self.scope.crosses_tenants() && self.scope.require_user()?.0 != owner {
            return Err(TenancyError::NotFound("user"));
        }
        let mut violations = Violations::default();
        violations.name("name", &input.name, 1, NAME_MAX);
        let wished = input.subdomain.as_deref().map(|wished| Subdomain::wish(wished, self.env));
        let subdomain = wished.and_then(|parsed| violations.take("subdomain", parsed));
        violations.into_result()?;
        if !self.scope.crosses_tenants() && self.repositories.memberships().count_owned(owner).await? >= most
        {
            return Err(TenancyError::TooManyTenants);
        }
        let name = input.name.trim().to_owned();
        let subdomain = subdomain.unwrap_or_else(|| subdomain::suggest(&name, self.env));
        self.insert(name, subdomain, owner, false).await
    }

    /// Makes the first tenant of a new user. Asks for no permission: it is a part of registering, in whose unit of work it runs,
    /// before the user is signed in.
    pub async fn create_personal(&mut self, owner: UserId, full_name: &str) -> Result<Tenant, TenancyError> {
        let name: String = full_name.trim().chars().take(NAME_MAX).collect();
        let name = if name.is_empty() { "Personal".to_owned() } else { name };
        let subdomain = subdomain::suggest(&name, self.env);
        self.insert(name, subdomain, owner, true).await
    }

    /// The active tenant.
    pub async fn get(&mut self) -> Result<Tenant, TenancyError> {
        let id = self.scope.require(Permission::TenantRead)?;
        self.existing(id).await
    }

    /// The caller's tenants; all tenants for those who may see the whole platform.
    pub async fn list(
        &mut self,
        filter: TenantFilter,
        page: PageRequest,
    ) -> Result<List<Tenant>, TenancyError> {
        let member = match self.scope.require_platform(Permission::PlatformAudit) {
            Ok(()) => None,
            Err(_) => Some(self.scope.require_user()?.0),
        };
        let mut violations = Violations::default();
        violations.optional_text("q", filter.q.as_deref(), NAME_MAX);
        violations.optional_text("plan", filter.plan.as_deref(), NAME_MAX);
        violations.into_result()?;
        Ok(self.repositories.tenants().list(member, filter, page).await?)
    }

    /// Changes the active tenant, given that its version is still the expected one, if any.
    pub async fn update(
        &mut self,
        input: TenantUpdate,
        expected: Option<i64>,
    ) -> Result<Tenant, TenancyError> {
        let id = self.scope.require(Permission::TenantWrite)?;
        let before = self.expected(id, expected).await?;
        let mut after = before.clone();
        let mut violations = Violations::default();
        if let Some(name) = &input.name {
            violations.name("name", name, 1, NAME_MAX);
            after.name = name.trim().to_owned();
        }
        // The name it has is not checked again: rules may have become stricter since.
        if let Some(wished) = input.subdomain.as_deref().filter(|wished| before.subdomain != **wished)
            && let Some(subdomain) = violations.take("subdomain", Subdomain::wish(wished, self.env))
        {
            after.subdomain = subdomain;
        }
        violations.into_result()?;
        if after == before {
            return Ok(before);
        }
        self.store(&before, after, expected, &events::TENANT_UPDATED).await
    }

    async fn insert(
        &mut self,
        name: String,
        subdomain: Subdomain,
        owner: UserId,
        registering: bool,
    ) -> Result<Tenant, TenancyError> {
        let now = self.env.now();
        let tenant = Tenant {
            id: self.env.new_id(),
            name,
            subdomain,
            status: TenantStatus::Active,
            plan: FIRST_PLAN.to_owned(),
            delete_at: None,
            suspension_reason: None,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let membership =
            Membership { tenant: tenant.id, user: owner, role: TenantRole::Owner, joined_at: now };
        let branding = Branding::default_of(tenant.id, now);
        self.repositories.tenants().insert(&tenant).await.map_err(taken)?;
        self.repositories.memberships().insert(&membership).await?;
        self.repositories.branding().insert(&branding).await?;

        let event = |kind, resource| {
            let event = Event::new(self.env, self.scope, kind, resource).in_tenant(tenant.id);
            if registering { event.by_user(owner) } else { event }
        };
        let member = serde_json::json!({ "userId": owner, "role": membership.role });
        let events = [
            event(&events::TENANT_CREATED, tenant.id.uuid()).after(&tenant),
            event(&events::MEMBER_CREATED, owner.uuid()).after(&member),
            event(&events::BRANDING_CREATED, tenant.id.uuid()).after(&branding),
        ];
        for event in events {
            self.repositories.events().append(event).await?;
        }
        Ok(tenant)
    }

    pub(crate) async fn store(
        &mut self,
        before: &Tenant,
        after: Tenant,
        expected: Option<i64>,
        kind: &'static EventDeclaration,
    ) -> Result<Tenant, TenancyError> {
        self.store_because(before, after, expected, (kind, None)).await
    }

    /// Stores a change and its event, which also has the reason, if there is one.
    pub(crate) async fn store_because(
        &mut self,
        before: &Tenant,
        mut after: Tenant,
        expected: Option<i64>,
        (kind, reason): (&'static EventDeclaration, Option<&str>),
    ) -> Result<Tenant, TenancyError> {
        after.updated_at = self.env.now();
        self.repositories.tenants().update(&after).await.map_err(|error| match error {
            StoreError::Stale if expected.is_some() => TenancyError::PreconditionFailed,
            error => taken(error),
        })?;
        after.version += 1;
        let event = Event::new(self.env, self.scope, kind, after.id.uuid()).before(before);
        let event = match (after.status, reason) {
            (TenantStatus::Deleted, _) => event,
            (_, None) => event.after(&after),
            (_, Some(reason)) => {
                let mut noted = serde_json::to_value(&after).unwrap_or_default();
                noted["reason"] = reason.into();
                event.after(&noted)
            }
        };
        self.repositories.events().append(event.in_tenant(after.id)).await?;
        Ok(after)
    }

    pub(crate) async fn existing(&mut self, id: TenantId) -> Result<Tenant, TenancyError> {
        let found = self.repositories.tenants().find(id).await?;
        found.filter(|tenant| tenant.status != TenantStatus::Deleted).ok_or(TenancyError::NotFound("tenant"))
    }

    pub(crate) async fn expected(
        &mut self,
        id: TenantId,
        expected: Option<i64>,
    ) -> Result<Tenant, TenancyError> {
        let tenant = self.existing(id).await?;
        match expected {
            Some(version) if version != tenant.version => Err(TenancyError::PreconditionFailed),
            _ => Ok(tenant),
        }
    }
}

/// The only unique key of a tenant is its subdomain.
fn taken(error: StoreError) -> TenancyError {
    match error {
        StoreError::Conflict(_) => TenancyError::SubdomainTaken,
        error => error.into(),
    }
}

#[cfg(test)]
#[path = "tenant_tests.rs"]
mod tests;
