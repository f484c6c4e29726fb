//! Settings of the HTTP server.

use std::{net::IpAddr, time::Duration};

use documented::DocumentedFields;
use ipnet::IpNet;
use portico_runtime::settings::{
    Problems,
    sources::{duration, list, optional_duration},
};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::client::ForwardedHeader;

/// HTTP server.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on; 0 takes any free one.
    pub port: u16,
    /// Base URL under which clients reach the server; used in links. Default: `http://{host}:{port}`.
    pub public_url: Option<Url>,
    /// Proxies that are trusted to report the address of the client. Default: none.
    #[serde(deserialize_with = "list")]
    pub trusted_proxies: Vec<IpNet>,
    /// The header in which they report it: `x-forwarded-for`, `forwarded` (RFC 7239) or `x-real-ip`. The other two are ignored
    /// (ADR 42).
    pub forwarded_header: ForwardedHeader,
    /// Threads that answer requests. Default: one per core.
    pub workers: Option<usize>,
    /// Maximum size of a JSON body, in bytes.
    pub max_body_bytes: usize,
    /// Maximum duration of receiving a body; a larger one has this time for each started `max_body_bytes`.
    #[serde(with = "duration")]
    pub body_timeout: Duration,
    /// Minimum average rate of a body in bytes per second, after the first five seconds.
    pub min_body_rate: u64,
    /// A connection is closed when its client accepts none of the response for this time.
    #[serde(with = "duration")]
    pub write_timeout: Duration,
    /// How long running requests and jobs may continue after SIGTERM.
    #[serde(with = "duration")]
    pub shutdown_timeout: Duration,
    /// How long new requests are still answered after SIGTERM, until the load balancer has noticed that this process is not
    /// ready. Default: none in development, 5 seconds in production.
    #[serde(with = "optional_duration")]
    pub drain_delay: Option<Duration>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            host: IpAddr::from([127, 0, 0, 1]),
            port: 7600,
            public_url: None,
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::default(),
            workers: None,
            max_body_bytes: 1024 * 1024,
            body_timeout: Duration::from_secs(60),
            min_body_rate: 1024,
            write_timeout: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(15),
            drain_delay: None,
        }
    }
}

impl Server {
    /// Fails if a setting is invalid.
    pub fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if !(Duration::from_millis(100)..=Duration::from_secs(600)).contains(&self.write_timeout) {
            problems.add("server.write_timeout must be between 100 ms and ten minutes");
        }
        if let Some(url) = &self.public_url
            && (!matches!(url.scheme(), "http" | "https")
                || !url.has_host()
                || url.query().is_some()
                || url.fragment().is_some()
                || !url.username().is_empty()
                || url.password().is_some())
        {
            problems.add(
                "server.public_url must be like https://portal.example.com, without user, query and fragment",
            );
        }
        if self.workers == Some(0) || self.max_body_bytes == 0 {
            problems.add("server.workers and server.max_body_bytes must be 1 or more");
        }
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
        if !(second..=hour).contains(&self.body_timeout) || self.min_body_rate == 0 {
            problems.add(
                "server.body_timeout must be one second to one hour, and server.min_body_rate 1 or more",
            );
        }
        problems.into_result()
    }
}
