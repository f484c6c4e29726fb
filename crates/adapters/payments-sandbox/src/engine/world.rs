//! The whole state of a sandbox, and what every part needs of it: objects, ids, the moment, events, timers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    clock::{Task, Timer},
    idempotency::Kept,
    sandbox::Fault,
    webhooks::Outbox,
};
use crate::{
    config::Config,
    errors::{Answer, ApiError},
    store::Store,
    value::{Read, Write},
};

/// See the module.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct World {
    pub config: Config,
    pub store: Store,
    pub timers: BTreeSet<Timer>,
    /// How far the clock of the sandbox is ahead of the caller's, in seconds.
    pub offset: i64,
    /// The moment at which something happens: the sandbox's time, or a test clock's.
    pub now: i64,
    /// The sandbox's time of the call, whatever test clocks say.
    pub wall: i64,
    counter: u64,
    /// Whether the call asked for the present version, which has retired some names and defaults.
    pub strict: bool,
    pub outbox: Outbox,
    pub kept: BTreeMap<String, Kept>,
    pub faults: VecDeque<Fault>,
    /// Id and idempotency key of the call that is being answered; events name them.
    pub request: Option<(String, Option<String>)>,
}

impl World {
    pub fn new(config: Config) -> Self {
        Self {
            config,
            store: Store::default(),
            timers: BTreeSet::new(),
            offset: 0,
            now: 0,
            wall: 0,
            counter: 0,
            strict: false,
            outbox: Outbox::default(),
            kept: BTreeMap::new(),
            faults: VecDeque::new(),
            request: None,
        }
    }

    /// Characters that nobody guesses who does not know the seed.
    pub fn characters(&mut self, count: usize) -> String {
        const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut made = String::with_capacity(count);
        while made.len() < count {
            self.counter += 1;
            let digest = Sha256::new()
                .chain_update(self.config.seed.to_le_bytes())
                .chain_update(self.counter.to_le_bytes())
                .finalize();
            let letters = digest.iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
            made.extend(letters.take(count - made.len()));
        }
        made
    }

    /// A new id, such as `cus_…`.
    pub fn id(&mut self, prefix: &str) -> String {
        let length = if prefix == "cs_test" { 58 } else { 24 };
        format!("{prefix}_{}", self.characters(length))
    }

    /// A number below `bound`, by the seed.
    pub fn random(&mut self, bound: u64) -> u64 {
        self.counter += 1;
        let digest = Sha256::new()
            .chain_update(b"number")
            .chain_update(self.config.seed.to_le_bytes())
            .chain_update(self.counter.to_le_bytes())
            .finalize();
        let number = digest.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        number % bound.max(1)
    }

    pub fn find(&self, kind: &str, id: &str) -> Option<Value> {
        self.store.get(kind, id).cloned()
    }

    /// An object of the path (`param` is `id`) or one that a parameter names.
    pub fn need(&self, kind: &str, id: &str, param: &str) -> Answer {
        self.find(kind, id).ok_or_else(|| ApiError::no_such(spoken(kind), id, param))
    }

    pub fn save(&mut self, object: &Value) {
        self.store.put(object.clone());
    }

    /// A customer that is not deleted; from here on it is the customer's time, if it has a test clock.
    pub fn enter(&mut self, customer: &str, param: &str) -> Answer {
        let found = self.need("customer", customer, param)?;
        if found.flag("deleted") && param != "id" {
            return Err(ApiError::no_such("customer", customer, param));
        }
        self.enter_clock(&found.owned("test_clock"));
        Ok(found)
    }

    /// From here on it is the time of this clock; of the sandbox for an empty name.
    pub fn enter_clock(&mut self, clock: &str) {
        self.now = match self.store.get("test_helpers.test_clock", clock) {
            Some(clock) => clock.num("frozen_time"),
            None => self.wall,
        };
    }

    /// From here on it is the time of the customer that an object belongs to.
    pub fn enter_owner(&mut self, object: &Value) {
        let clock = self.clock_of(&object.owned("customer"));
        self.enter_clock(&clock);
    }

    /// Name of the test clock of a customer, or an empty one.
    pub fn clock_of(&self, customer: &str) -> String {
        self.store.get("customer", customer).map(|customer| customer.owned("test_clock")).unwrap_or_default()
    }

    /// Something happens to an object later, by the clock of its customer.
    pub fn later(&mut self, object: &Value, at: i64, task: Task) {
        let clock = self.clock_of(&object.owned("customer"));
        self.counter += 1;
        self.timers.insert(Timer { clock, at, order: self.counter, task, id: object.owned("id") });
    }

    /// Address of a page.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.config.public_url)
    }

    /// An event with the object as it is now.
    pub fn emit(&mut self, kind: &str, object: &Value) {
        self.emit_change(kind, object, None);
    }

    /// An event that names the values before.
    pub fn emit_update(&mut self, kind: &str, before: &Value, object: &Value) {
        let mut previous = serde_json::Map::new();
        for (name, value) in before.as_object().into_iter().flatten() {
            if !name.starts_with('_') && object.get(name) != Some(value) {
                previous.insert(name.clone(), value.clone());
            }
        }
        for (name, _) in object.as_object().into_iter().flatten() {
            if !name.starts_with('_') && !before.has(name) {
                previous.insert(name.clone(), Value::Null);
            }
        }
        if !previous.is_empty() {
            self.emit_change(kind, object, Some(Value::Object(previous)));
        }
    }

    fn emit_change(&mut self, kind: &str, object: &Value, previous: Option<Value>) {
        let event = super::events::make(self, kind, object, previous);
        super::webhooks::enqueue(self, event);
    }
}

/// `subscription_schedule` as messages spell it.
fn spoken(kind: &str) -> &str {
    match kind {
        "payment_method" => "PaymentMethod",
        "checkout.session" => "checkout.session",
        "test_helpers.test_clock" => "testclock",
        other => other,
    }
}

/// An object without our own fields, also within it.
pub(crate) fn shown(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(name, _)| !name.starts_with('_'));
            Value::Object(fields.map(|(name, value)| (name.clone(), shown(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(shown).collect()),
        other => other.clone(),
    }
}

/// Metadata of a request, without what it unsets.
pub(crate) fn metadata(p: &Value) -> Value {
    let mut empty = serde_json::json!({"metadata": {}});
    empty.merge_metadata(p);
    empty.at("metadata").clone()
}
