//! Metrics are what `docs/observability.md` says and what rules and dashboards ask for; errors of ours are reported.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use portico_kernel::{NewJob, TenantId};
use portico_runtime::telemetry::catalogue::{Kind, METRICS};
use portico_testkit::{
    database::tamper,
    server::{TestServer, eventually},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tracing::{Event, Subscriber, field::Visit};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every source of ours below a folder, without tests.
fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !matches!(name, "tests" | "target" | "bench" | "testkit") {
            sources(&path, found);
        } else if name.ends_with(".rs") {
            found.push((path.clone(), std::fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The names of metrics that the code records, with their kind.
fn recorded() -> BTreeSet<(String, &'static str)> {
    let mut files = Vec::new();
    sources(&root().join("crates"), &mut files);
    let mut names = BTreeSet::new();
    for (path, text) in files {
        for kind in [Kind::Counter, Kind::Gauge, Kind::Histogram] {
            for call in text.split(&format!("metrics::{}!(", kind.as_str())).skip(1) {
                let name = call.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
                let name = name.unwrap_or_else(|| panic!("{}: name a metric in its call", path.display()));
                names.insert((name.to_owned(), kind.as_str()));
            }
        }
    }
    names
}

#[test]
fn the_catalogue_of_metrics_is_what_the_code_records() {
    let catalogue: BTreeSet<_> =
        METRICS.iter().map(|metric| (metric.name.to_owned(), metric.kind.as_str())).collect();
    assert_eq!(catalogue.len(), METRICS.len(), "a metric is listed twice");
    assert_eq!(recorded(), catalogue, "telemetry/catalogue.rs lists every metric");
    for metric in METRICS {
        let name = metric.name;
        let words =
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        assert!(words, "{name}");
        assert_eq!(
            name.ends_with("_total"),
            metric.kind == Kind::Counter,
            "{name}: only counters end in _total"
        );
        assert_eq!(
            metric.kind == Kind::Histogram,
            name.ends_with("_duration_seconds"),
            "{name}: buckets are of durations"
        );
    }
}

#[test]
fn the_page_on_observability_lists_every_metric() {
    let page = read("docs/observability.md");
    let (_, section) = page.split_once("## Metrics\n").expect("a section on metrics");
    let section = section.split("\n## ").next().unwrap();
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let documented: BTreeMap<&str, (String, String)> = rows
        .iter()
        .map(|row| (row[0].trim_matches('`'), (row[1].to_owned(), row[2].replace('`', ""))))
        .collect();
    assert_eq!(documented.len(), rows.len(), "a metric is documented twice");
    let catalogue: BTreeMap<&str, (String, String)> = METRICS
        .iter()
        .map(|metric| (metric.name, (metric.kind.as_str().to_owned(), metric.labels.join(", "))))
        .collect();
    assert_eq!(documented, catalogue);
    assert!(rows.iter().all(|row| row[3].len() > 10), "each has a meaning");
}

/// The metrics that an expression of Prometheus asks for.
fn asked_by(expression: &str) -> BTreeSet<String> {
    /// Operators, and aggregations whose labels come first (`sum by (code) (…)`).
    const WORDS: [&str; 14] = [
        "and", "or", "unless", "bool", "offset", "inf", "sum", "min", "max", "avg", "count", "topk", "nan",
        "atan2",
    ];
    let (mut names, mut rest) = (BTreeSet::new(), expression);
    while let Some(at) = rest.find(|c: char| c.is_ascii_alphanumeric() || "_:\"{[$".contains(c)) {
        rest = &rest[at..];
        // Labels and ranges are no metrics, and neither are texts.
        let closing = match rest.as_bytes()[0] {
            b'{' => Some('}'),
            b'[' => Some(']'),
            b'"' => Some('"'),
            _ => None,
        };
        if let Some(closing) = closing {
            let end = rest[1..].find(closing).unwrap_or_else(|| panic!("{expression}: no {closing}"));
            rest = &rest[end + 2..];
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"_:$".contains(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        if matches!(word, "by" | "without" | "on" | "ignoring" | "group_left" | "group_right") {
            // What follows in brackets are labels.
            if let Some(labels) = rest.trim_start().strip_prefix('(') {
                rest = &labels[labels.find(')').unwrap() + 1..];
            }
        } else if !WORDS.contains(&word)
            && !word.starts_with(|c: char| c.is_ascii_digit() || c == '$')
            && !rest.trim_start().starts_with('(')
        {
            names.insert(word.to_owned());
        }
    }
    names
}

/// Fails unless each metric that is asked for is there. `recorded` are the names that recording rules make.
fn assert_known(expression: &str, rules: &BTreeSet<String>, place: &str) {
    let names = asked_by(expression);
    assert!(!names.is_empty(), "{place}: {expression} asks for nothing");
    for name in names {
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let known = name == "up"
            || rules.contains(&name)
            || METRICS.iter().any(|metric| match metric.kind {
                Kind::Histogram => Some(metric.name) == of_histogram,
                _ => metric.name == name,
            });
        assert!(known, "{place} asks for {name}, which is no metric: {expression}");
    }
}

/// The value of a key on each line of a YAML file that has one.
fn values<'t>(yaml: &'t str, key: &str) -> Vec<&'t str> {
    let line = |line: &'t str| {
        line.trim().trim_start_matches("- ").strip_prefix(key)?.strip_prefix(':').map(str::trim)
    };
    yaml.lines().filter_map(line).collect()
}

#[test]
fn rules_and_dashboards_ask_for_metrics_that_exist() {
    let rules = read("deploy/prometheus/portico.rules.yml");
    let made: BTreeSet<String> = values(&rules, "record").into_iter().map(str::to_owned).collect();
    let expressions = values(&rules, "expr");
    let alerts = values(&rules, "alert");
    assert_eq!(expressions.len(), made.len() + alerts.len());
    assert!(alerts.len() >= 12 && made.len() >= 3, "the rules were not read");
    for expression in expressions {
        assert!(!expression.is_empty() && !expression.starts_with(['|', '>']), "one line each: {expression}");
        assert_known(expression.trim_matches('\''), &made, "portico.rules.yml");
    }
    let runbook = read("docs/observability.md");
    for alert in alerts {
        assert!(
            runbook.contains(&format!("| `{alert}` |")),
            "docs/observability.md does not tell what to do about {alert}"
        );
    }
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/portico.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets: Vec<&Value> =
        panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten()).collect();
    assert!(targets.len() >= 20, "the dashboard was not read");
    for target in targets {
        assert_known(target["expr"].as_str().unwrap(), &made, "portico.json");
    }
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
}

#[test]
fn expressions_are_read() {
    let names = |expression: &str| asked_by(expression).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(
        names(
            "sum by (code) (rate(portico_errors_total{code!=\"x\"}[5m])) / on (job) group_left () up > 0.5"
        ),
        "portico_errors_total up"
    );
    assert_eq!(names("histogram_quantile(0.99, sum(rate(a_bucket[$__rate_interval])) by (le))"), "a_bucket");
    assert_eq!(names("max(a:b:rate5m) and b_total offset 1h > bool 1e3"), "a:b:rate5m b_total");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_measured_is_what_the_catalogue_says() {
    let server = TestServer::start().await;
    let client = server.customer("ada@example.com").await;
    client.get("/api/v1/profile").await.expect(200);
    let wanted = [
        "process_resident_memory_bytes",
        "portico_jobs",
        "portico_database_statement_duration_seconds_count",
    ];
    let text = eventually(Duration::from_secs(20), async || {
        let text = client.get("/api/metrics").await.text;
        wanted.iter().all(|name| text.contains(&format!("\n{name}"))).then_some(text)
    })
    .await
    .expect("the figures of housekeeping");
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap());
        let labels: BTreeSet<&str> = match rest.strip_prefix('{').and_then(|rest| rest.rsplit_once("} ")) {
            Some((labels, _)) => {
                labels.split("\",").filter_map(|pair| pair.split_once('=')).map(|(name, _)| name).collect()
            }
            None => BTreeSet::new(),
        };
        let metric = METRICS.iter().find(|metric| {
            let ends = ["_bucket", "_sum", "_count"];
            metric.name == name || ends.iter().any(|end| name.strip_suffix(end) == Some(metric.name))
        });
        let metric = metric.unwrap_or_else(|| panic!("{name} is not in the catalogue"));
        let labels: BTreeSet<&str> = labels.into_iter().filter(|label| *label != "le").collect();
        assert_eq!(labels, metric.labels.iter().copied().collect(), "{name}");
        assert!(text.contains(&format!("# HELP {} {}", metric.name, metric.help)), "{name} has no help");
        seen.insert(metric.name);
    }
    assert!(seen.len() >= 12, "{seen:?}");
    server.stop().await;
}

/// The reports of this process, each as its fields.
static REPORTS: Mutex<Vec<BTreeMap<String, String>>> = Mutex::new(Vec::new());

struct Reports;

impl<S: Subscriber> Layer<S> for Reports {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Fields(BTreeMap<String, String>);
        impl Visit for Fields {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0.insert(field.name().to_owned(), format!("{value:?}"));
            }
            fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
                self.0.insert(field.name().to_owned(), value.to_owned());
            }
        }
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        fields.0.insert("level".to_owned(), event.metadata().level().to_string());
        REPORTS.lock().unwrap_or_else(PoisonError::into_inner).push(fields.0);
    }
}

