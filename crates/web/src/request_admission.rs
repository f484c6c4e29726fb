//! Admission of requests: their class of work, and whether they may proceed now.
//!
//! A body is read before a permit is taken, so that a slow client delays only itself. Uploaded files are spooled by their
//! routes, which then take permits of their own.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io::ErrorKind,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix_web::{
    HttpMessage,
    dev::{Payload, ServiceRequest},
    error::PayloadError,
    http::{
        Method,
        header::{self, HeaderMap},
    },
    web::BytesMut,
};
use futures_util::{StreamExt, stream};
use portico_runtime::access::Presented;

use crate::{
    admission::{Class, Permit, overloaded},
    api::Api,
    body,
    credentials::{API_KEY, COMPAT},
    host::names_own_host,
    limits::network,
    openapi::DocumentedPath,
    problem::Problem,
};

/// Bytes of a body that are always buffered in memory.
const SMALL: usize = 64 << 10;

/// Total bytes of larger bodies that are buffered in memory.
const LARGE_TOGETHER: usize = 64 << 20;

/// The queue that a request to a canonical path waits in; none where nothing is held up. What is at no documented path goes by its
/// method, so that asking for what does not exist is no way past the queues.
pub fn class_of(documented: Option<&DocumentedPath>, method: &Method, path: &str) -> Option<Class> {
    if let Some(operation) = documented.and_then(|documented| documented.operation(method)) {
        return operation.class;
    }
    let reads = matches!(*method, Method::GET | Method::HEAD);
    match path.starts_with("/api/v1") || path.starts_with(COMPAT) {
        _ if *method == Method::OPTIONS => None,
        true if reads => Some(Class::Reads),
        true => Some(Class::Writes),
        // Previews of drafts, which query the database.
        false => (reads && path.starts_with("/preview/")).then_some(Class::Reads),
    }
}

/// An admitted request, until its response is made.
pub struct Admitted<'a> {
    _place: Option<Permit<'a>>,
    _kept: Option<Kept>,
}

/// Refuses an API request for which no permit can be expected, before its credentials are checked.
///
/// # Errors
/// 503 `overloaded`.
pub fn refuse_early(
    api: &Api,
    request: &ServiceRequest,
    documented: Option<&DocumentedPath>,
    address: IpAddr,
) -> Result<(), Problem> {
    match class_of(documented, request.method(), request.path()) {
        Some(class) if !api.admission.has_room(class) && names_own_host(api, request.headers()) => {
            api.admission.check_capacity(class, party(request.headers(), true, address))
        }
        _ => Ok(()),
    }
}

/// Admits an API request when it gets a permit.
///
/// # Errors
/// 503 `overloaded` when the server is overloaded.
pub async fn admit_api<'a>(
    api: &'a Api,
    request: &mut ServiceRequest,
    documented: Option<&DocumentedPath>,
    presented: &Presented,
    address: IpAddr,
) -> Result<Admitted<'a>, Problem> {
    let class = class_of(documented, request.method(), request.path());
    let is_proven = presented.key().is_some() || presented.user().is_some();
    admit(api, request, class, (is_proven, address)).await
}

/// The same for a request to a published site. Reads are answered from memory without a permit, submissions are stored.
///
/// # Errors
/// 503 `overloaded` when the server is overloaded.
pub async fn admit_site<'a>(
    api: &'a Api,
    request: &mut ServiceRequest,
    address: IpAddr,
) -> Result<Admitted<'a>, Problem> {
    let class = (*request.method() == Method::POST).then_some(Class::Writes);
    admit(api, request, class, (false, address)).await
}

/// `is_proven` tells whether the credential counts as the party, and not the network of `address`. Finding it reads and hashes all of the
/// token, which is of no use while permits are free.
async fn admit<'a>(
    api: &'a Api,
    request: &mut ServiceRequest,
    class: Option<Class>,
    (is_proven, address): (bool, IpAddr),
) -> Result<Admitted<'a>, Problem> {
    let Some(class) = class else { return Ok(Admitted { _place: None, _kept: None }) };
    let kept = match class {
        Class::Reads => None,
        _ => Some(read_ahead(api, request).await?),
    };
    let place = match api.admission.try_enter(class) {
        Some(place) => place,
        None => api.admission.enter(class, party(request.headers(), is_proven, address)).await?,
    };
    Ok(Admitted { _place: Some(place), _kept: kept })
}

