//! Invoice items: what waits for the next invoice, among it prorations.

use serde_json::{Value, json};

use super::{
    customers,
    invoices::{self, Line},
    lists,
    world::{World, metadata},
};
use crate::{
    errors::{Answer, ApiError},
    money,
    value::{Read, Write},
};

/// POST /v1/invoiceitems.
pub(crate) fn create(w: &mut World, p: &Value) -> Answer {
    let customer = w.enter(p.text("customer").unwrap_or_default(), "customer")?;
    let id = customer.owned("id");
    let price = p.text("pricing.price").or_else(|| p.text("price"));
    let price = price.map(|price| w.need("price", price, "pricing[price]")).transpose()?.unwrap_or_default();
    let quantity = p.int("quantity").or_else(|| p.text("quantity")?.parse().ok()).unwrap_or(1);
    if !(0..=1_000_000).contains(&quantity) {
        return Err(ApiError::param("quantity", "Invalid integer").code("parameter_invalid_integer"));
    }
    let unit = p.int("unit_amount").or_else(|| p.text("unit_amount")?.parse().ok());
    let unit = unit.or_else(|| p.text("unit_amount_decimal")?.parse().ok());
    let (amount, currency) = match (
        price.int("unit_amount"),
        p.int("amount").or(unit.map(|unit: i64| unit.saturating_mul(quantity))),
    ) {
        (Some(unit), _) => (unit * quantity, price.owned("currency")),
        (None, Some(amount)) => {
            let currency = p.text("currency").or(customer.text("currency")).unwrap_or_default();
            (amount, money::currency(currency, "currency")?)
        }
        (None, None) => return Err(ApiError::missing("amount")),
    };
    money::priced(amount.abs(), &currency, "amount")?;
    if !price.is_null() && !price.at("recurring").is_null() {
        return Err(ApiError::param("pricing[price]", "The price must be a one-time price."));
    }
    let draft = p.text("invoice").map(|invoice| w.need("invoice", invoice, "invoice")).transpose()?;
    if draft.as_ref().is_some_and(|draft| !draft.is("status", "draft") || !draft.is("customer", &id)) {
        return Err(ApiError::param("invoice", "The invoice is not a draft of this customer.")
            .code("invoice_not_editable"));
    }
    if let Some(sub) = p.text("subscription") {
        w.need("subscription", sub, "subscription")?;
    }
    customers::bind_currency(w, &id, &currency)?;
    let name = super::catalog::product_name(w, &price);
    let description =
        p.text("description").unwrap_or(if name.is_empty() { "Item" } else { &name }).to_owned();
    let mut line = Line::plain(amount, description, w.now);
    line.quantity = quantity;
    line.price = price;
    line.discountable = p.at("discountable").as_bool().unwrap_or(amount >= 0);
    line.metadata = metadata(p);
    if let (Some(start), Some(end)) = (p.int("period.start"), p.int("period.end")) {
        (line.start, line.end) = (start, end);
    }
    let mut item = make(w, &id, &currency, &line);
    item.copy_from(p, &["subscription"]);
    if let Some(mut draft) = draft {
        item.put("invoice", draft.owned("id"));
        line.invoice_item = Some(item.owned("id"));
        invoices::add_lines(w, &mut draft, &[line]);
        w.save(&draft);
    }
    w.save(&item);
    w.emit("invoiceitem.created", &item);
    Ok(item)
}

/// An item of a line that waits; not saved yet.
pub(crate) fn make(w: &mut World, customer: &str, currency: &str, line: &Line) -> Value {
    let parent = match &line.item {
        Some((sub, item)) => json!({
            "type": "subscription_details", "subscription_details": {"subscription": sub, "subscription_item": item},
        }),
        None => Value::Null,
    };
    let pricing = match line.price.text("id") {
        Some(price) => json!({
            "price_details": {"price": price, "product": line.price.at("product")}, "type": "price_details",
            "unit_amount_decimal": line.price.at("unit_amount_decimal"),
        }),
        None => Value::Null,
    };
    json!({
        "id": w.id("ii"),
        "object": "invoiceitem",
        "amount": line.amount,
        "created": w.now,
        "currency": currency,
        "customer": customer,
        "customer_account": null,
        "date": w.now,
        "description": line.description,
        "discountable": line.discountable,
        "discounts": [],
        "invoice": null,
        "livemode": false,
        "metadata": line.metadata,
        "net_amount": line.amount,
        "parent": parent,
        "period": {"end": line.end, "start": line.start},
        "pricing": pricing,
        "proration": line.proration,
        "proration_details": null,
        "quantity": line.quantity,
        "tax_rates": [],
        "test_clock": null,
        "_price": line.price,
        "_credited": line.credited.as_ref().map(|(invoice, line)| json!([invoice, line])),
    })
}

/// Items of a customer that wait: those of no subscription, and of this one.
pub(crate) fn pending(w: &World, customer: &str, sub: Option<&str>) -> Vec<Value> {
    let mut found = w.store.newest("invoiceitem", |item| {
        let of = item.text("parent.subscription_details.subscription").or_else(|| item.text("subscription"));
        item.is("customer", customer) && item.at("invoice").is_null() && (of.is_none() || of == sub)
    });
    found.reverse();
    found.into_iter().cloned().collect()
}

/// Lines of items that now stand on an invoice.
pub(crate) fn collect(w: &mut World, invoice: &Value, items: Vec<Value>) -> Vec<Line> {
    let mut lines = Vec::new();
    for mut item in items {
        if item.at("currency") != invoice.at("currency") {
            continue;
        }
        let of = item.at("parent.subscription_details");
        let subscription_item =
            of.text("subscription_item").map(|one| (of.owned("subscription"), one.to_owned()));
        let credited = item.at("_credited");
        lines.push(Line {
            amount: item.num("amount"),
            description: item.owned("description"),
            start: item.num("period.start"),
            end: item.num("period.end"),
            quantity: item.num("quantity"),
            price: item.at("_price").clone(),
            item: subscription_item,
            proration: item.flag("proration"),
            credited: credited.is_array().then(|| (credited.owned("0"), credited.owned("1"))),
            discountable: item.flag("discountable"),
            invoice_item: Some(item.owned("id")),
            metadata: item.at("metadata").clone(),
        });
        item.put("invoice", invoice.owned("id"));
        w.save(&item);
    }
    lines
}

/// Items of a draft that is deleted wait again.
pub(crate) fn set_free(w: &mut World, invoice: &Value) {
    let items: Vec<Value> =
        w.store.all("invoiceitem").filter(|item| item.at("invoice") == invoice.at("id")).cloned().collect();
    for mut item in items {
        item.put("invoice", Value::Null);
        w.save(&item);
    }
}

/// GET /v1/invoiceitems.
pub(crate) fn list(w: &World, p: &Value) -> Answer {
    lists::page(w, "invoiceitem", p, "/v1/invoiceitems", &["pending"], |item| {
        p.at("pending").as_bool().is_none_or(|pending| pending == item.at("invoice").is_null())
    })
}

/// DELETE /v1/invoiceitems/{id}: only one that waits.
pub(crate) fn delete(w: &mut World, id: &str) -> Answer {
    let item = w.need("invoiceitem", id, "id")?;
    if !item.at("invoice").is_null() {
        return Err(ApiError::invalid("This invoice item stands on an invoice and cannot be deleted."));
    }
    w.store.remove("invoiceitem", id);
    w.emit("invoiceitem.deleted", &item);
    Ok(json!({"id": id, "object": "invoiceitem", "deleted": true}))
}
