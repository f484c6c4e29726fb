//! Invoices of subscriptions, with what their payments say.

use std::collections::HashMap;

use miniserde::Deserialize;
use portico_billing::{
    payment::{Dispute, PaymentError},
    subscription_provider::{
        ChangeQuote, INVOICE_PAGE, InvoiceLine, InvoicePayment, InvoiceStatus, ProviderInvoice, QuoteLine,
    },
};
use portico_kernel::Money;
use serde_json::{Value, json};
use stripe_types::List;

use super::{calls::DISCOUNTS, objects::DiscountObject};
use crate::{
    client::Client,
    payment::{self, MovementObject},
    values::{known, odd, perhaps, time},
};

/// Invoices on a page: each can have some kilobytes, and an answer is read up to a bound.
const PAGE: usize = 20;

#[derive(Deserialize)]
struct InvoiceObject {
    id: String,
    customer: Option<String>,
    number: Option<String>,
    status: Option<String>,
    currency: String,
    amount_due: i64,
    amount_paid: i64,
    total_taxes: Option<Vec<TaxObject>>,
    total_discount_amounts: Option<Vec<TakenObject>>,
    /// Expanded down to their coupons.
    discounts: Option<Vec<DiscountObject>>,
    lines: List<LineObject>,
    period_start: i64,
    period_end: i64,
    due_date: Option<i64>,
    next_payment_attempt: Option<i64>,
    status_transitions: Transitions,
    invoice_pdf: Option<String>,
    hosted_invoice_url: Option<String>,
    created: i64,
    parent: Option<ParentObject>,
    /// Only where it is expanded.
    payments: Option<List<InvoicePaymentObject>>,
}

#[derive(Deserialize)]
struct TaxObject {
    amount: i64,
}

/// What a discount has taken off all lines.
#[derive(Deserialize)]
struct TakenObject {
    amount: i64,
    discount: String,
}

#[derive(Deserialize)]
struct LineObject {
    description: Option<String>,
    quantity: Option<u32>,
    amount: i64,
    period: PeriodObject,
}

#[derive(Deserialize)]
struct PeriodObject {
    start: i64,
    end: i64,
}

#[derive(Deserialize)]
struct Transitions {
    paid_at: Option<i64>,
}

#[derive(Deserialize)]
struct ParentObject {
    subscription_details: Option<SubscriptionDetails>,
}

#[derive(Deserialize)]
struct SubscriptionDetails {}

#[derive(Deserialize)]
struct InvoicePaymentObject {
    payment: PaymentOf,
}

#[derive(Deserialize)]
struct PaymentOf {
    payment_intent: Option<String>,
}

/// What an invoice was paid by.
#[derive(Deserialize)]
struct ChargeObject {
    id: String,
    payment_intent: Option<String>,
    paid: bool,
    amount_refunded: i64,
    disputed: bool,
    /// Made a moment after the charge itself.
    balance_transaction: Option<MovementObject>,
    receipt_url: Option<String>,
}

#[derive(Deserialize)]
struct PaymentObject {
    latest_charge: Option<ChargeObject>,
}

/// A charge that was paid, with the disputes about it.
struct Paid {
    charge: ChargeObject,
    disputes: Vec<Dispute>,
}

/// Charges that were paid, by the payment that they belong to.
type Charges = HashMap<String, Paid>;

impl InvoiceObject {
    fn is_of_subscription(&self) -> bool {
        self.parent.as_ref().is_some_and(|parent| parent.subscription_details.is_some())
    }

    fn payments(&self) -> impl Iterator<Item = &str> {
        let payments = self.payments.iter().flat_map(|payments| &payments.data);
        payments.filter_map(|payment| payment.payment.payment_intent.as_deref())
    }

    /// What discounts have taken off, as lines that are called by the codes of their coupons.
    fn taken_off(&self) -> Vec<InvoiceLine> {
        let code = |id: &str| {
            let of_id = self.discounts.iter().flatten().find(|discount| discount.id == id);
            of_id.map(DiscountObject::code).unwrap_or_default().to_owned()
        };
        let taken = self.total_discount_amounts.iter().flatten().filter(|taken| taken.amount > 0);
        let line = |taken: &TakenObject| InvoiceLine {
            description: code(&taken.discount),
            quantity: 1,
            amount: -taken.amount,
        };
        taken.map(line).collect()
    }

    fn read(self, charges: &Charges) -> Result<ProviderInvoice, PaymentError> {
        let found: Vec<(&str, &Paid)> =
            self.payments().filter_map(|payment| Some((payment, charges.get(payment)?))).collect();
        let amount_refunded = found.iter().map(|(_, paid)| paid.charge.amount_refunded).sum();
        let receipt_url = found.iter().find_map(|(_, paid)| paid.charge.receipt_url.clone());
        let read = |(id, paid): &(&str, &Paid)| InvoicePayment {
            id: (*id).to_owned(),
            fee: payment::kept(paid.charge.balance_transaction.as_slice()),
            disputes: paid.disputes.clone(),
        };
        let payments = found.iter().map(read).collect();
        // The invoice of a renewal names the period that has ended as its own; its lines say what they are for.
        let periods = || self.lines.data.iter().map(|line| &line.period);
        let start = periods().map(|period| period.start).min().unwrap_or(self.period_start);
        let end = periods().map(|period| period.end).max().unwrap_or(self.period_end);
        let status = self.status.as_deref().and_then(InvoiceStatus::parse);
        let taken = self.taken_off();
        Ok(ProviderInvoice {
            status: status.ok_or_else(|| odd(&self.id, "a status that is not known here"))?,
            amount_refunded,
            payments,
            receipt_url,
            period_start: time(&self.id, start)?,
            period_end: time(&self.id, end)?,
            due_at: perhaps(&self.id, self.next_payment_attempt.or(self.due_date))?,
            paid_at: perhaps(&self.id, self.status_transitions.paid_at)?,
            created_at: time(&self.id, self.created)?,
            tax: self.total_taxes.iter().flatten().map(|tax| tax.amount).sum(),
            lines: self.lines.data.into_iter().map(LineObject::read).chain(taken).collect(),
            number: self.number,
            currency: self.currency,
            amount_due: self.amount_due,
            amount_paid: self.amount_paid,
            pdf_url: self.invoice_pdf,
            hosted_url: self.hosted_invoice_url,
            id: self.id,
        })
    }
}

