//! The HTTP client.

use std::{error::Error, fmt::Display, net::IpAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use portico_kernel::http::{HttpClient, HttpError, HttpMethod, HttpRequest, HttpResponse};
use reqwest::{
    Certificate, Client, Response,
    header::{HeaderName, HeaderValue},
    redirect::Policy,
};
use tokio::{sync::OnceCell, task::spawn_blocking};
use url::{Host, Url};

use crate::{
    resolver::{GuardedResolver, Lookup, NothingAllowed, SystemLookup, permits},
    rules::Rules,
};

/// Limits of a call.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Timeout of connecting, including name resolution.
    pub connect: Duration,
    /// Total timeout, up to the end of the response.
    pub total: Duration,
    /// Maximum size of a response body, in bytes.
    pub body: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { connect: Duration::from_secs(3), total: Duration::from_secs(10), body: 1024 * 1024 }
    }
}

/// Idle connections kept for each host: the number of concurrent calls of webhooks to one receiver.
const IDLE: usize = 32;

/// A response of which only the beginning is needed is read up to this size, so that the connection can be reused.
const DRAINED: usize = 64 * 1024;

/// How long an idle connection is kept. Shorter than the five seconds after which many servers (Node.js, actix-web, Apache) close
/// theirs: a request sent in that very moment fails, and may not be repeated for it.
const REUSABLE: Duration = Duration::from_secs(4);

/// Timeout of the body of such a response, once its status is known.
const BODY_PATIENCE: Duration = Duration::from_secs(2);

/// A client that is built for its first call, and not at the start: that reads and parses all certificate authorities of the machine,
/// which takes some ten milliseconds.
struct Late {
    resolver: GuardedResolver,
    /// Whether it calls https only.
    encrypted: bool,
    bounds: Bounds,
    built: OnceCell<Client>,
}

impl Late {
    /// Built on a thread where that keeps no other request waiting. A failure is not remembered: the next call tries again.
    async fn client(&self) -> Result<&Client, HttpError> {
        self.built
            .get_or_try_init(|| async {
                let (resolver, encrypted, bounds) = (self.resolver.clone(), self.encrypted, self.bounds);
                spawn_blocking(move || build(resolver, encrypted, bounds)).await.map_err(no_client)?
            })
            .await
    }
}

/// Calls only allowed destinations: see [`HttpClient::send`].
pub struct GuardedClient {
    /// For public addresses and the networks of the rules.
    public: Late,
    /// For the networks of the rules only.
    own: Late,
    rules: Rules,
    bounds: Bounds,
}

impl GuardedClient {
    /// For the purpose of the rules, with the system resolver.
    pub fn new(rules: Rules, bounds: Bounds) -> Self {
        Self::with_lookup(rules, bounds, Arc::new(SystemLookup))
    }

    /// With another resolver.
    pub fn with_lookup(rules: Rules, bounds: Bounds, lookup: Arc<dyn Lookup>) -> Self {
        let allowed: Arc<[_]> = rules.networks.as_slice().into();
        let plain = rules.plain;
        let late = |public: bool| {
            let resolver = GuardedResolver { lookup: lookup.clone(), allowed: allowed.clone(), public };
            Late { resolver, encrypted: public && !plain, bounds, built: OnceCell::new() }
        };
        Self { public: late(true), own: late(false), rules, bounds }
    }

    /// The URL, and the client to use for it. A literal IP address is checked here, because it is never resolved. The
    /// parser has normalised every notation (decimal, octal, hexadecimal, short).
    fn admit(&self, url: &str) -> Result<(Url, &Late), HttpError> {
        let url: Url = url.parse().map_err(|_| HttpError::Refused("not an address".into()))?;
        let encrypted = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(HttpError::Refused("only http and https".into())),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(HttpError::Refused("credentials in an address".into()));
        }
        let networks = &self.rules.networks;
        // Other schemes and ports are only allowed for the networks of the rules.
        let port = url.port_or_known_default();
        let public = port.is_some_and(|port| self.rules.admits_public(encrypted, port));
        if !public && networks.is_empty() {
            let reason =
                if encrypted || self.rules.plain { "this port may not be called" } else { "only https" };
            return Err(HttpError::Refused(reason.into()));
        }
        let literal = match url.host() {
            Some(Host::Domain("")) | None => return Err(HttpError::Refused("no host".into())),
            Some(Host::Domain(_)) => None,
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        };
        if literal.is_some_and(|address| !permits(address, networks, public)) {
            return Err(HttpError::Refused("this address may not be called".into()));
        }
        Ok((url, if public { &self.public } else { &self.own }))
    }
}

