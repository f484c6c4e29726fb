//! Which function answers which call.

use serde_json::Value;

use super::{
    catalog, charges, checkout, checkout_pay, collection, customers, discounts, disputes, events,
    invoice_items, invoices, lists, payment_intents, payment_methods, portal, preview, refunds, schedules,
    setup_intents, subscription_start, subscription_updates, subscriptions, test_clocks, webhooks,
    world::World,
};
use crate::{
    errors::{Answer, ApiError},
    parameters::Call,
    value::Read,
};

/// Answers a call whose parameters have been read.
pub(crate) fn dispatch(w: &mut World, method: &str, call: &Call<'_>, p: &Value) -> Answer {
    let template = call.template;
    let id = call.ids.first().copied().unwrap_or_default();
    let area = template.split('/').nth(2).unwrap_or_default();
    let found = match area {
        "customers" | "payment_methods" => people(w, method, template, &call.ids, p),
        "payment_intents" | "setup_intents" | "charges" | "refunds" | "disputes" | "balance_transactions" => {
            payments(w, method, template, id, p)
        }
        "products" | "prices" | "coupons" | "promotion_codes" => goods(w, method, template, id, p),
        "invoices" | "invoiceitems" | "invoice_payments" => bills(w, method, template, id, p),
        "subscriptions" | "subscription_items" | "subscription_schedules" => {
            plans(w, method, template, id, p)
        }
        _ => others(w, method, template, id, p),
    };
    found.unwrap_or_else(|| Err(ApiError::unknown_url(method, template)))
}

fn people(w: &mut World, method: &str, template: &str, ids: &[&str], p: &Value) -> Option<Answer> {
    let id = ids.first().copied().unwrap_or_default();
    Some(match (method, template) {
        ("GET", "/v1/customers") => lists::page(w, "customer", p, template, &[], |one| !one.flag("deleted")),
        ("POST", "/v1/customers") => customers::create(w, p),
        ("GET", "/v1/customers/{customer}") => w.need("customer", id, "id"),
        ("POST", "/v1/customers/{customer}") => customers::update(w, id, p),
        ("DELETE", "/v1/customers/{customer}") => customers::delete(w, id),
        ("GET", "/v1/customers/{customer}/payment_methods") => payment_methods::of_customer(w, id, p),
        ("GET", "/v1/customers/{customer}/payment_methods/{payment_method}") => {
            payment_methods::one_of_customer(w, id, ids.get(1).copied().unwrap_or_default())
        }
        ("GET", "/v1/payment_methods") => payment_methods::list(w, p),
        ("POST", "/v1/payment_methods") => payment_methods::create(w, p),
        ("GET", "/v1/payment_methods/{payment_method}") => payment_methods::resolve(w, id, "id"),
        ("POST", "/v1/payment_methods/{payment_method}") => payment_methods::update(w, id, p),
        ("POST", "/v1/payment_methods/{payment_method}/attach") => payment_methods::attach(w, id, p),
        ("POST", "/v1/payment_methods/{payment_method}/detach") => payment_methods::detach(w, id),
        _ => return None,
    })
}

fn payments(w: &mut World, method: &str, template: &str, id: &str, p: &Value) -> Option<Answer> {
    Some(match (method, template) {
        ("GET", "/v1/payment_intents") => lists::page(w, "payment_intent", p, template, &[], |_| true),
        ("POST", "/v1/payment_intents") => payment_intents::create(w, p),
        ("GET", "/v1/payment_intents/{intent}") => payment_intents::get(w, id, p),
        ("POST", "/v1/payment_intents/{intent}") => payment_intents::update(w, id, p),
        ("POST", "/v1/payment_intents/{intent}/confirm") => payment_intents::confirm(w, id, p),
        ("POST", "/v1/payment_intents/{intent}/cancel") => payment_intents::cancel(w, id, p),
        ("GET", "/v1/setup_intents") => lists::page(w, "setup_intent", p, template, &[], |_| true),
        ("POST", "/v1/setup_intents") => setup_intents::create(w, p),
        ("GET", "/v1/setup_intents/{intent}") => setup_intents::get(w, id, p),
        ("POST", "/v1/setup_intents/{intent}") => setup_intents::update(w, id, p),
        ("POST", "/v1/setup_intents/{intent}/confirm") => setup_intents::confirm(w, id, p),
        ("POST", "/v1/setup_intents/{intent}/cancel") => setup_intents::cancel(w, id, p),
        ("GET", "/v1/charges") => lists::page(w, "charge", p, template, &[], |_| true),
        ("GET", "/v1/charges/{charge}") => w.need("charge", id, "id"),
        ("GET", "/v1/balance_transactions") => charges::transactions(w, p),
        ("GET", "/v1/balance_transactions/{id}") => w.need("balance_transaction", id, "id"),
        ("GET", "/v1/refunds") => lists::page(w, "refund", p, template, &[], |_| true),
        ("POST", "/v1/refunds") => refunds::create(w, p),
        ("GET", "/v1/refunds/{refund}") => w.need("refund", id, "id"),
        ("POST", "/v1/refunds/{refund}") => refunds::update(w, id, p),
        ("POST", "/v1/refunds/{refund}/cancel") => refunds::cancel(w, id),
        ("GET", "/v1/disputes") => lists::page(w, "dispute", p, template, &[], |_| true),
        ("GET", "/v1/disputes/{dispute}") => w.need("dispute", id, "id"),
        ("POST", "/v1/disputes/{dispute}") => disputes::update(w, id, p),
        ("POST", "/v1/disputes/{dispute}/close") => disputes::close(w, id),
        _ => return None,
    })
}

