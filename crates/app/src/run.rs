//! Runs a process until shutdown: answering requests, background work, or both.

use std::{
    net::{SocketAddr, TcpListener},
    time::Instant,
};

use actix_web::dev::ServerHandle;
use anyhow::{Context, bail};
use portico_runtime::worker::Workers;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::{JoinError, JoinHandle},
    time::sleep,
};

use crate::{background, server, settings::Settings, startup::build, state::App};

/// SIGTERM or Ctrl-C.
struct Stop(Signal);

impl Stop {
    fn listen() -> std::io::Result<Self> {
        Ok(Self(signal(SignalKind::terminate())?))
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }

    /// Awaits an orderly shutdown, or exits at once at a second signal. Acknowledged changes are in the database by then;
    /// requests in progress are aborted, jobs are retried when their leases expire, and the latest visits are not stored.
    async fn or_at_once(&mut self, ending: impl Future<Output = ()>) {
        tokio::select! {
            () = ending => {}
            () = self.asked() => {
                tracing::warn!("told to stop again: ending at once");
                // Dropping the runtime would wait for its threads.
                std::process::exit(0);
            }
        }
    }
}

/// Answers requests until shutdown, and does background work too if `with_work`.
///
/// At the first signal, it reports at once that it is not ready and takes no new background work, but answers new requests
/// for another `server.drain_delay`, asking clients to close their connections. Then it stops listening and finishes
/// requests in progress. A second signal ends the process at once.
pub async fn serve(settings: Settings, with_work: bool) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut stop = Stop::listen()?;
    let (listener, address) =
        listen(SocketAddr::new(settings.server.host, settings.server.port), "server.port")?;
    let metrics = match settings.metrics.port {
        Some(port) => Some(listen(SocketAddr::new(settings.server.host, port), "metrics.port")?),
        None => None,
    };
    let app = build(settings, address).await?;
    let server = server::start(app.clone(), listener)?;
    let handle = server.handle();
    let mut running = tokio::spawn(server);
    let (metrics_address, mut metrics) = Health::start(&app, metrics)?;
    let mut workers = if with_work { background::start(&app) } else { background::start_listening(&app) };
    announce(&app, started);
    if let Some(address) = metrics_address {
        announce_health(address);
    }

    tokio::select! {
        () = stop.asked() => {}
        ended = &mut running => bail!("the server stopped by itself: {ended:?}"),
        ended = metrics.ended() => bail!("metrics.port: the server stopped by itself: {ended:?}"),
    }
    tracing::info!("stopping: finishing requests and jobs");
    server::retire(&app);
    let patience = app.settings.server.shutdown_timeout;
    let answering = async {
        sleep(app.settings.drain_delay()).await;
        server::stop(&app, handle, server::LAST_CALL).await;
    };
    let ending = async {
        tokio::join!(workers.stop_working(patience), answering);
        end(&app, workers).await;
        metrics.stop().await;
    };
    stop.or_at_once(ending).await;
    Ok(())
}

/// Does background work until shutdown, and then finishes running jobs. Answers requests for health and metrics only, if a
/// port is configured for them.
pub async fn work(settings: Settings) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut stop = Stop::listen()?;
    let health = match settings.worker.port {
        Some(port) => Some(listen(SocketAddr::new(settings.server.host, port), "worker.port")?),
        None => None,
    };
    // Links in mails lead to the instances that answer requests.
    let answering = SocketAddr::new(settings.server.host, settings.server.port);
    let app = build(settings, answering).await?;
    let workers = background::start_working(&app);
    let (address, mut health) = Health::start(&app, health)?;
    announce_worker(address, started);

    tokio::select! {
        () = stop.asked() => {}
        ended = health.ended() => bail!("worker.port: the server stopped by itself: {ended:?}"),
    }
    tracing::info!("stopping: finishing jobs");
    server::retire(&app);
    let ending = async {
        end(&app, workers).await;
        health.stop().await;
    };
    stop.or_at_once(ending).await;
    Ok(())
}

/// The health and metrics server at a port of its own, if there is one.
struct Health(Option<(ServerHandle, JoinHandle<std::io::Result<()>>)>);

impl Health {
    fn start(
        app: &App,
        listener: Option<(TcpListener, SocketAddr)>,
    ) -> anyhow::Result<(Option<SocketAddr>, Self)> {
        let Some((listener, address)) = listener else { return Ok((None, Self(None))) };
        let server = server::start_health(app.clone(), listener)?;
        Ok((Some(address), Self(Some((server.handle(), tokio::spawn(server))))))
    }

    /// Completes if the server stops by itself, which it should not.
    async fn ended(&mut self) -> Result<std::io::Result<()>, JoinError> {
        match &mut self.0 {
            Some((_, running)) => running.await,
            None => std::future::pending().await,
        }
    }

    async fn stop(self) {
        if let Some((handle, _)) = self.0 {
            handle.stop(false).await;
        }
    }
}

fn listen(wanted: SocketAddr, setting: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener =
        TcpListener::bind(wanted).with_context(|| format!("{setting}: cannot listen on {wanted}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn end(app: &App, workers: Workers) {
    workers.stop(app.settings.server.shutdown_timeout).await;
    // The last requests may have ended after the tasks that write the counts. Their connections are of threads that are gone.
    let core = app.core.for_background();
    core.key_usage.flush(&*core.store, &core.env).await;
    app.sites.hosting.visits.flush(&core).await;
    app.core.tracer.close().await;
    app.core.store.close().await;
    tracing::info!("stopped");
}

#[expect(clippy::print_stdout, reason = "tells whoever started it where to look")]
fn announce(app: &App, started: Instant) {
    let url = &app.api.public_url;
    println!("Portico {} is ready after {} ms.", env!("CARGO_PKG_VERSION"), started.elapsed().as_millis());
    println!("  API      {url}/api/v1");
    println!("  Docs     {url}/api/docs");
    if app.mailbox.is_some() {
        println!("  Mailbox  {url}/dev/mailbox");
    }
    if app.payments_sandbox.is_some() {
        println!("  Payments {url}{}", crate::payments::SANDBOX_PATH);
    }
    if app.recurrente.is_some() {
        println!("  Sites are paid at a stand-in for Recurrente.");
    }
    println!("  Sites    {}", app.sites.hosting.addresses.site_url("{subdomain}"));
}

#[expect(clippy::print_stdout, reason = "tells whoever started it where to look")]
fn announce_worker(health: Option<SocketAddr>, started: Instant) {
    let version = env!("CARGO_PKG_VERSION");
    println!("Portico {version} works in the background after {} ms.", started.elapsed().as_millis());
    if let Some(address) = health {
        announce_health(address);
    }
}

#[expect(clippy::print_stdout, reason = "tells whoever started it where to look")]
fn announce_health(address: SocketAddr) {
    println!("  Health   http://{address}/api/health");
    println!("  Metrics  http://{address}/api/metrics");
}
