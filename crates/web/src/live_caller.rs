//! Checks again whether a caller is still authorised, while a response is being sent.

use std::net::IpAddr;

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, http::header::HeaderMap, web::Data};
use futures_util::future::{Ready, ready};
use portico_kernel::{Scope, Timestamp};
use portico_runtime::access::{NamedTenant, Presented};

use crate::{api::Api, client, credentials, problem::Problem};

/// The caller of a long response: a revocation ends it. To be extracted beside [`crate::caller::Caller`], which
/// authenticates the request in the first place.
pub struct LiveCaller {
    api: Data<Api>,
    presented: Presented,
    headers: HeaderMap,
    address: IpAddr,
    named: NamedTenant,
}

impl FromRequest for LiveCaller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let presented = request.extensions().get::<Presented>().cloned();
        let (Some(api), Some(presented)) = (request.app_data::<Data<Api>>().cloned(), presented) else {
            return ready(Err(Problem::unauthenticated()));
        };
        let address = client::address(request);
        let named = credentials::named_tenant(request);
        ready(Ok(Self { presented, headers: request.headers().clone(), address, named, api }))
    }
}

impl LiveCaller {
    /// When the access token or the key expires.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match &self.presented {
            Presented::Claims(claims) => Some(claims.expires_at),
            Presented::Key(key, _) => key.expires_at,
            _ => None,
        }
    }

    /// The caller and their permissions as of now. An access token that expires meanwhile does not end the response; the
    /// end of its session does.
    pub async fn scope(&self) -> Result<Scope, Problem> {
        let presented = match &self.presented {
            claims @ Presented::Claims(_) => claims.clone(),
            _ => credentials::check_again(&self.api, &self.headers, self.address).await,
        };
        Ok(self.api.core.access.admit(presented, self.named).await?)
    }
}
