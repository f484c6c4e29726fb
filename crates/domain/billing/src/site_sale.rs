//! Sales of finished sites: one buyer at a time, paid on pages of a provider, handed over once.
//!
//! A sale belongs to the tenant that sells. As for purchases, the provider is never called while a transaction is open, and what it says is
//! settled in one place, however often and in whichever order it comes.

mod refunds;
mod register;
mod use_cases;

pub use refunds::{SettledSiteRefund, SiteRefundInput, SiteRefunds};
pub use register::{FoundSale, ManagedSiteSale, SaleStep, SiteSaleDetails, SiteSaleFilter, SiteSaleRegister};
pub use use_cases::SiteSales;

use portico_kernel::{
    CheckoutId, InvoiceId, JobType, Money, PurchaseId, SiteId, TenantId, Timestamp, UserId,
};
use serde::{Deserialize, Serialize};
use time::Duration;

use crate::{
    checkout::{CheckoutStage, PurchaseCheckout},
    invoice::{Invoice, InvoiceKind},
    payment::{CheckoutLine, NewCheckout, Provider},
    settlement::Mismatch,
    subscription_provider::{InvoiceLine, InvoiceStatus},
};

/// How long a site is held for a buyer who has not paid.
pub const RESERVED: Duration = Duration::minutes(30);

/// The currencies in which sites are sold.
const CURRENCIES: [&str; 2] = ["gtq", "usd"];

/// What became of a sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SiteSaleStatus {
    /// Not paid yet: the site is reserved.
    Pending,
    /// Paid, to be handed over.
    Paid,
    /// Paid. There is an account with the buyer's address, and its owner has to say that they bought it.
    Waiting,
    /// Handed over, and the money is here. The site may be back at the seller where a refund has failed after it was counted.
    Completed,
    /// Not paid.
    Failed,
    /// All that was paid was given back, whether the site was handed over or not.
    Refunded,
}

impl SiteSaleStatus {
    /// Every status.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Paid, Self::Waiting, Self::Completed, Self::Failed, Self::Refunded];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Paid => "paid",
            Self::Waiting => "waiting",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Refunded => "refunded",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether nobody else can buy the site meanwhile.
    pub const fn holds_site(self) -> bool {
        matches!(self, Self::Pending | Self::Paid | Self::Waiting)
    }

    /// Whether the money is there, and was not given back.
    pub const fn is_paid(self) -> bool {
        matches!(self, Self::Paid | Self::Waiting | Self::Completed)
    }
}

/// A sale of a site. Its JSON form goes into events and to the seller; the buyer does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SiteSale {
    /// UUIDv7. Its checkout has the same.
    pub id: PurchaseId,
    /// The tenant that sells.
    #[serde(skip)]
    pub tenant_id: TenantId,
    /// The site.
    pub site_id: SiteId,
    /// Its name when it was bought.
    #[cfg_attr(feature = "openapi", schema(example = "Panadería Luz"))]
    pub site_name: String,
    /// Its subdomain when it was bought.
    #[cfg_attr(feature = "openapi", schema(example = "panaderia-luz"))]
    pub slug: String,
    /// Address of a buyer whose account is not known. Empty for others, and once nothing is to be done with it any more.
    #[serde(skip)]
    pub buyer_email: String,
    /// Name of the same.
    #[serde(skip)]
    pub buyer_name: String,
    /// The account that gets it, and the tenant; `None` until that is known.
    #[serde(skip)]
    pub buyer: Option<(UserId, TenantId)>,
    /// Price when it was bought, in minor units of the currency.
    #[cfg_attr(feature = "openapi", schema(example = 150_000))]
    pub amount: i64,
    /// Lower-case ISO 4217.
    #[cfg_attr(feature = "openapi", schema(example = "gtq"))]
    pub currency: String,
    /// What became of it.
    pub status: SiteSaleStatus,
    /// When it was made, before it was paid.
    pub created_at: Timestamp,
    /// When it was found to be paid; null while it is not.
    pub paid_at: Option<Timestamp>,
    /// Whether a site that was handed over goes back to the seller once all of the money is given back: staff's decision about the newest
    /// refund. No more once that is done, or the refund has failed.
    #[serde(skip)]
    pub returns_site: bool,
    /// The payment.
    #[serde(skip)]
    pub checkout: PurchaseCheckout,
}

impl SiteSale {
    /// What it costs.
    pub fn price(&self) -> Money {
        Money { amount: self.amount, currency: self.currency.clone() }
    }

