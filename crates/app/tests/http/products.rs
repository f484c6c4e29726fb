//! Products and what licenses of them allow: the catalogue, what staff make of it, and that who has bought keeps what was bought.

use portico_kernel::PlatformRole;
use portico_testkit::server::{Client, TestServer};
use serde_json::{Value, json};

use crate::{
    fixture::{Person, text},
    licenses::LICENSES,
    purchases::order,
    sites::column,
};

const PRODUCTS: &str = "/api/v1/admin/products";
const CREATE: &str = "/api/v1/checkout/create-session";

async fn staff(server: &TestServer) -> Client {
    Person::new(server, server.email("staff"), |user| user.role = PlatformRole::Staff).await.client
}

/// The product on sale for a stranger.
async fn offered(server: &TestServer, id: &str) -> Option<Value> {
    for page in 1.. {
        let list = server.client().get(&format!("/api/v1/products?limit=100&page={page}")).await.expect(200);
        let items = list["items"].as_array().unwrap();
        assert_eq!((&list["page"], &list["limit"]), (&json!(page), &json!(100)));
        assert!(list["total"].as_u64().unwrap() >= items.len() as u64);
        let found = items.iter().find(|product| product["id"] == id).cloned();
        if found.is_some() || items.is_empty() {
            return found;
        }
    }
    None
}

/// An id that no other test has.
fn id(server: &TestServer) -> String {
    format!("pack_{}", server.app.core.env.random_uuid().simple())
}

fn pack(id: &str) -> Value {
    json!({
        "id": id, "name": "Report Pack", "description": "Twenty more reports.",
        "prices": [{"amount": 4900, "currency": "usd"}, {"amount": 38000, "currency": "gtq"}],
    })
}

fn policy() -> Value {
    json!({
        "productName": "Report Pack", "seats": 1, "termDays": 30, "channels": ["stable"], "graceDays": 0, "offline": false, "fileDays": 1,
        "releasesPerMonth": 2,
    })
}

