//! Tenants, members, the audit trail and webhooks: who may call which operation, and a valid body for each that takes one.

use super::*;

/// The operations.
pub const RULES: &[Row] = &[
    ("GET", "/api/v1/tenants", SignedIn),
    ("POST", "/api/v1/tenants", SignedIn),
    ("GET", "/api/v1/tenants/{tenantId}", VIEWER),
    ("PUT", "/api/v1/tenants/{tenantId}", ADMIN),
    ("DELETE", "/api/v1/tenants/{tenantId}", Rule::MemberInPerson(TenantRole::Owner)),
    ("GET", "/api/v1/tenants/{tenantId}/audit", ADMIN),
    ("GET", "/api/v1/tenants/{tenantId}/audit/export", ADMIN),
    ("GET", "/api/v1/tenants/{tenantId}/audit/verify", ADMIN),
    ("GET", "/api/v1/audit", SUPER_ADMIN),
    ("GET", "/api/v1/audit/export", SUPER_ADMIN),
    ("GET", "/api/v1/audit/verify", SUPER_ADMIN),
    ("POST", "/api/v1/tenants/{tenantId}/restore", Rule::MemberInPerson(TenantRole::Owner)),
    ("POST", "/api/v1/tenants/{tenantId}/suspend", Rule::OperatorOfTenant),
    ("POST", "/api/v1/tenants/{tenantId}/reinstate", Rule::OperatorOfTenant),
    ("GET", "/api/v1/admin/customers", STAFF),
    ("GET", "/api/v1/admin/reports/growth", STAFF),
    ("GET", "/api/v1/admin/customers/{customerId}", STAFF),
    ("GET", "/api/v1/admin/customers/{customerId}/notes", STAFF),
    ("POST", "/api/v1/admin/customers/{customerId}/notes", STAFF),
    ("DELETE", "/api/v1/admin/customers/{customerId}/notes/{noteId}", STAFF),
    ("POST", "/api/v1/admin/customers/{customerId}/suspend", STAFF),
    ("POST", "/api/v1/admin/customers/{customerId}/reactivate", STAFF),
    ("GET", "/api/v1/tenants/{tenantId}/settings", VIEWER),
    ("PUT", "/api/v1/tenants/{tenantId}/settings", ADMIN),
    ("GET", "/api/v1/tenants/{tenantId}/dealer", VIEWER),
    ("PUT", "/api/v1/tenants/{tenantId}/dealer", Rule::OperatorOfTenant),
    ("DELETE", "/api/v1/tenants/{tenantId}/dealer", Rule::OperatorOfTenant),
    ("GET", "/api/v1/tenants/{tenantId}/members", VIEWER),
    ("PUT", "/api/v1/tenants/{tenantId}/members/{userId}", Rule::MemberInPerson(TenantRole::Admin)),
    ("DELETE", "/api/v1/tenants/{tenantId}/members/{userId}", Rule::MemberInPerson(TenantRole::Admin)),
    ("POST", "/api/v1/tenants/{tenantId}/transfer-ownership", Rule::MemberInPerson(TenantRole::Owner)),
    ("GET", "/api/v1/tenants/{tenantId}/invitations", Rule::MemberInPerson(TenantRole::Admin)),
    ("POST", "/api/v1/tenants/{tenantId}/invitations", VERIFIED_ADMIN_IN_PERSON),
    ("GET", "/api/v1/tenants/{tenantId}/invitations/{invitationId}", Rule::MemberInPerson(TenantRole::Admin)),
    (
        "DELETE",
        "/api/v1/tenants/{tenantId}/invitations/{invitationId}",
        Rule::MemberInPerson(TenantRole::Admin),
    ),
    ("POST", "/api/v1/tenants/{tenantId}/invitations/{invitationId}/resend", VERIFIED_ADMIN_IN_PERSON),
    ("POST", "/api/v1/invitations/lookup", Everybody),
    ("POST", "/api/v1/invitations/decline", Everybody),
    ("POST", "/api/v1/invitations/accept", Rule::Oneself),
    ("GET", "/api/v1/invitations", SignedIn),
    ("POST", "/api/v1/invitations/{invitationId}/accept", Rule::VerifiedOneself),
    ("POST", "/api/v1/invitations/{invitationId}/decline", Rule::VerifiedOneself),
    ("GET", "/api/v1/events", VIEWER),
    ("GET", "/api/v1/event-types", Everybody),
    ("GET", "/api/v1/tenants/{tenantId}/webhooks", ADMIN),
    ("POST", "/api/v1/tenants/{tenantId}/webhooks", VERIFIED_ADMIN_IN_PERSON),
    ("GET", "/api/v1/tenants/{tenantId}/webhooks/{webhookId}", ADMIN),
    ("PUT", "/api/v1/tenants/{tenantId}/webhooks/{webhookId}", VERIFIED_ADMIN_IN_PERSON),
    ("DELETE", "/api/v1/tenants/{tenantId}/webhooks/{webhookId}", Rule::MemberInPerson(TenantRole::Admin)),
    ("POST", "/api/v1/tenants/{tenantId}/webhooks/{webhookId}/rotate-secret", VERIFIED_ADMIN_IN_PERSON),
    (
        "POST",
        "/api/v1/tenants/{tenantId}/webhooks/{webhookId}/pause",
        Rule::MemberInPerson(TenantRole::Admin),
    ),
    ("POST", "/api/v1/tenants/{tenantId}/webhooks/{webhookId}/resume", VERIFIED_ADMIN_IN_PERSON),
    ("POST", "/api/v1/tenants/{tenantId}/webhooks/{webhookId}/test", VERIFIED_ADMIN_IN_PERSON),
    ("GET", "/api/v1/tenants/{tenantId}/webhooks/{webhookId}/deliveries", ADMIN),
    ("POST", "/api/v1/tenants/{tenantId}/webhooks/{webhookId}/resend", VERIFIED_ADMIN_IN_PERSON),
    ("GET", "/api/v1/tenants/{tenantId}/deliveries", ADMIN),
    ("GET", "/api/v1/tenants/{tenantId}/deliveries/{deliveryId}", ADMIN),
    ("POST", "/api/v1/tenants/{tenantId}/deliveries/{deliveryId}/resend", VERIFIED_ADMIN_IN_PERSON),
];

