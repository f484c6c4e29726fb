//! That everything which changes something is in the audit trail: every mutating operation of the API document is called,
//! and an entry with the id of the request must appear.

use std::{collections::BTreeSet, time::Duration};

use portico_identity::token::TokenPurpose;
use portico_kernel::CursorRequest;
use portico_tenancy::audit::{AuditEntry, AuditFilter};
use portico_testkit::server::{Answer, Client, Database, TestServer, eventually};
use serde_json::{Value, json};

use crate::{
    authorization::{Callers, Kind, Outcome, RULES, check, expected, marked},
    fixture::{Fixture, Person, link, unlimited},
    provider::FakeProvider,
    purchases,
};

/// Mutating by their method only: operations that change nothing, and why. An operation in this list that does write an
/// entry fails the test, too.
const SILENT: &[(&str, &str, &str)] = &[
    ("POST", "/api/v1/auth/refresh", "a session goes on as it was; its beginning and its end have entries"),
    ("POST", "/api/v1/auth/resend-verification", "the same mail is sent again; the account stays as it is"),
    (
        "POST",
        "/api/v1/invitations/lookup",
        "shows an invitation; the token is in the body to keep it out of logs",
    ),
    (
        "POST",
        "/api/v1/sites/{siteId}/domains/{domainId}/verify",
        "notes what the DNS says; that a domain is verified has an entry",
    ),
    ("POST", "/api/v1/auth/mfa/passkey-options", "only makes a challenge"),
    ("POST", "/api/v1/auth/reauthenticate/passkey-options", "only makes a challenge"),
    ("POST", "/api/v1/auth/passkeys/registration-options", "only makes a challenge"),
    ("POST", "/api/v1/auth/passkeys/sign-in-options", "only makes a challenge"),
    (
        "POST",
        "/api/v1/checkout/success",
        "asks the provider; a purchase that is paid or failed has an entry, and this one is neither",
    ),
    (
        "POST",
        "/api/v1/webhooks/inbound-mail",
        "brings mail; what is taken of it has the entry of the message, and this one names no ticket",
    ),
    ("POST", "/api/v1/billing/preview", "only shows what a change of plan would cost"),
    ("POST", "/api/v1/billing/payment-methods", "makes a page of the provider, which changes nothing"),
    ("POST", "/api/v1/billing/portal-session", "makes a page of the provider, which changes nothing"),
    ("POST", "/api/v1/webhooks/stripe", "stores what the provider sent; what it leads to has an entry"),
    ("POST", "/api/v1/licenses/validate", "tells a product whether it may be used, and changes nothing"),
    ("POST", "/api/v1/licenses/heartbeat", "notes when a machine was seen last; its seat has an entry"),
    ("POST", "/api/v1/webhooks/recurrente", "stores what the provider sent; what it leads to has an entry"),
    (
        "PUT",
        "/api/v1/admin/releases/{releaseId}/uploads/{uploadId}/parts/{part}",
        "stores a part; that the file is stored has an entry",
    ),
    ("POST", "/api/v1/auth/tickets", "admits to one read, which the access log has"),
];

/// How long an entry may take that comes from a background job.
const PATIENCE: Duration = Duration::from_secs(5);

fn is_mutating(method: &str) -> bool {
    matches!(method, "POST" | "PUT" | "PATCH" | "DELETE")
}

fn is_silent(method: &str, path: &str) -> bool {
    SILENT.iter().any(|(silent, at, _)| (*silent, *at) == (method, path))
}

async fn entries(server: &TestServer, filter: AuditFilter) -> Vec<AuditEntry> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let request = CursorRequest { cursor, limit: 500 };
        let page = server.app.core.reader().audit().list(None, filter.clone(), request).await.unwrap();
        found.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return found;
        }
    }
}

async fn of_request(server: &TestServer, id: &str) -> Vec<AuditEntry> {
    entries(server, AuditFilter { request_id: Some(id.to_owned()), ..AuditFilter::default() }).await
}

/// The entry of something that was made, changed or deleted says what it was before and what it is after.
fn is_complete(entry: &AuditEntry) -> bool {
    let verb = entry.kind.split_once('.').map_or("", |(_, verb)| verb);
    let expected = match verb {
        "created" | "registered" => (false, true),
        "updated" => (true, true),
        "deleted" => (true, false),
        _ => return true,
    };
    (entry.before.is_some(), entry.after.is_some()) == expected
}

