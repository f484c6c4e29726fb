use portico_kernel::{Fault, Kind, RequestInfo};
use time::Duration;

use super::*;
use crate::{
    ports::MockPlanRepository,
    product::Products,
    testing::{Repositories, env},
};

fn staff() -> Scope {
    Scope::system(None, RequestInfo::default())
}

fn input(code: &str) -> CouponInput {
    CouponInput { code: code.to_owned(), percent: Some(25), ..CouponInput::default() }
}

async fn shop(env: &Env) -> Repositories {
    let mut repositories = Repositories::default();
    Products::new(&mut repositories).seed(env.now()).await.unwrap();
    repositories
}

/// What is wrong with a coupon to be made.
async fn errors(input: CouponInput) -> Vec<(String, String)> {
    let (env, scope) = (env(), staff());
    let mut repositories = shop(&env).await;
    match CouponAdministration::new(&mut repositories, &scope, &env).create(input).await {
        Ok(_) => Vec::new(),
        Err(BillingError::Invalid(errors)) => {
            errors.into_iter().map(|error| (error.field, error.code.into_owned())).collect()
        }
        Err(error) => panic!("{error}"),
    }
}

fn error(field: &str, code: &str) -> Vec<(String, String)> {
    vec![(field.to_owned(), code.to_owned())]
}

#[tokio::test]
async fn a_coupon_is_made_once_changed_and_archived() {
    let (env, scope) = (env(), staff());
    let mut repositories = shop(&env).await;
    let mut administration = CouponAdministration::new(&mut repositories, &scope, &env);
    let made = administration.create(input("summer25")).await.unwrap();
    assert_eq!((made.code.as_str(), made.redemptions, made.archived_at), ("SUMMER25", 0, None));
    let again = administration.create(input("Summer25")).await.unwrap_err();
    assert_eq!((again.kind(), again.code()), (Kind::Conflict, "coupon_exists"));
    assert_eq!(administration.get(made.id).await.unwrap(), made);
    assert_eq!(administration.list(PageRequest::default()).await.unwrap().total, 1);

    let terms = CouponTerms {
        product_types: Some(vec!["base_product".to_owned(), "base_product".to_owned()]),
        max_redemptions: Some(3),
        valid_until: Some(env.now() + Duration::DAY),
        ..CouponTerms::default()
    };
    let changed = administration.update(made.id, terms.clone()).await.unwrap();
    assert_eq!(
        (changed.product_types.as_slice(), changed.max_redemptions),
        (&["base_product".to_owned()][..], Some(3))
    );
    assert_eq!(administration.update(made.id, terms.clone()).await.unwrap(), changed, "the same again");
    let open = administration.update(made.id, CouponTerms::default()).await.unwrap();
    assert_eq!((open.max_redemptions, open.valid_until), (None, None), "what is absent is no longer a term");
    assert_eq!((open.percent, &open.code), (Some(25), &made.code));

    administration.archive(made.id).await.unwrap();
    administration.archive(made.id).await.unwrap();
    let late = administration.update(made.id, terms).await.unwrap_err();
    assert_eq!((late.kind(), late.code()), (Kind::Conflict, "coupon_archived"));
    let taken = administration.create(input("SUMMER25")).await.unwrap_err();
    assert_eq!(taken.code(), "coupon_exists", "its code is not free again");
    let missing = administration.archive(env.new_id()).await;
    assert!(matches!(missing, Err(BillingError::NoCoupon)));
    let names: Vec<String> = repositories.events().iter().map(|event| event.kind.to_string()).collect();
    assert_eq!(names, ["coupon.created", "coupon.updated", "coupon.updated", "coupon.archived"]);
    assert!(repositories.events().iter().all(|event| event.tenant == TenantId::PLATFORM));
}

#[tokio::test]
async fn each_rule_about_a_coupon() {
    let off = |amount: i64, currency: &str| CouponInput {
        percent: None,
        amount: Some(amount),
        currency: Some(currency.to_owned()),
        ..input("off")
    };
    assert_eq!(errors(off(500, "usd")).await, []);
    assert_eq!(errors(input("")).await, error("code", "required"));
    assert_eq!(errors(input("a b c")).await, error("code", "invalid_word"));
    assert_eq!(errors(CouponInput { percent: None, ..input("off") }).await, error("percent", "required"));
    assert_eq!(
        errors(CouponInput { percent: Some(5), ..off(500, "usd") }).await,
        error("amount", "not_both")
    );
    let in_dollars = CouponInput { currency: Some("usd".to_owned()), ..input("off") };
    assert_eq!(errors(in_dollars).await, error("currency", "not_both"));
    for percent in [0, -1, 101, i64::MAX] {
        let wrong = CouponInput { percent: Some(percent), ..input("off") };
        assert_eq!(errors(wrong).await, error("percent", "out_of_range"), "{percent}");
    }
    for amount in [0, -1, 100_000_000, i64::MIN] {
        assert_eq!(errors(off(amount, "usd")).await, error("amount", "out_of_range"), "{amount}");
    }
    assert_eq!(errors(off(50, "isk")).await, error("amount", "invalid_amount"));
    assert_eq!(errors(off(50, "USD")).await, error("currency", "invalid_currency"));
    assert_eq!(
        errors(CouponInput { currency: None, ..off(50, "usd") }).await,
        error("currency", "invalid_currency")
    );
    for limit in [0, -1, 1_000_000_001] {
        let wrong = CouponInput { max_redemptions: Some(limit), ..input("off") };
        assert_eq!(errors(wrong).await, error("maxRedemptions", "out_of_range"), "{limit}");
        let wrong = CouponInput { max_redemptions_per_tenant: Some(limit), ..input("off") };
        assert_eq!(errors(wrong).await, error("maxRedemptionsPerTenant", "out_of_range"), "{limit}");
    }
    let of = |products: &[&str]| CouponInput {
        product_types: Some(products.iter().map(|id| (*id).to_owned()).collect()),
        ..input("off")
    };
    assert_eq!(errors(of(&["base_product"])).await, []);
    assert_eq!(errors(of(&["base_product", "car\0"])).await, error("productTypes[1]", "unknown_product"));
    assert!(errors(of(&["base_product"; 21])).await.contains(&error("productTypes", "too_many")[0]));
    let now = env().now();
    let backwards = CouponInput { valid_from: Some(now), valid_until: Some(now), ..input("off") };
    assert_eq!(errors(backwards).await, error("validUntil", "too_early"));
    let all = CouponInput { max_redemptions: Some(0), ..of(&["car"]) };
    let all = CouponInput { code: String::new(), percent: Some(0), ..all };
    let fields: Vec<String> = errors(all).await.into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["code", "percent", "productTypes[0]", "maxRedemptions"]);
}

