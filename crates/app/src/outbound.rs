//! Outbound HTTP clients: the destinations allowed for each purpose, by the settings.

use std::{sync::Arc, time::Duration};

use portico_kernel::http::HttpClient;
use portico_outbound::{Bounds, GuardedClient, Purpose, Rules};

use crate::settings::{OidcProvider, Settings};

/// Timeout of a call of Stripe. Its own libraries wait longer, but a buyer waits for this one.
const STRIPE_PATIENCE: Duration = Duration::from_secs(20);

/// For webhooks. Customers choose these URLs, so networks allowed for the operator's URLs are not allowed here.
pub fn for_webhooks(settings: &Settings) -> Arc<dyn HttpClient> {
    let webhooks = &settings.webhooks;
    let rules = Rules::new(Purpose::Webhooks)
        .networks(&webhooks.allow_networks)
        .ports(webhooks.allow_ports.iter().copied())
        .unencrypted(webhooks.allow_http);
    client(rules, Bounds::default())
}

/// For an identity provider. Its issuer may use any port.
pub fn for_provider(settings: &Settings, provider: &OidcProvider) -> Arc<dyn HttpClient> {
    let issuer = provider.issuer.parse::<url::Url>().ok().and_then(|url| url.port());
    let rules = Rules::new(Purpose::OpenId)
        .networks(&settings.outbound.allow_networks)
        .networks(&provider.allow_networks)
        .ports(issuer);
    client(rules, Bounds::default())
}

/// For the text generator, which has the longest timeout. It may use any port.
pub fn for_ai(settings: &Settings) -> Arc<dyn HttpClient> {
    let ai = &settings.ai;
    let rules = Rules::new(Purpose::Ai)
        .networks(&settings.outbound.allow_networks)
        .networks(&ai.allow_networks)
        .ports(ai.base_url.as_ref().and_then(|url| url.port()));
    client(rules, Bounds { total: ai.timeout, ..Bounds::default() })
}

/// For Stripe, or what stands in for it, which may use any port.
pub fn for_stripe(settings: &Settings) -> Arc<dyn HttpClient> {
    let rules = Rules::new(Purpose::Payments)
        .networks(&settings.outbound.allow_networks)
        .ports(settings.stripe.base_url.as_ref().and_then(|url| url.port()));
    client(rules, Bounds { total: STRIPE_PATIENCE, ..Bounds::default() })
}

/// For Recurrente. It may use any port.
pub fn for_recurrente(settings: &Settings) -> Arc<dyn HttpClient> {
    let base = settings.recurrente.base_url.parse::<url::Url>().ok();
    let rules = Rules::new(Purpose::Payments)
        .networks(&settings.outbound.allow_networks)
        .ports(base.and_then(|url| url.port()));
    client(rules, Bounds::default())
}

/// For the trace collector.
pub fn for_telemetry() -> Arc<dyn HttpClient> {
    client(Rules::new(Purpose::Telemetry), Bounds::default())
}

fn client(rules: Rules, bounds: Bounds) -> Arc<dyn HttpClient> {
    Arc::new(GuardedClient::new(rules, bounds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_for_one_purpose_is_not_for_another() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let from = |pairs: &[(&str, &str)]| {
            let mut all = vec![
                ("PORTICO__OIDC__OWN__ISSUER", "https://id.example.com:9443"),
                ("PORTICO__OIDC__OWN__CLIENT_ID", "1"),
                ("PORTICO__OIDC__OWN__CLIENT_SECRET", "2"),
                ("PORTICO__AI__BASE_URL", "https://ai.example.com:9444"),
                ("PORTICO__AI__MODEL", "m"),
                ("PORTICO__STRIPE__SECRET_KEY", "sk_test_3"),
                ("PORTICO__STRIPE__WEBHOOK_SECRETS", "whsec_4"),
                ("PORTICO__STRIPE__BASE_URL", "https://pay.example.com:9445"),
            ];
            all.extend_from_slice(pairs);
            let environment = all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Settings::from_sources("", environment.collect()).unwrap()
        };
        let admitted = |settings: &Settings, url: &str| {
            let clients = [
                for_webhooks(settings),
                for_provider(settings, &settings.oidc["own"]),
                for_ai(settings),
                for_telemetry(),
                for_stripe(settings),
            ];
            clients.map(|client| client.admits(url).is_ok())
        };
        let inside = "http://10.1.2.3:8080/";
        for (setting, expected) in [
            (None, [false, false, false, true, false]),
            (Some("PORTICO__OUTBOUND__ALLOW_NETWORKS"), [false, true, true, true, true]),
            (Some("PORTICO__WEBHOOKS__ALLOW_NETWORKS"), [true, false, false, true, false]),
            (Some("PORTICO__OIDC__OWN__ALLOW_NETWORKS"), [false, true, false, true, false]),
            (Some("PORTICO__AI__ALLOW_NETWORKS"), [false, false, true, true, false]),
        ] {
            let pairs: Vec<_> = setting.map(|setting| (setting, "10.0.0.0/8")).into_iter().collect();
            assert_eq!(admitted(&from(&pairs), inside), expected, "{setting:?}");
            assert_eq!(admitted(&from(&pairs), "https://93.184.215.14/"), [true; 5], "{setting:?}");
            assert!(!admitted(&from(&pairs), "http://169.254.169.254/")[0], "{setting:?}");
        }
        let public = |port: u16| format!("https://93.184.215.14:{port}/");
        assert_eq!(admitted(&from(&[]), &public(9443)), [false, true, false, true, false]);
        assert_eq!(admitted(&from(&[]), &public(9444)), [false, false, true, true, false]);
        assert_eq!(admitted(&from(&[]), &public(9445)), [false, false, false, true, true]);
        let more = from(&[("PORTICO__WEBHOOKS__ALLOW_PORTS", "9446, 9447")]);
        assert_eq!(admitted(&more, &public(9446)), [true, false, false, true, false]);
        assert!(!admitted(&more, "http://93.184.215.14/")[0]);
        let plain = from(&[("PORTICO__WEBHOOKS__ALLOW_HTTP", "true")]);
        assert_eq!(admitted(&plain, "http://93.184.215.14/"), [true, false, false, true, false]);
    }
}
