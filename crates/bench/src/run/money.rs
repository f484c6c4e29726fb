//! The parts of money and downloads: on a database of their own, which is filled with what they need.

use std::time::Duration;

use super::{CONNECTIONS, Run};
use crate::{
    Part,
    database::Temporary,
    money::{Rounds, Stage, downloads, gate, reports, usage, webhooks_in},
};

impl Run<'_> {
    pub(super) async fn money(&mut self) -> anyhow::Result<()> {
        let wanted: Vec<Part> = Part::MONEY.into_iter().filter(|part| self.cli.wants(*part)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        if self.against.is_some() {
            println!(
                "Money and downloads are not compared with another build: measure each of them with --server."
            );
            return Ok(());
        }
        let database = Temporary::of_money().await?;
        let outcome = self.money_on(&database, &wanted).await;
        database.drop().await?;
        outcome
    }

    async fn money_on(&mut self, database: &Temporary, wanted: &[Part]) -> anyhow::Result<()> {
        println!("filling the database of money and downloads");
        let directory = self.directory("money")?;
        let stage = Stage::on(&self.binary, database, &directory, wanted).await?;
        let rounds = Rounds { number: self.cli.rounds, seconds: self.cli.seconds, connections: CONNECTIONS };
        let pause = Duration::from_millis(self.cli.reader_pause);
        for part in wanted {
            match part {
                Part::WebhooksIn => {
                    self.part("events of Stripe | insert", async |run| {
                        webhooks_in::measure(&stage, rounds, &mut run.report).await
                    })
                    .await;
                }
                Part::Gate => {
                    self.part("gate of plans", async |run| {
                        gate::measure(&stage, rounds, &mut run.report).await
                    })
                    .await;
                }
                Part::Usage => {
                    self.part("usage of a tenant with a million events", async |run| {
                        usage::measure(&stage, rounds, &mut run.report).await
                    })
                    .await;
                }
                Part::Reports => {
                    self.part("reports of 100,000 purchases", async |run| {
                        reports::measure(&stage, rounds, &mut run.report).await
                    })
                    .await;
                }
                Part::Downloads => {
                    self.part("1,000 downloads of 100 MB", async |run| {
                        downloads::measure(&stage, rounds, pause, &mut run.report).await
                    })
                    .await;
                }
                _ => {}
            }
        }
        stage.running.server.stop().await
    }
}
