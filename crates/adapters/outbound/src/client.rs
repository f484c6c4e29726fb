//! The client.

use std::{error::Error, net::IpAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use ipnet::IpNet;
use portico_kernel::http::{HttpClient, HttpError, HttpMethod, HttpRequest, HttpResponse};
use reqwest::{Certificate, Client, redirect::Policy};
use url::{Host, Url};

use crate::resolver::{GuardedResolver, Lookup, NothingAllowed, SystemLookup, permits};

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

/// Calls only what may be called: see [`HttpClient::send`].
pub struct GuardedClient {
    encrypted: Client,
    plain: Client,
    allowed: Arc<[IpNet]>,
    bounds: Bounds,
}

impl GuardedClient {
    /// With the resolver of the machine. `allowed` are networks that may be called although they are not public, also
    /// without encryption.
    pub fn new(allowed: Vec<IpNet>, bounds: Bounds) -> Result<Self, HttpError> {
        Self::with_lookup(allowed, bounds, Arc::new(SystemLookup))
    }

    /// With another resolver.
    pub fn with_lookup(
        allowed: Vec<IpNet>,
        bounds: Bounds,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, HttpError> {
        let allowed: Arc<[IpNet]> = allowed.into();
        let client = |encrypted| {
            let resolver = GuardedResolver { lookup: lookup.clone(), allowed: allowed.clone(), encrypted };
            Client::builder()
                .dns_resolver(Arc::new(resolver))
                .redirect(Policy::none())
                .no_proxy()
                .https_only(encrypted)
                .tls_certs_merge(authorities())
                .connect_timeout(bounds.connect)
                .timeout(bounds.total)
                .pool_idle_timeout(Duration::from_secs(30))
                .pool_max_idle_per_host(4)
                .user_agent(concat!("Portico/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|error| HttpError::Unreachable(format!("no HTTP client: {error}")))
        };
        Ok(Self { encrypted: client(true)?, plain: client(false)?, allowed: allowed.clone(), bounds })
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
        let literal = match url.host() {
            Some(Host::Domain("")) | None => return Err(HttpError::Refused("no host".into())),
            Some(Host::Domain(_)) => None,
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        };
        if literal.is_some_and(|address| !permits(address, &self.allowed, encrypted)) {
            return Err(HttpError::Refused("this address may not be called".into()));
        }
        Ok((url, if encrypted { &self.encrypted } else { &self.plain }))
    }
}

#[async_trait]
impl HttpClient for GuardedClient {
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
        let mut answer = call.send().await.map_err(failure)?;
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
        let text = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        let headers = answer.headers().iter().filter_map(text).collect();
        Ok(HttpResponse { status: answer.status().as_u16(), headers, body })
    }
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
