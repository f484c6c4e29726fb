//! What customers build.

use portico_billing::quota::Quotas;
use portico_kernel::Entitlements;
use portico_sites::ports::{
    AssetRepository, DeploymentRepository, DomainRepository, NavigationRepository, PageRepository,
    PageVersionRepository, SectionRepository, SeoRepository, SiteRepositories, SiteRepository,
    SubmissionRepository, TemplateRepository, VisitRepository, WizardRepository,
};

use crate::{Repositories, db::StatementConnection};

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

impl<C: StatementConnection> SiteRepositories for Repositories<C> {
    fn sites<'c>(&'c mut self) -> Box<dyn SiteRepository + 'c> {
        Box::new(sites::Sites {
            db: self.connection.db(),
            unfrozen: &mut self.written.unfrozen,
            changed: &mut self.written.changed_sites,
            remembered: &self.remembered,
        })
    }

    fn pages<'c>(&'c mut self) -> Box<dyn PageRepository + 'c> {
        Box::new(pages::Pages { db: self.connection.db() })
    }

    fn entitlements<'c>(&'c mut self) -> Box<dyn Entitlements + 'c> {
        Box::new(Quotas::new(self))
    }

    fn may_have_written_content(&self) -> bool {
        self.written.content
    }

    fn sections<'c>(&'c mut self) -> Box<dyn SectionRepository + 'c> {
        self.written.content = true;
        Box::new(sections::Sections { db: self.connection.db() })
    }

    fn navigation<'c>(&'c mut self) -> Box<dyn NavigationRepository + 'c> {
        Box::new(navigation::Navigation { db: self.connection.db() })
    }

    fn deployments<'c>(&'c mut self) -> Box<dyn DeploymentRepository + 'c> {
        Box::new(deployments::Deployments { db: self.connection.db() })
    }

    fn templates<'c>(&'c mut self) -> Box<dyn TemplateRepository + 'c> {
        Box::new(templates::Templates { db: self.connection.db() })
    }

    fn wizards<'c>(&'c mut self) -> Box<dyn WizardRepository + 'c> {
        Box::new(wizards::Wizards { db: self.connection.db() })
    }

    fn assets<'c>(&'c mut self) -> Box<dyn AssetRepository + 'c> {
        Box::new(assets::Assets { db: self.connection.db() })
    }

    fn seo<'c>(&'c mut self) -> Box<dyn SeoRepository + 'c> {
        self.written.content = true;
        Box::new(seo::Seos { db: self.connection.db() })
    }

    fn versions<'c>(&'c mut self) -> Box<dyn PageVersionRepository + 'c> {
        Box::new(versions::PageVersions { db: self.connection.db() })
    }

    fn domains<'c>(&'c mut self) -> Box<dyn DomainRepository + 'c> {
        Box::new(domains::Domains { db: self.connection.db() })
    }

    fn visits<'c>(&'c mut self) -> Box<dyn VisitRepository + 'c> {
        Box::new(visits::Visits { db: self.connection.db() })
    }

    fn submissions<'c>(&'c mut self) -> Box<dyn SubmissionRepository + 'c> {
        Box::new(submissions::Submissions { db: self.connection.db() })
    }
}
