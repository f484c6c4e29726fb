//! Who may do what: every operation of the API document with every kind of caller.
//!
//! [`RULES`] has one row for each operation. An operation without a row fails the test, and so does a row without an
//! operation; a new route therefore starts here.

use std::{collections::BTreeSet, time::Duration};

use portico_identity::{ports::TokenIssuer, token::TokenPurpose, user::UserStatus};
use portico_kernel::{PlatformRole, TenantRole};
use portico_security::JwtIssuer;
use portico_testkit::server::{Answer, Client, Database, PASSWORD, TestServer, eventually};
use reqwest::Method;
use serde_json::{Value, json};

use crate::fixture::{Fixture, Person, change_user, fill, link, parameters, text, unlimited};
use Rule::{AnyMember, Everybody, SignedIn, VerifiedMember};

/// Who may call an operation.
#[derive(Clone, Copy, Debug)]
enum Rule {
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
    /// The same, given that their address is proven.
    VerifiedMember(TenantRole),
    /// People with this role on the platform or a higher one.
    Platform(PlatformRole),
}

const VIEWER: Rule = AnyMember(TenantRole::Viewer);
const EDITOR: Rule = AnyMember(TenantRole::Editor);
const ADMIN: Rule = AnyMember(TenantRole::Admin);
const VERIFIED_EDITOR: Rule = VerifiedMember(TenantRole::Editor);
const STAFF: Rule = Rule::Platform(PlatformRole::Staff);
const SUPER_ADMIN: Rule = Rule::Platform(PlatformRole::SuperAdmin);

