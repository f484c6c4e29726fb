//! Contact forms of published sites: posted by visitors, read by customers.

use std::time::Duration;

use portico_kernel::{PlatformRole, TenantRole};
use portico_sites::site::SiteStatus;
use portico_testkit::server::{Answer, Client, Database, TestServer, at_once, eventually};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    fixture::Person,
    sites::{column, events},
    slow_clients::trickle,
    visitors::{FIREFOX, PATIENCE, Shop},
};

const FORM: &str = "application/x-www-form-urlencoded";

fn contact(form: bool) -> Value {
    json!({"type": "contact", "content": {"heading": "Write to us", "phone": "5555 1234", "form": form}})
}

/// The action of the form on a page.
fn action(page: &str) -> &str {
    let rest = page.split_once("method=\"post\" action=\"").map(|(_, rest)| rest);
    rest.and_then(|rest| rest.split_once('"')).map(|(action, _)| action).unwrap_or_else(|| panic!("{page}"))
}

fn encoded(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(fields);
    text.finish().into_bytes()
}

/// A valid message.
pub const ANA: [(&str, &str); 4] = [
    ("name", "Ana Pérez"),
    ("email", "ana@example.com"),
    ("phone", "+502 5555-1234"),
    ("message", "¿Hornean sin gluten?"),
];

/// A contact form of a site that is live.
pub struct Form {
    pub shop: Shop,
    pub visitor: Client,
    pub action: String,
}

impl Form {
    pub async fn open(server: &TestServer, email: &str) -> Self {
        let shop = Shop::open(server, email, &[contact(true)]).await;
        let visitor = shop.visitor(server, FIREFOX);
        let page = visitor.get("/").await;
        let action = action(&page.text).to_owned();
        Self { shop, visitor, action }
    }

    pub async fn send(&self, fields: &[(&str, &str)]) -> Answer {
        self.visitor.send(Method::POST, &self.action, Some(encoded(fields)), FORM).await
    }

    /// Sends a message that differs from all others.
    async fn write(&self, message: &str) {
        let answer = self.send(&[("name", "Ana"), ("email", "ana@example.com"), ("message", message)]).await;
        assert_eq!(answer.status.as_u16(), 303, "{answer:?}");
    }

    fn path(&self, rest: &str) -> String {
        format!("{}/submissions{rest}", self.shop.path)
    }

