//! Telling other processes at once what was committed: `NOTIFY` on Postgres, a look at the event log on SQLite.

use std::time::{Duration, Instant};

use portico_kernel::{AnnouncementListener, Event, StoreError, TenantId, Timestamp};
use sea_orm::{
    FromQueryResult,
    sqlx::{
        self,
        pool::PoolOptions,
        postgres::{PgConnectOptions, PgListener},
    },
};
use tokio::time::{sleep, timeout, timeout_at};
use uuid::Uuid;

use crate::{
    SqlStore,
    connection::Health,
    db::Db,
    outbox::events,
    repositories::CHANNEL,
    store::{Pools, unavailable},
};

/// How often a connection that is quiet proves that it still hears, and how often SQLite is looked at.
const BEAT: Duration = Duration::from_millis(250);

/// How long the proof may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long a connection that listens may take to be set up.
const SETTING_UP: Duration = Duration::from_secs(2);

/// Events read at once from SQLite.
const BATCH: i64 = 500;

/// What was committed after the snapshot `$1`, whenever its transaction began; and the snapshot that says so. One row at
/// least, with the time there in microseconds. Not by `NOTIFY`, which lets only one transaction commit at a time: this is for everything that is written.
const APPENDED_SINCE: &str = "select pg_current_snapshot()::text, \
    (extract(epoch from clock_timestamp()) * 1000000)::bigint, appended.tenant_id, appended.kind \
    from (select 1) as one left join lateral ( \
        select distinct tenant_id, kind from events \
        where transaction_id >= pg_snapshot_xmin($1::text::pg_snapshot) \
        and not pg_visible_in_snapshot(transaction_id, $1::text::pg_snapshot) \
    ) as appended on true";

/// An event of SQLite with its number.
#[derive(FromQueryResult)]
struct LoggedRow {
    #[sea_orm(nested)]
    event: events::row::Model,
    sequence: i64,
}

impl SqlStore {
    /// Tells `listener` what any process commits, until the database cannot be reached any more.
    pub async fn follow(&self, listener: &dyn AnnouncementListener) -> Result<(), StoreError> {
        match &self.pools {
            Pools::Postgres { background, .. } => {
                let connect = background.connect_options().clone();
                follow_postgres(connect, &self.for_background().read(), &self.health, listener).await
            }
            Pools::Sqlite { .. } => self.follow_sqlite(listener).await,
        }
    }

    async fn follow_sqlite(&self, listener: &dyn AnnouncementListener) -> Result<(), StoreError> {
        let db = self.read();
        let mut last =
            db.row("select coalesce(max(sequence), 0) as last from events", ()).await?.unwrap_or(0);
        listener.announcements_lost();
        loop {
            let asked = Instant::now();
            let sql = "select * from events where sequence > $1 order by sequence limit $2";
            let rows: Vec<LoggedRow> = db.models(sql, (last, BATCH)).await?;
            last = rows.last().map_or(last, |row| row.sequence);
            let heard: Vec<Event> = rows.into_iter().map(|row| row.event.into()).collect();
            for event in &heard {
                listener.appended(event.tenant, &event.kind);
            }
            if let Some(announcement) = listener.announcement(&heard) {
                listener.announced(&announcement);
            }
            if (heard.len() as i64) < BATCH {
                self.health.beat();
                listener.caught_up(asked);
                sleep(BEAT).await;
            }
        }
    }
}

/// A pooler in transaction mode takes `LISTEN` and then delivers nothing, which must not pass for silence.
async fn prove_hearing(others: &Db<'_>, connection: &mut PgListener) -> Result<(), StoreError> {
    others.exists("select pg_notify($1, '')", [CHANNEL]).await?;
    match timeout(PATIENCE, connection.try_recv()).await {
        Ok(Ok(Some(_))) => Ok(()),
        Ok(Err(error)) => Err(unavailable(error)),
        Ok(Ok(None)) | Err(_) => Err(unavailable(sqlx::Error::PoolTimedOut)),
    }
}

/// On a connection of its own: one from the pool would be missing there, and would come and go.
async fn follow_postgres(
    connect: PgConnectOptions,
    others: &Db<'_>,
    health: &Health,
    listener: &dyn AnnouncementListener,
) -> Result<(), StoreError> {
    let own = PoolOptions::new()
        .max_connections(1)
        .acquire_timeout(PATIENCE)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_with(connect)
        .await
        .map_err(unavailable)?;
    let setting_up = async {
        let mut connection = PgListener::connect_with(&own).await.map_err(unavailable)?;
        connection.ignore_pool_close_event(true);
        connection.eager_reconnect(false);
        connection.listen(CHANNEL).await.map_err(unavailable)?;
        prove_hearing(others, &mut connection).await?;
        // What was announced before this moment was heard by nobody here.
        let seen: String = sqlx::query_scalar("select pg_current_snapshot()::text")
            .fetch_one(&mut connection)
            .await
            .map_err(unavailable)?;
        Ok::<_, StoreError>((connection, seen))
    };
    let (mut connection, mut seen) = match timeout(SETTING_UP, setting_up).await {
        Ok(set_up) => set_up?,
        Err(_) => return Err(unavailable(sqlx::Error::PoolTimedOut)),
    };
    listener.announcements_lost();
    let mut beat = tokio::time::Instant::now();
    loop {
        match timeout_at(beat, connection.try_recv()).await {
            Ok(Ok(Some(notification))) => listener.announced(notification.payload()),
            Ok(Ok(None)) => return Err(unavailable(sqlx::Error::WorkerCrashed)),
            Ok(Err(error)) => return Err(unavailable(error)),
            Err(_) => {
                // The server sends what is announced before it answers, so after the answer nothing is missing.
                let asked = Instant::now();
                let proof = sqlx::query_as(APPENDED_SINCE).bind(&seen).fetch_all(&mut connection);
                let rows: Vec<(String, i64, Option<Uuid>, Option<String>)> =
                    match timeout(PATIENCE, proof).await {
                        Ok(answer) => answer.map_err(unavailable)?,
                        Err(_) => return Err(unavailable(sqlx::Error::PoolTimedOut)),
                    };
                if let Some(now) =
                    rows.first().and_then(|(_, micros, ..)| Timestamp::from_unix_micros(*micros))
                {
                    listener.database_time(now, asked);
                }
                for (snapshot, _, tenant, kind) in rows {
                    if let Some((tenant, kind)) = tenant.zip(kind) {
                        listener.appended(TenantId::from_uuid(tenant), &kind);
                    }
                    seen = snapshot;
                }
                while let Some(notification) = connection.next_buffered() {
                    listener.announced(notification.payload());
                }
                health.beat();
                listener.caught_up(asked);
                beat = tokio::time::Instant::now() + BEAT;
            }
        }
    }
}