/// A call that does change something, for operations that the matrix calls in a way that is allowed but changes nothing.
pub async fn particular(
    server: &TestServer,
    fixture: &Fixture,
    client: &Client,
    (method, path): (&str, &str),
) -> Option<Answer> {
    let owner = marked(fixture.owner.client.clone(), client).await;
    let unmarked = || {
        let mut operator = client.clone();
        operator.headers.remove("x-request-id");
        operator.headers.remove("traceparent");
        operator
    };
    Some(match path.trim_start_matches("/api/v1") {
        "/auth/forgot-password" => owner.post(path, json!({"email": fixture.owner.email})).await,
        "/auth/resend-verification" => {
            let email = "unproven@example.net";
            server.unverified(email).await;
            owner.post(path, json!({"email": email})).await
        }
        "/auth/verify-email" => {
            let person = Person::new(server, "proving@example.net", |user| user.email_verified = false).await;
            owner
                .post(path, json!({"token": link(server, &person, TokenPurpose::EmailVerification).await}))
                .await
        }
        "/tenants/{tenantId}/pages/{pageId}/reset" => {
            let page = fixture.fresh(server, "pageId").await;
            let apply = fixture.path("/api/v1/templates/{templateId}/apply");
            fixture.owner.client.post(&apply, json!({"pageId": page})).await.expect(200);
            let sections = fixture.owner.client.t(&format!("/pages/{page}/sections"));
            let added = json!({"type": "text", "content": {"html": "<p>Added</p>"}});
            fixture.owner.client.post(&sections, added).await.expect(201);
            owner.post(&fixture.owner.client.t(&format!("/pages/{page}/reset")), json!({})).await
        }
        "/profile/erase" => {
            let person = Person::new(server, "leaving@example.net", |_| {}).await;
            marked(person.client, client).await.post_empty(path).await
        }
        "/sites/{siteId}/deployments/{deploymentId}/rollback" => {
            let site = fixture.path("/api/v1/sites/{siteId}");
            // The call before this one has begun another deployment.
            let live = eventually(Duration::from_secs(20), async || {
                let status = fixture.owner.client.get(&format!("{site}/status")).await.expect(200);
                (status["status"] == "live").then_some(())
            });
            live.await.expect("the site is deployed again");
            owner.post_empty(&fixture.path(path)).await
        }
        "/tenants/{tenantId}/assets/{assetId}/restore" => {
            let asset = fixture.fresh(server, "assetId").await;
            let address = owner.t(&format!("/assets/{asset}"));
            fixture.owner.client.delete(&address).await.expect(204);
            owner.post_empty(&format!("{address}/restore")).await
        }
        "/tenants/{tenantId}/restore" => {
            let tenant = fixture.fresh(server, "tenantId").await;
            fixture.owner.client.delete(&format!("/api/v1/tenants/{tenant}")).await;
            owner.post_empty(&path.replace("{tenantId}", &tenant)).await
        }
        "/tenants/{tenantId}/reinstate" => {
            let tenant = fixture.fresh(server, "tenantId").await;
            let body = json!({"reason": "Not paid"});
            unmarked().post(&format!("/api/v1/tenants/{tenant}/suspend"), body).await;
            client.post_empty(&path.replace("{tenantId}", &tenant)).await
        }
        "/admin/customers/{customerId}/plan" => {
            // Another one than is in force: it may have been bought meanwhile.
            let held = fixture.owner.client.get("/api/v1/billing/subscription").await.expect(200);
            let plan = if held["plan"] == "enterprise" { "professional" } else { "enterprise" };
            client.put(&fixture.path(path), json!({"plan": plan, "reason": "Paid by bank transfer"})).await
        }
        "/support/tickets/{ticketId}/satisfaction" => {
            let ticket = format!("/api/v1/support/tickets/{}", fixture.fresh(server, "ticketId").await);
            fixture.owner.client.post_empty(&format!("{ticket}/close")).await.expect(200);
            owner.put(&format!("{ticket}/satisfaction"), json!({"rating": 4})).await
        }
        "/admin/customers/{customerId}/purchases/{purchaseId}/refunds" => {
            let (purchase, _) = purchases::paid(server, &fixture.owner.client).await;
            let path = fixture.path(&path.replace("{purchaseId}", &purchase));
            client.post(&path, json!({"amount": 100, "reason": "Not used"})).await
        }
        "/admin/customers/{customerId}/reactivate" => {
            let customer = fixture.fresh(server, "customerId").await;
            let body = json!({"reason": "Not paid"});
            unmarked().post(&format!("/api/v1/admin/customers/{customer}/suspend"), body).await;
            client.post(&path.replace("{customerId}", &customer), json!({"reason": "Paid"})).await
        }
        "/licenses/deactivate" => {
            let machine = json!({"key": fixture.ids["licenseKey"], "fingerprint": "to-be-removed"});
            server.client().post("/api/v1/licenses/activate", machine.clone()).await.expect(201);
            owner.post(path, machine).await
        }
        "/licenses/{licenseId}/transfer" if method == "DELETE" => {
            let license = fixture.fresh(server, "licenseId").await;
            let offer = path.replace("{licenseId}", &license);
            fixture.owner.client.post(&offer, json!({"email": "bob@example.com"})).await.expect(201);
            owner.delete(&offer).await
        }
        "/admin/licenses/{licenseId}/resume" => {
            let license = fixture.fresh(server, "licenseId").await;
            let reason = json!({"reason": "Stolen"});
            let suspend = format!("/api/v1/admin/licenses/{license}/suspend");
            unmarked().post(&suspend, reason.clone()).await.expect(200);
            client.post(&path.replace("{licenseId}", &license), reason).await
        }
        "/tenants/{tenantId}/navigation/reorder" => {
            fixture.fresh(server, "navItemId").await;
            let items =
                fixture.owner.client.get(&fixture.path("/api/v1/tenants/{tenantId}/navigation")).await;
            let items = items.json["items"].as_array().unwrap().clone();
            let last = items.len() - 1;
            let items: Vec<Value> = items
                .iter()
                .enumerate()
                .map(|(at, item)| json!({"id": item["id"], "position": last - at}))
                .collect();
            owner.put(&fixture.path(path), json!({"items": items})).await
        }
        _ => return None,
    })
}

