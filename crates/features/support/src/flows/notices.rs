//! Mail about tickets: to their authors, and to staff.
//!
//! Events and jobs carry ids alone. What was written is read when the mail is built.

use portico_identity::{mail::Recipient, user::UserStatus};
use portico_kernel::{Env, Event, Job, JobType, NewJob, SupportMessageId, SupportTicketId, TenantId, UserId};
use portico_runtime::{mailing, worker::jobs::JobError};
use portico_support::{
    events,
    mail::{SupportMail, SupportNews},
    message::AuthorKind,
    ticket::SupportTicket,
};
use serde::{Deserialize, Serialize};

use super::staff::is_clerk;
use crate::state::App;

/// The job that tells somebody about a ticket.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SupportNotice {
    customer_id: TenantId,
    ticket_id: SupportTicketId,
    about: About,
}

/// What it tells, and thereby whom.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case", rename_all_fields = "camelCase")]
enum About {
    Opened,
    Answered { message_id: SupportMessageId },
    Resolved,
    Ended { user_id: UserId },
    DeskOpened,
    DeskAnswered { message_id: SupportMessageId },
    DeskBreached,
}

impl JobType for SupportNotice {
    const KIND: &'static str = "email.support";
    const MAX_ATTEMPTS: u32 = mailing::MAX_ATTEMPTS;
}

/// The notice for somebody whose answer by mail was not taken, because the ticket has ended for good.
pub fn ended(customer_id: TenantId, ticket_id: SupportTicketId, user_id: UserId) -> SupportNotice {
    SupportNotice { customer_id, ticket_id, about: About::Ended { user_id } }
}

/// The messages that an event leads to.
pub fn jobs_for(env: &Env, event: &Event) -> Vec<NewJob> {
    let after = event.after.as_ref();
    let ticket_id = SupportTicketId::from_uuid(event.resource.id);
    let mut customer_id = event.tenant;
    let about = if event.kind.is(&events::TICKET_CREATED) {
        vec![About::Opened, About::DeskOpened]
    } else if event.kind.is(&events::TICKET_RESOLVED) {
        vec![About::Resolved]
    } else if event.kind.is(&events::TICKET_ANSWERED) {
        let message_id = after.and_then(|after| SupportMessageId::deserialize(after.get("messageId")?).ok());
        let by_customer = after.is_some_and(|after| after["by"] == AuthorKind::Customer.as_str());
        match message_id {
            Some(message_id) if by_customer => vec![About::DeskAnswered { message_id }],
            Some(message_id) => vec![About::Answered { message_id }],
            None => Vec::new(),
        }
    } else if event.kind.is(&events::TARGET_BREACHED) {
        // An event of the platform, which names the customer.
        match after.and_then(|after| TenantId::deserialize(after.get("tenantId")?).ok()) {
            Some(tenant) => {
                customer_id = tenant;
                vec![About::DeskBreached]
            }
            None => Vec::new(),
        }
    } else {
        Vec::new()
    };
    let notices = about.into_iter().map(|about| SupportNotice { customer_id, ticket_id, about });
    notices.map(|notice| NewJob::following(env, event, &notice).in_tenant(customer_id)).collect()
}

/// `email.support`: tells somebody about a ticket.
///
/// # Errors
/// Those of sending.
pub async fn send(app: &App, notice: SupportNotice, job: &Job) -> Result<(), JobError> {
    let SupportNotice { customer_id, ticket_id, about } = notice;
    let Some(ticket) = app.core.reader().tickets().find(customer_id, ticket_id).await? else { return Ok(()) };
    let Some((recipient, reply_to)) = recipient(app, &ticket, &about).await? else { return Ok(()) };
    let Some(news) = news(app, &ticket, about).await? else { return Ok(()) };
    app.mail.send(job, &recipient, &SupportMail::new(&ticket, reply_to, news)).await
}

