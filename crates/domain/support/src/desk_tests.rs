use portico_kernel::Timestamp;
use time::Duration;

use super::*;
use crate::{
    breach::Breaches,
    testing::{Repositories, customer, env, moved, staff},
    ticket::NewTicket,
    tickets::Tickets,
};

fn targets() -> ReplyTargets {
    let (day, hour) = (Some(Duration::DAY), Some(Duration::HOUR));
    ReplyTargets { low: None, medium: day, high: day, urgent: hour }
}

async fn opened(repositories: &mut Repositories, env: &Env, scope: &Scope, subject: &str) -> SupportTicket {
    let input = NewTicket {
        subject: subject.to_owned(),
        description: format!("{subject} closes."),
        ..NewTicket::default()
    };
    Tickets::new(repositories, scope, env).open(input, &[], &targets()).await.unwrap()
}

fn said(body: &str, internal: bool) -> DeskMessage {
    DeskMessage { body: body.to_owned(), internal: Some(internal) }
}

#[tokio::test]
async fn notes_are_for_staff_and_move_nothing() {
    let (env, mut repositories) = (env(), Repositories::default());
    let (tenant, clerk) = (env.new_id(), staff(env.new_id()));
    let author = customer(tenant, env.new_id());
    let ticket = opened(&mut repositories, &env, &author, "Mine").await;
    let mut desk = Desk::new(&mut repositories, &clerk, &env);
    assert!(desk.write(tenant, ticket.id, said("Difficult.", true)).await.unwrap().internal);
    let thread = desk.get(tenant, ticket.id).await.unwrap();
    assert_eq!((thread.ticket.ticket.status, thread.messages.len()), (TicketStatus::Open, 1));
    assert_eq!(thread.ticket.ticket.times.first_reply_at, None, "a note is no answer");
    desk.write(tenant, ticket.id, said("Which version?", false)).await.unwrap();
    let thread = Tickets::new(&mut repositories, &author, &env).get(ticket.id).await.unwrap();
    assert_eq!(thread.ticket.status, TicketStatus::WaitingOnCustomer);
    assert_eq!(thread.ticket.times.first_reply_at, Some(env.now()));
    let bodies: Vec<&str> = thread.messages.iter().map(|message| message.body.as_str()).collect();
    assert_eq!(bodies, ["Which version?"]);
    let events = repositories.events();
    let seen: Vec<_> =
        events.iter().filter(|event| event.tenant == tenant).map(|event| event.kind.as_str()).collect();
    assert_eq!(
        seen,
        ["support_ticket.created", "support_ticket.answered"],
        "no word of the note in the tenant"
    );
    assert!(events.iter().all(|event| !format!("{event:?}").contains("Difficult")));
}

#[tokio::test]
async fn only_staff_are_at_the_desk_and_tickets_belong_to_their_customer() {
    let (env, mut repositories) = (env(), Repositories::default());
    let (tenant, clerk) = (env.new_id(), staff(env.new_id()));
    let author = customer(tenant, env.new_id());
    let ticket = opened(&mut repositories, &env, &author, "Mine").await;
    let refused = Desk::new(&mut repositories, &author, &env).get(tenant, ticket.id).await;
    assert!(matches!(refused, Err(SupportError::Denied(_))), "{refused:?}");
    let queue = Desk::new(&mut repositories, &author, &env)
        .queue(QueueFilter::default(), PageRequest::default())
        .await;
    assert!(matches!(queue, Err(SupportError::Denied(_))), "{queue:?}");
    let mut desk = Desk::new(&mut repositories, &clerk, &env);
    let missing = desk.write(env.new_id(), ticket.id, said("x", false)).await;
    assert!(matches!(missing, Err(SupportError::NotFound("ticket"))), "{missing:?}");
    assert_eq!(desk.queue(QueueFilter::default(), PageRequest::default()).await.unwrap().total, 1);
}

#[tokio::test]
async fn priority_tags_and_assignee_are_changed_with_the_target() {
    let (env, mut repositories) = (env(), Repositories::default());
    let (tenant, clerk) = (env.new_id(), staff(env.new_id()));
    let author = customer(tenant, env.new_id());
    let ticket = opened(&mut repositories, &env, &author, "Mine").await;
    let created = ticket.times.created_at;
    let mut desk = Desk::new(&mut repositories, &clerk, &env);
    let tags = [" Update ", "update", "Windows"].map(str::to_owned).to_vec();
    let change = TicketUpdate {
        priority: Some(TicketPriority::Urgent),
        tags: Some(tags),
        assignee_id: Some(Some(env.new_id())),
        category: Some(TicketCategory::Technical),
    };
    let changed = desk.update(tenant, ticket.id, change.clone(), &targets()).await.unwrap();
    assert_eq!(changed.ticket.tags, ["update", "windows"]);
    assert_eq!(changed.reply_due_at, Some(created + Duration::HOUR));
    assert_eq!(
        (changed.ticket.assignee_id, changed.ticket.category),
        (change.assignee_id.unwrap(), TicketCategory::Technical)
    );
    let nobody = TicketUpdate {
        assignee_id: Some(None),
        priority: Some(TicketPriority::Low),
        ..TicketUpdate::default()
    };
    let changed = desk.update(tenant, ticket.id, nobody, &targets()).await.unwrap();
    assert_eq!((changed.ticket.assignee_id, changed.reply_due_at), (None, None));
    desk.write(tenant, ticket.id, said("Hello.", false)).await.unwrap();
    let again = TicketUpdate { priority: Some(TicketPriority::Urgent), ..TicketUpdate::default() };
    let changed = desk.update(tenant, ticket.id, again.clone(), &targets()).await.unwrap();
    assert_eq!(changed.reply_due_at, None, "it was answered");
    let number = repositories.events().len();
    let mut desk = Desk::new(&mut repositories, &clerk, &env);
    desk.update(tenant, ticket.id, again, &targets()).await.unwrap();
    let wrong = TicketUpdate { tags: Some(vec!["x".repeat(31); 11]), ..TicketUpdate::default() };
    let Err(SupportError::Invalid(errors)) = desk.update(tenant, ticket.id, wrong, &targets()).await else {
        panic!()
    };
    assert_eq!(errors.len(), 11);
    assert_eq!(repositories.events().len(), number, "what changes nothing is no event");
}

