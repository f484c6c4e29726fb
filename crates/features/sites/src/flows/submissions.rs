//! Mail about form submissions: to each owner of the tenant, and to the tenant's support address.
//!
//! Events and jobs carry ids alone. The submission is read when the mail is built, so one that was deleted before is not
//! mailed.

use portico_identity::{mail::Recipient, user::UserStatus};
use portico_kernel::{Env, Event, Job, JobType, NewJob, SiteId, SubmissionId, UserId};
use portico_runtime::{mailing, worker::jobs::JobError};
use portico_sites::{events, mail::SiteMail, submission::SubmissionStatus};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::state::App;

/// The job that queues a message about a submission for every recipient.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubmissionToAll {
    site_id: SiteId,
    submission_id: SubmissionId,
}

/// The job that sends a submission to one recipient.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubmissionToOne {
    site_id: SiteId,
    submission_id: SubmissionId,
    /// The owner to send it to; absent for the support address of the tenant's settings.
    user_id: Option<UserId>,
}

impl JobType for SubmissionToAll {
    const KIND: &'static str = "email.submission";
    const MAX_ATTEMPTS: u32 = mailing::MAX_ATTEMPTS;
}

impl JobType for SubmissionToOne {
    const KIND: &'static str = "email.submission_to_one";
    const MAX_ATTEMPTS: u32 = mailing::MAX_ATTEMPTS;
}

/// The job that an event leads to. Suspected spam is not mailed.
pub fn job_for(env: &Env, event: &Event) -> Option<NewJob> {
    let after = event.after.as_ref().filter(|_| event.kind.is(&events::SUBMISSION_RECEIVED))?;
    if after["status"] != SubmissionStatus::New.as_str() {
        return None;
    }
    let site_id = SiteId::deserialize(&after["siteId"]).ok()?;
    let submission_id = SubmissionId::from_uuid(event.resource.id);
    Some(NewJob::following(env, event, &SubmissionToAll { site_id, submission_id }))
}

/// `email.submission`: queues a job for each recipient, all or none.
pub async fn to_all(app: &App, mail: SubmissionToAll, job: &Job) -> Result<(), JobError> {
    let SubmissionToAll { site_id, submission_id } = mail;
    let mut work = app.core.begin().await?;
    let support = work.settings().find(job.tenant_id).await?.and_then(|settings| settings.support_email);
    let owners = mailing::owners(&mut *work, job.tenant_id).await?;
    let is_owner = |address: &String| owners.iter().any(|owner| address.eq_ignore_ascii_case(&owner.email));
    let to = |user_id| SubmissionToOne { site_id, submission_id, user_id };
    let mut parts: Vec<(Uuid, SubmissionToOne)> =
        owners.iter().map(|owner| (owner.user_id.uuid(), to(Some(owner.user_id)))).collect();
    if support.is_some_and(|address| !is_owner(&address)) {
        parts.push((submission_id.uuid(), to(None)));
    }
    mailing::queue_each(work, &app.core.env, job, parts).await
}

/// `email.submission_to_one`: the message itself.
pub async fn to_one(app: &App, mail: SubmissionToOne, job: &Job) -> Result<(), JobError> {
    let SubmissionToOne { site_id, submission_id, user_id } = mail;
    let tenant = job.tenant_id;
    let recipient = match user_id {
        Some(user) => {
            let user = app.core.reader().users().find(user).await?;
            user.filter(|user| user.status == UserStatus::Active && user.email_verified)
                .map(|user| Recipient::for_user(&user))
        }
        None => support(app, job).await?,
    };
    let submission = app.core.reader().submissions().find(tenant, site_id, submission_id).await?;
    let site = app.core.reader().sites().find(tenant, site_id).await?;
    let (Some(recipient), Some(submission), Some(site)) = (recipient, submission, site) else {
        return Ok(());
    };
    if !recipient.is_verified() {
        let mail = SiteMail::SubmissionWaiting { site: site.subdomain.into_string() };
        return app.mail.send(job, &recipient, &mail).await;
    }
    let mail = SiteMail::Submission {
        site: site.name,
        page: submission.page_path,
        name: submission.name,
        email: submission.email,
        phone: submission.phone,
        message: submission.message,
        consent: submission.consent.given,
    };
    app.mail.send(job, &recipient, &mail).await
}

/// The tenant's support address. It counts as verified where a member has verified it; otherwise a tenant could enter a
/// stranger's address, and send them any text through its own form.
async fn support(app: &App, job: &Job) -> Result<Option<Recipient>, JobError> {
    let Some(settings) = app.core.reader().settings().find(job.tenant_id).await? else { return Ok(None) };
    let Some(address) = settings.support_email else { return Ok(None) };
    let Some(email) = mailing::known_address(&address)? else { return Ok(None) };
    let accounts = app.core.reader().users().by_email(&email).await?;
    let owner = accounts.into_iter().map(|account| account.user).find(|user| user.email_verified);
    let is_member = match owner.filter(|owner| owner.status == UserStatus::Active) {
        Some(owner) => app.core.reader().memberships().role(job.tenant_id, owner.id).await?.is_some(),
        None => false,
    };
    if !is_member {
        return Ok(Some(Recipient::unverified(email, settings.language)));
    }
    let name = app.core.reader().tenants().find(job.tenant_id).await?.map(|tenant| tenant.name);
    Ok(Some(Recipient::verified(email, name.unwrap_or_default(), settings.language)))
}

#[cfg(test)]
mod tests {
    use portico_kernel::{RequestInfo, Scope};
    use portico_security::system_env;
    use serde_json::{Value, json};

    use super::*;

    fn job(kind: &'static str, after: Value) -> Option<NewJob> {
        let env = system_env();
        let event = Event::new(
            &env,
            &Scope::anonymous(RequestInfo::default()),
            portico_runtime::events::catalogue().find(kind).unwrap(),
            env.random_uuid(),
        );
        job_for(&env, &event.after(&after))
    }

    #[test]
    fn a_message_leads_to_a_mail_and_spam_does_not() {
        let site = SiteId::from_uuid(Uuid::from_u128(7));
        let made = job("submission.received", json!({"siteId": site, "status": "new"})).unwrap();
        assert_eq!((made.kind, &made.payload["siteId"]), (SubmissionToAll::KIND, &json!(site)));
        assert!(job("submission.received", json!({"siteId": site, "status": "spam"})).is_none());
        assert!(job("submission.updated", json!({"siteId": site, "status": "new"})).is_none());
    }
}
