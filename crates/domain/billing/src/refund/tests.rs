use portico_kernel::{Actor, Permissions, PlatformRole, RequestInfo};
use time::Duration;

use super::*;
use crate::{
    checkout::CheckoutStage,
    payment::CheckoutState,
    testing::{Repositories, env, purchase},
};

fn staff(env: &Env, permissions: &[Permission]) -> Scope {
    let actor = Actor::User {
        id: env.new_id(),
        session: env.new_id(),
        email_verified: true,
        role: PlatformRole::Staff,
        impersonator: None,
    };
    Scope::user(actor, None, Permissions::from_list(permissions), RequestInfo::default())
}

/// A shop with a purchase that is paid by a checkout at this stage.
fn shop(env: &Env, stage: CheckoutStage) -> (Repositories, Purchase) {
    let repositories = Repositories::default();
    let pending = purchase(env, env.new_id());
    let paid = pending.after(&CheckoutState::Paid { payment_id: "pi_1".to_owned() }, env.now());
    let checkout = PurchaseCheckout {
        id: env.new_id(),
        tenant_id: paid.tenant_id,
        purchase_id: paid.id,
        provider: Provider::Stripe,
        live: false,
        stage,
        session_id: Some("cs_1".to_owned()),
        url: None,
        payment_id: (stage == CheckoutStage::Paid).then(|| "pi_1".to_owned()),
        success_url: String::new(),
        cancel_url: String::new(),
        created_at: env.now(),
        expires_at: env.now(),
        check_at: None,
    };
    repositories.shop.rows().checkouts.push(checkout);
    let purchase = if stage == CheckoutStage::Paid { paid } else { pending };
    repositories.shop.rows().purchases.push(purchase.clone());
    (repositories, purchase)
}

fn input(amount: Option<i64>) -> RefundInput {
    RefundInput { amount, reason: Some(" Not used ".to_owned()) }
}

async fn begin(
    repositories: &mut Repositories,
    env: &Env,
    purchase: &Purchase,
    amount: Option<i64>,
) -> Result<PurchaseRefund, BillingError> {
    let scope = staff(env, &[Permission::PlatformRefunds]);
    Refunds::new(repositories, &scope, env).begin(purchase.tenant_id, purchase.id, &input(amount)).await
}

#[tokio::test]
async fn a_refund_is_stored_before_the_provider_is_called() {
    let env = env();
    let (mut repositories, purchase) = shop(&env, CheckoutStage::Paid);
    let refund = begin(&mut repositories, &env, &purchase, None).await.unwrap();
    assert_eq!((refund.amount, refund.status, &refund.provider_id), (35900, RefundStatus::Requested, &None));
    assert_eq!(refund.reason.as_deref(), Some("Not used"));
    assert_eq!(
        repositories.shop.rows().refunds,
        std::slice::from_ref(&refund),
        "its key is stored before its first try"
    );
    let check_at = repositories.shop.rows().checkouts[0].check_at;
    assert!(check_at.is_some_and(|at| at <= env.now() + Duration::minutes(5)), "{check_at:?}");
    let events = repositories.events();
    assert_eq!((events.len(), events[0].kind.as_str()), (1, "refund.created"));
    assert_eq!(
        repositories.shop.rows().purchases,
        std::slice::from_ref(&purchase),
        "nothing is given back yet"
    );
    // The call is made of what is stored, so it is the same at every try.
    let stored = repositories.shop.rows().refunds[0].clone();
    assert_eq!(stored.call(), refund.call());
    assert_eq!((stored.call().payment_id.as_str(), stored.call().amount.amount), ("pi_1", 35900));
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    assert!(plain(&refund.key()) && refund.key().len() <= 100 && plain(&refund.reference()));
    assert!(refund.may_repeat(env.now() + Duration::hours(22)));
    assert!(!refund.may_repeat(env.now() + Duration::DAY));
}

#[tokio::test]
async fn whoever_asks_twice_gives_back_once_and_never_more_than_was_paid() {
    let env = env();
    let (mut repositories, purchase) = shop(&env, CheckoutStage::Paid);
    let first = begin(&mut repositories, &env, &purchase, Some(20000)).await.unwrap();
    for amount in [None, Some(1)] {
        let refused = begin(&mut repositories, &env, &purchase, amount).await;
        assert!(matches!(refused, Err(BillingError::RefundInProgress)), "{refused:?}");
    }
    let made = PurchaseRefund {
        provider_id: Some("re_1".to_owned()),
        status: RefundStatus::Pending,
        ..first.clone()
    };
    repositories.shop.rows().refunds = vec![made.clone()];
    let refused = begin(&mut repositories, &env, &purchase, Some(15901)).await;
    assert!(matches!(refused, Err(BillingError::RefundTooLarge { left: 15900 })), "{refused:?}");
    let rest = begin(&mut repositories, &env, &purchase, None).await.unwrap();
    assert_eq!(rest.amount, 15900);
    let made_too =
        PurchaseRefund { provider_id: Some("re_2".to_owned()), status: RefundStatus::Succeeded, ..rest };
    repositories.shop.rows().refunds = vec![made.clone(), made_too.clone()];
    let refused = begin(&mut repositories, &env, &purchase, Some(1)).await;
    assert!(matches!(refused, Err(BillingError::NothingToRefund)), "{refused:?}");
    // What did not reach the buyer can be given back again.
    let failed = PurchaseRefund { status: RefundStatus::Failed, ..made };
    repositories.shop.rows().refunds = vec![failed, made_too];
    assert_eq!(begin(&mut repositories, &env, &purchase, None).await.unwrap().amount, 20000);
}