impl LineObject {
    fn read(self) -> InvoiceLine {
        InvoiceLine {
            description: self.description.unwrap_or_default(),
            quantity: self.quantity.unwrap_or(1),
            amount: self.amount,
        }
    }
}

/// The newest invoices of a customer, or those before one of them; at most 100.
pub(super) async fn list(
    client: &Client,
    customer: &str,
    before: Option<&str>,
) -> Result<Vec<ProviderInvoice>, PaymentError> {
    let expand = ["data.payments".to_owned(), format!("data.{DISCOUNTS}")];
    let mut query = json!({"customer": known(customer)?, "limit": PAGE, "expand": expand});
    if let Some(before) = before {
        query["starting_after"] = json!(known(before)?);
    }
    let of_subscriptions =
        |found: &[InvoiceObject]| found.iter().filter(|invoice| invoice.is_of_subscription()).count();
    let enough = |found: &[InvoiceObject]| of_subscriptions(found) >= INVOICE_PAGE;
    let mut found = client.list::<InvoiceObject>("/invoices", &query, |one| &one.id, enough).await?;
    found.retain(InvoiceObject::is_of_subscription);
    found.truncate(INVOICE_PAGE);
    let paid = found.iter().filter(|invoice| invoice.amount_paid > 0);
    let charges = match paid.map(|invoice| invoice.created).min() {
        Some(oldest) => charges_since(client, customer, oldest).await?,
        None => Charges::new(),
    };
    found.into_iter().map(|invoice| invoice.read(&charges)).collect()
}

/// The charges of a customer from a time on. An invoice is charged after it was made.
async fn charges_since(client: &Client, customer: &str, oldest: i64) -> Result<Charges, PaymentError> {
    let query =
        json!({"customer": customer, "created": {"gte": oldest}, "expand": ["data.balance_transaction"]});
    let found = client.list::<ChargeObject>("/charges", &query, |charge| &charge.id, |_| false).await?;
    let mut charges = Charges::new();
    for charge in found.into_iter().filter(|charge| charge.paid) {
        if let Some(payment) = charge.payment_intent.clone() {
            let paid = with_disputes(client, &payment, charge).await?;
            charges.insert(payment, paid);
        }
    }
    Ok(charges)
}

async fn with_disputes(client: &Client, payment: &str, charge: ChargeObject) -> Result<Paid, PaymentError> {
    let disputes = if charge.disputed { payment::disputes(client, payment).await? } else { Vec::new() };
    Ok(Paid { charge, disputes })
}

/// One invoice of a customer.
pub(super) async fn get(client: &Client, customer: &str, id: &str) -> Result<ProviderInvoice, PaymentError> {
    let expand = json!({"expand": ["payments", DISCOUNTS]});
    let invoice: InvoiceObject = client.get(&format!("/invoices/{}", known(id)?), &expand).await?;
    if invoice.customer.as_deref() != Some(customer) {
        return Err(PaymentError::NotFound);
    }
    let mut charges = Charges::new();
    for payment in invoice.payments() {
        let path = format!("/payment_intents/{}", known(payment)?);
        let expand = json!({"expand": ["latest_charge.balance_transaction"]});
        let asked: PaymentObject = client.get(&path, &expand).await?;
        if let Some(charge) = asked.latest_charge.filter(|charge| charge.paid) {
            charges.insert(payment.to_owned(), with_disputes(client, payment, charge).await?);
        }
    }
    invoice.read(&charges)
}

/// What an invoice would say that is made of these parameters.
pub(super) async fn preview(client: &Client, form: &Value) -> Result<ChangeQuote, PaymentError> {
    /// It has no id that could be asked for, and none of what comes with one.
    #[derive(Deserialize)]
    struct Preview {
        amount_due: i64,
        currency: String,
        lines: List<LineObject>,
        total_discount_amounts: Option<Vec<TakenObject>>,
    }
    let preview: Preview = client.post("/invoices/create_preview", form, None).await?;
    let line = |line: LineObject| QuoteLine {
        description: line.description.unwrap_or_default(),
        amount: line.amount,
    };
    Ok(ChangeQuote {
        lines: preview.lines.data.into_iter().map(line).collect(),
        discount: preview.total_discount_amounts.iter().flatten().map(|taken| taken.amount).sum(),
        amount_due: Money { amount: preview.amount_due, currency: preview.currency },
    })
}
