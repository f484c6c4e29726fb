//! DNS lookups for customers' domains: a stub resolver on hickory, without its own cache.
//!
//! It queries recursive name servers only: those of the machine, or those of the settings. Answers are not validated
//! (DNSSEC): an attacker who can forge answers of the operator's name servers could just as well obtain certificates.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use async_trait::async_trait;
use hickory_resolver::{
    TokioResolver,
    config::{
        ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
        ServerOrderingStrategy,
    },
    lookup::Lookup,
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::rr::{Name, RData, RecordType},
};
use portico_sites::ports::{DomainResolver, Pointing, ResolveError};
use tokio::{sync::OnceCell, time::timeout};

/// How often a query is sent: packets may be lost.
const ATTEMPTS: usize = 2;

/// Factor of the total deadline over the timeout of one query, whatever the number of name servers.
const DEADLINE: u32 = 4;

/// DNS lookups through recursive name servers.
pub struct HickoryResolver {
    servers: Vec<SocketAddr>,
    patience: Duration,
    resolver: OnceCell<TokioResolver>,
}

impl HickoryResolver {
    /// Queries these servers; none stands for those of the machine (`/etc/resolv.conf`), which are read at the first query:
    /// a server without any must start all the same. `patience` is the timeout of one query to one server.
    pub fn new(servers: Vec<SocketAddr>, patience: Duration) -> Self {
        Self { servers, patience, resolver: OnceCell::new() }
    }

    async fn lookup(&self, name: &str, kind: RecordType) -> Result<Lookup, NetError> {
        let resolver =
            self.resolver.get_or_try_init(|| async { build(&self.servers, self.patience) }).await?;
        // The trailing dot disables search lists of the machine.
        let name = Name::from_ascii(format!("{name}."))?;
        timeout(self.patience * DEADLINE, resolver.lookup(name, kind)).await.unwrap_or(Err(NetError::Timeout))
    }

    /// The records of an answer; none if the name does not exist.
    async fn records(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, ResolveError> {
        match self.lookup(name, kind).await {
            Ok(found) => Ok(found.answers().iter().map(|record| record.data.clone()).collect()),
            Err(error) if error.is_no_records_found() => Ok(Vec::new()),
            Err(NetError::Timeout) => Err(ResolveError::TimedOut),
            Err(NetError::Dns(DnsError::ResponseCode(code))) => Err(ResolveError::Failed(code.to_string())),
            Err(error) => Err(ResolveError::Failed(error.to_string())),
        }
    }
}

fn build(servers: &[SocketAddr], patience: Duration) -> Result<TokioResolver, NetError> {
    let mut builder = if servers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let servers = servers.iter().map(|server| {
            let (mut udp, mut tcp) = (ConnectionConfig::udp(), ConnectionConfig::tcp());
            (udp.port, tcp.port) = (server.port(), server.port());
            NameServerConfig::new(server.ip(), true, vec![udp, tcp])
        });
        let config = ResolverConfig::from_name_servers(servers.collect());
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options: &mut ResolverOpts = builder.options_mut();
    options.timeout = patience;
    options.attempts = ATTEMPTS;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.preserve_intermediates = true;
    options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
    builder.build()
}

#[async_trait]
impl DomainResolver for HickoryResolver {
    async fn texts(&self, name: &str) -> Result<Vec<String>, ResolveError> {
        let records = self.records(name, RecordType::TXT).await?;
        let text = |record: RData| match record {
            RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
            _ => None,
        };
        Ok(records.into_iter().filter_map(text).collect())
    }

    async fn pointing(&self, name: &str) -> Result<Pointing, ResolveError> {
        let (fourth, sixth) =
            tokio::join!(self.records(name, RecordType::A), self.records(name, RecordType::AAAA));
        let (fourth, sixth) = (fourth?, sixth?);
        let mut records = fourth;
        // Both answers contain the aliases.
        let sixth =
            sixth.into_iter().filter(|record| !matches!(record, RData::CNAME(_)) || records.is_empty());
        let sixth: Vec<RData> = sixth.collect();
        records.extend(sixth);
        if records.is_empty() {
            // An alias whose target does not exist.
            records = self.records(name, RecordType::CNAME).await?;
        }
        let mut pointing = Pointing::default();
        for record in records {
            match record {
                RData::CNAME(alias) => {
                    let alias = alias.0.to_ascii().trim_end_matches('.').to_ascii_lowercase();
                    pointing.aliases.push(alias);
                }
                RData::A(address) => pointing.addresses.push(IpAddr::V4(address.0)),
                RData::AAAA(address) => pointing.addresses.push(IpAddr::V6(address.0)),
                _ => {}
            }
        }
        Ok(pointing)
    }
}
