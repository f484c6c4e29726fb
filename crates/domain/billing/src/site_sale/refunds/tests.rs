use portico_kernel::{JobType, RequestInfo};

use super::*;
use crate::{
    ledger_check::check_ledger,
    payment::RefundState,
    seller::Seller,
    site_sale::SiteSales,
    testing::{Repositories, env, sale},
};

/// A sale that is paid and booked, in a status.
async fn sold(status: SiteSaleStatus) -> (Repositories, Env, SiteSale) {
    let (mut repositories, env) = (Repositories::default(), env());
    let sale = SiteSale {
        status,
        paid_at: Some(env.now()),
        buyer_email: "ada@example.com".to_owned(),
        ..sale(&env, env.new_id())
    };
    repositories.shop.rows().sales.push(sale.clone());
    let price = sale.price();
    let paid = LedgerTransaction::moved(
        sale.checkout.provider,
        false,
        SourceKind::Payment,
        "ch_1",
        &price,
        env.now(),
    );
    repositories.ledger().book(sale.tenant_id, &paid.unwrap()).await.unwrap();
    (repositories, env, sale)
}

fn staff() -> Scope {
    Scope::system(None, RequestInfo::default())
}

fn observed(id: &str, amount: i64, state: RefundState) -> Refund {
    let amount = Money { amount, currency: "gtq".to_owned() };
    Refund { id: id.to_owned(), amount, state, reference: None }
}

async fn settle(
    repositories: &mut Repositories,
    env: &Env,
    sale: &SiteSale,
    seen: &Refund,
) -> SettledSiteRefund {
    let (tenant, id) = (sale.tenant_id, sale.id);
    let settled = SiteRefunds::new(repositories, &staff(), env).settle(tenant, id, seen).await.unwrap();
    assert_eq!(check_ledger(repositories, false).await.unwrap().differing, 0);
    settled
}

fn kinds(repositories: &Repositories) -> Vec<String> {
    repositories.events().iter().map(|event| event.kind.to_string()).collect()
}

#[tokio::test]
async fn a_sale_is_given_back_as_a_whole_and_once() {
    for (status, frees) in
        [(SiteSaleStatus::Completed, false), (SiteSaleStatus::Waiting, true), (SiteSaleStatus::Paid, true)]
    {
        let (mut repositories, env, sale) = sold(status).await;
        let input = SiteRefundInput { reason: Some(" Wrong site ".to_owned()), ..SiteRefundInput::default() };
        let scope = staff();
        let mut refunds = SiteRefunds::new(&mut repositories, &scope, &env);
        let refund = refunds.begin(sale.id, &input).await.unwrap();
        assert_eq!((refund.amount, refund.reason.as_deref()), (150_000, Some("Wrong site")));
        let twice = refunds.begin(sale.id, &input).await;
        assert!(matches!(twice, Err(BillingError::RefundInProgress)));
        // Nobody gets the site meanwhile.
        let mut sales = SiteSales::new(&mut repositories, &scope, &env);
        assert_eq!(sales.to_be_handed_over(sale.tenant_id, sale.id).await.unwrap(), None);
        let claimed = sales.claim(sale.tenant_id, sale.id, env.new_id(), env.new_id()).await;
        assert!(matches!(claimed, Err(BillingError::NoPurchase)));

        let seen = observed("re_1", 150_000, RefundState::Succeeded);
        for round in 0..3 {
            let settled = settle(&mut repositories, &env, &sale, &seen).await;
            assert_eq!(settled.sale.status, SiteSaleStatus::Refunded);
            assert_eq!((settled.refund.id, settled.is_freed), (refund.id, frees && round == 0));
            let check_at = Some(env.now() + WATCH_PAUSE);
            assert_eq!((settled.sale.buyer_email.as_str(), settled.sale.checkout.check_at), ("", check_at));
        }
        assert_eq!(kinds(&repositories), ["refund.created", "site_sale.refunded"]);
        let again = SiteRefunds::new(&mut repositories, &scope, &env).begin(sale.id, &input).await;
        assert!(matches!(again, Err(BillingError::NothingToRefund)));
    }
}

