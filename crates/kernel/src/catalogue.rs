//! Every kind of event, and which of them are published by webhooks and live updates.

use std::collections::HashMap;

use serde::Deserialize;

use crate::{
    Event, Permission, Scope, UserId,
    event::{Audience, EventDeclaration},
};

/// A published kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Public name, `resource.verb`.
    pub name: &'static str,
    /// Name in the event log.
    pub kind: &'static str,
    /// The permission required to receive it.
    pub permission: Permission,
    /// With this permission, the person whom it names as the author receives it by live updates, too; `None` where authors do not count.
    pub author_permission: Option<Permission>,
    /// When it happens.
    pub description: &'static str,
}

/// The type of the message that proves that a webhook works. It is in no event log and cannot be chosen.
pub const TEST: &str = "webhook.test";

/// The name that stands for every published event.
pub const EVERYTHING: &str = "*";

impl EventDeclaration {
    /// The published form; `None` for an event that is not published.
    pub const fn published(&self) -> Option<Published> {
        let (permission, author_permission, name) = match self.audience {
            Audience::Internal => return None,
            Audience::Holders(permission) => (permission, None, self.name),
            Audience::HoldersAndAuthor(permission, own) => (permission, Some(own), self.name),
            Audience::HoldersUnderName(permission, name) => (permission, None, name),
        };
        Some(Published { name, kind: self.name, permission, author_permission, description: self.when })
    }

    /// The sort of resource that it is about: the part of its name before the dot.
    pub fn resource(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(resource, _)| resource)
    }

    /// The form for holders of this permission, whoever else receives the event.
    pub const fn published_to(&self, permission: Permission) -> Published {
        Published {
            name: self.name,
            kind: self.name,
            permission,
            author_permission: None,
            description: self.when,
        }
    }
}

impl Published {
    /// The person whom an event of this kind names as the author, where authors count.
    pub fn author(&self, event: &Event) -> Option<UserId> {
        self.author_permission?;
        UserId::deserialize(event.after.as_ref()?.get("authorId")?).ok()
    }

    /// Whether live updates send an event of this kind, with this author, to a caller.
    pub fn is_for(&self, scope: &Scope, author: Option<UserId>) -> bool {
        let user = scope.require_user().ok().map(|(user, _)| user);
        scope.allows(self.permission) || (user.is_some() && user == author && self.may_be_authored_by(scope))
    }

    /// Whether there can be events of this kind that live updates send to a caller.
    pub fn may_be_for(&self, scope: &Scope) -> bool {
        scope.allows(self.permission) || self.may_be_authored_by(scope)
    }

    fn may_be_authored_by(&self, scope: &Scope) -> bool {
        self.author_permission.is_some_and(|permission| scope.allows(permission))
            && scope.require_user().is_ok()
    }
}

/// The events of all domains. The domains declare them; the composition root of a process builds one of these lists.
#[derive(Debug)]
pub struct EventCatalogue {
    by_name: HashMap<&'static str, &'static EventDeclaration>,
    published: Vec<Published>,
}

impl EventCatalogue {
    /// From these declarations. Of two with the same name the last one counts; a test of the composition root makes sure that
    /// there are none.
    pub fn new(declarations: impl IntoIterator<Item = &'static EventDeclaration>) -> Self {
        let by_name: HashMap<_, _> =
            declarations.into_iter().map(|declaration| (declaration.name, declaration)).collect();
        let mut published: Vec<_> =
            by_name.values().filter_map(|declaration| declaration.published()).collect();
        published.sort_unstable_by_key(|published| (published.name, published.kind));
        Self { by_name, published }
    }

    /// The declaration of the event that the log calls `name`; `None` for one written by another version.
    pub fn find(&self, name: &str) -> Option<&'static EventDeclaration> {
        self.by_name.get(name).copied()
    }

    /// The published form of an event that the log calls `kind`; `None` for one that is not published.
    pub fn published(&self, kind: &str) -> Option<Published> {
        self.find(kind)?.published()
    }

    /// Everything that is published, sorted by name. Two kinds of the log may share one name.
    pub fn all(&self) -> &[Published] {
        &self.published
    }

    /// Whether something is published under this name.
    pub fn is_name(&self, name: &str) -> bool {
        self.published.iter().any(|published| published.name == name)
    }
}
