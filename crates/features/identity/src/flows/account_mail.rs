//! Mail about accounts: which events lead to a message, and how it is made and sent.
//!
//! What is sent, and to whom, is decided here in the background, so that no answer tells whether an address is known.

use portico_identity::{
    Accounts,
    email_change::EmailChangeId,
    mail::{AccountMail, Recipient},
    user::EmailAddress,
};
use portico_kernel::{Env, Event, Job, NewJob, UserId};
use portico_runtime::{
    mailing::{job, known_address},
    store::UnitOfWork,
    worker::jobs::{JobError, payload, scope},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::notices;
use crate::state::App;

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
        _ => return notices::job_for(env, event).into_iter().collect(),
    };
    vec![job(env, kind, payload, event.tenant, event.request_id.clone())]
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
        Some((recipient, mail)) => app.mail.send(job, &recipient, &mail).await,
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
        Some(recipient) => app.mail.send(job, &recipient, &mail).await,
        None => Ok(()),
    }
}

fn address(job: &Job) -> Result<Option<EmailAddress>, JobError> {
    let ToAddress { email } = payload(job)?;
    known_address(&email)
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
    app.mail.send(job, &recipient, &mail).await
}

#[cfg(test)]
mod tests {
    use portico_kernel::{RequestInfo, Scope, TenantId};
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
