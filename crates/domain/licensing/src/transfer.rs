//! Licenses that are given to other tenants.
//!
//! What belongs to a tenant stays in it: whoever accepts gets a new license with a new key, and the old one ends with its machines. The new
//! one follows the purchase of the old one, see [`Issuance::follow`](crate::issuing::Issuance::follow).

use portico_kernel::{
    Env, Event, LicenseId, Permission, RequestInfo, Scope, TenantId, Timestamp, Violations,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::Duration;

use crate::{
    LicensingError, events, issuing,
    key::KeyVault,
    license::{License, Move},
    owned::OwnedLicense,
    ports::LicensingRepositories,
    seat, transition,
};

/// How long an offer is open.
const OPEN: Duration = Duration::WEEK;

/// Most characters of a token.
const TOKEN_MAX: usize = 200;

/// What the audit trails of both tenants say.
const REASON: &str = "Transferred";

/// Between the id of a license and the secret. An id has none.
const SEPARATOR: char = '_';

/// An offer of a license to the owner of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferOffer {
    /// The tenant that gives it away.
    pub tenant_id: TenantId,
    /// The license.
    pub license_id: LicenseId,
    /// Keyed hash of the token.
    pub digest: [u8; 32],
    /// Verified address of whoever may accept, lower-case.
    pub email: String,
    /// Until when.
    pub expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An offer, for whoever makes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OfferedLicense {
    /// The license.
    pub license_id: LicenseId,
    /// Who may accept.
    #[cfg_attr(feature = "openapi", schema(format = "email", example = "bob@example.com"))]
    pub email: String,
    /// What they accept with. It is shown this once, and is of no use to anybody else.
    #[cfg_attr(feature = "openapi", schema(example = "0199d2a4-5c1e-7a51-8f3b-0d6c2f9b4e11_mF3q…"))]
    pub token: String,
    /// Until when.
    pub expires_at: Timestamp,
}

/// Accepts a license.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"token": "0199d2a4-5c1e-7a51-8f3b-0d6c2f9b4e11_mF3q…"})))]
pub struct AcceptLicense {
    /// The token of the offer.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 200))]
    pub token: String,
}

/// Use cases around licenses that are given away.
pub struct LicenseTransfers<'a> {
    repositories: &'a mut dyn LicensingRepositories,
    scope: &'a Scope,
    env: &'a Env,
    vault: &'a KeyVault,
}

