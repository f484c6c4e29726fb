//! Disputes: what banks take back because buyers dispute their payments.

use portico_kernel::{DisputeId, Env, Money, PurchaseId, TenantId, Timestamp};
use serde::Serialize;

use crate::{
    checkout::PurchaseCheckout,
    payment::{Dispute, DisputeStatus, Provider},
};

impl DisputeStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::NeedsAnswer, Self::UnderReview, Self::Won, Self::Lost];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NeedsAnswer => "needs_answer",
            Self::UnderReview => "under_review",
            Self::Won => "won",
            Self::Lost => "lost",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether nothing is decided yet.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::NeedsAnswer | Self::UnderReview)
    }

    /// The status after the provider has said this. What is decided stays, so an old answer of the provider undoes nothing.
    #[must_use]
    const fn after(self, seen: Self) -> Self {
        match (self, seen) {
            (Self::Won | Self::Lost, _) | (Self::UnderReview, Self::NeedsAnswer) => self,
            _ => seen,
        }
    }
}

/// What a bank has taken back of the payment of a purchase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PurchaseDispute {
    /// UUIDv7.
    pub id: DisputeId,
    /// The tenant that the purchase belongs to.
    #[serde(skip)]
    pub tenant_id: TenantId,
    /// What was bought.
    pub purchase_id: PurchaseId,
    /// Where it is answered.
    #[serde(skip)]
    pub provider: Provider,
    /// The provider's id of it.
    #[cfg_attr(feature = "openapi", schema(example = "dp_1a2b3c"))]
    pub provider_id: String,
    /// How much, in minor units of the currency.
    #[cfg_attr(feature = "openapi", schema(example = 35900))]
    pub amount: i64,
    /// Lower-case ISO 4217.
    #[cfg_attr(feature = "openapi", schema(example = "usd"))]
    pub currency: String,
    /// How far it is.
    pub status: DisputeStatus,
    /// Until when it can be answered at the provider; null where it needs no answer.
    pub answer_by: Option<Timestamp>,
    /// When it was first seen here.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

impl PurchaseDispute {
    /// One that was not known here.
    pub(crate) fn found(env: &Env, checkout: &PurchaseCheckout, observed: &Dispute) -> Self {
        Self {
            id: env.new_id(),
            tenant_id: checkout.tenant_id,
            purchase_id: checkout.purchase_id,
            provider: checkout.provider,
            provider_id: observed.id.clone(),
            amount: observed.amount.amount,
            currency: observed.amount.currency.clone(),
            status: observed.status,
            answer_by: observed.answer_by,
            created_at: env.now(),
            updated_at: env.now(),
        }
    }

    /// The dispute after the provider has said this about it.
    #[must_use]
    pub(crate) fn after(&self, observed: &Dispute, now: Timestamp) -> Self {
        let status = self.status.after(observed.status);
        // An older answer has an older time.
        let answer_by = if status == observed.status { observed.answer_by } else { self.answer_by };
        match status == self.status && answer_by == self.answer_by {
            true => self.clone(),
            false => Self { status, answer_by, updated_at: now, ..self.clone() },
        }
    }

    /// How much.
    pub fn money(&self) -> Money {
        Money { amount: self.amount, currency: self.currency.clone() }
    }

    /// Whether the money is not ours, for now or for good.
    pub fn is_held(&self) -> bool {
        self.status != DisputeStatus::Won
    }
}