/// Whom to tell, and where their answer goes.
async fn recipient(
    app: &App,
    ticket: &SupportTicket,
    about: &About,
) -> Result<Option<(Recipient, Option<String>)>, JobError> {
    let mut reader = app.core.reader();
    let user = match about {
        About::Opened | About::Answered { .. } | About::Resolved => {
            // Whoever has left the tenant reads nothing of it any more.
            let role = reader.memberships().role(ticket.tenant_id, ticket.author_id).await?;
            if role.is_none() {
                return Ok(None);
            }
            reader.users().find(ticket.author_id).await?
        }
        About::Ended { user_id } => reader.users().find(*user_id).await?,
        About::DeskOpened | About::DeskAnswered { .. } | About::DeskBreached => {
            let assignee = match ticket.assignee_id {
                // Whose address is not verified gets no mail: then the desk does.
                Some(id) => {
                    reader.users().find(id).await?.filter(|user| is_clerk(user) && user.email_verified)
                }
                None => None,
            };
            if assignee.is_none() {
                let desk = app.rule.desk.as_ref().map(|desk| {
                    Recipient::verified(desk.email.clone(), String::new(), desk.language.clone())
                });
                return Ok(desk.map(|desk| (desk, None)));
            }
            assignee
        }
    };
    let user = user.filter(|user| user.status == UserStatus::Active && user.email_verified);
    Ok(user.map(|user| {
        let is_answerable = !matches!(about, About::Ended { .. });
        let reply_to = app.rule.addresses.address(ticket.id, user.id).filter(|_| is_answerable);
        (Recipient::for_user(&user), reply_to)
    }))
}

/// What to say; nothing where a message is not there any more.
async fn news(app: &App, ticket: &SupportTicket, about: About) -> Result<Option<SupportNews>, JobError> {
    let mut reader = app.core.reader();
    let body = match about {
        About::Answered { message_id } | About::DeskAnswered { message_id } => {
            // What is for staff only is in no event, and would not be sent if it were.
            let message = reader.support_messages().find(ticket.tenant_id, message_id).await?;
            match message.filter(|message| !message.internal) {
                Some(message) => message.body,
                None => return Ok(None),
            }
        }
        About::DeskOpened => ticket.description.clone(),
        About::Opened | About::Resolved | About::Ended { .. } | About::DeskBreached => String::new(),
    };
    let customer =
        reader.tenants().find(ticket.tenant_id).await?.map(|tenant| tenant.name).unwrap_or_default();
    Ok(Some(match about {
        About::Opened => SupportNews::Opened,
        About::Answered { .. } => SupportNews::Answered { body },
        About::Resolved => SupportNews::Resolved,
        About::Ended { .. } => SupportNews::Ended,
        About::DeskOpened => SupportNews::DeskOpened { customer, priority: ticket.priority, body },
        About::DeskAnswered { .. } => SupportNews::DeskAnswered { customer, body },
        About::DeskBreached => SupportNews::DeskBreached {
            customer,
            priority: ticket.priority,
            due_at: ticket.times.reply_due_at,
        },
    }))
}

#[cfg(test)]
mod tests {
    use portico_kernel::{RequestInfo, Scope, event::EventDeclaration};
    use portico_security::system_env;
    use serde_json::{Value, json};

    use super::*;

    fn told(declared: &'static EventDeclaration, after: Value) -> Vec<String> {
        let (env, scope) = (system_env(), Scope::anonymous(RequestInfo::default()));
        let event = Event::new(&env, &scope, declared, env.random_uuid()).after(&after);
        let jobs = jobs_for(&env, &event);
        jobs.iter().map(|job| job.payload["about"]["what"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn each_side_is_told_of_what_the_other_one_does() {
        let id = system_env().random_uuid();
        assert_eq!(told(&events::TICKET_CREATED, json!({})), ["opened", "desk_opened"]);
        assert_eq!(told(&events::TICKET_ANSWERED, json!({"messageId": id, "by": "staff"})), ["answered"]);
        assert_eq!(
            told(&events::TICKET_ANSWERED, json!({"messageId": id, "by": "customer"})),
            ["desk_answered"]
        );
        assert_eq!(told(&events::TICKET_RESOLVED, json!({})), ["resolved"]);
        assert_eq!(told(&events::TARGET_BREACHED, json!({"tenantId": id})), ["desk_breached"]);
        for quiet in [&events::TICKET_NOTED, &events::TICKET_UPDATED, &events::TICKET_CLOSED] {
            assert!(told(quiet, json!({"messageId": id, "by": "staff"})).is_empty(), "{}", quiet.name);
        }
        assert!(told(&events::TICKET_ANSWERED, json!({})).is_empty());
    }
}
