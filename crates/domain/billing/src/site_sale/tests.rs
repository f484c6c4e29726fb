use portico_kernel::{Env, Fault, Kind, RequestInfo, Scope};
use proptest::prelude::*;

use super::*;
use crate::{
    BillingError,
    payment::{Checkout, CheckoutState, PaymentError, Refund, RefundState},
    seller::Seller,
    testing::{Repositories, env},
};

fn offered(env: &Env) -> OfferedSite {
    OfferedSite {
        tenant: env.new_id(),
        site: env.new_id(),
        name: "Panadería Luz".to_owned(),
        slug: "panaderia-luz".to_owned(),
        price: Money { amount: 150_000, currency: "gtq".to_owned() },
    }
}

fn buyer() -> SiteBuyer {
    SiteBuyer { email: "ada@example.com".to_owned(), full_name: "Ada Lovelace".to_owned(), account: None }
}

fn rule() -> SaleRule {
    SaleRule {
        provider: Provider::Recurrente,
        live: false,
        success_url: "https://app.example.com/thanks".to_owned(),
        cancel_url: "https://app.example.com/".to_owned(),
    }
}

fn scope() -> Scope {
    Scope::anonymous(RequestInfo::default())
}

async fn begun(repositories: &mut Repositories, env: &Env) -> SiteSale {
    SiteSales::new(repositories, &scope(), env).begin(offered(env), buyer(), rule()).await.unwrap()
}

fn observed(sale: &SiteSale, state: CheckoutState) -> Checkout {
    Checkout {
        id: "ch_1".to_owned(),
        url: Some("https://pay.example.com/ch_1".to_owned()),
        state,
        amount: sale.price(),
        reference: Some(sale.checkout.reference()),
        customer_id: None,
        live: false,
        expires_at: sale.checkout.expires_at,
    }
}

fn paid() -> CheckoutState {
    CheckoutState::Paid { payment_id: "ch_1".to_owned() }
}

async fn settle(
    repositories: &mut Repositories,
    env: &Env,
    sale: &SiteSale,
    state: CheckoutState,
) -> SettledSale {
    let observed = observed(sale, state);
    let (tenant, id) = (sale.tenant_id, sale.id);
    SiteSales::new(repositories, &scope(), env).settle(tenant, id, &observed).await.unwrap()
}

fn kinds(repositories: &Repositories) -> Vec<String> {
    repositories.events().iter().map(|event| event.kind.to_string()).collect()
}

#[tokio::test]
async fn a_site_is_reserved_for_half_an_hour_and_for_one_buyer() {
    let (mut repositories, env) = (Repositories::default(), env());
    let site = offered(&env);
    let mut sales = Vec::new();
    for _ in 0..64 {
        let begun =
            SiteSales::new(&mut repositories, &scope(), &env).begin(site.clone(), buyer(), rule()).await;
        sales.push(begun);
    }
    let winner = sales.remove(0).unwrap();
    assert!(sales.iter().all(|lost| matches!(lost, Err(BillingError::SiteReserved))));
    assert_eq!((winner.status, winner.checkout.stage), (SiteSaleStatus::Pending, CheckoutStage::Creating));
    assert_eq!(winner.checkout.expires_at - env.now(), Duration::minutes(30));
    let call = winner.call();
    assert_eq!((call.amount.clone(), call.expires_at), (site.price, winner.checkout.expires_at));
    assert_eq!((call.lines[0].unit_amount, call.lines[0].quantity), (150_000, 1));
    let found = PurchaseCheckout::of_reference(&call.reference);
    assert_eq!(
        found.map(|(tenant, id)| (tenant, SiteSale::of_checkout(id))),
        Some((winner.tenant_id, winner.id))
    );
    let json = serde_json::to_string(&winner).unwrap();
    assert!(!json.contains("ada@") && !json.contains("Lovelace"), "{json}");
    assert_eq!(kinds(&repositories), ["site_sale.created"]);
    let error = BillingError::SiteReserved;
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "site_reserved"));
}

