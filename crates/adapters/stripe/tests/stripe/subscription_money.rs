//! What subscriptions cost, what they are paid with, and what is on their invoices.

use std::time::Duration;

use portico_billing::{
    payment::{DisputeStatus, InboundSubject, PaymentError, PaymentProvider},
    plan::BillingInterval,
    subscription::SubscriptionStatus,
    subscription_provider::{InvoiceStatus, NewChange, NewPrice, SubscriptionProvider},
};
use portico_kernel::{Clock, Money};

use crate::{
    shop::{DAY, Place, Shop},
    subscription_life::{Tenant, new_customer, new_price},
};

#[tokio::test]
async fn a_customer_and_a_price_are_made_once() {
    for shop in Shop::each().await {
        let provider = &shop.subscriptions;
        let first = provider.create_customer(&new_customer(), "customer_1").await.unwrap();
        assert!(first.starts_with("cus_"));
        assert_eq!(provider.create_customer(&new_customer(), "customer_1").await.unwrap(), first);
        let stored = shop.call(&format!("/v1/customers/{first}"), "").await;
        assert_eq!(stored["metadata"]["portico_reference"], new_customer().reference);
        assert_eq!((&stored["name"], &stored["email"]), (&"Acme & Söhne".into(), &"ada@shop.example".into()));

        let new = new_price("starter-1-year", 12000, BillingInterval::Year);
        let asked = || provider.price(&new);
        let (one, two, three) = tokio::join!(asked(), asked(), asked());
        let id = one.unwrap();
        assert_eq!((&id, &id), (&two.unwrap(), &three.unwrap()));
        shop.hands.pass(100_000);
        let renamed = NewPrice { description: "Another name".to_owned(), ..new.clone() };
        assert_eq!(provider.price(&renamed).await.unwrap(), id, "a name is no part of it");
        let euros = Money { amount: 12000, currency: "eur".to_owned() };
        for other in [
            new_price("starter-1-year", 12001, BillingInterval::Year),
            new_price("starter-1-year", 12000, BillingInterval::Month),
            NewPrice { amount: euros, ..new.clone() },
            NewPrice { amount: Money { amount: 1999, currency: "kwd".to_owned() }, ..new.clone() },
            NewPrice { amount: Money { amount: 1999, currency: "xxx".to_owned() }, ..new },
        ] {
            let refused = provider.price(&other).await;
            assert!(matches!(refused, Err(PaymentError::Refused(_))), "{other:?}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn a_first_payment_is_made_on_a_page_that_ends() {
    for shop in Shop::each().await {
        let (tenant, provider) = (Tenant::new(&shop).await, &shop.subscriptions);
        let page = provider.create_checkout(&tenant.checkout(0), "checkout_1").await.unwrap();
        let url = page.url.clone().unwrap();
        assert_eq!(shop.pay(&url, "visa_chargeDeclined").await.0, 402);
        assert_eq!(provider.subscription(&tenant.customer).await.unwrap(), None, "it was not paid");
        for _ in 0..2 {
            provider.expire_checkout(&page.id).await.unwrap();
        }
        shop.pay(&url, "visa").await;
        assert_eq!(provider.subscription(&tenant.customer).await.unwrap(), None, "the page has ended");
        for unknown in ["cs_test_never", "", "../customers"] {
            provider.expire_checkout(unknown).await.unwrap();
        }

        let page = provider.create_checkout(&tenant.checkout(0), "checkout_2").await.unwrap();
        let (_, bank) = shop.pay(page.url.as_ref().unwrap(), "threeDSecure2Required").await;
        assert_eq!(provider.subscription(&tenant.customer).await.unwrap(), None, "the bank asks");
        shop.post(&bank, "action=confirm").await;
        let paid = tenant.now().await;
        assert_eq!((paid.status, paid.trial_ends_at), (SubscriptionStatus::Active, None));
        provider.expire_checkout(&page.id).await.unwrap();
        assert_eq!(tenant.now().await, paid);
        // The card that was used there is the default of the customer.
        let methods = provider.payment_methods(&tenant.customer).await.unwrap();
        let [card] = methods.as_slice() else { panic!("{methods:?}") };
        assert_eq!((paid.payment_method_id.as_ref(), card.is_default), (Some(&card.id), true));
        let stored = shop.call(&format!("/v1/customers/{}", tenant.customer), "").await;
        assert_eq!(stored["invoice_settings"]["default_payment_method"], card.id);
        let stored = shop.call(&format!("/v1/subscriptions/{}", paid.id), "").await;
        assert_eq!(stored["metadata"]["portico_reference"], "tenant_call");
    }
}

#[tokio::test]
async fn what_cannot_be_paid_changes_nothing() {
    for shop in Shop::each().await {
        let (tenant, provider) = (Tenant::new(&shop).await, &shop.subscriptions);
        tenant.subscribe("visa").await;
        let before = tenant.now().await;
        let invoices = provider.invoices(&tenant.customer).await.unwrap();
        for (card, code, key) in [
            ("chargeCustomerFail", "generic_decline", "plan_1"),
            ("authenticationRequiredAlways", "authentication_required", "plan_2"),
        ] {
            let method = match card {
                "authenticationRequiredAlways" => {
                    let url = provider
                        .setup_page(&tenant.customer, "https://shop.example/a", "https://shop.example/b")
                        .await
                        .unwrap()
                        .url;
                    let (_, bank) = shop.pay(&url, card).await;
                    assert_eq!(shop.post(&bank, "action=confirm").await.0, 303);
                    provider.payment_methods(&tenant.customer).await.unwrap()[0].id.clone()
                }
                _ => tenant.put_on_file(card).await,
            };
            provider.set_default(&tenant.customer, &method).await.unwrap();
            let declined = provider.change(&tenant.upgrade(&before, before.period_start), key).await;
            assert_eq!(declined, Err(PaymentError::Declined { code: code.to_owned() }), "{card}");
            let after = tenant.now().await;
            assert_eq!(after.price, before.price, "{card}");
            assert_eq!((after.period_end, after.status), (before.period_end, before.status), "{card}");
            assert_eq!(provider.invoices(&tenant.customer).await.unwrap(), invoices, "{card}");
        }
        provider.cancel(&before.id).await.unwrap();
        let declined = provider.create(&tenant.again(), "plan_3").await;
        assert!(matches!(declined, Err(PaymentError::Declined { .. })), "{declined:?}");
        assert_eq!(tenant.now().await.id, before.id, "nothing has begun");
    }
}

#[tokio::test]
async fn a_year_begins_at_once_and_a_clock_that_is_slow_does_no_harm() {
    for shop in Shop::each().await {
        let (tenant, provider) = (Tenant::new(&shop).await, &shop.subscriptions);
        tenant.subscribe("visa").await;
        let before = tenant.now().await;
        let year = provider.price(&new_price("starter-1-year", 12000, BillingInterval::Year)).await.unwrap();
        let change = NewChange {
            price_id: year,
            ..tenant.upgrade(&before, before.period_start - time::Duration::seconds(7))
        };
        let quote = provider.quote(&change).await.unwrap();
        assert_eq!(quote.amount_due.amount, 12000 - 1200);
        let after = provider.change(&change, "plan_1").await.unwrap();
        assert_eq!(after.price.as_deref(), Some("starter-1-year"));
        assert!(after.period_end > before.period_end + time::Duration::days(300), "{after:?}");
        assert_eq!(provider.change(&change, "plan_1").await.unwrap(), after);
        let newest = provider.invoices(&tenant.customer).await.unwrap().remove(0);
        assert_eq!((newest.amount_paid, newest.period_end), (quote.amount_due.amount, after.period_end));
        // Back to the month when the year is over.
        let planned = provider.schedule(&after.id, &tenant.starter, "plan_2").await.unwrap();
        let next = planned.scheduled.expect("a price that follows");
        assert_eq!((next.reference.as_deref(), next.at), (Some("starter-1-month"), after.period_end));
        let upgrade = provider.change(&tenant.upgrade(&after, after.period_start), "plan_3").await;
        assert!(matches!(upgrade, Err(PaymentError::Refused(_))), "it changes: {upgrade:?}");
        let ending = provider.cancel_at_end(&after.id).await.unwrap();
        let upgrade = provider.change(&tenant.upgrade(&ending, after.period_start), "plan_4").await;
        assert!(matches!(upgrade, Err(PaymentError::Refused(_))), "it ends: {upgrade:?}");
    }
}

#[tokio::test]
async fn a_year_that_is_begun_later_costs_what_was_shown() {
    for shop in Shop::each().await {
        let (tenant, provider) = (Tenant::new(&shop).await, &shop.subscriptions);
        tenant.subscribe("visa").await;
        shop.advance(10 * DAY).await;
        let before = tenant.now().await;
        let year = provider.price(&new_price("starter-1-year", 12000, BillingInterval::Year)).await.unwrap();
        let shown_at = before.period_start + time::Duration::days(10);
        let change = NewChange { price_id: year, ..tenant.upgrade(&before, shown_at) };
        let quote = provider.quote(&change).await.unwrap();
        assert!((12000 - 1200 + 1..12000).contains(&quote.amount_due.amount), "{quote:?}");
        shop.advance(Duration::from_secs(59 * 60)).await;
        assert_eq!(provider.quote(&change).await.unwrap().amount_due, quote.amount_due);
        let after = provider.change(&change, "plan_1").await.unwrap();
        assert!(after.period_start > change.prorated_at, "a period of its own: {after:?}");
        let newest = provider.invoices(&tenant.customer).await.unwrap().remove(0);
        assert_eq!(newest.amount_paid, quote.amount_due.amount);
    }
}

#[tokio::test]
async fn what_is_paid_with_is_of_its_customer() {
    for shop in Shop::each().await {
        let (tenant, provider) = (Tenant::new(&shop).await, &shop.subscriptions);
        assert_eq!(provider.payment_methods(&tenant.customer).await.unwrap(), []);
        tenant.subscribe("visa").await;
        let second = tenant.put_on_file("mastercard").await;
        let methods = provider.payment_methods(&tenant.customer).await.unwrap();
        let [newest, oldest] = methods.as_slice() else { panic!("{methods:?}") };
        assert_eq!((&newest.id, newest.is_default, oldest.is_default), (&second, false, true));
        assert_eq!((newest.kind.as_str(), newest.brand.as_deref()), ("card", Some("mastercard")));
        assert_eq!((newest.last4.as_deref(), newest.exp_month), (Some("4444"), Some(8)));
        assert!(newest.exp_year.is_some_and(|year| year > 2026), "{newest:?}");
        let (first, id) = (oldest.id.clone(), tenant.customer.clone());

        let other = provider.create_customer(&new_customer(), "customer_2").await.unwrap();
        for (customer, method) in [(&other, &second), (&id, &"pm_never".to_owned()), (&id, &String::new())] {
            assert_eq!(provider.set_default(customer, method).await, Err(PaymentError::NotFound));
            assert_eq!(provider.detach(customer, method).await, Err(PaymentError::NotFound));
        }
        for _ in 0..2 {
            provider.set_default(&id, &second).await.unwrap();
        }
        assert_eq!(tenant.now().await.payment_method_id.as_ref(), Some(&second));
        provider.detach(&id, &first).await.unwrap();
        assert_eq!(provider.detach(&id, &first).await, Err(PaymentError::NotFound), "for good");
        assert_eq!(provider.payment_methods(&id).await.unwrap().len(), 1);
        assert_eq!(provider.payment_methods("cus_never").await, Err(PaymentError::NotFound));
    }
}

#[tokio::test]
async fn the_portal_shows_invoices_and_cards_and_ends_nothing() {
    for shop in Shop::each().await {
        let (tenant, provider) = (Tenant::new(&shop).await, &shop.subscriptions);
        tenant.subscribe("visa").await;
        let before = tenant.now().await;
        let back = "https://shop.example/billing";
        let page = provider.portal_page(&tenant.customer, back).await.unwrap();
        provider.portal_page(&tenant.customer, back).await.unwrap();
        let made = shop.call("/v1/billing_portal/configurations?limit=100", "").await;
        assert_eq!(made["data"].as_array().unwrap().len(), 2, "that of the account and ours");
        let cancel = shop.post(&page.url, &format!("action=cancel&subscription={}", before.id)).await;
        assert_eq!(cancel.0, 402, "the portal does not allow this");
        assert_eq!(tenant.now().await, before);
        // What is chosen there is charged.
        assert_eq!(shop.post(&page.url, "action=add&card=mastercard").await.0, 303);
        let after = tenant.now().await;
        let methods = provider.payment_methods(&tenant.customer).await.unwrap();
        assert_eq!(methods[0].brand.as_deref(), Some("mastercard"));
        assert_eq!((after.payment_method_id.as_ref(), methods[0].is_default), (Some(&methods[0].id), true));
        let stored = shop.call(&format!("/v1/subscriptions/{}", before.id), "").await;
        assert_eq!(stored["default_payment_method"], methods[0].id);
        let nobody = provider.portal_page("cus_never", back).await;
        assert_eq!(nobody, Err(PaymentError::NotFound));
    }
}

#[tokio::test]
async fn an_invoice_is_what_was_charged_and_what_was_given_back() {
    for shop in Shop::each().await {
        let (tenant, provider) = (Tenant::new(&shop).await, &shop.subscriptions);
        tenant.subscribe("visa").await;
        let running = tenant.now().await;
        let listed = provider.invoices(&tenant.customer).await.unwrap().remove(0);
        assert_eq!((listed.status, listed.currency.as_str()), (InvoiceStatus::Paid, "usd"));
        assert_eq!(
            (listed.amount_due, listed.amount_paid, listed.amount_refunded, listed.tax),
            (1200, 1200, 0, 0)
        );
        assert_eq!((listed.period_start, listed.period_end), (running.period_start, running.period_end));
        assert_eq!((listed.lines.len(), listed.lines[0].quantity, listed.lines[0].amount), (1, 1, 1200));
        assert!(listed.lines[0].description.contains("Plan starter-1-month"), "{listed:?}");
        assert!(listed.number.is_some() && listed.pdf_url.is_some() && listed.hosted_url.is_some());
        assert_eq!(listed.paid_at, Some(listed.created_at));
        assert!(listed.receipt_url.is_some(), "{listed:?}");
        assert_eq!(provider.invoice(&tenant.customer, &listed.id).await.unwrap(), listed);

        let payments = shop.call(&format!("/v1/invoice_payments?invoice={}", listed.id), "").await;
        let payment = payments["data"][0]["payment"]["payment_intent"].as_str().unwrap().to_owned();
        shop.call("/v1/refunds", &format!("payment_intent={payment}&amount=500")).await;
        for after in [
            provider.invoice(&tenant.customer, &listed.id).await.unwrap(),
            provider.invoices(&tenant.customer).await.unwrap().remove(0),
        ] {
            assert_eq!((after.amount_paid, after.amount_refunded), (1200, 500));
        }
        let other = provider.create_customer(&new_customer(), "customer_2").await.unwrap();
        for (customer, id) in [(&other, listed.id.as_str()), (&tenant.customer, "in_never"), (&other, "a/b")]
        {
            assert_eq!(provider.invoice(customer, id).await, Err(PaymentError::NotFound), "{id}");
        }
        assert_eq!(provider.invoices(&other).await.unwrap(), []);
        // What was bought once is no invoice of a subscription.
        let once = shop.provider.create_checkout(&shop.new_checkout(35900, "usd"), "checkout_9").await;
        shop.pay(&once.unwrap().url.unwrap(), "visa").await;
        assert_eq!(provider.invoices(&tenant.customer).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn webhooks_name_the_customer() {
    for shop in Shop::each().await {
        let tenant = Tenant::new(&shop).await;
        tenant.subscribe("visa").await;
        let second = tenant.put_on_file("mastercard").await;
        shop.subscriptions.set_default(&tenant.customer, &second).await.unwrap();
        let first = shop.subscriptions.payment_methods(&tenant.customer).await.unwrap()[1].id.clone();
        shop.subscriptions.detach(&tenant.customer, &first).await.unwrap();
        let running = tenant.now().await;
        shop.subscriptions.schedule(&running.id, &tenant.professional, "plan_1").await.unwrap();
        shop.subscriptions.cancel_at_end(&running.id).await.unwrap();
        shop.subscriptions.cancel(&running.id).await.unwrap();
        shop.hands.pass(10);
        let mut told = Vec::new();
        for delivery in shop.due_webhooks().await {
            let headers: Vec<(String, String)> =
                delivery.headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
            let event = shop.provider.verify(&headers, &delivery.body, shop.hands.now()).unwrap();
            if event.subject == (InboundSubject::Customer { id: tenant.customer.clone() }) {
                told.push(event.kind);
            } else {
                assert_eq!(event.subject, InboundSubject::Other, "{}", event.kind);
            }
        }
        for kind in [
            "checkout.session.completed",
            "customer.subscription.created",
            "customer.subscription.updated",
            "customer.subscription.deleted",
            "customer.updated",
            "invoice.paid",
            "payment_method.attached",
            "payment_method.detached",
            "subscription_schedule.created",
            "subscription_schedule.released",
        ] {
            assert!(told.iter().any(|known| known == kind), "{kind}: {told:?}");
        }
        if let Place::Http(_) = shop.place {
            let pages = told.iter().filter(|kind| *kind == "checkout.session.completed").count();
            assert_eq!(pages, 2, "the first payment, and a card that was put on file");
        }
    }
}

#[tokio::test]
async fn fees_and_disputes_are_those_of_the_payment_of_an_invoice() {
    for shop in Shop::each().await {
        let (tenant, provider) = (Tenant::new(&shop).await, &shop.subscriptions);
        tenant.subscribe("createDispute").await;
        let listed = provider.invoices(&tenant.customer).await.unwrap().remove(0);
        let [payment] = listed.payments.as_slice() else { panic!("{listed:?}") };
        assert!(payment.id.starts_with("pi_") && payment.fee.as_ref().is_some_and(|fee| fee.amount > 0));
        let [dispute] = payment.disputes.as_slice() else { panic!("{payment:?}") };
        assert_eq!((dispute.amount.amount, dispute.status), (1200, DisputeStatus::NeedsAnswer));
        assert_eq!(provider.invoice(&tenant.customer, &listed.id).await.unwrap().payments, listed.payments);
        // Its webhook names the payment, and that its customer.
        let asked = shop.provider.payment(&payment.id).await.unwrap();
        assert_eq!((asked.reference, asked.customer_id), (None, Some(tenant.customer.clone())));

        let older = provider.older_invoices(&tenant.customer, &listed.id).await.unwrap();
        assert_eq!(older, [], "it is the first one");
    }
}
