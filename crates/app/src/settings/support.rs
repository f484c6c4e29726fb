//! Settings of support.

use std::{sync::Arc, time::Duration};

use documented::DocumentedFields;
use portico_feature_support::state::{DeskAddress, SupportRule};
use portico_identity::user::EmailAddress;
use portico_kernel::signing::LinkSigner;
use portico_runtime::settings::{
    Problems,
    sources::{duration, masked},
};
use portico_support::{priority::ReplyTargets, reply_address::ReplyAddresses};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// Fewest characters of the password of the mail provider.
const PASSWORD: usize = 16;

const HOUR: Duration = Duration::from_secs(3600);

/// Support tickets.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Support {
    /// Address that is told of tickets which nobody looks after, and of those that were not answered in time. Default: none.
    pub desk_email: Option<String>,
    /// Language of the messages to that address, BCP 47.
    pub desk_language: String,
    /// Domain whose mail the provider brings to `POST /api/v1/webhooks/inbound-mail`: tickets are answered at addresses of it. Default:
    /// none, messages cannot be answered by mail.
    pub reply_domain: Option<String>,
    /// Password that the mail provider shows, 16 characters or more. Default: none, no mail is taken.
    #[serde(serialize_with = "masked")]
    pub inbound_password: Option<SecretString>,
    /// Until when tickets of priority `low` are to be answered first, by the clock; `0s` is no target.
    #[serde(with = "duration")]
    pub target_low: Duration,
    /// The same for `medium`.
    #[serde(with = "duration")]
    pub target_medium: Duration,
    /// The same for `high`.
    #[serde(with = "duration")]
    pub target_high: Duration,
    /// The same for `urgent`.
    #[serde(with = "duration")]
    pub target_urgent: Duration,
}

impl Default for Support {
    fn default() -> Self {
        Self {
            desk_email: None,
            desk_language: "en".to_owned(),
            reply_domain: None,
            inbound_password: None,
            target_low: 72 * HOUR,
            target_medium: 24 * HOUR,
            target_high: 8 * HOUR,
            target_urgent: 2 * HOUR,
        }
    }
}

impl Support {
    /// Fails if a setting is invalid.
    pub(super) fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if self.desk_email.as_deref().is_some_and(|text| EmailAddress::parse(text).is_err()) {
            problems.add("support.desk_email must be an address such as support@example.com");
        }
        if let Some(domain) = &self.reply_domain {
            let is_domain = domain.contains('.')
                && domain.len() <= 190
                && EmailAddress::parse(&format!("reply@{domain}")).is_ok();
            if !is_domain {
                problems.add("support.reply_domain must be a domain such as reply.example.com");
            }
            // Else people would answer, and nobody would read it.
            if self.inbound_password.is_none() {
                problems.add("support.inbound_password must be set where support.reply_domain is");
            }
        }
        let is_short = |secret: &SecretString| secret.expose_secret().len() < PASSWORD;
        if self.inbound_password.as_ref().is_some_and(is_short) {
            problems.add("support.inbound_password must have 16 characters or more");
        }
        problems.into_result()
    }

    /// How support works, with a signer of the installation.
    pub fn rule(&self, signer: Arc<dyn LinkSigner>) -> SupportRule {
        let target =
            |target: Duration| time::Duration::try_from(target).ok().filter(|target| !target.is_zero());
        let desk = self.desk_email.as_deref().and_then(|text| EmailAddress::parse(text).ok());
        SupportRule {
            targets: ReplyTargets {
                low: target(self.target_low),
                medium: target(self.target_medium),
                high: target(self.target_high),
                urgent: target(self.target_urgent),
            },
            addresses: ReplyAddresses::new(signer, self.reply_domain.clone()),
            inbound_password: self.inbound_password.clone(),
            desk: desk.map(|email| DeskAddress { email, language: self.desk_language.clone() }),
        }
    }
}
