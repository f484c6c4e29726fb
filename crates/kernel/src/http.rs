//! Calling HTTP servers of third parties, as adapters need it.
//!
//! The address often comes from a third party (the discovery document of an identity provider, the setting of a customer), so
//! every such call goes through one client that checks where it really leads.

use std::{borrow::Cow, time::Duration};

use async_trait::async_trait;

/// What to do at the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpMethod {
    /// Read.
    Get,
    /// Send.
    Post,
    /// Remove.
    Delete,
    /// Change a part.
    Patch,
}

/// A request.
#[derive(Clone)]
pub struct HttpRequest {
    /// What to do.
    pub method: HttpMethod,
    /// Absolute address, `http` or `https`.
    pub url: String,
    /// Name and value. May hold secrets.
    pub headers: Vec<(String, String)>,
    /// What to send; empty for nothing.
    pub body: Vec<u8>,
    /// How long to wait for the answer, and how much of it to read.
    pub patience: Patience,
}

/// How long to wait for an answer, and how much of it to read. `None` stands for the client's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// From the beginning of the call to the end of the answer.
    pub time: Option<Duration>,
    /// Bytes of the body to read. The rest is left out, without an error, and so is a body that breaks off or is slow to
    /// come: for callers to whom the status is what matters.
    pub beginning: Option<usize>,
}

impl HttpRequest {
    /// Reads an address.
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            method: HttpMethod::Get,
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            patience: Patience::default(),
        }
    }

    /// Sends something to an address.
    pub fn post(url: impl Into<String>, headers: Vec<(String, String)>, body: Vec<u8>) -> Self {
        Self { method: HttpMethod::Post, headers, body, ..Self::get(url) }
    }
}

impl std::fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (url, _) = self.url.split_once('?').unwrap_or((&self.url, ""));
        f.debug_struct("HttpRequest").field("method", &self.method).field("url", &url).finish_non_exhaustive()
    }
}

/// An answer, read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// Status code. A redirect is an answer like any other: it is not followed.
    pub status: u16,
    /// Name in lower case, and value. Values that are no text are left out.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The address is not one that may be called. Trying again makes no sense.
    #[error("address refused: {0}")]
    Refused(Cow<'static, str>),
    /// No server answers there, or the answer breaks off.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// It took too long.
    #[error("timed out")]
    TimedOut,
    /// The answer is larger than allowed.
    #[error("the answer is too large")]
    TooLarge,
}

/// Calls HTTP servers of third parties.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait HttpClient: Send + Sync {
    /// Sends a request and reads the answer.
    ///
    /// MUST connect only to addresses that it has checked, and to exactly those (a name may resolve to others when it is looked
    /// up again). MUST refuse addresses that are not public, in whichever way they are written, and unencrypted connections,
    /// unless the operator allowed the network. MUST NOT follow redirects or use a proxy. MUST bound time and size.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError>;

    /// Whether an address may be called, as far as that can be decided without looking its name up. MUST refuse what
    /// [`HttpClient::send`] refuses of every address of its kind: a scheme, credentials, a number that is not public.
    fn admits(&self, url: &str) -> Result<(), HttpError>;
}
