//! SIGKILL at each step of a payment: before the provider has done what it was asked for, after it, and after a webhook was taken. At the
//! end there is one charge, and what was paid for is there once.

use std::time::Duration;

use portico_testkit::{TestDatabase, database::tamper, server::eventually};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    process::{Person, Server, run, text},
    stripe::{Call, SECRET_KEY, Step, Stripe, WEBHOOK_SECRET},
};

const CREATE: &str = "/api/v1/checkout/create-session";
const SUCCESS: &str = "/api/v1/checkout/success";
const PURCHASES: &str = "/api/v1/purchases?limit=100";
const UPGRADE: &str = "/api/v1/billing/upgrade";
const SUBSCRIPTION: &str = "/api/v1/billing/subscription";

/// The schedules run for the first time ten seconds after a start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that is killed and started again, with its database and the provider.
struct World {
    folder: TempDir,
    settings: Vec<(&'static str, String)>,
    database: String,
    stripe: Stripe,
}

impl World {
    fn new(database: Option<&str>) -> Self {
        let (folder, stripe) = (tempfile::tempdir().unwrap(), Stripe::start());
        let mut settings = vec![
            ("PORTICO__SECURITY__ARGON2_MEMORY_KIB", "64".to_owned()),
            ("PORTICO__SECURITY__ARGON2_PASSES", "1".to_owned()),
            ("PORTICO__WORKER__LEASE", "2s".to_owned()),
            ("PORTICO__OUTBOUND__ALLOW_NETWORKS", "127.0.0.0/8".to_owned()),
            ("PORTICO__STRIPE__SECRET_KEY", SECRET_KEY.to_owned()),
            ("PORTICO__STRIPE__WEBHOOK_SECRETS", WEBHOOK_SECRET.to_owned()),
            ("PORTICO__STRIPE__BASE_URL", stripe.url.clone()),
        ];
        settings.extend(database.map(|url| ("PORTICO__DATABASE__URL", url.to_owned())));
        let file = folder.path().join("data/portico.db");
        let database = database.map_or_else(|| format!("sqlite://{}", file.display()), str::to_owned);
        Self { folder, settings, database, stripe }
    }

