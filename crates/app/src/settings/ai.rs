//! Settings of the text generator.

use std::time::Duration;

use documented::DocumentedFields;
use ipnet::IpNet;
use portico_runtime::settings::{
    Problems,
    sources::{duration, list, masked},
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

/// The text generator: any server with the chat completions API of OpenAI.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Ai {
    /// Base URL of its API, for instance `https://api.openai.com/v1`. In production without it
    /// `/ai/…` answers 503, unless `allow_in_production` lists `sandbox_ai`. Default: none, the sandbox generator works offline.
    pub base_url: Option<Url>,
    /// Name of the model.
    pub model: Option<String>,
    /// API key. A self-hosted server may need none.
    #[serde(serialize_with = "masked")]
    pub api_key: Option<SecretString>,
    /// Networks that may be called for it although they are not public, also without TLS. Default: none.
    #[serde(deserialize_with = "list")]
    pub allow_networks: Vec<IpNet>,
    /// Timeout of one text, all attempts together.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Maximum tokens of one answer.
    pub max_output_tokens: u32,
    /// Maximum attempts at one answer when the server is overloaded or fails.
    pub max_attempts: u32,
    /// Tokens that all tenants together may use in a calendar month (UTC). Default: no limit.
    pub monthly_token_limit: Option<u64>,
}

impl Default for Ai {
    fn default() -> Self {
        Self {
            base_url: None,
            model: None,
            api_key: None,
            allow_networks: Vec::new(),
            timeout: Duration::from_secs(90),
            max_output_tokens: 4000,
            max_attempts: 3,
            monthly_token_limit: None,
        }
    }
}

impl Ai {
    /// Maximum tokens of our input in one request. Our texts are bounded in bytes, about four for each token.
    const INPUT_TOKENS: u64 = 20_000;

    /// Maximum tokens of one text: two answers, because an unusable one is requested again.
    pub fn most_tokens(&self) -> u64 {
        2 * (Self::INPUT_TOKENS + u64::from(self.max_output_tokens))
    }

    /// Fails if a setting is invalid.
    pub(super) fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        let Some(url) = &self.base_url else {
            if self.model.is_some() || self.api_key.is_some() {
                problems.add("ai.base_url must be set where ai.model or ai.api_key is");
            }
            return problems.into_result();
        };
        if !["http", "https"].contains(&url.scheme()) || !url.has_host() || url.query().is_some() {
            problems.add("ai.base_url must begin with https:// and have no query");
        }
        if !url.username().is_empty() || url.password().is_some() {
            problems.add("ai.base_url must hold no password; that is what ai.api_key is for");
        }
        if self.model.as_deref().is_none_or(|model| model.trim().is_empty()) {
            problems.add("ai.model must be set where ai.base_url is");
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(600)).contains(&self.timeout) {
            problems.add("ai.timeout must be between one second and ten minutes");
        }
        if !(100..=32_000).contains(&self.max_output_tokens) || !(1..=10).contains(&self.max_attempts) {
            problems.add("ai.max_output_tokens must be 100 to 32000, and ai.max_attempts 1 to 10");
        }
        problems.into_result()
    }
}
