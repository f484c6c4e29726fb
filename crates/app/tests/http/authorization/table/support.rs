//! Support tickets: who may call which operation.

use super::*;

/// The operations.
pub const RULES: &[Row] = &[
    ("GET", "/api/v1/support/tickets", Rule::MemberInPerson(TenantRole::Viewer)),
    ("POST", "/api/v1/support/tickets", Rule::MemberInPerson(TenantRole::Viewer)),
    ("GET", "/api/v1/support/tickets/{ticketId}", Rule::AuthorOrAdmin),
    ("POST", "/api/v1/support/tickets/{ticketId}/messages", Rule::AuthorOrAdmin),
    ("POST", "/api/v1/support/tickets/{ticketId}/close", Rule::AuthorOrAdmin),
    ("PUT", "/api/v1/support/tickets/{ticketId}/satisfaction", Rule::AuthorOrAdmin),
    ("POST", "/api/v1/webhooks/inbound-mail", Everybody),
    ("GET", "/api/v1/admin/support/events", STAFF),
    ("GET", "/api/v1/admin/support/tickets", STAFF),
    ("GET", "/api/v1/admin/customers/{customerId}/tickets/{ticketId}", STAFF),
    ("PUT", "/api/v1/admin/customers/{customerId}/tickets/{ticketId}", STAFF),
    ("POST", "/api/v1/admin/customers/{customerId}/tickets/{ticketId}/messages", STAFF),
    ("GET", "/api/v1/admin/customers/{customerId}/tickets/{ticketId}/attachments/{assetId}", STAFF),
    ("GET", "/api/v1/admin/customers/{customerId}/ticket-mails/{messageId}", STAFF),
    ("POST", "/api/v1/admin/customers/{customerId}/tickets/{ticketId}/resolve", STAFF),
    ("POST", "/api/v1/admin/customers/{customerId}/tickets/{ticketId}/close", STAFF),
    ("POST", "/api/v1/admin/customers/{customerId}/tickets/{ticketId}/merge", STAFF),
    ("GET", "/api/v1/admin/support/canned-replies", STAFF),
    ("POST", "/api/v1/admin/support/canned-replies", STAFF),
    ("GET", "/api/v1/admin/support/canned-replies/{replyId}", STAFF),
    ("PUT", "/api/v1/admin/support/canned-replies/{replyId}", STAFF),
    ("DELETE", "/api/v1/admin/support/canned-replies/{replyId}", STAFF),
];

/// A body that is accepted.
pub fn body(call: &Call<'_>, method: &str, path: &str) -> Option<Value> {
    let name = format!("{} {}", call.fixture.marker, call.number);
    Some(match (method, path) {
        ("POST", "/support/tickets") => json!({"subject": name, "description": name}),
        ("POST", "/support/tickets/{ticketId}/messages")
        | ("POST", "/admin/customers/{customerId}/tickets/{ticketId}/messages") => json!({"body": name}),
        ("PUT", "/support/tickets/{ticketId}/satisfaction") => json!({"rating": 1 + call.number % 5}),
        // Another one each time.
        ("PUT", "/admin/customers/{customerId}/tickets/{ticketId}") => {
            json!({"tags": [format!("tag{}", call.number)]})
        }
        ("POST", "/admin/customers/{customerId}/tickets/{ticketId}/merge") => {
            json!({"into": call.fixture.ids["otherTicketId"]})
        }
        ("POST", "/admin/support/canned-replies") => json!({"title": "Version", "body": "Which version?"}),
        ("PUT", "/admin/support/canned-replies/{replyId}") => {
            json!({"body": format!("Which version? ({})", call.number)})
        }
        // Shows the password by `call`. It names no ticket.
        ("POST", "/webhooks/inbound-mail") => {
            json!({"OriginalRecipient": "sales@reply.example.com", "RawEmail": "From: a@example.com\r\n\r\nHello"})
        }
        _ => return None,
    })
}
