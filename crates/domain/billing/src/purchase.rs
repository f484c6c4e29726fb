//! Purchases that are paid once.

use portico_kernel::{
    Env, List, Money, PageRequest, Permission, PurchaseId, Scope, TenantId, Timestamp, UserId,
};
use serde::{Deserialize, Serialize};

use crate::{BillingError, payment::CheckoutState, ports::BillingRepositories};

/// What became of a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PurchaseStatus {
    /// Not paid yet. Nothing is granted.
    Pending,
    /// Paid.
    Completed,
    /// Not paid in time, or declined for good.
    Failed,
    /// All of the money was given back.
    Refunded,
    /// Some of the money was given back.
    PartiallyRefunded,
    /// The buyer's bank has taken the money back, and has not given it to us again.
    Disputed,
}

/// What the provider says about the payment of a purchase, as far as it decides the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The money is ours.
    Paid,
    /// Nothing can be paid any more.
    Ended,
}

/// Every move of a status: from where, by what, to where. What is not listed changes nothing.
///
/// Answers of the provider can be worked off in any order, each any number of times, so an old one must not undo a newer one: from
/// `completed` nothing in this table leads away, and to be paid outweighs to have ended. What refunds and disputes make of a purchase that
/// was paid is in [`Purchase::reversed`].
const MOVES: [(PurchaseStatus, Outcome, PurchaseStatus); 3] = [
    (PurchaseStatus::Pending, Outcome::Paid, PurchaseStatus::Completed),
    (PurchaseStatus::Pending, Outcome::Ended, PurchaseStatus::Failed),
    // The buyer paid at the last moment, and an earlier answer was worked off first. The money is ours, so the purchase is theirs.
    (PurchaseStatus::Failed, Outcome::Paid, PurchaseStatus::Completed),
];

impl PurchaseStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Completed,
        Self::Failed,
        Self::Refunded,
        Self::PartiallyRefunded,
        Self::Disputed,
    ];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Refunded => "refunded",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Disputed => "disputed",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// The status after the provider has said this about the payment.
    #[must_use]
    pub fn after(self, observed: &CheckoutState) -> Self {
        let outcome = match observed {
            CheckoutState::Open | CheckoutState::Processing => return self,
            CheckoutState::Paid { .. } => Outcome::Paid,
            CheckoutState::Expired | CheckoutState::Failed => Outcome::Ended,
        };
        let row = MOVES.into_iter().find(|(from, by, _)| *from == self && *by == outcome);
        row.map_or(self, |(_, _, to)| to)
    }
}

/// An item of a purchase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PurchaseItem {
    /// Id of the product.
    #[cfg_attr(feature = "openapi", schema(example = "base_product"))]
    pub product_type: String,
    /// Name of the product when it was bought.
    #[cfg_attr(feature = "openapi", schema(example = "Base Software License"))]
    pub description: String,
    /// Price of one when it was bought, in minor units of the currency of the purchase.
    #[cfg_attr(feature = "openapi", schema(example = 35900))]
    pub amount: i64,
    /// How many.
    #[cfg_attr(feature = "openapi", schema(example = 1, minimum = 1, maximum = 100))]
    pub quantity: u32,
    /// What a coupon takes off all of them together.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true, example = 0))]
    pub discount: i64,
}

impl PurchaseItem {
    /// What all of them cost, before anything is taken off.
    pub fn total(&self) -> i64 {
        self.amount.saturating_mul(i64::from(self.quantity))
    }
}

/// What a tenant has bought and pays once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Purchase {
    /// UUIDv7.
    pub id: PurchaseId,
    /// The tenant that it belongs to.
    #[serde(skip)]
    pub tenant_id: TenantId,
    /// Who bought it.
    #[serde(skip)]
    pub user_id: UserId,
    /// What is to be paid for all items together, discounts taken off, in minor units of the currency, for instance cents.
    #[cfg_attr(feature = "openapi", schema(example = 35900))]
    pub amount: i64,
    /// Lower-case ISO 4217.
    #[cfg_attr(feature = "openapi", schema(example = "usd"))]
    pub currency: String,
    /// What became of it.
    pub status: PurchaseStatus,
    /// What was bought.
    pub items: Vec<PurchaseItem>,
    /// What a coupon takes off all items together.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub discount: i64,
    /// Code of the coupon that was used; absent where none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = String, example = "SUMMER25"))]
    pub coupon: Option<String>,
    /// How much of the amount the buyer has back. What is on its way counts once it has arrived.
    pub refunded_amount: i64,
    /// When it was made, before it was paid.
    pub created_at: Timestamp,
    /// When it was found to be paid; absent while it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, value_type = Timestamp))]
    pub completed_at: Option<Timestamp>,
}

