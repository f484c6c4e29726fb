//! A whole server in the test's process, on a free port, with a client that speaks to it.

mod client;
mod shared;

use std::{
    collections::BTreeMap,
    future::poll_fn,
    net::{SocketAddr, TcpListener},
    path::Path,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use portico::{background, server, settings::Settings, startup, state::App};
use portico_billing::subscription_simulation::SimulatedSubscriptions;
use portico_runtime::worker::Workers;
use portico_sql::SqlStore;
use reqwest::StatusCode;
use secrecy::SecretString;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::{
    database::TestDatabase,
    payments::{RECURRENTE_SECRET, TestPayments},
    s3::S3Server,
};

pub use client::{Answer, Client};
use shared::{Shared, Use};

/// Which database a server runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// SQLite in a folder of the test's own.
    Sqlite,
    /// A Postgres database of the test's own.
    Postgres,
}

/// A running server, of the test's own or shared with others. One of its own is gone when dropped, and so is its data.
pub struct TestServer {
    /// The parts that it is made of.
    pub app: App,
    /// `http://127.0.0.1:port`.
    pub url: String,
    /// What purchases are paid at.
    pub payments: Arc<TestPayments>,
    /// What plans are paid at. Its clock stands still until a test moves it.
    pub subscriptions: Arc<SimulatedSubscriptions>,
    /// Part of every address made by [`TestServer::email`].
    label: String,
    /// Absent for a shared server.
    own: Option<Own>,
}

/// What ends with the server.
struct Own {
    workers: Option<Workers>,
    handle: actix_web::dev::ServerHandle,
    _data: TempDir,
    _database: Option<TestDatabase>,
}

impl Drop for Own {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

/// A word that no other server of this process has.
fn next_label() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// What every server starts with, written once instead of at each start.
async fn fill(store: &SqlStore) {
    startup::seed(store, &portico_security::system_env()).await.expect("plans and templates can be written");
}

/// The folder of a SQLite database that is migrated and filled once for each process, to be copied.
async fn filled_sqlite() -> &'static Path {
    static TEMPLATE: OnceCell<TempDir> = OnceCell::const_new();
    let template = TEMPLATE.get_or_init(|| async {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = Settings { data_dir: folder.path().to_owned(), ..Settings::default() };
        let store = startup::connect(&settings).await.expect("a database");
        store.migrate().await.expect("the migrations run on SQLite");
        fill(&store).await;
        // Closing writes the log back into the file.
        store.close().await;
        folder
    });
    template.await.path()
}

/// What a second instance shares with the first one.
fn share(with: &App, settings: &mut Settings) {
    let kept =
        |name: &str| std::fs::read_to_string(with.settings.data_dir.join(name)).map(SecretString::from).ok();
    let security = &with.settings.security;
    settings.security.jwt_secret = security.jwt_secret.clone().or_else(|| kept("secret.key"));
    settings.security.sealing_secret = security.sealing_secret.clone().or_else(|| kept("sealing.key"));
    settings.database.url = Some(with.settings.database_url());
    settings.database.max_connections = Some(4);
    let files = std::fs::canonicalize(with.settings.data_dir.join("files")).expect("the files of the first");
    settings.storage.url = Some(format!("file://{}", files.display()));
}

impl TestServer {
    /// Starts one on SQLite with default settings, but cheap passwords and no rate limits.
    pub async fn start() -> Self {
        Self::start_with(Database::Sqlite, |_| {}).await
    }

    /// Starts one on a database. Owned tenants are not limited and tenants are deleted at once, unless `adjust` changes the settings.
    pub async fn start_with(database: Database, adjust: impl FnOnce(&mut Settings)) -> Self {
        Self::start_changed(database, adjust, |_| {}).await
    }

    /// The same, after `change` has replaced parts of it.
    pub async fn start_changed(
        database: Database,
        adjust: impl FnOnce(&mut Settings),
        change: impl FnOnce(&mut App),
    ) -> Self {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut settings = Settings { data_dir: data.path().to_owned(), ..Settings::default() };
        settings.server.port = 0;
        // Each thread prepares every route, which costs a test more than a second thread would bring.
        settings.server.workers = Some(1);
        // A loaded machine is slow, not silent.
        settings.database.statement_timeout = Duration::from_secs(30);
        settings.rate_limit.enabled = false;
        // However slow the machine and its build are: tests ask for much at once.
        settings.admission.wait = Duration::from_secs(60);
        settings.security.argon2_memory_kib = 64;
        settings.security.argon2_passes = 1;
        settings.worker.poll = Duration::from_millis(500);
        // No name server listens there: no test asks the name servers of the machine.
        settings.dns.servers = vec![SocketAddr::from(([127, 0, 0, 1], 9))];
        settings.dns.timeout = Duration::from_millis(300);
        settings.tenancy.max_owned_tenants = 100_000;
        settings.webhooks.max_per_tenant = 100_000;
        settings.recurrente.webhook_secrets = vec![RECURRENTE_SECRET.to_owned().into()];
        settings.tenancy.deletion_grace = Duration::ZERO;
        settings.support.desk_email = Some("desk@example.org".to_owned());
        settings.support.reply_domain = Some("reply.example.com".to_owned());
        settings.support.inbound_password = Some("what the mail provider shows".to_owned().into());
        let database = match database {
            Database::Sqlite => {
                std::fs::copy(filled_sqlite().await.join("portico.db"), data.path().join("portico.db"))
                    .expect("the database can be copied");
                None
            }
            Database::Postgres => {
                let database = TestDatabase::postgres_filled(fill).await;
                settings.database.url = Some(database.url().to_owned().into());
                settings.database.max_connections = Some(4);
                Some(database)
            }
        };
        adjust(&mut settings);
        let listener = TcpListener::bind(("127.0.0.1", settings.server.port)).expect("a free port");
        Self::run(settings, listener, data, database, background::start, change).await
    }

