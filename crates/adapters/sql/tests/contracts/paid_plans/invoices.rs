//! Invoices: whose they are, what is booked about them, their receipts.

use portico_billing::{
    invoice::{Invoice, InvoiceKind},
    ledger::{Account, LedgerTransaction, SourceKind},
    ledger_check::check_ledger,
    payment::{Dispute, DisputeStatus, Provider},
    ports::BillingRepositories,
    seller::Seller,
    subscription_provider::{InvoiceLine, InvoicePayment, InvoiceStatus},
};
use portico_kernel::{Env, Money, PageRequest, StoreError, TenantId};
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::fixtures::{at_once, stored_tenant};

fn invoice(env: &Env, tenant: TenantId, provider_id: &str) -> Invoice {
    Invoice {
        id: env.new_id(),
        tenant_id: tenant,
        provider: Provider::Stripe,
        provider_id: provider_id.to_owned(),
        number: None,
        status: InvoiceStatus::Open,
        kind: InvoiceKind::Subscription,
        amount_due: 1200,
        amount_paid: 0,
        amount_refunded: 0,
        tax: 100,
        currency: "usd".to_owned(),
        lines: vec![InvoiceLine { description: "Básico".to_owned(), quantity: 1, amount: 1200 }],
        period_start: Some(env.now()),
        period_end: None,
        due_at: None,
        paid_at: None,
        pdf_url: None,
        hosted_url: Some("https://pay.example.com/in_1".to_owned()),
        receipt_url: None,
        seller: None,
        created_at: env.now(),
        payments: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invoices_belong_to_their_tenant_and_are_replaced() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let early = invoice(&env, ours, "in_1");
        let late = Invoice { created_at: env.now() + Duration::DAY, ..invoice(&env, ours, "in_2") };
        let same = invoice(&env, theirs, "in_1");
        let mut work = store.begin().await.unwrap();
        for invoice in [&early, &late, &same] {
            work.invoices().upsert(invoice).await.unwrap();
        }
        let paid = Invoice {
            status: InvoiceStatus::Paid,
            number: Some("P-1".to_owned()),
            amount_paid: 1200,
            amount_refunded: 200,
            paid_at: Some(env.now()),
            lines: Vec::new(),
            payments: vec![disputed(DisputeStatus::NeedsAnswer, &env)],
            ..early.clone()
        };
        work.invoices().upsert(&paid).await.unwrap();
        work.commit().await.unwrap();
        let mut reader = store.reader();
        assert_eq!(reader.invoices().find(ours, paid.id).await.unwrap(), Some(paid.clone()));
        assert_eq!(reader.invoices().find(theirs, paid.id).await.unwrap(), None);
        let page = PageRequest { page: 1, limit: 1 };
        let list = reader.invoices().list(ours, page).await.unwrap();
        assert_eq!((list.items, list.total), (vec![late], 2), "the newest first");
        let ids = ["in_1", "in_3"].map(str::to_owned);
        let mut of = store.reader();
        assert_eq!(of.invoices().of_provider(ours, Provider::Stripe, &ids).await.unwrap(), [paid]);
        assert_eq!(of.invoices().of_provider(theirs, Provider::Stripe, &ids).await.unwrap(), [same]);
        assert_eq!(of.invoices().of_provider(ours, Provider::Stripe, &[]).await.unwrap(), []);
        let mut work = store.begin().await.unwrap();
        let twice = work.invoices().upsert(&invoice(&env, ours, "in_2")).await;
        assert!(matches!(twice, Err(StoreError::Conflict(_))), "{twice:?}");
    })
    .await;
}

/// A payment of 1200 that is disputed.
fn disputed(status: DisputeStatus, env: &Env) -> InvoicePayment {
    let money = |amount| Money { amount, currency: "usd".to_owned() };
    let dispute = Dispute {
        id: "dp_1".to_owned(),
        amount: money(1200),
        status,
        answer_by: Some(env.now()),
        fee: Some(money(1500)),
    };
    InvoicePayment { id: "pi_1".to_owned(), fee: Some(money(65)), disputes: vec![dispute] }
}

