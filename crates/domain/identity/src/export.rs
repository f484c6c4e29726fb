//! Export of what is stored about a person (GDPR article 15 and 20).

use portico_kernel::{Event, EventId, UserId};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Accounts, IdentityError, user::User};

/// The most entries of the audit trail in one export; the newest ones.
pub const MOST_ENTRIES: usize = 10_000;

/// Entries read at once.
pub const BATCH: u32 = 500;

/// What is stored about a person, less what they did.
#[derive(Debug, Serialize)]
pub struct PersonalRecord {
    /// The account.
    pub user: User,
    /// Everything around it, as lists by name.
    #[serde(flatten)]
    pub lists: Map<String, Value>,
}

/// An action of the person, or one in their name.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    id: EventId,
    #[serde(rename = "type")]
    kind: String,
    tenant_id: portico_kernel::TenantId,
    resource: portico_kernel::Resource,
    impersonator_id: Option<UserId>,
    before: Option<Value>,
    after: Option<Value>,
    request_id: String,
    address: Option<String>,
    user_agent: Option<String>,
    created_at: portico_kernel::Timestamp,
}

impl From<Event> for Action {
    fn from(event: Event) -> Self {
        // In an impersonator's action, the device is not the person's.
        let own = event.impersonator_id.is_none();
        Self {
            id: event.id,
            kind: event.kind.to_string(),
            tenant_id: event.tenant,
            resource: event.resource,
            impersonator_id: event.impersonator_id.map(UserId::from_uuid),
            before: event.before,
            after: event.after,
            request_id: event.request_id,
            address: event.address.filter(|_| own),
            user_agent: event.user_agent.filter(|_| own),
            created_at: event.at,
        }
    }
}

impl Accounts<'_> {
    /// What is stored about the caller, less what they did. Errors: [`portico_kernel::Denied::Impersonated`].
    pub async fn export(&mut self) -> Result<PersonalRecord, IdentityError> {
        let (id, _) = self.scope.require_not_impersonated()?;
        let user = self.repositories.users().find(id).await?.ok_or(IdentityError::NotFound("user"))?;
        let lists = self.repositories.personal_data().export(id).await?;
        let lists = lists.into_iter().map(|(name, rows)| (name.to_owned(), Value::Array(rows))).collect();
        Ok(PersonalRecord { user, lists })
    }

    /// The next of what the caller did, newest first, before the one with the id `before`.
    pub async fn actions(&mut self, before: Option<EventId>) -> Result<Vec<Event>, IdentityError> {
        let (id, _) = self.scope.require_not_impersonated()?;
        Ok(self.repositories.personal_data().actions(id, before, BATCH).await?)
    }
}
