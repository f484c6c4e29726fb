//! The use cases of the wizard: start, fill in, read, abandon.

use portico_kernel::{
    Env, Event, EventDeclaration, FieldError, List, PageRequest, Permission, Scope, StoreError, TenantId,
    Violations, WizardId,
};

use super::{BusinessDetails, MAX_OPEN, PageChoice, Presence, SiteGoals, Wizard, WizardStatus, WizardUpdate};
use crate::{
    SitesError,
    asset::check_pictures,
    events,
    ports::{SiteRepositories, WizardFilter},
    template::Template,
    version,
};

/// The use cases of the wizard, inside one unit of work. Any member who may make sites may continue every wizard of the tenant.
pub struct Wizards<'a> {
    pub(super) repositories: &'a mut dyn SiteRepositories,
    pub(super) scope: &'a Scope,
    pub(super) env: &'a Env,
}

impl<'a> Wizards<'a> {
    /// The use cases for this caller, who checks whether the plan includes a premium template.
    pub fn new(repositories: &'a mut dyn SiteRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Starts a wizard, perhaps with parts that are known already.
    ///
    /// # Errors
    /// `Invalid`; `SubdomainTaken`; `TooManyWizards` when [`MAX_OPEN`] are in progress.
    pub async fn start(&mut self, input: WizardUpdate) -> Result<Wizard, SitesError> {
        let tenant = self.scope.require(Permission::SitesWrite)?;
        let empty = Wizard::empty(self.env.new_id(), tenant, self.env.now());
        let wizard = self.changed(empty, input).await?.assessed();
        if !self.repositories.wizards().insert(&wizard, MAX_OPEN).await? {
            return Err(SitesError::TooManyWizards);
        }
        self.append(self.event(&events::WIZARD_STARTED, &wizard).after(&wizard)).await?;
        Ok(wizard)
    }

    /// The wizard.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&mut self, id: WizardId) -> Result<Wizard, SitesError> {
        let tenant = self.scope.require(Permission::SitesRead)?;
        self.find(tenant, id).await
    }

    /// The tenant's wizards, the one that was changed last first.
    pub async fn list(
        &mut self,
        filter: WizardFilter,
        page: PageRequest,
    ) -> Result<List<Wizard>, SitesError> {
        let tenant = self.scope.require(Permission::SitesRead)?;
        Ok(self.repositories.wizards().list(tenant, filter, page).await?)
    }

    /// Saves parts of the wizard: all that are named, or none. `expected` is the version that the client saw, if it says.
    /// Without, changes of different parts at the same moment are both kept.
    ///
    /// # Errors
    /// `Invalid` with every error of every part; `NotFound`; `PreconditionFailed`; `WizardCompleted`; `SubdomainTaken`;
    /// `GenerationInProgress` when the template changes while texts are generated for it; `Entitlement` for a template that the plan
    /// does not have.
    pub async fn update(
        &mut self,
        id: WizardId,
        input: WizardUpdate,
        expected: Option<i64>,
    ) -> Result<Wizard, SitesError> {
        let tenant = self.scope.require(Permission::SitesWrite)?;
        let before = self.locked_open(tenant, id, expected).await?;
        let after = self.changed(before.clone(), input).await?;
        if before.template_id.is_some() && after.template_id != before.template_id {
            // Texts are made for the sections of a template.
            if self.generation_of(tenant, id).await?.status.is_active() {
                return Err(SitesError::GenerationInProgress);
            }
            self.repositories.wizards().delete_generation(tenant, id).await?;
            let after = Wizard { generated_at: None, ..after };
            return self.store(&before, after, expected, &events::WIZARD_UPDATED).await;
        }
        self.store(&before, after, expected, &events::WIZARD_UPDATED).await
    }

    /// Abandons a wizard. The site that it has made, if any, stays.
    ///
    /// # Errors
    /// `NotFound`; `PreconditionFailed`.
    pub async fn delete(&mut self, id: WizardId, expected: Option<i64>) -> Result<(), SitesError> {
        let tenant = self.scope.require(Permission::SitesWrite)?;
        let before = self.locked(tenant, id).await?;
        version::check(before.version, expected)?;
        if !self.repositories.wizards().delete(tenant, id).await? {
            return Err(SitesError::NotFound("wizard"));
        }
        self.append(self.event(&events::WIZARD_DELETED, &before).before(&before)).await
    }

