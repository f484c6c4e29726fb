//! Authentication: a route that acts for somebody takes a [`Caller`], and cannot be reached without one.

use std::sync::Arc;

use actix_web::{
    FromRequest, HttpMessage, HttpRequest, ResponseError,
    dev::Payload,
    http::{StatusCode, header},
    web,
};
use futures_util::future::{LocalBoxFuture, Ready, ready};
use portico_identity::{IdentityError, api_key::KeyState, ports::AccessClaims, session::TenantAccess};
use portico_kernel::{
    Actor, Kind, Maker, Permission, Permissions, PlatformRole, Scope, StoreError, TenantId, TenantRole,
    UserId,
};
use portico_runtime::{context, logging};
use portico_tenancy::tenant::TenantStatus;
use portico_web::problem::Problem;

use crate::state::App;

/// What the request shows of its sender. Found out once, before routing.
#[derive(Clone, Debug)]
pub enum Presented {
    /// No credentials.
    Nothing,
    /// An access token that we signed and that has not expired. Its session may have ended.
    Claims(AccessClaims),
    /// An API key that is good, and the person who answers for it.
    Key(Arc<KeyState>, Option<Maker>),
    /// A real key that is revoked, switched off, expired, replaced, or of somebody whose account is suspended or deleted.
    RefusedKey(Arc<KeyState>),
    /// A good key, from an address from which it may not be used.
    KeyFromElsewhere(Arc<KeyState>),
    /// An API key that could not be looked up.
    Unavailable(Arc<StoreError>),
    /// Credentials that are no good.
    Rejected,
}

impl Presented {
    /// Reads an access token in the `Authorization` header. API keys are [`super::keys::admit`]'s.
    pub fn read(app: &App, headers: &header::HeaderMap) -> Self {
        let Some(value) = headers.get(header::AUTHORIZATION) else { return Self::Nothing };
        let token = value
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .and_then(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()));
        match token.and_then(|token| app.tokens.read_access_token(token, app.core.env.now())) {
            Some(claims) => Self::Claims(claims),
            None => Self::Rejected,
        }
    }

    /// The user, when there is a good token.
    pub fn user(&self) -> Option<UserId> {
        match self {
            Self::Claims(claims) => Some(claims.user),
            _ => None,
        }
    }

    /// The key, given that its secret is right, and whether it is let in.
    pub fn key(&self) -> Option<(&Arc<KeyState>, bool)> {
        match self {
            Self::Key(key, _) => Some((key, true)),
            Self::RefusedKey(key) | Self::KeyFromElsewhere(key) => Some((key, false)),
            _ => None,
        }
    }
}

/// Somebody who is signed in, and what they may do in the tenant that the request is about: the one in the path, else the
/// one in `X-Tenant-Id`, else the active tenant of the token.
pub struct Caller(pub Scope);

impl FromRequest for Caller {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let presented = request.extensions().get::<Presented>().cloned();
        let app = request.app_data::<web::Data<App>>().cloned();
        let named = named_tenant(request);
        Box::pin(async move {
            let (Some(app), Some(presented)) = (app, presented) else {
                return Err(Problem::unauthenticated());
            };
            admit(&app, presented, named).await.map(Self)
        })
    }
}

/// Who shows this, and what they may do.
pub(super) async fn admit(
    app: &App,
    presented: Presented,
    named: Result<Option<TenantId>, ()>,
) -> Result<Scope, Problem> {
    match presented {
        Presented::Claims(claims) => resolve(app, &claims, named).await,
        Presented::Key(key, maker) => of_key(&key, maker, named),
        Presented::KeyFromElsewhere(_) => Err(Problem::new(
            Kind::Forbidden,
            "address_not_allowed",
            "This API key may not be used from your address.",
        )),
        Presented::Unavailable(error) => Err(unavailable(error)),
        Presented::Nothing | Presented::RefusedKey(_) | Presented::Rejected => {
            Err(Problem::unauthenticated())
        }
    }
}

/// Somebody who may be signed in: without credentials, and with ones that are no good, it is anybody.
pub struct MaybeCaller(pub Scope);

impl FromRequest for MaybeCaller {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = Caller::from_request(request, payload);
        Box::pin(async {
            match caller.await {
                Ok(caller) => Ok(Self(caller.0)),
                Err(problem) if problem.status_code() == StatusCode::UNAUTHORIZED => {
                    Ok(Self(Scope::anonymous(context::current().info)))
                }
                Err(problem) => Err(problem),
            }
        })
    }
}