fn goods(w: &mut World, method: &str, template: &str, id: &str, p: &Value) -> Option<Answer> {
    Some(match (method, template) {
        ("GET", "/v1/products") => catalog::products(w, p),
        ("POST", "/v1/products") => catalog::create_product(w, p),
        ("GET", "/v1/products/{id}") => w.need("product", id, "id"),
        ("POST", "/v1/products/{id}") => catalog::update_product(w, id, p),
        ("DELETE", "/v1/products/{id}") => catalog::delete_product(w, id),
        ("GET", "/v1/prices") => catalog::prices(w, p),
        ("POST", "/v1/prices") => catalog::create_price(w, p),
        ("GET", "/v1/prices/{price}") => w.need("price", id, "id"),
        ("POST", "/v1/prices/{price}") => catalog::update_price(w, id, p),
        ("GET", "/v1/coupons") => lists::page(w, "coupon", p, template, &[], |_| true),
        ("POST", "/v1/coupons") => discounts::create_coupon(w, p),
        ("GET", "/v1/coupons/{coupon}") => w.need("coupon", id, "id"),
        ("POST", "/v1/coupons/{coupon}") => discounts::update(w, "coupon", id, p),
        ("DELETE", "/v1/coupons/{coupon}") => discounts::delete_coupon(w, id),
        ("GET", "/v1/promotion_codes") => discounts::promotion_codes(w, p),
        ("POST", "/v1/promotion_codes") => discounts::create_promotion_code(w, p),
        ("GET", "/v1/promotion_codes/{promotion_code}") => w.need("promotion_code", id, "id"),
        ("POST", "/v1/promotion_codes/{promotion_code}") => discounts::update(w, "promotion_code", id, p),
        _ => return None,
    })
}

fn bills(w: &mut World, method: &str, template: &str, id: &str, p: &Value) -> Option<Answer> {
    Some(match (method, template) {
        ("GET", "/v1/invoices") => invoices::list(w, p),
        ("POST", "/v1/invoices") => invoices::create(w, p),
        ("POST", "/v1/invoices/create_preview") => preview::create(w, p),
        ("GET", "/v1/invoices/{invoice}") => w.need("invoice", id, "id"),
        ("POST", "/v1/invoices/{invoice}") => invoices::update(w, id, p),
        ("DELETE", "/v1/invoices/{invoice}") => invoices::delete(w, id),
        ("GET", "/v1/invoices/{invoice}/lines") => invoices::lines(w, id, p),
        ("POST", "/v1/invoices/{invoice}/pay") => collection::pay(w, id, p),
        ("POST", "/v1/invoices/{invoice}/void") => invoices::void(w, id),
        ("POST", "/v1/invoices/{invoice}/finalize") => collection::finalize_call(w, id, p),
        ("POST", "/v1/invoices/{invoice}/mark_uncollectible") => invoices::mark_uncollectible(w, id),
        ("GET", "/v1/invoiceitems") => invoice_items::list(w, p),
        ("POST", "/v1/invoiceitems") => invoice_items::create(w, p),
        ("GET", "/v1/invoiceitems/{invoiceitem}") => w.need("invoiceitem", id, "id"),
        ("DELETE", "/v1/invoiceitems/{invoiceitem}") => invoice_items::delete(w, id),
        ("GET", "/v1/invoice_payments") => invoices::payments(w, p),
        ("GET", "/v1/invoice_payments/{invoice_payment}") => w.need("invoice_payment", id, "id"),
        _ => return None,
    })
}