#[tokio::test]
async fn a_site_that_was_handed_over_is_returned_if_staff_say_so() {
    for (status, return_site, expected) in [
        (SiteSaleStatus::Completed, true, 1),
        (SiteSaleStatus::Completed, false, 0),
        (SiteSaleStatus::Waiting, true, 0),
    ] {
        let (mut repositories, env, sale) = sold(status).await;
        let (scope, input) = (staff(), SiteRefundInput { return_site, ..SiteRefundInput::default() });
        let mut refunds = SiteRefunds::new(&mut repositories, &scope, &env);
        refunds.begin(sale.id, &input).await.unwrap();
        let mut sales = SiteSales::new(&mut repositories, &scope, &env);
        let early = sales.to_be_returned(sale.tenant_id, sale.id).await.unwrap();
        assert_eq!(early, None, "the money is not given back yet");
        let seen = observed("re_1", 150_000, RefundState::Succeeded);
        for _ in 0..2 {
            let settled = settle(&mut repositories, &env, &sale, &seen).await;
            assert_eq!(settled.sale.returns_site, expected == 1, "{status:?}");
        }
        let begun = repositories.events()[0].after.clone().unwrap();
        assert_eq!((&begun["returnsSite"], &begun["amount"]), (&return_site.into(), &150_000.into()));
        let jobs = repositories.shop.rows().jobs.iter().filter(|job| job.kind == ReturnSite::KIND).count();
        assert_eq!(jobs, expected, "{status:?}");
        if expected == 1 {
            let mut sales = SiteSales::new(&mut repositories, &scope, &env);
            let due = sales.to_be_returned(sale.tenant_id, sale.id).await.unwrap().unwrap();
            sales.returned(due).await.unwrap();
            let again = sales.to_be_returned(sale.tenant_id, sale.id).await.unwrap();
            assert_eq!(again, None, "a second run does nothing");
        }
    }
}

#[tokio::test]
async fn a_refund_that_fails_takes_the_decision_about_the_site_along() {
    for is_refused in [true, false] {
        let (mut repositories, env, sale) = sold(SiteSaleStatus::Completed).await;
        let (scope, input) = (staff(), SiteRefundInput { return_site: true, ..SiteRefundInput::default() });
        let mut refunds = SiteRefunds::new(&mut repositories, &scope, &env);
        let refund = refunds.begin(sale.id, &input).await.unwrap();
        if is_refused {
            refunds.give_up(&refund).await.unwrap();
        } else {
            settle(&mut repositories, &env, &sale, &observed("re_1", 150_000, RefundState::Pending)).await;
            settle(&mut repositories, &env, &sale, &observed("re_1", 150_000, RefundState::Failed)).await;
        }
        // In the provider's panel.
        settle(&mut repositories, &env, &sale, &observed("re_2", 150_000, RefundState::Succeeded)).await;
        assert_eq!(repositories.shop.rows().sales[0].status, SiteSaleStatus::Refunded);
        let mut sales = SiteSales::new(&mut repositories, &scope, &env);
        assert_eq!(sales.to_be_returned(sale.tenant_id, sale.id).await.unwrap(), None);
        let jobs: Vec<String> =
            repositories.shop.rows().jobs.iter().map(|job| job.kind.to_string()).collect();
        assert!(!jobs.iter().any(|kind| kind == ReturnSite::KIND), "{jobs:?}");
    }
}

#[tokio::test]
async fn a_refund_that_fails_lets_the_site_go_on() {
    let (mut repositories, env, sale) = sold(SiteSaleStatus::Paid).await;
    let (scope, input) = (staff(), SiteRefundInput::default());
    let refund = SiteRefunds::new(&mut repositories, &scope, &env).begin(sale.id, &input).await.unwrap();
    let mut refunds = SiteRefunds::new(&mut repositories, &scope, &env);
    for _ in 0..2 {
        let given_up = refunds.give_up(&refund).await.unwrap();
        assert_eq!(given_up.status, RefundStatus::Failed);
    }
    assert_eq!(kinds(&repositories), ["refund.created", "refund.failed"]);
    let jobs: Vec<String> = repositories.shop.rows().jobs.iter().map(|job| job.kind.to_string()).collect();
    assert_eq!(jobs, [HandOverSite::KIND]);
    let mut sales = SiteSales::new(&mut repositories, &scope, &env);
    assert!(sales.to_be_handed_over(sale.tenant_id, sale.id).await.unwrap().is_some());

    // One that was on its way and does not arrive.
    let second = SiteRefunds::new(&mut repositories, &scope, &env).begin(sale.id, &input).await.unwrap();
    let seen = observed("re_2", 150_000, RefundState::Pending);
    let settled = settle(&mut repositories, &env, &sale, &seen).await;
    assert_eq!((settled.refund.id, settled.sale.status), (second.id, SiteSaleStatus::Paid));
    assert_eq!(settled.sale.checkout.check_at, Some(env.now() + PENDING_PAUSE));
    let seen = observed("re_2", 150_000, RefundState::Failed);
    let settled = settle(&mut repositories, &env, &sale, &seen).await;
    assert_eq!((settled.refund.status, settled.sale.checkout.check_at), (RefundStatus::Failed, None));
    assert_eq!(repositories.shop.rows().jobs.len(), 2);
}

