//! Files that come with support tickets and a scanner for malware.

use std::time::Duration;

use portico_feature_support::flows::files;
use portico_kernel::{Job, JobType, PageRequest};
use portico_runtime::{scanning::NO_SCANNER, worker::jobs::JobError};
use portico_support::{scan_job::ScanAttachment, scan_state::AttachmentScan};
use portico_testkit::{
    clamd::{Clamd, EICAR},
    jobs,
    server::{Client, Database, TestServer, eventually},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    assets,
    fixture::{Person, text},
    listener::Listener,
    sites::events,
    support::{TICKETS, clerk, desk, question, ticket_path},
    support_mails::{address, deliver, letter},
};

/// How long a verdict may take that comes from a background job.
const PATIENCE: Duration = Duration::from_secs(20);

/// Most bytes that the scanner takes.
const TAKEN: usize = 1 << 20;

/// A server with a scanner.
async fn scanning(clamd: &Clamd, database: Database, publish_too_large: bool) -> TestServer {
    TestServer::start_with(database, |settings| {
        settings.clamav.address = Some(clamd.address.clone());
        settings.clamav.publish_too_large = publish_too_large;
    })
    .await
}

/// A document with something in it.
fn pdf(content: &[u8]) -> Vec<u8> {
    [b"%PDF-1.4\n".as_slice(), content, b"\n%%EOF\n"].concat()
}

async fn upload(client: &Client, name: &str, content: &[u8]) -> Value {
    let form = assets::form_of(name, content);
    let made = client.send(Method::POST, &client.t("/assets/upload"), Some(form), assets::FORM).await;
    made.expect(201)["items"][0].clone()
}

/// Opens a ticket with a file.
async fn ticket_with(client: &Client, asset: &Value) -> Value {
    let mut asked = question();
    asked["attachments"] = json!([asset["id"]]);
    client.post(TICKETS, asked).await.expect(201)
}

/// What is said of the file of a ticket, once it is this.
async fn said(client: &Client, ticket: &Value, scan: &str) -> Value {
    let said = eventually(PATIENCE, async || {
        let attached = client.get(&ticket_path(ticket, "")).await.expect(200)["attachments"][0].clone();
        (attached["scan"] == scan).then_some(attached)
    });
    said.await.unwrap_or_else(|| panic!("{scan}"))
}

/// Where staff ask for the file of a ticket.
fn at_desk(client: &Client, ticket: &Value, asset: &Value) -> String {
    desk(client, ticket, &format!("/attachments/{}", text(asset, "id")))
}

