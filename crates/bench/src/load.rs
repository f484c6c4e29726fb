//! Load: what is asked for, and a closed loop made by [wrk](https://github.com/wg/wrk), in which every connection asks again as
//! soon as it has its answer. See [`crate::paced`] for requests at a given rate.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::{process::Command, time::timeout};

/// One kind of request. In path and body stands
///
/// - `{random:20}` for a number from 1 to 20, and `{hex:20}` for one as twelve hexadecimal digits,
/// - `{unique}` for a text that is used once in a run,
/// - `<…>` for what is inside, with each letter large or small by chance: ids are found in either spelling, and kept answers are
///   not.
#[derive(Clone, Debug)]
pub struct LoadTarget {
    /// Address of the server, without a trailing slash.
    pub server: String,
    /// Path and query.
    pub path: String,
    /// Header fields.
    pub headers: Vec<(&'static str, String)>,
    /// JSON to send with POST; GET without.
    pub body: Option<String>,
}

impl LoadTarget {
    /// Reads with GET.
    pub fn read(server: &str, path: String) -> Self {
        Self { server: server.to_owned(), path, headers: Vec::new(), body: None }
    }

    /// The same with an access token.
    pub fn signed_in(self, token: &str) -> Self {
        self.with_header("Authorization", format!("Bearer {token}"))
    }

    /// The same with a header field.
    pub fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same with a body.
    pub fn sending(self, body: &str) -> Self {
        Self { body: Some(body.to_owned()), ..self }
    }

    /// Path and body of one request.
    pub fn request(&self, dice: &mut Dice, unique: &str) -> (String, Option<String>) {
        (expand(&self.path, dice, unique), self.body.as_ref().map(|body| expand(body, dice, unique)))
    }
}

/// Random numbers that nothing depends on (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A template with its placeholders filled in, as [`LUA`] does it.
fn expand(template: &str, dice: &mut Dice, unique: &str) -> String {
    let text = template.replace("{unique}", unique);
    let text = replace_numbers(&text, "{random:", dice, |number| number.to_string());
    let text = replace_numbers(&text, "{hex:", dice, |number| format!("{number:012x}"));
    let mut spelled = String::with_capacity(text.len());
    for (place, part) in text.split(['<', '>']).enumerate() {
        let respell = |letter: char| match dice.next() & 1 {
            0 => letter.to_ascii_uppercase(),
            _ => letter.to_ascii_lowercase(),
        };
        // Brackets are not nested, so every second part is inside of one.
        if place % 2 == 1 { spelled.extend(part.chars().map(respell)) } else { spelled += part }
    }
    spelled
}

/// Replaces `{name:range}` by a number from 1 to the range.
fn replace_numbers(text: &str, opening: &str, dice: &mut Dice, write: impl Fn(u64) -> String) -> String {
    let mut parts = text.split(opening);
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (range, rest) = part.split_once('}').unwrap_or((part, ""));
        let range = range.parse::<u64>().unwrap_or(1).max(1);
        replaced += &write(dice.next() % range + 1);
        replaced += rest;
    }
    replaced
}

/// [`expand`] for wrk.
const LUA: &str = r#"local random, count = math.random, 0
local function number_to(range) return tostring(random(tonumber(range))) end
local function hex_to(range) return string.format("%012x", random(tonumber(range))) end
local function letter(l) return random(2) == 1 and l:upper() or l:lower() end
local function spelled(part) return (part:gsub("%a", letter)) end
local function expand(template)
  local text = template:gsub("{unique}", NAME .. "-" .. number .. "-" .. count)
  return (text:gsub("{random:(%d+)}", number_to):gsub("{hex:(%d+)}", hex_to):gsub("<(.-)>", spelled))
end
function init()
  math.randomseed(SEED + number)
end
function request()
  count = count + 1
  return wrk.format(nil, expand(PATH), nil, BODY and expand(BODY))
end
"#;

