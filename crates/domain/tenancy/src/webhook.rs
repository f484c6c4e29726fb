//! Webhooks: addresses that a tenant wants events sent to.
//!
//! What is sent there, when and how often: see [`crate::delivery`].

mod address;
mod secret;
mod use_cases;

use portico_kernel::{
    List, PageRequest, TenantId, Timestamp, WebhookId,
    catalogue::{EVERYTHING, EventCatalogue},
};
use serde::{Deserialize, Serialize};

pub use secret::{SECRET_PURPOSE, SealedSecrets};
pub use use_cases::{NewWebhook, SecretRotation, WebhookRules, WebhookUpdate, Webhooks};

/// Whether events are sent to a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum WebhookStatus {
    /// They are.
    Enabled,
    /// Not for now, because a member paused it. What happens meanwhile is not sent, unless a member asks for it.
    Paused,
    /// Switched off by us, because it failed for too long.
    Disabled,
}

impl WebhookStatus {
    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Enabled, Self::Paused, Self::Disabled].into_iter().find(|status| status.as_str() == text)
    }
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// UUIDv7.
    pub id: WebhookId,
    /// The tenant.
    pub tenant: TenantId,
    /// Target address.
    pub url: String,
    /// What it is for, in the words of its maker.
    pub description: Option<String>,
    /// Names of [`portico_kernel::catalogue`], or `*` for all of them, also those to come.
    pub events: Vec<String>,
    /// Whether events are sent to it.
    pub status: WebhookStatus,
    /// Most deliveries a second; `None` for what the operator allows.
    pub rate_per_second: Option<u32>,
    /// What deliveries are signed with.
    pub secrets: SealedSecrets,
    /// Attempts that failed since the last successful one.
    pub failures: u32,
    /// When the first of them failed.
    pub failing_since: Option<Timestamp>,
    /// When it was switched off.
    pub disabled_at: Option<Timestamp>,
    /// Why.
    pub disabled_reason: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// Counts changes.
    pub version: i64,
}

impl Webhook {
    /// Whether it subscribes to the events published under this name.
    pub fn wants(&self, name: &str) -> bool {
        self.events.iter().any(|wanted| wanted == EVERYTHING || wanted == name)
    }

    /// Names, in the event log, of the events that it subscribes to.
    pub fn kinds(&self, catalogue: &EventCatalogue) -> Vec<&'static str> {
        catalogue
            .all()
            .iter()
            .filter(|published| self.wants(published.name))
            .map(|published| published.kind)
            .collect()
    }

    /// As members see it.
    pub fn view(&self) -> WebhookView {
        let previous = self.secrets.previous.as_ref();
        WebhookView {
            id: self.id,
            url: self.url.clone(),
            description: self.description.clone(),
            events: self.events.clone(),
            active: self.status == WebhookStatus::Enabled,
            status: self.status,
            rate_per_second: self.rate_per_second,
            failures: self.failures,
            failing_since: self.failing_since,
            disabled_at: self.disabled_at,
            disabled_reason: self.disabled_reason.clone(),
            secret_rotated_at: self.secrets.rotated_at,
            previous_secret_expires_at: previous.map(|(_, until)| *until),
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }

    /// As events contain it: others read them, so what may hold a token of the receiver is left out of the address.
    pub fn recorded(&self) -> WebhookView {
        let url = match self.url.split_once('?') {
            Some((url, _)) => format!("{url}?…"),
            None => self.url.clone(),
        };
        WebhookView { url, ..self.view() }
    }
}

/// A webhook as members see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookView {
    /// UUIDv7.
    pub id: WebhookId,
    /// Where events are sent.
    #[cfg_attr(feature = "openapi", schema(format = "uri", example = "https://example.com/hooks/portico"))]
    pub url: String,
    /// What it is for.
    pub description: Option<String>,
    /// Types of events, or `*` for all of them, also those to come.
    #[cfg_attr(feature = "openapi", schema(example = json!(["page.published", "submission.received"])))]
    pub events: Vec<String>,
    /// Whether events are sent to it: exactly when `status` is `enabled`.
    pub active: bool,
    /// Whether events are sent to it, and if not, why.
    pub status: WebhookStatus,
    /// Most deliveries a second; null for what the operator allows.
    pub rate_per_second: Option<u32>,
    /// Attempts that failed since the last successful one.
    pub failures: u32,
    /// When the first of them failed.
    pub failing_since: Option<Timestamp>,
    /// When it was switched off because it failed for too long.
    pub disabled_at: Option<Timestamp>,
    /// Why it was.
    pub disabled_reason: Option<String>,
    /// When the current secret replaced the one before.
    pub secret_rotated_at: Option<Timestamp>,
    /// Until then the previous secret signs, too, or did.
    pub previous_secret_expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change by a member, or by us when it was switched off.
    pub updated_at: Timestamp,
}

/// A type of event that a webhook can get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventType {
    /// What a webhook names to get it, and the `type` of the message.
    #[cfg_attr(feature = "openapi", schema(example = "page.published"))]
    pub name: &'static str,
    /// The permission required to get it.
    #[cfg_attr(feature = "openapi", schema(example = "pages:read"))]
    pub permission: &'static str,
    /// When it happens.
    #[cfg_attr(feature = "openapi", schema(example = "A page was published."))]
    pub description: String,
}

/// All types of events that webhooks can get, sorted by name.
pub fn event_types(catalogue: &EventCatalogue) -> List<EventType> {
    let mut types: Vec<EventType> = Vec::new();
    for published in catalogue.all() {
        match types.last_mut().filter(|last| last.name == published.name) {
            // Two kinds of the log share the name.
            Some(last) => last.description = format!("{} {}", last.description, published.description),
            None => types.push(EventType {
                name: published.name,
                permission: published.permission.as_str(),
                description: published.description.to_owned(),
            }),
        }
    }
    let total = types.len() as u64;
    List::new(types, PageRequest { page: 1, limit: total }, total)
}

#[cfg(test)]
mod tests;
