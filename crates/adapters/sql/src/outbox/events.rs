//! Appending to the event log.

use async_trait::async_trait;
use portico_kernel::{
    Event, EventId, EventLog, Resource, StoreError, TenantId, TraceParent,
    event::{ActorKind, AuditClass, EventKind},
};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait};

use crate::{
    error::{store_error, unreadable},
    time::{from_row, to_row},
};

/// A row of the event log. The columns that order it are filled by the database; see the dialect.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "events")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub kind: String,
        pub resource_type: String,
        pub resource_id: Uuid,
        pub actor_kind: String,
        pub actor_id: Option<Uuid>,
        pub impersonator_id: Option<Uuid>,
        pub before: Option<Json>,
        pub after: Option<Json>,
        pub request_id: String,
        pub address: Option<String>,
        pub user_agent: Option<String>,
        pub trace_parent: Option<String>,
        pub audit: String,
        pub created_at: TimeDateTime,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

const ACTOR_KINDS: [(ActorKind, &str); 4] = [
    (ActorKind::Anonymous, "anonymous"),
    (ActorKind::User, "user"),
    (ActorKind::ApiKey, "api_key"),
    (ActorKind::System, "system"),
];

/// The kind of actor that a word in the store means.
pub(crate) fn actor_kind(word: &str) -> Result<ActorKind, StoreError> {
    ACTOR_KINDS
        .iter()
        .find(|(_, name)| *name == word)
        .map(|(kind, _)| *kind)
        .ok_or_else(|| unreadable("events.actor_kind", word))
}

/// The word in the store for a kind of actor.
pub(crate) fn actor_word(kind: ActorKind) -> String {
    let word = ACTOR_KINDS.iter().find(|(other, _)| *other == kind).map_or("system", |(_, name)| name);
    word.to_owned()
}

impl TryFrom<row::Model> for Event {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        let audit = AuditClass::parse(&row.audit).ok_or_else(|| unreadable("events.audit", &row.audit))?;
        Ok(Self {
            id: EventId::from_uuid(row.id),
            tenant: TenantId::from_uuid(row.tenant_id),
            kind: EventKind::stored(row.kind, audit),
            resource: Resource { kind: row.resource_type.into(), id: row.resource_id },
            actor_kind: actor_kind(&row.actor_kind)?,
            actor_id: row.actor_id,
            impersonator_id: row.impersonator_id,
            before: row.before,
            after: row.after,
            request_id: row.request_id,
            address: row.address,
            user_agent: row.user_agent,
            trace_parent: row.trace_parent.and_then(|text| text.parse().ok()),
            at: from_row(row.created_at),
        })
    }
}

/// The event log over one connection.
pub(crate) struct Events<'c, C> {
    pub connection: &'c C,
    pub appended: &'c mut Vec<Event>,
    /// The trace of the work at hand.
    pub trace: Option<TraceParent>,
}

#[async_trait]
impl<C: ConnectionTrait + Send> EventLog for Events<'_, C> {
    async fn append(&mut self, event: Event) -> Result<(), StoreError> {
        if event.kind.declaration().is_none() {
            return Err(StoreError::Internal(format!("{} is not declared", event.kind).into()));
        }
        let mut event = event.bounded();
        event.trace_parent = event.trace_parent.or(self.trace);
        let row = row::ActiveModel {
            tenant_id: Set(event.tenant.uuid()),
            id: Set(event.id.uuid()),
            kind: Set(event.kind.to_string()),
            resource_type: Set(event.resource.kind.to_string()),
            resource_id: Set(event.resource.id),
            actor_kind: Set(actor_word(event.actor_kind)),
            actor_id: Set(event.actor_id),
            impersonator_id: Set(event.impersonator_id),
            before: Set(event.before.clone()),
            after: Set(event.after.clone()),
            request_id: Set(event.request_id.clone()),
            address: Set(event.address.clone()),
            user_agent: Set(event.user_agent.clone()),
            trace_parent: Set(event.trace_parent.map(|parent| parent.to_string())),
            audit: Set(event.kind.audit().as_str().to_owned()),
            created_at: Set(to_row(event.at)),
        };
        row::Entity::insert(row).exec_without_returning(self.connection).await.map_err(store_error)?;
        self.appended.push(event);
        Ok(())
    }
}
