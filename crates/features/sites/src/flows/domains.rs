//! Verification of customers' domains: the DNS is queried outside of any transaction, and the result is stored in one.

use portico_kernel::{Job, Scope, StoreError};
use portico_runtime::{
    store::UnitOfWork,
    worker::jobs::{self, JobError},
};
use portico_sites::{
    SitesError,
    deployment::Deployments,
    domain::{CheckDomain, DnsCheck, Domain, Domains, RedeploySite, look},
};

use crate::state::App;

/// How often to retry after a concurrent change of the domain or the site.
const TRIES: usize = 5;

/// Queries the DNS about the domain and stores the result, in a unit of work that is to be committed.
///
/// # Errors
/// `DomainTaken`, which is stored too: the proof is there, but another site verified the domain first.
pub async fn verify(
    app: &App,
    scope: &Scope,
    domain: &Domain,
) -> Result<(Box<dyn UnitOfWork>, Domain), SitesError> {
    let check = look(&*app.resolver, domain, &app.hosting.addresses.target).await;
    let noted = record(app, scope, domain, &check, false).await;
    if matches!(noted, Err(SitesError::DomainTaken)) {
        let (work, _) = record(app, scope, domain, &check, true).await?;
        work.commit().await?;
    }
    noted
}

/// `domain.check`.
pub async fn check(app: &App, check: CheckDomain, job: &Job) -> Result<(), JobError> {
    let CheckDomain { site_id, domain_id, round } = check;
    let scope = jobs::scope(job);
    let due =
        Domains::new(&mut *app.core.reader(), &scope, &app.core.env).due(site_id, domain_id, round).await?;
    let Some(domain) = due else { return Ok(()) };
    match verify(app, &scope, &domain).await {
        Ok((work, _)) => work.commit().await?,
        Err(SitesError::DomainTaken) => {}
        // The domain was removed meanwhile.
        Err(SitesError::NotFound(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    let mut work = app.core.begin().await?;
    let mut domains = Domains::new(&mut *work, &scope, &app.core.env);
    let Some(domain) = domains.due(site_id, domain_id, round).await? else { return Ok(()) };
    domains.end_round(domain).await?;
    work.commit().await?;
    Ok(())
}

/// `site.redeploy`.
pub async fn redeploy(app: &App, RedeploySite { site_id }: RedeploySite, job: &Job) -> Result<(), JobError> {
    let scope = jobs::scope(job);
    let mut work = app.core.begin().await?;
    match Deployments::new(&mut *work, &scope, &app.core.env).request(site_id, false).await {
        Ok(_) => work.commit().await?,
        // Nothing that may be deployed: the next deployment will have the address.
        Err(
            SitesError::NotFound(_)
            | SitesError::NothingToDeploy
            | SitesError::SampleContent(_)
            | SitesError::SiteSuspended
            | SitesError::OverLimit,
        ) => {}
        // A deployment in progress may have read the old address already; retried until this one can follow it.
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

async fn record(
    app: &App,
    scope: &Scope,
    domain: &Domain,
    check: &DnsCheck,
    taken: bool,
) -> Result<(Box<dyn UnitOfWork>, Domain), SitesError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let mut work = app.core.begin().await?;
        let mut domains = Domains::new(&mut *work, scope, &app.core.env);
        let noted = match taken {
            true => domains.record_taken(domain, check.clone()).await,
            false => domains.record(domain, check.clone()).await,
        };
        match noted {
            Ok(noted) => return Ok((work, noted)),
            Err(SitesError::Store(StoreError::Stale)) if tries < TRIES => {}
            Err(error) => return Err(error),
        }
    }
}
