//! How fast jobs are claimed and finished, compared with bare `SKIP LOCKED`.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::ensure;
use sqlx::{
    AssertSqlSafe, PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
};
use uuid::Uuid;

use crate::{
    database::Temporary,
    process::Server,
    report::{Aim, Report},
    servers,
};

/// Jobs that are taken in one transaction at most: as many as ours.
const BATCH: i64 = 128;

/// How often to look whether all are done.
const PAUSE: Duration = Duration::from_millis(10);

/// Notices to erased accounts: no mail is sent, so what is measured is the queue.
const PAYLOAD: &str = r#"{"userId": "018f0000-0000-7000-8000-000000000000", "email": "[erased]", "fullName": "Erased person",
    "language": "en", "notice": {"account": {"what": "totp_added"}}}"#;

/// Whether jobs go through the queue as fast as the database can.
#[derive(clap::Args)]
pub struct Jobs {
    /// Jobs in a round.
    #[arg(long, default_value_t = 50_000)]
    jobs: i32,
    /// How often ours and the bare ones alternate.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Concurrency of a worker, and connections of the bare loops.
    #[arg(long, default_value_t = 4)]
    hands: u32,
}

/// Measures, and prints the table.
pub async fn run(arguments: &Jobs, database: &Temporary) -> anyhow::Result<()> {
    let directory = tempfile::Builder::new().prefix("portico-bench-").tempdir()?;
    let worker = start_worker(arguments, database, directory.path()).await?;
    let pool = PgPoolOptions::new()
        .max_connections(arguments.hands + 1)
        .test_before_acquire(false)
        .connect_with(database.url().parse::<PgConnectOptions>()?)
        .await?;
    sqlx::query("create table bare_jobs (like jobs including all)").execute(&pool).await?;
    let mut rounds = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..=arguments.rounds {
        let ours = ours(arguments, &pool).await?;
        for (pairs, way) in rounds.iter_mut().zip(Way::ALL) {
            let bare = bare(arguments, &pool, way).await?;
            // The first round fills caches.
            if round > 0 {
                println!("round {round}: ours {ours:.0}/s, {} {bare:.0}/s", way.name());
                pairs.push((ours, bare));
            }
        }
    }
    worker.stop().await?;
    let mut report = Report::default();
    for (pairs, way) in rounds.iter().zip(Way::ALL) {
        report.compare(&format!("jobs | {}", way.name()), "/s", pairs, way.aim());
    }
    println!(
        "\n{} cores; {}; {} jobs in a round; one worker with {} hands beside {} connections without anything around \
         them; everything on this machine.\n\n{}",
        servers::workers(),
        database.description().await?,
        arguments.jobs,
        arguments.hands,
        arguments.hands,
        report.text(),
    );
    Ok(())
}

async fn start_worker(arguments: &Jobs, database: &Temporary, directory: &Path) -> anyhow::Result<Server> {
    let mut command = servers::portico_command(Some(&database.url()), directory)?;
    command
        .arg("worker")
        .env("PORTICO__WORKER__CONCURRENCY", arguments.hands.to_string())
        // Rows inserted by the benchmark wake no worker.
        .env("PORTICO__WORKER__POLL", "5ms");
    let mut worker = Server::start(&mut command, &directory.join("worker.log"))?;
    worker.line(|line| line.contains("works in the background").then_some(())).await?;
    Ok(worker)
}

/// Jobs in a second that the worker claims and finishes.
async fn ours(arguments: &Jobs, pool: &PgPool) -> anyhow::Result<f64> {
    let began = fill(arguments, pool, "jobs").await?;
    while sqlx::query("select from jobs limit 1").fetch_optional(pool).await?.is_some() {
        tokio::time::sleep(PAUSE).await;
        ensure!(began.elapsed() < Duration::from_secs(300), "the worker does not get done");
    }
    Ok(f64::from(arguments.jobs) / began.elapsed().as_secs_f64())
}

/// What `SKIP LOCKED` does without a program around it.
#[derive(Clone, Copy)]
enum Way {
    /// As it is mostly shown: a transaction selects a job, locks it, and deletes it.
    OneByOne,
    /// A batch is claimed with a lease, and deleted later, in batches as large as ours: necessary where the work is not done inside
    /// a transaction.
    Leased,
    /// A batch is selected, locked and deleted in one transaction. Nothing slow may be done in it.
    Batched,
}

