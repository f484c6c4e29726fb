//! The measurements, in their order.

mod alone;
mod latency;
mod money;
mod rounds;
mod throughput;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::ensure;

use self::throughput::THROUGHPUT;
use crate::{
    Cli, Part,
    database::Temporary,
    disturbance::Watch,
    expected::{self, Build, Expected, Figures},
    report::{Aim, Report},
    servers::{self, POOL},
    stage::{Bare, Other, Stage, Subject},
};

/// Connections of clients in the measurements of throughput.
const CONNECTIONS: usize = 64;
/// Connections of clients where each request hashes a password.
const HASHING_CONNECTIONS: usize = 16;
/// After this time without requests a server counts as idle.
const REST: Duration = Duration::from_secs(5);

/// Measures what was asked for, and prints the tables. Returns whether all figures are valid, and the size of the program and its
/// memory at rest are as expected.
pub async fn everything(cli: &Cli, database: &Temporary) -> anyhow::Result<bool> {
    let Some(build) = &cli.against else { return Run::new(cli, database, None)?.all().await };
    ensure!(build.is_file(), "{} is no file", build.display());
    let another = Temporary::another().await?;
    let outcome = match Run::new(cli, database, Some((build, &another))) {
        Ok(run) => run.all().await,
        Err(error) => Err(error),
    };
    another.drop().await?;
    outcome
}

/// A run of the benchmark.
struct Run<'a> {
    cli: &'a Cli,
    database: &'a Temporary,
    /// Another build and its database, to compare with it instead of with the bare server.
    against: Option<(&'a Path, &'a Temporary)>,
    binary: PathBuf,
    directory: tempfile::TempDir,
    report: Report,
    figures: Figures,
    postgres: Vec<u32>,
}

impl<'a> Run<'a> {
    fn new(
        cli: &'a Cli,
        database: &'a Temporary,
        against: Option<(&'a Path, &'a Temporary)>,
    ) -> anyhow::Result<Self> {
        // Not where temporary files may be kept in memory: SQLite is to write to a disk.
        let disk = Path::new("/var/tmp");
        let parent = if disk.is_dir() { disk.to_owned() } else { std::env::temp_dir() };
        let directory = tempfile::Builder::new().prefix("portico-bench-").tempdir_in(parent)?;
        let heads = if against.is_some() { ["new", "old"] } else { ["ours", "bare"] };
        let (report, binary) = (Report::of(heads), servers::portico_binary()?);
        Ok(Self {
            cli,
            database,
            against,
            binary,
            directory,
            report,
            figures: Figures::default(),
            postgres: Vec::new(),
        })
    }

    async fn all(mut self) -> anyhow::Result<bool> {
        let begin = Instant::now();
        self.postgres = self.database.process().await?.into_iter().collect();
        println!("{}.", self.database.description().await?);
        if !self.database.is_durable().await? {
            println!(
                "Commits are not made durable: production does that, so set PORTICO_TEST_POSTGRES_DURABLE=1."
            );
        }
        self.alone().await;
        if self.cli.wants(Part::CreateSqlite) {
            self.part("creation on SQLite", async |run| run.create_on_sqlite().await).await;
        }
        if Part::BESIDE.into_iter().any(|part| self.cli.wants(part)) {
            let stage = self.stage_on_postgres().await?;
            self.beside(&stage).await;
            let Stage { ours, other, .. } = stage;
            ours.running.server.stop().await?;
            if let Other::Build(other) = other {
                other.running.server.stop().await?;
            }
        }
        if let Err(error) = self.money().await {
            println!("  INVALID: {error:#}");
            self.report.invalid("money and downloads", &format!("{error:#}"));
        }
        self.print(begin.elapsed()).await
    }

    /// Measures a part, with what disturbed it. What goes wrong makes this part invalid, and the next one is measured.
    async fn part(&mut self, name: &str, measure: impl AsyncFnOnce(&mut Self) -> anyhow::Result<()>) {
        let name = self.name(name);
        println!("{name}");
        self.report.begin(&name);
        let watch = Watch::begin(&self.postgres);
        if let Err(error) = measure(self).await {
            println!("  INVALID: {error:#}");
            self.report.invalid(&name, &format!("{error:#}"));
        }
        match watch.and_then(Watch::end) {
            Ok(disturbance) => self.report.end(disturbance),
            Err(error) => self.report.invalid(&name, &format!("what disturbed it is not known: {error:#}")),
        }
    }

