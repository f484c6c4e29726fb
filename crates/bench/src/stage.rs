//! The servers of a run with their data, and what each of them is asked.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::{
    customer::{Api, Customer, sections, text},
    database::{self, Chain, Temporary},
    load::LoadTarget,
    servers::{self, Running},
    webhooks::log,
};

/// Sites of the customer besides the one that is asked for.
const SITES: i32 = 10_000;
/// Further pages of that site.
const PAGES: i32 = 10_000;
/// Sites of the other customer, so that a list of them has as many rows as a page of it.
const OTHER_SITES: i32 = 19;
/// Pages of the other customer's site, which is published again and again.
const PUBLISHED: usize = 50;
/// Events in the audit trail.
const EVENTS: usize = 20_000;
/// Accounts that sign in.
const ACCOUNTS: usize = 20;
/// Events that are sealed in a round.
const SEALED: usize = 20_000;
/// A deployment has to be live, and events sealed, within this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// The same page again and again.
    Kept,
    /// Another page each time.
    Read,
    /// A page of the list of pages, another one each time.
    List,
    /// Pages with a text in title or slug.
    Search,
    /// Templates, as visitors see them.
    Templates,
    /// The own profile.
    Profile,
    /// Sites of a tenant.
    Sites,
    /// Plans.
    Plans,
    /// The audit trail, filtered by actor and type.
    Audit,
    /// A published page.
    Published,
    /// A new page.
    Create,
    /// Signing in.
    Login,
    /// Another account.
    Register,
}

impl Question {
    /// The subject of kept answers, as the metrics name it, and the least and the largest share of requests that they may answer.
    pub const fn kept(self) -> Option<(&'static str, [f64; 2])> {
        match self {
            Self::Kept => Some(("page", [0.95, 1.0])),
            Self::Read => Some(("page", [0.0, 0.02])),
            Self::List => Some(("page_list", [0.0, 0.02])),
            _ => None,
        }
    }

    /// The status of a good answer.
    const fn status(self) -> u16 {
        match self {
            Self::Create | Self::Register => 201,
            _ => 200,
        }
    }
}

/// Ours, or an earlier build of it.
pub struct Subject {
    /// The process.
    pub running: Running,
    /// Where its data is: `postgres://…`, or the path of a SQLite file.
    pub database: String,
    customer: Customer,
    other: OtherCustomer,
}

/// A customer with a site of many published pages.
struct OtherCustomer {
    token: String,
    tenant: String,
    site: String,
    page: String,
}

impl OtherCustomer {
    async fn come_to(server: &str, pages: usize) -> anyhow::Result<Self> {
        let mut api = Api::new(server)?;
        let (token, tenant) = api.register("other@example.com").await?;
        let site = json!({"name": "Old Crane Inn", "subdomain": "old-crane-inn"});
        let site = text(&api.call(Method::POST, "/sites", Some(site)).await?, "id")?;
        let mut first = None;
        for number in 1..=pages {
            let page = json!({
                "title": format!("Room {number}"), "slug": format!("room-{number}"), "status": "published", "isHome": number == 1
            });
            let path = format!("/tenants/{tenant}/pages?siteId={site}");
            let page = text(&api.call(Method::POST, &path, Some(page)).await?, "id")?;
            for section in sections() {
                let path = format!("/tenants/{tenant}/pages/{page}/sections");
                api.call(Method::POST, &path, Some(section)).await?;
            }
            first.get_or_insert(page);
        }
        Ok(Self { token, tenant, site, page: first.context("no page")? })
    }
}

impl Subject {
    /// Starts it on a Postgres database, and fills that.
    pub async fn on_postgres(binary: &Path, database: &Temporary, directory: &Path) -> anyhow::Result<Self> {
        let running = servers::under_load(binary, Some(&database.url()), directory).await?;
        let customer = Customer::come_to(&running.url).await?;
        let other = OtherCustomer::come_to(&running.url, PUBLISHED).await?;
        database.add_sites(&customer.tenant, SITES, "other-site").await?;
        database.add_sites(&other.tenant, OTHER_SITES, "branch").await?;
        database.add_pages(&customer.tenant, &customer.site, PAGES).await?;
        log::append(&database.url(), &customer.tenant, EVENTS).await?;
        for number in 1..=ACCOUNTS {
            Api::new(&running.url)?.register(&format!("login-{number}@example.com")).await?;
        }
        database.analyze().await?;
        Ok(Self { running, database: database.url(), customer, other })
    }

