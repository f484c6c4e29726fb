//! Invoices: what they consist of, and the calls that do not collect money.

use serde_json::{Value, json};

use super::{
    customers, discounts, invoice_items, lists, payment_intents,
    world::{World, metadata},
};
use crate::{
    errors::{Answer, ApiError},
    value::{Read, Write},
};

/// A line before it stands on an invoice.
#[derive(Clone)]
pub(crate) struct Line {
    pub amount: i64,
    pub description: String,
    pub start: i64,
    pub end: i64,
    pub quantity: i64,
    pub price: Value,
    /// Subscription and item that it is for.
    pub item: Option<(String, String)>,
    pub proration: bool,
    /// Invoice and line that a credit takes back.
    pub credited: Option<(String, String)>,
    pub discountable: bool,
    /// The invoice item that it comes of.
    pub invoice_item: Option<String>,
    pub metadata: Value,
}

impl Line {
    pub fn plain(amount: i64, description: impl Into<String>, moment: i64) -> Self {
        Self {
            amount,
            description: description.into(),
            start: moment,
            end: moment,
            quantity: 1,
            price: Value::Null,
            item: None,
            proration: false,
            credited: None,
            discountable: true,
            invoice_item: None,
            metadata: json!({}),
        }
    }
}

/// A draft without lines; not saved yet.
pub(crate) fn make(
    w: &mut World,
    customer: &Value,
    currency: &str,
    reason: &str,
    sub: Option<&Value>,
) -> Value {
    let id = w.id("in");
    let parent = match sub {
        Some(sub) => json!({
            "quote_details": null, "type": "subscription_details",
            "subscription_details": {"metadata": sub.at("metadata"), "subscription": sub.at("id")},
        }),
        None => Value::Null,
    };
    let sends = sub.is_some_and(|sub| sub.is("collection_method", "send_invoice"));
    let due = match sub.filter(|_| sends) {
        Some(sub) => json!(w.now + sub.int("days_until_due").unwrap_or(30) * crate::calendar::DAY),
        None => Value::Null,
    };
    json!({
        "id": id,
        "object": "invoice",
        "account_country": "US",
        "account_name": "Sandbox",
        "account_tax_ids": null,
        "amount_due": 0,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_remaining": 0,
        "amount_shipping": 0,
        "application": null,
        "attempt_count": 0,
        "attempted": false,
        "auto_advance": true,
        "automatic_tax": {"disabled_reason": null, "enabled": false, "liability": null, "provider": null, "status": null},
        "automatically_finalizes_at": null,
        "billing_reason": reason,
        "collection_method": if sends { "send_invoice" } else { "charge_automatically" },
        "created": w.now,
        "currency": currency,
        "custom_fields": null,
        "customer": customer.at("id"),
        "customer_account": null,
        "customer_address": customer.at("address"),
        "customer_email": customer.at("email"),
        "customer_name": customer.at("name"),
        "customer_phone": customer.at("phone"),
        "customer_shipping": customer.at("shipping"),
        "customer_tax_exempt": customer.at("tax_exempt"),
        "customer_tax_ids": [],
        "default_payment_method": null,
        "default_source": null,
        "default_tax_rates": [],
        "description": null,
        "discounts": [],
        "due_date": due,
        "effective_at": null,
        "ending_balance": null,
        "footer": null,
        "from_invoice": null,
        "hosted_invoice_url": null,
        "invoice_pdf": null,
        "issuer": {"type": "self"},
        "last_finalization_error": null,
        "latest_revision": null,
        "lines": lists::whole(Vec::new(), &format!("/v1/invoices/{id}/lines")),
        "livemode": false,
        "metadata": {},
        "next_payment_attempt": null,
        "number": null,
        "on_behalf_of": null,
        "parent": parent,
        "payment_settings": {"default_mandate": null, "payment_method_options": null, "payment_method_types": null},
        "period_end": w.now,
        "period_start": w.now,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": null,
        "rendering": null,
        "shipping_cost": null,
        "shipping_details": null,
        "starting_balance": customer.num("balance"),
        "statement_descriptor": null,
        "status": "draft",
        "status_transitions": {"finalized_at": null, "marked_uncollectible_at": null, "paid_at": null, "voided_at": null},
        "subtotal": 0,
        "subtotal_excluding_tax": 0,
        "test_clock": customer.at("test_clock"),
        "total": 0,
        "total_discount_amounts": [],
        "total_excluding_tax": 0,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": null,
    })
}

