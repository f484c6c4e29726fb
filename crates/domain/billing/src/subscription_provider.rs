//! The port to providers of subscriptions: who pays for a plan each month or year, with what, and the invoices for it.
//!
//! A provider charges by itself when a period ends. What it says a subscription is like decides what is in force here, see
//! [`paid`](crate::paid); it is asked each time, and never believed from an event. Payments that are made once go through
//! [`PaymentProvider`](crate::payment::PaymentProvider), whose errors and rules about keys hold here, too.

use async_trait::async_trait;
use portico_kernel::{Money, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    coupon_scope::CouponDuration,
    payment::{Dispute, PaymentError},
    plan::BillingInterval,
    subscription::SubscriptionStatus,
};

/// A tenant, as the provider is to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCustomer {
    /// Our own name for it, which the provider stores: letters, digits, `-` and `_`, at most 200.
    pub reference: String,
    /// Name of the tenant.
    pub name: String,
    /// Where invoices go to.
    pub email: String,
}

/// What one version of a plan costs for one interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPrice {
    /// Our own name for it, see [`PriceReference`](crate::paid::PriceReference): letters, digits, `-` and `_`, at most 100.
    pub reference: String,
    /// Name of the plan, for invoices.
    pub description: String,
    /// What is charged at the beginning of each interval, taxes apart.
    pub amount: Money,
    /// How long a payment is for.
    pub interval: BillingInterval,
}

/// What is taken off invoices of a subscription: either a part or an amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCoupon {
    /// Our own name for it, which becomes the provider's id: letters, digits and `_`, at most 100.
    pub reference: String,
    /// The code, for invoices; at most 40 characters.
    pub name: String,
    /// Part of each invoice, 1 to 100.
    pub percent_off: Option<i64>,
    /// Amount of each invoice.
    pub amount_off: Option<Money>,
    /// How long.
    pub duration: CouponDuration,
    /// For how many months, where it is [`CouponDuration::Repeating`].
    pub months: Option<i64>,
}

/// What is taken off a subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "code": "SUMMER25", "percentOff": 25, "amountOff": null, "currency": null, "once": false, "endsAt": "2027-02-23T10:00:00Z"
})))]
pub struct RunningDiscount {
    /// The code of the coupon; the provider's words for one that was not made here.
    pub code: String,
    /// Part of each invoice, 1 to 100; null where it is an amount.
    pub percent_off: Option<i64>,
    /// Minor units of `currency`; null where it is a part.
    pub amount_off: Option<i64>,
    /// Lower-case ISO 4217; null where it is a part.
    pub currency: Option<String>,
    /// Whether it is taken off the next invoice and no other.
    pub once: bool,
    /// It is taken off invoices that are made before this time; null for no end.
    pub ends_at: Option<Timestamp>,
}

/// A first payment to be made on pages of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSubscriptionCheckout {
    /// Our own name for it, which the provider stores.
    pub reference: String,
    /// The provider's id of the customer.
    pub customer_id: String,
    /// The provider's id of the price.
    pub price_id: String,
    /// The provider's id of the coupon.
    pub coupon_id: Option<String>,
    /// Days before the first payment; 0 for none.
    pub trial_days: u16,
    /// Where the provider sends the buyer after the payment.
    pub success_url: String,
    /// Where the provider sends a buyer who does not pay.
    pub cancel_url: String,
    /// Nothing can be paid after this time.
    pub expires_at: Timestamp,
}

/// A first payment on pages of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionCheckout {
    /// The provider's id.
    pub id: String,
    /// The page to pay at; `None` where nothing can be paid any more.
    pub url: Option<String>,
    /// Nothing can be paid after this time.
    pub expires_at: Timestamp,
}

/// A subscription that is paid with what the customer has on file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSubscription {
    /// Our own name for it, which the provider stores.
    pub reference: String,
    /// The provider's id of the customer.
    pub customer_id: String,
    /// The provider's id of the price.
    pub price_id: String,
    /// The provider's id of the coupon.
    pub coupon_id: Option<String>,
}

