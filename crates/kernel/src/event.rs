//! The event log: what happened, written in the transaction in which it happened.

mod declaration;

use std::borrow::Cow;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use declaration::{Audience, AuditClass, CacheTopic, EventDeclaration, EventKind};

use crate::{Actor, Env, EventId, JobQueue, Scope, StoreError, TenantId, Timestamp, TraceParent};

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Resource {
    /// Type of the resource, for instance `page`.
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// Its id.
    pub id: Uuid,
}

/// The id in the event log of something that is known by a word, as a plan and a product are: events name what they are about by a UUID.
/// The same word of the same kind always has the same one.
pub fn id_of_word(kind: &str, word: &str) -> Uuid {
    let digest = Sha256::digest(format!("portico.{kind}/{word}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Who caused an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ActorKind {
    /// A caller that is not signed in.
    Anonymous,
    /// A person.
    User,
    /// An API key.
    ApiKey,
    /// Portico itself.
    System,
}

/// The most bytes, as JSON, of the resource in an event before the change, and of the one after it. The event log is kept for
/// long and counted against no plan, so no tenant may fill it by changing something large again and again.
pub const MAX_RESOURCE: usize = 16 * 1024;

/// One entry of the event log: the audit trail and the outbox at once.
///
/// Secrets (hashes, tokens, keys) MUST NOT appear in `before` or `after`.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// UUIDv7. Ids are not in commit order.
    pub id: EventId,
    /// The tenant that it belongs to; [`TenantId::PLATFORM`] for none.
    pub tenant: TenantId,
    /// What happened.
    pub kind: EventKind,
    /// What it happened to.
    pub resource: Resource,
    /// Who did it.
    pub actor_kind: ActorKind,
    /// Id of the person or key that did it.
    pub actor_id: Option<Uuid>,
    /// The member of staff who acted as that person (impersonation), if any.
    pub impersonator_id: Option<Uuid>,
    /// The resource before, in its JSON form; `None` when it was made.
    pub before: Option<Value>,
    /// The resource after, in its JSON form; `None` when it was deleted.
    pub after: Option<Value>,
    /// Request that caused it.
    pub request_id: String,
    /// Address of the client.
    pub address: Option<String>,
    /// `User-Agent` of the client.
    pub user_agent: Option<String>,
    /// Method and path of the request, for instance `POST /api/v1/sites`.
    pub request_line: Option<String>,
    /// The trace that it belongs to, and the span in it that it follows from. The store fills it in, see
    /// [`EventLog::append`].
    pub trace_parent: Option<TraceParent>,
    /// When.
    pub at: Timestamp,
}

impl Event {
    /// An event caused by `scope` in its active tenant, with nothing before or after it.
    ///
    /// The resource type is the part of the declared word that is before the dot.
    pub fn new(env: &Env, scope: &Scope, declared: &'static EventDeclaration, resource: Uuid) -> Self {
        let (actor_kind, actor_id) = match scope.actor() {
            Actor::Anonymous => (ActorKind::Anonymous, None),
            Actor::User { id, .. } => (ActorKind::User, Some(id.uuid())),
            Actor::ApiKey { id, .. } => (ActorKind::ApiKey, Some(id.uuid())),
            Actor::System => (ActorKind::System, None),
        };
        Self {
            id: env.new_id(),
            tenant: scope.active_tenant().unwrap_or(TenantId::PLATFORM),
            kind: declared.into(),
            resource: Resource { kind: declared.resource().into(), id: resource },
            actor_kind,
            actor_id,
            impersonator_id: scope.impersonator().map(crate::UserId::uuid),
            before: None,
            after: None,
            request_id: scope.request.id.clone(),
            address: scope.request.address.clone(),
            user_agent: scope.request.user_agent.clone(),
            request_line: scope.request.line.clone(),
            trace_parent: None,
            at: env.now(),
        }
    }

    /// Sets the tenant in which it happened, where that is not the active one.
    #[must_use]
    pub fn in_tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = tenant;
        self
    }

    /// Attaches the resource as it was before.
    #[must_use]
    pub fn before(mut self, resource: &impl Serialize) -> Self {
        self.before = serde_json::to_value(resource).ok();
        self
    }

    /// Attaches the resource as it is after.
    #[must_use]
    pub fn after(mut self, resource: &impl Serialize) -> Self {
        self.after = serde_json::to_value(resource).ok();
        self
    }

    /// With at most [`MAX_RESOURCE`] bytes of the resource before and after each: of a larger one the largest members are left
    /// out, each replaced by the number of its bytes: `{"omitted": 51234}`. Ids and other short members stay. What pages held is
    /// in their versions.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        for resource in [&mut self.before, &mut self.after].into_iter().flatten() {
            bound(resource);
        }
        self
    }

    /// Sets the actor, where that is not the caller of record (a registration is the new user's own act).
    #[must_use]
    pub fn by_user(mut self, user: crate::UserId) -> Self {
        self.actor_kind = ActorKind::User;
        self.actor_id = Some(user.uuid());
        self
    }
}

