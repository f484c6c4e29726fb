//! Files that came with tickets as a scanner for malware sees them. They are scanned by jobs, and nobody loads one that is still to be
//! scanned.

use portico_kernel::{AssetId, Env, Event, Scope, SupportTicketId, TenantId};

use crate::{
    SupportError, events,
    inbound::StoredMail,
    message::Attachment,
    ports::SupportRepositories,
    scan_state::{AttachmentScan, Finding},
    ticket::SupportTicket,
};

/// What the jobs do. They ask for no permission: whoever sent a file was allowed to.
pub struct AttachmentScans<'a> {
    repositories: &'a mut dyn SupportRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> AttachmentScans<'a> {
    /// Over an open unit of work.
    pub fn new(repositories: &'a mut dyn SupportRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Notes what came of scanning a file, wherever it waits in a ticket and in those that the ticket was merged into. What was found in
    /// it is told once, by an event of the ticket that goes on.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn note(
        &mut self,
        (tenant, id): (TenantId, SupportTicketId),
        asset: AssetId,
        finding: &Finding,
    ) -> Result<(), SupportError> {
        let mut next = Some(id);
        // Tickets are merged into such that are not merged, so this ends.
        while let Some(id) = next {
            let Some(ticket) = self.repositories.tickets().lock(tenant, id).await? else { return Ok(()) };
            let is_changed = self.note_in(&ticket, asset, finding).await?;
            if is_changed && finding.scan == AttachmentScan::Infected && ticket.merged_into.is_none() {
                self.tell(&ticket, ("assetId", asset.to_string()), finding).await?;
            }
            next = ticket.merged_into;
        }
        Ok(())
    }

    /// Notes it in one ticket, and answers whether that changed anything.
    async fn note_in(
        &mut self,
        ticket: &SupportTicket,
        asset: AssetId,
        finding: &Finding,
    ) -> Result<bool, SupportError> {
        let mut is_changed = false;
        let mut attachments = ticket.attachments.clone();
        if apply_finding(&mut attachments, asset, finding) {
            self.repositories.tickets().set_attachments(ticket.tenant_id, ticket.id, &attachments).await?;
            is_changed = true;
        }
        let messages = self.repositories.support_messages().list(ticket.tenant_id, ticket.id, true).await?;
        for mut message in messages {
            if apply_finding(&mut message.attachments, asset, finding) {
                self.repositories
                    .support_messages()
                    .set_attachments(message.tenant_id, message.id, &message.attachments)
                    .await?;
                is_changed = true;
            }
        }
        Ok(is_changed)
    }

    /// Notes what came of scanning a mail, once. One that is infected is deleted; what was read in it stays. It is told by an event of the
    /// ticket that goes on: `mail` may have been read before its ticket was merged.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn note_mail(&mut self, mail: &StoredMail, finding: &Finding) -> Result<(), SupportError> {
        let is_infected = finding.scan == AttachmentScan::Infected;
        let raw = if is_infected { Vec::new() } else { mail.raw.clone() };
        let scanned =
            StoredMail { scan: finding.scan, signature: finding.signature.clone(), raw, ..mail.clone() };
        if !self.repositories.inbound_mails().scanned(&scanned).await? || !is_infected {
            return Ok(());
        }
        let mut next = Some(mail.ticket_id);
        while let Some(id) = next {
            let Some(ticket) = self.repositories.tickets().find(mail.tenant_id, id).await? else {
                return Ok(());
            };
            if ticket.merged_into.is_none() {
                self.tell(&ticket, ("messageId", mail.message_id.to_string()), finding).await?;
            }
            next = ticket.merged_into;
        }
        Ok(())
    }

    /// Appends the event, with the id of what is infected.
    async fn tell(
        &mut self,
        ticket: &SupportTicket,
        (name, id): (&str, String),
        finding: &Finding,
    ) -> Result<(), SupportError> {
        let mut after = ticket.trace();
        after[name] = id.into();
        after["signature"] = finding.signature.clone().into();
        let event = Event::new(self.env, self.scope, &events::TICKET_ATTACHMENT_INFECTED, ticket.id.uuid());
        Ok(self.repositories.events().append(event.in_tenant(ticket.tenant_id).after(&after)).await?)
    }
}

/// Sets what came of scanning a file where that is still pending, and answers whether it changed anything. What is infected is so
/// everywhere.
fn apply_finding(attachments: &mut [Attachment], asset: AssetId, finding: &Finding) -> bool {
    let is_infected = finding.scan == AttachmentScan::Infected;
    let mut is_changed = false;
    for attachment in attachments.iter_mut().filter(|attachment| attachment.asset_id == asset) {
        let is_open = attachment.scan == AttachmentScan::Pending;
        if is_open || (is_infected && attachment.scan != AttachmentScan::Infected) {
            (attachment.scan, attachment.signature) = (finding.scan, finding.signature.clone());
            is_changed = true;
        }
    }
    is_changed
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
