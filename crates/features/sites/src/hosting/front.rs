//! The front page of a site, which is what most visitors ask for: answered before the application, with one look-up.

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::Rc,
    sync::{Arc, Weak},
    time::Instant,
};

use actix_web::{
    dev::{RequestHead, Response},
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderValue},
    },
    web::Bytes,
};
use portico_sites::ports::LiveSite;
use portico_web::{
    connection::Exchange,
    direct::{DirectBody, DirectRequest},
};

use super::{
    files::{FRONT, SiteFile},
    host::HostedNow,
    visits,
};
use crate::hosting::Hosting;

/// Longest `Accept-Encoding` that is remembered, in bytes. Those of browsers are shorter.
const LONGEST: usize = 64;
/// Longest `Host`: that of a name with a port (RFC 1035 section 2.3.4).
const LONGEST_HOST: usize = 260;
/// How many forms of a front page are remembered. Browsers of today ask in two or three ways.
const FORMS: usize = 4;
/// Maximum number of front pages that a thread remembers: 3 MB at most. They are of less than a second, so that more are hardly asked
/// for twice.
const PAGES: usize = 4096;

/// The front pages that one thread of the server has sent in the last second, by the header `Host` as it was received. Nothing is decided
/// here: a page is answered for as long as what the application knows of its host name holds, and stays in memory only as long as the
/// cache of files keeps it. As it is looked up again each time, that cache and the one of manifests learn that it is asked for.
#[derive(Default)]
pub struct Fronts(RefCell<HashMap<Box<[u8]>, Front>>);

/// A front page.
struct Front {
    site: LiveSite,
    now: HostedNow,
    forms: Vec<Form>,
}

/// The file that is sent for an `Accept-Encoding`.
struct Form {
    accepted: Option<Box<[u8]>>,
    file: Weak<SiteFile>,
}

impl Fronts {
    fn get(
        &self,
        host: &[u8],
        accepted: Option<&[u8]>,
        epoch: u64,
        at: Instant,
    ) -> Option<(LiveSite, Arc<SiteFile>)> {
        let fronts = self.0.borrow();
        let front = fronts.get(host).filter(|front| front.now.holds(epoch, at))?;
        let form = front.forms.iter().find(|form| form.accepted.as_deref() == accepted)?;
        Some((front.site, form.file.upgrade()?))
    }

    /// Remembers the front page of a site for requests with these headers.
    pub(super) fn put(&self, headers: &HeaderMap, site: &LiveSite, now: HostedNow, file: &Arc<SiteFile>) {
        let (host, accepted) = asked(headers);
        let Some(host) = host.filter(|host| host.len() <= LONGEST_HOST) else { return };
        if accepted.is_some_and(|accepted| accepted.len() > LONGEST) || file.in_memory().is_none() {
            return;
        }
        let mut fronts = self.0.borrow_mut();
        if fronts.len() >= PAGES && !fronts.contains_key(host) {
            // Few of them are younger than a second.
            fronts.clear();
        }
        let front = fronts.entry(host.into()).or_insert(Front { site: *site, now, forms: Vec::new() });
        if front.now != now || front.site != *site {
            *front = Front { site: *site, now, forms: Vec::new() };
        }
        front.forms.retain(|form| form.accepted.as_deref() != accepted);
        if front.forms.len() < FORMS {
            front.forms.push(Form { accepted: accepted.map(Box::from), file: Arc::downgrade(file) });
        }
    }
}

/// The header `Host`, and the accepted encodings.
fn asked(headers: &HeaderMap) -> (Option<&[u8]>, Option<&[u8]>) {
    (
        headers.get(header::HOST).map(HeaderValue::as_bytes),
        headers.get(header::ACCEPT_ENCODING).map(HeaderValue::as_bytes),
    )
}

