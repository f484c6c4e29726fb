//! The port `ContentGenerator`: the contract of every implementation, and how the real one handles faulty servers.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test as the test itself would")]

mod contract;
mod misbehaviour;
mod server;

use std::{sync::Arc, time::Duration};

use portico_ai::{ChatConfig, ChatWriter};
use portico_outbound::{Bounds, GuardedClient, Purpose, Rules};
use portico_security::system_env;
use portico_sites::ports::BusinessInfo;

/// A generator at this server, through the production HTTP client.
pub fn writer(server: &server::Server, adjust: impl FnOnce(&mut ChatConfig)) -> ChatWriter {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut config = ChatConfig {
        base_url: server.url(),
        model: "test-model".to_owned(),
        api_key: Some(server::KEY.to_owned().into()),
        timeout: Duration::from_secs(10),
        max_output_tokens: 1000,
        max_attempts: 3,
    };
    adjust(&mut config);
    let bounds = Bounds { total: config.timeout, body: 64 * 1024, ..Bounds::default() };
    let rules = Rules::new(Purpose::Ai).networks([&"127.0.0.0/8".parse().unwrap()]);
    let client = GuardedClient::new(rules, bounds);
    ChatWriter::new(config, Arc::new(client), system_env())
}

/// A business with some facts.
pub fn business() -> BusinessInfo {
    BusinessInfo {
        name: "Luz".to_owned(),
        industry: Some("bakery".to_owned()),
        description: Some("We bake bread. See https://luz.example/menu".to_owned()),
        location: Some("Antigua Guatemala".to_owned()),
        ..BusinessInfo::default()
    }
}
