//! Receipts of what is bought once: numbered when it is paid, and read as a PDF.

use std::{collections::BTreeSet, time::Duration};

use portico_kernel::PlatformRole;
use portico_testkit::server::{Client, Database, TestServer, eventually};
use serde_json::{Value, json};

use crate::{
    fixture::{Person, text},
    purchases::{checkout, paid},
};

const INVOICES: &str = "/api/v1/billing/invoices";

async fn invoice(client: &Client, id: &str) -> Value {
    client.get(&format!("{INVOICES}/{id}")).await.expect(200)
}

/// The PDF of a receipt as text: its pages are not compressed.
async fn pdf(client: &Client, id: &str, query: &str) -> String {
    let answer = client.get(&format!("{INVOICES}/{id}/pdf{query}")).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/pdf"));
    assert!(answer.text.starts_with("%PDF-1."), "{}", answer.text);
    answer.text
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paid_has_a_receipt_with_a_number() {
    TestServer::on_each_database(async |server| {
        let email = server.email("ada");
        let ada = server.customer(email).await;
        let pending = checkout(&ada).await.1;
        let mut numbers = BTreeSet::new();
        for _ in 0..2 {
            let (id, _) = paid(server, &ada).await;
            let read = invoice(&ada, &id).await;
            let number = text(&read, "number");
            assert!(number.starts_with("TEST-") && number.len() >= 11, "{number}");
            assert_eq!((&read["pdfUrl"], read.get("seller")), (&Value::Null, None));

            let answer = ada.get(&format!("{INVOICES}/{id}/pdf")).await;
            let name = format!("attachment; filename=\"{number}.pdf\"");
            assert_eq!(answer.header("content-disposition"), name);
            let english = pdf(&ada, &id, "?language=en").await;
            for shown in [
                "(Receipt)",
                &format!("({number})"),
                &format!("({email})"),
                "(359.00 USD)",
                &format!("({id})"),
            ] {
                assert!(english.contains(shown), "{shown}: {english}");
            }
            assert!(english.contains("595.28") && !english.contains("(Refunded)"), "{english}");
            assert_eq!(pdf(&ada, &id, "?language=en").await, english, "the same each time");
            let spanish = pdf(&ada, &id, "?paper=letter&language=es").await;
            assert!(spanish.contains("(Recibo)") && spanish.contains("[0 0 612 792]"), "{spanish}");

            let mails = server.client().with("accept", "application/json");
            let inbox = format!("/dev/mailbox?to={email}");
            let mailed = async || {
                let mails = mails.get(&inbox).await.json.to_string();
                (mails.contains(&id) && mails.contains(&number)).then_some(())
            };
            eventually(Duration::from_secs(20), mailed).await.expect("a mail names the receipt");
            numbers.insert(number);
        }
        assert_eq!(numbers.len(), 2);

        for query in ["?paper=a5", "?language=de", "?paper=A4&language="] {
            let refused = ada.get(&format!("{INVOICES}/{pending}/pdf{query}")).await.expect(422);
            assert_eq!(refused["errors"][0]["code"], "invalid_value", "{query}");
        }
        let missing = ada.get(&format!("{INVOICES}/{pending}/pdf")).await;
        assert_eq!(missing.status.as_u16(), 404, "what is not paid has none");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_of_others_are_not_there() {
    TestServer::shared(async |server| {
        let (ada, eve) =
            (server.customer(server.email("ada")).await, server.customer(server.email("eve")).await);
        let (id, _) = paid(server, &ada).await;
        assert_eq!(eve.get(&format!("{INVOICES}/{id}/pdf")).await.status.as_u16(), 404);
        assert_eq!(server.client().get(&format!("{INVOICES}/{id}/pdf")).await.status.as_u16(), 401);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_says_what_was_given_back() {
    TestServer::shared(async |server| {
        let staff =
            Person::new(server, server.email("staff"), |user| user.role = PlatformRole::Staff).await.client;
        let ada = server.customer(server.email("ada")).await;
        let (id, _) = paid(server, &ada).await;
        let before = invoice(&ada, &id).await;
        let refunds = format!("/api/v1/admin/customers/{}/purchases/{id}/refunds", ada.tenant);
        staff.post(&refunds, json!({"amount": 10000, "reason": "Not used"})).await.expect(201);
        let after = invoice(&ada, &id).await;
        assert_eq!((&after["amountRefunded"], &after["number"]), (&json!(10000), &before["number"]));
        let shown = pdf(&ada, &id, "?language=en").await;
        assert!(shown.contains("(Refunded)") && shown.contains("(-100.00 USD)"), "{shown}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_names_the_seller_and_the_tax() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.billing.seller_name = "Example Ltd (UK)".to_owned();
        settings.billing.seller_address = vec!["1 High Street".to_owned(), "London".to_owned()];
        settings.billing.seller_tax_id = Some("GB123".to_owned());
        settings.billing.tax_name = Some("VAT".to_owned());
        settings.billing.tax_rate = 2000;
    })
    .await;
    let ada = server.customer(server.email("ada")).await;
    let (id, _) = paid(&server, &ada).await;
    let read = invoice(&ada, &id).await;
    assert_eq!((&read["number"], &read["tax"]), (&json!("TEST-000001"), &json!(5983)));
    let shown = pdf(&ada, &id, "?language=en").await;
    for text in [
        "(1 High Street)",
        "(London)",
        "(Tax ID: GB123)",
        "(Tax included: VAT 20 %)",
        "(59.83 USD)",
        "(TEST-000001)",
    ] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    assert!(shown.contains("Example Ltd"), "{shown}");
    let next = paid(&server, &ada).await.0;
    assert_eq!(invoice(&ada, &next).await["number"], "TEST-000002");
    server.stop().await;
}