fn order_of(id: &str) -> Value {
    let mut order = order();
    order["items"] = json!([{"productType": id}]);
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_ordered_pays_the_price_of_that_moment() {
    TestServer::on_each_database(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        let id = id(server);
        let made = staff.post(PRODUCTS, pack(&id)).await;
        assert_eq!(made.header("location"), format!("{PRODUCTS}/{id}"));
        assert_eq!(made.expect(201)["isActive"], true);
        assert_eq!(staff.post(PRODUCTS, pack(&id)).await.expect(409)["code"], "product_exists");
        assert_eq!(offered(server, &id).await.unwrap()["prices"], pack(&id)["prices"]);

        ada.post(CREATE, order_of(&id)).await.expect(201);
        let path = format!("{PRODUCTS}/{id}");
        let dearer =
            json!({"prices": [{"amount": 5900, "currency": "usd"}, {"amount": 38000, "currency": "gtq"}]});
        for _ in 0..2 {
            assert_eq!(staff.put(&path, dearer.clone()).await.expect(200)["prices"][0]["amount"], 5900);
        }
        ada.post(CREATE, order_of(&id)).await.expect(201);
        let mut in_quetzales = order_of(&id);
        in_quetzales["currency"] = json!("gtq");
        ada.post(CREATE, in_quetzales.clone()).await.expect(201);
        let purchases = ada.get("/api/v1/purchases").await.expect(200);
        let paid: Vec<_> = purchases["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|purchase| (purchase["amount"].clone(), purchase["currency"].clone()))
            .collect();
        let expected = [(38000, "gtq"), (5900, "usd"), (4900, "usd")];
        assert_eq!(paid, expected.map(|(amount, currency)| (json!(amount), json!(currency))));
        in_quetzales["currency"] = json!("eur");
        let refused = ada.post(CREATE, in_quetzales).await.expect(422);
        assert_eq!(refused["errors"][0]["code"], "no_price");

        let history = staff.get(&path).await.expect(200);
        let versions = history["priceVersions"].as_array().unwrap();
        assert_eq!(versions.len(), 3);
        assert_eq!((&versions[0]["amount"], &versions[0]["version"]), (&json!(5900), &json!(2)));
        assert_eq!(versions.iter().filter(|version| version["replacedAt"].is_string()).count(), 1);

        // Off sale: nobody buys it, and nothing is gone.
        staff.put(&path, json!({"isActive": false})).await.expect(200);
        assert_eq!(offered(server, &id).await, None);
        let refused = ada.post(CREATE, order_of(&id)).await.expect(422);
        assert_eq!(refused["errors"][0]["code"], "unknown_product");
        let all = staff.get(&format!("{PRODUCTS}?limit=100")).await.expect(200);
        assert!(column(&all, "id").contains(&id));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn licenses_keep_the_policy_with_which_they_were_issued() {
    TestServer::on_each_database(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        let id = id(server);
        staff.post(PRODUCTS, pack(&id)).await.expect(201);
        let path = format!("{PRODUCTS}/{id}/license-policy");
        assert_eq!(staff.get(&path).await.expect(404)["code"], "not_found");
        assert_eq!(staff.put(&path, policy()).await.expect(200)["seats"], 1);
        let read = staff.get(&path).await.expect(200);
        assert_eq!(
            (&read["productType"], &read["termDays"], &read["supportDays"]),
            (&json!(id), &json!(30), &Value::Null)
        );
        let wanted = json!({"customerId": ada.tenant, "productType": id, "reason": "A trial"});
        staff.post("/api/v1/admin/licenses", wanted.clone()).await.expect(201);
        let mut wider = policy();
        wider["seats"] = json!(7);
        staff.put(&path, wider).await.expect(200);
        staff.post("/api/v1/admin/licenses", wanted).await.expect(201);
        let licenses = ada.get(LICENSES).await.expect(200);
        let seats: Vec<_> = licenses["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|license| license["activationLimit"].clone())
            .collect();
        assert_eq!(seats, [json!(7), json!(1)], "the newest first");
        assert_eq!(text(&licenses["items"][1], "productName"), "Report Pack");

        let mut wrong = policy();
        wrong["seats"] = json!(0);
        wrong["channels"] = json!([]);
        assert_eq!(staff.put(&path, wrong).await.fields(), ["channels", "seats"]);
        assert_eq!(staff.put(&path, json!({"channels": ["nightly"]})).await.status.as_u16(), 422);
        for unknown in ["none", "No"] {
            let path = format!("{PRODUCTS}/{unknown}/license-policy");
            assert_eq!(staff.put(&path, policy()).await.status.as_u16(), 404, "{unknown}");
        }
        for answer in [
            ada.get(PRODUCTS).await,
            ada.post(PRODUCTS, pack("mine")).await,
            ada.put(&format!("{PRODUCTS}/base_product"), json!({"name": "Mine"})).await,
            ada.put(&format!("{PRODUCTS}/base_product/license-policy"), policy()).await,
        ] {
            assert_eq!(answer.status.as_u16(), 403, "{}", answer.text);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_about_a_product_is_told() {
    TestServer::shared(async |server| {
        let staff = staff(server).await;
        for (field, value, wrong, code) in [
            ("id", json!("No Word"), "id", "invalid_word"),
            ("name", json!(" "), "name", "required"),
            ("prices", json!([]), "prices", "required"),
            ("prices", json!([{"amount": 0, "currency": "usd"}]), "prices[0].amount", "out_of_range"),
            ("prices", json!([{"amount": 5, "currency": "xyz"}]), "prices[0].currency", "invalid_currency"),
            (
                "prices",
                json!([{"amount": 5, "currency": "usd"}, {"amount": 6, "currency": "usd"}]),
                "prices[1].currency",
                "duplicate",
            ),
        ] {
            let mut body = pack(&id(server));
            body[field] = value;
            let refused = staff.post(PRODUCTS, body).await.expect(422);
            let error = &refused["errors"][0];
            assert_eq!((text(error, "field"), text(error, "code")), (wrong.into(), code.into()));
        }
    })
    .await;
}