/// Puts lines on a draft and sums up.
pub(crate) fn add_lines(w: &mut World, invoice: &mut Value, lines: &[Line]) {
    let currency = invoice.owned("currency");
    let id = invoice.owned("id");
    let mut data = invoice.list("lines.data").to_vec();
    for line in lines {
        let line = show(w, line, &id, &currency);
        data.push(line);
    }
    invoice.put("lines.data", data);
    sum_up(w, invoice);
}

fn show(w: &mut World, line: &Line, invoice: &str, currency: &str) -> Value {
    let credited = match &line.credited {
        Some((invoice, line)) => json!({"invoice": invoice, "invoice_line_items": [line]}),
        None => Value::Null,
    };
    let details = json!({"credited_items": credited});
    let parent = match (&line.item, &line.invoice_item) {
        (Some((sub, item)), invoice_item) => json!({
            "invoice_item_details": null, "type": "subscription_item_details",
            "subscription_item_details": {
                "invoice_item": invoice_item, "proration": line.proration, "proration_details": details,
                "subscription": sub, "subscription_item": item,
            },
        }),
        (None, Some(invoice_item)) => json!({
            "type": "invoice_item_details", "subscription_item_details": null,
            "invoice_item_details": {
                "invoice_item": invoice_item, "proration": false, "proration_details": details, "subscription": null,
            },
        }),
        (None, None) => Value::Null,
    };
    let pricing = if line.price.is_null() {
        Value::Null
    } else {
        json!({
            "price_details": {"price": line.price.at("id"), "product": line.price.at("product")}, "type": "price_details",
            "unit_amount_decimal": line.price.at("unit_amount_decimal"),
        })
    };
    let subscription = line.item.as_ref().map(|(sub, _)| sub.clone());
    json!({
        "id": w.id("il"),
        "object": "line_item",
        "amount": line.amount,
        "currency": currency,
        "description": line.description,
        "discount_amounts": [],
        "discountable": line.discountable,
        "discounts": [],
        "invoice": invoice,
        "livemode": false,
        "metadata": line.metadata,
        "parent": parent,
        "period": {"end": line.end, "start": line.start},
        "pretax_credit_amounts": [],
        "pricing": pricing,
        "quantity": line.quantity,
        "quantity_decimal": line.quantity.to_string(),
        "subscription": subscription,
        "subtotal": line.amount,
        "taxes": [],
    })
}

/// Discounts, totals, and what is due besides the customer's balance.
pub(crate) fn sum_up(w: &World, invoice: &mut Value) {
    let discounts = discounts::live(w, invoice.list("discounts"), w.now);
    let mut lines = invoice.list("lines.data").to_vec();
    let facts: Vec<(i64, String, bool)> = lines
        .iter()
        .map(|line| {
            (line.num("amount"), line.owned("pricing.price_details.product"), line.flag("discountable"))
        })
        .collect();
    let taken = discounts::spread(&discounts, &facts);
    for (line, taken) in lines.iter_mut().zip(&taken) {
        let shown: Vec<Value> =
            taken.iter().map(|(id, amount)| json!({"amount": amount, "discount": id})).collect();
        line.put("discount_amounts", shown);
    }
    let totals: Vec<Value> = discounts
        .iter()
        .map(|(id, _)| {
            let amount: i64 =
                taken.iter().flatten().filter(|(of, _)| of == id).map(|(_, amount)| amount).sum();
            json!({"amount": amount, "discount": id})
        })
        .collect();
    let subtotal: i64 = facts.iter().map(|(amount, ..)| amount).sum();
    let total = subtotal - taken.iter().flatten().map(|(_, amount)| amount).sum::<i64>();
    let balance =
        w.store.get("customer", &invoice.owned("customer")).map_or(0, |customer| customer.num("balance"));
    let due = (total + balance).max(0);
    invoice.put("lines.data", lines);
    invoice.put("total_discount_amounts", totals);
    invoice.put("subtotal", subtotal);
    invoice.put("subtotal_excluding_tax", subtotal);
    invoice.put("total", total);
    invoice.put("total_excluding_tax", total);
    invoice.put("starting_balance", balance);
    invoice.put("amount_due", due);
    invoice.put("amount_remaining", due - invoice.num("amount_paid"));
}

/// GET /v1/invoices.
pub(crate) fn list(w: &World, p: &Value) -> Answer {
    lists::page(w, "invoice", p, "/v1/invoices", &["subscription", "due_date"], |invoice| {
        p.text("subscription").is_none_or(|sub| invoice.is("parent.subscription_details.subscription", sub))
    })
}

