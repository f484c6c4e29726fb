//! The events of support. The only place that defines who receives each, which caches it invalidates and how it is audited.
//!
//! Events about a ticket reach whoever sees it: its author, and those who see all of the tenant. None has a word that somebody wrote.
//! What only staff may know of is an event of the platform and not of the tenant, whose admins read its audit trail.

use portico_kernel::{
    Permission::{SupportRead, SupportWrite},
    declare_events,
    event::{
        Audience::{HoldersAndAuthor, Internal},
        AuditClass::Sealed,
    },
};

declare_events! {
    "An answer of support that is kept ready was made."
    CANNED_REPLY_CREATED { name: "canned_reply.created", audience: Internal, invalidates: &[], audit: Sealed }
    "An answer of support that is kept ready was deleted."
    CANNED_REPLY_DELETED { name: "canned_reply.deleted", audience: Internal, invalidates: &[], audit: Sealed }
    "An answer of support that is kept ready was changed."
    CANNED_REPLY_UPDATED { name: "canned_reply.updated", audience: Internal, invalidates: &[], audit: Sealed }
    "A ticket did not get its first answer in time."
    TARGET_BREACHED { name: "support.target_breached", audience: Internal, invalidates: &[], audit: Sealed }
    "Customer or staff wrote to a support ticket."
    TICKET_ANSWERED { name: "support_ticket.answered", audience: HoldersAndAuthor(SupportRead, SupportWrite), invalidates: &[], audit: Sealed }
    "A scanner found malware in a file that came with a support ticket. The file is deleted."
    TICKET_ATTACHMENT_INFECTED { name: "support_ticket.attachment_infected", audience: HoldersAndAuthor(SupportRead, SupportWrite), invalidates: &[], audit: Sealed }
    "A support ticket was closed."
    TICKET_CLOSED { name: "support_ticket.closed", audience: HoldersAndAuthor(SupportRead, SupportWrite), invalidates: &[], audit: Sealed }
    "A support ticket was opened."
    TICKET_CREATED { name: "support_ticket.created", audience: HoldersAndAuthor(SupportRead, SupportWrite), invalidates: &[], audit: Sealed }
    "A support ticket was merged into another one."
    TICKET_MERGED { name: "support_ticket.merged", audience: HoldersAndAuthor(SupportRead, SupportWrite), invalidates: &[], audit: Sealed }
    "Staff wrote a note for each other to a support ticket."
    TICKET_NOTED { name: "support_ticket.noted", audience: Internal, invalidates: &[], audit: Sealed }
    "A customer said how satisfied they are with a support ticket that has ended."
    TICKET_RATED { name: "support_ticket.rated", audience: HoldersAndAuthor(SupportRead, SupportWrite), invalidates: &[], audit: Sealed }
    "Staff took a support ticket for done."
    TICKET_RESOLVED { name: "support_ticket.resolved", audience: HoldersAndAuthor(SupportRead, SupportWrite), invalidates: &[], audit: Sealed }
    "Category, priority, tags or assignee of a support ticket were changed."
    TICKET_UPDATED { name: "support_ticket.updated", audience: HoldersAndAuthor(SupportRead, SupportWrite), invalidates: &[], audit: Sealed }
}
