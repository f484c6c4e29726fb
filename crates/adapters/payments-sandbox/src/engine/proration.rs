//! Prorations: by seconds, each line rounded; a credit is taken of what was billed ("flexible billing mode").

use serde_json::{Value, json};

use super::{catalog, discounts, invoices::Line, world::World};
use crate::{
    calendar, money,
    value::{Read, Write},
};

/// Credit for the rest of what was billed for an item; none where nothing was.
pub(crate) fn credit(w: &World, sub: &Value, item: &Value, moment: i64) -> Option<Line> {
    let billed = item.at("_billed");
    let (start, end) = (billed.num("start"), billed.num("end"));
    let from = moment.max(start);
    let amount = money::share(billed.num("amount"), end - from, end - start);
    if amount == 0 || end <= from {
        return None;
    }
    let name = named(w, item);
    let description = format!("Unused time on {name} after {}", calendar::day_text(moment));
    let mut line = of_item(sub, item, -amount, description, (from, end));
    line.proration = true;
    // The discount was taken off already.
    line.discountable = false;
    line.credited =
        billed.text("invoice").zip(billed.text("line")).map(|(invoice, line)| (invoice.into(), line.into()));
    Some(line)
}

/// Charge for the rest of the period of a new item.
pub(crate) fn debit(w: &World, sub: &Value, item: &Value, moment: i64) -> Option<Line> {
    let (start, end) = (item.num("current_period_start"), item.num("current_period_end"));
    let from = moment.max(start);
    let amount = money::share(full(item), end - from, end - start);
    if end <= from {
        return None;
    }
    let description = format!("Remaining time on {} after {}", named(w, item), calendar::day_text(moment));
    let mut line = of_item(sub, item, amount, description, (from, end));
    line.proration = true;
    Some(line)
}

/// A whole period of an item.
pub(crate) fn whole(w: &World, sub: &Value, item: &Value, start: i64, end: i64) -> Line {
    let price = item.at("price");
    let unit = money::text(price.num("unit_amount"), &price.owned("currency"));
    let every = match (price.owned("recurring.interval"), price.int("recurring.interval_count").unwrap_or(1))
    {
        (interval, 1) => interval,
        (interval, count) => format!("{count} {interval}s"),
    };
    let name = catalog::product_name(w, price);
    let description = format!("{} × {name} (at {unit} / {every})", item.num("quantity"));
    of_item(sub, item, full(item), description, (start, end))
}

/// A trial costs nothing, and has its line all the same.
pub(crate) fn trial(w: &World, sub: &Value, item: &Value, start: i64, end: i64) -> Line {
    let description = format!("Trial period for {}", catalog::product_name(w, item.at("price")));
    of_item(sub, item, 0, description, (start, end))
}

/// Unit price times quantity.
pub(crate) fn full(item: &Value) -> i64 {
    item.num("price.unit_amount").saturating_mul(item.num("quantity"))
}

fn named(w: &World, item: &Value) -> String {
    let name = catalog::product_name(w, item.at("price"));
    match item.num("quantity") {
        1 => name,
        quantity => format!("{quantity} × {name}"),
    }
}

fn of_item(sub: &Value, item: &Value, amount: i64, description: String, period: (i64, i64)) -> Line {
    let mut line = Line::plain(amount, description, period.0);
    line.end = period.1;
    line.quantity = item.num("quantity");
    line.price = item.at("price").clone();
    line.item = Some((sub.owned("id"), item.owned("id")));
    line
}

/// Notes on the items of a subscription what an invoice has billed for them; later credits are taken of it.
pub(crate) fn note_billed(sub: &mut Value, invoice: &Value) {
    for line in invoice.list("lines.data").to_vec() {
        let id = line.owned("parent.subscription_item_details.subscription_item");
        let off: i64 = line.list("discount_amounts").iter().map(|one| one.num("amount")).sum();
        if line.num("amount") < 0 || id.is_empty() {
            continue;
        }
        let billed = json!({
            "amount": line.num("amount") - off, "start": line.at("period.start"), "end": line.at("period.end"),
            "invoice": invoice.at("id"), "line": line.at("id"),
        });
        set_billed(sub, &id, billed);
    }
}

/// The same for a proration that waits for the next invoice.
pub(crate) fn note_waiting(w: &World, sub: &mut Value, lines: &[Line]) {
    let discounts = discounts::live(w, sub.list("discounts"), w.now);
    for line in lines.iter().filter(|line| line.amount >= 0) {
        let Some((_, item)) = &line.item else { continue };
        let facts = [(line.amount, line.price.owned("product"), line.discountable)];
        let off: i64 = discounts::spread(&discounts, &facts).iter().flatten().map(|(_, amount)| amount).sum();
        set_billed(sub, item, json!({"amount": line.amount - off, "start": line.start, "end": line.end}));
    }
}

fn set_billed(sub: &mut Value, item: &str, billed: Value) {
    let items = sub.get_mut("items").and_then(|items| items.get_mut("data")).and_then(Value::as_array_mut);
    for one in items.into_iter().flatten().filter(|one| one.is("id", item)) {
        one.put("_billed", billed.clone());
    }
}