/// GET …/lines.
pub(crate) fn lines(w: &World, id: &str, p: &Value) -> Answer {
    let invoice = w.need("invoice", id, "id")?;
    let lines: Vec<&Value> = invoice.list("lines.data").iter().collect();
    lists::of(&lines, p, &format!("/v1/invoices/{id}/lines"))
}

/// GET /v1/invoice_payments.
pub(crate) fn payments(w: &World, p: &Value) -> Answer {
    lists::page(w, "invoice_payment", p, "/v1/invoice_payments", &["payment"], |payment| {
        let wanted = p.at("payment");
        ["type", "payment_intent"]
            .iter()
            .all(|name| wanted.at(name).is_null() || payment.at("payment").at(name) == wanted.at(name))
    })
}

/// POST /v1/invoices.
pub(crate) fn create(w: &mut World, p: &Value) -> Answer {
    let customer = w.enter(p.text("customer").unwrap_or_default(), "customer")?;
    let id = customer.owned("id");
    let sub = p.text("subscription").map(|sub| w.need("subscription", sub, "subscription")).transpose()?;
    if sub.as_ref().is_some_and(|sub| !sub.is("customer", &id)) {
        return Err(ApiError::param("subscription", "The subscription belongs to another customer."));
    }
    let pending = invoice_items::pending(w, &id, sub.as_ref().map(|sub| sub.owned("id")).as_deref());
    let currency = match (p.text("currency"), pending.first()) {
        (Some(currency), _) => crate::money::currency(currency, "currency")?,
        (None, Some(item)) => item.owned("currency"),
        (None, None) => customer.text("currency").unwrap_or("usd").to_owned(),
    };
    let mut invoice = make(w, &customer, &currency, "manual", sub.as_ref());
    invoice.put("auto_advance", p.flag("auto_advance"));
    if p.is("collection_method", "send_invoice") {
        let due = match (p.int("due_date"), p.int("days_until_due")) {
            (Some(due), _) => due,
            (None, Some(days)) => w.now + days.clamp(0, 3650) * crate::calendar::DAY,
            (None, None) => return Err(ApiError::missing("days_until_due")),
        };
        invoice.put("collection_method", "send_invoice");
        invoice.put("due_date", due);
    }
    set(w, &mut invoice, p)?;
    invoice.put("metadata", metadata(p));
    // Endive leaves pending items out unless asked; a draft for a subscription takes its own.
    let includes = p.is("pending_invoice_items_behavior", "include") || sub.is_some();
    let lines = if includes { invoice_items::collect(w, &invoice, pending) } else { Vec::new() };
    add_lines(w, &mut invoice, &lines);
    if invoice.flag("auto_advance") {
        let due = w.now + w.config.draft_seconds;
        invoice.put("automatically_finalizes_at", due);
        w.later(&invoice, due, super::clock::Task::Finalize);
    }
    w.save(&invoice);
    w.emit("invoice.created", &invoice);
    Ok(invoice)
}

fn set(w: &mut World, invoice: &mut Value, p: &Value) -> Result<(), ApiError> {
    if let Some(method) = p.text("default_payment_method") {
        let method = w.need("payment_method", method, "default_payment_method")?;
        payment_intents::check_owner(Some(&method), invoice.at("customer"))?;
    }
    if let Some(given) = p.get("discounts") {
        let (customer, id) = (invoice.at("customer").clone(), invoice.owned("id"));
        let made = discounts::redeem(w, given, &customer, ("invoice", &id))?;
        invoice.put("discounts", made);
    }
    invoice.copy_from(p, &["default_payment_method", "description", "footer", "statement_descriptor"]);
    Ok(())
}

/// POST /v1/invoices/{id}.
pub(crate) fn update(w: &mut World, id: &str, p: &Value) -> Answer {
    let mut invoice = w.need("invoice", id, "id")?;
    w.enter_owner(&invoice);
    let before = invoice.clone();
    let words = ["auto_advance", "default_payment_method", "expand", "metadata"];
    let is_draft = invoice.is("status", "draft");
    if !is_draft && p.as_object().into_iter().flatten().any(|(name, _)| !words.contains(&name.as_str())) {
        return Err(not_editable());
    }
    set(w, &mut invoice, p)?;
    if let Some(advances) = p.at("auto_advance").as_bool() {
        invoice.put("auto_advance", advances);
        if advances && is_draft {
            let due = w.now + w.config.draft_seconds;
            w.later(&invoice, due, super::clock::Task::Finalize);
        }
    }
    invoice.merge_metadata(p);
    if is_draft {
        sum_up(w, &mut invoice);
    }
    w.save(&invoice);
    w.emit_update("invoice.updated", &before, &invoice);
    Ok(invoice)
}