#[tokio::test]
async fn nobody_buys_what_they_have() {
    let (mut repositories, env) = (Repositories::default(), env());
    let site = offered(&env);
    let own = SiteBuyer { account: Some((env.new_id(), site.tenant)), ..buyer() };
    let refused = SiteSales::new(&mut repositories, &scope(), &env).begin(site, own, rule()).await;
    assert!(matches!(refused, Err(BillingError::OwnSite)));
    let mut euros = offered(&env);
    euros.price.currency = "eur".to_owned();
    let refused = SiteSales::new(&mut repositories, &scope(), &env).begin(euros, buyer(), rule()).await;
    assert!(matches!(refused, Err(BillingError::Payment(PaymentError::Unsupported))));
    assert!(repositories.shop.rows().sales.is_empty());
}

#[tokio::test]
async fn a_payment_is_booked_and_handed_over_once_however_often_it_is_told() {
    let (mut repositories, env) = (Repositories::default(), env());
    let sale = begun(&mut repositories, &env).await;
    let open = settle(&mut repositories, &env, &sale, CheckoutState::Open).await;
    let page = open.checkout().unwrap();
    assert_eq!((page.checkout_url.as_str(), page.purchase_id), ("https://pay.example.com/ch_1", sale.id));
    for round in 0..100 {
        let settled = settle(&mut repositories, &env, &sale, paid()).await;
        assert_eq!(settled.is_newly_paid, round == 0);
        assert_eq!((settled.sale.status, settled.checkout()), (SiteSaleStatus::Paid, None));
        // What was said before comes late.
        settle(&mut repositories, &env, &sale, CheckoutState::Open).await;
    }
    assert_eq!(kinds(&repositories), ["site_sale.created", "site_sale.paid"]);
    let rows = repositories.shop.rows();
    assert_eq!((rows.booked.len(), rows.jobs.len()), (1, 1));
    assert_eq!((rows.booked[0].0, rows.jobs[0].tenant), (sale.tenant_id, sale.tenant_id));
    assert_eq!(rows.jobs[0].kind, "site.hand_over");
    let entries = rows.booked[0].1.entries();
    assert_eq!((entries[0].account.as_str(), entries[0].amount), ("provider:recurrente:balance", 150_000));
}

#[tokio::test]
async fn no_answer_reserves_a_site_for_longer() {
    let (mut repositories, env) = (Repositories::default(), env());
    let sale = begun(&mut repositories, &env).await;
    let reserved = sale.checkout.expires_at;
    for (said, expected) in [
        (reserved + Duration::DAY, reserved),
        (reserved - Duration::MINUTE, reserved - Duration::MINUTE),
        (reserved, reserved - Duration::MINUTE),
    ] {
        let answer = Checkout { expires_at: said, ..observed(&sale, CheckoutState::Open) };
        let anybody = scope();
        let mut sales = SiteSales::new(&mut repositories, &anybody, &env);
        let settled = sales.settle(sale.tenant_id, sale.id, &answer).await.unwrap();
        assert_eq!(settled.sale.checkout.expires_at, expected);
    }
}

#[tokio::test]
async fn who_does_not_pay_frees_the_site() {
    for state in [CheckoutState::Expired, CheckoutState::Failed] {
        let (mut repositories, env) = (Repositories::default(), env());
        let site = offered(&env);
        let begun =
            SiteSales::new(&mut repositories, &scope(), &env).begin(site.clone(), buyer(), rule()).await;
        let first = begun.unwrap();
        let ended = settle(&mut repositories, &env, &first, state).await;
        assert_eq!((ended.sale.status, ended.sale.checkout.check_at), (SiteSaleStatus::Failed, None));
        assert_eq!((ended.sale.buyer_email.as_str(), ended.sale.buyer_name.as_str()), ("", ""));
        SiteSales::new(&mut repositories, &scope(), &env).begin(site, buyer(), rule()).await.unwrap();
        // Money that comes after all is a matter for staff: the site may be another's.
        let late = settle(&mut repositories, &env, &first, paid()).await;
        assert_eq!(late.mismatch.unwrap().differences[0].field, "state");
        assert!(!late.is_newly_paid && repositories.shop.rows().booked.is_empty());
    }
}

