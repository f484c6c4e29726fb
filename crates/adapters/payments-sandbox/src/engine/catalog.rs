//! Products and prices. A price's amount never changes; a new one takes over its lookup key.

use serde_json::{Value, json};

use super::{
    lists,
    world::{World, metadata},
};
use crate::{
    errors::{Answer, ApiError, clean},
    money,
    value::{Read, Write},
};

/// GET /v1/products.
pub(crate) fn products(w: &World, p: &Value) -> Answer {
    let ids = p.list("ids");
    lists::page(w, "product", p, "/v1/products", &["ids"], |product| {
        ids.is_empty() || ids.contains(product.at("id"))
    })
}

/// POST /v1/products.
pub(crate) fn create_product(w: &mut World, p: &Value) -> Answer {
    let name = p.text("name").ok_or_else(|| ApiError::missing("name"))?;
    let id = match p.text("id") {
        Some(id) if w.store.get("product", id).is_some() => {
            let message = format!("Product already exists: {}", clean(id));
            return Err(ApiError::param("id", message).code("resource_already_exists"));
        }
        Some(id) => id.to_owned(),
        None => w.id("prod"),
    };
    let mut product = json!({
        "id": id,
        "object": "product",
        "active": p.at("active").as_bool().unwrap_or(true),
        "created": w.now,
        "default_price": null,
        "description": null,
        "images": [],
        "livemode": false,
        "marketing_features": [],
        "metadata": metadata(p),
        "name": name,
        "package_dimensions": null,
        "shippable": null,
        "statement_descriptor": null,
        "tax_code": null,
        "type": "service",
        "unit_label": null,
        "updated": w.now,
        "url": null,
    });
    set_product(&mut product, p);
    if let Some(data) = p.get("default_price_data") {
        let mut data = data.clone();
        data.put("product", id);
        w.save(&product);
        let price = create_price(w, &data)?;
        product.put("default_price", price.owned("id"));
    }
    w.save(&product);
    w.emit("product.created", &product);
    Ok(product)
}

fn set_product(product: &mut Value, p: &Value) {
    let names = [
        "active",
        "description",
        "name",
        "package_dimensions",
        "shippable",
        "statement_descriptor",
        "tax_code",
        "unit_label",
        "url",
    ];
    product.copy_from(p, &names);
    for name in ["images", "marketing_features"] {
        if let Some(value) = p.get(name) {
            product.put(name, if value.is_null() { json!([]) } else { value.clone() });
        }
    }
}

/// POST /v1/products/{id}.
pub(crate) fn update_product(w: &mut World, id: &str, p: &Value) -> Answer {
    let mut product = w.need("product", id, "id")?;
    let before = product.clone();
    if let Some(price) = p.text("default_price") {
        let price = w.need("price", price, "default_price")?;
        if !price.is("product", id) {
            return Err(ApiError::param("default_price", "The price must belong to the product."));
        }
        product.put("default_price", price.owned("id"));
    }
    if p.get("name").is_some_and(Value::is_null) {
        return Err(ApiError::param("name", "The name cannot be unset.").code("parameter_invalid_empty"));
    }
    set_product(&mut product, p);
    product.merge_metadata(p);
    product.put("updated", w.now);
    w.save(&product);
    w.emit_update("product.updated", &before, &product);
    Ok(product)
}

/// DELETE /v1/products/{id}: only one without prices.
pub(crate) fn delete_product(w: &mut World, id: &str) -> Answer {
    let product = w.need("product", id, "id")?;
    if w.store.all("price").any(|price| price.is("product", id)) {
        let message = "This product cannot be deleted because it has one or more user-created prices.";
        return Err(ApiError::invalid(message));
    }
    w.store.remove("product", id);
    w.emit("product.deleted", &product);
    Ok(json!({"id": id, "object": "product", "deleted": true}))
}

/// GET /v1/prices.
pub(crate) fn prices(w: &World, p: &Value) -> Answer {
    let keys = p.list("lookup_keys");
    let recurring = p.at("recurring");
    lists::page(w, "price", p, "/v1/prices", &["lookup_keys", "recurring"], |price| {
        let fits =
            |name: &str| recurring.at(name).is_null() || price.at("recurring").at(name) == recurring.at(name);
        (keys.is_empty() || keys.contains(price.at("lookup_key"))) && fits("interval") && fits("usage_type")
    })
}

/// POST /v1/prices.
pub(crate) fn create_price(w: &mut World, p: &Value) -> Answer {
    let mut price = draft_price(w, p)?;
    if let Some(data) = p.get("product_data") {
        let product = create_product(w, data)?;
        price.put("product", product.owned("id"));
    } else {
        let product = p.text("product").ok_or_else(|| ApiError::missing("product"))?;
        w.need("product", product, "product")?;
        price.put("product", product);
    }
    if let Some(key) = p.text("lookup_key") {
        take_lookup_key(w, key, "", p.flag("transfer_lookup_key"))?;
        price.put("lookup_key", key);
    }
    w.save(&price);
    w.emit("price.created", &price);
    Ok(price)
}