/// The party that a request counts for: its credential, if that is verified or may still be; else its network. Only the
/// token of the header is hashed, because it has one spelling: variants of scheme and whitespace would give a client a
/// second share.
fn party(headers: &HeaderMap, may_be_proven: bool, address: IpAddr) -> u64 {
    let mut hasher = DefaultHasher::new();
    let credential = [API_KEY, header::AUTHORIZATION].iter().find_map(|name| headers.get(name));
    let token = credential.and_then(|value| value.to_str().ok()?.split_ascii_whitespace().next_back());
    match token.filter(|_| may_be_proven) {
        Some(token) => token.hash(&mut hasher),
        None => network(address).hash(&mut hasher),
    }
    hasher.finish()
}

/// Bytes of a large body in memory, released when this is dropped.
struct Kept {
    bytes: usize,
    all: Arc<AtomicUsize>,
}

impl Kept {
    /// Adds bytes to the total. `false` when the limit is reached.
    fn grow(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(SMALL).saturating_sub(self.bytes);
        self.bytes += more;
        self.all.fetch_add(more, Ordering::AcqRel) + more <= LARGE_TOGETHER || more == 0
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// Reads the body and puts it back. A body that is too large or truncated is reported by the route, which may have errors
/// that take precedence.
async fn read_ahead(api: &Api, request: &mut ServiceRequest) -> Result<Kept, Problem> {
    let mut kept = Kept { bytes: 0, all: api.bodies.clone() };
    let limit = api.settings.max_body_bytes;
    let announced = body::content_length(request.request()).unwrap_or(0);
    let mut payload = match request.take_payload() {
        Payload::None => return Ok(kept),
        payload if announced > limit as u64 => {
            request.set_payload(payload);
            return Ok(kept);
        }
        payload => payload,
    };
    let mut bytes = BytesMut::new();
    let rest = loop {
        match payload.next().await {
            None => break None,
            Some(Ok(chunk)) => {
                bytes.extend_from_slice(&chunk);
                if !kept.grow(bytes.len()) {
                    // The rest of the body stays with the request.
                    request.set_payload(payload);
                    return Err(overloaded());
                }
                if bytes.len() > limit {
                    break Some(None);
                }
            }
            Some(Err(PayloadError::Io(error))) if error.kind() == ErrorKind::TimedOut => {
                return Err(Problem::request_timeout());
            }
            Some(Err(error)) => break Some(Some(error)),
        }
    };
    let bytes = bytes.freeze();
    request.set_payload(match rest {
        None => Payload::from(bytes),
        Some(error) => {
            let beginning = stream::iter([Ok(bytes)].into_iter().chain(error.map(Err)));
            Payload::Stream { payload: Box::pin(beginning.chain(payload)) }
        }
    });
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn a_credential_is_one_party_however_it_is_written() {
        let address = IpAddr::from([192, 0, 2, 1]);
        let party_of = |name: &'static str, value: &'static str, may_be_proven| {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            party(&headers, may_be_proven, address)
        };
        let one = party_of("authorization", "Bearer sn_live_1", true);
        for (name, value) in [
            ("authorization", "bEARER   sn_live_1 "),
            ("authorization", "Bearer \tsn_live_1"),
            ("x-api-key", " sn_live_1"),
        ] {
            assert_eq!(party_of(name, value, true), one, "{name}: {value}");
        }
        assert_ne!(party_of("authorization", "Bearer sn_live_2", true), one);
        let network = party(&HeaderMap::new(), true, address);
        assert_eq!(party_of("authorization", "Bearer sn_live_1", false), network, "not proven");
    }

    #[test]
    fn large_bodies_share_a_bound_and_small_ones_have_none() {
        let all = Arc::new(AtomicUsize::new(LARGE_TOGETHER - 100));
        let kept = || Kept { bytes: 0, all: all.clone() };
        let (mut first, mut second, mut small) = (kept(), kept(), kept());
        assert!(first.grow(10) && first.grow(SMALL + 60) && first.grow(SMALL + 80));
        assert!(!second.grow(SMALL + 30));
        assert!(small.grow(SMALL));
        drop(second);
        assert!(first.grow(SMALL + 100));
        drop((first, small));
        assert_eq!(all.load(Ordering::Acquire), LARGE_TOGETHER - 100);
    }
}
