//! Invoices of subscriptions, with what their payments say.

use std::collections::HashMap;

use miniserde::Deserialize;
use portico_billing::{
    payment::PaymentError,
    subscription_provider::{ChangeQuote, InvoiceLine, InvoiceStatus, ProviderInvoice, QuoteLine},
};
use portico_kernel::Money;
use serde_json::{Value, json};
use stripe_types::List;

use crate::{
    client::Client,
    values::{known, odd, perhaps, time},
};

/// Most invoices that are answered.
const MOST: usize = 100;

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
    receipt_url: Option<String>,
}

#[derive(Deserialize)]
struct PaymentObject {
    latest_charge: Option<ChargeObject>,
}

/// Charges that were paid, by the payment that they belong to.
type Charges = HashMap<String, ChargeObject>;

impl InvoiceObject {
    fn is_of_subscription(&self) -> bool {
        self.parent.as_ref().is_some_and(|parent| parent.subscription_details.is_some())
    }

    fn payments(&self) -> impl Iterator<Item = &str> {
        let payments = self.payments.iter().flat_map(|payments| &payments.data);
        payments.filter_map(|payment| payment.payment.payment_intent.as_deref())
    }

    fn read(self, charges: &Charges) -> Result<ProviderInvoice, PaymentError> {
        let found: Vec<&ChargeObject> = self.payments().filter_map(|payment| charges.get(payment)).collect();
        let amount_refunded = found.iter().map(|charge| charge.amount_refunded).sum();
        let receipt_url = found.iter().find_map(|charge| charge.receipt_url.clone());
        // The invoice of a renewal names the period that has ended as its own; its lines say what they are for.
        let periods = || self.lines.data.iter().map(|line| &line.period);
        let start = periods().map(|period| period.start).min().unwrap_or(self.period_start);
        let end = periods().map(|period| period.end).max().unwrap_or(self.period_end);
        let status = self.status.as_deref().and_then(InvoiceStatus::parse);
        Ok(ProviderInvoice {
            status: status.ok_or_else(|| odd(&self.id, "a status that is not known here"))?,
            amount_refunded,
            receipt_url,
            period_start: time(&self.id, start)?,
            period_end: time(&self.id, end)?,
            due_at: perhaps(&self.id, self.next_payment_attempt.or(self.due_date))?,
            paid_at: perhaps(&self.id, self.status_transitions.paid_at)?,
            created_at: time(&self.id, self.created)?,
            tax: self.total_taxes.iter().flatten().map(|tax| tax.amount).sum(),
            lines: self.lines.data.into_iter().map(LineObject::read).collect(),
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

/// The newest invoices of a customer, at most 100.
pub(super) async fn list(client: &Client, customer: &str) -> Result<Vec<ProviderInvoice>, PaymentError> {
    let query = json!({"customer": known(customer)?, "limit": PAGE, "expand": ["data.payments"]});
    let of_subscriptions =
        |found: &[InvoiceObject]| found.iter().filter(|invoice| invoice.is_of_subscription()).count();
    let enough = |found: &[InvoiceObject]| of_subscriptions(found) >= MOST;
    let mut found = client.list::<InvoiceObject>("/invoices", &query, |one| &one.id, enough).await?;
    found.retain(InvoiceObject::is_of_subscription);
    found.truncate(MOST);
    let paid = found.iter().filter(|invoice| invoice.amount_paid > 0);
    let charges = match paid.map(|invoice| invoice.created).min() {
        Some(oldest) => charges_since(client, customer, oldest).await?,
        None => Charges::new(),
    };
    found.into_iter().map(|invoice| invoice.read(&charges)).collect()
}

/// The charges of a customer from a time on. An invoice is charged after it was made.
async fn charges_since(client: &Client, customer: &str, oldest: i64) -> Result<Charges, PaymentError> {
    let query = json!({"customer": customer, "created": {"gte": oldest}});
    let found = client.list::<ChargeObject>("/charges", &query, |charge| &charge.id, |_| false).await?;
    let paid = found.into_iter().filter(|charge| charge.paid);
    Ok(paid.filter_map(|charge| Some((charge.payment_intent.clone()?, charge))).collect())
}

/// One invoice of a customer.
pub(super) async fn get(client: &Client, customer: &str, id: &str) -> Result<ProviderInvoice, PaymentError> {
    let expand = json!({"expand": ["payments"]});
    let invoice: InvoiceObject = client.get(&format!("/invoices/{}", known(id)?), &expand).await?;
    if invoice.customer.as_deref() != Some(customer) {
        return Err(PaymentError::NotFound);
    }
    let mut charges = Charges::new();
    for payment in invoice.payments() {
        let path = format!("/payment_intents/{}", known(payment)?);
        let asked: PaymentObject = client.get(&path, &json!({"expand": ["latest_charge"]})).await?;
        if let Some(charge) = asked.latest_charge.filter(|charge| charge.paid) {
            charges.insert(payment.to_owned(), charge);
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
    }
    let preview: Preview = client.post("/invoices/create_preview", form, None).await?;
    let line = |line: LineObject| QuoteLine {
        description: line.description.unwrap_or_default(),
        amount: line.amount,
    };
    Ok(ChangeQuote {
        lines: preview.lines.data.into_iter().map(line).collect(),
        amount_due: Money { amount: preview.amount_due, currency: preview.currency },
    })
}
