//! What visitors send through contact forms of published sites.
//!
//! A submission is the tenant's data about a person without an account here. So what is stored is what the visitor wrote and
//! agreed to, and nothing that they did not know of (no address, no browser); events carry ids only, and deleting is final.

pub mod form;

use portico_kernel::{
    CursorPage, CursorRequest, Env, Event, Permission, Scope, SectionId, SiteId, StoreError, SubmissionId,
    TenantId, Timestamp, Violations,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::Duration;

pub use form::{DeployedForm, DeployedForms, FormInput};

use crate::{SitesError, events, ports::SiteRepositories, site, version};

/// How long the same message from the same form is taken for a second click on the button.
const SAME_CLICK: Duration = Duration::minutes(10);

/// The most messages that a site keeps. Strangers write them, so they count against no plan: no stranger may fill up a tenant's
/// storage. As many messages of 5,000 letters take 60 MB.
pub const MAX_KEPT: u64 = 10_000;

/// Days after which what was taken for spam is deleted.
pub const SPAM_DAYS: i64 = 30;

/// Status of a submission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SubmissionStatus {
    /// No member has read it.
    #[default]
    New,
    /// A member has read it.
    Read,
    /// Taken for spam. Deleted after 30 days.
    Spam,
}

impl SubmissionStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::New, Self::Read, Self::Spam];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Read => "read",
            Self::Spam => "spam",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// The visitor's answer about being written to later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Consent {
    /// Whether they agreed.
    pub given: bool,
    /// The text that they agreed to, as it was in the form.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "You may send me news and offers. I can take this back at any time.")
    )]
    pub text: String,
    /// When they agreed.
    pub at: Option<Timestamp>,
}

/// What a visitor sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Submission {
    /// UUIDv7.
    pub id: SubmissionId,
    /// The tenant.
    #[serde(skip)]
    pub tenant: TenantId,
    /// The site.
    pub site_id: SiteId,
    /// In the form of which section. It may be gone by now.
    pub section_id: SectionId,
    /// Path of the page with the form.
    #[cfg_attr(feature = "openapi", schema(example = "/contact/"))]
    pub page_path: String,
    /// Language of the form, BCP 47.
    #[cfg_attr(feature = "openapi", schema(example = "es"))]
    pub language: String,
    /// Name of the visitor, as they say.
    #[cfg_attr(feature = "openapi", schema(example = "Ana Pérez"))]
    pub name: String,
    /// Their email address, as they say.
    #[cfg_attr(feature = "openapi", schema(format = "email", example = "ana@example.com"))]
    pub email: String,
    /// Phone number, as they write it.
    #[cfg_attr(feature = "openapi", schema(example = "+502 5555 1234"))]
    pub phone: Option<String>,
    /// Their message.
    #[cfg_attr(feature = "openapi", schema(example = "Do you bake gluten-free bread?"))]
    pub message: String,
    /// Whether they may be written to later.
    pub consent: Consent,
    /// Status.
    pub status: SubmissionStatus,
    /// When it came.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// Digest, the same for a second click on the button.
    #[serde(skip)]
    pub digest: String,
    /// Counts changes, for optimistic locking and `ETag`.
    #[serde(skip)]
    pub version: i64,
}

/// What events contain of a submission: nothing that the visitor wrote.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Trace {
    id: SubmissionId,
    site_id: SiteId,
    section_id: SectionId,
    status: SubmissionStatus,
    consent: bool,
}

impl Submission {
    fn trace(&self) -> Trace {
        let Self { id, site_id, section_id, status, .. } = *self;
        Trace { id, site_id, section_id, status, consent: self.consent.given }
    }
}

/// Which submissions to list. Every field that is set narrows the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubmissionFilter {
    /// Status.
    pub status: Option<SubmissionStatus>,
    /// Part of name, address, phone number or message, ignoring case.
    pub q: Option<String>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
}

/// What to change about a submission.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"status": "read"})))]
pub struct SubmissionUpdate {
    /// Status.
    pub status: Option<SubmissionStatus>,
}

