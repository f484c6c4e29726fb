//! Licenses as their owners see them.

use portico_kernel::{
    ActivationId, Env, Event, LicenseId, List, PageRequest, Permission, PurchaseId, Scope, TenantId,
    Violations,
};
use serde::{Deserialize, Serialize};

use crate::{
    LicensingError,
    activation::{Activation, Machine},
    events,
    file::{self, LicenseFile},
    key::{KeyVault, LicenseKey},
    license::{License, LicenseStatus},
    ports::{CountedLicense, LicenseSigner, LicensingRepositories},
    seat,
};

/// A license with its key, for its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OwnedLicense {
    /// The license.
    #[serde(flatten)]
    pub license: License,
    /// What the product asks for: 80 random bits in Crockford's base 32.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "7K2M-9QXD-4T0B-HZ5R"))]
    pub key: LicenseKey,
    /// On how many machines it is used.
    #[cfg_attr(feature = "openapi", schema(example = 1))]
    pub activations: u64,
    /// Whether it was given to another tenant, and ended with that.
    pub transferred: bool,
}

/// A license of a purchase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PurchasedLicense {
    /// Id of the license.
    pub id: LicenseId,
    /// Its key.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "7K2M-9QXD-4T0B-HZ5R"))]
    pub key: LicenseKey,
}

/// A machine for which a license file is to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "fingerprint": "b6f1d6f0c0a84f5f9d1d3c1e8a7e4f02", "name": "Press 4", "ttl": 2_592_000
})))]
pub struct OfflineMachine {
    /// What the product knows the machine by; the product shows it where it has no connection.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 200))]
    pub fingerprint: String,
    /// What people call the machine.
    #[cfg_attr(feature = "openapi", schema(max_length = 100))]
    pub name: Option<String>,
    /// For how many seconds the file is to be good, an hour or more; what the license allows where absent.
    #[cfg_attr(feature = "openapi", schema(minimum = 3600))]
    pub ttl: Option<i64>,
}

/// Use cases around the licenses of a tenant.
pub struct Licenses<'a> {
    repositories: &'a mut dyn LicensingRepositories,
    scope: &'a Scope,
    env: &'a Env,
    vault: &'a KeyVault,
}

impl<'a> Licenses<'a> {
    /// Over repositories, for a caller.
    pub fn new(
        repositories: &'a mut dyn LicensingRepositories,
        scope: &'a Scope,
        env: &'a Env,
        vault: &'a KeyVault,
    ) -> Self {
        Self { repositories, scope, env, vault }
    }

    /// The licenses of the active tenant with their keys, newest first.
    ///
    /// # Errors
    /// `Denied` without `licenses:read`.
    pub async fn list(&mut self, page: PageRequest) -> Result<List<OwnedLicense>, LicensingError> {
        let tenant = self.scope.require(Permission::LicensesRead)?;
        let found = self.repositories.licenses().list(tenant, self.env.now(), page).await?;
        let items = found.items.into_iter().map(|counted| self.shown(counted));
        Ok(List::new(items.collect::<Result<_, _>>()?, page, found.total))
    }

    /// A license of the active tenant with its key.
    ///
    /// # Errors
    /// `Denied` without `licenses:read`; `NoLicense`, also for one of another tenant.
    pub async fn get(&mut self, id: LicenseId) -> Result<OwnedLicense, LicensingError> {
        let tenant = self.scope.require(Permission::LicensesRead)?;
        self.counted(tenant, id).await
    }

    /// The machines of a license that hold a seat, the one activated last first.
    ///
    /// # Errors
    /// `Denied` without `licenses:read`; `NoLicense`, also for one of another tenant.
    pub async fn activations(
        &mut self,
        id: LicenseId,
        page: PageRequest,
    ) -> Result<List<Activation>, LicensingError> {
        let tenant = self.scope.require(Permission::LicensesRead)?;
        if self.repositories.licenses().find(tenant, id).await?.is_none() {
            return Err(LicensingError::NoLicense);
        }
        Ok(self.repositories.activations().list(tenant, id, self.env.now(), page).await?)
    }

