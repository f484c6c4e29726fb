//! Requests in a second of closed loops.

use anyhow::{Context, ensure};

use super::{
    CONNECTIONS, HASHING_CONNECTIONS, Run,
    rounds::{Measurement, check_errors},
};
use crate::{
    Part, database,
    report::Aim,
    stage::{Bare, Other, Question, Stage, Subject},
};

/// A measurement of throughput.
pub(super) struct Throughput {
    pub part: Part,
    question: Question,
    /// What is asked of ours, and what the bare server does instead.
    pub name: &'static str,
    connections: usize,
    aim: Aim,
    aim_of_cpu: Aim,
}

const fn throughput(part: Part, question: Question, name: &'static str, aim: Aim) -> Throughput {
    Throughput { part, question, name, connections: CONNECTIONS, aim, aim_of_cpu: Aim::None }
}

/// What writes comes last: it makes lists longer.
pub(super) const THROUGHPUT: [Throughput; 13] = [
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
        Aim::AtLeast(0.85),
    ),
    Throughput {
        connections: HASHING_CONNECTIONS,
        ..throughput(Part::Login, Question::Login, "login | argon2id", Aim::None)
    },
    Throughput {
        connections: HASHING_CONNECTIONS,
        ..throughput(Part::Register, Question::Register, "registration | argon2id", Aim::None)
    },
    throughput(Part::Create, Question::Create, "creation of a page | two inserts", Aim::AtLeast(0.7)),
];

impl Run<'_> {
    pub(super) async fn create_on_sqlite(&mut self) -> anyhow::Result<()> {
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

    /// Requests in a second of a closed loop, and processor time for each.
    pub(super) async fn throughput(&mut self, stage: &Stage, measured: &Throughput) -> anyhow::Result<()> {
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