impl Purchase {
    /// What it costs.
    pub fn price(&self) -> Money {
        Money { amount: self.amount, currency: self.currency.clone() }
    }

    /// The purchase when the buyer has this much of it back, is `given` this much, on its way or there, and the money is held because of a
    /// dispute or not. It is refunded from the moment on at which all of it is given: it does not wait for the bank. It does not matter in
    /// which order that came: a dispute outweighs refunds, and one that is not paid stays as it is.
    #[must_use]
    pub fn reversed(&self, refunded_amount: i64, given: i64, is_disputed: bool) -> Self {
        let status = match self.status {
            PurchaseStatus::Pending | PurchaseStatus::Failed => return self.clone(),
            _ if is_disputed => PurchaseStatus::Disputed,
            _ if given >= self.amount => PurchaseStatus::Refunded,
            _ if refunded_amount > 0 => PurchaseStatus::PartiallyRefunded,
            _ => PurchaseStatus::Completed,
        };
        Self { status, refunded_amount, ..self.clone() }
    }

    /// The purchase after the provider has said this about its payment.
    #[must_use]
    pub fn after(&self, observed: &CheckoutState, now: Timestamp) -> Self {
        let status = self.status.after(observed);
        let completed_at = match status {
            PurchaseStatus::Completed => self.completed_at.or(Some(now)),
            _ => self.completed_at,
        };
        Self { status, completed_at, ..self.clone() }
    }
}

/// Use cases around purchases.
pub struct Purchases<'a> {
    repositories: &'a mut dyn BillingRepositories,
    scope: &'a Scope,
}

impl<'a> Purchases<'a> {
    /// Over repositories, for a caller.
    pub fn new(repositories: &'a mut dyn BillingRepositories, scope: &'a Scope) -> Self {
        Self { repositories, scope }
    }

    /// The purchases of the active tenant, newest first.
    ///
    /// # Errors
    /// `Denied` without `billing:read`.
    pub async fn list(&mut self, page: PageRequest) -> Result<List<Purchase>, BillingError> {
        let tenant = self.scope.require(Permission::BillingRead)?;
        Ok(self.repositories.purchases().list(tenant, page).await?)
    }

    /// A purchase of the active tenant.
    ///
    /// # Errors
    /// `Denied` without `billing:read`; `NoPurchase`, also for one of another tenant.
    pub async fn get(&mut self, id: PurchaseId) -> Result<Purchase, BillingError> {
        let tenant = self.scope.require(Permission::BillingRead)?;
        self.repositories.purchases().find(tenant, id).await?.ok_or(BillingError::NoPurchase)
    }
}

