//! Answers that come by mail: which are to be taken, and what is written in them.

use mail_parser::{Message, MessageParser};
use portico_kernel::{Env, NewJob, Scope, SupportMessageId, SupportTicketId, TenantId, Timestamp, UserId};
use sha2::{Digest, Sha256};

use crate::{
    SupportError, embedded,
    message::{AuthorKind, TEXT_MAX},
    ports::SupportRepositories,
    quotation::without_quotation,
    scan_job::ScanMail,
    scan_state::AttachmentScan,
    thread::{self, Writing},
};

/// Most bytes of a mail. Longer ones are not read; a customer who wants to send files attaches them in the portal.
pub const MAIL_MAX: usize = 1024 * 1024;

/// What somebody wrote in a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Address of the sender, as the mail says (`From`).
    pub from: String,
    /// What they wrote, without what they answer to and without their signature; at most [`TEXT_MAX`] characters.
    pub text: String,
    /// The same for a mail that comes twice.
    pub digest: [u8; 32],
}

/// What a mail is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Somebody wrote it.
    Letter(Letter),
    /// A program did: an automatic answer, a report that a mail could not be delivered, a mailing list. It is not answered to and not
    /// taken, so that two programs do not write to each other for ever. Says by which sign it was recognised.
    Automatic(&'static str),
    /// It has not exactly one sender, or no text.
    Unreadable,
}

/// Reads a mail (RFC 5322) of at most [`MAIL_MAX`] bytes. Files and mails in it are not opened.
pub fn read(raw: &[u8]) -> Reading {
    if raw.len() > MAIL_MAX {
        return Reading::Unreadable;
    }
    let closed = embedded::closed(raw);
    let Some(message) = MessageParser::default().parse(closed.as_slice()) else {
        return Reading::Unreadable;
    };
    let Some(from) = sender(&message) else { return Reading::Unreadable };
    if let Some(sign) = automatic(&message, &from) {
        return Reading::Automatic(sign);
    }
    let body = message.body_text(0).unwrap_or_default();
    let text: String = without_quotation(&embedded::opened(&body))
        .chars()
        .filter(|character| !character.is_control() || matches!(character, '\n' | '\t'))
        .take(TEXT_MAX)
        .collect();
    if text.trim().is_empty() {
        return Reading::Unreadable;
    }
    let digest = match message.message_id().filter(|id| !id.trim().is_empty()) {
        Some(id) => Sha256::digest(embedded::opened(id.trim()).as_bytes()),
        None => Sha256::digest(raw),
    };
    Reading::Letter(Letter { from, text, digest: digest.into() })
}

/// The address of the one sender. A mail that names several could be believed to be of any of them.
fn sender(message: &Message<'_>) -> Option<String> {
    let fields = message.headers_raw().filter(|(name, _)| name.eq_ignore_ascii_case("from")).count();
    let mut addresses = message.from()?.iter();
    match (fields, addresses.next(), addresses.next()) {
        (1, Some(address), None) => {
            Some(embedded::opened(address.address()?.trim())).filter(|text| !text.is_empty())
        }
        _ => None,
    }
}

/// The sign by which a mail is known to be written by a program.
fn automatic(message: &Message<'_>, from: &str) -> Option<&'static str> {
    let local = from.split('@').next().unwrap_or_default().to_lowercase();
    if ["mailer-daemon", "postmaster"].contains(&local.as_str()) {
        return Some("sender");
    }
    message.headers_raw().find_map(|(name, value)| {
        let value = value.trim().to_lowercase();
        match name.to_lowercase().as_str() {
            // RFC 3834, section 5. Every mail of ours has it.
            "auto-submitted" if !value.starts_with("no") => Some("auto-submitted"),
            "precedence" if ["bulk", "junk", "list", "auto_reply"].contains(&value.as_str()) => {
                Some("precedence")
            }
            // RFC 2919.
            "list-id" => Some("list-id"),
            // RFC 5321, section 4.5.5: reports have nobody to report to.
            "return-path" if value == "<>" => Some("return-path"),
            // RFC 6522.
            "content-type" if value.starts_with("multipart/report") => Some("report"),
            "x-autoreply" | "x-autorespond" | "x-autoresponse" => Some("autoreply"),
            _ => None,
        }
    })
}

/// A mail that a message came by, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMail {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The message.
    pub message_id: SupportMessageId,
    /// The ticket.
    pub ticket_id: SupportTicketId,
    /// See [`Letter::digest`].
    pub digest: [u8; 32],
    /// The mail; empty once it was found to be infected.
    pub raw: Vec<u8>,
    /// What a scanner for malware says of it and of the files in it.
    pub scan: AttachmentScan,
    /// The name of what was found in it, as the scanner calls it.
    pub signature: Option<String>,
    /// When it came.
    pub received_at: Timestamp,
}

/// What became of a letter.
#[derive(Debug)]
pub enum Receipt {
    /// It is a message of the ticket now.
    Taken(SupportMessageId),
    /// The ticket has ended for good, or is full. Whoever wrote it is to be told in the same unit of work.
    Refused,
    /// It had come before, and was taken or refused then. The unit of work MUST NOT be committed.
    Twice,
}

/// Takes letters. The caller has made sure of who wrote them, so it asks for no permission.
pub struct InboundMails<'a> {
    repositories: &'a mut dyn SupportRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> InboundMails<'a> {
    /// Over an open unit of work.
    pub fn new(repositories: &'a mut dyn SupportRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Writes a letter to a ticket, once however often it comes, and keeps the mail, which a job scans where `scan` is `Pending`. One that
    /// the ticket does not take is noted, so that its author is told once.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn take(
        &mut self,
        (tenant, id): (TenantId, SupportTicketId),
        (kind, author): (AuthorKind, UserId),
        letter: Letter,
        (raw, scan): (&[u8], AttachmentScan),
    ) -> Result<Receipt, SupportError> {
        let ticket = self.repositories.tickets().lock(tenant, id).await?;
        let ticket = ticket.ok_or(SupportError::NotFound("ticket"))?;
        let digest = letter.digest;
        if self.repositories.inbound_mails().has(tenant, digest).await? {
            return Ok(Receipt::Twice);
        }
        let writing = Writing { kind, author, body: letter.text, attachments: Vec::new() };
        let written = thread::write(self.repositories, (self.scope, self.env), &ticket, writing).await;
        let message = match written {
            Ok((_, message)) => message,
            Err(SupportError::TicketEnded | SupportError::TicketFull) => {
                let is_new = self.repositories.inbound_mails().refuse(tenant, digest, self.env.now()).await?;
                return Ok(if is_new { Receipt::Refused } else { Receipt::Twice });
            }
            Err(error) => return Err(error),
        };
        let mail = StoredMail {
            tenant_id: tenant,
            message_id: message,
            ticket_id: id,
            digest,
            raw: raw.to_vec(),
            scan,
            signature: None,
            received_at: self.env.now(),
        };
        if !self.repositories.inbound_mails().insert(&mail).await? {
            return Ok(Receipt::Twice);
        }
        if scan == AttachmentScan::Pending {
            let job = ScanMail { message_id: message };
            self.repositories.jobs().enqueue(NewJob::new(self.env, self.scope, tenant, &job)).await?;
        }
        Ok(Receipt::Taken(message))
    }
}

#[cfg(test)]
#[path = "inbound_tests.rs"]
mod tests;