    /// Starts one on SQLite with its files in a bucket of this name, which is made.
    pub async fn start_on_bucket(name: &str) -> Self {
        let s3 = S3Server::get();
        s3.make_bucket(name);
        Self::start_with(Database::Sqlite, |settings| {
            settings.storage.url = Some(format!("s3://{name}/files"));
            settings.storage.endpoint = Some(s3.url.clone());
            settings.storage.access_key_id = Some("test".to_owned());
            settings.storage.secret_access_key = Some("secret".to_owned().into());
            settings.storage.allow_http = true;
        })
        .await
    }

    /// Starts a second instance on the same database, files and secret. It answers requests, and leaves background work to
    /// the first one. From now on each keeps cached answers for seconds, until it is notified of a change.
    ///
    /// When the server is shared: other tests would be affected.
    /// When the server is shared: the others would notice.
    pub async fn another_instance(&self) -> Self {
        assert!(self.own.is_some(), "a server with another instance is the test's own");
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut settings = Settings { data_dir: data.path().to_owned(), ..(*self.app.settings).clone() };
        share(&self.app, &mut settings);
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let (provider, subscriptions) = (self.payments.clone(), self.subscriptions.clone());
        let change = move |app: &mut App| {
            app.billing.provider = provider;
            app.billing.subscriptions = subscriptions;
        };
        let mut other = Self::run(settings, listener, data, None, background::start_listening, change).await;
        other.payments = self.payments.clone();
        other.subscriptions = self.subscriptions.clone();
        for app in [&self.app, &other.app] {
            let is_connected = async || (app.core.signals.max_age() > Duration::from_secs(1)).then_some(());
            eventually(Duration::from_secs(10), is_connected).await.expect("instances hear each other");
        }
        other
    }

    async fn run(
        settings: Settings,
        listener: TcpListener,
        data: TempDir,
        database: Option<TestDatabase>,
        workers: fn(&App) -> Workers,
        change: impl FnOnce(&mut App),
    ) -> Self {
        let address = listener.local_addr().expect("an address");
        let mut app = startup::build(settings, address).await.expect("the server starts");
        let payments = Arc::new(TestPayments::default());
        app.billing.provider = payments.clone();
        let subscriptions = Arc::new(SimulatedSubscriptions::at(app.core.env.now()));
        app.billing.subscriptions = subscriptions.clone();
        change(&mut app);
        let running = server::start(app.clone(), listener).expect("the server listens");
        let handle = running.handle();
        tokio::spawn(running);
        let workers = workers(&app);
        Self {
            app,
            url: format!("http://{address}"),
            payments,
            subscriptions,
            label: next_label(),
            own: Some(Own { workers: Some(workers), handle, _data: data, _database: database }),
        }
    }

    /// Runs a test against a server that other tests have used and will use, on Postgres with default settings. No other test
    /// uses it at the same time. For tests that need no server of their own: they have users and tenants of their own (see
    /// [`TestServer::email`]), look at nothing of the whole server, and change nothing that is shared, such as plans.
    pub async fn shared(test: impl AsyncFn(&Self)) {
        let shared = Use::begin();
        let Some(Shared { server, runtime }) = &shared.0 else { return };
        let (app, url) = (server.app.clone(), server.url.clone());
        let (payments, subscriptions) = (server.payments.clone(), server.subscriptions.clone());
        let server = Self { app, url, payments, subscriptions, label: next_label(), own: None };
        let mut test = pin!(test(&server));
        // What the test opens on behalf of the server, such as connections of its pool, belongs to the server's runtime: the
        // runtime of the test ends with the test.
        poll_fn(|context| {
            let _within = runtime.enter();
            test.as_mut().poll(context)
        })
        .await;
    }