/// Another price of a subscription, from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewChange {
    /// The provider's id of the subscription.
    pub subscription_id: String,
    /// The provider's id of the price.
    pub price_id: String,
    /// The provider's id of a coupon that takes the place of a discount that runs; where there is none, that goes on.
    pub coupon_id: Option<String>,
    /// The time from which the rest of the period is paid for at the new price, and given back at the old one. In the running period.
    pub prorated_at: Timestamp,
}

/// Another price from the end of the period on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledPrice {
    /// What [`NewPrice::reference`] was; `None` for a price that was not made here.
    pub reference: Option<String>,
    /// From when on.
    pub at: Timestamp,
}

/// A subscription, as it is at the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderSubscription {
    /// The provider's id.
    pub id: String,
    /// How it is. What a provider pauses is [`SubscriptionStatus::Unpaid`] here, and what never began [`SubscriptionStatus::Canceled`].
    pub status: SubscriptionStatus,
    /// What [`NewPrice::reference`] of its price was; `None` for a price that was not made here.
    pub price: Option<String>,
    /// Beginning of the period that is paid for, or to be paid for.
    pub period_start: Timestamp,
    /// When the next payment is due, unless it ends then.
    pub period_end: Timestamp,
    /// When its trial ends, or ended; `None` without one.
    pub trial_ends_at: Option<Timestamp>,
    /// When it will end, or has ended; `None` while it goes on.
    pub ends_at: Option<Timestamp>,
    /// The price that follows at the end of the period.
    pub scheduled: Option<ScheduledPrice>,
    /// The provider's id of what it is paid with: its own, or else that of the customer.
    pub payment_method_id: Option<String>,
    /// What is taken off its next invoices; the first where there are several.
    pub discount: Option<RunningDiscount>,
    /// Whether real money is moved.
    pub live: bool,
}

/// What a change would cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeQuote {
    /// What would be on the invoice, credits as negative amounts.
    pub lines: Vec<QuoteLine>,
    /// What discounts take off the lines, in minor units; not negative.
    pub discount: i64,
    /// What would be charged at once, after credits and discounts; 0 where they exceed it.
    pub amount_due: Money,
}

/// A line of a [`ChangeQuote`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QuoteLine {
    /// What it is for, in words of the provider.
    pub description: String,
    /// Minor units; negative for what is given back.
    pub amount: i64,
}

/// Something that a customer pays with. Never the number of a card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "id": "pm_1a2b3c", "type": "card", "brand": "visa", "last4": "4242", "expMonth": 12, "expYear": 2030, "isDefault": true,
    "createdAt": "2026-11-23T10:00:00Z"
})))]
pub struct PaymentMethod {
    /// The provider's id.
    pub id: String,
    /// The provider's word for the sort: `card`, `sepa_debit` and others.
    #[serde(rename = "type")]
    pub kind: String,
    /// Brand of a card.
    pub brand: Option<String>,
    /// The last four digits.
    pub last4: Option<String>,
    /// Month in which a card expires.
    pub exp_month: Option<u8>,
    /// Year in which a card expires.
    pub exp_year: Option<u16>,
    /// Whether the subscription is paid with it.
    pub is_default: bool,
    /// Since when it is on file.
    pub created_at: Timestamp,
}

/// A page of the provider that a customer is sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderPage {
    /// The provider's id of it.
    pub id: String,
    /// Its address.
    pub url: String,
}

/// What became of an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum InvoiceStatus {
    /// Not sent yet, and still changing.
    Draft,
    /// To be paid.
    Open,
    /// Paid, also where nothing was to be paid.
    Paid,
    /// Taken back.
    Void,
    /// Given up on.
    Uncollectible,
}

impl InvoiceStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [Self::Draft, Self::Open, Self::Paid, Self::Void, Self::Uncollectible];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Open => "open",
            Self::Paid => "paid",
            Self::Void => "void",
            Self::Uncollectible => "uncollectible",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A line of an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InvoiceLine {
    /// What it is for, in words of the provider.
    pub description: String,
    /// How many.
    pub quantity: u32,
    /// Of all of them, in minor units; negative for what is given back.
    pub amount: i64,
}

