//! Who may do what: every operation of the API document with every kind of caller.
//!
//! [`RULES`] has one row for each operation. An operation without a row fails the test, and so does a row without an
//! operation; a new route therefore starts there.

use std::collections::BTreeSet;

use portico_testkit::server::{Database, TestServer};
use serde_json::{Value, json};

use crate::fixture::{Fixture, fill, parameters, unlimited};
use crate::provider::FakeProvider;
use callers::key;
use calls::said;
use table::{
    Rule::{self, AnyMember, VerifiedMember},
    wants_verified,
};

mod access;
mod callers;
mod calls;
mod table;

pub use callers::{Callers, Kind};
pub use calls::{call, check, marked};
pub use table::{Outcome, RULES, body, expected};

/// The operations of the document.
fn operations() -> BTreeSet<(String, String)> {
    let document = serde_json::to_value(portico::document::collected()).unwrap();
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
    let document = serde_json::to_value(portico::document::collected()).unwrap();
    let mut wrong = Vec::new();
    for (method, path, rule) in RULES.iter() {
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

/// Operations that want a verified address only for a part of what they can do.
const IN_PART: &[(&str, &str)] = &[
    ("GET", "/api/v1/auth/oidc/{provider}"),
    ("POST", "/api/v1/wizard/{wizardId}/complete"),
    ("PUT", "/api/v1/tenants/{tenantId}/pages/{pageId}"),
    ("PUT", "/api/v1/tenants/{tenantId}/settings"),
];

/// The API document, and the table for those who build a front end, say it of the same operations as [`RULES`].
#[test]
fn the_documents_name_the_operations_that_want_a_verified_address() {
    let rules = RULES.iter().filter(|(_, _, rule)| wants_verified(*rule));
    let rules: BTreeSet<_> =
        rules.map(|(method, path, _)| (*method, *path)).chain(IN_PART.iter().copied()).collect();

    let document = serde_json::to_value(portico::document::collected()).unwrap();
    let refusal = |method: &str, path: &str| {
        let response = &document["paths"][path][method.to_lowercase()]["responses"]["403"];
        let shared =
            response["$ref"].as_str().and_then(|name| document.pointer(name.trim_start_matches('#')));
        shared.unwrap_or(response)["description"].as_str()
    };
    let says = |(method, path): &(&str, &str)| {
        refusal(method, path).is_some_and(|text| text.contains("`email_unverified`"))
    };
    let documented: BTreeSet<_> =
        RULES.iter().map(|(method, path, _)| (*method, *path)).filter(says).collect();
    assert_eq!(documented, rules, "the API document");

    let guide = include_str!("../../../../docs/authentication.md");
    let section = guide.split("## Before the address is verified").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let table = section.split('`').skip(1).step_by(2).filter_map(|span| span.split_once(" /"));
    let table: BTreeSet<_> = table.map(|(method, path)| (method, format!("/api/v1/{path}"))).collect();
    let rules: BTreeSet<_> = rules.into_iter().map(|(method, path)| (method, path.to_owned())).collect();
    assert_eq!(table, rules, "docs/authentication.md");
}

/// Of [`IN_PART`]; what the wizard does is in `wizard.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_verified_address_the_other_parts_of_an_operation_work() {
    TestServer::on_each_database(async |server| {
        let client = server.unverified("ada@example.com").await;
        client.post("/api/v1/sites", json!({"name": "Site"})).await.expect(201);
        let page = client.post(&client.t("/pages"), json!({"title": "Home"})).await.expect(201);
        let page = client.t(&format!("/pages/{}", page["id"].as_str().unwrap()));
        let settings = client.t("/settings");
        let soon = server.app.core.env.now() + time::Duration::hours(1);
        for (path, wanting, other) in [
            (&page, json!({"publishAt": soon}), json!({"publishAt": null, "title": "House"})),
            (&settings, json!({"supportEmail": "help@example.org"}), json!({"supportEmail": null})),
        ] {
            let refused = client.put(path, wanting.clone()).await.expect(403);
            assert_eq!(refused["code"], "email_unverified", "{wanting}");
            client.put(path, other).await.expect(200);
        }
    })
    .await;
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
        for rule in RULES.iter() {
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

/// What an operation says it needs, and what its use case asks for, is compared by a key that may do nothing: it is refused with
/// the name of what was asked for.
#[tokio::test(flavor = "multi_thread")]
async fn an_operation_documents_the_permission_that_its_use_case_asks_for() {
    let server = TestServer::start().await;
    unlimited(&server).await;
    let fixture = Fixture::new(&server, "okapi").await;
    let client = server.client().with("x-api-key", &key(&server, &fixture, Kind::KeyWithout).await);
    let document = serde_json::to_value(portico::document::collected()).unwrap();
    let (mut compared, mut failures) = (0, Vec::new());
    for (number, (method, template, _)) in RULES.iter().enumerate() {
        let operation = &document["paths"][template][method.to_lowercase()];
        let Some(security) = operation["security"].as_array() else { continue };
        let scopes = security.iter().filter_map(|scheme| scheme["bearer"].as_array()).flatten();
        let documented: BTreeSet<&str> = scopes.filter_map(Value::as_str).collect();
        let body = body(&server, &fixture, &fixture.owner, (method, template), number).await;
        let answer = call(&client, method, &fixture.path(template), body.as_ref()).await;
        let detail = answer.json["detail"].as_str().unwrap_or_default();
        let asked = detail.strip_prefix("This needs the permission ").and_then(|rest| rest.split(' ').next());
        let agrees = match asked {
            Some(asked) => documented.contains(asked),
            // For a user, whose role does not matter.
            None => documented.is_empty() || answer.json["code"] == "person_required",
        };
        compared += usize::from(asked.is_some());
        if !agrees {
            failures.push(format!(
                "{method} {template} documents {documented:?}: {} {}",
                answer.status, answer.text
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(compared > 100, "{compared} operations asked for a permission");
    server.stop().await;
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
            // A provider is the same for every tenant, as products and their releases are, and pictures of people and templates are for
            // everybody.
            let global = ["templateId", "previewFile", "industry", "downloadId", "fileName", "productType"];
            if names.iter().all(|name| global.contains(name))
                || names == ["provider"]
                || names == ["userId", "avatarName"]
                // A signed link is for every client that has it.
                || names == ["tenantId", "assetId", "variant"]
                || matches!(rule, Rule::Platform(_))
            {
                continue;
            }
            let body = body(server, &own, &own.owner, (method, template), number).await;
            for foreign in 1..1_u32 << names.len() {
                let path = fill(template, |name| {
                    let place = names.iter().position(|other| *other == name)?;
                    let tenant = if foreign & (1 << place) == 0 { &own } else { &other };
                    tenant.id(template, name)
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
        let nav = "/api/v1/tenants/{tenantId}/navigation/{navItemId}";
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
                json!({"items": [{"id": id("navItemId"), "position": 0}]}),
            ),
            (
                "PUT",
                format!("{navigation}/reorder"),
                json!({"items": [{"id": id("navItemId"), "position": 0}]}),
            ),
            ("POST", navigation.into(), json!({"label": "Mine", "pageId": id("pageId")})),
            ("POST", navigation.into(), json!({"label": "Mine", "parentId": id("navItemId")})),
            ("PUT", nav.into(), json!({"pageId": id("pageId")})),
            ("PUT", nav.into(), json!({"parentId": id("navItemId")})),
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