#[tokio::test]
async fn what_was_not_asked_for_grants_nothing() {
    let changes: [fn(&mut Checkout); 5] = [
        |checkout| checkout.amount.amount = 1,
        |checkout| checkout.amount.currency = "usd".to_owned(),
        |checkout| checkout.reference = None,
        |checkout| checkout.live = true,
        |checkout| checkout.reference = Some("another".to_owned()),
    ];
    for change in changes {
        let (mut repositories, env) = (Repositories::default(), env());
        let sale = begun(&mut repositories, &env).await;
        let mut observed = observed(&sale, paid());
        change(&mut observed);
        let anybody = scope();
        let mut sales = SiteSales::new(&mut repositories, &anybody, &env);
        let settled = sales.settle(sale.tenant_id, sale.id, &observed).await.unwrap();
        assert!(settled.mismatch.is_some() && !settled.is_newly_paid);
        assert_eq!(settled.sale.checkout.stage, CheckoutStage::Mismatched);
        let again = sales.settle(sale.tenant_id, sale.id, &observed).await.unwrap();
        assert_eq!(again.mismatch, None, "staff are told once");
        assert_eq!(kinds(&repositories), ["site_sale.created", "payment.mismatch"]);
        let rows = repositories.shop.rows();
        assert!(rows.booked.is_empty() && rows.jobs.is_empty());
    }
}

#[tokio::test]
async fn a_site_waits_for_the_owner_of_the_address_and_is_claimed_once() {
    let (mut repositories, env) = (Repositories::default(), env());
    let sale = begun(&mut repositories, &env).await;
    let sale = settle(&mut repositories, &env, &sale, paid()).await.sale;
    let (user, tenant) = (env.new_id(), env.new_id());
    let scope = scope();
    let mut sales = SiteSales::new(&mut repositories, &scope, &env);
    let early = sales.claim(sale.tenant_id, sale.id, user, tenant).await;
    assert!(matches!(early, Err(BillingError::NoPurchase)), "it does not wait");
    let waiting = sales.wait(sale.clone()).await.unwrap();
    assert_eq!(sales.to_be_handed_over(sale.tenant_id, sale.id).await.unwrap(), None);
    let elsewhere = sales.claim(tenant, sale.id, user, tenant).await;
    assert!(matches!(elsewhere, Err(BillingError::NoPurchase)));
    let own = sales.claim(sale.tenant_id, sale.id, user, sale.tenant_id).await;
    assert!(matches!(own, Err(BillingError::OwnSite)));
    let claimed = sales.claim(sale.tenant_id, sale.id, user, tenant).await.unwrap();
    assert_eq!((claimed.status, claimed.buyer), (SiteSaleStatus::Paid, Some((user, tenant))));
    assert!(matches!(
        sales.claim(sale.tenant_id, sale.id, user, tenant).await,
        Err(BillingError::NoPurchase)
    ));
    let due = sales.to_be_handed_over(sale.tenant_id, sale.id).await.unwrap().unwrap();
    assert_eq!(due.buyer_email, "ada@example.com");
    let seller = Seller { name: "Example, S. A.".to_owned(), tax_rate: 1200, ..Seller::default() };
    let done = sales.complete(due, &seller).await.unwrap();
    assert_eq!((done.buyer_email.as_str(), done.buyer_name.as_str()), ("", ""), "the account has them");
    assert_eq!(sales.to_be_handed_over(sale.tenant_id, sale.id).await.unwrap(), None);
    assert_eq!(waiting.status, SiteSaleStatus::Waiting);
    assert_eq!(
        kinds(&repositories),
        [
            "site_sale.created",
            "site_sale.paid",
            "site_sale.waiting",
            "site_sale.claimed",
            "site_sale.completed"
        ]
    );
    assert_eq!(repositories.shop.rows().jobs.len(), 2);
    let rows = repositories.shop.rows();
    let invoice = &rows.invoices[0];
    assert_eq!((invoice.id, invoice.tenant_id), (sale.invoice_id(), tenant));
    assert_eq!((invoice.number.as_deref(), invoice.seller.as_ref()), (Some("TEST-000001"), Some(&seller)));
    assert_eq!((invoice.amount_paid, invoice.tax), (sale.amount, seller.tax_in(sale.amount)));
    assert_eq!(invoice.lines[0].description, sale.site_name);
}

