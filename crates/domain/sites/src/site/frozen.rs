//! Sites that only staff change: for sale, sold or suspended, or more than the plan includes.
//!
//! The rule holds for everything that is on a site, and is checked in one place: at the end of each transaction, by the events
//! that it has appended. An event about something of a site is a change of that site unless its kind is listed here, so a new
//! use case is refused without knowing of the rule.

use std::collections::BTreeMap;

use portico_kernel::{
    Actor, Event, EventDeclaration, PageId, Permission, Scope, SiteId, TenantId, UserId, event::ActorKind,
};
use uuid::Uuid;

use super::{Site, SiteStatus};
use crate::{SitesError, events, ports::SiteRepositories};

/// What happens around a site and changes nothing on it: made, offered, withdrawn, sold or not after all, handed over or returned; messages and links of
/// others; the worker that builds what was requested.
static HARMLESS: [&EventDeclaration; 15] = [
    &events::SITE_CREATED,
    &events::SITE_OFFERED,
    &events::SITE_WITHDRAWN,
    &events::SITE_SOLD,
    &events::SITE_UNSOLD,
    &events::SITE_HANDED_OVER,
    &events::SITE_RECEIVED,
    &events::SITE_TAKEN_BACK,
    &events::SITE_RETURNED,
    &events::SITE_DEPLOYED,
    &events::DEPLOYMENT_STARTED,
    &events::DEPLOYMENT_FAILED,
    &events::DEPLOYMENT_CLEANED,
    &events::PREVIEW_CREATED,
    &events::AI_GENERATED,
];

/// Why only staff change a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frozen {
    /// It is offered for sale.
    ForSale,
    /// It is sold.
    Sold,
    /// It is locked by the operator.
    Suspended,
    /// It is one of more sites than the plan includes.
    OverLimit,
}

impl Frozen {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::ForSale, Self::Sold, Self::Suspended, Self::OverLimit];

    /// Name in queries: that of the status where the status is the reason.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ForSale => SiteStatus::ForSale.as_str(),
            Self::Sold => SiteStatus::Sold.as_str(),
            Self::Suspended => SiteStatus::Suspended.as_str(),
            Self::OverLimit => "over_limit",
        }
    }

    /// The reason of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|frozen| frozen.as_str() == text)
    }

    /// The error that members get.
    fn error(self) -> SitesError {
        match self {
            Self::ForSale => SitesError::SiteForSale,
            Self::Sold => SitesError::SiteSold,
            Self::Suspended => SitesError::SiteSuspended,
            Self::OverLimit => SitesError::OverLimit,
        }
    }
}

impl Site {
    /// Why only staff change it; `None` where members may. Its status comes before the limit of the plan.
    pub fn frozen(&self) -> Option<Frozen> {
        match self.status {
            SiteStatus::Draft | SiteStatus::Published => self.over_limit.then_some(Frozen::OverLimit),
            SiteStatus::ForSale => Some(Frozen::ForSale),
            SiteStatus::Sold => Some(Frozen::Sold),
            SiteStatus::Suspended => Some(Frozen::Suspended),
        }
    }
}

/// Checks that the caller may change the site. For use cases that need to know before the transaction ends.
///
/// # Errors
/// `SiteForSale`; `SiteSold`; `SiteSuspended`; `OverLimit`.
pub(crate) fn editable(scope: &Scope, site: &Site) -> Result<(), SitesError> {
    may_change(scope, site.frozen())
}

/// Checks that the caller may delete the site, which is allowed beyond the limit.
///
/// # Errors
/// `SiteForSale`; `SiteSold`; `SiteSuspended`.
pub(crate) fn removable(scope: &Scope, site: &Site) -> Result<(), SitesError> {
    may_change(scope, site.frozen().filter(|frozen| *frozen != Frozen::OverLimit))
}

fn may_change(scope: &Scope, frozen: Option<Frozen>) -> Result<(), SitesError> {
    let is_staff = matches!(scope.actor(), Actor::User { .. }) && scope.allows(Permission::PlatformSites);
    match frozen {
        Some(frozen) if !is_staff => Err(frozen.error()),
        _ => Ok(()),
    }
}

