//! The ports of `portico_billing` that refunds and disputes need, and the check of the ledger.

use portico_billing::{
    checkout::{CheckoutStage, PurchaseCheckout},
    dispute::PurchaseDispute,
    ledger::{Account, LedgerTransaction, SourceKind},
    ledger_check::check_ledger,
    payment::{DisputeStatus, Provider},
    ports::BillingRepositories,
    purchase::{Purchase, PurchaseStatus},
    refund::{PurchaseRefund, RefundStatus},
};
use portico_kernel::{Env, Money, StoreError, TenantId};
use portico_sql::SqlStore;
use portico_testkit::{TestEnv, env, on_each_database};
use time::Duration;

use crate::{
    fixtures::{at_once, stored_tenant},
    purchases::stored,
};

fn refund(env: &Env, purchase: &Purchase) -> PurchaseRefund {
    PurchaseRefund {
        id: env.new_id(),
        tenant_id: purchase.tenant_id,
        purchase_id: purchase.id,
        provider: Provider::Stripe,
        payment_id: "pi_1".to_owned(),
        provider_id: None,
        amount: 900,
        currency: "usd".to_owned(),
        status: RefundStatus::Requested,
        reason: Some("Licencia ñ".to_owned()),
        created_at: env.now(),
        updated_at: env.now(),
    }
}

fn dispute(env: &Env, purchase: &Purchase) -> PurchaseDispute {
    PurchaseDispute {
        id: env.new_id(),
        tenant_id: purchase.tenant_id,
        purchase_id: purchase.id,
        provider: Provider::Stripe,
        provider_id: "dp_1".to_owned(),
        amount: 71800,
        currency: "usd".to_owned(),
        status: DisputeStatus::NeedsAnswer,
        answer_by: Some(env.now() + Duration::DAY),
        created_at: env.now(),
        updated_at: env.now(),
    }
}

fn moved(env: &Env, kind: SourceKind, id: &str, amount: i64) -> LedgerTransaction {
    let money = Money { amount, currency: "usd".to_owned() };
    LedgerTransaction::moved(Provider::Stripe, false, kind, id, &money, env.now()).unwrap()
}

