//! Every call is answered, and nothing that comes makes the sandbox fall over.

use serde_json::Value;

use crate::harness::Shop;

/// Numbers that look random, the same each time (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn of<'a>(&mut self, items: &'a [String]) -> &'a str {
        &items[self.below(items.len())]
    }

    /// An id that mostly fits the name of a parameter, so that many calls succeed.
    fn fitting<'a>(&mut self, ids: &'a [String], name: &str) -> &'a str {
        let last = name.trim_end_matches(']').rsplit(['[', '/']).next().unwrap_or_default();
        let start = match last.trim_start_matches('{').trim_end_matches('}') {
            "customer" => "cus_",
            "payment_method" | "default_payment_method" => "pm_",
            "price" => "price_",
            "product" | "id" => "prod_",
            "subscription" | "subscription_exposed_id" | "from_subscription" => "sub_",
            "intent" => ["pi_", "seti_"][self.below(2)],
            "payment_intent" => "pi_",
            "session" => "cs_",
            "charge" => "ch_",
            "refund" => "re_",
            "dispute" => "dp_",
            "invoice" => "in_",
            "invoice_payment" => "inpay_",
            "schedule" => "sub_sched_",
            "promotion_code" => "promo_",
            "test_clock" => "clock_",
            "item" => "si_",
            "invoiceitem" => "ii_",
            _ => return self.of(ids),
        };
        let fitting: Vec<&String> = ids.iter().filter(|id| id.starts_with(start)).collect();
        if fitting.is_empty() || self.below(8) == 0 {
            self.of(ids)
        } else {
            fitting[self.below(fitting.len())]
        }
    }
}

fn calls() -> Vec<(String, String, Value)> {
    let calls: Value = serde_json::from_str(include_str!("../../spec/parameters.json")).unwrap();
    let split = |(call, fields): (&String, &Value)| {
        let (method, path) = call.split_once(' ').unwrap();
        (method.to_owned(), path.to_owned(), fields.clone())
    };
    calls.as_object().unwrap().iter().map(split).collect()
}

#[test]
fn every_call_is_routed() {
    let mut shop = Shop::new();
    for (method, template, _) in calls() {
        let path: String = template.replace('{', "x_").replace('}', "");
        let response = shop.raw(&method, &path, &[("Authorization", "Bearer sk_test_shop")], "");
        let text = String::from_utf8(response.body).unwrap();
        assert!(!text.contains("Unrecognized request URL"), "{method} {template}");
        assert!(response.status < 500, "{method} {template}: {text}");
    }
}

/// Values by the kinds of parameters, often right, sometimes odd, with ids of objects that exist.
fn fill(dice: &mut Dice, kind: &Value, name: &str, ids: &[String], depth: usize, pairs: &mut Vec<String>) {
    let odd = ["", "x", "-1", "99999999999", "1e400", "%FF", "%00", "true", "now", "[]", "🦀", "2147483648"];
    let value = match kind {
        _ if dice.below(40) == 0 => odd[dice.below(odd.len())].to_owned(),
        Value::String(letter) => match letter.as_str() {
            "i" => ["1", "2", "50", "1000", "35900", "12"][dice.below(6)].to_owned(),
            "t" => (1_801_396_800 + dice.below(9_000_000)).to_string(),
            "f" => "12.5".to_owned(),
            "b" => ["true", "false"][dice.below(2)].to_owned(),
            "m" => {
                pairs.push(format!("{name}[key]=value"));
                return;
            }
            _ if name.ends_with("currency]") || name == "currency" => "usd".to_owned(),
            _ if name.contains("url") => "https://shop.example/x".to_owned(),
            _ if name.contains("email") => "ana@shop.example".to_owned(),
            _ => dice.fitting(ids, name).to_owned(),
        },
        Value::Object(kind) => {
            if let Some(names) = kind.get("e").and_then(Value::as_array) {
                names[dice.below(names.len().max(1))].as_str().unwrap().to_owned()
            } else if let Some(inner) = kind.get("n") {
                return fill(dice, inner, name, ids, depth, pairs);
            } else if let Some(inner) = kind.get("a") {
                for index in 0..dice.below(3) {
                    fill(dice, inner, &format!("{name}[{index}]"), ids, depth + 1, pairs);
                }
                return;
            } else if let Some(kinds) = kind.get("o").and_then(Value::as_array) {
                let inner = &kinds[dice.below(kinds.len())];
                return fill(dice, inner, name, ids, depth, pairs);
            } else {
                let required: Vec<&str> = kind
                    .get("q")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                let fields = kind.get("p").and_then(Value::as_object);
                let chance = if depth == 0 { 5 } else { 3 };
                for (key, inner) in fields.into_iter().flatten() {
                    if key == "expand" {
                        continue;
                    }
                    let usual = [
                        "items",
                        "line_items",
                        "price",
                        "customer",
                        "quantity",
                        "mode",
                        "success_url",
                        "confirm",
                        "payment_method",
                        "amount",
                        "unit_amount",
                        "product",
                        "phases",
                        "recurring",
                        "currency",
                    ];
                    let wanted = required.contains(&key.as_str())
                        || usual.contains(&key.as_str()) && dice.below(4) > 0;
                    if wanted || dice.below(chance * 3) == 0 {
                        let path = if name.is_empty() { key.clone() } else { format!("{name}[{key}]") };
                        fill(dice, inner, &path, ids, depth + 1, pairs);
                    }
                }
                return;
            }
        }
        _ => "x".to_owned(),
    };
    pairs.push(format!("{name}={value}"));
}