/// A valid body, where the operation takes one. `relative` is its path below the version and the tenant.
pub(super) async fn body(call: &Call<'_>, method: &str, relative: &str) -> Option<Value> {
    let Call { server, fixture, spare, number } = *call;
    let name = format!("{} {number}", fixture.marker);
    Some(match (method, relative) {
        // Every user may create one, so it belongs to another user.
        ("POST", "/tenants") => json!({"name": format!("Somebody's {number}")}),
        ("PUT", "") => json!({"name": name}),
        ("POST", "/suspend")
        | ("POST", "/admin/customers/{customerId}/suspend" | "/admin/customers/{customerId}/reactivate") => {
            json!({"reason": name})
        }
        ("POST", "/admin/customers/{customerId}/notes") => json!({"text": name}),
        ("PUT", "/settings") => json!({"auditRetentionDays": 30 + number % 3000}),
        ("PUT", "/dealer") => json!({"name": name}),
        ("PUT", "/members/{userId}") => json!({"role": "editor"}),
        ("POST", "/transfer-ownership") => json!({"userId": fixture.owner.claims.user}),
        ("POST", "/invitations") => {
            json!({"email": format!("invited{number}@example.net"), "role": "viewer"})
        }
        ("POST", "/invitations/lookup" | "/invitations/decline" | "/invitations/accept") => {
            json!({"token": invitation(server, spare, &spare.email).await.1})
        }
        ("POST", "/webhooks") => {
            json!({"url": format!("https://localhost/hooks/{number}"), "events": ["page.published"]})
        }
        ("PUT", "/webhooks/{webhookId}") => json!({"description": name}),
        ("POST", "/webhooks/{webhookId}/rotate-secret") => json!({"overlapHours": 1}),
        ("POST", "/webhooks/{webhookId}/resend") => json!({"since": "2026-01-01T00:00:00Z"}),
        _ => return None,
    })
}
