//! The last step: making the site, once, however often it is requested.

use portico_kernel::{AssetId, Meter, Permission, Violations, WizardId};

use super::{ContentChoice, ContentMode, Design, PageChoice, StepName, Wizard, WizardStatus, Wizards, plan};
use crate::{
    SitesError,
    asset::{Asset, find_pictures},
    events,
    look::Look,
    page::{self, PageStatus},
    section::ContentReview,
    site::{NewSite, Site, Sites},
    template::{ApplyTarget, PagePlan, Template, TemplatePage, build_pages, look_input},
};

/// The state of a wizard that is to be completed.
#[derive(Debug)]
pub enum LaunchState {
    /// Nothing: it has made its site.
    Done(Box<Wizard>),
    /// The site can be made.
    Ready(Box<Launch>),
}

/// A site that can be made.
#[derive(Debug)]
pub struct Launch {
    /// From which wizard; locked.
    pub wizard: Wizard,
    /// The template.
    pub template: Template,
    /// How the site looks: the design over the template.
    pub look: Look,
    /// The logo that was chosen.
    pub logo: Option<AssetId>,
    plans: Vec<PagePlan>,
}

impl Launch {
    /// Whether colours or fonts were chosen, and not only left as the template has them.
    pub fn is_designed(&self) -> bool {
        let design = self.wizard.design.as_ref();
        design.is_some_and(|design| {
            design.colors.is_some() || design.fonts.is_some() || design.logo_asset_id.is_some()
        })
    }
}

impl Wizards<'_> {
    /// Locks the wizard, checks that everything is there that a site needs, and counts the site against the plan. `expected` is
    /// the version that the client saw, if it says; one that has made its site is answered in any case.
    ///
    /// # Errors
    /// `Invalid` naming every step that is missing and everything that does not fit together; `NotFound`;
    /// `PreconditionFailed`; `GenerationInProgress` while texts are generated that the site is to have; `Entitlement`.
    pub async fn prepare_launch(
        &mut self,
        id: WizardId,
        expected: Option<i64>,
    ) -> Result<LaunchState, SitesError> {
        let tenant = self.scope.require(Permission::SitesWrite)?;
        let wizard = self.locked(tenant, id).await?;
        if wizard.status == WizardStatus::Completed {
            return Ok(LaunchState::Done(Box::new(wizard)));
        }
        crate::version::check(wizard.version, expected)?;
        let generation = self.generation_of(tenant, id).await?;
        let mode = wizard.content.as_ref().map(ContentChoice::mode);
        if mode == Some(ContentMode::Ai) && generation.status.is_active() {
            return Err(SitesError::GenerationInProgress);
        }
        let mut violations = Violations::default();
        check_steps(&wizard, &mut violations);
        let logo = wizard.design.as_ref().and_then(|design| design.logo_asset_id);
        let pictures = wizard.design.iter().flat_map(Design::pictures).collect::<Vec<_>>();
        let found = find_pictures(self.repositories, tenant, &pictures, &mut violations).await?;
        let template = self.template_of(&wizard, &mut violations).await?;
        let ready = template.map(|template| {
            let design = wizard.design.clone().unwrap_or_default();
            let look = design.over(&template.look, &mut violations);
            let plans =
                plan::written(&wizard, &template, &generation, &photos(&wizard, &found), &mut violations);
            Launch { wizard, template, look, logo, plans }
        });
        violations.into_result().map_err(SitesError::Invalid)?;
        // Without a violation there is a template.
        let launch = ready.ok_or(SitesError::NotFound("template"))?;
        launch.template.check_entitlement(self.repositories, tenant).await?;
        // From here on no other site of the tenant is made until the unit of work ends: of two first sites at once one is the first.
        self.repositories.entitlements().take(tenant, Meter::Sites, 1).await?;
        Ok(LaunchState::Ready(Box::new(launch)))
    }

    /// Makes the site with published pages, sections, navigation and SEO metadata, and completes the wizard. `branded`: colours
    /// and fonts have become those of the tenant, so that the site needs none of its own. Answers the sections with generated texts
    /// and the fields with pictures of our library, too.
    ///
    /// # Errors
    /// `Denied` without `pages:write` and `navigation:write`; `Invalid`; `SubdomainTaken`.
    pub async fn launch(
        &mut self,
        launch: Launch,
        branded: bool,
    ) -> Result<(Wizard, Site, ContentReview), SitesError> {
        let Launch { wizard: before, template, look, plans, .. } = launch;
        let look = if branded { Look { style: look.style, colors: None, fonts: None } } else { look };
        let business = before.business_info.clone().unwrap_or_default();
        let new = NewSite {
            name: business.name,
            industry: Some(business.industry),
            subdomain: before.seo.as_ref().and_then(|presence| presence.subdomain.clone()),
            language: Some(before.language(&template)),
            look: Some(look_input(&look)),
        };
        let site = Sites::new(self.repositories, self.scope, self.env).add(new).await?;
        let target = ApplyTarget {
            site: &site,
            is_new: true,
            template: Some(&template),
            status: PageStatus::Published,
        };
        let built = build_pages(self.repositories, self.scope, self.env, target, plans).await?;
        let after = Wizard {
            status: WizardStatus::Completed,
            site_id: Some(site.id),
            completed_at: Some(self.env.now()),
            pages: before.pages.clone().or_else(|| Some(all_pages(&template))),
            ..before.clone()
        };
        let wizard = self.store(&before, after, None, &events::WIZARD_COMPLETED).await?;
        Ok((wizard, site, page::review(&built.pages, &built.sections)))
    }
}