    /// Starts it on SQLite, in a new directory.
    pub async fn on_sqlite(binary: &Path, directory: &Path) -> anyhow::Result<Self> {
        let running = servers::under_load(binary, None, directory).await?;
        let customer = Customer::come_to(&running.url).await?;
        let other = OtherCustomer::come_to(&running.url, 1).await?;
        let database = directory.join("data/portico.db").display().to_string();
        Ok(Self { running, database, customer, other })
    }

    /// What to ask it.
    pub fn target(&self, question: Question) -> LoadTarget {
        let Customer { token, tenant, site, user, host, .. } = &self.customer;
        let anyone = |path: String| LoadTarget::read(&self.running.url, path);
        let api = |path: &str| anyone(format!("/api/v1{path}"));
        let of_tenant = |path: String| api(&format!("/tenants/{tenant}{path}")).signed_in(token);
        match question {
            Question::Kept => of_tenant("/pages/slug/home".to_owned()),
            Question::Read => of_tenant(format!("/pages/<{}>", database::PAGE_ID)),
            Question::List => {
                of_tenant(format!("/pages?siteId=<{site}>&limit=20&page={{random:{}}}", PAGES / 20))
            }
            Question::Search => of_tenant(format!("/pages?siteId={site}&q=page-{{random:{PAGES}}}")),
            Question::Templates => api("/templates"),
            Question::Profile => api("/profile").signed_in(token),
            Question::Sites => api("/sites").signed_in(&self.other.token),
            Question::Plans => api("/billing/plans"),
            Question::Audit => of_tenant(format!("/audit?type=page.created&actorId={user}&limit=20")),
            Question::Published => anyone("/".to_owned()).with_header("Host", host.clone()),
            Question::Create => of_tenant(format!("/pages?siteId={site}")).sending(NEW_PAGE),
            Question::Login => api("/auth/login").sending(&format!(
                r#"{{"email":"login-{{random:{ACCOUNTS}}}@example.com","password":"Fresh-Bread-1950"}}"#
            )),
            Question::Register => api("/auth/register").sending(
                r#"{"email":"{unique}@example.com","password":"Fresh-Bread-1950","fullName":"Ana Baker"}"#,
            ),
        }
    }

    /// Changes a page of the other customer and publishes the site. Returns how long the latter took, in milliseconds.
    pub async fn deploy(&self, round: usize) -> anyhow::Result<f64> {
        const LOOK: Duration = Duration::from_millis(5);
        let mut api = Api::new(&self.running.url)?;
        api.token = Some(self.other.token.clone());
        let OtherCustomer { tenant, site, page, .. } = &self.other;
        let change = json!({"title": format!("Room 1, painted {round} times")});
        api.call(Method::PATCH, &format!("/tenants/{tenant}/pages/{page}"), Some(change)).await?;
        let begin = Instant::now();
        api.call(Method::POST, &format!("/sites/{site}/deploy"), None).await?;
        loop {
            let deployment = api.call(Method::GET, &format!("/sites/{site}/status"), None).await?;
            match deployment["status"].as_str() {
                Some("live") => return Ok(begin.elapsed().as_secs_f64() * 1e3),
                Some("failed") => bail!("the deployment failed: {deployment}"),
                _ => tokio::time::sleep(LOOK).await,
            }
            ensure!(begin.elapsed() < PATIENCE, "the deployment takes too long: {deployment}");
        }
    }

