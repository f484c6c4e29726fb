//! Texts generated in the background, page by page. Every page is stored as soon as it is there, so that a worker that dies
//! neither loses it nor has it generated twice.

use portico_kernel::{
    Event, GenerationId, JobType, NewJob, Permission, TenantId, Timestamp, Violations, WizardId,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ContentMode, Wizard, Wizards, plan};
use crate::{
    SitesError, events,
    ports::{PageBrief, PageDraft},
    section::{Provenance, SectionType},
    template::{Template, TemplatePage},
};

/// The job that generates the texts of a wizard.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GenerateContent {
    /// The wizard.
    pub wizard_id: WizardId,
    /// The requested run; a job for an earlier one does nothing.
    pub run: GenerationId,
}

impl JobType for GenerateContent {
    const KIND: &'static str = "wizard.generate";
    /// After that, what is missing stays missing.
    const MAX_ATTEMPTS: u32 = 8;
}

/// Status of a run that generates texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum GenerationStatus {
    /// None was ever requested.
    NotStarted,
    /// Waits for a worker.
    Queued,
    /// Being written.
    Running,
    /// Over; texts came for all pages, or for some.
    Done,
    /// Over; nothing came.
    Failed,
}

impl GenerationStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [Self::NotStarted, Self::Queued, Self::Running, Self::Done, Self::Failed];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether it is queued or running.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}

/// Status of the texts of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PageState {
    /// To be written.
    Pending,
    /// Written.
    Done,
    /// Nothing usable was generated.
    Failed,
}

impl PageState {
    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// The state of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Done, Self::Failed].into_iter().find(|state| state.as_str() == text)
    }
}

/// A section that was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WrittenSection {
    /// Key of the section on the page.
    pub key: String,
    /// What sort of block it is.
    #[serde(rename = "type")]
    pub kind: SectionType,
    /// Content of the shape that the type has.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::section::content::SectionContent))]
    pub content: Value,
    /// Whether a model wrote it, or it says nothing but what was answered.
    #[serde(default)]
    pub provenance: Provenance,
}

/// A page whose texts are generated.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WrittenPage {
    /// Key of the template's page, or slug of an extra page.
    pub page: String,
    /// Title.
    pub title: String,
    /// Status of its texts.
    pub status: PageState,
    /// What was written; while a page is written again, what was there before.
    pub sections: Vec<WrittenSection>,
}

/// A run that generates the texts of a wizard; the last one there was.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Generation {
    /// The tenant.
    #[serde(skip)]
    pub tenant: TenantId,
    /// The wizard.
    pub wizard_id: WizardId,
    /// The use of the text generator that it is counted as; `None` when none was ever requested.
    #[serde(skip)]
    pub run: Option<GenerationId>,
    /// Tokens of the provider used so far.
    #[serde(skip)]
    pub tokens: u64,
    /// Status.
    pub status: GenerationStatus,
    /// How much is done, in percent.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 100, example = 40))]
    pub percent: u8,
    /// The pages in their order, each with the texts so far.
    pub pages: Vec<WrittenPage>,
    /// Why pages are missing.
    pub error: Option<String>,
    /// When it was requested.
    pub requested_at: Option<Timestamp>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl Generation {
    /// The run of a wizard for which none was requested.
    pub fn none(tenant: TenantId, wizard_id: WizardId) -> Self {
        Self {
            tenant,
            wizard_id,
            run: None,
            tokens: 0,
            status: GenerationStatus::NotStarted,
            percent: 0,
            pages: Vec::new(),
            error: None,
            requested_at: None,
            started_at: None,
            finished_at: None,
        }
    }

    /// The run with `percent` computed from its pages. Call it after every change.
    #[must_use]
    pub fn assessed(mut self) -> Self {
        let settled = self.pages.iter().filter(|page| page.status != PageState::Pending).count();
        let percent = settled * 100 / self.pages.len().max(1);
        self.percent = match self.status {
            GenerationStatus::NotStarted => 0,
            GenerationStatus::Done | GenerationStatus::Failed => 100,
            // 100 is for when it is over.
            GenerationStatus::Queued | GenerationStatus::Running => percent.min(99) as u8,
        };
        self
    }

    /// Whether texts came for a page at least.
    pub fn has_texts(&self) -> bool {
        self.pages.iter().any(|page| page.status == PageState::Done)
    }
}

/// A page that a worker has to have written.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The page.
    pub page: String,
    /// The brief.
    pub brief: PageBrief,
}

