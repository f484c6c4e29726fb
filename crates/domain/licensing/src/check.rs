//! What a product asks with a key and no account. The key says whose license it is; no permission is asked for.

use portico_kernel::{ActivationId, Env, LicenseId, PRODUCT_ID_MAX, Scope, TenantId, Timestamp, Violations};
use serde::{Deserialize, Serialize};

use crate::{
    LicensingError,
    activation::{Activation, Machine, check_fingerprint},
    file::{self, LicenseFile},
    key::KeyVault,
    license::{License, LicenseStatus},
    ports::{LicenseSigner, LicensingRepositories},
    seat,
};

/// Most characters of a key as it is typed.
const KEY_MAX: usize = 200;

/// A question of a product: may it be used?
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "key": "7K2M-9QXD-4T0B-HZ5R", "fingerprint": "b6f1d6f0c0a84f5f9d1d3c1e8a7e4f02", "productType": "base_product"
})))]
pub struct LicenseCheck {
    /// The key as it was typed; case, hyphens and blanks do not matter.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 200))]
    pub key: String,
    /// What the product knows the machine by; with it, the machine must have a seat.
    #[cfg_attr(feature = "openapi", schema(max_length = 200))]
    pub fingerprint: Option<String>,
    /// Id of the product that asks; with it, the license must be for it.
    #[cfg_attr(feature = "openapi", schema(max_length = 50))]
    pub product_type: Option<String>,
}

/// A machine on which the license is to be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "key": "7K2M-9QXD-4T0B-HZ5R", "fingerprint": "b6f1d6f0c0a84f5f9d1d3c1e8a7e4f02", "name": "Reception", "platform": "windows-x64",
    "productType": "base_product"
})))]
pub struct NewActivation {
    /// The key as it was typed.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 200))]
    pub key: String,
    /// What the product knows the machine by: the same after every start.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 200))]
    pub fingerprint: String,
    /// What people call the machine.
    #[cfg_attr(feature = "openapi", schema(max_length = 100))]
    pub name: Option<String>,
    /// What the machine runs on.
    #[cfg_attr(feature = "openapi", schema(max_length = 100))]
    pub platform: Option<String>,
    /// Id of the product that asks; with it, the license must be for it.
    #[cfg_attr(feature = "openapi", schema(max_length = 50))]
    pub product_type: Option<String>,
}

/// A machine of a license.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "key": "7K2M-9QXD-4T0B-HZ5R", "fingerprint": "b6f1d6f0c0a84f5f9d1d3c1e8a7e4f02"
})))]
pub struct LicensedMachine {
    /// The key as it was typed.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 200))]
    pub key: String,
    /// What the product knows the machine by.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 200))]
    pub fingerprint: String,
}

/// A license file that a product asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "key": "7K2M-9QXD-4T0B-HZ5R", "fingerprint": "b6f1d6f0c0a84f5f9d1d3c1e8a7e4f02", "ttl": 604_800
})))]
pub struct FileRequest {
    /// The key as it was typed.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 200))]
    pub key: String,
    /// What the product knows the machine by.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 200))]
    pub fingerprint: String,
    /// For how many seconds the file is to be good, an hour or more; what the license allows where absent.
    #[cfg_attr(feature = "openapi", schema(minimum = 3600))]
    pub ttl: Option<i64>,
}

/// Whether a product may be used, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum VerdictCode {
    /// It may.
    Valid,
    /// The license is suspended.
    Suspended,
    /// The term of the license is over.
    Expired,
    /// The license was revoked.
    Revoked,
    /// The license is for another product.
    ProductMismatch,
    /// The machine has no seat: activate it first.
    NotActivated,
    /// The lease of the machine's seat is over: a heartbeat takes one again.
    LeaseExpired,
    /// The same, and others hold all seats: a heartbeat takes one as soon as one is free.
    NoSeat,
}

/// A license as the product sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckedLicense {
    /// The license.
    #[serde(flatten)]
    pub license: License,
    /// On how many machines it is used.
    pub activations: u64,
}

/// The answer to a question of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Verdict {
    /// Whether it may be used.
    pub valid: bool,
    /// Why, or why not.
    pub code: VerdictCode,
    /// The license.
    pub license: CheckedLicense,
    /// The machine, where one was named that has a seat.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = Activation))]
    pub activation: Option<Activation>,
    /// The time of this server. A product keeps the latest that it has seen, and notices by it that a clock was turned back.
    pub now: Timestamp,
}

/// Use cases of the holders of keys.
pub struct KeyHolders<'a> {
    repositories: &'a mut dyn LicensingRepositories,
    scope: &'a Scope,
    env: &'a Env,
    vault: &'a KeyVault,
}

