//! Which caller may call which operation.

use std::sync::LazyLock;

use portico_identity::token::TokenPurpose;
use portico_kernel::{PlatformRole, TenantRole};
use portico_testkit::server::{Answer, PASSWORD, TestServer};
use serde_json::{Value, json};

use super::callers::Kind;
use crate::{
    factor_stage,
    fixture::{Fixture, PICTURE, Person, email_change, invitation, link},
    provider::FakeProvider,
    release_uploads, wizard,
};
use Rule::{AnyMember, Everybody, SignedIn, VerifiedMember};

mod billing;
mod identity;
mod licensing;
mod platform;
mod sites;
mod support;
mod tenancy;

pub use identity::{OTHER_PASSWORD, change_password};

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
    /// The author of what the path names, who owns the tenant here, and its admins, all in person. To other members it does not exist.
    AuthorOrAdmin,
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

/// An operation and who may call it.
pub type Row = (&'static str, &'static str, Rule);

/// Every operation and who may call it, feature by feature.
pub static RULES: LazyLock<Vec<Row>> = LazyLock::new(|| {
    [
        platform::RULES,
        identity::RULES,
        tenancy::RULES,
        sites::RULES,
        billing::RULES,
        licensing::RULES,
        support::RULES,
    ]
    .concat()
});

/// What a body of an operation may be made of.
#[derive(Clone, Copy)]
struct Call<'a> {
    /// The server that is called.
    server: &'a TestServer,
    /// The tenant that the matrix is about.
    fixture: &'a Fixture,
    /// A user outside of that tenant.
    spare: &'a Person,
    /// Number of the call, for names that differ.
    number: usize,
}

/// A valid body for an operation, where it takes one.
pub async fn body(
    server: &TestServer,
    fixture: &Fixture,
    spare: &Person,
    (method, template): (&str, &str),
    number: usize,
) -> Option<Value> {
    let call = Call { server, fixture, spare, number };
    let relative = template.trim_start_matches("/api/v1").trim_start_matches("/tenants/{tenantId}");
    if let Some(body) = factor_stage::idle_body(method, relative) {
        return Some(body);
    }
    if let Some(body) = identity::body(&call, method, relative).await {
        return Some(body);
    }
    if let Some(body) = billing::body(&call, method, relative) {
        return Some(body);
    }
    if let Some(body) = licensing::body(&call, method, relative) {
        return Some(body);
    }
    if let Some(body) = support::body(&call, method, relative) {
        return Some(body);
    }
    match tenancy::body(&call, method, relative).await {
        Some(body) => Some(body),
        None => sites::body(&call, method, relative).await,
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
    pub fn of(answer: &Answer) -> Self {
        match answer.status.as_u16() {
            // The file of an invoice is elsewhere.
            200..=299 | 302 | 409 => Self::Allowed,
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
        | Rule::AuthorOrAdmin
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
        | Rule::AuthorOrAdmin
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
        Rule::Oneself | Rule::MemberInPerson(_) | Rule::AuthorOrAdmin if kind == Kind::Impersonator => {
            Outcome::Status(403)
        }
        Rule::VerifiedOneself | Rule::VerifiedInPerson(_) if kind == Kind::UnverifiedOwner => {
            Outcome::Status(403)
        }
        Rule::VerifiedOneself => Outcome::Allowed,
        SignedIn | Rule::Oneself => Outcome::Allowed,
        Rule::Platform(least) => when(kind.platform_role() >= least),
        _ if kind == Kind::SuperAdmin => Outcome::Allowed,
        Rule::OwnOrSuperAdmin => Outcome::Status(404),
        Rule::AuthorOrAdmin => match kind.role() {
            Some(role) if role >= TenantRole::Admin => Outcome::Allowed,
            Some(_) | None => Outcome::Status(404),
        },
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
