//! Opening a database of Postgres.

use std::{io::ErrorKind, str::FromStr, sync::Arc, time::Duration};

use portico_kernel::StoreError;
use sea_orm::sqlx::{self, ConnectOptions, Connection, postgres::PgConnectOptions};
use tokio::time::timeout;

use super::{BACKGROUND, Pools, SILENCE, SqlStore, StoreOptions, unavailable};
use crate::{
    connection::{Connections, Health, SessionOptions, Slots, Source},
    error::store_error,
};

/// Settings of connections for background work. Queues are empty most of the time. A plan that Postgres makes then reads the whole table, which
/// is nothing, and is kept when thousands of jobs have come: 1,000 jobs in a second instead of 16,000.
const OF_QUEUES: [(&str, &str); 1] = [("enable_seqscan", "off")];

pub(super) async fn connect_postgres(options: &StoreOptions) -> Result<SqlStore, StoreError> {
    // What is slow is told by the observer, with the request that it was slow for.
    let connect = PgConnectOptions::from_str(&options.url)
        .map_err(unavailable)?
        .application_name("portico")
        .disable_statement_logging();
    let background = (options.max_connections / 4).max(2);
    let requests = options.max_connections.saturating_sub(background).max(1);
    let slots = |size, statement_timeout, patience, further: &[(&str, &str)]| {
        let [names, values] = session(options, statement_timeout, further);
        Slots::new(SessionOptions { connect: connect.clone(), names, values }, size, patience)
    };
    let limit = options.statement_timeout * BACKGROUND;
    let requests = slots(requests, options.statement_timeout, options.acquire_timeout, &[]);
    // Nobody waits for an answer.
    let background =
        slots(background, limit, options.acquire_timeout.max(options.statement_timeout), &OF_QUEUES);
    let health = Arc::new(Health::new(options.statement_timeout / SILENCE));
    let source = |slots: &Arc<Slots>| Source::Slots(slots.clone());
    let connections = Connections::new(source(&requests), options.statement_timeout, health.clone());
    // Tells whether the address is right. The pool says only that it got no connection.
    if let Err(error) = connections.ping().await {
        return Err(match why_not(&connect, options.acquire_timeout).await {
            Some(why) => StoreError::Unavailable(why.into()),
            None => store_error(error),
        });
    }
    Ok(SqlStore {
        writer: connections.clone(),
        reader: connections,
        background: Some(Connections::new(source(&background), limit, health.clone()).patient(limit)),
        pools: Pools::Postgres { requests, background },
        health,
        remembered: Arc::default(),
        listener: None,
        observer: None,
    })
}

/// Why the database cannot be reached, in words for the operator and without the password; `None` when it can.
async fn why_not(connect: &PgConnectOptions, patience: Duration) -> Option<String> {
    let at = match connect.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", connect.get_host(), connect.get_port()),
    };
    let user = connect.get_username();
    let error = match timeout(patience, connect.connect()).await {
        Ok(Ok(connection)) => {
            let _ = connection.close().await;
            return None;
        }
        Ok(Err(error)) => error,
        Err(_) => return Some(format!("{at} does not answer within {} ms", patience.as_millis())),
    };
    Some(match &error {
        sqlx::Error::Io(cause) if cause.kind() == ErrorKind::ConnectionRefused => {
            format!("{at} refuses connections: no Postgres listens there")
        }
        sqlx::Error::Io(cause) => format!("{at} cannot be reached: {cause}"),
        sqlx::Error::Tls(cause) => format!("{at}: TLS failed: {cause}"),
        // SQLSTATE, Postgres manual, appendix A.
        sqlx::Error::Database(refusal) => match refusal.code().as_deref() {
            Some("28P01") => format!("{at} refuses the password of the user {user:?}"),
            Some("28000") => format!("{at} does not let the user {user:?} in: {}", refusal.message()),
            Some("3D000") => {
                format!("there is no database {:?} at {at}", connect.get_database().unwrap_or(user))
            }
            _ => format!("{at}: {}", refusal.message()),
        },
        other => format!("{at}: {other}"),
    })
}

/// What the server does about a client that is gone or does not go on (Postgres manual, sections 20.3.2 and 20.11.1): names
/// and values of settings. It gives up a statement when it is given up here, so that nothing is left over.
fn session(
    options: &StoreOptions,
    statement_timeout: Duration,
    further: &[(&str, &str)],
) -> [Vec<String>; 2] {
    let milliseconds = |time: Duration| format!("{}ms", time.as_millis());
    let (statement, patience) = (milliseconds(statement_timeout), milliseconds(options.statement_timeout));
    let settings = [
        ("statement_timeout", &*statement),
        ("lock_timeout", &patience),
        ("idle_in_transaction_session_timeout", &patience),
        // Longer than a connection is kept that nobody needs.
        ("idle_session_timeout", "20min"),
        ("tcp_keepalives_idle", "10s"),
        ("tcp_keepalives_interval", "5s"),
        ("tcp_keepalives_count", "3"),
        ("tcp_user_timeout", "10s"),
    ];
    let all = || settings.iter().chain(further);
    [
        all().map(|(name, _)| (*name).to_owned()).collect(),
        all().map(|(_, value)| (*value).to_owned()).collect(),
    ]
}
