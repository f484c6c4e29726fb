//! Seals, which make a change of the audit trail detectable.
//!
//! Every entry has a seal with digests of its parts, and every seal a hash over itself and the one before it. The digest of what
//! may be personal is salted, value by value: erasing a value deletes its salt, after which its digest reveals nothing about what
//! was there, and still fits the chain.

mod canonical;
mod content;

use std::fmt;

use portico_kernel::{Env, Event, EventId, TenantId, Timestamp, event::ActorKind};
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

pub use content::{ERASED, Opening, Part, Salt};

/// A SHA-256 digest. In JSON: lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The seal of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The tenant of the chain.
    pub tenant: TenantId,
    /// Position in the chain, from 1 without gaps.
    pub number: u64,
    /// The entry.
    pub event: EventId,
    /// Digest of who did what, to what, in which request, when. Never erased, hence without salt.
    pub frame: Digest,
    /// Digest of what may have to be erased: the resource before and after, address and user agent.
    pub content: Digest,
    /// What is left to compute `content` with.
    pub opening: Opening,
    /// Over this seal and the hash of the one before.
    pub hash: Digest,
}

impl Seal {
    /// Seals an entry behind the seal number `number - 1`, which has the hash `previous`.
    pub fn new(env: &Env, event: &Event, number: u64, previous: Digest) -> Self {
        let opening = Opening::Whole(Salt(env.random_bytes()));
        let mut seal = Self {
            tenant: event.tenant,
            number,
            event: event.id,
            frame: frame(event),
            content: opening.digest(event).unwrap_or(Digest([0; 32])),
            opening,
            hash: previous,
        };
        seal.hash = seal.link(previous);
        seal
    }

    /// Whether the seal continues the chain that has come to `previous`.
    pub fn continues(&self, previous: Digest) -> bool {
        self.hash == self.link(previous)
    }

    /// Whether the entry is still what was sealed, less what was erased; `redacted` says whether anything was.
    pub fn fits(&self, event: &Event, redacted: bool) -> bool {
        let whole = matches!(self.opening, Opening::Whole(_));
        (whole || redacted) && self.frame == frame(event) && self.opening.digest(event) == Some(self.content)
    }

    /// The opening once the entry `original` has become `erased`. `None` when `original` is not what was sealed, or `erased`
    /// differs by more than [`ERASED`] in place of values of the four parts that may be erased.
    pub fn erase(&self, original: &Event, erased: &Event) -> Option<Opening> {
        let sealed = self.frame == frame(original) && self.opening.digest(original) == Some(self.content);
        let opening = self.opening.erase(original, erased)?;
        let same = self.frame == frame(erased) && opening.digest(erased) == Some(self.content);
        (sealed && same).then_some(opening)
    }

    fn link(&self, previous: Digest) -> Digest {
        Hasher::new("portico.audit.seal.v1")
            .field(&previous.0)
            .field(&self.number.to_be_bytes())
            .field(self.event.uuid().as_bytes())
            .field(&self.frame.0)
            .field(&self.content.0)
            .finish()
    }
}

/// The start value of a tenant's chain. A chain cannot be passed off as that of another tenant.
pub fn genesis(tenant: TenantId) -> Digest {
    Hasher::new("portico.audit.chain.v1").field(tenant.uuid().as_bytes()).finish()
}

/// The end of a tenant's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The tenant.
    pub tenant: TenantId,
    /// Number of seals.
    pub length: u64,
    /// Hash of the last seal.
    pub hash: Digest,
    /// Time of the newest entry sealed.
    pub sealed_until: Timestamp,
    /// Number of the last entry that was deleted because its retention time was over; 0 for none.
    pub checkpoint: u64,
    /// Time of that entry.
    pub checkpoint_at: Option<Timestamp>,
}

impl Chain {
    /// An empty one.
    pub fn empty(tenant: TenantId) -> Self {
        let never = Timestamp::new(time::OffsetDateTime::UNIX_EPOCH);
        Self {
            tenant,
            length: 0,
            hash: genesis(tenant),
            sealed_until: never,
            checkpoint: 0,
            checkpoint_at: None,
        }
    }

    /// Seals one more entry.
    pub fn seal(&mut self, env: &Env, event: &Event) -> Seal {
        let seal = Seal::new(env, event, self.length + 1, self.hash);
        self.length = seal.number;
        self.hash = seal.hash;
        self.sealed_until = self.sealed_until.max(event.at);
        seal
    }
}

fn frame(event: &Event) -> Digest {
    let actor = match event.actor_kind {
        ActorKind::Anonymous => "anonymous",
        ActorKind::User => "user",
        ActorKind::ApiKey => "api_key",
        ActorKind::System => "system",
    };
    let optional = |id: Option<uuid::Uuid>| id.map(|id| *id.as_bytes());
    Hasher::new("portico.audit.frame.v1")
        .field(event.id.uuid().as_bytes())
        .field(event.tenant.uuid().as_bytes())
        .field(event.kind.as_bytes())
        .field(event.resource.kind.as_bytes())
        .field(event.resource.id.as_bytes())
        .field(actor.as_bytes())
        .optional(optional(event.actor_id).as_ref().map(|id| id.as_slice()))
        .optional(optional(event.impersonator_id).as_ref().map(|id| id.as_slice()))
        .field(event.request_id.as_bytes())
        .field(&event.at.unix_micros().to_be_bytes())
        .finish()
}

