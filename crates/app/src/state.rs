//! All parts of a process, as they were put together.

use std::sync::Arc;

use portico_feature_identity::state::App as Identity;
use portico_feature_sites::state::App as Sites;
use portico_feature_tenancy::state::App as Tenancy;
use portico_runtime::core::Core;
use portico_sandbox::Mailbox;
use portico_web::api::Api;

use crate::settings::Settings;

/// The parts that the server is made of. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// What everything in the process shares.
    pub core: Core,
    /// Settings.
    pub settings: Arc<Settings>,
    /// What stands around the routes.
    pub api: Api,
    /// Accounts.
    pub identity: Identity,
    /// Tenants.
    pub tenancy: Tenancy,
    /// Sites.
    pub sites: Sites,
    /// Where mail goes when there is no SMTP server.
    pub mailbox: Option<Arc<Mailbox>>,
}