impl<'a> KeyHolders<'a> {
    /// Over repositories, for whoever asks.
    pub fn new(
        repositories: &'a mut dyn LicensingRepositories,
        scope: &'a Scope,
        env: &'a Env,
        vault: &'a KeyVault,
    ) -> Self {
        Self { repositories, scope, env, vault }
    }

    /// Whether a product may be used. Changes nothing.
    ///
    /// # Errors
    /// `Invalid`; `NoLicense` for every key that is nobody's.
    pub async fn validate(&mut self, check: &LicenseCheck) -> Result<Verdict, LicensingError> {
        let mut violations = Violations::default();
        check_key(&check.key, check.product_type.as_deref(), &mut violations);
        if let Some(fingerprint) = &check.fingerprint {
            check_fingerprint(fingerprint, &mut violations);
        }
        violations.into_result().map_err(LicensingError::Invalid)?;
        let license = self.found(&check.key).await?;
        let fingerprint = check.fingerprint.as_deref().map(str::trim);
        self.verdict(license, fingerprint, check.product_type.as_deref()).await
    }

    /// A machine of the license with a key, by the id of its seat: for programs that keep that instead of a fingerprint.
    ///
    /// # Errors
    /// `Invalid`; `NoLicense`; `NoActivation`.
    pub async fn machine_of(&mut self, key: &str, id: ActivationId) -> Result<Activation, LicensingError> {
        let mut violations = Violations::default();
        check_key(key, None, &mut violations);
        violations.into_result().map_err(LicensingError::Invalid)?;
        let (tenant, license) = self.held(key).await?;
        let found = self.repositories.activations().find(tenant, license, id).await?;
        found.ok_or(LicensingError::NoActivation)
    }

    /// Takes a seat for a machine. One that holds a seat keeps it. Answers the machine, and whether it has taken the seat now.
    ///
    /// # Errors
    /// `Invalid`; `NoLicense`; `WrongProduct`; `Suspended`, `Expired`, `Revoked`; `TooManyActivations`.
    pub async fn activate(&mut self, new: &NewActivation) -> Result<(Activation, bool), LicensingError> {
        let mut violations = Violations::default();
        check_key(&new.key, new.product_type.as_deref(), &mut violations);
        let (name, platform) = (new.name.as_deref(), new.platform.as_deref());
        let machine = Machine::read(&new.fingerprint, name, platform, &mut violations);
        violations.into_result().map_err(LicensingError::Invalid)?;
        let license = self.locked(&new.key).await?;
        if is_other_product(&license, new.product_type.as_deref()) {
            return Err(LicensingError::WrongProduct);
        }
        seat::take(self.repositories, self.scope, self.env, &license, machine).await
    }

    /// Frees the seat of a machine. One without a seat has none. While a license file for the machine is good, it may go on there: then it
    /// counts among the seats that are freed in a month, as where the owner frees it.
    ///
    /// # Errors
    /// `Invalid`; `NoLicense`; `TooManyReleases`.
    pub async fn deactivate(&mut self, machine: &LicensedMachine) -> Result<(), LicensingError> {
        check_machine(machine)?;
        let license = self.locked(&machine.key).await?;
        let (tenant, id) = (license.tenant_id, license.id);
        let fingerprint = machine.fingerprint.trim();
        let found = self.repositories.activations().of_fingerprint(tenant, id, fingerprint).await?;
        let Some(found) = found else { return Ok(()) };
        let now = self.env.now();
        if found.offline_until.is_some_and(|until| until > now) {
            let limit = license.terms.releases_per_month;
            let releases = license.releases.one_more(now, limit);
            let releases = releases.ok_or(LicensingError::TooManyReleases { limit })?;
            self.repositories.licenses().update(&License { releases, ..license }).await?;
        }
        self.repositories.activations().delete(tenant, id, found.id).await?;
        seat::note_free(self.repositories, self.scope, self.env, &found).await
    }

    /// Whether a product may still be used on a machine, and notes that it was seen: that renews the lease of its seat. One whose lease is
    /// over takes a seat again where the license may be used and one is free.
    ///
    /// # Errors
    /// `Invalid`; `NoLicense`.
    pub async fn heartbeat(&mut self, machine: &LicensedMachine) -> Result<Verdict, LicensingError> {
        check_machine(machine)?;
        // The whole row is written: under the lock, so that the end of a license file that is made meanwhile is not lost.
        let license = self.locked(&machine.key).await?;
        let fingerprint = machine.fingerprint.trim();
        let (tenant, id) = (license.tenant_id, license.id);
        let found = self.repositories.activations().of_fingerprint(tenant, id, fingerprint).await?;
        let now = self.env.now();
        if let Some(found) = found {
            let may = found.holds_seat(now)
                || (seat::check_usable(&license, now).is_ok()
                    && seat::is_free(self.repositories, &license, now).await?);
            if may {
                seat::renew(self.repositories, self.scope, self.env, &license, found).await?;
            }
        }
        self.verdict(license, Some(fingerprint), None).await
    }

