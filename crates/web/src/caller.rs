//! Authentication: a route that acts for a caller takes a [`Caller`], and cannot be reached without one.

use std::sync::Arc;

use actix_web::{
    FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError, dev::Payload, http::StatusCode,
    web::Data,
};
use futures_util::future::{LocalBoxFuture, Ready, ready};
use portico_kernel::Scope;
use portico_runtime::{access::Presented, context, core::Core, store::UnitOfWork};

use crate::{api::Api, credentials, idempotency::ClaimedRequest, problem::Problem};

/// The sender of the request, and their permissions in its tenant: the one in the path, else the one in `X-Tenant-Id`, else
/// the active tenant of the token.
#[derive(Clone)]
pub struct Caller(
    /// Actor, tenant and permissions.
    pub Scope,
    /// The request's claim, where it has an `Idempotency-Key`.
    Option<Arc<ClaimedRequest>>,
);

impl Caller {
    /// Carries out a change and builds the response: begins a transaction, runs `change`, and commits. If the request has
    /// an `Idempotency-Key`, the response is stored under it in the same transaction. On any error nothing is changed.
    ///
    /// # Errors
    /// Errors of `change`; errors of the commit.
    pub async fn write(
        &self,
        core: &Core,
        change: impl AsyncFnOnce(&mut dyn UnitOfWork) -> Result<HttpResponse, Problem>,
    ) -> Result<HttpResponse, Problem> {
        let mut work = core.begin().await?;
        let answer = change(&mut *work).await?;
        self.commit(work, answer).await
    }

    /// Commits a change with its response, as the last step of a handler that takes several: see [`Caller::write`].
    ///
    /// # Errors
    /// Errors of the commit.
    pub async fn commit(
        &self,
        work: Box<dyn UnitOfWork>,
        answer: HttpResponse,
    ) -> Result<HttpResponse, Problem> {
        match &self.1 {
            Some(claimed) => claimed.commit(work, answer).await,
            None => {
                work.commit().await?;
                Ok(answer)
            }
        }
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let presented = request.extensions().get::<Presented>().cloned();
        let api = request.app_data::<Data<Api>>().cloned();
        let named = credentials::named_tenant(request);
        let claimed = request.extensions().get::<Arc<ClaimedRequest>>().cloned();
        Box::pin(async move {
            // The scope was determined when the key was claimed. It records the permissions required, which are stored with
            // the response.
            if let Some(claimed) = claimed {
                return Ok(Self(claimed.scope().clone(), Some(claimed)));
            }
            let (Some(api), Some(presented)) = (api, presented) else {
                return Err(Problem::unauthenticated());
            };
            Ok(Self(api.core.access.admit(presented, named).await?, None))
        })
    }
}

/// The sender of the request, if they are signed in: with no credentials, or invalid ones, an anonymous scope.
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
                    Ok(Self(Scope::anonymous(context::info())))
                }
                Err(problem) => Err(problem),
            }
        })
    }
}

/// An anonymous scope. Credentials are ignored: for routes that issue or verify them.
pub struct Visitor(pub Scope);

impl FromRequest for Visitor {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(Scope::anonymous(context::info()))))
    }
}
