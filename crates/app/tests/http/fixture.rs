//! A tenant with one of everything, and people of every kind around it.

use std::{collections::BTreeMap, time::Duration};

use portico_billing::{
    coupon_edit::{CouponAdministration, CouponInput},
    limits::Overrides,
    plan::{Plan, catalogue},
    product::{Product, catalogue as products},
    subscription::Subscriptions,
};
use portico_identity::{
    email_change::EmailChange,
    external::ExternalIdentity,
    ports::AccessClaims,
    token::{OneTimeToken, TokenPurpose},
    user::{EmailAddress, User},
};
use portico_kernel::{Event, JobState, Meter, NewJob, PageRequest, RequestInfo, Scope, TenantId, TenantRole};
use portico_licensing::policy::{LicensePolicy, catalogue as policies};
use portico_sites::submission::{Consent, Submission, SubmissionStatus};
use portico_sites::{
    domain::{Domains, NewDomain},
    domain_name::OwnNames,
};
use portico_support::canned_reply::CannedReply;
use portico_tenancy::{
    customer_note::CustomerNote,
    dealer::Dealer,
    invitation::{Invitation, InvitationStatus},
    membership::Membership,
    tenant::Tenants,
};
use portico_testkit::server::{Client, PASSWORD, TestServer, eventually};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    assets, downloads, licenses, purchases, release_uploads, site_sales, subscriptions, support, wizard,
};

/// A user who can sign in.
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
    /// Registers a user, lets `adjust` change the account in the store, and signs in.
    pub async fn new(server: &TestServer, email: &str, adjust: impl FnOnce(&mut User)) -> Self {
        let client = server.unverified(email).await;
        let token = client.headers["authorization"].trim_start_matches("Bearer ");
        let claims = server.app.identity.tokens.read_access_token(token, server.app.core.env.now()).unwrap();
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
        self.claims = server.app.identity.tokens.read_access_token(token, server.app.core.env.now()).unwrap();
    }

    /// Makes them a member of a tenant.
    pub async fn join(&self, server: &TestServer, tenant: &str, role: TenantRole) {
        let tenant = tenant.parse().unwrap();
        let membership =
            Membership { tenant, user: self.claims.user, role, joined_at: server.app.core.env.now() };
        let mut work = server.app.core.begin().await.unwrap();
        work.memberships().insert(&membership).await.unwrap();
        work.commit().await.unwrap();
    }
}

/// Changes an account past every rule. The event is what invalidates caches, in every process.
pub async fn change_user(server: &TestServer, claims: &AccessClaims, change: impl FnOnce(&mut User)) {
    let mut work = server.app.core.begin().await.unwrap();
    let mut user = work.users().find(claims.user).await.unwrap().unwrap();
    change(&mut user);
    work.users().update(&user).await.unwrap();
    let scope = Scope::system(None, RequestInfo { id: "fixture".into(), ..RequestInfo::default() });
    let event =
        Event::new(&server.app.core.env, &scope, &portico_identity::events::USER_UPDATED, claims.user.uuid());
    work.events().append(event).await.unwrap();
    work.commit().await.unwrap();
}

/// The smallest picture: one grey pixel as GIF.
pub const PICTURE: &[u8] =
    b"GIF87a\x01\x00\x01\x00\x80\x01\x00\x00\x00\x00ccc,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

/// Takes every limit off the free plan.
pub async fn unlimited(server: &TestServer) {
    let mut work = server.app.core.begin().await.unwrap();
    for mut plan in catalogue() {
        plan.limits.clear();
        work.plans().upsert(&plan).await.unwrap();
    }
    work.commit().await.unwrap();
}

/// Takes the limits of members and API keys off a tenant.
async fn any_number_of_members_and_keys(server: &TestServer, tenant: &str) {
    let limits = [(Meter::Members, None), (Meter::ApiKeys, None)].into();
    let mut work = server.app.core.begin().await.unwrap();
    let overrides = Overrides { limits, ..Overrides::default() };
    work.subscriptions().set_overrides(tenant.parse().unwrap(), &overrides).await.unwrap();
    work.commit().await.unwrap();
}

