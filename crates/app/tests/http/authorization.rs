//! Who may do what: every operation of the API document with every kind of caller.
//!
//! [`RULES`] has one row for each operation. An operation without a row fails the test, and so does a row without an
//! operation; a new route therefore starts here.

use std::{collections::BTreeSet, time::Duration};

use portico_identity::{api_key::usage::BURST, ports::TokenIssuer, token::TokenPurpose, user::UserStatus};
use portico_kernel::{Permission, Permissions, PlatformRole, TenantRole};
use portico_security::JwtIssuer;
use portico_testkit::server::{Answer, Client, Database, PASSWORD, TestServer, eventually};
use reqwest::Method;
use serde_json::{Value, json};

use crate::fixture::{
    Fixture, PICTURE, Person, change_user, email_change, fill, invitation, link, linked, parameters, text,
    unlimited,
};
use crate::{assets, factor_stage, provider::FakeProvider, site_sales, wizard};
use Rule::{AnyMember, Everybody, SignedIn, VerifiedMember};

/// Who may call an operation.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// Anybody, also with credentials that are no good.
    Everybody,
    /// Whoever is signed in.
    SignedIn,
    /// Whoever is signed in, and nobody who acts in their name.
    Oneself,
    /// Members of the tenant with this role or a higher one, and keys of the tenant that have the permission.
    AnyMember(TenantRole),
    /// The same, but no key has the permission.
    MemberInPerson(TenantRole),
    /// The same, and whoever acts in their name.
    MemberOrDeputy(TenantRole),
    /// Like `AnyMember`, given that their address is proven.
    VerifiedMember(TenantRole),
    /// People with this role on the platform or a higher one.
    Platform(PlatformRole),
    /// Super admins; members and keys of the tenant see that it is not for them, others do not see the tenant.
    OperatorOfTenant,
    /// Members of the tenant in person with this role or a higher one, given that their address is proven.
    VerifiedInPerson(TenantRole),
    /// Whoever is signed in, and nobody who acts in their name, given that their address is proven.
    VerifiedOneself,
    /// Super admins, and the person whom the path names, who is none of the callers. Nobody else may know of them.
    OwnOrSuperAdmin,
}

