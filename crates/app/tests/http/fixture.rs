//! A tenant with one of everything, and people of every kind around it.

use std::{collections::BTreeMap, time::Duration};

use portico_testkit::server::{TestServer, eventually};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{downloads, purchases, subscriptions};
use billing::{any_number_of_members_and_keys, coupon, plan, product};
use platform::dead_job;
use sites::style_sheet;
use tenancy::name_dealer;

mod billing;
mod fresh;
mod identity;
mod platform;
mod sites;
mod tenancy;

pub use billing::unlimited;
pub use identity::{Person, change_user, email_change, link, linked};
pub use tenancy::invitation;

/// The smallest picture: one grey pixel as GIF.
pub const PICTURE: &[u8] =
    b"GIF87a\x01\x00\x01\x00\x80\x01\x00\x00\x00\x00ccc,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

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
