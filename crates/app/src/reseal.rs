//! Seals stored secrets anew after `security.sealing_secret` was replaced.

use std::sync::Arc;

use anyhow::Context;
use portico_identity::ports::FactorSecrets;
use portico_kernel::sealing::Sealer;
use portico_licensing::{key::KeyVault, license::License};
use portico_runtime::store::Store;
use portico_security::{AesSealer, FactorKeys, MacKeyDigests, system_env};
use portico_tenancy::{ports::StoredSecrets, webhook::SECRET_PURPOSE};

use crate::{keys::Keys, settings::Settings, startup};

/// Secrets of one transaction.
const BATCH: u64 = 200;

/// How many secrets were sealed anew, and how many do not open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Sealed anew with the current secret.
    pub renewed: u64,
    /// They open with none of the secrets that are set, and were left as they are.
    pub unreadable: u64,
}

/// Seals the secrets of webhooks and authenticator apps and the keys of licenses with the current secret, where they are sealed with an earlier one. May
/// run beside the server, and again.
///
/// # Errors
/// When the database or a generated secret cannot be used.
pub async fn reseal(settings: &Settings) -> anyhow::Result<Resealed> {
    let env = system_env();
    let store = startup::connect(settings).await?;
    let keys = Keys::load(settings, &env)?;
    let sealer = AesSealer::new(&keys.sealing);
    let factors = FactorKeys::new(&keys.sealing, &keys.signing)?;
    let store: &dyn Store = &store;
    let mut done = Resealed::default();
    webhooks(store, &sealer, &mut done).await.context("webhooks")?;
    let vault = KeyVault::new(Arc::new(sealer), Arc::new(MacKeyDigests::new(&keys.sealing)));
    licenses(store, &vault, &mut done).await.context("licenses")?;
    let mut after = None;
    loop {
        let mut work = store.begin().await?;
        let batch = work.second_factors().sealed_secrets(after, BATCH).await?;
        for (user, sealed) in &batch {
            match factors.reseal(*user, sealed, env.random_bytes()) {
                Ok(None) => {}
                Ok(Some(anew)) => {
                    done.renewed += u64::from(work.second_factors().reseal(*user, sealed, &anew).await?);
                }
                Err(_) => done.unreadable += 1,
            }
        }
        work.commit().await?;
        match batch.last() {
            Some((user, _)) => after = Some(*user),
            None => break,
        }
    }
    store.close().await;
    Ok(done)
}

async fn webhooks(store: &dyn Store, sealer: &dyn Sealer, done: &mut Resealed) -> anyhow::Result<()> {
    let mut after = None;
    loop {
        let mut work = store.begin().await?;
        let batch = work.webhooks().sealed_secrets(after, BATCH).await?;
        for was in &batch {
            match anew(was, sealer) {
                Some(now) if now == *was => {}
                Some(now) => done.renewed += u64::from(work.webhooks().reseal(was, &now).await?),
                None => done.unreadable += 1,
            }
        }
        work.commit().await?;
        match batch.last() {
            Some(was) => after = Some(was.webhook),
            None => return Ok(()),
        }
    }
}

async fn licenses(store: &dyn Store, vault: &KeyVault, done: &mut Resealed) -> anyhow::Result<()> {
    let mut after = None;
    loop {
        let mut work = store.begin().await?;
        let batch = work.licenses().stored(after, BATCH).await?;
        for found in &batch {
            // Its owner may have replaced the key since it was read.
            let Some(license) = work.licenses().lock(found.tenant_id, found.id).await? else { continue };
            match vault.renew(license.id, &license.key) {
                Ok(None) => {}
                Ok(Some(key)) => {
                    work.licenses().replace_key(&License { key, ..license }).await?;
                    done.renewed += 1;
                }
                Err(_) => done.unreadable += 1,
            }
        }
        work.commit().await?;
        match batch.last() {
            Some(license) => after = Some(license.id),
            None => return Ok(()),
        }
    }
}

/// The same secrets, sealed with the current one; `None` when one does not open.
fn anew(was: &StoredSecrets, sealer: &dyn Sealer) -> Option<StoredSecrets> {
    let one = |sealed: &Vec<u8>| {
        let anew = sealer.reseal(SECRET_PURPOSE, was.webhook.uuid().as_bytes(), sealed).ok()?;
        Some(anew.unwrap_or_else(|| sealed.clone()))
    };
    let previous = match &was.previous {
        Some(sealed) => Some(one(sealed)?),
        None => None,
    };
    Some(StoredSecrets { current: one(&was.current)?, previous, ..was.clone() })
}
