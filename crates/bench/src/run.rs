//! The measurements, in their order.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};

use crate::{
    Cli, Part,
    database::{self, Temporary},
    disturbance::Watch,
    expected::{self, Build, Expected, Figures},
    load::{self, LoadTarget, Outcome},
    paced::{self, Mix, Pace},
    process::Server,
    report::{Aim, Report},
    servers::{self, CROWD, POOL, Running},
    stage::{Bare, Other, Question, Stage, Subject},
};

/// Connections of clients in the measurements of throughput.
const CONNECTIONS: usize = 64;
/// Connections of clients where each request hashes a password.
const HASHING_CONNECTIONS: usize = 16;
/// How often a cold start is measured.
const STARTS: usize = 10;
/// After this time without requests a server counts as idle.
const REST: Duration = Duration::from_secs(5);
/// Under load before the first round, so that pools and caches are filled.
const WARM_UP_SECONDS: u64 = 1;
/// Requests in a second that are offered with 1,000 connections, and the aim for the 99th percentile in milliseconds.
const OFFERED: [(u32, Aim); 3] = [(250, Aim::None), (850, Aim::None), (1000, Aim::AtMost(100.0))];
/// Requests in a second by which the latency beside a flood of sign-ins is measured, and their connections.
const PROBE: (u32, usize) = (200, 20);

/// A measurement of throughput.
struct Throughput {
    part: Part,
    question: Question,
    /// What is asked of ours, and what the bare server does instead.
    name: &'static str,
    connections: usize,
    aim: Aim,
    aim_of_cpu: Aim,
}

const fn throughput(part: Part, question: Question, name: &'static str, aim: Aim) -> Throughput {
    Throughput { part, question, name, connections: CONNECTIONS, aim, aim_of_cpu: Aim::None }
}