    async fn list(&self, query: &str) -> Value {
        self.shop.client.get(&self.path(query)).await.expect(200)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_writes_and_the_customer_reads() {
    TestServer::shared(async |server| {
        let form = Form::open(server, server.email("luz")).await;
        let client = &form.shop.client;
        client
            .put(&client.t("/settings"), json!({"supportEmail": "hola@luz.example", "language": "es"}))
            .await
            .expect(200);
        let page = form.visitor.get("/").await;
        for there in [
            "autocomplete=\"email\"",
            "required",
            "<label for=\"form-",
            "type=\"checkbox\"",
            "tabindex=\"-1\"",
        ] {
            assert!(page.text.contains(there), "{there} is in {}", page.text);
        }
        assert!(page.header("content-security-policy").contains("form-action 'self'"));
        assert!(!page.text.contains("<script>") && !page.text.contains("style=\""), "{}", page.text);

        let mut fields = ANA.to_vec();
        fields.push(("consent", "yes"));
        let answer = form.send(&fields).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (303, "/_forms/thanks/"),
            "{answer:?}"
        );
        let thanks = form.visitor.get("/_forms/thanks/").await;
        assert!(
            thanks.status.is_success()
                && thanks.text.contains("Thank you")
                && thanks.text.contains("Panadería Luz"),
            "{thanks:?}"
        );

        let list = form.list("").await;
        let items = list["items"].as_array().unwrap();
        assert_eq!(items.len(), 1, "{list}");
        let one = &items[0];
        assert_eq!(
            (&one["name"], &one["email"], &one["message"]),
            (&json!("Ana Pérez"), &json!("ana@example.com"), &json!("¿Hornean sin gluten?"))
        );
        assert_eq!(
            (&one["phone"], &one["pagePath"], &one["language"], &one["status"]),
            (&json!("+502 5555-1234"), &json!("/"), &json!("en"), &json!("new"))
        );
        assert_eq!((&one["consent"]["given"], &one["consent"]["at"]), (&json!(true), &one["createdAt"]));
        assert!(page.text.contains(one["consent"]["text"].as_str().unwrap()), "what they saw: {one}");
        assert!(form.action.ends_with(one["sectionId"].as_str().unwrap()));

        // The owner gets the message, and can answer the visitor. The address of the settings gets a notice without its text.
        let notice = server.mail("hola@luz.example", "formulario de contacto de").await;
        assert!(
            !notice.contains("gluten") && !notice.contains("Ana"),
            "nobody has verified this address: {notice}"
        );
        for (to, words) in [(server.email("luz"), "> ¿Hornean sin gluten?")] {
            let text = server.mail(to, words).await;
            assert!(text.contains("Ana Pérez") && text.contains("> ¿Hornean sin gluten?"), "{text}");
            let mailbox = server
                .client()
                .with("accept", "application/json")
                .get(&format!("/dev/mailbox?to={to}"))
                .await;
            let mails = mailbox.json["items"].as_array().unwrap().clone();
            let about: Vec<_> =
                mails.iter().filter(|mail| mail["text"].as_str().unwrap().contains("gluten")).collect();
            assert_eq!(about.len(), 1, "once: {about:?}");
            assert_eq!(about[0]["replyTo"], "ana@example.com");
        }

        // The event log records that it came, without its content.
        assert_eq!(events(client, "submission.received").await, 1);
        let log = client.get(&client.t("/audit?type=submission.received")).await;
        assert_eq!(log.json["items"][0]["actor"], json!({"kind": "anonymous"}));
        assert!(log.json["items"][0].get("address").is_none(), "{}", log.text);
        assert!(
            !log.text.contains("Ana") && !log.text.contains("gluten") && !log.text.contains("Mozilla"),
            "{}",
            log.text
        );

        let item = form.path(&format!("/{}", one["id"].as_str().unwrap()));
        let read = client.get(&item).await;
        let tag = read.header("etag").to_owned();
        assert_eq!(&read.expect(200), one);
        assert_eq!(client.with("if-none-match", &tag).get(&item).await.status.as_u16(), 304);
        let marked = client.with("if-match", &tag).put(&item, json!({"status": "read"})).await.expect(200);
        assert_eq!(marked["status"], "read");
        client.with("if-match", &tag).put(&item, json!({"status": "new"})).await.expect(412);
        assert_eq!(client.put(&item, json!({"status": "old"})).await.fields(), ["status"]);
        assert_eq!(client.put(&item, json!({})).await.fields(), ["status"]);
        client.delete(&item).await.expect(204);
        client.get(&item).await.expect(404);
        client.delete(&item).await.expect(404);
        assert_eq!(form.list("").await["items"], json!([]));
        let log = client.get(&client.t("/audit?resourceType=submission")).await;
        assert_eq!(log.json["items"].as_array().unwrap().len(), 3, "{}", log.text);
        assert!(!log.text.contains("Ana") && !log.text.contains("gluten"), "{}", log.text);
    })
    .await;
}

/// A tenant may enter any address, and send it what it likes through its own form.
#[tokio::test(flavor = "multi_thread")]
async fn the_address_for_questions_gets_messages_once_a_member_has_verified_it() {
    TestServer::shared(async |server| {
        let form = Form::open(server, server.email("luz")).await;
        let client = &form.shop.client;
        let helper = Person::new(server, server.email("ayuda"), |_| {}).await;
        client.put(&client.t("/settings"), json!({"supportEmail": helper.email})).await.expect(200);
        form.write("The first message").await;
        let notice = server.mail(&helper.email, "contact form of").await;
        assert!(
            !notice.contains("first message") && !notice.contains("Ana"),
            "somebody else's address: {notice}"
        );
        helper.join(server, &client.tenant, TenantRole::Viewer).await;
        form.write("The second message").await;
        server.mail(&helper.email, "> The second message").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_shown_with_what_was_written() {
    TestServer::shared(async |server| {
        let form = Form::open(server, server.email("wrong")).await;
        let site = &form.shop.path;
        form.shop.client.put(site, json!({"language": "es"})).await.expect(200);
        form.shop.deploy().await;
        let evil = "<script>alert(1)</script>\"'&";
        let answer = form
            .send(&[
                ("name", ""),
                ("email", "no address"),
                ("phone", "call me"),
                ("message", evil),
                ("consent", "yes"),
            ])
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (422, "text/html; charset=utf-8")
        );
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(answer.header("content-security-policy").contains("style-src 'self'"));
        for there in [
            "<html lang=\"es\">",
            "Su mensaje no se envió",
            "Rellene este campo",
            "Esto no es una dirección de correo",
            "Use dígitos",
            "value=\"no address\"",
            "value=\"call me\"",
            "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;</textarea>",
            "aria-invalid=\"true\"",
            "value=\"yes\" checked",
            "rel=\"stylesheet\" href=\"/assets/site.",
        ] {
            assert!(answer.text.contains(there), "{there} is in {}", answer.text);
        }
        assert!(!answer.text.contains("<script"), "{}", answer.text);
        assert_eq!(action(&answer.text), form.action, "it can be sent again");
        assert_eq!(form.list("").await["items"], json!([]));
        // In the language of the site.
        assert!(form.visitor.get("/").await.text.contains("Enviar mensaje"));
        let done = form.send(&ANA).await;
        assert!(form.visitor.get(done.header("location")).await.text.contains("Gracias"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_nothing_through() {
    TestServer::on_each_database(async |server| {
        let form = Form::open(server, server.email("spam")).await;
        let client = &form.shop.client;
        let mut trapped = ANA.to_vec();
        trapped.push(("website", "https://spam.example"));
        assert_eq!(form.send(&trapped).await.status.as_u16(), 303, "a program is not told");
        assert_eq!(form.list("").await["items"], json!([]));

        form.write("http://a.example http://b.example http://c.example").await;
        let list = form.list("?status=spam").await;
        assert_eq!(list["items"].as_array().unwrap().len(), 1);
        assert_eq!(form.list("?status=new").await["items"], json!([]));

        // One message, clicked on many times.
        let clicks = at_once(8, |_| {
            let (visitor, action) = (form.visitor.clone(), form.action.clone());
            async move { visitor.send(Method::POST, &action, Some(encoded(&ANA)), FORM).await }
        })
        .await;
        assert!(clicks.iter().all(|answer| answer.status.as_u16() == 303), "{clicks:?}");
        assert_eq!(form.list("?status=new").await["items"].as_array().unwrap().len(), 1);
        server.mail(server.email("spam"), "> ¿Hornean sin gluten?").await;
        let mailbox = server
            .client()
            .with("accept", "application/json")
            .get(&format!("/dev/mailbox?to={}", server.email("spam")))
            .await;
        assert!(!mailbox.text.contains("a.example"), "spam is mailed to nobody: {}", mailbox.text);
        assert_eq!(events(client, "submission.received").await, 2);

        let post = async |path: &str, body: Vec<u8>, kind: &str| {
            form.visitor.send(Method::POST, path, Some(body), kind).await.status.as_u16()
        };
        assert_eq!(post(&form.action, vec![b'a'; 33 * 1024], FORM).await, 413);
        assert_eq!(post(&form.action, b"{}".to_vec(), "application/json").await, 415);
        let unknown = format!("/_forms/{}", server.app.core.env.random_uuid());
        for path in [unknown.as_str(), "/_forms/", "/_forms/thanks/", "/_forms/..%2f", "/_forms/x"] {
            assert_eq!(post(path, encoded(&ANA), FORM).await, 404, "{path}");
        }
        assert_eq!(post("/", encoded(&ANA), FORM).await, 405);
        let get = form.visitor.get(&form.action).await;
        assert_eq!(get.status.as_u16(), 404, "there is nothing to read");
        // The API itself has no such path, nor does a site that has no form there.
        let other = Shop::open(server, server.email("other"), &[contact(false)]).await;
        let elsewhere = other.visitor(server, FIREFOX);
        assert_eq!(
            elsewhere.send(Method::POST, &form.action, Some(encoded(&ANA)), FORM).await.status.as_u16(),
            404
        );
        assert!(!elsewhere.get("/").await.text.contains("<form"));
        server.client().send(Method::POST, &form.action, Some(encoded(&ANA)), FORM).await.expect(404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_forms_an_hour_come_through() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.rate_limit.enabled = true;
        settings.rate_limit.per_address = 10_000;
        settings.rate_limit.per_user = 10_000;
        settings.rate_limit.sensitive = 1000;
        settings.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        settings.sites.form_per_address = 3;
        settings.sites.form_per_site = 5;
    })
    .await;
    let mut form = Form::open(&server, server.email("limits")).await;
    let visitor = form.visitor.clone();
    let from = |address: &str| visitor.with("x-forwarded-for", address);
    for number in 0..3 {
        form.visitor = from("192.0.2.1");
        form.write(&format!("Message {number}")).await;
    }
    let refused = form.send(&ANA).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, "600"));
    assert!(
        refused.text.contains("What you wrote is still here") && refused.text.contains("Ana Pérez"),
        "{}",
        refused.text
    );
    form.visitor = from("192.0.2.2");
    form.write("Another").await;
    form.visitor = from("192.0.2.3");
    form.write("And another").await;
    form.visitor = from("192.0.2.4");
    assert_eq!(form.send(&ANA).await.status.as_u16(), 429, "the site has had enough");
    assert_eq!(form.list("").await["items"].as_array().unwrap().len(), 5);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_for_editors_of_the_tenant() {
    TestServer::shared(async |server| {
        let form = Form::open(server, server.email("members")).await;
        form.write("Hello").await;
        let id = form.list("").await["items"][0]["id"].as_str().unwrap().to_owned();
        let item = form.path(&format!("/{id}"));
        let tenant = form.shop.client.tenant.clone();
        let viewer = Person::new(server, server.email("viewer"), |_| {}).await;
        viewer.join(server, &tenant, TenantRole::Viewer).await;
        let staff = Person::new(server, server.email("staff"), |user| user.role = PlatformRole::Staff).await;
        let stranger = server.customer(server.email("stranger")).await;
        let within = |client: &Client| client.with("x-tenant-id", &tenant);
        for (client, status) in [
            (within(&viewer.client), 403),
            (within(&staff.client), 404),
            (within(&stranger), 404),
            (stranger.clone(), 404),
            (server.client(), 401),
        ] {
            for path in [form.path(""), form.path("/export"), item.clone()] {
                assert_eq!(client.get(&path).await.status.as_u16(), status, "{path}");
            }
            assert_eq!(client.put(&item, json!({"status": "read"})).await.status.as_u16(), status);
            assert_eq!(client.delete(&item).await.status.as_u16(), status);
        }
        within(&viewer.client).get(&format!("{}/analytics", form.shop.path)).await.expect(200);
        assert_eq!(form.list("").await["items"][0]["status"], "new", "nothing happened");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_searched_filtered_and_exported() {
    TestServer::on_each_database(async |server| {
        let form = Form::open(server, server.email("export")).await;
        let client = &form.shop.client;
        form.write("First").await;
        form.send(&[
            ("name", "=HYPERLINK(1)"),
            ("email", "eve@example.org"),
            ("message", "+cmd|' /C calc'!A0"),
        ])
        .await;
        form.write("Third, \"quoted\"\r\nline").await;
        let list = form.list("?limit=2").await;
        let messages = |list: &Value| column(list, "message");
        assert_eq!(messages(&list), ["Third, \"quoted\"\nline", "+cmd|' /C calc'!A0"]);
        let next = form.list(&format!("?limit=2&cursor={}", list["nextCursor"].as_str().unwrap())).await;
        assert_eq!((messages(&next), next.get("nextCursor")), (vec!["First".to_owned()], None));
        assert_eq!(messages(&form.list("?q=EVE@").await), ["+cmd|' /C calc'!A0"]);
        assert_eq!(messages(&form.list("?q=100%25").await), Vec::<String>::new());
        for (query, field) in [
            ("?status=old", "status"),
            ("?cursor=x", "cursor"),
            ("?limit=0", "limit"),
            ("?color=red", "color"),
        ] {
            assert_eq!(client.get(&form.path(query)).await.fields(), [field], "{query}");
        }
        let missing = format!("/api/v1/sites/{}/submissions", server.app.core.env.random_uuid());
        client.get(&missing).await.expect(404);
        client.get(&format!("{missing}/export")).await.expect(404);

        let export = client.get(&form.path("/export")).await;
        assert_eq!(export.header("content-type"), "text/csv; charset=utf-8; header=present");
        assert_eq!(export.header("content-disposition"), "attachment; filename=\"submissions.csv\"");
        assert!(
            export.text.starts_with("id,time,status,name,email,phone,message,consent,"),
            "{}",
            export.text
        );
        assert!(
            export.text.contains(",'=HYPERLINK(1),eve@example.org,,'+cmd|' /C calc'!A0,false,"),
            "{}",
            export.text
        );
        assert!(export.text.contains("\"Third, \"\"quoted\"\"\nline\""), "{}", export.text);
        let some = client.get(&form.path("/export?q=First&format=csv")).await;
        assert_eq!(some.text.lines().count(), 2, "{}", some.text);
        assert_eq!(client.get(&form.path("/export?format=pdf")).await.fields(), ["format"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_does_not_answer_takes_no_messages() {
    TestServer::shared(async |server| {
        let form = Form::open(server, server.email("paused")).await;
        let (tenant, id) = (
            form.shop.client.tenant.parse().unwrap(),
            form.shop.path.rsplit('/').next().unwrap().parse().unwrap(),
        );
        let mut work = server.app.core.begin().await.unwrap();
        let mut site = work.sites().find(tenant, id).await.unwrap().unwrap();
        site.status = SiteStatus::Suspended;
        work.sites().update(&site).await.unwrap();
        work.commit().await.unwrap();
        let gone =
            eventually(PATIENCE, async || (form.visitor.get("/").await.status.as_u16() == 404).then_some(()));
        assert!(gone.await.is_some(), "the site is suspended");
        assert_eq!(form.send(&ANA).await.status.as_u16(), 404);
        assert_eq!(form.list("").await["items"], json!([]));

        // A form that is not deployed any more accepts nothing; earlier messages stay.
        let form = Form::open(server, server.email("removed")).await;
        form.write("Before").await;
        let sections = form.shop.client.get(&format!("{}/sections", form.shop.home)).await.expect(200);
        let section = sections["items"][0]["id"].as_str().unwrap();
        form.shop.client.delete(&format!("{}/sections/{section}", form.shop.home)).await.expect(204);
        form.write("Still on the page").await;
        form.shop.deploy().await;
        assert_eq!(form.send(&ANA).await.status.as_u16(), 404);
        assert_eq!(form.list("").await["items"].as_array().unwrap().len(), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_comes_too_slowly_is_cut() {
    let server = TestServer::start().await;
    let form = Form::open(&server, server.email("langsam")).await;
    let host = &form.visitor.headers["host"];
    let lines = format!("Host: {host}\r\nContent-Type: {FORM}\r\nContent-Length: 5000");
    let head = format!("POST {} HTTP/1.1\r\n{lines}\r\n\r\nname=", form.action);
    let slow = tokio::task::block_in_place(|| {
        trickle(&server, &head, b"a", Duration::from_millis(300), Duration::from_secs(15))
    });
    assert_eq!(slow.status(), 408, "{slow:?}");
    server.stop().await;
}
