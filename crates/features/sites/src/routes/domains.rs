//! Domains of customers.

use actix_web::{
    HttpRequest, HttpResponse, Responder, delete, get, post, put,
    web::{Data, Path},
};
use portico_kernel::{DomainId, List, SiteId};
use portico_sites::domain::{DnsRecord, Domain, DomainUpdate, Domains, NewDomain, expected_records};
use portico_web::{
    admission::Class,
    body::Body,
    caller::Caller,
    conditional,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Paging, Query},
    routing::{KEYED, MERGE, READ, Routes, WRITE},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{flows::domains, state::App};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, list)
        .service(KEYED, add)
        .service(READ, read)
        .service(MERGE, update)
        .service(WRITE, remove)
        .service(KEYED.waiting_in(Class::Outside), verify);
}

/// A domain and its DNS records.
#[derive(Serialize, ToSchema)]
struct DomainView {
    #[serde(flatten)]
    domain: Domain,
    /// The records that it needs, with what the last check found. Only the text record (`TXT`) decides about the
    /// verification; the others are where the name points to.
    records: Vec<DnsRecord>,
    /// URL of the site at this domain, once it is verified.
    #[schema(example = "https://www.example.com")]
    url: String,
}

impl DomainView {
    fn new(app: &App, domain: Domain) -> Self {
        let records = match domain.records.as_slice() {
            [] => expected_records(&domain, &app.hosting.addresses.target),
            found => found.to_vec(),
        };
        Self { url: app.hosting.addresses.address_at("", Some(&domain.name)), records, domain }
    }
}

/// List domains
///
/// The site's domains, oldest first.
#[utoipa::path(
    tag = "Domains",
    operation_id = "listDomains",
    params(("siteId" = SiteId, Path), Paging),
    responses((status = 200, body = List<DomainView>)),
    security(("bearer" = ["domains:read"])),
)]
#[get("/sites/{siteId}/domains")]
async fn list(
    app: Data<App>,
    caller: Caller,
    path: Path<SiteId>,
    query: Query<Paging>,
) -> Result<impl Responder, Problem> {
    let request = query.0.request()?;
    let mut repositories = app.core.reader();
    let domains = Domains::new(&mut *repositories, &caller.0, &app.core.env).list(*path, request).await?;
    let items: Vec<DomainView> =
        domains.items.into_iter().map(|domain| DomainView::new(&app, domain)).collect();
    Ok(Listed(List::new(items, request, domains.total)))
}

/// Connect a domain
///
/// It serves the site once it is verified: publish the text record in `records`. It is checked in the background for 72
/// hours, and on request. Counts against the plan of the tenant.
#[utoipa::path(
    tag = "Domains",
    operation_id = "createDomain",
    params(("siteId" = SiteId, Path)),
    request_body(content = NewDomain, example = json!({"name": "www.example.com", "mode": "primary"})),
    responses(
        (status = 201, body = DomainView, headers(("Location" = String), ("ETag" = String))),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account, or of the user who made the API key, is not verified."),
        (status = 402, description = "The plan includes no more domains.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The tenant has connected this domain already, or the site is for sale.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["domains:write"])),
)]
#[post("/sites/{siteId}/domains")]
async fn add(
    app: Data<App>,
    caller: Caller,
    path: Path<SiteId>,
    body: Body<NewDomain>,
) -> Result<HttpResponse, Problem> {
    let own = app.hosting.addresses.own_names();
    caller
        .write(&app.core, async |work| {
            let domain = Domains::new(&mut *work, &caller.0, &app.core.env).add(*path, body.0, &own).await?;
            let (version, location) =
                (domain.version, format!("/api/v1/sites/{}/domains/{}", domain.site_id, domain.id));
            Ok(conditional::created(&location, version, &DomainView::new(&app, domain)))
        })
        .await
}

/// Read a domain
#[utoipa::path(
    tag = "Domains",
    operation_id = "getDomain",
    params(("siteId" = SiteId, Path), ("domainId" = DomainId, Path)),
    responses((status = 200, body = DomainView, headers(("ETag" = String))), (status = 304, description = "Not changed.")),
    security(("bearer" = ["domains:read"])),
)]
#[get("/sites/{siteId}/domains/{domainId}")]
async fn read(
    app: Data<App>,
    caller: Caller,
    path: Path<(SiteId, DomainId)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let domain = Domains::new(&mut *repositories, &caller.0, &app.core.env).get(path.0, path.1).await?;
    conditional::resource(&request, domain.version, &DomainView::new(&app, domain))
}

/// Update a domain
///
/// Changes its purpose. When it becomes the main address, the former one redirects to it, and a live site is built again.
#[utoipa::path(
    tag = "Domains",
    operation_id = "updateDomain",
    params(("siteId" = SiteId, Path), ("domainId" = DomainId, Path), ("If-Match" = Option<String>, Header)),
    request_body(content = DomainUpdate, example = json!({"mode": "redirect"})),
    responses(
        (status = 200, body = DomainView, headers(("ETag" = String))),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account, or of the user who made the API key, is not verified."),
        (status = 409, description = "The site is for sale or over the limit of the plan, or another request changed the domain or the site at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["domains:write"])),
)]
#[put("/sites/{siteId}/domains/{domainId}")]
async fn update(
    app: Data<App>,
    caller: Caller,
    path: Path<(SiteId, DomainId)>,
    request: HttpRequest,
    body: Body<DomainUpdate>,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let mut domains = Domains::new(&mut *work, &caller.0, &app.core.env);
            let domain = domains.update(path.0, path.1, body.0, expected).await?;
            let version = domain.version;
            Ok(conditional::updated(version, &DomainView::new(&app, domain)))
        })
        .await
}

/// Disconnect a domain
///
/// It no longer serves the site, and others may connect it.
#[utoipa::path(
    tag = "Domains",
    operation_id = "deleteDomain",
    params(("siteId" = SiteId, Path), ("domainId" = DomainId, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "Disconnected."),
        (status = 409, description = "The site is for sale or over the limit of the plan, or another request changed it at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since it was read.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["domains:write"])),
)]
#[delete("/sites/{siteId}/domains/{domainId}")]
async fn remove(
    app: Data<App>,
    caller: Caller,
    path: Path<(SiteId, DomainId)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            Domains::new(&mut *work, &caller.0, &app.core.env).remove(path.0, path.1, expected).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}

/// Verify a domain
///
/// Queries the DNS now. The answer lists records that are missing or wrong, with what was found instead; `status` is
/// `verified` once the text record is found. If name servers do not answer, it stays unchanged, with the `reason`.
#[utoipa::path(
    tag = "Domains",
    operation_id = "verifyDomain",
    params(("siteId" = SiteId, Path), ("domainId" = DomainId, Path)),
    responses(
        (status = 200, body = DomainView, headers(("ETag" = String))),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account, or of the user who made the API key, is not verified."),
        (status = 409, description = "The record is there, but another tenant has verified this domain (`domain_taken`); or the site is for sale.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["domains:write"])),
)]
#[post("/sites/{siteId}/domains/{domainId}/verify")]
async fn verify(
    app: Data<App>,
    caller: Caller,
    path: Path<(SiteId, DomainId)>,
) -> Result<HttpResponse, Problem> {
    let domain = Domains::new(&mut *app.core.reader(), &caller.0, &app.core.env)
        .find_for_check(path.0, path.1)
        .await?;
    let (work, domain) = domains::verify(&app, &caller.0, &domain).await?;
    let version = domain.version;
    caller.commit(work, conditional::updated(version, &DomainView::new(&app, domain))).await
}
