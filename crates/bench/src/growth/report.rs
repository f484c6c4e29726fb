//! What was measured, what it is to be, and the document.

use std::{fmt::Write as _, path::Path, time::Duration};

use super::{
    operations::{GROUPS, Operation},
    picture::{Curve, draw, short},
    plans::{COUNTED, Checked, EXCEPTIONS},
};

/// The most that the largest may take, as a multiple of the smallest; less than [`NOISE`] of difference is none.
const MOST: f64 = 1.2;

/// In milliseconds.
const NOISE: f64 = 0.3;

/// Said of figures that are not to be compared with others.
const DEVELOPMENT: &str = "\n\n**Measured with development builds on a busy machine: only ratios mean something, and they are rough.**";

/// The most that memory may differ by, in MB, where it is more than [`MOST`].
const MEMORY_NOISE: f64 = 4.0;

/// One operation at each size.
pub struct Measured {
    pub operation: &'static Operation,
    sizes: Vec<u32>,
    /// In milliseconds, by size and round.
    times: Vec<Vec<Vec<f64>>>,
    /// Bytes of the last answer.
    lengths: Vec<usize>,
    /// Sent for each request.
    pub statements: Vec<f64>,
}

/// How an operation grows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Flat,
    /// It grows, and is known to.
    Known(&'static str),
    Bad,
}

impl Measured {
    /// Nothing yet.
    pub fn new(operation: &'static Operation, sizes: impl Iterator<Item = u32>, rounds: usize) -> Self {
        let sizes: Vec<u32> = sizes.collect();
        let number = sizes.len();
        Self {
            operation,
            sizes,
            times: vec![vec![Vec::new(); rounds]; number],
            lengths: vec![0; number],
            statements: vec![0.0; number],
        }
    }

    /// An answer of the size at a place, in a round.
    pub fn add(&mut self, place: usize, round: usize, took: Duration, length: usize) {
        self.times[place][round].push(took.as_secs_f64() * 1e3);
        self.lengths[place] = length;
    }

    /// Of the quietest round: what else the machine does makes others slower, and none faster.
    fn quantile(&self, place: usize, part: f64) -> f64 {
        self.times[place].iter().map(|round| quantile(round, part)).fold(f64::INFINITY, f64::min)
    }

    fn medians(&self) -> Vec<f64> {
        (0..self.sizes.len()).map(|place| self.quantile(place, 0.5)).collect()
    }

    fn ratio(&self) -> f64 {
        let medians = self.medians();
        medians.last().copied().unwrap_or(f64::NAN) / medians.first().copied().unwrap_or(f64::NAN)
    }

    fn verdict(&self) -> Verdict {
        let medians = self.medians();
        let difference =
            medians.last().copied().unwrap_or_default() - medians.first().copied().unwrap_or_default();
        let same = self.statements.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 0.5);
        match self.operation.grows {
            _ if !same => Verdict::Bad,
            _ if self.ratio() <= MOST || difference <= NOISE => Verdict::Flat,
            Some(why) => Verdict::Known(why),
            None => Verdict::Bad,
        }
    }

    /// For people who wait.
    pub fn line(&self) -> String {
        let medians: Vec<String> = self.medians().into_iter().map(short).collect();
        let statements: Vec<String> = self.statements.iter().map(ToString::to_string).collect();
        let lengths: Vec<String> = self.lengths.iter().map(ToString::to_string).collect();
        let verdict = match self.verdict() {
            Verdict::Flat => "",
            Verdict::Known(_) => "  grows, as is known",
            Verdict::Bad => "  GROWS",
        };
        format!(
            "{:<40} {} ms ({:.2}), statements {}, bytes {}{verdict}",
            format!("{}: {}", self.operation.group, self.operation.name),
            medians.join(" "),
            self.ratio(),
            statements.join(" "),
            lengths.join(" "),
        )
    }
}

