//! Published sites: requests to the host name of a site are answered from the files of its live deployment.

pub mod encoding;
mod files;
mod forms;
mod front;
mod host;
pub mod manifest;
mod stale;
mod visits;

pub use self::{
    forms::Forms,
    front::{Fronts, answer},
};

use std::{rc::Rc, sync::Arc, time::Duration};

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse, ResponseError,
    body::{BodySize, EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    middleware::Next,
    web::{Data, Payload},
};
use futures_util::future::LocalBoxFuture;
use portico_kernel::{Kind, files::FileStore};
use portico_runtime::{
    core::Core,
    logging::{self, chain},
    signals::Signals,
};
use portico_sites::ports::{HostName, LiveSite};
use portico_web::{
    api::Api, client, host::SiteRequest, middleware::spelling, path::Spelling, problem::Problem,
    request_admission,
};

use self::{
    files::{FRONT, Files, FoundFile, ReadError, SiteFile, find, missing, respond},
    host::{HostContent, HostedNow, Hosts},
    manifest::Manifest,
    stale::Breaker,
};
use crate::{addresses::SiteAddresses, visits::VisitCounter};

/// Marks a response as stale (RFC 9211).
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The dependencies of published sites. Cheap to clone.
#[derive(Clone)]
pub struct Hosting {
    /// Shared by the whole process.
    pub core: Core,
    /// Shared by the routes of all features.
    pub api: Api,
    /// Host names and URLs of sites.
    pub addresses: Arc<SiteAddresses>,
    /// Object storage.
    pub files: Arc<dyn FileStore>,
    /// Caches of host names and files.
    pub live: Arc<LiveSites>,
    /// Contact forms.
    pub forms: Arc<Forms>,
    /// Counter of visits to published sites.
    pub visits: Arc<VisitCounter>,
    /// Header in which a trusted proxy sends the country of a visitor.
    pub country_header: Option<Arc<str>>,
    /// Whether sites of a tenant that has used up its bandwidth answer 503.
    pub bandwidth_is_hard: bool,
}

/// Caches of host names and of recently requested files.
pub struct LiveSites {
    hosts: Hosts,
    files: Files,
}

impl LiveSites {
    /// Empty caches. The last known state is served for at most `serve_stale` while the database is unavailable.
    pub fn new(signals: Arc<Signals>, serve_stale: Duration) -> Self {
        let database = Arc::<Breaker>::default();
        Self {
            hosts: Hosts::new(signals, database.clone(), serve_stale),
            files: Files::new(database, serve_stale),
        }
    }

    /// The site that a request with this `Host` header is for; `None` for the API itself.
    pub async fn name_of(&self, hosting: &Hosting, host: &str, path: &str) -> Option<HostName> {
        host::find(hosting, &self.hosts, host, path).await
    }

    /// Whether there is a site at a name, in any state.
    pub async fn is_at(&self, hosting: &Hosting, domain: &str) -> Result<bool, Problem> {
        let Some(name) = host::asked(hosting, domain) else { return Ok(false) };
        match self.hosts.at(hosting, &name).await {
            Ok(found) => Ok(!matches!(found.at, HostContent::Nothing)),
            Err(_) => Err(Problem::new(
                Kind::Unavailable,
                "unavailable",
                "A part of the service is not reachable right now.",
            )),
        }
    }

    /// Whether one more query about a certificate is within the limit.
    pub fn admits_ask(&self, hosting: &Hosting) -> bool {
        hosting.api.limits.is_none() || self.hosts.admits_ask()
    }

    /// The manifest of a deployment; `None` when it is missing.
    pub async fn manifest(
        &self,
        hosting: &Hosting,
        site: &LiveSite,
    ) -> Result<Option<Arc<Manifest>>, String> {
        match self.files.manifest(hosting, site).await {
            Ok(manifest) => Ok(Some(manifest)),
            Err(ReadError::Missing(_)) => Ok(None),
            Err(error) => Err(chain(&error)),
        }
    }
}

/// Outermost middleware: answers requests for published sites. None of the layers and routes of the API is for them: all paths at
/// the host name of a site belong to it, also `/api`.
pub async fn at_host<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let Some(hosting) = request.app_data::<Data<Hosting>>().cloned() else {
        return Err(Problem::internal("the application has no state").into());
    };
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let Some(name) = hosting.live.name_of(&hosting, host, request.path()).await else {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    };
    let spelling = spelling(&request);
    // Also for responses that are sent without a route.
    request.extensions_mut().insert(SiteRequest);
    if spelling == Ok(Spelling::Replaced) && matches!(*request.method(), Method::GET | Method::HEAD) {
        let response = respelled(&request);
        return Ok(request.into_response(response).map_into_right_body());
    }
    let address = client::address(request.request());
    let response = match request_admission::admit_site(&hosting.api, &mut request, address).await {
        Ok(_admitted) => serve(&hosting, &mut request, &name, spelling.is_ok()).await?,
        Err(refusal) => refusal.error_response(),
    };
    Ok(request.into_response(response).map_into_right_body())
}

