//! The port of `portico_billing` for coupons.

use portico_billing::{
    checkout::{CheckoutStage, PurchaseCheckout},
    coupon::Coupon,
    coupon_scope::{CouponDuration, CouponUse},
    ports::BillingRepositories,
};
use portico_kernel::{Env, PageRequest, StoreError};
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::{
    fixtures::{at_once, stored_tenant},
    purchases::stored,
};

/// A coupon for purchases and plans that may be used once.
pub fn coupon(env: &Env, code: &str) -> Coupon {
    Coupon {
        id: env.new_id(),
        code: code.to_owned(),
        percent: None,
        amount: Some(500),
        currency: Some("usd".to_owned()),
        applies_to: vec![CouponUse::Purchases, CouponUse::Plans],
        product_types: vec!["base_product".to_owned()],
        plans: vec!["starter".to_owned()],
        duration: Some(CouponDuration::Repeating),
        duration_in_months: Some(3),
        max_redemptions: Some(1),
        max_redemptions_per_tenant: None,
        valid_from: Some(env.now()),
        valid_until: None,
        redemptions: 0,
        archived_at: None,
        created_at: env.now(),
        updated_at: env.now(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coupon_comes_back_as_stored_and_its_code_is_taken_once() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (first, second) = (coupon(&env, "SUMMER"), coupon(&env, "WINTER"));
        let mut work = store.begin().await.unwrap();
        for coupon in [&first, &second] {
            work.coupons().insert(coupon).await.unwrap();
        }
        work.commit().await.unwrap();
        let mut work = store.begin().await.unwrap();
        let twice = work.coupons().insert(&coupon(&env, "SUMMER")).await;
        assert!(matches!(twice, Err(StoreError::Conflict(_))), "{twice:?}");
        drop(work);

        let mut reader = store.reader();
        assert_eq!(reader.coupons().find(first.id).await.unwrap(), Some(first.clone()));
        assert_eq!(reader.coupons().find(env.new_id()).await.unwrap(), None);
        let list = reader.coupons().list(PageRequest { page: 1, limit: 1 }).await.unwrap();
        assert_eq!((list.items, list.total), (vec![second], 2), "the newest first");

        let changed = Coupon {
            product_types: Vec::new(),
            plans: Vec::new(),
            max_redemptions: None,
            max_redemptions_per_tenant: Some(2),
            valid_from: None,
            valid_until: Some(env.now() + Duration::DAY),
            archived_at: Some(env.now() + Duration::HOUR),
            updated_at: env.now() + Duration::HOUR,
            ..first.clone()
        };
        let mut work = store.begin().await.unwrap();
        let spoilt = Coupon {
            code: "OTHER".to_owned(),
            applies_to: vec![CouponUse::Purchases],
            duration: None,
            duration_in_months: None,
            percent: Some(100),
            amount: None,
            currency: None,
            redemptions: 7,
            created_at: env.now() + Duration::DAY,
            ..changed.clone()
        };
        work.coupons().update(&spoilt).await.unwrap();
        assert_eq!(work.coupons().lock(first.id).await.unwrap(), Some(changed.clone()));
        assert_eq!(work.coupons().lock_code("SUMMER").await.unwrap(), Some(changed));
        assert_eq!(work.coupons().lock_code("OTHER").await.unwrap(), None);
        let found = work.coupons().find_code("SUMMER").await.unwrap().unwrap();
        assert_eq!((found.id, found.duration), (first.id, Some(CouponDuration::Repeating)));
        assert_eq!(work.coupons().find_code("summer").await.unwrap(), None);
        let bare = Coupon {
            applies_to: vec![CouponUse::Purchases],
            duration: None,
            duration_in_months: None,
            plans: Vec::new(),
            ..coupon(&env, "BARE")
        };
        let only = Coupon { applies_to: vec![CouponUse::Plans], ..coupon(&env, "ONLY") };
        for coupon in [bare, only] {
            work.coupons().insert(&coupon).await.unwrap();
            assert_eq!(work.coupons().find(coupon.id).await.unwrap(), Some(coupon));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_uses_a_coupon_once_and_gives_it_back_once() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let (first, of_first) = stored(store, &env, ours).await;
        env.clock.advance(Duration::SECOND);
        let (second, of_second) = stored(store, &env, ours).await;
        let coupon = coupon(&env, "SUMMER");
        let id = coupon.id;
        let mut work = store.begin().await.unwrap();
        work.coupons().insert(&coupon).await.unwrap();
        for purchase in [first.id, first.id, second.id] {
            work.coupons().redeem(ours, purchase, id, env.now()).await.unwrap();
        }
        work.commit().await.unwrap();
        let mut reader = store.reader();
        assert_eq!(reader.coupons().find(id).await.unwrap().unwrap().redemptions, 2);
        assert_eq!(reader.coupons().redemptions_of(ours, id).await.unwrap(), 2);
        assert_eq!(reader.coupons().redemptions_of(theirs, id).await.unwrap(), 0);
        let mut work = store.begin().await.unwrap();
        let foreign = work.coupons().redeem(theirs, first.id, id, env.now()).await;
        assert!(matches!(foreign, Err(StoreError::MissingReference(_))), "{foreign:?}");
        drop(work);

        // The oldest page that is open and has it, of the tenant.
        let open = |checkout: &PurchaseCheckout| PurchaseCheckout {
            stage: CheckoutStage::Open,
            session_id: Some(format!("cs_{}", checkout.id)),
            ..checkout.clone()
        };
        let mut work = store.begin().await.unwrap();
        let ended = PurchaseCheckout { stage: CheckoutStage::Ended, ..open(&of_first) };
        work.checkouts().update(&ended).await.unwrap();
        assert_eq!(
            work.checkouts().holding(ours, id).await.unwrap().filter(|held| held.id == of_first.id),
            None
        );
        work.checkouts().update(&open(&of_second)).await.unwrap();
        let held = work.checkouts().holding(ours, id).await.unwrap();
        assert_eq!(held.map(|held| held.id), Some(of_second.id));
        work.checkouts().update(&open(&of_first)).await.unwrap();
        let held = work.checkouts().holding(ours, id).await.unwrap();
        assert_eq!(held.map(|held| held.id), Some(of_first.id));
        assert_eq!(work.checkouts().holding(theirs, id).await.unwrap(), None);
        assert_eq!(work.checkouts().holding(ours, env.new_id()).await.unwrap(), None);
        drop(work);

        let mut work = store.begin().await.unwrap();
        work.coupons().release(theirs, first.id, id).await.unwrap();
        work.coupons().release(ours, first.id, env.new_id()).await.unwrap();
        assert_eq!(
            work.coupons().redemptions_of(ours, id).await.unwrap(),
            2,
            "of others it gives nothing back"
        );
        for _ in 0..2 {
            work.coupons().release(ours, first.id, id).await.unwrap();
        }
        assert_eq!(work.coupons().redemptions_of(ours, id).await.unwrap(), 1);
        assert_eq!(work.coupons().find(id).await.unwrap().unwrap().redemptions, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_for_a_plan_uses_a_coupon_once_and_gives_it_back_once() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let (purchase, _) = stored(store, &env, ours).await;
        let (coupon, first, second) = (coupon(&env, "SUMMER"), env.new_id(), env.new_id());
        let id = coupon.id;
        let mut work = store.begin().await.unwrap();
        work.coupons().insert(&coupon).await.unwrap();
        work.coupons().redeem(ours, purchase.id, id, env.now()).await.unwrap();
        for call in [first, first, second] {
            work.coupons().redeem_plan(ours, call, id, env.now()).await.unwrap();
        }
        work.coupons().redeem_plan(theirs, first, id, env.now()).await.unwrap();
        work.commit().await.unwrap();
        let mut reader = store.reader();
        assert_eq!(reader.coupons().find(id).await.unwrap().unwrap().redemptions, 4);
        assert_eq!(reader.coupons().redemptions_of(ours, id).await.unwrap(), 3, "of purchases and of plans");
        assert_eq!(reader.coupons().redemptions_of(theirs, id).await.unwrap(), 1);

        let mut work = store.begin().await.unwrap();
        work.coupons().release_plan(ours, first, env.new_id()).await.unwrap();
        work.coupons().release_plan(theirs, second, id).await.unwrap();
        assert_eq!(
            work.coupons().find(id).await.unwrap().unwrap().redemptions,
            4,
            "of others it gives nothing back"
        );
        for _ in 0..2 {
            work.coupons().release_plan(ours, first, id).await.unwrap();
        }
        assert_eq!(work.coupons().redemptions_of(ours, id).await.unwrap(), 2);
        assert_eq!(work.coupons().redemptions_of(theirs, id).await.unwrap(), 1);
        assert_eq!(work.coupons().find(id).await.unwrap().unwrap().redemptions, 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_that_lock_a_coupon_one_takes_its_last_use() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "one").await.id;
        let coupon = coupon(&env, "SUMMER");
        let mut work = store.begin().await.unwrap();
        work.coupons().insert(&coupon).await.unwrap();
        work.commit().await.unwrap();
        let mut purchases = Vec::new();
        for _ in 0..64 {
            purchases.push(stored(store, &env, tenant).await.0.id);
        }
        let now = env.now();
        let taken = at_once(store, 64, move |store, place| {
            let purchase = purchases[place];
            async move {
                let mut work = store.begin().await.unwrap();
                let locked = work.coupons().lock_code("SUMMER").await.unwrap().unwrap();
                if locked.redemptions > 0 {
                    return false;
                }
                work.coupons().redeem(tenant, purchase, locked.id, now).await.unwrap();
                work.commit().await.unwrap();
                true
            }
        })
        .await;
        assert_eq!(taken.into_iter().filter(|taken| *taken).count(), 1);
        assert_eq!(store.reader().coupons().find(coupon.id).await.unwrap().unwrap().redemptions, 1);
    })
    .await;
}
