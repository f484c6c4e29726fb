//! What customers build.

use portico_sites::ports::{
    DeploymentRepository, NavigationRepository, PageRepository, SectionRepository, SiteRepositories,
    SiteRepository,
};
use sea_orm::ConnectionTrait;

use crate::Repositories;

mod deployments;
mod list;
mod navigation;
mod pages;
mod sections;
#[expect(clippy::module_inception, reason = "a file is called as the aggregate that it stores")]
mod sites;

impl<C: ConnectionTrait + Send> SiteRepositories for Repositories<C> {
    fn sites<'c>(&'c mut self) -> Box<dyn SiteRepository + 'c> {
        Box::new(sites::Sites { connection: &self.connection })
    }

    fn pages<'c>(&'c mut self) -> Box<dyn PageRepository + 'c> {
        Box::new(pages::Pages { connection: &self.connection })
    }

    fn sections<'c>(&'c mut self) -> Box<dyn SectionRepository + 'c> {
        Box::new(sections::Sections { connection: &self.connection })
    }

    fn navigation<'c>(&'c mut self) -> Box<dyn NavigationRepository + 'c> {
        Box::new(navigation::Navigation { connection: &self.connection })
    }

    fn deployments<'c>(&'c mut self) -> Box<dyn DeploymentRepository + 'c> {
        Box::new(deployments::Deployments { connection: &self.connection })
    }
}
