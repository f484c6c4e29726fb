//! Every kind of event that there is, and which of them the outside may hear of, by webhooks and live updates.

use std::collections::HashMap;

use crate::{
    Permission,
    event::{Audience, EventDeclaration},
};

/// A kind of event that the outside may hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// What the outside calls it, `resource.verb`.
    pub name: &'static str,
    /// What the event log calls it.
    pub kind: &'static str,
    /// The permission that it takes to hear of it.
    pub permission: Permission,
    /// When it happens.
    pub description: &'static str,
}

/// The type of the message that proves that a webhook works. It is in no event log and cannot be chosen.
pub const TEST: &str = "webhook.test";

/// The word for every published event.
pub const EVERYTHING: &str = "*";

impl EventDeclaration {
    /// How the outside hears of it; `None` for one that stays inside.
    pub const fn published(&self) -> Option<Published> {
        let (permission, name) = match self.audience {
            Audience::Nobody => return None,
            Audience::Holders(permission) => (permission, self.word),
            Audience::HoldersUnderName(permission, name) => (permission, name),
        };
        Some(Published { name, kind: self.word, permission, description: self.when })
    }
}

/// The events of all domains. The domains declare them; who puts the parts of a process together makes one of these lists.
#[derive(Debug)]
pub struct EventCatalogue {
    by_word: HashMap<&'static str, &'static EventDeclaration>,
    published: Vec<Published>,
}

impl EventCatalogue {
    /// Of these declarations. Of two with one word the last one counts; a test of whoever makes the list makes sure that there
    /// are none.
    pub fn new(declarations: impl IntoIterator<Item = &'static EventDeclaration>) -> Self {
        let by_word: HashMap<_, _> =
            declarations.into_iter().map(|declaration| (declaration.word, declaration)).collect();
        let mut published: Vec<_> =
            by_word.values().filter_map(|declaration| declaration.published()).collect();
        published.sort_unstable_by_key(|published| (published.name, published.kind));
        Self { by_word, published }
    }

    /// The declaration of what the log calls `word`; `None` for what another version has written.
    pub fn find(&self, word: &str) -> Option<&'static EventDeclaration> {
        self.by_word.get(word).copied()
    }

    /// How the outside hears of an event that the log calls `kind`; `None` for one that stays inside.
    pub fn published(&self, kind: &str) -> Option<Published> {
        self.find(kind)?.published()
    }

    /// Everything that is published, in the order of names. Two kinds of the log may go by one name.
    pub fn all(&self) -> &[Published] {
        &self.published
    }

    /// Whether something is published under this name.
    pub fn is_name(&self, name: &str) -> bool {
        self.published.iter().any(|published| published.name == name)
    }
}
