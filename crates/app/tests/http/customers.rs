//! Staff look after customers: finding them, agreeing on limits, suspending them and bringing them back.

use std::time::Duration;

use portico_kernel::PlatformRole;
use portico_testkit::server::{Answer, Client, Database, TestServer, at_once, eventually};
use serde_json::{Value, json};

use crate::{
    fixture::{Person, text},
    purchases::paid,
};

async fn person(server: &TestServer, name: &str, role: PlatformRole) -> Client {
    Person::new(server, server.email(name), |user| user.role = role).await.client
}

fn customer(client: &Client, rest: &str) -> String {
    format!("/api/v1/admin/customers/{}{rest}", client.tenant)
}

fn meter<'v>(items: &'v Value, name: &str) -> &'v Value {
    items.as_array().unwrap().iter().find(|item| item["meter"] == name).unwrap()
}

async fn usage(client: &Client, name: &str) -> Value {
    let usage = client.get("/api/v1/billing/usage").await.expect(200);
    meter(&usage["items"], name).clone()
}

async fn site(client: &Client, name: &str) -> Answer {
    client.post("/api/v1/sites", json!({"name": name})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_finds_customers_and_none_of_the_operators_people() {
    TestServer::shared(async |server| {
        let staff = person(server, "staff", PlatformRole::Staff).await;
        let boss = person(server, "boss", PlatformRole::SuperAdmin).await;
        let email = server.email("ada");
        let ada = server.customer(email).await;
        site(&ada, "One").await.expect(201);

        let found = staff.get(&format!("/api/v1/admin/customers?q={email}&sort=name")).await.expect(200);
        assert_eq!((&found["total"], &found["items"][0]["id"]), (&json!(1), &json!(ada.tenant)));
        let item = &found["items"][0];
        assert_eq!(item["owner"]["email"], email);
        assert_eq!((&item["members"], &item["sites"], &item["plan"]), (&json!(1), &json!(1), &json!("free")));
        assert!(item["lastActivityAt"].is_string(), "{item}");
        for (query, total) in [("plan=starter", 0), ("status=suspended", 0), ("status=active&plan=free", 1)] {
            let path = format!("/api/v1/admin/customers?q={email}&{query}");
            assert_eq!(staff.get(&path).await.expect(200)["total"], total, "{query}");
        }
        for (query, field) in [("sort=plan", "sort"), ("status=gone", "status"), ("colour=red", "colour")] {
            let refused = staff.get(&format!("/api/v1/admin/customers?{query}")).await;
            assert_eq!((refused.status.as_u16(), refused.fields()), (422, vec![field.to_owned()]));
        }

        let read = staff.get(&customer(&ada, "")).await.expect(200);
        assert_eq!((&read["id"], &meter(&read["usage"], "sites")["used"]), (&json!(ada.tenant), &json!(1)));
        assert_eq!(meter(&read["limits"]["limits"], "bandwidth")["planLimit"], 10_u64 << 30);

        // The people of the operator are no customers, to other staff and to themselves.
        let reason = json!({"reason": "x"});
        for own in [&boss, &staff] {
            for answer in [
                staff.get(&customer(own, "")).await,
                staff.get(&customer(own, "/limits")).await,
                staff.put(&customer(own, "/limits"), json!({"limits": {"sites": null}, "reason": "x"})).await,
                staff.put(&customer(own, "/plan"), json!({"plan": "enterprise", "reason": "x"})).await,
                staff.post(&customer(own, "/suspend"), reason.clone()).await,
                staff.post(&customer(own, "/reactivate"), reason.clone()).await,
            ] {
                assert_eq!(answer.status.as_u16(), 404, "{}", answer.text);
            }
            assert_eq!(boss.get(&customer(own, "")).await.expect(200)["id"], own.tenant);
        }
        let ticket =
            json!({"subject": "My own", "description": "It does not start.", "category": "technical"});
        let ticket = staff.post("/api/v1/support/tickets", ticket).await.expect(201);
        let queue = format!("/api/v1/admin/support/tickets?customerId={}", staff.tenant);
        for (client, total) in [(&staff, 0), (&boss, 1)] {
            assert_eq!(
                client.get(&queue).await.expect(200)["total"],
                total,
                "the queue is that of customers"
            );
        }
        let ticket = customer(&staff, &format!("/tickets/{}", ticket["id"].as_str().unwrap()));
        let answer = json!({"body": "It does."});
        for refused in [
            staff.get(&ticket).await,
            staff.put(&ticket, json!({"priority": "high"})).await,
            staff.post(&format!("{ticket}/messages"), answer).await,
            staff.post_empty(&format!("{ticket}/resolve")).await,
            staff.post_empty(&format!("{ticket}/close")).await,
        ] {
            assert_eq!(refused.status.as_u16(), 404, "{}", refused.text);
        }
        assert_eq!(boss.get(&ticket).await.expect(200)["status"], "open");
        let others =
            staff.get(&format!("/api/v1/admin/customers?q={}", server.email("boss"))).await.expect(200);
        assert_eq!(others["total"], 0);

        for path in ["/api/v1/admin/customers".to_owned(), customer(&ada, ""), customer(&ada, "/limits")] {
            assert_eq!(ada.get(&path).await.status.as_u16(), 403, "{path}");
            assert_eq!(server.client().get(&path).await.status.as_u16(), 401, "{path}");
        }
        let nobody = format!("/api/v1/admin/customers/{}", server.app.core.env.random_uuid());
        assert_eq!(staff.get(&nobody).await.status.as_u16(), 404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_view_has_everything_that_the_areas_of_the_caller_allow() {
    TestServer::on_each_database(async |server| {
        let staff = Person::new(server, server.email("staff"), |user| user.role = PlatformRole::Staff).await;
        let boss = person(server, "boss", PlatformRole::SuperAdmin).await;
        let ada = server.customer(server.email("ada")).await;
        let (purchase, _) = paid(server, &ada).await;
        let ticket =
            json!({"subject": "The update", "description": "It does not start.", "category": "technical"});
        ada.post("/api/v1/support/tickets", ticket).await.expect(201);
        let later = json!({"subject": "The invoice", "description": "It is missing.", "category": "billing"});
        ada.post("/api/v1/support/tickets", later).await.expect(201);
        staff.client.post(&customer(&ada, "/notes"), json!({"text": "Pays on time"})).await.expect(201);
        let path = customer(&ada, "/overview");
        let seen = staff.client.get(&path).await.expect(200);
        assert_eq!(
            (&seen["id"], &seen["people"][0]["email"]),
            (&json!(ada.tenant), &json!(server.email("ada")))
        );
        assert_eq!(
            (&seen["subscription"]["plan"], &meter(&seen["usage"], "sites")["used"]),
            (&json!("free"), &json!(0))
        );
        assert_eq!(
            (&seen["purchases"][0]["id"], seen["purchases"].as_array().unwrap().len()),
            (&json!(purchase), 1)
        );
        assert_eq!((seen["licenses"].as_array().unwrap().len(), &seen["siteSales"]), (1, &json!([])));
        assert_eq!(
            (&seen["tickets"][0]["subject"], &seen["tickets"][1]["subject"]),
            (&json!("The invoice"), &json!("The update"))
        );
        assert_eq!(seen["notes"][0]["text"], "Pays on time");
        let found = staff.client.get(&format!("/api/v1/admin/customers?q={purchase}")).await.expect(200);
        assert_eq!((&found["total"], &found["items"][0]["id"]), (&json!(1), &json!(ada.tenant)));

        let areas = format!("/api/v1/users/{}", staff.claims.user);
        boss.put(&areas, json!({"staffAreas": ["operations"]})).await.expect(200);
        let narrowed =
            async || staff.client.get(&path).await.expect(200)["purchases"].is_null().then_some(());
        eventually(Duration::from_secs(1), narrowed).await.expect("the areas hold");
        let seen = staff.client.get(&path).await.expect(200);
        for hidden in ["licenses", "siteSales", "tickets"] {
            assert!(seen[hidden].is_null(), "{hidden}: {seen}");
        }
        assert_eq!(seen["notes"][0]["text"], "Pays on time");

        // Of the operator's own people, and of nobody.
        assert_eq!(staff.client.get(&customer(&boss, "/overview")).await.status.as_u16(), 404);
        let nobody = format!("/api/v1/admin/customers/{}/overview", server.app.core.env.random_uuid());
        assert_eq!(staff.client.get(&nobody).await.status.as_u16(), 404);
        assert_eq!(ada.get(&path).await.status.as_u16(), 403);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_were_agreed_on_hold_at_once_and_stay() {
    TestServer::shared(async |server| {
        let staff = person(server, "staff", PlatformRole::Staff).await;
        let (ada, other) =
            (server.customer(server.email("ada")).await, server.customer(server.email("other")).await);
        let path = customer(&ada, "/limits");
        site(&ada, "One").await.expect(201);
        assert_eq!(site(&ada, "Two").await.expect(402)["plan"], "starter");

        for (wrong, fields) in [
            (json!({"limits": {"sites": 2}}), vec!["reason"]),
            (json!({"limits": {"wheels": 2}, "reason": "x"}), vec!["limits.wheels"]),
            (json!({"limits": {"sites": -1}, "reason": "x"}), vec!["limits.sites"]),
            (json!({"limits": {"sites": u64::MAX}, "reason": "x"}), vec!["limits.sites"]),
            (json!({"requestsPerMinute": {"perUser": 0}, "reason": "x"}), vec!["requestsPerMinute.perUser"]),
            (json!({"quota": 1, "reason": "x"}), vec!["quota"]),
        ] {
            let refused = staff.put(&path, wrong.clone()).await;
            assert_eq!(refused.status.as_u16(), 422, "{wrong} {}", refused.text);
            assert_eq!(refused.fields(), fields, "{wrong}");
        }
        let two = json!({"limits": {"sites": 2, "bandwidth": null}, "reason": "By phone"});
        assert_eq!(ada.put(&path, two.clone()).await.status.as_u16(), 403);
        let set = staff.put(&path, two.clone()).await.expect(200);
        let sites = meter(&set["limits"], "sites");
        assert_eq!(
            (&sites["limit"], &sites["planLimit"], &sites["isAgreed"]),
            (&json!(2), &json!(1), &json!(true))
        );
        assert_eq!(usage(&ada, "sites").await["limit"], 2);
        assert_eq!(usage(&ada, "bandwidth").await["limit"], Value::Null);
        assert_eq!(usage(&other, "sites").await["limit"], 1);

        // Of 64 at once for the one that is left, one gets it; no plan is recommended, because none would help.
        let answers = at_once(64, |number| {
            let ada = ada.clone();
            async move { site(&ada, &format!("Site {number}")).await }
        })
        .await;
        let made = answers.iter().filter(|answer| answer.status.as_u16() == 201).count();
        assert_eq!(made, 1);
        let refused = answers.into_iter().find(|answer| answer.status.as_u16() != 201).unwrap().expect(402);
        assert_eq!((&refused["limit"], &refused["plan"]), (&json!(2), &Value::Null));

        // Another plan does not change it; taking it back does.
        staff
            .put(&customer(&ada, "/plan"), json!({"plan": "professional", "reason": "Paid"}))
            .await
            .expect(200);
        assert_eq!(usage(&ada, "sites").await["limit"], 2);
        staff.put(&path, two).await.expect(200);
        staff.put(&path, json!({"reason": "Back to the plan"})).await.expect(200);
        assert_eq!(usage(&ada, "sites").await["limit"], 10);
        site(&ada, "Three").await.expect(201);
        let less = json!({"limits": {"storage": 0, "sites": null}, "reason": "Too much"});
        staff.put(&path, less).await.expect(200);
        let page = ada.post(&ada.t("/pages"), json!({"title": "Long"})).await.expect(402);
        assert_eq!(
            (&page["meter"], &page["limit"], &page["plan"]),
            (&json!("storage"), &json!(0), &Value::Null)
        );

        let trail = ada.get(&ada.t("/audit?type=subscription.limits_updated")).await.expect(200);
        let entries = trail["items"].as_array().unwrap();
        assert_eq!(entries.len(), 3, "{trail}");
        assert_eq!(entries[2]["before"]["limits"], json!({}));
        assert_eq!(entries[2]["after"]["limits"], json!({"sites": 2, "bandwidth": null}));
        assert_eq!(
            (&entries[1]["after"]["reason"], &entries[1]["after"]["limits"]),
            (&json!("Back to the plan"), &json!({}))
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_that_were_agreed_on_hold_for_members_and_keys() {
    for database in [Database::Sqlite, Database::Postgres] {
        let server = TestServer::start_with(database, |settings| {
            settings.rate_limit.enabled = true;
            settings.rate_limit.sensitive = 1000;
            settings.rate_limit.per_address = 1000;
            settings.rate_limit.per_user = 300;
        })
        .await;
        let staff = person(&server, "staff", PlatformRole::Staff).await;
        let (ada, other) =
            (server.customer(server.email("ada")).await, server.customer(server.email("other")).await);
        let key = async |more: Value| {
            let mut body = json!({"name": "Key", "permissions": ["sites:read"]});
            body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
            let made = ada.post(&ada.t("/api-keys"), body).await.expect(201);
            server.client().with("x-api-key", &text(&made, "key"))
        };
        let (plain, own) = (key(json!({})).await, key(json!({"rateLimitPerMinute": 1000})).await);
        let limit = async |client: &Client| {
            client.get("/api/v1/sites").await.header("x-ratelimit-limit").parse::<u32>().unwrap()
        };
        assert_eq!((limit(&ada).await, limit(&plain).await, limit(&own).await), (300, 600, 1000));
        let rates = json!({"requestsPerMinute": {"perUser": 450, "perKey": 50}, "reason": "Agreed"});
        staff.put(&customer(&ada, "/limits"), rates).await.expect(200);
        let changed = eventually(Duration::from_secs(5), async || {
            (limit(&ada).await == 450 && limit(&plain).await == 50).then_some(())
        });
        changed.await.expect("the rates hold at once");
        assert_eq!(limit(&own).await, 50, "a key's own limit does not get past what was agreed on");
        assert_eq!(limit(&other.with("x-tenant-id", &ada.tenant)).await, 300, "a stranger has no part in it");
        staff.put(&customer(&ada, "/limits"), json!({"reason": "Over"})).await.expect(200);
        let back = eventually(Duration::from_secs(5), async || (limit(&ada).await == 300).then_some(()));
        back.await.expect("the general limit again");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_suspends_and_brings_back_with_a_reason() {
    TestServer::shared(async |server| {
        let staff = person(server, "staff", PlatformRole::Staff).await;
        let email = server.email("ada");
        let ada = server.customer(email).await;
        assert_eq!(staff.post(&customer(&ada, "/suspend"), json!({})).await.fields(), ["reason"]);
        let reason = json!({"reason": "The invoice of March is not paid."});
        let after = staff.post(&customer(&ada, "/suspend"), reason.clone()).await.expect(200);
        assert_eq!((&after["status"], &after["suspensionReason"]), (&json!("suspended"), &reason["reason"]));
        let named = ada.with("x-tenant-id", &ada.tenant);
        assert_eq!(named.get("/api/v1/sites").await.expect(403)["code"], "tenant_suspended");
        server.mail(email, "has been suspended").await;
        staff.post(&customer(&ada, "/suspend"), reason).await.expect(200);
        let list = format!("/api/v1/admin/customers?q={email}&status=suspended");
        assert_eq!(staff.get(&list).await.expect(200)["total"], 1);

        assert_eq!(staff.post(&customer(&ada, "/reactivate"), json!({})).await.fields(), ["reason"]);
        let paid = json!({"reason": "Paid on Monday"});
        assert_eq!(ada.post(&customer(&ada, "/reactivate"), paid.clone()).await.status.as_u16(), 403);
        let after = staff.post(&customer(&ada, "/reactivate"), paid).await.expect(200);
        assert_eq!((&after["status"], &after["suspensionReason"]), (&json!("active"), &Value::Null));
        ada.get("/api/v1/sites").await.expect(200);
        let trail = ada.get(&ada.t("/audit?type=tenant.reinstated")).await.expect(200);
        assert_eq!(trail["items"][0]["after"]["reason"], "Paid on Monday");
        // The other way of super admins is still closed to staff.
        assert_eq!(staff.post(&ada.t("/suspend"), json!({"reason": "x"})).await.status.as_u16(), 404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_keeps_notes_that_customers_do_not_see() {
    TestServer::shared(async |server| {
        let staff = person(server, "staff", PlatformRole::Staff).await;
        let colleague = person(server, "colleague", PlatformRole::Staff).await;
        let ada = server.customer(server.email("ada")).await;
        let path = customer(&ada, "/notes");
        let made = staff.post(&path, json!({"text": " Call in the mornings. "})).await.expect(201);
        assert_eq!(made["text"], "Call in the mornings.");
        let second = colleague.post(&path, json!({"text": "Pays late."})).await.expect(201);
        let list = colleague.get(&path).await.expect(200);
        let ids: Vec<_> = list["items"].as_array().unwrap().iter().map(|note| text(note, "id")).collect();
        assert_eq!(ids, [text(&second, "id"), text(&made, "id")], "newest first");
        assert_eq!(list["items"][1]["authorId"], staff.get("/api/v1/profile").await.expect(200)["id"]);

        for text in ["", " ", &"x".repeat(5001)] {
            let refused = staff.post(&path, json!({"text": text})).await;
            assert_eq!((refused.status.as_u16(), refused.fields()), (422, vec!["text".to_owned()]));
        }
        let one = format!("{path}/{}", text(&made, "id"));
        for answer in
            [ada.get(&path).await, ada.post(&path, json!({"text": "x"})).await, ada.delete(&one).await]
        {
            assert_eq!(answer.status.as_u16(), 403, "{}", answer.text);
        }
        // About another customer, it is not there.
        let eve = server.customer(server.email("eve")).await;
        let elsewhere = customer(&eve, &format!("/notes/{}", text(&made, "id")));
        assert_eq!(staff.delete(&elsewhere).await.status.as_u16(), 404);
        let trail = ada.get(&ada.t("/audit?limit=100")).await.expect(200);
        assert!(!trail.to_string().contains("customer_note"), "{trail}");

        colleague.delete(&one).await.expect(204);
        assert_eq!(colleague.delete(&one).await.status.as_u16(), 404);
        assert_eq!(staff.get(&path).await.expect(200)["total"], 1);
    })
    .await;
}
