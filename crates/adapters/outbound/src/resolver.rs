//! Looking names up, and keeping what may be called.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::{Verdict, judge};

/// Finds the addresses of a name. Tests bring their own.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// Every address of the name.
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// No address of a name may be called.
#[derive(Debug)]
pub(crate) struct NothingAllowed;

impl std::fmt::Display for NothingAllowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the name leads to no address that may be called")
    }
}

impl std::error::Error for NothingAllowed {}

/// Hands the connector the addresses that may be called. It connects to one of these and looks nothing up itself: what
/// was checked is what is called, however the name answers the next time.
pub(crate) struct GuardedResolver {
    pub lookup: Arc<dyn Lookup>,
    pub allowed: Arc<[IpNet]>,
    /// Whether public addresses may be called in this way. If not, only the operator's own networks will do.
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
                // The connector fills the port in.
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            if usable.is_empty() {
                return Err(NothingAllowed.into());
            }
            Ok(Box::new(usable.into_iter()) as Addrs)
        })
    }
}

/// Whether a connection may be made, in a way in which public addresses may be called or not.
pub(crate) fn permits(address: IpAddr, allowed: &[IpNet], public: bool) -> bool {
    match judge(address, allowed) {
        Verdict::Allowed => true,
        Verdict::Public => public,
        Verdict::Refused => false,
    }
}
