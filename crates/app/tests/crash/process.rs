//! A running `portico`, and requests to it that may fail.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use portico_testkit::server::eventually;
use reqwest::Method;
use serde_json::{Value, json};

/// The program with these settings and a folder of its own; settings of this process are not inherited.
pub fn portico(folder: &Path, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portico"));
    command.current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PORTICO") || name == "RUST_LOG") {
        command.env_remove(name);
    }
    command.env("PORTICO__DATA_DIR", folder.join("data"));
    command.envs(settings.iter().copied());
    command
}

/// Runs the program to its end.
pub fn run(folder: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> Output {
    portico(folder, settings).args(arguments).output().unwrap()
}

/// A server. Killed when dropped.
pub struct Server {
    child: Child,
    /// `http://127.0.0.1:port`.
    pub url: String,
    /// From the start of the process until it said it was ready to answer.
    pub startup: Duration,
}

impl Server {
    /// Starts a server on a free port and waits until it is ready.
    pub async fn start(folder: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start_as(folder, settings, &[]).await
    }

    /// The same with arguments.
    pub async fn start_as(folder: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut command = portico(folder, settings);
        command
            .args(arguments)
            .env("PORTICO__SERVER__PORT", "0")
            .env("PORTICO__RATE_LIMIT__ENABLED", "false")
            // A loaded machine is slow, not overloaded.
            .env("PORTICO__ADMISSION__WAIT", "30s")
            .env("PORTICO__DATABASE__STATEMENT_TIMEOUT", "30s")
            .env("RUST_LOG", "error,portico_feature_billing=warn,portico_runtime::worker=warn")
            .stderr(Stdio::inherit());
        Self::spawned(command).await
    }

    /// Starts a server by this command and waits until it is ready.
    pub async fn spawned(mut command: Command) -> Self {
        let started = Instant::now();
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (found, wait) = mpsc::channel();
        thread::spawn(move || {
            let mut lines = BufReader::new(stdout);
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|length| length > 0) {
                if let Some(rest) = line.trim().strip_prefix("API ") {
                    let _ = found.send(rest.trim().trim_end_matches("/api/v1").to_owned());
                }
                line.clear();
            }
        });
        let url = wait.recv_timeout(Duration::from_secs(30)).unwrap();
        let mut server = Self { child, url, startup: Duration::ZERO };
        let visitor = Person::visitor(&server);
        while visitor
            .call(Method::GET, "/api/health/ready", None)
            .await
            .is_none_or(|(status, _)| status != 200)
        {
            assert!(started.elapsed() < Duration::from_secs(30), "the server becomes ready");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.startup = started.elapsed();
        server
    }

    /// Ends it at once, whatever it is doing: SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks the process to stop: SIGTERM.
    pub fn terminate(&self) {
        let sent =
            Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until the process has ended.
    pub async fn ended(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A user with a tenant of their own.
#[derive(Clone)]
pub struct Person {
    http: reqwest::Client,
    url: String,
    pub token: String,
    host: String,
    pub tenant: String,
    /// Tokens as they were answered.
    pub tokens: Value,
}

impl Person {
    /// A client that is not signed in.
    pub fn visitor(server: &Server) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        let empty = String::new;
        Self {
            http,
            url: server.url.clone(),
            token: empty(),
            host: empty(),
            tenant: empty(),
            tokens: Value::Null,
        }
    }

    /// Registers a user and makes a site.
    pub async fn with_site(server: &Server, email: &str) -> Self {
        let mut person = Self::visitor(server);
        let registration = json!({"email": email, "password": "Correct-Horse-7", "fullName": "Test Person"});
        let (status, tokens) =
            person.call(Method::POST, "/api/v1/auth/register", Some(registration)).await.unwrap();
        assert_eq!(status, 201, "{tokens}");
        person.token = tokens["access_token"].as_str().unwrap().to_owned();
        person.tokens = tokens;
        let profile = person.get("/api/v1/profile").await;
        person.tenant = profile["activeTenantId"].as_str().unwrap().to_owned();
        // A name may not contain a mail address.
        let site = json!({"name": email.replace(['@', '.'], " ")});
        let (status, site) = person.call(Method::POST, "/api/v1/sites", Some(site)).await.unwrap();
        assert_eq!(status, 201, "{site}");
        person
    }

    /// A verified person with a site of many published pages, and where the site is.
    pub async fn with_published_pages(server: &Server, count: usize) -> (Self, String) {
        let person = Self::with_site(server, "publisher@example.com").await;
        person.verify("publisher@example.com").await;
        for number in 0..count {
            let page = json!({"title": format!("Page {number}"), "status": "published"});
            let (status, answer) = person.call(Method::POST, &person.t("/pages"), Some(page)).await.unwrap();
            assert_eq!(status, 201, "{answer}");
        }
        let sites = person.get("/api/v1/sites").await;
        let site = format!("/api/v1/sites/{}", sites["items"][0]["id"].as_str().unwrap());
        (person, site)
    }

    /// Proves the address with the link in the mail.
    pub async fn verify(&self, email: &str) {
        let marker = "/verify-email?token=";
        let token = eventually(Duration::from_secs(15), async || {
            let mails = self.call(Method::GET, &format!("/dev/mailbox?to={email}"), None).await;
            let text = mails.map(|(_, mails)| mails.to_string()).unwrap_or_default();
            let rest = text.split_once(marker)?.1;
            let token = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c));
            Some(token.collect::<String>())
        })
        .await
        .unwrap();
        let proof = json!({ "token": token });
        let (status, answer) =
            self.call(Method::POST, "/api/v1/auth/verify-email", Some(proof)).await.unwrap();
        assert!(status < 300, "{status}: {answer}");
    }

    /// The same person, with a server that was started again.
    pub fn at(&self, server: &Server) -> Self {
        let fresh = Self::visitor(server);
        Self { http: fresh.http, url: fresh.url, ..self.clone() }
    }

    /// The same person; requests go to the host name of a site.
    pub fn at_host(&self, host: &str) -> Self {
        Self { host: host.to_owned(), token: String::new(), ..self.clone() }
    }

    /// Sends a request; `None` when no whole answer comes back. An answer that is no JSON is a JSON text.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Option<(u16, Value)> {
        let mut request =
            self.http.request(method, format!("{}{path}", self.url)).header("accept", "application/json");
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if !self.host.is_empty() {
            request = request.header("host", &self.host);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        let text = response.text().await.ok()?;
        Some((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// POST with an `Idempotency-Key`; `None` when no whole answer comes back. Returns the body as text, and whether it is
    /// a replay.
    pub async fn once(&self, key: &str, path: &str, body: &Value) -> Option<(u16, String, bool)> {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(&self.token);
        let response = request.header("idempotency-key", key).json(body).send().await.ok()?;
        let status = response.status().as_u16();
        let replayed = response.headers().contains_key("idempotent-replayed");
        Some((status, response.text().await.ok()?, replayed))
    }

    /// GET that is answered with 200.
    pub async fn get(&self, path: &str) -> Value {
        let (status, json) = self.call(Method::GET, path, None).await.unwrap();
        assert_eq!(status, 200, "{path}: {json}");
        json
    }

    /// A path of the tenant.
    pub fn t(&self, path: &str) -> String {
        format!("/api/v1/tenants/{}{path}", self.tenant)
    }

    /// The ids of all pages.
    pub async fn pages(&self) -> BTreeSet<String> {
        let mut ids = BTreeSet::new();
        for number in 1.. {
            let list = self.get(&self.t(&format!("/pages?limit=100&sort=createdAt&page={number}"))).await;
            let items = list["items"].as_array().unwrap();
            ids.extend(items.iter().filter_map(|page| page["id"].as_str().map(str::to_owned)));
            if items.len() < 100 {
                break;
            }
        }
        ids
    }

    /// The ids of the pages whose creation is in the audit trail, one for each event.
    pub async fn created_pages(&self) -> Vec<String> {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let piece = self.get(&self.t(&format!("/audit?type=page.created&limit=100{cursor}"))).await;
            let items = piece["items"].as_array().unwrap();
            ids.extend(items.iter().filter_map(|entry| entry["resource"]["id"].as_str().map(str::to_owned)));
            match piece["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return ids,
            }
        }
    }
}

/// The text of a stream that a finished process wrote.
pub fn text(bytes: &[u8]) -> String {
    let mut text = String::new();
    let _ = (&mut &*bytes).read_to_string(&mut text);
    text
}
