//! Latencies: on many connections, at given rates, and beside other load.

use std::time::Duration;

use super::{CONNECTIONS, Run, rounds::check_errors};
use crate::{
    Part,
    load::{self, Outcome},
    paced::{self, Mix, Pace},
    report::Aim,
    servers::CROWD,
    stage::{Other, Question, Stage, Subject},
};

/// Requests in a second that are offered with 1,000 connections, and the aim for the 99th percentile in milliseconds.
const OFFERED: [(u32, Aim); 3] = [(250, Aim::None), (850, Aim::None), (1000, Aim::AtMost(100.0))];

/// Requests in a second by which the latency beside a flood of sign-ins is measured, and their connections.
const PROBE: (u32, usize) = (200, 20);

impl Run<'_> {
    pub(super) async fn latencies(&mut self, stage: &Stage) {
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
}

/// A figure of an outcome.
type Pick = fn(&Outcome) -> f64;

fn latencies(outcome: &Outcome) -> String {
    let Outcome { p50, p95, p99, failed, refused, .. } = outcome;
    let mut text = format!("p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms", p50 / 1e3, p95 / 1e3, p99 / 1e3);
    if outcome.errors() > 0 {
        text += &format!(", {failed} FAILED, {refused} REFUSED");
    }
    text
}
