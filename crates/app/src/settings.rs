//! Settings: defaults, then `portico.toml`, then `PORTICO__SECTION__KEY` from the environment.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    time::Duration,
};

use anyhow::bail;
use config::{Config, Environment, File, FileFormat};
use ipnet::IpNet;
use portico_identity::mail_budget::MailRule;
use portico_kernel::limits::Quota;
use portico_runtime::settings::sources::{duration, list, normalize};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

mod ai;
mod domains;
mod files;
mod links;
mod proxies;
mod redis;
mod security;

pub use ai::Ai;
pub use domains::Dns;
pub use files::Storage;
pub use links::Links;
pub use portico_feature_sites::settings::{Assets, Sites};
pub use portico_feature_tenancy::settings::Tenancy;
pub use portico_runtime::settings::{Idempotency, Live, Telemetry, Webhooks, Worker};
pub use portico_web::settings::{Admission, PlanLimits, RateLimit, Server};
pub use proxies::Metrics;
pub use redis::Redis;
pub use security::{OidcProvider, Security, Throttle};

/// The environment; production rejects settings made for development.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// On a developer's machine: embedded components, readable logs.
    #[default]
    Development,
    /// In production: embedded components, sandbox adapters and generated secrets are refused.
    Production,
}

/// All settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The environment.
    pub profile: Profile,
    /// Directory of all data of embedded components.
    pub data_dir: PathBuf,
    /// Embedded components that are accepted in production: `sqlite`, `generated_secret`, `sandbox_mail`, `sandbox_ai`.
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
    /// Calls to URLs configured by the operator.
    pub outbound: Outbound,
    /// DNS lookups for customers' domains.
    pub dns: Dns,
    /// Published sites.
    pub sites: Sites,
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
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cors {
    /// Origins that may call the API from a browser, with credentials.
    #[serde(deserialize_with = "list")]
    pub origins: Vec<String>,
}

/// Database.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// `sqlite://path` or `postgres://…`. Default: `sqlite://{data_dir}/portico.db`.
    pub url: Option<SecretString>,
    /// Maximum number of connections. Default: 20 to Postgres, 4 readers of SQLite.
    pub max_connections: Option<u32>,
    /// Timeout of a statement, after which the request is answered with 503.
    #[serde(deserialize_with = "duration")]
    pub statement_timeout: Duration,
    /// Duration from which a statement is logged, without its values; 0s logs none.
    #[serde(deserialize_with = "duration")]
    pub slow_query: Duration,
}

/// Email.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Email {
    /// `smtp://…` or `smtps://…`. Default: none, mail goes to the sandbox mailbox.
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
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outbound {
    /// Networks that may be called for the text generator and every identity provider although they are not public, also
    /// without TLS; not for webhooks. Default: none.
    #[serde(deserialize_with = "list")]
    pub allow_networks: Vec<IpNet>,
}

/// Audit trail.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// How long entries are kept, unless the tenant has its own setting; 0s keeps them forever.
    #[serde(deserialize_with = "duration")]
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
            outbound: Outbound::default(),
            dns: Dns::default(),
            sites: Sites::default(),
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
    /// Reads `portico.toml` in the working directory, then the environment.
    pub fn load() -> anyhow::Result<Self> {
        let file = std::fs::read_to_string("portico.toml").unwrap_or_default();
        Self::from_sources(&file, std::env::vars().collect())
    }

    /// Reads settings from the text of a TOML file and from environment variables, and validates them.
    pub fn from_sources(toml: &str, environment: HashMap<String, String>) -> anyhow::Result<Self> {
        let environment = normalize(environment)?;
        let settings: Self = Config::builder()
            .add_source(File::from_str(toml, FileFormat::Toml))
            .add_source(
                Environment::with_prefix("PORTICO")
                    .prefix_separator("__")
                    .separator("__")
                    .ignore_empty(true)
                    .source(Some(environment)),
            )
            .build()?
            .try_deserialize()?;
        settings.check()?;
        Ok(settings)
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

    /// Whether an embedded component with this name is accepted in production.
    pub fn accepts(&self, part: &str) -> bool {
        self.allow_in_production.iter().any(|allowed| allowed == part)
    }

    fn check(&self) -> anyhow::Result<()> {
        let database = self.database_url();
        let sqlite = database.expose_secret().starts_with("sqlite:");
        if !sqlite && !self.is_postgres() {
            bail!("database.url must begin with sqlite:// or postgres://");
        }
        if let Some(secret) = &self.security.jwt_secret
            && secret.expose_secret().len() < 32
        {
            bail!("security.jwt_secret must have 32 characters or more");
        }
        self.rate_limit.check()?;
        self.redis.check()?;
        if self.worker.concurrency == 0 || self.database.max_connections == Some(0) {
            bail!("worker.concurrency and database.max_connections must be 1 or more");
        }
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        if !(second..=minute).contains(&self.database.statement_timeout) {
            bail!("database.statement_timeout must be between 1 second and 1 minute");
        }
        if self.worker.lease < Duration::from_secs(1) || self.security.access_token_ttl.is_zero() {
            bail!("worker.lease and security.access_token_ttl must be one second or more");
        }
        if self.email.per_recipient_per_hour == 0 || self.email.notices_per_recipient_per_hour == 0 {
            bail!("email.per_recipient_per_hour and email.notices_per_recipient_per_hour must be 1 or more");
        }
        if !(8..=128).contains(&self.security.password_min_length) {
            bail!("security.password_min_length must be between 8 and 128");
        }
        if self.security.password_min_score > 4 {
            bail!("security.password_min_score must be between 0 and 4");
        }
        let throttle = &self.security.throttle;
        if throttle.per_pair == 0 || throttle.per_network == 0 || throttle.per_account == 0 {
            bail!("security.throttle: per_pair, per_network and per_account must be 1 or more");
        }
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));
        if !(second..=day).contains(&throttle.window) || throttle.longest_pause > throttle.window {
            bail!("security.throttle: window must be one second to one day, and longest_pause not longer");
        }
        self.sites.check_domains()?;
        for (name, provider) in &self.oidc {
            provider.check(name)?;
        }
        self.ai.check()?;
        self.telemetry.check()?;
        self.metrics.check(&self.server.trusted_proxies)?;
        self.sites.check()?;
        self.storage.check()?;
        self.live.check()?;
        self.server.check()?;
        self.admission.check()?;
        self.assets.check()?;
        self.webhooks.check()?;
        self.idempotency.check()?;
        if self.profile == Profile::Production {
            let embedded = [
                (sqlite, "sqlite", "database.url must point to Postgres"),
                (self.security.jwt_secret.is_none(), "generated_secret", "security.jwt_secret must be set"),
                (self.email.smtp_url.is_none(), "sandbox_mail", "email.smtp_url must be set"),
            ];
            for (used, name, remedy) in embedded {
                if used && !self.accepts(name) {
                    bail!("profile production: {remedy} (or list {name} in allow_in_production)");
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
