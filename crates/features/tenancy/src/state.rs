//! What the routes and the background work of tenants share.

use std::sync::Arc;

use portico_identity::ports::TokenIssuer;
use portico_kernel::http::HttpClient;
use portico_runtime::{core::Core, mailing::Mailing};
use portico_web::api::Api;

use crate::settings::Tenancy;

/// The parts of this feature. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// What everything in the process shares.
    pub core: Core,
    /// What stands around the routes.
    pub api: Api,
    /// Settings of tenants.
    pub settings: Arc<Tenancy>,
    /// Sends mail.
    pub mail: Mailing,
    /// Secrets of links.
    pub tokens: Arc<dyn TokenIssuer>,
    /// Calls the receivers of webhooks, and nothing else: what it may call is what the settings allow for webhooks.
    pub webhook_client: Arc<dyn HttpClient>,
}

impl App {
    /// The same for background work.
    #[must_use]
    pub fn for_background(&self) -> Self {
        Self { core: self.core.for_background(), mail: self.mail.for_background(), ..self.clone() }
    }
}
