//! The wizard: eight steps from the name of a business to a site, saved one by one, in any order.
//!
//! All input is stored and belongs to the tenant, so any member who may make sites there can continue where another one stopped,
//! on any device.

mod checks;
mod generation;
mod launch;
mod parts;
mod plan;
mod use_cases;

pub use generation::{
    Assignment, GenerateContent, Generation, GenerationStatus, PageState, WrittenPage, WrittenSection,
};
pub use launch::{Launch, LaunchState};
pub use parts::{
    BusinessDetails, ContentChoice, ContentMode, Design, OwnSection, PageChoice, Presence, SiteGoals,
    WizardUpdate,
};
pub use use_cases::{Wizards, as_part};

use portico_kernel::{EventDeclaration, SiteId, TemplateId, TenantId, Timestamp, WizardId};
use serde::{Deserialize, Serialize};

use crate::events;

/// The most wizards of a tenant that are in progress.
pub const MAX_OPEN: u64 = 20;

/// Kinds of events after which a wizard may take more bytes than before.
pub static STORING: [&EventDeclaration; 2] = [&events::WIZARD_STARTED, &events::WIZARD_UPDATED];

/// Status of a wizard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum WizardStatus {
    /// Being filled in.
    #[default]
    InProgress,
    /// It has made a site.
    Completed,
}

impl WizardStatus {
    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::InProgress, Self::Completed].into_iter().find(|status| status.as_str() == text)
    }
}

/// One of the eight steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum StepName {
    /// 1: who the business is.
    BusinessInfo,
    /// 2: what the site is to achieve, and for whom.
    Goals,
    /// 3: which template.
    Template,
    /// 4: style, colours, fonts, logo.
    Design,
    /// 5: which pages.
    Pages,
    /// 6: texts, generated or the customer's own.
    Content,
    /// 7: search engines, contact details, address of the site.
    Seo,
    /// 8: review and launch.
    Launch,
}

impl StepName {
    /// Every step, in order.
    pub const ALL: [Self; 8] = [
        Self::BusinessInfo,
        Self::Goals,
        Self::Template,
        Self::Design,
        Self::Pages,
        Self::Content,
        Self::Seo,
        Self::Launch,
    ];
}

/// A step, and whether it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepState {
    /// Number of the step, from 1.
    pub step: u8,
    /// Its name.
    pub name: StepName,
    /// Whether everything that it requires is there.
    pub complete: bool,
}

/// A run through the wizard.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Wizard {
    /// UUIDv7.
    pub id: WizardId,
    /// The tenant.
    #[serde(skip)]
    pub tenant: TenantId,
    /// Status.
    pub status: WizardStatus,
    /// The first step that is not complete, 1 to 8.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 8, example = 3))]
    pub step: u8,
    /// How much is done, in percent. Each step moves it.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 100, example = 25))]
    pub progress: u8,
    /// The eight steps.
    pub steps: Vec<StepState>,
    /// Step 1.
    pub business_info: Option<BusinessDetails>,
    /// Step 2.
    pub goals: Option<SiteGoals>,
    /// Step 3.
    pub template_id: Option<TemplateId>,
    /// Step 4.
    pub design: Option<Design>,
    /// Step 5, in the order of the navigation.
    pub pages: Option<Vec<PageChoice>>,
    /// Step 6.
    pub content: Option<ContentChoice>,
    /// Step 7.
    pub seo: Option<Presence>,
    /// The site that it has made.
    pub site_id: Option<SiteId>,
    /// When texts were last generated.
    pub generated_at: Option<Timestamp>,
    /// When it was started.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// When it made the site.
    pub completed_at: Option<Timestamp>,
    /// Counts changes, for optimistic locking and `ETag`.
    #[serde(skip)]
    pub version: i64,
}

impl Wizard {
    /// A wizard without any input.
    pub fn empty(id: WizardId, tenant: TenantId, now: Timestamp) -> Self {
        Self {
            id,
            tenant,
            status: WizardStatus::InProgress,
            step: 1,
            progress: 0,
            steps: Vec::new(),
            business_info: None,
            goals: None,
            template_id: None,
            design: None,
            pages: None,
            content: None,
            seo: None,
            site_id: None,
            generated_at: None,
            created_at: now,
            updated_at: now,
            completed_at: None,
            version: 1,
        }
        .assessed()
    }

    /// The wizard with `step`, `steps` and `progress` computed from its input. Call it after every change.
    #[must_use]
    pub fn assessed(mut self) -> Self {
        self.steps = (1..)
            .zip(StepName::ALL)
            .map(|(step, name)| StepState { step, name, complete: self.is_complete(name) })
            .collect();
        let done = self.steps.iter().filter(|state| state.complete).count();
        // 12, 25, 37, 50, 62, 75, 87, 100.
        self.progress = (done * 100 / StepName::ALL.len()) as u8;
        self.step = self.steps.iter().find(|state| !state.complete).map_or(8, |state| state.step);
        self
    }

    /// Whether everything that a step requires is there.
    pub fn is_complete(&self, step: StepName) -> bool {
        match step {
            StepName::BusinessInfo => self.business_info.is_some(),
            StepName::Goals => self.goals.is_some(),
            StepName::Template => self.template_id.is_some(),
            StepName::Design => self.design.is_some(),
            StepName::Pages => self.pages.is_some(),
            StepName::Content => match self.content.as_ref().map(ContentChoice::mode) {
                Some(ContentMode::Own) => true,
                Some(ContentMode::Ai) => self.generated_at.is_some(),
                None => false,
            },
            StepName::Seo => self.seo.is_some(),
            StepName::Launch => self.status == WizardStatus::Completed,
        }
    }

    /// Language of the site: the chosen one, else that of the template.
    fn language(&self, template: &crate::template::Template) -> String {
        let chosen = self.goals.as_ref().and_then(|goals| goals.language.clone());
        chosen.unwrap_or_else(|| template.language.clone())
    }
}

#[cfg(test)]
mod tests;