fn plans(w: &mut World, method: &str, template: &str, id: &str, p: &Value) -> Option<Answer> {
    const ONE: &str = "/v1/subscriptions/{subscription_exposed_id}";
    Some(match (method, template) {
        ("GET", "/v1/subscriptions") => subscriptions::list(w, p),
        ("POST", "/v1/subscriptions") => subscription_start::create(w, p),
        ("GET", ONE) => w.need("subscription", id, "id"),
        ("POST", ONE) => subscription_updates::update(w, id, p),
        ("DELETE", ONE) => subscriptions::cancel(w, id, p),
        ("POST", "/v1/subscriptions/{subscription_exposed_id}/resume") => subscriptions::resume(w, id),
        ("GET", "/v1/subscription_items") => subscriptions::items(w, p),
        ("GET", "/v1/subscription_items/{item}") => subscriptions::item(w, id),
        ("GET", "/v1/subscription_schedules") => schedules::list(w, p),
        ("POST", "/v1/subscription_schedules") => schedules::create(w, p),
        ("GET", "/v1/subscription_schedules/{schedule}") => w.need("subscription_schedule", id, "id"),
        ("POST", "/v1/subscription_schedules/{schedule}") => schedules::update(w, id, p),
        ("POST", "/v1/subscription_schedules/{schedule}/cancel") => schedules::cancel(w, id, p),
        ("POST", "/v1/subscription_schedules/{schedule}/release") => schedules::release(w, id, p),
        _ => return None,
    })
}

fn others(w: &mut World, method: &str, template: &str, id: &str, p: &Value) -> Option<Answer> {
    const CLOCK: &str = "test_helpers.test_clock";
    Some(match (method, template) {
        ("GET", "/v1/checkout/sessions") => checkout::list(w, p),
        ("POST", "/v1/checkout/sessions") => checkout::create(w, p),
        ("GET", "/v1/checkout/sessions/{session}") => w.need("checkout.session", id, "id"),
        ("POST", "/v1/checkout/sessions/{session}") => checkout::update(w, id, p),
        ("POST", "/v1/checkout/sessions/{session}/expire") => checkout::expire(w, id),
        ("GET", "/v1/checkout/sessions/{session}/line_items") => checkout::list_items(w, id, p),
        ("GET", "/v1/payment_pages/{session}") => checkout_pay::page_of(w, id),
        ("POST", "/v1/payment_pages/{session}/confirm") => checkout_pay::confirm_page(w, id, p),
        ("POST", "/v1/billing_portal/sessions") => portal::create_session(w, p),
        ("GET", "/v1/billing_portal/configurations") => {
            lists::page(w, "billing_portal.configuration", p, template, &[], |_| true)
        }
        ("POST", "/v1/billing_portal/configurations") => portal::create_configuration(w, p),
        ("GET", "/v1/billing_portal/configurations/{configuration}") => {
            w.need("billing_portal.configuration", id, "id")
        }
        ("POST", "/v1/billing_portal/configurations/{configuration}") => {
            portal::update_configuration(w, id, p)
        }
        ("GET", "/v1/events") => events::list(w, p),
        ("GET", "/v1/events/{id}") => w.need("event", id, "id"),
        ("GET", "/v1/webhook_endpoints") => webhooks::list(w, p),
        ("POST", "/v1/webhook_endpoints") => webhooks::create(w, p),
        ("GET", "/v1/webhook_endpoints/{webhook_endpoint}") => w.need("webhook_endpoint", id, "id"),
        ("POST", "/v1/webhook_endpoints/{webhook_endpoint}") => webhooks::update(w, id, p),
        ("DELETE", "/v1/webhook_endpoints/{webhook_endpoint}") => webhooks::delete(w, id),
        ("GET", "/v1/test_helpers/test_clocks") => lists::page(w, CLOCK, p, template, &[], |_| true),
        ("POST", "/v1/test_helpers/test_clocks") => test_clocks::create(w, p),
        ("GET", "/v1/test_helpers/test_clocks/{test_clock}") => w.need(CLOCK, id, "id"),
        ("DELETE", "/v1/test_helpers/test_clocks/{test_clock}") => test_clocks::delete(w, id),
        ("POST", "/v1/test_helpers/test_clocks/{test_clock}/advance") => test_clocks::advance(w, id, p),
        _ => return None,
    })
}
