//! Support tickets: from the question to the answer, on both sides.

use portico_feature_support::flows::targets;
use portico_kernel::{PlatformRole, SupportTicketId, TenantId, TenantRole, UserId};
use portico_support::{
    inbound::StoredMail,
    message::{AuthorKind, MessageAuthor, SupportMessage},
    scan_state::AttachmentScan,
    ticket::SupportTicket,
};
use portico_testkit::server::{Answer, Client, TestServer, at_once};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    assets,
    fixture::{Fixture, PICTURE, Person, text},
    sites::{column, events},
};

pub const TICKETS: &str = "/api/v1/support/tickets";
const QUEUE: &str = "/api/v1/admin/support/tickets";

/// The request of the documentation.
pub fn question() -> Value {
    json!({
        "subject": "The update does not start", "description": "It closes right after it has started.",
        "category": "technical", "priority": "medium",
    })
}

/// A message of the fixture's ticket that came by mail, as its id.
pub async fn mailed(server: &TestServer, fixture: &Fixture) -> String {
    let env = &server.app.core.env;
    let (tenant_id, ticket_id) =
        (fixture.ids["tenantId"].parse().unwrap(), fixture.ids["ticketId"].parse().unwrap());
    let author = fixture.owner.claims.user;
    let message = SupportMessage {
        id: env.new_id(),
        tenant_id,
        ticket_id,
        author: MessageAuthor { kind: AuthorKind::Customer, id: author, name: String::new() },
        body: format!("Message {}", fixture.marker),
        attachments: Vec::new(),
        internal: false,
        created_at: env.now(),
    };
    let mail = StoredMail {
        tenant_id,
        message_id: message.id,
        ticket_id,
        digest: env.random_bytes(),
        raw: b"From: a@example.com\r\n\r\nMessage".to_vec(),
        scan: AttachmentScan::NotScanned,
        signature: None,
        received_at: env.now(),
    };
    let mut work = server.app.core.begin().await.unwrap();
    work.support_messages().insert(&message).await.unwrap();
    assert!(work.inbound_mails().insert(&mail).await.unwrap());
    work.commit().await.unwrap();
    message.id.to_string()
}

pub async fn clerk(server: &TestServer) -> Person {
    Person::new(server, server.email("clerk"), |user| user.role = PlatformRole::Staff).await
}

/// The path of a ticket for staff.
pub fn desk(client: &Client, ticket: &Value, rest: &str) -> String {
    format!("/api/v1/admin/customers/{}/tickets/{}{rest}", client.tenant, text(ticket, "id"))
}

pub fn ticket_path(ticket: &Value, rest: &str) -> String {
    format!("{TICKETS}/{}{rest}", text(ticket, "id"))
}

