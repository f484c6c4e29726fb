//! Answers that come by mail.

use portico_identity::user::{EmailAddress, User, UserStatus};
use portico_kernel::{NewJob, RequestInfo, Scope, SupportTicketId, TenantId};
use portico_support::{
    SupportError,
    inbound::{InboundMails, Letter, Reading, Receipt, read},
    message::AuthorKind,
};
use portico_tenancy::tenant::TenantStatus;
use serde::Serialize;
use utoipa::ToSchema;

use super::{notices, staff::is_clerk};
use crate::state::App;

/// What became of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is a message of the ticket now.
    Accepted,
    /// It had come before, and was accepted or answered then.
    Duplicate,
    /// A program wrote it: an automatic answer, a report, a mailing list.
    Automatic,
    /// It has not exactly one sender, no text, or too many bytes.
    Unreadable,
    /// It went to an address that names no ticket.
    UnknownAddress,
    /// Its sender is not the one to whom the address was given, or takes no part in the ticket any more.
    Refused,
    /// The ticket has ended for good, or is full. Its sender is told.
    Ended,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Automatic => "automatic",
            Self::Unreadable => "unreadable",
            Self::UnknownAddress => "unknown_address",
            Self::Refused => "refused",
            Self::Ended => "ended",
        }
    }
}

/// Takes a mail that went to a recipient. Whatever comes of it is no error: the provider would only bring it again.
///
/// # Errors
/// Where the database does not answer: the provider is to bring it again.
pub async fn receive(
    app: &App,
    request: &RequestInfo,
    recipient: &str,
    raw: &[u8],
) -> Result<Outcome, SupportError> {
    let outcome = take(app, request, recipient, raw).await?;
    metrics::counter!("portico_inbound_mails_total", "outcome" => outcome.as_str()).increment(1);
    Ok(outcome)
}

async fn take(
    app: &App,
    request: &RequestInfo,
    recipient: &str,
    raw: &[u8],
) -> Result<Outcome, SupportError> {
    let Some((ticket, tag)) = app.rule.addresses.read(recipient) else { return Ok(Outcome::UnknownAddress) };
    let letter = match read(raw) {
        Reading::Letter(letter) => letter,
        Reading::Automatic(sign) => {
            tracing::info!(%ticket, sign, "a mail that a program wrote was not taken");
            return Ok(Outcome::Automatic);
        }
        Reading::Unreadable => return Ok(Outcome::Unreadable),
    };
    let Some(sender) = sender(app, &letter).await? else { return Ok(Outcome::Refused) };
    if !app.rule.addresses.verify(ticket, sender.id, &tag) {
        return Ok(Outcome::Refused);
    }
    let Some((tenant, side)) = side(app, ticket, &sender).await? else { return Ok(Outcome::Refused) };
    let scope = Scope::system(Some(tenant), request.clone());
    let mut work = app.core.begin().await?;
    let receipt = InboundMails::new(&mut *work, &scope, &app.core.env)
        .take((tenant, ticket), (side, sender.id), letter, (raw, app.scan_state()))
        .await?;
    match receipt {
        Receipt::Taken(_) => {
            work.commit().await?;
            Ok(Outcome::Accepted)
        }
        Receipt::Refused => {
            let notice = notices::ended(tenant, ticket, sender.id);
            work.jobs().enqueue(NewJob::new(&app.core.env, &scope, tenant, &notice)).await?;
            work.commit().await?;
            Ok(Outcome::Ended)
        }
        Receipt::Twice => Ok(Outcome::Duplicate),
    }
}

/// The account that has verified the address of the sender.
async fn sender(app: &App, letter: &Letter) -> Result<Option<User>, SupportError> {
    let Ok(email) = EmailAddress::parse(&letter.from) else { return Ok(None) };
    let accounts = app.core.reader().users().by_email(&email).await?;
    let owner = accounts.into_iter().map(|account| account.user).find(|user| user.email_verified);
    Ok(owner.filter(|user| user.status == UserStatus::Active))
}

/// On which side of a ticket somebody is: its author as long as they belong to the tenant, or one of the staff.
async fn side(
    app: &App,
    ticket: SupportTicketId,
    sender: &User,
) -> Result<Option<(TenantId, AuthorKind)>, SupportError> {
    let mut reader = app.core.reader();
    let Some(tenant) = reader.tickets().tenant_of(ticket).await? else { return Ok(None) };
    let is_there =
        reader.tenants().find(tenant).await?.is_some_and(|found| found.status != TenantStatus::Deleted);
    let found = reader.tickets().find(tenant, ticket).await?.filter(|_| is_there);
    let Some(found) = found else { return Ok(None) };
    if found.author_id == sender.id {
        let role = reader.memberships().role(tenant, sender.id).await?;
        return Ok(role.map(|_| (tenant, AuthorKind::Customer)));
    }
    Ok(is_clerk(sender).then_some((tenant, AuthorKind::Staff)))
}
