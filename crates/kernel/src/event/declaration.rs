//! The declaration of a kind of event: all its properties in one place.

use std::{fmt, ops::Deref};

use crate::Permission;

/// All properties of a kind of event. Declared with [`declare_events!`](crate::declare_events) by the domain that owns it; an
/// event is made from its declaration, so none lacks any of them.
#[derive(Debug, PartialEq, Eq)]
pub struct EventDeclaration {
    /// Name in the log: `resource.verb`.
    pub name: &'static str,
    /// When it happens, for people.
    pub when: &'static str,
    /// Who may receive it, by webhooks and live updates.
    pub audience: Audience,
    /// The caches in which it invalidates entries. No other one is touched.
    pub invalidates: &'static [CacheTopic],
    /// How the audit trail treats it.
    pub audit: AuditClass,
}

#[cfg(feature = "mock")]
impl EventDeclaration {
    /// An event of this name that is not published, invalidates nothing and is sealed. For tests that depend on the name only.
    pub fn named(name: &'static str) -> &'static Self {
        Box::leak(Box::new(Self {
            name,
            when: "A test says so.",
            audience: Audience::Internal,
            invalidates: &[],
            audit: AuditClass::Sealed,
        }))
    }
}

/// Who may receive an event, by webhooks and live updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Not published: sign-ins, guesses at passwords, second factors and the platform's own affairs are for the audit trail.
    Internal,
    /// Those who have the permission in the tenant.
    Holders(Permission),
    /// The same, and by live updates also the person whom the resource after the event names as its author (`authorId`), if they have the
    /// second permission.
    HoldersAndAuthor(Permission, Permission),
    /// Those who have the permission, under a public name that differs from that in the log.
    HoldersUnderName(Permission, &'static str),
}

/// What is cached, by what makes it stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheTopic {
    /// The sessions of the user that the event is about (its resource), and the API keys that they answer for.
    User,
    /// The sessions of the user named in the resource after the event (`userId`).
    SessionOwner,
    /// The tenant, as every session in it knows it, and its API keys.
    Tenant,
    /// What is served at host names.
    Hosts,
    /// Cached responses about what the tenant keeps here: itself, its branding, sites, pages, navigation.
    Responses,
}

/// How the audit trail treats an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditClass {
    /// An entry, sealed into the tenant's hash chain.
    Sealed,
    /// An entry without a seal, deleted when the tenant's retention time is over.
    Recorded,
    /// No entry: it goes to the readers of the log, to webhooks and to live updates, and is deleted after some days.
    NotKept,
}

impl AuditClass {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Sealed, Self::Recorded, Self::NotKept];

    /// Name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Recorded => "recorded",
            Self::NotKept => "not_kept",
        }
    }

    /// The class of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == text)
    }
}

/// Declares the events of a domain, and the list `ALL` of them. Each is a text that says when it happens, a name, and the other
/// fields of [`EventDeclaration`]; one that leaves any of them out does not compile.
#[macro_export]
macro_rules! declare_events {
    ($($when:literal $name:ident { $($declaration:tt)+ })+) => {
        $(
            #[doc = $when]
            pub static $name: $crate::event::EventDeclaration =
                $crate::event::EventDeclaration { when: $when, $($declaration)+ };
        )+

        /// Every event that is declared here.
        pub static ALL: &[&$crate::event::EventDeclaration] = &[$(&$name),+];
    };
}

/// What happened: a declared kind of event; or the name of one that was read from the log, which another version may have
/// written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventKind(Origin);

#[derive(Clone, Debug)]
enum Origin {
    Declared(&'static EventDeclaration),
    Stored(String, AuditClass),
}

impl EventKind {
    /// As read from the log.
    pub fn stored(name: String, audit: AuditClass) -> Self {
        Self(Origin::Stored(name, audit))
    }

    /// The declaration; `None` for one that was read from the log: look it up in [`crate::catalogue::EventCatalogue`].
    pub fn declaration(&self) -> Option<&'static EventDeclaration> {
        match &self.0 {
            Origin::Declared(declaration) => Some(declaration),
            Origin::Stored(..) => None,
        }
    }

    /// Whether it is this one.
    pub fn is(&self, declaration: &EventDeclaration) -> bool {
        self.as_str() == declaration.name
    }

    /// Its name, `resource.verb`.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Origin::Declared(declaration) => declaration.name,
            Origin::Stored(name, _) => name,
        }
    }

    /// How the audit trail treats it.
    pub fn audit(&self) -> AuditClass {
        match &self.0 {
            Origin::Declared(declaration) => declaration.audit,
            Origin::Stored(_, audit) => *audit,
        }
    }
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        let parts = |origin: &Self| match origin {
            Self::Declared(declaration) => (declaration.name.to_owned(), declaration.audit),
            Self::Stored(name, audit) => (name.clone(), *audit),
        };
        parts(self) == parts(other)
    }
}

impl Eq for Origin {}

impl From<&'static EventDeclaration> for EventKind {
    fn from(declaration: &'static EventDeclaration) -> Self {
        Self(Origin::Declared(declaration))
    }
}

impl Deref for EventKind {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for EventKind {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for EventKind {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for EventKind {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_is_what_was_declared() {
        static MOVED: EventDeclaration = EventDeclaration {
            name: "thing.moved",
            when: "A thing was moved.",
            audience: Audience::Internal,
            invalidates: &[],
            audit: AuditClass::Recorded,
        };
        let declared = EventKind::from(&MOVED);
        let stored = EventKind::stored("thing.moved".to_owned(), AuditClass::Recorded);
        assert_eq!(declared, stored);
        assert!(stored.is(&MOVED) && stored.declaration().is_none() && declared == "thing.moved");
        assert_ne!(declared, EventKind::stored("thing.moved".to_owned(), AuditClass::Sealed));
        for class in AuditClass::ALL {
            assert_eq!(AuditClass::parse(class.as_str()), Some(class));
        }
    }
}