fn gather(value: &Value, ids: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let (Some(Value::String(id)), Some(Value::String(_))) =
                (fields.get("id"), fields.get("object"))
                && !ids.contains(id)
            {
                if ids.len() > 300 {
                    ids.remove(20);
                }
                ids.push(id.clone());
            }
            fields.values().for_each(|value| gather(value, ids));
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, ids)),
        _ => {}
    }
}

/// A sandbox with some objects, and their ids.
fn furnished() -> (Shop, Vec<String>) {
    let mut shop = Shop::new();
    let cards = [
        "pm_card_visa",
        "pm_card_chargeCustomerFail",
        "pm_card_authenticationRequired",
        "pm_card_createDispute",
        "pm_card_pendingRefund",
        "tok_visa",
        "nothing",
    ];
    let mut ids: Vec<String> = cards.iter().map(|id| (*id).to_owned()).collect();
    let (month, year, once) =
        (shop.price(2000, Some("month")), shop.price(20_000, Some("year")), shop.price(700, None));
    let customer = shop.customer("pm_card_visa");
    let items = serde_json::json!([{"price": month}]);
    let sub = shop.post("/v1/subscriptions", serde_json::json!({"customer": customer, "items": items}));
    let scheduled = shop.post("/v1/subscriptions", serde_json::json!({"customer": customer, "items": items}));
    let schedule =
        shop.post("/v1/subscription_schedules", serde_json::json!({"from_subscription": scheduled["id"]}));
    let made = [&sub, &scheduled, &schedule].map(|one| one["id"].as_str().unwrap().to_owned());
    ids.extend([month, year, once, customer]);
    ids.extend(made);
    (shop, ids)
}

#[test]
fn twenty_thousand_random_calls_do_no_harm() {
    let (mut shop, mut ids) = furnished();
    let calls = calls();
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let (mut fine, mut refused) = (0, 0);
    for round in 0..20_000 {
        // A fresh start now and then: it is about odd calls, not about many objects.
        if round % 2000 == 1999 {
            (shop, ids) = furnished();
        }
        if round % 500 == 499 {
            let delivery = shop.sandbox.due_webhooks(shop.now);
            for one in delivery {
                shop.sandbox.acknowledge(&one.id, dice.below(2) == 0);
            }
            shop.days(dice.below(40) as u64);
        }
        let (method, template, kind) = &calls[dice.below(calls.len())];
        if method == "DELETE" && dice.below(10) > 0 {
            continue;
        }
        let mut path = String::new();
        for part in template.split('/').skip(1) {
            path.push('/');
            path.push_str(if part.starts_with('{') { dice.fitting(&ids, part) } else { part });
        }
        if dice.below(50) == 0 {
            path = ["/", "", "/v1", "/v1/", "//", "/v1/customers/", "/v1/%FF", "/v2/x?a=%"][dice.below(8)]
                .to_owned();
        }
        let mut pairs = Vec::new();
        fill(&mut dice, kind, "", &ids, 0, &mut pairs);
        if dice.below(60) == 0 {
            pairs.push(
                [
                    "a[",
                    "a[]]=1",
                    "[]=",
                    "items[0]=1",
                    "metadata=x",
                    "expand[]=a.b.c.d.e.f",
                    "expand[]=customer",
                ][dice.below(7)]
                .to_owned(),
            );
        }
        let body = pairs.join("&");
        let headers = [("Authorization", "Bearer sk_test_shop"), ("Stripe-Version", "2026-09-30.endive")];
        let response = match method.as_str() {
            "POST" => shop.raw(method, &path, &headers, &body),
            _ => shop.raw(method, &format!("{path}?{body}"), &headers, ""),
        };
        assert!(response.status < 500, "{method} {path} {body}");
        let answer: Value = serde_json::from_slice(&response.body).unwrap();
        match response.status {
            200 => {
                fine += 1;
                gather(&answer, &mut ids);
                if fine % 5 == 0 {
                    super::schema::check(&answer);
                }
            }
            _ => refused += 1,
        }
        if dice.below(20) == 0 {
            let page =
                ["checkout", "authenticate", "portal", "invoices", "receipts", "nothing"][dice.below(6)];
            let url = format!("/{page}/{}", dice.of(&ids));
            shop.page(
                ["GET", "POST", "PUT"][dice.below(3)],
                &url,
                serde_json::json!({"action": "pay", "card": "visa", "email": "a@b"}),
            );
        }
    }
    assert!(fine > 1000 && refused > 1000, "{fine} answered, {refused} refused");
}