const VIEWER: Rule = AnyMember(TenantRole::Viewer);
const EDITOR: Rule = AnyMember(TenantRole::Editor);
const ADMIN: Rule = AnyMember(TenantRole::Admin);
const VERIFIED_EDITOR: Rule = VerifiedMember(TenantRole::Editor);
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
    ("POST", "/api/v1/tenants/{tenantId}/invitations", Rule::VerifiedInPerson(TenantRole::Admin)),
    ("GET", "/api/v1/tenants/{tenantId}/invitations/{invitationId}", Rule::MemberInPerson(TenantRole::Admin)),
    (
        "DELETE",
        "/api/v1/tenants/{tenantId}/invitations/{invitationId}",
        Rule::MemberInPerson(TenantRole::Admin),
    ),
    (
        "POST",
        "/api/v1/tenants/{tenantId}/invitations/{invitationId}/resend",
        Rule::VerifiedInPerson(TenantRole::Admin),
    ),
    ("POST", "/api/v1/invitations/lookup", Everybody),
    ("POST", "/api/v1/invitations/decline", Everybody),
    ("POST", "/api/v1/invitations/accept", Rule::Oneself),
    ("GET", "/api/v1/invitations", SignedIn),
    ("POST", "/api/v1/invitations/{invitationId}/accept", Rule::VerifiedOneself),
    ("POST", "/api/v1/invitations/{invitationId}/decline", Rule::VerifiedOneself),
    ("POST", "/api/v1/auth/switch-tenant", SignedIn),
    ("GET", "/api/v1/tenants/{tenantId}/api-keys", ADMIN),
    ("POST", "/api/v1/tenants/{tenantId}/api-keys", Rule::VerifiedInPerson(TenantRole::Admin)),
    ("GET", "/api/v1/tenants/{tenantId}/api-keys/{keyId}", ADMIN),
    ("PUT", "/api/v1/tenants/{tenantId}/api-keys/{keyId}", Rule::MemberInPerson(TenantRole::Admin)),
    ("DELETE", "/api/v1/tenants/{tenantId}/api-keys/{keyId}", Rule::MemberOrDeputy(TenantRole::Admin)),
    ("POST", "/api/v1/tenants/{tenantId}/api-keys/{keyId}/rotate", Rule::VerifiedInPerson(TenantRole::Admin)),
    ("GET", "/api/v1/tenants/{tenantId}/api-keys/{keyId}/usage", ADMIN),
    ("GET", "/api/v1/events", VIEWER),
    ("GET", "/api/v1/event-types", Everybody),
    ("GET", "/api/v1/tenants/{tenantId}/webhooks", ADMIN),
    ("POST", "/api/v1/tenants/{tenantId}/webhooks", Rule::MemberInPerson(TenantRole::Admin)),
    ("GET", "/api/v1/tenants/{tenantId}/webhooks/{webhookId}", ADMIN),
    ("PUT", "/api/v1/tenants/{tenantId}/webhooks/{webhookId}", Rule::MemberInPerson(TenantRole::Admin)),
    ("DELETE", "/api/v1/tenants/{tenantId}/webhooks/{webhookId}", Rule::MemberInPerson(TenantRole::Admin)),
    (
        "POST",
        "/api/v1/tenants/{tenantId}/webhooks/{webhookId}/rotate-secret",
        Rule::MemberInPerson(TenantRole::Admin),
    ),
    (
        "POST",
        "/api/v1/tenants/{tenantId}/webhooks/{webhookId}/pause",
        Rule::MemberInPerson(TenantRole::Admin),
    ),
    (
        "POST",
        "/api/v1/tenants/{tenantId}/webhooks/{webhookId}/resume",
        Rule::MemberInPerson(TenantRole::Admin),
    ),
    ("POST", "/api/v1/tenants/{tenantId}/webhooks/{webhookId}/test", Rule::MemberInPerson(TenantRole::Admin)),
    ("GET", "/api/v1/tenants/{tenantId}/webhooks/{webhookId}/deliveries", ADMIN),
    (
        "POST",
        "/api/v1/tenants/{tenantId}/webhooks/{webhookId}/resend",
        Rule::MemberInPerson(TenantRole::Admin),
    ),
    ("GET", "/api/v1/tenants/{tenantId}/deliveries", ADMIN),
    ("GET", "/api/v1/tenants/{tenantId}/deliveries/{deliveryId}", ADMIN),
    (
        "POST",
        "/api/v1/tenants/{tenantId}/deliveries/{deliveryId}/resend",
        Rule::MemberInPerson(TenantRole::Admin),
    ),
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
    ("POST", "/api/v1/sites/{siteId}/domains", ADMIN),
    ("GET", "/api/v1/sites/{siteId}/domains/{domainId}", VIEWER),
    ("PUT", "/api/v1/sites/{siteId}/domains/{domainId}", ADMIN),
    ("DELETE", "/api/v1/sites/{siteId}/domains/{domainId}", ADMIN),
    ("POST", "/api/v1/sites/{siteId}/domains/{domainId}/verify", ADMIN),
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
    ("POST", "/api/v1/wizard/{wizardId}/generate-content", EDITOR),
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
    ("POST", "/api/v1/sites/{siteId}/preview", EDITOR),
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
    ("POST", "/api/v1/ai/content-optimize", EDITOR),
    ("POST", "/api/v1/ai/seo-optimize", EDITOR),
    ("POST", "/api/v1/ai/generate-page", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/navigation", VIEWER),
    ("POST", "/api/v1/tenants/{tenantId}/navigation", EDITOR),
    ("PUT", "/api/v1/tenants/{tenantId}/navigation/reorder", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/navigation/{navId}", VIEWER),
    ("PUT", "/api/v1/tenants/{tenantId}/navigation/{navId}", EDITOR),
    ("DELETE", "/api/v1/tenants/{tenantId}/navigation/{navId}", EDITOR),
];

/// Kinds of callers. The eight before `Stranger` have no good credentials, though all but `Anonymous` stand for somebody
/// who is an owner of the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Anonymous,
    Expired,
    LoggedOut,
    RefreshToken,
    ForeignKey,
    Unsigned,
    Suspended,
    /// A key of the tenant that was revoked, with every permission that keys may have.
    RevokedKey,
    Stranger,
    Viewer,
    Editor,
    Admin,
    Owner,
    UnverifiedOwner,
    Staff,
    SuperAdmin,
    /// A key of the tenant with every permission that keys may have.
    KeyWith,
    /// A key of the tenant without any permission.
    KeyWithout,
    /// One of the operator's people who acts as an owner of the tenant.
    Impersonator,
}

impl Kind {
    /// The role in the tenant that the operation is about.
    pub fn role(self) -> Option<TenantRole> {
        match self {
            Self::Viewer => Some(TenantRole::Viewer),
            Self::Editor => Some(TenantRole::Editor),
            Self::Admin => Some(TenantRole::Admin),
            Self::Stranger | Self::Staff | Self::SuperAdmin | Self::Anonymous => None,
            Self::KeyWith | Self::KeyWithout | Self::RevokedKey => None,
            _ => Some(TenantRole::Owner),
        }
    }

    fn is_signed_in(self) -> bool {
        self as u8 >= Self::Stranger as u8
    }

    /// Whether it is a key that is good.
    fn is_key(self) -> bool {
        matches!(self, Self::KeyWith | Self::KeyWithout)
    }

    pub fn platform_role(self) -> PlatformRole {
        match self {
            Self::Staff => PlatformRole::Staff,
            Self::SuperAdmin => PlatformRole::SuperAdmin,
            _ => PlatformRole::Customer,
        }
    }
}

/// What comes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, or 409: it would have been done at another moment.
    Allowed,
    Status(u16),
}

