use portico_kernel::Env;
use proptest::prelude::*;
use time::Duration;

use super::*;
use crate::testing::env;

fn coupon(env: &Env) -> Coupon {
    Coupon {
        id: env.new_id(),
        code: "SUMMER25".to_owned(),
        percent: Some(25),
        amount: None,
        currency: None,
        applies_to: vec![CouponUse::Purchases],
        product_types: Vec::new(),
        plans: Vec::new(),
        duration: None,
        duration_in_months: None,
        max_redemptions: None,
        max_redemptions_per_tenant: None,
        valid_from: None,
        valid_until: None,
        redemptions: 0,
        archived_at: None,
        created_at: env.now(),
        updated_at: env.now(),
    }
}

fn off(amount: i64, currency: &str) -> Coupon {
    Coupon { percent: None, amount: Some(amount), currency: Some(currency.to_owned()), ..coupon(&env()) }
}

fn item(product_type: &str, amount: i64, quantity: u32) -> PurchaseItem {
    PurchaseItem {
        product_type: product_type.to_owned(),
        description: product_type.to_owned(),
        amount,
        quantity,
        discount: 0,
    }
}

/// The discounts of lines.
fn taken(coupon: &Coupon, items: &[PurchaseItem], currency: &str) -> Result<Vec<i64>, Refusal> {
    let mut items = items.to_vec();
    let sum = coupon.take_off(&mut items, currency)?;
    let each: Vec<i64> = items.iter().map(|item| item.discount).collect();
    assert_eq!(each.iter().sum::<i64>(), sum);
    Ok(each)
}

#[test]
fn codes_are_the_same_in_any_case() {
    assert_eq!(code_of(" summer-25_x "), Some("SUMMER-25_X".to_owned()));
    for wrong in ["", "ab", &"a".repeat(41), "a b c", "año", "a\0b", "SUMMER%"] {
        assert_eq!(code_of(wrong), None, "{wrong}");
    }
}

#[test]
fn a_coupon_is_used_in_its_time_and_as_often_as_it_may_be() {
    let env = env();
    let (now, fresh) = (env.now(), coupon(&env));
    assert_eq!(fresh.usable(now, 1000), Ok(()));
    let from = |valid_from| Coupon { valid_from: Some(valid_from), ..fresh.clone() };
    assert_eq!(from(now).usable(now, 0), Ok(()));
    assert_eq!(from(now + Duration::SECOND).usable(now, 0), Err(Refusal::NotYetValid));
    let until = |valid_until| Coupon { valid_until: Some(valid_until), ..fresh.clone() };
    assert_eq!(until(now + Duration::SECOND).usable(now, 0), Ok(()));
    assert_eq!(until(now).usable(now, 0), Err(Refusal::Expired));
    let archived = Coupon { archived_at: Some(now), ..fresh.clone() };
    assert_eq!(archived.usable(now, 0), Err(Refusal::Expired));
    let used = |redemptions| Coupon { redemptions, max_redemptions: Some(3), ..fresh.clone() };
    assert_eq!((used(2).usable(now, 0), used(3).usable(now, 0)), (Ok(()), Err(Refusal::UsedUp)));
    let once = Coupon { max_redemptions_per_tenant: Some(1), redemptions: 7, ..fresh };
    assert_eq!((once.usable(now, 0), once.usable(now, 1)), (Ok(()), Err(Refusal::UsedUp)));
}

