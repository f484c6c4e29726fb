//! A provider of subscriptions in memory, whose clock a test moves: trials, renewals, tries after a failed payment, prorations by the
//! second.

#![allow(clippy::expect_used, reason = "a test that asks for what is not there fails")]

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use portico_kernel::{Money, Timestamp};

use crate::{
    payment::{Dispute, DisputeStatus, PaymentError},
    subscription::SubscriptionStatus,
    subscription_provider::{
        ChangeQuote, INVOICE_PAGE, InvoicePayment, NewChange, NewCoupon, NewCustomer, NewPrice,
        NewSubscription, NewSubscriptionCheckout, PaymentMethod, ProviderInvoice, ProviderPage,
        ProviderSubscription, ScheduledPrice, SubscriptionCheckout, SubscriptionProvider,
    },
};

mod world;

use world::{Customer, World};

/// A provider of subscriptions in memory.
pub struct SimulatedSubscriptions(Mutex<World>);

impl SimulatedSubscriptions {
    /// With its clock at a time.
    pub fn at(now: Timestamp) -> Self {
        Self(Mutex::new(World {
            now,
            made: 0,
            customers: BTreeMap::new(),
            prices: BTreeMap::new(),
            coupons: BTreeMap::new(),
            pages: BTreeMap::new(),
            keys: HashMap::new(),
            declines: None,
            is_down: false,
            loses_answers: false,
        }))
    }

    /// Moves the clock on; what is due by then happens, in its order.
    pub fn advance_to(&self, now: Timestamp) {
        let mut world = self.world();
        world.now = world.now.max(now);
        world.catch_up();
    }

    /// Whether it answers at all.
    pub fn set_down(&self, is_down: bool) {
        self.world().is_down = is_down;
    }

    /// Whether the answers to what it makes are lost on their way.
    pub fn set_losing_answers(&self, loses_answers: bool) {
        self.world().loses_answers = loses_answers;
    }

    /// The word with which the bank declines every payment from now on; `None` for none.
    pub fn set_declining(&self, code: Option<&str>) {
        self.world().declines = code.map(str::to_owned);
    }

    /// The id of the customer whose reference contains this; `None` where there is none.
    pub fn customer(&self, reference: &str) -> Option<String> {
        let world = self.world();
        let found = world
            .customers
            .iter()
            .find(|(_, customer)| !customer.is_deleted && customer.reference.contains(reference));
        found.map(|(id, _)| id.clone())
    }

    /// A card is put on file, as on the page for it; it becomes the default where it is the first. Answers its id.
    ///
    /// # Panics
    /// Where there is no such customer.
    pub fn put_on_file(&self, customer: &str) -> String {
        let mut world = self.world();
        let (id, now) = (world.id("pm"), world.now);
        world.customers.get_mut(customer).expect("a customer").put_on_file(id.clone(), now);
        id
    }

    /// Whether a page for a first payment can be finished.
    pub fn is_open(&self, session: &str) -> bool {
        self.world().pages.get(session).is_some_and(|(_, is_open)| *is_open)
    }

    /// A buyer finishes the page for a first payment, with a card or, during a trial, without one.
    ///
    /// # Panics
    /// Where there is no such page.
    pub fn finish_page(&self, session: &str, with_card: bool) {
        let mut world = self.world();
        let (page, is_open) = world.pages.get(session).cloned().expect("a page");
        assert!(is_open, "the page is closed");
        world.pages.insert(session.to_owned(), (page.clone(), false));
        let (method, now) = (world.id("pm"), world.now);
        if with_card {
            world.customers.get_mut(&page.customer_id).expect("a customer").put_on_file(method, now);
        }
        let coupon = page.coupon_id.as_deref();
        world.begin(&page.customer_id, &page.price_id, page.trial_days, coupon).expect("a subscription");
    }

    /// Gives back money of an invoice; less than nothing for money that did not reach the buyer.
    ///
    /// # Panics
    /// Where there is no such invoice.
    pub fn refund(&self, customer: &str, invoice: &str, amount: i64) {
        let mut world = self.world();
        let customer = world.customers.get_mut(customer).expect("a customer");
        let invoice = customer.invoices.iter_mut().find(|found| found.id == invoice).expect("an invoice");
        invoice.amount_refunded += amount;
    }

