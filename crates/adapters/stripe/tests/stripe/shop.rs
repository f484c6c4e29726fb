//! A shop whose payments are made at the sandbox: over HTTP, and inside the process.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU8, Ordering},
    },
    time::Duration,
};

use portico_billing::payment::{CheckoutLine, NewCheckout};
use portico_kernel::{
    Clock, Env, Money, Random, Timestamp,
    http::{HttpClient, HttpMethod, HttpRequest},
};
use portico_outbound::{Bounds, GuardedClient, Purpose, Rules};
use portico_payments_sandbox::{
    ApiRequest, Config, Endpoint, PageRequest, Sandbox, WebhookDelivery,
    embedded::{self, EmbeddedSandbox},
};
use portico_stripe::{StripeConfig, StripePayments, StripeSubscriptions};
use serde_json::Value;
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::server::Server;

pub const KEY: &str = "sk_test_0123456789";
pub const SECRET: &str = "whsec_0123456789";

pub const DAY: Duration = Duration::from_secs(86_400);

/// However loaded the machine is.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A clock that shows what it is set to.
pub struct Hands(AtomicI64);

impl Hands {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_800_000_000)))
    }

    pub fn time(&self) -> OffsetDateTime {
        self.now().into_inner()
    }

    pub fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

/// Other bytes each time.
struct Counting(AtomicU8);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
    }
}

/// Where the sandbox is.
pub enum Place {
    Http(Server),
    Process(EmbeddedSandbox, #[expect(dead_code, reason = "keeps the folder")] TempDir),
}

pub struct Shop {
    pub provider: StripePayments,
    pub subscriptions: StripeSubscriptions,
    pub place: Place,
    pub hands: Arc<Hands>,
}

/// The client of the server, for a server of the test. A call may take so long.
pub fn client(total: Duration) -> Arc<dyn HttpClient> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let rules = Rules::new(Purpose::Payments).networks([&"127.0.0.0/8".parse().unwrap()]);
    Arc::new(GuardedClient::new(rules, Bounds { total, ..Bounds::default() }))
}

pub fn config(base_url: &str, key: &str) -> StripeConfig {
    StripeConfig {
        base_url: base_url.to_owned(),
        secret_key: key.into(),
        webhook_secrets: vec!["whsec_older".into(), SECRET.into()],
    }
}

pub fn provider(base_url: &str, key: &str, http: Arc<dyn HttpClient>) -> StripePayments {
    StripePayments::new(&config(base_url, key), http)
}

impl Shop {
    pub async fn over_http() -> Self {
        let hands = Hands::new();
        let endpoint = Endpoint {
            url: "https://shop.example/hook".into(),
            secret: SECRET.into(),
            events: vec!["*".into()],
        };
        let sandbox = Sandbox::new(Config {
            secret_keys: vec![KEY.into()],
            public_url: "https://pay.example".into(),
            endpoints: vec![endpoint],
            seed: 7,
            ..Config::default()
        });
        let server = Server::start(sandbox, hands.clone()).await;
        // With a slash, as people write addresses.
        let (config, http) = (config(&format!("{}/", server.url()), KEY), client(PATIENCE));
        Self {
            provider: StripePayments::new(&config, http.clone()),
            subscriptions: StripeSubscriptions::new(&config, http),
            place: Place::Http(server),
            hands,
        }
    }

    pub fn in_process() -> Self {
        let (hands, folder) = (Hands::new(), tempfile::tempdir().unwrap());
        let env = Env::new(hands.clone(), Arc::new(Counting(AtomicU8::new(0))));
        let sandbox = EmbeddedSandbox::open(folder.path(), "https://pay.example".to_owned(), env).unwrap();
        let config = StripeConfig {
            base_url: embedded::BASE_URL.to_owned(),
            secret_key: sandbox.secret_key().into(),
            webhook_secrets: vec![sandbox.webhook_secret().into()],
        };
        let http: Arc<dyn HttpClient> = Arc::new(sandbox.clone());
        Self {
            provider: StripePayments::new(&config, http.clone()),
            subscriptions: StripeSubscriptions::new(&config, http),
            place: Place::Process(sandbox, folder),
            hands,
        }
    }

    pub async fn each() -> [Self; 2] {
        [Self::over_http().await, Self::in_process()]
    }

