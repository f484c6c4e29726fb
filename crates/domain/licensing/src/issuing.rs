//! Licenses of what was bought. They follow the purchase: whoever changes a purchase calls [`Issuance::follow`] in the same unit of work.

use std::collections::BTreeMap;

use portico_kernel::{Env, Event, PurchaseId, Scope, TenantId};

use crate::{
    LicensingError, events,
    key::KeyVault,
    license::{License, LicenseStatus, Move},
    policy::LicensePolicy,
    ports::LicensingRepositories,
    transition,
};

/// What a purchase entitles to as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entitlement {
    /// To nothing, and nothing changes: it was never paid, or not yet.
    Unpaid,
    /// To its licenses: it is paid, or the greater part of the money was kept, or a dispute was won.
    Granted,
    /// To nothing for now: the payment is disputed.
    Withheld,
    /// To nothing any more: the money was given back.
    Withdrawn,
}

/// An item of a purchase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicensedItem {
    /// Id of the product.
    pub product_type: String,
    /// How many; each has a license of its own.
    pub quantity: u32,
}

/// A purchase, as far as licenses follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicensedPurchase {
    /// Who has bought.
    pub tenant_id: TenantId,
    /// Its id.
    pub purchase_id: PurchaseId,
    /// What it entitles to.
    pub entitlement: Entitlement,
    /// What was bought, always in the same order.
    pub items: Vec<LicensedItem>,
}

/// Use cases around the licenses of purchases. They ask for no permission: what they do follows from the purchase.
pub struct Issuance<'a> {
    repositories: &'a mut dyn LicensingRepositories,
    scope: &'a Scope,
    env: &'a Env,
    vault: &'a KeyVault,
}

impl<'a> Issuance<'a> {
    /// Over the unit of work in which the purchase was changed and is locked.
    pub fn new(
        repositories: &'a mut dyn LicensingRepositories,
        scope: &'a Scope,
        env: &'a Env,
        vault: &'a KeyVault,
    ) -> Self {
        Self { repositories, scope, env, vault }
    }

    /// Issues, suspends, resumes or revokes the licenses of a purchase, so that they are what it entitles to. Any number of times: one
    /// license for each unit of each item. An item whose product has no policy has no licenses.
    /// `Withheld` is to be told once, when the dispute begins: it suspends again what staff have resumed since.
    ///
    /// # Errors
    /// `Internal` where a key cannot be sealed; those of the store.
    pub async fn follow(&mut self, purchase: &LicensedPurchase) -> Result<(), LicensingError> {
        let by = match purchase.entitlement {
            Entitlement::Unpaid => return Ok(()),
            Entitlement::Granted => Move::Settle,
            Entitlement::Withheld => Move::Dispute,
            Entitlement::Withdrawn => Move::Refund,
        };
        let (tenant, id) = (purchase.tenant_id, purchase.purchase_id);
        let issued = self.repositories.licenses().of_purchases(tenant, &[id]).await?;
        // By their ids: the order in which licenses are locked.
        let mut held = BTreeMap::new();
        for license in &issued {
            held.extend(self.last(license.clone()).await?.map(|last| (last.id, last)));
        }
        while let Some((_, license)) = held.pop_first() {
            held.extend(self.move_held(license, by).await?.map(|heir| (heir.id, heir)));
        }
        if purchase.entitlement == Entitlement::Granted {
            self.issue_missing(purchase, &issued).await?;
        }
        Ok(())
    }

    /// A license, or the one that follows it: what was given away has ended, and goes on in another tenant. `None` for what has ended for
    /// good.
    async fn last(&mut self, license: License) -> Result<Option<License>, LicensingError> {
        let mut at = license;
        while at.status == LicenseStatus::Revoked {
            let heir = self.repositories.license_transfers().heir(at.tenant_id, at.id).await?;
            let Some((tenant, id)) = heir else { return Ok(None) };
            let Some(next) = self.repositories.licenses().find(tenant, id).await? else { return Ok(None) };
            at = next;
        }
        Ok(Some(at))
    }