#[test]
fn a_part_is_taken_off_each_line() {
    let items = [item("base", 35900, 1), item("book", 5, 2), item("pen", 1, 1)];
    assert_eq!(taken(&coupon(&env()), &items, "usd"), Ok(vec![8975, 3, 0]), "half up");
    let for_books = Coupon { product_types: vec!["book".to_owned()], ..coupon(&env()) };
    assert_eq!(taken(&for_books, &items, "usd"), Ok(vec![0, 3, 0]));
    let for_others = Coupon { product_types: vec!["car".to_owned()], ..coupon(&env()) };
    assert_eq!(taken(&for_others, &items, "usd"), Err(Refusal::NotApplicable));
    let for_plans = Coupon { applies_to: vec![CouponUse::Plans], ..coupon(&env()) };
    assert_eq!(taken(&for_plans, &items, "usd"), Err(Refusal::NotApplicable));
    assert_eq!(taken(&coupon(&env()), &items[2..], "usd"), Err(Refusal::NotApplicable), "less than a cent");
    let all = Coupon { percent: Some(100), ..coupon(&env()) };
    assert_eq!(taken(&all, &items, "usd"), Err(Refusal::NothingToPay));
    let all_books = Coupon { percent: Some(100), ..for_books };
    assert_eq!(taken(&all_books, &items, "usd"), Ok(vec![0, 10, 0]), "the rest is to be paid");
    // Króna are charged in hundreds, and dinars in tens.
    assert_eq!(taken(&coupon(&env()), &[item("base", 1000, 1)], "isk"), Ok(vec![300]));
    assert_eq!(taken(&coupon(&env()), &[item("base", 1010, 1)], "kwd"), Ok(vec![250]));
    assert_eq!(taken(&coupon(&env()), &[item("base", 1999, 1)], "jpy"), Ok(vec![500]));
    assert_eq!(taken(&coupon(&env()), &[item("base", 1999, 1)], "xxx"), Err(Refusal::NotApplicable));
}

#[test]
fn an_amount_is_spread_over_the_lines() {
    let items = [item("a", 100, 1), item("b", 100, 1), item("c", 100, 1)];
    assert_eq!(taken(&off(100, "usd"), &items, "usd"), Ok(vec![33, 34, 33]));
    assert_eq!(taken(&off(100, "usd"), &items, "eur"), Err(Refusal::NotApplicable));
    for all in [300, 301, i64::MAX] {
        assert_eq!(taken(&off(all, "usd"), &items, "usd"), Err(Refusal::NothingToPay), "{all}");
    }
    let of_two = Coupon { product_types: vec!["a".to_owned(), "c".to_owned()], ..off(250, "usd") };
    assert_eq!(taken(&of_two, &items, "usd"), Ok(vec![100, 0, 100]), "no more than they cost");
    assert_eq!(taken(&off(300, "isk"), &[item("a", 500, 1), item("b", 500, 1)], "isk"), Ok(vec![200, 100]));
}

fn prices() -> impl Strategy<Value = Vec<(i64, u32)>> {
    prop::collection::vec((0..=99_999_999_i64, 1..=100_u32), 1..=20)
}

proptest! {
    #[test]
    fn what_is_taken_off_is_never_more_than_a_line_and_can_be_charged(
        prices in prices(),
        percent in 1..=100_i64,
        amount in 1..=99_999_999_i64,
        is_part in any::<bool>(),
        currency in prop::sample::select(vec!["usd", "jpy", "isk", "kwd"]),
    ) {
        let step = Currency::parse(currency).unwrap().step();
        let mut items: Vec<PurchaseItem> =
            prices.iter().map(|(price, quantity)| item("base", price / step * step, *quantity)).collect();
        let coupon = match is_part {
            true => Coupon { percent: Some(percent), ..coupon(&env()) },
            false => off(amount / step * step, currency),
        };
        let before: i64 = items.iter().map(PurchaseItem::total).sum();
        let result = coupon.take_off(&mut items, currency);
        let discounts: i64 = items.iter().map(|item| item.discount).sum();
        for item in &items {
            prop_assert!(item.discount >= 0 && item.discount <= item.total());
            prop_assert_eq!(item.discount % step, 0);
        }
        match result {
            Ok(taken) => {
                prop_assert_eq!(taken, discounts);
                prop_assert!(taken > 0 && taken < before);
                if !is_part {
                    prop_assert_eq!(taken, amount / step * step, "not a cent is lost");
                }
            }
            Err(Refusal::NothingToPay) => prop_assert_eq!(discounts, before),
            Err(refusal) => {
                prop_assert_eq!(refusal, Refusal::NotApplicable);
                prop_assert_eq!(discounts, 0);
            }
        }
    }
}