/// Hashes values with their lengths, so that no two lists of values hash alike. They are put together first and hashed at once: there
/// are many, and short.
struct Hasher(Vec<u8>);

impl Hasher {
    /// `purpose` keeps digests of different kinds apart.
    fn new(purpose: &str) -> Self {
        Self(Vec::with_capacity(256)).field(purpose.as_bytes())
    }

    fn field(mut self, value: &[u8]) -> Self {
        self.0.extend_from_slice(&(value.len() as u64).to_be_bytes());
        self.0.extend_from_slice(value);
        self
    }

    fn optional(self, value: Option<&[u8]>) -> Self {
        match value {
            Some(value) => self.field(b"some").field(value),
            None => self.field(b"none"),
        }
    }

    fn finish(self) -> Digest {
        Digest(Sha256::digest(&self.0).into())
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::EventDeclaration;
    use serde_json::json;

    use super::*;
    use crate::testing::{env, owner_of};

    fn event(env: &Env) -> Event {
        let mut event = Event::new(
            env,
            &owner_of(env.new_id()),
            EventDeclaration::named("page.updated"),
            env.random_uuid(),
        );
        event.request_id = "request".into();
        event.address = Some("192.0.2.7".into());
        event.user_agent = Some("Desk/1".into());
        event.before(&json!({"title": "A", "count": 1})).after(&json!({"title": "B"}))
    }

    #[test]
    fn a_seal_fits_its_entry_and_no_other() {
        let env = env();
        let event = event(&env);
        let seal = Seal::new(&env, &event, 1, genesis(event.tenant));
        assert!(seal.fits(&event, false) && seal.continues(genesis(event.tenant)));
        let changes: [fn(&mut Event); 13] = [
            |e| e.kind = EventDeclaration::named("page.deleted").into(),
            |e| e.resource.kind = "site".into(),
            |e| e.resource.id = uuid::Uuid::nil(),
            |e| e.actor_kind = ActorKind::System,
            |e| e.actor_id = None,
            |e| e.impersonator_id = Some(uuid::Uuid::nil()),
            |e| e.request_id.push('x'),
            |e| e.at = e.at + time::Duration::microseconds(1),
            |e| e.before = None,
            |e| e.after = Some(json!({"title": "C"})),
            |e| e.address = Some("192.0.2.8".into()),
            |e| e.user_agent = Some(String::new()),
            |e| e.request_line = Some("DELETE /".into()),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut changed = event.clone();
            change(&mut changed);
            assert!(!seal.fits(&changed, false) && !seal.fits(&changed, true), "change {number}");
        }
    }

    #[test]
    fn an_erased_entry_fits_and_an_altered_one_does_not() {
        let env = env();
        let event = event(&env);
        let mut seal = Seal::new(&env, &event, 1, genesis(event.tenant));
        let mut erased = event.clone();
        erased.address = Some(ERASED.into());
        erased.before = Some(json!({"title": ERASED, "count": 1}));
        seal.opening = seal.erase(&event, &erased).unwrap();
        assert!(seal.fits(&erased, true) && seal.continues(genesis(event.tenant)));
        assert!(!seal.fits(&erased, false), "nothing says that it was erased");
        assert!(!seal.fits(&event, true), "what was erased does not come back");
        let changes: [fn(&mut Event); 3] = [
            |e| e.after = Some(json!({"title": "C"})),
            |e| e.before = Some(json!({"title": ERASED, "count": 2})),
            |e| e.kind = EventDeclaration::named("page.deleted").into(),
        ];
        for change in changes {
            let mut altered = erased.clone();
            change(&mut altered);
            assert!(!seal.fits(&altered, true));
            assert_eq!(seal.erase(&erased, &altered), None);
        }
        assert_eq!(seal.erase(&event, &erased), None, "this is not what stands there");
    }

    #[test]
    fn a_chain_continues_in_one_way_only() {
        let env = env();
        let (first, mut second) = (event(&env), event(&env));
        second.tenant = first.tenant;
        let mut chain = Chain::empty(first.tenant);
        let one = chain.seal(&env, &first);
        let two = chain.seal(&env, &second);
        assert_eq!((one.number, two.number, chain.length, chain.hash), (1, 2, 2, two.hash));
        assert!(two.continues(one.hash) && !two.continues(genesis(first.tenant)));
        assert!(!Seal { number: 3, ..two.clone() }.continues(one.hash));
        assert!(!Seal { event: first.id, ..two }.continues(one.hash));
        assert_ne!(genesis(first.tenant), genesis(TenantId::PLATFORM));
    }

    #[test]
    fn equal_values_have_different_digests_in_different_entries() {
        let env = env();
        let event = event(&env);
        let (one, other) =
            (Seal::new(&env, &event, 1, Digest([0; 32])), Seal::new(&env, &event, 1, Digest([0; 32])));
        assert_eq!(one.frame, other.frame);
        assert_ne!(one.content, other.content);
    }
}
