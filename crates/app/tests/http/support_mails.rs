//! Answers to support tickets that come by mail.

use portico_kernel::{SupportTicketId, TenantId, TenantRole, UserId};
use portico_support::{
    message::{AuthorKind, MessageAuthor, SupportMessage},
    thread::MESSAGES_MAX,
};
use portico_testkit::server::{TestServer, at_once};
use serde_json::{Value, json};

use crate::{
    fixture::{Person, text},
    support::{TICKETS, change, clerk, desk, question, ticket_path},
};

const INBOUND: &str = "/api/v1/webhooks/inbound-mail";

/// What the mail provider shows: the password of the test servers.
pub const MAIL_PROVIDER: &str = "Basic cG9zdG1hcms6d2hhdCB0aGUgbWFpbCBwcm92aWRlciBzaG93cw==";

/// A mail of somebody to an address.
pub fn letter(from: &str, id: &str, head: &str, body: &str) -> String {
    format!("From: {from}\r\nMessage-ID: <{id}@example.com>\r\nSubject: Re: [#1]\r\n{head}\r\n{body}\r\n")
}

pub async fn deliver(server: &TestServer, to: &str, raw: &str) -> Value {
    let client = server.client().with("authorization", MAIL_PROVIDER);
    let body =
        json!({"OriginalRecipient": to, "RawEmail": raw, "From": "ignored@example.com", "Attachments": []});
    client.post(INBOUND, body).await.expect(200)["outcome"].clone()
}

