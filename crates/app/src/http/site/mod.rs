//! Published sites: whatever comes to the host name of a site is answered from the files of its live deployment.

pub mod encoding;
mod files;
mod forms;
mod host;
pub mod manifest;
mod visits;

pub use forms::Forms;
pub use host::SiteHost;

use std::sync::Arc;

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    dev::ServiceRequest,
    guard::GuardContext,
    http::{
        Method, StatusCode,
        header::{self, HeaderValue},
    },
    web::{Data, Payload},
};

use self::{
    files::{Files, Found, ReadError, SiteFile, find, missing, respond},
    host::{At, Hosts},
    manifest::Manifest,
};
use portico_kernel::Kind;
use portico_sites::ports::{HostName, LiveSite};

use super::problem::{Problem, chain};
use crate::{signals::Signals, state::App};

/// What answers at which host name, and the files that were asked for lately.
pub struct LiveSites {
    hosts: Hosts,
    files: Files,
}

impl LiveSites {
    /// Empty caches.
    pub fn new(signals: Arc<Signals>) -> Self {
        Self { hosts: Hosts::new(signals), files: Files::default() }
    }

    /// The site that a request with this `Host` header is for; `None` for the API itself.
    pub async fn name_of(&self, app: &App, host: &str, path: &str) -> Option<HostName> {
        host::find(app, &self.hosts, host, path).await
    }

    /// Whether there is a site at a name, whatever it has to show.
    pub async fn is_at(&self, app: &App, domain: &str) -> Result<bool, Problem> {
        let Some(name) = host::asked(app, domain) else { return Ok(false) };
        match self.hosts.at(app, &name).await {
            Ok(found) => Ok(!matches!(found, At::Nothing)),
            Err(error) => {
                tracing::warn!(error = %chain(&*error), "a site could not be looked up");
                Err(Problem::new(
                    Kind::Unavailable,
                    "unavailable",
                    "A part of the service is not reachable right now.",
                ))
            }
        }
    }

    /// Whether a proxy may ask for one more name.
    pub fn admits_ask(&self, app: &App) -> bool {
        !app.settings.rate_limit.enabled || self.hosts.admits_ask()
    }

    /// What a deployment consists of; `None` when its manifest is not there.
    pub async fn manifest(&self, app: &App, site: &LiveSite) -> Result<Option<Arc<Manifest>>, String> {
        match self.files.manifest(app, site).await {
            Ok(manifest) => Ok(Some(manifest)),
            Err(ReadError::Missing(_)) => Ok(None),
            Err(error) => Err(chain(&error)),
        }
    }
}

/// Whether a request is for a published site.
pub fn is_site(context: &GuardContext<'_>) -> bool {
    context.req_data().contains::<SiteHost>()
}

/// Answers a request for a published site.
pub async fn serve(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    if !matches!(*request.method(), Method::GET | Method::HEAD) && !forms::is_post(&request) {
        return HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, "GET, HEAD")).finish();
    }
    let host = request.extensions().get::<SiteHost>().map(|host| (host.name.clone(), host.has_path));
    let Some((host, has_path)) = host else { return unavailable() };
    let mut live = None;
    let found = match app.live_sites.hosts.at(&app, &host).await {
        Ok(At::Live(site)) if has_path && forms::is_post(&request) => {
            return forms::receive(&app, &request, payload, &site).await;
        }
        Ok(At::Live(site)) => {
            live = Some(site);
            match has_path {
                true => find(&app, &site, &request).await,
                false => missing(&app, &site, &request).await,
            }
        }
        Ok(At::Paused) => return paused(),
        Ok(At::Moved(address)) if has_path => return moved(&address, &request),
        Ok(At::Nothing | At::Idle | At::Moved(_)) => Ok(Found::Nothing),
        Err(error) => {
            tracing::warn!(error = %chain(&*error), "a site could not be looked up");
            return unavailable();
        }
    };
    let sent = |status: StatusCode, file: &SiteFile, path: &str| {
        let response = respond(&request, status, file, path);
        if let Some(site) = &live {
            visits::note(&app, &request, site, path, &response);
        }
        response
    };
    match found {
        Ok(Found::File { file, path }) => sent(StatusCode::OK, &file, &path),
        Ok(Found::Moved(location)) => {
            HttpResponse::PermanentRedirect().insert_header((header::LOCATION, location)).finish()
        }
        Ok(Found::Missing(Some(file))) => sent(StatusCode::NOT_FOUND, &file, "404.html"),
        Ok(Found::Missing(None) | Found::Nothing) => HttpResponse::NotFound()
            .content_type("text/html; charset=utf-8")
            .body("<!doctype html><html lang=\"en\"><title>No site here</title><h1>There is no site at this address.</h1></html>"),
        Err(error) => {
            tracing::warn!(error = %chain(&error), "a file of a site could not be read");
            unavailable()
        }
    }
}

/// Leads to the same page under its one spelling, for a path that came in another one. What follows the host begins with one
/// slash and no more, so that it cannot be taken for another host.
pub fn respelled(request: &ServiceRequest) -> HttpResponse {
    let page = request.uri().path_and_query().map_or("/", |page| page.as_str());
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, page)).finish()
}

/// Leads to the same page at the main address. Browsers are to ask again each time: the main address may change back, and
/// two remembered redirects would lead in a circle.
fn moved(address: &str, request: &HttpRequest) -> HttpResponse {
    let page = request.uri().path_and_query().map_or("/", |page| page.as_str());
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, format!("{address}{page}")))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-cache")))
        .finish()
}

/// 503, by which search engines know that the site comes back (RFC 9110 section 15.6.4).
fn paused() -> HttpResponse {
    HttpResponse::ServiceUnavailable()
        .insert_header((header::RETRY_AFTER, "3600"))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .content_type("text/html; charset=utf-8")
        .body("<!doctype html><html lang=\"en\"><title>Paused</title><h1>This site is paused.</h1>")
}

fn unavailable() -> HttpResponse {
    HttpResponse::ServiceUnavailable()
        .insert_header((header::RETRY_AFTER, "5"))
        .content_type("text/plain; charset=utf-8")
        .body("This site is not reachable right now. Try again shortly.")
}
