//! Accounts, sessions and API keys: who may call which operation, and a valid body for each that takes one.

use super::*;

/// The operations.
pub const RULES: &[Row] = &[
    ("POST", "/api/v1/auth/register", Everybody),
    ("POST", "/api/v1/auth/login", Everybody),
    ("POST", "/api/v1/auth/refresh", Everybody),
    ("POST", "/api/v1/auth/verify-email", Everybody),
    ("POST", "/api/v1/auth/resend-verification", Everybody),
    ("POST", "/api/v1/auth/forgot-password", Everybody),
    ("POST", "/api/v1/auth/reset-password", Everybody),
    ("POST", "/api/v1/auth/logout", SignedIn),
    ("POST", "/api/v1/auth/change-password", Rule::Oneself),
    ("POST", "/api/v1/auth/change-email", Rule::VerifiedOneself),
    ("POST", "/api/v1/auth/confirm-email-change", Everybody),
    ("POST", "/api/v1/auth/cancel-email-change", Everybody),
    ("GET", "/api/v1/auth/oidc", Everybody),
    ("GET", "/api/v1/auth/oidc/{provider}", Everybody),
    ("POST", "/api/v1/auth/callback", Everybody),
    ("GET", "/api/v1/auth/identities", SignedIn),
    ("DELETE", "/api/v1/auth/identities/{identityId}", Rule::Oneself),
    ("GET", "/api/v1/auth/second-factors", SignedIn),
    ("POST", "/api/v1/auth/totp", Rule::VerifiedOneself),
    ("POST", "/api/v1/auth/totp/confirm", Rule::VerifiedOneself),
    ("DELETE", "/api/v1/auth/totp", Rule::Oneself),
    ("POST", "/api/v1/auth/recovery-codes", Rule::VerifiedOneself),
    ("POST", "/api/v1/auth/mfa/verify", Everybody),
    ("POST", "/api/v1/auth/mfa/passkey-options", Everybody),
    ("POST", "/api/v1/auth/mfa/passkey", Everybody),
    ("POST", "/api/v1/auth/reauthenticate", Rule::Oneself),
    ("POST", "/api/v1/auth/reauthenticate/passkey-options", Rule::Oneself),
    ("DELETE", "/api/v1/users/{userId}/second-factors", SUPER_ADMIN),
    ("POST", "/api/v1/auth/passkeys/registration-options", Rule::VerifiedOneself),
    ("POST", "/api/v1/auth/passkeys", Rule::VerifiedOneself),
    ("GET", "/api/v1/auth/passkeys", SignedIn),
    ("PUT", "/api/v1/auth/passkeys/{passkeyId}", Rule::Oneself),
    ("DELETE", "/api/v1/auth/passkeys/{passkeyId}", Rule::Oneself),
    ("POST", "/api/v1/auth/passkeys/sign-in-options", Everybody),
    ("POST", "/api/v1/auth/passkeys/sign-in", Everybody),
    ("GET", "/api/v1/auth/sessions", SignedIn),
    ("DELETE", "/api/v1/auth/sessions/{sessionId}", Rule::Oneself),
    ("GET", "/api/v1/profile", SignedIn),
    ("PUT", "/api/v1/profile", SignedIn),
    ("PUT", "/api/v1/profile/avatar", SignedIn),
    ("DELETE", "/api/v1/profile/avatar", SignedIn),
    ("GET", "/api/v1/avatars/{userId}/{avatarName}", Everybody),
    ("GET", "/api/v1/profile/export", Rule::Oneself),
    ("POST", "/api/v1/profile/erase", Rule::Oneself),
    ("GET", "/api/v1/users", SUPER_ADMIN),
    ("POST", "/api/v1/users", SUPER_ADMIN),
    ("GET", "/api/v1/users/{userId}", Rule::OwnOrSuperAdmin),
    ("PUT", "/api/v1/users/{userId}", Rule::OwnOrSuperAdmin),
    ("DELETE", "/api/v1/users/{userId}", Rule::OwnOrSuperAdmin),
    ("PUT", "/api/v1/users/{userId}/password", Rule::OwnOrSuperAdmin),
    ("POST", "/api/v1/users/{userId}/erase", SUPER_ADMIN),
    ("POST", "/api/v1/users/{userId}/impersonate", STAFF),
    ("POST", "/api/v1/auth/switch-tenant", SignedIn),
    ("POST", "/api/v1/auth/tickets", SignedIn),
    ("GET", "/api/v1/tenants/{tenantId}/api-keys", ADMIN),
    ("POST", "/api/v1/tenants/{tenantId}/api-keys", VERIFIED_ADMIN_IN_PERSON),
    ("GET", "/api/v1/tenants/{tenantId}/api-keys/{apiKeyId}", ADMIN),
    ("PUT", "/api/v1/tenants/{tenantId}/api-keys/{apiKeyId}", VERIFIED_ADMIN_IN_PERSON),
    ("DELETE", "/api/v1/tenants/{tenantId}/api-keys/{apiKeyId}", Rule::MemberOrDeputy(TenantRole::Admin)),
    ("POST", "/api/v1/tenants/{tenantId}/api-keys/{apiKeyId}/rotate", VERIFIED_ADMIN_IN_PERSON),
    ("GET", "/api/v1/tenants/{tenantId}/api-keys/{apiKeyId}/usage", ADMIN),
];