/// The use cases of submissions, inside one unit of work.
pub struct Submissions<'a> {
    repositories: &'a mut dyn SiteRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Submissions<'a> {
    /// The use cases for this caller.
    pub fn new(repositories: &'a mut dyn SiteRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Takes what a visitor sent through a form that is live; the caller has found the form at the visitor's host name. `None`
    /// for what is a second click on the button, and for what only a program would send: neither is stored.
    ///
    /// # Errors
    /// `Invalid` with every wrong field; `NotFound` when the site is gone; `TooManySubmissions` when it keeps [`MAX_KEPT`].
    pub async fn receive(
        &mut self,
        (tenant, site, section): (TenantId, SiteId, SectionId),
        form: &DeployedForm,
        input: &FormInput,
    ) -> Result<Option<Submission>, SitesError> {
        let message = input.checked().map_err(SitesError::Invalid)?;
        if input.is_trapped() {
            return Ok(None);
        }
        if self.repositories.submissions().has(tenant, site, MAX_KEPT).await? {
            return Err(SitesError::TooManySubmissions);
        }
        let now = self.env.now();
        let submission = Submission {
            id: self.env.new_id(),
            tenant,
            site_id: site,
            section_id: section,
            page_path: form.page.clone(),
            language: form.language.clone(),
            consent: Consent {
                given: input.consent,
                text: form.consent.clone(),
                at: input.consent.then_some(now),
            },
            status: if message.is_spam() { SubmissionStatus::Spam } else { SubmissionStatus::New },
            created_at: now,
            updated_at: now,
            digest: digest(section, &message, now),
            version: 1,
            name: message.name,
            email: message.email,
            phone: message.phone,
            message: message.message,
        };
        let stored =
            self.repositories.submissions().insert(&submission).await.map_err(|error| match error {
                StoreError::MissingReference(_) => SitesError::NotFound("site"),
                error => SitesError::Store(error),
            })?;
        if !stored {
            return Ok(None);
        }
        let event = Event::new(self.env, self.scope, &events::SUBMISSION_RECEIVED, submission.id.uuid());
        let event = event.in_tenant(tenant).after(&submission.trace());
        self.repositories.events().append(event).await?;
        Ok(Some(submission))
    }

    /// What visitors of the site sent, newest first.
    ///
    /// # Errors
    /// `Denied`; `Invalid`; `NotFound` (site).
    pub async fn list(
        &mut self,
        site: SiteId,
        filter: SubmissionFilter,
        request: CursorRequest,
    ) -> Result<CursorPage<Submission>, SitesError> {
        let tenant = self.scope.require(Permission::SubmissionsRead)?;
        let mut violations = Violations::default();
        let cursor = request.cursor.as_ref().is_none_or(|text| text.parse::<SubmissionId>().is_ok());
        violations.check(cursor, "cursor", "invalid_cursor", "Use the nextCursor of the piece before.");
        violations.optional_text("q", filter.q.as_deref(), 200);
        if let (Some(from), Some(to)) = (filter.from, filter.to) {
            violations.check(from <= to, "to", "before_from", "The end must not be before the beginning.");
        }
        violations.into_result().map_err(SitesError::Invalid)?;
        let page = self.repositories.submissions().list(tenant, site, filter, request).await?;
        if page.items.is_empty() {
            site::find(self.repositories, tenant, site).await?;
        }
        Ok(page)
    }

    /// The submission.
    ///
    /// # Errors
    /// `Denied`; `NotFound`.
    pub async fn get(&mut self, site: SiteId, id: SubmissionId) -> Result<Submission, SitesError> {
        let tenant = self.scope.require(Permission::SubmissionsRead)?;
        self.find(tenant, site, id).await
    }

    /// Marks the submission. `expected` is the version that the client saw, if it says.
    ///
    /// # Errors
    /// `Denied`; `Invalid`; `NotFound`; `PreconditionFailed`.
    pub async fn update(
        &mut self,
        site: SiteId,
        id: SubmissionId,
        input: SubmissionUpdate,
        expected: Option<i64>,
    ) -> Result<Submission, SitesError> {
        let tenant = self.scope.require(Permission::SubmissionsWrite)?;
        let before = self.find(tenant, site, id).await?;
        version::check(before.version, expected)?;
        let Some(status) = input.status else {
            let mut violations = Violations::default();
            violations.add("status", "required", "This field is required.");
            return Err(SitesError::Invalid(violations.into_result().err().unwrap_or_default()));
        };
        let mut after = Submission { status, updated_at: self.env.now(), ..before.clone() };
        let updated = self.repositories.submissions().update(&after).await;
        updated.map_err(|error| version::refused(error, expected))?;
        after.version += 1;
        let event = Event::new(self.env, self.scope, &events::SUBMISSION_UPDATED, id.uuid());
        let event = event.before(&before.trace()).after(&after.trace());
        self.repositories.events().append(event).await?;
        Ok(after)
    }

    /// Deletes the submission for good.
    ///
    /// # Errors
    /// `Denied`; `NotFound`; `PreconditionFailed`.
    pub async fn delete(
        &mut self,
        site: SiteId,
        id: SubmissionId,
        expected: Option<i64>,
    ) -> Result<(), SitesError> {
        let tenant = self.scope.require(Permission::SubmissionsWrite)?;
        let before = self.find(tenant, site, id).await?;
        version::check(before.version, expected)?;
        if !self.repositories.submissions().delete(tenant, site, id).await? {
            return Err(SitesError::NotFound("submission"));
        }
        let event =
            Event::new(self.env, self.scope, &events::SUBMISSION_DELETED, id.uuid()).before(&before.trace());
        Ok(self.repositories.events().append(event).await?)
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        id: SubmissionId,
    ) -> Result<Submission, SitesError> {
        let found = self.repositories.submissions().find(tenant, site, id).await?;
        found.ok_or(SitesError::NotFound("submission"))
    }
}

/// A digest that is the same for a submission that was sent twice.
fn digest(section: SectionId, message: &form::Message, now: Timestamp) -> String {
    let window = now.unix_seconds().div_euclid(SAME_CLICK.whole_seconds());
    let mut digest = Sha256::new().chain_update(section.uuid().as_bytes()).chain_update(window.to_be_bytes());
    for text in
        [&message.name, &message.email, message.phone.as_ref().unwrap_or(&String::new()), &message.message]
    {
        // Its length in front, so that nothing can move from one field to the next.
        digest = digest.chain_update((text.len() as u64).to_be_bytes()).chain_update(text.as_bytes());
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