/// Checks that the steps before the last one are complete. Pages are optional: all of the template's where none were chosen.
fn check_steps(wizard: &Wizard, violations: &mut Violations) {
    for (number, step) in (1..).zip(StepName::ALL) {
        if wizard.is_complete(step) {
            continue;
        }
        let (field, title, remedy) = match step {
            StepName::BusinessInfo => (
                "businessInfo",
                "business info",
                "Send `businessInfo` with the name and the industry of the business.",
            ),
            StepName::Goals => ("goals", "goals", "Send `goals` with at least one goal."),
            StepName::Template => (
                "templateId",
                "template",
                "Send `templateId`, the id of a template from GET /api/v1/templates.",
            ),
            StepName::Design => (
                "design",
                "design",
                "Send `design`; an empty object leaves everything as the template has it.",
            ),
            StepName::Content if wizard.content.is_some() => {
                let message =
                    "Step 6 (content): have the texts generated first, or choose to write your own.";
                violations.add("content.mode", "not_generated", message);
                continue;
            }
            StepName::Content => (
                "content",
                "content",
                "Send `content` with `mode`: `own` to write the texts yourself, `ai` to have them generated.",
            ),
            StepName::Seo => (
                "seo",
                "SEO and contact details",
                "Send `seo`; an empty object takes everything from the business.",
            ),
            StepName::Pages | StepName::Launch => continue,
        };
        violations.add(field, "required", format!("Step {number} ({title}) is missing. {remedy}"));
    }
}

/// The owner's pictures in their order, each with its alternative text.
fn photos(wizard: &Wizard, found: &[Asset]) -> Vec<plan::Photo> {
    let ids = wizard.design.iter().flat_map(|design| &design.photo_asset_ids);
    let assets = ids.filter_map(|id| found.iter().find(|asset| asset.id == *id));
    let name = wizard.business_info.as_ref().map(|business| &business.name);
    assets
        .map(|asset| plan::Photo { id: asset.id, alt: asset.alt_text.clone().or_else(|| name.cloned()) })
        .collect()
}

/// Every page of a template, as it is.
fn all_pages(template: &Template) -> Vec<PageChoice> {
    let choice = |page: &TemplatePage| PageChoice { key: Some(page.key.clone()), ..PageChoice::default() };
    template.pages.iter().map(choice).collect()
}
