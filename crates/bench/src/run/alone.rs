//! What a server does by itself: start and rest.

use std::path::PathBuf;

use super::{REST, Run};
use crate::{
    Part,
    database::Temporary,
    process::Memory,
    report::Aim,
    servers::{self, Running},
};

/// How often a cold start is measured.
const STARTS: usize = 10;

impl Run<'_> {
    /// What a server does by itself: start and rest.
    pub(super) async fn alone(&mut self) {
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
            self.put(&format!("start, migrated, {name}"), "ms", &times, Aim::AtMost(40.0));
        }
        if self.cli.wants(Part::Idle) {
            let mut memory = Vec::with_capacity(places.len());
            for place in &places {
                let running = place.start().await?;
                tokio::time::sleep(REST).await;
                memory.push(running.server.memory()?);
                running.server.stop().await?;
            }
            let column = |pick: fn(&Memory) -> f64| -> Vec<Vec<f64>> {
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
}

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
