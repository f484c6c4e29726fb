//! Coupons, promotion codes, and the discounts that they become.

use serde_json::{Value, json};

use super::{
    lists,
    world::{World, metadata},
};
use crate::{
    calendar,
    errors::{Answer, ApiError, clean},
    money,
    value::{Read, Write},
};

/// POST /v1/coupons.
pub(crate) fn create_coupon(w: &mut World, p: &Value) -> Answer {
    let percent = p.at("percent_off").as_f64();
    let amount = p.int("amount_off");
    let currency = match (percent, amount) {
        (Some(percent), None) if percent > 0.0 && percent <= 100.0 => Value::Null,
        (Some(_), None) => {
            return Err(ApiError::param("percent_off", "Must be more than 0 and at most 100."));
        }
        (None, Some(amount)) => {
            let currency = money::currency(p.text("currency").unwrap_or_default(), "currency")?;
            money::priced(amount, &currency, "amount_off")?;
            currency.into()
        }
        _ => return Err(ApiError::invalid("You must pass exactly one of percent_off and amount_off.")),
    };
    let duration = p.text("duration").unwrap_or("once");
    let months = p.int("duration_in_months");
    if (duration == "repeating") != months.is_some_and(|months| (1..=120).contains(&months)) {
        return Err(ApiError::param(
            "duration_in_months",
            "Required with duration=repeating, and only then.",
        ));
    }
    let id = match p.text("id") {
        Some(id) if w.store.get("coupon", id).is_some() => {
            return Err(ApiError::param("id", "Coupon already exists.").code("resource_already_exists"));
        }
        Some(id) => id.to_owned(),
        None => w.characters(8),
    };
    let coupon = json!({
        "id": id,
        "object": "coupon",
        "amount_off": amount,
        "created": w.now,
        "currency": currency,
        "duration": duration,
        "duration_in_months": months,
        "livemode": false,
        "max_redemptions": p.at("max_redemptions"),
        "metadata": metadata(p),
        "name": p.at("name"),
        "percent_off": percent,
        "redeem_by": p.at("redeem_by"),
        "times_redeemed": 0,
        "valid": true,
        "_products": p.at("applies_to.products"),
    });
    w.save(&coupon);
    w.emit("coupon.created", &coupon);
    Ok(coupon)
}

/// POST to a coupon or promotion code: name, metadata, and whether a code is active.
pub(crate) fn update(w: &mut World, kind: &str, id: &str, p: &Value) -> Answer {
    let mut found = w.need(kind, id, "id")?;
    let before = found.clone();
    found.copy_from(p, &["name", "active"]);
    found.merge_metadata(p);
    w.save(&found);
    w.emit_update(&format!("{kind}.updated"), &before, &found);
    Ok(found)
}

/// DELETE /v1/coupons/{id}: discounts that were given stay.
pub(crate) fn delete_coupon(w: &mut World, id: &str) -> Answer {
    let mut coupon = w.need("coupon", id, "id")?;
    coupon.put("valid", false);
    w.save(&coupon);
    w.emit("coupon.deleted", &coupon);
    Ok(json!({"id": id, "object": "coupon", "deleted": true}))
}