/// Answers a request for a published site. Paths without a normal form (`has_path`) are answered 404.
async fn serve(
    hosting: &Hosting,
    request: &mut ServiceRequest,
    host: &HostName,
    has_path: bool,
) -> Result<HttpResponse, Error> {
    let is_form = forms::is_post(request.request());
    if !matches!(*request.method(), Method::GET | Method::HEAD) && !is_form {
        return Ok(HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, "GET, HEAD")).finish());
    }
    // The cause was logged where the lookup failed.
    let Ok(found) = hosting.live.hosts.at(hosting, host).await else { return Ok(unavailable()) };
    let mut response = match found.at {
        HostContent::Live(site, _) if has_path && is_form => {
            let payload = request.extract::<Payload>().await?;
            return Ok(forms::receive(hosting, request.request(), payload, &site).await);
        }
        HostContent::Live(site, now) => show(hosting, request.request(), &site, now, has_path).await,
        HostContent::Paused => paused(),
        HostContent::Moved(address) if has_path => moved(&address, request.request()),
        HostContent::Nothing | HostContent::Idle | HostContent::Moved(_) => nothing(),
    };
    if let Some(age) = found.stale {
        metrics::counter!("portico_site_answers_stale_total").increment(1);
        let status = format!("portico; hit; ttl=-{}; detail=database-unreachable", age.as_secs());
        if let Ok(status) = HeaderValue::from_str(&status) {
            response.headers_mut().insert(CACHE_STATUS, status);
        }
    }
    Ok(response)
}

/// The response for a path of a site; 404 where it has no normal form. Boxed, so that it is compiled here and not once more with the
/// middleware, which is generic.
fn show<'a>(
    hosting: &'a Hosting,
    request: &'a HttpRequest,
    site: &'a LiveSite,
    now: HostedNow,
    has_path: bool,
) -> LocalBoxFuture<'a, HttpResponse> {
    Box::pin(async move {
        let found = match has_path {
            true => find(hosting, site, request).await,
            false => missing(hosting, site, request).await,
        };
        let sent = async |status: StatusCode, file: &SiteFile, path: &str| {
            let response = respond(hosting, request, status, file, path).await?;
            let length = match response.body().size() {
                BodySize::Sized(length) => length,
                _ => 0,
            };
            let address = client::address(request);
            visits::note(hosting, request.head(), address, site, path, (response.status(), length));
            Ok(response)
        };
        let answered = match found {
            Ok(FoundFile::File { file, path }) => {
                if path == FRONT
                    && let Some(fronts) = request.app_data::<Rc<Fronts>>()
                {
                    fronts.put(request.headers(), site, now, &file);
                }
                sent(StatusCode::OK, &file, &path).await
            }
            Ok(FoundFile::Moved(location)) => {
                Ok(HttpResponse::PermanentRedirect().insert_header((header::LOCATION, location)).finish())
            }
            Ok(FoundFile::Missing(Some(file))) => sent(StatusCode::NOT_FOUND, &file, "404.html").await,
            Ok(FoundFile::Missing(None)) => Ok(nothing()),
            Err(error) => Err(error),
        };
        answered.unwrap_or_else(|error| {
            logging::warn("a file of a site could not be read", &error);
            unavailable()
        })
    })
}

/// Pages of ours bring their style in themselves, and nothing else.
const PLAIN_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn nothing() -> HttpResponse {
    HttpResponse::NotFound()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, PLAIN_POLICY))
        .body(include_str!("no-site.html"))
}

/// Redirects a path in another spelling to its normal form. The path begins with exactly one slash, so that it cannot be
/// taken for another host.
fn respelled(request: &ServiceRequest) -> HttpResponse {
    let page = request.uri().path_and_query().map_or("/", |page| page.as_str());
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, page)).finish()
}

/// Redirects to the same page at the main address. Browsers must revalidate it each time: the main address may change back,
/// and two cached redirects would form a loop.
fn moved(address: &str, request: &HttpRequest) -> HttpResponse {
    let page = request.uri().path_and_query().map_or("/", |page| page.as_str());
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, format!("{address}{page}")))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-cache")))
        .finish()
}

/// 503, which signals to search engines that the site is unavailable only temporarily (RFC 9110 section 15.6.4).
fn paused() -> HttpResponse {
    HttpResponse::ServiceUnavailable()
        .insert_header((header::RETRY_AFTER, "3600"))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, PLAIN_POLICY))
        .body(include_str!("paused.html"))
}

fn unavailable() -> HttpResponse {
    HttpResponse::ServiceUnavailable()
        .insert_header((header::RETRY_AFTER, "5"))
        .content_type("text/plain; charset=utf-8")
        .body("This site is not reachable right now. Try again shortly.")
}