/// What an invoice was paid by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InvoicePayment {
    /// The provider's id of the payment.
    pub id: String,
    /// What the provider keeps for its work on it, where that is known and more than nothing. It may be in another currency.
    pub fee: Option<Money>,
    /// All disputes about it, those that are over included.
    pub disputes: Vec<Dispute>,
}

/// An invoice, as it is at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderInvoice {
    /// The provider's id.
    pub id: String,
    /// Number on it; `None` while it is a draft.
    pub number: Option<String>,
    /// What became of it.
    pub status: InvoiceStatus,
    /// Lower-case ISO 4217; all amounts are in its minor units.
    pub currency: String,
    /// What was to be paid in all, taxes included and credits taken off.
    pub amount_due: i64,
    /// What was paid.
    pub amount_paid: i64,
    /// How much of that was given back.
    pub amount_refunded: i64,
    /// What it was paid by.
    pub payments: Vec<InvoicePayment>,
    /// Taxes in it.
    pub tax: i64,
    /// What it is for. What a discount takes off is a line of its own, with the code and a negative amount.
    pub lines: Vec<InvoiceLine>,
    /// Beginning of what it is for.
    pub period_start: Timestamp,
    /// End of what it is for.
    pub period_end: Timestamp,
    /// When it is to be paid, or is tried again.
    pub due_at: Option<Timestamp>,
    /// When it was paid.
    pub paid_at: Option<Timestamp>,
    /// Address of it as a PDF. Whoever has it can read it.
    pub pdf_url: Option<String>,
    /// Page where it can be paid, also with a confirmation that the bank asks for.
    pub hosted_url: Option<String>,
    /// Page with the receipt of its payment.
    pub receipt_url: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// How many invoices a provider answers at once.
pub const INVOICE_PAGE: usize = 100;

