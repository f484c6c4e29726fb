//! The plans of statements, as Postgres carried them out: read from its log, where `auto_explain` writes them.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{Read, Seek, SeekFrom},
};

use anyhow::{Context, bail};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};

/// A table with more rows must not be read from its beginning to its end.
pub const LARGE: i64 = 1_000;

/// A statement may read so many rows for each that it returns or changes, and [`SPARE`] besides.
const RATIO: f64 = 20.0;
const SPARE: f64 = 1_000.0;

/// Statements that may do what others may not: what they have in their text, and why.
pub const EXCEPTIONS: &[(&str, &str)] = &[
    (" LIKE ", "searches look for a part of a word in every item of the list"),
    ("ORDER BY LOWER(", "sorting a list by name sorts all of it"),
    ("COUNT($1) AS \"total\" FROM \"memberships\"", "the number of members is a part of their list"),
    ("select count(*) as total from invitations", "the number of invitations is a part of their list"),
];

/// The number of all items, which each page of a numbered list has ([`COUNTED`]): what counts them is not looked at.
const TOTAL: &str = "\"total_of_all\"";

/// Said of [`TOTAL`] in the document.
pub const COUNTED: &str = "The number of all items in a page of a list is left out of this: it is counted, which reads all of them.";

/// A statement that does what it should not.
pub struct Finding {
    /// What sent it: an operation, or the background.
    pub sent_by: String,
    pub statement: String,
    pub problem: String,
    /// The plan in a few lines.
    pub plan: String,
    /// Of an exception, the reason.
    pub excused: Option<&'static str>,
}

/// What was seen.
pub struct Checked {
    /// Distinct statements with a plan.
    pub statements: usize,
    pub findings: Vec<Finding>,
}

/// The log of the Postgres server.
pub struct Log {
    file: File,
    /// Each piece that was read, and what was done meanwhile.
    pieces: Vec<(String, String)>,
}

impl Log {
    /// Opens the log at its end: the standard error of the server, which must be a file of this machine.
    pub async fn open(connection: &mut PgConnection) -> anyhow::Result<Self> {
        let lock: String =
            sqlx::query_scalar("select pg_read_file('postmaster.pid')").fetch_one(connection).await?;
        let pid = lock.lines().next().context("postmaster.pid is empty")?;
        let mut file = File::open(format!("/proc/{pid}/fd/2"))
            .context("plans are read from the log of a Postgres server of this machine, as scripts/with-postgres starts it")?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self { file, pieces: Vec::new() })
    }

    /// Reads what was written since the last time, while `what` was done.
    pub fn note(&mut self, what: &str) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes)?;
        self.pieces.push((what.to_owned(), String::from_utf8_lossy(&bytes).into_owned()));
        Ok(())
    }

    /// Checks all plans that were noted. `tables` are those that are large, with their numbers of rows.
    pub fn check(&self, tables: &HashMap<String, i64>) -> anyhow::Result<Checked> {
        let mut statements: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
        for (what, text) in &self.pieces {
            for plan in plans(text)? {
                let text = plan["Query Text"].as_str().unwrap_or_default();
                let statement = text.split_whitespace().collect::<Vec<_>>().join(" ");
                let findings = statements.entry(general(&statement)).or_default();
                let root = if text.contains(TOTAL) { uncounted(&plan["Plan"]) } else { plan["Plan"].clone() };
                for problem in problems(&root, tables) {
                    // Once for each statement and kind of problem, the first time.
                    let kind = problem.split(':').next().unwrap_or_default();
                    if findings.iter().any(|found| found.problem.starts_with(kind)) {
                        continue;
                    }
                    let mut outline = String::new();
                    outlined(&plan["Plan"], 0, &mut outline);
                    findings.push(Finding {
                        sent_by: what.clone(),
                        excused: EXCEPTIONS
                            .iter()
                            .find(|(part, _)| statement.contains(part))
                            .map(|(_, reason)| *reason),
                        statement: statement.clone(),
                        problem,
                        plan: outline,
                    });
                }
            }
        }
        if statements.is_empty() {
            bail!("the log of Postgres has no plan; is auto_explain installed?");
        }
        Ok(Checked { statements: statements.len(), findings: statements.into_values().flatten().collect() })
    }
}

