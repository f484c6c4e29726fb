//! Invoices of a tenant: for its subscription, and for what it has bought once.

use portico_kernel::{InvoiceId, List, PageRequest, Permission, Scope, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    BillingError,
    payment::{DisputeStatus, Provider},
    ports::BillingRepositories,
    purchase::{Purchase, PurchaseItem},
    seller::Seller,
    subscription_provider::{InvoiceLine, InvoicePayment, InvoiceStatus, ProviderInvoice},
};

/// What an invoice is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum InvoiceKind {
    /// A period of a plan, or a change of it.
    Subscription,
    /// Something that was bought once.
    Purchase,
}

impl InvoiceKind {
    /// Every sort.
    pub const ALL: [Self; 2] = [Self::Subscription, Self::Purchase];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subscription => "subscription",
            Self::Purchase => "purchase",
        }
    }

    /// The sort of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// An invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Invoice {
    /// That of the purchase where it is for one.
    pub id: InvoiceId,
    /// The tenant that it belongs to.
    #[serde(skip)]
    pub tenant_id: TenantId,
    /// Where it was made.
    #[serde(skip)]
    pub provider: Provider,
    /// The provider's id of it; that of the payment where it is for a purchase.
    #[serde(skip)]
    pub provider_id: String,
    /// Number on it; null while it is a draft.
    pub number: Option<String>,
    /// What became of it.
    pub status: InvoiceStatus,
    /// What it is for.
    pub kind: InvoiceKind,
    /// What was to be paid, in minor units: taxes included, credits taken off.
    #[cfg_attr(feature = "openapi", schema(example = 1200))]
    pub amount_due: i64,
    /// What was paid.
    pub amount_paid: i64,
    /// How much of that was given back.
    pub amount_refunded: i64,
    /// What it was paid by; nothing for a purchase, whose payment is followed with it.
    #[serde(skip)]
    pub payments: Vec<InvoicePayment>,
    /// Taxes in `amountDue`.
    pub tax: i64,
    /// Lower-case ISO 4217.
    #[cfg_attr(feature = "openapi", schema(example = "usd"))]
    pub currency: String,
    /// What it is for.
    pub lines: Vec<InvoiceLine>,
    /// Beginning of the period that it is for.
    pub period_start: Option<Timestamp>,
    /// End of the period that it is for.
    pub period_end: Option<Timestamp>,
    /// When it is to be paid, or its payment is tried again.
    pub due_at: Option<Timestamp>,
    /// When it was paid.
    pub paid_at: Option<Timestamp>,
    /// Address of it as a PDF; null for a purchase. It may be good for some weeks only: `GET /billing/invoices/{invoiceId}/pdf` leads to
    /// one that is, and answers that of a purchase.
    pub pdf_url: Option<String>,
    /// Page of the provider where it can be paid.
    pub hosted_url: Option<String>,
    /// Page of the provider with the receipt.
    pub receipt_url: Option<String>,
    /// Who sold it, as they were then; `None` where the provider makes the document.
    #[serde(skip)]
    pub seller: Option<Seller>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Invoice {
    /// As the provider has it, under this id.
    pub(crate) fn observed(
        id: InvoiceId,
        tenant_id: TenantId,
        provider: Provider,
        observed: &ProviderInvoice,
    ) -> Self {
        let seen = observed.clone();
        Self {
            id,
            tenant_id,
            provider,
            provider_id: seen.id,
            number: seen.number,
            status: seen.status,
            kind: InvoiceKind::Subscription,
            amount_due: seen.amount_due,
            amount_paid: seen.amount_paid,
            amount_refunded: seen.amount_refunded,
            payments: seen.payments,
            tax: seen.tax,
            currency: seen.currency,
            lines: seen.lines,
            period_start: Some(seen.period_start),
            period_end: Some(seen.period_end),
            due_at: seen.due_at,
            paid_at: seen.paid_at,
            pdf_url: seen.pdf_url,
            hosted_url: seen.hosted_url,
            receipt_url: seen.receipt_url,
            seller: None,
            created_at: seen.created_at,
        }
    }

    /// For a purchase that is paid.
    pub(crate) fn of_purchase(
        purchase: &Purchase,
        provider: Provider,
        payment_id: &str,
        now: Timestamp,
    ) -> Self {
        let line = |item: &PurchaseItem| InvoiceLine {
            description: item.description.clone(),
            quantity: item.quantity,
            amount: item.total(),
        };
        // What the coupon takes off, described by its code.
        let discount = purchase.coupon.iter().map(|code| InvoiceLine {
            description: code.clone(),
            quantity: 1,
            amount: purchase.discount.saturating_neg(),
        });
        Self {
            id: InvoiceId::from_uuid(purchase.id.uuid()),
            tenant_id: purchase.tenant_id,
            provider,
            provider_id: payment_id.to_owned(),
            number: None,
            status: InvoiceStatus::Paid,
            kind: InvoiceKind::Purchase,
            amount_due: purchase.amount,
            amount_paid: purchase.amount,
            amount_refunded: purchase.refunded_amount,
            payments: Vec::new(),
            tax: 0,
            currency: purchase.currency.clone(),
            lines: purchase.items.iter().map(line).chain(discount).collect(),
            period_start: None,
            period_end: None,
            due_at: None,
            paid_at: purchase.completed_at.or(Some(now)),
            pdf_url: None,
            hosted_url: None,
            receipt_url: None,
            seller: None,
            created_at: purchase.created_at,
        }
    }

    /// With its number, the one who sells, and the tax in it.
    #[must_use]
    pub(crate) fn sold_by(self, seller: &Seller, number: String) -> Self {
        let tax = seller.tax_in(self.amount_due);
        Self { number: Some(number), tax, seller: Some(seller.clone()), ..self }
    }

    /// Whether it is as the provider has it.
    pub fn is_as(&self, seen: &ProviderInvoice) -> bool {
        Self::observed(self.id, self.tenant_id, self.provider, seen) == *self
    }

    /// What banks have taken back of it and not given to us again, in minor units.
    pub fn disputed(&self) -> i64 {
        let disputes = self.payments.iter().flat_map(|payment| &payment.disputes);
        let held = disputes.filter(|dispute| dispute.status != DisputeStatus::Won);
        held.map(|dispute| dispute.amount.amount).sum()
    }

    /// The provider's id of the invoice, where it has one with a PDF.
    pub fn at_provider(&self) -> Option<&str> {
        (self.kind == InvoiceKind::Subscription).then_some(self.provider_id.as_str())
    }
}

/// Use cases around invoices.
pub struct Invoices<'a> {
    repositories: &'a mut dyn BillingRepositories,
    scope: &'a Scope,
}

impl<'a> Invoices<'a> {
    /// Over repositories, for a caller.
    pub fn new(repositories: &'a mut dyn BillingRepositories, scope: &'a Scope) -> Self {
        Self { repositories, scope }
    }

    /// The invoices of the active tenant, newest first.
    ///
    /// # Errors
    /// `Denied` without `billing:read`.
    pub async fn list(&mut self, page: PageRequest) -> Result<List<Invoice>, BillingError> {
        let tenant = self.scope.require(Permission::BillingRead)?;
        Ok(self.repositories.invoices().list(tenant, page).await?)
    }

    /// An invoice of the active tenant.
    ///
    /// # Errors
    /// `Denied` without `billing:read`; `NoInvoice`, also for one of another tenant.
    pub async fn get(&mut self, id: InvoiceId) -> Result<Invoice, BillingError> {
        let tenant = self.scope.require(Permission::BillingRead)?;
        self.repositories.invoices().find(tenant, id).await?.ok_or(BillingError::NoInvoice)
    }
}