    /// Moves a license. Staff may have changed it since it was read, and its owner may have given it away: then nothing is moved, and the
    /// license that follows it is answered, which is to be moved instead.
    async fn move_held(&mut self, license: License, by: Move) -> Result<Option<License>, LicensingError> {
        if license.after(by) == license {
            return Ok(None);
        }
        let Some(locked) = self.repositories.licenses().lock(license.tenant_id, license.id).await? else {
            return Ok(None);
        };
        if locked.status == LicenseStatus::Revoked {
            return self.last(locked).await;
        }
        transition::apply(self.repositories, self.scope, self.env, locked, by, None).await?;
        Ok(None)
    }

    async fn issue_missing(
        &mut self,
        purchase: &LicensedPurchase,
        issued: &[License],
    ) -> Result<(), LicensingError> {
        for (item, bought) in (0_u32..).zip(&purchase.items) {
            let missing = (0..bought.quantity).map(|unit| (item, unit));
            let missing: Vec<_> =
                missing.filter(|unit| issued.iter().all(|license| license.unit != Some(*unit))).collect();
            if missing.is_empty() {
                continue;
            }
            let policy = self.repositories.license_policies().find(&bought.product_type).await?;
            let Some(policy) = policy else { continue };
            for unit in missing {
                let license = make(self.env, self.vault, purchase.tenant_id, &policy)?;
                let license =
                    License { purchase_id: Some(purchase.purchase_id), unit: Some(unit), ..license };
                store(self.repositories, self.scope, self.env, &license, None).await?;
            }
        }
        Ok(())
    }
}

/// A new license by a policy.
pub(crate) fn make(
    env: &Env,
    vault: &KeyVault,
    tenant: TenantId,
    policy: &LicensePolicy,
) -> Result<License, LicensingError> {
    let id = env.new_id();
    Ok(License::issued(id, tenant, vault.make(env, id)?, policy, env.now()))
}

/// Stores a new license with its event. `reason` is what staff say about it.
pub(crate) async fn store(
    repositories: &mut dyn LicensingRepositories,
    scope: &Scope,
    env: &Env,
    license: &License,
    reason: Option<&str>,
) -> Result<(), LicensingError> {
    repositories.licenses().insert(license).await?;
    let mut noted = serde_json::to_value(license).unwrap_or_default();
    if let Some(reason) = reason {
        noted["reason"] = reason.into();
    }
    let event = Event::new(env, scope, &events::LICENSE_ISSUED, license.id.uuid());
    Ok(repositories.events().append(event.in_tenant(license.tenant_id).after(&noted)).await?)
}

#[cfg(test)]
mod tests {
    use portico_kernel::RequestInfo;

    use super::*;
    use crate::testing::{Repositories, activation, env, vault};

    fn purchase(env: &Env, entitlement: Entitlement) -> LicensedPurchase {
        let item = |product: &str, quantity| LicensedItem { product_type: product.to_owned(), quantity };
        LicensedPurchase {
            tenant_id: env.new_id(),
            purchase_id: env.new_id(),
            entitlement,
            items: vec![item("base_product", 2), item("mug", 5), item("base_product", 1)],
        }
    }

    async fn follow(repositories: &mut Repositories, env: &Env, purchase: &LicensedPurchase) {
        let scope = Scope::system(None, RequestInfo::default());
        Issuance::new(repositories, &scope, env, &vault()).follow(purchase).await.unwrap();
    }

