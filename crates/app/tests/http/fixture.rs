//! A tenant with one of everything, and people of every kind around it.

use std::{collections::BTreeMap, time::Duration};

use portico_billing::plan::catalogue;
use portico_identity::{
    ports::AccessClaims,
    token::{OneTimeToken, TokenPurpose},
    user::User,
};
use portico_kernel::{JobState, NewJob, PageRequest, TenantId, TenantRole};
use portico_tenancy::member::Membership;
use portico_testkit::server::{Client, PASSWORD, TestServer, eventually};
use serde_json::{Value, json};

/// Somebody who can sign in.
#[derive(Clone)]
pub struct Person {
    /// Signed in.
    pub client: Client,
    /// Address.
    pub email: String,
    /// What the access token says.
    pub claims: AccessClaims,
    /// The answer to signing in.
    pub tokens: Value,
}

impl Person {
    /// Registers somebody, lets `adjust` change the account in the store, and signs in.
    pub async fn new(server: &TestServer, email: &str, adjust: impl FnOnce(&mut User)) -> Self {
        let client = server.unverified(email).await;
        let token = client.headers["authorization"].trim_start_matches("Bearer ");
        let claims = server.app.tokens.read_access_token(token, server.app.env.now()).unwrap();
        change_user(server, &claims, |user| {
            user.email_verified = true;
            adjust(user);
        })
        .await;
        let mut person = Self { client, email: email.to_owned(), claims, tokens: Value::Null };
        person.sign_in(server).await;
        person
    }

    /// Signs in: a new session.
    pub async fn sign_in(&mut self, server: &TestServer) {
        let login = json!({"email": self.email, "password": PASSWORD});
        self.tokens = server.client().post("/api/v1/auth/login", login).await.expect(200);
        self.client.sign(&self.tokens);
        let token = self.tokens["access_token"].as_str().unwrap();
        self.claims = server.app.tokens.read_access_token(token, server.app.env.now()).unwrap();
    }

    /// Makes them a member of a tenant.
    pub async fn join(&self, server: &TestServer, tenant: &str, role: TenantRole) {
        let tenant = tenant.parse().unwrap();
        let membership = Membership { tenant, user: self.claims.user, role, joined_at: server.app.env.now() };
        let mut work = server.app.begin().await.unwrap();
        work.memberships().insert(&membership).await.unwrap();
        work.commit().await.unwrap();
    }
}

/// Changes an account behind the server's back: no event, so caches find out by themselves.
pub async fn change_user(server: &TestServer, claims: &AccessClaims, change: impl FnOnce(&mut User)) {
    let mut work = server.app.begin().await.unwrap();
    let mut user = work.users().find(claims.user).await.unwrap().unwrap();
    change(&mut user);
    work.users().update(&user).await.unwrap();
    work.commit().await.unwrap();
}

/// Takes every limit off the free plan.
pub async fn unlimited(server: &TestServer) {
    let mut work = server.app.begin().await.unwrap();
    for mut plan in catalogue() {
        plan.limits.clear();
        work.plans().upsert(&plan).await.unwrap();
    }
    work.commit().await.unwrap();
}

/// A link of an email, as its token.
pub async fn link(server: &TestServer, person: &Person, purpose: TokenPurpose) -> String {
    let (secret, now) = (server.app.env.secret(), server.app.env.now());
    let token = OneTimeToken {
        hash: server.app.tokens.digest(&secret),
        user: person.claims.user,
        purpose,
        expires_at: now + time::Duration::hours(1),
        created_at: now,
    };
    let mut work = server.app.begin().await.unwrap();
    work.one_time_tokens().insert(&token).await.unwrap();
    work.commit().await.unwrap();
    secret
}

/// A job that has failed for good.
pub async fn dead_job(server: &TestServer) -> String {
    let (id, now) = (server.app.env.new_id(), server.app.env.now());
    let job = NewJob {
        id,
        kind: "test.nobody_handles_this",
        payload: json!({}),
        tenant: TenantId::PLATFORM,
        run_at: now,
        max_attempts: 1,
        request_id: "test".to_owned(),
    };
    let mut work = server.app.begin().await.unwrap();
    work.jobs().enqueue(job).await.unwrap();
    work.commit().await.unwrap();
    server.app.signals.jobs.notify_one();
    eventually(Duration::from_secs(20), async || {
        let page = PageRequest { page: 1, limit: 100 };
        let dead = server.app.jobs.list(Some(JobState::Dead), page).await.unwrap();
        dead.items.iter().any(|job| job.id == id).then_some(())
    })
    .await
    .expect("the job dies");
    id.to_string()
}

