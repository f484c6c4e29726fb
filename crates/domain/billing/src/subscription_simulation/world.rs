//! What the simulated provider has, and what happens there as time goes on.

use std::collections::{BTreeMap, HashMap};

use portico_kernel::{Money, Timestamp};
use time::Duration;

use crate::{
    coupon_scope::{CouponDuration, taken_off},
    payment::PaymentError,
    period::months_after,
    plan::BillingInterval,
    subscription::SubscriptionStatus,
    subscription_provider::{
        ChangeQuote, InvoiceLine, InvoiceStatus, NewChange, NewCoupon, NewPrice, NewSubscriptionCheckout,
        PaymentMethod, ProviderInvoice, ProviderSubscription, QuoteLine, RunningDiscount,
    },
};

/// The time between two tries of a payment that has failed.
const TRY_AGAIN: Duration = Duration::days(2);

/// A subscription with what its next steps depend on.
#[derive(Clone)]
pub(super) struct Running {
    pub seen: ProviderSubscription,
    /// Periods begin here.
    pub anchor: Timestamp,
    /// When the missing payment is tried again.
    pub try_at: Option<Timestamp>,
    /// What the whole running period costs, discounts taken off: credits are taken of it.
    pub billed: i64,
}

/// A customer.
#[derive(Clone, Default)]
pub(super) struct Customer {
    pub reference: String,
    /// Whether there is no answer about their subscription.
    pub is_unanswered: bool,
    /// Whether it was deleted.
    pub is_deleted: bool,
    pub methods: Vec<PaymentMethod>,
    pub subscriptions: Vec<Running>,
    pub invoices: Vec<ProviderInvoice>,
}

/// What a call with a key has led to, and what it was made of.
pub(super) type Kept = (String, Result<String, PaymentError>);

pub(super) struct World {
    pub now: Timestamp,
    pub made: u64,
    pub customers: BTreeMap<String, Customer>,
    pub prices: BTreeMap<String, NewPrice>,
    pub coupons: BTreeMap<String, NewCoupon>,
    pub pages: BTreeMap<String, (NewSubscriptionCheckout, bool)>,
    pub keys: HashMap<String, Kept>,
    pub declines: Option<String>,
    pub is_down: bool,
    pub loses_answers: bool,
}

impl Customer {
    pub fn put_on_file(&mut self, id: String, now: Timestamp) {
        let method = PaymentMethod {
            id: id.clone(),
            kind: "card".to_owned(),
            brand: Some("visa".to_owned()),
            last4: Some("4242".to_owned()),
            exp_month: Some(12),
            exp_year: Some(2040),
            is_default: false,
            created_at: now,
        };
        self.methods.insert(0, method);
        if self.methods.iter().all(|method| !method.is_default) {
            self.set_default(&id);
        }
    }

    pub fn set_default(&mut self, id: &str) {
        for method in &mut self.methods {
            method.is_default = method.id == id;
        }
        for running in &mut self.subscriptions {
            running.seen.payment_method_id = Some(id.to_owned());
        }
    }

    pub fn default_method(&self) -> Option<String> {
        self.methods.iter().find(|method| method.is_default).map(|method| method.id.clone())
    }

    pub fn newest(&self) -> Option<&Running> {
        let going_on = self.subscriptions.iter().rfind(|one| one.seen.status != SubscriptionStatus::Canceled);
        going_on.or(self.subscriptions.last())
    }
}