    /// Puts the newest subscription of a customer into a status, whatever it was.
    ///
    /// # Panics
    /// Where there is none.
    pub fn set_status(&self, customer: &str, status: SubscriptionStatus) {
        let mut world = self.world();
        let customer = world.customers.get_mut(customer).expect("a customer");
        customer.subscriptions.last_mut().expect("a subscription").seen.status = status;
    }

    /// How many subscriptions of a customer go on.
    pub fn running_of(&self, customer: &str) -> usize {
        let world = self.world();
        let subscriptions = world.customers.get(customer).map(|customer| customer.subscriptions.iter());
        let running = subscriptions.into_iter().flatten();
        running.filter(|one| one.seen.status != SubscriptionStatus::Canceled).count()
    }

    /// Has it answer no more about the subscription of a customer.
    ///
    /// # Panics
    /// Where there is no such customer.
    pub fn leave_unanswered(&self, customer: &str) {
        self.world().customers.get_mut(customer).expect("a customer").is_unanswered = true;
    }

    /// The invoices of a customer, the newest first.
    pub fn invoices_of(&self, customer: &str) -> Vec<ProviderInvoice> {
        let world = self.world();
        let invoices = world.customers.get(customer).map(|customer| customer.invoices.clone());
        invoices.unwrap_or_default().into_iter().rev().collect()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answering(&self) -> Result<MutexGuard<'_, World>, PaymentError> {
        let world = self.world();
        match world.is_down {
            true => Err(PaymentError::Unavailable("the test says so".to_owned())),
            false => Ok(world),
        }
    }

    /// Does a thing once for a key, and answers the same thing then.
    fn once(
        &self,
        key: &str,
        arguments: String,
        make: impl FnOnce(&mut World) -> Result<String, PaymentError>,
    ) -> Result<String, PaymentError> {
        let mut world = self.answering()?;
        let answer = match world.keys.get(key).cloned() {
            Some((before, _)) if before != arguments => {
                return Err(PaymentError::Refused("the key was used for another call".to_owned()));
            }
            Some((_, answer)) => answer,
            None => {
                let answer = make(&mut world);
                world.keys.insert(key.to_owned(), (arguments, answer.clone()));
                answer
            }
        };
        match world.loses_answers {
            true => Err(PaymentError::Unavailable("the answer was lost".to_owned())),
            false => answer,
        }
    }
}

/// What happens besides payments.
impl SimulatedSubscriptions {
    /// The bank disputes the payment of an invoice, or decides about it. The provider keeps 30 for the payment, and 1500 for the dispute.
    ///
    /// # Panics
    /// Where there is no such invoice.
    pub fn dispute(&self, customer: &str, invoice: &str, status: DisputeStatus) {
        let mut world = self.world();
        let customer = world.customers.get_mut(customer).expect("a customer");
        let invoice = customer.invoices.iter_mut().find(|found| found.id == invoice).expect("an invoice");
        let money = |amount| Money { amount, currency: invoice.currency.clone() };
        let dispute = Dispute {
            id: format!("dp_{}", invoice.id),
            amount: money(invoice.amount_paid),
            status,
            answer_by: None,
            fee: Some(money(1500)),
        };
        let payment = InvoicePayment {
            id: format!("pi_{}", invoice.id),
            fee: Some(money(30)),
            disputes: vec![dispute],
        };
        invoice.payments = vec![payment];
    }

    /// A customer pays so many invoices more.
    ///
    /// # Panics
    /// Where there is no such customer, or no price.
    pub fn bill(&self, customer: &str, count: usize) {
        let mut world = self.world();
        let (price, now) = (world.prices.values().next().cloned().expect("a price"), world.now);
        for _ in 0..count {
            let lines = vec![(price.description.clone(), price.amount.amount)];
            world.invoice(customer, lines, &price, (now, now), true).expect("a customer");
        }
    }