/// POST /v1/promotion_codes.
pub(crate) fn create_promotion_code(w: &mut World, p: &Value) -> Answer {
    let id = p.text("promotion.coupon").or_else(|| p.text("coupon"));
    let id = id.ok_or_else(|| ApiError::missing("promotion"))?.to_owned();
    usable(w, &id, "promotion[coupon]")?;
    if let Some(customer) = p.text("customer") {
        w.need("customer", customer, "customer")?;
    }
    let code = match p.text("code") {
        Some(code) => code.to_owned(),
        None => w.characters(8).to_uppercase(),
    };
    let is_taken = w.store.all("promotion_code").any(|other| other.flag("active") && same_code(other, &code));
    if is_taken {
        let message = format!("An active promotion code with `code: {}` already exists.", clean(&code));
        return Err(ApiError::param("code", message).code("resource_already_exists"));
    }
    let promotion = json!({
        "id": w.id("promo"),
        "object": "promotion_code",
        "active": p.at("active").as_bool().unwrap_or(true),
        "code": code,
        "created": w.now,
        "customer": p.at("customer"),
        "expires_at": p.at("expires_at"),
        "livemode": false,
        "max_redemptions": p.at("max_redemptions"),
        "metadata": metadata(p),
        "promotion": {"coupon": id, "type": "coupon"},
        "restrictions": {
            "first_time_transaction": p.flag("restrictions.first_time_transaction"),
            "minimum_amount": p.at("restrictions.minimum_amount"),
            "minimum_amount_currency": p.at("restrictions.minimum_amount_currency"),
        },
        "times_redeemed": 0,
    });
    w.save(&promotion);
    w.emit("promotion_code.created", &promotion);
    Ok(promotion)
}

fn same_code(promotion: &Value, code: &str) -> bool {
    promotion.owned("code").eq_ignore_ascii_case(code)
}

/// GET /v1/promotion_codes.
pub(crate) fn promotion_codes(w: &World, p: &Value) -> Answer {
    lists::page(w, "promotion_code", p, "/v1/promotion_codes", &["coupon", "code"], |promotion| {
        p.text("coupon").is_none_or(|coupon| promotion.is("promotion.coupon", coupon))
            && p.text("code").is_none_or(|code| same_code(promotion, code))
    })
}

/// The active promotion code that a customer typed.
pub(crate) fn by_code(w: &World, code: &str) -> Option<Value> {
    w.store
        .all("promotion_code")
        .find(|promotion| promotion.flag("active") && same_code(promotion, code))
        .cloned()
}

fn usable(w: &World, id: &str, param: &str) -> Answer {
    let coupon = w.need("coupon", id, param)?;
    let is_spent = coupon.int("max_redemptions").is_some_and(|most| coupon.num("times_redeemed") >= most);
    let is_late = coupon.int("redeem_by").is_some_and(|until| until < w.now);
    if is_spent || is_late || !coupon.flag("valid") {
        let message = format!("Coupon {} is used up or expired, and cannot be applied.", clean(id));
        return Err(ApiError::param(param, message).code("coupon_expired"));
    }
    Ok(coupon)
}

/// Makes discounts of `[{coupon}, {promotion_code}, {discount}]`; answers their ids.
pub(crate) fn redeem(
    w: &mut World,
    given: &Value,
    customer: &Value,
    owner: (&str, &str),
) -> Result<Vec<Value>, ApiError> {
    let mut made = Vec::new();
    for one in given.as_array().into_iter().flatten() {
        if let Some(id) = one.text("discount") {
            w.need("discount", id, "discounts")?;
            made.push(id.into());
            continue;
        }
        let (coupon, promotion) = match (one.text("coupon"), one.text("promotion_code")) {
            (Some(coupon), None) => (coupon.to_owned(), None),
            (None, Some(code)) => {
                let promotion = w.need("promotion_code", code, "discounts")?;
                check_code(w, &promotion, customer)?;
                (promotion.owned("promotion.coupon"), Some(promotion))
            }
            _ => {
                return Err(ApiError::param(
                    "discounts",
                    "Each discount needs a coupon or a promotion code.",
                ));
            }
        };
        let mut coupon = usable(w, &coupon, "discounts")?;
        coupon.put("times_redeemed", coupon.num("times_redeemed") + 1);
        w.save(&coupon);
        let code = promotion.as_ref().map(|promotion| promotion.owned("id"));
        if let Some(mut promotion) = promotion {
            promotion.put("times_redeemed", promotion.num("times_redeemed") + 1);
            w.save(&promotion);
        }
        let end = match coupon.text("duration") {
            Some("repeating") => {
                json!(calendar::after(w.now, "month", coupon.int("duration_in_months").unwrap_or(1)))
            }
            _ => Value::Null,
        };
        let mut discount = json!({
            "id": w.id("di"),
            "object": "discount",
            "checkout_session": null,
            "customer": customer,
            "customer_account": null,
            "end": end,
            "invoice": null,
            "invoice_item": null,
            "promotion_code": code,
            "source": {"coupon": coupon.at("id"), "type": "coupon"},
            "start": w.now,
            "subscription": null,
            "subscription_item": null,
        });
        discount.put(owner.0, owner.1);
        w.save(&discount);
        made.push(discount.at("id").clone());
    }
    Ok(made)
}

