//! The audit trail: the event log as the people of a tenant read it.

use portico_kernel::{EventId, Resource, Timestamp, event::ActorKind};
use serde::Serialize;
use serde_json::Value;

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditActor {
    /// Person, key, or Portico itself.
    pub kind: ActorKind,
    /// Id of the person or key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Name of the person, where still known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// Id of the event.
    pub id: EventId,
    /// What happened, for instance `page.updated`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who did it.
    pub actor: AuditActor,
    /// What it happened to.
    pub resource: Resource,
    /// The resource before; absent when it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The resource after; absent when it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// Request that caused it.
    pub request_id: String,
    /// Address of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// `User-Agent` of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// When.
    pub created_at: Timestamp,
}

/// Which entries to list. Every field that is set narrows the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Kind of thing, for instance `page`.
    pub resource_type: Option<String>,
    /// Id of the thing.
    pub resource_id: Option<String>,
    /// What happened, for instance `page.updated`.
    pub kind: Option<String>,
    /// Id of the person or key that did it.
    pub actor_id: Option<String>,
    /// Id of the request that caused it.
    pub request_id: Option<String>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
}