impl World {
    pub fn id(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}_{}", self.made)
    }

    pub fn customer(&mut self, id: &str) -> Result<&mut Customer, PaymentError> {
        self.customers.get_mut(id).filter(|customer| !customer.is_deleted).ok_or(PaymentError::NotFound)
    }

    pub fn price_of(&self, reference: Option<&str>) -> Option<NewPrice> {
        self.prices.values().find(|price| Some(price.reference.as_str()) == reference).cloned()
    }

    pub fn running(&mut self, id: &str) -> Result<(String, &mut Running), PaymentError> {
        let found = self.customers.iter_mut().find_map(|(customer, kept)| {
            let running = kept.subscriptions.iter_mut().find(|one| one.seen.id == id)?;
            Some((customer.clone(), running))
        });
        found.ok_or(PaymentError::NotFound)
    }

    pub fn seen(&mut self, id: &str) -> Result<ProviderSubscription, PaymentError> {
        Ok(self.running(id)?.1.seen.clone())
    }

    /// The word with which a payment of a customer fails.
    pub fn refusal(&mut self, customer: &str) -> Result<Option<String>, PaymentError> {
        let has_method = self.customer(customer)?.default_method().is_some();
        Ok(match has_method {
            true => self.declines.clone(),
            false => Some("no_payment_method".to_owned()),
        })
    }

    /// What a coupon takes off from now on.
    fn discount(&self, coupon_id: Option<&str>) -> Result<Option<RunningDiscount>, PaymentError> {
        let Some(id) = coupon_id else { return Ok(None) };
        let coupon = self.coupons.get(id).cloned().ok_or(PaymentError::NotFound)?;
        let months = coupon.months.and_then(|months| i32::try_from(months).ok());
        let (amount_off, currency) = coupon.amount_off.map(|off| (off.amount, off.currency)).unzip();
        Ok(Some(RunningDiscount {
            code: coupon.name,
            percent_off: coupon.percent_off,
            amount_off,
            currency,
            once: coupon.duration == CouponDuration::Once,
            ends_at: months.map(|months| months_after(self.now, months)),
        }))
    }

    pub fn begin(
        &mut self,
        customer: &str,
        price_id: &str,
        trial_days: u16,
        coupon_id: Option<&str>,
    ) -> Result<String, PaymentError> {
        let price = self.prices.get(price_id).cloned().ok_or(PaymentError::NotFound)?;
        let mut discount = self.discount(coupon_id)?;
        let (id, now) = (self.id("sub"), self.now);
        let trial_ends_at = (trial_days > 0).then(|| now + Duration::days(trial_days.into()));
        let period_end = trial_ends_at.unwrap_or_else(|| period_end(now, now, price.interval));
        let mut billed = 0;
        if trial_ends_at.is_none() {
            if let Some(code) = self.refusal(customer)? {
                return Err(PaymentError::Declined { code });
            }
            let lines = period_lines(&price, discount.as_ref(), now);
            billed = sum(&lines);
            self.invoice(customer, lines, &price, (now, period_end), true)?;
            discount = left_after_use(discount, now);
        }
        let status = match trial_ends_at {
            Some(_) => SubscriptionStatus::Trialing,
            None => SubscriptionStatus::Active,
        };
        let customer = self.customer(customer)?;
        let seen = ProviderSubscription {
            id: id.clone(),
            status,
            price: Some(price.reference),
            period_start: now,
            period_end,
            trial_ends_at,
            ends_at: None,
            scheduled: None,
            payment_method_id: customer.default_method(),
            discount,
            live: false,
        };
        let anchor = trial_ends_at.unwrap_or(now);
        customer.subscriptions.push(Running { seen, anchor, try_at: None, billed });
        Ok(id)
    }

    pub fn invoice(
        &mut self,
        customer: &str,
        lines: Vec<(String, i64)>,
        price: &NewPrice,
        (period_start, period_end): (Timestamp, Timestamp),
        is_paid: bool,
    ) -> Result<(), PaymentError> {
        let (id, now) = (self.id("in"), self.now);
        let amount_due = sum(&lines).max(0);
        let line = |(description, amount)| InvoiceLine { description, quantity: 1, amount };
        let invoice = ProviderInvoice {
            number: Some(format!("P-{}", self.made)),
            status: if is_paid { InvoiceStatus::Paid } else { InvoiceStatus::Open },
            currency: price.amount.currency.clone(),
            amount_due,
            amount_paid: if is_paid { amount_due } else { 0 },
            amount_refunded: 0,
            payments: Vec::new(),
            tax: 0,
            lines: lines.into_iter().map(line).collect(),
            period_start,
            period_end,
            due_at: None,
            paid_at: is_paid.then_some(now),
            pdf_url: Some(format!("https://pay.example.com/{id}.pdf")),
            hosted_url: Some(format!("https://pay.example.com/{id}")),
            receipt_url: None,
            created_at: now,
            id,
        };
        self.customer(customer)?.invoices.push(invoice);
        Ok(())
    }

    /// Lets everything happen that is due.
    pub fn catch_up(&mut self) {
        let until = self.now;
        loop {
            let due =
                self.customers.values().flat_map(|customer| &customer.subscriptions).filter_map(|one| {
                    let at = match one.seen.status {
                        SubscriptionStatus::Trialing | SubscriptionStatus::Active => one.seen.period_end,
                        SubscriptionStatus::PastDue => one.try_at?,
                        _ => return None,
                    };
                    (at <= until).then(|| (at, one.seen.id.clone()))
                });
            let Some((at, id)) = due.min() else { break };
            self.now = at;
            // What is due exists, so that nothing can fail.
            let _ = self.step(&id);
        }
        self.now = until;
    }

    /// The end of a trial or of a period, or another try of a payment, at the time of the clock.
    pub fn step(&mut self, id: &str) -> Result<(), PaymentError> {
        let now = self.now;
        let (customer, running) = self.running(id)?;
        if running.seen.status == SubscriptionStatus::PastDue {
            return self.try_again(&customer, id);
        }
        let (was, trial) = (running.seen.clone(), running.seen.status == SubscriptionStatus::Trialing);
        let has_method = self.customer(&customer)?.default_method().is_some();
        let (_, running) = self.running(id)?;
        if was.ends_at.is_some_and(|at| at <= now) || (trial && !has_method) {
            (running.seen.status, running.seen.ends_at) = (SubscriptionStatus::Canceled, Some(now));
            return Ok(());
        }
        if let Some(scheduled) = running.seen.scheduled.take() {
            running.seen.price = scheduled.reference;
        }
        let reference = running.seen.price.clone();
        let price = self.price_of(reference.as_deref()).ok_or(PaymentError::NotFound)?;
        let before = self.price_of(was.price.as_deref()).map(|price| price.interval);
        let (_, running) = self.running(id)?;
        if before != Some(price.interval) {
            running.anchor = now;
        }
        let end = period_end(running.anchor, now, price.interval);
        (running.seen.period_start, running.seen.period_end) = (now, end);
        let is_paid = self.refusal(&customer)?.is_none();
        let lines = period_lines(&price, was.discount.as_ref(), now);
        let billed = sum(&lines);
        self.invoice(&customer, lines, &price, (now, end), is_paid)?;
        let (_, running) = self.running(id)?;
        (running.billed, running.seen.discount) = (billed, left_after_use(was.discount, now));
        running.seen.status = if is_paid { SubscriptionStatus::Active } else { SubscriptionStatus::PastDue };
        running.try_at = (!is_paid).then(|| now + TRY_AGAIN);
        Ok(())
    }

    pub fn try_again(&mut self, customer: &str, id: &str) -> Result<(), PaymentError> {
        let (now, is_paid) = (self.now, self.refusal(customer)?.is_none());
        let (_, running) = self.running(id)?;
        running.try_at = (!is_paid).then(|| now + TRY_AGAIN);
        if !is_paid {
            return Ok(());
        }
        running.seen.status = SubscriptionStatus::Active;
        let open = self.customer(customer)?.invoices.iter_mut();
        for invoice in open.filter(|invoice| invoice.status == InvoiceStatus::Open) {
            (invoice.status, invoice.paid_at) = (InvoiceStatus::Paid, Some(now));
            invoice.amount_paid = invoice.amount_due;
        }
        Ok(())
    }

    pub fn quote(&mut self, change: &NewChange) -> Result<(ChangeQuote, NewPrice, NewPrice), PaymentError> {
        let seen = self.seen(&change.subscription_id)?;
        let new = self.prices.get(&change.price_id).cloned().ok_or(PaymentError::NotFound)?;
        let old = self.price_of(seen.price.as_deref()).ok_or(PaymentError::NotFound)?;
        let billed = self.running(&change.subscription_id)?.1.billed;
        let discount = self.discount(change.coupon_id.as_deref())?.or(seen.discount.clone());
        let currency = new.amount.currency.clone();
        if seen.status == SubscriptionStatus::Trialing {
            let amount_due = Money { amount: 0, currency };
            let quote = ChangeQuote { lines: Vec::new(), discount: 0, amount_due };
            return Ok((quote, old, new));
        }
        let share = |amount: i64| {
            let whole = (seen.period_end - seen.period_start).whole_seconds().max(1);
            let left = (seen.period_end - change.prorated_at).whole_seconds().clamp(0, whole);
            (amount * left + whole / 2) / whole
        };
        let rest = if old.interval == new.interval { share(new.amount.amount) } else { new.amount.amount };
        let lines = vec![
            QuoteLine { description: format!("Unused time on {}", old.description), amount: -share(billed) },
            QuoteLine { description: format!("Remaining time on {}", new.description), amount: rest },
        ];
        let discount = off(discount.as_ref(), rest, self.now);
        let amount = (lines.iter().map(|line| line.amount).sum::<i64>() - discount).max(0);
        Ok((ChangeQuote { lines, discount, amount_due: Money { amount, currency } }, old, new))
    }

    pub fn change(&mut self, change: &NewChange) -> Result<String, PaymentError> {
        let seen = self.seen(&change.subscription_id)?;
        if seen.ends_at.is_some() || seen.scheduled.is_some() {
            return Err(PaymentError::Refused("the subscription ends or changes".to_owned()));
        }
        let (quote, old, new) = self.quote(change)?;
        let (customer, _) = self.running(&change.subscription_id)?;
        let refusal = self.refusal(&customer)?.filter(|_| quote.amount_due.amount > 0);
        if let Some(code) = refusal {
            return Err(PaymentError::Declined { code });
        }
        let now = self.now;
        let discount = self.discount(change.coupon_id.as_deref())?.or(seen.discount.clone());
        let (_, running) = self.running(&change.subscription_id)?;
        running.seen.price = Some(new.reference.clone());
        running.billed = new.amount.amount - off(discount.as_ref(), new.amount.amount, now);
        let code = discount.as_ref().map(|discount| discount.code.clone()).unwrap_or_default();
        let is_billed = !quote.lines.is_empty();
        running.seen.discount = if is_billed { left_after_use(discount, now) } else { discount };
        if old.interval != new.interval && seen.status != SubscriptionStatus::Trialing {
            running.anchor = now;
            (running.seen.period_start, running.seen.period_end) = (now, period_end(now, now, new.interval));
        }
        let period = (change.prorated_at, running.seen.period_end);
        if is_billed {
            let taken = (quote.discount > 0).then_some((code, -quote.discount));
            let lines = quote.lines.into_iter().map(|line| (line.description, line.amount));
            let lines = lines.chain(taken).collect();
            self.invoice(&customer, lines, &new, period, true)?;
        }
        Ok(change.subscription_id.clone())
    }
}

