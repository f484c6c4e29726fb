//! Tenants and their branding, and which tenants a caller can access.

use std::time::Duration;

use portico_kernel::{PlatformRole, TenantRole};
use portico_testkit::server::{Client, PASSWORD, TestServer, at_once, eventually};
use serde_json::{Value, json};

use crate::fixture::Person;

/// Makes a tenant and returns its id.
pub async fn tenant(client: &Client, name: &str) -> String {
    let made = client.post("/api/v1/tenants", json!({"name": name})).await.expect(201);
    made["id"].as_str().unwrap().to_owned()
}

/// A new customer who is a member of a tenant.
pub async fn member(server: &TestServer, email: &str, tenant: &str, role: TenantRole) -> Client {
    let person = Person::new(server, email, |_| {}).await;
    person.join(server, tenant, role).await;
    person.client
}

/// A new account of the operator's.
pub async fn operator(server: &TestServer, email: &str, role: PlatformRole) -> Client {
    Person::new(server, email, |user| user.role = role).await.client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_begins_with_subdomain_branding_plan_and_owner() {
    TestServer::shared(async |server| {
        let client = server.unverified(server.email("ada")).await;
        let answer = client
            .post("/api/v1/tenants", json!({"name": " Panadería Luz ", "subdomain": "panaderia-luz"}))
            .await;
        assert_eq!(answer.header("etag"), "\"v1\"");
        let location = answer.header("location").to_owned();
        let made = answer.expect(201);
        assert_eq!(location, format!("/api/v1/tenants/{}", made["id"].as_str().unwrap()));
        assert_eq!((&made["name"], &made["subdomain"]), (&json!("Panadería Luz"), &json!("panaderia-luz")));
        assert_eq!((&made["status"], &made["plan"]), (&json!("active"), &json!("free")));
        let read = client.get(&location).await;
        assert_eq!(read.header("etag"), "\"v1\"");
        assert_eq!(read.expect(200), made);
        assert_eq!(client.with("if-none-match", "\"v1\"").get(&location).await.status.as_u16(), 304);
        let branding = client.get(&format!("{location}/branding")).await.expect(200);
        assert_eq!(
            (&branding["colors"]["primary"], &branding["fonts"]["body"]),
            (&json!("#1f5f54"), &json!("system"))
        );

        let suggested = client.post("/api/v1/tenants", json!({"name": "Panadería Luz"})).await.expect(201);
        assert!(suggested["subdomain"].as_str().unwrap().starts_with("panaderia-luz-"), "{suggested}");
        let profile = client.get("/api/v1/profile").await.expect(200);
        let roles: Vec<_> =
            profile["tenants"].as_array().unwrap().iter().map(|t| (&t["name"], &t["role"])).collect();
        let owner = json!("owner");
        let expected = [json!("Test Person"), json!("Panadería Luz"), json!("Panadería Luz")];
        assert_eq!(roles, expected.iter().map(|name| (name, &owner)).collect::<Vec<_>>());
        assert_eq!(
            profile["activeTenantId"], client.tenant,
            "the one from the beginning stays the active one"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixteen_who_want_a_subdomain_one_gets_it() {
    TestServer::on_each_database(async |server| {
        let client = server.unverified(server.email("ada")).await;
        let answers = at_once(16, |number| {
            let client = client.clone();
            let body = json!({"name": format!("Acme {number}"), "subdomain": "acme-bakery"});
            async move { client.post("/api/v1/tenants", body).await }
        })
        .await;
        let (made, refused): (Vec<_>, Vec<_>) =
            answers.iter().partition(|answer| answer.status.as_u16() == 201);
        assert_eq!((made.len(), refused.len()), (1, 15), "{answers:?}");
        for answer in refused {
            assert_eq!((answer.status.as_u16(), &answer.json["code"]), (409, &json!("subdomain_taken")));
        }
        let list = client.get("/api/v1/tenants").await.expect(200);
        assert_eq!(list["total"], 2, "nothing was left of the others: {list}");

        // Sites and tenants share one set of names.
        let taken = client.post("/api/v1/sites", json!({"name": "Acme", "subdomain": "acme-bakery"})).await;
        assert_eq!(taken.expect(409)["code"], "subdomain_taken");
        client.post("/api/v1/sites", json!({"name": "Acme", "subdomain": "acme-garden"})).await.expect(201);
        let taken = client.post("/api/v1/tenants", json!({"name": "Acme", "subdomain": "acme-garden"})).await;
        assert_eq!(taken.expect(409)["code"], "subdomain_taken");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_needs_a_name_and_a_subdomain_that_is_free_for_customers() {
    let server = TestServer::start().await;
    let client = server.unverified(server.email("ada")).await;
    for reserved in ["admin", "api", "www", "mail2", "ns1", "billing", "my-portico", "status"] {
        let answer = client.post("/api/v1/tenants", json!({"name": "Acme", "subdomain": reserved})).await;
        assert_eq!(answer.expect(422)["errors"][0]["code"], "reserved_subdomain", "{reserved}");
    }
    for wrong in ["", "ab", "-acme", "acme-", "Acme", "acme.bakery", "xn--acme", "a/../b", &"a".repeat(64)] {
        let answer = client.post("/api/v1/tenants", json!({"name": "Acme", "subdomain": wrong})).await;
        assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec!["subdomain".to_owned()]), "{wrong}");
    }
    let both = client.post("/api/v1/tenants", json!({"subdomain": "admin"})).await;
    assert_eq!((both.status.as_u16(), both.fields()), (422, vec!["name".to_owned(), "subdomain".to_owned()]));
    let unknown =
        client.post("/api/v1/tenants", json!({"name": "Acme", "plan": "enterprise", "status": "x"})).await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.fields()),
        (422, vec!["plan".to_owned(), "status".to_owned()])
    );
    assert_eq!(client.get("/api/v1/tenants").await.expect(200)["total"], 1);
    assert_eq!(server.client().post("/api/v1/tenants", json!({"name": "Acme"})).await.status.as_u16(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn own_tenants_are_listed_searched_and_paged() {
    TestServer::on_each_database(async |server| {
        let client = server.unverified(server.email("ada")).await;
        let other = server.unverified(server.email("eve")).await;
        tenant(&other, "Luz of somebody else").await;
        for (name, subdomain) in
            [("Panadería Luz", "pan-uno"), ("Café 100%", "cafe-dos"), ("Bici_cletas", "luz-tres")]
        {
            client.post("/api/v1/tenants", json!({"name": name, "subdomain": subdomain})).await.expect(201);
        }
        let names = async |query: &str| {
            let list = client.get(&format!("/api/v1/tenants{query}")).await.expect(200);
            let items = list["items"].as_array().unwrap().clone();
            let names: Vec<_> = items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect();
            (names, list["total"].as_u64().unwrap())
        };
        let all = ["Bici_cletas", "Café 100%", "Panadería Luz", "Test Person"].map(str::to_owned);
        assert_eq!(names("").await, (all.to_vec(), 4), "newest first");
        assert_eq!(names("?limit=3").await, (all[..3].to_vec(), 4));
        assert_eq!(names("?limit=3&page=2").await, (all[3..].to_vec(), 4));
        assert_eq!(names("?limit=3&page=3").await, (vec![], 4));
        assert_eq!(names("?q=LUZ").await, (vec![all[0].clone(), all[2].clone()], 2), "in name or subdomain");
        assert_eq!(names("?q=0%25").await, (vec![all[1].clone()], 1), "taken literally");
        assert_eq!(names("?q=i_c").await, (vec![all[0].clone()], 1), "taken literally");
        assert_eq!(names("?q=nothing").await, (vec![], 0));
        for (query, field) in [
            ("limit=101", "limit"),
            ("limit=0", "limit"),
            ("page=0", "page"),
            ("page=1000000000000000000", "page"),
            ("page=x", "page"),
            ("owner=me", "owner"),
        ] {
            let answer = client.get(&format!("/api/v1/tenants?{query}")).await;
            assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec![field.to_owned()]), "{query}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_changed_by_whoever_read_it_last() {
    TestServer::on_each_database(async |server| {
        let client = server.unverified(server.email("ada")).await;
        let path = format!("/api/v1/tenants/{}", tenant(&client, "Acme").await);
        let fresh = client.with("if-match", "\"v1\"");
        let answer = fresh.put(&path, json!({"name": "Acme Bakery", "subdomain": "acme-one"})).await;
        assert_eq!(answer.header("etag"), "\"v2\"");
        let changed = answer.expect(200);
        assert_eq!((&changed["name"], &changed["subdomain"]), (&json!("Acme Bakery"), &json!("acme-one")));
        assert_eq!(
            fresh.put(&path, json!({"name": "Late"})).await.expect(412)["code"],
            "precondition_failed"
        );
        assert_eq!(fresh.delete(&path).await.status.as_u16(), 412);
        assert_eq!(client.get(&path).await.expect(200), changed);

        // Of eight that read the same version, one may write.
        let answers = at_once(8, |number| {
            let (client, path) = (client.with("if-match", "\"v2\""), path.clone());
            async move { client.put(&path, json!({"name": format!("Acme {number}")})).await.status.as_u16() }
        })
        .await;
        let (won, late): (Vec<u16>, Vec<u16>) = answers.iter().partition(|status| **status == 200);
        assert_eq!((won.len(), late), (1, vec![412; 7]));

        client.post("/api/v1/tenants", json!({"name": "Other", "subdomain": "acme-two"})).await.expect(201);
        let taken = client.put(&path, json!({"subdomain": "acme-two"})).await;
        assert_eq!(taken.expect(409)["code"], "subdomain_taken");
        let wrong = client.put(&path, json!({"name": " ", "subdomain": "www"})).await;
        assert_eq!(
            (wrong.status.as_u16(), wrong.fields()),
            (422, vec!["name".to_owned(), "subdomain".to_owned()])
        );
        // The subdomain that was given up is free again, the one that was kept is not.
        client.put(&path, json!({"subdomain": "acme-three"})).await.expect(200);
        client.post("/api/v1/tenants", json!({"name": "Heir", "subdomain": "acme-one"})).await.expect(201);
        client.post("/api/v1/tenants", json!({"name": "Thief", "subdomain": "acme-three"})).await.expect(409);
    })
    .await;
}

/// Publishes a site with one page, and returns its host name once it is there.
async fn publish(server: &TestServer, client: &Client, subdomain: &str) -> String {
    let site =
        client.post("/api/v1/sites", json!({"name": "Acme", "subdomain": subdomain})).await.expect(201);
    let page = json!({"title": "Welcome to Acme", "slug": "home", "status": "published", "isHome": true});
    client.post(&client.t("/pages"), page).await.expect(201);
    client.post_empty(&format!("/api/v1/sites/{}/deploy", site["id"].as_str().unwrap())).await.expect(202);
    let host = site["url"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
    let live = eventually(Duration::from_secs(20), async || {
        let page = server.client().with("host", &host).get("/").await;
        (page.status.as_u16() == 200 && page.text.contains("Welcome to Acme")).then_some(())
    })
    .await;
    assert!(live.is_some(), "the site is not live");
    host
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_tenant_is_gone_with_its_published_site() {
    TestServer::shared(async |server| {
        let mut client = server.customer(server.email("ada")).await;
        let personal = client.tenant.clone();
        let made = client
            .post("/api/v1/tenants", json!({"name": "Acme", "subdomain": "acme-bakery"}))
            .await
            .expect(201);
        client.tenant = made["id"].as_str().unwrap().to_owned();
        let client = client.with("x-tenant-id", &client.tenant);
        let admin = member(server, server.email("bob"), &client.tenant, TenantRole::Admin).await;
        let host = publish(server, &client, "acme-shop").await;

        assert_eq!(admin.delete(&client.t("")).await.expect(403)["code"], "forbidden");
        client.with("if-match", "\"v1\"").delete(&client.t("")).await.expect(204);
        for caller in [&client, &admin] {
            for path in ["", "/branding", "/audit", "/pages"] {
                assert_eq!(caller.get(&client.t(path)).await.status.as_u16(), 404, "{path}");
            }
        }
        assert_eq!(client.put(&client.t(""), json!({"name": "Back"})).await.status.as_u16(), 404);
        assert_eq!(client.delete(&client.t("")).await.status.as_u16(), 404);
        assert_eq!(client.get("/api/v1/sites").await.status.as_u16(), 404, "named by X-Tenant-Id");
        assert_eq!(
            server.client().with("host", &host).get("/").await.status.as_u16(),
            404,
            "its site is gone at once"
        );

        let client = client.with("x-tenant-id", &personal);
        assert_eq!(client.get("/api/v1/tenants").await.expect(200)["total"], 1);
        let again = client.post("/api/v1/tenants", json!({"name": "Fake", "subdomain": "acme-bakery"})).await;
        assert_eq!(again.expect(409)["code"], "subdomain_taken", "nobody can pose as it");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_deletes_the_last_tenant_can_still_sign_in_and_make_another() {
    let server = TestServer::start().await;
    let mut client = server.unverified(server.email("ada")).await;
    client.delete(&client.t("")).await.expect(204);
    assert_eq!(client.get("/api/v1/profile").await.expect(200)["activeTenantId"], Value::Null);
    let body = json!({"email": server.email("ada"), "password": PASSWORD});
    client.sign(&server.client().post("/api/v1/auth/login", body.clone()).await.expect(200));
    let profile = client.get("/api/v1/profile").await.expect(200);
    assert_eq!((&profile["activeTenantId"], &profile["tenants"]), (&Value::Null, &json!([])));
    assert!(client.get("/api/v1/sites").await.status.is_client_error());
    let made = tenant(&client, "Acme").await;
    client.sign(&server.client().post("/api/v1/auth/login", body).await.expect(200));
    assert_eq!(client.get("/api/v1/profile").await.expect(200)["activeTenantId"], made);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_names_another_own_tenant_and_no_foreign_one() {
    TestServer::shared(async |server| {
        let client = server.unverified(server.email("ada")).await;
        let second = tenant(&client, "Second").await;
        let there = client.with("x-tenant-id", &second);
        assert_eq!(there.get("/api/v1/profile").await.expect(200)["activeTenantId"], second);
        let site = there.post("/api/v1/sites", json!({"name": "There"})).await.expect(201);
        assert_eq!(site["tenantId"], second);
        assert_eq!(client.get("/api/v1/sites").await.expect(200)["total"], 0);
        assert_eq!(there.get("/api/v1/sites").await.expect(200)["total"], 1);
        let path = format!("/api/v1/sites/{}", site["id"].as_str().unwrap());
        assert_eq!(client.get(&path).await.status.as_u16(), 404, "of another tenant, though an own one");
        // The path takes precedence over the header.
        assert_eq!(there.get(&client.t("")).await.expect(200)["id"], client.tenant);

        let eve = server.unverified(server.email("eve")).await;
        for named in [second.as_str(), "00000000-0000-0000-0000-000000000000", "no-id", ""] {
            let answer = eve.with("x-tenant-id", named).get("/api/v1/sites").await;
            assert_eq!((answer.status.as_u16(), &answer.json["code"]), (404, &json!("not_found")), "{named}");
        }
        for (method, path) in [
            ("GET", ""),
            ("PUT", ""),
            ("DELETE", ""),
            ("GET", "/branding"),
            ("PUT", "/branding"),
            ("DELETE", "/branding"),
            ("GET", "/audit"),
        ] {
            let path = client.t(path);
            let answer = match method {
                "PUT" => eve.put(&path, json!({})).await,
                "DELETE" => eve.delete(&path).await,
                _ => eve.get(&path).await,
            };
            assert_eq!(answer.status.as_u16(), 404, "{method} {path}");
            assert!(!answer.text.contains("Test Person"), "{}", answer.text);
        }
        assert_eq!(client.get(&client.t("")).await.expect(200)["status"], "active");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_decides_what_a_member_may_do() {
    let server = TestServer::start().await;
    let owner = server.unverified(server.email("ada")).await;
    // What is allowed: read, change settings, change branding, read the audit trail, delete.
    for (role, allowed) in [
        (TenantRole::Viewer, [true, false, false, false, false]),
        (TenantRole::Editor, [true, false, false, false, false]),
        (TenantRole::Admin, [true, true, true, true, false]),
        (TenantRole::Owner, [true, true, true, true, true]),
    ] {
        let client = member(&server, server.email(role.as_str()), &owner.tenant, role).await;
        let statuses = [
            client.get(&owner.t("")).await.status,
            client.put(&owner.t(""), json!({"name": role.as_str()})).await.status,
            client.put(&owner.t("/branding"), json!({"fonts": {"body": "slab"}})).await.status,
            client.get(&owner.t("/audit")).await.status,
            client.delete(&owner.t("")).await.status,
        ];
        for (status, allowed) in statuses.iter().zip(allowed) {
            assert_eq!(
                (status.is_success(), status.as_u16() == 403),
                (allowed, !allowed),
                "{role:?}: {statuses:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn super_admins_cross_tenants_and_staff_do_not() {
    TestServer::alone(async |server| {
        let customer = server.unverified(server.email("ada")).await;
        let staff = operator(server, server.email("staff"), PlatformRole::Staff).await;
        let admin = operator(server, server.email("root"), PlatformRole::SuperAdmin).await;
        for path in ["", "/branding", "/audit"] {
            assert_eq!(staff.get(&customer.t(path)).await.status.as_u16(), 404, "{path}");
            assert_eq!(admin.get(&customer.t(path)).await.status.as_u16(), 200, "{path}");
        }
        assert_eq!(
            staff.with("x-tenant-id", &customer.tenant).get("/api/v1/sites").await.status.as_u16(),
            404
        );
        assert_eq!(staff.get("/api/v1/audit").await.expect(403)["code"], "forbidden");
        assert_eq!(staff.get("/api/v1/tenants").await.expect(200)["total"], 1, "the own one");
        assert_eq!(admin.get("/api/v1/tenants").await.expect(200)["total"], 3, "everybody's");
        let there = admin.with("x-tenant-id", &customer.tenant);
        there.post("/api/v1/sites", json!({"name": "Made for a customer"})).await.expect(201);
        assert_eq!(customer.get("/api/v1/sites").await.expect(200)["total"], 1);
        admin.put(&customer.t(""), json!({"name": "Renamed"})).await.expect(200);

        // A tenant that does not exist is 404 for every role.
        let nowhere = "019a0000-0000-7000-8000-000000000000";
        for path in ["", "/branding", "/audit", "/pages", "/navigation"] {
            let answer = admin.get(&format!("/api/v1/tenants/{nowhere}{path}")).await;
            assert_eq!(answer.status.as_u16(), 404, "{path}: {}", answer.text);
        }
        let answer = admin.with("x-tenant-id", nowhere).post("/api/v1/sites", json!({"name": "Lost"})).await;
        assert!(answer.status.is_client_error(), "{}", answer.text);
        admin.delete(&customer.t("")).await.expect(204);
        assert_eq!(admin.get(&customer.t("")).await.status.as_u16(), 404);
        let trail = format!("/api/v1/audit?type=tenant.deleted&resourceId={}", customer.tenant);
        let trail = admin.get(&trail).await.expect(200);
        assert_eq!(trail["items"][0]["before"]["name"], "Renamed", "the trail stays");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn branding_is_merged_and_reset() {
    TestServer::shared(async |server| {
        let client = server.unverified(server.email("ada")).await;
        let path = client.t("/branding");
        let read = client.get(&path).await;
        assert_eq!(read.header("etag"), "\"v1\"");
        assert_eq!(client.with("if-none-match", "\"v1\"").get(&path).await.status.as_u16(), 304);
        let defaults = read.expect(200);
        let body = json!({"colors": {"primary": "#8A3B12"}, "fonts": {"heading": "old-style"}});
        let changed = client.with("if-match", "\"v1\"").put(&path, body).await;
        assert_eq!(changed.header("etag"), "\"v2\"");
        let changed = changed.expect(200);
        assert_eq!(
            (&changed["colors"]["primary"], &changed["fonts"]["heading"]),
            (&json!("#8a3b12"), &json!("old-style"))
        );
        assert_eq!(
            (&changed["colors"]["text"], &changed["fonts"]["body"]),
            (&defaults["colors"]["text"], &defaults["fonts"]["body"])
        );
        assert_eq!(client.get(&path).await.expect(200), changed);
        let stale = client.with("if-match", "\"v1\"");
        assert_eq!(stale.put(&path, json!({"fonts": {"body": "mono"}})).await.status.as_u16(), 412);
        assert_eq!(stale.delete(&path).await.status.as_u16(), 412);
        assert_eq!(client.with("if-match", "W/\"x\"").delete(&path).await.status.as_u16(), 412);

        client.with("if-match", "\"v2\"").delete(&path).await.expect(204);
        let reset = client.get(&path).await.expect(200);
        assert_eq!((&reset["colors"], &reset["fonts"]), (&defaults["colors"], &defaults["fonts"]));
        client.delete(&path).await.expect(204);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn branding_takes_colours_and_fonts_that_work() {
    let server = TestServer::start().await;
    let client = server.unverified(server.email("ada")).await;
    let path = client.t("/branding");
    let before = client.get(&path).await.expect(200);
    let cases: [(Value, &[(&str, &str)]); 6] = [
        (
            json!({"colors": {"primary": "red", "accent": "#12345", "text": "#12345g"}, "fonts": {"heading": "Comic Sans", "body": ""}}),
            &[
                ("colors.primary", "invalid_color"),
                ("colors.accent", "invalid_color"),
                ("colors.text", "invalid_color"),
                ("fonts.heading", "unknown_font"),
                ("fonts.body", "unknown_font"),
            ],
        ),
        (json!({"colors": {"text": "#888888", "background": "#ffffff"}}), &[("colors.text", "low_contrast")]),
        (json!({"colors": {"text": "#fffdf9"}}), &[("colors.text", "low_contrast")]),
        (json!({"colors": {"primary": "#fff;}</style>"}}), &[("colors.primary", "invalid_color")]),
        (json!({"logoAssetId": "019a0000-0000-7000-8000-000000000000"}), &[("logoAssetId", "unknown_asset")]),
        (
            json!({"colors": {"border": "#000000"}, "fonts": {"size": 12}, "css": "*{}"}),
            &[("colors.border", "unknown_field"), ("fonts.size", "unknown_field"), ("css", "unknown_field")],
        ),
    ];
    for (body, expected) in cases {
        let answer = client.put(&path, body.clone()).await.expect(422);
        let errors = answer["errors"].as_array().unwrap();
        let mut found: Vec<_> =
            errors.iter().map(|e| (e["field"].as_str().unwrap(), e["code"].as_str().unwrap())).collect();
        let mut expected = expected.to_vec();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{body}");
    }
    assert_eq!(client.get(&path).await.expect(200), before);
}