/// Has every new session of a database write the plans of its statements to the log, with what they came to.
pub async fn explain(connection: &mut PgConnection) -> anyhow::Result<()> {
    let database: String =
        sqlx::query_scalar("select current_database()::text").fetch_one(&mut *connection).await?;
    for setting in [
        "session_preload_libraries = 'auto_explain'",
        "log_min_messages = 'log'",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_format = 'json'",
        "auto_explain.log_analyze = on",
        "auto_explain.log_timing = off",
        "auto_explain.log_nested_statements = on",
    ] {
        let statement = AssertSqlSafe(format!("alter database {database} set {setting}"));
        sqlx::raw_sql(statement).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Ends what [`explain`] began.
pub async fn stop_explaining(connection: &mut PgConnection) -> anyhow::Result<()> {
    let database: String =
        sqlx::query_scalar("select current_database()::text").fetch_one(&mut *connection).await?;
    sqlx::raw_sql(AssertSqlSafe(format!("alter database {database} reset all"))).execute(connection).await?;
    Ok(())
}

/// The plans in a piece of the log. The lines of an entry after its first one begin with a tab.
fn plans(log: &str) -> anyhow::Result<Vec<Value>> {
    let mut found = Vec::new();
    let mut lines = log.lines().peekable();
    while let Some(line) = lines.next() {
        if !(line.contains("LOG:  duration: ") && line.ends_with("plan:")) {
            continue;
        }
        let mut json = String::new();
        while let Some(line) = lines.next_if(|line| line.starts_with('\t')) {
            json += line;
        }
        match serde_json::from_str(&json) {
            Ok(plan) => found.push(plan),
            // The last one may not be written to its end.
            Err(_) if lines.peek().is_none() => {}
            Err(error) => return Err(error).with_context(|| json),
        }
    }
    Ok(found)
}

/// The form of a statement that does not depend on how many values it has.
fn general(statement: &str) -> String {
    let mut text = String::new();
    let mut rest = statement;
    while let Some((before, after)) = rest.split_once('$') {
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
        if !text.ends_with('$') || !before.chars().all(|c| matches!(c, ',' | ' ' | '(' | ')')) {
            text += before;
            text.push('$');
        }
    }
    text + rest
}

/// A plan without that of the number of all items, which is carried out once and before the rest.
fn uncounted(node: &Value) -> Value {
    let mut node = node.clone();
    if let Some(plans) = node["Plans"].as_array() {
        let is_count =
            |plan: &&Value| plan["Parent Relationship"] == "InitPlan" && plan["Node Type"] == "Aggregate";
        node["Plans"] = plans.iter().filter(|plan| !is_count(plan)).map(uncounted).collect();
    }
    node
}

fn number(node: &Value, field: &str) -> f64 {
    node[field].as_f64().unwrap_or_default()
}

fn children(node: &Value) -> impl Iterator<Item = &Value> {
    node["Plans"].as_array().into_iter().flatten()
}

/// The rows that a node came to, all rounds together.
fn rows(node: &Value) -> f64 {
    number(node, "Actual Rows") * number(node, "Actual Loops")
}

/// The rows of tables, and the entries of indexes that were combined, that a node and those below it looked at.
fn read(node: &Value) -> f64 {
    let own = match (node["Relation Name"].as_str(), node["Node Type"].as_str()) {
        (None, Some("Bitmap Index Scan")) => rows(node),
        (Some(_), Some("ModifyTable")) | (None, _) => 0.0,
        _ => {
            let removed =
                number(node, "Rows Removed by Filter") + number(node, "Rows Removed by Index Recheck");
            rows(node) + removed * number(node, "Actual Loops")
        }
    };
    own + children(node).map(read).sum::<f64>()
}

/// The rows that a statement returned or changed, whatever is more.
fn returned(node: &Value) -> f64 {
    let changed = children(node).map(|child| {
        let here = if node["Node Type"] == "ModifyTable" { rows(child) } else { 0.0 };
        here.max(changed_below(child))
    });
    rows(node).max(changed.fold(0.0, f64::max))
}

fn changed_below(node: &Value) -> f64 {
    children(node)
        .map(|child| {
            let here = if node["Node Type"] == "ModifyTable" { rows(child) } else { 0.0 };
            here.max(changed_below(child))
        })
        .fold(0.0, f64::max)
}

fn problems(plan: &Value, tables: &HashMap<String, i64>) -> Vec<String> {
    let mut found = Vec::new();
    scanned(plan, tables, &mut found);
    let (read, returned) = (read(plan), returned(plan));
    if read > RATIO * returned + SPARE {
        found.push(format!("reads too much: {read} rows for {returned}"));
    }
    found
}

fn scanned(node: &Value, tables: &HashMap<String, i64>, found: &mut Vec<String>) {
    if node["Node Type"] == "Seq Scan"
        && number(node, "Actual Loops") > 0.0
        && let Some(table) = node["Relation Name"].as_str()
        && let Some(rows) = tables.get(table)
    {
        found.push(format!("no index of {table}: it has {rows} rows"));
    }
    for child in children(node) {
        scanned(child, tables, found);
    }
}

/// A plan, a line for each node.
fn outlined(node: &Value, depth: usize, outline: &mut String) {
    let word = |field: &str| node[field].as_str().map(|word| format!(" {word}")).unwrap_or_default();
    *outline += &"  ".repeat(depth);
    *outline += node["Node Type"].as_str().unwrap_or_default();
    *outline += &word("Index Name");
    if node["Node Type"] != "Index Scan" && node["Node Type"] != "Index Only Scan" {
        *outline += &word("Relation Name");
    }
    *outline += &format!(" rows={} loops={}", number(node, "Actual Rows"), number(node, "Actual Loops"));
    for (field, name) in [
        ("Rows Removed by Filter", "filtered"),
        ("Rows Removed by Index Recheck", "rechecked"),
        ("Rows Removed by Join Filter", "unjoined"),
    ] {
        if number(node, field) > 0.0 {
            *outline += &format!(" {name}={}", number(node, field));
        }
    }
    outline.push('\n');
    for child in children(node) {
        outlined(child, depth + 1, outline);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::json;

    use super::{general, plans, problems};

    #[test]
    fn plans_are_found_in_the_log() {
        let log = "2026-11-22 10:00:00.000 UTC [1] LOG:  duration: 0.010 ms  plan:\n\t{\n\t  \"Query Text\": \"select 1\",\n\
                   \t  \"Plan\": {\"Node Type\": \"Result\"}\n\t}\n2026-11-22 10:00:00.000 UTC [1] CONTEXT:  SQL\n";
        let found = plans(log).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["Query Text"], "select 1");
    }

    #[test]
    fn a_list_of_values_does_not_make_another_statement() {
        assert_eq!(general("x in ($1, $2, $3)"), general("x in ($1)"));
        assert_ne!(general("x = $1 and y = $2"), general("x = $1 and z = $2"));
    }

    #[test]
    fn reading_without_an_index_or_in_vain_is_a_problem() {
        let tables = HashMap::from([("events".to_owned(), 1_000_000)]);
        let scan =
            json!({"Node Type": "Seq Scan", "Relation Name": "events", "Actual Rows": 1, "Actual Loops": 1});
        assert_eq!(problems(&scan, &tables).len(), 1);
        assert!(problems(&scan, &HashMap::new()).is_empty());
        let count = json!({"Node Type": "Aggregate", "Actual Rows": 1, "Actual Loops": 1, "Plans": [
            {"Node Type": "Index Only Scan", "Relation Name": "events", "Actual Rows": 2000, "Actual Loops": 1}]});
        assert_eq!(problems(&count, &tables), ["reads too much: 2000 rows for 1"]);
        let delete = json!({"Node Type": "ModifyTable", "Actual Rows": 0, "Actual Loops": 1, "Plans": [
            {"Node Type": "Index Scan", "Relation Name": "events", "Actual Rows": 2000, "Actual Loops": 1}]});
        assert!(problems(&delete, &tables).is_empty());
    }
}
