//! Mail about accounts: which events lead to a message, and how it is made and sent.
//!
//! What is sent, and to whom, is decided here in the background, so that no answer tells whether an address is known.

use portico_identity::{
    Accounts,
    mail::{AccountMail, Recipient},
    user::EmailAddress,
};
use portico_kernel::{Env, Event, Job, NewJob, StoreError, TenantId, UserId, mail::MailError};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    http::problem::chain,
    state::App,
    unit_of_work::UnitOfWork,
    worker::handlers::{JobError, payload, scope},
};

/// With the pauses between attempts growing to an hour, a mail server may be down for about a day.
const MAX_ATTEMPTS: u32 = 36;

#[derive(Deserialize)]
struct ToAddress {
    email: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToUser {
    user_id: UserId,
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
        _ => return Vec::new(),
    };
    vec![job(env, kind, payload, event.tenant, event.request_id.clone())]
}

fn job(env: &Env, kind: &'static str, payload: Value, tenant: TenantId, request_id: String) -> NewJob {
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
    let mut work = app.begin().await?;
    work.jobs().enqueue(job(&app.env, kind, payload, TenantId::PLATFORM, request_id.to_owned())).await?;
    work.commit().await
}

/// `email.verification`: a link for the newest account that has not proven the address, or word to its owner.
pub async fn verification(app: &App, job: &Job) -> Result<(), JobError> {
    let (email, scope) = (address(job)?, scope(job));
    let mut work = app.begin().await?;
    let mail = Accounts::new(&mut *work, &scope, &app.env).issue_verification(&email, &*app.tokens).await?;
    commit_and_send(app, work, mail).await
}

/// `email.password_reset`: a link for the account behind an address, if there is one.
pub async fn password_reset(app: &App, job: &Job) -> Result<(), JobError> {
    let (email, scope) = (address(job)?, scope(job));
    let mut work = app.begin().await?;
    let mail = Accounts::new(&mut *work, &scope, &app.env).issue_password_reset(&email, &*app.tokens).await?;
    commit_and_send(app, work, mail).await
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
    let recipient = Accounts::new(&mut *app.reader(), &scope, &app.env).recipient(user_id).await?;
    match recipient {
        Some(recipient) => send(app, &recipient, &mail).await,
        None => Ok(()),
    }
}

fn address(job: &Job) -> Result<EmailAddress, JobError> {
    let ToAddress { email } = payload(job)?;
    EmailAddress::parse(&email).map_err(|error| JobError::Fatal(format!("payload: {}", error.message)))
}

/// The token has to be there before its link is: an attempt that dies in between leaves a token that nobody knows, and
/// the next attempt makes another one.
async fn commit_and_send(
    app: &App,
    work: Box<dyn UnitOfWork>,
    mail: Option<(Recipient, AccountMail)>,
) -> Result<(), JobError> {
    let Some((recipient, mail)) = mail else { return Ok(()) };
    work.commit().await?;
    send(app, &recipient, &mail).await
}

async fn send(app: &App, to: &Recipient, mail: &AccountMail) -> Result<(), JobError> {
    app.mailer.send(to, mail).await.map_err(|error| match error {
        MailError::Unavailable(_) => JobError::Retry(chain(&error)),
        MailError::Rejected(_) => JobError::Fatal(chain(&error)),
    })
}

#[cfg(test)]
mod tests {
    use portico_kernel::{RequestInfo, Scope};
    use portico_security::system_env;

    use super::*;

    fn jobs(kind: &'static str, after: Option<Value>) -> Vec<(&'static str, Value)> {
        let env = system_env();
        let scope = Scope::anonymous(RequestInfo { id: "request-1".into(), ..RequestInfo::default() });
        let mut event = Event::new(&env, &scope, kind, TenantId::PLATFORM.uuid());
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
    fn other_events_lead_to_none() {
        for kind in ["user.updated", "session.started", "user.password_reset_requested", "page.created"] {
            assert!(jobs(kind, None).is_empty(), "{kind}");
        }
    }
}
