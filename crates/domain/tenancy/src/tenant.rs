//! A company or person whose data is kept apart from everybody else's.

use portico_kernel::{
    Env, Event, Page, PageRequest, Permission, Scope, StoreError, TenantId, TenantRole, Timestamp, UserId,
    Violations,
};
use serde::{Deserialize, Serialize};

use crate::{
    TenancyError,
    branding::Branding,
    member::Membership,
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
    /// Locked by the operator.
    Suspended,
    /// Deleted; kept for the audit trail. Its sites do not answer.
    Deleted,
}

impl TenantStatus {
    /// The word for it in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Suspended, Self::Deleted].into_iter().find(|status| status.as_str() == text)
    }
}

/// A company or person whose data is kept apart from everybody else's.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tenant {
    /// UUIDv7.
    pub id: TenantId,
    /// Display name.
    pub name: String,
    /// Reserved for the tenant among all tenants and sites.
    pub subdomain: String,
    /// Whether it can be used.
    pub status: TenantStatus,
    /// Id of the plan it is subscribed to, for instance `free`. Kept by billing; read-only here.
    pub plan: String,
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
    /// Wished subdomain; made from the name where absent.
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
pub struct Tenants<'a> {
    repositories: &'a mut dyn TenancyRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Tenants<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn TenancyRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Makes a tenant with default branding, owned by `owner`: the caller, or anybody where the caller may cross
    /// tenants. The subscription to its first plan is billing's to make, in the same unit of work.
    pub async fn create(&mut self, input: NewTenant, owner: UserId) -> Result<Tenant, TenancyError> {
        if !self.scope.crosses_tenants() && self.scope.require_user()?.0 != owner {
            return Err(TenancyError::NotFound("user"));
        }
        let mut violations = Violations::default();
        violations.text("name", &input.name, 1, NAME_MAX);
        let wished = input.subdomain.as_deref().map(Subdomain::parse);
        let subdomain = wished.and_then(|parsed| violations.take("subdomain", parsed));
        violations.into_result()?;
        let name = input.name.trim().to_owned();
        let subdomain = subdomain.unwrap_or_else(|| subdomain::suggest(&name, self.env));
        self.insert(name, subdomain, owner, false).await
    }

    /// Makes the tenant that a new user begins with. Asks for no permission: it is a part of registering, in whose
    /// unit of work it runs, and nobody is signed in at that moment.
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

    /// The caller's tenants; all tenants for those who may see the whole platform. `q` matches a part of the name or
    /// the subdomain.
    pub async fn list(&mut self, q: Option<&str>, page: PageRequest) -> Result<Page<Tenant>, TenancyError> {
        let member = match self.scope.require_platform(Permission::PlatformAudit) {
            Ok(()) => None,
            Err(_) => Some(self.scope.require_user()?.0),
        };
        let mut violations = Violations::default();
        violations.optional_text("q", q, NAME_MAX);
        violations.into_result()?;
        Ok(self.repositories.tenants().list(member, q, page).await?)
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
            violations.text("name", name, 1, NAME_MAX);
            after.name = name.trim().to_owned();
        }
        // The name it has is not judged again: rules may have become stricter since.
        if let Some(wished) = input.subdomain.as_deref().filter(|wished| *wished != before.subdomain)
            && let Some(subdomain) = violations.take("subdomain", Subdomain::parse(wished))
        {
            after.subdomain = subdomain.into_string();
        }
        violations.into_result()?;
        if after == before {
            return Ok(before);
        }
        self.store(&before, after, expected, "tenant.updated").await
    }

    /// Deletes the active tenant, given that its version is still the expected one, if any. Its rows stay for the audit
    /// trail, and its subdomain stays taken, so that nobody can pose as it.
    pub async fn delete(&mut self, expected: Option<i64>) -> Result<(), TenancyError> {
        let id = self.scope.require(Permission::TenantDelete)?;
        let before = self.expected(id, expected).await?;
        let after = Tenant { status: TenantStatus::Deleted, ..before.clone() };
        self.store(&before, after, expected, "tenant.deleted").await.map(drop)
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
            subdomain: subdomain.into_string(),
            status: TenantStatus::Active,
            plan: FIRST_PLAN.to_owned(),
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
            event("tenant.created", tenant.id.uuid()).after(&tenant),
            event("member.created", owner.uuid()).after(&member),
            event("branding.created", tenant.id.uuid()).after(&branding),
        ];
        for event in events {
            self.repositories.events().append(event).await?;
        }
        Ok(tenant)
    }

    async fn store(
        &mut self,
        before: &Tenant,
        mut after: Tenant,
        expected: Option<i64>,
        kind: &'static str,
    ) -> Result<Tenant, TenancyError> {
        after.updated_at = self.env.now();
        self.repositories.tenants().update(&after).await.map_err(|error| match error {
            StoreError::Stale if expected.is_some() => TenancyError::PreconditionFailed,
            error => taken(error),
        })?;
        after.version += 1;
        let event = Event::new(self.env, self.scope, kind, after.id.uuid()).before(before);
        let event = if after.status == TenantStatus::Deleted { event } else { event.after(&after) };
        self.repositories.events().append(event.in_tenant(after.id)).await?;
        Ok(after)
    }

    async fn existing(&mut self, id: TenantId) -> Result<Tenant, TenancyError> {
        let found = self.repositories.tenants().find(id).await?;
        found.filter(|tenant| tenant.status != TenantStatus::Deleted).ok_or(TenancyError::NotFound("tenant"))
    }

    async fn expected(&mut self, id: TenantId, expected: Option<i64>) -> Result<Tenant, TenancyError> {
        let tenant = self.existing(id).await?;
        match expected {
            Some(version) if version != tenant.version => Err(TenancyError::PreconditionFailed),
            _ => Ok(tenant),
        }
    }
}

