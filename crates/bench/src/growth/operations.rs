//! What is measured: requests as data. In paths and bodies `{name}` stands for a value of the [`Installation`], where there are several
//! for another one with each request; `{n}` for the number of the request; `{fresh}` for a form of the query that was not used before, so
//! that no kept answer fits.
//!
//! [`Installation`]: super::installation::Installation

/// Pictures, in this order.
pub const GROUPS: [&str; 4] = ["look-ups", "changes", "lists", "audit trail"];

/// Why a numbered list may take longer the longer it is.
const NUMBERED: &str = "its answer has the number of all items, which are counted";
/// Why a search may.
const SEARCH: &str = "a part of a word is looked for in all items of the list, and what has it is counted";
/// Why a page far into a numbered list may.
const FAR: &str = "it has the number of all items and skips those before it, by the number of the page";

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The owner of the measured tenant.
    Owner,
    /// A super administrator of the platform.
    Staff,
    /// The API key of the measured tenant.
    Key,
    /// Nobody, at the address of the server.
    Nobody,
    /// Nobody, at the host name that is the body.
    Visitor,
}

/// A kind of request.
pub struct Operation {
    /// One of [`GROUPS`].
    pub group: &'static str,
    /// Unique.
    pub name: &'static str,
    pub method: &'static str,
    /// With the query, below `/api/v1`, unless it begins with `//`.
    pub path: &'static str,
    /// JSON; empty for none.
    pub body: &'static str,
    pub who: Who,
    /// The status of a right answer.
    pub status: u16,
    /// Whether the answer has no end, and what counts is its first event.
    pub stream: bool,
    /// Why it may take longer with more rows; for those that may.
    pub grows: Option<&'static str>,
}

impl Operation {
    const fn get(group: &'static str, name: &'static str, path: &'static str) -> Self {
        let (method, body, who, status, stream, grows) = ("GET", "", Who::Owner, 200, false, None);
        Self { group, name, method, path, body, who, status, stream, grows }
    }

    const fn sends(self, method: &'static str, status: u16, body: &'static str) -> Self {
        Self { method, status, body, ..self }
    }

    const fn by(self, who: Who) -> Self {
        Self { who, ..self }
    }

    const fn at(self, host: &'static str, status: u16) -> Self {
        Self { who: Who::Visitor, body: host, status, ..self }
    }

    const fn grows(self, why: &'static str) -> Self {
        Self { grows: Some(why), ..self }
    }
}

const fn look_up(name: &'static str, path: &'static str) -> Operation {
    Operation::get("look-ups", name, path)
}

const fn change(name: &'static str, path: &'static str) -> Operation {
    Operation::get("changes", name, path)
}

const fn list(name: &'static str, path: &'static str) -> Operation {
    Operation::get("lists", name, path)
}

const fn audit(name: &'static str, path: &'static str) -> Operation {
    Operation::get("audit trail", name, path)
}

