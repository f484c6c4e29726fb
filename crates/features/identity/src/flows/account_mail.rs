//! Mail about accounts: which events lead to a message, and how messages are built and sent.
//!
//! Whether a message is sent, and to which address, is decided in background jobs, so that no HTTP response reveals whether
//! an address is registered.

use portico_identity::{
    Accounts,
    email_change::EmailChangeId,
    events,
    mail::{AccountMail, Recipient},
    user::EmailAddress,
};
use portico_kernel::{Env, Event, EventDeclaration, Job, JobType, NewJob, UserId};
use portico_runtime::{
    mailing::{self, known_address},
    store::UnitOfWork,
    worker::jobs::{JobError, scope},
};
use serde::{Deserialize, Serialize};

use super::notices;
use crate::state::App;

/// The job that sends a link to verify an address.
#[derive(Debug, Serialize, Deserialize)]
pub struct VerificationMail {
    email: String,
}

/// The job that sends a link to set a new password.
#[derive(Debug, Serialize, Deserialize)]
pub struct PasswordResetMail {
    email: String,
}

/// The job that sends a welcome message to the owner of a verified account.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WelcomeMail {
    user_id: UserId,
}

/// The job that notifies the owner of an account that its password was changed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PasswordChangedMail {
    user_id: UserId,
}

/// The job that sends a link to the new address of an account.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmailChangeMail {
    change_id: EmailChangeId,
}

/// The job that notifies the old address of an account that a change to another address was requested.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmailChangeNotice {
    change_id: EmailChangeId,
}

impl JobType for VerificationMail {
    const KIND: &'static str = "email.verification";
    const MAX_ATTEMPTS: u32 = mailing::MAX_ATTEMPTS;
}

impl JobType for PasswordResetMail {
    const KIND: &'static str = "email.password_reset";
    const MAX_ATTEMPTS: u32 = mailing::MAX_ATTEMPTS;
}

impl JobType for WelcomeMail {
    const KIND: &'static str = "email.welcome";
    const MAX_ATTEMPTS: u32 = mailing::MAX_ATTEMPTS;
}

impl JobType for PasswordChangedMail {
    const KIND: &'static str = "email.password_changed";
    const MAX_ATTEMPTS: u32 = mailing::MAX_ATTEMPTS;
}

impl JobType for EmailChangeMail {
    const KIND: &'static str = "email.change";
    const MAX_ATTEMPTS: u32 = mailing::MAX_ATTEMPTS;
}

impl JobType for EmailChangeNotice {
    const KIND: &'static str = "email.change_notice";
    const MAX_ATTEMPTS: u32 = mailing::MAX_ATTEMPTS;
}

impl VerificationMail {
    /// A job for this address.
    pub fn to(email: &EmailAddress) -> Self {
        Self { email: email.as_str().to_owned() }
    }
}

impl PasswordResetMail {
    /// A job for this address.
    pub fn to(email: &EmailAddress) -> Self {
        Self { email: email.as_str().to_owned() }
    }
}

/// Builds a job from an event; `None` where the event does not lead to a message.
type FollowUp = fn(&Env, &Event) -> Option<NewJob>;

/// Which messages an event leads to.
static MAILS: [(&EventDeclaration, FollowUp); 7] = [
    (&events::USER_REGISTERED, |env, event| {
        Some(NewJob::following(env, event, &VerificationMail { email: email_of(event)? }))
    }),
    (&events::USER_PASSWORD_REVOKED, |env, event| {
        Some(NewJob::following(env, event, &PasswordResetMail { email: email_of(event)? }))
    }),
    (&events::USER_EMAIL_VERIFIED, |env, event| {
        Some(NewJob::following(env, event, &WelcomeMail { user_id: user_of(event) }))
    }),
    (&events::USER_PASSWORD_CHANGED, password_was_changed),
    (&events::USER_PASSWORD_RESET, password_was_changed),
    (&events::USER_EMAIL_CHANGE_REQUESTED, |env, event| {
        Some(NewJob::following(env, event, &EmailChangeNotice { change_id: change_of(event)? }))
    }),
    (&events::USER_EMAIL_CHANGE_REQUESTED, |env, event| {
        Some(NewJob::following(env, event, &EmailChangeMail { change_id: change_of(event)? }))
    }),
];

/// The messages that an event leads to.
pub fn jobs_for(env: &Env, event: &Event) -> Vec<NewJob> {
    let mails = MAILS.iter().filter(|(declared, _)| event.kind.is(declared));
    mails.filter_map(|(_, job)| job(env, event)).chain(notices::job_for(env, event)).collect()
}

fn password_was_changed(env: &Env, event: &Event) -> Option<NewJob> {
    Some(NewJob::following(env, event, &PasswordChangedMail { user_id: user_of(event) }))
}

fn user_of(event: &Event) -> UserId {
    UserId::from_uuid(event.resource.id)
}

fn email_of(event: &Event) -> Option<String> {
    event.after.as_ref()?.get("email")?.as_str().map(str::to_owned)
}

fn change_of(event: &Event) -> Option<EmailChangeId> {
    EmailChangeId::deserialize(event.after.as_ref()?.get("changeId")?).ok()
}

