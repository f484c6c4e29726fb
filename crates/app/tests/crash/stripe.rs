//! A payment provider behind a socket, in the process of the test: it outlives the server that is killed, and holds up a call at a step.

use std::{
    net::TcpListener,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    http::StatusCode,
    web::{self, Bytes, Data},
};
use portico_kernel::Env;
use portico_payments_sandbox::{ApiRequest, ApiResponse, Config, Endpoint, PageRequest, Sandbox};
use portico_security::system_env;
use serde_json::Value;

use crate::process::text;

pub const SECRET_KEY: &str = "sk_test_crash";
pub const WEBHOOK_SECRET: &str = "whsec_crash";

/// When a call is held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The provider has got the call and done nothing.
    Before,
    /// It has done what it was asked for, and nobody has its answer.
    After,
}

/// Method and beginning of the path of a call.
pub type Call = (&'static str, String);

/// The provider.
pub struct Stripe {
    /// Where its API is.
    pub url: String,
    shared: Data<Shared>,
}

struct Shared {
    sandbox: Mutex<Sandbox>,
    /// The next call that is held up for good, and when.
    gate: Mutex<Option<(Call, Step)>>,
    is_held: AtomicBool,
    env: Env,
}

impl Shared {
    /// When this call is held up. No other one is then.
    fn step(&self, method: &str, path: &str) -> Option<Step> {
        let mut gate = self.gate.lock().unwrap();
        let is_this =
            gate.as_ref().is_some_and(|((held, begins), _)| *held == method && path.starts_with(begins));
        if is_this { gate.take().map(|(_, step)| step) } else { None }
    }

    async fn hold(&self) {
        self.is_held.store(true, Ordering::Relaxed);
        std::future::pending::<()>().await;
    }

    fn handle(&self, call: ApiRequest<'_>) -> ApiResponse {
        self.sandbox.lock().unwrap().handle(call, self.env.now().into_inner())
    }
}

async fn answer(request: HttpRequest, body: Bytes, shared: Data<Shared>) -> HttpResponse {
    let method = request.method().as_str();
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let step = shared.step(method, path);
    if step == Some(Step::Before) {
        shared.hold().await;
    }
    let headers = request.headers().iter();
    let headers: Vec<(&str, &str)> =
        headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    let answer = shared.handle(ApiRequest { method, path, headers: &headers, body: &body });
    if step == Some(Step::After) {
        shared.hold().await;
    }
    let mut response = HttpResponse::build(StatusCode::from_u16(answer.status).unwrap());
    for (name, value) in &answer.headers {
        response.insert_header((name.as_str(), value.as_str()));
    }
    response.body(answer.body)
}

impl Stripe {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let endpoint = Endpoint {
            // Never called: a test takes the webhooks.
            url: "https://portico.invalid/".to_owned(),
            secret: WEBHOOK_SECRET.to_owned(),
            events: vec!["*".to_owned()],
        };
        let sandbox = Sandbox::new(Config {
            secret_keys: vec![SECRET_KEY.to_owned()],
            endpoints: vec![endpoint],
            ..Config::default()
        });
        let shared = Data::new(Shared {
            sandbox: Mutex::new(sandbox),
            gate: Mutex::default(),
            is_held: AtomicBool::default(),
            env: system_env(),
        });
        let kept = shared.clone();
        let server =
            HttpServer::new(move || App::new().app_data(kept.clone()).default_service(web::to(answer)));
        let server = server.keep_alive(Duration::from_secs(75)).workers(1).disable_signals();
        tokio::spawn(server.listen(listener).unwrap().run());
        Self { url, shared }
    }

    /// Holds up the next such call for good.
    pub fn hold_up(&self, call: Call, step: Step) {
        self.shared.is_held.store(false, Ordering::Relaxed);
        *self.shared.gate.lock().unwrap() = Some((call, step));
    }

    /// Whether it is held up.
    pub fn is_held(&self) -> bool {
        self.shared.is_held.load(Ordering::Relaxed)
    }

    /// What it has of a list.
    pub fn list(&self, path: &str) -> Vec<Value> {
        let authorization = format!("Bearer {SECRET_KEY}");
        let headers = [("authorization", authorization.as_str())];
        let answer = self.shared.handle(ApiRequest { method: "GET", path, headers: &headers, body: b"" });
        let list: Value = serde_json::from_slice(&answer.body).unwrap();
        list["data"].as_array().unwrap_or_else(|| panic!("{path}: {list}")).clone()
    }

    /// A buyer pays on the page of a session.
    pub fn pay(&self, session: &str) {
        let path = format!("/checkout/{session}");
        let form = b"action=pay&card=visa&email=ana%40example.com";
        let page = PageRequest { method: "POST", path: &path, body: form };
        let now = self.shared.env.now().into_inner();
        let shown = self.shared.sandbox.lock().unwrap().page(page, now);
        assert_eq!(shown.status, 303, "{}", text(&shown.body));
    }

    /// Sends the webhooks that are due to the server at this address, which takes them.
    pub async fn tell(&self, url: &str) {
        let now = self.shared.env.now().into_inner();
        let due = self.shared.sandbox.lock().unwrap().due_webhooks(now);
        assert!(!due.is_empty(), "there is something to tell");
        let http = reqwest::Client::new();
        for delivery in due {
            let mut request = http.post(format!("{url}/api/v1/webhooks/stripe"));
            for (name, value) in &delivery.headers {
                request = request.header(name, value);
            }
            let taken = request.body(delivery.body).send().await.unwrap();
            assert_eq!(taken.status().as_u16(), 200);
            self.shared.sandbox.lock().unwrap().acknowledge(&delivery.id, true);
        }
    }
}