    /// Deletes a customer, as on the pages of the provider: what it pays for ends at once.
    ///
    /// # Panics
    /// Where there is no such customer.
    pub fn delete_customer(&self, customer: &str) {
        let mut world = self.world();
        let now = world.now;
        let customer = world.customers.get_mut(customer).expect("a customer");
        customer.is_deleted = true;
        for running in &mut customer.subscriptions {
            (running.seen.status, running.seen.ends_at) = (SubscriptionStatus::Canceled, Some(now));
        }
    }
}

#[async_trait]
impl SubscriptionProvider for SimulatedSubscriptions {
    async fn create_customer(&self, new: &NewCustomer, key: &str) -> Result<String, PaymentError> {
        self.once(key, format!("{new:?}"), |world| {
            let id = world.id("cus");
            let customer = Customer { reference: new.reference.clone(), ..Customer::default() };
            world.customers.insert(id.clone(), customer);
            Ok(id)
        })
    }

    async fn price(&self, new: &NewPrice) -> Result<String, PaymentError> {
        let mut world = self.answering()?;
        let known = world.prices.iter().find(|(_, price)| price.reference == new.reference);
        if let Some((id, known)) = known {
            return match (&known.amount, known.interval) == (&new.amount, new.interval) {
                true => Ok(id.clone()),
                false => Err(PaymentError::Refused("the price is known with another amount".to_owned())),
            };
        }
        let id = world.id("price");
        world.prices.insert(id.clone(), new.clone());
        Ok(id)
    }

    async fn coupon(&self, new: &NewCoupon) -> Result<String, PaymentError> {
        let mut world = self.answering()?;
        let known = world.coupons.entry(new.reference.clone()).or_insert_with(|| new.clone());
        match known == new {
            true => Ok(new.reference.clone()),
            false => Err(PaymentError::Refused("the coupon is known with other terms".to_owned())),
        }
    }

    async fn create_checkout(
        &self,
        new: &NewSubscriptionCheckout,
        key: &str,
    ) -> Result<SubscriptionCheckout, PaymentError> {
        let id = self.once(key, format!("{new:?}"), |world| {
            world.customer(&new.customer_id)?;
            let id = world.id("cs");
            world.pages.insert(id.clone(), (new.clone(), true));
            Ok(id)
        })?;
        let is_open = self.world().pages.get(&id).is_some_and(|(_, is_open)| *is_open);
        let url = is_open.then(|| format!("https://pay.example.com/{id}"));
        Ok(SubscriptionCheckout { id, url, expires_at: new.expires_at })
    }

    async fn expire_checkout(&self, id: &str) -> Result<(), PaymentError> {
        if let Some((_, is_open)) = self.answering()?.pages.get_mut(id) {
            *is_open = false;
        }
        Ok(())
    }

    async fn create(&self, new: &NewSubscription, key: &str) -> Result<ProviderSubscription, PaymentError> {
        let id = self.once(key, format!("{new:?}"), |world| {
            world.begin(&new.customer_id, &new.price_id, 0, new.coupon_id.as_deref())
        })?;
        self.world().seen(&id)
    }

    async fn subscription(&self, customer_id: &str) -> Result<Option<ProviderSubscription>, PaymentError> {
        let mut world = self.answering()?;
        let customer = world.customer(customer_id)?;
        match customer.is_unanswered {
            true => Err(PaymentError::Unavailable("the test says so of this one".to_owned())),
            false => Ok(customer.newest().map(|running| running.seen.clone())),
        }
    }

    async fn is_deleted(&self, customer_id: &str) -> Result<bool, PaymentError> {
        Ok(self.answering()?.customers.get(customer_id).is_some_and(|customer| customer.is_deleted))
    }

    async fn quote(&self, change: &NewChange) -> Result<ChangeQuote, PaymentError> {
        Ok(self.answering()?.quote(change)?.0)
    }

    async fn change(&self, change: &NewChange, key: &str) -> Result<ProviderSubscription, PaymentError> {
        let id = self.once(key, format!("{change:?}"), |world| world.change(change))?;
        self.world().seen(&id)
    }

