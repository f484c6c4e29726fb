//! The shared state of the middleware and extractors around every API route.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize},
};

use portico_kernel::signing::LinkSigner;
use portico_runtime::core::Core;

use crate::{
    admission::Admission, connection::Connections, limits::Limits, openapi::Document,
    response_cache::ResponseCache, settings::Server,
};

/// The dependencies of routes. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    /// Shared by routes and background work.
    pub core: Core,
    /// Settings of the HTTP server.
    pub settings: Arc<Server>,
    /// Base URL under which clients reach the server, without a trailing slash.
    pub public_url: Arc<str>,
    /// Host name of `public_url`.
    pub host: Arc<str>,
    /// Signed links and fingerprints of requests.
    pub signer: Arc<dyn LinkSigner>,
    /// Rate limits, if enabled.
    pub limits: Option<Arc<Limits>>,
    /// Admission control.
    pub admission: Arc<Admission>,
    /// Bytes of large request bodies in memory.
    pub bodies: Arc<AtomicUsize>,
    /// Connections of clients.
    pub connections: Arc<Connections>,
    /// Cache of responses to reads.
    pub responses: Arc<ResponseCache>,
    /// The API document.
    pub document: Arc<Document>,
    /// Whether new requests are accepted: not while starting or shutting down.
    pub ready: Arc<AtomicBool>,
}

impl Api {
    /// Whether clients reach the server over TLS.
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https:")
    }
}
