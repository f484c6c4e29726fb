use portico_kernel::{AssetId, RequestInfo};
use time::Duration;

use super::*;
use crate::{
    priority::TicketPriority,
    status::REOPEN_WITHIN,
    testing::{Repositories, admin, customer, env, moved, staff},
    thread::MESSAGES_MAX,
};

/// An hour for what is urgent, a day for the rest.
fn targets() -> ReplyTargets {
    let day = Some(Duration::DAY);
    ReplyTargets { low: day, medium: day, high: day, urgent: Some(Duration::HOUR) }
}

fn new(subject: &str) -> NewTicket {
    NewTicket { subject: subject.to_owned(), description: "It closes.".to_owned(), ..NewTicket::default() }
}

fn message(body: &str) -> NewMessage {
    NewMessage { body: body.to_owned(), ..NewMessage::default() }
}

fn codes<T: std::fmt::Debug>(result: Result<T, SupportError>) -> Vec<(String, String)> {
    let Err(SupportError::Invalid(errors)) = result else { panic!("{result:?}") };
    errors.into_iter().map(|error| (error.field, error.code.into_owned())).collect()
}

#[tokio::test]
async fn a_ticket_has_a_number_without_gaps_in_its_tenant_and_defaults() {
    let (env, mut repositories) = (env(), Repositories::default());
    let (ours, theirs, user) = (env.new_id(), env.new_id(), env.new_id());
    let (mine, other) = (customer(ours, user), customer(theirs, user));
    let mut numbers = Vec::new();
    for scope in [&mine, &mine, &other, &mine] {
        let mut tickets = Tickets::new(&mut repositories, scope, &env);
        let ticket = tickets.open(new(" It does not start "), &[], &targets()).await.unwrap();
        assert_eq!((ticket.subject.as_str(), ticket.status), ("It does not start", TicketStatus::Open));
        assert_eq!((ticket.category, ticket.priority), (TicketCategory::Other, TicketPriority::Medium));
        assert_eq!(ticket.times.reply_due_at, Some(env.now() + Duration::DAY));
        numbers.push(ticket.number);
    }
    assert_eq!(numbers, [1, 2, 1, 3]);
    let events = repositories.events();
    assert_eq!((events.len(), events[0].kind.as_str()), (4, "support_ticket.created"));
    assert!(events.iter().all(|event| !format!("{:?}", event.after).contains("start")), "no text in events");
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let (env, mut repositories) = (env(), Repositories::default());
    let scope = customer(env.new_id(), env.new_id());
    let input = NewTicket {
        subject: "two\nlines".to_owned(),
        attachments: vec![env.new_id::<portico_kernel::id::AssetKind>() as AssetId],
        follows: Some(env.new_id()),
        ..NewTicket::default()
    };
    let wrong = codes(Tickets::new(&mut repositories, &scope, &env).open(input, &[], &targets()).await);
    let expected = [
        ("subject", "invalid_characters"),
        ("description", "required"),
        ("follows", "unknown_ticket"),
        ("attachments[0]", "unknown_asset"),
    ];
    assert_eq!(wrong, expected.map(|(field, code)| (field.to_owned(), code.to_owned())));
    assert!(repositories.rows().tickets.is_empty() && repositories.events().is_empty());
}