/// A tenant with a deployed site, a page, two sections, a navigation item; every name of it contains `marker`.
pub struct Fixture {
    /// Owner of the tenant, whose personal tenant it is.
    pub owner: Person,
    /// Word that is in every name, in lower case.
    pub marker: String,
    /// Ids by the name of their path parameter.
    pub ids: BTreeMap<String, String>,
}

impl Fixture {
    /// Makes one.
    pub async fn new(server: &TestServer, marker: &str) -> Self {
        let owner = Person::new(server, &format!("{marker}@example.com"), |user| {
            user.full_name = format!("Owner {marker}");
        })
        .await;
        let tenant = owner.client.tenant.clone();
        let mut fixture = Self { owner, marker: marker.to_owned(), ids: BTreeMap::new() };
        fixture.ids.insert("tenantId".into(), tenant);
        let client = fixture.owner.client.clone();
        client.put(&client.t(""), json!({"name": format!("Tenant {marker}")})).await.expect(200);
        for parameter in ["siteId", "pageId", "sectionId", "navId"] {
            let id = fixture.fresh(server, parameter).await;
            fixture.ids.insert(parameter.into(), id);
        }
        fixture.ids.insert("slug".into(), format!("page-{marker}"));
        fixture.ids.insert("sessionId".into(), fixture.owner.claims.session.to_string());
        fixture.ids.insert("jobId".into(), dead_job(server).await);
        client
            .put(&fixture.path(PAGE), json!({"slug": fixture.ids["slug"], "status": "published"}))
            .await
            .expect(200);
        let site = fixture.path("/api/v1/sites/{siteId}");
        let deployment = client.post_empty(&format!("{site}/deploy")).await.expect(202);
        fixture.ids.insert("deploymentId".into(), text(&deployment, "id"));
        eventually(Duration::from_secs(20), async || {
            let status = client.get(&format!("{site}/status")).await.expect(200);
            assert_ne!(status["status"], "failed", "{status}");
            (status["status"] == "live").then_some(())
        })
        .await
        .expect("the site is deployed");
        fixture
    }

    /// The path for a template of the document.
    pub fn path(&self, template: &str) -> String {
        fill(template, |name| self.ids.get(name).cloned())
    }

    /// Makes another one of what a path parameter names, and answers its id.
    pub async fn fresh(&self, server: &TestServer, parameter: &str) -> String {
        let (client, marker) = (&self.owner.client, &self.marker);
        let made = match parameter {
            "tenantId" => client.post("/api/v1/tenants", json!({"name": format!("Another {marker}")})).await,
            "siteId" => client.post("/api/v1/sites", json!({"name": format!("Site {marker}")})).await,
            "pageId" => client.post(&client.t("/pages"), json!({"title": format!("Title {marker}")})).await,
            "sectionId" => {
                let content = json!({"html": format!("<p>Text {marker}</p>")});
                let path = format!("{}/sections", self.path(PAGE));
                client.post(&path, json!({"type": "text", "content": content})).await
            }
            "navId" => {
                let item = json!({"label": format!("Label {marker}"), "url": "https://example.com/"});
                client.post(&client.t("/navigation"), item).await
            }
            "jobId" => return dead_job(server).await,
            _ => panic!("say here how to make a resource for {{{parameter}}}"),
        };
        text(&made.expect(201), "id")
    }

    /// All that the owner can read of the tenant, the audit trail included: equal exactly when nothing happened.
    pub async fn snapshot(&self) -> Vec<String> {
        let mut all = Vec::new();
        for template in [
            "/api/v1/tenants/{tenantId}",
            "/api/v1/tenants/{tenantId}/branding",
            "/api/v1/tenants/{tenantId}/pages?limit=100",
            "/api/v1/tenants/{tenantId}/pages/{pageId}/sections",
            "/api/v1/tenants/{tenantId}/navigation",
            "/api/v1/tenants/{tenantId}/audit?limit=100",
            "/api/v1/sites?limit=100",
            "/api/v1/sites/{siteId}/deployments",
            "/api/v1/billing/usage",
        ] {
            let answer = self.owner.client.get(&self.path(template)).await;
            assert_eq!(answer.status.as_u16(), 200, "{template}: {}", answer.text);
            all.push(answer.text);
        }
        all
    }
}

const PAGE: &str = "/api/v1/tenants/{tenantId}/pages/{pageId}";

/// A field that is a text.
#[track_caller]
pub fn text(json: &Value, field: &str) -> String {
    json[field].as_str().unwrap_or_else(|| panic!("no {field} in {json}")).to_owned()
}

/// The names of the parameters of a path template.
pub fn parameters(template: &str) -> Vec<&str> {
    template.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
}

/// A path template with its parameters replaced.
pub fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut path = template.to_owned();
    for name in parameters(template) {
        let value = value(name).unwrap_or_else(|| panic!("say in the fixture what {{{name}}} is"));
        path = path.replace(&format!("{{{name}}}"), &value);
    }
    path
}