/// What a discount takes off an amount at a time.
fn off(discount: Option<&RunningDiscount>, amount: i64, now: Timestamp) -> i64 {
    let running = discount.filter(|discount| discount.ends_at.is_none_or(|end| end > now));
    running.map_or(0, |discount| taken_off(discount.percent_off, discount.amount_off, amount))
}

/// What is on the invoice of a whole period.
fn period_lines(price: &NewPrice, discount: Option<&RunningDiscount>, now: Timestamp) -> Vec<(String, i64)> {
    let taken = off(discount, price.amount.amount, now);
    let line = discount.filter(|_| taken > 0).map(|discount| (discount.code.clone(), -taken));
    [(price.description.clone(), price.amount.amount)].into_iter().chain(line).collect()
}

fn sum(lines: &[(String, i64)]) -> i64 {
    lines.iter().map(|(_, amount)| amount).sum()
}

/// What is left of a discount after an invoice.
fn left_after_use(discount: Option<RunningDiscount>, now: Timestamp) -> Option<RunningDiscount> {
    discount.filter(|discount| !discount.once && discount.ends_at.is_none_or(|end| end > now))
}

/// The end of the period that begins at a time, of those that are counted from an anchor.
fn period_end(anchor: Timestamp, start: Timestamp, interval: BillingInterval) -> Timestamp {
    let step = match interval {
        BillingInterval::Month => 1,
        BillingInterval::Year => 12,
    };
    let ends = (1..).map(|count| months_after(anchor, count * step));
    ends.into_iter().find(|end| *end > start).unwrap_or(start)
}
