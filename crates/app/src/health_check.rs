//! Checks whether an instance on this machine is ready, for health checks of containers without other programs.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::settings::Settings;

/// Longer than the timeout of the database check in readiness.
const PATIENCE: Duration = Duration::from_secs(2);

/// Fails if the instance at the port of the settings, or at `port`, is not ready within two seconds.
pub async fn ask(settings: &Settings, port: Option<u16>) -> anyhow::Result<()> {
    let host = match settings.server.host {
        host if host.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        host => host,
    };
    let address = SocketAddr::new(host, port.unwrap_or(settings.server.port));
    let status = timeout(PATIENCE, status(address)).await.context("no answer in time")??;
    if status != "200" {
        bail!("not ready: {status}");
    }
    Ok(())
}

async fn status(address: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await.with_context(|| format!("nobody at {address}"))?;
    let request = format!("GET /api/health/ready HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; 64];
    // The first read contains the whole status line.
    let length = stream.read(&mut answer).await?;
    let line = String::from_utf8_lossy(&answer[..length]).into_owned();
    Ok(line.split_ascii_whitespace().nth(1).unwrap_or("no answer").to_owned())
}
