//! Authentication: a route that acts for a caller takes a [`Caller`], and cannot be reached without one.

use actix_web::{
    FromRequest, HttpMessage, HttpRequest, ResponseError,
    dev::Payload,
    http::{StatusCode, header::HeaderMap},
    web::Data,
};
use futures_util::future::{LocalBoxFuture, Ready, ready};
use portico_kernel::Scope;
use portico_runtime::{
    access::{NamedTenant, NoTenantId, Presented},
    context,
};

use crate::{api::Api, problem::Problem};

/// Who sent the request, and what they may do in the tenant that it is about: the one in the path, else the one in
/// `X-Tenant-Id`, else the active tenant of the token.
pub struct Caller(pub Scope);

impl FromRequest for Caller {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let presented = request.extensions().get::<Presented>().cloned();
        let api = request.app_data::<Data<Api>>().cloned();
        let named = named_tenant(request);
        Box::pin(async move {
            let (Some(api), Some(presented)) = (api, presented) else {
                return Err(Problem::unauthenticated());
            };
            Ok(Self(api.core.access.admit(presented, named).await?))
        })
    }
}

/// Who sent the request, if they are signed in: without credentials, and with ones that are not good, it is anybody.
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

/// The tenant that a request names.
pub fn named_tenant(request: &HttpRequest) -> NamedTenant {
    named(request.match_info().get("tenantId"), request.headers())
}

/// The tenant that a path names, else the one in a header.
pub fn named(in_path: Option<&str>, headers: &HeaderMap) -> NamedTenant {
    let in_header = || headers.get("x-tenant-id").map(|value| value.to_str().unwrap_or_default());
    match in_path.or_else(in_header) {
        Some(text) => text.parse().map(Some).map_err(|_| NoTenantId),
        None => Ok(None),
    }
}
