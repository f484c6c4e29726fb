//! The documented requests of the systems that Portico unifies, as their clients send them, with every documented field of
//! the answers. What is not built yet is not here.

use portico_testkit::server::{Answer, Client, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

/// A request whose body says what its source documents: `None` where its example has no `Content-Type`.
async fn send(client: &Client, method: Method, path: &str, content_type: &str, body: &str) -> Answer {
    client.send(method, path, Some(body.as_bytes().to_vec()), content_type).await
}

/// What curl sends for `--data` where the documentation forgot the header.
const FORM: &str = "application/x-www-form-urlencoded";

fn has(answer: &Value, fields: &[&str]) {
    for field in fields {
        assert!(answer.pointer(field).is_some(), "{field} in {answer}");
    }
}

const R_USER: [&str; 4] = ["/user/id", "/user/full_name", "/user/email_verified", "/user/last_login"];
const R_TOKENS: [&str; 5] =
    ["/access_token", "/token_type", "/expires_in", "/refresh_token", "/email_verified"];

#[tokio::test(flavor = "multi_thread")]
async fn site_purchase_flow() {
    TestServer::shared(async |server| {
        let email = server.email("r");
        let post = async |client: &Client, path: &str, body: Value| {
            let path = format!("/api/v1/customer/{path}");
            send(client, Method::POST, &path, "application/json", &body.to_string()).await
        };
        let visitor = server.client();
        let registration =
            json!({"email": email, "password": "SecurePass123!", "full_name": "John Doe", "phone": "+50255551234"});
        let registered = post(&visitor, "register", registration).await.expect(201);
        has(&registered, &R_TOKENS);
        has(&registered, &R_USER);
        assert_eq!((&registered["email_verified"], &registered["user"]["full_name"]), (&json!(false), &json!("John Doe")));

        let login = json!({"email": email, "password": "SecurePass123!"});
        let tokens = post(&visitor, "login", login).await.expect(200);
        has(&tokens, &R_TOKENS);
        has(&tokens, &R_USER);
        assert!(tokens["user"]["last_login"].is_string(), "{tokens}");

        let tokens = post(&visitor, "refresh", json!({"refresh_token": tokens["refresh_token"]})).await.expect(200);
        has(&tokens, &R_TOKENS);
        let mut john = server.client();
        john.sign(&tokens);

        let me = john.get("/api/v1/customer/me").await.expect(200);
        has(&me, &["/id", "/email", "/full_name", "/phone", "/email_verified", "/last_login"]);
        let body = r#"{"full_name": "John M. Doe", "phone": "+50255559999"}"#;
        let me = send(&john, Method::PUT, "/api/v1/customer/profile", "application/json", body).await.expect(200);
        assert_eq!((&me["full_name"], &me["phone"]), (&json!("John M. Doe"), &json!("+50255559999")));

        let message = |answer: Answer| assert!(answer.expect(200)["message"].is_string());
        message(post(&john, "resend-verification", json!({})).await);
        let token = server.mail_token(email, "verify-email").await;
        message(post(&john, "verify-email", json!({"token": token})).await);
        assert_eq!(john.get("/api/v1/customer/me").await.expect(200)["email_verified"], true);
        message(post(&visitor, "forgot-password", json!({"email": email})).await);
        let token = server.mail_token(email, "reset-password").await;
        message(post(&visitor, "reset-password", json!({"token": token, "password": "NewSecure456!Pass"})).await);
        let login = json!({"email": email, "password": "NewSecure456!Pass"});
        john.sign(&post(&visitor, "login", login).await.expect(200));
        let change = json!({"current_password": "NewSecure456!Pass", "new_password": "Third-Secure789!"});
        message(post(&john, "change-password", change).await);

        // Refusals are ours on every path, and the canonical path knows no other names.
        let refused = post(&visitor, "reset-password", json!({"token": "x", "password": "Third-Secure789!"})).await;
        assert!(refused.status.is_client_error() && refused.json["code"].is_string(), "{refused:?}");
        assert_eq!(john.get("/api/v1/profile").await.expect(200).get("full_name"), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logen_user_portal() {
    TestServer::shared(async |server| {
        let email = server.email("l");
        let visitor = server.client();
        // Behind its proxy, the base is below /api.
        for (base, email) in [("/customer", email), ("/api/customer", server.email("l2"))] {
            let path = |path: &str| format!("{base}{path}");
            let registration =
                json!({"email": email, "password": "SecurePass123!", "fullName": "Luz Marina"});
            let tokens = visitor.post(&path("/auth/register"), registration).await.expect(201);
            has(&tokens, &["/access_token", "/refresh_token", "/user/id", "/user/email"]);
            let login = json!({"email": email, "password": "SecurePass123!"});
            let tokens = visitor.post(&path("/auth/login"), login).await.expect(200);
            let tokens = visitor
                .post(&path("/auth/refresh"), json!({"refresh_token": tokens["refresh_token"]}))
                .await
                .expect(200);
            let mut luz = server.client();
            luz.sign(&tokens);
            assert_eq!(luz.get(&path("/auth/profile")).await.expect(200)["fullName"], "Luz Marina");
            luz.put(&path("/auth/profile"), json!({"company": "Luz"})).await.expect(200);
            let token = server.mail_token(email, "verify-email").await;
            luz.post(&path("/auth/verify-email"), json!({"token": token})).await.expect(200);

            let site = luz.post(&path("/sites"), json!({"name": "Luz"})).await.expect(201);
            let site = path(&format!("/sites/{}", site["id"].as_str().unwrap()));
            luz.get(&path("/sites")).await.expect(200);
            luz.put(&site, json!({"name": "Luz y Sol"})).await.expect(200);
            luz.post_empty(&format!("{site}/preview")).await.expect(201);
            let page = json!({"title": "Inicio", "status": "published", "isHome": true});
            let tenant = luz.get(&path("/auth/profile")).await.expect(200)["activeTenantId"]
                .as_str()
                .unwrap()
                .to_owned();
            luz.post(&format!("/api/tenants/{tenant}/pages"), page).await.expect(201);
            luz.post_empty(&format!("{site}/deploy")).await.expect(202);
            has(&luz.get(&format!("{site}/status")).await.expect(200), &["/status", "/progress"]);
            luz.get(&format!("{site}/analytics")).await.expect(200);
            let plans = luz.get(&path("/billing/plans")).await.expect(200);
            let names: Vec<_> = plans["items"].as_array().unwrap().iter().map(|plan| &plan["id"]).collect();
            assert_eq!(names, ["free", "starter", "professional", "enterprise"]);
            has(&luz.get(&path("/billing/usage")).await.expect(200), &["/items/0/meter", "/items/0/used"]);
            for catalogue in ["", "/categories", "/featured", "/popular", "/industry/restaurant"] {
                luz.get(&path(&format!("/templates{catalogue}"))).await.expect(200);
            }
            luz.delete(&site).await.expect(204);
            luz.post(&path("/auth/logout"), json!({"refresh_token": tokens["refresh_token"]}))
                .await
                .expect(204);
            luz.get(&path("/auth/profile")).await.expect(401);
        }
        visitor.post("/customer/auth/forgot-password", json!({"email": email})).await.expect(202);
        let token = server.mail_token(email, "reset-password").await;
        let reset = json!({"token": token, "password": "NewSecure456!Pass"});
        visitor.post("/customer/auth/reset-password", reset).await.expect(204);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatsapp_business_portal() {
    TestServer::shared(async |server| {
        let ada = server.customer(server.email("w")).await;
        let profile = ada.get("/api/customer/profile").await.expect(200);
        has(&profile, &["/fullName", "/email", "/language", "/package/plan", "/package/status"]);
        ada.put(
            "/api/customer/profile",
            json!({"mobile": "+50255551234", "address": "6a Avenida 1-23", "notes": "Call first"}),
        )
        .await
        .expect(200);

        // Keys of the caller's tenant, without its id.
        let wish = json!({"name": "Desk", "permissions": ["sites:read"]});
        for base in ["/api/customer/api-keys", "/api/v1/api-keys", "/customer/api-keys"] {
            let made = ada.post(base, wish.clone()).await;
            let at = made.header("location").to_owned();
            let made = made.expect(201);
            has(&made, &["/id", "/key", "/permissions", "/active"]);
            assert_eq!(at, ada.t(&format!("/api-keys/{}", made["id"].as_str().unwrap())), "{base}");
            let one = format!("{base}/{}", made["id"].as_str().unwrap());
            ada.put(&one, json!({"active": false})).await.expect(200);
            ada.get(&format!("{one}/usage")).await.expect(200);
            let rotated = ada.post_empty(&format!("{one}/rotate")).await.expect(200);
            assert_ne!(rotated["key"], made["key"]);
            ada.delete(&one).await.expect(204);
        }
        assert_eq!(server.client().get("/api/v1/api-keys").await.status.as_u16(), 401);
        // Another tenant is named as on every other path, and by strangers in vain.
        let eve = server.customer(server.email("w-eve")).await;
        let foreign = eve.with("x-tenant-id", &ada.tenant).get("/api/v1/api-keys").await;
        assert_eq!(foreign.status.as_u16(), 404);
        assert_eq!(ada.with("x-tenant-id", "mine").get("/api/v1/api-keys").await.status.as_u16(), 404);

        // A browser gets a page, a client of the API gets the API.
        let html = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for path in ["/customer", "/customer/profile", "/customer/whatsapp"] {
            let page = server.client().with("accept", html).get(path).await;
            assert_eq!((page.status.as_u16(), page.header("location")), (302, "/api/docs/"), "{path}");
        }
        assert_eq!(
            ada.with("accept", "application/json, text/html;q=0.5").get("/customer/profile").await.status,
            200
        );
        assert_eq!(ada.with("accept", "*/*").get("/customer/profile").await.status, 200);
        let docs = server.client().get("/api/customer/docs").await;
        assert_eq!(docs.header("location"), "/api/docs/");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_end_learns_what_forms_need() {
    TestServer::shared(async |server| {
        let answer = server.client().get("/api/v1/config").await;
        assert_eq!(answer.header("cache-control"), "public, max-age=300");
        let config = answer.expect(200);
        assert_eq!(config["passwords"]["minLength"], 8);
        assert_eq!(config["languages"], json!(["en", "es"]));
        has(&config, &["/providers", "/features/contentGeneration"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn product_sales_api() {
    TestServer::shared(async |server| {
        let ada = server.customer(server.email("p")).await;
        let body = r#"{"name": "Ada L.", "phone": "+15550100", "company": "Engines"}"#;
        for content_type in ["application/json", "", FORM] {
            let profile = send(&ada, Method::PUT, "/api/v1/profile", content_type, body).await.expect(200);
            assert_eq!(profile["name"], "Ada L.", "{content_type:?}");
        }
        let profile = ada.get("/api/v1/profile").await.expect(200);
        has(&profile, &["/id", "/email", "/name", "/phone", "/company"]);
        // What is no JSON is a form after all.
        let form = send(&ada, Method::PUT, "/api/v1/profile", FORM, "name=Ada").await;
        assert_eq!(form.status.as_u16(), 415);

        let order = json!({
            "items": [{"productType": "base_product"}],
            "successUrl": "https://example.com/success", "cancelUrl": "https://example.com/cancel",
        });
        let session = ada.post("/api/v1/checkout/create-session", order).await.expect(201);
        has(&session, &["/sessionId", "/url"]);
        let back = json!({"sessionId": session["sessionId"]});
        ada.post("/api/v1/checkout/success", back).await.expect(200);
        let purchases = ada.get("/api/v1/purchases").await.expect(200);
        let purchase = &purchases["items"][0];
        has(
            purchase,
            &[
                "/id",
                "/amount",
                "/currency",
                "/status",
                "/items/0/productType",
                "/items/0/description",
                "/createdAt",
            ],
        );
        assert_eq!((&purchase["amount"], &purchase["currency"]), (&json!(35900), &json!("usd")));
        server.payments.pay(session["sessionId"].as_str().unwrap());
        let back = json!({"sessionId": session["sessionId"]});
        ada.post("/api/v1/checkout/success", back).await.expect(200);
        let license = ada.get("/api/v1/licenses").await.expect(200)["items"][0].clone();
        has(&license, &["/id", "/key", "/productType"]);
        assert_eq!((&license["status"], &license["expiresAt"]), (&json!("active"), &json!(null)));

        let question = json!({
            "subject": "It does not start", "description": "It closes at once.", "category": "technical", "priority": "medium",
        });
        let ticket = ada.post("/api/v1/support/tickets", question).await.expect(201);
        let path = format!("/api/v1/support/tickets/{}", ticket["id"].as_str().unwrap());
        ada.post(&format!("{path}/messages"), json!({"body": "It is 2.4.1."})).await.expect(201);
        let thread = ada.get(&path).await.expect(200);
        has(
            &thread,
            &[
                "/id",
                "/number",
                "/subject",
                "/description",
                "/category",
                "/priority",
                "/status",
                "/tags",
                "/createdAt",
                "/updatedAt",
                "/messages/0/id",
                "/messages/0/author/kind",
                "/messages/0/author/name",
                "/messages/0/body",
                "/messages/0/attachments",
                "/messages/0/internal",
                "/messages/0/createdAt",
            ],
        );
        assert_eq!(ada.get("/api/v1/support/tickets").await.expect(200)["items"][0]["id"], ticket["id"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn siteninja_backend() {
    TestServer::shared(async |server| {
        let email = server.email("n");
        let visitor = server.client();
        let registration = json!({"email": email, "password": "SecurePass123!", "fullName": "Nina"});
        visitor.post("/api/auth/register", registration).await.expect(201);
        let tokens = visitor
            .post("/api/auth/login", json!({"email": email, "password": "SecurePass123!"}))
            .await
            .expect(200);
        let mut nina = server.client();
        nina.sign(&tokens);
        let token = server.mail_token(email, "verify-email").await;
        nina.post("/api/v1/auth/verify-email", json!({"token": token})).await.expect(200);
        let tenants = nina.get("/api/tenants?status=active&plan=free&sort=-name").await.expect(200);
        assert_eq!(tenants["total"], 1);
        let tenant = format!("/api/tenants/{}", tenants["items"][0]["id"].as_str().unwrap());
        for nothing in ["status=suspended", "plan=enterprise"] {
            assert_eq!(
                nina.get(&format!("/api/tenants?{nothing}")).await.expect(200)["total"],
                0,
                "{nothing}"
            );
        }
        assert_eq!(nina.get("/api/tenants?sort=plan").await.fields(), ["sort"]);
        nina.post("/api/v1/sites", json!({"name": "Nina"})).await.expect(201);

        let page = nina.post(&format!("{tenant}/pages"), json!({"title": "About us"})).await.expect(201);
        has(&page, &["/id", "/title", "/slug", "/status"]);
        let page = format!("{tenant}/pages/{}", page["id"].as_str().unwrap());
        nina.get(&format!("{tenant}/pages/slug/about-us")).await.expect(200);
        nina.post_empty(&format!("{page}/duplicate")).await.expect(201);
        let hero = json!({"type": "hero", "content": {"heading": "Hello"}});
        let section = nina.post(&format!("{page}/sections"), hero).await.expect(201);
        nina.put(
            &format!("{page}/sections/{}", section["id"].as_str().unwrap()),
            json!({"content": {"heading": "Hi"}}),
        )
        .await
        .expect(200);
        nina.put(&format!("{page}/seo"), json!({"title": "About"})).await.expect(200);
        nina.delete(&format!("{page}/seo")).await.expect(204);
        nina.post(&format!("{tenant}/navigation"), json!({"label": "Home", "url": "/"})).await.expect(201);
        nina.get(&format!("{tenant}/branding")).await.expect(200);
        nina.get(&format!("{tenant}/assets")).await.expect(200);
        nina.get(&format!("{tenant}/webhooks")).await.expect(200);
        nina.get(&format!("{tenant}/api-keys")).await.expect(200);
        nina.get("/api/templates").await.expect(200);
        nina.get("/api/industries").await.expect(200);

        // Who, from where, with which client, by which request.
        let audit = nina.get(&format!("{tenant}/audit?type=page.created")).await.expect(200);
        let entry = &audit["items"][0];
        has(entry, &["/actor/id", "/address", "/method", "/path", "/requestId", "/after", "/createdAt"]);
        assert_eq!((&entry["method"], &entry["path"]), (&json!("POST"), &json!(format!("{page}/duplicate"))));
        visitor.get("/api/audit").await.expect(401);
        nina.delete(&page).await.expect(204);
        nina.post("/api/auth/logout", json!({"refresh_token": tokens["refresh_token"]})).await.expect(204);
    })
    .await;
}
