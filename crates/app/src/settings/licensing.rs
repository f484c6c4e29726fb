//! Settings of licenses.

use documented::DocumentedFields;
use portico_runtime::settings::{
    Problems,
    sources::{masked, masked_list, secret_list},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::check::SECRET;

/// Licenses.
#[derive(Clone, Debug, Default, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Licensing {
    /// Secret that license files are signed with, 32 characters or more. Products that were sold have its public key built in, so it
    /// stays. Default: generated once into `data_dir`; in production none, and no files are made, unless `allow_in_production` has
    /// `generated_secret`.
    #[serde(serialize_with = "masked")]
    pub signing_secret: Option<SecretString>,
    /// Earlier values of `signing_secret`, separated by commas in the environment: their public keys are still listed. Default: none.
    #[serde(deserialize_with = "secret_list", serialize_with = "masked_list")]
    pub signing_secret_previous: Vec<SecretString>,
}

impl Licensing {
    /// Fails if a setting is invalid.
    pub(super) fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        let is_short = |secret: &SecretString| secret.expose_secret().len() < SECRET;
        for (name, is_wrong) in [
            ("signing_secret", self.signing_secret.as_ref().is_some_and(is_short)),
            ("signing_secret_previous", self.signing_secret_previous.iter().any(is_short)),
        ] {
            if is_wrong {
                problems.add(format!(
                    "licensing.{name} must have 32 characters or more, for instance those of `openssl rand -hex 32`"
                ));
            }
        }
        problems.into_result()
    }
}
