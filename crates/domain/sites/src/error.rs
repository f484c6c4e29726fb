//! Errors of sites.

use std::borrow::Cow;

use portico_kernel::{Denied, EntitlementError, Fault, FieldError, Kind, PageId, StoreError};
use serde_json::Value;

/// Everything that can go wrong here.
#[derive(Debug, thiserror::Error)]
pub enum SitesError {
    /// Not allowed.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The input breaks rules.
    #[error("invalid input: {0:?}")]
    Invalid(Vec<FieldError>),
    /// Not there, or not to be seen by this caller.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// Another page of the site has the slug.
    #[error("slug taken")]
    SlugTaken,
    /// Another template has the slug.
    #[error("slug of a template taken")]
    TemplateSlugTaken,
    /// There is nothing to reset to: it was not made from a template.
    #[error("not made from a template")]
    NotFromTemplate,
    /// Another tenant or site has the subdomain.
    #[error("subdomain taken")]
    SubdomainTaken,
    /// A deployment of the site is queued or being built.
    #[error("deployment in progress")]
    DeploymentInProgress,
    /// The site has no published page, so there is nothing to deploy.
    #[error("nothing to deploy")]
    NothingToDeploy,
    /// Sections with content that nobody wrote or confirmed would be published: their places, as the answer names them.
    #[error("sections are samples")]
    SampleContent(Value),
    /// Only a deployment that was live before can be rolled back to.
    #[error("deployment was never live")]
    NotDeployed,
    /// The files of the deployment were deleted, because there are enough newer ones.
    #[error("deployment was cleaned up")]
    DeploymentCleaned,
    /// The site is suspended.
    #[error("site suspended")]
    SiteSuspended,
    /// The tenant has connected a domain of this name already.
    #[error("domain exists")]
    DomainExists,
    /// Another tenant has proven that the domain is theirs.
    #[error("domain taken")]
    DomainTaken,
    /// The site is for sale; only staff change it.
    #[error("site for sale")]
    SiteForSale,
    /// The plan includes fewer sites than the tenant has, and this one is among the newest: it is read-only.
    #[error("site over the limit")]
    OverLimit,
    /// The site is not for sale.
    #[error("site not for sale")]
    NotForSale,
    /// The site is sold.
    #[error("site sold")]
    SiteSold,
    /// Only a site that answers at its address can be offered.
    #[error("site not published")]
    NotPublished,
    /// The file is not deleted, so it cannot be restored.
    #[error("asset not deleted")]
    AssetNotDeleted,
    /// The file is shown somewhere.
    #[error("asset in use")]
    AssetInUse {
        /// By these pages; a hundred at most.
        pages: Vec<PageId>,
        /// By the tenant's branding.
        branding: bool,
    },
    /// The path means the tenant's primary site, and the tenant has no site yet.
    #[error("tenant has no site")]
    NoSite,
    /// As many messages of visitors are kept as a site may have.
    #[error("too many submissions")]
    TooManySubmissions,
    /// The tenant has as many wizards in progress as it may.
    #[error("too many wizards")]
    TooManyWizards,
    /// The wizard has made its site already.
    #[error("wizard completed")]
    WizardCompleted,
    /// Texts of the wizard are being generated.
    #[error("generation in progress")]
    GenerationInProgress,
    /// `If-Match` names an older version.
    #[error("precondition failed")]
    PreconditionFailed,
    /// The tenant's plan does not include it.
    #[error(transparent)]
    Entitlement(#[from] EntitlementError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Fault for SitesError {
    fn kind(&self) -> Kind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::Invalid(_) => Kind::Invalid,
            Self::NotFound(_) => Kind::NotFound,
            Self::SlugTaken
            | Self::TemplateSlugTaken
            | Self::NotFromTemplate
            | Self::SubdomainTaken
            | Self::DeploymentInProgress
            | Self::NothingToDeploy
            | Self::SampleContent(_)
            | Self::NotDeployed
            | Self::DeploymentCleaned
            | Self::NoSite
            | Self::AssetNotDeleted
            | Self::AssetInUse { .. }
            | Self::TooManySubmissions
            | Self::TooManyWizards
            | Self::WizardCompleted
            | Self::GenerationInProgress
            | Self::DomainExists
            | Self::DomainTaken
            | Self::SiteForSale
            | Self::OverLimit
            | Self::NotForSale
            | Self::SiteSold
            | Self::NotPublished
            | Self::SiteSuspended => Kind::Conflict,
            Self::PreconditionFailed => Kind::PreconditionFailed,
            Self::Entitlement(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::Invalid(_) => "invalid",
            Self::NotFound(_) => "not_found",
            Self::SlugTaken | Self::TemplateSlugTaken => "slug_taken",
            Self::NotFromTemplate => "not_from_template",
            Self::SubdomainTaken => "subdomain_taken",
            Self::DeploymentInProgress => "deployment_in_progress",
            Self::NothingToDeploy => "nothing_to_deploy",
            Self::SampleContent(_) => "sample_content",
            Self::NotDeployed => "not_deployed",
            Self::DeploymentCleaned => "deployment_cleaned",
            Self::SiteSuspended => "site_suspended",
            Self::AssetNotDeleted => "asset_not_deleted",
            Self::AssetInUse { .. } => "asset_in_use",
            Self::NoSite => "no_site",
            Self::DomainExists => "domain_exists",
            Self::DomainTaken => "domain_taken",
            Self::SiteForSale => "site_for_sale",
            Self::OverLimit => "over_limit",
            Self::NotForSale => "not_for_sale",
            Self::SiteSold => "site_sold",
            Self::NotPublished => "not_published",
            Self::TooManySubmissions => "too_many_submissions",
            Self::TooManyWizards => "too_many_wizards",
            Self::WizardCompleted => "wizard_completed",
            Self::GenerationInProgress => "generation_in_progress",
            Self::PreconditionFailed => "precondition_failed",
            Self::Entitlement(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::Denied(denied) => denied.detail(),
            Self::Invalid(_) => "Some fields are not valid.".into(),
            Self::NotFound(what) => format!("There is no such {what}.").into(),
            Self::SlugTaken => "Another page of this site has this slug.".into(),
            Self::TemplateSlugTaken => "Another template has this slug.".into(),
            Self::NotFromTemplate => {
                "This was not made from a template, so there is nothing to go back to.".into()
            }
            Self::SubdomainTaken => "This subdomain is taken.".into(),
            Self::DeploymentInProgress => {
                "A deployment of this site is under way. Wait until it has finished.".into()
            }
            Self::NothingToDeploy => "The site has no published page yet. Publish a page first.".into(),
            Self::SampleContent(_) => {
                "Some sections show texts that nobody wrote or confirmed. Edit, confirm or delete them, or confirm them all with `confirmSampleContent`."
                    .into()
            }
            Self::NotDeployed => "Only a deployment that was live before can be rolled back to.".into(),
            Self::DeploymentCleaned => {
                "The files of this deployment are not kept any more. Choose a newer one.".into()
            }
            Self::SiteSuspended => "This site is suspended. Contact support.".into(),
            Self::AssetNotDeleted => "This file is not deleted.".into(),
            Self::AssetInUse { .. } => {
                "Pages or the branding show this file. Take it out there, or delete it with `force=true`."
                    .into()
            }
            Self::NoSite => "The tenant has no site yet. Create one first.".into(),
            Self::DomainExists => "This tenant has connected this domain already.".into(),
            Self::DomainTaken => {
                "Another tenant has verified this domain. Once they disconnect it, it can be verified here."
                    .into()
            }
            Self::SiteForSale => {
                "This site is for sale. It can be changed once the offer is withdrawn.".into()
            }
            Self::OverLimit => {
                "The plan includes fewer sites than there are, so the newest ones are read-only. Delete sites that you do not need, or take a larger plan."
                    .into()
            }
            Self::NotForSale => "This site is not for sale.".into(),
            Self::SiteSold => "This site is sold.".into(),
            Self::NotPublished => {
                "Only a site that answers at its address can be offered. Deploy it first.".into()
            }
            Self::TooManySubmissions => "This site takes no more messages until some are deleted.".into(),
            Self::TooManyWizards => {
                "There are 20 wizards in progress. Complete one of them, or delete one.".into()
            }
            Self::WizardCompleted => "The wizard has made its site. Change the site itself.".into(),
            Self::GenerationInProgress => {
                "Texts are being generated. Wait until that is over, or choose to write your own.".into()
            }
            Self::PreconditionFailed => "It was changed since you read it. Read it again.".into(),
            Self::Entitlement(error) => error.detail(),
            Self::Store(error) => error.detail(),
        }
    }

    fn fields(&self) -> &[FieldError] {
        match self {
            Self::Invalid(errors) => errors,
            Self::Store(error) => error.fields(),
            _ => &[],
        }
    }

    fn members(&self) -> Vec<(&'static str, serde_json::Value)> {
        match self {
            Self::AssetInUse { pages, branding } => {
                vec![("pages", serde_json::json!(pages)), ("branding", (*branding).into())]
            }
            Self::SampleContent(places) => vec![("sampleContent", places.clone())],
            Self::Entitlement(error) => error.members(),
            Self::Store(error) => error.members(),
            _ => Vec::new(),
        }
    }
}