/// Cuts a resource down to [`MAX_RESOURCE`] bytes.
fn bound(resource: &mut Value) {
    let mut size = size_of(resource);
    if size <= MAX_RESOURCE {
        return;
    }
    if let Value::Object(members) = resource {
        let mut sizes: Vec<(usize, String)> =
            members.iter().map(|(name, value)| (size_of(value), name.clone())).collect();
        sizes.sort_unstable_by(|one, other| other.cmp(one));
        for (bytes, name) in sizes {
            if size <= MAX_RESOURCE {
                return;
            }
            let omitted = omitted(bytes);
            size = (size - bytes).saturating_add(size_of(&omitted));
            members.insert(name, omitted);
        }
    }
    if size > MAX_RESOURCE {
        *resource = omitted(size);
    }
}

fn omitted(bytes: usize) -> Value {
    serde_json::json!({"omitted": bytes})
}

/// Bytes of a value as JSON.
fn size_of(value: &Value) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting does not fail.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

/// Appends to the event log, inside the open unit of work.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait EventLog: Send {
    /// MUST store the event, [bounded](Event::bounded), if and only if the unit of work commits. MUST store the current trace,
    /// where the event names none. MUST refuse one that was read from the log: what is appended is declared. What the database
    /// has against it may be told by a later call of the unit of work, by its commit at the latest.
    async fn append(&mut self, event: Event) -> Result<(), StoreError>;
}

/// What every domain writes besides its own tables: events and jobs.
pub trait Outbox: Send {
    /// The event log.
    fn events<'c>(&'c mut self) -> Box<dyn EventLog + 'c>;
    /// The job queue.
    fn jobs<'c>(&'c mut self) -> Box<dyn JobQueue + 'c>;
}

/// Receives what a unit of work wrote, right after it committed, in the process that committed it.
///
/// Made for what must act at once, such as dropping a cached session. It is not a substitute for
/// reading the log: a process that dies after the commit never calls it.
pub trait CommitListener: Send + Sync {
    /// `events` in the order in which they were appended; `jobs` is whether a job was enqueued.
    fn committed(&self, events: &[Event], jobs: bool);

    /// What to announce to other processes as soon as these events are committed, in the listener's own format (at most a few
    /// thousand bytes); `None` when they need not know at once.
    fn announcement(&self, _events: &[Event]) -> Option<String> {
        None
    }
}

/// Receives what other processes committed, see [`CommitListener::announcement`].
pub trait AnnouncementListener: CommitListener {
    /// A process (maybe this one itself) has committed something and announced it.
    fn announced(&self, announcement: &str);

    /// A process has appended an event of this kind to the log of the tenant (maybe this one itself). Called within half a second
    /// of the commit, once for several like it. What cannot wait so long is announced.
    fn appended(&self, tenant: TenantId, kind: &str);

    /// Everything that was announced before `moment` has been received.
    fn caught_up(&self, moment: std::time::Instant);

    /// Announcements may have been missed.
    fn announcements_lost(&self);

