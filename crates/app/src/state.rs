//! All components of a process.

use std::sync::Arc;

use portico_cache::Redis;
use portico_feature_billing::state::App as Billing;
use portico_feature_identity::state::App as Identity;
use portico_feature_licensing::state::App as Licensing;
use portico_feature_sites::state::App as Sites;
use portico_feature_support::state::App as Support;
use portico_feature_tenancy::state::App as Tenancy;
use portico_payments_sandbox::embedded::EmbeddedSandbox;
use portico_recurrente::stand_in::StandIn;
use portico_runtime::core::Core;
use portico_sandbox::Mailbox;
use portico_web::api::Api;

use crate::{
    parts::{ScannerProbe, StorageProbe},
    settings::Settings,
};

/// The components of the server. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Shared by the whole process.
    pub core: Core,
    /// Settings.
    pub settings: Arc<Settings>,
    /// Shared by the routes of all features.
    pub api: Api,
    /// Accounts.
    pub identity: Identity,
    /// Tenants.
    pub tenancy: Tenancy,
    /// Plans and purchases.
    pub billing: Billing,
    /// Licenses and downloads.
    pub licensing: Licensing,
    /// Sites.
    pub sites: Sites,
    /// Support tickets.
    pub support: Support,
    /// Shared by instances; none where it is not set.
    pub redis: Option<Redis>,
    /// State of the file store.
    pub storage: Arc<StorageProbe>,
    /// State of the scanner for malware.
    pub scanner: Arc<ScannerProbe>,
    /// Receives mail when there is no SMTP server.
    pub mailbox: Option<Arc<Mailbox>>,
    /// Where payments are made when no account at Stripe is set.
    pub payments_sandbox: Option<EmbeddedSandbox>,
    /// Takes the payments of sites when there is no account at Recurrente.
    pub recurrente: Option<StandIn>,
}