/// Changes a stored ticket past every rule: for what only time does.
pub async fn change(
    server: &TestServer,
    client: &Client,
    ticket: &Value,
    change: impl FnOnce(&mut SupportTicket),
) {
    let (tenant, id): (TenantId, SupportTicketId) =
        (client.tenant.parse().unwrap(), text(ticket, "id").parse().unwrap());
    let mut work = server.app.core.begin().await.unwrap();
    let mut stored = work.tickets().lock(tenant, id).await.unwrap().unwrap();
    change(&mut stored);
    work.tickets().update(&stored).await.unwrap();
    work.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_opened_answered_and_rated() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer("ada@example.com").await;
        let clerk = clerk(server).await;
        let form = assets::form_of("screen.gif", PICTURE);
        let uploaded =
            ada.send(Method::POST, &ada.t("/assets/upload"), Some(form), assets::FORM).await.expect(201);
        let asset = text(&uploaded["items"][0], "id");
        let mut asked = question();
        asked["attachments"] = json!([asset]);
        let answer = ada.post(TICKETS, asked).await;
        let location = answer.header("location").to_owned();
        let ticket = answer.expect(201);
        assert_eq!(location, ticket_path(&ticket, ""));
        assert_eq!(
            (&ticket["number"], &ticket["status"], &ticket["tags"]),
            (&json!(1), &json!("open"), &json!([]))
        );
        assert_eq!((&ticket["category"], &ticket["priority"]), (&json!("technical"), &json!("medium")));
        let attached = &ticket["attachments"][0];
        assert_eq!((&attached["filename"], &attached["scan"]), (&json!("screen.gif"), &json!("not_scanned")));
        let second = ada.post(TICKETS, json!({"subject": "Two", "description": "Two"})).await.expect(201);
        assert_eq!(
            (&second["number"], &second["category"], &second["priority"]),
            (&json!(2), &json!("other"), &json!("medium"))
        );
        server.mail("ada@example.com", "number is 1.").await;

        // Staff see it with its file, and answer.
        let link = clerk.client.get(&desk(&ada, &ticket, &format!("/attachments/{asset}"))).await.expect(200);
        let file = text(&link, "url");
        let file = server.client().get(file.trim_start_matches(server.url.as_str())).await;
        assert_eq!((file.status.as_u16(), file.header("content-type")), (200, "image/gif"));
        let elsewhere = desk(&ada, &second, &format!("/attachments/{asset}"));
        clerk.client.get(&elsewhere).await.expect(404);
        let said = json!({"body": "Which version do you use?"});
        let written = clerk.client.post(&desk(&ada, &ticket, "/messages"), said).await.expect(201);
        assert_eq!((&written["author"]["kind"], &written["internal"]), (&json!("staff"), &json!(false)));
        assert!(text(&written["author"], "name").len() > 1, "{written}");
        server.mail("ada@example.com", "> Which version do you use?").await;
        let thread = ada.get(&location).await.expect(200);
        assert_eq!(
            (&thread["status"], &thread["messages"][0]["id"]),
            (&json!("waiting_on_customer"), &written["id"])
        );
        assert!(thread["firstReplyAt"].is_string() && thread.get("replyDueAt").is_none(), "{thread}");

        let body = json!({"body": "It is 2.4.1.", "attachments": [asset]});
        let message = ada.post(&format!("{location}/messages"), body).await.expect(201);
        assert_eq!(
            (&message["author"]["kind"], &message["attachments"][0]["assetId"]),
            (&json!("customer"), &json!(asset))
        );
        assert_eq!(ada.get(&location).await.expect(200)["status"], "waiting_on_staff");
        let rating = json!({"rating": 5, "comment": "Quick."});
        let early = ada.put(&format!("{location}/satisfaction"), rating.clone()).await.expect(409);
        assert_eq!(early["code"], "ticket_status");
        clerk.client.post_empty(&desk(&ada, &ticket, "/resolve")).await.expect(200);
        server.mail("ada@example.com", "for done").await;
        let rated = ada.put(&format!("{location}/satisfaction"), rating).await.expect(200);
        assert_eq!((&rated["satisfaction"]["rating"], &rated["status"]), (&json!(5), &json!("resolved")));
        let closed = ada.post_empty(&format!("{location}/close")).await.expect(200);
        assert_eq!(closed["status"], "closed");
        assert_eq!(ada.post_empty(&format!("{location}/close")).await.expect(409)["code"], "ticket_status");
        for (kind, count) in [("created", 2), ("answered", 2), ("resolved", 1), ("rated", 1), ("closed", 1)] {
            assert_eq!(events(&ada, &format!("support_ticket.{kind}")).await, count, "{kind}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_reopens_a_ticket_for_fourteen_days() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer("ada@example.com").await;
        let ticket = ada.post(TICKETS, question()).await.expect(201);
        let messages = ticket_path(&ticket, "/messages");
        ada.post_empty(&ticket_path(&ticket, "/close")).await.expect(200);
        let now = server.app.core.env.now();
        change(server, &ada, &ticket, |stored| stored.times.closed_at = Some(now - time::Duration::days(13)))
            .await;
        ada.post(&messages, json!({"body": "Again."})).await.expect(201);
        assert_eq!(ada.get(&ticket_path(&ticket, "")).await.expect(200)["status"], "waiting_on_staff");
        ada.post_empty(&ticket_path(&ticket, "/close")).await.expect(200);
        change(server, &ada, &ticket, |stored| stored.times.closed_at = Some(now - time::Duration::days(14)))
            .await;
        let late = ada.post(&messages, json!({"body": "Once more."})).await.expect(409);
        assert_eq!(late["code"], "ticket_ended");
        let mut next = question();
        next["follows"] = ticket["id"].clone();
        let next = ada.post(TICKETS, next).await.expect(201);
        assert_eq!(next["follows"], ticket["id"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_are_seen_by_their_author_and_by_admins() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer("ada@example.com").await;
        let eve = server.customer("eve@example.com").await;
        let (editor, admin) = (
            Person::new(server, "editor@example.com", |_| {}).await,
            Person::new(server, "admin@example.com", |_| {}).await,
        );
        editor.join(server, &ada.tenant, TenantRole::Editor).await;
        admin.join(server, &ada.tenant, TenantRole::Admin).await;
        let inside = |person: &Person| person.client.clone().with("x-tenant-id", &ada.tenant);
        let (editor, admin) = (inside(&editor), inside(&admin));
        let ticket = ada.post(TICKETS, question()).await.expect(201);
        let own = editor.post(TICKETS, question()).await.expect(201);
        assert_eq!(own["number"], 2, "one row of numbers for the tenant");
        for (client, sees, total) in
            [(&ada, true, 2), (&admin, true, 2), (&editor, false, 1), (&eve, false, 0)]
        {
            let status = if sees { 200 } else { 404 };
            client.get(&ticket_path(&ticket, "")).await.expect(status);
            assert_eq!(client.get(TICKETS).await.expect(200)["total"], total);
            if !sees {
                let body = json!({"body": "x"});
                client.post(&ticket_path(&ticket, "/messages"), body).await.expect(404);
                client.post_empty(&ticket_path(&ticket, "/close")).await.expect(404);
                client.put(&ticket_path(&ticket, "/satisfaction"), json!({"rating": 1})).await.expect(404);
                let mut follows = question();
                follows["follows"] = ticket["id"].clone();
                let refused = client.post(TICKETS, follows).await;
                assert_eq!((refused.status.as_u16(), refused.fields()), (422, vec!["follows".to_owned()]));
            }
        }
        // Files of another tenant are none.
        let form = assets::form_of("secret.gif", PICTURE);
        let uploaded =
            ada.send(Method::POST, &ada.t("/assets/upload"), Some(form), assets::FORM).await.expect(201);
        let mut stolen = question();
        stolen["attachments"] = json!([uploaded["items"][0]["id"]]);
        let refused = eve.post(TICKETS, stolen).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (422, vec!["attachments[0]".to_owned()]));
        for client in [&ada, &admin, &editor, &eve] {
            client.get(QUEUE).await.expect(403);
            client.get(&desk(&ada, &ticket, "")).await.expect(403);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_staff_write_for_each_other_reaches_no_customer() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer("ada@example.com").await;
        let clerk = clerk(server).await;
        let ticket = ada.post(TICKETS, question()).await.expect(201);
        let note = json!({"body": "A zebra of a customer.", "internal": true});
        let note = clerk.client.post(&desk(&ada, &ticket, "/messages"), note).await.expect(201);
        assert_eq!(note["internal"], true);
        let open = json!({"body": "Hello.", "internal": false});
        clerk.client.post(&desk(&ada, &ticket, "/messages"), open).await.expect(201);
        server.mail("ada@example.com", "> Hello.").await;
        let thread = clerk.client.get(&desk(&ada, &ticket, "")).await.expect(200);
        assert_eq!(thread["messages"].as_array().unwrap().len(), 2);
        assert!(clerk.client.get(&format!("{QUEUE}?q=zebra")).await.expect(200)["total"] == 1);
        let mailbox = format!("/dev/mailbox?to={}", "ada@example.com");
        let mailbox = server.client().with("accept", "application/json").get(&mailbox).await.text;
        for seen in [
            ada.get(&ticket_path(&ticket, "")).await.text,
            ada.get(TICKETS).await.text,
            ada.get(&format!("{TICKETS}?q=zebra")).await.text,
            ada.get(&ada.t("/audit?limit=100")).await.text,
            mailbox,
        ] {
            assert!(!seen.contains("zebra") && !seen.contains(&text(&note, "id")), "{seen}");
        }
        assert_eq!(ada.get(&format!("{TICKETS}?q=zebra")).await.expect(200)["total"], 0);
        assert_eq!(events(&ada, "support_ticket.noted").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_is_filtered_and_searched() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer("ada@example.com").await;
        let eve = server.customer("eve@example.com").await;
        let clerk = clerk(server).await;
        let one = ada.post(TICKETS, question()).await.expect(201);
        let urgent = json!({"subject": "Óptica Luz: 100%", "description": "Nada.", "priority": "urgent", "category": "billing"});
        let two = eve.post(TICKETS, urgent).await.expect(201);
        let user = clerk.claims.user;
        let change = json!({"assigneeId": user, "tags": ["Update", "windows"]});
        let changed = clerk.client.put(&desk(&ada, &one, ""), change.clone()).await.expect(200);
        assert_eq!((&changed["assigneeId"], &changed["tags"]), (&json!(user), &json!(["update", "windows"])));
        assert_eq!(text(&changed, "customerId"), ada.tenant);
        ada.post(&ticket_path(&one, "/messages"), json!({"body": "The pangolin is gone."})).await.expect(201);
        let id = |ticket: &Value| text(ticket, "id");
        let (both, first, last) = (vec![id(&two), id(&one)], vec![id(&one)], vec![id(&two)]);
        for (query, expected) in [
            ("", &both),
            ("?status=open", &both),
            ("?priority=urgent", &last),
            ("?category=technical", &first),
            ("?tag=UPDATE", &first),
            (format!("?assigneeId={user}").as_str(), &first),
            ("?unassigned=true", &last),
            (format!("?customerId={}", eve.tenant).as_str(), &last),
            ("?breached=false", &both),
            ("?breached=true", &vec![]),
            ("?q=pangolin", &first),
            ("?q=PANGOLIN", &first),
            ("?q=%C3%B3ptica", &last),
            ("?q=100%25", &last),
            ("?q=10_%25", &vec![]),
            ("?q=%231", &both),
            ("?page=2&limit=1", &first),
        ] {
            let found = clerk.client.get(&format!("{QUEUE}{query}")).await.expect(200);
            assert_eq!(column(&found, "id"), *expected, "{query}");
        }
        let twice = clerk.client.get(&format!("{QUEUE}?assigneeId={user}&unassigned=true")).await;
        assert_eq!((twice.status.as_u16(), twice.fields()), (422, vec!["assigneeId".to_owned()]));
        // Tickets go to people who answer customers.
        let stranger: UserId = ada.get("/api/v1/profile").await.expect(200)["id"].as_str().unwrap().parse().unwrap();
        for nobody in [json!(stranger), json!(server.app.core.env.random_uuid())] {
            let refused = clerk.client.put(&desk(&ada, &one, ""), json!({"assigneeId": nobody})).await;
            assert_eq!((refused.status.as_u16(), refused.fields()), (422, vec!["assigneeId".to_owned()]));
        }
        let freed = clerk.client.put(&desk(&ada, &one, ""), json!({"assigneeId": null})).await.expect(200);
        assert_eq!(freed["assigneeId"], Value::Null);
        clerk.client.put(&desk(&eve, &one, ""), json!({"tags": []})).await.expect(404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tickets_are_merged() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer("ada@example.com").await;
        let clerk = clerk(server).await;
        let one = ada.post(TICKETS, question()).await.expect(201);
        let two =
            ada.post(TICKETS, json!({"subject": "Again", "description": "The same."})).await.expect(201);
        ada.post(&ticket_path(&two, "/messages"), json!({"body": "Still."})).await.expect(201);
        let into = json!({"into": one["id"]});
        clerk.client.post(&desk(&ada, &two, "/merge"), json!({})).await.expect(422);
        let itself = clerk.client.post(&desk(&ada, &one, "/merge"), into.clone()).await.expect(409);
        assert_eq!(itself["code"], "tickets_not_mergeable");
        // Both ways at once: one of them is done.
        let (path, back) = (desk(&ada, &two, "/merge"), desk(&ada, &one, "/merge"));
        let other = json!({"into": two["id"]});
        let calls = [(path, into), (back, other)];
        let answers: Vec<Answer> = at_once(2, |number| {
            let (client, (path, body)) = (clerk.client.clone(), calls[number].clone());
            async move { client.post(&path, body).await }
        })
        .await;
        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
        let (kept, merged) = if answers[0].status.is_success() { (&one, &two) } else { (&two, &one) };
        let thread = ada.get(&ticket_path(kept, "")).await.expect(200);
        assert_eq!(thread["messages"].as_array().unwrap().len(), 2, "{thread}");
        let gone = ada.get(&ticket_path(merged, "")).await.expect(200);
        assert_eq!((&gone["status"], &gone["mergedInto"]), (&json!("closed"), &kept["id"]));
        let ended = ada.post(&ticket_path(merged, "/messages"), json!({"body": "x"})).await.expect(409);
        assert_eq!(ended["code"], "ticket_ended");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_waits_too_long_is_told_of_once() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer("ada@example.com").await;
        let clerk = clerk(server).await;
        let ticket = ada.post(TICKETS, question()).await.expect(201);
        let due = clerk.client.get(&desk(&ada, &ticket, "")).await.expect(200)["replyDueAt"].clone();
        assert!(due.is_string());
        targets::look_after(&server.app.support).await.unwrap();
        assert_eq!(clerk.client.get(&format!("{QUEUE}?breached=true")).await.expect(200)["total"], 0);
        let now = server.app.core.env.now();
        change(server, &ada, &ticket, |stored| stored.times.reply_due_at = Some(now)).await;
        let rounds = at_once(4, |_| {
            let app = server.app.support.clone();
            async move { targets::look_after(&app).await.is_ok() }
        });
        assert!(rounds.await.into_iter().all(|done| done));
        assert_eq!(clerk.client.get(&format!("{QUEUE}?breached=true")).await.expect(200)["total"], 1);
        server.mail("desk@example.org", "was to be answered by now").await;
        let boss = Person::new(server, "boss@example.com", |user| user.role = PlatformRole::SuperAdmin).await;
        let told = boss.client.get("/api/v1/audit?type=support.target_breached").await.expect(200);
        assert_eq!(told["items"].as_array().unwrap().len(), 1);
        assert_eq!(events(&ada, "support.target_breached").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_sent_twice_opens_one_ticket() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer("ada@example.com").await.with("idempotency-key", "ticket-1");
        let answers = at_once(8, |_| {
            let client = ada.clone();
            async move { client.post(TICKETS, question()).await.status.as_u16() }
        });
        let answers = answers.await;
        assert!(answers.iter().all(|status| [201, 409].contains(status)), "{answers:?}");
        let ticket = ada.post(TICKETS, question()).await.expect(201);
        assert_eq!((&ticket["number"], &ada.get(TICKETS).await.expect(200)["total"]), (&json!(1), &json!(1)));
        let path = ticket_path(&ticket, "/messages");
        let again = ada.with("idempotency-key", "message-1");
        for _ in 0..2 {
            again.post(&path, json!({"body": "Once."})).await.expect(201);
        }
        let thread = ada.get(&ticket_path(&ticket, "")).await.expect(200);
        assert_eq!(thread["messages"].as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_kept_ready() {
    TestServer::on_each_database(async |server| {
        let clerk = clerk(server).await.client;
        let path = "/api/v1/admin/support/canned-replies";
        let made = clerk.post(path, json!({"title": "Versión", "body": "Which version?"})).await.expect(201);
        clerk.post(path, json!({"title": "Bye", "body": "Goodbye."})).await.expect(201);
        assert_eq!(column(&clerk.get(path).await.expect(200), "title"), ["Bye", "Versión"]);
        assert_eq!(
            column(&clerk.get(&format!("{path}?q=VERSI%C3%93N")).await.expect(200), "title"),
            ["Versión"]
        );
        let one = format!("{path}/{}", text(&made, "id"));
        let changed = clerk.put(&one, json!({"body": "Which one?"})).await.expect(200);
        assert_eq!((&changed["title"], &changed["body"]), (&json!("Versión"), &json!("Which one?")));
        clerk.delete(&one).await.expect(204);
        clerk.get(&one).await.expect(404);
    })
    .await;
}