    /// The call that makes its checkout: the same at every try, because it is made of what is stored.
    pub fn call(&self) -> NewCheckout {
        let line =
            CheckoutLine { description: self.site_name.clone(), unit_amount: self.amount, quantity: 1 };
        NewCheckout {
            reference: self.checkout.reference(),
            lines: vec![line],
            amount: self.price(),
            success_url: self.checkout.success_url.clone(),
            cancel_url: self.checkout.cancel_url.clone(),
            expires_at: self.checkout.expires_at,
            email: None,
        }
    }

    /// Id of its invoice, which the tenant has that got the site.
    pub const fn invoice_id(&self) -> InvoiceId {
        InvoiceId::from_uuid(self.id.uuid())
    }

    /// The invoice of the tenant that gets the site, without a number yet; `None` while it is not paid.
    pub(crate) fn invoice(&self, buyer: TenantId) -> Option<Invoice> {
        Some(Invoice {
            id: self.invoice_id(),
            tenant_id: buyer,
            provider: self.checkout.provider,
            provider_id: self.checkout.payment_id.clone()?,
            number: None,
            status: InvoiceStatus::Paid,
            kind: InvoiceKind::Purchase,
            amount_due: self.amount,
            amount_paid: self.amount,
            amount_refunded: 0,
            payments: Vec::new(),
            tax: 0,
            currency: self.currency.clone(),
            lines: vec![InvoiceLine {
                description: self.site_name.clone(),
                quantity: 1,
                amount: self.amount,
            }],
            period_start: None,
            period_end: None,
            due_at: None,
            paid_at: Some(self.paid_at?),
            pdf_url: None,
            hosted_url: None,
            receipt_url: None,
            seller: None,
            created_at: self.created_at,
        })
    }

    /// The same without address and name of the buyer.
    fn anonymous(self) -> Self {
        Self { buyer_email: String::new(), buyer_name: String::new(), ..self }
    }

    /// The sale of a checkout.
    pub const fn of_checkout(id: CheckoutId) -> PurchaseId {
        PurchaseId::from_uuid(id.uuid())
    }
}

/// What is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedSite {
    /// Who sells.
    pub tenant: TenantId,
    /// The site.
    pub site: SiteId,
    /// Its name.
    pub name: String,
    /// Its subdomain.
    pub slug: String,
    /// What it costs.
    pub price: Money,
}

/// Who buys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteBuyer {
    /// Address, checked.
    pub email: String,
    /// Name, checked.
    pub full_name: String,
    /// For somebody who is signed in: their account, and the tenant that gets the site.
    pub account: Option<(UserId, TenantId)>,
}

/// How it is paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaleRule {
    /// Where.
    pub provider: Provider,
    /// Whether real money is moved.
    pub live: bool,
    /// Where the buyer comes to after the payment.
    pub success_url: String,
    /// Where the buyer comes to without having paid.
    pub cancel_url: String,
}

/// A sale that is to be paid on a page of the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "checkoutUrl": "https://app.recurrente.com/checkout-session/ch_eegw9j5zgqoae3ms",
    "purchaseId": "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d", "expiresAt": "2026-11-23T10:30:00Z"
})))]
pub struct SiteCheckout {
    /// The page to send the buyer to.
    pub checkout_url: String,
    /// Id of the sale.
    pub purchase_id: PurchaseId,
    /// Until when the site is reserved.
    pub expires_at: Timestamp,
}

/// The job that hands a site over. Its tenant is the one that sells.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandOverSite {
    /// The sale.
    pub purchase_id: PurchaseId,
}

impl JobType for HandOverSite {
    const KIND: &'static str = "site.hand_over";
    /// With a backoff that grows to an hour, the file store may be unavailable for a day.
    const MAX_ATTEMPTS: u32 = 36;
}

/// The job that gives a site back to the tenant that sold it, which is the tenant of the job.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReturnSite {
    /// The sale.
    pub purchase_id: PurchaseId,
}

impl JobType for ReturnSite {
    const KIND: &'static str = "site.return";
    /// As for [`HandOverSite`].
    const MAX_ATTEMPTS: u32 = 36;
}

/// What came of an answer of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledSale {
    /// The sale as it is now.
    pub sale: SiteSale,
    /// Whether this answer is the first to say that it is paid.
    pub is_newly_paid: bool,
    /// Why nothing was granted, where this answer is the first to show it. It is an error to be logged.
    pub mismatch: Option<Mismatch>,
}

impl SettledSale {
    /// What the buyer needs in order to pay; `None` where nothing can be paid.
    pub fn checkout(&self) -> Option<SiteCheckout> {
        let open = self.sale.checkout.stage == CheckoutStage::Open;
        Some(SiteCheckout {
            checkout_url: self.sale.checkout.url.clone().filter(|_| open)?,
            purchase_id: self.sale.id,
            expires_at: self.sale.checkout.expires_at,
        })
    }
}

#[cfg(test)]
mod tests;