/// What writes comes last: it makes lists longer.
const THROUGHPUT: [Throughput; 13] = [
    throughput(Part::Kept, Question::Kept, "page, kept answer | JWT, fixed bytes", Aim::AtLeast(0.65)),
    Throughput {
        aim_of_cpu: Aim::AtMost(2.0),
        ..throughput(Part::Read, Question::Read, "page, not kept | select by key", Aim::AtLeast(0.7))
    },
    throughput(Part::List, Question::List, "20 of 10,000 pages | select and count", Aim::None),
    throughput(Part::Search, Question::Search, "search among 10,000 pages | select and count", Aim::None),
    throughput(Part::Small, Question::Templates, "GET /templates | select", Aim::AtLeast(0.4)),
    throughput(Part::Small, Question::Profile, "GET /profile | select", Aim::AtLeast(0.4)),
    throughput(Part::Small, Question::Sites, "GET /sites | select", Aim::AtLeast(0.4)),
    throughput(Part::Small, Question::Plans, "GET /billing/plans | select", Aim::AtLeast(0.4)),
    throughput(Part::Audit, Question::Audit, "audit trail, filtered | select", Aim::None),
    throughput(
        Part::Published,
        Question::Published,
        "published page among 10,000 sites | fixed bytes",
        Aim::AtLeast(0.8),
    ),
    Throughput {
        connections: HASHING_CONNECTIONS,
        ..throughput(Part::Login, Question::Login, "login | argon2id", Aim::None)
    },
    Throughput {
        connections: HASHING_CONNECTIONS,
        ..throughput(Part::Register, Question::Register, "registration | argon2id", Aim::None)
    },
    throughput(Part::Create, Question::Create, "creation of a page | two inserts", Aim::AtLeast(0.6)),
];

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

    /// What a server does by itself: start and rest.
    async fn alone(&mut self) {
        if !self.cli.wants(Part::Start) && !self.cli.wants(Part::Idle) {
            return;
        }
        for name in ["SQLite", "Postgres"] {
            self.part(&format!("alone on {name}"), async |run| run.alone_on(name).await).await;
        }
    }

    async fn alone_on(&mut self, name: &'static str) -> anyhow::Result<()> {
        let url = |database: &Temporary| (name == "Postgres").then(|| database.url());
        let mut places = vec![Place {
            binary: self.binary.clone(),
            database: url(self.database),
            directory: self.directory(&format!("alone-{name}"))?,
        }];
        if let Some((binary, database)) = self.against {
            let directory = self.directory(&format!("alone-{name}-old"))?;
            places.push(Place { binary: binary.to_owned(), database: url(database), directory });
        }
        for place in &places {
            // The first start migrates and seeds, which is not what is measured.
            place.start().await?.server.stop().await?;
        }
        if self.cli.wants(Part::Start) {
            let mut times = vec![Vec::with_capacity(STARTS); places.len()];
            for _ in 0..STARTS {
                for (place, times) in places.iter().zip(&mut times) {
                    let running = place.start().await?;
                    times.push(running.started_in.as_secs_f64() * 1e3);
                    running.server.stop().await?;
                }
            }
            self.put(&format!("start, migrated, {name}"), "ms", &times, Aim::Below(100.0));
        }
        if self.cli.wants(Part::Idle) {
            let mut memory = Vec::with_capacity(places.len());
            for place in &places {
                let running = place.start().await?;
                tokio::time::sleep(REST).await;
                memory.push(running.server.memory()?);
                running.server.stop().await?;
            }
            let column = |pick: fn(&crate::process::Memory) -> f64| -> Vec<Vec<f64>> {
                memory.iter().map(|memory| vec![pick(memory)]).collect()
            };
            self.put(
                &format!("memory, idle, {name}"),
                "MB",
                &column(|memory| memory.resident),
                Aim::Below(45.0),
            );
            self.put("  of it anonymous", "MB", &column(|memory| memory.anonymous), Aim::None);
            self.put("  of it files", "MB", &column(|memory| memory.of_files), Aim::None);
            let resident = memory.first().map(|memory| memory.resident);
            match name {
                "SQLite" => self.figures.idle_sqlite_mb = resident,
                _ => self.figures.idle_postgres_mb = resident,
            }
        }
        Ok(())
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

    async fn create_on_sqlite(&mut self) -> anyhow::Result<()> {
        let directory = self.directory("sqlite-files")?;
        let ours = Subject::on_sqlite(&self.binary, &self.directory("sqlite")?).await?;
        let other = match self.against {
            Some((binary, _)) => {
                Other::Build(Box::new(Subject::on_sqlite(binary, &self.directory("sqlite-old")?).await?))
            }
            None => Other::Bare(Box::new(Bare::on_sqlite(&ours, &directory).await?)),
        };
        let stage = Stage { ours, other, directory };
        let name = "creation of a page on SQLite | two inserts";
        let create = throughput(Part::CreateSqlite, Question::Create, name, Aim::AtLeast(0.5));
        self.throughput(&stage, &create).await
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

    async fn latencies(&mut self, stage: &Stage) {
        if self.cli.wants(Part::Crowd) {
            self.part("1,000 connections", async |run| run.crowd(stage).await).await;
        }
        if self.cli.wants(Part::Offered) {
            for (rate, aim) in OFFERED {
                self.part(&format!("{rate} requests a second offered"), async |run| {
                    run.offered(stage, rate, aim).await
                })
                .await;
            }
        }
        if self.cli.wants(Part::Flood) {
            self.part("flood of logins", async |run| run.flood(stage).await).await;
        }
        if self.cli.wants(Part::Deploy) {
            self.part("deployment of 50 pages", async |run| {
                run.alternate_alone(
                    stage,
                    "deployment of 50 pages",
                    "ms",
                    Aim::None,
                    async |subject, round| subject.deploy(round).await,
                )
                .await
            })
            .await;
        }
    }

    /// Requests in a second of a closed loop, and processor time for each.
    async fn throughput(&mut self, stage: &Stage, measured: &Throughput) -> anyhow::Result<()> {
        let Throughput { question, name, connections, aim, aim_of_cpu, .. } = measured;
        stage.check(*question).await?;
        let rows = Rows::count(stage, *question).await?;
        let rounds = self.closed_loop(stage, [*question; 2], *connections).await?;
        let pick = |pick: fn(&Measurement) -> f64| -> Vec<(f64, f64)> {
            rounds.iter().map(|(ours, other)| (pick(ours), pick(other))).collect()
        };
        let name = self.name(name);
        self.report.compare(&name, "/s", &pick(|measured| measured.outcome.per_second()), self.aim(*aim));
        self.report.compare(
            "  CPU for each request",
            "µs",
            &pick(|measured| measured.cpu),
            self.aim(*aim_of_cpu),
        );
        check_errors(stage, rounds.iter().flat_map(|(ours, other)| [&ours.outcome, &other.outcome])).await?;
        if let Some(rows) = rows {
            let answers = rounds.iter().map(|(ours, other)| [ours.outcome.requests, other.outcome.requests]);
            rows.check(stage, answers.fold([0, 0], |sum, round| [sum[0] + round[0], sum[1] + round[1]]))
                .await?;
        }
        Ok(())
    }

    /// Aims are those of ours beside the bare server; another build is none.
    const fn aim(&self, aim: Aim) -> Aim {
        if self.against.is_some() { Aim::None } else { aim }
    }

    async fn closed_loop(
        &self,
        stage: &Stage,
        [question, beside]: [Question; 2],
        connections: usize,
    ) -> anyhow::Result<Vec<(Measurement, Measurement)>> {
        let (ours, other) = (&stage.ours.running, stage.other.running());
        let (to_ours, to_other) = (stage.ours.target(question), stage.other_target(beside));
        let load = async |running: &Running, target: &LoadTarget, label: String, seconds: u64| {
            measure(&stage.directory, &label, running, target, connections, seconds).await
        };
        let label = |round: usize| format!("{question:?}-{connections}-{round}").to_lowercase();
        load(ours, &to_ours, label(0), WARM_UP_SECONDS).await?;
        load(other, &to_other, label(0), WARM_UP_SECONDS).await?;
        let kept = match question.kept() {
            Some((about, _)) => stage.ours.kept(about).await?,
            None => None,
        };
        let rounds = self
            .alternate(
                stage,
                async |round| load(ours, &to_ours, label(round), self.cli.seconds).await,
                async |round| load(other, &to_other, label(round), self.cli.seconds).await,
                Measurement::text,
            )
            .await?;
        if let (Some((about, [least, most])), Some(before)) = (question.kept(), kept) {
            let now = stage.ours.kept(about).await?.context("answers are not counted any more")?;
            let share = (now.0 - before.0) / (now.1 - before.1);
            println!("  {:.1} % were answered with what was kept", share * 100.0);
            ensure!(
                (least..=most).contains(&share),
                "{:.1} % were answered with what was kept",
                share * 100.0
            );
        }
        Ok(rounds)
    }

    /// Ours, the other one, ours, the other one …, each when the background work of both is done.
    async fn alternate<T>(
        &self,
        stage: &Stage,
        ours: impl AsyncFn(usize) -> anyhow::Result<T>,
        other: impl AsyncFn(usize) -> anyhow::Result<T>,
        text: impl Fn(&T) -> String,
    ) -> anyhow::Result<Vec<(T, T)>> {
        let mut rounds = Vec::with_capacity(self.cli.rounds);
        for round in 1..=self.cli.rounds {
            settle(stage).await?;
            let ours = ours(round).await?;
            settle(stage).await?;
            let other = other(round).await?;
            println!("  round {round}: {}; beside {}", text(&ours), text(&other));
            rounds.push((ours, other));
        }
        Ok(rounds)
    }

    /// Something that the bare server has nothing to set against: of ours alone, or of both builds.
    async fn alternate_alone(
        &mut self,
        stage: &Stage,
        name: &str,
        unit: &str,
        aim: Aim,
        measure: impl AsyncFn(&Subject, usize) -> anyhow::Result<f64>,
    ) -> anyhow::Result<()> {
        // The first time fills caches.
        measure(&stage.ours, 0).await?;
        if let Other::Build(other) = &stage.other {
            measure(other, 0).await?;
            let ours = async |round| measure(&stage.ours, round).await;
            let other = async |round| measure(other, round).await;
            let rounds = self.alternate(stage, ours, other, |value| format!("{value:.0} {unit}")).await?;
            self.report.compare_with_own_aim(name, unit, &rounds, aim);
            return Ok(());
        }
        let mut values = Vec::with_capacity(self.cli.rounds);
        for round in 1..=self.cli.rounds {
            settle(stage).await?;
            values.push(measure(&stage.ours, round).await?);
        }
        self.report.state(name, unit, &values, aim);
        Ok(())
    }

    /// A closed loop of many connections.
    async fn crowd(&mut self, stage: &Stage) -> anyhow::Result<()> {
        // What the aim was set for: whoever asks is hardly ever the only one, and the answer is kept.
        let beside = if self.against.is_some() { Question::Kept } else { Question::Read };
        let rounds = self.closed_loop(stage, [Question::Kept, beside], CROWD).await?;
        let pick = |pick: fn(&Outcome) -> f64| -> Vec<(f64, f64)> {
            rounds.iter().map(|(ours, other)| (pick(&ours.outcome), pick(&other.outcome))).collect()
        };
        let name = self.name("page, kept answer, 1,000 connections | select by key");
        self.report.compare(&name, "/s", &pick(Outcome::per_second), Aim::None);
        self.report.compare(
            "  99th percentile",
            "ms",
            &pick(|outcome| outcome.p99 / 1e3),
            self.aim(Aim::AtMost(2.5)),
        );
        check_errors(stage, rounds.iter().flat_map(|(ours, other)| [&ours.outcome, &other.outcome])).await
    }

    /// Reads and writes at a given rate, on many connections.
    async fn offered(&mut self, stage: &Stage, rate: u32, aim: Aim) -> anyhow::Result<()> {
        // One in five makes a page, and so invalidates what is kept of the tenant.
        let asks = [Question::Kept, Question::Read, Question::Kept, Question::Read, Question::Create];
        let ours: Mix = asks.iter().map(|question| stage.ours.target(*question)).collect();
        let other: Mix = asks.iter().map(|question| stage.other_target(*question)).collect();
        paced::check(&format!("check-{rate}"), &ours).await?;
        paced::check(&format!("check-{rate}"), &other).await?;
        let pace = Pace { rate, seconds: self.cli.seconds, connections: CROWD };
        let name = |round| format!("offered-{rate}-{round}");
        let rounds = self
            .alternate(
                stage,
                async |round| paced::run(&name(round), &ours, pace).await,
                async |round| paced::run(&name(round), &other, pace).await,
                latencies,
            )
            .await?;
        let picks: [(_, Pick, _); 3] = [
            ("median", |outcome| outcome.p50, if rate == 1000 { Aim::AtMost(25.0) } else { Aim::None }),
            (
                "95th percentile",
                |outcome| outcome.p95,
                if rate == 1000 { Aim::AtMost(50.0) } else { Aim::None },
            ),
            ("99th percentile", |outcome| outcome.p99, aim),
        ];
        for (percentile, pick, aim) in picks {
            let values: Vec<_> =
                rounds.iter().map(|(ours, other)| (pick(ours) / 1e3, pick(other) / 1e3)).collect();
            let name = format!("{rate}/s, reads and writes, 1,000 connections: {percentile}");
            self.report.compare_with_own_aim(&name, "ms", &values, aim);
        }
        check_errors(stage, rounds.iter().flat_map(|(ours, other)| [ours, other])).await
    }

    /// How long other requests take while many sign in.
    async fn flood(&mut self, stage: &Stage) -> anyhow::Result<()> {
        let rounds = match &stage.other {
            Other::Build(other) => {
                self.alternate(
                    stage,
                    async |round| self.beside_flood(stage, &stage.ours, round).await,
                    async |round| self.beside_flood(stage, other, round).await,
                    latencies,
                )
                .await?
            }
            Other::Bare(_) => {
                self.alternate(
                    stage,
                    async |round| self.beside_flood(stage, &stage.ours, round).await,
                    async |round| self.probe(&stage.ours, &format!("quiet-{round}")).await,
                    latencies,
                )
                .await?
            }
        };
        let values: Vec<_> = rounds.iter().map(|(ours, other)| (ours.p99 / 1e3, other.p99 / 1e3)).collect();
        let name = self.name("99th percentile of reads under a flood of logins | without");
        self.report.compare(&name, "ms", &values, self.aim(Aim::AtMost(2.0)));
        check_errors(stage, rounds.iter().flat_map(|(ours, other)| [ours, other])).await
    }

    async fn probe(&self, subject: &Subject, name: &str) -> anyhow::Result<Outcome> {
        let asks = [Question::Read, Question::Profile, Question::Sites, Question::Kept, Question::Templates];
        let mix: Mix = asks.iter().map(|question| subject.target(*question)).collect();
        let (rate, connections) = PROBE;
        // Twice as long as elsewhere: at this rate there are few values beyond the 99th percentile.
        paced::run(name, &mix, Pace { rate, seconds: 2 * self.cli.seconds, connections }).await
    }

    async fn beside_flood(&self, stage: &Stage, subject: &Subject, round: usize) -> anyhow::Result<Outcome> {
        let name = format!("flood-{round}");
        let login = subject.target(Question::Login);
        // It begins before and ends after what is measured.
        let flood = load::run(&stage.directory, &name, &login, CONNECTIONS, 2 * self.cli.seconds + 2);
        let probe = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.probe(subject, &name).await
        };
        let (flood, probe) = tokio::try_join!(flood, probe)?;
        check_errors(stage, [&flood]).await?;
        Ok(probe)
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

/// A figure of an outcome.
type Pick = fn(&Outcome) -> f64;

/// A program with its data.
struct Place {
    binary: PathBuf,
    database: Option<String>,
    directory: PathBuf,
}

impl Place {
    /// Starts it with default settings.
    async fn start(&self) -> anyhow::Result<Running> {
        servers::portico_of(&self.binary, self.database.as_deref(), &self.directory).await
    }
}

async fn settle(stage: &Stage) -> anyhow::Result<()> {
    let other: &Server = &stage.other.running().server;
    tokio::try_join!(stage.ours.running.server.settle(), other.settle())?;
    Ok(())
}

/// Rows of pages and events in the tables that each server writes to.
struct Rows([[i64; 2]; 2]);

impl Rows {
    /// `None` where nothing is created.
    async fn count(stage: &Stage, question: Question) -> anyhow::Result<Option<Self>> {
        if question != Question::Create {
            return Ok(None);
        }
        let mut rows = [[0; 2]; 2];
        let places = [(stage.ours.database.as_str(), ["pages", "events"]), stage.other.written()];
        for (rows, (database, tables)) in rows.iter_mut().zip(places) {
            for (rows, table) in rows.iter_mut().zip(tables) {
                *rows = database::count(database, table).await?;
            }
        }
        Ok(Some(Self(rows)))
    }

    /// A server that answers without writing would be fast. There may be more rows than answers: of the warm-up, and of requests
    /// that were under way when a round ended.
    async fn check(&self, stage: &Stage, answers: [u64; 2]) -> anyhow::Result<()> {
        let now = Self::count(stage, Question::Create).await?.context("no rows")?;
        for ((before, now), answers) in self.0.iter().zip(now.0).zip(answers) {
            for (before, now) in before.iter().zip(now) {
                let written = u64::try_from(now - before)?;
                ensure!(written >= answers, "{written} rows of pages or events for {answers} answers");
            }
        }
        Ok(())
    }
}

/// Figures among which there are errors say nothing: a refusal takes no time.
async fn check_errors<'o>(
    stage: &Stage,
    outcomes: impl IntoIterator<Item = &'o Outcome>,
) -> anyhow::Result<()> {
    let (mut failed, mut refused, mut answers) = (0, 0, 0);
    for outcome in outcomes {
        failed += outcome.failed;
        refused += outcome.refused;
        answers += outcome.requests;
    }
    if failed + refused == 0 {
        return Ok(());
    }
    bail!(
        "{refused} answers with another status and {failed} requests without an answer, {answers} answers in all; admission control \
         of ours has refused {} requests since it was started",
        stage.ours.not_admitted().await?
    );
}

/// Measurement of one server in one round.
struct Measurement {
    outcome: Outcome,
    /// Microseconds of processor time for each request.
    cpu: f64,
}

async fn measure(
    directory: &Path,
    label: &str,
    running: &Running,
    target: &LoadTarget,
    connections: usize,
    seconds: u64,
) -> anyhow::Result<Measurement> {
    let before = running.server.cpu_seconds()?;
    let outcome =
        load::run(directory, label, target, connections, seconds).await.context(target.path.clone())?;
    let used = running.server.cpu_seconds()? - before;
    Ok(Measurement { outcome, cpu: used * 1e6 / outcome.requests as f64 })
}

impl Measurement {
    fn text(&self) -> String {
        let Outcome { p50, p99, failed, refused, .. } = self.outcome;
        let mut text = format!(
            "{:.0}/s, p50 {:.1} ms, p99 {:.1} ms, CPU {:.0} µs",
            self.outcome.per_second(),
            p50 / 1e3,
            p99 / 1e3,
            self.cpu
        );
        if self.outcome.errors() > 0 {
            text += &format!(", {failed} FAILED, {refused} REFUSED");
        }
        text
    }
}

fn latencies(outcome: &Outcome) -> String {
    let Outcome { p50, p95, p99, failed, refused, .. } = outcome;
    let mut text = format!("p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms", p50 / 1e3, p95 / 1e3, p99 / 1e3);
    if outcome.errors() > 0 {
        text += &format!(", {failed} FAILED, {refused} REFUSED");
    }
    text
}