/// The reports about a request.
fn reports_of(request: &str) -> Vec<BTreeMap<String, String>> {
    let reports = REPORTS.lock().unwrap_or_else(PoisonError::into_inner);
    reports
        .iter()
        .filter(|fields| fields.get("request_id").is_some_and(|id| id == request))
        .cloned()
        .collect()
}

fn listen() {
    static LISTENING: OnceLock<()> = OnceLock::new();
    LISTENING.get_or_init(|| {
        let only = Targets::new().with_target("portico::errors", tracing::Level::WARN);
        tracing_subscriber::registry().with(Reports.with_filter(only)).init();
    });
}

/// How often an error of this code was counted.
async fn counted(server: &TestServer, code: &str) -> f64 {
    let text = server.client().get("/api/metrics").await.text;
    let line = text.lines().find_map(|line| {
        line.strip_prefix(&format!("portico_errors_total{{code=\"{code}\"}} ")).map(str::to_owned)
    });
    line.map_or(0.0, |value| value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_5xx_and_each_dead_job_is_reported_once_with_its_request() {
    listen();
    TestServer::on_each_database(async |server| {
        let client = server.customer("ada@example.com").await;
        let engine = if server.app.settings.is_postgres() { "postgres" } else { "sqlite" };
        let before = counted(server, "internal").await;
        let url = server.app.settings.database_url();
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let id = format!("r-broken-{engine}");
        tamper(url.expose_secret(), "alter table brandings rename to brandings_aside", &[]).await;
        let asking = client.with("x-request-id", &id).with("traceparent", trace);
        let answer = asking.get(&client.t("/branding")).await;
        tamper(url.expose_secret(), "alter table brandings_aside rename to brandings", &[]).await;
        let problem = answer.clone().expect(500);
        assert_eq!((&problem["code"], &problem["requestId"]), (&json!("internal"), &json!(id)));
        assert!(!answer.text.contains("brandings"), "no SQL: {}", answer.text);
        let reports = reports_of(&id);
        let [report] = reports.as_slice() else { panic!("{reports:?}") };
        for (field, value) in [
            ("level", "ERROR"),
            ("code", "internal"),
            ("status", "500"),
            ("method", "GET"),
            ("route", "/api/v1/tenants/{tenantId}/branding"),
            ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ] {
            assert_eq!(report.get(field).map(String::as_str), Some(value), "{report:?}");
        }
        assert!(report["error"].contains("brandings"), "the cause is told: {report:?}");
        assert!(counted(server, "internal").await >= before + 1.0);
        client.with("x-request-id", "r-fine").get("/api/v1/profile").await.expect(200);
        client.with("x-request-id", "r-fine").get("/api/v1/nowhere").await.expect(404);
        assert_eq!(reports_of("r-fine"), []);

        let dead = counted(server, "job_dead").await;
        let request = format!("r-hopeless-{engine}");
        let mut work = server.app.core.begin().await.unwrap();
        let job = NewJob {
            id: server.app.core.env.new_id(),
            kind: "email.verification",
            payload: json!({"password": "hunter2"}),
            tenant: TenantId::PLATFORM,
            run_at: server.app.core.env.now(),
            max_attempts: 1,
            request_id: request.clone(),
        };
        work.jobs().enqueue(job).await.unwrap();
        work.commit().await.unwrap();
        let reported = async || reports_of(&request).first().cloned();
        let report = eventually(Duration::from_secs(10), reported).await.expect("the report");
        assert_eq!(
            (&*report["code"], &*report["kind"], &*report["level"]),
            ("job_dead", "email.verification", "ERROR")
        );
        assert!(report["error"].contains("payload") && !format!("{report:?}").contains("hunter2"));
        assert!(counted(server, "job_dead").await >= dead + 1.0);
    })
    .await;
}