    /// The clock of the database, which all processes share, read `now` at the local moment `asked`. Not called where the
    /// database uses the clock of this machine.
    fn database_time(&self, _now: Timestamp, _asked: std::time::Instant) {}
}

/// What happened, to what and when. For readers that need not know how it was before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventHead {
    /// Id of the event.
    pub id: EventId,
    /// The tenant in which it happened.
    pub tenant: TenantId,
    /// What happened.
    pub kind: EventKind,
    /// Id of what it happened to; of which type that is, the kind says.
    pub resource: Uuid,
    /// When it happened.
    pub at: Timestamp,
}

impl From<&Event> for EventHead {
    fn from(event: &Event) -> Self {
        Self {
            id: event.id,
            tenant: event.tenant,
            kind: event.kind.clone(),
            resource: event.resource.id,
            at: event.at,
        }
    }
}

/// The next events for several readers, read once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TakenEvents {
    /// Those after the reader that is furthest back, oldest first.
    pub events: Vec<Event>,
    /// The readers that no other unit of work holds, each with the number of these events that it was given before.
    pub readers: Vec<(&'static str, usize)>,
}

impl TakenEvents {
    /// The events that are new to the reader of this name, oldest first. None for one that was not asked for, and for one that another
    /// unit of work holds.
    pub fn new_to(&self, reader: &str) -> &[Event] {
        let given = self.readers.iter().find(|(name, _)| *name == reader).map(|(_, given)| *given);
        given.and_then(|given| self.events.get(given..)).unwrap_or_default()
    }

    /// The readers to which none of the events is new: another one is that far behind them.
    pub fn ahead(&self) -> Vec<&'static str> {
        let ahead = self.readers.iter().filter(|(_, given)| *given >= self.events.len());
        ahead.map(|(reader, _)| *reader).collect()
    }
}

/// Reads the event log, inside the open unit of work.
///
/// MUST deliver every committed event to every reader, also one that commits later than events with a higher id. MUST NOT
/// deliver one event to the same reader in two units of work that both commit: while another one holds a reader, it is given nothing.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait EventReaders: Send {
    /// The next events for the readers of these names, oldest first, at most `limit`; moves their cursors past them when the
    /// unit of work commits. Dropped without a commit, the same events come again. Where the readers are not at the same place, those
    /// behind the others catch up with them, and are then read for together.
    async fn take(&mut self, readers: Vec<&'static str>, limit: u32) -> Result<TakenEvents, StoreError>;

    /// The same for one reader that needs no more than this of them.
    async fn take_heads(&mut self, reader: &'static str, limit: u32) -> Result<Vec<EventHead>, StoreError>;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bounded(mut resource: Value) -> Value {
        bound(&mut resource);
        assert!(size_of(&resource) <= MAX_RESOURCE, "{}", size_of(&resource));
        resource
    }

    #[test]
    fn a_large_resource_loses_its_largest_members_and_keeps_its_ids() {
        let small = json!({"id": 7, "content": {"html": "x".repeat(MAX_RESOURCE / 2)}});
        assert_eq!(bounded(small.clone()), small);
        let html = "é".repeat(MAX_RESOURCE);
        let section = json!({"id": 7, "pageId": "p", "content": {"html": html}, "position": 3});
        let content = 11 + 2 * MAX_RESOURCE;
        let expected = json!({"id": 7, "pageId": "p", "content": {"omitted": content}, "position": 3});
        assert_eq!(bounded(section), expected);
        // Only as many as have to go.
        let half = "x".repeat(MAX_RESOURCE * 3 / 4);
        let page = bounded(json!({"one": half, "other": format!("{half}y"), "restoredFrom": 3}));
        assert_eq!((&page["one"], &page["restoredFrom"]), (&json!(half), &json!(3)));
        assert!(page["other"]["omitted"].is_number());
        // Many small members, and what has none.
        let many: serde_json::Map<String, Value> =
            (0..10_000).map(|number| (format!("member{number}"), json!(number))).collect();
        assert!(bounded(Value::Object(many))["omitted"].is_number());
        assert!(bounded(json!(vec!["text"; 10_000]))["omitted"].is_number());
    }
}
