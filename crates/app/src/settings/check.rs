//! Validation of the settings: the one of `config check`, and of every command that uses them.

use std::{net::SocketAddr, time::Duration};

use portico_email::SmtpTransport;
use portico_runtime::settings::Problems;
use portico_security::Argon2Hasher;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{Cors, Database, Email, Profile, Security, Settings};

/// What `allow_in_production` may list.
const ALLOWANCES: [&str; 6] =
    ["sqlite", "generated_secret", "sandbox_mail", "sandbox_ai", "sandbox_payments", "plain_http"];

/// The least length of a secret, in characters.
pub(super) const SECRET: usize = 32;

impl Settings {
    /// Errors with everything that is wrong.
    pub(super) fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if self.data_dir.as_os_str().is_empty() {
            problems.add("data_dir must be a directory such as ./data");
        }
        if let Some(odd) = self.allow_in_production.iter().find(|name| !ALLOWANCES.contains(&name.as_str())) {
            problems.add(format!("allow_in_production: {odd:?} is none of {}", ALLOWANCES.join(", ")));
        }
        problems.note(self.server.check());
        problems.note(self.admission.check());
        problems.note(self.cors.check());
        problems.note(self.database.check());
        problems.note(self.rate_limit.check());
        problems.note(self.redis.check());
        problems.note(self.storage.check());
        problems.note(self.assets.check());
        problems.note(self.email.check());
        problems.note(self.links.check());
        problems.note(self.security.check());
        // With the port that is set: a free one (0) changes nothing here.
        let address = SocketAddr::new(self.server.host, self.server.port);
        if let Ok(public) = self.public_url(address).parse::<Url>() {
            problems.note(self.ceremonies(&public));
        }
        for (name, provider) in &self.oidc {
            problems.note(provider.check(name));
        }
        problems.note(self.ai.check());
        problems.note(self.payments.check());
        problems.note(self.billing.check());
        problems.note(self.stripe.check());
        problems.note(self.licensing.check());
        problems.note(self.downloads.check());
        problems.note(self.clamav.check());
        problems.note(self.recurrente.check());
        if self.dns.timeout.is_zero() {
            problems.add("dns.timeout must be longer than 0s");
        }
        problems.note(self.sites.check());
        problems.note(self.support.check());
        problems.note(self.live.check());
        problems.note(self.webhooks.check());
        problems.note(self.idempotency.check());
        if self.worker.concurrency == 0 {
            problems.add("worker.concurrency must be 1 or more");
        }
        if self.worker.lease < Duration::from_secs(1) || self.worker.poll.is_zero() {
            problems.add("worker.lease must be one second or more, and worker.poll longer than 0s");
        }
        problems.note(self.telemetry.check());
        problems.note(self.metrics.check(&self.server.trusted_proxies));
        if self.metrics.port.is_some_and(|port| port != 0 && port == self.server.port) {
            problems.add("metrics.port must be another port than server.port");
        }
        if self.profile == Profile::Production {
            self.check_production(&mut problems, address);
        }
        problems.into_result()
    }

    /// What is made for development needs permission.
    fn check_production(&self, problems: &mut Problems, address: SocketAddr) {
        let generates = self.security.jwt_secret.is_none();
        let is_plain = self.public_url(address).starts_with("http:");
        let pays_nowhere = self.payments.enabled && self.stripe.secret_key.is_none();
        let sells_sites = self.payments.enabled && self.recurrente.secret_key.is_some();
        let mixes_modes = sells_sites && !pays_nowhere && self.stripe.is_live() != self.recurrente.is_live();
        for (used, name, remedy) in [
            (!self.is_postgres(), "sqlite", "database.url must point to Postgres"),
            (generates, "generated_secret", "security.jwt_secret must be set"),
            (self.email.smtp_url.is_none(), "sandbox_mail", "email.smtp_url must be set"),
            (pays_nowhere, "sandbox_payments", "stripe.secret_key must be set, or payments.enabled be false"),
            (
                mixes_modes,
                "sandbox_payments",
                "stripe.secret_key and recurrente.secret_key must be of the same mode, test or live",
            ),
            (is_plain, "plain_http", "server.public_url must begin with https://"),
        ] {
            if used && !self.accepts(name) {
                problems.add(format!("profile production: {remedy} (or list {name} in allow_in_production)"));
            }
        }
    }
}

