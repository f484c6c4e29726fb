//! Settings of sign-in: tokens, passwords, throttling, OpenID Connect providers.

use std::time::Duration;

use anyhow::{Context, bail};
use ipnet::IpNet;
use portico_runtime::settings::sources::{duration, list};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

/// Tokens and passwords.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Security {
    /// Secret from which keys are derived, for instance for tokens; 32 characters or more. Default: generated once into
    /// `data_dir`.
    pub jwt_secret: Option<SecretString>,
    /// Lifetime of an access token.
    #[serde(deserialize_with = "duration")]
    pub access_token_ttl: Duration,
    /// Lifetime of a refresh token, and of an unused session.
    #[serde(deserialize_with = "duration")]
    pub refresh_token_ttl: Duration,
    /// Maximum lifetime of a session, however much it is used.
    #[serde(deserialize_with = "duration")]
    pub session_max_age: Duration,
    /// Minimum length of a password, in characters.
    pub password_min_length: usize,
    /// Whether a password needs an upper-case letter.
    pub password_uppercase: bool,
    /// Whether a password needs a lower-case letter.
    pub password_lowercase: bool,
    /// Whether a password needs a digit.
    pub password_digit: bool,
    /// Whether a password needs a character that is neither letter nor digit.
    pub password_special: bool,
    /// Minimum strength of a password: the score of zxcvbn, 0 (anything) to 4.
    pub password_min_score: u8,
    /// Limits on wrong guesses at credentials.
    pub throttle: Throttle,
    /// Domain that passkeys belong to (WebAuthn relying party); all front ends must be there or below it. Default: the host of
    /// `server.public_url`, or `localhost` where that is an address.
    pub webauthn_rp_id: Option<String>,
    /// Origins of front ends that passkeys are used on. Default: that of `server.public_url`.
    #[serde(deserialize_with = "list")]
    pub webauthn_origins: Vec<Url>,
    /// Memory of one password hash, in KiB.
    pub argon2_memory_kib: u32,
    /// Passes of one password hash.
    pub argon2_passes: u32,
}

/// Limits on wrong guesses at credentials. They cannot be disabled: a load test that needs it sets high numbers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Throttle {
    /// How long a failure counts.
    #[serde(deserialize_with = "duration")]
    pub window: Duration,
    /// Failures with one account from one network, or one known device, before the pauses begin.
    pub per_pair: u32,
    /// Failures from one network with any accounts.
    pub per_network: u32,
    /// Failures with one account from anywhere, after which only known devices and networks may sign in.
    pub per_account: u32,
    /// The first pause. Each further failure doubles it.
    #[serde(deserialize_with = "duration")]
    pub first_pause: Duration,
    /// The longest pause.
    #[serde(deserialize_with = "duration")]
    pub longest_pause: Duration,
}

/// An OpenID Connect provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcProvider {
    /// Issuer identifier, exactly as the provider writes it; the discovery document is below it.
    pub issuer: String,
    /// Client id at the provider.
    pub client_id: String,
    /// Client secret at the provider.
    pub client_secret: SecretString,
    /// Name on a button. Default: the name of the provider.
    pub display_name: Option<String>,
    /// Scopes to request besides `openid`.
    #[serde(deserialize_with = "list", default = "default_scopes")]
    pub scopes: Vec<String>,
    /// Page that the provider sends the browser back to. Default: `{server.public_url}/auth/callback`.
    pub redirect_uri: Option<Url>,
    /// Networks that may be called for this provider although they are not public, also without TLS. Default: none.
    #[serde(deserialize_with = "list", default)]
    pub allow_networks: Vec<IpNet>,
    /// Whether `email_verified` counts also as the text `"true"`, which some providers send against OpenID Connect Core
    /// section 5.1. Default: no.
    #[serde(default)]
    pub email_verified_as_text: bool,
}

impl Default for Security {
    fn default() -> Self {
        Self {
            jwt_secret: None,
            access_token_ttl: Duration::from_secs(15 * 60),
            refresh_token_ttl: Duration::from_secs(7 * 24 * 3600),
            session_max_age: Duration::from_secs(90 * 24 * 3600),
            password_min_length: 8,
            password_uppercase: true,
            password_lowercase: true,
            password_digit: true,
            password_special: true,
            password_min_score: 3,
            throttle: Throttle::default(),
            webauthn_rp_id: None,
            webauthn_origins: Vec::new(),
            argon2_memory_kib: 19 * 1024,
            argon2_passes: 2,
        }
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(3600),
            per_pair: 5,
            per_network: 50,
            per_account: 100,
            first_pause: Duration::from_secs(30),
            longest_pause: Duration::from_secs(15 * 60),
        }
    }
}

fn default_scopes() -> Vec<String> {
    vec!["email".into(), "profile".into()]
}

impl OidcProvider {
    /// Fails if a setting is invalid.
    pub(super) fn check(&self, name: &str) -> anyhow::Result<()> {
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !(1..=32).contains(&name.len()) || !name.chars().all(letters) {
            bail!("oidc.{name}: a name has 1 to 32 lower-case letters, digits and hyphens");
        }
        let issuer: Url = self.issuer.parse().with_context(|| format!("oidc.{name}.issuer"))?;
        // OpenID Connect Core section 2.
        if !issuer.has_host() || issuer.query().is_some() || issuer.fragment().is_some() {
            bail!("oidc.{name}.issuer must have a host, and neither query nor fragment");
        }
        let schemes = ["http", "https"];
        if !schemes.contains(&issuer.scheme()) {
            bail!("oidc.{name}.issuer must begin with https://");
        }
        if self
            .redirect_uri
            .as_ref()
            .is_some_and(|uri| !schemes.contains(&uri.scheme()) || uri.fragment().is_some())
        {
            bail!("oidc.{name}.redirect_uri must begin with https:// and have no fragment");
        }
        if self.client_id.is_empty() || self.client_secret.expose_secret().is_empty() {
            bail!("oidc.{name}: client_id and client_secret must be set");
        }
        Ok(())
    }
}