    async fn schedule(
        &self,
        subscription_id: &str,
        price_id: &str,
        key: &str,
    ) -> Result<ProviderSubscription, PaymentError> {
        let id = self.once(key, format!("{subscription_id} {price_id}"), |world| {
            let price = world.prices.get(price_id).cloned().ok_or(PaymentError::NotFound)?;
            let (_, running) = world.running(subscription_id)?;
            let at = running.seen.period_end;
            running.seen.scheduled = Some(ScheduledPrice { reference: Some(price.reference), at });
            Ok(subscription_id.to_owned())
        })?;
        self.world().seen(&id)
    }

    async fn cancel_at_end(&self, subscription_id: &str) -> Result<ProviderSubscription, PaymentError> {
        let mut world = self.answering()?;
        let (_, running) = world.running(subscription_id)?;
        running.seen.scheduled = None;
        running.seen.ends_at = Some(running.seen.period_end);
        Ok(running.seen.clone())
    }

    async fn resume(&self, subscription_id: &str) -> Result<ProviderSubscription, PaymentError> {
        let mut world = self.answering()?;
        let (_, running) = world.running(subscription_id)?;
        if running.seen.status != SubscriptionStatus::Canceled {
            (running.seen.scheduled, running.seen.ends_at) = (None, None);
        }
        Ok(running.seen.clone())
    }

    async fn cancel(&self, subscription_id: &str) -> Result<ProviderSubscription, PaymentError> {
        let mut world = self.answering()?;
        let now = world.now;
        let (_, running) = world.running(subscription_id)?;
        (running.seen.status, running.seen.ends_at) = (SubscriptionStatus::Canceled, Some(now));
        (running.seen.scheduled, running.try_at) = (None, None);
        Ok(running.seen.clone())
    }

    async fn payment_methods(&self, customer_id: &str) -> Result<Vec<PaymentMethod>, PaymentError> {
        Ok(self.answering()?.customer(customer_id)?.methods.clone())
    }

    async fn setup_page(&self, customer_id: &str, _: &str, _: &str) -> Result<ProviderPage, PaymentError> {
        let mut world = self.answering()?;
        world.customer(customer_id)?;
        let id = world.id("cs_setup");
        Ok(ProviderPage { url: format!("https://pay.example.com/{id}"), id })
    }

    async fn set_default(&self, customer_id: &str, payment_method_id: &str) -> Result<(), PaymentError> {
        let mut world = self.answering()?;
        let customer = world.customer(customer_id)?;
        if customer.methods.iter().all(|method| method.id != payment_method_id) {
            return Err(PaymentError::NotFound);
        }
        customer.set_default(payment_method_id);
        Ok(())
    }

    async fn detach(&self, customer_id: &str, payment_method_id: &str) -> Result<(), PaymentError> {
        let mut world = self.answering()?;
        let customer = world.customer(customer_id)?;
        let before = customer.methods.len();
        customer.methods.retain(|method| method.id != payment_method_id);
        if customer.methods.len() == before { Err(PaymentError::NotFound) } else { Ok(()) }
    }

    async fn invoices(&self, customer_id: &str) -> Result<Vec<ProviderInvoice>, PaymentError> {
        self.answering()?.customer(customer_id)?;
        Ok(self.invoices_of(customer_id).into_iter().take(INVOICE_PAGE).collect())
    }

    async fn older_invoices(
        &self,
        customer_id: &str,
        than: &str,
    ) -> Result<Vec<ProviderInvoice>, PaymentError> {
        self.answering()?.customer(customer_id)?;
        let newer = self.invoices_of(customer_id).into_iter().skip_while(|invoice| invoice.id != than);
        Ok(newer.skip(1).take(INVOICE_PAGE).collect())
    }

    async fn invoice(&self, customer_id: &str, id: &str) -> Result<ProviderInvoice, PaymentError> {
        drop(self.answering()?);
        let found = self.invoices_of(customer_id).into_iter().find(|invoice| invoice.id == id);
        found.ok_or(PaymentError::NotFound)
    }

    async fn portal_page(&self, customer_id: &str, return_url: &str) -> Result<ProviderPage, PaymentError> {
        let mut world = self.answering()?;
        world.customer(customer_id)?;
        let id = world.id("portal");
        Ok(ProviderPage { url: format!("https://pay.example.com/{id}?back={return_url}"), id })
    }
}