/// The only thing of a tenant that can be taken is its subdomain.
fn taken(error: StoreError) -> TenancyError {
    match error {
        StoreError::Conflict(_) => TenancyError::SubdomainTaken,
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::Fault;

    use super::*;
    use crate::{
        ports::{MockBrandingRepository, MockMembershipRepository, MockTenantRepository},
        testing::{Repositories, env, owner_of, registering, super_admin_in, user, viewer_of},
    };

    fn tenant() -> Tenant {
        let env = env();
        Tenant {
            id: env.new_id(),
            name: "Acme".into(),
            subdomain: "acme".into(),
            status: TenantStatus::Active,
            plan: "free".into(),
            created_at: env.now(),
            updated_at: env.now(),
            version: 3,
        }
    }

    fn holding(tenant: Option<Tenant>) -> MockTenantRepository {
        let mut tenants = MockTenantRepository::new();
        tenants.expect_find().times(1).return_once(move |_| Ok(tenant));
        tenants
    }

    fn storing(matches: impl Fn(&Tenant) -> bool + Send + 'static) -> MockTenantRepository {
        let mut tenants = MockTenantRepository::new();
        tenants.expect_update().times(1).withf(matches).return_once(|_| Ok(()));
        tenants
    }

    fn ready_to_insert(outcome: Result<(), StoreError>) -> Repositories {
        let mut repositories = Repositories::default();
        let complete = outcome.is_ok();
        let mut tenants = MockTenantRepository::new();
        tenants.expect_insert().times(1).return_once(|_| outcome);
        repositories.tenants.push_back(tenants);
        if complete {
            let mut memberships = MockMembershipRepository::new();
            let as_owner =
                |membership: &Membership| membership.role == TenantRole::Owner && membership.user == user();
            memberships.expect_insert().times(1).withf(as_owner).return_once(|_| Ok(()));
            repositories.memberships.push_back(memberships);
            let mut branding = MockBrandingRepository::new();
            branding.expect_insert().times(1).return_once(|_| Ok(()));
            repositories.branding.push_back(branding);
        }
        repositories
    }

    #[tokio::test]
    async fn registering_makes_a_tenant_with_owner_branding_and_events() {
        let (env, scope) = (env(), registering());
        let mut repositories = ready_to_insert(Ok(()));
        let made = Tenants::new(&mut repositories, &scope, &env)
            .create_personal(user(), "  Zoë Núñez ")
            .await
            .unwrap();
        assert_eq!((made.name.as_str(), made.plan.as_str(), made.version), ("Zoë Núñez", "free", 1));
        assert!(made.subdomain.starts_with("zoe-nunez-") && made.subdomain.len() == "zoe-nunez-".len() + 6);
        let events = repositories.events();
        let kinds: Vec<_> = events.iter().map(|event| event.kind.as_ref()).collect();
        assert_eq!(kinds, ["tenant.created", "member.created", "branding.created"]);
        assert!(events.iter().all(|event| event.tenant == made.id && event.actor_id == Some(user().uuid())));
        assert_eq!(events[0].after.as_ref().unwrap()["subdomain"], made.subdomain);
    }

    #[tokio::test]
    async fn a_taken_subdomain_is_a_conflict_and_leaves_no_event() {
        let (env, scope) = (env(), viewer_of(tenant().id));
        let mut repositories = ready_to_insert(Err(StoreError::Conflict("subdomain".into())));
        let input = NewTenant { name: "Acme".into(), subdomain: Some("acme".into()) };
        let error = Tenants::new(&mut repositories, &scope, &env).create(input, user()).await.unwrap_err();
        assert_eq!(error.code(), "subdomain_taken");
        assert!(repositories.events().is_empty());
    }

    #[tokio::test]
    async fn all_wrong_fields_are_named_at_once() {
        let (env, scope) = (env(), viewer_of(tenant().id));
        let mut repositories = Repositories::default();
        let input = NewTenant { name: " ".into(), subdomain: Some("admin".into()) };
        let error = Tenants::new(&mut repositories, &scope, &env).create(input, user()).await.unwrap_err();
        let fields: Vec<_> = error.fields().iter().map(|e| (e.field.as_str(), e.code.as_ref())).collect();
        assert_eq!(fields, [("name", "required"), ("subdomain", "reserved_subdomain")]);
    }

    #[tokio::test]
    async fn nobody_makes_a_tenant_for_somebody_else() {
        let (env, scope) = (env(), viewer_of(tenant().id));
        let mut repositories = Repositories::default();
        let input = NewTenant { name: "Acme".into(), subdomain: None };
        let error =
            Tenants::new(&mut repositories, &scope, &env).create(input, env.new_id()).await.unwrap_err();
        assert_eq!(error.code(), "not_found");
    }

    #[tokio::test]
    async fn an_update_keeps_what_is_absent_and_records_both_sides() {
        let (env, before) = (env(), tenant());
        let scope = owner_of(before.id);
        let mut repositories = Repositories::default();
        repositories.tenants.push_back(holding(Some(before.clone())));
        repositories
            .tenants
            .push_back(storing(|t| t.version == 3 && t.subdomain == "acme" && t.name == "New"));
        let input = TenantUpdate { name: Some(" New ".into()), subdomain: Some("acme".into()) };
        let after = Tenants::new(&mut repositories, &scope, &env).update(input, Some(3)).await.unwrap();
        assert_eq!(after.version, 4);
        let event = &repositories.events()[0];
        assert_eq!(event.kind, "tenant.updated");
        assert_eq!(
            (&event.before.as_ref().unwrap()["name"], &event.after.as_ref().unwrap()["name"]),
            (&"Acme".into(), &"New".into())
        );
    }

    #[tokio::test]
    async fn an_update_that_changes_nothing_writes_nothing() {
        let (env, before) = (env(), tenant());
        let scope = owner_of(before.id);
        let mut repositories = Repositories::default();
        repositories.tenants.push_back(holding(Some(before.clone())));
        let after = Tenants::new(&mut repositories, &scope, &env)
            .update(TenantUpdate::default(), None)
            .await
            .unwrap();
        assert_eq!(after, before);
        assert!(repositories.events().is_empty());
    }

    #[tokio::test]
    async fn a_stale_version_is_refused_before_and_during_the_write() {
        let (env, before) = (env(), tenant());
        let scope = owner_of(before.id);
        let input = TenantUpdate { name: Some("New".into()), subdomain: None };

        let mut repositories = Repositories::default();
        repositories.tenants.push_back(holding(Some(before.clone())));
        let error =
            Tenants::new(&mut repositories, &scope, &env).update(input.clone(), Some(2)).await.unwrap_err();
        assert_eq!(error.code(), "precondition_failed");

        for (expected, code) in [(Some(3), "precondition_failed"), (None, "modified_concurrently")] {
            let mut racing = MockTenantRepository::new();
            racing.expect_update().times(1).return_once(|_| Err(StoreError::Stale));
            let mut repositories = Repositories::default();
            repositories.tenants.extend([holding(Some(before.clone())), racing]);
            let error = Tenants::new(&mut repositories, &scope, &env)
                .update(input.clone(), expected)
                .await
                .unwrap_err();
            assert_eq!(error.code(), code);
        }
    }

    #[tokio::test]
    async fn deleting_is_soft_and_for_owners() {
        let (env, before) = (env(), tenant());
        let mut repositories = Repositories::default();
        let viewer = viewer_of(before.id);
        let error = Tenants::new(&mut repositories, &viewer, &env).delete(None).await.unwrap_err();
        assert_eq!(error.code(), "forbidden");

        let owner = owner_of(before.id);
        repositories.tenants.push_back(holding(Some(before.clone())));
        repositories
            .tenants
            .push_back(storing(|t| t.status == TenantStatus::Deleted && t.subdomain == "acme"));
        Tenants::new(&mut repositories, &owner, &env).delete(None).await.unwrap();
        let event = &repositories.events()[0];
        assert_eq!((event.kind.as_ref(), event.after.is_none()), ("tenant.deleted", true));
    }

    #[tokio::test]
    async fn a_tenant_that_is_deleted_or_never_was_is_not_found() {
        let (env, id) = (env(), tenant().id);
        let deleted = Tenant { status: TenantStatus::Deleted, ..tenant() };
        for stored in [None, Some(deleted)] {
            let mut repositories = Repositories::default();
            repositories.tenants.push_back(holding(stored));
            let scope = super_admin_in(id);
            let error = Tenants::new(&mut repositories, &scope, &env).get().await.unwrap_err();
            assert_eq!(error.code(), "not_found");
        }
    }

    #[tokio::test]
    async fn only_those_who_see_the_platform_list_all_tenants() {
        let (env, id) = (env(), tenant().id);
        for (scope, member) in [(owner_of(id), Some(user())), (super_admin_in(id), None)] {
            let mut tenants = MockTenantRepository::new();
            tenants
                .expect_list()
                .times(1)
                .withf(move |asked, _, _| *asked == member)
                .return_once(|_, _, page| Ok(Page::new(Vec::new(), page, 0)));
            let mut repositories = Repositories::default();
            repositories.tenants.push_back(tenants);
            Tenants::new(&mut repositories, &scope, &env).list(None, PageRequest::default()).await.unwrap();
        }
        let mut repositories = Repositories::default();
        let scope = registering();
        let error = Tenants::new(&mut repositories, &scope, &env)
            .list(None, PageRequest::default())
            .await
            .unwrap_err();
        assert_eq!(error.code(), "unauthenticated");
    }
}