/// Signs in again, or makes anew, callers whom a call has signed out or deleted.
async fn revive(
    server: &TestServer,
    fixture: &mut Fixture,
    callers: &mut Callers,
    position: usize,
    number: usize,
) {
    let profile = "/api/v1/profile";
    if fixture.owner.client.get(profile).await.status.as_u16() == 401 {
        eprintln!("  signed out the owner of the fixture");
        fixture.owner.sign_in(server).await;
    }
    if callers.spare.client.get(profile).await.status.as_u16() == 401 {
        callers.spare.sign_in(server).await;
    }
    let (kind, person) = &mut callers.all[position];
    if person.client.get(profile).await.status.as_u16() == 401 {
        eprintln!("  signed out the caller");
        let kind = *kind;
        *person = Person::new(server, &format!("again{number}@example.org"), |user| {
            user.role = kind.platform_role();
        })
        .await;
        if let Some(role) = kind.role() {
            person.join(server, &fixture.ids["tenantId"], role).await;
        }
    }
}

async fn covered(database: Database) {
    let provider = FakeProvider::start().await;
    let server = TestServer::start_with(database, |settings| {
        provider.configure(settings);
        settings.tenancy.deletion_grace = Duration::from_secs(3600);
    })
    .await;
    unlimited(&server).await;
    let mut fixture = Fixture::new(&server, "quagga").await;
    let mut callers = Callers::new(&server, &fixture).await;
    let mut failures = Vec::new();
    let mut called = Vec::new();
    for (number, rule) in RULES.iter().enumerate().filter(|(_, (method, ..))| is_mutating(method)) {
        let (method, path, rule_of) = rule;
        let may = |kind: Kind| expected(*rule_of, kind) == Outcome::Allowed;
        let kind = if may(Kind::Owner) { Kind::Owner } else { Kind::SuperAdmin };
        let position = callers.all.iter().position(|(other, _)| *other == kind).unwrap();
        let id = format!("coverage-{number}");
        callers.all[position].1.client.headers.insert("x-request-id".into(), id.clone());
        let client = &callers.all[position].1.client;
        let answer = match particular(&server, &fixture, client, (method, path)).await {
            Some(answer) => Ok(answer),
            None => check(&server, &fixture, &mut callers, *rule, position, 100 + number).await,
        };
        callers.all[position].1.client.headers.remove("x-request-id");
        eprintln!(
            "{method} {path} by {kind:?}: {}",
            answer.as_ref().map_or(0, |answer| answer.status.as_u16())
        );
        revive(&server, &mut fixture, &mut callers, position, number).await;
        match answer {
            Ok(answer) if answer.status.is_success() => called.push((*method, *path, id)),
            Ok(answer) => failures
                .push(format!("{method} {path} is not a valid call: {} {}", answer.status, answer.text)),
            Err(failure) => failures.push(failure),
        }
    }
    for (method, path, id) in called.iter().filter(|(method, path, _)| !is_silent(method, path)) {
        let found = eventually(PATIENCE, async || {
            let found = of_request(&server, id).await;
            (!found.is_empty()).then_some(found)
        });
        if found.await.is_none() {
            failures.push(format!("{method} {path} leaves no entry"));
        }
    }
    // By now everything has had its time, background jobs included.
    for (method, path, id) in called.iter().filter(|(method, path, _)| is_silent(method, path)) {
        let kinds: Vec<String> = of_request(&server, id).await.into_iter().map(|entry| entry.kind).collect();
        if !kinds.is_empty() {
            failures.push(format!("{method} {path} is not silent: {kinds:?}"));
        }
    }
    let all = entries(&server, AuditFilter::default()).await;
    let incomplete: BTreeSet<&str> = all
        .iter()
        .filter(|entry| entry.request_id != "fixture" && !is_complete(entry))
        .map(|entry| entry.kind.as_str())
        .collect();
    if !incomplete.is_empty() {
        failures.push(format!("without what was before or is after: {incomplete:?}"));
    }
    assert!(called.len() > 25, "only {} operations", called.len());
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mutating_operation_leaves_an_entry_on_sqlite() {
    covered(Database::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mutating_operation_leaves_an_entry_on_postgres() {
    covered(Database::Postgres).await;
}

/// A row without an operation would excuse a future one.
#[test]
fn every_excuse_is_of_an_operation_and_has_a_reason() {
    for (method, path, reason) in SILENT {
        assert!(RULES.iter().any(|(other, at, _)| (other, at) == (method, path)), "{method} {path}");
        assert!(is_mutating(method) && reason.len() > 20, "{method} {path}");
    }
}