#[tokio::test]
async fn a_coupon_for_plans_says_how_long_and_keeps_that() {
    let for_plans = |duration| CouponInput {
        applies_to: Some(vec![CouponUse::Plans, CouponUse::Purchases, CouponUse::Plans]),
        duration,
        ..input("off")
    };
    let months =
        |duration_in_months| CouponInput { duration_in_months, ..for_plans(Some(CouponDuration::Repeating)) };
    assert_eq!(errors(for_plans(Some(CouponDuration::Forever))).await, []);
    assert_eq!(errors(for_plans(None)).await, error("duration", "required"));
    assert_eq!(errors(months(None)).await, error("durationInMonths", "required"));
    assert_eq!(errors(months(Some(120))).await, []);
    for wrong in [0, 121] {
        assert_eq!(errors(months(Some(wrong))).await, error("durationInMonths", "out_of_range"), "{wrong}");
    }
    let once = CouponInput { duration_in_months: Some(2), ..for_plans(Some(CouponDuration::Once)) };
    assert_eq!(errors(once).await, error("durationInMonths", "not_both"));
    let for_purchases = CouponInput { duration: Some(CouponDuration::Once), ..input("off") };
    assert_eq!(errors(for_purchases).await, error("duration", "not_both"));
    let nothing = CouponInput { applies_to: Some(Vec::new()), ..input("off") };
    assert_eq!(errors(nothing).await, error("appliesTo", "required"));

    let (env, scope) = (env(), staff());
    let mut repositories = shop(&env).await;
    for _ in 0..3 {
        let mut plans = MockPlanRepository::new();
        plans.expect_ids().returning(|| Ok(vec!["starter".to_owned(), "free".to_owned()]));
        repositories.plans.push_back(plans);
    }
    let mut administration = CouponAdministration::new(&mut repositories, &scope, &env);
    let named = |plan: &str| Some(vec![plan.to_owned()]);
    let wished = CouponInput { plans: named("starter"), ..months(Some(3)) };
    let made = administration.create(wished).await.unwrap();
    assert_eq!(
        (made.applies_to.as_slice(), made.duration_in_months),
        (&[CouponUse::Purchases, CouponUse::Plans][..], Some(3))
    );
    assert_eq!(made.plans, ["starter"]);
    let unknown = CouponTerms { plans: named("gold"), ..CouponTerms::default() };
    let refused = administration.update(made.id, unknown).await.unwrap_err();
    assert!(matches!(&refused, BillingError::Invalid(errors) if errors[0].field == "plans[0]"), "{refused}");
    let changed = administration.update(made.id, CouponTerms::default()).await.unwrap();
    assert_eq!((changed.plans.len(), changed.duration), (0, Some(CouponDuration::Repeating)));
    let bare = administration.create(input("bare")).await.unwrap();
    let terms = CouponTerms { plans: named("free"), ..CouponTerms::default() };
    let refused = administration.update(bare.id, terms).await.unwrap_err();
    assert!(matches!(&refused, BillingError::Invalid(errors) if errors[0].field == "plans"), "{refused}");
}

#[tokio::test]
async fn only_staff_look_after_coupons() {
    let env = env();
    let mut repositories = Repositories::default();
    let anonymous = Scope::anonymous(RequestInfo::default());
    let mut administration = CouponAdministration::new(&mut repositories, &anonymous, &env);
    let id = env.new_id();
    assert!(matches!(administration.list(PageRequest::default()).await, Err(BillingError::Denied(_))));
    assert!(matches!(administration.get(id).await, Err(BillingError::Denied(_))));
    assert!(matches!(administration.create(CouponInput::default()).await, Err(BillingError::Denied(_))));
    assert!(matches!(administration.update(id, CouponTerms::default()).await, Err(BillingError::Denied(_))));
    assert!(matches!(administration.archive(id).await, Err(BillingError::Denied(_))));
}
