//! Calls that several methods of the port are made of.

use portico_billing::{
    payment::PaymentError,
    plan::BillingInterval,
    subscription_provider::{NewCoupon, NewPrice, ProviderSubscription},
};
use serde_json::{Value, json};

use super::objects::{
    CouponObject, CustomerObject, MethodObject, Named, PhaseItem, PhaseObject, PriceObject, ScheduleObject,
    SubscriptionObject,
};
use crate::{
    client::Client,
    values::{chargeable, currency, known},
};

/// Subscriptions on a page: one goes on at most, and it is mostly the newest.
const NEWEST: usize = 5;

/// What discounts of subscriptions and invoices take off.
pub(super) const DISCOUNTS: &str = "discounts.source.coupon";

/// A customer that is not deleted.
pub(super) async fn customer(client: &Client, id: &str) -> Result<CustomerObject, PaymentError> {
    let found: CustomerObject = client.get(&format!("/customers/{}", known(id)?), &json!({})).await?;
    match found.invoice_settings {
        Some(_) => Ok(found),
        None => Err(PaymentError::NotFound),
    }
}

/// Whether a customer was deleted: Stripe goes on answering its id, and says so.
pub(super) async fn is_deleted(client: &Client, id: &str) -> Result<bool, PaymentError> {
    match client.get::<CustomerObject>(&format!("/customers/{}", known(id)?), &json!({})).await {
        Ok(found) => Ok(found.deleted.unwrap_or(false)),
        Err(PaymentError::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A subscription with its customer.
pub(super) async fn subscription(client: &Client, id: &str) -> Result<SubscriptionObject, PaymentError> {
    client.get(&format!("/subscriptions/{}", known(id)?), &json!({"expand": ["customer", DISCOUNTS]})).await
}

/// The newest subscription of a customer that has not ended, or else the newest.
pub(super) async fn newest(
    client: &Client,
    customer: &str,
) -> Result<Option<SubscriptionObject>, PaymentError> {
    let expand = ["data.customer".to_owned(), format!("data.{DISCOUNTS}")];
    let query = json!({"customer": known(customer)?, "status": "all", "limit": NEWEST, "expand": expand});
    let found = |all: &[SubscriptionObject]| all.iter().any(|one| !one.has_ended());
    let all = client.list::<SubscriptionObject>("/subscriptions", &query, |one| &one.id, found).await?;
    let (mut going_on, ended): (Vec<_>, Vec<_>) =
        all.into_iter().filter(|one| !one.never_began()).partition(|one| !one.has_ended());
    going_on.truncate(1);
    Ok(going_on.pop().or_else(|| ended.into_iter().next()))
}

/// A subscription as the port has it.
pub(super) async fn read(
    client: &Client,
    subscription: SubscriptionObject,
) -> Result<ProviderSubscription, PaymentError> {
    let schedule = match &subscription.schedule {
        // Deeper than a list may be expanded.
        Some(id) => Some(schedule(client, id).await?),
        None => None,
    };
    subscription.read(schedule.as_ref())
}

async fn schedule(client: &Client, id: &str) -> Result<ScheduleObject, PaymentError> {
    let expand = json!({"expand": ["phases.items.price"]});
    client.get(&format!("/subscription_schedules/{}", known(id)?), &expand).await
}

/// What a customer has on file, the newest first.
pub(super) async fn methods(client: &Client, customer: &str) -> Result<Vec<MethodObject>, PaymentError> {
    let path = format!("/customers/{}/payment_methods", known(customer)?);
    client.list::<MethodObject>(&path, &json!({}), |method| &method.id, |_| true).await
}

/// Makes something the default of a customer.
pub(super) async fn set_default(client: &Client, customer: &str, method: &str) -> Result<(), PaymentError> {
    let form = json!({"invoice_settings": {"default_payment_method": method}});
    let path = format!("/customers/{}", known(customer)?);
    client.post::<Named>(&path, &form, None).await.map(drop)
}

/// Changes a subscription by a form that sets something to a value.
pub(super) async fn set(client: &Client, subscription: &str, form: &Value) -> Result<(), PaymentError> {
    let path = format!("/subscriptions/{}", known(subscription)?);
    client.post::<Named>(&path, form, None).await.map(drop)
}

/// The price of a reference, made where there is none.
pub(super) async fn price(client: &Client, new: &NewPrice) -> Result<String, PaymentError> {
    chargeable(new.amount.amount, currency(&new.amount)?)?;
    if let Some(found) = price_of(client, new).await? {
        return Ok(found);
    }
    let form = json!({
        "currency": new.amount.currency,
        "unit_amount": new.amount.amount,
        "recurring": {"interval": new.interval.as_str()},
        "lookup_key": new.reference,
        "product_data": {"name": new.description},
    });
    let key = format!("price_{}", new.reference);
    match client.post::<Named>("/prices", &form, Some(&key)).await {
        Ok(made) => Ok(made.id),
        // Somebody else has made it in this moment.
        Err(PaymentError::Refused(reason)) => {
            price_of(client, new).await?.ok_or(PaymentError::Refused(reason))
        }
        Err(error) => Err(error),
    }
}

async fn price_of(client: &Client, new: &NewPrice) -> Result<Option<String>, PaymentError> {
    let query = json!({"lookup_keys": [new.reference]});
    let found = client.list::<PriceObject>("/prices", &query, |price| &price.id, |_| true).await?;
    let Some(price) = found.into_iter().next() else { return Ok(None) };
    let is_it = price.active
        && (price.unit_amount, price.currency.as_str()) == (Some(new.amount.amount), &new.amount.currency)
        && price.interval() == Some(new.interval);
    match is_it {
        true => Ok(Some(price.id)),
        false => Err(PaymentError::Refused(format!(
            "the price {} of {} has another amount, currency or interval, or is not active",
            price.id, new.reference
        ))),
    }
}

/// The coupon whose id is a reference, made where there is none. What one takes off, and for how long, cannot be changed at Stripe.
pub(super) async fn coupon(client: &Client, new: &NewCoupon) -> Result<String, PaymentError> {
    if let Some(off) = &new.amount_off {
        chargeable(off.amount, currency(off)?)?;
    }
    if let Some(found) = coupon_of(client, new).await? {
        return Ok(found);
    }
    let mut form = json!({"id": new.reference, "name": new.name, "duration": new.duration.as_str()});
    if let Some(percent) = new.percent_off {
        form["percent_off"] = json!(percent);
    }
    if let Some(off) = &new.amount_off {
        (form["amount_off"], form["currency"]) = (json!(off.amount), json!(off.currency));
    }
    if let Some(months) = new.months {
        form["duration_in_months"] = json!(months);
    }
    // Its id makes it one. Under a key, those who ask at once would be refused, and one that was deleted would not be made again for a day.
    match client.post::<Named>("/coupons", &form, None).await {
        Ok(made) => Ok(made.id),
        // Somebody else has made it in this moment.
        Err(PaymentError::Refused(reason)) => {
            coupon_of(client, new).await?.ok_or(PaymentError::Refused(reason))
        }
        Err(error) => Err(error),
    }
}

async fn coupon_of(client: &Client, new: &NewCoupon) -> Result<Option<String>, PaymentError> {
    let path = format!("/coupons/{}", known(&new.reference)?);
    match client.get::<CouponObject>(&path, &json!({})).await {
        Ok(found) if found.takes_off_as(new) => Ok(Some(found.id)),
        Ok(found) => Err(PaymentError::Refused(format!("the coupon {} has other terms", found.id))),
        Err(PaymentError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Lets a subscription go on without its schedule.
pub(super) async fn release(client: &Client, subscription: &SubscriptionObject) -> Result<(), PaymentError> {
    let Some(schedule) = &subscription.schedule else { return Ok(()) };
    let path = format!("/subscription_schedules/{}/release", known(schedule)?);
    client.post::<Named>(&path, &json!({}), None).await.map(drop)
}

/// Lets a subscription that is to change now go on without its schedule. The last price of one may be in force, and the schedule would undo
/// the change; where another price is to follow, or an end, that is to be taken back first.
pub(super) async fn release_spent(
    client: &Client,
    subscription: &SubscriptionObject,
) -> Result<(), PaymentError> {
    let follows = match &subscription.schedule {
        Some(id) => schedule(client, id).await?.next()?.is_some(),
        None => subscription.cancel_at.is_some() || subscription.cancel_at_period_end,
    };
    match follows {
        true => Err(PaymentError::Refused("the subscription ends or changes".to_owned())),
        false => release(client, subscription).await,
    }
}

/// Has another price follow at the end of the phase that is running, in place of whatever was to follow.
pub(super) async fn schedule_price(
    client: &Client,
    subscription: &SubscriptionObject,
    price_id: &str,
    key: &str,
) -> Result<(), PaymentError> {
    let price: PriceObject = client.get(&format!("/prices/{}", known(price_id)?), &json!({})).await?;
    let interval = price.interval().map(BillingInterval::as_str);
    let refused = || PaymentError::Refused("a price of another interval than a month or a year".to_owned());
    let interval = interval.ok_or_else(refused)?;
    let id = match &subscription.schedule {
        Some(id) => id.clone(),
        None => {
            // Stripe takes no other parameter in this call, so that it takes two.
            let form = json!({"from_subscription": subscription.id});
            let key = format!("{key}_made");
            client.post::<Named>("/subscription_schedules", &form, Some(&key)).await?.id
        }
    };
    let schedule = schedule(client, &id).await?;
    let present = schedule
        .present()
        .ok_or_else(|| PaymentError::Refused("a schedule that is not running".to_owned()))?;
    let mut next = json!({
        "items": [{"price": price.id, "quantity": 1}],
        "duration": {"interval": interval, "interval_count": 1},
        "proration_behavior": "none",
    });
    let mut present = repeated(present);
    // A phase that names no discounts has none: those that run go on, until their own ends.
    let running: Vec<Value> =
        subscription.discounts().iter().map(|discount| json!({"discount": discount.id})).collect();
    if !running.is_empty() {
        (present["discounts"], next["discounts"]) = (json!(running), json!(running));
    }
    let form = json!({"end_behavior": "release", "phases": [present, next]});
    let path = format!("/subscription_schedules/{}", known(&id)?);
    client.post::<Named>(&path, &form, Some(&format!("{key}_phases"))).await.map(drop)
}

/// The running phase, as it is: Stripe takes only the whole list.
fn repeated(phase: &PhaseObject) -> Value {
    let item = |item: &PhaseItem| json!({"price": item.price.id, "quantity": item.quantity.unwrap_or(1)});
    let items: Vec<Value> = phase.items.iter().map(item).collect();
    let mut form = json!({"items": items, "start_date": phase.start_date, "end_date": phase.end_date});
    if let Some(end) = phase.trial_end {
        form["trial_end"] = json!(end);
    }
    if let Some(metadata) = phase.metadata.as_ref().filter(|metadata| !metadata.is_empty()) {
        form["metadata"] = json!(metadata);
    }
    form
}
