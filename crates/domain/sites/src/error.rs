//! How sites fail.

use std::borrow::Cow;

use portico_kernel::{Denied, Fault, FieldError, Kind, StoreError};

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
    /// Another tenant or site has the subdomain.
    #[error("subdomain taken")]
    SubdomainTaken,
    /// A deployment of the site is queued or being built.
    #[error("deployment in progress")]
    DeploymentInProgress,
    /// The site has no published page, so there is nothing to deploy.
    #[error("nothing to deploy")]
    NothingToDeploy,
    /// Only a deployment that was live before can be rolled back to.
    #[error("deployment was never live")]
    NotDeployed,
    /// The site is suspended.
    #[error("site suspended")]
    SiteSuspended,
    /// The path means the tenant's primary site, and the tenant has no site yet.
    #[error("tenant has no site")]
    NoSite,
    /// `If-Match` names an older version.
    #[error("precondition failed")]
    PreconditionFailed,
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
            | Self::SubdomainTaken
            | Self::DeploymentInProgress
            | Self::NothingToDeploy
            | Self::NotDeployed
            | Self::NoSite
            | Self::SiteSuspended => Kind::Conflict,
            Self::PreconditionFailed => Kind::PreconditionFailed,
            Self::Store(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::Invalid(_) => "invalid",
            Self::NotFound(_) => "not_found",
            Self::SlugTaken => "slug_taken",
            Self::SubdomainTaken => "subdomain_taken",
            Self::DeploymentInProgress => "deployment_in_progress",
            Self::NothingToDeploy => "nothing_to_deploy",
            Self::NotDeployed => "not_deployed",
            Self::SiteSuspended => "site_suspended",
            Self::NoSite => "no_site",
            Self::PreconditionFailed => "precondition_failed",
            Self::Store(error) => error.code(),
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::Denied(denied) => denied.detail(),
            Self::Invalid(_) => "Some fields are not valid.".into(),
            Self::NotFound(what) => format!("There is no such {what}.").into(),
            Self::SlugTaken => "Another page of this site has this slug.".into(),
            Self::SubdomainTaken => "This subdomain is taken.".into(),
            Self::DeploymentInProgress => {
                "A deployment of this site is under way. Wait until it has finished.".into()
            }
            Self::NothingToDeploy => "The site has no published page yet. Publish a page first.".into(),
            Self::NotDeployed => "Only a deployment that was live before can be rolled back to.".into(),
            Self::SiteSuspended => "This site is suspended. Contact support.".into(),
            Self::NoSite => "The tenant has no site yet. Create one first.".into(),
            Self::PreconditionFailed => "It was changed since you read it. Read it again.".into(),
            Self::Store(error) => error.detail(),
        }
    }

    fn fields(&self) -> &[FieldError] {
        match self {
            Self::Invalid(errors) => errors,
            _ => &[],
        }
    }
}
