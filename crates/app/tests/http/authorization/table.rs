//! Which caller may call which operation.

use portico_kernel::{PlatformRole, TenantRole};
use portico_testkit::server::Answer;

use super::callers::Kind;
use Rule::{AnyMember, Everybody, SignedIn, VerifiedMember};

/// Who may call an operation.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// Every client, also with credentials that are no good.
    Everybody,
    /// Signed-in users.
    SignedIn,
    /// Signed-in users, not while impersonated.
    Oneself,
    /// Members of the tenant with this role or a higher one, and keys of the tenant that have the permission.
    AnyMember(TenantRole),
    /// The same, but no key has the permission.
    MemberInPerson(TenantRole),
    /// The same, and users who impersonate such a member.
    MemberOrDeputy(TenantRole),
    /// Like `AnyMember`, given that their address, or that of the maker of the key, is verified.
    VerifiedMember(TenantRole),
    /// People with this role on the platform or a higher one.
    Platform(PlatformRole),
    /// Super admins; members and keys of the tenant see that it is not for them, others do not see the tenant.
    OperatorOfTenant,
    /// Members of the tenant in person with this role or a higher one, given that their address is verified.
    VerifiedInPerson(TenantRole),
    /// Signed-in users, not while impersonated, given that their address is verified.
    VerifiedOneself,
    /// Super admins, and the person whom the path names, who is none of the callers. To all others the person does not exist.
    OwnOrSuperAdmin,
}

const VIEWER: Rule = AnyMember(TenantRole::Viewer);
const EDITOR: Rule = AnyMember(TenantRole::Editor);
const ADMIN: Rule = AnyMember(TenantRole::Admin);
const VERIFIED_EDITOR: Rule = VerifiedMember(TenantRole::Editor);
const VERIFIED_ADMIN: Rule = VerifiedMember(TenantRole::Admin);
const VERIFIED_ADMIN_IN_PERSON: Rule = Rule::VerifiedInPerson(TenantRole::Admin);
const STAFF: Rule = Rule::Platform(PlatformRole::Staff);
const SUPER_ADMIN: Rule = Rule::Platform(PlatformRole::SuperAdmin);