impl Way {
    const ALL: [Self; 3] = [Self::OneByOne, Self::Leased, Self::Batched];

    const fn name(self) -> &'static str {
        match self {
            Self::OneByOne => "bare, a transaction for each",
            Self::Leased => "bare, batches with a lease",
            Self::Batched => "bare, batches without a lease",
        }
    }

    const fn aim(self) -> Aim {
        match self {
            Self::OneByOne | Self::Leased => Aim::AtLeast(0.6),
            Self::Batched => Aim::None,
        }
    }
}

/// Jobs in a second that bare loops claim and finish.
async fn bare(arguments: &Jobs, pool: &PgPool, way: Way) -> anyhow::Result<f64> {
    let began = fill(arguments, pool, "bare_jobs").await?;
    let mut loops = tokio::task::JoinSet::new();
    for number in 0..arguments.hands {
        let pool = pool.clone();
        loops.spawn(async move {
            let mut taken = 0;
            loop {
                let took = match way {
                    Way::OneByOne => take(&pool, 1).await?,
                    Way::Leased => take_leased(&pool, &format!("loop-{number}")).await?,
                    Way::Batched => take(&pool, BATCH).await?,
                };
                if took == 0 {
                    return anyhow::Ok(taken);
                }
                taken += took;
            }
        });
    }
    let mut taken = 0;
    while let Some(took) = loops.join_next().await {
        taken += took??;
    }
    ensure!(taken == arguments.jobs as usize, "{taken} of {} jobs were done", arguments.jobs);
    Ok(f64::from(arguments.jobs) / began.elapsed().as_secs_f64())
}

/// Takes jobs in one transaction, and returns how many.
async fn take(pool: &PgPool, batch: i64) -> anyhow::Result<usize> {
    let due = "select id, kind, payload from bare_jobs
        where state <> 'dead' and coalesce(leased_until, run_at) <= now() at time zone 'utc'
        order by coalesce(leased_until, run_at) limit $1 for update skip locked";
    let mut transaction = pool.begin().await?;
    let ids = read(&sqlx::query(due).bind(batch).fetch_all(&mut *transaction).await?)?;
    sqlx::query("delete from bare_jobs where id = any($1)").bind(&ids).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(ids.len())
}

/// Takes jobs by a lease and deletes them with another statement, and returns how many.
async fn take_leased(pool: &PgPool, worker: &str) -> anyhow::Result<usize> {
    let claim = "with due as (select id from bare_jobs
            where state <> 'dead' and coalesce(leased_until, run_at) <= now() at time zone 'utc'
            order by coalesce(leased_until, run_at) limit $1 for update skip locked)
        update bare_jobs set state = 'running', attempts = attempts + 1, leased_by = $2,
            leased_until = now() at time zone 'utc' + interval '20 seconds'
        where id in (select id from due) returning id, kind, payload";
    let ids = read(&sqlx::query(claim).bind(BATCH).bind(worker).fetch_all(pool).await?)?;
    let finish = "delete from bare_jobs where id = any($1) and leased_by = $2 and state = 'running'";
    sqlx::query(finish).bind(&ids).bind(worker).execute(pool).await?;
    Ok(ids.len())
}

/// Decodes jobs, as a worker would.
fn read(rows: &[PgRow]) -> anyhow::Result<Vec<Uuid>> {
    let mut ids = Vec::with_capacity(rows.len());
    for row in rows {
        let _: serde_json::Value = row.try_get("payload")?;
        ids.push(row.try_get("id")?);
    }
    Ok(ids)
}

/// Inserts the jobs of a round into an empty table. Returns when they became visible.
async fn fill(arguments: &Jobs, pool: &PgPool, table: &str) -> anyhow::Result<Instant> {
    sqlx::query(AssertSqlSafe(format!("vacuum analyze {table}"))).execute(pool).await?;
    let insert = format!(
        "insert into {table} (id, tenant_id, kind, payload, state, attempts, max_attempts, run_at, request_id, created_at)
         select gen_random_uuid(), $1, 'email.notice', $2::jsonb, 'queued', 0, 5, now() at time zone 'utc', 'bench',
            now() at time zone 'utc' from generate_series(1, $3)"
    );
    sqlx::query(AssertSqlSafe(insert))
        .bind(Uuid::nil())
        .bind(PAYLOAD)
        .bind(arguments.jobs)
        .execute(pool)
        .await?;
    Ok(Instant::now())
}
