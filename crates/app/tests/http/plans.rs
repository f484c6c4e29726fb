//! Plans: the offer, what staff make of it, and that who has bought something keeps it.

use portico_kernel::PlatformRole;
use portico_testkit::server::{Client, TestServer, at_once};
use serde_json::{Value, json};

use crate::{
    fixture::Person,
    sites::{events, site},
};

const PLANS: &str = "/api/v1/admin/plans";

async fn staff(server: &TestServer) -> Client {
    Person::new(server, server.email("staff"), |user| user.role = PlatformRole::Staff).await.client
}

/// The plans on offer for a stranger.
async fn offer(server: &TestServer) -> Vec<Value> {
    let list = server.client().get("/api/v1/billing/plans").await.expect(200);
    list["items"].as_array().unwrap().clone()
}

async fn offered(server: &TestServer, id: &str) -> Option<Value> {
    offer(server).await.into_iter().find(|plan| plan["id"] == id)
}

/// How many sites the plan of a tenant includes.
async fn sites_of(client: &Client) -> Value {
    let usage = client.get("/api/v1/billing/usage").await.expect(200);
    let items = usage["items"].as_array().unwrap();
    items.iter().find(|item| item["meter"] == "sites").unwrap()["limit"].clone()
}

/// Plan and version of a tenant.
async fn bought(client: &Client) -> (Value, Value) {
    let subscription = client.get("/api/v1/billing/subscription").await.expect(200);
    assert_eq!(subscription["tenantId"], client.tenant.as_str());
    (subscription["plan"].clone(), subscription["planVersion"].clone())
}

fn agency() -> Value {
    json!({
        "id": "agency", "name": "Agency", "description": "For those who build sites for others.", "features": ["2 sites"],
        "prices": [
            {"interval": "year", "amount": 49000, "currency": "usd"}, {"interval": "month", "amount": 4900, "currency": "usd"},
        ],
        "limits": {"sites": 2, "storage": null}, "premiumTemplates": true, "trialDays": 14, "position": 5,
    })
}

