//! The caller's own profile: the account with its tenants and plan.

use actix_web::{HttpRequest, HttpResponse, get, put, web::Data};
use portico_billing::{
    subscription::SubscriptionStatus,
    tenant_subscription::{Package, TenantSubscriptions},
};
use portico_identity::{Accounts, access, profile::ProfileUpdate, session::TenantAccess, user::User};
use portico_kernel::{Env, Permission, Permissions, Scope, TenantId};
use portico_runtime::store::Repositories;
use portico_tenancy::{
    dealer::{Dealer, Dealers},
    member::{Members, TenantSummary},
    tenant::TenantStatus,
};
use portico_web::{
    body::Body,
    caller::Caller,
    conditional,
    problem::Problem,
    routing::{MERGE, READ, Routes},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ, read).service(MERGE, update);
}

/// An account, its tenants, and the plan of the active tenant.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Profile {
    #[serde(flatten)]
    user: User,
    /// The same as `fullName`.
    #[schema(example = "Ada Lovelace")]
    name: String,
    /// The dealer of the active tenant.
    dealer: Option<Dealer>,
    /// The plan of the active tenant.
    package: Option<Package>,
    /// The tenant in which requests act that name none.
    active_tenant_id: Option<TenantId>,
    /// What the caller may do in requests that name no tenant.
    #[schema(example = json!(["sites:read", "sites:write"]))]
    permissions: Vec<&'static str>,
    /// The tenants that the account belongs to, oldest membership first.
    tenants: Vec<ProfileTenant>,
}

/// A tenant of the caller.
#[derive(Serialize, ToSchema)]
struct ProfileTenant {
    #[serde(flatten)]
    tenant: TenantSummary,
    /// What the caller may do there.
    #[schema(example = json!(["sites:read", "sites:write"]))]
    permissions: Vec<&'static str>,
}

impl Profile {
    async fn load(
        user: User,
        repositories: &mut dyn Repositories,
        scope: &Scope,
        env: &Env,
    ) -> Result<Self, Problem> {
        let active_tenant_id = scope.active_tenant();
        let shown = match active_tenant_id {
            Some(tenant) => TenantSubscriptions::new(repositories).of(tenant, env.now()).await?,
            None => None,
        };
        // Only plans in force are shown.
        let shown = shown.filter(|shown| shown.status != SubscriptionStatus::Canceled);
        let package = shown.map(Package::from);
        let tenants = Members::new(repositories, scope, env).mine().await?;
        let active = tenants.iter().find(|tenant| Some(tenant.id) == active_tenant_id);
        let dealer = match (active_tenant_id, active) {
            (Some(_), _) if !scope.allows(Permission::TenantRead) => None,
            (Some(_), Some(tenant)) => tenant.dealer.clone(),
            // Staff who are no members.
            (Some(_), None) => Dealers::new(repositories, scope, env).get().await?,
            (None, _) => None,
        };
        let tenants = tenants
            .into_iter()
            .map(|tenant| ProfileTenant::new(tenant, user.platform_permissions(), scope))
            .collect();
        let name = user.full_name.clone();
        let permissions = words(scope.permissions());
        Ok(Self { user, name, dealer, package, active_tenant_id, permissions, tenants })
    }
}

impl ProfileTenant {
    fn new(tenant: TenantSummary, on_platform: Permissions, scope: &Scope) -> Self {
        let access = match tenant.status {
            TenantStatus::Active => TenantAccess::Full,
            TenantStatus::Deleting => TenantAccess::ReadOnly,
            TenantStatus::Suspended | TenantStatus::Deleted => TenantAccess::Suspended,
        };
        let permissions = access::of_member(on_platform, tenant.role, access);
        // Less in a session of staff who impersonate the user.
        let there = Scope::user(scope.actor().clone(), Some(tenant.id), permissions, scope.request.clone());
        Self { tenant, permissions: words(there.permissions()) }
    }
}

fn words(permissions: Permissions) -> Vec<&'static str> {
    permissions.iter().map(Permission::as_str).collect()
}

/// Read the own profile
///
/// With the tenants that the caller belongs to, and the plan of the active one.
#[utoipa::path(
    tag = "Profile",
    operation_id = "getProfile",
    responses((status = 200, body = Profile, headers(("ETag" = String)))),
    security(("bearer" = [])),
)]
#[get("/profile")]
async fn read(app: Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let user = Accounts::new(&mut *repositories, &caller.0, &app.core.env).profile().await?;
    let profile = Profile::load(user, &mut *repositories, &caller.0, &app.core.env).await?;
    // The tag is for `If-Match`. It does not cover tenants and plan, so it cannot answer 304.
    Ok(conditional::updated(profile.user.version, &profile))
}

/// Update the own profile
///
/// Absent fields stay unchanged; `null` clears an optional one.
#[utoipa::path(
    tag = "Profile",
    operation_id = "updateProfile",
    params(("If-Match" = Option<String>, Header)),
    request_body = ProfileUpdate,
    responses(
        (status = 200, body = Profile, headers(("ETag" = String))),
        (status = 409, description = "Another request changed the account at the same moment."),
        (status = 412, description = "Changed since it was read."),
    ),
    security(("bearer" = [])),
)]
#[put("/profile")]
async fn update(
    app: Data<App>,
    caller: Caller,
    request: HttpRequest,
    body: Body<ProfileUpdate>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let user =
                Accounts::new(&mut *work, &caller.0, &app.core.env).update_profile(body.0, expected).await?;
            let profile = Profile::load(user, &mut *work, &caller.0, &app.core.env).await?;
            Ok(conditional::updated(profile.user.version, &profile))
        })
        .await
}