#[tokio::test]
async fn what_is_merged_goes_on_in_the_other_ticket() {
    let ((env, clock), mut repositories) = (moved(), Repositories::default());
    let (tenant, clerk) = (env.new_id(), staff(env.new_id()));
    let author = customer(tenant, env.new_id());
    let first = opened(&mut repositories, &env, &author, "First").await;
    clock.advance(Duration::MINUTE);
    let second = opened(&mut repositories, &env, &author, "Second").await;
    let foreign = opened(&mut repositories, &env, &customer(tenant, env.new_id()), "Foreign").await;
    clock.advance(Duration::MINUTE);
    let mut desk = Desk::new(&mut repositories, &clerk, &env);
    desk.write(tenant, first.id, said("Which version?", false)).await.unwrap();
    desk.write(tenant, second.id, said("Looks the same.", true)).await.unwrap();
    for (one, other) in [(first.id, first.id), (second.id, foreign.id)] {
        let refused = desk.merge(tenant, one, other).await;
        assert!(matches!(refused, Err(SupportError::NotMergeable)), "{refused:?}");
    }
    let missing = desk.merge(tenant, first.id, env.new_id()).await;
    assert!(matches!(missing, Err(SupportError::NotFound(_))), "{missing:?}");
    let merged = desk.merge(tenant, second.id, first.id).await.unwrap();
    assert_eq!((merged.ticket.id, merged.ticket.status), (first.id, TicketStatus::WaitingOnStaff));
    let thread = desk.get(tenant, first.id).await.unwrap();
    let bodies: Vec<&str> = thread.messages.iter().map(|message| message.body.as_str()).collect();
    assert_eq!(bodies, ["Second\n\nSecond closes.", "Which version?", "Looks the same."]);
    let old = desk.get(tenant, second.id).await.unwrap();
    assert_eq!(
        (old.ticket.ticket.status, old.ticket.ticket.merged_into, old.messages.len()),
        (TicketStatus::Closed, Some(first.id), 0)
    );
    let ended = desk.write(tenant, second.id, said("x", false)).await;
    assert!(matches!(ended, Err(SupportError::TicketEnded)), "{ended:?}");
    assert!(matches!(desk.merge(tenant, second.id, first.id).await, Err(SupportError::NotMergeable)));
    let thread = Tickets::new(&mut repositories, &author, &env).get(first.id).await.unwrap();
    assert_eq!(thread.messages.len(), 2, "a note stays a note");
}

#[tokio::test]
async fn a_ticket_that_waits_too_long_is_noted_once() {
    let ((env, clock), mut repositories) = (moved(), Repositories::default());
    let (tenant, clerk) = (env.new_id(), staff(env.new_id()));
    let author = customer(tenant, env.new_id());
    let late = opened(&mut repositories, &env, &author, "Late").await;
    let answered = opened(&mut repositories, &env, &author, "Answered").await;
    let closed = opened(&mut repositories, &env, &author, "Closed").await;
    let mut desk = Desk::new(&mut repositories, &clerk, &env);
    desk.write(tenant, answered.id, said("Hello.", false)).await.unwrap();
    desk.resolve(tenant, closed.id).await.unwrap();
    assert!(matches!(desk.resolve(tenant, closed.id).await, Err(SupportError::TicketStatus)));
    clock.advance(Duration::DAY);
    let now: Timestamp = env.now();
    let overdue = repositories.tickets().overdue(now, 10).await.unwrap();
    let ids: Vec<_> = overdue.iter().map(|ticket| ticket.id).collect();
    assert_eq!(ids, [late.id]);
    let system = Scope::system(Some(tenant), portico_kernel::RequestInfo::default());
    for first in [true, false] {
        let noted = Breaches::new(&mut repositories, &system, &env).note(&overdue[0]).await.unwrap();
        assert_eq!(noted, first);
    }
    let events = repositories.events();
    let told: Vec<_> = events.iter().filter(|event| event.kind.is(&events::TARGET_BREACHED)).collect();
    assert_eq!((told.len(), told[0].tenant), (1, TenantId::PLATFORM));
    let thread = Desk::new(&mut repositories, &clerk, &env).get(tenant, late.id).await.unwrap();
    assert_eq!(thread.ticket.breached_at, Some(now));
}
