//! Tickets that were not answered in time.

use portico_kernel::{Env, Event, Scope, TenantId};

use crate::{SupportError, events, ports::SupportRepositories, ticket::SupportTicket};

/// Notes which tickets were not answered in time. For a schedule, so it asks for no permission.
pub struct Breaches<'a> {
    repositories: &'a mut dyn SupportRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Breaches<'a> {
    /// Over an open unit of work.
    pub fn new(repositories: &'a mut dyn SupportRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Notes a ticket that is overdue. Answers whether it is, and was not noted before: each ticket has one event about it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn note(&mut self, ticket: &SupportTicket) -> Result<bool, SupportError> {
        let now = self.env.now();
        if !self.repositories.tickets().breach(ticket.tenant_id, ticket.id, now).await? {
            return Ok(false);
        }
        let about = serde_json::json!({
            "ticketId": ticket.id, "tenantId": ticket.tenant_id, "number": ticket.number, "priority": ticket.priority,
            "replyDueAt": ticket.times.reply_due_at,
        });
        let event = Event::new(self.env, self.scope, &events::TARGET_BREACHED, ticket.id.uuid());
        self.repositories.events().append(event.in_tenant(TenantId::PLATFORM).after(&about)).await?;
        Ok(true)
    }
}