#[tokio::test]
async fn what_cannot_be_given_back_is_refused() {
    let env = env();
    let (mut repositories, purchase) = shop(&env, CheckoutStage::Open);
    let refused = begin(&mut repositories, &env, &purchase, None).await;
    assert!(matches!(refused, Err(BillingError::NotPaid)), "{refused:?}");
    let (mut repositories, purchase) = shop(&env, CheckoutStage::Paid);
    for amount in [0, -1, i64::MIN] {
        let refused = begin(&mut repositories, &env, &purchase, Some(amount)).await;
        let Err(BillingError::Invalid(errors)) = refused else { panic!("{refused:?}") };
        assert_eq!((errors[0].field.as_str(), errors[0].code.as_ref()), ("amount", "out_of_range"));
    }
    // Amounts in krónur end in 00.
    repositories.shop.rows().purchases[0].currency = "isk".to_owned();
    assert!(matches!(
        begin(&mut repositories, &env, &purchase, Some(150)).await,
        Err(BillingError::Invalid(_))
    ));
    repositories.shop.rows().purchases[0].status = PurchaseStatus::Disputed;
    let refused = begin(&mut repositories, &env, &purchase, None).await;
    assert!(matches!(refused, Err(BillingError::PurchaseDisputed)), "{refused:?}");
    let elsewhere = Purchase { tenant_id: env.new_id(), ..purchase.clone() };
    let missing = begin(&mut repositories, &env, &elsewhere, None).await;
    assert!(matches!(missing, Err(BillingError::NoPurchase)), "{missing:?}");
    assert!(repositories.events().is_empty());

    for scope in [staff(&env, &[Permission::PlatformPlans]), Scope::anonymous(RequestInfo::default())] {
        let (tenant, id) = (purchase.tenant_id, purchase.id);
        let mut refunds = Refunds::new(&mut repositories, &scope, &env);
        let denied = [
            refunds.begin(tenant, id, &RefundInput::default()).await.err(),
            refunds.paid(tenant, id).await.err(),
            refunds.purchase(tenant, id).await.err(),
            refunds.purchases(tenant, PageRequest::default()).await.err(),
        ];
        for error in denied {
            assert!(matches!(error, Some(BillingError::Denied(_))), "{error:?}");
        }
    }
}

#[tokio::test]
async fn what_the_provider_refuses_is_given_up_once_unless_it_was_made() {
    let env = env();
    let (mut repositories, purchase) = shop(&env, CheckoutStage::Paid);
    let refund = begin(&mut repositories, &env, &purchase, None).await.unwrap();
    let scope = Scope::system(Some(purchase.tenant_id), RequestInfo::default());
    for _ in 0..2 {
        let given_up = Refunds::new(&mut repositories, &scope, &env).give_up(&refund).await.unwrap();
        assert_eq!(given_up.status, RefundStatus::Failed);
    }
    let kinds: Vec<String> = repositories.events().iter().map(|event| event.kind.to_string()).collect();
    assert_eq!(kinds, ["refund.created", "refund.failed"]);
    // The answer to the first try was lost, and the provider has made it all the same.
    let observed = Refund {
        id: "re_1".to_owned(),
        amount: refund.money(),
        state: RefundState::Succeeded,
        reference: Some(refund.reference()),
    };
    let stored = repositories.shop.rows().refunds[0].clone();
    assert!(stored.is(&observed) && stored.refunded() == 0);
    let after = stored.after(&observed, env.now());
    assert_eq!((after.status, after.refunded()), (RefundStatus::Succeeded, 35900));
    repositories.shop.rows().refunds = vec![after.clone()];
    let stays = Refunds::new(&mut repositories, &scope, &env).give_up(&refund).await.unwrap();
    assert_eq!(stays, after);
}

#[tokio::test]
async fn staff_see_what_was_given_back() {
    let env = env();
    let (mut repositories, purchase) = shop(&env, CheckoutStage::Paid);
    let refund = begin(&mut repositories, &env, &purchase, Some(100)).await.unwrap();
    let scope = staff(&env, &[Permission::PlatformRefunds]);
    let mut refunds = Refunds::new(&mut repositories, &scope, &env);
    let seen = refunds.purchase(purchase.tenant_id, purchase.id).await.unwrap();
    assert_eq!((seen.payment_id.as_deref(), &seen.refunds), (Some("pi_1"), &vec![refund]));
    assert_eq!(seen.purchase, purchase);
    let list = refunds.purchases(purchase.tenant_id, PageRequest::default()).await.unwrap();
    assert_eq!(list.items, std::slice::from_ref(&purchase));
    let missing = refunds.purchase(env.new_id(), purchase.id).await;
    assert!(matches!(missing, Err(BillingError::NoPurchase)));
    let json = serde_json::to_value(&seen).unwrap();
    assert_eq!((&json["amount"], &json["refunds"][0]["amount"]), (&35900.into(), &100.into()));
    assert_eq!(
        (&json["refunds"][0]["status"], &json["disputes"]),
        (&"requested".into(), &serde_json::json!([]))
    );
}