fn not_editable() -> ApiError {
    ApiError::invalid("Finalized invoices can't be updated in this way.").code("invoice_not_editable")
}

/// DELETE /v1/invoices/{id}: a draft that is no subscription's.
pub(crate) fn delete(w: &mut World, id: &str) -> Answer {
    let invoice = w.need("invoice", id, "id")?;
    if !invoice.is("status", "draft") || !invoice.at("parent").is_null() {
        return Err(ApiError::invalid("You can only delete one-off drafts.").code("invoice_not_editable"));
    }
    invoice_items::set_free(w, &invoice);
    w.store.remove("invoice", id);
    w.emit("invoice.deleted", &invoice);
    Ok(json!({"id": id, "object": "invoice", "deleted": true}))
}

/// POST …/void.
pub(crate) fn void(w: &mut World, id: &str) -> Answer {
    let invoice = w.need("invoice", id, "id")?;
    w.enter_owner(&invoice);
    if !matches!(invoice.text("status"), Some("open" | "uncollectible")) {
        let message = "You can only void an invoice that is open or uncollectible.";
        return Err(ApiError::invalid(message).code("status_transition_invalid"));
    }
    Ok(make_void(w, invoice))
}

/// Voids an open invoice: its intent is cancelled, credit goes back to the balance.
pub(crate) fn make_void(w: &mut World, mut invoice: Value) -> Value {
    if let Some(mut intent) = w.find("payment_intent", &invoice.owned("_payment_intent")) {
        payment_intents::stop(w, &mut intent, json!("void_invoice"));
        set_payment(w, &invoice, "canceled", "canceled_at");
    }
    if let Some(mut customer) = w.find("customer", &invoice.owned("customer"))
        && !customer.flag("deleted")
        && let Some(ending) = invoice.int("ending_balance")
    {
        let used = ending - invoice.num("starting_balance");
        customer.put("balance", customer.num("balance") - used);
        w.save(&customer);
    }
    invoice.put("status", "void");
    invoice.put("next_payment_attempt", Value::Null);
    invoice.put("status_transitions.voided_at", w.now);
    w.save(&invoice);
    w.emit("invoice.voided", &invoice);
    super::subscriptions::invoice_voided(w, &invoice);
    invoice
}

/// Notes on the payment of an invoice what became of it.
pub(crate) fn set_payment(w: &mut World, invoice: &Value, status: &str, when: &str) {
    let found = w.store.all("invoice_payment").find(|one| one.at("invoice") == invoice.at("id")).cloned();
    let Some(mut payment) = found else { return };
    payment.put("status", status);
    payment.put(&format!("status_transitions.{when}"), w.now);
    if status == "paid" {
        payment.put("amount_paid", invoice.num("amount_due"));
        w.emit("invoice_payment.paid", &payment);
    }
    w.save(&payment);
}

/// POST …/mark_uncollectible.
pub(crate) fn mark_uncollectible(w: &mut World, id: &str) -> Answer {
    let mut invoice = w.need("invoice", id, "id")?;
    w.enter_owner(&invoice);
    if !invoice.is("status", "open") {
        let message = "You can only mark an open invoice as uncollectible.";
        return Err(ApiError::invalid(message).code("status_transition_invalid"));
    }
    invoice.put("status", "uncollectible");
    invoice.put("next_payment_attempt", Value::Null);
    invoice.put("status_transitions.marked_uncollectible_at", w.now);
    w.save(&invoice);
    w.emit("invoice.marked_uncollectible", &invoice);
    Ok(invoice)
}

/// Number and addresses that an invoice gets when it is finalized.
pub(crate) fn name(w: &mut World, invoice: &mut Value) {
    let id = invoice.owned("id");
    let number = customers::next_number(w, &invoice.owned("customer"));
    invoice.put("number", number);
    let (page, file) = (w.url(&format!("/invoices/{id}")), w.url(&format!("/invoices/{id}/pdf")));
    invoice.put("hosted_invoice_url", page);
    invoice.put("invoice_pdf", file);
}
