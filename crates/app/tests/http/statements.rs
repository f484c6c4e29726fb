//! How many statements each operation sends to Postgres, beside `docs/statements.md`, which has these numbers: an operation that needs
//! more than before is noticed here, not by somebody's clock.
//!
//! `UPDATE_DOCUMENTS=1 cargo test -p portico --test http statements` writes the document.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use portico_kernel::cache::{Cache, CacheError, Lookup};
use portico_sql::strange_word;
use portico_testkit::{
    collector::{TestCollector, TestSpan},
    database::index_counts,
    server::{Database, TestServer, eventually},
};
use portico_web::response_cache::ResponseCache;
use secrecy::ExposeSecret;

use crate::{
    audit_coverage::particular,
    authorization::{Callers, Kind, Outcome, RULES, check, expected},
    fixture::{Fixture, unlimited},
    provider::FakeProvider,
};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/statements.md");

const INTRODUCTION: &str = "# Statements of each operation\n\n\
    What a successful request sends to Postgres, in this order, when the session of the caller is known to the process already, the \
    primary site of the tenant is not (for 0.9 s after it was read; then pages and navigation need one `select sites` less), and \
    answers are not kept (those that can be are answered without a statement the second time). Each is a round trip. `select` stands \
    for reading, with the first table that is read; a statement that writes to several tables names all of them. Background work that \
    follows (events, jobs, mails) is not included, nor are files.\n\n\
    Written by `UPDATE_DOCUMENTS=1 cargo test -p portico --test http statements`, and compared with every run of the tests: who makes a \
    number grow does so knowingly. Everything is read twice, the second time with more rows, and may not send more then, but for one \
    statement that counts a list which does not end with the page.\n\n\
    | operation | statements | what |\n| --- | ---: | --- |\n";

const INDEXES: &str = "\n## Indexes\n\n\
    Every index of a table is written to with each new row (but for those with a condition, and the one by ranges of blocks of `events`).\n\n\
    | table | indexes |\n| --- | ---: |\n";

/// Functions that a SELECT in capitals calls that is no plain read: it runs in a transaction, or is one.
const DOES_MORE: [&str; 1] = ["pg_notify"];

/// Probes have no trace.
const UNTRACED: [&str; 4] = ["/api/health", "/api/health/live", "/api/health/ready", "/api/metrics"];

/// Keeps nothing.
struct NoCache;

#[async_trait]
impl Cache for NoCache {
    async fn get(&self, _: u16, _: &str) -> Result<Lookup, CacheError> {
        Err(CacheError("nothing is kept".to_owned()))
    }

    async fn put(&self, _: u16, _: u64, _: &str, _: Vec<u8>, _: Duration) -> Result<(), CacheError> {
        Ok(())
    }

    async fn forget(&self, _: u16) -> Result<(), CacheError> {
        Ok(())
    }
}

/// A statement in a few words: what it writes to, or else the first table that it reads.
fn summary(sql: &str) -> String {
    let words: Vec<String> = sql
        .split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | ';'))
        .map(|word| word.trim_matches('"').to_lowercase())
        .filter(|word| !word.is_empty())
        .collect();
    let mut writes = Vec::new();
    for pair in words.windows(3) {
        match [&*pair[0], &*pair[1]] {
            ["insert", "into"] | ["delete", "from"] => writes.push(format!("{} {}", pair[0], pair[2])),
            ["update", "set" | "of" | "skip"] => {}
            ["update", table] if pair[2] == "set" => writes.push(format!("update {table}")),
            _ => {}
        }
    }
    if !writes.is_empty() {
        return writes.join(" + ");
    }
    let from = words.iter().position(|word| word == "from");
    match from.and_then(|at| words.get(at + 1)) {
        Some(table) => format!("select {table}"),
        None => words.iter().take(2).cloned().collect::<Vec<_>>().join(" "),
    }
}

