//! A sandbox with a clock, and short ways to call it.

use std::{collections::BTreeMap, time::Duration};

use portico_payments_sandbox::{
    ApiRequest, ApiResponse, Config, Delivery, Endpoint, PageRequest, PageResponse, Sandbox,
};
use serde_json::{Value, json};
use time::{OffsetDateTime, macros::datetime};

pub const KEY: &str = "sk_test_shop";
pub const HOOK: &str = "https://shop.example/webhooks/stripe";
pub const SECRET: &str = "whsec_0123456789abcdef";
pub const VERSION: &str = "2026-09-30.endive";

pub struct Shop {
    pub sandbox: Sandbox,
    pub now: OffsetDateTime,
}

pub fn config() -> Config {
    Config {
        secret_keys: vec![KEY.into()],
        publishable_keys: vec!["pk_test_shop".into()],
        public_url: "https://pay.example".into(),
        endpoints: vec![Endpoint { url: HOOK.into(), secret: SECRET.into(), events: vec!["*".into()] }],
        seed: 7,
        delivery: Delivery::default(),
        ..Config::default()
    }
}

/// A form of a JSON object.
pub fn form(fields: &Value) -> String {
    fn add(name: &str, value: &Value, pairs: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    add(&if name.is_empty() { key.clone() } else { format!("{name}[{key}]") }, value, pairs);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    add(&format!("{name}[{index}]"), item, pairs);
                }
            }
            Value::String(text) => pairs.push(format!("{name}={}", encode(text))),
            Value::Null => pairs.push(format!("{name}=")),
            other => pairs.push(format!("{name}={other}")),
        }
    }
    let mut pairs = Vec::new();
    add("", fields, &mut pairs);
    pairs.join("&")
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}

impl Shop {
    pub fn new() -> Self {
        Self::with(config())
    }

    pub fn with(config: Config) -> Self {
        Self { sandbox: Sandbox::new(config), now: datetime!(2027-01-31 12:00 UTC) }
    }

    pub fn raw(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> ApiResponse {
        self.sandbox.handle(ApiRequest { method, path, headers, body: body.as_bytes() }, self.now)
    }

    /// A call of the present version; the answer must be as specified.
    pub fn call(&mut self, method: &str, path: &str, fields: Value) -> (u16, Value) {
        let authorization = format!("Bearer {KEY}");
        let headers = [("Authorization", authorization.as_str()), ("Stripe-Version", VERSION)];
        let body = form(&fields);
        let response = match method {
            "POST" => self.raw(method, path, &headers, &body),
            _ if body.is_empty() => self.raw(method, path, &headers, ""),
            _ => self.raw(method, &format!("{path}?{body}"), &headers, ""),
        };
        let answer: Value = serde_json::from_slice(&response.body).unwrap();
        super::schema::check(&answer);
        (response.status, answer)
    }

    pub fn post(&mut self, path: &str, fields: Value) -> Value {
        let (status, answer) = self.call("POST", path, fields);
        assert_eq!(status, 200, "POST {path}: {answer:#}");
        answer
    }

    pub fn get(&mut self, path: &str) -> Value {
        let (status, answer) = self.call("GET", path, json!({}));
        assert_eq!(status, 200, "GET {path}: {answer:#}");
        answer
    }

    /// The error of a call that fails with this status.
    pub fn refused(&mut self, status: u16, path: &str, fields: Value) -> Value {
        let (given, answer) = self.call("POST", path, fields);
        assert_eq!(given, status, "POST {path}: {answer:#}");
        answer["error"].clone()
    }

    pub fn page(&mut self, method: &str, url: &str, fields: Value) -> PageResponse {
        let path = url.strip_prefix("https://pay.example").unwrap_or(url);
        let body = form(&fields);
        self.sandbox.page(PageRequest { method, path, body: body.as_bytes() }, self.now)
    }

    /// Where a form of a page leads to.
    pub fn click(&mut self, url: &str, fields: Value) -> String {
        let response = self.page("POST", url, fields);
        assert_eq!(response.status, 303, "{}", String::from_utf8_lossy(&response.body));
        response.headers.iter().find(|(name, _)| name == "location").unwrap().1.clone()
    }

    pub fn days(&mut self, days: u64) {
        self.sandbox.advance(Duration::from_secs(days * 86_400), self.now);
    }

    pub fn hours(&mut self, hours: u64) {
        self.sandbox.advance(Duration::from_secs(hours * 3600), self.now);
    }

    /// Types of the events so far with how often.
    pub fn events(&mut self) -> BTreeMap<String, usize> {
        let mut found = BTreeMap::new();
        let mut after = json!({"limit": 100});
        loop {
            let (_, page) = self.call("GET", "/v1/events", after.clone());
            for event in page["data"].as_array().unwrap() {
                *found.entry(event["type"].as_str().unwrap().to_owned()).or_insert(0) += 1;
            }
            let Some(last) = page["data"].as_array().unwrap().last().filter(|_| page["has_more"] == true)
            else {
                break;
            };
            after["starting_after"] = last["id"].clone();
        }
        found
    }

    pub fn price(&mut self, amount: i64, interval: Option<&str>) -> String {
        let product = self.post("/v1/products", json!({"name": format!("Plan {amount}")}));
        let mut fields = json!({"product": product["id"], "currency": "usd", "unit_amount": amount});
        if let Some(interval) = interval {
            fields["recurring"] = json!({"interval": interval});
        }
        self.post("/v1/prices", fields)["id"].as_str().unwrap().to_owned()
    }

    /// A customer whose default is this test card.
    pub fn customer(&mut self, card: &str) -> String {
        let customer = self.post("/v1/customers", json!({"email": "ana@shop.example", "name": "Ana"}));
        let id = customer["id"].as_str().unwrap().to_owned();
        self.set_card(&id, card);
        id
    }

    pub fn set_card(&mut self, customer: &str, card: &str) {
        let method = self.post(&format!("/v1/payment_methods/{card}/attach"), json!({"customer": customer}));
        self.post(
            &format!("/v1/customers/{customer}"),
            json!({"invoice_settings": {"default_payment_method": method["id"]}}),
        );
    }
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
