//! A caller of each kind.

use std::time::Duration;

use portico_identity::{api_key::usage::BURST, ports::TokenIssuer, user::UserStatus};
use portico_kernel::{Permission, Permissions, PlatformRole, TenantRole};
use portico_security::JwtIssuer;
use portico_testkit::server::{TestServer, eventually};
use serde_json::json;

use crate::fixture::{Fixture, Person, change_user, text};

/// Kinds of callers. The nine before `Stranger` have no good credentials, though all but `Anonymous` stand for an
/// owner of the tenant.
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
    /// A key of the tenant whose maker, an owner, is suspended, with every permission that keys may have.
    KeyOfSuspended,
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
    /// A key with every permission whose maker, an owner, has an address that is not verified (any more).
    KeyOfUnverified,
    /// A member of the operator's staff who acts as an owner of the tenant.
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
            Self::KeyOfSuspended | Self::KeyOfUnverified => None,
            _ => Some(TenantRole::Owner),
        }
    }

    pub fn is_signed_in(self) -> bool {
        self as u8 >= Self::Stranger as u8
    }

    /// Whether it is a key that is good.
    pub fn is_key(self) -> bool {
        matches!(self, Self::KeyWith | Self::KeyWithout | Self::KeyOfUnverified)
    }

    pub fn platform_role(self) -> PlatformRole {
        match self {
            Self::Staff => PlatformRole::Staff,
            Self::SuperAdmin => PlatformRole::SuperAdmin,
            _ => PlatformRole::Customer,
        }
    }
}

/// A caller of each kind.
pub struct Callers {
    pub all: Vec<(Kind, Person)>,
    /// A separate user, for operations that prove identity.
    pub spare: Person,
    /// The staff member who acts as [`Kind::Impersonator`].
    pub colleague: Person,
}

/// Has `colleague` act as `person`.
pub async fn act(server: &TestServer, colleague: &mut Person, person: &mut Person) {
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
            KeyOfSuspended,
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
            KeyOfUnverified,
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
            let now = server.app.core.env.now();
            let token = match kind {
                Anonymous => {
                    person.client.headers.remove("authorization");
                    None
                }
                Expired => {
                    let past = now - time::Duration::hours(1);
                    let mut claims = person.claims.clone();
                    claims.expires_at = now - time::Duration::seconds(1);
                    Some(server.app.identity.tokens.access_token(&claims, past).unwrap())
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
                KeyWith | KeyWithout | KeyOfUnverified | KeyOfSuspended | RevokedKey => {
                    Some(key(server, fixture, kind).await)
                }
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

/// Makes a key of the fixture's tenant, and returns its text.
pub async fn key(server: &TestServer, fixture: &Fixture, kind: Kind) -> String {
    let client = &fixture.owner.client;
    let tenant = &fixture.ids["tenantId"];
    let email = format!("maker-of-{kind:?}@example.org").to_lowercase();
    let maker = Person::new(server, &email, |_| {}).await;
    maker.join(server, tenant, TenantRole::Owner).await;
    let words = Permission::ALL.into_iter().filter(|permission| permission.is_for_keys());
    let words: Vec<_> = words.map(Permission::as_str).collect();
    let body = json!({"name": format!("{kind:?}"), "permissions": words});
    let made = maker.client.post(&client.t("/api-keys"), body).await.expect(201);
    match kind {
        Kind::KeyOfSuspended => {
            change_user(server, &maker.claims, |user| user.status = UserStatus::Suspended).await;
        }
        Kind::KeyOfUnverified => {
            change_user(server, &maker.claims, |user| user.email_verified = false).await;
        }
        Kind::RevokedKey => {
            client.delete(&client.t(&format!("/api-keys/{}", text(&made, "id")))).await.expect(204);
        }
        // Over the API a key has at least one permission, and each is good for something.
        Kind::KeyWithout => {
            let mut work = server.app.core.begin().await.unwrap();
            let (tenant, id) = (client.tenant.parse().unwrap(), text(&made, "id").parse().unwrap());
            let mut key = work.api_keys().find(tenant, id).await.unwrap().unwrap();
            key.permissions = Permissions::NONE;
            work.api_keys().update(&key).await.unwrap();
            work.commit().await.unwrap();
        }
        _ => {}
    }
    // Refusals are noticed once an hour. What the matrix refuses must change nothing, so the notice comes first.
    let keyed = server.client().with("x-api-key", &text(&made, "key"));
    for _ in 0..BURST {
        let status = keyed.get("/api/v1/profile").await.status.as_u16();
        assert_eq!(status, if kind.is_signed_in() { 403 } else { 401 });
    }
    let path = client.t(&format!("/audit?type=api_key.refusals&resourceId={}", text(&made, "id")));
    let noticed = eventually(Duration::from_secs(20), async || {
        let entries = client.get(&path).await.expect(200);
        entries["items"].as_array().is_some_and(|items| !items.is_empty()).then_some(())
    });
    assert!(noticed.await.is_some(), "refusals of {kind:?} are not noticed");
    text(&made, "key")
}
