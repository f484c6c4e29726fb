//! Load, made by [wrk](https://github.com/wg/wrk).

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::{process::Command, time::timeout};

/// One kind of request.
#[derive(Clone)]
pub struct LoadTarget {
    /// Address.
    pub url: String,
    /// Header fields.
    pub headers: Vec<(&'static str, String)>,
    /// Whether to create pages with POST, instead of reading.
    pub creates: bool,
}

/// Result of a run.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Outcome {
    /// Answers.
    pub requests: u64,
    /// Time under load, in microseconds.
    pub duration: f64,
    /// Median of the latency, in microseconds.
    pub p50: f64,
    /// 99th percentile of the latency, in microseconds.
    pub p99: f64,
    /// Connections refused or broken, and requests without an answer in two seconds.
    pub failed: u64,
    /// Answers with a status of 400 or more.
    pub refused: u64,
}

impl Outcome {
    /// Answers in a second.
    pub fn per_second(&self) -> f64 {
        self.requests as f64 / self.duration * 1e6
    }

    /// Requests that did not get what they asked for.
    pub fn errors(&self) -> u64 {
        self.failed + self.refused
    }
}

/// Puts `target` under load. `name` is used once in a run: it is a part of the slugs of new pages.
pub async fn run(
    directory: &Path,
    name: &str,
    target: &LoadTarget,
    connections: usize,
    seconds: u64,
) -> anyhow::Result<Outcome> {
    let file = directory.join("load.lua");
    std::fs::write(&file, script(name, target))?;
    let threads = (crate::servers::workers() / 4).clamp(1, 4);
    let output = Command::new("wrk")
        .args(["-t", &threads.to_string(), "-c", &connections.to_string(), "-d", &format!("{seconds}s")])
        .arg("-s")
        .arg(&file)
        .arg(&target.url)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(Duration::from_secs(seconds + 30), output).await.context("wrk did not end")??;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(json) = text.lines().find_map(|line| line.strip_prefix("outcome ")) else {
        bail!("wrk failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    };
    let outcome: Outcome = serde_json::from_str(json)?;
    if outcome.requests == 0 {
        bail!("{} answered nothing under load: {outcome:?}", target.url);
    }
    Ok(outcome)
}

/// wrk calls `setup` for each of its threads, `request` for each request if it is there, and `done` at the end.
fn script(name: &str, target: &LoadTarget) -> String {
    let mut script = String::from("local threads = 0\n");
    for (field, value) in &target.headers {
        script += &format!("wrk.headers[{field:?}] = {value:?}\n");
    }
    script += "function setup(thread)\n  threads = threads + 1\n  thread:set(\"number\", threads)\nend\n";
    if target.creates {
        script += &format!(
            r#"wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local count = 0
function request()
  count = count + 1
  return wrk.format(nil, nil, nil, '{{"title":"A page under load","slug":"{name}-' .. number .. '-' .. count .. '"}}')
end
"#
        );
    }
    script += r#"function done(summary, latency)
  local e = summary.errors
  print(string.format(
    'outcome {"requests":%d,"duration":%d,"p50":%f,"p99":%f,"failed":%d,"refused":%d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.timeout, e.status))
end
"#;
    script
}