/// The same for a site of these pages.
///
/// # Errors
/// `SiteForSale`; `SiteSold`; `SiteSuspended`; `OverLimit`.
pub(crate) async fn editable_pages(
    repositories: &mut dyn SiteRepositories,
    scope: &Scope,
    tenant: TenantId,
    pages: &[PageId],
) -> Result<(), SitesError> {
    if pages.is_empty() {
        return Ok(());
    }
    may_change(scope, repositories.sites().frozen_among(tenant, &[], pages).await?)
}

/// What a transaction has changed on a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteChange {
    tenant: TenantId,
    place: ChangedPart,
    person: Option<Uuid>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChangedPart {
    Site(SiteId),
    Page(PageId),
}

/// A change of a site that only staff may change.
#[derive(Debug)]
pub struct RefusedChange {
    /// The person who made it in their own name, if any. They may, if they have `platform:sites`; others may not.
    pub person: Option<UserId>,
    /// The error for others.
    pub error: SitesError,
}

/// What a transaction has changed on sites, by its events.
pub fn changes(events: &[Event]) -> Vec<SiteChange> {
    let mut changes = Vec::new();
    for event in events {
        let Some(place) = place(event) else { continue };
        let change = SiteChange { tenant: event.tenant, place, person: person(event) };
        if !changes.contains(&change) {
            changes.push(change);
        }
    }
    changes
}

/// The changes of one tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantChanges {
    /// Sites that were changed themselves.
    pub sites: Vec<SiteId>,
    /// Pages that were changed, of any site.
    pub pages: Vec<PageId>,
    persons: Vec<Option<Uuid>>,
}

impl TenantChanges {
    /// Those that are refused, given what [`SiteRepository::frozen_among`](crate::ports::SiteRepository::frozen_among) answers for
    /// these sites and pages: one for each person.
    pub fn refused(&self, frozen: Option<Frozen>) -> Vec<RefusedChange> {
        let Some(frozen) = frozen else { return Vec::new() };
        let refused = |person: &Option<Uuid>| RefusedChange {
            person: person.map(UserId::from_uuid),
            error: frozen.error(),
        };
        self.persons.iter().map(refused).collect()
    }
}

/// The changes of sites, by tenant.
pub fn by_tenant(changes: &[SiteChange]) -> BTreeMap<TenantId, TenantChanges> {
    let mut tenants: BTreeMap<TenantId, TenantChanges> = BTreeMap::new();
    for change in changes {
        let all = tenants.entry(change.tenant).or_default();
        match change.place {
            ChangedPart::Site(id) => all.sites.push(id),
            ChangedPart::Page(id) => all.pages.push(id),
        }
        if !all.persons.contains(&change.person) {
            all.persons.push(change.person);
        }
    }
    tenants
}

fn person(event: &Event) -> Option<Uuid> {
    let in_own_name = event.actor_kind == ActorKind::User && event.impersonator_id.is_none();
    event.actor_id.filter(|_| in_own_name)
}

/// The site that an event has changed, or the page of it; `None` when it has changed none.
fn place(event: &Event) -> Option<ChangedPart> {
    let group = event.kind.split_once('.').map_or(&*event.kind, |(group, _)| group);
    // Messages of visitors are no part of the site, nor is the wizard that has made it, nor the sale of it. Results for a domain or
    // a build are observed, not decided.
    let found_out =
        event.actor_kind == ActorKind::System && matches!(group, "site" | "domain" | "deployment");
    if matches!(group, "submission" | "wizard" | "site_sale")
        || found_out
        || HARMLESS.iter().any(|harmless| event.kind.is(harmless))
    {
        return None;
    }
    let named = |name: &str| -> Option<Uuid> {
        let resources = [&event.after, &event.before];
        resources.into_iter().flatten().find_map(|resource| resource.get(name)?.as_str()?.parse().ok())
    };
    let site = match group {
        "site" => Some(event.resource.id),
        "navigation" => named("siteId").or(Some(event.resource.id)),
        _ => named("siteId"),
    };
    let page = || match group {
        "page" | "seo" => named("pageId").or(Some(event.resource.id)),
        _ => named("pageId"),
    };
    site.map(|id| ChangedPart::Site(SiteId::from_uuid(id)))
        .or_else(|| page().map(|id| ChangedPart::Page(PageId::from_uuid(id))))
}