/// A valid body, where the operation takes one. `relative` is its path below the version and the tenant.
pub(super) async fn body(call: &Call<'_>, method: &str, relative: &str) -> Option<Value> {
    let Call { server, fixture, spare, number } = *call;
    let name = format!("{} {number}", fixture.marker);
    Some(match (method, relative) {
        ("POST", "/auth/register") => {
            json!({"email": format!("new{number}@example.net"), "password": PASSWORD, "fullName": "New Person"})
        }
        ("POST", "/auth/login") => json!({"email": spare.email, "password": PASSWORD}),
        ("POST", "/auth/callback") => {
            let begun = server.client().get("/api/v1/auth/oidc/fake").await;
            match begun.json["authorizationUrl"].as_str() {
                Some(url) => {
                    let claims = json!({"email": "elsewhere@example.net", "email_verified": true});
                    FakeProvider::approve(url, &claims).body()
                }
                // A server without the provider.
                None => json!({"code": "code", "state": "state"}),
            }
        }
        ("POST", "/auth/refresh") => {
            let mut again = spare.clone();
            again.sign_in(server).await;
            json!({"refresh_token": again.tokens["refresh_token"]})
        }
        ("POST", "/auth/verify-email") => {
            json!({"token": link(server, spare, TokenPurpose::EmailVerification).await})
        }
        ("POST", "/auth/reset-password") => {
            json!({"token": link(server, spare, TokenPurpose::PasswordReset).await, "password": PASSWORD})
        }
        ("POST", "/auth/resend-verification" | "/auth/forgot-password") => {
            json!({"email": "nobody@example.net"})
        }
        ("POST", "/auth/change-email") => json!({"newEmail": format!("changed{number}@example.net")}),
        ("POST", "/auth/confirm-email-change") => json!({"token": email_change(server, spare).await}),
        ("POST", "/auth/cancel-email-change") => {
            json!({"token": link(server, spare, TokenPurpose::EmailChangeCancellation).await})
        }
        // Read as bytes, see `call`.
        ("PUT", "/profile/avatar") => json!(PICTURE),
        ("POST", "/auth/change-password") => change_password(PASSWORD, OTHER_PASSWORD),
        ("POST", "/users") => {
            json!({"email": format!("made{number}@example.net"), "fullName": "Made Person"})
        }
        ("PUT", "/users/{userId}/password") => json!({"newPassword": OTHER_PASSWORD}),
        ("POST", "/users/{userId}/impersonate") => json!({"reason": format!("Ticket {number}")}),
        ("PUT", "/profile" | "/users/{userId}") => json!({"notes": format!("Note {number}")}),
        ("POST", "/auth/switch-tenant") => json!({"tenantId": spare.client.tenant}),
        ("POST", "/auth/tickets") => json!({"path": "/api/v1/events"}),
        ("POST", "/api-keys") => json!({"name": name, "permissions": ["pages:read"]}),
        ("PUT", "/api-keys/{apiKeyId}") => json!({"name": name}),
        _ => return None,
    })
}

/// The password that a changed one becomes.
pub const OTHER_PASSWORD: &str = "Another-Horse-8";

/// Body of a change of the own password.
pub fn change_password(from: &str, to: &str) -> Value {
    json!({"currentPassword": from, "newPassword": to})
}
