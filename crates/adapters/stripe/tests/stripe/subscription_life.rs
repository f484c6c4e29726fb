//! The whole life of a subscription, on a moved clock.

use std::time::Duration;

use portico_billing::{
    payment::PaymentError,
    plan::BillingInterval,
    subscription::SubscriptionStatus,
    subscription_provider::{
        InvoiceStatus, NewChange, NewCustomer, NewPrice, NewSubscription, NewSubscriptionCheckout,
        ProviderSubscription, ScheduledPrice, SubscriptionProvider,
    },
};
use portico_kernel::{Clock, Money, Timestamp};

use crate::shop::{DAY, Shop};

const HOUR: Duration = Duration::from_secs(3600);

/// A tenant who pays for plans, at a shop.
pub struct Tenant<'a> {
    pub shop: &'a Shop,
    pub customer: String,
    pub starter: String,
    pub professional: String,
}

pub fn new_price(reference: &str, amount: i64, interval: BillingInterval) -> NewPrice {
    NewPrice {
        reference: reference.to_owned(),
        description: format!("Plan {reference}"),
        amount: Money { amount, currency: "usd".to_owned() },
        interval,
    }
}

pub fn new_customer() -> NewCustomer {
    NewCustomer {
        reference: "019a0000-0000-7000-8000-000000000001".to_owned(),
        name: "Acme & Söhne".to_owned(),
        email: "ada@shop.example".to_owned(),
    }
}

impl<'a> Tenant<'a> {
    pub async fn new(shop: &'a Shop) -> Self {
        let provider = &shop.subscriptions;
        let month = BillingInterval::Month;
        Self {
            shop,
            customer: provider.create_customer(&new_customer(), "customer_1").await.unwrap(),
            starter: provider.price(&new_price("starter-1-month", 1200, month)).await.unwrap(),
            professional: provider.price(&new_price("professional-1-month", 4900, month)).await.unwrap(),
        }
    }

    /// The subscription, which is there.
    pub async fn now(&self) -> ProviderSubscription {
        self.shop.subscriptions.subscription(&self.customer).await.unwrap().unwrap()
    }

    pub fn checkout(&self, trial_days: u16) -> NewSubscriptionCheckout {
        NewSubscriptionCheckout {
            reference: "tenant_call".to_owned(),
            customer_id: self.customer.clone(),
            price_id: self.starter.clone(),
            coupon_id: None,
            trial_days,
            success_url: "https://shop.example/paid?session={CHECKOUT_SESSION_ID}".to_owned(),
            cancel_url: "https://shop.example/plans".to_owned(),
            expires_at: self.shop.hands.now() + time::Duration::HOUR,
        }
    }

    /// Pays for the plan that costs less on the page for it.
    pub async fn subscribe(&self, card: &str) {
        let page = self.shop.subscriptions.create_checkout(&self.checkout(0), "checkout_1").await.unwrap();
        assert_eq!(self.shop.pay(&page.url.unwrap(), card).await.0, 303, "{card}");
    }

    /// Puts a card on file on the page for it, and answers its id.
    pub async fn put_on_file(&self, card: &str) -> String {
        let provider = &self.shop.subscriptions;
        let back = ("https://shop.example/cards", "https://shop.example/back");
        let page = provider.setup_page(&self.customer, back.0, back.1).await.unwrap();
        let answer = self.shop.pay(&page.url, card).await;
        assert_eq!(answer, (303, back.0.to_owned()), "{card}");
        provider.payment_methods(&self.customer).await.unwrap()[0].id.clone()
    }

    pub fn upgrade(&self, subscription: &ProviderSubscription, at: Timestamp) -> NewChange {
        NewChange {
            subscription_id: subscription.id.clone(),
            price_id: self.professional.clone(),
            coupon_id: None,
            prorated_at: at,
        }
    }

    pub fn again(&self) -> NewSubscription {
        NewSubscription {
            reference: "tenant_again".to_owned(),
            customer_id: self.customer.clone(),
            price_id: self.starter.clone(),
            coupon_id: None,
        }
    }

    /// How the newest invoice is, and what was to be paid and was paid.
    async fn newest_invoice(&self) -> (InvoiceStatus, i64, i64) {
        let invoices = self.shop.subscriptions.invoices(&self.customer).await.unwrap();
        let newest = invoices.first().unwrap();
        (newest.status, newest.amount_due, newest.amount_paid)
    }

    /// Time passes until some hours after the end of the period: an invoice is a draft for an hour.
    pub async fn renew(&self, before: &ProviderSubscription, passed: &mut Duration) {
        let now = self.shop.hands.now() + time::Duration::try_from(*passed).unwrap();
        let left = Duration::try_from(before.period_end - now).unwrap_or_default() + 2 * HOUR;
        self.shop.advance(left).await;
        *passed += left;
    }
}

fn scheduled(price: &str, at: Timestamp) -> Option<ScheduledPrice> {
    Some(ScheduledPrice { reference: Some(price.to_owned()), at })
}