impl Wizards<'_> {
    /// Has the texts of the wizard generated in the background, as the use `run`, which the caller counts in the same unit of
    /// work. From now on the mode of step 6 is `ai`.
    ///
    /// # Errors
    /// `Denied`, also without a verified address; `NotFound`; `PreconditionFailed`; `WizardCompleted`;
    /// `GenerationInProgress`; `Invalid` naming what has to be known before.
    pub async fn request_content(
        &mut self,
        id: WizardId,
        run: GenerationId,
        expected: Option<i64>,
    ) -> Result<Generation, SitesError> {
        let tenant = self.scope.require(Permission::SitesWrite)?;
        self.scope.require(Permission::AiGenerate)?;
        self.scope.require_verified()?;
        let before = self.locked_open(tenant, id, expected).await?;
        let last = self.generation_of(tenant, id).await?;
        if last.status.is_active() {
            return Err(SitesError::GenerationInProgress);
        }
        let mut violations = Violations::default();
        let required = "Fill in this step first.";
        violations.check(before.business_info.is_some(), "businessInfo", "required", required);
        violations.check(before.template_id.is_some(), "templateId", "required", required);
        let template = self.template_of(&before, &mut violations).await?;
        let pages = template.as_ref().map(|template| plan::pages(&before, template, &mut violations));
        violations.into_result().map_err(SitesError::Invalid)?;

        let now = self.env.now();
        let pages = pages.unwrap_or_default().into_iter().map(|page| waiting(page, &last));
        let generation = Generation {
            run: Some(run),
            tokens: 0,
            status: GenerationStatus::Queued,
            pages: pages.collect(),
            error: None,
            requested_at: Some(now),
            started_at: None,
            finished_at: None,
            ..last
        }
        .assessed();
        self.repositories.wizards().put_generation(&generation).await?;
        let mut after = before.clone();
        after.content.get_or_insert_default().mode = Some(ContentMode::Ai);
        self.store(&before, after, expected, &events::WIZARD_CONTENT_REQUESTED).await?;
        let job = NewJob::new(self.env, self.scope, tenant, &GenerateContent { wizard_id: id, run });
        self.repositories.jobs().enqueue(job).await?;
        Ok(generation)
    }

    /// The progress of the texts, and the texts so far.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn content_status(&mut self, id: WizardId) -> Result<Generation, SitesError> {
        let tenant = self.scope.require(Permission::SitesRead)?;
        self.find(tenant, id).await?;
        self.generation_of(tenant, id).await
    }

    /// For the worker: what is left to be written of a run. `None` when it is over, or was replaced or deleted. Run again, after
    /// a crash, it skips what is there.
    pub async fn begin_content(
        &mut self,
        id: WizardId,
        run: GenerationId,
    ) -> Result<Option<Vec<Assignment>>, SitesError> {
        let tenant = self.scope.require(Permission::AiGenerate)?;
        let Some((wizard, mut generation)) = self.running(tenant, id, run).await? else {
            return Ok(None);
        };
        if generation.status == GenerationStatus::Queued {
            generation.status = GenerationStatus::Running;
            generation.started_at = Some(self.env.now());
            self.repositories.wizards().update_generation(&generation).await?;
        }
        let mut ignored = Violations::default();
        let template = self.template_of(&wizard, &mut ignored).await?;
        let Some(template) = template else { return Ok(Some(Vec::new())) };
        let pages = plan::pages(&wizard, &template, &mut ignored);
        let is_pending = |page: &&TemplatePage| {
            generation.pages.iter().any(|other| other.page == page.key && other.status == PageState::Pending)
        };
        let assignments = pages
            .iter()
            .filter(is_pending)
            .map(|page| Assignment { page: page.key.clone(), brief: plan::brief(&wizard, &template, page) });
        Ok(Some(assignments.collect()))
    }

    /// For the worker: stores what was written for a page, or, with `None`, that nothing usable was. Answers whether to continue:
    /// not when this run was replaced or deleted. A page that is there already stays as it is.
    pub async fn store_page(
        &mut self,
        id: WizardId,
        run: GenerationId,
        page: &str,
        draft: Option<PageDraft>,
    ) -> Result<bool, SitesError> {
        let tenant = self.scope.require(Permission::AiGenerate)?;
        let Some((wizard, mut generation)) = self.running(tenant, id, run).await? else { return Ok(false) };
        generation.tokens += draft.as_ref().map_or(0, |draft| draft.tokens.input + draft.tokens.output);
        let waiting = generation.pages.iter().find(|other| other.page == page);
        let Some(mut kept) = waiting.filter(|other| other.status == PageState::Pending).cloned() else {
            return Ok(true);
        };
        let mut ignored = Violations::default();
        let template = self.template_of(&wizard, &mut ignored).await?;
        let sections =
            draft.zip(template).and_then(|(draft, template)| fitted(&wizard, &template, page, draft));
        match sections {
            Some(sections) => (kept.status, kept.sections) = (PageState::Done, sections),
            None => kept.status = PageState::Failed,
        }
        self.repositories.wizards().update_page(tenant, id, &kept).await?;
        self.repositories.wizards().update_generation(&generation).await?;
        Ok(true)
    }

    /// For the worker: ends a run. Pages that are still to be written have failed. Answers it as it is then, so that the caller
    /// settles the use in the same unit of work, or gives it back where nothing at all came; `None` when it is over already.
    pub async fn finish_content(
        &mut self,
        id: WizardId,
        run: GenerationId,
        error: Option<&str>,
    ) -> Result<Option<Generation>, SitesError> {
        let tenant = self.scope.require(Permission::AiGenerate)?;
        let Some((before, mut generation)) = self.running(tenant, id, run).await? else { return Ok(None) };
        for page in generation.pages.iter_mut().filter(|page| page.status == PageState::Pending) {
            page.status = PageState::Failed;
            self.repositories.wizards().update_page(tenant, id, page).await?;
        }
        let now = self.env.now();
        let came = generation.has_texts();
        let all = generation.pages.iter().all(|page| page.status == PageState::Done);
        generation.status = if came { GenerationStatus::Done } else { GenerationStatus::Failed };
        generation.finished_at = Some(now);
        let nothing_usable = "For some pages nothing usable was written. You can generate them again.";
        generation.error = (!all).then(|| error.unwrap_or(nothing_usable).to_owned());
        self.repositories.wizards().update_generation(&generation).await?;
        if came {
            let after = Wizard { generated_at: Some(now), ..before.clone() };
            self.store(&before, after, None, &events::WIZARD_CONTENT_GENERATED).await?;
        } else {
            let event = Event::new(self.env, self.scope, &events::WIZARD_CONTENT_FAILED, id.uuid());
            self.append(event.after(&json!({"error": generation.error}))).await?;
        }
        Ok(Some(generation.assessed()))
    }

    /// The last run, or [`Generation::none`].
    pub(super) async fn generation_of(
        &mut self,
        tenant: TenantId,
        id: WizardId,
    ) -> Result<Generation, SitesError> {
        let found = self.repositories.wizards().generation(tenant, id).await?;
        Ok(found.unwrap_or_else(|| Generation::none(tenant, id)))
    }

    /// The wizard, locked, and its run, given that it is this one and not over.
    async fn running(
        &mut self,
        tenant: TenantId,
        id: WizardId,
        run: GenerationId,
    ) -> Result<Option<(Wizard, Generation)>, SitesError> {
        let Some(wizard) = self.repositories.wizards().lock(tenant, id).await? else { return Ok(None) };
        let generation = self.generation_of(tenant, id).await?;
        let is_it = generation.run == Some(run) && generation.status.is_active();
        Ok(is_it.then_some((wizard, generation)))
    }
}

