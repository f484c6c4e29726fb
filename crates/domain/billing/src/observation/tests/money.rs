//! Money of invoices that goes back, is disputed, or never was real.

use super::*;
use crate::plan_changes::PlanChanges;

#[tokio::test]
async fn money_that_was_given_back_is_booked_once() {
    let mut desk = Desk::paying("starter").await;
    let invoice = desk.provider.invoices_of(&desk.customer())[0].clone();
    for (amount, refunded) in [(500, 500), (0, 500), (700, 1200)] {
        desk.provider.refund(&desk.customer(), &invoice.id, amount);
        desk.sync().await;
        desk.sync().await;
        assert_eq!(balance(&desk, "refunds"), refunded);
        assert_eq!(balance(&desk, "provider:stripe:balance"), 1200 - refunded);
    }
    let stored = desk.rows.kept.shop.rows().invoices[0].clone();
    assert_eq!((stored.amount_paid, stored.amount_refunded), (1200, 1200));
    // Whoever has an address of the invoice can read it: none is told.
    assert!(stored.pdf_url.is_some() && stored.hosted_url.is_some());
    let events = desk.rows.kept.events();
    let told: Vec<_> = events.iter().filter(|event| event.kind.as_str().starts_with("invoice.")).collect();
    assert_eq!(told.len(), 3);
    for event in told {
        let text = format!("{:?} {:?}", event.before, event.after);
        assert!(text.contains("amountPaid") && !text.contains("https://"), "{text}");
    }
}

#[tokio::test]
async fn disputes_and_fees_of_invoices_are_booked_once_and_told() {
    let (mut desk, mut seen) = (Desk::paying("starter").await, 0);
    let (customer, paid) = (desk.customer(), desk.provider.invoices_of(&desk.customer())[0].id.clone());
    desk.news(&mut seen);
    for (status, held, told) in [
        (DisputeStatus::NeedsAnswer, 1200, Some("invoice.disputed")),
        (DisputeStatus::UnderReview, 1200, None),
        (DisputeStatus::Won, 0, Some("invoice.dispute_closed")),
    ] {
        desk.provider.dispute(&customer, &paid, status);
        desk.sync().await;
        desk.sync().await;
        assert_eq!(desk.news(&mut seen), told.into_iter().collect::<Vec<_>>(), "{status:?}");
        assert_eq!((balance(&desk, "disputes"), balance(&desk, "fees")), (held, 1530), "{status:?}");
        assert_eq!(balance(&desk, "provider:stripe:balance"), 1200 - held - 1530);
        assert_eq!(crate::ledger_check::check_ledger(&mut desk.rows, false).await.unwrap().differing, 0);
    }
    assert_eq!(desk.shown().await.plan, "starter", "what becomes of the plan is decided by staff");
}

#[tokio::test]
async fn what_was_paid_with_play_money_is_forgotten_once_real_money_is_moved() {
    let (mut desk, mut seen) = (Desk::paying("starter").await, 0);
    desk.news(&mut seen);
    let before = desk.account();
    let account =
        Observations::new(&mut desk.rows, &desk.scope, &desk.env).go_live(desk.tenant).await.unwrap();
    assert_eq!((account.live, &account.customer_id, &account.subscription), (true, &None, &None));
    assert_eq!((account.had_trial, account.check_at), (false, None));
    assert_eq!(account.revision, before.revision + 1);
    assert_eq!(desk.shown().await.plan, "free");
    assert_eq!(desk.news(&mut seen), ["subscription.ended"]);
    // The end is one of play money, as the beginning was.
    let modes: Vec<bool> = desk.rows.kept.shop.rows().changes.iter().map(|change| change.live).collect();
    assert_eq!(modes, [false, false]);
    // Once is enough, and it does not go back.
    let again = Observations::new(&mut desk.rows, &desk.scope, &desk.env).go_live(desk.tenant).await.unwrap();
    assert_eq!(again, account);
    let test = PlanChanges::new(&mut desk.rows, &desk.scope, &desk.env).account(&Desk::rule()).await;
    assert!(matches!(test, Err(BillingError::Payment(PaymentError::Unsupported))));
    assert!(desk.news(&mut seen).is_empty());
}
