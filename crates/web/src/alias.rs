//! Documented paths of the systems that Portico unifies, in one table. They are rewritten before routing, so an alias never
//! has its own handler.

/// Old prefix and canonical prefix, most specific first. A prefix ends at a slash or at the end of the path.
pub const ALIASES: &[(&str, &str)] = &[
    // Our own former spelling: `for-sale` could be taken for the id of a site
    ("/api/v1/sites/for-sale", "/api/v1/offers"),
    ("/api/v1/customer/sites/for-sale", "/api/v1/offers"),
    ("/customer/sites/for-sale", "/api/v1/offers"),
    // LOGEN user portal
    ("/customer/auth/profile", "/api/v1/profile"),
    ("/customer", "/api/v1"),
    // Site purchase flow
    ("/api/v1/customer/auth/profile", "/api/v1/profile"),
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

/// The canonical path, when `path` is an alias.
pub fn canonical(path: &str) -> Option<String> {
    let may_be_alias =
        ["/api/v1/customer", "/api/v1/sites/for-sale"].iter().any(|prefix| path.starts_with(prefix));
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
