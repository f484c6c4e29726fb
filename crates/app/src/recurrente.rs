//! Where sites are paid: Recurrente, or its stand-in on the machine of a developer.

use std::sync::Arc;

use portico_billing::payment::PaymentProvider;
use portico_feature_billing::state::SaleSettings;
use portico_kernel::Env;
use portico_recurrente::{Recurrente, RecurrenteConfig, WebhookSecrets, stand_in::StandIn};

use crate::{
    outbound,
    payments::NoPayments,
    settings::{Profile, Settings},
};

/// Path of the pages of the stand-in.
pub const PAGES: &str = "/dev/recurrente";

/// What the settings lead to.
pub struct SitePayments {
    /// Where sites are paid.
    pub provider: Arc<dyn PaymentProvider>,
    /// The stand-in, where it is used.
    pub stand_in: Option<StandIn>,
    /// Whether real money is moved.
    pub live: bool,
}

/// The provider of the settings, for a server at this address. Without keys it is the stand-in in development, and in production
/// nothing can be paid: a site must not be given away for nothing.
///
/// # Errors
/// For settings that [`Settings::check`] would have refused.
pub fn from_settings(settings: &Settings, public_url: &str, env: &Env) -> anyhow::Result<SitePayments> {
    let set = &settings.recurrente;
    if !settings.payments.enabled {
        return Ok(SitePayments { provider: Arc::new(NoPayments), stand_in: None, live: false });
    }
    if let Some(config) = config(settings) {
        let (live, secrets) = (config.is_live(), WebhookSecrets::new(&set.webhook_secrets)?);
        let provider = Recurrente::new(config, secrets, outbound::for_recurrente(settings), env.clone());
        return Ok(SitePayments { provider: Arc::new(provider), stand_in: None, live });
    }
    if settings.profile == Profile::Production {
        return Ok(SitePayments { provider: Arc::new(NoPayments), stand_in: None, live: false });
    }
    let pages = format!("{}{PAGES}", public_url.trim_end_matches('/'));
    let stand_in = StandIn::new(settings.data_dir.join("recurrente.json"), pages, env.clone())?;
    let stand_in = match set.webhook_secrets.is_empty() {
        true => stand_in,
        false => stand_in.signing_with(WebhookSecrets::new(&set.webhook_secrets)?),
    };
    let provider =
        Recurrente::new(StandIn::config(), stand_in.secrets(), Arc::new(stand_in.clone()), env.clone());
    Ok(SitePayments { provider: Arc::new(provider), stand_in: Some(stand_in), live: false })
}

/// The keys of the settings, where they name both.
fn config(settings: &Settings) -> Option<RecurrenteConfig> {
    let set = &settings.recurrente;
    Some(RecurrenteConfig {
        base_url: set.base_url.clone(),
        public_key: set.public_key.clone()?,
        secret_key: set.secret_key.clone()?,
        headers: set.headers,
    })
}

/// Whether real money is moved for sites: by the keys.
pub fn is_live(settings: &Settings) -> bool {
    settings.payments.enabled && settings.recurrente.is_live()
}

/// How sites are sold. `site_url` is the address of a site with `{subdomain}` in it.
pub fn sale_settings(settings: &Settings, live: bool, site_url: String) -> Arc<SaleSettings> {
    Arc::new(SaleSettings { live, return_url: settings.recurrente.return_url.clone(), site_url })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn payments(pairs: &[(&str, &str)]) -> SitePayments {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let settings = Settings::from_sources("", pairs.collect::<HashMap<_, _>>()).unwrap();
        from_settings(&settings, "http://127.0.0.1:7600/", &portico_security::system_env()).unwrap()
    }

    #[test]
    fn the_stand_in_is_for_development_only() {
        assert!(payments(&[]).stand_in.is_some());
        let production = [
            ("PORTICO_PROFILE", "production"),
            (
                "PORTICO__ALLOW_IN_PRODUCTION",
                "sqlite,generated_secret,sandbox_mail,sandbox_payments,plain_http",
            ),
        ];
        assert!(payments(&production).stand_in.is_none());
        for (mode, live) in [("test", false), ("live", true)] {
            let (public, secret) = (format!("pk_{mode}_1"), format!("sk_{mode}_2"));
            let set = payments(&[
                ("PORTICO__RECURRENTE__PUBLIC_KEY", &public),
                ("PORTICO__RECURRENTE__SECRET_KEY", &secret),
                ("PORTICO__RECURRENTE__WEBHOOK_SECRETS", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            ]);
            assert!(set.stand_in.is_none());
            assert_eq!(set.live, live);
        }
    }
}
