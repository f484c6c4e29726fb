//! Coupons: made by staff, used by orders as often as they may be, given back by orders that end unpaid.

use portico_billing::payment::CheckoutState;
use portico_kernel::PlatformRole;
use portico_testkit::{
    ledger,
    server::{Answer, Client, TestServer, at_once},
};
use serde_json::{Value, json};

use crate::{
    fixture::{Person, text},
    purchases::{a_round, order},
    subscriptions,
};

const COUPONS: &str = "/api/v1/admin/coupons";
const CREATE: &str = "/api/v1/checkout/create-session";
const SUCCESS: &str = "/api/v1/checkout/success";
const PURCHASES: &str = "/api/v1/purchases";
const PREVIEW: &str = "/api/v1/billing/preview";

async fn staff(server: &TestServer) -> Client {
    Person::new(server, server.email("staff"), |user| user.role = PlatformRole::Staff).await.client
}

/// A code that no other test has.
fn code(server: &TestServer) -> String {
    format!("C{}", server.app.core.env.random_uuid().simple()).to_uppercase()
}

/// Makes a coupon with these members.
async fn made(server: &TestServer, staff: &Client, members: Value) -> Value {
    let mut coupon = json!({"code": code(server)});
    coupon.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    staff.post(COUPONS, coupon).await.expect(201)
}

async fn begin(client: &Client, coupon: &str) -> Answer {
    let mut order = order();
    order["coupon"] = coupon.into();
    client.post(CREATE, order).await
}

/// Why an order cannot use a coupon.
async fn refusal(client: &Client, coupon: &str) -> String {
    let refused = begin(client, coupon).await.expect(422);
    assert_eq!(refused["errors"][0]["field"], "coupon", "{refused}");
    text(&refused["errors"][0], "code")
}

/// How many orders use a coupon.
async fn used(staff: &Client, coupon: &Value) -> u64 {
    let read = staff.get(&format!("{COUPONS}/{}", text(coupon, "id"))).await.expect(200);
    read["redemptions"].as_u64().unwrap()
}