#[tokio::test(flavor = "multi_thread")]
async fn disputes_of_invoices_are_compared_with_what_is_booked_about_them() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "one").await.id;
        let stored = invoice(&env, tenant, "in_1");
        for (status, held) in [(DisputeStatus::UnderReview, 1200), (DisputeStatus::Won, 0)] {
            let seen = Invoice { payments: vec![disputed(status, &env)], ..stored.clone() };
            let mut work = store.begin().await.unwrap();
            work.invoices().upsert(&seen).await.unwrap();
            work.commit().await.unwrap();
            let report = check_ledger(&mut store.reader(), false).await.unwrap();
            let line = format!("has disputed {held}, the ledger {}", 1200 - held);
            assert!(report.to_string().contains(&line), "{report}");
            let mut work = store.begin().await.unwrap();
            for moved in LedgerTransaction::of_payments(&seen, false, env.now()).unwrap() {
                work.ledger().book_missing(tenant, &moved).await.unwrap();
            }
            work.commit().await.unwrap();
            let report = check_ledger(&mut store.reader(), false).await.unwrap();
            assert_eq!(report.differing, 0, "{report}");
            assert_eq!(report.balances[&(Account::Fees, "usd".to_owned())], 1565, "booked once");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_keeps_who_sold_it() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "one").await.id;
        let seller = Seller {
            name: "Ejemplo, S. A.".to_owned(),
            address: vec!["6a avenida".to_owned(), "Ciudad de Guatemala".to_owned()],
            tax_id: Some("1234567-8".to_owned()),
            tax_name: None,
            tax_rate: 1200,
        };
        let sold = Invoice { seller: Some(seller), ..invoice(&env, tenant, "pi_1") };
        let mut work = store.begin().await.unwrap();
        work.invoices().upsert(&sold).await.unwrap();
        let refunded = Invoice { amount_refunded: 5, ..sold };
        work.invoices().upsert(&Invoice { seller: None, ..refunded.clone() }).await.unwrap();
        assert_eq!(work.invoices().find(tenant, refunded.id).await.unwrap(), Some(refunded));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_receipts_have_no_gaps_and_are_given_once() {
    on_each_database(async |database| {
        let store = database.store();
        let mut numbers = at_once(store, 64, |store, place| async move {
            let mut work = store.begin().await.unwrap();
            let number = work.invoices().next_number("R").await.unwrap();
            // Every second one is given up: its number is free again.
            if place % 2 == 0 {
                return None;
            }
            work.commit().await.unwrap();
            Some(number)
        })
        .await;
        numbers.retain(Option::is_some);
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=32).map(Some).collect::<Vec<_>>());
        let mut work = store.begin().await.unwrap();
        assert_eq!(work.invoices().next_number("TEST").await.unwrap(), 1, "each series by itself");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invoices_are_compared_with_what_is_booked_about_them() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let first = stored_tenant(store, &env, "one").await.id;
        env.clock.advance(Duration::SECOND);
        let second = stored_tenant(store, &env, "two").await.id;
        // An id with a sign that means anything in a pattern, and one that begins with it.
        let open = invoice(&env, first, "in_1");
        let paid = Invoice { amount_paid: 1200, amount_refunded: 700, ..invoice(&env, second, "in_1") };
        env.clock.advance(Duration::SECOND);
        let other = Invoice { amount_paid: 500, ..invoice(&env, second, "in_11") };
        env.clock.advance(Duration::SECOND);
        let bought = Invoice { kind: InvoiceKind::Purchase, amount_paid: 9, ..invoice(&env, second, "pi_1") };
        let mut work = store.begin().await.unwrap();
        for invoice in [&open, &paid, &other, &bought] {
            work.invoices().upsert(invoice).await.unwrap();
        }
        let half = Invoice { amount_paid: 500, amount_refunded: 0, ..paid.clone() };
        let back = Invoice { amount_refunded: 900, ..paid.clone() };
        let steps = [(None, &half, 1), (Some(&half), &back, 2), (Some(&back), &paid, 3), (None, &other, 3)];
        for (before, after, revision) in steps {
            for moved in LedgerTransaction::of_invoice(before, after, false, revision, env.now()).unwrap() {
                work.ledger().book(second, &moved).await.unwrap();
            }
        }
        // The same source of another tenant, and another currency.
        let money = Money { amount: 1200, currency: "eur".to_owned() };
        let elsewhere = LedgerTransaction::moved(
            Provider::Stripe,
            false,
            SourceKind::Invoice,
            "in_1:9",
            &money,
            env.now(),
        );
        work.ledger().book(first, &elsewhere.unwrap()).await.unwrap();
        work.commit().await.unwrap();

        let mut reader = store.reader();
        let report = check_ledger(&mut reader, false).await.unwrap();
        assert_eq!((report.transactions, report.invoices, report.differing), (6, 3, 0), "{report}");
        assert_eq!(report.balances[&(Account::SubscriptionRevenue, "usd".to_owned())], -1700);
        assert_eq!(report.balances[&(Account::Refunds, "usd".to_owned())], 700);
        let one = reader.ledger().invoices(false, None, 1).await.unwrap();
        assert_eq!((one.len(), one[0].id, one[0].paid), (1, open.id, 0));
        let rest = reader.ledger().invoices(false, Some((first, open.id)), 10).await.unwrap();
        let seen: Vec<_> = rest.iter().map(|invoice| (invoice.id, invoice.paid, invoice.refunded)).collect();
        assert_eq!(seen, [(paid.id, 1200, 700), (other.id, 500, 0)]);
        assert_eq!(reader.ledger().invoices(false, Some((second, other.id)), 10).await.unwrap(), []);

        let mut work = store.begin().await.unwrap();
        work.invoices().upsert(&Invoice { amount_refunded: 701, ..paid.clone() }).await.unwrap();
        work.invoices().upsert(&Invoice { amount_paid: 1, ..open.clone() }).await.unwrap();
        work.commit().await.unwrap();
        let report = check_ledger(&mut store.reader(), false).await.unwrap().to_string();
        let refunded = format!("tenant {second}: invoice {} has refunded 701, the ledger 700", paid.id);
        let paid = format!("tenant {first}: invoice {} has paid 1, the ledger 0", open.id);
        assert!(report.contains(&refunded) && report.contains(&paid), "{report}");
        assert!(report.ends_with("2 differences."), "{report}");
    })
    .await;
}