/// A price as told, without its product; not saved yet.
pub(crate) fn draft_price(w: &mut World, p: &Value) -> Answer {
    let currency = money::currency(p.text("currency").unwrap_or_default(), "currency")?;
    if p.is("billing_scheme", "tiered")
        || p.has("tiers")
        || p.has("custom_unit_amount")
        || p.has("transform_quantity")
    {
        let message = "The sandbox knows prices per unit only: no tiers, no amounts that customers choose.";
        return Err(ApiError::param("billing_scheme", message));
    }
    if p.is("recurring.usage_type", "metered") {
        return Err(ApiError::param("recurring[usage_type]", "The sandbox knows licensed usage only."));
    }
    let amount = match (p.int("unit_amount"), p.text("unit_amount_decimal")) {
        (Some(amount), None) => amount,
        (None, Some(text)) => text.parse().map_err(|_| {
            ApiError::param("unit_amount_decimal", "The sandbox knows whole minor units only.")
        })?,
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid(
                "You may only specify one of these parameters: unit_amount, unit_amount_decimal.",
            ));
        }
        (None, None) => return Err(ApiError::missing("unit_amount")),
    };
    money::priced(amount, &currency, "unit_amount")?;
    let recurring = match p.get("recurring").filter(|recurring| recurring.is_object()) {
        None => Value::Null,
        Some(recurring) => {
            let interval = recurring.owned("interval");
            let count = recurring.int("interval_count").unwrap_or(1);
            let most = 3 * 366 * crate::calendar::DAY / crate::calendar::length(&interval);
            if !(1..=most).contains(&count) {
                let message = "Intervals can be at most three years long.";
                return Err(ApiError::param("recurring[interval_count]", message));
            }
            json!({"interval": interval, "interval_count": count, "meter": null, "trial_period_days": null, "usage_type": "licensed"})
        }
    };
    Ok(json!({
        "id": w.id("price"),
        "object": "price",
        "active": p.at("active").as_bool().unwrap_or(true),
        "billing_scheme": "per_unit",
        "created": w.now,
        "currency": currency,
        "custom_unit_amount": null,
        "livemode": false,
        "lookup_key": null,
        "metadata": metadata(p),
        "nickname": p.at("nickname"),
        "product": null,
        "recurring": recurring,
        "tax_behavior": p.text("tax_behavior").unwrap_or("unspecified"),
        "tiers_mode": null,
        "transform_quantity": null,
        "type": if recurring.is_null() { "one_time" } else { "recurring" },
        "unit_amount": amount,
        "unit_amount_decimal": amount.to_string(),
    }))
}

/// A price of `price_data`: it is kept, inactive, and so is the product that comes with it.
pub(crate) fn inline_price(w: &mut World, data: &Value) -> Answer {
    let mut price = draft_price(w, data)?;
    match (data.text("product"), data.get("product_data")) {
        (Some(id), None) => {
            w.need("product", id, "price_data[product]")?;
            price.put("product", id);
        }
        (None, Some(product)) => {
            let mut product = product.clone();
            product.put("active", false);
            let product = create_product(w, &product)?;
            price.put("product", product.owned("id"));
        }
        _ => {
            let message = "You must specify either `product` or `product_data` when creating a price.";
            return Err(ApiError::param("price_data", message));
        }
    }
    price.put("active", false);
    w.save(&price);
    Ok(price)
}

/// POST /v1/prices/{id}: words only, the amount is immutable.
pub(crate) fn update_price(w: &mut World, id: &str, p: &Value) -> Answer {
    let mut price = w.need("price", id, "id")?;
    let before = price.clone();
    if let Some(behavior) = p.text("tax_behavior") {
        let set = price.owned("tax_behavior");
        if set != "unspecified" && set != behavior {
            let message =
                "The tax_behavior of a price cannot be changed once it is set to `exclusive` or `inclusive`.";
            return Err(ApiError::param("tax_behavior", message));
        }
        price.put("tax_behavior", behavior);
    }
    if let Some(given) = p.get("lookup_key") {
        if let Some(key) = given.as_str() {
            take_lookup_key(w, key, id, p.flag("transfer_lookup_key"))?;
        }
        price.put("lookup_key", given.clone());
    }
    price.copy_from(p, &["active", "nickname"]);
    price.merge_metadata(p);
    w.save(&price);
    w.emit_update("price.updated", &before, &price);
    Ok(price)
}

/// Frees a lookup key for a price, if its holder may lose it.
fn take_lookup_key(w: &mut World, key: &str, price: &str, transfer: bool) -> Result<(), ApiError> {
    let holder =
        w.store.all("price").find(|other| other.is("lookup_key", key) && !other.is("id", price)).cloned();
    let Some(mut holder) = holder else { return Ok(()) };
    if !transfer {
        let message = format!(
            "A price (`{}`) already uses that lookup key. If you want to transfer it, set `transfer_lookup_key`.",
            holder.owned("id")
        );
        return Err(ApiError::param("lookup_key", message).code("resource_already_exists"));
    }
    let before = holder.clone();
    holder.put("lookup_key", Value::Null);
    w.save(&holder);
    w.emit_update("price.updated", &before, &holder);
    Ok(())
}

/// The name of a price's product.
pub(crate) fn product_name(w: &World, price: &Value) -> String {
    w.store.get("product", &price.owned("product")).map(|product| product.owned("name")).unwrap_or_default()
}