/// A link of an email, as its token.
pub async fn link(server: &TestServer, person: &Person, purpose: TokenPurpose) -> String {
    let (secret, now) = (server.app.core.env.secret(), server.app.core.env.now());
    let token = OneTimeToken {
        hash: server.app.identity.tokens.digest(&secret),
        user: person.claims.user,
        purpose,
        expires_at: now + time::Duration::hours(1),
        created_at: now,
    };
    let mut work = server.app.core.begin().await.unwrap();
    work.one_time_tokens().insert(&token).await.unwrap();
    work.commit().await.unwrap();
    secret
}

/// An external identity that is linked to a user, as its id.
pub async fn linked(server: &TestServer, person: &Person) -> String {
    let identity = ExternalIdentity {
        id: server.app.core.env.new_id(),
        user: person.claims.user,
        provider: "test".to_owned(),
        issuer: "https://issuer.example".to_owned(),
        subject: server.app.core.env.random_uuid().to_string(),
        email: Some(person.email.clone()),
        name: None,
        language: None,
        linked_at: server.app.core.env.now(),
        last_used_at: None,
    };
    let mut work = server.app.core.begin().await.unwrap();
    work.external_identities().insert(&identity).await.unwrap();
    work.commit().await.unwrap();
    identity.id.to_string()
}

/// A pending change of address, as the token of the link.
pub async fn email_change(server: &TestServer, person: &Person) -> String {
    let now = server.app.core.env.now();
    let id = server.app.core.env.new_id();
    // A session of its own: those that the person has had may have ended.
    let mut asking = server.app.core.reader().sessions().find(person.claims.session).await.unwrap().unwrap();
    (asking.id, asking.ended_at) = (server.app.core.env.new_id(), None);
    let change = EmailChange {
        id,
        user: person.claims.user,
        session: asking.id,
        // The address stays as it is, so that the person can sign in again.
        email: EmailAddress::trusted(person.email.clone()),
        created_at: now,
        expires_at: now + time::Duration::hours(1),
    };
    let mut work = server.app.core.begin().await.unwrap();
    work.sessions().insert(&asking).await.unwrap();
    work.email_changes().put(&change).await.unwrap();
    work.commit().await.unwrap();
    server.app.identity.tokens.email_change_token(id)
}

/// A job that has failed for good.
pub async fn dead_job(server: &TestServer) -> String {
    let (id, now) = (server.app.core.env.new_id(), server.app.core.env.now());
    let job = NewJob {
        id,
        kind: "test.nobody_handles_this",
        payload: json!({}),
        tenant: TenantId::PLATFORM,
        run_at: now,
        max_attempts: 1,
        request_id: "test".to_owned(),
    };
    let mut work = server.app.core.begin().await.unwrap();
    work.jobs().enqueue(job).await.unwrap();
    work.commit().await.unwrap();
    server.app.core.signals.jobs.notify_one();
    eventually(Duration::from_secs(20), async || {
        let page = PageRequest { page: 1, limit: 100 };
        let dead = server.app.core.jobs.list(Some(JobState::Dead), page).await.unwrap();
        dead.items.iter().any(|job| job.id == id).then_some(())
    })
    .await
    .expect("the job dies");
    id.to_string()
}

/// A plan that is not on offer for everybody, so that other tests see the offer as it is: its id.
pub async fn plan(server: &TestServer) -> String {
    let id = format!("plan_{}", server.app.core.env.random_uuid().simple());
    let plan = Plan { id: id.clone(), is_public: false, position: 100, ..catalogue().swap_remove(1) };
    let mut work = server.app.core.begin().await.unwrap();
    work.plans().insert(&plan).await.unwrap();
    work.commit().await.unwrap();
    id
}