impl Outcome {
    fn of(answer: &Answer) -> Self {
        match answer.status.as_u16() {
            200..=299 | 409 => Self::Allowed,
            status => Self::Status(status),
        }
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
        AnyMember(_) | VerifiedMember(_) if kind.is_key() => when(kind == Kind::KeyWith),
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

/// A caller of each kind.
pub struct Callers {
    pub all: Vec<(Kind, Person)>,
    /// Somebody apart, for operations by which one proves who one is.
    pub spare: Person,
    /// One of the operator's people, who acts as [`Kind::Impersonator`].
    colleague: Person,
}

/// Has `colleague` act as `person`.
async fn act(server: &TestServer, colleague: &mut Person, person: &mut Person) {
    colleague.sign_in(server).await;
    let path = format!("/api/v1/users/{}/impersonate", person.claims.user);
    let tokens = colleague.client.post(&path, json!({"reason": "the matrix"})).await.expect(200);
    person.client.sign(&tokens);
}

impl Callers {
    pub async fn new(server: &TestServer, fixture: &Fixture) -> Self {
        use Kind::*;
        let mut all = Vec::new();
        let mut colleague =
            Person::new(server, "colleague@example.org", |user| user.role = PlatformRole::Staff).await;
        for kind in [
            Anonymous,
            Expired,
            LoggedOut,
            RefreshToken,
            ForeignKey,
            Unsigned,
            Suspended,
            RevokedKey,
            Stranger,
            Viewer,
            Editor,
            Admin,
            Owner,
            UnverifiedOwner,
            Staff,
            SuperAdmin,
            KeyWith,
            KeyWithout,
            Impersonator,
        ] {
            let email = format!("{kind:?}@example.org").to_lowercase();
            let mut person = Person::new(server, &email, |user| {
                user.email_verified = kind != UnverifiedOwner;
                user.role = kind.platform_role();
            })
            .await;
            if let Some(role) = kind.role() {
                person.join(server, &fixture.ids["tenantId"], role).await;
            }
            let real = text(&person.tokens, "access_token");
            let now = server.app.env.now();
            let token = match kind {
                Anonymous => {
                    person.client.headers.remove("authorization");
                    None
                }
                Expired => {
                    let past = now - time::Duration::hours(1);
                    let mut claims = person.claims.clone();
                    claims.expires_at = now - time::Duration::seconds(1);
                    Some(server.app.tokens.access_token(&claims, past).unwrap())
                }
                LoggedOut => {
                    person.client.post_empty("/api/v1/auth/logout").await.expect(204);
                    None
                }
                RefreshToken => Some(text(&person.tokens, "refresh_token")),
                ForeignKey => {
                    let other = JwtIssuer::new(&"another secret of another installation".to_owned().into());
                    Some(other.access_token(&person.claims, now).unwrap())
                }
                Unsigned => {
                    // {"alg":"none","typ":"at+jwt"}
                    let claims = real.split('.').nth(1).unwrap();
                    Some(format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{claims}."))
                }
                KeyWith | KeyWithout | RevokedKey => Some(key(server, fixture, kind).await),
                Suspended => {
                    change_user(server, &person.claims, |user| user.status = UserStatus::Suspended).await;
                    None
                }
                _ => None,
            };
            if kind == Impersonator {
                act(server, &mut colleague, &mut person).await;
            }
            if let Some(token) = token {
                person.client.headers.insert("authorization".into(), format!("Bearer {token}"));
            }
            all.push((kind, person));
        }
        let spare = Person::new(server, "spare@example.org", |_| {}).await;
        Self { all, spare, colleague }
    }
}

/// Makes a key of the fixture's tenant, and answers its text.
async fn key(server: &TestServer, fixture: &Fixture, kind: Kind) -> String {
    let client = &fixture.owner.client;
    let words = Permission::ALL.into_iter().filter(|permission| permission.is_for_keys());
    let words: Vec<_> = words.map(Permission::as_str).collect();
    let body = json!({"name": format!("{kind:?}"), "permissions": words});
    let made = client.post(&client.t("/api-keys"), body).await.expect(201);
    match kind {
        Kind::RevokedKey => {
            client.delete(&client.t(&format!("/api-keys/{}", text(&made, "id")))).await.expect(204);
        }
        // Over the API a key has at least one permission, and each is good for something.
        Kind::KeyWithout => {
            let mut work = server.app.begin().await.unwrap();
            let (tenant, id) = (client.tenant.parse().unwrap(), text(&made, "id").parse().unwrap());
            let mut key = work.api_keys().find(tenant, id).await.unwrap().unwrap();
            key.permissions = Permissions::NONE;
            work.api_keys().update(&key).await.unwrap();
            work.commit().await.unwrap();
        }
        _ => {}
    }
    // Refusals are noticed once an hour. What the matrix refuses is to leave nothing behind, so that comes first.
    let keyed = server.client().with("x-api-key", &text(&made, "key"));
    for _ in 0..BURST {
        let status = keyed.get("/api/v1/profile").await.status.as_u16();
        assert_eq!(status, if kind == Kind::RevokedKey { 401 } else { 403 });
    }
    let path = client.t(&format!("/audit?type=api_key.refusals&resourceId={}", text(&made, "id")));
    let noticed = eventually(Duration::from_secs(20), async || {
        let entries = client.get(&path).await.expect(200);
        entries["items"].as_array().is_some_and(|items| !items.is_empty()).then_some(())
    });
    assert!(noticed.await.is_some(), "refusals of {kind:?} are not noticed");
    text(&made, "key")
}

/// The operations of the document.
fn operations() -> BTreeSet<(String, String)> {
    let document = serde_json::to_value(portico::server::document()).unwrap();
    let mut operations = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            operations.insert((method.to_uppercase(), path.clone()));
        }
    }
    operations
}

#[test]
fn every_operation_has_one_row_and_every_row_an_operation() {
    let rows: BTreeSet<_> = RULES.iter().map(|(m, p, _)| ((*m).to_owned(), (*p).to_owned())).collect();
    assert_eq!(rows.len(), RULES.len(), "a row is there twice");
    let documented = operations();
    let missing: Vec<_> = documented.difference(&rows).collect();
    assert!(missing.is_empty(), "say in RULES who may call {missing:?}");
    let stale: Vec<_> = rows.difference(&documented).collect();
    assert!(stale.is_empty(), "the API document does not have {stale:?}");
}

/// The document says of the same operations that keys may call them as [`RULES`] does.
#[test]
fn the_document_names_the_operations_that_keys_may_call() {
    let document = serde_json::to_value(portico::server::document()).unwrap();
    let mut wrong = Vec::new();
    for (method, path, rule) in RULES {
        let operation = &document["paths"][path][method.to_lowercase()];
        let schemes: Vec<_> = operation["security"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_object)
            .flat_map(|requirement| requirement.keys())
            .collect();
        let named = schemes.iter().any(|scheme| *scheme == "apiKey");
        if named != matches!(rule, AnyMember(_) | VerifiedMember(_)) {
            wrong.push(format!("{method} {path}: {rule:?}, but security is {schemes:?}"));
        }
    }
    assert!(wrong.is_empty(), "name the permission as the scope of `bearer`:\n{}", wrong.join("\n"));
}

/// A valid body for an operation, where it takes one.
pub async fn body(
    server: &TestServer,
    fixture: &Fixture,
    spare: &Person,
    operation: (&str, &str),
    number: usize,
) -> Option<Value> {
    let name = format!("{} {number}", fixture.marker);
    let (method, template) = operation;
    let relative = template.trim_start_matches("/api/v1").trim_start_matches("/tenants/{tenantId}");
    if let Some(body) = factor_stage::idle_body(method, relative) {
        return Some(body);
    }
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
        ("PUT", "/profile/avatar") | ("POST", "/assets/upload") => json!(PICTURE),
        ("PUT", "/assets/{assetId}") => json!({"altText": name}),
        ("POST", "/auth/change-password") => change_password(PASSWORD, OTHER_PASSWORD),
        ("POST", "/users") => {
            json!({"email": format!("made{number}@example.net"), "fullName": "Made Person"})
        }
        ("PUT", "/users/{userId}/password") => json!({"newPassword": OTHER_PASSWORD}),
        ("POST", "/users/{userId}/impersonate") => json!({"reason": format!("Ticket {number}")}),
        ("PUT", "/profile" | "/users/{userId}") => json!({"notes": format!("Note {number}")}),
        // By anybody, so it belongs to somebody else.
        ("POST", "/tenants") => json!({"name": format!("Somebody's {number}")}),
        ("PUT", "/sites/{siteId}" | "") | ("POST", "/sites") => json!({"name": name}),
        // Templates are for everybody, so nothing in them is of the tenant.
        ("POST", "/templates") => json!({
            "name": format!("Template {number}"), "category": "business", "industry": "other",
            "description": "For the matrix.",
            "pages": [{"key": "home", "title": "Home", "sections": [
                {"key": "hero", "type": "hero", "content": {"heading": "Hello"}},
            ]}],
        }),
        ("PUT", "/templates/{templateId}") => json!({"isFeatured": number.is_multiple_of(2)}),
        ("POST", "/templates/{templateId}/apply") => json!({"siteName": name}),
        ("POST", "/pages/{pageId}/reset") => json!({}),
        ("POST", "/sites/{siteId}/preview") => json!({"expiresIn": 60 + number % 60}),
        ("POST", "/wizard/start") | ("PUT", "/wizard/{wizardId}") => {
            json!({"goals": {"goals": [name]}})
        }
        ("POST", "/wizard/{wizardId}/business-info") => json!({"name": name, "industry": "bakery"}),
        ("POST", "/wizard/{wizardId}/template-selection") => {
            json!({"templateId": wizard::template(server, false).await.id})
        }
        ("POST", "/wizard/{wizardId}/design-preferences") => json!({"style": "bold"}),
        ("PUT", "/sites/{siteId}/submissions/{submissionId}") => {
            json!({"status": if number.is_multiple_of(2) { "read" } else { "new" }})
        }
        ("POST", "/sites/{siteId}/domains") => {
            json!({"name": format!("n{number}.{}.example", fixture.marker)})
        }
        ("PUT", "/sites/{siteId}/domains/{domainId}") => json!({"mode": "alias"}),
        ("PUT", "/admin/sites/{siteId}/offer") => json!({"amount": 100 + number, "currency": "usd"}),
        ("POST", "/suspend") => json!({"reason": name}),
        ("PUT", "/settings") => json!({"auditRetentionDays": 30 + number}),
        ("PUT", "/dealer") => json!({"name": name}),
        ("PUT", "/members/{userId}") => json!({"role": "editor"}),
        ("POST", "/transfer-ownership") => json!({"userId": fixture.owner.claims.user}),
        ("POST", "/invitations") => {
            json!({"email": format!("invited{number}@example.net"), "role": "viewer"})
        }
        ("POST", "/invitations/lookup" | "/invitations/decline" | "/invitations/accept") => {
            json!({"token": invitation(server, spare, &spare.email).await.1})
        }
        ("POST", "/auth/switch-tenant") => json!({"tenantId": spare.client.tenant}),
        ("POST", "/api-keys") => json!({"name": name, "permissions": ["pages:read"]}),
        ("PUT", "/api-keys/{keyId}") => json!({"name": name}),
        ("POST", "/webhooks") => {
            json!({"url": format!("https://localhost/hooks/{number}"), "events": ["page.published"]})
        }
        ("PUT", "/webhooks/{webhookId}") => json!({"description": name}),
        ("POST", "/webhooks/{webhookId}/rotate-secret") => json!({"overlapHours": 1}),
        ("POST", "/webhooks/{webhookId}/resend") => json!({"since": "2026-01-01T00:00:00Z"}),
        ("PUT", "/branding") => json!({"colors": {"primary": format!("#{number:06x}")}}),
        ("POST", "/ai/content-optimize") => json!({"type": "hero", "business": {"name": name}}),
        ("POST", "/ai/seo-optimize") => json!({"pageId": fixture.ids["pageId"]}),
        ("POST", "/ai/generate-page") => json!({"title": name, "purpose": name, "sections": ["hero"]}),
        ("POST", "/pages") | ("PUT", "/pages/{pageId}") => json!({"title": name}),
        ("PUT", "/pages/{pageId}/seo") => json!({"title": name}),
        ("POST", "/pages/{pageId}/sections") => section(&name),
        ("POST", "/pages/{pageId}/sections/bulk") => json!({"create": [section(&name)]}),
        ("PUT", "/pages/{pageId}/sections/{sectionId}") => json!({"content": section(&name)["content"]}),
        ("PUT", "/pages/{pageId}/sections/reorder") => {
            let path = fixture.path("/api/v1/tenants/{tenantId}/pages/{pageId}/sections");
            let sections = fixture.owner.client.get(&path).await.expect(200);
            let mut ids: Vec<_> =
                sections["items"].as_array().unwrap().iter().map(|s| s["id"].clone()).collect();
            ids.reverse();
            json!({"ids": ids})
        }
        ("POST", "/navigation") => json!({"label": name, "url": "https://example.com/"}),
        ("PUT", "/navigation/{navId}") => json!({"label": name}),
        ("PUT", "/navigation/reorder") => {
            let items = fixture
                .owner
                .client
                .get(&fixture.path("/api/v1/tenants/{tenantId}/navigation"))
                .await
                .expect(200);
            let items = items["items"].as_array().unwrap().iter().enumerate();
            json!({"items": items.map(|(at, item)| json!({"id": item["id"], "position": at})).collect::<Vec<_>>()})
        }
        _ => return None,
    })
}

