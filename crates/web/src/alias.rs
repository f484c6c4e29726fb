//! Documented paths of the systems that Portico unifies, in one table. They are rewritten before routing, so an alias never
//! has its own handler.

use portico_kernel::TenantId;

/// Old prefix and canonical prefix, most specific first. A prefix ends at a slash or at the end of the path.
pub const ALIASES: &[(&str, &str)] = &[
    // Our own former spelling: `for-sale` could be taken for the id of a site
    ("/api/v1/sites/for-sale", "/api/v1/offers"),
    ("/api/v1/customer/sites/for-sale", "/api/v1/offers"),
    ("/customer/sites/for-sale", "/api/v1/offers"),
    ("/api/customer/sites/for-sale", "/api/v1/offers"),
    // Of the caller's own tenant
    ("/api/v1/api-keys", "/api/v1/tenants/current/api-keys"),
    // LOGEN user portal
    ("/customer/auth/profile", "/api/v1/profile"),
    ("/customer/api-keys", "/api/v1/tenants/current/api-keys"),
    ("/customer", "/api/v1"),
    // WhatsApp Business portal; the LOGEN user portal has the same base behind its proxy
    ("/api/customer/auth/profile", "/api/v1/profile"),
    ("/api/customer/api-keys", "/api/v1/tenants/current/api-keys"),
    ("/api/customer/docs", "/api/docs"),
    ("/api/customer", "/api/v1"),
    // Site purchase flow
    ("/api/v1/customer/auth/profile", "/api/v1/profile"),
    ("/api/v1/customer/api-keys", "/api/v1/tenants/current/api-keys"),
    ("/api/v1/customer/register", "/api/v1/auth/register"),
    ("/api/v1/customer/login", "/api/v1/auth/login"),
    ("/api/v1/customer/refresh", "/api/v1/auth/refresh"),
    ("/api/v1/customer/logout", "/api/v1/auth/logout"),
    ("/api/v1/customer/me", "/api/v1/profile"),
    ("/api/v1/customer/verify-email", "/api/v1/auth/verify-email"),
    ("/api/v1/customer/resend-verification", "/api/v1/auth/resend-verification"),
    ("/api/v1/customer/forgot-password", "/api/v1/auth/forgot-password"),
    ("/api/v1/customer/reset-password", "/api/v1/auth/reset-password"),
    ("/api/v1/customer/change-password", "/api/v1/auth/change-password"),
    ("/api/v1/customer", "/api/v1"),
    // SiteNinja backend, whose base is /api
    ("/api/auth", "/api/v1/auth"),
    ("/api/tenants", "/api/v1/tenants"),
    ("/api/users", "/api/v1/users"),
    ("/api/templates", "/api/v1/templates"),
    ("/api/industries", "/api/v1/industries"),
    ("/api/ai", "/api/v1/ai"),
    ("/api/audit", "/api/v1/audit"),
];

/// The segment of canonical paths that stands for the caller's active tenant.
pub const CURRENT_TENANT: &str = "/api/v1/tenants/current/";

/// The path with the caller's active tenant, when it is one of [`CURRENT_TENANT`].
pub fn in_tenant(path: &str, tenant: TenantId) -> Option<String> {
    path.strip_prefix(CURRENT_TENANT).map(|rest| format!("/api/v1/tenants/{tenant}/{rest}"))
}

/// Whether a browser finds a page of the portal at the path, and API clients find the API.
pub fn is_page(path: &str) -> bool {
    path.strip_prefix("/customer").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The canonical path, when `path` is an alias.
pub fn canonical(path: &str) -> Option<String> {
    // Most requests: no row is compared.
    let may_be_alias = ["/api/v1/customer", "/api/v1/api-keys", "/api/v1/sites/for-sale"]
        .iter()
        .any(|prefix| path.starts_with(prefix));
    if path.starts_with("/api/v1/") && !may_be_alias {
        return None;
    }
    ALIASES.iter().find_map(|(alias, canonical)| {
        let rest = path.strip_prefix(alias)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| format!("{canonical}{rest}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_leads_to_its_canonical_path() {
        for (alias, target) in ALIASES {
            assert_eq!(canonical(alias).as_deref(), Some(*target), "{alias}");
            assert_eq!(canonical(&format!("{alias}/a/b")), Some(format!("{target}/a/b")), "{alias}");
            assert_eq!(canonical(target), None, "{target} must not be rewritten again");
        }
    }

    #[test]
    fn the_most_specific_row_comes_first() {
        for (earlier, (alias, _)) in ALIASES.iter().enumerate() {
            let shadowed =
                ALIASES[..earlier].iter().any(|(above, _)| alias.starts_with(&format!("{above}/")));
            assert!(!shadowed, "{alias} can never be reached");
        }
    }

    #[test]
    fn other_paths_stay() {
        for path in [
            "/",
            "/customers",
            "/api/health",
            "/api/docs",
            "/api/v1/sites",
            "/api/v1/customers",
            "/api/v1/sites/for-sales",
            "/api/authx",
        ] {
            assert_eq!(canonical(path), None, "{path}");
        }
    }
}
