//! Jobs that have files scanned which came with tickets.

use portico_kernel::{AssetId, Env, JobType, NewJob, Scope, SupportMessageId, SupportTicketId};
use serde::{Deserialize, Serialize};

use crate::{
    SupportError, message::Attachment, ports::SupportRepositories, scan_state::AttachmentScan,
    ticket::SupportTicket,
};

/// The job that has a file of a ticket scanned, and asks again while the scanner does not answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScanAttachment {
    /// The ticket that it came with. It may have been merged since.
    pub ticket_id: SupportTicketId,
    /// The file.
    pub asset_id: AssetId,
}

impl JobType for ScanAttachment {
    const KIND: &'static str = "attachment.scan";
    /// The scanner may be down for about a day.
    const MAX_ATTEMPTS: u32 = 36;
}

/// The job that has a mail scanned, with the files in it, and asks again while the scanner does not answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScanMail {
    /// The message that it brought.
    pub message_id: SupportMessageId,
}

impl JobType for ScanMail {
    const KIND: &'static str = "ticket_mail.scan";
    /// The scanner may be down for about a day.
    const MAX_ATTEMPTS: u32 = 36;
}

/// Has those files scanned that wait for it.
pub(crate) async fn scan_attachments(
    repositories: &mut dyn SupportRepositories,
    (scope, env): (&Scope, &Env),
    ticket: &SupportTicket,
    attachments: &[Attachment],
) -> Result<(), SupportError> {
    for attachment in attachments.iter().filter(|attachment| attachment.scan == AttachmentScan::Pending) {
        let job = ScanAttachment { ticket_id: ticket.id, asset_id: attachment.asset_id };
        repositories.jobs().enqueue(NewJob::new(env, scope, ticket.tenant_id, &job)).await?;
    }
    Ok(())
}
