//! Licenses of an older system: a table of staff becomes licenses, all of it or nothing.

use portico_kernel::PlatformRole;
use portico_testkit::server::{Answer, Client, TestServer, at_once};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    fixture::{Person, text},
    licenses::{LICENSES, verdict},
    sites::{column, events},
};

const IMPORT: &str = "/api/v1/admin/licenses/import";

async fn staff(server: &TestServer) -> Client {
    Person::new(server, server.email("staff"), |user| user.role = PlatformRole::Staff).await.client
}

async fn import(client: &Client, table: &str) -> Answer {
    client.send(Method::POST, IMPORT, Some(table.as_bytes().to_vec()), "text/csv; charset=utf-8").await
}

/// A key that no other test has.
fn key(server: &TestServer) -> String {
    let id = server.app.core.env.random_uuid().simple().to_string().to_uppercase();
    id.chars().rev().take(16).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_becomes_a_license_of_its_customer() {
    TestServer::on_each_database(async |server| {
        let staff = staff(server).await;
        let email = server.email("ada");
        let ada = Person::new(server, email, |_| {}).await.client;
        let bob = server.customer(server.email("bob")).await;
        let key = key(server);
        let table = format!(
            "customer,productType,key,expiresAt,seats\r\n\
             {},base_product,{key},2099-01-01T00:00:00Z,7\r\n{},base_product,,,\r\n",
            email.to_uppercase(),
            bob.tenant
        );
        let keyed = staff.with("idempotency-key", &format!("import-{key}"));
        for _ in 0..2 {
            assert_eq!(import(&keyed, &table).await.expect(201)["issued"], 2);
        }
        let licenses = ada.get(LICENSES).await.expect(200);
        assert_eq!(licenses["total"], 1, "sent twice, done once");
        let license = &licenses["items"][0];
        assert_eq!(text(license, "key").replace('-', ""), key);
        assert_eq!(
            (&license["activationLimit"], &license["expiresAt"], license.get("purchaseId")),
            (&json!(7), &json!("2099-01-01T00:00:00Z"), None)
        );
        assert_eq!(verdict(server, &key.to_lowercase(), "f1").await, "not_activated");
        assert_eq!(bob.get(LICENSES).await.expect(200)["items"][0]["activationLimit"], 3);
        assert_eq!(events(&ada, "license.issued").await, 1);
        let trail = ada.get(&ada.t("/audit?type=license.issued")).await.expect(200);
        assert_eq!(trail["items"][0]["after"]["reason"], "Imported");
        assert!(!trail.to_string().contains(&text(license, "key")), "keys never enter events");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_a_wrong_line_issues_nothing() {
    TestServer::on_each_database(async |server| {
        let staff = staff(server).await;
        let ada = server.customer(server.email("ada")).await;
        let boss =
            Person::new(server, server.email("boss"), |user| user.role = PlatformRole::SuperAdmin).await;
        let (tenant, key) = (&ada.tenant, key(server));
        import(&staff, &format!("customer,productType,key\n{tenant},base_product,{key}\n")).await.expect(201);
        let table = format!(
            "productType,customer,seats,key\n\
             base_product,{tenant},,\n\
             mug,{tenant},,\n\
             base_product,nobody@example.com,,\n\
             base_product,{},,\n\
             base_product,{tenant},0,\n\
             base_product,{tenant},,{key}\n\
             base_product,{tenant},,no key\n\
             base_product,a\0b,,\n",
            boss.client.tenant
        );
        let refused = import(&staff, &table).await.expect(422);
        let expected = [
            ("lines[3].productType", "unknown_product"),
            ("lines[4].customer", "unknown_customer"),
            ("lines[5].customer", "unknown_customer"),
            ("lines[6].seats", "out_of_range"),
            ("lines[7].key", "taken"),
            ("lines[8].key", "invalid_key"),
            ("lines[9].customer", "unknown_customer"),
        ];
        let found: Vec<(String, String)> = refused["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| (text(error, "field"), text(error, "code")))
            .collect();
        assert_eq!(found, expected.map(|(field, code)| (field.to_owned(), code.to_owned())));
        assert_eq!(ada.get(LICENSES).await.expect(200)["total"], 1);

        for (table, status) in [
            ("", 422),
            ("customer,productType\n", 422),
            ("customer\nx\n", 422),
            ("customer,productType,password\nx,y,z\n", 422),
            ("customer,productType\nx\n", 400),
        ] {
            assert_eq!(import(&staff, table).await.status.as_u16(), status, "{table}");
        }
        let large = format!("customer,productType\n{}", "x,y\n".repeat(5001));
        assert_eq!(import(&staff, &large).await.expect(422)["errors"][0]["code"], "too_many");
        assert_eq!(import(&staff, &"x".repeat(1024 * 1024 + 1)).await.status.as_u16(), 413);
        assert_eq!(staff.post(IMPORT, Value::Null).await.status.as_u16(), 415);
        let own = format!("customer,productType\n{tenant},base_product\n");
        assert_eq!(import(&ada, &own).await.status.as_u16(), 403);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_8_tables_with_one_key_at_once_one_is_taken() {
    TestServer::on_each_database(async |server| {
        let staff = staff(server).await;
        let ada = server.customer(server.email("ada")).await;
        let table = format!("customer,productType,key\n{},base_product,{}\n", ada.tenant, key(server));
        let answers = at_once(8, |_| {
            let (staff, table) = (staff.clone(), table.clone());
            async move { import(&staff, &table).await }
        })
        .await;
        let taken = answers.iter().filter(|answer| answer.status.as_u16() == 201).count();
        assert_eq!(taken, 1);
        assert!(answers.iter().all(|answer| matches!(answer.status.as_u16(), 201 | 409 | 422)));
        let licenses = ada.get(LICENSES).await.expect(200);
        assert_eq!(column(&licenses, "id").len(), 1);
    })
    .await;
}