#[tokio::test]
async fn what_was_given_back_at_the_provider_is_found() {
    let (mut repositories, env, sale) = sold(SiteSaleStatus::Completed).await;
    let part = observed("re_1", 50_000, RefundState::Succeeded);
    let settled = settle(&mut repositories, &env, &sale, &part).await;
    assert_eq!((settled.sale.status, settled.refund.reason), (SiteSaleStatus::Completed, None));
    let rest = observed("re_2", 100_000, RefundState::Succeeded);
    assert_eq!(settle(&mut repositories, &env, &sale, &rest).await.sale.status, SiteSaleStatus::Refunded);
    let (tenant, id) = (sale.tenant_id, sale.id);
    let scope = staff();
    let dollars = Money { amount: 5, currency: "usd".to_owned() };
    for odd in [Refund { amount: dollars, ..part }, observed("re_3", 150_001, RefundState::Succeeded)] {
        let refused = SiteRefunds::new(&mut repositories, &scope, &env).settle(tenant, id, &odd).await;
        assert!(matches!(refused, Err(BillingError::Payment(PaymentError::Refused(_)))), "{refused:?}");
    }
}

#[tokio::test]
async fn only_staff_give_back_and_only_what_is_paid() {
    let (mut repositories, env, sale) = sold(SiteSaleStatus::Completed).await;
    let input = SiteRefundInput::default();
    let anonymous = Scope::anonymous(RequestInfo::default());
    let denied = SiteRefunds::new(&mut repositories, &anonymous, &env).begin(sale.id, &input).await;
    assert!(matches!(denied, Err(BillingError::Denied(_))));
    let scope = staff();
    let long = SiteRefundInput { reason: Some("x".repeat(REASON_MAX + 1)), ..input.clone() };
    let invalid = SiteRefunds::new(&mut repositories, &scope, &env).begin(sale.id, &long).await;
    assert!(matches!(invalid, Err(BillingError::Invalid(_))));
    let unknown = SiteRefunds::new(&mut repositories, &scope, &env).begin(env.new_id(), &input).await;
    assert!(matches!(unknown, Err(BillingError::NoPurchase)));
    repositories.shop.rows().sales[0].paid_at = None;
    let unpaid = SiteRefunds::new(&mut repositories, &scope, &env).begin(sale.id, &input).await;
    assert!(matches!(unpaid, Err(BillingError::NotPaid)));
}

