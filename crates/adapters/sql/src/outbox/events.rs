//! Appending to the event log.

use async_trait::async_trait;
use portico_kernel::{
    Event, EventLog, Resource, StoreError, TraceParent,
    event::{ActorKind, AuditClass, EventKind},
};
use sea_orm::ActiveValue::Set;

use crate::{
    columns::{Col, Stored, words},
    connection::Until,
    db::Db,
};

/// A row of the event log. The columns that order it are filled by the database; see the dialect.
pub(crate) mod row {
    use portico_kernel::{
        EventId, TenantId, Timestamp,
        event::{ActorKind, AuditClass},
    };
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "events")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Col<TenantId>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Col<EventId>,
        pub kind: String,
        pub resource_type: String,
        pub resource_id: Uuid,
        pub actor_kind: Col<ActorKind>,
        pub actor_id: Option<Uuid>,
        pub impersonator_id: Option<Uuid>,
        pub before: Option<Json>,
        pub after: Option<Json>,
        pub request_id: String,
        pub address: Option<String>,
        pub user_agent: Option<String>,
        pub request_line: Option<String>,
        pub trace_parent: Option<String>,
        pub audit: Col<AuditClass>,
        pub created_at: Col<Timestamp>,
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

impl Stored for ActorKind {
    type Raw = String;

    fn store(&self) -> String {
        let word = ACTOR_KINDS.iter().find(|(kind, _)| kind == self).map_or("system", |(_, word)| word);
        word.to_owned()
    }

    fn load(raw: String) -> Result<Self, String> {
        ACTOR_KINDS.iter().find(|(_, word)| *word == raw).map(|(kind, _)| *kind).ok_or(raw)
    }
}

words!(AuditClass);

impl From<row::Model> for Event {
    fn from(row: row::Model) -> Self {
        Self {
            id: row.id.0,
            tenant: row.tenant_id.0,
            kind: EventKind::stored(row.kind, row.audit.0),
            resource: Resource { kind: row.resource_type.into(), id: row.resource_id },
            actor_kind: row.actor_kind.0,
            actor_id: row.actor_id,
            impersonator_id: row.impersonator_id,
            before: row.before,
            after: row.after,
            request_id: row.request_id,
            address: row.address,
            user_agent: row.user_agent,
            request_line: row.request_line,
            trace_parent: row.trace_parent.and_then(|text| text.parse().ok()),
            at: row.created_at.0,
        }
    }
}

/// The event log over one connection.
pub(crate) struct Events<'c> {
    pub db: Db<'c>,
    pub appended: &'c mut Vec<Event>,
    /// The trace of the work at hand.
    pub trace: Option<TraceParent>,
}

#[async_trait]
impl EventLog for Events<'_> {
    async fn append(&mut self, event: Event) -> Result<(), StoreError> {
        if event.kind.declaration().is_none() {
            return Err(StoreError::Internal(format!("{} is not declared", event.kind).into()));
        }
        let mut event = event.bounded();
        event.trace_parent = event.trace_parent.or(self.trace);
        let row = row::ActiveModel {
            tenant_id: Set(Col(event.tenant)),
            id: Set(Col(event.id)),
            kind: Set(event.kind.to_string()),
            resource_type: Set(event.resource.kind.to_string()),
            resource_id: Set(event.resource.id),
            actor_kind: Set(Col(event.actor_kind)),
            actor_id: Set(event.actor_id),
            impersonator_id: Set(event.impersonator_id),
            before: Set(event.before.clone()),
            after: Set(event.after.clone()),
            request_id: Set(event.request_id.clone()),
            address: Set(event.address.clone()),
            user_agent: Set(event.user_agent.clone()),
            request_line: Set(event.request_line.clone()),
            trace_parent: Set(event.trace_parent.map(|parent| parent.to_string())),
            audit: Set(Col(event.kind.audit())),
            created_at: Set(Col(event.at)),
        };
        self.db.insert_later(row, Until::Read(&["events", "stored_texts"])).await?;
        self.appended.push(event);
        Ok(())
    }
}