fn check_code(w: &World, promotion: &Value, customer: &Value) -> Result<(), ApiError> {
    let is_spent =
        promotion.int("max_redemptions").is_some_and(|most| promotion.num("times_redeemed") >= most);
    let is_late = promotion.int("expires_at").is_some_and(|until| until < w.now);
    let is_other = promotion.at("customer").is_string() && promotion.at("customer") != customer;
    let is_first =
        || !w.store.all("charge").any(|charge| charge.at("customer") == customer && charge.flag("paid"));
    let wants_first = promotion.flag("restrictions.first_time_transaction") && customer.is_string();
    if is_spent || is_late || is_other || !promotion.flag("active") || (wants_first && !is_first()) {
        let message = "This promotion code cannot be redeemed because the associated promotion is expired, used up, or not for this customer.";
        return Err(ApiError::param("discounts", message).code("promotion_code_expired"));
    }
    Ok(())
}

/// The discounts of a list that still count: id and coupon.
pub(crate) fn live(w: &World, ids: &[Value], moment: i64) -> Vec<(String, Value)> {
    let found = ids.iter().filter_map(Value::as_str).filter_map(|id| w.store.get("discount", id));
    let running = found.filter(|discount| discount.int("end").is_none_or(|end| end > moment));
    let with_coupon = running.filter_map(|discount| {
        Some((discount.owned("id"), w.find("coupon", &discount.owned("source.coupon"))?))
    });
    with_coupon.collect()
}

/// What is left of a subscription's discounts after an invoice: those for one invoice are used up.
pub(crate) fn left_after_use(w: &World, ids: &[Value], moment: i64) -> Value {
    let left = live(w, ids, moment).into_iter().filter(|(_, coupon)| !coupon.is("duration", "once"));
    left.map(|(id, _)| Value::from(id)).collect::<Vec<_>>().into()
}

/// Spreads discounts over lines (`amount`, `product`, discountable or not); for each line what each discount takes.
pub(crate) fn spread(
    discounts: &[(String, Value)],
    lines: &[(i64, String, bool)],
) -> Vec<Vec<(String, i64)>> {
    let mut taken: Vec<Vec<(String, i64)>> = vec![Vec::new(); lines.len()];
    let mut rest: Vec<i64> = lines.iter().map(|(amount, ..)| *amount).collect();
    for (id, coupon) in discounts {
        let products = coupon.list("_products");
        let mut fixed = coupon.int("amount_off");
        for (index, (_, product, discountable)) in lines.iter().enumerate() {
            let is_meant =
                products.is_empty() || products.iter().any(|one| one.as_str() == Some(product.as_str()));
            if !discountable || !is_meant || rest[index] <= 0 {
                continue;
            }
            let off = match &mut fixed {
                Some(left) => {
                    let off = rest[index].min(*left);
                    *left -= off;
                    off
                }
                None => {
                    // Percents have at most two decimals that count.
                    let hundredths =
                        (coupon.at("percent_off").as_f64().unwrap_or(0.0) * 100.0).round() as i64;
                    money::share(rest[index], hundredths, 10_000)
                }
            };
            if off > 0 {
                rest[index] -= off;
                taken[index].push((id.clone(), off));
            }
        }
    }
    taken
}