/// Result of a run.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Outcome {
    /// Answers.
    pub requests: u64,
    /// Time under load, in microseconds.
    pub duration: f64,
    /// Median of the latency, in microseconds.
    pub p50: f64,
    /// 95th percentile of the latency, in microseconds.
    pub p95: f64,
    /// 99th percentile of the latency, in microseconds.
    pub p99: f64,
    /// Connections refused or broken, and requests without an answer in time.
    pub failed: u64,
    /// Answers with a status of 400 or more; requests at a given rate count every other status than the expected one.
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

/// Puts `target` under load. `name` is used once in a run: it is a part of the texts that are used once.
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
        // What is slow shows in the latency; only what is stuck counts as an error.
        .args(["--timeout", "30s", "-s"])
        .arg(&file)
        .arg(&target.server)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(Duration::from_secs(seconds + 60), output).await.context("wrk did not end")??;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(json) = text.lines().find_map(|line| line.strip_prefix("outcome ")) else {
        bail!("wrk failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    };
    let outcome: Outcome = serde_json::from_str(json)?;
    if outcome.requests == 0 {
        bail!("{}{} answered nothing under load: {outcome:?}", target.server, target.path);
    }
    Ok(outcome)
}

/// wrk calls `setup` for each of its threads, `init` in it, `request` for each request if it is there, and `done` at the end.
fn script(name: &str, target: &LoadTarget) -> String {
    let mut script = String::from("local threads = 0\n");
    for (field, value) in &target.headers {
        script += &format!("wrk.headers[{field:?}] = {value:?}\n");
    }
    script += "function setup(thread)\n  threads = threads + 1\n  thread:set(\"number\", threads)\nend\n";
    let is_template = |text: &str| text.contains(['{', '<']);
    if target.body.is_some() {
        script += "wrk.method = \"POST\"\nwrk.headers[\"Content-Type\"] = \"application/json\"\n";
    }
    if is_template(&target.path) || target.body.is_some() {
        // Another seed for each run: what was asked for in the last one may be kept.
        let seed =
            name.bytes().fold(17_u32, |seed, byte| seed.wrapping_mul(31) + u32::from(byte)) % 1_000_000;
        let body = target.body.as_ref().map_or("nil".to_owned(), |body| format!("{body:?}"));
        script +=
            &format!("local SEED, NAME, PATH, BODY = {seed}, {name:?}, {:?}, {body}\n{LUA}", target.path);
    } else {
        // Made once for all requests.
        script += &format!("wrk.path = {:?}\n", target.path);
    }
    script += r#"function done(summary, latency)
  local e = summary.errors
  print(string.format(
    'outcome {"requests":%d,"duration":%d,"p50":%f,"p95":%f,"p99":%f,"failed":%d,"refused":%d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(95), latency:percentile(99),
    e.connect + e.read + e.write + e.timeout, e.status))
end
"#;
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in() {
        let mut dice = Dice(1);
        for _ in 0..100 {
            let text = expand("/{random:5}/{hex:255}/{unique}/{random:7}", &mut dice, "a-1");
            let parts: Vec<&str> = text.split('/').collect();
            assert!((1..=5).contains(&parts[1].parse().unwrap()), "{text}");
            assert_eq!(parts[2].len(), 12);
            assert!((1..=255).contains(&u32::from_str_radix(parts[2], 16).unwrap()), "{text}");
            assert_eq!(parts[3], "a-1");
            assert!((1..=7).contains(&parts[4].parse().unwrap()), "{text}");
        }
        let body = r#"{"title":"x"}"#;
        assert_eq!(expand(body, &mut dice, "x"), body, "braces of JSON are none of ours");
    }

    #[test]
    fn only_what_is_in_brackets_is_spelled_by_chance() {
        let mut dice = Dice(2);
        let spellings: Vec<String> =
            (0..20).map(|_| expand("/pages/<abcdef-12>?q=x", &mut dice, "")).collect();
        for spelling in &spellings {
            assert_eq!(spelling.to_lowercase(), "/pages/abcdef-12?q=x");
            assert!(spelling.starts_with("/pages/") && spelling.ends_with("?q=x"), "{spelling}");
        }
        let different: std::collections::HashSet<_> = spellings.iter().collect();
        assert!(different.len() > 10, "{different:?}");
    }
}