const OTHER_PASSWORD: &str = "Another-Horse-8";

fn change_password(from: &str, to: &str) -> Value {
    json!({"currentPassword": from, "newPassword": to})
}

fn section(text: &str) -> Value {
    json!({"type": "text", "content": {"html": format!("<p>{text}</p>")}})
}

/// Sends JSON, or nothing. A list stands for the bytes of a picture.
pub async fn call(client: &Client, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let picture = body.and_then(|body| serde_json::from_value::<Vec<u8>>(body.clone()).ok());
    if let Some(bytes) = picture {
        if path.ends_with("/assets/upload") {
            return client.send(method, path, Some(assets::form_of("dot.gif", &bytes)), assets::FORM).await;
        }
        return client.send(method, path, Some(bytes), "image/gif").await;
    }
    let body = body.map(|body| body.to_string().into_bytes());
    client.send(method, path, body, "application/json").await
}

/// What an answer says, less the path that the caller sent.
fn said(answer: &Answer) -> String {
    match answer.json.as_object() {
        Some(object) if object.contains_key("instance") => {
            let mut object = object.clone();
            object.remove("instance");
            Value::Object(object).to_string().to_lowercase()
        }
        _ => answer.text.to_lowercase(),
    }
}

/// Makes one call of the matrix; `Err` says what is wrong about the answer.
pub async fn check(
    server: &TestServer,
    fixture: &Fixture,
    callers: &mut Callers,
    (method, template, rule): (&str, &str, Rule),
    position: usize,
    number: usize,
) -> Result<Answer, String> {
    let (kind, person) = &mut callers.all[position];
    let wanted = expected(rule, *kind);
    let allowed = wanted == Outcome::Allowed;
    let stage = match allowed {
        true => factor_stage::set(server, person, (method, template), number).await,
        false => None,
    };
    let stage = stage.unwrap_or_default();
    if allowed && template == "/api/v1/users/{userId}/second-factors" {
        factor_stage::enrol(server, fixture.ids["userId"].parse().unwrap()).await;
    }
    // What one call uses up must not be missing in the next one.
    let used_up = match (method, parameters(template).last()) {
        ("DELETE", Some(last)) if allowed && template.ends_with('}') => Some(*last),
        ("POST", Some(&"jobId")) if allowed => Some("jobId"),
        // A wizard is completed once, and writes its texts once at a time.
        ("POST", Some(&"wizardId")) if allowed => Some("wizardId"),
        ("POST", Some(&"tenantId"))
            if allowed
                && ["/suspend", "/reinstate", "/restore", "/transfer-ownership"]
                    .iter()
                    .any(|end| template.ends_with(end)) =>
        {
            Some("tenantId")
        }
        ("POST", Some(&"invitationId")) if template.starts_with("/api/v1/invitations/") => {
            Some("invitationId")
        }
        ("POST", Some(&"userId")) if allowed && template.ends_with("/erase") => Some("userId"),
        _ => None,
    };
    let fresh = match used_up {
        Some("passkeyId") => stage.passkey.clone(),
        Some("sessionId") => {
            let mut again = person.clone();
            again.sign_in(server).await;
            Some(again.claims.session.to_string())
        }
        Some("identityId") => {
            person.sign_in(server).await;
            Some(linked(server, person).await)
        }
        Some("invitationId") if template.starts_with("/api/v1/invitations/") => {
            Some(invitation(server, &callers.spare, &person.email).await.0)
        }
        Some(parameter) => {
            let id = fixture.fresh(server, parameter).await;
            if let ("tenantId", Some(role)) = (parameter, kind.role()) {
                person.join(server, &id, role).await;
            }
            Some(id)
        }
        None => None,
    };
    // Sites are offered by people of their tenant, and shown to everybody.
    let offered = match template {
        "/api/v1/admin/sites/{siteId}/offer" if allowed => {
            Some(site_sales::offered(server, &person.client.tenant, method == "DELETE").await)
        }
        "/api/v1/sites/for-sale/{siteSlug}" => {
            Some(site_sales::offered(server, &callers.spare.client.tenant, true).await)
        }
        _ => None,
    };
    let mut path = fill(template, |name| match &fresh {
        _ if name == "siteId" && offered.is_some() => offered.as_ref().map(|site| site.id.to_string()),
        _ if name == "siteSlug" => offered.as_ref().map(|site| site.subdomain.clone()),
        Some(id) if Some(name) == used_up => Some(id.clone()),
        _ if name == "passkeyId" && stage.passkey.is_some() => stage.passkey.clone(),
        _ => fixture.ids.get(name).cloned(),
    });
    if template == "/api/tls/ask" {
        path = format!("{path}?domain={}", fixture.ids["siteHost"]);
    }
    let body = match template {
        // What concerns oneself is about the caller.
        "/api/v1/auth/switch-tenant" => Some(json!({"tenantId": person.client.tenant})),
        "/api/v1/invitations/accept" => {
            Some(json!({"token": invitation(server, &callers.spare, &person.email).await.1}))
        }
        _ if stage.body.is_some() => stage.body.clone(),
        _ => body(server, fixture, &callers.spare, (method, template), number).await,
    };
    // Somebody in their place, for what there is no way back from; freshly proven, for what wants that.
    let mut substitute = None;
    if allowed && template == "/api/v1/profile/erase" {
        let email = format!("erased{number}@example.org");
        let other = Person::new(server, &email, |user| user.role = kind.platform_role()).await;
        if let Some(role) = kind.role() {
            other.join(server, &fixture.ids["tenantId"], role).await;
        }
        substitute = Some(other.client);
    }
    if allowed && template.ends_with("/impersonate") {
        person.sign_in(server).await;
    }
    let mut client = substitute.unwrap_or_else(|| person.client.clone());
    if matches!(rule, AnyMember(_) | Rule::MemberInPerson(_) | Rule::MemberOrDeputy(_) | VerifiedMember(_))
        && !template.contains("{tenantId}")
    {
        client = client.with("x-tenant-id", &fixture.ids["tenantId"]);
    }
    let answer = call(&client, method, &path, body.as_ref()).await;
    if allowed && factor_stage::is_about_factors(template) {
        factor_stage::clear(server, person.claims.user).await;
    }
    match template.rsplit('/').next() {
        Some("logout") if allowed && *kind == Kind::Impersonator => {
            act(server, &mut callers.colleague, person).await;
        }
        Some("logout") if allowed => person.sign_in(server).await,
        Some("change-password") if allowed => {
            client.post(&path, change_password(OTHER_PASSWORD, PASSWORD)).await.expect(204);
        }
        _ => {}
    }
    let told = format!("{method} {template} by {kind:?}: {} {}", answer.status, answer.text);
    if Outcome::of(&answer) != wanted {
        return Err(format!("{told}\n    expected: {wanted:?}"));
    }
    let insider =
        kind.role().is_some() || matches!(kind, Kind::SuperAdmin | Kind::KeyWith | Kind::KeyWithout);
    let outsider = !insider || !kind.is_signed_in();
    if (outsider || !allowed) && said(&answer).contains(&fixture.marker) {
        return Err(format!("{told}\n    tells something of the tenant"));
    }
    if !allowed && answer.header("content-type") != "application/problem+json" {
        return Err(format!("{told}\n    is no problem document"));
    }
    if answer.status.as_u16() == 401 && !answer.header("www-authenticate").starts_with("Bearer") {
        return Err(format!("{told}\n    has no WWW-Authenticate"));
    }
    Ok(answer)
}