    /// Appends events to the log of the customer and waits until they are sealed. Returns how many a second, from the first batch
    /// on: the log was appended to behind the back of the server, which looks once in a second.
    pub async fn seal(&self) -> anyhow::Result<f64> {
        const LOOK: Duration = Duration::from_millis(10);
        let mut chain = Chain::of(&self.database, &self.customer.tenant).await?;
        let before = chain.length().await?;
        log::append(&self.database, &self.customer.tenant, SEALED).await?;
        let appended = Instant::now();
        let mut first = None;
        loop {
            let sealed = chain.length().await? - before;
            if sealed > 0 && first.is_none() {
                first = Some((sealed, Instant::now()));
            }
            if let (Some((batch, begin)), true) = (first, sealed >= i64::try_from(SEALED)?) {
                return Ok((sealed - batch) as f64 / begin.elapsed().as_secs_f64());
            }
            ensure!(appended.elapsed() < PATIENCE, "{sealed} of {SEALED} events are sealed");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// How many requests for this subject were answered with what was kept, and how many there were; `None` where that is not counted.
    pub async fn kept(&self, about: &str) -> anyhow::Result<Option<(f64, f64)>> {
        Ok(kept_in(&self.metrics().await?, about))
    }

    /// How many requests admission control has refused.
    pub async fn not_admitted(&self) -> anyhow::Result<f64> {
        let metrics = self.metrics().await?;
        let lines = metrics.lines().filter(|line| line.starts_with("portico_admission_refused_total{"));
        Ok(lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
    }

    async fn metrics(&self) -> anyhow::Result<String> {
        let http = Client::builder().no_proxy().build()?;
        let answer = http.get(format!("{}/api/metrics", self.running.url)).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }
}

/// Reads the counter of kept answers from the metrics of a server.
fn kept_in(metrics: &str, about: &str) -> Option<(f64, f64)> {
    let label = format!("about=\"{about}\"");
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("portico_cache_requests_total{") && line.contains(&label));
    let (mut hits, mut all) = (0.0, None);
    for line in lines {
        let count: f64 = line.rsplit_once(' ')?.1.parse().ok()?;
        *all.get_or_insert(0.0) += count;
        if line.contains("outcome=\"hit\"") {
            hits += count;
        }
    }
    Some((hits, all?))
}

/// What the bare server gets, too.
const NEW_PAGE: &str = r#"{"title":"A page under load","slug":"{unique}"}"#;

/// The server that does the minimum, on the same data as ours.
pub struct Bare {
    running: Running,
    database: String,
}

impl Bare {
    /// On the Postgres database of ours, in tables of its own where it writes.
    pub async fn on_postgres(ours: &Subject, database: &Temporary, directory: &Path) -> anyhow::Result<Self> {
        database::make_bare_tables(&database.url(), &["pages", "events"]).await?;
        Self::start(ours, database.url(), directory).await
    }

    /// On a copy of the SQLite file of ours, without triggers.
    pub async fn on_sqlite(ours: &Subject, directory: &Path) -> anyhow::Result<Self> {
        let copy = directory.join("bare.db").display().to_string();
        database::copy_sqlite(&ours.database, &copy).await?;
        Self::start(ours, copy, directory).await
    }

    async fn start(ours: &Subject, database: String, directory: &Path) -> anyhow::Result<Self> {
        let (page, answer) = (directory.join("page"), directory.join("answer"));
        std::fs::write(&page, &ours.customer.published)?;
        std::fs::write(&answer, ask(&ours.target(Question::Kept), 200).await?)?;
        let running = servers::bare(&database, [&page, &answer], directory).await?;
        Ok(Self { running, database })
    }

    fn target(&self, ours: &Subject, question: Question) -> LoadTarget {
        let Customer { token, tenant, site, user, .. } = &ours.customer;
        let read = |path: String| LoadTarget::read(&self.running.url, path);
        let rows = |path: String| read(format!("/rows/{path}"));
        match question {
            Question::Kept => read("/kept".to_owned()).signed_in(token),
            Question::Read => read(format!("/tenants/{tenant}/pages/<{}>", database::PAGE_ID)),
            Question::List => {
                rows(format!("pages?tenant={tenant}&site=<{site}>&page={{random:{}}}", PAGES / 20))
            }
            Question::Search => rows(format!("search?tenant={tenant}&site={site}&q=page-{{random:{PAGES}}}")),
            Question::Templates => rows("templates".to_owned()),
            Question::Profile => rows(format!("profile?user={user}")),
            Question::Sites => rows(format!("sites?tenant={}", ours.other.tenant)),
            Question::Plans => rows("plans".to_owned()),
            Question::Audit => rows(format!("audit?tenant={tenant}&user={user}")),
            Question::Published => read("/fixed".to_owned()),
            Question::Create => read(format!("/tenants/{tenant}/sites/{site}/pages")).sending(NEW_PAGE),
            Question::Login | Question::Register => {
                read("/hash".to_owned()).sending(r#"{"password":"Fresh-Bread-1950"}"#)
            }
        }
    }
}

/// What ours is compared with.
pub enum Other {
    /// The server that does the minimum.
    Bare(Box<Bare>),
    /// Another build of ours.
    Build(Box<Subject>),
}

impl Other {
    /// The process.
    pub const fn running(&self) -> &Running {
        match self {
            Self::Bare(bare) => &bare.running,
            Self::Build(subject) => &subject.running,
        }
    }

    /// Where it writes new pages and their events: the database and the two tables.
    pub fn written(&self) -> (&str, [&'static str; 2]) {
        match self {
            Self::Bare(bare) if bare.database.starts_with("postgres") => {
                (&bare.database, ["bare_pages", "bare_events"])
            }
            Self::Bare(bare) => (&bare.database, ["pages", "events"]),
            Self::Build(subject) => (&subject.database, ["pages", "events"]),
        }
    }

    /// The status of a good answer.
    const fn status(&self, question: Question) -> u16 {
        match self {
            Self::Bare(_) if matches!(question, Question::Register) => 200,
            _ => question.status(),
        }
    }
}

/// Ours, and what it is compared with.
pub struct Stage {
    /// Ours.
    pub ours: Subject,
    /// What it is compared with.
    pub other: Other,
    /// For files of the load generator.
    pub directory: PathBuf,
}

impl Stage {
    /// What to ask the other one.
    pub fn other_target(&self, question: Question) -> LoadTarget {
        match &self.other {
            Other::Bare(bare) => bare.target(&self.ours, question),
            Other::Build(subject) => subject.target(question),
        }
    }

    /// Both must give the answers that are then counted: with the expected status, and both with as many items, the same page,
    /// or the same bytes.
    pub async fn check(&self, question: Question) -> anyhow::Result<()> {
        let ours = ask(&self.ours.target(question), question.status()).await?;
        let other = ask(&self.other_target(question), self.other.status(question)).await?;
        match question {
            // The pages of two builds hold different ids.
            Question::Published => {
                let is_bare = matches!(self.other, Other::Bare(_));
                ensure!(!is_bare || ours == other, "they answered different bytes");
            }
            Question::Login | Question::Register => {}
            Question::Kept | Question::Create => {
                let [ours, other]: [Value; 2] =
                    [serde_json::from_slice(&ours)?, serde_json::from_slice(&other)?];
                ensure!(ours["title"] == other["title"], "{ours} is not {other}");
                let is_page = ours["id"] == self.ours.customer.page.as_str();
                ensure!(is_page || question == Question::Create, "{ours} is another page");
            }
            Question::Read | Question::Profile => {
                ensure!(ours.len() > 100 && other.len() > 100, "too short an answer")
            }
            _ => {
                let count = |bytes: &[u8]| -> anyhow::Result<Option<usize>> {
                    let answer: Value = serde_json::from_slice(bytes)?;
                    Ok(answer.as_array().or_else(|| answer["items"].as_array()).map(Vec::len))
                };
                let (ours, other) = (count(&ours)?, count(&other)?);
                // Which text a search is for is random.
                let is_equal = ours == other || question == Question::Search;
                ensure!(is_equal && ours.is_some_and(|items| items > 0), "{ours:?} items beside {other:?}");
            }
        }
        Ok(())
    }
}

/// The answer to one request.
async fn ask(target: &LoadTarget, expected: u16) -> anyhow::Result<Vec<u8>> {
    let http = Client::builder().no_proxy().build()?;
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let unique = format!("asked-{}", ASKED.fetch_add(1, Ordering::Relaxed));
    let (path, body) = target.request(&mut crate::load::Dice(u64::from(std::process::id())), &unique);
    let url = format!("{}{path}", target.server);
    let mut request = match body {
        Some(body) => http.post(&url).header("content-type", "application/json").body(body),
        None => http.get(&url),
    };
    for (name, value) in &target.headers {
        request = request.header(*name, value);
    }
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    let body = answer.bytes().await?.to_vec();
    ensure!(status == expected, "{url} answered {status}: {}", String::from_utf8_lossy(&body));
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_answers_are_counted_by_their_subject() {
        let metrics = "# HELP portico_cache_requests_total x\n\
            portico_cache_requests_total{about=\"page\",outcome=\"hit\"} 90\n\
            portico_cache_requests_total{about=\"page\",outcome=\"miss\"} 9\n\
            portico_cache_requests_total{about=\"page\",outcome=\"bypass\"} 1\n\
            portico_cache_requests_total{about=\"page_list\",outcome=\"miss\"} 5\n";
        assert_eq!(kept_in(metrics, "page"), Some((90.0, 100.0)));
        assert_eq!(kept_in(metrics, "page_list"), Some((0.0, 5.0)));
        assert_eq!(kept_in(metrics, "branding"), None);
    }
}