async fn newest(client: &Client) -> Value {
    client.get(&format!("{PURCHASES}?limit=1")).await.expect(200)["items"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_with_a_coupon_costs_less() {
    TestServer::on_each_database(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        let coupon = made(server, &staff, json!({"percent": 25, "maxRedemptionsPerTenant": 1})).await;
        let code = text(&coupon, "code");
        let session = text(&begin(&ada, &code.to_lowercase()).await.expect(201), "sessionId");
        let purchase = newest(&ada).await;
        assert_eq!((&purchase["amount"], &purchase["discount"]), (&json!(26925), &json!(8975)));
        assert_eq!(purchase["coupon"], code.as_str());
        let item = &purchase["items"][0];
        assert_eq!((&item["amount"], &item["discount"]), (&json!(35900), &json!(8975)));
        server.payments.change(&session, |checkout| assert_eq!(checkout.amount.amount, 26925));
        assert_eq!(used(&staff, &coupon).await, 1);

        server.payments.pay(&session);
        let paid = ada.post(SUCCESS, json!({"sessionId": session})).await.expect(200);
        assert_eq!((&paid["status"], &paid["coupon"]), (&json!("completed"), &json!(code)));
        assert_eq!(used(&staff, &coupon).await, 1);
        assert_eq!(refusal(&ada, &code).await, "coupon_used_up");
        let id = text(&paid, "id");
        let invoice = ada.get(&format!("/api/v1/billing/invoices/{id}")).await.expect(200);
        assert_eq!(invoice["amountPaid"], 26925);
        assert_eq!(
            invoice["lines"],
            json!([
                {"description": "Base Software License", "quantity": 1, "amount": 35900},
                {"description": code, "quantity": 1, "amount": -8975},
            ])
        );
        let receipt = ada.get(&format!("/api/v1/billing/invoices/{id}/pdf?language=en")).await;
        assert!(
            receipt.text.contains("(-89.75 USD)") && receipt.text.contains("(269.25 USD)"),
            "{}",
            receipt.text
        );
        ledger::sound(server).await;

        // Without a coupon, or with an empty one, the price is that of the catalogue.
        begin(&ada, " ").await.expect(201);
        let plain = newest(&ada).await;
        assert_eq!(
            (&plain["amount"], &plain["discount"], plain.get("coupon")),
            (&json!(35900), &json!(0), None)
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_left_a_page_takes_the_coupon_along_to_the_next_one() {
    TestServer::on_each_database(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        let coupon = made(server, &staff, json!({"percent": 25, "maxRedemptionsPerTenant": 1})).await;
        let code = text(&coupon, "code");
        let left = text(&begin(&ada, &code).await.expect(201), "sessionId");
        let first = text(&newest(&ada).await, "id");
        let session = text(&begin(&ada, &code).await.expect(201), "sessionId");
        assert_ne!(left, session);
        server.payments.change(&left, |checkout| assert_eq!(checkout.state, CheckoutState::Expired));
        let ended = ada.get(&format!("{PURCHASES}/{first}")).await.expect(200);
        assert_eq!(ended["status"], "failed");
        assert_eq!((used(&staff, &coupon).await, &newest(&ada).await["amount"]), (1, &json!(26925)));

        // Paid a moment before, which nobody has told yet.
        let second = text(&newest(&ada).await, "id");
        server.payments.pay(&session);
        assert_eq!(refusal(&ada, &code).await, "coupon_used_up");
        let paid = ada.get(&format!("{PURCHASES}/{second}")).await.expect(200);
        assert_eq!((&paid["status"], used(&staff, &coupon).await), (&json!("completed"), 1));

        // Each tenant has its own.
        let eve = server.customer(server.email("eve")).await;
        begin(&eve, &code).await.expect(201);
        assert_eq!((used(&staff, &coupon).await, begin(&eve, &code).await.status.as_u16()), (2, 201));
        assert_eq!(used(&staff, &coupon).await, 2);
        ledger::sound(server).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_that_want_the_last_use_one_gets_it() {
    TestServer::on_each_database(async |server| {
        let staff = staff(server).await;
        let coupon = made(server, &staff, json!({"percent": 10, "maxRedemptions": 3})).await;
        let code = text(&coupon, "code");
        let mut buyers = Vec::new();
        for number in 0..4 {
            buyers.push(server.customer(server.email(&format!("buyer{number}"))).await);
        }
        for _ in 0..2 {
            begin(&buyers[0], &code).await.expect(201);
        }
        let answers = at_once(64, |number| {
            let (buyer, code) = (buyers[number % 4].clone(), code.clone());
            async move { begin(&buyer, &code).await }
        })
        .await;
        let mut begun = 0;
        for answer in answers {
            match answer.status.as_u16() {
                201 => begun += 1,
                _ => assert_eq!(answer.expect(422)["errors"][0]["code"], "coupon_used_up"),
            }
        }
        assert_eq!((begun, used(&staff, &coupon).await), (1, 3));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_unpaid_gives_its_coupon_back() {
    TestServer::on_each_database(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        let coupon =
            made(server, &staff, json!({"amount": 900, "currency": "usd", "maxRedemptions": 1})).await;
        let code = text(&coupon, "code");
        let session = text(&begin(&ada, &code).await.expect(201), "sessionId");
        let first = text(&newest(&ada).await, "id");
        assert_eq!(refusal(&ada, &code).await, "coupon_used_up");
        server.payments.change(&session, |checkout| {
            checkout.state = CheckoutState::Expired;
            checkout.url = None;
        });
        a_round(server, &ada).await;
        let ended = ada.get(&format!("{PURCHASES}/{first}")).await.expect(200);
        assert_eq!((&ended["status"], &ended["amount"]), (&json!("failed"), &json!(35000)));
        assert_eq!(used(&staff, &coupon).await, 0);
        begin(&ada, &code).await.expect(201);
        assert_eq!(used(&staff, &coupon).await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coupon_that_cannot_be_used_says_why_and_nothing_is_stored() {
    TestServer::shared(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        for wrong in ["nothing", "a b", "%", &"x".repeat(5000)] {
            assert_eq!(refusal(&ada, wrong).await, "unknown_coupon");
        }
        for (members, expected) in [
            (json!({"percent": 5, "validUntil": "2020-01-01T00:00:00Z"}), "coupon_expired"),
            (json!({"percent": 5, "validFrom": "2099-01-01T00:00:00Z"}), "coupon_not_yet_valid"),
            (json!({"amount": 500, "currency": "gtq"}), "coupon_not_applicable"),
            (json!({"percent": 100}), "coupon_covers_everything"),
            (json!({"amount": 35900, "currency": "usd"}), "coupon_covers_everything"),
        ] {
            let coupon = made(server, &staff, members.clone()).await;
            assert_eq!(refusal(&ada, &text(&coupon, "code")).await, expected, "{members}");
            assert_eq!(used(&staff, &coupon).await, 0);
        }
        let archived = made(server, &staff, json!({"percent": 5})).await;
        staff.delete(&format!("{COUPONS}/{}", text(&archived, "id"))).await.expect(204);
        assert_eq!(refusal(&ada, &text(&archived, "code")).await, "coupon_expired");
        assert_eq!(ada.get(PURCHASES).await.expect(200)["total"], 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_make_change_and_archive_coupons() {
    TestServer::shared(async |server| {
        let staff = staff(server).await;
        let coupon = made(
            server,
            &staff,
            json!({"percent": 25, "productTypes": ["base_product"], "maxRedemptions": 100}),
        )
        .await;
        let path = format!("{COUPONS}/{}", text(&coupon, "id"));
        assert_eq!(
            coupon,
            json!({
                "id": coupon["id"], "code": coupon["code"], "percent": 25, "amount": null, "currency": null,
                "productTypes": ["base_product"], "appliesTo": ["purchases"], "plans": [], "duration": null,
                "durationInMonths": null, "maxRedemptions": 100, "maxRedemptionsPerTenant": null,
                "validFrom": null, "validUntil": null, "redemptions": 0, "archivedAt": null,
                "createdAt": coupon["createdAt"], "updatedAt": coupon["createdAt"],
            })
        );
        assert_eq!(staff.get(&path).await.expect(200), coupon);
        let again = json!({"code": text(&coupon, "code").to_lowercase(), "percent": 1});
        assert_eq!(staff.post(COUPONS, again.clone()).await.expect(409)["code"], "coupon_exists");
        let changed = staff.put(&path, json!({"validUntil": "2099-01-01T00:00:00Z"})).await.expect(200);
        assert_eq!(
            (&changed["validUntil"], &changed["maxRedemptions"]),
            (&json!("2099-01-01T00:00:00Z"), &Value::Null)
        );
        assert_eq!((&changed["productTypes"], &changed["percent"]), (&json!([]), &json!(25)));
        let worth = staff.put(&path, json!({"percent": 50})).await.expect(422);
        assert_eq!(worth["errors"][0]["code"], "unknown_field", "what it takes off never changes");
        let newest = staff.get(&format!("{COUPONS}?limit=1")).await.expect(200);
        assert!(newest["total"].as_u64().unwrap() >= 1 && newest["items"].as_array().unwrap().len() == 1);

        staff.delete(&path).await.expect(204);
        staff.delete(&path).await.expect(204);
        assert!(staff.get(&path).await.expect(200)["archivedAt"].is_string());
        assert_eq!(staff.put(&path, json!({})).await.expect(409)["code"], "coupon_archived");
        assert_eq!(
            staff.post(COUPONS, again).await.expect(409)["code"],
            "coupon_exists",
            "its code is not free again"
        );
        let missing = format!("{COUPONS}/{}", server.app.core.env.random_uuid());
        assert_eq!(staff.get(&missing).await.status.as_u16(), 404);
        let all_wrong = json!({"code": "", "percent": 0, "productTypes": ["jet"], "maxRedemptions": 0});
        let refused = staff.post(COUPONS, all_wrong).await.expect(422);
        assert_eq!(refused["errors"].as_array().unwrap().len(), 4, "{refused}");
        let ada = server.customer(server.email("ada")).await;
        assert_eq!(ada.get(&path).await.status.as_u16(), 403);
    })
    .await;
}

/// A change to a plan with a coupon.
fn wish_with(plan: &str, coupon: &str) -> Value {
    let mut wish = subscriptions::wish(plan);
    wish["couponCode"] = coupon.into();
    wish
}

/// Why a change of plan cannot use a coupon.
async fn plan_refusal(client: &Client, path: &str, plan: &str, coupon: &str) -> String {
    let refused = client.post(path, wish_with(plan, coupon)).await.expect(422);
    assert_eq!(refused["errors"][0]["field"], "couponCode", "{refused}");
    text(&refused["errors"][0], "code")
}

fn for_plans(duration: &str) -> Value {
    json!({"appliesTo": ["plans"], "percent": 25, "duration": duration})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_with_a_coupon_costs_less_as_long_as_it_says() {
    TestServer::on_each_database(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        let mut terms = for_plans("repeating");
        terms["durationInMonths"] = json!(3);
        terms["maxRedemptionsPerTenant"] = json!(1);
        let coupon = made(server, &staff, terms).await;
        assert_eq!(
            (&coupon["appliesTo"], &coupon["duration"], &coupon["durationInMonths"]),
            (&json!(["plans"]), &json!("repeating"), &json!(3))
        );
        let code = text(&coupon, "code");
        assert_eq!(refusal(&ada, &code).await, "coupon_not_applicable", "not for what is bought once");
        let preview = ada.post(PREVIEW, wish_with("starter", &code)).await.expect(200);
        assert_eq!(preview["amountDue"], 900);
        assert_eq!(
            preview["lines"],
            json!([{"description": "Starter", "amount": 1200}, {"description": code, "amount": -300}])
        );
        let path = format!("/api/v1/tenants/{}/subscription", ada.tenant);
        let page = ada.post(&path, wish_with("starter", &code.to_lowercase())).await.expect(202);
        assert_eq!(used(&staff, &coupon).await, 1);
        assert_eq!(ada.post(&path, wish_with("starter", &code)).await.expect(202), page, "the same page");
        server.subscriptions.finish_page(&text(&page, "sessionId"), true);
        subscriptions::sync(server, &ada).await;

        let shown = ada.get(subscriptions::SUBSCRIPTION).await.expect(200);
        let discount = &shown["discount"];
        assert_eq!(
            (&discount["code"], &discount["percentOff"], &discount["amountOff"], &discount["once"]),
            (&json!(code), &json!(25), &Value::Null, &json!(false))
        );
        assert!(discount["endsAt"].is_string(), "{shown}");
        let invoice = ada.get(subscriptions::INVOICES).await.expect(200)["items"][0].clone();
        assert_eq!((&invoice["amountDue"], &invoice["amountPaid"]), (&json!(900), &json!(900)));
        assert_eq!(invoice["lines"][1], json!({"description": code, "quantity": 1, "amount": -300}));
        ledger::sound(server).await;

        // What staff do with it now changes nothing for who has it.
        staff.delete(&format!("{COUPONS}/{}", text(&coupon, "id"))).await.expect(204);
        subscriptions::sync(server, &ada).await;
        assert_eq!(ada.get(subscriptions::SUBSCRIPTION).await.expect(200)["discount"], *discount);
        let preview = ada.post(PREVIEW, subscriptions::wish("professional")).await.expect(200);
        let lines = preview["lines"].as_array().unwrap();
        let sum: i64 = lines.iter().map(|line| line["amount"].as_i64().unwrap()).sum();
        assert_eq!((json!(sum), &lines[2]["description"]), (preview["amountDue"].clone(), &json!(code)));
        assert_eq!(plan_refusal(&ada, PREVIEW, "professional", &code).await, "coupon_expired");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_pays_already_uses_a_coupon_for_an_upgrade() {
    TestServer::on_each_database(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        let customer = subscriptions::paying(server, &ada, "starter").await;
        let mut terms = for_plans("once");
        terms["plans"] = json!(["professional"]);
        terms["maxRedemptionsPerTenant"] = json!(1);
        let coupon = made(server, &staff, terms).await;
        let code = text(&coupon, "code");
        for (path, plan, wrong, expected) in [
            (PREVIEW, "professional", "NOSUCHCODE", "unknown_coupon"),
            (subscriptions::UPGRADE, "professional", "NOSUCHCODE", "unknown_coupon"),
            (subscriptions::UPGRADE, "enterprise", code.as_str(), "coupon_not_applicable"),
            (subscriptions::DOWNGRADE, "free", code.as_str(), "coupon_not_applicable"),
            (PREVIEW, "free", code.as_str(), "coupon_not_applicable"),
        ] {
            assert_eq!(plan_refusal(&ada, path, plan, wrong).await, expected, "{path} {plan}");
        }
        let preview = ada.post(PREVIEW, wish_with("professional", &code)).await.expect(200);
        let mut agreed = wish_with("professional", &code);
        agreed["prorationDate"] = preview["prorationDate"].clone();
        let upgraded = ada.post(subscriptions::UPGRADE, agreed).await.expect(200);
        assert_eq!((&upgraded["plan"], &upgraded["discount"]), (&json!("professional"), &Value::Null));
        let paid = &server.subscriptions.invoices_of(&customer)[0];
        assert_eq!(json!(paid.amount_paid), preview["amountDue"]);
        assert_eq!(used(&staff, &coupon).await, 1);

        // Who ends it and begins again does not get it again.
        ada.post(subscriptions::CANCEL, json!({"immediately": true})).await.expect(200);
        let again = plan_refusal(&ada, subscriptions::UPGRADE, "professional", &code).await;
        assert_eq!(again, "coupon_used_up");
        assert_eq!(used(&staff, &coupon).await, 1);
        ledger::sound(server).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_changes_of_plan_that_want_the_last_use_one_gets_it() {
    TestServer::on_each_database(async |server| {
        let staff = staff(server).await;
        let mut terms = for_plans("forever");
        terms["maxRedemptions"] = json!(1);
        let coupon = made(server, &staff, terms).await;
        let code = text(&coupon, "code");
        let mut buyers = Vec::new();
        for number in 0..8 {
            buyers.push(server.customer(server.email(&format!("buyer{number}"))).await);
        }
        let answers = at_once(64, |number| {
            let (buyer, code) = (buyers[number % 8].clone(), code.clone());
            async move { (number % 8, buyer.post(subscriptions::UPGRADE, wish_with("starter", &code)).await) }
        })
        .await;
        let mut winners = Vec::new();
        for (buyer, answer) in answers {
            match answer.status.as_u16() {
                202 => winners.push(buyer),
                // Another request of the same tenant is on its way.
                409 => assert_eq!(answer.json["code"], "change_in_progress"),
                // Ten in a minute for each user.
                429 => {}
                _ => assert_eq!(answer.expect(422)["errors"][0]["code"], "coupon_used_up"),
            }
        }
        winners.dedup();
        assert_eq!((winners.len(), used(&staff, &coupon).await), (1, 1), "{winners:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_plan_that_comes_to_nothing_gives_its_coupon_back() {
    TestServer::alone(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        let mut terms = for_plans("once");
        terms["maxRedemptions"] = json!(1);
        let coupon = made(server, &staff, terms).await;
        let code = text(&coupon, "code");
        ada.post(subscriptions::UPGRADE, wish_with("starter", &code)).await.expect(202);
        assert_eq!(used(&staff, &coupon).await, 1);
        let bob = server.customer(server.email("bob")).await;
        assert_eq!(plan_refusal(&bob, PREVIEW, "starter", &code).await, "coupon_used_up");
        // A page without it takes the place of the first one.
        subscriptions::paying(server, &ada, "starter").await;
        assert_eq!(used(&staff, &coupon).await, 0);

        server.subscriptions.set_declining(Some("insufficient_funds"));
        let declined = ada.post(subscriptions::UPGRADE, wish_with("professional", &code)).await.expect(402);
        assert_eq!((declined["code"].as_str(), used(&staff, &coupon).await), (Some("payment_failed"), 0));
        server.subscriptions.set_declining(None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coupon_for_plans_needs_a_duration() {
    TestServer::on_each_database(async |server| {
        let staff = staff(server).await;
        for (members, field, expected) in [
            (json!({"appliesTo": ["plans"], "percent": 5}), "duration", "required"),
            (json!({"appliesTo": [], "percent": 5}), "appliesTo", "required"),
            (json!({"percent": 5, "duration": "once"}), "duration", "not_both"),
            (
                json!({"appliesTo": ["plans"], "percent": 5, "duration": "repeating"}),
                "durationInMonths",
                "required",
            ),
            (
                json!({"appliesTo": ["plans"], "percent": 5, "duration": "once", "plans": ["gold"]}),
                "plans[0]",
                "unknown_plan",
            ),
        ] {
            let mut input = json!({"code": code(server)});
            input.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            let refused = staff.post(COUPONS, input).await.expect(422);
            let error = &refused["errors"][0];
            assert_eq!((&error["field"], &error["code"]), (&json!(field), &json!(expected)), "{members}");
        }
    })
    .await;
}