#[tokio::test]
async fn from_a_trial_to_the_end() {
    for shop in Shop::each().await {
        let (provider, mut passed) = (&shop.subscriptions, Duration::ZERO);
        let tenant = Tenant::new(&shop).await;
        assert_eq!(provider.subscription(&tenant.customer).await.unwrap(), None);

        // A trial begins without a card.
        let new = tenant.checkout(14);
        let page = provider.create_checkout(&new, "checkout_1").await.unwrap();
        assert_eq!(page.expires_at, new.expires_at);
        assert_eq!(provider.create_checkout(&new, "checkout_1").await.unwrap(), page);
        assert_eq!(provider.subscription(&tenant.customer).await.unwrap(), None, "nobody was there yet");
        assert_eq!(shop.pay(page.url.as_ref().unwrap(), "").await.0, 303);
        let trial = tenant.now().await;
        assert_eq!(
            (trial.status, trial.price.as_deref()),
            (SubscriptionStatus::Trialing, Some("starter-1-month"))
        );
        assert_eq!(trial.trial_ends_at, Some(trial.period_end));
        assert_eq!(trial.period_end, trial.period_start + time::Duration::days(14));
        assert_eq!(
            (&trial.ends_at, &trial.scheduled, &trial.payment_method_id, trial.live),
            (&None, &None, &None, false)
        );
        let quote = provider.quote(&tenant.upgrade(&trial, shop.hands.now())).await.unwrap();
        assert_eq!((quote.lines.len(), quote.amount_due.amount), (0, 0), "nothing is charged during a trial");

        // What is put on file is what is paid with.
        let visa = tenant.put_on_file("visa").await;
        assert_eq!(tenant.now().await.payment_method_id.as_ref(), Some(&visa));
        tenant.renew(&trial, &mut passed).await;
        let paid = tenant.now().await;
        assert_eq!((paid.status, paid.period_start), (SubscriptionStatus::Active, trial.period_end));
        assert_eq!(tenant.newest_invoice().await, (InvoiceStatus::Paid, 1200, 1200));

        // What was shown is what is charged.
        let change = tenant.upgrade(&paid, paid.period_start + time::Duration::days(10));
        let quote = provider.quote(&change).await.unwrap();
        assert!((1..3700).contains(&quote.amount_due.amount), "{quote:?}");
        assert_eq!(quote.lines.iter().map(|line| line.amount).sum::<i64>(), quote.amount_due.amount);
        assert!(quote.lines.iter().any(|line| line.amount < 0), "{quote:?}");
        assert_eq!(tenant.now().await, paid, "and nothing has changed");
        let upgraded = provider.change(&change, "plan_1").await.unwrap();
        assert_eq!(upgraded.price.as_deref(), Some("professional-1-month"));
        assert_eq!((upgraded.period_start, upgraded.period_end), (paid.period_start, paid.period_end));
        let charged = (InvoiceStatus::Paid, quote.amount_due.amount, quote.amount_due.amount);
        assert_eq!(tenant.newest_invoice().await, charged);
        assert_eq!(provider.change(&change, "plan_1").await.unwrap(), upgraded);
        assert_eq!(provider.invoices(&tenant.customer).await.unwrap().len(), 3, "charged once");

        // The renewal fails, is tried again, and is paid with another card.
        let failing = tenant.put_on_file("chargeCustomerFail").await;
        provider.set_default(&tenant.customer, &failing).await.unwrap();
        assert_eq!(tenant.now().await.payment_method_id.as_ref(), Some(&failing));
        tenant.renew(&upgraded, &mut passed).await;
        let overdue = tenant.now().await;
        assert_eq!(overdue.status, SubscriptionStatus::PastDue);
        let open = provider.invoices(&tenant.customer).await.unwrap().remove(0);
        assert_eq!((open.status, open.amount_due, open.amount_paid), (InvoiceStatus::Open, 4900, 0));
        assert!(open.due_at.is_some_and(|at| at > overdue.period_start), "it is tried again");
        assert!(open.hosted_url.is_some() && open.paid_at.is_none(), "{open:?}");
        provider.set_default(&tenant.customer, &visa).await.unwrap();
        shop.advance(4 * DAY).await;
        passed += 4 * DAY;
        assert_eq!(tenant.now().await.status, SubscriptionStatus::Active);
        assert_eq!(tenant.newest_invoice().await, (InvoiceStatus::Paid, 4900, 4900));

        // Less comes at the end of the period, and can be taken back.
        let before = tenant.now().await;
        let planned = provider.schedule(&before.id, &tenant.starter, "plan_2").await.unwrap();
        assert_eq!(planned.scheduled, scheduled("starter-1-month", before.period_end));
        assert_eq!((&planned.price, planned.ends_at), (&before.price, None));
        assert_eq!(provider.schedule(&before.id, &tenant.starter, "plan_2").await.unwrap(), planned);
        let upgrade = provider.change(&tenant.upgrade(&before, before.period_start), "plan_3").await;
        assert_eq!(upgrade.unwrap().price, before.price, "it is at that price");
        let ending = provider.cancel_at_end(&before.id).await.unwrap();
        assert_eq!((&ending.scheduled, ending.ends_at), (&None, Some(before.period_end)));
        assert_eq!(provider.cancel_at_end(&before.id).await.unwrap(), ending);
        for _ in 0..2 {
            assert_eq!(provider.resume(&before.id).await.unwrap(), before);
        }
        provider.schedule(&before.id, &tenant.starter, "plan_4").await.unwrap();
        assert_eq!(provider.resume(&before.id).await.unwrap(), before, "also what was to follow");
        provider.schedule(&before.id, &tenant.starter, "plan_5").await.unwrap();
        tenant.renew(&before, &mut passed).await;
        let less = tenant.now().await;
        assert_eq!((less.price.as_deref(), &less.scheduled), (Some("starter-1-month"), &None));
        assert_eq!(less.status, SubscriptionStatus::Active);
        assert_eq!(tenant.newest_invoice().await, (InvoiceStatus::Paid, 1200, 1200));

        // More again, while the schedule has not ended yet, and then the end.
        let more = provider.change(&tenant.upgrade(&less, less.period_start), "plan_6").await.unwrap();
        assert_eq!(more.price.as_deref(), Some("professional-1-month"));
        assert_eq!(tenant.newest_invoice().await, (InvoiceStatus::Paid, 3700, 3700));
        provider.cancel_at_end(&more.id).await.unwrap();
        tenant.renew(&more, &mut passed).await;
        let ended = tenant.now().await;
        assert_eq!((ended.status, ended.ends_at), (SubscriptionStatus::Canceled, Some(more.period_end)));
        for after in [provider.resume(&ended.id).await, provider.cancel(&ended.id).await] {
            assert_eq!(after.unwrap(), ended, "it has ended");
        }

        // And again, with what is on file.
        let again = provider.create(&tenant.again(), "plan_7").await.unwrap();
        assert_eq!(
            (again.status, again.price.as_deref()),
            (SubscriptionStatus::Active, Some("starter-1-month"))
        );
        assert_eq!((again.id == ended.id, again.payment_method_id.as_ref()), (false, Some(&visa)));
        assert_eq!(tenant.now().await, again, "the one that goes on");
        let over = provider.cancel(&again.id).await.unwrap();
        assert_eq!(over.status, SubscriptionStatus::Canceled);
        assert!(over.ends_at.is_some_and(|at| at < again.period_end), "{over:?}");
        assert_eq!(provider.invoices(&tenant.customer).await.unwrap()[0].amount_refunded, 0);
    }
}

