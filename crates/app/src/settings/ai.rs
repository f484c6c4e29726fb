//! Settings of the writer of texts.

use std::time::Duration;

use anyhow::bail;
use ipnet::IpNet;
use portico_runtime::settings::sources::{duration, list};
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

/// The writer of texts: any server that speaks the chat completions API of OpenAI.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ai {
    /// Where its API begins, for instance `https://api.openai.com/v1`. Default: none, the sandbox writer works offline.
    pub base_url: Option<Url>,
    /// The model to ask for.
    pub model: Option<String>,
    /// What we show there. A server of one's own may want none.
    pub api_key: Option<SecretString>,
    /// Networks that may be called for it although they are not public, also without encryption. Default: none.
    #[serde(deserialize_with = "list")]
    pub allow_networks: Vec<IpNet>,
    /// How long one text may take, all attempts together.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// Most tokens of one answer.
    pub max_output_tokens: u32,
    /// Attempts at one answer when the server is overloaded or fails.
    pub max_attempts: u32,
    /// Tokens that all tenants together may use up in a calendar month (UTC). Default: no limit.
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
    /// Most tokens of what we send in one request. Our texts are bounded in bytes, and a token has about four of them.
    const INPUT_TOKENS: u64 = 20_000;

    /// Most tokens that one text takes: two answers, because one is asked for again when it cannot be used.
    pub fn most_tokens(&self) -> u64 {
        2 * (Self::INPUT_TOKENS + u64::from(self.max_output_tokens))
    }

    /// Errors with what is wrong.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let Some(url) = &self.base_url else {
            if self.model.is_some() || self.api_key.is_some() {
                bail!("ai.base_url must be set where ai.model or ai.api_key is");
            }
            return Ok(());
        };
        if !["http", "https"].contains(&url.scheme()) || !url.has_host() || url.query().is_some() {
            bail!("ai.base_url must begin with https:// and have no query");
        }
        if !url.username().is_empty() || url.password().is_some() {
            bail!("ai.base_url must hold no password; that is what ai.api_key is for");
        }
        if self.model.as_deref().is_none_or(|model| model.trim().is_empty()) {
            bail!("ai.model must be set where ai.base_url is");
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(600)).contains(&self.timeout) {
            bail!("ai.timeout must be between one second and ten minutes");
        }
        if !(100..=32_000).contains(&self.max_output_tokens) || !(1..=10).contains(&self.max_attempts) {
            bail!("ai.max_output_tokens must be 100 to 32000, and ai.max_attempts 1 to 10");
        }
        Ok(())
    }
}