/// Two tenants, in the order of their ids.
async fn tenants(store: &SqlStore, env: &TestEnv) -> (TenantId, TenantId) {
    let first = stored_tenant(store, env, "one").await.id;
    env.clock.advance(Duration::SECOND);
    (first, stored_tenant(store, env, "two").await.id)
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_belong_to_a_purchase_and_only_go_on() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) = tenants(store, &env).await;
        let (purchase, _) = stored(store, &env, ours).await;
        let first = refund(&env, &purchase);
        env.clock.advance(Duration::SECOND);
        let second = refund(&env, &purchase);
        let mut work = store.begin().await.unwrap();
        work.refunds().store(&second).await.unwrap();
        work.refunds().store(&first).await.unwrap();
        let found = work.refunds().of_purchase(ours, purchase.id).await.unwrap();
        assert_eq!(found, [first.clone(), second.clone()], "the oldest first");
        assert_eq!(work.refunds().of_purchase(theirs, purchase.id).await.unwrap(), []);
        assert_eq!(work.refunds().of_purchase(ours, env.new_id()).await.unwrap(), []);
        let made = PurchaseRefund {
            provider_id: Some("re_1".to_owned()),
            amount: 800,
            status: RefundStatus::Succeeded,
            updated_at: env.now() + Duration::SECOND,
            ..first.clone()
        };
        // What was asked for, and why, never changes.
        let spoilt = PurchaseRefund {
            reason: None,
            payment_id: "pi_2".to_owned(),
            currency: "eur".to_owned(),
            ..made.clone()
        };
        work.refunds().store(&spoilt).await.unwrap();
        let found = work.refunds().of_purchase(ours, purchase.id).await.unwrap();
        assert_eq!(found, [made.clone(), second.clone()]);
        work.commit().await.unwrap();

        let mut work = store.begin().await.unwrap();
        let twice = work.refunds().store(&PurchaseRefund { provider_id: made.provider_id, ..second }).await;
        assert!(matches!(twice, Err(StoreError::Conflict(_))), "{twice:?}");
        drop(work);
        let mut work = store.begin().await.unwrap();
        let foreign = PurchaseRefund { id: env.new_id(), tenant_id: theirs, ..first };
        let refused = work.refunds().store(&foreign).await;
        assert!(matches!(refused, Err(StoreError::MissingReference(_))), "{refused:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn disputes_belong_to_a_purchase_and_only_go_on() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) = tenants(store, &env).await;
        let (purchase, _) = stored(store, &env, ours).await;
        let first = dispute(&env, &purchase);
        let mut work = store.begin().await.unwrap();
        work.disputes().store(&first).await.unwrap();
        assert_eq!(
            work.disputes().of_purchase(ours, purchase.id).await.unwrap(),
            std::slice::from_ref(&first)
        );
        assert_eq!(work.disputes().of_purchase(theirs, purchase.id).await.unwrap(), []);
        let won = PurchaseDispute {
            status: DisputeStatus::Won,
            answer_by: None,
            updated_at: env.now() + Duration::SECOND,
            ..first.clone()
        };
        let spoilt = PurchaseDispute { amount: 1, currency: "eur".to_owned(), ..won.clone() };
        work.disputes().store(&spoilt).await.unwrap();
        assert_eq!(work.disputes().of_purchase(ours, purchase.id).await.unwrap(), [won]);
        work.commit().await.unwrap();

        let mut work = store.begin().await.unwrap();
        let twice = work.disputes().store(&PurchaseDispute { id: env.new_id(), ..first.clone() }).await;
        assert!(matches!(twice, Err(StoreError::Conflict(_))), "{twice:?}");
        drop(work);
        let mut work = store.begin().await.unwrap();
        let foreign = PurchaseDispute { id: env.new_id(), tenant_id: theirs, ..first };
        let refused = work.disputes().store(&foreign).await;
        assert!(matches!(refused, Err(StoreError::MissingReference(_))), "{refused:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_booked_already_stays_and_may_be_booked_again_in_the_same_unit_of_work() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) = tenants(store, &env).await;
        let transaction = moved(&env, SourceKind::Refund, "re_1", 900);
        let sent = transaction.clone();
        let booked = at_once(store, 16, move |store, _| {
            let transaction = sent.clone();
            async move {
                let mut work = store.begin().await.unwrap();
                let booked = work.ledger().book_missing(ours, &transaction).await.unwrap();
                work.commit().await.unwrap();
                booked
            }
        })
        .await;
        assert_eq!(booked.into_iter().filter(|booked| *booked).count(), 1);
        let mut work = store.begin().await.unwrap();
        let other = moved(&env, SourceKind::Refund, "re_1", 5);
        assert!(!work.ledger().book_missing(ours, &other).await.unwrap());
        assert!(work.ledger().book_missing(theirs, &other).await.unwrap());
        let failed = moved(&env, SourceKind::RefundFailed, "re_1", 900);
        assert!(work.ledger().book_missing(ours, &failed).await.unwrap(), "of another kind");
        work.commit().await.unwrap();

        let mut reader = store.reader();
        let entries = reader.ledger().entries(None, 100).await.unwrap();
        let seen: Vec<_> = entries
            .iter()
            .map(|entry| {
                (
                    entry.key.tenant_id,
                    entry.key.source.kind,
                    entry.key.position,
                    entry.entry.account,
                    entry.entry.amount,
                )
            })
            .collect();
        let balance = Account::Balance(Provider::Stripe);
        assert_eq!(
            seen,
            [
                (ours, SourceKind::Refund, 0, balance, -900),
                (ours, SourceKind::Refund, 1, Account::Refunds, 900),
                (ours, SourceKind::RefundFailed, 0, balance, 900),
                (ours, SourceKind::RefundFailed, 1, Account::Refunds, -900),
                (theirs, SourceKind::Refund, 0, balance, -5),
                (theirs, SourceKind::Refund, 1, Account::Refunds, 5),
            ]
        );
        // In pieces it is the same.
        let (mut pieces, mut last) = (Vec::new(), None);
        loop {
            let piece = reader.ledger().entries(last.clone(), 4).await.unwrap();
            let Some(end) = piece.last() else { break };
            last = Some(end.key.clone());
            pieces.extend(piece);
        }
        assert_eq!(pieces, entries);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn purchases_are_compared_with_what_is_booked_about_them() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) = tenants(store, &env).await;
        let (pending, _) = stored(store, &env, ours).await;
        let (bought, checkout) = stored(store, &env, theirs).await;
        let paid = Purchase {
            status: PurchaseStatus::PartiallyRefunded,
            completed_at: Some(env.now()),
            refunded_amount: 900,
            ..bought.clone()
        };
        let made = |id: &str, status| PurchaseRefund {
            provider_id: Some(id.to_owned()),
            status,
            ..refund(&env, &bought)
        };
        let mut work = store.begin().await.unwrap();
        work.purchases().update(&paid).await.unwrap();
        let checkout =
            PurchaseCheckout { stage: CheckoutStage::Paid, payment_id: Some("pi_1".to_owned()), ..checkout };
        work.checkouts().update(&checkout).await.unwrap();
        work.refunds().store(&made("re_1", RefundStatus::Succeeded)).await.unwrap();
        work.refunds().store(&made("re_2", RefundStatus::Failed)).await.unwrap();
        work.refunds().store(&refund(&env, &bought)).await.unwrap();
        let won = PurchaseDispute { status: DisputeStatus::Won, ..dispute(&env, &bought) };
        work.disputes().store(&won).await.unwrap();
        for (kind, id, amount) in [
            (SourceKind::Payment, "pi_1", 71800),
            (SourceKind::Fee, "pi_1", 2112),
            (SourceKind::Refund, "re_1", 900),
            (SourceKind::Refund, "re_2", 900),
            (SourceKind::RefundFailed, "re_2", 900),
            (SourceKind::Dispute, "dp_1", 71800),
            (SourceKind::DisputeFee, "dp_1", 1500),
            (SourceKind::DisputeWon, "dp_1", 71800),
        ] {
            work.ledger().book(theirs, &moved(&env, kind, id, amount)).await.unwrap();
        }
        work.commit().await.unwrap();

        let mut reader = store.reader();
        let report = check_ledger(&mut reader, false).await.unwrap();
        assert_eq!((report.transactions, report.purchases, report.differing), (8, 2, 0), "{report}");
        let balance = |account| report.balances[&(account, "usd".to_owned())];
        assert_eq!(balance(Account::Balance(Provider::Stripe)), 71800 - 2112 - 900 - 1500);
        assert_eq!((balance(Account::Refunds), balance(Account::Disputes)), (900, 0));
        let first = reader.ledger().purchases(false, None, 1).await.unwrap();
        assert_eq!((first.len(), first[0].id, first[0].is_paid), (1, pending.id, false));
        let second = reader.ledger().purchases(false, Some((ours, pending.id)), 10).await.unwrap();
        assert_eq!(
            (second.len(), second[0].paid, second[0].refunded, second[0].disputed),
            (1, 71800, 900, 0)
        );
        assert_eq!(reader.ledger().purchases(false, Some((theirs, bought.id)), 10).await.unwrap(), []);

        let mut work = store.begin().await.unwrap();
        let wrong = Purchase { status: PurchaseStatus::Disputed, refunded_amount: 901, ..paid };
        work.purchases().update(&wrong).await.unwrap();
        work.purchases().update(&Purchase { completed_at: Some(env.now()), ..pending }).await.unwrap();
        work.commit().await.unwrap();
        let report = check_ledger(&mut store.reader(), false).await.unwrap();
        let mut lines: Vec<String> = report.differences.iter().map(ToString::to_string).collect();
        lines.sort();
        assert_eq!(report.differing, 3, "{lines:?}");
        assert!(lines.iter().any(|line| line.ends_with("has paid 71800, the ledger 0")), "{lines:?}");
        assert!(lines.iter().any(|line| line.ends_with("has refunded 901, the ledger 900")), "{lines:?}");
        assert!(lines.iter().any(|line| line.ends_with("has disputed 1, the ledger 0")), "{lines:?}");
    })
    .await;
}