/// The answer to a request without a body for a front page that `fronts` remembers, with all that the application would do. None for any
/// other request, which is for the application.
pub fn answer(
    hosting: &Hosting,
    fronts: &Fronts,
    head: &RequestHead,
    connection: Option<&Rc<Exchange>>,
) -> Option<Response<DirectBody>> {
    if head.uri.path() != "/" || !matches!(head.method, Method::GET | Method::HEAD) {
        return None;
    }
    let request = DirectRequest::begin(&hosting.api, head)?;
    let (host, accepted) = asked(&head.headers);
    let (site, file) = fronts.get(host?, accepted, hosting.live.hosts.epoch(), request.started())?;
    let bytes = file.in_memory()?;
    let (status, bytes) = match file.is_known(&head.headers) {
        true => (StatusCode::NOT_MODIFIED, Bytes::new()),
        false => (StatusCode::OK, bytes.clone()),
    };
    let length = bytes.len() as u64;
    let mut response = Response::with_body(status, DirectBody::new(bytes, connection));
    file.describe(response.headers_mut(), status, FRONT);
    let address = request.address();
    visits::note(hosting, head, address, &site, FRONT, (status, length));
    request.finish(&mut response, head.uri.path(), address);
    Some(response)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portico_kernel::{DeploymentId, SiteId, TenantId};
    use uuid::Uuid;

    use super::*;

    fn live(number: u128) -> LiveSite {
        LiveSite {
            tenant: TenantId::from_uuid(Uuid::from_u128(1)),
            site: SiteId::from_uuid(Uuid::from_u128(2)),
            deployment: DeploymentId::from_uuid(Uuid::from_u128(number)),
        }
    }

    fn headers(host: &str, accepted: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        if let Some(accepted) = accepted {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(accepted).unwrap());
        }
        headers
    }

    #[test]
    fn a_page_is_found_for_the_same_host_and_encodings_while_it_is_in_memory() {
        let (fronts, file) = (Fronts::default(), Arc::new(SiteFile::of(b"<h1>Elm</h1>")));
        let now = HostedNow::since(7, Instant::now());
        let get = |host: &[u8], accepted: Option<&[u8]>| fronts.get(host, accepted, 7, Instant::now());
        assert!(get(b"elm.localhost", None).is_none(), "nothing was found yet");
        fronts.put(&headers("elm.localhost", Some("gzip")), &live(3), now, &file);
        let (site, found) = get(b"elm.localhost", Some(b"gzip")).unwrap();
        assert!(site == live(3) && Arc::ptr_eq(&found, &file));
        drop(found);
        for (host, accepted) in
            [("elm.localhost", None), ("elm.localhost", Some("br")), ("oak.localhost", Some("gzip"))]
        {
            assert!(get(host.as_bytes(), accepted.map(str::as_bytes)).is_none(), "{host} {accepted:?}");
        }
        fronts.put(&headers("elm.localhost", None), &live(3), now, &file);
        assert!(get(b"elm.localhost", None).is_some() && get(b"elm.localhost", Some(b"gzip")).is_some());
        for number in 0..2 * FORMS {
            fronts.put(&headers("elm.localhost", Some(&format!("x{number}"))), &live(3), now, &file);
        }
        assert_eq!(fronts.0.borrow()[b"elm.localhost".as_slice()].forms.len(), FORMS);
        let long = "gzip,".repeat(20);
        fronts.put(&headers("ash.localhost", Some(&long)), &live(3), now, &file);
        fronts.put(&headers(&"a".repeat(LONGEST_HOST + 1), None), &live(3), now, &file);
        assert_eq!(fronts.0.borrow().len(), 1, "too long to be kept");
        drop(file);
        assert!(get(b"elm.localhost", None).is_none(), "it is in memory no more");
    }

    #[test]
    fn a_page_is_answered_no_longer_than_its_host_is_known() {
        let (fronts, file) = (Fronts::default(), Arc::new(SiteFile::of(b"<h1>Elm</h1>")));
        let (asked, headers) = (Instant::now(), headers("elm.localhost", None));
        fronts.put(&headers, &live(3), HostedNow::since(7, asked), &file);
        let get = |epoch: u64, at: Instant| fronts.get(b"elm.localhost", None, epoch, at);
        assert!(get(7, asked + Duration::from_millis(850)).is_some());
        assert!(get(7, asked + Duration::from_secs(1)).is_none(), "it is to be asked for again");
        assert!(get(8, asked).is_none(), "a change was announced");
        fronts.put(&headers, &live(4), HostedNow::since(8, asked), &file);
        assert_eq!(get(8, asked).unwrap().0, live(4), "another deployment");
        assert!(get(7, asked).is_none());
    }

    #[test]
    fn a_thread_remembers_a_bounded_number() {
        let (fronts, file) = (Fronts::default(), Arc::new(SiteFile::of(b"<h1>Elm</h1>")));
        let now = HostedNow::since(0, Instant::now());
        for number in 0..=PAGES {
            fronts.put(&headers(&format!("s{number}.localhost"), None), &live(3), now, &file);
            assert!(fronts.0.borrow().len() <= PAGES);
        }
        let newest = format!("s{PAGES}.localhost");
        assert!(fronts.get(newest.as_bytes(), None, 0, Instant::now()).is_some());
    }
}