    /// The server of a shop over HTTP.
    pub fn server(&self) -> &Server {
        match &self.place {
            Place::Http(server) => server,
            Place::Process(..) => panic!("this shop has no server"),
        }
    }

    /// Posts a form of a page, and answers the status and where it leads to.
    pub async fn post(&self, url: &str, form: &str) -> (u16, String) {
        let path = url.strip_prefix("https://pay.example").unwrap();
        let answer = match &self.place {
            Place::Http(server) => {
                let request = PageRequest { method: "POST", path, body: form.as_bytes() };
                server.sandbox.lock().unwrap().page(request, self.hands.time())
            }
            Place::Process(sandbox, _) => {
                sandbox.page("POST".to_owned(), path.to_owned(), form.as_bytes().to_vec()).await.unwrap()
            }
        };
        let location = answer.headers.into_iter().find(|(name, _)| name == "location");
        (answer.status, location.unwrap_or_default().1)
    }

    /// A buyer chooses a card on a page, and answers what comes of it.
    pub async fn pay(&self, url: &str, card: &str) -> (u16, String) {
        self.post(url, &format!("action=pay&card={card}&email=ana%40shop.example")).await
    }

    /// Calls the sandbox as somebody else who has its key.
    pub async fn call(&self, path: &str, form: &str) -> Value {
        let form = form.as_bytes().to_vec();
        let body = match &self.place {
            Place::Http(server) => {
                let authorization = format!("Bearer {KEY}");
                let headers = [("authorization", authorization.as_str())];
                let method = if form.is_empty() { "GET" } else { "POST" };
                let call = ApiRequest { method, path, headers: &headers, body: &form };
                server.sandbox.lock().unwrap().handle(call, self.hands.time()).body
            }
            Place::Process(sandbox, _) => {
                let authorization = ("authorization".to_owned(), format!("Bearer {}", sandbox.secret_key()));
                let method = if form.is_empty() { HttpMethod::Get } else { HttpMethod::Post };
                let url = format!("{}{path}", embedded::BASE_URL);
                let request =
                    HttpRequest { method, headers: vec![authorization], body: form, ..HttpRequest::get(url) };
                sandbox.send(request).await.unwrap().body
            }
        };
        serde_json::from_slice(&body).unwrap()
    }

    /// Time passes at the sandbox.
    pub async fn advance(&self, by: Duration) {
        match &self.place {
            Place::Http(server) => server.sandbox.lock().unwrap().advance(by, self.hands.time()),
            Place::Process(sandbox, _) => drop(sandbox.advance(by).await.unwrap()),
        }
    }

    pub async fn due_webhooks(&self) -> Vec<WebhookDelivery> {
        match &self.place {
            Place::Http(server) => server.sandbox.lock().unwrap().due_webhooks(self.hands.time()),
            Place::Process(sandbox, _) => sandbox.due_webhooks().await.unwrap().0,
        }
    }

    /// What the sandbox of a shop over HTTP has at a path.
    pub fn stored(&self, path: &str) -> Value {
        let authorization = format!("Bearer {KEY}");
        let headers = [("authorization", authorization.as_str())];
        let call = ApiRequest { method: "GET", path, headers: &headers, body: b"" };
        let answer = self.server().sandbox.lock().unwrap().handle(call, self.hands.time());
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// How many checkouts were made at a shop over HTTP.
    pub fn made(&self) -> usize {
        self.stored("/v1/checkout/sessions?limit=100")["data"].as_array().unwrap().len()
    }

    /// A checkout that is to be made, of one line.
    pub fn new_checkout(&self, amount: i64, currency: &str) -> NewCheckout {
        let line = CheckoutLine {
            description: "Base Software License".to_owned(),
            unit_amount: amount,
            quantity: 1,
        };
        NewCheckout {
            reference: "019a0000-0000-7000-8000-000000000001_019a0000-0000-7000-8000-000000000002".to_owned(),
            lines: vec![line],
            amount: Money { amount, currency: currency.to_owned() },
            success_url: "https://shop.example/paid?session={CHECKOUT_SESSION_ID}".to_owned(),
            cancel_url: "https://shop.example/cart".to_owned(),
            expires_at: self.hands.now() + time::Duration::HOUR,
            email: None,
        }
    }
}
