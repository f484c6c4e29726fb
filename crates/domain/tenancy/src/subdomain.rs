//! Subdomains of tenants and sites. The rules are shared with sites, so they live in the kernel.

use portico_kernel::Env;
pub use portico_kernel::name::Subdomain;

/// A subdomain made from a display name. Its random end makes it unique without a lookup, and reveals nothing about which names
/// others hold.
pub fn suggest(name: &str, env: &Env) -> Subdomain {
    Subdomain::suggest(name, &Subdomain::random_suffix(env), env)
}
