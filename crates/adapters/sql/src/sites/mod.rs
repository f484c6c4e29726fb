//! What customers build.

use portico_billing::quota::Quotas;
use portico_kernel::Entitlements;
use portico_sites::ports::{
    AssetRepository, DeploymentRepository, DomainRepository, NavigationRepository, PageRepository,
    PageVersionRepository, SectionRepository, SeoRepository, SiteRepositories, SiteRepository,
    SubmissionRepository, TemplateRepository, VisitRepository, WizardRepository,
};
use sea_orm::ConnectionTrait;

use crate::Repositories;

mod assets;
mod deployments;
mod domains;
mod list;
mod navigation;
mod pages;
mod sections;
mod seo;
#[expect(clippy::module_inception, reason = "a file is called as the aggregate that it stores")]
mod sites;
mod submissions;
mod templates;
mod versions;
mod visits;
mod wizards;

impl<C: ConnectionTrait + Send> SiteRepositories for Repositories<C> {
    fn sites<'c>(&'c mut self) -> Box<dyn SiteRepository + 'c> {
        Box::new(sites::Sites { connection: &self.connection })
    }

    fn pages<'c>(&'c mut self) -> Box<dyn PageRepository + 'c> {
        Box::new(pages::Pages { connection: &self.connection })
    }

    fn entitlements<'c>(&'c mut self) -> Box<dyn Entitlements + 'c> {
        Box::new(Quotas::new(self))
    }

    fn may_have_written_content(&self) -> bool {
        self.written.content
    }

    fn sections<'c>(&'c mut self) -> Box<dyn SectionRepository + 'c> {
        self.written.content = true;
        Box::new(sections::Sections { connection: &self.connection })
    }

    fn navigation<'c>(&'c mut self) -> Box<dyn NavigationRepository + 'c> {
        Box::new(navigation::Navigation { connection: &self.connection })
    }

    fn deployments<'c>(&'c mut self) -> Box<dyn DeploymentRepository + 'c> {
        Box::new(deployments::Deployments { connection: &self.connection })
    }

    fn templates<'c>(&'c mut self) -> Box<dyn TemplateRepository + 'c> {
        Box::new(templates::Templates { connection: &self.connection })
    }

    fn wizards<'c>(&'c mut self) -> Box<dyn WizardRepository + 'c> {
        Box::new(wizards::Wizards { connection: &self.connection })
    }

    fn assets<'c>(&'c mut self) -> Box<dyn AssetRepository + 'c> {
        Box::new(assets::Assets { connection: &self.connection })
    }

    fn seo<'c>(&'c mut self) -> Box<dyn SeoRepository + 'c> {
        self.written.content = true;
        Box::new(seo::Seos { connection: &self.connection })
    }

    fn versions<'c>(&'c mut self) -> Box<dyn PageVersionRepository + 'c> {
        Box::new(versions::PageVersions { connection: &self.connection })
    }

    fn domains<'c>(&'c mut self) -> Box<dyn DomainRepository + 'c> {
        Box::new(domains::Domains { connection: &self.connection })
    }

    fn visits<'c>(&'c mut self) -> Box<dyn VisitRepository + 'c> {
        Box::new(visits::Visits { connection: &self.connection })
    }

    fn submissions<'c>(&'c mut self) -> Box<dyn SubmissionRepository + 'c> {
        Box::new(submissions::Submissions { connection: &self.connection })
    }
}