#[tokio::test]
async fn what_was_given_back_before_the_hand_over_is_on_the_invoice() {
    let (mut repositories, env) = (Repositories::default(), env());
    let sale = begun(&mut repositories, &env).await;
    let sale = settle(&mut repositories, &env, &sale, paid()).await.sale;
    let amount = Money { amount: 50_000, currency: sale.currency.clone() };
    let part = Refund { id: "re_1".to_owned(), amount, state: RefundState::Succeeded, reference: None };
    let (tenant, id, scope) = (sale.tenant_id, sale.id, scope());
    SiteRefunds::new(&mut repositories, &scope, &env).settle(tenant, id, &part).await.unwrap();
    repositories.shop.rows().sales[0].buyer = Some((env.new_id(), env.new_id()));
    let mut sales = SiteSales::new(&mut repositories, &scope, &env);
    let due = sales.to_be_handed_over(tenant, id).await.unwrap().unwrap();
    sales.complete(due, &Seller::default()).await.unwrap();
    let rows = repositories.shop.rows();
    assert_eq!((rows.invoices[0].amount_paid, rows.invoices[0].amount_refunded), (150_000, 50_000));
}

#[tokio::test]
async fn a_checkout_that_is_not_made_frees_the_site_and_one_that_was_made_does_not() {
    let (mut repositories, env) = (Repositories::default(), env());
    let sale = begun(&mut repositories, &env).await;
    let scope = scope();
    SiteSales::new(&mut repositories, &scope, &env).give_up(sale.tenant_id, sale.id).await.unwrap();
    assert_eq!(repositories.shop.rows().sales[0].status, SiteSaleStatus::Failed);
    let other = begun(&mut repositories, &env).await;
    settle(&mut repositories, &env, &other, CheckoutState::Open).await;
    let mut sales = SiteSales::new(&mut repositories, &scope, &env);
    sales.give_up(other.tenant_id, other.id).await.unwrap();
    sales.postpone(other.tenant_id, other.id).await.unwrap();
    let rows = repositories.shop.rows();
    assert_eq!(rows.sales[1].status, SiteSaleStatus::Pending);
    assert!(rows.sales[1].checkout.check_at.unwrap() > env.now());
}

#[test]
fn statuses_have_their_names() {
    for status in SiteSaleStatus::ALL {
        assert_eq!(SiteSaleStatus::parse(status.as_str()), Some(status));
        assert!(!(status == SiteSaleStatus::Completed && status.holds_site()), "it is not for sale any more");
    }
    assert_eq!(SiteSaleStatus::parse("sold"), None);
}

proptest! {
    #[test]
    fn no_order_or_repetition_of_answers_grants_twice(picks in prop::collection::vec(0_usize..4, 0..12)) {
        let states = [CheckoutState::Open, CheckoutState::Processing, paid(), CheckoutState::Expired];
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (mut repositories, env) = (Repositories::default(), env());
        let granted = runtime.block_on(async {
            let sale = begun(&mut repositories, &env).await;
            let mut granted = 0;
            for pick in picks {
                let settled = settle(&mut repositories, &env, &sale, states[pick].clone()).await;
                granted += usize::from(settled.is_newly_paid);
                let report = crate::ledger_check::check_ledger(&mut repositories, false).await.unwrap();
                assert_eq!((report.sales, report.differing), (1, 0), "{report}");
            }
            granted
        });
        prop_assert!(granted <= 1);
        prop_assert_eq!(repositories.shop.rows().booked.len(), granted);
        prop_assert_eq!(repositories.shop.rows().jobs.len(), granted);
    }
}