    /// A license file for a machine, which takes a seat unless it has one.
    ///
    /// # Errors
    /// `Invalid`; `NoLicense`; `Suspended`, `Expired`, `Revoked`; `TooManyActivations`; `OfflineNotAllowed`; `FilesUnavailable`.
    pub async fn file(
        &mut self,
        request: &FileRequest,
        signer: Option<&dyn LicenseSigner>,
    ) -> Result<LicenseFile, LicensingError> {
        let mut violations = Violations::default();
        check_key(&request.key, None, &mut violations);
        let machine = Machine::read(&request.fingerprint, None, None, &mut violations);
        // What the license allows is told to those only who have its key.
        violations.into_result().map_err(LicensingError::Invalid)?;
        let license = self.locked(&request.key).await?;
        let mut violations = Violations::default();
        let ttl = file::ttl_of(request.ttl, &license, &mut violations);
        violations.into_result().map_err(LicensingError::Invalid)?;
        seat::issue_file(self.repositories, self.scope, self.env, signer, &license, machine, ttl).await
    }

    /// Whose license has a key. Every text takes the same way, whether or not it can be a key.
    async fn held(&mut self, key: &str) -> Result<(TenantId, LicenseId), LicensingError> {
        let digests = self.vault.digests_of(key);
        self.repositories.licenses().owner_of(&digests).await?.ok_or(LicensingError::NoLicense)
    }

    async fn locked(&mut self, key: &str) -> Result<License, LicensingError> {
        let (tenant, id) = self.held(key).await?;
        let license = self.repositories.licenses().lock(tenant, id).await?;
        // The key may have been replaced while this one waited.
        let digests = self.vault.digests_of(key);
        license.filter(|license| digests.contains(&license.key.digest)).ok_or(LicensingError::NoLicense)
    }

    async fn found(&mut self, key: &str) -> Result<License, LicensingError> {
        let (tenant, id) = self.held(key).await?;
        self.repositories.licenses().find(tenant, id).await?.ok_or(LicensingError::NoLicense)
    }

    async fn verdict(
        &mut self,
        license: License,
        fingerprint: Option<&str>,
        product: Option<&str>,
    ) -> Result<Verdict, LicensingError> {
        let now = self.env.now();
        let (tenant, id) = (license.tenant_id, license.id);
        let activations = self.repositories.activations().count(tenant, id, now).await?;
        let machine = match fingerprint {
            Some(fingerprint) => {
                self.repositories.activations().of_fingerprint(tenant, id, fingerprint).await?
            }
            None => None,
        };
        let license = license.at(now);
        let is_known = machine.is_some();
        let activation = machine.filter(|machine| machine.holds_seat(now));
        let is_full = license.activation_limit.is_some_and(|limit| activations >= u64::from(limit));
        let code = match license.status {
            _ if is_other_product(&license, product) => VerdictCode::ProductMismatch,
            LicenseStatus::Suspended => VerdictCode::Suspended,
            LicenseStatus::Expired => VerdictCode::Expired,
            LicenseStatus::Revoked => VerdictCode::Revoked,
            LicenseStatus::Active if fingerprint.is_none() || activation.is_some() => VerdictCode::Valid,
            LicenseStatus::Active if !is_known => VerdictCode::NotActivated,
            LicenseStatus::Active if is_full => VerdictCode::NoSeat,
            LicenseStatus::Active => VerdictCode::LeaseExpired,
        };
        // Whoever has the key need not have bought it.
        let license = CheckedLicense { license: License { purchase_id: None, ..license }, activations };
        Ok(Verdict { valid: code == VerdictCode::Valid, code, license, activation, now })
    }
}

/// Records what is wrong with a key and the id of a product, whatever they say.
fn check_key(key: &str, product: Option<&str>, violations: &mut Violations) {
    violations.text("key", key, 1, KEY_MAX);
    violations.optional_text("productType", product, PRODUCT_ID_MAX);
}

fn check_machine(machine: &LicensedMachine) -> Result<(), LicensingError> {
    let mut violations = Violations::default();
    check_key(&machine.key, None, &mut violations);
    check_fingerprint(&machine.fingerprint, &mut violations);
    violations.into_result().map_err(LicensingError::Invalid)
}

fn is_other_product(license: &License, product: Option<&str>) -> bool {
    product.is_some_and(|product| product != license.product_type)
}

#[cfg(test)]
mod tests;
