//! What stands around every route of the API: one value that the layers and the extractors share.

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

/// The parts around the routes. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    /// What routes and background work share.
    pub core: Core,
    /// Settings of the HTTP server.
    pub settings: Arc<Server>,
    /// Address under which clients reach the server, without a trailing slash.
    pub public_url: Arc<str>,
    /// Host name of `public_url`.
    pub host: Arc<str>,
    /// Links that work without signing in, and fingerprints of requests.
    pub signer: Arc<dyn LinkSigner>,
    /// Rate limits, when there are any.
    pub limits: Option<Arc<Limits>>,
    /// Queues of work.
    pub admission: Arc<Admission>,
    /// Bytes of large bodies that are in memory.
    pub bodies: Arc<AtomicUsize>,
    /// Connections of clients.
    pub connections: Arc<Connections>,
    /// Answers to reading requests.
    pub responses: Arc<ResponseCache>,
    /// The API document.
    pub document: Arc<Document>,
    /// Whether new requests are welcome: not while starting or shutting down.
    pub ready: Arc<AtomicBool>,
}

impl Api {
    /// Whether clients reach the server over TLS.
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https:")
    }
}