#[async_trait]
impl HttpClient for GuardedClient {
    fn admits(&self, url: &str) -> Result<(), HttpError> {
        self.admit(url).map(drop)
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (url, client) = self.admit(&request.url)?;
        let client = client.client().await?;
        let mut call = match request.method {
            HttpMethod::Get => client.get(url),
            HttpMethod::Post => client.post(url),
            HttpMethod::Delete => client.delete(url),
            HttpMethod::Patch => client.patch(url),
        };
        for (name, value) in &request.headers {
            call = call.header(name, value);
        }
        if !request.body.is_empty() {
            call = call.body(request.body);
        }
        if let Some(time) = request.patience.time {
            call = call.timeout(time);
        }
        let mut answer = call.send().await.map_err(failure)?;
        if let Some(beginning) = request.patience.beginning {
            let (status, headers) = (answer.status().as_u16(), headers(&answer));
            return Ok(HttpResponse { status, headers, body: begin(answer, beginning).await });
        }
        if answer.content_length().is_some_and(|length| length > self.bounds.body as u64) {
            return Err(HttpError::TooLarge);
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failure)? {
            if body.len() + chunk.len() > self.bounds.body {
                return Err(HttpError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse { status: answer.status().as_u16(), headers: headers(&answer), body })
    }
}

/// The headers of a response that are valid text.
fn headers(answer: &Response) -> Vec<(String, String)> {
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    answer.headers().iter().filter_map(text).collect()
}

/// The beginning of a body, within the timeout.
async fn begin(mut answer: Response, most: usize) -> Vec<u8> {
    let mut body = Vec::new();
    let reading = async {
        let mut read = 0;
        while let Ok(Some(chunk)) = answer.chunk().await {
            read += chunk.len();
            let wanted = chunk.len().min(most - body.len());
            body.extend_from_slice(&chunk[..wanted]);
            if read > DRAINED {
                break;
            }
        }
    };
    // What was received by then is enough.
    let _ = tokio::time::timeout(BODY_PATIENCE, reading).await;
    body
}

/// A client for one kind of addresses.
fn build(resolver: GuardedResolver, encrypted: bool, bounds: Bounds) -> Result<Client, HttpError> {
    Client::builder()
        .dns_resolver(Arc::new(resolver))
        .redirect(Policy::none())
        .no_proxy()
        .https_only(encrypted)
        .tls_certs_merge(authorities())
        .connect_timeout(bounds.connect)
        .timeout(bounds.total)
        .pool_idle_timeout(REUSABLE)
        .pool_max_idle_per_host(IDLE)
        .tcp_nodelay(true)
        .user_agent(concat!("Portico/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(no_client)
}

fn no_client(error: impl Display) -> HttpError {
    HttpError::Unreachable(format!("no HTTP client: {error}"))
}

/// Root certificates in addition to those of the machine, for container images without any.
fn authorities() -> Vec<Certificate> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .filter_map(|certificate| Certificate::from_der(certificate).ok())
        .collect()
}

fn failure(error: reqwest::Error) -> HttpError {
    let mut cause: Option<&dyn Error> = Some(&error);
    let mut text = String::new();
    while let Some(current) = cause {
        if current.is::<NothingAllowed>() {
            return HttpError::Refused("the name leads to no address that may be called".into());
        }
        text = current.to_string();
        cause = current.source();
    }
    if error.is_timeout() {
        return HttpError::TimedOut;
    }
    // Only the innermost cause: the outer ones repeat the URL, whose query may contain a secret.
    HttpError::Unreachable(text)
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
