//! The financial report of staff against what was bought and given back.

use portico_billing::ledger::Account;
use portico_kernel::{Month, PlatformRole};
use portico_testkit::{
    ledger,
    server::{Client, TestServer},
};
use serde_json::{Value, json};

use crate::{fixture::Person, purchases::paid};

const REPORT: &str = "/api/v1/admin/reports/finance";

async fn staff(server: &TestServer) -> Client {
    Person::new(server, server.email("staff"), |user| user.role = PlatformRole::Staff).await.client
}

/// The sum of a member over the months of a report in a currency.
fn sum(report: &Value, currency: &str, member: &str) -> i128 {
    let months = report["items"].as_array().unwrap().iter();
    let of_currency = months.filter(|month| month["currency"] == currency);
    of_currency.map(|month| i128::from(month[member].as_i64().unwrap())).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sums_are_those_of_the_ledger() {
    TestServer::on_each_database(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        let (id, _) = paid(server, &ada).await;
        let path = format!("/api/v1/admin/customers/{}/purchases/{id}/refunds", ada.tenant);
        staff.post(&path, json!({"amount": 5900})).await.expect(201);
        // Fees are booked in the background, so it is compared with a ledger that did not change meanwhile.
        let (report, balances) = loop {
            let before = ledger::sound(server).await.balances;
            let report = staff.get(REPORT).await.expect(200);
            if before == ledger::sound(server).await.balances {
                break (report, before);
            }
        };
        let balance = |account, currency: &str| {
            balances.get(&(account, currency.to_owned())).copied().unwrap_or_default()
        };
        for (_, currency) in balances.keys() {
            let sold =
                balance(Account::PurchaseRevenue, currency) + balance(Account::SubscriptionRevenue, currency);
            assert_eq!(sum(&report, currency, "gross"), -sold, "{currency}");
            assert_eq!(sum(&report, currency, "refunds"), balance(Account::Refunds, currency), "{currency}");
            assert_eq!(
                sum(&report, currency, "disputes"),
                balance(Account::Disputes, currency),
                "{currency}"
            );
            assert_eq!(sum(&report, currency, "fees"), balance(Account::Fees, currency), "{currency}");
        }
        assert_eq!(report["live"], false, "play money, and it says so");
        let this = Month::of(server.app.core.env.now()).to_string();
        let months = report["items"].as_array().unwrap();
        let usd = months.iter().find(|month| month["month"] == this && month["currency"] == "usd").unwrap();
        let lines = usd["lines"].as_array().unwrap();
        for member in ["gross", "refunds", "disputes", "fees", "net"] {
            let of_lines: i64 = lines.iter().map(|line| line[member].as_i64().unwrap()).sum();
            assert_eq!(of_lines, usd[member].as_i64().unwrap(), "{member}");
        }
        let product =
            lines.iter().find(|line| line["kind"] == "product" && line["id"] == "base_product").unwrap();
        assert!(
            product["gross"].as_i64() >= Some(35900) && product["refunds"].as_i64() >= Some(5900),
            "{product}"
        );

        let csv = staff.with("accept", "text/csv").get(&format!("{REPORT}?from={this}&currency=usd")).await;
        assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8; header=present");
        let lines: Vec<&str> = csv.text.lines().collect();
        assert!(
            lines[0].starts_with("month,currency,kind,id,gross,refunds,disputes,fees,net,mrr,subscribers,")
        );
        assert!(lines[0].ends_with(",live") && lines[1].ends_with(",false"), "{csv:?}", csv = csv.text);
        assert!(lines[1].starts_with(&format!("{this},usd,total,,")), "{}", lines[1]);
        assert!(lines.iter().any(|line| line.starts_with(&format!("{this},usd,product,base_product,"))));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_questions_are_refused() {
    TestServer::shared(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        for (query, field) in [
            ("from=2026-02&to=2026-01", "to"),
            ("from=2020-01&to=2026-01", "to"),
            ("currency=USD", "currency"),
            ("format=xml", "format"),
            ("from=2026-13", "from"),
            ("from=2026", "from"),
            ("to=yesterday", "to"),
        ] {
            let refused = staff.get(&format!("{REPORT}?{query}")).await;
            assert_eq!((refused.status.as_u16(), refused.fields()), (422, vec![field.to_owned()]), "{query}");
        }
        assert_eq!(ada.get(REPORT).await.status.as_u16(), 403);
        assert_eq!(server.client().get(REPORT).await.status.as_u16(), 401);
    })
    .await;
}