#[tokio::test]
async fn nobody_pays_until_the_subscription_ends() {
    for shop in Shop::each().await {
        let (tenant, mut passed) = (Tenant::new(&shop).await, Duration::ZERO);
        tenant.subscribe("visa").await;
        let failing = tenant.put_on_file("chargeCustomerFail").await;
        shop.subscriptions.set_default(&tenant.customer, &failing).await.unwrap();
        tenant.renew(&tenant.now().await, &mut passed).await;
        assert_eq!(tenant.now().await.status, SubscriptionStatus::PastDue);
        shop.advance(16 * DAY).await;
        let ended = tenant.now().await;
        assert_eq!(ended.status, SubscriptionStatus::Canceled);
        assert!(ended.ends_at.is_some());
    }
}

#[tokio::test]
async fn a_trial_without_a_card_ends_with_it() {
    for shop in Shop::each().await {
        let (tenant, mut passed) = (Tenant::new(&shop).await, Duration::ZERO);
        let page = shop.subscriptions.create_checkout(&tenant.checkout(7), "checkout_1").await.unwrap();
        shop.pay(&page.url.unwrap(), "").await;
        tenant.renew(&tenant.now().await, &mut passed).await;
        assert_eq!(tenant.now().await.status, SubscriptionStatus::Canceled);
        let invoices = shop.subscriptions.invoices(&tenant.customer).await.unwrap();
        assert_eq!(invoices.iter().map(|invoice| invoice.amount_due).sum::<i64>(), 0);
        let none = shop.subscriptions.create(&tenant.again(), "plan_1").await;
        assert_eq!(none, Err(PaymentError::Declined { code: "no_payment_method".to_owned() }));
    }
}

#[tokio::test]
async fn a_plan_is_paid_in_the_currency_of_its_price() {
    let shop = Shop::over_http().await;
    Tenant::new(&shop).await.subscribe("visa").await;
    let requests = shop.server().requests();
    let page = requests.iter().find(|request| request.path == "/v1/checkout/sessions").unwrap();
    let form = String::from_utf8(page.body.clone()).unwrap();
    let adaptive = form.split('&').find(|parameter| parameter.starts_with("adaptive_pricing"));
    assert!(adaptive.is_some_and(|parameter| parameter.ends_with("=false")), "{form}");
}
