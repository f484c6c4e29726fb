//! Settings of sign-in: tokens, passwords, throttling, OpenID Connect providers.

use std::time::Duration;

use anyhow::Context;
use documented::DocumentedFields;
use ipnet::IpNet;
use portico_runtime::settings::{
    Problems,
    sources::{duration, list, masked, masked_always, masked_list, secret_list},
};
use portico_security::WebauthnCeremonies;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use super::Settings;

/// Tokens and passwords.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Security {
    /// Secret that signs tokens, links and marks of devices; 32 characters or more. Default: generated once into `data_dir`.
    #[serde(serialize_with = "masked")]
    pub jwt_secret: Option<SecretString>,
    /// Earlier values of `jwt_secret`, separated by commas in the environment: what they signed stays valid until it expires.
    /// Default: none.
    #[serde(deserialize_with = "secret_list", serialize_with = "masked_list")]
    pub jwt_secret_previous: Vec<SecretString>,
    /// Secret that encrypts stored secrets (of webhooks and authenticator apps), and hashes recovery codes; 32 characters or
    /// more. Default: generated once into `data_dir`; where only `jwt_secret` is set, that one.
    #[serde(serialize_with = "masked")]
    pub sealing_secret: Option<SecretString>,
    /// Earlier values of `sealing_secret`, separated by commas in the environment: what they encrypted can be read until
    /// `portico secrets reseal` has encrypted it anew. `jwt_secret` and its earlier values count, too. Default: none.
    #[serde(deserialize_with = "secret_list", serialize_with = "masked_list")]
    pub sealing_secret_previous: Vec<SecretString>,
    /// Lifetime of an access token.
    #[serde(with = "duration")]
    pub access_token_ttl: Duration,
    /// Lifetime of a refresh token, and of an unused session.
    #[serde(with = "duration")]
    pub refresh_token_ttl: Duration,
    /// Maximum lifetime of a session, however much it is used.
    #[serde(with = "duration")]
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
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Throttle {
    /// How long a failure counts.
    #[serde(with = "duration")]
    pub window: Duration,
    /// Failures with one account from one network, or one known device, before the pauses begin.
    pub per_pair: u32,
    /// Failures from one network with any accounts.
    pub per_network: u32,
    /// Failures with one account from anywhere, after which only known devices and networks may sign in.
    pub per_account: u32,
    /// The first pause. Each further failure doubles it.
    #[serde(with = "duration")]
    pub first_pause: Duration,
    /// The longest pause.
    #[serde(with = "duration")]
    pub longest_pause: Duration,
}

/// An OpenID Connect provider.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct OidcProvider {
    /// Issuer identifier, exactly as the provider writes it; the discovery document is below it.
    pub issuer: String,
    /// Client id at the provider.
    pub client_id: String,
    /// Client secret at the provider.
    #[serde(serialize_with = "masked_always")]
    pub client_secret: SecretString,
    /// Name on a button. Default: the name of the provider.
    pub display_name: Option<String>,
    /// Scopes to request besides `openid`. Default: `email,profile`.
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
            jwt_secret_previous: Vec::new(),
            sealing_secret: None,
            sealing_secret_previous: Vec::new(),
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
    pub(super) fn check(&self, name: &str) -> Result<(), Problems> {
        let mut problems = Problems::default();
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !(1..=32).contains(&name.len()) || !name.chars().all(letters) {
            problems.add(format!("oidc.{name}: a name has 1 to 32 lower-case letters, digits and hyphens"));
        }
        let schemes = ["http", "https"];
        // OpenID Connect Core section 2.
        let fits = |url: &Url| {
            schemes.contains(&url.scheme())
                && url.has_host()
                && url.query().is_none()
                && url.fragment().is_none()
        };
        if !self.issuer.parse().is_ok_and(|issuer| fits(&issuer)) {
            problems.add(format!(
                "oidc.{name}.issuer must begin with https:// and have a host, and neither query nor fragment"
            ));
        }
        if self
            .redirect_uri
            .as_ref()
            .is_some_and(|uri| !schemes.contains(&uri.scheme()) || uri.fragment().is_some())
        {
            problems.add(format!("oidc.{name}.redirect_uri must begin with https:// and have no fragment"));
        }
        if self.client_id.is_empty() || self.client_secret.expose_secret().is_empty() {
            problems.add(format!("oidc.{name}: client_id and client_secret must be set"));
        }
        problems.into_result()
    }
}

impl Settings {
    /// The ceremonies of passkeys, which belong to a domain. An IP address is not one, so it is replaced by `localhost`, which
    /// a developer's browser uses.
    pub fn ceremonies(&self, public_url: &Url) -> anyhow::Result<WebauthnCeremonies> {
        let mut own = public_url.clone();
        if own.domain().is_none() {
            own.set_host(Some("localhost")).context("server.public_url")?;
        }
        let rp_id = self.security.webauthn_rp_id.as_deref().or(own.domain()).unwrap_or_default();
        let origins = match self.security.webauthn_origins.as_slice() {
            [] => vec![own.origin().ascii_serialization().parse().context("server.public_url")?],
            listed => listed.to_vec(),
        };
        WebauthnCeremonies::new(rp_id, &origins).map_err(|error| {
            anyhow::anyhow!(
                "security.webauthn_rp_id has to be the domain of every front end (security.webauthn_origins, or else \
                 server.public_url) or one above it: {error}"
            )
        })
    }
}