async fn grant(staff: &Client, to: &Client, plan: &str) {
    let path = format!("/api/v1/admin/customers/{}/plan", to.tenant);
    staff.put(&path, json!({"plan": plan, "reason": "Paid by bank transfer"})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_offer_is_for_everybody_and_the_subscription_for_members() {
    TestServer::shared(async |server| {
        let starter = offered(server, "starter").await.unwrap();
        assert_eq!((&starter["version"], &starter["trialDays"]), (&json!(1), &json!(0)));
        assert_eq!(
            starter["prices"],
            json!([
                {"interval": "month", "amount": 1200, "currency": "usd"},
                {"interval": "year", "amount": 12000, "currency": "usd"},
            ])
        );
        assert_eq!(starter["features"][0], "3 sites");
        assert!(starter["description"].as_str().is_some_and(|text| !text.is_empty()));

        let ada = server.customer(server.email("ada")).await;
        assert_eq!(bought(&ada).await, (json!("free"), json!(1)));
        let path = "/api/v1/billing/subscription";
        assert_eq!(ada.get(path).await.expect(200)["status"], "active");
        assert_eq!(server.client().get(path).await.status.as_u16(), 401);
        let other = server.customer(server.email("other")).await;
        assert_eq!(other.with("x-tenant-id", &ada.tenant).get(path).await.status.as_u16(), 404);
        // Plans are for staff to make.
        for answer in [
            ada.get(PLANS).await,
            ada.post(PLANS, agency()).await,
            ada.get(&format!("{PLANS}/free")).await,
            ada.put(&format!("{PLANS}/free"), json!({"name": "Mine"})).await,
            ada.delete(&format!("{PLANS}/starter")).await,
        ] {
            assert_eq!((answer.status.as_u16(), &answer.json["code"]), (403, &json!("forbidden")));
        }
        assert_eq!(server.client().post(PLANS, agency()).await.status.as_u16(), 401);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_bought_a_plan_keeps_it_until_staff_move_them() {
    TestServer::on_each_database(async |server| {
        let staff = staff(server).await;
        let made = staff.post(PLANS, agency()).await;
        assert_eq!(made.header("location"), format!("{PLANS}/agency"));
        let made = made.expect(201);
        assert_eq!(
            (&made["version"], &made["amount"], &made["currency"]),
            (&json!(1), &json!(4900), &json!("usd"))
        );
        assert_eq!((&made["limits"], &made["subscriptions"]), (&json!({"sites": 2}), &json!(0)));
        assert_eq!((&made["isPublic"], &made["retiredAt"]), (&json!(true), &Value::Null));
        let last = offer(server).await.pop().unwrap();
        assert_eq!((&last["id"], &last["prices"][1]["amount"]), (&json!("agency"), &json!(49000)));
        let again = staff.post(PLANS, agency()).await;
        assert_eq!((again.status.as_u16(), &again.json["code"]), (409, &json!("plan_exists")));

        let (early, late) =
            (server.customer(server.email("early")).await, server.customer(server.email("late")).await);
        grant(&staff, &early, "agency").await;
        assert_eq!(bought(&early).await, (json!("agency"), json!(1)));
        site(&early, "One").await;
        site(&early, "Two").await;

        // Words change in place, for everybody.
        let path = format!("{PLANS}/agency");
        let named = staff.put(&path, json!({"name": "Studio", "features": []})).await.expect(200);
        assert_eq!((&named["version"], &named["name"]), (&json!(1), &json!("Studio")));

        // What is bought changes for those who come later. Only what is named changes.
        let change = json!({
            "limits": {"sites": 1}, "prices": [{"interval": "month", "amount": 5900, "currency": "usd"}],
        });
        let second = staff.put(&path, change.clone()).await.expect(200);
        assert_eq!(
            (&second["version"], &second["amount"], &second["subscriptions"]),
            (&json!(2), &json!(5900), &json!(1))
        );
        assert_eq!((&second["trialDays"], &second["name"]), (&json!(14), &json!("Studio")));
        let unchanged = staff.put(&path, change).await.expect(200);
        assert_eq!(unchanged["version"], 2, "the same again makes no version");
        assert_eq!(offered(server, "agency").await.unwrap()["amount"], 5900);
        grant(&staff, &late, "agency").await;
        assert_eq!((sites_of(&early).await, sites_of(&late).await), (json!(2), json!(1)));
        assert_eq!((bought(&early).await.1, bought(&late).await.1), (json!(1), json!(2)));
        let history = staff.get(&path).await.expect(200);
        let versions = history["versions"].as_array().unwrap();
        assert_eq!(versions.len(), 2, "{history}");
        for (version, number, amount) in [(&versions[0], 2, 5900), (&versions[1], 1, 4900)] {
            assert_eq!((&version["version"], &version["amount"]), (&json!(number), &json!(amount)));
            assert_eq!(version["subscriptions"], 1);
        }

        // Moved: at once, with an entry in the trail of each tenant that was. What is there stays.
        let before = events(&early, "subscription.updated").await;
        let moved = staff.put(&path, json!({"trialDays": 0, "moveSubscribers": true})).await.expect(200);
        assert_eq!((&moved["version"], &moved["subscriptions"]), (&json!(3), &json!(2)));
        for client in [&early, &late] {
            assert_eq!((bought(client).await.1, sites_of(client).await), (json!(3), json!(1)));
        }
        assert_eq!(events(&early, "subscription.updated").await, before + 1);
        assert_eq!(early.get("/api/v1/sites").await.expect(200)["total"], 2);
        early.post("/api/v1/sites", json!({"name": "Three"})).await.expect(402);
        // Nobody is left to be moved.
        staff.put(&path, json!({"moveSubscribers": true})).await.expect(200);
        assert_eq!(events(&early, "subscription.updated").await, before + 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_plan_is_off_the_offer_and_kept_by_who_has_it() {
    TestServer::on_each_database(async |server| {
        let staff = staff(server).await;
        staff.post(PLANS, agency()).await.expect(201);
        let ada = server.customer(server.email("ada")).await;
        grant(&staff, &ada, "agency").await;
        let path = format!("{PLANS}/agency");
        // Off the public offer first: staff still put tenants on it.
        staff.put(&path, json!({"isPublic": false})).await.expect(200);
        assert_eq!(offered(server, "agency").await, None);
        let other = server.customer(server.email("other")).await;
        grant(&staff, &other, "agency").await;

        staff.delete(&path).await.expect(204);
        staff.delete(&path).await.expect(204);
        let listed = staff.get(&format!("{PLANS}?limit=100")).await.expect(200);
        let plan = listed["items"].as_array().unwrap().iter().find(|plan| plan["id"] == "agency").unwrap();
        assert!(plan["retiredAt"].is_string() && plan["subscriptions"] == 2, "{plan}");
        assert_eq!(sites_of(&ada).await, 2);
        let refused = staff.put(&path, json!({"name": "Again"})).await;
        assert_eq!((refused.status.as_u16(), &refused.json["code"]), (409, &json!("plan_retired")));
        let again = staff.post(PLANS, agency()).await;
        assert_eq!((again.status.as_u16(), &again.json["code"]), (409, &json!("plan_exists")));
        let third = server.customer(server.email("third")).await;
        let body = json!({"plan": "agency", "reason": "Paid"});
        let refused = staff.put(&format!("/api/v1/admin/customers/{}/plan", third.tenant), body).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (422, vec!["plan".to_owned()]));

        let needed = staff.delete(&format!("{PLANS}/free")).await;
        assert_eq!((needed.status.as_u16(), &needed.json["code"]), (409, &json!("plan_needed")));
        for unknown in ["gold", "Free", "a-b"] {
            let path = format!("{PLANS}/{unknown}");
            assert_eq!(staff.get(&path).await.status.as_u16(), 404, "{unknown}");
            assert_eq!(staff.put(&path, json!({"name": "x"})).await.status.as_u16(), 404, "{unknown}");
            assert_eq!(staff.delete(&path).await.status.as_u16(), 404, "{unknown}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_with_a_plan_is_told_at_once() {
    TestServer::shared(async |server| {
        let staff = staff(server).await;
        let price = |amount: i64, currency: &str| json!({"interval": "month", "amount": amount, "currency": currency});
        for (wrong, fields) in [
            (json!({}), vec!["id", "name", "prices"]),
            (
                json!({
                    "id": "1st", "name": "x".repeat(101), "description": "x".repeat(501), "features": ["x".repeat(101)],
                    "prices": [price(-1, "usd"), {"interval": "month", "amount": 1, "currency": "doubloons"}],
                    "limits": {"sites": u64::MAX}, "trialDays": 366, "position": 10_001,
                }),
                vec![
                    "id", "name", "description", "features[0]", "prices[0].amount", "prices[1].interval",
                    "prices[1].currency", "limits.sites", "trialDays", "position",
                ],
            ),
            (
                json!({"id": "agency", "name": "Agency", "prices": [{}]}),
                vec!["prices", "prices[0].interval", "prices[0].currency", "prices[0].amount"],
            ),
            (json!({"id": "agency", "name": "Agency", "prices": [price(150, "isk")]}), vec!["prices[0].amount"]),
            (json!({"id": "agency", "name": "Agency", "prices": [price(1, "usd")], "limits": {"wheels": 2}}), vec!["limits.wheels"]),
            (json!({"id": "agency", "name": "Agency", "prices": [price(1, "usd")], "version": 2}), vec!["version"]),
        ] {
            let mut fields: Vec<&str> = fields;
            fields.sort_unstable();
            let refused = staff.post(PLANS, wrong.clone()).await;
            assert_eq!(refused.status.as_u16(), 422, "{wrong} {}", refused.text);
            assert_eq!(refused.fields(), fields, "{wrong}");
        }
        let path = format!("{PLANS}/free");
        for (wrong, fields) in [
            (json!({"name": " "}), vec!["name"]),
            (json!({"prices": []}), vec!["prices"]),
            (json!({"prices": [price(100, "usd")]}), vec!["prices[0].amount"]),
            (json!({"id": "other"}), vec!["id"]),
        ] {
            let refused = staff.put(&path, wrong.clone()).await;
            assert_eq!((refused.status.as_u16(), refused.fields()), (422, fields.into_iter().map(str::to_owned).collect()), "{wrong}");
        }
        assert_eq!(offered(server, "free").await.unwrap()["version"], 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_a_plan_at_once_are_made_one_after_the_other() {
    TestServer::on_each_database(async |server| {
        let staff = staff(server).await;
        let made = at_once(8, |_| {
            let staff = staff.clone();
            async move { staff.post(PLANS, agency()).await.status.as_u16() }
        })
        .await;
        assert_eq!(made.iter().filter(|status| **status == 201).count(), 1, "{made:?}");
        assert!(made.iter().all(|status| [201, 409].contains(status)), "{made:?}");
        let path = format!("{PLANS}/agency");
        at_once(8, |number| {
            let (staff, path) = (staff.clone(), path.clone());
            async move { staff.put(&path, json!({"limits": {"sites": 10 + number}})).await.expect(200) }
        })
        .await;
        let history = staff.get(&path).await.expect(200);
        let versions = history["versions"].as_array().unwrap();
        let numbers: Vec<_> = versions.iter().map(|version| version["version"].as_i64().unwrap()).collect();
        assert_eq!(numbers, [9, 8, 7, 6, 5, 4, 3, 2, 1]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starting_again_leaves_what_staff_have_made() {
    TestServer::on_each_database(async |server| {
        let staff = staff(server).await;
        let change = json!({"name": "Beginner", "limits": {"sites": 4}});
        staff.put(&format!("{PLANS}/starter"), change).await.expect(200);
        let mut work = server.app.core.begin().await.unwrap();
        let written = portico_billing::plan::Plans::new(&mut *work).seed().await.unwrap();
        work.commit().await.unwrap();
        assert_eq!(written, 0);
        let starter = offered(server, "starter").await.unwrap();
        assert_eq!((&starter["name"], &starter["limits"]["sites"]), (&json!("Beginner"), &json!(4)));
    })
    .await;
}