    /// The name of a figure; without what the bare server does where there is none.
    fn name(&self, name: &str) -> String {
        match name.split_once(" | ") {
            Some((name, _)) if self.against.is_some() => name.to_owned(),
            _ => name.replace('|', "beside"),
        }
    }

    /// A new directory.
    fn directory(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.directory.path().join(name);
        std::fs::create_dir(&path)?;
        Ok(path)
    }

    /// Adds figures of one or of two programs, as many for each.
    fn put(&mut self, name: &str, unit: &str, values: &[Vec<f64>], aim: Aim) {
        match values {
            [ours, other] => {
                let pairs: Vec<_> = ours.iter().copied().zip(other.iter().copied()).collect();
                self.report.compare_with_own_aim(name, unit, &pairs, aim);
            }
            _ => self.report.state(name, unit, values.first().map_or(&[], Vec::as_slice), aim),
        }
    }

    async fn stage_on_postgres(&mut self) -> anyhow::Result<Stage> {
        println!("filling the database");
        let directory = self.directory("files")?;
        let ours = Subject::on_postgres(&self.binary, self.database, &self.directory("ours")?).await?;
        let other = match self.against {
            Some((binary, database)) => {
                let subject = Subject::on_postgres(binary, database, &self.directory("old")?).await?;
                Other::Build(Box::new(subject))
            }
            None => Other::Bare(Box::new(Bare::on_postgres(&ours, self.database, &directory).await?)),
        };
        Ok(Stage { ours, other, directory })
    }

    /// What a server does under load beside the other one.
    async fn beside(&mut self, stage: &Stage) {
        for measured in &THROUGHPUT {
            // Those that write many pages come behind these.
            if measured.part == Part::Create {
                self.latencies(stage).await;
            }
            if self.cli.wants(measured.part) {
                self.part(measured.name, async |run| run.throughput(stage, measured).await).await;
            }
        }
        if self.cli.wants(Part::Seal) {
            self.part("sealing of the audit trail", async |run| {
                run.alternate_alone(stage, "events sealed", "/s", Aim::None, async |subject, _| {
                    subject.seal().await
                })
                .await
            })
            .await;
        }
        self.part("memory after the load", async |run| run.memory(stage).await).await;
    }

    /// Aims are those of ours beside the bare server; another build is none.
    const fn aim(&self, aim: Aim) -> Aim {
        if self.against.is_some() { Aim::None } else { aim }
    }

    async fn memory(&mut self, stage: &Stage) -> anyhow::Result<()> {
        tokio::time::sleep(REST).await;
        let memory = (stage.ours.running.server.memory()?, stage.other.running().server.memory()?);
        let (ours, other) = memory;
        self.report.compare("memory after the load", "MB", &[(ours.resident, other.resident)], Aim::None);
        self.report.compare("  of it anonymous", "MB", &[(ours.anonymous, other.anonymous)], Aim::None);
        self.report.compare("  of it files", "MB", &[(ours.of_files, other.of_files)], Aim::None);
        Ok(())
    }

    async fn print(mut self, took: Duration) -> anyhow::Result<bool> {
        let build = Build::of(&self.binary);
        self.figures.binary_bytes = Some(std::fs::metadata(&self.binary)?.len());
        let Build { profile, architecture, cores } = &build;
        println!(
            "\n{cores} cores ({architecture}), profile {profile}; {}; {cores} workers and {POOL} connections to it for each server; \
             {} rounds of {} s; {CONNECTIONS} connections of clients ({HASHING_CONNECTIONS} where passwords are hashed); \
             everything on this machine, at once. It took {:.1} minutes.\n",
            self.database.description().await?,
            self.cli.rounds,
            self.cli.seconds,
            took.as_secs_f64() / 60.0,
        );
        println!("{}\n{}", self.report.text(), self.report.disturbances());
        let is_as_expected = if self.cli.record {
            println!("Recorded in {}.", expected::record(&build, &self.figures)?.display());
            true
        } else {
            let (lines, is_as_expected) = Expected::read()?.compare(&build, &self.figures);
            println!("{}", lines.join("\n"));
            is_as_expected
        };
        if !self.report.is_valid() {
            println!("\nSome figures are INVALID.");
        }
        Ok(is_as_expected && self.report.is_valid())
    }
}
