//! The events of sites and everything on them. The only place that defines who receives each, which caches it invalidates and how
//! it is audited.

use portico_kernel::{
    Permission::{
        AssetsRead, BillingRead, DomainsRead, NavigationRead, PagesRead, SitesRead, SubmissionsRead,
    },
    declare_events,
    event::{
        Audience::{Holders, Nobody},
        AuditClass::Sealed,
        CacheTopic::{Hosts, Responses},
    },
};

declare_events! {
    "A site was made."
    SITE_CREATED { word: "site.created", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "Sample content of a site was confirmed, all of it at once."
    SITE_CONTENT_CONFIRMED { word: "site.content_confirmed", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "A site was deleted."
    SITE_DELETED { word: "site.deleted", audience: Holders(SitesRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A site was published: its deployment is live."
    SITE_DEPLOYED { word: "site.deployed", audience: Holders(SitesRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A site was offered for sale."
    SITE_OFFERED { word: "site.offered", audience: Holders(SitesRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A site went back to an earlier deployment."
    SITE_ROLLED_BACK { word: "site.rolled_back", audience: Holders(SitesRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A site was changed."
    SITE_UPDATED { word: "site.updated", audience: Holders(SitesRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A site is not for sale any more."
    SITE_WITHDRAWN { word: "site.withdrawn", audience: Holders(SitesRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A page was made."
    PAGE_CREATED { word: "page.created", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "A page was deleted."
    PAGE_DELETED { word: "page.deleted", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "A page was published."
    PAGE_PUBLISHED { word: "page.published", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "A page, or a part of it, was reset to its template."
    PAGE_RESET_TO_TEMPLATE { word: "page.reset_to_template", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "A page was put back to an earlier version."
    PAGE_RESTORED { word: "page.restored", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "The sections of a page were put into another order."
    PAGE_SECTIONS_REORDERED { word: "page.sections_reordered", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "A page is not published any more."
    PAGE_UNPUBLISHED { word: "page.unpublished", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "A page was changed."
    PAGE_UPDATED { word: "page.updated", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "A section was added to a page."
    SECTION_CREATED { word: "section.created", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "A section was deleted."
    SECTION_DELETED { word: "section.deleted", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "A section was changed."
    SECTION_UPDATED { word: "section.updated", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "The SEO metadata of a page were deleted."
    SEO_DELETED { word: "seo.deleted", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "The SEO metadata of a page were changed."
    SEO_UPDATED { word: "seo.updated", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "An entry was added to the navigation."
    NAVIGATION_CREATED { word: "navigation.created", audience: Holders(NavigationRead), invalidates: &[Responses], audit: Sealed }

    "An entry of the navigation was deleted."
    NAVIGATION_DELETED { word: "navigation.deleted", audience: Holders(NavigationRead), invalidates: &[Responses], audit: Sealed }

    "The entries of the navigation were put into another order."
    NAVIGATION_REORDERED { word: "navigation.reordered", audience: Holders(NavigationRead), invalidates: &[Responses], audit: Sealed }

    "An entry of the navigation was changed."
    NAVIGATION_UPDATED { word: "navigation.updated", audience: Holders(NavigationRead), invalidates: &[Responses], audit: Sealed }

    "A file was uploaded."
    ASSET_CREATED { word: "asset.created", audience: Holders(AssetsRead), invalidates: &[Responses], audit: Sealed }

    "A file was deleted."
    ASSET_DELETED { word: "asset.deleted", audience: Holders(AssetsRead), invalidates: &[Responses], audit: Sealed }

    "The deletion of a file was taken back."
    ASSET_RESTORED { word: "asset.restored", audience: Holders(AssetsRead), invalidates: &[Responses], audit: Sealed }

    "The name or the alternative text of a file was changed."
    ASSET_UPDATED { word: "asset.updated", audience: Holders(AssetsRead), invalidates: &[Responses], audit: Sealed }

    "What a visitor sent was deleted."
    SUBMISSION_DELETED { word: "submission.deleted", audience: Holders(SubmissionsRead), invalidates: &[], audit: Sealed }

    "A visitor sent a contact form."
    SUBMISSION_RECEIVED { word: "submission.received", audience: Holders(SubmissionsRead), invalidates: &[], audit: Sealed }

    "What a visitor sent was marked."
    SUBMISSION_UPDATED { word: "submission.updated", audience: Holders(SubmissionsRead), invalidates: &[], audit: Sealed }

    "The files of an outdated deployment were deleted."
    DEPLOYMENT_CLEANED { word: "deployment.cleaned", audience: Nobody, invalidates: &[Responses], audit: Sealed }

    "A deployment was asked for."
    DEPLOYMENT_CREATED { word: "deployment.created", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "A deployment failed; what was published before stays."
    DEPLOYMENT_FAILED { word: "deployment.failed", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "A deployment is being built."
    DEPLOYMENT_STARTED { word: "deployment.started", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "A domain was connected to a site, and waits to be proven."
    DOMAIN_ADDED { word: "domain.added", audience: Holders(DomainsRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A domain is not proven any more."
    DOMAIN_FAILED { word: "domain.failed", audience: Holders(DomainsRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A domain was taken off a site."
    DOMAIN_REMOVED { word: "domain.removed", audience: Holders(DomainsRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A domain was changed."
    DOMAIN_UPDATED { word: "domain.updated", audience: Holders(DomainsRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A domain was proven to belong to the tenant."
    DOMAIN_VERIFIED { word: "domain.verified", audience: Holders(DomainsRead), invalidates: &[Hosts, Responses], audit: Sealed }

    "A template was applied to a page or a site."
    TEMPLATE_APPLIED { word: "template.applied", audience: Holders(PagesRead), invalidates: &[Responses], audit: Sealed }

    "A website template was made."
    TEMPLATE_CREATED { word: "template.created", audience: Nobody, invalidates: &[Responses], audit: Sealed }

    "A website template was deleted."
    TEMPLATE_DELETED { word: "template.deleted", audience: Nobody, invalidates: &[Responses], audit: Sealed }

    "A website template was changed."
    TEMPLATE_UPDATED { word: "template.updated", audience: Nobody, invalidates: &[Responses], audit: Sealed }

    "A site was made by the wizard."
    WIZARD_COMPLETED { word: "wizard.completed", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "The texts of a wizard could not be written."
    WIZARD_CONTENT_FAILED { word: "wizard.content_failed", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "The texts of a wizard are written."
    WIZARD_CONTENT_GENERATED { word: "wizard.content_generated", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "Texts were asked for in the wizard."
    WIZARD_CONTENT_REQUESTED { word: "wizard.content_requested", audience: Nobody, invalidates: &[Responses], audit: Sealed }

    "A run through the wizard was given up."
    WIZARD_DELETED { word: "wizard.deleted", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "A run through the wizard was begun."
    WIZARD_STARTED { word: "wizard.started", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "A step of the wizard was saved."
    WIZARD_UPDATED { word: "wizard.updated", audience: Holders(SitesRead), invalidates: &[Responses], audit: Sealed }

    "A link to a preview was made."
    PREVIEW_CREATED { word: "preview.created", audience: Nobody, invalidates: &[], audit: Sealed }

    "A text was written by AI, which counts against the plan."
    AI_GENERATED { word: "ai.generated", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
}