/// Everything that is measured, changes last.
pub const OPERATIONS: &[Operation] = &[
    look_up("page by slug", "/tenants/{tenant}/pages/slug/{slug}?siteId={site}{fresh}"),
    look_up("page by slug, first site", "/tenants/{tenant}/pages/slug/{slug}?{fresh}"),
    look_up("page", "/tenants/{tenant}/pages/{page}?{fresh}"),
    look_up("page by slug, by an API key", "/tenants/{tenant}/pages/slug/{slug}?{fresh}siteId={site}")
        .by(Who::Key),
    look_up("sections of a page", "/tenants/{tenant}/pages/{page}/sections"),
    look_up("version of a page", "/tenants/{tenant}/pages/{page}/versions/{page}"),
    look_up("tenant", "/tenants/{tenant}?{fresh}"),
    look_up("site", "/sites/{site}"),
    look_up("profile", "/profile"),
    look_up("usage", "/billing/usage"),
    look_up("analytics of 30 days", "/sites/{site}/analytics"),
    look_up("webhook delivery", "/tenants/{tenant}/deliveries/{delivery}"),
    look_up("customer, by staff", "/admin/customers/{customer}").by(Who::Staff),
    look_up("user, by staff", "/users/{user}").by(Who::Staff),
    look_up("published page", "//").at("{host}", 200),
    look_up("host name without a site", "//").at("none-{n}.localhost", 404),
    // Answers are kept by the host name, so none is asked for twice.
    look_up("certificate for a subdomain", "//api/tls/ask?domain=none-{n}.localhost")
        .sends("GET", 404, "")
        .by(Who::Nobody),
    look_up("certificate for a domain", "//api/tls/ask?domain=none-{n}.example.com")
        .sends("GET", 404, "")
        .by(Who::Nobody),
    Operation { stream: true, ..look_up("live updates, first event", "/events?lastEventId={near}") },
    list("pages, first", "/tenants/{tenant}/pages?siteId={site}&limit=10{fresh}").grows(NUMBERED),
    list("pages, last", "/tenants/{tenant}/pages?siteId={site}&limit=10&page={last}{fresh}").grows(FAR),
    list("pages by status", "/tenants/{tenant}/pages?siteId={site}&limit=3&status=draft{fresh}")
        .grows(NUMBERED),
    list("pages by title", "/tenants/{tenant}/pages?siteId={site}&limit=10&sort=title{fresh}")
        .grows(NUMBERED),
    list("pages, searched", "/tenants/{tenant}/pages?siteId={site}&limit=2&q=page-1{fresh}").grows(SEARCH),
    list("sites", "/sites?limit=2").grows(NUMBERED),
    list("sites by name", "/sites?limit=2&sort=name").grows(NUMBERED),
    list("versions of a page", "/tenants/{tenant}/pages/{hot}/versions?limit=20"),
    list("navigation", "/tenants/{tenant}/navigation?siteId={site}{fresh}"),
    list("deployments of a site", "/sites/{site}/deployments?limit=2").grows(NUMBERED),
    list("submissions", "/sites/{site}/submissions?limit=10"),
    list("submissions by status", "/sites/{site}/submissions?limit=5&status=new"),
    list("files", "/tenants/{tenant}/assets?limit=5").grows(NUMBERED),
    list("members", "/tenants/{tenant}/members?limit=2").grows(NUMBERED),
    list("members, searched", "/tenants/{tenant}/members?limit=1&q=member-1").grows(SEARCH),
    list("invitations", "/tenants/{tenant}/invitations?limit=2").grows(NUMBERED),
    list("own invitations", "/invitations"),
    list("own sessions", "/auth/sessions"),
    list("API keys", "/tenants/{tenant}/api-keys"),
    list("webhooks", "/tenants/{tenant}/webhooks"),
    list("deliveries", "/tenants/{tenant}/deliveries?limit=20"),
    list("deliveries, deep", "/tenants/{tenant}/deliveries?limit=20&cursor={deep_delivery}"),
    list("deliveries of a webhook", "/tenants/{tenant}/webhooks/{webhook}/deliveries?limit=20"),
    list("deliveries that failed", "/tenants/{tenant}/deliveries?limit=10&status=failed"),
    list("deliveries by type, rare", "/tenants/{tenant}/deliveries?limit=10&eventType=site.updated"),
    list("deliveries by type, none", "/tenants/{tenant}/deliveries?limit=10&eventType=wizard.completed"),
    list("deliveries of an event", "/tenants/{tenant}/deliveries?eventId={delivered}"),
    list("tenants, by staff", "/tenants?limit=10").by(Who::Staff).grows(NUMBERED),
    list("customers", "/admin/customers?limit=10").by(Who::Staff).grows(NUMBERED),
    list("customers, searched", "/admin/customers?limit=5&q=bakery%201").by(Who::Staff).grows(SEARCH),
    list("users", "/users?limit=10").by(Who::Staff).grows(NUMBERED),
    list("users by last sign-in", "/users?limit=10&sort=-lastLoginAt").by(Who::Staff).grows(NUMBERED),
    list("users, searched", "/users?limit=5&q=owner-1").by(Who::Staff).grows(SEARCH),
    list("dead jobs", "/admin/jobs?limit=10&state=dead").by(Who::Staff).grows(NUMBERED),
    list("sites for sale", "/offers?limit=1").by(Who::Nobody).grows(NUMBERED),
    audit("all", "/tenants/{tenant}/audit?limit=20"),
    audit("deep", "/tenants/{tenant}/audit?limit=20&cursor={deep_event}"),
    audit("type, common", "/tenants/{tenant}/audit?limit=20&type=page.created"),
    audit("type, 1 %", "/tenants/{tenant}/audit?limit=2&type=branding.updated"),
    audit("type, 1 in 10,000", "/tenants/{tenant}/audit?limit=2&type=dealer.updated"),
    audit("type, rare", "/tenants/{tenant}/audit?limit=20&type=webhook.disabled"),
    audit("type, none", "/tenants/{tenant}/audit?limit=20&type=wizard.completed"),
    audit("resource type, common", "/tenants/{tenant}/audit?limit=20&resourceType=page"),
    audit("resource type, 1 in 10,000", "/tenants/{tenant}/audit?limit=2&resourceType=dealer"),
    audit("resource type, rare", "/tenants/{tenant}/audit?limit=20&resourceType=webhook"),
    audit("resource type, none", "/tenants/{tenant}/audit?limit=20&resourceType=wizard"),
    audit("actor kind, common", "/tenants/{tenant}/audit?limit=20&actorKind=user"),
    audit("actor kind, rare", "/tenants/{tenant}/audit?limit=20&actorKind=system"),
    audit("actor kind, 1 in 10,000", "/tenants/{tenant}/audit?limit=2&actorKind=anonymous"),
    audit("actor, with most", "/tenants/{tenant}/audit?limit=20&actorId={owner}"),
    audit("actor, with few", "/tenants/{tenant}/audit?limit=20&actorId={member}"),
    audit("resource", "/tenants/{tenant}/audit?limit=5&resourceId={page}"),
    audit("request", "/tenants/{tenant}/audit?requestId={request}"),
    audit("an hour", "/tenants/{tenant}/audit?limit=20&from={from}&to={to}"),
    audit("platform: all", "/audit?limit=20").by(Who::Staff),
    audit("platform: deep", "/audit?limit=20&cursor={deep_event}").by(Who::Staff),
    audit("platform: type, 1 in 10,000", "/audit?limit=2&type=dealer.updated").by(Who::Staff),
    audit("platform: type, rare", "/audit?limit=20&type=webhook.disabled").by(Who::Staff),
    audit("platform: type, none", "/audit?limit=20&type=wizard.completed").by(Who::Staff),
    audit("platform: actor kind, rare", "/audit?limit=20&actorKind=system").by(Who::Staff),
    audit("platform: actor", "/audit?limit=20&actorId={member}").by(Who::Staff),
    audit("platform: request", "/audit?requestId={request}").by(Who::Staff),
    change("sign-in", "/auth/login")
        .sends("POST", 200, r#"{"email": "owner-{other}@example.com", "password": "Fresh-Bread-1950"}"#)
        .by(Who::Nobody),
    change("failed sign-in", "/auth/login")
        .sends("POST", 401, r#"{"email": "owner-{other}@example.com", "password": "Stale-Bread-1950"}"#)
        .by(Who::Nobody),
    change("registration", "/auth/register")
        .sends(
            "POST",
            201,
            r#"{"email": "new-{n}@example.com", "password": "Fresh-Bread-1950", "fullName": "New"}"#,
        )
        .by(Who::Nobody),
    change("change of a page", "/tenants/{tenant}/pages/{page}").sends(
        "PATCH",
        200,
        r#"{"title": "Changed {n}"}"#,
    ),
    change("creation of a page", "/tenants/{tenant}/pages?siteId={site}").sends(
        "POST",
        201,
        r#"{"title": "A new page", "slug": "new-{n}"}"#,
    ),
    change("change of a site", "/sites/{site}").sends("PATCH", 200, r#"{"name": "Harbour Bakery {n}"}"#),
    change("change of the profile", "/profile").sends("PATCH", 200, r#"{"fullName": "Ana Baker {n}"}"#),
    change("creation of a tenant", "/tenants").sends("POST", 201, r#"{"name": "Tenant {n}"}"#).by(Who::Staff),
];

#[cfg(test)]
mod tests {
    use super::{GROUPS, OPERATIONS};

    #[test]
    fn names_are_unique_and_groups_are_known() {
        let mut names: Vec<_> =
            OPERATIONS.iter().map(|operation| (operation.group, operation.name)).collect();
        assert!(names.iter().all(|(group, _)| GROUPS.contains(group)));
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