/// A coupon that no order uses.
pub async fn coupon(server: &TestServer) -> String {
    let env = &server.app.core.env;
    let scope = Scope::system(None, RequestInfo::default());
    let code = format!("C{}", env.random_uuid().simple());
    let input = CouponInput { code, percent: Some(10), ..CouponInput::default() };
    let mut work = server.app.core.begin().await.unwrap();
    let made = CouponAdministration::new(&mut *work, &scope, env).create(input).await.unwrap();
    work.commit().await.unwrap();
    made.id.to_string()
}

/// A product that is not on sale, so that the offer stays as it is for other tests, with a policy for its licenses.
pub async fn product(server: &TestServer) -> String {
    let (id, now) =
        (format!("product_{}", server.app.core.env.random_uuid().simple()), server.app.core.env.now());
    let product = Product { id: id.clone(), is_active: false, ..products().swap_remove(0) };
    let policy = LicensePolicy { product_type: id.clone(), ..policies().swap_remove(0) };
    let mut work = server.app.core.begin().await.unwrap();
    work.products().insert(&product, now).await.unwrap();
    assert!(work.license_policies().insert_missing(&policy, now).await.unwrap());
    work.commit().await.unwrap();
    id
}

/// An open invitation to an address, into another tenant of `inviter`: its id and the token of its link.
pub async fn invitation(server: &TestServer, inviter: &Person, email: &str) -> (String, String) {
    let (id, secret, now) =
        (server.app.core.env.new_id(), server.app.core.env.secret(), server.app.core.env.now());
    // Made in the store, because the inviter may be signed out by now.
    let mut work = server.app.core.begin().await.unwrap();
    let scope = Scope::system(None, RequestInfo::default());
    let tenant = Tenants::new(&mut *work, &scope, &server.app.core.env)
        .create_personal(inviter.claims.user, "Invites")
        .await
        .unwrap();
    Subscriptions::new(&mut *work, &scope, &server.app.core.env)
        .start_free(tenant.id, inviter.claims.user)
        .await
        .unwrap();
    let invitation = Invitation {
        id,
        tenant_id: tenant.id,
        email: email.to_owned(),
        role: TenantRole::Viewer,
        language: "en".to_owned(),
        status: InvitationStatus::Pending,
        invited_by: inviter.claims.user,
        sends: 1,
        requested_at: now,
        expires_at: now + time::Duration::hours(1),
        created_at: now,
        updated_at: now,
    };
    work.invitations().insert(&invitation).await.unwrap();
    let hash = server.app.identity.tokens.digest(&secret);
    assert!(work.invitations().set_token(invitation.tenant_id, id, hash, now).await.unwrap());
    work.commit().await.unwrap();
    (id.to_string(), secret)
}

/// What a visitor sent to the fixture's site, as its id.
async fn submission(server: &TestServer, fixture: &Fixture) -> String {
    let (id, now) = (server.app.core.env.new_id(), server.app.core.env.now());
    let submission = Submission {
        id,
        tenant: fixture.ids["tenantId"].parse().unwrap(),
        site_id: fixture.ids["siteId"].parse().unwrap(),
        section_id: fixture.ids["sectionId"].parse().unwrap(),
        page_path: "/".to_owned(),
        language: "en".to_owned(),
        name: format!("Visitor {}", fixture.marker),
        email: "visitor@example.org".to_owned(),
        phone: None,
        message: format!("Message {}", fixture.marker),
        consent: Consent { given: false, text: "News".to_owned(), at: None },
        status: SubmissionStatus::New,
        created_at: now,
        updated_at: now,
        digest: id.to_string(),
        version: 1,
    };
    let mut work = server.app.core.begin().await.unwrap();
    assert!(work.submissions().insert(&submission).await.unwrap());
    work.commit().await.unwrap();
    id.to_string()
}

/// Names the dealer of a tenant.
async fn name_dealer(server: &TestServer, tenant: &str, marker: &str) {
    let dealer = Dealer {
        tenant: tenant.parse().unwrap(),
        name: format!("Dealer {marker}"),
        email: None,
        phone: None,
        updated_at: server.app.core.env.now(),
        version: 0,
    };
    let mut work = server.app.core.begin().await.unwrap();
    work.dealers().save(&dealer).await.unwrap();
    work.commit().await.unwrap();
}