/// The whole matrix: first every call that is to be refused, after which nothing may have changed, then the others.
async fn matrix(database: Database) {
    let provider = FakeProvider::start().await;
    let server = TestServer::start_with(database, |settings| provider.configure(settings)).await;
    unlimited(&server).await;
    let fixture = Fixture::new(&server, "quagga").await;
    let mut callers = Callers::new(&server, &fixture).await;
    let before = fixture.snapshot().await;
    let (mut failures, mut number) = (Vec::new(), 0);
    for allowed in [false, true] {
        for rule in RULES {
            for position in 0..callers.all.len() {
                if (expected(rule.2, callers.all[position].0) == Outcome::Allowed) == allowed {
                    number += 1;
                    failures
                        .extend(check(&server, &fixture, &mut callers, *rule, position, number).await.err());
                }
            }
        }
        if !allowed {
            assert_eq!(fixture.snapshot().await, before, "a refused call has done something");
        }
    }
    assert_eq!(number, RULES.len() * callers.all.len());
    assert!(failures.is_empty(), "{} of {number} calls:\n{}", failures.len(), failures.join("\n"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_every_kind_of_caller_as_ruled_on_sqlite() {
    matrix(Database::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_every_kind_of_caller_as_ruled_on_postgres() {
    matrix(Database::Postgres).await;
}

/// Every way to put the ids of another tenant into a path.
#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_ids_in_a_path_are_not_found() {
    TestServer::on_each_database(async |server| {
        unlimited(server).await;
        let own = Fixture::new(server, "okapi").await;
        let other = Fixture::new(server, "quagga").await;
        let before = (own.snapshot().await, other.snapshot().await);
        let mut failures = Vec::new();
        for (number, (method, template, rule)) in RULES.iter().enumerate() {
            let names = parameters(template);
            // A provider is the same for every tenant, and pictures of people and templates are for everybody.
            let global = ["templateId", "previewFile", "industry"];
            if names.iter().all(|name| global.contains(name))
                || names == ["provider"]
                || names == ["personId", "avatarName"]
                // A signed link is for whoever has it.
                || names == ["tenantId", "assetId", "variant"]
                || matches!(rule, Rule::Platform(_))
            {
                continue;
            }
            let body = body(server, &own, &own.owner, (method, template), number).await;
            for foreign in 1..1_u32 << names.len() {
                let path = fill(template, |name| {
                    let place = names.iter().position(|other| *other == name)?;
                    let whose = if foreign & (1 << place) == 0 { &own } else { &other };
                    whose.ids.get(name).cloned()
                });
                let answer = call(&own.owner.client, method, &path, body.as_ref()).await;
                if answer.status.as_u16() != 404 || said(&answer).contains("quagga") {
                    failures
                        .push(format!("{method} {template} as {path}: {} {}", answer.status, answer.text));
                }
            }
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        assert_eq!((own.snapshot().await, other.snapshot().await), before);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_ids_in_a_body_or_query_are_refused() {
    TestServer::on_each_database(async |server| {
        unlimited(server).await;
        let own = Fixture::new(server, "okapi").await;
        let other = Fixture::new(server, "quagga").await;
        let before = (own.snapshot().await, other.snapshot().await);
        let id = |name: &str| other.ids[name].clone();
        let of_site = format!("?siteId={}", id("siteId"));
        let page = "/api/v1/tenants/{tenantId}/pages/{pageId}";
        let navigation = "/api/v1/tenants/{tenantId}/navigation";
        let nav = "/api/v1/tenants/{tenantId}/navigation/{navId}";
        let (sections, pages) = (format!("{page}/sections"), "/api/v1/tenants/{tenantId}/pages");
        let calls = [
            ("GET", format!("{pages}{of_site}"), Value::Null),
            ("POST", format!("{pages}{of_site}"), json!({"title": "Mine"})),
            ("GET", format!("{pages}/slug/{}{of_site}", id("slug")), Value::Null),
            ("GET", format!("{navigation}{of_site}"), Value::Null),
            ("POST", format!("{navigation}{of_site}"), json!({"label": "Mine"})),
            (
                "PUT",
                format!("{navigation}/reorder{of_site}"),
                json!({"items": [{"id": id("navId"), "position": 0}]}),
            ),
            ("PUT", format!("{navigation}/reorder"), json!({"items": [{"id": id("navId"), "position": 0}]})),
            ("POST", navigation.into(), json!({"label": "Mine", "pageId": id("pageId")})),
            ("POST", navigation.into(), json!({"label": "Mine", "parentId": id("navId")})),
            ("PUT", nav.into(), json!({"pageId": id("pageId")})),
            ("PUT", nav.into(), json!({"parentId": id("navId")})),
            ("PUT", format!("{sections}/reorder"), json!({"ids": [id("sectionId")]})),
            ("POST", "/api/v1/templates/{templateId}/apply".into(), json!({"pageId": id("pageId")})),
            ("POST", "/api/v1/templates/{templateId}/apply".into(), json!({"siteId": id("siteId")})),
            ("POST", format!("{page}/reset"), json!({"sectionId": id("sectionId")})),
            (
                "POST",
                format!("{sections}/bulk"),
                json!({"update": [{"id": id("sectionId"), "visible": false}]}),
            ),
            ("POST", format!("{sections}/bulk"), json!({"delete": [id("sectionId")]})),
            ("PUT", "/api/v1/tenants/{tenantId}/branding".into(), json!({"logoAssetId": id("assetId")})),
            ("PUT", format!("{page}/seo"), json!({"openGraph": {"imageAssetId": id("assetId")}})),
            (
                "POST",
                sections,
                json!({"type": "hero", "content": {"heading": "x", "imageAssetId": id("assetId")}}),
            ),
        ];
        let mut failures = Vec::new();
        for (method, template, body) in &calls {
            let answer =
                call(&own.owner.client, method, &own.path(template), Some(body).filter(|b| !b.is_null()))
                    .await;
            if !matches!(answer.status.as_u16(), 404 | 422) || said(&answer).contains("quagga") {
                failures.push(format!("{method} {template} {body}: {} {}", answer.status, answer.text));
            }
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        assert_eq!((own.snapshot().await, other.snapshot().await), before);
    })
    .await;
}

/// Asks until the answer has a status; the patience is what is promised.
async fn within_a_second(status: u16, mut ask: impl AsyncFnMut() -> Answer) {
    let mut last = None;
    let found = eventually(Duration::from_secs(1), async || {
        let answer = ask().await;
        let found = answer.status.as_u16() == status;
        last = Some(answer);
        found.then_some(())
    })
    .await;
    assert!(found.is_some(), "no {status} within a second, but {last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_a_role_the_membership_or_the_account_acts_within_a_second() {
    TestServer::on_each_database(async |server| {
        let owner = server.unverified("owner@example.com").await;
        let member = Person::new(server, "member@example.com", |_| {}).await;
        member.join(server, &owner.tenant, TenantRole::Owner).await;
        let path = owner.t("");
        let rename = async || member.client.put(&path, json!({"name": "Renamed"})).await;
        rename().await.expect(200);
        // At another instance.
        let elsewhere = server.another_instance().await;
        let mut there = elsewhere.client();
        there.headers = owner.headers.clone();
        let membership = owner.t(&format!("/members/{}", member.claims.user));
        there.put(&membership, json!({"role": "viewer"})).await.expect(200);
        within_a_second(403, rename).await;
        member.client.get(&path).await.expect(200);
        there.delete(&membership).await.expect(204);
        within_a_second(404, rename).await;
        let profile = async || member.client.get("/api/v1/profile").await;
        profile().await.expect(200);
        change_user(&elsewhere, &member.claims, |user| user.status = UserStatus::Suspended).await;
        within_a_second(401, profile).await;
        let login = json!({"email": member.email, "password": PASSWORD});
        let login = server.client().post("/api/v1/auth/login", login).await;
        assert_eq!(login.status.as_u16(), 403, "{}", login.text);
        elsewhere.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_tenant_is_gone_at_once() {
    TestServer::on_each_database(async |server| {
        let fixture = Fixture::new(server, "quagga").await;
        let viewer = Person::new(server, "viewer@example.com", |_| {}).await;
        viewer.join(server, &fixture.ids["tenantId"], TenantRole::Viewer).await;
        let super_admin =
            Person::new(server, "root@example.com", |u| u.role = PlatformRole::SuperAdmin).await;
        let paths = [
            "/api/v1/tenants/{tenantId}",
            "/api/v1/tenants/{tenantId}/branding",
            "/api/v1/tenants/{tenantId}/pages",
            "/api/v1/tenants/{tenantId}/pages/{pageId}",
            "/api/v1/sites/{siteId}",
        ];
        for template in paths {
            let viewer = viewer.client.with("x-tenant-id", &fixture.ids["tenantId"]);
            viewer.get(&fixture.path(template)).await.expect(200);
        }
        fixture.owner.client.delete(&fixture.path("/api/v1/tenants/{tenantId}")).await.expect(204);
        for person in [&viewer, &fixture.owner, &super_admin] {
            for template in paths {
                let client = person.client.with("x-tenant-id", &fixture.ids["tenantId"]);
                let answer = client.get(&fixture.path(template)).await;
                assert_eq!(answer.status.as_u16(), 404, "{template} by {}: {}", person.email, answer.text);
            }
        }
        let tenants = fixture.owner.client.get("/api/v1/tenants").await.expect(200);
        assert_eq!(tenants["total"], 0, "{tenants}");
    })
    .await;
}

/// A super admin may act in every tenant, but not in one that never was.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_never_was_is_not_found_by_a_super_admin() {
    TestServer::on_each_database(async |server| {
        unlimited(server).await;
        let fixture = Fixture::new(server, "quagga").await;
        let super_admin =
            Person::new(server, "root@example.com", |u| u.role = PlatformRole::SuperAdmin).await;
        let nowhere = server.app.env.random_uuid().to_string();
        let client = super_admin.client.with("x-tenant-id", &nowhere);
        let mut failures = Vec::new();
        for (number, (method, template, rule)) in RULES.iter().enumerate() {
            if matches!(
                rule,
                AnyMember(_)
                    | Rule::MemberInPerson(_)
                    | Rule::MemberOrDeputy(_)
                    | Rule::VerifiedInPerson(_)
                    | Rule::OperatorOfTenant
                    | VerifiedMember(_)
            ) {
                let body = body(server, &fixture, &fixture.owner, (method, template), number).await;
                let path = fixture.path(&template.replace("{tenantId}", &nowhere));
                let answer = call(&client, method, &path, body.as_ref()).await;
                if answer.status.as_u16() != 404 {
                    failures.push(format!("{method} {template}: {} {}", answer.status, answer.text));
                }
            }
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_ends_access_at_once() {
    TestServer::on_each_database(async |server| {
        let client = server.unverified("ada@example.com").await;
        client.post_empty("/api/v1/auth/logout").await.expect(204);
        client.get("/api/v1/profile").await.expect(401);
        client.get(&client.t("/pages")).await.expect(401);
    })
    .await;
}