/// `email.verification`: sends a verification link for the newest account with this unverified address, or notifies the
/// address's owner.
pub async fn verification(app: &App, to: VerificationMail, job: &Job) -> Result<(), JobError> {
    let Some(email) = known_address(&to.email)? else { return Ok(()) };
    let scope = scope(job);
    let mut work = app.core.begin().await?;
    let mail =
        Accounts::new(&mut *work, &scope, &app.core.env).issue_verification(&email, &*app.tokens).await?;
    commit_and_send(app, job, work, mail).await
}

/// `email.password_reset`: sends a reset link for the account with this address, if there is one.
pub async fn password_reset(app: &App, to: PasswordResetMail, job: &Job) -> Result<(), JobError> {
    let Some(email) = known_address(&to.email)? else { return Ok(()) };
    let scope = scope(job);
    let mut work = app.core.begin().await?;
    let mail =
        Accounts::new(&mut *work, &scope, &app.core.env).issue_password_reset(&email, &*app.tokens).await?;
    commit_and_send(app, job, work, mail).await
}

/// `email.change`: sends a link to the new address of an account, or a notice to the owner of that address.
pub async fn email_change(app: &App, to: EmailChangeMail, job: &Job) -> Result<(), JobError> {
    let scope = scope(job);
    let mut reader = app.core.reader();
    let mail = Accounts::new(&mut *reader, &scope, &app.core.env)
        .issue_email_change(to.change_id, &*app.tokens)
        .await?;
    match mail {
        Some((recipient, mail)) => app.mail.send(job, &recipient, &mail).await,
        None => Ok(()),
    }
}

/// `email.change_notice`: notifies the address of an account that a change of address was requested, with a link that
/// cancels it.
pub async fn email_change_notice(app: &App, to: EmailChangeNotice, job: &Job) -> Result<(), JobError> {
    let scope = scope(job);
    let mut work = app.core.begin().await?;
    let mail = Accounts::new(&mut *work, &scope, &app.core.env)
        .issue_email_change_notice(to.change_id, &*app.tokens)
        .await?;
    commit_and_send(app, job, work, mail).await
}

/// `email.welcome`: sends a welcome message to the owner of a verified account.
pub async fn welcome(app: &App, to: WelcomeMail, job: &Job) -> Result<(), JobError> {
    to_user(app, to.user_id, job, AccountMail::Welcome).await
}

/// `email.password_changed`: notifies the owner of an account that its password was changed.
pub async fn password_changed(app: &App, to: PasswordChangedMail, job: &Job) -> Result<(), JobError> {
    to_user(app, to.user_id, job, AccountMail::PasswordChanged).await
}

async fn to_user(app: &App, user_id: UserId, job: &Job, mail: AccountMail) -> Result<(), JobError> {
    let recipient =
        Accounts::new(&mut *app.core.reader(), &scope(job), &app.core.env).recipient(user_id).await?;
    match recipient {
        Some(recipient) => app.mail.send(job, &recipient, &mail).await,
        None => Ok(()),
    }
}

/// The token must be committed before its link is sent: an attempt that fails in between leaves a token whose text was
/// never sent, and the next attempt makes another one.
async fn commit_and_send(
    app: &App,
    job: &Job,
    work: Box<dyn UnitOfWork>,
    mail: Option<(Recipient, AccountMail)>,
) -> Result<(), JobError> {
    let Some((recipient, mail)) = mail else { return Ok(()) };
    work.commit().await?;
    app.mail.send(job, &recipient, &mail).await
}

#[cfg(test)]
mod tests {
    use portico_kernel::{RequestInfo, Scope, TenantId};
    use portico_security::system_env;
    use serde_json::{Value, json};

    use super::*;

    fn jobs(kind: &'static str, after: Option<Value>) -> Vec<(&'static str, Value)> {
        let env = system_env();
        let scope = Scope::anonymous(RequestInfo { id: "request-1".into(), ..RequestInfo::default() });
        let mut event = Event::new(
            &env,
            &scope,
            portico_runtime::events::catalogue().find(kind).unwrap(),
            TenantId::PLATFORM.uuid(),
        );
        event.after = after;
        let jobs = jobs_for(&env, &event);
        assert!(jobs.iter().all(|job| job.request_id == "request-1"));
        jobs.into_iter().map(|job| (job.kind, job.payload)).collect()
    }

    #[test]
    fn events_of_accounts_lead_to_messages() {
        let id = TenantId::PLATFORM.uuid();
        let registered = jobs("user.registered", Some(json!({"email": "ada@example.com"})));
        assert_eq!(registered, [("email.verification", json!({"email": "ada@example.com"}))]);
        assert_eq!(jobs("user.email_verified", None), [("email.welcome", json!({"userId": id}))]);
        for kind in ["user.password_changed", "user.password_reset"] {
            assert_eq!(jobs(kind, None), [("email.password_changed", json!({"userId": id}))]);
        }
    }

    #[test]
    fn both_addresses_hear_of_a_change_that_is_asked_for() {
        let change = json!({"changeId": TenantId::PLATFORM});
        let asked = jobs("user.email_change_requested", Some(change.clone()));
        assert_eq!(asked, [("email.change_notice", change.clone()), ("email.change", change)]);
    }

    #[test]
    fn other_events_lead_to_none() {
        for kind in ["user.updated", "session.started", "user.password_reset_requested", "page.created"] {
            assert!(jobs(kind, None).is_empty(), "{kind}");
        }
    }
}