    /// The wizard with the parts of the input in place of its own, given that all of them keep the rules.
    async fn changed(&mut self, mut wizard: Wizard, input: WizardUpdate) -> Result<Wizard, SitesError> {
        let mut violations = Violations::default();
        let selects = input.template_id.is_some();
        wizard.template_id = input.template_id.or(wizard.template_id);
        let needs_template = selects || input.design.is_some() || input.pages.is_some();
        let template = match needs_template {
            true => self.template_of(&wizard, &mut violations).await?,
            false => None,
        };
        wizard.business_info = input
            .business_info
            .map(|part: BusinessDetails| part.read(&mut violations))
            .or(wizard.business_info);
        wizard.goals = input.goals.map(|part: SiteGoals| part.read(&mut violations)).or(wizard.goals);
        if let Some(design) = input.design {
            check_pictures(self.repositories, wizard.tenant, &design.pictures(), &mut violations).await?;
            let look = template.as_ref().map(|template| &template.look);
            wizard.design = Some(design.read(look, &mut violations));
        }
        match input.pages {
            Some(pages) => {
                wizard.pages = Some(PageChoice::read_all(pages, &mut violations));
                if let Some(template) = &template {
                    super::plan::pages(&wizard, template, &mut violations);
                }
            }
            None if selects => wizard.pages = wizard.pages.and_then(|pages| kept(pages, template.as_ref())),
            None => {}
        }
        if let Some(content) = input.content {
            let content = content.read(&mut violations);
            let pictures = content.pictures();
            check_pictures(self.repositories, wizard.tenant, &pictures, &mut violations).await?;
            wizard.content = Some(content);
        }
        let wished = input.seo.as_ref().and_then(|part| part.subdomain.clone());
        wizard.seo = input.seo.map(|part: Presence| part.read(&mut violations)).or(wizard.seo);
        violations.into_result().map_err(SitesError::Invalid)?;
        let subdomain = wizard.seo.as_ref().and_then(|part| part.subdomain.as_deref());
        if let Some(subdomain) = subdomain.filter(|_| wished.is_some())
            && !self.repositories.sites().subdomain_is_free(wizard.tenant, subdomain).await?
        {
            return Err(SitesError::SubdomainTaken);
        }
        if let Some(template) = template.filter(|_| selects) {
            template.check_entitlement(self.repositories, wizard.tenant).await?;
        }
        Ok(wizard)
    }

    /// The chosen template, if one is chosen; a missing one is recorded as an error.
    pub(super) async fn template_of(
        &mut self,
        wizard: &Wizard,
        violations: &mut Violations,
    ) -> Result<Option<Template>, SitesError> {
        let Some(id) = wizard.template_id else { return Ok(None) };
        let template = self.repositories.templates().find(id).await?;
        violations.check(template.is_some(), "templateId", "not_found", "There is no such template.");
        Ok(template)
    }

    pub(super) async fn find(&mut self, tenant: TenantId, id: WizardId) -> Result<Wizard, SitesError> {
        self.repositories.wizards().find(tenant, id).await?.ok_or(SitesError::NotFound("wizard"))
    }

    /// The wizard, which others cannot change until the unit of work ends.
    pub(super) async fn locked(&mut self, tenant: TenantId, id: WizardId) -> Result<Wizard, SitesError> {
        self.repositories.wizards().lock(tenant, id).await?.ok_or(SitesError::NotFound("wizard"))
    }

    /// The wizard, locked, given that it has the expected version and is in progress.
    pub(super) async fn locked_open(
        &mut self,
        tenant: TenantId,
        id: WizardId,
        expected: Option<i64>,
    ) -> Result<Wizard, SitesError> {
        let wizard = self.locked(tenant, id).await?;
        version::check(wizard.version, expected)?;
        match wizard.status {
            WizardStatus::InProgress => Ok(wizard),
            WizardStatus::Completed => Err(SitesError::WizardCompleted),
        }
    }

    /// Stores the wizard as it is after a change, with an event of this kind.
    pub(super) async fn store(
        &mut self,
        before: &Wizard,
        after: Wizard,
        expected: Option<i64>,
        kind: &'static EventDeclaration,
    ) -> Result<Wizard, SitesError> {
        let mut after = Wizard { updated_at: self.env.now(), ..after }.assessed();
        let stored = self.repositories.wizards().update(&after).await;
        stored.map_err(|error: StoreError| version::refused(error, expected))?;
        after.version += 1;
        self.append(self.event(kind, &after).before(before).after(&after)).await?;
        Ok(after)
    }

    pub(super) fn event(&self, kind: &'static EventDeclaration, wizard: &Wizard) -> Event {
        Event::new(self.env, self.scope, kind, wizard.id.uuid())
    }

    pub(super) async fn append(&mut self, event: Event) -> Result<(), SitesError> {
        Ok(self.repositories.events().append(event).await?)
    }
}

/// Of the chosen pages those that another template has too, and the extra ones; `None` when that leaves nothing.
fn kept(pages: Vec<PageChoice>, template: Option<&Template>) -> Option<Vec<PageChoice>> {
    let Some(template) = template else { return Some(pages) };
    let is_there = |page: &PageChoice| match &page.key {
        Some(key) => template.pages.iter().any(|other| other.key == *key),
        None => true,
    };
    let pages: Vec<PageChoice> = pages.into_iter().filter(is_there).collect();
    // Extra pages alone are no site: the step is open again.
    pages.iter().any(|page| page.key.is_some()).then_some(pages)
}

/// Errors about one part as its own endpoint names the fields: `name`, not `businessInfo.name`.
pub fn as_part(error: SitesError, part: &str) -> SitesError {
    let prefix = format!("{part}.");
    match error {
        SitesError::Invalid(errors) => SitesError::Invalid(
            errors
                .into_iter()
                .map(|error| FieldError {
                    field: error.field.strip_prefix(&prefix).unwrap_or(&error.field).to_owned(),
                    ..error
                })
                .collect(),
        ),
        error => error,
    }
}