#[tokio::test]
async fn a_refund_that_fails_after_it_was_counted_takes_the_sale_back() {
    for (return_site, is_returned) in [(false, false), (true, false), (true, true)] {
        let (mut repositories, env, sale) = sold(SiteSaleStatus::Paid).await;
        let (tenant, id, scope) = (sale.tenant_id, sale.id, staff());
        let sale = SiteSale { buyer: Some((env.new_id(), env.new_id())), ..sale };
        let mut sales = SiteSales::new(&mut repositories, &scope, &env);
        sales.complete(sale.clone(), &Seller::default()).await.unwrap();
        let input = SiteRefundInput { return_site, ..SiteRefundInput::default() };
        SiteRefunds::new(&mut repositories, &scope, &env).begin(id, &input).await.unwrap();
        let back = observed("re_1", 150_000, RefundState::Succeeded);
        let settled = settle(&mut repositories, &env, &sale, &back).await;
        assert_eq!((settled.sale.status, settled.is_undone), (SiteSaleStatus::Refunded, false));
        if is_returned {
            let mut sales = SiteSales::new(&mut repositories, &scope, &env);
            let due = sales.to_be_returned(tenant, id).await.unwrap().unwrap();
            sales.returned(due).await.unwrap();
        }

        let lost = observed("re_1", 150_000, RefundState::Failed);
        for round in 0..2 {
            let settled = settle(&mut repositories, &env, &sale, &lost).await;
            assert_eq!((settled.sale.status, settled.is_undone), (SiteSaleStatus::Completed, round == 0));
        }
        // An old answer undoes nothing.
        let old = settle(&mut repositories, &env, &sale, &back).await;
        assert_eq!(old.sale.status, SiteSaleStatus::Completed);
        assert_eq!(repositories.shop.rows().invoices[0].amount_refunded, 0);
        let mut sales = SiteSales::new(&mut repositories, &scope, &env);
        assert_eq!(sales.to_be_returned(tenant, id).await.unwrap(), None, "a site that is there stays there");
        assert_eq!(
            kinds(&repositories),
            [
                "site_sale.completed",
                "refund.created",
                "site_sale.refunded",
                "site_sale.refund_failed",
                "refund.failed"
            ]
        );
        // Staff may try again.
        let input = SiteRefundInput::default();
        SiteRefunds::new(&mut repositories, &scope, &env).begin(id, &input).await.unwrap();
        let back = observed("re_2", 150_000, RefundState::Succeeded);
        let settled = settle(&mut repositories, &env, &sale, &back).await;
        assert_eq!((settled.sale.status, settled.sale.returns_site), (SiteSaleStatus::Refunded, false));
    }
}

#[tokio::test]
async fn the_provider_is_asked_for_a_month_whether_a_refund_has_failed_after_all() {
    let (mut repositories, env, sale) = sold(SiteSaleStatus::Completed).await;
    let back = observed("re_1", 150_000, RefundState::Succeeded);
    let refund = settle(&mut repositories, &env, &sale, &back).await.refund;
    for (age, is_asked) in
        [(Duration::ZERO, true), (WATCHED - Duration::SECOND, true), (WATCHED, false), (WATCHED * 2, false)]
    {
        let now = env.now() + age;
        let expected = is_asked.then(|| now + WATCH_PAUSE);
        assert_eq!(next_check(now, std::slice::from_ref(&refund)), expected, "{age}");
    }
    let pending = PurchaseRefund { status: RefundStatus::Pending, ..refund.clone() };
    let sooner = next_check(env.now(), &[refund.clone(), pending]);
    assert_eq!(sooner, Some(env.now() + PENDING_PAUSE), "sooner about one that is on its way");
    let failed = PurchaseRefund { status: RefundStatus::Failed, ..refund };
    assert_eq!(next_check(env.now(), &[failed]), None);
}

#[tokio::test]
async fn a_sale_that_was_not_handed_over_stays_ended_where_its_refund_fails_later() {
    for status in [SiteSaleStatus::Paid, SiteSaleStatus::Waiting] {
        let (mut repositories, env, sale) = sold(status).await;
        let back = observed("re_1", 150_000, RefundState::Succeeded);
        assert!(settle(&mut repositories, &env, &sale, &back).await.is_freed);
        let lost = observed("re_1", 150_000, RefundState::Failed);
        let settled = settle(&mut repositories, &env, &sale, &lost).await;
        assert_eq!((settled.sale.status, settled.is_undone), (SiteSaleStatus::Refunded, true));
        assert_eq!(kinds(&repositories), ["site_sale.refunded", "site_sale.refund_failed", "refund.failed"]);
        assert!(repositories.shop.rows().jobs.is_empty(), "somebody else may have the site");
        // There is nothing to return, whatever is said with the next refund, which frees nothing a second time.
        let (scope, input) = (staff(), SiteRefundInput { return_site: true, ..SiteRefundInput::default() });
        SiteRefunds::new(&mut repositories, &scope, &env).begin(sale.id, &input).await.unwrap();
        let back = observed("re_2", 150_000, RefundState::Succeeded);
        let settled = settle(&mut repositories, &env, &sale, &back).await;
        assert_eq!((settled.sale.status, settled.is_freed), (SiteSaleStatus::Refunded, false));
        assert!(!settled.sale.returns_site);
    }
}
