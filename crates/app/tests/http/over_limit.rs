//! More sites than the plan includes: named before, told, thirty days to choose, then the newest ones are read-only.

use portico_billing::overage::{Overage, TIME_TO_CHOOSE};
use portico_kernel::TenantId;
use portico_runtime::worker::usage as checks;
use portico_testkit::server::{Client, TestServer, at_once, eventually};
use serde_json::{Value, json};

use crate::{
    fixture::text,
    sites::{events, site},
    usage::{agree, staff},
    visitors::{FIREFOX, PATIENCE, Shop},
};

/// Puts the tenant of a client on a plan, as staff do.
pub async fn put_on(staff: &Client, client: &Client, plan: &str) {
    let path = format!("/api/v1/admin/customers/{}/plan", client.tenant);
    staff.put(&path, json!({"plan": plan, "reason": "Paid by bank transfer"})).await.expect(200);
}

/// Has a check find the sites that are too many, and then the days to choose be over, as the hourly schedule sees it: without a change by
/// the tenant.
pub async fn days_are_over(server: &TestServer, client: &Client) {
    let (tenant, core): (TenantId, _) = (client.tenant.parse().unwrap(), &server.app.core);
    let moved = eventually(PATIENCE, async || {
        core.signals.usage.mark(tenant);
        checks::check(core).await.unwrap();
        let found = core.reader().subscriptions().allowance(tenant).await.unwrap().unwrap().overage?;
        let earlier = Overage { since: found.since - TIME_TO_CHOOSE, ..found };
        let mut work = core.begin().await.unwrap();
        let is_moved = work.subscriptions().set_overage(tenant, Some(found), Some(earlier)).await.unwrap();
        work.commit().await.unwrap();
        is_moved.then_some(())
    });
    moved.await.expect("a check finds too many sites");
    checks::look_again(core).await.unwrap();
    checks::check(core).await.unwrap();
}

/// The names of the sites that are read-only, in the order of the alphabet.
async fn read_only(client: &Client) -> Vec<String> {
    let list = client.get("/api/v1/sites?sort=name&limit=100").await.expect(200);
    let items = list["items"].as_array().unwrap().iter();
    items.filter(|site| site["overLimit"] == true).map(|site| text(site, "name")).collect()
}

/// Waits until these sites are read-only, and no others.
async fn become_read_only(server: &TestServer, client: &Client, names: &[&str]) {
    let reached = eventually(PATIENCE, async || {
        checks::check(&server.app.core).await.unwrap();
        (read_only(client).await == names).then_some(())
    });
    assert!(reached.await.is_some(), "{names:?} and not {:?}", read_only(client).await);
}

/// Waits until so many events of a kind are in the audit trail.
async fn told(server: &TestServer, client: &Client, kind: &str, count: usize) {
    let told = eventually(PATIENCE, async || {
        checks::check(&server.app.core).await.unwrap();
        (events(client, kind).await == count).then_some(())
    });
    assert!(told.await.is_some(), "{kind}: {} and not {count}", events(client, kind).await);
}

fn path(site: &Value) -> String {
    format!("/api/v1/sites/{}", text(site, "id"))
}

