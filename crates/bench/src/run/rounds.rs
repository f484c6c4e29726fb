//! Rounds: ours and the other one in turn.

use std::path::Path;

use anyhow::{Context, bail, ensure};

use super::Run;
use crate::{
    load::{self, LoadTarget, Outcome},
    process::Server,
    report::Aim,
    servers::Running,
    stage::{Other, Question, Stage, Subject},
};

/// Under load before the first round, so that pools and caches are filled.
const WARM_UP_SECONDS: u64 = 1;

impl Run<'_> {
    pub(super) async fn closed_loop(
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
    pub(super) async fn alternate<T>(
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
    pub(super) async fn alternate_alone(
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
}

async fn settle(stage: &Stage) -> anyhow::Result<()> {
    let other: &Server = &stage.other.running().server;
    tokio::try_join!(stage.ours.running.server.settle(), other.settle())?;
    Ok(())
}

/// Figures among which there are errors say nothing: a refusal takes no time.
pub(super) async fn check_errors<'o>(
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
pub(super) struct Measurement {
    pub outcome: Outcome,
    /// Microseconds of processor time for each request.
    pub cpu: f64,
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