    /// Runs a test against a server of its own on Postgres, for tests that look at a whole server or change what is shared.
    pub async fn alone(test: impl AsyncFn(&Self)) {
        let server = Self::start_with(Database::Postgres, |_| {}).await;
        test(&server).await;
        server.stop().await;
    }

    /// An address of a user of this test. The same name has another address in another test.
    pub fn email(&self, name: &str) -> &'static str {
        // Leaked, so that it can stand wherever a literal can.
        format!("{name}@{}", self.domain()).leak()
    }

    /// The domain of the addresses of [`TestServer::email`].
    pub fn domain(&self) -> String {
        format!("{}.example.com", self.label)
    }

    /// A client that is not signed in.
    pub fn client(&self) -> Client {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(30))
            // The server speaks plain HTTP. Reading the authorities of the machine takes longer than most requests.
            .tls_certs_only([])
            .build()
            .expect("an HTTP client");
        Client { http, url: self.url.clone(), headers: BTreeMap::new(), tenant: String::new() }
    }

    /// Runs a test against a server on SQLite, then against one on Postgres.
    pub async fn on_each_database(test: impl AsyncFn(&Self)) {
        for database in [Database::Sqlite, Database::Postgres] {
            let server = Self::start_with(database, |_| {}).await;
            test(&server).await;
            server.stop().await;
        }
    }

    /// Registers a customer and proves the address; the client is signed in as that customer.
    pub async fn customer(&self, email: &str) -> Client {
        let client = self.unverified(email).await;
        let mut refusal = None;
        let proven = eventually(Duration::from_secs(20), async || {
            // An earlier account with the address may have had a mail, too; that of this account may not be delivered yet.
            let token = self.mail_token(email, "verify-email").await;
            let answer = client.post("/api/v1/auth/verify-email", json!({ "token": token })).await;
            let proven = answer.status.is_success();
            refusal = Some(answer);
            proven.then_some(())
        });
        assert!(proven.await.is_some(), "{refusal:?}");
        client
    }

    /// Registers a customer whose address is not verified.
    pub async fn unverified(&self, email: &str) -> Client {
        let mut client = self.client();
        let answer = client
            .post(
                "/api/v1/auth/register",
                json!({"email": email, "password": PASSWORD, "fullName": "Test Person"}),
            )
            .await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        client.sign(&answer.json);
        let profile = client.get("/api/v1/profile").await;
        client.tenant = profile.json["activeTenantId"].as_str().expect("a tenant").to_owned();
        client
    }

    /// Waits for the newest mail to `email` with a link to `page`, and returns the link's token.
    pub async fn mail_token(&self, email: &str, page: &str) -> String {
        let marker = format!("/{page}?token=");
        let text = self.mail(email, &marker).await;
        let rest = text.split_once(&marker).expect("the mail has the link").1;
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect()
    }

    /// Waits for a mail to `email` whose text contains `marker`, and returns its text.
    pub async fn mail(&self, email: &str, marker: &str) -> String {
        let client = self.client().with("accept", "application/json");
        let found = eventually(Duration::from_secs(20), async || {
            let answer = client.get(&format!("/dev/mailbox?to={email}")).await;
            let items = answer.json["items"].as_array()?.clone();
            items
                .iter()
                .filter_map(|item| item["text"].as_str())
                .find(|text| text.contains(marker))
                .map(str::to_owned)
        })
        .await;
        found.unwrap_or_else(|| panic!("no mail to {email} with {marker}"))
    }

    /// Stops the server as SIGTERM does.
    ///
    /// # Panics
    /// When the server is shared.
    pub async fn stop(mut self) {
        let own = self.own.as_mut().expect("a shared server stops by itself");
        let workers = own.workers.take();
        server::stop(&self.app, own.handle.clone(), Duration::ZERO).await;
        if let Some(workers) = workers {
            workers.stop(Duration::from_secs(10)).await;
        }
        self.app.core.store.close().await;
    }
}

/// The password of every customer that the testkit makes.
pub const PASSWORD: &str = "Correct-Horse-7";

/// Asks until there is an answer or the time is up.
pub async fn eventually<T>(patience: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let deadline = tokio::time::Instant::now() + patience;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    while tokio::time::Instant::now() < deadline {
        if let Some(answer) = ask().await {
            return Some(answer);
        }
        ticks.tick().await;
    }
    None
}

/// Several clones of a future at once; the answers in the order of the numbers given to it.
pub async fn at_once<T: Send + 'static, F>(count: usize, make: impl Fn(usize) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
{
    let barrier = Arc::new(tokio::sync::Barrier::new(count));
    let tasks: Vec<_> = (0..count)
        .map(|number| {
            let (future, barrier) = (make(number), barrier.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                future.await
            })
        })
        .collect();
    let mut answers = Vec::with_capacity(count);
    for task in tasks {
        answers.push(task.await.expect("no panic"));
    }
    answers
}
