//! The events of sites and everything on them. The only place that defines who receives each, which caches it invalidates and how
//! it is audited.

use portico_kernel::{
    Permission::{
        AssetsRead, BillingRead, DomainsRead, NavigationRead, PagesRead, SitesRead, SubmissionsRead,
    },
    declare_events,
    event::{
        Audience::{Holders, Internal},
        AuditClass::Sealed,
        CacheTopic::{Hosts, Responses},
    },
};

declare_events! {
    "A site was made."
    SITE_CREATED { name: "site.created", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "Sample content of a site was confirmed, all of it at once."
    SITE_CONTENT_CONFIRMED { name: "site.content_confirmed", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "A site was deleted."
    SITE_DELETED { name: "site.deleted", audience: Holders(SitesRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A site was published: its deployment is live."
    SITE_DEPLOYED { name: "site.deployed", audience: Holders(SitesRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A site was handed over to its buyer; the tenant does not have it any more."
    SITE_HANDED_OVER { name: "site.handed_over", audience: Holders(SitesRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A site was offered for sale."
    SITE_OFFERED { name: "site.offered", audience: Holders(SitesRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A site became read-only: the plan includes fewer sites, and this one is among the newest."
    SITE_OVER_LIMIT { name: "site.over_limit", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "A site that was bought is the tenant's now."
    SITE_RECEIVED { name: "site.received", audience: Holders(SitesRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A site that was sold and paid back is the tenant's again, as a draft."
    SITE_RETURNED { name: "site.returned", audience: Holders(SitesRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A site went back to an earlier deployment."
    SITE_ROLLED_BACK { name: "site.rolled_back", audience: Holders(SitesRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A site was paid by a buyer, and is to be handed over."
    SITE_SOLD { name: "site.sold", audience: Holders(SitesRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A site that was bought was paid back and went back to its seller; the tenant does not have it any more."
    SITE_TAKEN_BACK { name: "site.taken_back", audience: Holders(SitesRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A site was changed."
    SITE_UPDATED { name: "site.updated", audience: Holders(SitesRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "The sale of a site was taken back before it was handed over: it is an ordinary published one again."
    SITE_UNSOLD { name: "site.unsold", audience: Holders(SitesRead), invalidates: &[Hosts, Responses], audit: Sealed }
    "A site is not for sale any more."
    SITE_WITHDRAWN { name: "site.withdrawn", audience: Holders(SitesRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A site that was read-only for being over the limit can be changed again."
    SITE_WITHIN_LIMIT { name: "site.within_limit", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "A page was made."
    PAGE_CREATED { name: "page.created", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "A page was deleted."
    PAGE_DELETED { name: "page.deleted", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "A page was published."
    PAGE_PUBLISHED { name: "page.published", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "A page, or a part of it, was reset to its template."
    PAGE_RESET_TO_TEMPLATE { name: "page.reset_to_template", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "A page was put back to an earlier version."
    PAGE_RESTORED { name: "page.restored", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "The sections of a page were put into another order."
    PAGE_SECTIONS_REORDERED { name: "page.sections_reordered", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "A page is not published any more."
    PAGE_UNPUBLISHED { name: "page.unpublished", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "A page was changed."
    PAGE_UPDATED { name: "page.updated", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "A section was added to a page."
    SECTION_CREATED { name: "section.created", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "A section was deleted."
    SECTION_DELETED { name: "section.deleted", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "A section was changed."
    SECTION_UPDATED { name: "section.updated", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "The SEO metadata of a page were deleted."
    SEO_DELETED { name: "seo.deleted", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "The SEO metadata of a page were changed."
    SEO_UPDATED { name: "seo.updated", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "An entry was added to the navigation."
    NAVIGATION_CREATED { name: "navigation.created", audience: Holders(NavigationRead), invalidates: &[Responses], audit: Sealed }

    "An entry of the navigation was deleted."
    NAVIGATION_DELETED { name: "navigation.deleted", audience: Holders(NavigationRead), invalidates: &[Responses], audit: Sealed }

    "The entries of the navigation were put into another order."
    NAVIGATION_REORDERED { name: "navigation.reordered", audience: Holders(NavigationRead), invalidates: &[Responses], audit: Sealed }

    "An entry of the navigation was changed."
    NAVIGATION_UPDATED { name: "navigation.updated", audience: Holders(NavigationRead), invalidates: &[Responses], audit: Sealed }

    "A file was uploaded."
    ASSET_CREATED { name: "asset.created", audience: Holders(AssetsRead), invalidates: &[Responses], audit: Sealed }

    "A file was deleted."
    ASSET_DELETED { name: "asset.deleted", audience: Holders(AssetsRead), invalidates: &[Responses], audit: Sealed }

    "The deletion of a file was taken back."
    ASSET_RESTORED { name: "asset.restored", audience: Holders(AssetsRead), invalidates: &[Responses], audit: Sealed }

    "The name or the alternative text of a file was changed."
    ASSET_UPDATED { name: "asset.updated", audience: Holders(AssetsRead), invalidates: &[Responses], audit: Sealed }

    "What a visitor sent was deleted."
    SUBMISSION_DELETED { name: "submission.deleted", audience: Holders(SubmissionsRead), invalidates: &[], audit: Sealed }

    "A visitor sent a contact form."
    SUBMISSION_RECEIVED { name: "submission.received", audience: Holders(SubmissionsRead), invalidates: &[], audit: Sealed }

    "What a visitor sent was marked."
    SUBMISSION_UPDATED { name: "submission.updated", audience: Holders(SubmissionsRead), invalidates: &[], audit: Sealed }

    "The files of an outdated deployment were deleted."
    DEPLOYMENT_CLEANED { name: "deployment.cleaned", audience: Internal, invalidates: &[Responses], audit: Sealed }

    "A deployment was asked for."
    DEPLOYMENT_CREATED { name: "deployment.created", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "A deployment failed; what was published before stays."
    DEPLOYMENT_FAILED { name: "deployment.failed", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "A deployment is being built."
    DEPLOYMENT_STARTED { name: "deployment.started", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "A domain was connected to a site, and waits to be proven."
    DOMAIN_ADDED { name: "domain.added", audience: Holders(DomainsRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A domain is not proven any more."
    DOMAIN_FAILED { name: "domain.failed", audience: Holders(DomainsRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A domain was taken off a site."
    DOMAIN_REMOVED { name: "domain.removed", audience: Holders(DomainsRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A domain was changed."
    DOMAIN_UPDATED { name: "domain.updated", audience: Holders(DomainsRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A domain was proven to belong to the tenant."
    DOMAIN_VERIFIED { name: "domain.verified", audience: Holders(DomainsRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A template was applied to a page or a site."
    TEMPLATE_APPLIED { name: "template.applied", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "A website template was made."
    TEMPLATE_CREATED { name: "template.created", audience: Internal, invalidates: &[Responses], audit: Sealed }

    "A website template was deleted."
    TEMPLATE_DELETED { name: "template.deleted", audience: Internal, invalidates: &[Responses], audit: Sealed }

    "A website template was changed."
    TEMPLATE_UPDATED { name: "template.updated", audience: Internal, invalidates: &[Responses], audit: Sealed }

    "A site was made by the wizard."
    WIZARD_COMPLETED { name: "wizard.completed", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "The texts of a wizard could not be written."
    WIZARD_CONTENT_FAILED { name: "wizard.content_failed", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "The texts of a wizard are written."
    WIZARD_CONTENT_GENERATED { name: "wizard.content_generated", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "Texts were asked for in the wizard."
    WIZARD_CONTENT_REQUESTED { name: "wizard.content_requested", audience: Internal, invalidates: &[Responses], audit: Sealed }

    "A run through the wizard was given up."
    WIZARD_DELETED { name: "wizard.deleted", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "A run through the wizard was begun."
    WIZARD_STARTED { name: "wizard.started", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "A step of the wizard was saved."
    WIZARD_UPDATED { name: "wizard.updated", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "A link to a preview was made."
    PREVIEW_CREATED { name: "preview.created", audience: Internal, invalidates: &[], audit: Sealed }

    "A text was written by AI, which counts against the plan."
    AI_GENERATED { name: "ai.generated", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
}
