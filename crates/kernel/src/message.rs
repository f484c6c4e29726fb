//! The published form of an event: the body of webhooks, and the data of live updates.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Event, EventId, Resource, TenantId, Timestamp, event::ActorKind};

/// What happened, in JSON.
///
/// `type`, `timestamp` and `data` are the names of the Standard Webhooks specification, section "Payload structure".
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventMessage {
    /// The event. A receiver detects duplicates by it.
    pub id: EventId,
    /// Public name of what happened, see [`crate::catalogue`].
    #[serde(rename = "type")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "page.updated"))]
    pub kind: Cow<'static, str>,
    /// When.
    pub timestamp: Timestamp,
    /// In which tenant.
    pub tenant_id: TenantId,
    /// Sequence number among the tenant's messages: the lower one happened first. Without a gap only for receivers of all events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<i64>,
    /// Who did it.
    pub actor: MessageActor,
    /// What it happened to.
    pub resource: Resource,
    /// The resource as it is now; `null` where it was deleted.
    pub data: Option<Value>,
    /// What changed: each field with its old and its new value; empty for something new.
    #[cfg_attr(feature = "openapi", schema(value_type = Object, example = json!({"title": {"from": "Home", "to": "Welcome"}})))]
    pub changes: Map<String, Value>,
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MessageActor {
    /// Kind of actor.
    pub kind: ActorKind,
    /// Id of the person or key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<uuid::Uuid>,
}

impl EventMessage {
    /// The message about an event whose public name is `name`. `sequence` is its number among the tenant's messages, where it has
    /// one.
    pub fn new(event: &Event, name: impl Into<Cow<'static, str>>, sequence: Option<i64>) -> Self {
        Self {
            id: event.id,
            kind: name.into(),
            timestamp: event.at,
            tenant_id: event.tenant,
            sequence,
            actor: MessageActor { kind: event.actor_kind, id: event.actor_id },
            resource: event.resource.clone(),
            data: event.after.clone(),
            changes: changes(event.before.as_ref(), event.after.as_ref()),
        }
    }
}

/// The fields that differ, where there was something before.
fn changes(before: Option<&Value>, after: Option<&Value>) -> Map<String, Value> {
    let mut changes = Map::new();
    let Some(Value::Object(before)) = before else { return changes };
    let none = Map::new();
    let after = after.and_then(Value::as_object).unwrap_or(&none);
    for field in before.keys().chain(after.keys().filter(|field| !before.contains_key(*field))) {
        let (from, to) = (before.get(field), after.get(field));
        if from != to {
            changes.insert(field.clone(), serde_json::json!({ "from": from, "to": to }));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::{AuditClass, EventKind};

    fn event(before: Option<Value>, after: Option<Value>) -> Event {
        let id = uuid::Uuid::from_u128(7);
        Event {
            id: EventId::from_uuid(id),
            tenant: TenantId::from_uuid(uuid::Uuid::from_u128(8)),
            kind: EventKind::stored("page.changed".to_owned(), AuditClass::Sealed),
            resource: Resource { kind: "page".into(), id },
            actor_kind: ActorKind::User,
            actor_id: Some(id),
            impersonator_id: None,
            before,
            after,
            request_id: "r-1".into(),
            address: Some("192.0.2.1".into()),
            user_agent: Some("curl".into()),
            request_line: None,
            trace_parent: None,
            at: Timestamp::from_unix_seconds(1_790_000_000).unwrap(),
        }
    }

    #[test]
    fn a_change_says_what_was_and_what_is() {
        let before = json!({"title": "Home", "slug": "home", "old": 1});
        let after = json!({"title": "Welcome", "slug": "home", "new": [2]});
        let message = EventMessage::new(&event(Some(before), Some(after.clone())), "page.updated", Some(3));
        let json = serde_json::to_value(&message).unwrap();
        assert_eq!(json["type"], "page.updated");
        assert_eq!((&json["data"], &json["sequence"]), (&after, &json!(3)));
        assert_eq!(
            json["changes"],
            json!({
                "title": {"from": "Home", "to": "Welcome"},
                "old": {"from": 1, "to": null},
                "new": {"from": null, "to": [2]},
            })
        );
        let text = json.to_string();
        assert!(!text.contains("192.0.2.1") && !text.contains("r-1"), "addresses stay inside");
    }

    #[test]
    fn something_new_has_no_changes_and_something_deleted_no_data() {
        let page = json!({"title": "Home"});
        let new = EventMessage::new(&event(None, Some(page.clone())), "page.created", None);
        assert!(new.changes.is_empty() && new.data == Some(page.clone()) && new.sequence.is_none());
        let gone = EventMessage::new(&event(Some(page), None), "page.deleted", None);
        assert_eq!(serde_json::to_value(&gone).unwrap()["data"], Value::Null);
        assert_eq!(gone.changes["title"], json!({"from": "Home", "to": null}));
    }
}
