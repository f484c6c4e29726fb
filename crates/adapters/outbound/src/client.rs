//! The client.

use std::{error::Error, net::IpAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use portico_kernel::http::{HttpClient, HttpError, HttpMethod, HttpRequest, HttpResponse};
use reqwest::{
    Certificate, Client, Response,
    header::{HeaderName, HeaderValue},
    redirect::Policy,
};
use url::{Host, Url};

use crate::{
    resolver::{GuardedResolver, Lookup, NothingAllowed, SystemLookup, permits},
    rules::Rules,
};

/// Bounds of a call.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Until there is a connection, the look-up of the name included.
    pub connect: Duration,
    /// From the beginning to the end of the answer.
    pub total: Duration,
    /// Most bytes of the body of an answer.
    pub body: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { connect: Duration::from_secs(3), total: Duration::from_secs(10), body: 1024 * 1024 }
    }
}

/// Connections to one host that are kept for the next call: as many as webhooks have calls to one receiver at once.
const IDLE: usize = 32;

/// Of an answer whose beginning is enough, read up to so many bytes, so that the connection can be used again.
const DRAINED: usize = 64 * 1024;

/// How long the body of such an answer may take once its status is known.
const BODY_PATIENCE: Duration = Duration::from_secs(2);

/// Calls only what may be called: see [`HttpClient::send`].
pub struct GuardedClient {
    /// For public addresses too.
    public: Client,
    /// For the networks of the rules only.
    own: Client,
    rules: Rules,
    bounds: Bounds,
}

impl GuardedClient {
    /// For the purpose of the rules, with the resolver of the machine.
    pub fn new(rules: Rules, bounds: Bounds) -> Result<Self, HttpError> {
        Self::with_lookup(rules, bounds, Arc::new(SystemLookup))
    }

    /// With another resolver.
    pub fn with_lookup(rules: Rules, bounds: Bounds, lookup: Arc<dyn Lookup>) -> Result<Self, HttpError> {
        let allowed: Arc<[_]> = rules.networks.as_slice().into();
        let client = |public| {
            let resolver = GuardedResolver { lookup: lookup.clone(), allowed: allowed.clone(), public };
            Client::builder()
                .dns_resolver(Arc::new(resolver))
                .redirect(Policy::none())
                .no_proxy()
                .https_only(public && !rules.plain)
                .tls_certs_merge(authorities())
                .connect_timeout(bounds.connect)
                .timeout(bounds.total)
                .pool_idle_timeout(Duration::from_secs(30))
                .pool_max_idle_per_host(IDLE)
                .tcp_nodelay(true)
                .user_agent(concat!("Portico/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|error| HttpError::Unreachable(format!("no HTTP client: {error}")))
        };
        Ok(Self { public: client(true)?, own: client(false)?, rules: rules.clone(), bounds })
    }

    /// The address, and the client to use for it. An address that is written as a number is checked here: no resolver
    /// ever sees it. The parser has turned every notation (decimal, octal, hexadecimal, short) into one.
    fn admit(&self, url: &str) -> Result<(Url, &Client), HttpError> {
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
        // Everything else leads to the networks of the rules only.
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
        let mut call = match request.method {
            HttpMethod::Get => client.get(url),
            HttpMethod::Post => client.post(url),
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

/// The headers of an answer that are text.
fn headers(answer: &Response) -> Vec<(String, String)> {
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    answer.headers().iter().filter_map(text).collect()
}

/// The beginning of a body, as far as it comes in time.
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
    // What has come until then is enough.
    let _ = tokio::time::timeout(BODY_PATIENCE, reading).await;
    body
}

/// The authorities of the machine are used too; these are for an image that has none.
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
    // The innermost cause: the outer ones repeat the address, whose query may hold a secret.
    HttpError::Unreachable(text)
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