#[test]
fn a_statement_is_summed_up() {
    for (sql, short) in [
        ("begin", "begin"),
        (r#"SELECT "pages"."id" FROM "pages" WHERE "id" = $1 FOR NO KEY UPDATE"#, "select pages"),
        (r#"INSERT INTO "pages" ("id") VALUES ($1)"#, "insert pages"),
        (
            "with a as (insert into pages (id) values ($1)) insert into events (id) values ($2)",
            "insert pages + insert events",
        ),
        ("insert into x (a) values ($1) on conflict (a) do update set a = 1", "insert x"),
        ("update jobs set state = $1 where id in (select id from due)", "update jobs"),
        ("delete from jobs where id = $1", "delete jobs"),
        ("select pg_notify($1, $2)", "select pg_notify"),
    ] {
        assert_eq!(summary(sql).replace("into ", "").replace("from ", ""), short, "{sql}");
    }
}

/// The statements of the requests, by the number of their trace.
fn by_request(spans: &[TestSpan]) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for request in spans.iter().filter(|span| span.kind == "Server") {
        let own = spans.iter().filter(|span| span.trace == request.trace && span.parent == request.id);
        let statements = own.filter_map(|span| span.attributes.get("db.query.text"));
        found.insert(request.trace.clone(), statements.map(|sql| summary(sql)).collect());
    }
    found
}

/// What is counted does not depend on how long ago the primary site was read: the process forgets it with each change of the sites.
async fn forget_primary_site(server: &TestServer, fixture: &Fixture) {
    let tenant = fixture.ids["tenantId"].parse().unwrap();
    let mut work = server.app.core.begin().await.unwrap();
    work.sites().set_over_limit(tenant, None).await.unwrap();
    work.commit().await.unwrap();
}

fn trace(number: usize) -> String {
    format!("{:032x}", number + 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_sends_the_statements_that_are_documented() {
    let (provider, collector) = (FakeProvider::start().await, TestCollector::start().await);
    let server = TestServer::start_changed(
        Database::Postgres,
        |settings| {
            provider.configure(settings);
            settings.telemetry.otlp_endpoint = Some(collector.url().parse().unwrap());
            settings.tenancy.deletion_grace = Duration::from_secs(3600);
        },
        |app| app.api.responses = Arc::new(ResponseCache::new(Arc::new(NoCache), app.core.signals.clone())),
    )
    .await;
    unlimited(&server).await;
    let fixture = Fixture::new(&server, "quagga").await;
    let mut callers = Callers::new(&server, &fixture).await;
    let traced = RULES.iter().filter(|(_, path, _)| !UNTRACED.contains(path));
    let (reads, writes): (Vec<_>, Vec<_>) = traced.partition(|(method, ..)| *method == "GET");
    let order: Vec<_> = reads.iter().chain(&writes).chain(&reads).collect();
    let mut failures = Vec::new();
    let mut calls = Vec::new();
    for (number, rule) in order.into_iter().enumerate() {
        let (method, path, rule_of) = rule;
        let may = |kind: Kind| expected(*rule_of, kind) == Outcome::Allowed;
        let kind = if may(Kind::Owner) { Kind::Owner } else { Kind::SuperAdmin };
        let position = callers.all.iter().position(|(other, _)| *other == kind).unwrap();
        let parent = format!("00-{}-00f067aa0ba902b7-01", trace(number));
        callers.all[position].1.client.headers.insert("traceparent".into(), parent);
        let client = callers.all[position].1.client.clone();
        forget_primary_site(&server, &fixture).await;
        let answer = match particular(&server, &fixture, &client, (method, path)).await {
            Some(answer) => Ok(answer),
            None => check(&server, &fixture, &mut callers, *rule, position, 100 + number).await,
        };
        callers.all[position].1.client.headers.remove("traceparent");
        server.app.core.tracer.flush().await;
        eprintln!("{method} {path} {}", answer.as_ref().map_or(0, |answer| answer.status.as_u16()));
        match answer {
            Ok(answer) if answer.status.is_success() || answer.status.is_redirection() => {
                calls.push((number, *method, *path));
            }
            // Deleted in between.
            _ if calls.iter().any(|(_, earlier, at)| (earlier, at) == (method, path)) => {}
            Ok(answer) => failures.push(format!("{method} {path}: {} {}", answer.status, answer.text)),
            Err(failure) => failures.push(failure),
        }
    }
    let complete = eventually(Duration::from_secs(20), async || {
        server.app.core.tracer.flush().await;
        let found = by_request(&collector.spans());
        calls.iter().all(|(number, ..)| found.contains_key(&trace(*number))).then_some(found)
    });
    let found = match complete.await {
        Some(found) => found,
        None => {
            let found = by_request(&collector.spans());
            for (number, method, path) in &calls {
                if !found.contains_key(&trace(*number)) {
                    failures.push(format!("{method} {path} has no span"));
                }
            }
            found
        }
    };
    let mut table: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for (number, method, path) in calls {
        let Some(statements) = found.get(&trace(number)) else { continue };
        let first = table.entry((path, method)).or_insert_with(|| statements.clone());
        // A list that does not end with the page is counted by one statement more.
        let counted = statements.strip_suffix(&["select select".to_owned()]);
        if statements.len() > first.len() && counted != Some(first.as_slice()) {
            failures
                .push(format!("{method} {path} sends more for more rows: {first:?}, then {statements:?}"));
        }
    }
    let documented = std::fs::read_to_string(DOCUMENT).unwrap_or_default();
    let mut document = INTRODUCTION.to_owned();
    for ((path, method), statements) in table {
        let row = |statements: &[String]| {
            format!("| `{method} {path}` | {} | {} |\n", statements.len(), statements.join(", "))
        };
        // What a call before has changed can be announced to this process at this very moment, so that it looks the session up; and
        // the primary site, read by what was prepared, is not known any more on a slow machine.
        let unknown = ["select sessions", "select sites"];
        let rest = statements.split_first().filter(|(first, _)| unknown.contains(&first.as_str()));
        let known = rest.map(|(_, rest)| row(rest)).filter(|row| documented.contains(row));
        document += &known.unwrap_or_else(|| row(&statements));
    }
    document += INDEXES;
    for (table, count) in index_counts(server.app.settings.database_url().expose_secret()).await {
        document += &format!("| `{table}` | {count} |\n");
    }
    // Of everything that was sent, background work included. A new function that changes nothing belongs to the list of those known.
    for span in collector.spans() {
        let Some(sql) = span.attributes.get("db.query.text").filter(|sql| sql.starts_with("SELECT ")) else {
            continue;
        };
        let word =
            strange_word(sql).filter(|word| !word.eq_ignore_ascii_case("for") && !DOES_MORE.contains(word));
        if let Some(word) = word {
            failures.push(format!("`{word}` begins a transaction: {sql}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::write(DOCUMENT, &document).unwrap();
    }
    let documented = std::fs::read_to_string(DOCUMENT).unwrap_or_default();
    let (is, was): (Vec<&str>, Vec<&str>) = (document.lines().collect(), documented.lines().collect());
    let new: Vec<_> = is.iter().filter(|line| !was.contains(line)).collect();
    let gone: Vec<_> = was.iter().filter(|line| !is.contains(line)).collect();
    assert!(documented == document, "docs/statements.md has {gone:#?}, but it is {new:#?}");
    server.stop().await;
}
