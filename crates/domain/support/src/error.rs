//! Errors of support.

use std::borrow::Cow;

use portico_kernel::{Denied, Fault, FieldError, Kind, StoreError};

use crate::scan_state::AttachmentScan;

/// Seconds after which it makes sense to ask for a file again that is to be scanned.
const SCAN_SECONDS: u64 = 10;

/// Everything that can go wrong here.
#[derive(Debug, thiserror::Error)]
pub enum SupportError {
    /// Not allowed.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// What was sent breaks rules.
    #[error("invalid input")]
    Invalid(Vec<FieldError>),
    /// There is no such thing, or the caller may not see it. Says what.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The ticket does not stand where this can be done.
    #[error("the ticket has another status")]
    TicketStatus,
    /// The ticket ended too long ago to be reopened, or was merged into another one.
    #[error("the ticket has ended for good")]
    TicketEnded,
    /// The ticket has as many messages as it may.
    #[error("the ticket is full")]
    TicketFull,
    /// The person has as many open tickets as they may.
    #[error("too many open tickets")]
    TooManyTickets,
    /// The two tickets cannot be merged: they are one, or were opened by two people, one of whom would then read the other.
    #[error("the tickets cannot be merged")]
    NotMergeable,
    /// A file that a scanner for malware has not passed. Says what it says.
    #[error("the file was not passed: {0:?}")]
    AttachmentNotScanned(AttachmentScan),
    /// A file in which a scanner has found malware. It is deleted.
    #[error("the file is infected")]
    AttachmentInfected,
    /// A webhook with mail that does not come from the provider.
    #[error("the webhook is not authenticated")]
    NotFromProvider,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Vec<FieldError>> for SupportError {
    fn from(errors: Vec<FieldError>) -> Self {
        Self::Invalid(errors)
    }
}

impl Fault for SupportError {
    fn kind(&self) -> Kind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::Invalid(_) => Kind::Invalid,
            Self::NotFound(_) => Kind::NotFound,
            Self::TicketStatus
            | Self::TicketEnded
            | Self::TicketFull
            | Self::TooManyTickets
            | Self::NotMergeable
            | Self::AttachmentNotScanned(_) => Kind::Conflict,
            Self::AttachmentInfected => Kind::Gone,
            Self::NotFromProvider => Kind::Malformed,
            Self::Store(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::Invalid(_) => "invalid",
            Self::NotFound(_) => "not_found",
            Self::TicketStatus => "ticket_status",
            Self::TicketEnded => "ticket_ended",
            Self::TicketFull => "ticket_full",
            Self::TooManyTickets => "too_many_tickets",
            Self::NotMergeable => "tickets_not_mergeable",
            Self::AttachmentNotScanned(_) => "attachment_not_scanned",
            Self::AttachmentInfected => "attachment_infected",
            Self::NotFromProvider => "invalid_signature",
            Self::Store(error) => error.code(),
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::Denied(denied) => denied.detail(),
            Self::Invalid(_) => "Some fields are not valid.".into(),
            Self::NotFound(what) => format!("There is no such {what}.").into(),
            Self::TicketStatus => "This cannot be done with a ticket of this status.".into(),
            Self::TicketEnded => {
                "The ticket has ended for good. Open a new one, and name this one in `follows`.".into()
            }
            Self::TicketFull => {
                "The ticket has too many messages. Open a new one, and name this one in `follows`.".into()
            }
            Self::TooManyTickets => "Too many of your tickets are open. Close those that are done.".into(),
            Self::NotMergeable => {
                "Only two tickets of the same person that have not been merged can be merged.".into()
            }
            Self::AttachmentNotScanned(AttachmentScan::TooLargeToScan) => {
                "The file is too large for the scanner for malware.".into()
            }
            Self::AttachmentNotScanned(_) => "The file is still to be scanned for malware.".into(),
            Self::AttachmentInfected => "Malware was found in the file, which is deleted.".into(),
            Self::NotFromProvider => "The credentials of the mail provider are missing or wrong.".into(),
            Self::Store(error) => error.detail(),
        }
    }

    fn fields(&self) -> &[FieldError] {
        match self {
            Self::Invalid(errors) => errors,
            _ => &[],
        }
    }

    fn retry_after(&self) -> Option<u64> {
        matches!(self, Self::AttachmentNotScanned(AttachmentScan::Pending)).then_some(SCAN_SECONDS)
    }

    fn members(&self) -> Vec<(&'static str, serde_json::Value)> {
        match self {
            Self::AttachmentNotScanned(scan) => vec![("scan", scan.as_str().into())],
            _ => Vec::new(),
        }
    }
}