/// Where a person answers a ticket.
pub fn address(server: &TestServer, ticket: &Value, person: UserId) -> String {
    server.app.support.rule.addresses.address(text(ticket, "id").parse().unwrap(), person).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_by_mail_is_a_message_once() {
    TestServer::on_each_database(async |server| {
        let ada = Person::new(server, "ada@example.com", |_| {}).await;
        let clerk = clerk(server).await;
        let ticket = ada.client.post(TICKETS, question()).await.expect(201);
        let to = address(server, &ticket, ada.claims.user);
        let raw = letter(
            "Ada <ADA@example.com>",
            "1",
            "",
            "It is 2.4.1.\r\n\r\nOn Mon, Support wrote:\r\n> Which?\r\n",
        );
        let outcomes = at_once(8, |_| {
            let (to, raw) = (to.clone(), raw.clone());
            let client = server.client().with("authorization", MAIL_PROVIDER);
            async move {
                let body = json!({"OriginalRecipient": to, "RawEmail": raw});
                text(&client.post(INBOUND, body).await.expect(200), "outcome")
            }
        });
        let mut outcomes = outcomes.await;
        outcomes.sort_unstable();
        assert_eq!(
            (outcomes[0].as_str(), outcomes[1].as_str(), outcomes[7].as_str()),
            ("accepted", "duplicate", "duplicate")
        );
        let thread = ada.client.get(&ticket_path(&ticket, "")).await.expect(200);
        let messages = thread["messages"].as_array().unwrap();
        assert_eq!((messages.len(), &messages[0]["body"]), (1, &json!("It is 2.4.1.")));
        assert_eq!(messages[0]["author"]["id"], json!(ada.claims.user));
        let original = format!(
            "/api/v1/admin/customers/{}/ticket-mails/{}",
            ada.client.tenant,
            text(&messages[0], "id")
        );
        let original = clerk.client.get(&original).await;
        assert_eq!(
            (original.text.as_str(), original.header("content-type")),
            (raw.as_str(), "message/rfc822")
        );

        // Staff answer by mail, too: whoever looks after the ticket.
        let mine = json!({"assigneeId": clerk.claims.user});
        clerk.client.put(&desk(&ada.client, &ticket, ""), mine).await.expect(200);
        ada.client.post(&ticket_path(&ticket, "/messages"), json!({"body": "Well?"})).await.expect(201);
        server.mail(&clerk.email, "> Well?").await;
        let to = address(server, &ticket, clerk.claims.user);
        let raw = letter(&clerk.email, "2", "", "Take 2.4.2.");
        assert_eq!(deliver(server, &to, &raw).await, "accepted");
        server.mail("ada@example.com", "> Take 2.4.2.").await;
        let thread = ada.client.get(&ticket_path(&ticket, "")).await.expect(200);
        assert_eq!(
            (&thread["status"], &thread["messages"][2]["author"]["kind"]),
            (&json!("waiting_on_customer"), &json!("staff"))
        );

        // An answer that stands below what it answers to is no less one.
        let to = address(server, &ticket, ada.claims.user);
        let below = "On Mon, Support wrote:\r\n> ##- Write above -##\r\n> Take 2.4.2.\r\n\r\nIt works.";
        assert_eq!(deliver(server, &to, &letter("ada@example.com", "3", "", below)).await, "accepted");
        let thread = ada.client.get(&ticket_path(&ticket, "")).await.expect(200);
        assert_eq!(thread["messages"][3]["body"], "It works.");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_ticket_answers_a_mail_once_however_often_it_comes() {
    TestServer::on_each_database(async |server| {
        let ada = Person::new(server, "ada@example.com", |_| {}).await;
        let ticket = ada.client.post(TICKETS, question()).await.expect(201);
        let (tenant_id, ticket_id): (TenantId, SupportTicketId) =
            (ada.client.tenant.parse().unwrap(), text(&ticket, "id").parse().unwrap());
        let env = &server.app.core.env;
        let mut work = server.app.core.begin().await.unwrap();
        for _ in 1..MESSAGES_MAX {
            let message = SupportMessage {
                id: env.new_id(),
                tenant_id,
                ticket_id,
                author: MessageAuthor {
                    kind: AuthorKind::Customer,
                    id: ada.claims.user,
                    name: String::new(),
                },
                body: "And more.".to_owned(),
                attachments: Vec::new(),
                internal: false,
                created_at: env.now(),
            };
            work.support_messages().insert(&message).await.unwrap();
        }
        work.commit().await.unwrap();
        let to = address(server, &ticket, ada.claims.user);
        let last = letter("ada@example.com", "1", "", "The last one.");
        assert_eq!(deliver(server, &to, &last).await, "accepted");
        assert_eq!(deliver(server, &to, &last).await, "duplicate", "it is in the ticket");
        let beyond = letter("ada@example.com", "2", "", "One too many.");
        let outcomes = at_once(8, |_| {
            let (to, raw) = (to.clone(), beyond.clone());
            let client = server.client().with("authorization", MAIL_PROVIDER);
            async move {
                let body = json!({"OriginalRecipient": to, "RawEmail": raw});
                text(&client.post(INBOUND, body).await.expect(200), "outcome")
            }
        });
        let outcomes = outcomes.await;
        let told = outcomes.iter().filter(|outcome| *outcome == "ended").count();
        let known = outcomes.iter().filter(|outcome| *outcome == "duplicate").count();
        assert_eq!((told, known), (1, 7), "{outcomes:?}");
        server.mail("ada@example.com", "takes no more answers").await;
        let thread = ada.client.get(&ticket_path(&ticket, "")).await.expect(200);
        assert_eq!(thread["messages"].as_array().unwrap().len() as u64, MESSAGES_MAX);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_programs_strangers_and_to_old_tickets_is_not_taken() {
    TestServer::on_each_database(async |server| {
        let ada = Person::new(server, "ada@example.com", |_| {}).await;
        let eve = Person::new(server, "eve@example.com", |_| {}).await;
        let clerk = clerk(server).await;
        let ticket = ada.client.post(TICKETS, question()).await.expect(201);
        let to = address(server, &ticket, ada.claims.user);
        let staff = address(server, &ticket, clerk.claims.user);
        let from_ada = |id: &str, head: &str| letter("ada@example.com", id, head, "Hello.");
        for (to, raw, outcome) in [
            (&to, from_ada("1", "Auto-Submitted: auto-replied\r\n"), "automatic"),
            (&to, from_ada("2", "Precedence: bulk\r\n"), "automatic"),
            (&to, from_ada("3", "List-Id: <talk.example.com>\r\n"), "automatic"),
            (&to, from_ada("4", "Return-Path: <>\r\n"), "automatic"),
            (&to, letter("ada@example.com", "5", "", ""), "unreadable"),
            (&to, letter("ada@example.com", "6", "", &"x".repeat(1024 * 1024)), "unreadable"),
            // An address is good for the one who got it.
            (&to, letter(&eve.email, "7", "", "Hello."), "refused"),
            (&to, letter("nobody@example.net", "8", "", "Hello."), "refused"),
            (&to, letter(&clerk.email, "9", "", "Hello."), "refused"),
            (&staff, from_ada("10", ""), "refused"),
            (&address(server, &ticket, eve.claims.user), letter(&eve.email, "11", "", "Hello."), "refused"),
            (&"sales@reply.example.com".to_owned(), from_ada("12", ""), "unknown_address"),
            (&format!("{}@reply.example.com", "0".repeat(52)), from_ada("13", ""), "refused"),
        ] {
            assert_eq!(
                deliver(server, to, &raw).await,
                outcome,
                "{}",
                raw.chars().take(120).collect::<String>()
            );
        }
        let thread = ada.client.get(&ticket_path(&ticket, "")).await.expect(200);
        assert_eq!(thread["messages"], json!([]));
        // Whoever does not know the password brings nothing.
        let body = json!({"OriginalRecipient": to, "RawEmail": from_ada("14", "")});
        for shown in [None, Some("Basic bm86bm8="), Some("Basic ?"), Some("Bearer x")] {
            let mut client = server.client();
            if let Some(shown) = shown {
                client = client.with("authorization", shown);
            }
            assert_eq!(client.post(INBOUND, body.clone()).await.expect(400)["code"], "invalid_signature");
        }
        let client = server.client().with("authorization", MAIL_PROVIDER);
        assert_eq!(client.post(INBOUND, json!({"From": "x"})).await.expect(400)["code"], "malformed_body");
        // A ticket that has ended for good takes nothing, and its author is told.
        ada.client.post_empty(&ticket_path(&ticket, "/close")).await.expect(200);
        let now = server.app.core.env.now();
        change(server, &ada.client, &ticket, |stored| {
            stored.times.closed_at = Some(now - time::Duration::days(15))
        })
        .await;
        assert_eq!(deliver(server, &to, &from_ada("15", "")).await, "ended");
        server.mail("ada@example.com", "takes no more answers").await;
        assert_eq!(deliver(server, &to, &from_ada("15", "")).await, "duplicate", "it was answered once");
        // Whoever has left the tenant does not write to it.
        let other = Person::new(server, "bob@example.com", |_| {}).await;
        other.join(server, &ada.client.tenant, TenantRole::Viewer).await;
        let inside = other.client.clone().with("x-tenant-id", &ada.client.tenant);
        let asked = inside.post(TICKETS, question()).await.expect(201);
        let member = ada.client.t(&format!("/members/{}", other.claims.user));
        ada.client.delete(&member).await.expect(204);
        let to = address(server, &asked, other.claims.user);
        assert_eq!(deliver(server, &to, &letter(&other.email, "16", "", "Hello.")).await, "refused");
    })
    .await;
}
