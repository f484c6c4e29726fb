//! All objects by kind and id.
//!
//! Objects are JSON as Stripe shows them; fields that begin with `_` are ours and never shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::value::{Read, Write};

/// See the module.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Store {
    kinds: BTreeMap<String, BTreeMap<String, Value>>,
    next: u64,
}

impl Store {
    pub fn get(&self, kind: &str, id: &str) -> Option<&Value> {
        self.kinds.get(kind)?.get(id)
    }

    /// Keeps an object by its `object` and `id`.
    pub fn put(&mut self, mut object: Value) {
        if object.at("_seq").is_null() {
            self.next += 1;
            object.put("_seq", self.next);
        }
        let objects = self.kinds.entry(object.owned("object")).or_default();
        objects.insert(object.owned("id"), object);
    }

    pub fn remove(&mut self, kind: &str, id: &str) {
        if let Some(objects) = self.kinds.get_mut(kind) {
            objects.remove(id);
        }
    }

    /// Objects of a kind in no useful order.
    pub fn all(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.kinds.get(kind).into_iter().flat_map(BTreeMap::values)
    }

    /// Objects that pass, newest first.
    pub fn newest(&self, kind: &str, pass: impl Fn(&Value) -> bool) -> Vec<&Value> {
        let mut found: Vec<&Value> = self.all(kind).filter(|object| pass(object)).collect();
        found.sort_by_key(|object| std::cmp::Reverse((object.num("created"), object.num("_seq"))));
        found
    }
}
