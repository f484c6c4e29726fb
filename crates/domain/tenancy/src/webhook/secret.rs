//! The secrets that deliveries are signed with.

use base64::{Engine, engine::general_purpose::STANDARD};
use portico_kernel::{
    Env, Timestamp, WebhookId,
    sealing::{SealError, Sealer},
};
use secrecy::SecretString;

/// Purpose under which secrets of webhooks are sealed; the context is the id of the webhook.
pub const SECRET_PURPOSE: &str = "webhook secret";

/// How the text of every secret begins (Standard Webhooks, "Signature scheme").
const PREFIX: &str = "whsec_";

/// 192 bits, the least that Standard Webhooks allows. Their base64 has no padding, which some decoders require and others refuse.
const BYTES: usize = 24;

/// The secrets of a webhook, sealed (see [`Sealer`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSecrets {
    /// The current one, which its owner has.
    pub current: Vec<u8>,
    /// The one before, which signs too until the time given.
    pub previous: Option<(Vec<u8>, Timestamp)>,
    /// When the current one replaced it.
    pub rotated_at: Option<Timestamp>,
}

impl SealedSecrets {
    /// The first secret of a webhook, and its text for the owner.
    pub(super) fn first(
        env: &Env,
        sealer: &dyn Sealer,
        webhook: WebhookId,
    ) -> Result<(Self, SecretString), SealError> {
        let (current, text) = make(env, sealer, webhook)?;
        Ok((Self { current, previous: None, rotated_at: None }, text))
    }

    /// A new secret beside the current one, which signs too until `until`; without that it is dropped.
    pub(super) fn next(
        &self,
        env: &Env,
        sealer: &dyn Sealer,
        webhook: WebhookId,
        until: Option<Timestamp>,
    ) -> Result<(Self, SecretString), SealError> {
        let (current, text) = make(env, sealer, webhook)?;
        let previous = until.map(|until| (self.current.clone(), until));
        Ok((Self { current, previous, rotated_at: Some(env.now()) }, text))
    }

    /// The keys that a delivery at `now` is signed with, the newest first; `None` when they cannot be read, because the
    /// secret of the installation is another one.
    pub fn keys(&self, sealer: &dyn Sealer, webhook: WebhookId, now: Timestamp) -> Option<Vec<Vec<u8>>> {
        let open = |sealed: &[u8]| sealer.open(SECRET_PURPOSE, webhook.uuid().as_bytes(), sealed);
        let mut keys = vec![open(&self.current)?];
        if let Some((sealed, until)) = &self.previous
            && *until > now
        {
            keys.extend(open(sealed));
        }
        Some(keys)
    }
}

fn make(env: &Env, sealer: &dyn Sealer, webhook: WebhookId) -> Result<(Vec<u8>, SecretString), SealError> {
    let key = env.random_bytes::<BYTES>();
    let sealed = sealer.seal(SECRET_PURPOSE, webhook.uuid().as_bytes(), &key)?;
    Ok((sealed, format!("{PREFIX}{}", STANDARD.encode(key)).into()))
}