/// A new purchase of items with the prices of now, not paid yet. `price` is what is to be paid.
pub(crate) fn pending(
    env: &Env,
    tenant_id: TenantId,
    user_id: UserId,
    items: Vec<PurchaseItem>,
    price: Money,
    coupon: Option<String>,
) -> Purchase {
    Purchase {
        id: env.new_id(),
        tenant_id,
        user_id,
        amount: price.amount,
        currency: price.currency,
        status: PurchaseStatus::Pending,
        discount: items.iter().map(|item| item.discount).sum(),
        items,
        coupon,
        refunded_amount: 0,
        created_at: env.now(),
        completed_at: None,
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::RequestInfo;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Repositories, env, purchase};

    fn paid() -> CheckoutState {
        CheckoutState::Paid { payment_id: "pi_1".to_owned() }
    }

    /// What a payment can go through at the provider, each state after the one before it.
    fn histories() -> impl Strategy<Value = Vec<CheckoutState>> {
        let ends = prop_oneof![
            Just(vec![]),
            Just(vec![paid()]),
            Just(vec![CheckoutState::Expired]),
            Just(vec![CheckoutState::Failed]),
            // Money that comes although the provider had given up on it.
            Just(vec![CheckoutState::Failed, paid()]),
        ];
        (any::<bool>(), ends).prop_map(|(processing, ends)| {
            let middle = processing.then_some(CheckoutState::Processing);
            [CheckoutState::Open].into_iter().chain(middle).chain(ends).collect()
        })
    }

    proptest! {
        #[test]
        fn no_order_or_repetition_ends_elsewhere_than_the_last_state(
            history in histories(),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
            place in any::<prop::sample::Index>(),
        ) {
            let last = history.last().unwrap();
            let mut seen: Vec<&CheckoutState> = picks.iter().map(|pick| pick.get(&history)).collect();
            // The last one is worked off at some time; the others may be, before it and after it.
            seen.insert(place.index(seen.len() + 1), last);
            let end = seen.into_iter().fold(PurchaseStatus::Pending, PurchaseStatus::after);
            prop_assert_eq!(end, PurchaseStatus::Pending.after(last));
        }
    }

    #[test]
    fn what_the_table_does_not_list_changes_nothing() {
        let every = [
            CheckoutState::Open,
            CheckoutState::Processing,
            paid(),
            CheckoutState::Expired,
            CheckoutState::Failed,
        ];
        for status in PurchaseStatus::ALL {
            assert_eq!(PurchaseStatus::parse(status.as_str()), Some(status));
            let moved: Vec<_> = every.iter().map(|observed| status.after(observed)).collect();
            let expected = match status {
                PurchaseStatus::Pending => [
                    status,
                    status,
                    PurchaseStatus::Completed,
                    PurchaseStatus::Failed,
                    PurchaseStatus::Failed,
                ],
                PurchaseStatus::Failed => [status, status, PurchaseStatus::Completed, status, status],
                _ => [status; 5],
            };
            assert_eq!(moved, expected, "{status:?}");
        }
    }

    #[test]
    fn a_purchase_is_completed_once() {
        let env = env();
        let pending = purchase(&env, env.new_id());
        let completed = pending.after(&paid(), env.now());
        assert_eq!(completed.completed_at, Some(env.now()));
        let later = env.now() + time::Duration::HOUR;
        assert_eq!(completed.after(&paid(), later), completed);
        assert_eq!(completed.after(&CheckoutState::Expired, later), completed);
        let json = serde_json::to_value(&pending).unwrap();
        let mut members: Vec<&String> = json.as_object().unwrap().keys().collect();
        members.sort_unstable();
        assert_eq!(
            members,
            ["amount", "createdAt", "currency", "discount", "id", "items", "refundedAmount", "status"],
            "no buyer, no tenant"
        );
    }

    #[test]
    fn what_was_paid_is_refunded_or_disputed_and_nothing_else_is() {
        let env = env();
        let pending = purchase(&env, env.new_id());
        let paid = pending.after(&paid(), env.now());
        for (refunded, given, disputed, status) in [
            (0, 0, false, PurchaseStatus::Completed),
            (0, 35899, false, PurchaseStatus::Completed),
            (1, 35899, false, PurchaseStatus::PartiallyRefunded),
            (35899, 35899, false, PurchaseStatus::PartiallyRefunded),
            (0, 35900, false, PurchaseStatus::Refunded),
            (35900, 35900, false, PurchaseStatus::Refunded),
            (0, 0, true, PurchaseStatus::Disputed),
            (35900, 35900, true, PurchaseStatus::Disputed),
        ] {
            let reversed = paid.reversed(refunded, given, disputed);
            assert_eq!((reversed.status, reversed.refunded_amount), (status, refunded));
            // A dispute that is won, a refund that fails.
            assert_eq!(reversed.reversed(0, 0, false), paid);
            assert_eq!(reversed.after(&CheckoutState::Expired, env.now()), reversed);
        }
        assert_eq!(pending.reversed(35900, 35900, true), pending);
    }

    #[tokio::test]
    async fn purchases_of_others_are_not_there() {
        let env = env();
        let (ours, theirs) = (env.new_id(), env.new_id());
        let mut repositories = Repositories::default();
        let bought = purchase(&env, ours);
        repositories.shop.rows().purchases.push(bought.clone());
        let scope = |tenant| Scope::system(Some(tenant), RequestInfo::default());
        let (mine, other) = (scope(ours), scope(theirs));
        assert_eq!(Purchases::new(&mut repositories, &mine).get(bought.id).await.unwrap(), bought);
        let missing = Purchases::new(&mut repositories, &other).get(bought.id).await;
        assert!(matches!(missing, Err(BillingError::NoPurchase)));
        let page = PageRequest::default();
        assert_eq!(Purchases::new(&mut repositories, &mine).list(page).await.unwrap().total, 1);
        assert_eq!(Purchases::new(&mut repositories, &other).list(page).await.unwrap().total, 0);
        let anonymous = Scope::anonymous(RequestInfo::default());
        let denied = Purchases::new(&mut repositories, &anonymous).list(page).await;
        assert!(matches!(denied, Err(BillingError::Denied(_))));
    }
}