#[tokio::test]
async fn a_ticket_is_seen_by_its_author_and_by_admins_and_by_nobody_else() {
    let (env, mut repositories) = (env(), Repositories::default());
    let (tenant, author) = (env.new_id(), env.new_id());
    let scope = customer(tenant, author);
    let ticket =
        Tickets::new(&mut repositories, &scope, &env).open(new("Mine"), &[], &targets()).await.unwrap();
    let page = PageRequest::default();
    for (scope, sees) in [
        (customer(tenant, author), true),
        (admin(tenant, env.new_id()), true),
        (customer(tenant, env.new_id()), false),
        (admin(env.new_id(), author), false),
    ] {
        let mut tickets = Tickets::new(&mut repositories, &scope, &env);
        assert_eq!(tickets.get(ticket.id).await.is_ok(), sees, "{scope:?}");
        assert_eq!(tickets.list(TicketFilter::default(), page).await.unwrap().total, u64::from(sees));
        if !sees {
            let refused = tickets.answer(ticket.id, message("x"), &[]).await;
            assert!(matches!(refused, Err(SupportError::NotFound("ticket"))), "{refused:?}");
            assert!(matches!(tickets.close(ticket.id).await, Err(SupportError::NotFound(_))));
            let rating = Rating { rating: Some(1), comment: None };
            assert!(matches!(tickets.rate(ticket.id, rating).await, Err(SupportError::NotFound(_))));
        }
    }
    for scope in [Scope::anonymous(RequestInfo::default()), staff(env.new_id())] {
        let refused = Tickets::new(&mut repositories, &scope, &env).get(ticket.id).await;
        assert!(matches!(refused, Err(SupportError::Denied(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn an_answer_reopens_for_fourteen_days_and_then_a_new_ticket_follows() {
    let ((env, clock), mut repositories) = (moved(), Repositories::default());
    let scope = customer(env.new_id(), env.new_id());
    let mut tickets = Tickets::new(&mut repositories, &scope, &env);
    let ticket = tickets.open(new("Mine"), &[], &targets()).await.unwrap();
    assert!(matches!(
        tickets.rate(ticket.id, Rating { rating: Some(5), comment: None }).await,
        Err(SupportError::TicketStatus)
    ));
    let closed = tickets.close(ticket.id).await.unwrap();
    assert_eq!((closed.status, closed.times.closed_at), (TicketStatus::Closed, Some(env.now())));
    assert_eq!(closed.times.reply_due_at, None, "nobody has to answer it");
    assert!(matches!(tickets.close(ticket.id).await, Err(SupportError::TicketStatus)));

    clock.advance(REOPEN_WITHIN - Duration::SECOND);
    let answer = tickets.answer(ticket.id, message(" Again. "), &[]).await.unwrap();
    assert_eq!((answer.body.as_str(), answer.internal), ("Again.", false));
    let thread = tickets.get(ticket.id).await.unwrap();
    assert_eq!((thread.ticket.status, thread.ticket.times.closed_at), (TicketStatus::WaitingOnStaff, None));
    assert_eq!(thread.messages.len(), 1);

    tickets.close(ticket.id).await.unwrap();
    clock.advance(REOPEN_WITHIN);
    let late = tickets.answer(ticket.id, message("Once more."), &[]).await;
    assert!(matches!(late, Err(SupportError::TicketEnded)), "{late:?}");
    let follows = NewTicket { follows: Some(ticket.id), ..new("Again") };
    let next = tickets.open(follows, &[], &targets()).await.unwrap();
    assert_eq!((next.follows, next.number), (Some(ticket.id), 2));
    // What has ended can be rated at any time, and the last word counts.
    for (rating, comment, expected) in [(2, Some("  "), None), (5, Some(" Fine. "), Some("Fine."))] {
        let rating = Rating { rating: Some(rating), comment: comment.map(str::to_owned) };
        let rated = tickets.rate(ticket.id, rating.clone()).await.unwrap().satisfaction.unwrap();
        assert_eq!((Some(rated.rating), rated.comment.as_deref()), (rating.rating, expected));
    }
    for rating in [None, Some(0), Some(6)] {
        let wrong = codes(tickets.rate(ticket.id, Rating { rating, comment: None }).await);
        assert_eq!(wrong, [("rating".to_owned(), "out_of_range".to_owned())]);
    }
}

#[tokio::test]
async fn neither_tickets_nor_messages_grow_without_end() {
    let (env, mut repositories) = (env(), Repositories::default());
    let scope = customer(env.new_id(), env.new_id());
    let mut tickets = Tickets::new(&mut repositories, &scope, &env);
    let first = tickets.open(new("Mine"), &[], &targets()).await.unwrap();
    for _ in 0..MESSAGES_MAX {
        tickets.answer(first.id, message("More."), &[]).await.unwrap();
    }
    let full = tickets.answer(first.id, message("More."), &[]).await;
    assert!(matches!(full, Err(SupportError::TicketFull)), "{full:?}");
    for _ in 1..OPEN_MAX {
        tickets.open(new("Mine"), &[], &targets()).await.unwrap();
    }
    let many = tickets.open(new("Mine"), &[], &targets()).await;
    assert!(matches!(many, Err(SupportError::TooManyTickets)), "{many:?}");
    tickets.close(first.id).await.unwrap();
    assert!(tickets.open(new("Mine"), &[], &targets()).await.is_ok());
}