/// Whether a text is an origin. Browsers send it in exactly this form (RFC 6454 section 6.2), and it is compared as text.
pub(super) fn is_origin(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text
    })
}

impl Cors {
    fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        for origin in self.origins.iter().filter(|origin| !is_origin(origin)) {
            problems.add(format!(
                "cors.origins: {origin:?} is not an origin such as https://app.example.com (scheme and host, a port where it is \
                 not the usual one, no path)"
            ));
        }
        problems.into_result()
    }
}

impl Database {
    fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if let Some(url) = &self.url {
            problems.note(
                portico_sql::check_url(url.expose_secret()).map_err(|why| format!("database.url {why}")),
            );
        }
        if self.max_connections == Some(0) {
            problems.add("database.max_connections must be 1 or more");
        }
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        if !(second..=minute).contains(&self.statement_timeout) {
            problems.add("database.statement_timeout must be between 1 second and 1 minute");
        }
        problems.into_result()
    }
}

impl Email {
    fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if let Some(url) = &self.smtp_url
            && let Err(why) = SmtpTransport::check_url(url.expose_secret())
        {
            problems.add(format!(
                "email.smtp_url must be like smtps://user:password@smtp.example.com or smtp://localhost:1025 ({why})"
            ));
        }
        if let Err(why) = SmtpTransport::check_sender(&self.from) {
            problems.add(format!("email.from must be like Example <no-reply@example.com> ({why})"));
        }
        if self.per_recipient_per_hour == 0 || self.notices_per_recipient_per_hour == 0 {
            problems.add(
                "email.per_recipient_per_hour and email.notices_per_recipient_per_hour must be 1 or more",
            );
        }
        problems.into_result()
    }
}

impl Security {
    fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        let is_short = |secret: &SecretString| secret.expose_secret().len() < SECRET;
        for (name, is_wrong) in [
            ("jwt_secret", self.jwt_secret.as_ref().is_some_and(is_short)),
            ("jwt_secret_previous", self.jwt_secret_previous.iter().any(is_short)),
            ("sealing_secret", self.sealing_secret.as_ref().is_some_and(is_short)),
            ("sealing_secret_previous", self.sealing_secret_previous.iter().any(is_short)),
        ] {
            if is_wrong {
                problems.add(format!(
                    "security.{name} must have 32 characters or more, for instance those of `openssl rand -hex 32`"
                ));
            }
        }
        if self.access_token_ttl.is_zero()
            || self.refresh_token_ttl.is_zero()
            || self.session_max_age.is_zero()
        {
            problems.add(
                "security.access_token_ttl, security.refresh_token_ttl and security.session_max_age must be longer than 0s",
            );
        }
        if !(8..=128).contains(&self.password_min_length) {
            problems.add("security.password_min_length must be between 8 and 128");
        }
        if self.password_min_score > 4 {
            problems.add("security.password_min_score must be between 0 and 4");
        }
        let throttle = &self.throttle;
        if throttle.per_pair == 0 || throttle.per_network == 0 || throttle.per_account == 0 {
            problems.add("security.throttle: per_pair, per_network and per_account must be 1 or more");
        }
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));
        if !(second..=day).contains(&throttle.window) || throttle.longest_pause > throttle.window {
            problems
                .add("security.throttle: window must be one second to one day, and longest_pause not longer");
        }
        if Argon2Hasher::new(self.argon2_memory_kib, self.argon2_passes).is_err() {
            problems
                .add("security.argon2_memory_kib must be 8 or more, and security.argon2_passes 1 or more");
        }
        problems.into_result()
    }
}
