//! Members and API keys against the limits of the plan: their rows are the count.

use portico_kernel::TenantRole;
use portico_runtime::worker::usage as checks;
use portico_testkit::server::{Answer, Client, TestServer, at_once, eventually};
use serde_json::{Value, json};

use crate::{
    fixture::{Person, text},
    over_limit::put_on,
    usage::{agree, of, staff},
    visitors::PATIENCE,
};

const USAGE: &str = "/api/v1/billing/usage";

async fn invite(client: &Client, email: &str) -> Answer {
    client.post(&client.t("/invitations"), json!({"email": email, "role": "viewer"})).await
}

async fn make_key(client: &Client, number: usize) -> Answer {
    let body = json!({"name": format!("Key {number}"), "permissions": ["pages:read"]});
    client.post(&client.t("/api-keys"), body).await
}

/// What is used of a meter, and its limit.
async fn used(client: &Client, meter: &str) -> (Value, Value) {
    let report = client.get(USAGE).await.expect(200);
    let item = of(&report, meter);
    assert_eq!((&item["unit"], &item["resetsAt"]), (&json!("count"), &Value::Null));
    (item["used"].clone(), item["limit"].clone())
}

/// That the plan includes no more, and what the answer says about it.
#[track_caller]
fn no_room(answer: &Answer, meter: &str, limit: u64, used: u64, plan: &Value) {
    let said = &answer.json;
    assert_eq!(
        json!([
            answer.status.as_u16(),
            said["code"],
            said["meter"],
            said["limit"],
            said["used"],
            said["plan"]
        ]),
        json!([402, "quota_exceeded", meter, limit, used, plan]),
        "{}",
        answer.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_tenant_has_one_member_of_those_that_its_plan_includes() {
    TestServer::on_each_database(async |server| {
        let plans = server.client().get("/api/v1/billing/plans").await.expect(200);
        let limits = |meter: &str| -> Vec<Value> {
            plans["items"].as_array().unwrap().iter().map(|plan| plan["limits"][meter].clone()).collect()
        };
        for meter in ["members", "api_keys"] {
            assert_eq!(limits(meter), [json!(5), json!(10), json!(50), Value::Null], "{meter}");
        }
        let ada = server.customer(server.email("ada")).await;
        assert_eq!(used(&ada, "members").await, (json!(1), json!(5)));
        assert_eq!(used(&ada, "api_keys").await, (json!(0), json!(5)));
        let csv = ada.get(&format!("{USAGE}?format=csv")).await.text;
        assert!(csv.contains(",members,1,5,count,") && csv.contains(",api_keys,0,5,count,"), "{csv}");
        let daily = ada.get(&format!("{USAGE}/daily")).await.expect(200);
        assert_eq!(of(&daily, "members")["used"], 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_acceptances_at_once_as_many_join_as_there_are_seats() {
    TestServer::on_each_database(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        agree(&staff, &ada, "members", 3).await;
        // An invitation takes no seat.
        let mut invited = Vec::new();
        for number in 0..16 {
            let person = Person::new(server, server.email(&format!("person{number}")), |_| {}).await;
            let id = text(&invite(&ada, &person.email).await.expect(201), "id");
            invited.push((person, format!("/api/v1/invitations/{id}/accept")));
        }
        let answers = at_once(64, |number| {
            let (person, accept) = invited[number % 16].clone();
            async move { person.client.post_empty(&accept).await }
        })
        .await;
        let with = |status: u16| answers.iter().filter(|answer| answer.status.as_u16() == status).count();
        assert_eq!(with(200), 2, "{answers:?}");
        // Who has joined has no open invitation any more; everybody else finds no seat.
        assert_eq!((with(200) + with(404) + with(422), with(402)), (8, 56), "{answers:?}");
        let refused = answers.iter().find(|answer| answer.status.as_u16() == 402).unwrap();
        no_room(refused, "members", 3, 3, &Value::Null);
        assert_eq!(used(&ada, "members").await, (json!(3), json!(3)));
        no_room(&invite(&ada, server.email("late")).await, "members", 3, 3, &Value::Null);
        let told = eventually(PATIENCE, async || {
            checks::check(&server.app.core).await.unwrap();
            let trail = ada.get(&ada.t("/audit?type=usage.exhausted")).await.expect(200);
            let meters = trail["items"].as_array().unwrap().iter();
            meters.map(|event| event["after"]["meter"].clone()).any(|meter| meter == "members").then_some(())
        });
        told.await.expect("100 % is told");

        // A member who leaves gives the seat back, to whoever comes first of those whose invitations are still open.
        let members = ada.get(&ada.t("/members?role=viewer")).await.expect(200);
        let member = text(&members["items"][0], "userId");
        ada.delete(&ada.t(&format!("/members/{member}"))).await.expect(204);
        assert_eq!(used(&ada, "members").await, (json!(2), json!(3)));
        let mut joined = 0;
        for (person, accept) in &invited {
            joined += u32::from(person.client.post_empty(accept).await.status.as_u16() == 200);
        }
        assert_eq!((joined, used(&ada, "members").await), (1, (json!(3), json!(3))));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_keys_at_once_as_many_are_made_as_the_plan_includes() {
    TestServer::on_each_database(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        agree(&staff, &ada, "api_keys", 3).await;
        let answers = at_once(64, |number| {
            let ada = ada.clone();
            async move { make_key(&ada, number).await }
        })
        .await;
        let made: Vec<_> = answers.iter().filter(|answer| answer.status.as_u16() == 201).collect();
        assert_eq!(made.len(), 3, "{answers:?}");
        for refused in answers.iter().filter(|answer| answer.status.as_u16() != 201) {
            no_room(refused, "api_keys", 3, 3, &Value::Null);
        }
        assert_eq!(ada.get(&ada.t("/api-keys")).await.expect(200)["total"], 3);
        assert_eq!(used(&ada, "api_keys").await, (json!(3), json!(3)));

        // One that is switched off counts, one that is revoked does not.
        let path = ada.t(&format!("/api-keys/{}", text(&made[0].json, "id")));
        ada.put(&path, json!({"active": false})).await.expect(200);
        no_room(&make_key(&ada, 64).await, "api_keys", 3, 3, &Value::Null);
        ada.delete(&path).await.expect(204);
        assert_eq!(used(&ada, "api_keys").await, (json!(2), json!(3)));
        make_key(&ada, 65).await.expect(201);
        no_room(&make_key(&ada, 66).await, "api_keys", 3, 3, &Value::Null);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_downgrade_members_stay_and_nobody_is_added() {
    TestServer::on_each_database(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        put_on(&staff, &ada, "starter").await;
        let mut people = Vec::new();
        for number in 0..5 {
            let person = Person::new(server, server.email(&format!("person{number}")), |_| {}).await;
            person.join(server, &ada.tenant, TenantRole::Viewer).await;
            people.push(person);
        }
        let preview = ada.post("/api/v1/billing/preview", json!({"plan": "free"})).await.expect(200);
        assert_eq!(
            preview["overLimit"],
            json!([{"meter": "members", "used": 6, "limit": 5, "remedy": "remove"}])
        );
        let late = Person::new(server, server.email("late"), |_| {}).await;
        let invitation = text(&invite(&ada, &late.email).await.expect(201), "id");
        put_on(&staff, &ada, "free").await;
        assert_eq!(ada.get(&ada.t("/members")).await.expect(200)["total"], 6);
        people[4].client.get(&ada.t("")).await.expect(200);
        let accept = format!("/api/v1/invitations/{invitation}/accept");
        no_room(&late.client.post_empty(&accept).await, "members", 5, 6, &json!("starter"));
        no_room(&invite(&ada, server.email("later")).await, "members", 5, 6, &json!("starter"));
        for person in &people[..2] {
            ada.delete(&ada.t(&format!("/members/{}", person.claims.user))).await.expect(204);
        }
        late.client.post_empty(&accept).await.expect(200);
        assert_eq!(used(&ada, "members").await, (json!(5), json!(5)));
    })
    .await;
}