/// The path of the style sheet in the preview of a template.
async fn style_sheet(server: &TestServer, template: &str) -> String {
    let base = format!("/api/v1/templates/{template}/preview");
    let html = server.client().get(&base).await.text;
    let file = html.split(&format!("href=\"{base}/")).nth(1).and_then(|rest| rest.split('"').next());
    file.unwrap_or_else(|| panic!("no style sheet in {html}")).to_owned()
}

/// Parameters that stand for something else on one path than on the others, and the key of their id in [`Fixture::ids`]: the
/// account with the picture is the owner, while `userId` elsewhere is a member who may be deleted.
const OTHER_IDS: [(&str, &str, &str); 1] = [("/api/v1/avatars/{userId}/{avatarName}", "userId", "pictured")];

/// A tenant with a deployed site, a page, two sections, a navigation item; every name of it contains `marker`.
pub struct Fixture {
    /// Owner of the tenant, whose personal tenant it is.
    pub owner: Person,
    /// Word that is in every name, in lower case.
    pub marker: String,
    /// Ids by the name of their path parameter, or the key in [`OTHER_IDS`].
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
        any_number_of_members_and_keys(server, &tenant).await;
        let mut fixture = Self { owner, marker: marker.to_owned(), ids: BTreeMap::new() };
        fixture.ids.insert("customerId".into(), tenant.clone());
        fixture.ids.insert("tenantId".into(), tenant);
        let client = fixture.owner.client.clone();
        client.put(&client.t(""), json!({"name": format!("Tenant {marker}")})).await.expect(200);
        for parameter in ["siteId", "pageId", "sectionId", "navItemId", "wizardId"] {
            let id = fixture.fresh(server, parameter).await;
            fixture.ids.insert(parameter.into(), id);
        }
        fixture.ids.insert("slug".into(), format!("page-{marker}"));
        let template = fixture.fresh(server, "templateId").await;
        fixture.ids.insert("previewFile".into(), style_sheet(server, &template).await);
        fixture.ids.insert("templateId".into(), template);
        fixture.ids.insert("industry".into(), "bakery".into());
        let submission = fixture.fresh(server, "submissionId").await;
        fixture.ids.insert("submissionId".into(), submission);
        let invitation = fixture.fresh(server, "invitationId").await;
        fixture.ids.insert("invitationId".into(), invitation);
        let (session, purchase) = purchases::checkout(&client).await;
        fixture.ids.insert("checkoutSession".into(), session);
        fixture.ids.insert("purchaseId".into(), purchase);
        for parameter in ["licenseId", "activationId", "saleId"] {
            let id = fixture.fresh(server, parameter).await;
            fixture.ids.insert(parameter.into(), id);
        }
        let license = client.get(&fixture.path("/api/v1/licenses/{licenseId}")).await.expect(200);
        fixture.ids.insert("licenseKey".into(), text(&license, "key"));
        // It has paid for a plan once, and is on the free one again.
        let customer = subscriptions::paying(server, &client, "starter").await;
        client.post("/api/v1/billing/cancel", json!({"immediately": true})).await.expect(200);
        let invoices = client.get("/api/v1/billing/invoices").await.expect(200);
        fixture.ids.insert("invoiceId".into(), text(&invoices["items"][0], "id"));
        fixture.ids.insert("paymentMethodId".into(), server.subscriptions.put_on_file(&customer));
        // Releases belong to no tenant, so they have no marker in their names.
        let release = downloads::published(server).await;
        let license = fixture.ids["licenseId"].parse().unwrap();
        fixture.ids.insert("fileName".into(), downloads::lasting_link(server, &release, license));
        fixture.ids.insert("downloadId".into(), release.slug);
        for parameter in ["releaseId", "uploadId"] {
            let id = fixture.fresh(server, parameter).await;
            fixture.ids.insert(parameter.into(), id);
        }
        fixture.ids.insert("part".into(), "1".into());
        fixture.ids.insert("productType".into(), "base_product".into());
        name_dealer(server, &client.tenant, marker).await;
        for parameter in ["apiKeyId", "webhookId", "deliveryId", "noteId"] {
            let id = fixture.fresh(server, parameter).await;
            fixture.ids.insert(parameter.into(), id);
        }
        fixture.ids.insert("sessionId".into(), fixture.owner.claims.session.to_string());
        fixture.ids.insert("jobId".into(), dead_job(server).await);
        fixture.ids.insert("planId".into(), plan(server).await);
        fixture.ids.insert("couponId".into(), coupon(server).await);
        fixture.ids.insert("productType".into(), product(server).await);
        let asset = fixture.fresh(server, "assetId").await;
        let link = client.get(&client.t(&format!("/assets/{asset}"))).await.expect(200);
        fixture.ids.insert("variant".into(), text(&link, "url").rsplit('/').next().unwrap().to_owned());
        fixture.ids.insert("assetId".into(), asset);
        for (key, parameter) in [
            ("ticketId", "ticketId"),
            ("otherTicketId", "ticketId"),
            ("messageId", "messageId"),
            ("replyId", "replyId"),
        ] {
            let id = fixture.fresh(server, parameter).await;
            fixture.ids.insert(key.into(), id);
        }
        let site = client.get(&fixture.path("/api/v1/sites/{siteId}")).await.expect(200);
        let host = text(&site, "url").trim_start_matches("http://").split(':').next().unwrap().to_owned();
        fixture.ids.insert("siteHost".into(), host);
        // Of no tenant: what is for sale is not this tenant's.
        fixture.ids.insert("siteSlug".into(), "not-for-sale".into());
        let domain = fixture.fresh(server, "domainId").await;
        fixture.ids.insert("domainId".into(), domain);
        let picture = client.send(Method::PUT, "/api/v1/profile/avatar", Some(PICTURE.to_vec()), "image/gif");
        let address = text(&picture.await.expect(200), "avatarUrl");
        fixture.ids.insert("avatarName".into(), address.rsplit('/').next().unwrap().to_owned());
        fixture.ids.insert("pictured".into(), fixture.owner.claims.user.to_string());
        fixture.ids.insert("provider".into(), "fake".into());
        fixture.ids.insert("identityId".into(), linked(server, &fixture.owner).await);
        // Of no account: one with a passkey does not sign in with its password alone.
        fixture.ids.insert("passkeyId".into(), server.app.core.env.random_uuid().to_string());
        let user = fixture.fresh(server, "userId").await;
        fixture.ids.insert("userId".into(), user);
        client
            .put(&fixture.path(PAGE), json!({"slug": fixture.ids["slug"], "status": "published"}))
            .await
            .expect(200);
        let version = fixture.fresh(server, "versionId").await;
        fixture.ids.insert("versionId".into(), version);
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
        fill(template, |name| self.id(template, name))
    }

    /// The id for a parameter of a path template.
    pub fn id(&self, template: &str, parameter: &str) -> Option<String> {
        let other = OTHER_IDS.iter().find(|(path, name, _)| (*path, *name) == (template, parameter));
        self.ids.get(other.map_or(parameter, |(.., id)| id)).cloned()
    }

    /// Makes another one of what a path parameter names, and returns its id.
    pub async fn fresh(&self, server: &TestServer, parameter: &str) -> String {
        let (client, marker) = (&self.owner.client, &self.marker);
        let made = match parameter {
            "tenantId" | "customerId" => {
                client.post("/api/v1/tenants", json!({"name": format!("Another {marker}")})).await
            }
            "siteId" => client.post("/api/v1/sites", json!({"name": format!("Site {marker}")})).await,
            "pageId" => client.post(&client.t("/pages"), json!({"title": format!("Title {marker}")})).await,
            "sectionId" => {
                let content = json!({"html": format!("<p>Text {marker}</p>")});
                let path = format!("{}/sections", self.path(PAGE));
                client.post(&path, json!({"type": "text", "content": content})).await
            }
            "assetId" => {
                let form = assets::form_of(&format!("File {marker}.gif"), PICTURE);
                let path = client.t("/assets/upload");
                let made = client.send(Method::POST, &path, Some(form), assets::FORM).await.expect(201);
                return text(&made["items"][0], "id");
            }
            // The newest one: the page as it is now.
            "versionId" => {
                let list = client.get(&format!("{}/versions?limit=1", self.path(PAGE))).await.expect(200);
                return text(&list["items"][0], "id");
            }
            "navItemId" => {
                let item = json!({"label": format!("Label {marker}"), "url": "https://example.com/"});
                client.post(&client.t("/navigation"), item).await
            }
            "apiKeyId" => {
                let key = json!({"name": format!("Key {marker}"), "permissions": ["pages:read"]});
                client.post(&client.t("/api-keys"), key).await
            }
            // Subscribed to an event that never happens here, at an address that is not called.
            "webhookId" => {
                let url = format!("https://localhost/hooks/{marker}");
                client.post(&client.t("/webhooks"), json!({"url": url, "events": ["dealer.deleted"]})).await
            }
            "deliveryId" => {
                let path = self.path("/api/v1/tenants/{tenantId}/webhooks/{webhookId}/test");
                return text(&client.post_empty(&path).await.expect(202), "id");
            }
            "purchaseId" => return purchases::checkout(client).await.1,
            "saleId" => return site_sales::sold(server, client).await,
            "licenseId" => return licenses::issued(server, client, None).await.0,
            // Of the fixture's license.
            "activationId" => return licenses::machine(server, self.ids["licenseId"].parse().unwrap()).await,
            "paymentMethodId" => {
                let customer = server.subscriptions.customer(&client.tenant).expect("a customer");
                return server.subscriptions.put_on_file(&customer);
            }
            "releaseId" => return downloads::draft(server).await.id.to_string(),
            // Of the fixture's release, with its one part.
            "uploadId" => return release_uploads::begun(server, &self.ids["releaseId"], PICTURE).await,
            "noteId" => return note(server, self).await,
            "ticketId" => {
                let asset = &self.ids["assetId"];
                let ticket = json!({
                    "subject": format!("Subject {marker}"), "description": format!("Text {marker}"), "attachments": [asset],
                });
                client.post("/api/v1/support/tickets", ticket).await
            }
            "messageId" => return support::mailed(server, self).await,
            "replyId" => return canned_reply(server).await,
            "domainId" => return self.domain(server).await,
            "jobId" => return dead_job(server).await,
            "planId" => return plan(server).await,
            "couponId" => return coupon(server).await,
            "productType" => return product(server).await,
            "submissionId" => return submission(server, self).await,
            // Shared by all tenants, so without the marker in its name.
            "templateId" => return wizard::template(server, false).await.id.to_string(),
            "wizardId" => return wizard::ready(server, &client.tenant, marker).await,
            "invitationId" => {
                let email = format!("invited-{}@example.com", server.app.core.env.random_uuid());
                client.post(&client.t("/invitations"), json!({"email": email, "role": "viewer"})).await
            }
            "identityId" => return linked(server, &self.owner).await,
            "userId" => {
                let email = format!("user{}@example.org", server.app.core.env.random_uuid().simple());
                let client = server.unverified(&email).await;
                let id = text(&client.get("/api/v1/profile").await.expect(200), "id");
                // A member too, for `/members/{userId}`.
                let (tenant, user) = (self.owner.client.tenant.parse().unwrap(), id.parse().unwrap());
                let joined_at = server.app.core.env.now();
                let membership = Membership { tenant, user, role: TenantRole::Viewer, joined_at };
                let mut work = server.app.core.begin().await.unwrap();
                work.memberships().insert(&membership).await.unwrap();
                work.commit().await.unwrap();
                return id;
            }
            _ => panic!("say here how to make a resource for {{{parameter}}}"),
        };
        text(&made.expect(201), "id")
    }

    /// A domain that waits for its proof, past the limit of the plan.
    async fn domain(&self, server: &TestServer) -> String {
        let (tenant, site) = (self.ids["tenantId"].parse().unwrap(), self.ids["siteId"].parse().unwrap());
        let scope = Scope::system(Some(tenant), RequestInfo::default());
        let name = format!("d{}.{}.example", server.app.core.env.random_uuid().simple(), self.marker);
        let mut work = server.app.core.begin().await.unwrap();
        let plan = work.plans().list().await.unwrap().swap_remove(0);
        let mut larger = plan.clone();
        larger.limits.remove(&Meter::CustomDomains);
        work.plans().upsert(&larger).await.unwrap();
        let mut domains = Domains::new(&mut *work, &scope, &server.app.core.env);
        let input = NewDomain { name, mode: None };
        let domain = domains.add(site, input, &OwnNames::default()).await.unwrap();
        // Nothing but this transaction has seen the larger plan.
        work.plans().upsert(&plan).await.unwrap();
        work.commit().await.unwrap();
        domain.id.to_string()
    }

    /// All that the owner can read of the tenant, the audit trail included: equal exactly when nothing happened.
    pub async fn snapshot(&self) -> Vec<String> {
        let mut all = Vec::new();
        for template in [
            "/api/v1/tenants/{tenantId}",
            "/api/v1/tenants/{tenantId}/branding",
            "/api/v1/tenants/{tenantId}/members?limit=100",
            "/api/v1/tenants/{tenantId}/invitations?limit=100",
            "/api/v1/tenants/{tenantId}/settings",
            "/api/v1/tenants/{tenantId}/dealer",
            "/api/v1/tenants/{tenantId}/pages?limit=100",
            "/api/v1/tenants/{tenantId}/pages/{pageId}/sections",
            "/api/v1/tenants/{tenantId}/navigation",
            "/api/v1/tenants/{tenantId}/api-keys?limit=100",
            "/api/v1/tenants/{tenantId}/webhooks?limit=100",
            "/api/v1/tenants/{tenantId}/audit?limit=100",
            "/api/v1/sites?limit=100",
            "/api/v1/sites/{siteId}/deployments",
            "/api/v1/sites/{siteId}/domains?limit=100",
            "/api/v1/sites/{siteId}/submissions?limit=100",
            "/api/v1/billing/usage",
            "/api/v1/purchases?limit=100",
            "/api/v1/licenses?limit=100",
            "/api/v1/support/tickets?limit=100",
            "/api/v1/support/tickets/{ticketId}",
            "/api/v1/billing/subscription",
            "/api/v1/billing/invoices?limit=100",
            "/api/v1/billing/payment-methods",
        ] {
            let answer = self.owner.client.get(&self.path(template)).await;
            assert_eq!(answer.status.as_u16(), 200, "{template}: {}", answer.text);
            // A request with a key counts as its use, also where it is refused.
            let mut seen = answer.json;
            let items = seen["items"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut);
            items.for_each(|item| drop(item.remove("lastUsedAt")));
            all.push(seen.to_string());
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

/// An answer of support that is kept ready, as its id. It belongs to no tenant, so it has no marker in it.
async fn canned_reply(server: &TestServer) -> String {
    let now = server.app.core.env.now();
    let id = server.app.core.env.new_id();
    let (title, body) = ("Version".to_owned(), "Which version?".to_owned());
    let reply = CannedReply { id, title, body, created_at: now, updated_at: now };
    let mut work = server.app.core.begin().await.unwrap();
    work.canned_replies().insert(&reply).await.unwrap();
    work.commit().await.unwrap();
    id.to_string()
}

/// A note of staff about the tenant.
async fn note(server: &TestServer, fixture: &Fixture) -> String {
    let env = &server.app.core.env;
    let note = CustomerNote {
        id: env.new_id(),
        customer_id: fixture.owner.client.tenant.parse().unwrap(),
        author_id: fixture.owner.claims.user,
        text: format!("Note {}", fixture.marker),
        created_at: env.now(),
    };
    let mut work = server.app.core.begin().await.unwrap();
    work.customer_notes().insert(&note).await.unwrap();
    work.commit().await.unwrap();
    note.id.to_string()
}
