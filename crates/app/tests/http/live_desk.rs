//! Live updates of the desk: the tickets of all customers.

use std::time::{Duration, Instant};

use portico_kernel::{Event, PlatformRole, RequestInfo, Scope, TenantId, TenantRole};
use portico_testkit::server::{Client, Database, TestServer};
use serde_json::{Value, json};

use crate::{
    fixture::{Person, text},
    listener::{Listener, ask_at},
    live::{ends, member, one},
    support,
};

const DESK: &str = "/api/v1/admin/support/events";

async fn clerk(server: &TestServer, email: &str) -> Person {
    Person::new(server, email, |user| user.role = PlatformRole::Staff).await
}

async fn ticket(customer: &Client) -> Value {
    customer.post("/api/v1/support/tickets", support::question()).await.expect(201)
}

fn at_desk(tenant: &str, ticket: &Value, what: &str) -> String {
    format!("/api/v1/admin/customers/{tenant}/tickets/{}{what}", text(ticket, "id"))
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_hear_of_the_tickets_of_all_customers_and_of_nothing_else() {
    TestServer::on_each_database(async |here| {
        let there = here.another_instance().await;
        let one_customer = here.customer("one@example.com").await;
        let other = here.customer("other@example.com").await;
        let clerk = clerk(here, "clerk@example.com").await.client;
        let mut listeners =
            [Listener::at(here, &clerk, DESK, None).await, Listener::at(&there, &clerk, DESK, None).await];
        let mut customers = Listener::open(here, &one_customer, "?types=support_ticket.*").await;

        let asked = Instant::now();
        let opened = ticket(&one_customer).await;
        for listener in &mut listeners {
            let message = listener.expect("support_ticket.created").await;
            assert_eq!(message.data["tenantId"], json!(one_customer.tenant));
            assert_eq!(message.data["resource"], json!({"type": "support_ticket", "id": opened["id"]}));
            assert_eq!(message.data["data"]["status"], "open");
            assert!(!message.data.to_string().contains("does not start"), "no word that anybody wrote");
        }
        let took = asked.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}");

        one(here, &one_customer.tenant, "page.created").await;
        let second = ticket(&other).await;
        let note = json!({"body": "A zebra.", "internal": true});
        clerk.post(&at_desk(&one_customer.tenant, &opened, "/messages"), note).await.expect(201);
        let answer = json!({"body": "Which version?"});
        clerk.post(&at_desk(&one_customer.tenant, &opened, "/messages"), answer).await.expect(201);
        for listener in &mut listeners {
            let created = listener.expect("support_ticket.created").await;
            assert_eq!(created.data["resource"]["id"], second["id"]);
            let noted = listener.expect("support_ticket.noted").await;
            assert_eq!(
                (&noted.data["data"]["ticketId"], &noted.data["data"]["customerId"]),
                (&opened["id"], &json!(one_customer.tenant))
            );
            assert!(!noted.data.to_string().contains("zebra"));
            let answered = listener.expect("support_ticket.answered").await;
            let to = json!({"from": "open", "to": "waiting_on_customer"});
            assert_eq!(answered.data["changes"]["status"], to);
        }
        // The customer hears what they heard before: neither of the note nor of the other customer.
        customers.expect("support_ticket.created").await;
        let answered = customers.expect("support_ticket.answered").await;
        assert_eq!(answered.data["resource"]["id"], opened["id"]);
        there.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_desk_goes_on_where_it_left_off_on_any_instance() {
    TestServer::on_each_database(async |here| {
        let there = here.another_instance().await;
        let [one_customer, other] =
            [here.customer("one@example.com").await, here.customer("other@example.com").await];
        let clerk = clerk(here, "clerk@example.com").await.client;
        let mut listener = Listener::at(here, &clerk, DESK, None).await;
        let first = one(here, &one_customer.tenant, "support_ticket.created").await;
        assert_eq!(listener.expect("support_ticket.created").await.id, first);
        drop(listener);
        let missed = [
            one(&there, &other.tenant, "support_ticket.created").await,
            one(here, &one_customer.tenant, "support_ticket.closed").await,
        ];
        let mut listener = Listener::at(&there, &clerk, DESK, Some(&first)).await;
        assert_eq!(listener.expect("support_ticket.created").await.id, missed[0]);
        assert_eq!(listener.expect("support_ticket.closed").await.id, missed[1]);
        let at = format!("{DESK}?lastEventId={}", missed[0]);
        let mut listener = Listener::at(here, &clerk, &at, None).await;
        assert_eq!(listener.expect("support_ticket.closed").await.id, missed[1]);

        // What is about no ticket is not found, and neither is a position of another stream.
        let page = one(here, &one_customer.tenant, "page.created").await;
        let theirs = Listener::open(here, &one_customer, "").await.last_id;
        for wrong in [page.as_str(), &theirs, "17"] {
            let mut listener = Listener::at(here, &clerk, DESK, Some(wrong)).await;
            assert_eq!(listener.expect("reset").await.data, json!({"reason": "unknown_id"}), "{wrong}");
        }
        let of_the_desk = Listener::at(here, &clerk, DESK, None).await.last_id;
        assert!(of_the_desk.starts_with("pos_"), "{of_the_desk}");
        let mut customer = Listener::after(here, &one_customer, "", Some(&of_the_desk)).await;
        customer.expect("reset").await;
        there.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_who_look_after_tickets_listen_at_the_desk_and_no_longer() {
    TestServer::on_each_database(async |here| {
        let there = here.another_instance().await;
        let owner = here.customer("owner@example.com").await;
        let root =
            Person::new(here, "root@example.com", |user| user.role = PlatformRole::SuperAdmin).await.client;
        let narrowed = clerk(here, "narrowed@example.com").await;
        let dismissed = clerk(here, "dismissed@example.com").await;
        let leaving = clerk(here, "leaving@example.com").await;
        let mut all = Vec::new();
        for client in [&narrowed.client, &dismissed.client, &leaving.client, &root] {
            all.push(Listener::at(&there, client, DESK, None).await);
        }
        let user = |person: &Person| format!("/api/v1/users/{}", person.claims.user);
        root.put(&user(&narrowed), json!({"staffAreas": ["billing"]})).await.expect(200);
        ends(&mut all[0], "another area").await;
        root.put(&user(&dismissed), json!({"role": "customer"})).await.expect(200);
        ends(&mut all[1], "staff no more").await;
        leaving.client.post_empty("/api/v1/auth/logout").await.expect(204);
        ends(&mut all[2], "signed out").await;
        ticket(&owner).await;
        all[3].expect("support_ticket.created").await;

        let (_, admin) = member(here, "admin@example.com", &owner.tenant, TenantRole::Admin).await;
        for (client, expected) in [
            (&here.client(), 401),
            (&leaving.client, 401),
            (&owner, 403),
            (&admin, 403),
            (&narrowed.client, 403),
            (&dismissed.client, 403),
        ] {
            assert_eq!(ask_at(here, client, DESK, None).await.status().as_u16(), expected);
        }
        let unknown = ask_at(here, &root, &format!("{DESK}?types=page.*"), None).await;
        assert_eq!(unknown.status().as_u16(), 422);
        there.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_of_the_operators_own_people_are_heard_of_by_super_admins_only() {
    TestServer::on_each_database(async |here| {
        let customer = here.customer("customer@example.com").await;
        let root =
            Person::new(here, "root@example.com", |user| user.role = PlatformRole::SuperAdmin).await.client;
        // Who owns a tenant besides.
        let clerk = clerk(here, "clerk@example.com").await.client;
        let mut desk = Listener::at(here, &clerk, DESK, None).await;
        let mut all = Listener::at(here, &root, DESK, None).await;
        let own = ticket(&clerk).await;
        let note = json!({"body": "A zebra.", "internal": true});
        root.post(&at_desk(&clerk.tenant, &own, "/messages"), note).await.expect(201);
        let asked = ticket(&customer).await;
        let heard = desk.expect("support_ticket.created").await;
        assert_eq!(heard.data["resource"]["id"], asked["id"], "neither the other ticket nor the note");
        for (kind, id) in [
            ("support_ticket.created", &own["id"]),
            ("support_ticket.noted", &own["id"]),
            ("support_ticket.created", &asked["id"]),
        ] {
            assert_eq!(&all.expect(kind).await.data["resource"]["id"], id);
        }
    })
    .await;
}

/// SQLite has one writer at a time; only Postgres has transactions that overlap.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_commits_late_is_not_missed_at_the_desk() {
    let server = TestServer::start_with(Database::Postgres, |_| {}).await;
    let slow_customer = server.customer(server.email("slow")).await;
    let fast_customer = server.customer(server.email("fast")).await;
    let clerk = clerk(&server, server.email("clerk")).await.client;
    let mut listener = Listener::at(&server, &clerk, DESK, None).await;
    let tenant: TenantId = slow_customer.tenant.parse().unwrap();
    let scope = Scope::system(Some(tenant), RequestInfo::default());
    let env = &server.app.core.env;
    let late = Event::new(env, &scope, &portico_support::events::TICKET_CREATED, env.random_uuid());
    let mut slow = server.app.core.begin().await.unwrap();
    slow.events().append(late.clone()).await.unwrap();
    // Has it written before the commit.
    slow.readers().take(vec!["nobody"], 1).await.unwrap();
    let early = one(&server, &fast_customer.tenant, "support_ticket.closed").await;
    slow.commit().await.unwrap();
    assert_eq!(listener.expect("support_ticket.created").await.id, late.id.to_string());
    assert_eq!(listener.expect("support_ticket.closed").await.id, early);
}