fn quantile(times: &[f64], part: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len().saturating_sub(1) as f64 * part).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::INFINITY)
}

/// Everything.
pub struct Results {
    pub sizes: Vec<u32>,
    pub measured: Vec<Measured>,
    /// Of a server without background work at each size, in MB.
    pub memory: Vec<f64>,
    /// Of one with background work at the smallest and the largest.
    pub background_memory: [f64; 2],
    pub checked: Checked,
}

fn grown(memory: &[f64]) -> bool {
    let (Some(first), Some(last)) = (memory.first(), memory.last()) else { return false };
    last / first > MOST && last - first > MEMORY_NOISE
}

impl Results {
    /// Whether nothing grows that must not.
    pub fn good(&self) -> bool {
        self.measured.iter().all(|measured| measured.verdict() != Verdict::Bad)
            && !grown(&self.memory)
            && !grown(&self.background_memory)
            && self.checked.findings.iter().all(|finding| finding.excused.is_some())
    }

    /// What is wrong, and a line about the rest.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        for finding in &self.checked.findings {
            let excused = finding.excused.map(|why| format!(" (excused: {why})")).unwrap_or_default();
            let _ = writeln!(
                text,
                "{}: {}{excused}\n  {}\n{}",
                finding.sent_by,
                finding.problem,
                finding.statement.chars().take(1500).collect::<String>(),
                finding.plan.lines().map(|line| format!("    {line}\n")).collect::<String>(),
            );
        }
        let bad = |verdict: &dyn Fn(Verdict) -> bool| {
            self.measured.iter().filter(|one| verdict(one.verdict())).count()
        };
        let _ = writeln!(
            text,
            "{} operations: {} flat, {} grow as is known, {} GROW; {} statements, {} findings, {} of them excused; memory {} MB{}, \
             with background work {} MB{}",
            self.measured.len(),
            bad(&|verdict| verdict == Verdict::Flat),
            bad(&|verdict| matches!(verdict, Verdict::Known(_))),
            bad(&|verdict| verdict == Verdict::Bad),
            self.checked.statements,
            self.checked.findings.len(),
            self.checked.findings.iter().filter(|finding| finding.excused.is_some()).count(),
            self.memory.iter().map(|memory| short(*memory)).collect::<Vec<_>>().join(" "),
            if grown(&self.memory) { " GROWS" } else { "" },
            self.background_memory.map(short).join(" "),
            if grown(&self.background_memory) { " GROWS" } else { "" },
        );
        text
    }

    /// Writes the document and the pictures.
    pub fn write(&self, directory: &Path) -> anyhow::Result<()> {
        let images = directory.join("images");
        std::fs::create_dir_all(&images)?;
        let mut text = self.head();
        for group in GROUPS {
            let of_group: Vec<&Measured> =
                self.measured.iter().filter(|one| one.operation.group == group).collect();
            if of_group.is_empty() {
                continue;
            }
            let curves: Vec<Curve<'_>> = of_group.iter().map(|one| self.curve(one)).collect();
            let name = format!("growth-{}.svg", group.replace(' ', "-"));
            std::fs::write(
                images.join(&name),
                draw(&format!("{}: median by size", capital(group)), &curves),
            )?;
            let _ = write!(
                text,
                "\n## {}\n\n![Time of {group} by size](images/{name})\n\n{}",
                capital(group),
                self.table(&of_group)
            );
        }
        text += &self.tail();
        std::fs::write(directory.join("growth.md"), text)?;
        Ok(())
    }

    fn curve<'a>(&self, one: &'a Measured) -> Curve<'a> {
        Curve {
            title: one.operation.name,
            points: self.sizes.iter().copied().zip(one.medians()).collect(),
            unit: "ms",
            band: MOST,
            bad: one.verdict() != Verdict::Flat,
        }
    }

    fn head(&self) -> String {
        let (Some(first), Some(last)) = (self.sizes.first(), self.sizes.last()) else { return String::new() };
        let times = last / first;
        format!(
            "# Growth\n\n\
             Written by `scripts/with-postgres cargo run --profile dist -p portico-bench -- growth --write docs`{}. What is measured and \
             how, and what to make of it, is in [performance.md](performance.md#growth).\n\n\
             The smallest installation has 20 other tenants (each with an owner, ten sessions, a site of four pages, a key, a webhook, 40 \
             events and as many deliveries) and one tenant with 2 sites, 20 pages of one site, 2 members, 200 events and deliveries: \
             1,000 events in all. The largest has {times} times that. The time is the median of sequential requests on one connection in \
             the quietest round, in milliseconds; the sizes alternate. The green area reaches to {MOST} times the smallest; more than that, by more than {NOISE} ms, \
             is growth, and drawn in red.{}\n",
            commit().map(|commit| format!(" at `{commit}`")).unwrap_or_default(),
            if cfg!(debug_assertions) { DEVELOPMENT } else { "" }
        )
    }

    fn table(&self, of_group: &[&Measured]) -> String {
        let sizes: Vec<String> = self.sizes.iter().map(|size| format!("{size}×")).collect();
        let mut text = format!(
            "| operation | statements | {} | p95 at {} | ratio | |\n| --- | ---: |{} ---: | ---: | --- |\n",
            sizes.join(" | "),
            sizes.last().map_or("", String::as_str),
            " ---: |".repeat(sizes.len())
        );
        for one in of_group {
            let mut statements: Vec<String> = one.statements.iter().map(ToString::to_string).collect();
            statements.dedup();
            let medians: Vec<String> = one.medians().into_iter().map(short).collect();
            let remark = match one.verdict() {
                Verdict::Flat => String::new(),
                Verdict::Known(why) => why.to_owned(),
                Verdict::Bad => "**grows**".to_owned(),
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {:.2} | {remark} |",
                one.operation.name,
                statements.join(", "),
                medians.join(" | "),
                short(one.quantile(self.sizes.len() - 1, 0.95)),
                one.ratio(),
            );
        }
        text
    }

    fn tail(&self) -> String {
        let sizes: Vec<String> = self.sizes.iter().map(|size| format!("{size}×")).collect();
        let memory: Vec<String> = self.memory.iter().map(|memory| short(*memory)).collect();
        let mut text = format!(
            "\n## Memory\n\nAnonymous memory of a server after all of this, in MB. \
             With background work it was measured at the smallest and the largest.\n\n\
             | | {} |\n| --- |{}\n| answers requests | {} |\n| and works in the background | {}{} | {} |\n",
            sizes.join(" | "),
            " ---: |".repeat(sizes.len()),
            memory.join(" | "),
            short(self.background_memory[0]),
            " |".repeat(sizes.len() - 2),
            short(self.background_memory[1]),
        );
        let _ = write!(
            text,
            "\n## Plans\n\n{} distinct statements of these operations and of the work in the background were carried out on the largest \
             database, and their plans looked at: none may read a table of more than a thousand rows without an index, nor more than 20 rows \
             for each that it returns or changes, and a thousand besides. {COUNTED}\n",
            self.checked.statements
        );
        if !EXCEPTIONS.is_empty() {
            text += "\nAllowed by name:\n\n| statement with | because |\n| --- | --- |\n";
            for (part, reason) in EXCEPTIONS {
                let _ = writeln!(text, "| `{}` | {reason} |", part.replace('|', "\\|"));
            }
        }
        let bad = self.checked.findings.iter().filter(|finding| finding.excused.is_none());
        for finding in bad {
            let _ =
                write!(text, "\n**{}** ({}): `{}`\n", finding.problem, finding.sent_by, finding.statement);
        }
        text
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The commit at hand, if the program is run where it was built.
fn commit() -> Option<String> {
    let output = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output().ok()?;
    let commit = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !commit.is_empty()).then_some(commit)
}