/// Anybody. Credentials are not looked at: for routes by which one gets or proves them.
pub struct Visitor(pub Scope);

impl FromRequest for Visitor {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(Scope::anonymous(context::current().info))))
    }
}

/// The tenant that the request names: `Err` when it is no id.
pub(super) fn named_tenant(request: &HttpRequest) -> Result<Option<TenantId>, ()> {
    named(request.match_info().get("tenantId"), request.headers())
}

/// The tenant that a path names, else the one in a header.
pub(super) fn named(in_path: Option<&str>, headers: &header::HeaderMap) -> Result<Option<TenantId>, ()> {
    let in_header = || headers.get("x-tenant-id").map(|value| value.to_str().unwrap_or_default());
    match in_path.or_else(in_header) {
        Some(text) => text.parse().map(Some).map_err(|_| ()),
        None => Ok(None),
    }
}

async fn resolve(
    app: &App,
    claims: &AccessClaims,
    named: Result<Option<TenantId>, ()>,
) -> Result<Scope, Problem> {
    let tenant = named.unwrap_or(Some(TenantId::PLATFORM)).or(claims.tenant);
    let state = app.core.sessions.get(claims.session, claims.user, tenant).await.map_err(unavailable)?;
    let Some(state) = state.filter(|state| state.user == claims.user) else {
        return Err(Problem::unauthenticated());
    };
    let super_admin = state.role == PlatformRole::SuperAdmin;
    let explicit = named != Ok(None);
    let crosses = match (state.membership, named) {
        // Whoever is no member gets past no other check that the tenant is there.
        (None, Ok(Some(tenant))) if super_admin => exists(app, tenant).await?,
        _ => false,
    };
    let (tenant, permissions) = match (state.membership, named) {
        (_, Err(())) => return Err(Problem::not_found()),
        (Some((tenant, role)), _) => {
            (Some(tenant), state.role.permissions().union(left_of(role, state.access)))
        }
        (None, Ok(Some(tenant))) if crosses => (Some(tenant), state.role.permissions()),
        (None, _) if explicit && state.access == TenantAccess::Suspended => {
            return Err(IdentityError::TenantSuspended.into());
        }
        (None, _) if explicit => return Err(Problem::not_found()),
        (None, _) => (None, state.role.permissions()),
    };
    let actor = Actor::User {
        id: state.user,
        session: claims.session,
        email_verified: state.email_verified,
        role: state.role,
        impersonator: state.impersonator,
    };
    Ok(Scope::user(actor, tenant, permissions, context::current().info))
}

/// A key acts in its own tenant only.
fn of_key(
    key: &KeyState,
    maker: Option<Maker>,
    named: Result<Option<TenantId>, ()>,
) -> Result<Scope, Problem> {
    match named {
        Ok(None) => {}
        Ok(Some(tenant)) if tenant == key.tenant => {}
        _ => return Err(Problem::not_found()),
    }
    Ok(Scope::api_key(key.id, maker, key.tenant, key.permissions, context::current().info))
}

/// What the state of a tenant leaves of a member's role. One that is about to be deleted can be looked at, and an owner can
/// take the deletion back, for which one needs the permission to delete.
fn left_of(role: TenantRole, access: TenantAccess) -> Permissions {
    let all = role.permissions();
    match access {
        TenantAccess::Full => all,
        TenantAccess::ReadOnly => {
            all.reading().union(all.intersection(Permissions::of(&[Permission::TenantDelete])))
        }
        TenantAccess::Suspended => Permissions::NONE,
    }
}

async fn exists(app: &App, tenant: TenantId) -> Result<bool, Problem> {
    let tenant = app.core.reader().tenants().find(tenant).await?;
    Ok(tenant.is_some_and(|tenant| tenant.status != TenantStatus::Deleted))
}

/// An error that several requests share because they shared the query.
fn unavailable(error: Arc<StoreError>) -> Problem {
    match &*error {
        StoreError::Unavailable(_) => {
            logging::warn("a part is not available", &*error);
            Problem::new(Kind::Unavailable, "unavailable", portico_kernel::Fault::detail(&*error))
        }
        other => Problem::internal(portico_runtime::logging::chain(other)),
    }
}
