//! Which requests for a published site count as visits.

use std::net::IpAddr;

use actix_web::{
    dev::RequestHead,
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
};
use portico_sites::{analytics::Seen, ports::LiveSite};
use portico_web::{client, headers::first, host};

use crate::hosting::Hosting;

/// Maximum number of bytes read of a header.
const MAX_HEADER: usize = 1024;
/// Maximum number of characters of a `User-Agent`.
const MAX_AGENT: usize = 256;

// Names that are no constants of the library. Made once: reading one from a text takes longer than looking for the header.
static DNT: HeaderName = HeaderName::from_static("dnt");
static PURPOSE: HeaderName = HeaderName::from_static("purpose");
static SEC_CH_UA_MOBILE: HeaderName = HeaderName::from_static("sec-ch-ua-mobile");
static SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
static SEC_GPC: HeaderName = HeaderName::from_static("sec-gpc");
static SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
static X_MOZ: HeaderName = HeaderName::from_static("x-moz");

/// Records a response of a site to a client: the length of its body, and a visit if a browser is displaying the page. Never waits.
pub(super) fn note(
    hosting: &Hosting,
    request: &RequestHead,
    address: IpAddr,
    site: &LiveSite,
    path: &str,
    (status, length): (StatusCode, u64),
) {
    let now = hosting.core.env.now();
    // A response to HEAD has no body.
    let bytes = if request.method == Method::HEAD { 0 } else { length };
    hosting.visits.sent(site.tenant, now.into_inner().date(), bytes);
    let Some(page) = page(path).filter(|_| is_view(request, status)) else { return };
    let headers = request.headers();
    let query = request.uri.query().unwrap_or_default();
    hosting.visits.note(Seen {
        tenant: site.tenant,
        site: site.site,
        at: now,
        path: page,
        query: if query.len() <= MAX_HEADER { query.to_owned() } else { String::new() },
        host: host::name(text(headers, &header::HOST).unwrap_or_default()).to_owned(),
        referrer: text(headers, &header::REFERER).map(str::to_owned),
        user_agent: first(text(headers, &header::USER_AGENT).unwrap_or_default(), MAX_AGENT).to_owned(),
        mobile: text(headers, &SEC_CH_UA_MOBILE).map(|hint| hint.trim() == "?1"),
        country: country(hosting, request).map(str::to_owned),
        address,
        private: [&SEC_GPC, &DNT].into_iter().any(|name| text(headers, name).map(str::trim) == Some("1")),
    });
}

/// The URL path of a page by its file; `None` for files that are not pages, and for the pages around forms.
fn page(path: &str) -> Option<String> {
    let folder = path.strip_suffix("index.html")?;
    (folder.is_empty() || folder.ends_with('/')).then_some(())?;
    (!folder.starts_with("_forms/")).then(|| format!("/{folder}"))
}

/// Whether a browser requests it for display: neither as a prefetch nor as a subresource.
fn is_view(request: &RequestHead, status: StatusCode) -> bool {
    let headers = request.headers();
    let says = |name: &HeaderName, word: &str| {
        text(headers, name).is_some_and(|value| value.to_ascii_lowercase().contains(word))
    };
    request.method == Method::GET
        && matches!(status, StatusCode::OK | StatusCode::NOT_MODIFIED)
        && !says(&SEC_PURPOSE, "prefetch")
        && !says(&PURPOSE, "prefetch")
        && !says(&X_MOZ, "prefetch")
        && text(headers, &SEC_FETCH_DEST).is_none_or(|destination| destination.trim() == "document")
}

/// The visitor's country according to the operator's proxy. From any other sender the header is ignored, and a duplicate
/// may come from the visitor.
fn country<'r>(hosting: &Hosting, request: &'r RequestHead) -> Option<&'r str> {
    let name = hosting.country_header.as_deref()?;
    let country = short(request.headers().get(name)?)?;
    let is_trusted = client::is_trusted(&hosting.api.settings.trusted_proxies, client::peer_of(request));
    let is_single = request.headers().get_all(name).count() == 1;
    (is_trusted && is_single).then_some(country)
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    short(headers.get(name)?)
}

/// A value that is a text of sane length.
fn short(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok().filter(|value| value.len() <= MAX_HEADER)
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
            assert_eq!(is_view(request.head(), status), counts, "{:?} {status}", request.headers());
        }
    }
}
