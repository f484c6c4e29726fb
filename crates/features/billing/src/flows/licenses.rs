//! Licenses follow purchases, in the same transaction.

use portico_billing::purchase::{Purchase, PurchaseItem, PurchaseStatus};
use portico_kernel::{Permission, PurchaseId, Scope, StoreError};
use portico_licensing::{
    LicensingError,
    issuing::{Entitlement, Issuance, LicensedItem, LicensedPurchase},
    owned::{Licenses, PurchasedLicense},
};
use portico_runtime::store::{Repositories, UnitOfWork};

use crate::state::App;

/// Makes the licenses of a purchase what it entitles to. Whatever changes a purchase calls it before its commit, any number of times.
///
/// # Errors
/// Those of the store; `Internal` where a key cannot be sealed.
pub async fn follow(
    app: &App,
    work: &mut dyn UnitOfWork,
    scope: &Scope,
    purchase: &Purchase,
) -> Result<(), StoreError> {
    let item = |item: &PurchaseItem| LicensedItem {
        product_type: item.product_type.clone(),
        quantity: item.quantity,
    };
    let licensed = LicensedPurchase {
        tenant_id: purchase.tenant_id,
        purchase_id: purchase.id,
        entitlement: entitlement(purchase.status),
        items: purchase.items.iter().map(item).collect(),
    };
    let mut issuance = Issuance::new(&mut *work, scope, &app.core.env, &app.vault);
    issuance.follow(&licensed).await.map_err(|error| match error {
        LicensingError::Store(error) => error,
        error => StoreError::Internal(Box::new(error)),
    })
}

/// What a purchase with this status entitles to. A part of the money that was given back leaves the licenses.
const fn entitlement(status: PurchaseStatus) -> Entitlement {
    match status {
        PurchaseStatus::Pending | PurchaseStatus::Failed => Entitlement::Unpaid,
        PurchaseStatus::Completed | PurchaseStatus::PartiallyRefunded => Entitlement::Granted,
        PurchaseStatus::Disputed => Entitlement::Withheld,
        PurchaseStatus::Refunded => Entitlement::Withdrawn,
    }
}

/// The licenses of purchases with their keys, for a caller who may see them; `None` for one who may not.
///
/// # Errors
/// Those of [`Licenses::of_purchases`].
pub async fn of_purchases(
    app: &App,
    repositories: &mut dyn Repositories,
    scope: &Scope,
    purchases: &[PurchaseId],
) -> Result<Option<Vec<(PurchaseId, PurchasedLicense)>>, LicensingError> {
    if !scope.allows(Permission::LicensesRead) {
        return Ok(None);
    }
    // A step of reading purchases, for which another permission was asked.
    let scope = scope.with(Permission::LicensesRead);
    let mut licenses = Licenses::new(&mut *repositories, &scope, &app.core.env, &app.vault);
    licenses.of_purchases(purchases).await.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_or_is_disputed_entitles_to_nothing() {
        for (status, expected) in [
            (PurchaseStatus::Pending, Entitlement::Unpaid),
            (PurchaseStatus::Failed, Entitlement::Unpaid),
            (PurchaseStatus::Completed, Entitlement::Granted),
            (PurchaseStatus::PartiallyRefunded, Entitlement::Granted),
            (PurchaseStatus::Disputed, Entitlement::Withheld),
            (PurchaseStatus::Refunded, Entitlement::Withdrawn),
        ] {
            assert_eq!(entitlement(status), expected, "{status:?}");
        }
    }
}
