//! Name resolution, filtered by the rules.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::{Verdict, judge};

/// Resolves names. Tests supply their own.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// All addresses of the name.
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// None of the addresses of a name may be called.
#[derive(Debug)]
pub(crate) struct NothingAllowed;

impl std::fmt::Display for NothingAllowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the name leads to no address that may be called")
    }
}

impl std::error::Error for NothingAllowed {}

/// Gives the connector the allowed addresses. It connects to one of these without resolving again: so the checked address
/// is the one called, whatever the DNS answers next.
#[derive(Clone)]
pub(crate) struct GuardedResolver {
    pub lookup: Arc<dyn Lookup>,
    pub allowed: Arc<[IpNet]>,
    /// Whether public addresses are allowed for this scheme and port. If not, only the operator's networks are.
    pub public: bool,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, allowed, public) = (self.lookup.clone(), self.allowed.clone(), self.public);
        Box::pin(async move {
            let found = lookup.lookup(name.as_str()).await?;
            let usable: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| permits(*address, &allowed, public))
                // The connector sets the port.
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            if usable.is_empty() {
                return Err(NothingAllowed.into());
            }
            Ok(Box::new(usable.into_iter()) as Addrs)
        })
    }
}

/// Whether a connection is allowed; `public` is whether public addresses are.
pub(crate) fn permits(address: IpAddr, allowed: &[IpNet], public: bool) -> bool {
    match judge(address, allowed) {
        Verdict::Allowed => true,
        Verdict::Public => public,
        Verdict::Refused => false,
    }
}