/// Every operation and who may call it.
const RULES: &[(&str, &str, Rule)] = &[
    ("GET", "/api/health", Everybody),
    ("GET", "/api/health/live", Everybody),
    ("GET", "/api/health/ready", Everybody),
    ("GET", "/api/metrics", Everybody),
    ("POST", "/api/v1/auth/register", Everybody),
    ("POST", "/api/v1/auth/login", Everybody),
    ("POST", "/api/v1/auth/refresh", Everybody),
    ("POST", "/api/v1/auth/verify-email", Everybody),
    ("POST", "/api/v1/auth/resend-verification", Everybody),
    ("POST", "/api/v1/auth/forgot-password", Everybody),
    ("POST", "/api/v1/auth/reset-password", Everybody),
    ("POST", "/api/v1/auth/logout", SignedIn),
    ("POST", "/api/v1/auth/change-password", Rule::Oneself),
    ("GET", "/api/v1/auth/sessions", SignedIn),
    ("DELETE", "/api/v1/auth/sessions/{sessionId}", SignedIn),
    ("GET", "/api/v1/profile", SignedIn),
    ("PUT", "/api/v1/profile", SignedIn),
    ("GET", "/api/v1/tenants", SignedIn),
    ("POST", "/api/v1/tenants", SignedIn),
    ("GET", "/api/v1/tenants/{tenantId}", VIEWER),
    ("PUT", "/api/v1/tenants/{tenantId}", ADMIN),
    ("DELETE", "/api/v1/tenants/{tenantId}", Rule::MemberInPerson(TenantRole::Owner)),
    ("GET", "/api/v1/tenants/{tenantId}/branding", VIEWER),
    ("PUT", "/api/v1/tenants/{tenantId}/branding", ADMIN),
    ("DELETE", "/api/v1/tenants/{tenantId}/branding", ADMIN),
    ("GET", "/api/v1/tenants/{tenantId}/audit", ADMIN),
    ("GET", "/api/v1/audit", SUPER_ADMIN),
    ("GET", "/api/v1/admin/jobs", STAFF),
    ("POST", "/api/v1/admin/jobs/{jobId}/replay", STAFF),
    ("GET", "/api/v1/billing/plans", Everybody),
    ("GET", "/api/v1/billing/usage", VIEWER),
    ("GET", "/api/v1/sites", VIEWER),
    ("POST", "/api/v1/sites", EDITOR),
    ("GET", "/api/v1/sites/{siteId}", VIEWER),
    ("PUT", "/api/v1/sites/{siteId}", EDITOR),
    ("DELETE", "/api/v1/sites/{siteId}", ADMIN),
    ("POST", "/api/v1/sites/{siteId}/deploy", VERIFIED_EDITOR),
    ("GET", "/api/v1/sites/{siteId}/status", VIEWER),
    ("GET", "/api/v1/sites/{siteId}/deployments", VIEWER),
    ("GET", "/api/v1/sites/{siteId}/deployments/{deploymentId}", VIEWER),
    ("POST", "/api/v1/sites/{siteId}/deployments/{deploymentId}/rollback", VERIFIED_EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/pages", VIEWER),
    ("POST", "/api/v1/tenants/{tenantId}/pages", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/pages/slug/{slug}", VIEWER),
    ("GET", "/api/v1/tenants/{tenantId}/pages/{pageId}", VIEWER),
    ("PUT", "/api/v1/tenants/{tenantId}/pages/{pageId}", EDITOR),
    ("DELETE", "/api/v1/tenants/{tenantId}/pages/{pageId}", EDITOR),
    ("POST", "/api/v1/tenants/{tenantId}/pages/{pageId}/duplicate", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/pages/{pageId}/sections", VIEWER),
    ("POST", "/api/v1/tenants/{tenantId}/pages/{pageId}/sections", EDITOR),
    ("PUT", "/api/v1/tenants/{tenantId}/pages/{pageId}/sections/reorder", EDITOR),
    ("POST", "/api/v1/tenants/{tenantId}/pages/{pageId}/sections/bulk", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/pages/{pageId}/sections/{sectionId}", VIEWER),
    ("PUT", "/api/v1/tenants/{tenantId}/pages/{pageId}/sections/{sectionId}", EDITOR),
    ("DELETE", "/api/v1/tenants/{tenantId}/pages/{pageId}/sections/{sectionId}", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/navigation", VIEWER),
    ("POST", "/api/v1/tenants/{tenantId}/navigation", EDITOR),
    ("PUT", "/api/v1/tenants/{tenantId}/navigation/reorder", EDITOR),
    ("GET", "/api/v1/tenants/{tenantId}/navigation/{navId}", VIEWER),
    ("PUT", "/api/v1/tenants/{tenantId}/navigation/{navId}", EDITOR),
    ("DELETE", "/api/v1/tenants/{tenantId}/navigation/{navId}", EDITOR),
];

/// Kinds of callers. The seven before `Stranger` have no good credentials, though all but `Anonymous` stand for somebody
/// who is an owner of the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Anonymous,
    Expired,
    LoggedOut,
    RefreshToken,
    ForeignKey,
    Unsigned,
    Suspended,
    Stranger,
    Viewer,
    Editor,
    Admin,
    Owner,
    UnverifiedOwner,
    Staff,
    SuperAdmin,
}

impl Kind {
    /// The role in the tenant that the operation is about.
    fn role(self) -> Option<TenantRole> {
        match self {
            Self::Viewer => Some(TenantRole::Viewer),
            Self::Editor => Some(TenantRole::Editor),
            Self::Admin => Some(TenantRole::Admin),
            Self::Stranger | Self::Staff | Self::SuperAdmin | Self::Anonymous => None,
            _ => Some(TenantRole::Owner),
        }
    }

    fn is_signed_in(self) -> bool {
        self as u8 >= Self::Stranger as u8
    }

    fn platform_role(self) -> PlatformRole {
        match self {
            Self::Staff => PlatformRole::Staff,
            Self::SuperAdmin => PlatformRole::SuperAdmin,
            _ => PlatformRole::Customer,
        }
    }
}

/// What comes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
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

fn expected(rule: Rule, kind: Kind) -> Outcome {
    let when = |allowed: bool| if allowed { Outcome::Allowed } else { Outcome::Status(403) };
    match rule {
        Everybody => Outcome::Allowed,
        _ if !kind.is_signed_in() => Outcome::Status(401),
        SignedIn | Rule::Oneself => Outcome::Allowed,
        Rule::Platform(least) => when(kind.platform_role() >= least),
        _ if kind == Kind::SuperAdmin => Outcome::Allowed,
        VerifiedMember(_) if kind == Kind::UnverifiedOwner => Outcome::Status(403),
        AnyMember(least) | Rule::MemberInPerson(least) | VerifiedMember(least) => match kind.role() {
            Some(role) => when(role >= least),
            None => Outcome::Status(404),
        },
    }
}

/// A caller of each kind.
struct Callers {
    all: Vec<(Kind, Person)>,
    /// Somebody apart, for operations by which one proves who one is.
    spare: Person,
}

impl Callers {
    async fn new(server: &TestServer, fixture: &Fixture) -> Self {
        use Kind::*;
        let mut all = Vec::new();
        for kind in [
            Anonymous,
            Expired,
            LoggedOut,
            RefreshToken,
            ForeignKey,
            Unsigned,
            Suspended,
            Stranger,
            Viewer,
            Editor,
            Admin,
            Owner,
            UnverifiedOwner,
            Staff,
            SuperAdmin,
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
                Suspended => {
                    change_user(server, &person.claims, |user| user.status = UserStatus::Suspended).await;
                    None
                }
                _ => None,
            };
            if let Some(token) = token {
                person.client.headers.insert("authorization".into(), format!("Bearer {token}"));
            }
            all.push((kind, person));
        }
        let spare = Person::new(server, "spare@example.org", |_| {}).await;
        Self { all, spare }
    }
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
    Some(match (method, relative) {
        ("POST", "/auth/register") => {
            json!({"email": format!("new{number}@example.net"), "password": PASSWORD, "fullName": "New Person"})
        }
        ("POST", "/auth/login") => json!({"email": spare.email, "password": PASSWORD}),
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
        ("POST", "/auth/change-password") => change_password(PASSWORD, OTHER_PASSWORD),
        ("PUT", "/profile") => json!({"notes": format!("Note {number}")}),
        // By anybody, so it belongs to somebody else.
        ("POST", "/tenants") => json!({"name": format!("Somebody's {number}")}),
        ("PUT", "/sites/{siteId}" | "") | ("POST", "/sites") => json!({"name": name}),
        ("PUT", "/branding") => json!({"colors": {"primary": format!("#{number:06x}")}}),
        ("POST", "/pages") | ("PUT", "/pages/{pageId}") => json!({"title": name}),
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

/// Sends JSON, or nothing.
pub async fn call(client: &Client, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let body = body.map(|body| body.to_string().into_bytes());
    client.send(Method::from_bytes(method.as_bytes()).unwrap(), path, body, "application/json").await
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
async fn check(
    server: &TestServer,
    fixture: &Fixture,
    callers: &mut Callers,
    (method, template, rule): (&str, &str, Rule),
    position: usize,
    number: usize,
) -> Result<(), String> {
    let (kind, person) = &mut callers.all[position];
    let wanted = expected(rule, *kind);
    let allowed = wanted == Outcome::Allowed;
    // What one call uses up must not be missing in the next one.
    let used_up = match (method, parameters(template).last()) {
        ("DELETE", Some(last)) if allowed && template.ends_with('}') => Some(*last),
        ("POST", Some(&"jobId")) if allowed => Some("jobId"),
        _ => None,
    };
    let fresh = match used_up {
        Some("sessionId") => {
            let mut again = person.clone();
            again.sign_in(server).await;
            Some(again.claims.session.to_string())
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
    let path = fill(template, |name| match &fresh {
        Some(id) if Some(name) == used_up => Some(id.clone()),
        _ => fixture.ids.get(name).cloned(),
    });
    let body = body(server, fixture, &callers.spare, (method, template), number).await;
    let mut client = person.client.clone();
    if matches!(rule, AnyMember(_) | Rule::MemberInPerson(_) | VerifiedMember(_)) && !template.contains("{tenantId}") {
        client = client.with("x-tenant-id", &fixture.ids["tenantId"]);
    }
    let answer = call(&client, method, &path, body.as_ref()).await;
    match template.rsplit('/').next() {
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
    let outsider = kind.role().is_none() && *kind != Kind::SuperAdmin || !kind.is_signed_in();
    if (outsider || !allowed) && said(&answer).contains(&fixture.marker) {
        return Err(format!("{told}\n    tells something of the tenant"));
    }
    if !allowed && answer.header("content-type") != "application/problem+json" {
        return Err(format!("{told}\n    is no problem document"));
    }
    if answer.status.as_u16() == 401 && !answer.header("www-authenticate").starts_with("Bearer") {
        return Err(format!("{told}\n    has no WWW-Authenticate"));
    }
    Ok(())
}

/// The whole matrix: first every call that is to be refused, after which nothing may have changed, then the others.
async fn matrix(database: Database) {
    let server = TestServer::start_with(database, |_| {}).await;
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
            if names.is_empty() || matches!(rule, Rule::Platform(_)) {
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
            (
                "POST",
                format!("{sections}/bulk"),
                json!({"update": [{"id": id("sectionId"), "visible": false}]}),
            ),
            ("POST", format!("{sections}/bulk"), json!({"delete": [id("sectionId")]})),
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
        // In the store, as another instance would: nothing tells this one.
        let (tenant, user) = (owner.tenant.parse().unwrap(), member.claims.user);
        server.set_role(tenant, user, Some("viewer")).await;
        within_a_second(403, rename).await;
        member.client.get(&path).await.expect(200);
        server.set_role(tenant, user, None).await;
        within_a_second(404, rename).await;
        let profile = async || member.client.get("/api/v1/profile").await;
        profile().await.expect(200);
        change_user(server, &member.claims, |user| user.status = UserStatus::Suspended).await;
        within_a_second(401, profile).await;
        let login = json!({"email": member.email, "password": PASSWORD});
        let login = server.client().post("/api/v1/auth/login", login).await;
        assert_eq!(login.status.as_u16(), 403, "{}", login.text);
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
            if matches!(rule, AnyMember(_) | Rule::MemberInPerson(_) | VerifiedMember(_)) {
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
