//! Licenses as their owners see them.

use portico_kernel::{Env, LicenseId, List, PageRequest, Permission, PurchaseId, Scope};
use serde::Serialize;

use crate::{
    LicensingError,
    activation::Activation,
    key::{KeyVault, LicenseKey},
    license::License,
    ports::{CountedLicense, LicensingRepositories},
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

/// Use cases around the licenses of a tenant.
pub struct Licenses<'a> {
    pub(crate) repositories: &'a mut dyn LicensingRepositories,
    pub(crate) scope: &'a Scope,
    pub(crate) env: &'a Env,
    pub(crate) vault: &'a KeyVault,
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
        let found = self.repositories.licenses().list(tenant, page).await?;
        let items = found.items.into_iter().map(|counted| self.shown(counted)).collect::<Result<_, _>>()?;
        Ok(List::new(items, page, found.total))
    }

    /// A license of the active tenant with its key.
    ///
    /// # Errors
    /// `Denied` without `licenses:read`; `NoLicense`, also for one of another tenant.
    pub async fn get(&mut self, id: LicenseId) -> Result<OwnedLicense, LicensingError> {
        let tenant = self.scope.require(Permission::LicensesRead)?;
        let license = self.repositories.licenses().find(tenant, id).await?;
        let license = license.ok_or(LicensingError::NoLicense)?;
        let activations = self.repositories.activations().count(tenant, id).await?;
        self.shown(CountedLicense { license, activations })
    }

    /// The machines of a license, the one activated last first.
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
        Ok(self.repositories.activations().list(tenant, id, page).await?)
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

    /// As its owner sees it now.
    pub(crate) fn shown(&self, counted: CountedLicense) -> Result<OwnedLicense, LicensingError> {
        let CountedLicense { license, activations } = counted;
        let key = self.vault.open(license.id, &license.key)?;
        Ok(OwnedLicense { license: license.at(self.env.now()), key, activations })
    }
}

#[cfg(test)]
mod tests;
