//! Settings: defaults, then `portico.toml`, then `PORTICO__SECTION__KEY` from the environment.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use documented::DocumentedFields;
use ipnet::IpNet;
use portico_identity::mail_budget::MailRule;
use portico_kernel::limits::Quota;
use portico_runtime::settings::sources::{duration, list, masked};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

mod ai;
mod billing;
mod check;
mod clamav;
mod domains;
mod downloads;
mod files;
mod licensing;
mod links;
mod payments;
mod proxies;
mod recurrente;
mod redis;
pub mod reference;
mod security;
mod sources;
mod stripe;
mod support;
mod value;

pub use ai::Ai;
pub use billing::Billing;
pub use clamav::Clamav;
pub use domains::Dns;
pub use downloads::Downloads;
pub use files::Storage;
pub use licensing::Licensing;
pub use links::Links;
pub use payments::Payments;
pub use portico_feature_sites::settings::{Assets, Sites};
pub use portico_feature_tenancy::settings::Tenancy;
pub use portico_runtime::settings::{Idempotency, Live, Telemetry, Webhooks, Worker};
pub use portico_web::settings::{Admission, PlanLimits, RateLimit, Server};
pub use proxies::Metrics;
pub use recurrente::Recurrente;
pub use redis::Redis;
pub use security::{OidcProvider, Security, Throttle};
pub use sources::Sources;
pub use stripe::Stripe;
pub use support::Support;

/// The environment; production rejects settings made for development.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// On a developer's machine: embedded components, readable logs.
    #[default]
    Development,
    /// In production: embedded components, sandbox adapters and generated secrets are refused.
    Production,
}

/// All settings.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The environment: `development`, or `production`, which refuses what is made for development, writes no texts offline, and
    /// logs JSON.
    pub profile: Profile,
    /// Directory of all data of embedded components: SQLite, files, generated secrets, mailbox. Made for this user only.
    pub data_dir: PathBuf,
    /// What is accepted in production although it is made for development: `sqlite`, `generated_secret`, `sandbox_mail`,
    /// `sandbox_ai`, `sandbox_payments`, `plain_http` (a public address that begins with `http://`). Default: none.
    #[serde(deserialize_with = "list")]
    pub allow_in_production: Vec<String>,
    /// HTTP server.
    pub server: Server,
    /// Limits on concurrent work.
    pub admission: Admission,
    /// Browser front ends.
    pub cors: Cors,
    /// Database.
    pub database: Database,
    /// Rate limits.
    pub rate_limit: RateLimit,
    /// Object storage.
    pub storage: Storage,
    /// Uploaded files.
    pub assets: Assets,
    /// Redis, or Valkey.
    pub redis: Redis,
    /// Email.
    pub email: Email,
    /// Pages of the front end.
    pub links: Links,
    /// Tokens and passwords.
    pub security: Security,
    /// OpenID Connect providers, by their name in paths.
    pub oidc: BTreeMap<String, OidcProvider>,
    /// Text generator.
    pub ai: Ai,
    /// Payments.
    pub payments: Payments,
    /// Receipts.
    pub billing: Billing,
    /// Stripe.
    pub stripe: Stripe,
    /// Licenses.
    pub licensing: Licensing,
    /// Releases for download.
    pub downloads: Downloads,
    /// Scanner for malware.
    pub clamav: Clamav,
    /// Payments of sites.
    pub recurrente: Recurrente,
    /// Calls to URLs configured by the operator.
    pub outbound: Outbound,
    /// DNS lookups for customers' domains.
    pub dns: Dns,
    /// Published sites.
    pub sites: Sites,
    /// Support tickets.
    pub support: Support,
    /// Tenants.
    pub tenancy: Tenancy,
    /// Audit trail.
    pub audit: Audit,
    /// Live updates.
    pub live: Live,
    /// Idempotent requests.
    pub idempotency: Idempotency,
    /// Webhooks.
    pub webhooks: Webhooks,
    /// Background jobs.
    pub worker: Worker,
    /// Traces.
    pub telemetry: Telemetry,
    /// Access to the metrics.
    pub metrics: Metrics,
}

/// Browser front ends.
#[derive(Clone, Debug, Default, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Cors {
    /// Origins that may call the API from a browser, with credentials.
    #[serde(deserialize_with = "list")]
    pub origins: Vec<String>,
}

/// Database.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// `sqlite://path`, or `postgres://user:password@host:5432/database` (Postgres 15 or later). Default: `sqlite://{data_dir}/portico.db`.
    #[serde(serialize_with = "masked")]
    pub url: Option<SecretString>,
    /// Maximum number of connections; on Postgres a quarter of them is for background work. Default: 20 to Postgres, 4 readers of
    /// SQLite.
    pub max_connections: Option<u32>,
    /// Timeout of a statement, after which the request is answered with 503: a fifth of it while the database answers no
    /// connection, three times as long for background work.
    #[serde(with = "duration")]
    pub statement_timeout: Duration,
    /// Duration from which a statement is logged, without its values; 0s logs none.
    #[serde(with = "duration")]
    pub slow_query: Duration,
}

/// Email.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Email {
    /// `smtp://…` or `smtps://…`. Default: none, mail goes to the sandbox mailbox.
    #[serde(serialize_with = "masked")]
    pub smtp_url: Option<SecretString>,
    /// Sender.
    pub from: String,
    /// Messages per hour to one recipient that anyone can trigger (links to verify an address, invitations), and the same
    /// number of links for a new password.
    pub per_recipient_per_hour: u32,
    /// Messages per hour to one recipient about their account, and the same number each about their tenants and from
    /// visitors.
    pub notices_per_recipient_per_hour: u32,
}

