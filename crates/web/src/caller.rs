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

/// Who sent the request, and what they may do in the tenant that it is about: the one in the path, else the one in
/// `X-Tenant-Id`, else the active tenant of the token.
#[derive(Clone)]
pub struct Caller(
    /// Who acts, where, with which permissions.
    pub Scope,
    /// The request's claim, where it has an `Idempotency-Key`.
    Option<Arc<ClaimedRequest>>,
);

impl Caller {
    /// Carries out a change and answers it: begins a transaction, runs `change`, and commits. Where the request has an
    /// `Idempotency-Key`, the answer is kept under it in the same transaction. On any error nothing is changed.
    ///
    /// # Errors
    /// What `change` fails with; what the commit fails with.
    pub async fn write(
        &self,
        core: &Core,
        change: impl AsyncFnOnce(&mut dyn UnitOfWork) -> Result<HttpResponse, Problem>,
    ) -> Result<HttpResponse, Problem> {
        let mut work = core.begin().await?;
        let answer = change(&mut *work).await?;
        self.commit(work, answer).await
    }

    /// Commits a change with its answer, as the last step of one that takes several: see [`Caller::write`].
    ///
    /// # Errors
    /// What the commit fails with.
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
            // Admitted when the key was claimed. The one scope notes what is asked for, and the answer is kept with that.
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
