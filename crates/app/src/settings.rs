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
mod proxies;
mod redis;
mod security;

pub use ai::Ai;
pub use domains::Dns;
pub use files::Storage;
pub use portico_feature_sites::settings::{Assets, Sites};
pub use portico_feature_tenancy::settings::Tenancy;
pub use portico_runtime::settings::{Idempotency, Live, Telemetry, Webhooks, Worker};
pub use portico_web::settings::{Admission, PlanLimits, RateLimit, Server};
pub use proxies::Metrics;
pub use redis::Redis;
pub use security::{OidcProvider, Security, Throttle};

/// Where this runs; decides how forgiving the start is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// On a developer's machine: embedded parts, readable logs.
    #[default]
    Development,
    /// In production: embedded parts, sandbox adapters and generated secrets are refused.
    Production,
}

/// All settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where this runs.
    pub profile: Profile,
    /// Folder of everything that embedded parts keep.
    pub data_dir: PathBuf,
    /// Embedded parts that production is told to accept: `sqlite`, `generated_secret`, `sandbox_mail`,
    /// `sandbox_ai`.
    #[serde(deserialize_with = "list")]
    pub allow_in_production: Vec<String>,
    /// HTTP server.
    pub server: Server,
    /// How much is done at once.
    pub admission: Admission,
    /// Browser front ends.
    pub cors: Cors,
    /// Database.
    pub database: Database,
    /// Rate limits.
    pub rate_limit: RateLimit,
    /// Object storage.
    pub storage: Storage,
    /// Files that tenants upload.
    pub assets: Assets,
    /// Redis, or Valkey.
    pub redis: Redis,
    /// Email.
    pub email: Email,
    /// Tokens and passwords.
    pub security: Security,
    /// Sign-in from elsewhere: OpenID Connect providers by the name that they have in paths.
    pub oidc: BTreeMap<String, OidcProvider>,
    /// Writer of texts.
    pub ai: Ai,
    /// Calls to servers that the operator chose.
    pub outbound: Outbound,
    /// Asking the DNS about customers' domains.
    pub dns: Dns,
    /// Published sites.
    pub sites: Sites,
    /// Tenants.
    pub tenancy: Tenancy,
    /// Audit trail.
    pub audit: Audit,
    /// Live updates.
    pub live: Live,
    /// Requests that may be sent again under a key.
    pub idempotency: Idempotency,
    /// Webhooks.
    pub webhooks: Webhooks,
    /// Background jobs.
    pub worker: Worker,
    /// Traces.
    pub telemetry: Telemetry,
    /// Who may read the metrics.
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
    /// Most connections at once. Default: 20 to Postgres, 4 readers of SQLite.
    pub max_connections: Option<u32>,
    /// How long to wait for the answer to a statement before it is given up and answered with 503.
    #[serde(deserialize_with = "duration")]
    pub statement_timeout: Duration,
    /// A statement that takes as long is written to the log, without its values; 0s writes none.
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
    /// Messages that one recipient gets in an hour of those that anybody can cause (links to verify an address, invitations), and
    /// as many links for a new password.
    pub per_recipient_per_hour: u32,
    /// Messages that one recipient gets in an hour about their account, as many about their tenants, and as many from visitors.
    pub notices_per_recipient_per_hour: u32,
}

impl Email {
    /// How many messages a recipient gets.
    pub fn rule(&self) -> MailRule {
        MailRule {
            anybody: Quota::per_hour(self.per_recipient_per_hour),
            notices: Quota::per_hour(self.notices_per_recipient_per_hour),
        }
    }
}

/// Calls to servers that the operator chose.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outbound {
    /// Networks that may be called for the writer of texts and for every identity provider although they are not public, also
    /// without encryption; not for webhooks. Default: none.
    #[serde(deserialize_with = "list")]
    pub allow_networks: Vec<IpNet>,
}

/// Audit trail.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// How long entries are kept, where the tenant does not say; 0s keeps them for ever.
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

    /// Reads settings from the text of a TOML file and from environment variables, and checks them.
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

    /// What works without HTTP goes by these.
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

    /// Sites go by these.
    pub fn of_sites(&self) -> portico_feature_sites::state::Settings {
        portico_feature_sites::state::Settings {
            sites: self.sites.clone(),
            assets: self.assets.clone(),
            data_dir: self.data_dir.clone(),
            tokens_per_text: self.ai.most_tokens(),
            tokens_per_month: self.ai.monthly_token_limit,
        }
    }

    /// Address of the database.
    pub fn database_url(&self) -> SecretString {
        match &self.database.url {
            Some(url) => url.clone(),
            None => format!("sqlite://{}", self.data_dir.join("portico.db").display()).into(),
        }
    }

    /// How long to answer after SIGTERM what still comes.
    pub fn drain_delay(&self) -> Duration {
        let usual = match self.profile {
            Profile::Development => Duration::ZERO,
            Profile::Production => Duration::from_secs(5),
        };
        self.server.drain_delay.unwrap_or(usual)
    }

    /// Whether that is Postgres, and not SQLite.
    pub fn is_postgres(&self) -> bool {
        let url = self.database_url();
        ["postgres://", "postgresql://"].iter().any(|scheme| url.expose_secret().starts_with(scheme))
    }

    /// Whether production is told to accept an embedded part of this name.
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