impl Email {
    /// The limits of messages per recipient.
    pub fn rule(&self) -> MailRule {
        MailRule {
            anybody: Quota::per_hour(self.per_recipient_per_hour),
            notices: Quota::per_hour(self.notices_per_recipient_per_hour),
        }
    }
}

/// Calls to URLs configured by the operator.
#[derive(Clone, Debug, Default, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Outbound {
    /// Networks that may be called for the text generator, every identity provider and payments although they are not public,
    /// also without TLS; not for webhooks. Default: none.
    #[serde(deserialize_with = "list")]
    pub allow_networks: Vec<IpNet>,
}

/// Audit trail.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// How long entries are kept, unless the tenant has its own setting; 0s keeps them forever.
    #[serde(with = "duration")]
    pub retention: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            data_dir: "./data".into(),
            allow_in_production: Vec::new(),
            server: Server::default(),
            admission: Admission::default(),
            cors: Cors::default(),
            database: Database::default(),
            rate_limit: RateLimit::default(),
            storage: Storage::default(),
            assets: Assets::default(),
            redis: Redis::default(),
            email: Email::default(),
            links: Links::default(),
            security: Security::default(),
            oidc: BTreeMap::new(),
            ai: Ai::default(),
            payments: Payments::default(),
            billing: Billing::default(),
            stripe: Stripe::default(),
            licensing: Licensing::default(),
            downloads: Downloads::default(),
            clamav: Clamav::default(),
            recurrente: Recurrente::default(),
            outbound: Outbound::default(),
            dns: Dns::default(),
            sites: Sites::default(),
            support: Support::default(),
            tenancy: Tenancy::default(),
            audit: Audit::default(),
            live: Live::default(),
            idempotency: Idempotency::default(),
            webhooks: Webhooks::default(),
            worker: Worker::default(),
            telemetry: Telemetry::default(),
            metrics: Metrics::default(),
        }
    }
}
impl Default for Database {
    fn default() -> Self {
        Self {
            url: None,
            max_connections: None,
            statement_timeout: Duration::from_secs(5),
            slow_query: Duration::from_millis(200),
        }
    }
}
impl Default for Email {
    fn default() -> Self {
        Self {
            smtp_url: None,
            from: "Portico <no-reply@portico.invalid>".into(),
            per_recipient_per_hour: 10,
            notices_per_recipient_per_hour: 200,
        }
    }
}
impl Default for Audit {
    fn default() -> Self {
        Self { retention: Duration::from_secs(365 * 24 * 3600) }
    }
}
impl Settings {
    /// Reads `portico.toml` in the working directory, then the environment, and validates what they say.
    ///
    /// # Errors
    /// With all problems that were found, a line each.
    pub fn load() -> anyhow::Result<Self> {
        Sources::read()?.settings()
    }

    /// Reads settings from the text of a TOML file and from environment variables, and validates them.
    ///
    /// # Errors
    /// With all problems that were found, a line each.
    pub fn from_sources(toml: &str, environment: HashMap<String, String>) -> anyhow::Result<Self> {
        Sources::new(toml, environment)?.settings()
    }

    /// The settings of the runtime.
    pub fn of_runtime(&self) -> portico_runtime::core::Settings {
        let retention = time::Duration::try_from(self.audit.retention).ok();
        portico_runtime::core::Settings {
            worker: self.worker.clone(),
            webhooks: self.webhooks.clone(),
            live: self.live.clone(),
            idempotency: self.idempotency.clone(),
            audit_retention: retention.filter(|kept| !kept.is_zero()),
            shutdown_timeout: self.server.shutdown_timeout,
        }
    }

    /// The settings of sites.
    pub fn of_sites(&self) -> portico_feature_sites::state::Settings {
        portico_feature_sites::state::Settings {
            sites: self.sites.clone(),
            assets: self.assets.clone(),
            data_dir: self.data_dir.clone(),
            tokens_per_text: self.ai.most_tokens(),
            tokens_per_month: self.ai.monthly_token_limit,
        }
    }

    /// URL of the database.
    pub fn database_url(&self) -> SecretString {
        match &self.database.url {
            Some(url) => url.clone(),
            None => format!("sqlite://{}", self.data_dir.join("portico.db").display()).into(),
        }
    }

    /// How long new requests are still answered after SIGTERM.
    pub fn drain_delay(&self) -> Duration {
        let usual = match self.profile {
            Profile::Development => Duration::ZERO,
            Profile::Production => Duration::from_secs(5),
        };
        self.server.drain_delay.unwrap_or(usual)
    }

    /// Whether the database is Postgres, and not SQLite.
    pub fn is_postgres(&self) -> bool {
        let url = self.database_url();
        ["postgres://", "postgresql://"].iter().any(|scheme| url.expose_secret().starts_with(scheme))
    }

    /// The address under which clients reach a server that listens at `address`; without a slash at the end.
    pub fn public_url(&self, address: SocketAddr) -> String {
        match &self.server.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{address}"),
        }
    }

    /// Whether what is made for development and has this name is accepted in production.
    pub fn accepts(&self, part: &str) -> bool {
        self.allow_in_production.iter().any(|allowed| allowed == part)
    }
}

#[cfg(test)]
mod tests;