/// Every operation and who may call it.
pub const RULES: &[(&str, &str, Rule)] = &[
    ("GET", "/api/health", Everybody),
    ("GET", "/api/health/live", Everybody),
    ("GET", "/api/health/ready", Everybody),
    ("GET", "/api/metrics", Everybody),
    ("GET", "/api/tls/ask", Everybody),
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
    ("GET", "/api/v1/avatars/{personId}/{avatarName}", Everybody),
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
    ("GET", "/api/v1/tenants", SignedIn),
    ("POST", "/api/v1/tenants", SignedIn),
    ("GET", "/api/v1/tenants/{tenantId}", VIEWER),
    ("PUT", "/api/v1/tenants/{tenantId}", ADMIN),
    ("DELETE", "/api/v1/tenants/{tenantId}", Rule::MemberInPerson(TenantRole::Owner)),
    ("GET", "/api/v1/tenants/{tenantId}/branding", VIEWER),
    ("PUT", "/api/v1/tenants/{tenantId}/branding", ADMIN),
    ("DELETE", "/api/v1/tenants/{tenantId}/branding", ADMIN),
    ("GET", "/files/{tenantId}/{assetId}/{variant}", Everybody),
    ("POST", "/api/v1/tenants/{tenantId}/assets/upload", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/assets", VIEWER),
    ("GET", "/api/v1/tenants/{tenantId}/assets/{assetId}", VIEWER),
    ("PUT", "/api/v1/tenants/{tenantId}/assets/{assetId}", EDITOR),
    ("DELETE", "/api/v1/tenants/{tenantId}/assets/{assetId}", EDITOR),
    ("POST", "/api/v1/tenants/{tenantId}/assets/{assetId}/restore", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/audit", ADMIN),
    ("GET", "/api/v1/tenants/{tenantId}/audit/export", ADMIN),
    ("GET", "/api/v1/tenants/{tenantId}/audit/verify", ADMIN),
    ("GET", "/api/v1/audit", SUPER_ADMIN),
    ("GET", "/api/v1/audit/export", SUPER_ADMIN),
    ("GET", "/api/v1/audit/verify", SUPER_ADMIN),
    ("POST", "/api/v1/tenants/{tenantId}/restore", Rule::MemberInPerson(TenantRole::Owner)),
    ("POST", "/api/v1/tenants/{tenantId}/suspend", Rule::OperatorOfTenant),
    ("POST", "/api/v1/tenants/{tenantId}/reinstate", Rule::OperatorOfTenant),
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
    ("POST", "/api/v1/auth/switch-tenant", SignedIn),
    ("GET", "/api/v1/tenants/{tenantId}/api-keys", ADMIN),
    ("POST", "/api/v1/tenants/{tenantId}/api-keys", VERIFIED_ADMIN_IN_PERSON),
    ("GET", "/api/v1/tenants/{tenantId}/api-keys/{keyId}", ADMIN),
    ("PUT", "/api/v1/tenants/{tenantId}/api-keys/{keyId}", VERIFIED_ADMIN_IN_PERSON),
    ("DELETE", "/api/v1/tenants/{tenantId}/api-keys/{keyId}", Rule::MemberOrDeputy(TenantRole::Admin)),
    ("POST", "/api/v1/tenants/{tenantId}/api-keys/{keyId}/rotate", VERIFIED_ADMIN_IN_PERSON),
    ("GET", "/api/v1/tenants/{tenantId}/api-keys/{keyId}/usage", ADMIN),
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
    ("GET", "/api/v1/admin/jobs", STAFF),
    ("POST", "/api/v1/admin/jobs/{jobId}/replay", STAFF),
    ("GET", "/api/v1/billing/plans", Everybody),
    ("GET", "/api/v1/billing/usage", VIEWER),
    ("GET", "/api/v1/sites", VIEWER),
    ("POST", "/api/v1/sites", EDITOR),
    ("GET", "/api/v1/sites/{siteId}", VIEWER),
    ("PUT", "/api/v1/sites/{siteId}", EDITOR),
    ("DELETE", "/api/v1/sites/{siteId}", ADMIN),
    ("GET", "/api/v1/sites/{siteId}/domains", VIEWER),
    ("POST", "/api/v1/sites/{siteId}/domains", VERIFIED_ADMIN),
    ("GET", "/api/v1/sites/{siteId}/domains/{domainId}", VIEWER),
    ("PUT", "/api/v1/sites/{siteId}/domains/{domainId}", VERIFIED_ADMIN),
    ("DELETE", "/api/v1/sites/{siteId}/domains/{domainId}", ADMIN),
    ("POST", "/api/v1/sites/{siteId}/domains/{domainId}/verify", VERIFIED_ADMIN),
    ("GET", "/api/v1/sites/for-sale", Everybody),
    ("GET", "/api/v1/sites/for-sale/{siteSlug}", Everybody),
    ("PUT", "/api/v1/admin/sites/{siteId}/offer", STAFF),
    ("DELETE", "/api/v1/admin/sites/{siteId}/offer", STAFF),
    ("POST", "/api/v1/sites/{siteId}/deploy", VERIFIED_EDITOR),
    ("GET", "/api/v1/sites/{siteId}/status", VIEWER),
    ("GET", "/api/v1/sites/{siteId}/analytics", VIEWER),
    ("GET", "/api/v1/sites/{siteId}/submissions", EDITOR),
    ("GET", "/api/v1/sites/{siteId}/submissions/export", EDITOR),
    ("GET", "/api/v1/sites/{siteId}/submissions/{submissionId}", EDITOR),
    ("PUT", "/api/v1/sites/{siteId}/submissions/{submissionId}", EDITOR),
    ("DELETE", "/api/v1/sites/{siteId}/submissions/{submissionId}", EDITOR),
    ("GET", "/api/v1/sites/{siteId}/deployments", VIEWER),
    ("GET", "/api/v1/sites/{siteId}/deployments/{deploymentId}", VIEWER),
    ("POST", "/api/v1/sites/{siteId}/deployments/{deploymentId}/rollback", VERIFIED_EDITOR),
    ("GET", "/api/v1/templates", Everybody),
    ("POST", "/api/v1/templates", STAFF),
    ("GET", "/api/v1/templates/categories", Everybody),
    ("GET", "/api/v1/templates/featured", Everybody),
    ("GET", "/api/v1/templates/popular", Everybody),
    ("GET", "/api/v1/templates/industry/{industry}", Everybody),
    ("GET", "/api/v1/industries", Everybody),
    ("GET", "/api/v1/templates/{templateId}", Everybody),
    ("PUT", "/api/v1/templates/{templateId}", STAFF),
    ("DELETE", "/api/v1/templates/{templateId}", STAFF),
    ("GET", "/api/v1/templates/{templateId}/preview", Everybody),
    ("GET", "/api/v1/templates/{templateId}/preview/{previewFile}", Everybody),
    ("POST", "/api/v1/templates/{templateId}/apply", EDITOR),
    ("POST", "/api/v1/wizard/start", EDITOR),
    ("GET", "/api/v1/wizard", VIEWER),
    ("GET", "/api/v1/wizard/{wizardId}", VIEWER),
    ("PUT", "/api/v1/wizard/{wizardId}", EDITOR),
    ("DELETE", "/api/v1/wizard/{wizardId}", EDITOR),
    ("POST", "/api/v1/wizard/{wizardId}/business-info", EDITOR),
    ("POST", "/api/v1/wizard/{wizardId}/template-selection", EDITOR),
    ("POST", "/api/v1/wizard/{wizardId}/design-preferences", EDITOR),
    ("POST", "/api/v1/wizard/{wizardId}/generate-content", VERIFIED_EDITOR),
    ("GET", "/api/v1/wizard/{wizardId}/content-status", VIEWER),
    ("POST", "/api/v1/wizard/{wizardId}/complete", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/pages", VIEWER),
    ("POST", "/api/v1/tenants/{tenantId}/pages", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/pages/slug/{slug}", VIEWER),
    ("GET", "/api/v1/tenants/{tenantId}/pages/{pageId}", VIEWER),
    ("PUT", "/api/v1/tenants/{tenantId}/pages/{pageId}", EDITOR),
    ("DELETE", "/api/v1/tenants/{tenantId}/pages/{pageId}", EDITOR),
    ("POST", "/api/v1/tenants/{tenantId}/pages/{pageId}/duplicate", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/pages/{pageId}/template", VIEWER),
    ("POST", "/api/v1/tenants/{tenantId}/pages/{pageId}/reset", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/pages/{pageId}/versions", VIEWER),
    ("GET", "/api/v1/tenants/{tenantId}/pages/{pageId}/versions/compare", VIEWER),
    ("GET", "/api/v1/tenants/{tenantId}/pages/{pageId}/versions/{versionId}", VIEWER),
    ("POST", "/api/v1/tenants/{tenantId}/pages/{pageId}/versions/{versionId}/restore", EDITOR),
    ("POST", "/api/v1/sites/{siteId}/preview", VERIFIED_EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/pages/{pageId}/seo", VIEWER),
    ("PUT", "/api/v1/tenants/{tenantId}/pages/{pageId}/seo", EDITOR),
    ("DELETE", "/api/v1/tenants/{tenantId}/pages/{pageId}/seo", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/pages/{pageId}/sections", VIEWER),
    ("POST", "/api/v1/tenants/{tenantId}/pages/{pageId}/sections", EDITOR),
    ("PUT", "/api/v1/tenants/{tenantId}/pages/{pageId}/sections/reorder", EDITOR),
    ("POST", "/api/v1/tenants/{tenantId}/pages/{pageId}/sections/bulk", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/pages/{pageId}/sections/{sectionId}", VIEWER),
    ("PUT", "/api/v1/tenants/{tenantId}/pages/{pageId}/sections/{sectionId}", EDITOR),
    ("DELETE", "/api/v1/tenants/{tenantId}/pages/{pageId}/sections/{sectionId}", EDITOR),
    ("POST", "/api/v1/ai/content-optimize", VERIFIED_EDITOR),
    ("POST", "/api/v1/ai/seo-optimize", VERIFIED_EDITOR),
    ("POST", "/api/v1/ai/generate-page", VERIFIED_EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/navigation", VIEWER),
    ("POST", "/api/v1/tenants/{tenantId}/navigation", EDITOR),
    ("PUT", "/api/v1/tenants/{tenantId}/navigation/reorder", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/navigation/{navId}", VIEWER),
    ("PUT", "/api/v1/tenants/{tenantId}/navigation/{navId}", EDITOR),
    ("DELETE", "/api/v1/tenants/{tenantId}/navigation/{navId}", EDITOR),
];

/// What comes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, or 409: it would have been done at another moment.
    Allowed,
    Status(u16),
}

impl Outcome {
    pub fn of(answer: &Answer) -> Self {
        match answer.status.as_u16() {
            200..=299 | 409 => Self::Allowed,
            status => Self::Status(status),
        }
    }
}

/// Whether an operation answers 403 `email_unverified` to callers who lack only a verified address.
pub fn wants_verified(rule: Rule) -> bool {
    match rule {
        VerifiedMember(_) | Rule::VerifiedInPerson(_) | Rule::VerifiedOneself => true,
        Everybody
        | SignedIn
        | Rule::Oneself
        | AnyMember(_)
        | Rule::MemberInPerson(_)
        | Rule::MemberOrDeputy(_)
        | Rule::Platform(_)
        | Rule::OperatorOfTenant
        | Rule::OwnOrSuperAdmin => false,
    }
}

pub fn expected(rule: Rule, kind: Kind) -> Outcome {
    let when = |allowed: bool| if allowed { Outcome::Allowed } else { Outcome::Status(403) };
    match rule {
        Everybody => Outcome::Allowed,
        _ if !kind.is_signed_in() => Outcome::Status(401),
        SignedIn
        | Rule::Oneself
        | Rule::MemberInPerson(_)
        | Rule::MemberOrDeputy(_)
        | Rule::OwnOrSuperAdmin
            if kind.is_key() =>
        {
            Outcome::Status(403)
        }
        Rule::OperatorOfTenant | Rule::VerifiedInPerson(_) | Rule::VerifiedOneself
            if kind.is_key() || kind == Kind::Impersonator =>
        {
            Outcome::Status(403)
        }
        Rule::Oneself | Rule::MemberInPerson(_) if kind == Kind::Impersonator => Outcome::Status(403),
        Rule::VerifiedOneself | Rule::VerifiedInPerson(_) if kind == Kind::UnverifiedOwner => {
            Outcome::Status(403)
        }
        Rule::VerifiedOneself => Outcome::Allowed,
        SignedIn | Rule::Oneself => Outcome::Allowed,
        Rule::Platform(least) => when(kind.platform_role() >= least),
        _ if kind == Kind::SuperAdmin => Outcome::Allowed,
        Rule::OwnOrSuperAdmin => Outcome::Status(404),
        VerifiedMember(_) if kind.is_key() => when(kind == Kind::KeyWith),
        AnyMember(_) if kind.is_key() => when(kind != Kind::KeyWithout),
        VerifiedMember(_) if kind == Kind::UnverifiedOwner => Outcome::Status(403),
        Rule::OperatorOfTenant => Outcome::Status(if kind.role().is_some() { 403 } else { 404 }),
        AnyMember(least)
        | Rule::VerifiedInPerson(least)
        | Rule::MemberInPerson(least)
        | Rule::MemberOrDeputy(least)
        | VerifiedMember(least) => match kind.role() {
            Some(role) => when(role >= least),
            None => Outcome::Status(404),
        },
    }
}