    /// The licenses of purchases of the active tenant with their keys, by the purchase of each.
    ///
    /// # Errors
    /// `Denied` without `licenses:read`.
    pub async fn of_purchases(
        &mut self,
        purchases: &[PurchaseId],
    ) -> Result<Vec<(PurchaseId, PurchasedLicense)>, LicensingError> {
        let tenant = self.scope.require(Permission::LicensesRead)?;
        let found = self.repositories.licenses().of_purchases(tenant, purchases).await?;
        let shown = found.into_iter().filter_map(|license| Some((license.purchase_id?, license)));
        shown
            .map(|(purchase, license)| {
                let key = self.vault.open(license.id, &license.key)?;
                Ok((purchase, PurchasedLicense { id: license.id, key }))
            })
            .collect()
    }

    /// Frees the seat of a machine, at most as often in a calendar month as the license allows. One whose lease is over had none to free.
    ///
    /// # Errors
    /// `Denied` without `licenses:write`; `NoLicense`, `NoActivation`, also for those of others; `TooManyReleases`: then the unit of work
    /// is to be dropped.
    pub async fn free_seat(&mut self, id: LicenseId, activation: ActivationId) -> Result<(), LicensingError> {
        let tenant = self.scope.require(Permission::LicensesWrite)?;
        let license = self.locked(id).await?;
        let freed = self.repositories.activations().delete(tenant, id, activation).await?;
        let freed = freed.ok_or(LicensingError::NoActivation)?;
        let now = self.env.now();
        if freed.holds_seat(now) {
            let limit = license.terms.releases_per_month;
            let releases = license.releases.one_more(now, limit);
            let releases = releases.ok_or(LicensingError::TooManyReleases { limit })?;
            self.repositories.licenses().update(&License { releases, ..license }).await?;
        }
        seat::note_free(self.repositories, self.scope, self.env, &freed).await
    }

    /// Replaces the key, which finds nothing from then on. Machines keep their seats, but have to be told the new key.
    ///
    /// # Errors
    /// `Denied` without `licenses:write`; `NoLicense`; `Revoked`.
    pub async fn rotate_key(&mut self, id: LicenseId) -> Result<OwnedLicense, LicensingError> {
        let tenant = self.scope.require(Permission::LicensesWrite)?;
        let before = self.locked(id).await?;
        if before.status == LicenseStatus::Revoked {
            return Err(LicensingError::Revoked);
        }
        let license = License { key: self.vault.make(self.env, id)?, ..before };
        self.repositories.licenses().replace_key(&license).await?;
        let event = Event::new(self.env, self.scope, &events::LICENSE_KEY_ROTATED, id.uuid());
        self.repositories.events().append(event.in_tenant(tenant).after(&license)).await?;
        self.counted(tenant, id).await
    }

    /// A license file for a machine without a connection, which takes a seat unless it has one.
    ///
    /// # Errors
    /// `Denied` without `licenses:write`; `Invalid`; `NoLicense`; `Suspended`, `Expired`, `Revoked`; `TooManyActivations`;
    /// `OfflineNotAllowed`; `FilesUnavailable`.
    pub async fn file(
        &mut self,
        id: LicenseId,
        wanted: &OfflineMachine,
        signer: Option<&dyn LicenseSigner>,
    ) -> Result<LicenseFile, LicensingError> {
        self.scope.require(Permission::LicensesWrite)?;
        let license = self.locked(id).await?;
        let mut violations = Violations::default();
        let machine = Machine::read(&wanted.fingerprint, wanted.name.as_deref(), None, &mut violations);
        let ttl = file::ttl_of(wanted.ttl, &license, &mut violations);
        violations.into_result().map_err(LicensingError::Invalid)?;
        seat::issue_file(self.repositories, self.scope, self.env, signer, &license, machine, ttl).await
    }

    async fn locked(&mut self, id: LicenseId) -> Result<License, LicensingError> {
        let tenant = self.scope.require(Permission::LicensesWrite)?;
        self.repositories.licenses().lock(tenant, id).await?.ok_or(LicensingError::NoLicense)
    }

    async fn counted(&mut self, tenant: TenantId, id: LicenseId) -> Result<OwnedLicense, LicensingError> {
        let counted = self.repositories.licenses().find_counted(tenant, id, self.env.now()).await?;
        self.shown(counted.ok_or(LicensingError::NoLicense)?)
    }

    /// As its owner sees it now. To whom one was given is not told.
    fn shown(&self, counted: CountedLicense) -> Result<OwnedLicense, LicensingError> {
        let CountedLicense { license, activations, heir } = counted;
        let key = self.vault.open(license.id, &license.key)?;
        let license = license.at(self.env.now());
        Ok(OwnedLicense { license, key, activations, transferred: heir.is_some() })
    }
}

#[cfg(test)]
mod tests;
