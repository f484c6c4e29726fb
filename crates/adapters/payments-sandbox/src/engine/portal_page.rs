//! The page of the billing portal.

use serde_json::{Value, json};

use super::{
    catalog, checkout_pages, customers,
    pages::{Page, offered},
    payment_methods, subscription_updates, subscriptions,
    world::World,
};
use crate::{calendar, cards, errors::ApiError, money, value::Read};

/// How long the address of a session works.
const SECONDS: i64 = 3600;

/// See the module. `None`: no such session, or its time is over.
pub(crate) fn portal(w: &mut World, secret: &str, post: Option<&Value>) -> Option<Page> {
    let session =
        w.store.all("billing_portal.session").find(|session| session.is("_secret", secret)).cloned()?;
    if session.num("created") + SECONDS < w.wall {
        return None;
    }
    let customer =
        w.find("customer", &session.owned("customer")).filter(|customer| !customer.flag("deleted"))?;
    w.enter_owner(&json!({"customer": customer.at("id")}));
    let configuration = w.find("billing_portal.configuration", &session.owned("configuration"))?;
    let outcome = post.map(|given| act(w, &customer, &configuration, given));
    let error = outcome.and_then(Result::err).map(|error| error.body.owned("message"));
    if post.is_some() && error.is_none() {
        // So that reloading the page does nothing twice.
        return Some(Page::Redirect(session.owned("url")));
    }
    Some(show(w, &session, &configuration, error))
}

fn act(w: &mut World, customer: &Value, configuration: &Value, given: &Value) -> Result<(), ApiError> {
    let id = customer.owned("id");
    let may = |feature: &str| configuration.flag(&format!("features.{feature}.enabled"));
    let refused = || ApiError::invalid("The portal does not allow this.");
    match given.text("action") {
        Some(action @ ("cancel" | "resume")) if may("subscription_cancel") => {
            let sub =
                w.need("subscription", given.text("subscription").unwrap_or_default(), "subscription")?;
            if !sub.is("customer", &id) {
                return Err(refused());
            }
            if action == "cancel" && configuration.is("features.subscription_cancel.mode", "immediately") {
                subscriptions::cancel(w, &sub.owned("id"), &json!({})).map(drop)
            } else {
                let p = json!({"cancel_at_period_end": action == "cancel"});
                subscription_updates::update(w, &sub.owned("id"), &p).map(drop)
            }
        }
        Some(action @ ("default" | "detach")) if may("payment_method_update") => {
            let method = w.need("payment_method", given.text("method").unwrap_or_default(), "method")?;
            if !method.is("customer", &id) {
                return Err(refused());
            }
            if action == "detach" {
                payment_methods::detach(w, &method.owned("id")).map(drop)
            } else {
                let p = json!({"invoice_settings": {"default_payment_method": method.at("id")}});
                customers::update(w, &id, &p).map(drop)
            }
        }
        Some("add") if may("payment_method_update") => {
            let card = cards::named(given.text("card").unwrap_or_default()).filter(|card| !card.is_debit());
            let method = payment_methods::make(w, card.ok_or_else(refused)?, None);
            w.save(&method);
            let method = payment_methods::attach_to(w, method, &id)?;
            let p = json!({"invoice_settings": {"default_payment_method": method.at("id")}});
            customers::update(w, &id, &p).map(drop)
        }
        _ => Err(refused()),
    }
}

fn show(w: &World, session: &Value, configuration: &Value, error: Option<String>) -> Page {
    let id = session.owned("customer");
    let customer = w.find("customer", &id).unwrap_or_default();
    let of = |object: &Value| object.is("customer", &id);
    let subscriptions: Vec<Value> = w
        .store
        .newest("subscription", |sub| of(sub) && !subscriptions::is_over(sub))
        .into_iter()
        .map(|sub| {
            let name = catalog::product_name(w, sub.at("items.data.0.price"));
            json!({
                "id": sub.at("id"), "name": name, "status": sub.at("status"), "ends": sub.flag("cancel_at_period_end"),
                "until": calendar::day_text(subscriptions::period_end(sub)),
            })
        })
        .collect();
    let default = customer.at("invoice_settings.default_payment_method");
    let saved: Vec<Value> = w
        .store
        .newest("payment_method", of)
        .into_iter()
        .map(|one| json!({"id": one.at("id"), "name": checkout_pages::name_of(one), "is_default": one.at("id") == default}))
        .collect();
    let invoices: Vec<Value> = w
        .store
        .newest("invoice", |invoice| of(invoice) && !invoice.is("status", "draft"))
        .into_iter()
        .take(100)
        .map(|one| {
            json!({
                "url": one.at("hosted_invoice_url"), "number": one.at("number"), "status": one.at("status"),
                "total": money::text(one.num("total"), &one.owned("currency")),
            })
        })
        .collect();
    let values = json!({
        "title": configuration.text("business_profile.headline").unwrap_or("Your subscriptions and payments"),
        "error": error,
        "subscriptions": subscriptions,
        "saved": saved,
        "invoices": invoices,
        "cards": offered(false),
        "may_cancel": configuration.flag("features.subscription_cancel.enabled"),
        "may_pay": configuration.flag("features.payment_method_update.enabled"),
        "may_see": configuration.flag("features.invoice_history.enabled"),
        "link": session.at("return_url"),
    });
    let status = if values.at("error").is_null() { 200 } else { 402 };
    Page::Html(status, "portal.html", values)
}
