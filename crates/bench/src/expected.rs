//! What the size of the program and its memory at rest are expected to be: `expected.toml`, which is committed. A change that
//! moves them out of their bounds has to change that file, too.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;

/// How far the size of the program may be from what is expected.
const SIZE_MARGIN: f64 = 0.05;
/// How far the memory may be.
const MEMORY_MARGIN: f64 = 0.2;

/// Under what figures hold: others are not compared with them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Build {
    /// Name of the Cargo profile.
    pub profile: String,
    /// Architecture of the processor.
    pub architecture: String,
    /// Processors: each has threads.
    pub cores: usize,
}

impl Build {
    /// Of this machine. The profile is the name of the directory that holds the program.
    pub fn of(binary: &Path) -> Self {
        let profile = binary.parent().and_then(Path::file_name).unwrap_or_default();
        Self {
            profile: profile.to_string_lossy().into_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            cores: crate::servers::workers(),
        }
    }
}

/// The figures; those that are absent were not measured.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Figures {
    /// Size of the program, in bytes.
    pub binary_bytes: Option<u64>,
    /// Resident memory of an idle server on SQLite, in MB (10⁶ bytes).
    pub idle_sqlite_mb: Option<f64>,
    /// The same on Postgres.
    pub idle_postgres_mb: Option<f64>,
}

impl Figures {
    fn each(&self) -> [(&'static str, Option<f64>, f64); 3] {
        [
            ("binary_bytes", self.binary_bytes.map(|bytes| bytes as f64), SIZE_MARGIN),
            ("idle_sqlite_mb", self.idle_sqlite_mb, MEMORY_MARGIN),
            ("idle_postgres_mb", self.idle_postgres_mb, MEMORY_MARGIN),
        ]
    }
}

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expected {
    build: Build,
    figures: Figures,
}

impl Expected {
    /// What is committed.
    pub fn read() -> anyhow::Result<Self> {
        let path = path();
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }

    /// Compares; the lines to print, and whether all that could be compared is within its bounds.
    pub fn compare(&self, build: &Build, measured: &Figures) -> (Vec<String>, bool) {
        if self.figures == Figures::default() {
            let text = "expected.toml has no figures: not compared. `--record` writes them.";
            return (vec![text.to_owned()], true);
        }
        if *build != self.build {
            let text =
                format!("expected.toml holds for {:?}, and this is {build:?}: not compared.", self.build);
            return (vec![text], true);
        }
        let mut is_within = true;
        let pairs = self.figures.each().into_iter().zip(measured.each());
        let lines = pairs.map(|((name, expected, margin), (_, measured, _))| match (expected, measured) {
            (None, _) => format!("{name}: not compared, none is committed"),
            (_, None) => format!("{name}: not compared, not measured in this run"),
            (Some(expected), Some(measured)) => {
                let off = measured / expected - 1.0;
                let is_close = (measured - expected).abs() <= margin * expected;
                let verdict = if is_close { "within" } else { "LEFT" };
                is_within &= is_close;
                format!(
                    "{name}: {measured:.1}, expected {expected:.1} ({:+.1} %): {verdict} ± {:.0} %",
                    off * 100.0,
                    margin * 100.0
                )
            }
        });
        (lines.collect(), is_within)
    }
}

/// Writes what was measured as what is expected from now on, and returns where.
pub fn record(build: &Build, figures: &Figures) -> anyhow::Result<PathBuf> {
    let path = path();
    std::fs::write(&path, text(build, figures))?;
    Ok(path)
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("expected.toml")
}

fn text(build: &Build, figures: &Figures) -> String {
    let Build { profile, architecture, cores } = build;
    let mut text = format!(
        "# Written by `scripts/bench --record`; compared by each run of the benchmark: the size within 5 %, memory (in MB, 10⁶ bytes)\n\
         # within 20 %. A figure that is absent is not compared.\n\n\
         [build]\nprofile = {profile:?}\narchitecture = {architecture:?}\ncores = {cores}\n\n[figures]\n"
    );
    if let Some(bytes) = figures.binary_bytes {
        text += &format!("binary_bytes = {bytes}\n");
    }
    for (name, value) in
        [("idle_sqlite_mb", figures.idle_sqlite_mb), ("idle_postgres_mb", figures.idle_postgres_mb)]
    {
        if let Some(value) = value {
            text += &format!("{name} = {value:.1}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build() -> Build {
        Build { profile: "dist".to_owned(), architecture: "x86_64".to_owned(), cores: 2 }
    }

    fn figures(bytes: u64, sqlite: f64) -> Figures {
        Figures { binary_bytes: Some(bytes), idle_sqlite_mb: Some(sqlite), idle_postgres_mb: None }
    }

    fn expected() -> Expected {
        Expected { build: build(), figures: figures(1000, 40.0) }
    }

    #[test]
    fn a_figure_may_be_off_by_its_margin_in_both_directions() {
        let is_within = |bytes, sqlite| expected().compare(&build(), &figures(bytes, sqlite)).1;
        assert!(is_within(1000, 40.0) && is_within(1050, 48.0) && is_within(950, 32.0));
        assert!(!is_within(1051, 40.0) && !is_within(949, 40.0));
        assert!(!is_within(1000, 48.1) && !is_within(1000, 31.9));
    }

    #[test]
    fn what_cannot_be_compared_is_said_and_is_no_failure() {
        let (lines, is_within) = Expected::default().compare(&build(), &figures(1, 1.0));
        assert!(is_within && lines.len() == 1 && lines[0].contains("no figures"), "{lines:?}");
        let other = Build { profile: "debug".to_owned(), ..build() };
        let (lines, is_within) = expected().compare(&other, &figures(1, 1.0));
        assert!(is_within && lines[0].contains("not compared"), "{lines:?}");
        let (lines, is_within) = expected().compare(&build(), &Figures::default());
        assert!(is_within && lines.iter().all(|line| line.contains("not compared")), "{lines:?}");
    }

    #[test]
    fn what_is_recorded_can_be_read() {
        let expected = Expected { build: build(), figures: figures(1000, 40.5) };
        assert_eq!(toml::from_str::<Expected>(&text(&build(), &figures(1000, 40.5))).unwrap(), expected);
        assert!(Expected::read().is_ok());
    }
}
