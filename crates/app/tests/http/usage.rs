//! Usage by billing period and by day, thresholds, and the hard limit of bandwidth.

use std::time::Duration;

use portico_billing::generation::{Generations, TokenLimit};
use portico_feature_sites::settings::BandwidthLimit;
use portico_kernel::{Fault, PlatformRole, TenantId};
use portico_runtime::worker::usage;
use portico_testkit::server::{Client, Database, TestServer, at_once, eventually};
use serde_json::{Value, json};
use time::Duration as Span;

use crate::{
    fixture::Person,
    sites::{events, site},
    visitors::{FIREFOX, PATIENCE, Shop},
};

const USAGE: &str = "/api/v1/billing/usage";

/// A member of staff.
pub async fn staff(server: &TestServer) -> Client {
    Person::new(server, server.email("staff"), |user| user.role = PlatformRole::Staff).await.client
}

/// Agrees on a limit with a customer.
pub async fn agree(staff: &Client, with: &Client, meter: &str, limit: u64) {
    let path = format!("/api/v1/admin/customers/{}/limits", with.tenant);
    staff.put(&path, json!({"limits": {meter: limit}, "reason": "Agreed on by phone"})).await.expect(200);
}

pub fn of<'v>(report: &'v Value, meter: &str) -> &'v Value {
    report["items"].as_array().unwrap().iter().find(|item| item["meter"] == meter).unwrap()
}

/// A day, so many days from now.
fn day(server: &TestServer, from_now: i64) -> String {
    (server.app.core.env.now() + Span::days(from_now)).into_inner().date().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_told_at_once_and_by_period() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let before = ada.get(USAGE).await.expect(200);
        assert_eq!(of(&before, "sites")["used"], 0);
        site(&ada, "One").await;
        let after = ada.get(USAGE).await.expect(200);
        assert_eq!((&of(&after, "sites")["used"], &of(&after, "sites")["limit"]), (&json!(1), &json!(1)));
        assert_eq!(
            (&of(&after, "sites")["unit"], &of(&after, "storage")["unit"]),
            (&json!("count"), &json!("bytes"))
        );
        let subscription = ada.get("/api/v1/billing/subscription").await.expect(200);
        assert_eq!(after["periodStart"], subscription["createdAt"]);
        for monthly in ["ai_generations", "bandwidth"] {
            assert_eq!(of(&after, monthly)["resetsAt"], after["periodEnd"]);
        }
        // The same by any of its days.
        let today = day(server, 0);
        assert_eq!(ada.get(&format!("{USAGE}?period={today}")).await.expect(200), after);
        for (query, field) in [
            (format!("period={}", day(server, 2)), "period"),
            (format!("period={}", day(server, -2)), "period"),
            ("period=2026-13-01".to_owned(), "period"),
            ("format=pdf".to_owned(), "format"),
            ("color=red".to_owned(), "color"),
        ] {
            let refused = ada.get(&format!("{USAGE}?{query}")).await;
            assert_eq!((refused.status.as_u16(), refused.fields()), (422, vec![field.to_owned()]), "{query}");
        }

        let csv = ada.get(&format!("{USAGE}?format=csv")).await;
        assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8; header=present");
        assert_eq!(csv.header("content-disposition"), "attachment; filename=\"usage.csv\"");
        let mut lines = csv.text.lines();
        assert_eq!(lines.next(), Some("periodStart,periodEnd,meter,used,limit,unit,resetsAt"));
        let (start, end) = (after["periodStart"].as_str().unwrap(), after["periodEnd"].as_str().unwrap());
        assert_eq!(lines.next(), Some(format!("{start},{end},sites,1,1,count,").as_str()));
        assert_eq!(lines.count(), 6);
        // The parameter counts for more than the header.
        let asking = ada.with("accept", "text/csv");
        assert_eq!(asking.get(USAGE).await.text, csv.text);
        assert_eq!(asking.get(&format!("{USAGE}?format=json")).await.expect(200), after);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_by_day_has_today_as_it_is_now() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        site(&ada, "One").await;
        let (path, today) = (format!("{USAGE}/daily"), day(server, 0));
        let daily = ada.get(&path).await.expect(200);
        assert_eq!((&daily["from"], &daily["to"]), (&json!(day(server, -29)), &json!(today)));
        let items = daily["items"].as_array().unwrap();
        let sites: Vec<_> = items.iter().filter(|item| item["meter"] == "sites").collect();
        assert_eq!(sites, [&json!({"date": today, "meter": "sites", "used": 1, "unit": "count"})]);
        assert_eq!(items.iter().filter(|item| item["meter"] == "bandwidth").count(), 30);

        // Recorded as the end of an earlier day: known from then on. The schedule may have recorded yesterday, too.
        let mut work = server.app.core.begin().await.unwrap();
        let early = (server.app.core.env.now() - Span::days(3)).into_inner().date();
        work.meters().record_day(early).await.unwrap();
        work.commit().await.unwrap();
        site_deleted(&ada).await;
        let two = ada.get(&format!("{path}?from={}&to={today}", day(server, -1))).await.expect(200);
        let sites: Vec<_> =
            two["items"].as_array().unwrap().iter().filter(|item| item["meter"] == "sites").collect();
        assert_eq!(sites.iter().map(|item| &item["used"]).collect::<Vec<_>>(), [&json!(1), &json!(0)]);

        let csv = ada.get(&format!("{path}?from={today}&format=csv")).await;
        assert_eq!(csv.header("content-disposition"), "attachment; filename=\"daily-usage.csv\"");
        assert!(
            csv.text.starts_with(&format!("date,meter,used,unit\r\n{today},sites,0,count\r\n")),
            "{}",
            csv.text
        );
        for query in [
            format!("from={}&to={}", day(server, 0), day(server, -1)),
            format!("from={}&to={}", day(server, -366), day(server, 0)),
        ] {
            let refused = ada.get(&format!("{path}?{query}")).await;
            assert_eq!((refused.status.as_u16(), refused.fields()), (422, vec!["to".to_owned()]), "{query}");
        }
        ada.get(&format!("{path}?from={}", day(server, -365))).await.expect(200);
    })
    .await;
}