/// A page of the template that is to be written; until then what the last run wrote stays.
fn waiting(page: TemplatePage, last: &Generation) -> WrittenPage {
    let before = last.pages.iter().find(|other| other.page == page.key);
    WrittenPage {
        sections: before.map(|before| before.sections.clone()).unwrap_or_default(),
        page: page.key,
        title: page.title,
        status: PageState::Pending,
    }
}

/// The sections of a draft that can be shown on the requested page; `None` when there are none.
fn fitted(wizard: &Wizard, template: &Template, page: &str, draft: PageDraft) -> Option<Vec<WrittenSection>> {
    let pages = plan::pages(wizard, template, &mut Violations::default());
    let page = pages.into_iter().find(|other| other.key == page)?;
    let places: Vec<_> = page.sections.into_iter().filter(|place| plan::is_writable(place.kind)).collect();
    let (provenance, nothing_to_write) = (draft.provenance, places.is_empty());
    let written: Vec<WrittenSection> = places
        .into_iter()
        .zip(draft.sections)
        .filter(|(place, (kind, _))| place.kind == *kind)
        .filter_map(|(place, (kind, content))| {
            let content = plan::merge_generated(kind, &place.content, content)?;
            Some(WrittenSection { key: place.key, kind, content, provenance })
        })
        .collect();
    (nothing_to_write || !written.is_empty()).then_some(written)
}