/// Whether a site can be renamed. Its name stays as it is.
async fn is_writable(client: &Client, site: &Value) -> bool {
    let answer = client.put(&path(site), json!({"name": site["name"]})).await;
    if answer.status.is_success() {
        return true;
    }
    assert_eq!((answer.status.as_u16(), &answer.json["code"]), (409, &json!("over_limit")));
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_sites_are_read_only_after_thirty_days_until_there_are_few_enough() {
    TestServer::on_each_database(async |server| {
        let staff = staff(server).await;
        let (ada, other) =
            (server.customer(server.email("ada")).await, server.customer(server.email("other")).await);
        site(&other, "Other").await;
        put_on(&staff, &ada, "professional").await;
        let mut sites = Vec::new();
        for name in ["A", "B", "C", "D", "E"] {
            sites.push(site(&ada, name).await);
        }
        let pages = ada.t(&format!("/pages?siteId={}", text(&sites[4], "id")));
        let page = ada.post(&pages, json!({"title": "Home"})).await.expect(201);
        let at = ada.t(&format!("/pages/{}", text(&page, "id")));
        let page = ada.get(&at).await.expect(200);
        let preview = ada.post("/api/v1/billing/preview", json!({"plan": "starter"})).await.expect(200);
        assert_eq!(
            preview["overLimit"],
            json!([{"meter": "sites", "used": 5, "limit": 3, "remedy": "remove"}])
        );

        put_on(&staff, &ada, "starter").await;
        told(server, &ada, "usage.over_limit", 1).await;
        let trail = ada.get(&ada.t("/audit?type=usage.over_limit")).await.expect(200);
        let (entry, after) = (&trail["items"][0], &trail["items"][0]["after"]);
        assert_eq!(
            (&after["meter"], &after["used"], &after["limit"]),
            (&json!("sites"), &json!(5), &json!(3))
        );
        let tenant: TenantId = ada.tenant.parse().unwrap();
        let allowance = server.app.core.reader().subscriptions().allowance(tenant).await.unwrap().unwrap();
        let read_only_at = allowance.overage.unwrap().read_only_at();
        assert_eq!((&after["readOnlyAt"], &entry["resource"]["id"]), (&json!(read_only_at), &json!(tenant)));
        let usage = async |client: &Client| {
            client.get("/api/v1/billing/usage").await.expect(200)["sitesReadOnlyAt"].clone()
        };
        assert_eq!((usage(&ada).await, usage(&other).await), (json!(read_only_at), Value::Null));
        for site in &sites {
            assert!(is_writable(&ada, site).await, "there is time to choose");
        }

        let tag = ada.get(&path(&sites[4])).await.header("etag").to_owned();
        days_are_over(server, &ada).await;
        become_read_only(server, &ada, &["D", "E"]).await;
        told(server, &ada, "site.over_limit", 2).await;
        let seen = ada.with("if-none-match", &tag).get(&path(&sites[4])).await.expect(200);
        assert_eq!((&seen["overLimit"], &seen["status"]), (&json!(true), &json!("draft")));
        for (site, expected) in sites.iter().zip([true, true, true, false, false]) {
            assert_eq!(is_writable(&ada, site).await, expected, "{}", site["name"]);
        }
        // Everything on it is there and can be read.
        assert_eq!(ada.get(&at).await.expect(200), page);
        for (refused, what) in [
            (ada.put(&at, json!({"title": "Other"})).await, "a page"),
            (ada.delete(&at).await, "a page that goes"),
            (ada.post(&pages, json!({"title": "New"})).await, "a new page"),
            (ada.post_empty(&format!("{}/deploy", path(&sites[4]))).await, "a deployment"),
            (
                ada.post(&format!("{}/domains", path(&sites[4])), json!({"name": "www.e.example"})).await,
                "a domain",
            ),
        ] {
            assert_eq!(
                (refused.status.as_u16(), &refused.json["code"]),
                (409, &json!("over_limit")),
                "{what}"
            );
        }

        // One that is not needed goes, and the older one of the two has its place.
        assert!(ada.delete(&path(&sites[1])).await.status.is_success());
        become_read_only(server, &ada, &["E"]).await;
        assert!(is_writable(&ada, &sites[3]).await);
        assert!(!is_writable(&ada, &sites[4]).await);
        // So does one that is read-only itself.
        assert!(ada.delete(&path(&sites[4])).await.status.is_success());
        become_read_only(server, &ada, &[]).await;
        told(server, &ada, "site.within_limit", 1).await;
        let enough = eventually(PATIENCE, async || {
            checks::check(&server.app.core).await.unwrap();
            (usage(&ada).await == Value::Null).then_some(())
        });
        enough.await.expect("there are few enough");
        assert_eq!((events(&ada, "usage.over_limit").await, events(&ada, "site.over_limit").await), (1, 2));
        ada.post("/api/v1/sites", json!({"name": "F"})).await.expect(402);

        assert_eq!(read_only(&other).await, [""; 0]);
        assert_eq!(events(&other, "usage.over_limit").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_larger_plan_frees_all_sites_and_a_smaller_one_gives_days_anew() {
    TestServer::on_each_database(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        put_on(&staff, &ada, "professional").await;
        for name in ["A", "B", "C", "D", "E"] {
            site(&ada, name).await;
        }
        put_on(&staff, &ada, "starter").await;
        days_are_over(server, &ada).await;
        become_read_only(server, &ada, &["D", "E"]).await;
        // Smaller still: there is time to choose again.
        put_on(&staff, &ada, "free").await;
        become_read_only(server, &ada, &[]).await;
        told(server, &ada, "usage.over_limit", 2).await;
        days_are_over(server, &ada).await;
        become_read_only(server, &ada, &["B", "C", "D", "E"]).await;
        // Larger, and too small: at once, because the days are over.
        put_on(&staff, &ada, "starter").await;
        become_read_only(server, &ada, &["D", "E"]).await;
        // Staff agree on more.
        agree(&staff, &ada, "sites", 5).await;
        become_read_only(server, &ada, &[]).await;
        agree(&staff, &ada, "sites", 4).await;
        told(server, &ada, "usage.over_limit", 3).await;
        days_are_over(server, &ada).await;
        become_read_only(server, &ada, &["E"]).await;
        put_on(&staff, &ada, "professional").await;
        // What was agreed on holds with every plan.
        become_read_only(server, &ada, &["E"]).await;
        agree(&staff, &ada, "storage", 1 << 40).await;
        become_read_only(server, &ada, &[]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_stays_up_and_nothing_of_it_changes_however_many_try() {
    TestServer::on_each_database(async |server| {
        let staff = staff(server).await;
        let shop = Shop::open(server, server.email("shop"), &[]).await;
        let visitor = shop.visitor(server, FIREFOX);
        let shown = visitor.get("/").await;
        assert_eq!(shown.status.as_u16(), 200);
        agree(&staff, &shop.client, "sites", 0).await;
        days_are_over(server, &shop.client).await;
        become_read_only(server, &shop.client, &["Panadería Luz"]).await;
        assert_eq!(visitor.get("/").await.text, shown.text);
        let before = shop.client.get(&shop.home).await.expect(200);
        // Checks, changes and deployments at the same moment.
        let tenant: TenantId = shop.client.tenant.parse().unwrap();
        let answers = at_once(64, |number| {
            let (client, core) = (shop.client.clone(), server.app.core.clone());
            let (home, deploy) = (shop.home.clone(), format!("{}/deploy", shop.path));
            async move {
                let answer = match number % 3 {
                    0 => client.put(&home, json!({"title": format!("Mine {number}")})).await,
                    1 => client.post_empty(&deploy).await,
                    _ => {
                        core.signals.usage.mark(tenant);
                        checks::check(&core).await.unwrap();
                        client.post(&client.t("/pages"), json!({"title": format!("New {number}")})).await
                    }
                };
                (answer.status.as_u16(), answer.json["code"].clone())
            }
        })
        .await;
        let refused = (409, json!("over_limit"));
        assert!(answers.iter().all(|answer| *answer == refused), "{answers:?}");
        assert_eq!(shop.client.get(&shop.home).await.expect(200), before);
        assert_eq!(events(&shop.client, "site.over_limit").await, 1);

        // Deleted by many at once: by one of them.
        let answers = at_once(64, |_| {
            let (client, path) = (shop.client.clone(), shop.path.clone());
            async move { client.delete(&path).await.status.as_u16() }
        })
        .await;
        assert_eq!(answers.iter().filter(|status| **status < 300).count(), 1, "{answers:?}");
        let usage = shop.client.get("/api/v1/billing/usage").await.expect(200);
        assert_eq!((&usage["items"][0]["meter"], &usage["items"][0]["used"]), (&json!("sites"), &json!(0)));
    })
    .await;
}