/// The path of a link, for a client of the server.
fn path(server: &TestServer, url: &Value) -> String {
    let url = url.as_str().unwrap();
    url.strip_prefix(&*server.app.api.public_url).unwrap_or_else(|| panic!("{url}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_infected_is_deleted_and_told_of() {
    for database in [Database::Sqlite, Database::Postgres] {
        let clamd = Clamd::start(TAKEN).await;
        let server = scanning(&clamd, database, false).await;
        let (ada, clerk) = (server.customer("ada@example.com").await, clerk(&server).await.client);
        let mut listener = Listener::at(&server, &clerk, "/api/v1/admin/support/events", None).await;
        let asset = upload(&ada, "invoice.pdf", &pdf(EICAR)).await;
        let ticket = ticket_with(&ada, &asset).await;
        assert_eq!(ticket["attachments"][0]["scan"], "pending");
        let attached = said(&ada, &ticket, "infected").await;
        assert_eq!(attached["signature"], "Eicar-Test-Signature");
        let refused = clerk.get(&at_desk(&ada, &ticket, &asset)).await.expect(410);
        assert_eq!(refused["code"], "attachment_infected");

        // The file is gone for everybody, for good.
        let file = ada.t(&format!("/assets/{}", text(&asset, "id")));
        ada.get(&file).await.expect(404);
        ada.post_empty(&format!("{file}/restore")).await.expect(404);
        server.client().get(&path(&server, &asset["url"])).await.expect(404);
        let folder = format!("assets/{}", ada.tenant);
        let gone = eventually(PATIENCE, async || {
            server.app.sites.files.list(&folder).await.unwrap().is_empty().then_some(())
        });
        gone.await.expect("its bytes are deleted");

        // Staff hear of it, and it is in the trail once.
        listener.expect("support_ticket.created").await;
        let told = listener.expect("support_ticket.attachment_infected").await;
        assert_eq!(told.data["resource"]["id"], ticket["id"]);
        assert_eq!(told.data["data"]["assetId"], asset["id"]);
        assert!(!told.data.to_string().contains("invoice"), "no word that anybody wrote");
        assert_eq!(events(&ada, "support_ticket.attachment_infected").await, 1);
        assert_eq!(events(&ada, "asset.deleted").await, 1);
        drop(listener);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_scanner_is_away_nobody_loads_what_waits() {
    let clamd = Clamd::start(TAKEN).await;
    clamd.break_off(true);
    let server = scanning(&clamd, Database::Sqlite, true).await;
    let (ada, clerk) = (server.customer("ada@example.com").await, clerk(&server).await.client);
    let asset = upload(&ada, "screen.png", &assets::png(700, 350, 0)).await;
    let (file, thumbnail) = (path(&server, &asset["url"]), path(&server, &asset["thumbnails"][0]["url"]));
    assert_eq!(server.client().get(&file).await.status.as_u16(), 200, "it came with no ticket yet");
    let ticket = ticket_with(&ada, &asset).await;
    for refused in [clerk.get(&at_desk(&ada, &ticket, &asset)).await, server.client().get(&file).await] {
        assert_eq!(refused.header("retry-after"), "10");
        assert_eq!(refused.expect(409)["code"], "attachment_not_scanned");
    }
    assert_eq!(server.client().get(&thumbnail).await.status.as_u16(), 200, "it is made of pixels");
    assert_eq!(said(&ada, &ticket, "pending").await.get("signature"), None);

    // A file that came with two tickets is scanned for each, also where one is merged meanwhile.
    let other = ticket_with(&ada, &asset).await;
    clerk.post(&desk(&ada, &ticket, "/merge"), json!({"into": other["id"]})).await.expect(200);
    clamd.break_off(false);
    for ticket in [&ticket, &other] {
        said(&ada, ticket, "clean").await;
    }
    let moved = eventually(PATIENCE, async || {
        let thread = ada.get(&ticket_path(&other, "")).await.expect(200);
        (thread["messages"][0]["attachments"][0]["scan"] == "clean").then_some(())
    });
    moved.await.expect("what was merged is scanned");
    let loaded = eventually(PATIENCE, async || {
        let link = clerk.get(&at_desk(&ada, &other, &asset)).await.expect(200);
        let answer = server.client().get(&path(&server, &link["url"])).await;
        (answer.status.as_u16() == 200).then_some(())
    });
    loaded.await.expect("it can be loaded");

    // Where it comes again, it waits again, also for those who come from a ticket in which it was passed.
    clamd.break_off(true);
    let again = ticket_with(&ada, &asset).await;
    let refused = clerk.get(&at_desk(&ada, &other, &asset)).await.expect(409);
    assert_eq!(refused["code"], "attachment_not_scanned");
    clamd.break_off(false);
    said(&ada, &again, "clean").await;
    assert_eq!(events(&ada, "support_ticket.attachment_infected").await, 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_scanner_does_not_take_is_up_to_the_operator() {
    let clamd = Clamd::start(TAKEN).await;
    for publish_too_large in [false, true] {
        let server = scanning(&clamd, Database::Sqlite, publish_too_large).await;
        let (ada, clerk) = (server.customer("ada@example.com").await, clerk(&server).await.client);
        let asset = upload(&ada, "manual.pdf", &pdf("x".repeat(9_000_000).as_bytes())).await;
        let ticket = ticket_with(&ada, &asset).await;
        said(&ada, &ticket, "too_large_to_scan").await;
        let answer = clerk.get(&at_desk(&ada, &ticket, &asset)).await;
        if publish_too_large {
            let link = answer.expect(200);
            assert_eq!(server.client().get(&path(&server, &link["url"])).await.status.as_u16(), 200);
        } else {
            assert_eq!(answer.header("retry-after"), "", "waiting does not help");
            let refused = answer.expect(409);
            let said = (&refused["code"], &refused["scan"]);
            assert_eq!(said, (&json!("attachment_not_scanned"), &json!("too_large_to_scan")));
            let refused = server.client().get(&path(&server, &asset["url"])).await.expect(409);
            assert_eq!(refused["code"], "attachment_not_scanned");
        }
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_deleted_before_it_is_scanned_waits_for_nothing() {
    let clamd = Clamd::start(TAKEN).await;
    clamd.break_off(true);
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.clamav.address = Some(clamd.address.clone());
        settings.assets.deletion_grace = Duration::ZERO;
    })
    .await;
    let (ada, clerk) = (server.customer("ada@example.com").await, clerk(&server).await.client);
    let asset = upload(&ada, "a.pdf", &pdf(EICAR)).await;
    let ticket = ticket_with(&ada, &asset).await;
    ada.delete(&ada.t(&format!("/assets/{}", text(&asset, "id")))).await.expect(204);
    said(&ada, &ticket, "not_scanned").await;
    clerk.get(&at_desk(&ada, &ticket, &asset)).await.expect(404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_is_scanned_with_the_files_in_it() {
    for database in [Database::Sqlite, Database::Postgres] {
        let clamd = Clamd::start(TAKEN).await;
        let server = scanning(&clamd, database, false).await;
        let (ada, clerk) =
            (Person::new(&server, "ada@example.com", |_| {}).await, clerk(&server).await.client);
        let ticket = ada.client.post(TICKETS, question()).await.expect(201);
        let to = address(&server, &ticket, ada.claims.user);
        let virus = String::from_utf8_lossy(EICAR).into_owned();
        for (number, body) in ["It is 2.4.1.", virus.as_str()].into_iter().enumerate() {
            let raw = letter("ada@example.com", &number.to_string(), "", &format!("See this.\r\n{body}"));
            assert_eq!(deliver(&server, &to, &raw).await, "accepted");
        }
        let thread = ada.client.get(&ticket_path(&ticket, "")).await.expect(200);
        let mail = |place: usize| {
            let message = text(&thread["messages"][place], "id");
            format!("/api/v1/admin/customers/{}/ticket-mails/{message}", ada.client.tenant)
        };
        for (place, status, code) in [(0, 200, Value::Null), (1, 410, json!("attachment_infected"))] {
            let answered = eventually(PATIENCE, async || {
                let answer = clerk.get(&mail(place)).await;
                let is_waiting = answer.json["code"] == "attachment_not_scanned";
                (!is_waiting).then_some(answer)
            });
            let answer = answered.await.expect("it is scanned");
            assert_eq!((answer.status.as_u16(), &answer.json["code"]), (status, &code), "{}", answer.text);
        }
        assert_eq!(events(&ada.client, "support_ticket.attachment_infected").await, 1);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_waits_for_a_scanner_that_was_taken_away_until_its_job_asks_for_the_last_time() {
    for database in [Database::Sqlite, Database::Postgres] {
        let clamd = Clamd::start(TAKEN).await;
        clamd.break_off(true);
        let server = scanning(&clamd, database, false).await;
        let (ada, clerk) = (server.customer("ada@example.com").await, clerk(&server).await.client);
        let waiting = upload(&ada, "a.pdf", &pdf(b"first")).await;
        let again = upload(&ada, "b.pdf", &pdf(b"second")).await;
        let ticket = ticket_with(&ada, &waiting).await;
        ticket_with(&ada, &again).await;

        // As an instance does that has no scanner in its settings.
        let mut without = server.app.clone();
        without.support.scanner = None;
        let page = PageRequest { page: 1, limit: 100 };
        let listed = server.app.core.jobs.list(None, page).await.unwrap().items;
        let job = listed
            .into_iter()
            .find(|job| job.kind == ScanAttachment::KIND && job.payload["assetId"] == waiting["id"]);
        let job = job.expect("the file waits");
        let without_before = || Some(NO_SCANNER.to_owned());
        let earlier = Job { attempts: job.max_attempts - 1, last_error: without_before(), ..job.clone() };
        assert!(matches!(jobs::handle(&without, &earlier).await, Err(JobError::Retry(_))));
        let at_first =
            Job { attempts: job.max_attempts, last_error: Some("refused".to_owned()), ..job.clone() };
        let met = jobs::handle(&without, &at_first).await;
        assert!(
            matches!(&met, Err(JobError::Retry(error)) if error == NO_SCANNER),
            "there was one an attempt ago: {met:?}"
        );
        let last = Job { attempts: job.max_attempts, last_error: without_before(), ..job };
        // A scanner that does not answer lets nothing go.
        assert!(matches!(jobs::handle(&server.app, &last).await, Err(JobError::Retry(_))));
        said(&ada, &ticket, "pending").await;
        clerk.get(&at_desk(&ada, &ticket, &waiting)).await.expect(409);

        jobs::handle(&without, &last).await.unwrap();
        said(&ada, &ticket, "not_scanned").await;
        let link = clerk.get(&at_desk(&ada, &ticket, &waiting)).await.expect(200);
        for url in [&link["url"], &waiting["url"]] {
            assert_eq!(server.client().get(&path(&server, url)).await.status.as_u16(), 200);
        }
        // What comes again where there is no scanner waits for none.
        let held = server.client().get(&path(&server, &again["url"])).await.expect(409);
        assert_eq!(held["code"], "attachment_not_scanned");
        let mut work = server.app.core.begin().await.unwrap();
        let ids = [again["id"].as_str().unwrap().parse().unwrap()];
        let tenant = ada.tenant.parse().unwrap();
        let files = files::of_tenant(&without.support, &mut *work, tenant, &ids).await.unwrap();
        work.commit().await.unwrap();
        assert_eq!(files[0].scan, AttachmentScan::NotScanned);
        assert_eq!(server.client().get(&path(&server, &again["url"])).await.status.as_u16(), 200);
        server.stop().await;
    }
}
