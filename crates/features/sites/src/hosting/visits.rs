//! Which requests for a published site count as visits.

use actix_web::{
    HttpRequest, HttpResponse,
    body::{BodySize, MessageBody},
    http::{
        Method, StatusCode,
        header::{self, HeaderMap},
    },
};
use portico_sites::{analytics::Seen, ports::LiveSite};
use portico_web::{client, host};

use crate::hosting::Hosting;

/// Maximum number of bytes read of a header.
const MAX_HEADER: usize = 1024;
/// Maximum number of characters of a `User-Agent`.
const MAX_AGENT: usize = 256;

/// Records a response of a site: its bytes, and a visit if a browser is displaying the page. Never waits.
pub(super) fn note(
    hosting: &Hosting,
    request: &HttpRequest,
    site: &LiveSite,
    path: &str,
    response: &HttpResponse,
) {
    let now = hosting.core.env.now();
    // A response to HEAD has no body.
    let bytes = match response.body().size() {
        BodySize::Sized(bytes) if *request.method() != Method::HEAD => bytes,
        _ => 0,
    };
    hosting.visits.sent(site.tenant, now.into_inner().date(), bytes);
    let Some(page) = page(path).filter(|_| is_view(request, response.status())) else { return };
    let headers = request.headers();
    let query = request.query_string();
    hosting.visits.note(Seen {
        tenant: site.tenant,
        site: site.site,
        at: now,
        path: page,
        query: if query.len() <= MAX_HEADER { query.to_owned() } else { String::new() },
        host: host::name(text(headers, header::HOST.as_str()).unwrap_or_default()).to_owned(),
        referrer: text(headers, "referer").map(str::to_owned),
        user_agent: text(headers, "user-agent").unwrap_or_default().chars().take(MAX_AGENT).collect(),
        mobile: text(headers, "sec-ch-ua-mobile").map(|hint| hint.trim() == "?1"),
        country: country(hosting, request).map(str::to_owned),
        address: client::address(request),
        private: ["sec-gpc", "dnt"].iter().any(|name| text(headers, name).map(str::trim) == Some("1")),
    });
}

/// The URL path of a page by its file; `None` for files that are not pages, and for the pages around forms.
fn page(path: &str) -> Option<String> {
    let folder = path.strip_suffix("index.html")?;
    (folder.is_empty() || folder.ends_with('/')).then_some(())?;
    (!folder.starts_with("_forms/")).then(|| format!("/{folder}"))
}

/// Whether a browser requests it for display: neither as a prefetch nor as a subresource.
fn is_view(request: &HttpRequest, status: StatusCode) -> bool {
    let headers = request.headers();
    let says = |name: &str, word: &str| {
        text(headers, name).is_some_and(|value| value.to_ascii_lowercase().contains(word))
    };
    *request.method() == Method::GET
        && matches!(status, StatusCode::OK | StatusCode::NOT_MODIFIED)
        && !says("sec-purpose", "prefetch")
        && !says("purpose", "prefetch")
        && !says("x-moz", "prefetch")
        && text(headers, "sec-fetch-dest").is_none_or(|destination| destination.trim() == "document")
}

/// The visitor's country according to the operator's proxy. From any other sender the header is ignored, and a duplicate
/// may come from the visitor.
fn country<'r>(hosting: &Hosting, request: &'r HttpRequest) -> Option<&'r str> {
    let name = hosting.country_header.as_deref()?;
    let is_trusted = client::is_trusted(&hosting.api.settings.trusted_proxies, client::peer(request));
    let is_single = request.headers().get_all(name).count() == 1;
    text(request.headers(), name).filter(|_| is_trusted && is_single)
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().filter(|value| value.len() <= MAX_HEADER)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn pages_are_told_from_other_files() {
        for (file, path) in [
            ("index.html", Some("/")),
            ("about/index.html", Some("/about/")),
            ("404.html", None),
            ("my-index.html", None),
            ("assets/site.css", None),
            ("sitemap.xml", None),
            ("_forms/thanks/index.html", None),
        ] {
            assert_eq!(page(file).as_deref(), path, "{file}");
        }
    }

    #[test]
    fn a_view_is_what_somebody_sees_now() {
        let get = TestRequest::get;
        let ok = StatusCode::OK;
        for (request, status, counts) in [
            (get(), ok, true),
            (get(), StatusCode::NOT_MODIFIED, true),
            (get(), StatusCode::NOT_FOUND, false),
            (TestRequest::default().method(Method::HEAD), ok, false),
            (get().insert_header(("sec-fetch-dest", "document")), ok, true),
            (get().insert_header(("sec-fetch-dest", "image")), ok, false),
            (get().insert_header(("sec-purpose", "prefetch;prerender")), ok, false),
            (get().insert_header(("purpose", "Prefetch")), ok, false),
        ] {
            let request = request.to_http_request();
            assert_eq!(is_view(&request, status), counts, "{:?} {status}", request.headers());
        }
    }
}