    #[tokio::test]
    async fn each_unit_has_one_license_however_often_it_is_told() {
        let env = env();
        let mut repositories = Repositories::seeded();
        let unpaid = purchase(&env, Entitlement::Unpaid);
        follow(&mut repositories, &env, &unpaid).await;
        assert!(repositories.rows().licenses.is_empty());
        let paid = LicensedPurchase { entitlement: Entitlement::Granted, ..unpaid };
        for _ in 0..3 {
            follow(&mut repositories, &env, &paid).await;
        }
        let licenses = repositories.rows().licenses.clone();
        let units: Vec<_> = licenses.iter().filter_map(|license| license.unit).collect();
        assert_eq!(units, [(0, 0), (0, 1), (2, 0)], "and none of what has no policy");
        assert!(licenses.iter().all(|license| license.tenant_id == paid.tenant_id
            && license.purchase_id == Some(paid.purchase_id)
            && license.activation_limit == Some(3)));
        let mut digests: Vec<_> = licenses.iter().map(|license| license.key.digest).collect();
        digests.dedup();
        assert_eq!(digests.len(), 3, "each has a key of its own");
        assert_eq!(repositories.events(), ["license.issued"; 3]);
        let event = repositories.rows().events.remove(0);
        assert_eq!(event.tenant, paid.tenant_id);
        let text = event.after.unwrap().to_string();
        let key = vault().open(licenses[0].id, &licenses[0].key).unwrap();
        assert!(!text.contains(key.as_str()) && text.contains(&paid.purchase_id.to_string()), "{text}");
    }

    #[tokio::test]
    async fn a_dispute_suspends_and_a_refund_ends_for_good_with_every_machine() {
        let env = env();
        let mut repositories = Repositories::seeded();
        let paid = purchase(&env, Entitlement::Granted);
        follow(&mut repositories, &env, &paid).await;
        let first = repositories.rows().licenses[0].clone();
        repositories.rows().activations.push(activation(&env, &first, "f1"));
        let now = |entitlement| LicensedPurchase { entitlement, ..paid.clone() };
        let statuses = |repositories: &Repositories| {
            let rows = repositories.rows();
            rows.licenses.iter().map(|license| license.status).collect::<Vec<_>>()
        };
        for (entitlement, status) in [
            (Entitlement::Withheld, LicenseStatus::Suspended),
            (Entitlement::Unpaid, LicenseStatus::Suspended),
            (Entitlement::Granted, LicenseStatus::Active),
        ] {
            follow(&mut repositories, &env, &now(entitlement)).await;
            follow(&mut repositories, &env, &now(entitlement)).await;
            assert_eq!(statuses(&repositories), [status; 3], "{entitlement:?}");
            assert_eq!(repositories.rows().activations.len(), 1, "seats stay taken");
        }
        for entitlement in [Entitlement::Withdrawn, Entitlement::Granted, Entitlement::Withheld] {
            follow(&mut repositories, &env, &now(entitlement)).await;
            assert_eq!(statuses(&repositories), [LicenseStatus::Revoked; 3], "{entitlement:?}");
        }
        assert!(repositories.rows().activations.is_empty());
        let kinds = repositories.events();
        for (kind, times) in
            [("license.issued", 3), ("license.suspended", 3), ("license.resumed", 3), ("license.revoked", 3)]
        {
            assert_eq!(kinds.iter().filter(|found| *found == kind).count(), times, "{kind}");
        }
    }

    #[tokio::test]
    async fn licenses_are_locked_in_the_order_of_their_ids() {
        let env = env();
        let mut repositories = Repositories::seeded();
        let paid = purchase(&env, Entitlement::Granted);
        follow(&mut repositories, &env, &paid).await;
        let mut ids: Vec<_> = repositories.rows().licenses.iter().map(|license| license.id).collect();
        ids.sort_unstable();
        repositories.rows().licenses.reverse();
        follow(&mut repositories, &env, &LicensedPurchase { entitlement: Entitlement::Withdrawn, ..paid })
            .await;
        assert_eq!(repositories.rows().locked, ids);
    }

    #[tokio::test]
    async fn what_was_refunded_before_it_was_issued_is_never_issued() {
        let env = env();
        let mut repositories = Repositories::seeded();
        for entitlement in [Entitlement::Withheld, Entitlement::Withdrawn] {
            follow(&mut repositories, &env, &purchase(&env, entitlement)).await;
        }
        assert!(repositories.rows().licenses.is_empty() && repositories.events().is_empty());
    }
}