impl<'a> LicenseTransfers<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(
        repositories: &'a mut dyn LicensingRepositories,
        scope: &'a Scope,
        env: &'a Env,
        vault: &'a KeyVault,
    ) -> Self {
        Self { repositories, scope, env, vault }
    }

    /// Offers a license of the active tenant to the owner of an address, for a week. An earlier offer of it is no longer good.
    ///
    /// # Errors
    /// `Denied` without `licenses:write`; `NoLicense`; `Suspended`, `Expired`, `Revoked`.
    pub async fn offer(&mut self, id: LicenseId, email: &str) -> Result<OfferedLicense, LicensingError> {
        let tenant = self.scope.require(Permission::LicensesWrite)?;
        let license = self.repositories.licenses().lock(tenant, id).await?;
        let license = license.ok_or(LicensingError::NoLicense)?;
        let now = self.env.now();
        seat::check_usable(&license, now)?;
        let token = format!("{id}{SEPARATOR}{}", self.env.secret());
        let offer = TransferOffer {
            tenant_id: tenant,
            license_id: id,
            digest: self.vault.digest_of_token(&token),
            email: email.to_lowercase(),
            expires_at: now + OPEN,
            created_at: now,
        };
        self.repositories.license_transfers().offer(&offer).await?;
        let event = Event::new(self.env, self.scope, &events::LICENSE_TRANSFER_OFFERED, id.uuid());
        let noted = json!({"id": id, "expiresAt": offer.expires_at});
        self.repositories.events().append(event.in_tenant(tenant).after(&noted)).await?;
        Ok(OfferedLicense { license_id: id, email: offer.email, token, expires_at: offer.expires_at })
    }

    /// Takes an offer back. Without an offer there is none.
    ///
    /// # Errors
    /// `Denied` without `licenses:write`; `NoLicense`.
    pub async fn withdraw(&mut self, id: LicenseId) -> Result<(), LicensingError> {
        let tenant = self.scope.require(Permission::LicensesWrite)?;
        if self.repositories.licenses().lock(tenant, id).await?.is_none() {
            return Err(LicensingError::NoLicense);
        }
        if self.repositories.license_transfers().withdraw(tenant, id).await? {
            let event = Event::new(self.env, self.scope, &events::LICENSE_TRANSFER_WITHDRAWN, id.uuid());
            let event = event.in_tenant(tenant).after(&json!({"id": id}));
            self.repositories.events().append(event).await?;
        }
        Ok(())
    }

    /// Gives a license to the active tenant of whoever it was offered to, whose verified address is `email`: as a new license with a new
    /// key. The old one is revoked, and its machines are gone. It counts as a seat that was freed, so that giving a license to and fro is
    /// no way past the limit of those.
    ///
    /// # Errors
    /// `Denied` without `licenses:write`, for programs, and without a verified address; `Invalid`; `NoTransfer` for a token that is wrong,
    /// over, or for somebody else; `Suspended`, `Expired`, `Revoked`; `TooManyReleases`. After an error the unit of work is to be dropped.
    pub async fn accept(
        &mut self,
        accept: &AcceptLicense,
        email: &str,
    ) -> Result<OwnedLicense, LicensingError> {
        let tenant = self.scope.require(Permission::LicensesWrite)?;
        self.scope.require_user()?;
        self.scope.require_verified()?;
        let mut violations = Violations::default();
        violations.line("token", &accept.token, 1, TOKEN_MAX);
        violations.into_result().map_err(LicensingError::Invalid)?;
        let now = self.env.now();
        let old = self.offered(accept.token.trim(), email, now).await?;
        let mut violations = Violations::default();
        violations.check(old.tenant_id != tenant, "token", "own_license", "The license is yours already.");
        violations.into_result().map_err(LicensingError::Invalid)?;
        seat::check_usable(&old, now)?;
        let limit = old.terms.releases_per_month;
        let releases = old.releases.one_more(now, limit);
        let releases = releases.ok_or(LicensingError::TooManyReleases { limit })?;
        let id = self.env.new_id();
        let new = License {
            id,
            tenant_id: tenant,
            key: self.vault.make(self.env, id)?,
            purchase_id: None,
            unit: None,
            releases,
            created_at: now,
            ..old.clone()
        };
        let (from, old_id) = (old.tenant_id, old.id);
        // Whoever accepts is nobody in the tenant that gives it away: its audit trail does not tell from where they did.
        let giver = Scope::system(Some(from), RequestInfo::default());
        transition::apply(self.repositories, &giver, self.env, old, Move::Revoke, Some(REASON)).await?;
        issuing::store(self.repositories, self.scope, self.env, &new, Some(REASON)).await?;
        // The schedule may have deleted the offer meanwhile: without it no refund would find the new license.
        if !self.repositories.license_transfers().accept(from, old_id, (tenant, id)).await? {
            return Err(LicensingError::NoTransfer);
        }
        let key = self.vault.open(new.id, &new.key)?;
        Ok(OwnedLicense { license: new, key, activations: 0, transferred: false })
    }

    /// The license that is offered with a token to the owner of an address, locked.
    async fn offered(&mut self, token: &str, email: &str, now: Timestamp) -> Result<License, LicensingError> {
        let id = token.split_once(SEPARATOR).and_then(|(id, _)| id.parse::<LicenseId>().ok());
        let id = id.ok_or(LicensingError::NoTransfer)?;
        let from = self.repositories.licenses().tenant_of(id).await?.ok_or(LicensingError::NoTransfer)?;
        let license = self.repositories.licenses().lock(from, id).await?;
        let license = license.ok_or(LicensingError::NoTransfer)?;
        let offer = self.repositories.license_transfers().find(from, id).await?;
        let digests = self.vault.digests_of_token(token);
        let is_theirs = |offer: &TransferOffer| {
            digests.contains(&offer.digest) && offer.email == email.to_lowercase() && offer.expires_at > now
        };
        match offer.as_ref().is_some_and(is_theirs) {
            true => Ok(license),
            false => Err(LicensingError::NoTransfer),
        }
    }
}

#[cfg(test)]
mod tests;