    fn settings(&self) -> Vec<(&str, &str)> {
        self.settings.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    async fn start(&self) -> Server {
        Server::start(self.folder.path(), &self.settings()).await
    }

    /// Starts it again, minutes later as far as payments are concerned: whatever is to be asked about is due.
    async fn start_later(&self) -> Server {
        for statement in [
            "update checkouts set check_at = created_at where check_at is not null",
            "update plan_calls set check_at = created_at where check_at is not null",
            "delete from schedules",
        ] {
            tamper(&self.database, statement, &[]).await;
        }
        self.start().await
    }

    /// Sends a request, and kills the server when a call of the provider that follows from it comes to this step.
    async fn kill_at(
        &self,
        server: Server,
        (call, step): (Call, Step),
        person: &Person,
        (path, body): (&str, Value),
    ) {
        self.stripe.hold_up(call, step);
        let (person, path) = (person.clone(), path.to_owned());
        let sent = tokio::spawn(async move { person.call(Method::POST, &path, Some(body)).await });
        let held = async || self.stripe.is_held().then_some(());
        assert!(eventually(Duration::from_secs(30), held).await.is_some(), "the provider is called");
        server.kill();
        // Mostly nothing: the schedule may have made the call instead.
        drop(sent.await.unwrap());
    }

    /// The books are in order.
    fn verify(&self) {
        let output = run(self.folder.path(), &self.settings(), &["billing", "verify"]);
        assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    }

    /// How many payments were made at the provider.
    fn charges(&self) -> usize {
        let intents = self.stripe.list("/v1/payment_intents?limit=100");
        intents.iter().filter(|intent| intent["status"] == "succeeded").count()
    }
}

fn order() -> Value {
    json!({
        "items": [{"productType": "base_product"}],
        "successUrl": "https://app.example.com/paid", "cancelUrl": "https://app.example.com/cart",
    })
}

fn wish(plan: &str) -> Value {
    json!({
        "plan": plan, "successUrl": "https://app.example.com/paid", "cancelUrl": "https://app.example.com/billing",
    })
}

/// Somebody who may buy.
async fn buyer(server: &Server) -> Person {
    let person = Person::with_site(server, "buyer@example.com").await;
    person.verify("buyer@example.com").await;
    person
}

/// Sends a request that is answered with this status.
async fn post(person: &Person, path: &str, body: Value, expected: u16) -> Value {
    let (status, answer) = person.call(Method::POST, path, Some(body)).await.unwrap();
    assert_eq!(status, expected, "{path}: {answer}");
    answer
}

/// How many purchases have a status.
async fn purchases(person: &Person, status: &str) -> usize {
    let list = person.get(PURCHASES).await;
    list["items"].as_array().unwrap().iter().filter(|purchase| purchase["status"] == status).count()
}

/// How many events of a kind there are.
async fn events(person: &Person, kind: &str) -> usize {
    let trail = person.get(&person.t(&format!("/audit?type={kind}&limit=100"))).await;
    trail["items"].as_array().unwrap().len()
}

/// Buys and pays, and answers the id of the purchase.
async fn bought(world: &World, person: &Person) -> String {
    let page = post(person, CREATE, order(), 201).await;
    let session = page["sessionId"].as_str().unwrap();
    world.stripe.pay(session);
    let purchase = post(person, SUCCESS, json!({"sessionId": session}), 200).await;
    assert_eq!(purchase["status"], "completed");
    purchase["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_buys_from_a_server_that_dies_pays_once_and_has_it_once_on_sqlite() {
    buy(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_buys_from_a_server_that_dies_pays_once_and_has_it_once_on_postgres() {
    let database = TestDatabase::postgres().await;
    buy(Some(database.url())).await;
}

async fn buy(database: Option<&str>) {
    let world = World::new(database);
    let mut server = world.start().await;
    let mut buyer = buyer(&server).await;
    for step in [Step::Before, Step::After] {
        let call = ("POST", "/v1/checkout/sessions".to_owned());
        world.kill_at(server, (call, step), &buyer, (CREATE, order())).await;
        server = world.start_later().await;
        buyer = buyer.at(&server);
    }
    let page = post(&buyer, CREATE, order(), 201).await;
    let session = page["sessionId"].as_str().unwrap().to_owned();
    world.stripe.pay(&session);
    let back = json!({"sessionId": session});
    for step in [Step::Before, Step::After] {
        let call = ("GET", format!("/v1/checkout/sessions/{session}"));
        world.kill_at(server, (call, step), &buyer, (SUCCESS, back.clone())).await;
        server = world.start_later().await;
        buyer = buyer.at(&server);
    }
    let paid = post(&buyer, SUCCESS, back, 200).await;
    assert_eq!(paid["status"], "completed");
    assert_eq!((purchases(&buyer, "completed").await, world.charges()), (1, 1));
    assert_eq!(events(&buyer, "purchase.completed").await, 1);
    assert_eq!(buyer.get("/api/v1/licenses").await["total"], 1);
    // Those whose pages nobody got were made once each, by the schedule where the provider had not heard of them.
    let made = async || (world.stripe.list("/v1/checkout/sessions?limit=100").len() == 3).then_some(());
    assert!(eventually(PATIENCE, made).await.is_some(), "a session for each of the three purchases");
    assert_eq!((purchases(&buyer, "pending").await, world.charges()), (2, 1));
    drop(server);
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_was_taken_is_worked_off_by_the_next_process() {
    let world = World::new(None);
    let server = world.start().await;
    let buyer = buyer(&server).await;
    let page = post(&buyer, CREATE, order(), 201).await;
    world.stripe.pay(page["sessionId"].as_str().unwrap());
    world.stripe.tell(&server.url).await;
    server.kill();
    let server = world.start().await;
    let buyer = buyer.at(&server);
    let completed = async || (purchases(&buyer, "completed").await == 1).then_some(());
    assert!(eventually(PATIENCE, completed).await.is_some(), "the schedule would come minutes later");
    assert_eq!((events(&buyer, "purchase.completed").await, world.charges()), (1, 1));
    assert_eq!(buyer.get("/api/v1/licenses").await["total"], 1);
    drop(server);
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn money_is_given_back_once_by_a_server_that_dies() {
    let world = World::new(None);
    let admin = [("PORTICO_ADMIN_PASSWORD", "Correct-Horse-7")];
    let settings = [world.settings().as_slice(), admin.as_slice()].concat();
    let created = run(world.folder.path(), &settings, &["admin", "create", "--email", "root@example.com"]);
    assert_eq!(created.status.code(), Some(0), "{}", text(&created.stderr));
    let mut server = world.start().await;
    let mut buyer = buyer(&server).await;
    let mut root = Person::visitor(&server);
    let sign_in = json!({"email": "root@example.com", "password": "Correct-Horse-7"});
    let tokens = post(&root, "/api/v1/auth/login", sign_in, 200).await;
    root.token = tokens["access_token"].as_str().unwrap().to_owned();
    for (number, step) in (1_usize..).zip([Step::Before, Step::After]) {
        let purchase = bought(&world, &buyer).await;
        let path = format!("/api/v1/admin/customers/{}/purchases/{purchase}/refunds", buyer.tenant);
        let call = ("POST", "/v1/refunds".to_owned());
        world.kill_at(server, (call, step), &root, (path.as_str(), json!({"amount": 10000}))).await;
        server = world.start_later().await;
        (buyer, root) = (buyer.at(&server), root.at(&server));
        // Nobody asks again: the schedule makes it with the key that it was stored with.
        let shown = format!("/api/v1/purchases/{purchase}");
        let back = async || (buyer.get(&shown).await["refundedAmount"] == 10000).then_some(());
        assert!(eventually(PATIENCE, back).await.is_some(), "{step:?}: {}", buyer.get(&shown).await);
        assert_eq!(world.stripe.list("/v1/refunds?limit=100").len(), number, "{step:?}");
        assert_eq!(events(&buyer, "purchase.refunded").await, number, "{step:?}");
    }
    drop(server);
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_at_a_server_that_dies_is_charged_once() {
    let world = World::new(None);
    let mut server = world.start().await;
    let mut buyer = buyer(&server).await;
    let page = post(&buyer, UPGRADE, wish("starter"), 202).await;
    world.stripe.pay(page["sessionId"].as_str().unwrap());
    // It asks the provider first, and finds that it is paid.
    let paid = post(&buyer, UPGRADE, wish("starter"), 409).await;
    assert_eq!(paid["code"], "already_on_plan");

    let call = ("POST", "/v1/subscriptions/".to_owned());
    let wished = (UPGRADE, wish("professional"));
    world.kill_at(server, (call.clone(), Step::Before), &buyer, wished).await;
    server = world.start().await;
    buyer = buyer.at(&server);
    assert_eq!(buyer.get(SUBSCRIPTION).await["plan"], "starter", "nothing has happened");
    // Whoever asks again makes the same call.
    assert_eq!(post(&buyer, UPGRADE, wish("professional"), 200).await["plan"], "professional");

    world.kill_at(server, (call, Step::After), &buyer, (UPGRADE, wish("enterprise"))).await;
    server = world.start_later().await;
    buyer = buyer.at(&server);
    // Nobody asks again: the schedule finds out what came of it.
    let in_force = async || (buyer.get(SUBSCRIPTION).await["plan"] == "enterprise").then_some(());
    assert!(eventually(PATIENCE, in_force).await.is_some(), "{}", buyer.get(SUBSCRIPTION).await);
    let again = post(&buyer, UPGRADE, wish("enterprise"), 409).await;
    assert_eq!(again["code"], "already_on_plan");

    let invoices = world.stripe.list("/v1/invoices?limit=100");
    let paid = invoices.iter().filter(|invoice| invoice["status"] == "paid").count();
    assert_eq!((invoices.len(), paid), (3, 3), "the first month and two upgrades");
    assert_eq!(world.stripe.list("/v1/subscriptions?status=all&limit=100").len(), 1);
    assert_eq!(events(&buyer, "invoice.paid").await, 3);
    drop(server);
    world.verify();
}