/// A provider of subscriptions.
///
/// What is written at [`PaymentProvider`](crate::payment::PaymentProvider) about keys, about [`PaymentError::Unavailable`] and about
/// errors holds for each call here. Calls without a key set something to a value, or make a page that is of no use to anybody but who
/// gets its address: they MUST be harmless when repeated. An implementation:
///
/// - MUST answer [`PaymentError::NotFound`] for what belongs to another customer than the one that is named.
/// - MUST answer a subscription as it is after the call, and after what the provider does at once because of it.
/// - MUST keep a customer's subscription at one price with quantity one, charge by itself when a period begins, and MUST NOT add anything
///   to an invoice but taxes.
/// - MUST take what a coupon takes off every invoice that is made while it lasts, and off no other; a changed or ended price does not end it.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SubscriptionProvider: Send + Sync {
    /// Makes a customer known, and answers the provider's id. MUST store the reference with it.
    async fn create_customer(&self, new: &NewCustomer, key: &str) -> Result<String, PaymentError>;

    /// The provider's id of the price of this reference; makes it where it is not known. MUST answer one and the same for a reference at
    /// any time, also under concurrency. MUST refuse ([`PaymentError::Refused`]) where it is known with another amount, currency or
    /// interval.
    async fn price(&self, new: &NewPrice) -> Result<String, PaymentError>;

    /// The provider's id of the coupon of this reference; makes it where it is not known. MUST answer one and the same for a reference at
    /// any time, also under concurrency. MUST refuse ([`PaymentError::Refused`]) where it is known with other terms.
    async fn coupon(&self, new: &NewCoupon) -> Result<String, PaymentError>;

    /// Makes the page for the first payment. MUST let a buyer try it for the trial days without a card, and end the subscription after them
    /// where none was given. MUST make the card that is used there the default of the customer.
    async fn create_checkout(
        &self,
        new: &NewSubscriptionCheckout,
        key: &str,
    ) -> Result<SubscriptionCheckout, PaymentError>;

    /// Ends the page of this id, so that nobody can pay there any more. MUST leave one alone that is paid, expired or unknown, and answer
    /// `Ok`: what it has led to is asked by [`SubscriptionProvider::subscription`].
    async fn expire_checkout(&self, id: &str) -> Result<(), PaymentError>;

    /// Begins a subscription that is paid at once with the default payment method of the customer. MUST answer [`PaymentError::Declined`]
    /// and begin nothing where it cannot be paid, also where the bank asks for a confirmation.
    async fn create(&self, new: &NewSubscription, key: &str) -> Result<ProviderSubscription, PaymentError>;

    /// The subscription of a customer as it is now, never from a cache: the newest that has not ended, or else the newest; `None` where
    /// there never was one. What its page was not paid for is none. Of a customer that is deleted MUST answer none that goes on, or
    /// [`PaymentError::NotFound`].
    async fn subscription(&self, customer_id: &str) -> Result<Option<ProviderSubscription>, PaymentError>;

    /// Whether the provider has deleted this customer. MUST answer `false` for one that it does not know at all: it may be one of another
    /// account than the one that the operator has named.
    async fn is_deleted(&self, customer_id: &str) -> Result<bool, PaymentError>;

    /// What [`SubscriptionProvider::change`] would charge. MUST be the same to the minor unit for the same arguments, and MUST change
    /// nothing.
    async fn quote(&self, change: &NewChange) -> Result<ChangeQuote, PaymentError>;

    /// Changes the price now, and charges at once for the rest of the period, less what is left of what was paid for it. MUST answer
    /// [`PaymentError::Declined`] and leave everything as it was where that cannot be paid, also where the bank asks for a confirmation.
    /// MUST begin a new period where the interval is another one, and keep the period otherwise. MUST charge nothing during a trial, and
    /// keep its end. Only for a subscription that neither ends nor has a scheduled price.
    async fn change(&self, change: &NewChange, key: &str) -> Result<ProviderSubscription, PaymentError>;

    /// Changes the price at the end of the period, without proration, also where this process does not run then. MUST replace what was
    /// scheduled before. Only for a subscription that does not end.
    async fn schedule(
        &self,
        subscription_id: &str,
        price_id: &str,
        key: &str,
    ) -> Result<ProviderSubscription, PaymentError>;

    /// Ends the subscription at the end of the period, or of its trial. MUST drop a scheduled price.
    async fn cancel_at_end(&self, subscription_id: &str) -> Result<ProviderSubscription, PaymentError>;

    /// Takes back an end that is to come, and a scheduled price. MUST leave one alone that has ended.
    async fn resume(&self, subscription_id: &str) -> Result<ProviderSubscription, PaymentError>;

    /// Ends the subscription now. MUST give nothing back, and MUST NOT try to collect any more what is open.
    async fn cancel(&self, subscription_id: &str) -> Result<ProviderSubscription, PaymentError>;

    /// What the customer has on file, the newest first; at most 100.
    async fn payment_methods(&self, customer_id: &str) -> Result<Vec<PaymentMethod>, PaymentError>;

    /// Makes the page where a customer puts something on file, confirmed by the bank as far as that asks for it.
    async fn setup_page(
        &self,
        customer_id: &str,
        success_url: &str,
        cancel_url: &str,
    ) -> Result<ProviderPage, PaymentError>;

    /// Makes this the default of the customer and of their subscription.
    async fn set_default(&self, customer_id: &str, payment_method_id: &str) -> Result<(), PaymentError>;

    /// Takes this off the file, for good.
    async fn detach(&self, customer_id: &str, payment_method_id: &str) -> Result<(), PaymentError>;

    /// The newest invoices of a customer, the newest first, of subscriptions only: [`INVOICE_PAGE`] of them, or all where there are fewer.
    /// MUST name each dispute about their payments, but for enquiries of banks for which no money was taken.
    async fn invoices(&self, customer_id: &str) -> Result<Vec<ProviderInvoice>, PaymentError>;

    /// The same of those that are older than the one of this id.
    async fn older_invoices(
        &self,
        customer_id: &str,
        than: &str,
    ) -> Result<Vec<ProviderInvoice>, PaymentError>;

    /// One invoice as it is now: addresses of its PDF and pages may be good for some weeks only.
    async fn invoice(&self, customer_id: &str, id: &str) -> Result<ProviderInvoice, PaymentError>;

    /// Makes a page of the provider where a customer sees invoices and looks after what they pay with. MUST NOT let them change or end the
    /// subscription there: that would go past what is checked here.
    async fn portal_page(&self, customer_id: &str, return_url: &str) -> Result<ProviderPage, PaymentError>;
}
