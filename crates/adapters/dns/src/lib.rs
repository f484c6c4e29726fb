//! Asks the DNS about customers' domains: a stub resolver on hickory, without a cache of its own.
//!
//! It asks recursive name servers only: those of the machine, or those of the settings. Answers are not validated
//! (DNSSEC): whoever can forge what the operator's own name servers say could just as well have certificates made.

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

/// How often a question is repeated that nobody answers: packets do get lost.
const ATTEMPTS: usize = 2;

/// How many times longer than one question all of it may take, however many name servers there are.
const DEADLINE: u32 = 4;

/// The DNS, by way of recursive name servers.
pub struct HickoryResolver {
    servers: Vec<SocketAddr>,
    patience: Duration,
    resolver: OnceCell<TokioResolver>,
}

impl HickoryResolver {
    /// Asks these servers; none stands for those of the machine (`/etc/resolv.conf`), which are looked up when the first
    /// question comes: a server without any must start all the same. `patience` is what one of them has for one question.
    pub fn new(servers: Vec<SocketAddr>, patience: Duration) -> Self {
        Self { servers, patience, resolver: OnceCell::new() }
    }

    async fn lookup(&self, name: &str, kind: RecordType) -> Result<Lookup, NetError> {
        let resolver =
            self.resolver.get_or_try_init(|| async { build(&self.servers, self.patience) }).await?;
        // With the dot at the end no search list of the machine is tried.
        let name = Name::from_ascii(format!("{name}."))?;
        timeout(self.patience * DEADLINE, resolver.lookup(name, kind)).await.unwrap_or(Err(NetError::Timeout))
    }

    /// The records of an answer, and of none where there is no such name.
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
        // The aliases are in both answers.
        let sixth =
            sixth.into_iter().filter(|record| !matches!(record, RData::CNAME(_)) || records.is_empty());
        let sixth: Vec<RData> = sixth.collect();
        records.extend(sixth);
        if records.is_empty() {
            // An alias of a name that leads nowhere.
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