/// Deletes the only site.
async fn site_deleted(client: &Client) {
    let sites = client.get("/api/v1/sites").await.expect(200);
    let id = sites["items"][0]["id"].as_str().unwrap().to_owned();
    let deleted = client.delete(&format!("/api/v1/sites/{id}")).await;
    assert!(deleted.status.is_success(), "{}", deleted.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_used_stays_used_whatever_the_plan_becomes() {
    TestServer::on_each_database(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        let tenant: TenantId = ada.tenant.parse().unwrap();
        // Whether so many texts can be made, each in a transaction of its own.
        let make = async |count: u32| {
            for _ in 0..count {
                let (env, limit) = (&server.app.core.env, TokenLimit::default());
                let mut work = server.app.core.begin().await.unwrap();
                let made = Generations::new(&mut *work).reserve(tenant, env.new_id(), limit, env.now()).await;
                match made {
                    Ok(_) => work.commit().await.unwrap(),
                    Err(refused) => return Err(refused.code()),
                }
            }
            Ok(())
        };
        let put_on = async |plan: &str| {
            let path = format!("/api/v1/admin/customers/{}/plan", ada.tenant);
            staff.put(&path, json!({"plan": plan, "reason": "Paid by bank transfer"})).await.expect(200);
        };
        let before = ada.get(USAGE).await.expect(200);
        make(10).await.unwrap();
        assert_eq!(make(1).await, Err("quota_exceeded"));
        put_on("starter").await;
        make(20).await.unwrap();
        put_on("free").await;
        assert_eq!(make(1).await, Err("quota_exceeded"));
        let after = ada.get(USAGE).await.expect(200);
        let texts = of(&after, "ai_generations");
        assert_eq!((&texts["used"], &texts["limit"]), (&json!(30), &json!(10)));
        assert_eq!(after["periodStart"], before["periodStart"]);
        let daily = ada.get(&format!("{USAGE}/daily?from={}", day(server, 0))).await.expect(200);
        assert_eq!(of(&daily, "ai_generations")["used"], 30);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_for_members() {
    TestServer::shared(async |server| {
        let (ada, other) =
            (server.customer(server.email("ada")).await, server.customer(server.email("other")).await);
        for path in [USAGE.to_owned(), format!("{USAGE}/daily")] {
            assert_eq!(server.client().get(&path).await.status.as_u16(), 401, "{path}");
            let foreign = other.with("x-tenant-id", &ada.tenant).get(&path).await;
            assert_eq!(foreign.status.as_u16(), 404, "{path}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thresholds_are_told_once_whatever_happens_at_once() {
    TestServer::on_each_database(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        let told = async || (events(&ada, "usage.warning").await, events(&ada, "usage.exhausted").await);
        let checked = async || {
            let core = &server.app.core;
            tokio::join!(usage::check(core), usage::check(core), usage::check(core)).0.unwrap();
        };
        agree(&staff, &ada, "sites", 10).await;
        for number in 0..7 {
            site(&ada, &format!("Site {number}")).await;
        }
        checked().await;
        assert_eq!(told().await, (0, 0));
        site(&ada, "Eighth").await;
        eventually(PATIENCE, async || {
            checked().await;
            (told().await == (1, 0)).then_some(())
        })
        .await
        .expect("80 % is told");

        let statuses = at_once(64, |number| {
            let ada = ada.clone();
            async move {
                let made = ada.post("/api/v1/sites", json!({"name": format!("Rush {number}")})).await;
                made.status.as_u16()
            }
        })
        .await;
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 2, "{statuses:?}");
        eventually(PATIENCE, async || {
            checked().await;
            (told().await == (1, 1)).then_some(())
        })
        .await
        .expect("100 % is told");
        // Raised, and reached again in the same period.
        agree(&staff, &ada, "sites", 11).await;
        checked().await;
        site(&ada, "Eleventh").await;
        checked().await;
        assert_eq!(told().await, (1, 1));

        let trail = ada.get(&ada.t("/audit?type=usage.exhausted")).await.expect(200);
        let after = &trail["items"][0]["after"];
        assert_eq!(
            (&after["meter"], &after["used"], &after["limit"]),
            (&json!("sites"), &json!(10), &json!(10))
        );
        let report = ada.get(USAGE).await.expect(200);
        assert_eq!(
            (&after["periodStart"], &after["periodEnd"]),
            (&report["periodStart"], &report["periodEnd"])
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hard_limit_of_bandwidth_pauses_sites_until_there_is_more() {
    for (limit, status) in [(BandwidthLimit::Soft, 200), (BandwidthLimit::Hard, 503)] {
        let server =
            TestServer::start_with(Database::Sqlite, |settings| settings.sites.bandwidth_limit = limit).await;
        let staff = staff(&server).await;
        let shop = Shop::open(&server, server.email("shop"), &[]).await;
        let visitor = shop.visitor(&server, FIREFOX);
        assert_eq!(visitor.get("/").await.status.as_u16(), 200);
        let core = &server.app.core;
        server.app.sites.hosting.visits.flush(core).await;
        let becomes = async |wanted: u16| {
            let seen = eventually(PATIENCE, async || {
                usage::check(core).await.unwrap();
                (visitor.get("/").await.status.as_u16() == wanted).then_some(())
            });
            assert!(seen.await.is_some(), "{limit:?}: {wanted}");
        };
        agree(&staff, &shop.client, "bandwidth", 1).await;
        becomes(status).await;
        // Of bandwidth, and of the only site.
        let told = async || (events(&shop.client, "usage.exhausted").await == 2).then_some(());
        eventually(PATIENCE, told).await.expect("both are told");
        if limit == BandwidthLimit::Hard {
            assert_eq!(visitor.get("/").await.header("retry-after"), "3600");
        }
        agree(&staff, &shop.client, "bandwidth", 1 << 40).await;
        becomes(200).await;
        // And it stays so: nothing happens in this time.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(visitor.get("/").await.status.as_u16(), 200);
        server.stop().await;
    }
}
