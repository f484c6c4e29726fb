//! Mail about accounts: which events lead to a message, and how it is made and sent.
//!
//! What is sent, and to whom, is decided here in the background, so that no answer tells whether an address is known.

use portico_identity::{
    Accounts,
    email_change::EmailChangeId,
    erasure::ERASED,
    mail::{AccountMail, MailBrand, MailClass, Recipient},
    mail_budget::MailBudgets,
    user::EmailAddress,
};
use portico_kernel::{
    Env, Event, Job, NewJob, StoreError, TenantId, UserId,
    mail::{MailError, MailId},
};
use portico_runtime::{
    logging::chain,
    store::UnitOfWork,
    worker::jobs::{JobError, payload, scope},
};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    flows::{notices, submissions},
    state::App,
};

/// With the pauses between attempts growing to an hour, a mail server may be down for about a day.
pub const MAX_ATTEMPTS: u32 = 36;

#[derive(Deserialize)]
struct ToAddress {
    email: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToUser {
    user_id: UserId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToChange {
    change_id: EmailChangeId,
}

/// The messages that an event gives rise to.
pub fn jobs_for(env: &Env, event: &Event) -> Vec<NewJob> {
    let to_user = || json!({"userId": event.resource.id});
    let email = event.after.as_ref().and_then(|user| user.get("email")).and_then(Value::as_str);
    let (kind, payload) = match (&*event.kind, email) {
        ("user.registered", Some(email)) => ("email.verification", json!({"email": email})),
        ("user.password_revoked", Some(email)) => ("email.password_reset", json!({"email": email})),
        ("user.email_verified", _) => ("email.welcome", to_user()),
        ("user.password_changed" | "user.password_reset", _) => ("email.password_changed", to_user()),
        ("user.email_change_requested", _) => {
            let change = event.after.as_ref().and_then(|change| change.get("changeId"));
            let to =
                |kind| job(env, kind, json!({"changeId": change}), event.tenant, event.request_id.clone());
            return vec![to("email.change_notice"), to("email.change")];
        }
        ("submission.received", _) => return submissions::job_for(env, event).into_iter().collect(),
        _ => return notices::job_for(env, event).into_iter().collect(),
    };
    vec![job(env, kind, payload, event.tenant, event.request_id.clone())]
}

/// A job that sends a message, due at once.
pub(crate) fn job(
    env: &Env,
    kind: &'static str,
    payload: Value,
    tenant: TenantId,
    request_id: String,
) -> NewJob {
    NewJob {
        id: env.new_id(),
        kind,
        payload,
        tenant,
        run_at: env.now(),
        max_attempts: MAX_ATTEMPTS,
        request_id,
    }
}

/// Asks for a message to an address about which nothing is known yet, and nothing is told.
pub async fn request(
    app: &App,
    kind: &'static str,
    email: &EmailAddress,
    request_id: &str,
) -> Result<(), StoreError> {
    let payload = json!({"email": email});
    let mut work = app.core.begin().await?;
    work.jobs().enqueue(job(&app.core.env, kind, payload, TenantId::PLATFORM, request_id.to_owned())).await?;
    work.commit().await
}

/// `email.verification`: a link for the newest account that has not proven the address, or word to its owner.
pub async fn verification(app: &App, job: &Job) -> Result<(), JobError> {
    let Some(email) = address(job)? else { return Ok(()) };
    let scope = scope(job);
    let mut work = app.core.begin().await?;
    let mail =
        Accounts::new(&mut *work, &scope, &app.core.env).issue_verification(&email, &*app.tokens).await?;
    commit_and_send(app, job, work, mail).await
}

/// `email.password_reset`: a link for the account behind an address, if there is one.
pub async fn password_reset(app: &App, job: &Job) -> Result<(), JobError> {
    let Some(email) = address(job)? else { return Ok(()) };
    let scope = scope(job);
    let mut work = app.core.begin().await?;
    let mail =
        Accounts::new(&mut *work, &scope, &app.core.env).issue_password_reset(&email, &*app.tokens).await?;
    commit_and_send(app, job, work, mail).await
}

/// `email.change`: a link to the new address of an account, or word to its owner.
pub async fn email_change(app: &App, job: &Job) -> Result<(), JobError> {
    let (ToChange { change_id }, scope) = (payload(job)?, scope(job));
    let mut reader = app.core.reader();
    let mail = Accounts::new(&mut *reader, &scope, &app.core.env)
        .issue_email_change(change_id, &*app.tokens)
        .await?;
    match mail {
        Some((recipient, mail)) => send(app, job, &recipient, &mail).await,
        None => Ok(()),
    }
}

/// `email.change_notice`: tells the address of an account that another one was asked for, with a link that stops it.
pub async fn email_change_notice(app: &App, job: &Job) -> Result<(), JobError> {
    let (ToChange { change_id }, scope) = (payload(job)?, scope(job));
    let mut work = app.core.begin().await?;
    let mail = Accounts::new(&mut *work, &scope, &app.core.env)
        .issue_email_change_notice(change_id, &*app.tokens)
        .await?;
    commit_and_send(app, job, work, mail).await
}

/// `email.welcome`: greets somebody who has proven their address.
pub async fn welcome(app: &App, job: &Job) -> Result<(), JobError> {
    to_user(app, job, AccountMail::Welcome).await
}

/// `email.password_changed`: tells somebody that their password was changed.
pub async fn password_changed(app: &App, job: &Job) -> Result<(), JobError> {
    to_user(app, job, AccountMail::PasswordChanged).await
}

async fn to_user(app: &App, job: &Job, mail: AccountMail) -> Result<(), JobError> {
    let (ToUser { user_id }, scope) = (payload(job)?, scope(job));
    let recipient = Accounts::new(&mut *app.core.reader(), &scope, &app.core.env).recipient(user_id).await?;
    match recipient {
        Some(recipient) => send(app, job, &recipient, &mail).await,
        None => Ok(()),
    }
}

fn address(job: &Job) -> Result<Option<EmailAddress>, JobError> {
    let ToAddress { email } = payload(job)?;
    known_address(&email)
}

/// An address in the payload of a job; `None` when its owner was erased since.
pub(crate) fn known_address(email: &str) -> Result<Option<EmailAddress>, JobError> {
    if email == ERASED {
        return Ok(None);
    }
    let email = EmailAddress::parse(email);
    email.map(Some).map_err(|error| JobError::Fatal(format!("payload: {}", error.message)))
}

/// The token has to be there before its link is: an attempt that dies in between leaves a token that nobody knows, and
/// the next attempt makes another one.
async fn commit_and_send(
    app: &App,
    job: &Job,
    work: Box<dyn UnitOfWork>,
    mail: Option<(Recipient, AccountMail)>,
) -> Result<(), JobError> {
    let Some((recipient, mail)) = mail else { return Ok(()) };
    work.commit().await?;
    send(app, job, &recipient, &mail).await
}

/// Sends a message on behalf of a job, in the look of the job's tenant where it speaks for that. Every mail goes this way.
///
/// Each recipient gets so many in an hour, of each class by itself. What is more is dropped; what happened in an account is told
/// later instead, because somebody who is in it could flood its owner to hide what they do.
///
/// A job that runs again, because its worker died before it could note that the message was taken, sends it under the
/// same `Message-ID` to the same receiver.
pub async fn send(app: &App, job: &Job, to: &Recipient, mail: &AccountMail) -> Result<(), JobError> {
    let class = mail.class(to);
    if !take_from_budget(app, to, class).await? {
        let later = class == MailClass::Account;
        count(class, if later { "later" } else { "dropped" });
        let reason = "the recipient has had as much mail as they get in an hour";
        if later {
            return Err(JobError::Retry(reason.to_owned()));
        }
        tracing::warn!(class = class.as_str(), job = %job.id, "mail dropped: {reason}");
        return Ok(());
    }
    let brand = match mail.speaks_for_tenant() {
        true => brand_of(app, job.tenant_id).await?,
        false => MailBrand::default(),
    };
    match app.mailer.send(message_id(job, to), to, mail, &brand).await {
        Ok(()) => {
            count(class, "sent");
            Ok(())
        }
        Err(error @ MailError::Unavailable(_)) => {
            give_back_to_budget(app, to, class).await?;
            Err(JobError::Retry(chain(&error)))
        }
        Err(error @ MailError::Rejected(_)) => {
            count(class, "rejected");
            Err(JobError::Fatal(chain(&error)))
        }
    }
}

fn count(class: MailClass, outcome: &'static str) {
    metrics::counter!("mails_total", "class" => class.as_str(), "outcome" => outcome).increment(1);
}

async fn take_from_budget(app: &App, to: &Recipient, class: MailClass) -> Result<bool, JobError> {
    let (rule, mut work) = (app.settings.email.rule(), app.core.begin().await?);
    let taken = MailBudgets::new(&mut *work, &app.core.env, rule, &*app.marks).take(&to.email, class).await?;
    work.commit().await?;
    Ok(taken)
}

async fn give_back_to_budget(app: &App, to: &Recipient, class: MailClass) -> Result<(), JobError> {
    let (rule, mut work) = (app.settings.email.rule(), app.core.begin().await?);
    MailBudgets::new(&mut *work, &app.core.env, rule, &*app.marks).give_back(&to.email, class).await?;
    Ok(work.commit().await?)
}

/// A UUIDv8 (RFC 9562 section 5.8) that is the same whenever the job writes to the same receiver.
fn message_id(job: &Job, to: &Recipient) -> MailId {
    let digest =
        Sha256::new().chain_update(job.id.uuid().as_bytes()).chain_update(to.email.as_str()).finalize();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    MailId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

async fn brand_of(app: &App, tenant: TenantId) -> Result<MailBrand, JobError> {
    let mut repositories = app.core.reader();
    let tenant_row = repositories.tenants().find(tenant).await?;
    let (name, subdomain) = tenant_row.map(|tenant| (tenant.name, tenant.subdomain)).unzip();
    let primary = repositories.branding().find(tenant).await?.map(|branding| branding.colors.primary);
    Ok(MailBrand { name, subdomain, primary })
}

#[cfg(test)]
mod tests {
    use portico_kernel::{RequestInfo, Scope};
    use portico_security::system_env;

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
