//! What ends access, and how soon.

use std::time::Duration;

use portico_identity::user::UserStatus;
use portico_kernel::{PlatformRole, TenantRole};
use portico_testkit::server::{Answer, PASSWORD, TestServer, eventually};
use serde_json::json;

use super::{
    calls::call,
    table::{
        RULES,
        Rule::{self, AnyMember, VerifiedMember},
        body,
    },
};
use crate::fixture::{Fixture, Person, change_user, unlimited};

/// Asks until the answer has a status, for as long as the API promises.
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
        let nowhere = server.app.core.env.random_uuid().to_string();
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
