//! Shared state of the routes and background jobs of tenants.

use std::sync::Arc;

use portico_identity::ports::TokenIssuer;
use portico_kernel::http::HttpClient;
use portico_runtime::{core::Core, mailing::Mailing};
use portico_web::api::Api;

use crate::settings::Tenancy;

/// The dependencies of this feature. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Shared by the whole process.
    pub core: Core,
    /// Shared by the routes of all features.
    pub api: Api,
    /// Settings of tenants.
    pub settings: Arc<Tenancy>,
    /// Sends mail.
    pub mail: Mailing,
    /// Secrets of links.
    pub tokens: Arc<dyn TokenIssuer>,
    /// Calls the receivers of webhooks only: its allowed destinations are those configured for webhooks.
    pub webhook_client: Arc<dyn HttpClient>,
}

impl App {
    /// The same state for background jobs.
    #[must_use]
    pub fn for_background(&self) -> Self {
        Self { core: self.core.for_background(), mail: self.mail.for_background(), ..self.clone() }
    }
}
