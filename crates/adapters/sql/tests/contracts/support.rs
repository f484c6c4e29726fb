//! The ports of `portico_support`: tickets, what is written to them, mails, and answers that are kept ready.

use portico_kernel::{Env, PageRequest, StoreError, SupportTicketId, TenantId, Timestamp, UserId};
use portico_sql::SqlStore;
use portico_support::{
    canned_reply::CannedReply,
    desk::{Assigned, QueueFilter},
    message::{Attachment, AuthorKind, MessageAuthor, SupportMessage},
    ports::SupportRepositories,
    priority::TicketPriority,
    scan_state::AttachmentScan,
    status::TicketStatus,
    ticket::{Satisfaction, SupportTicket, TicketCategory, TicketTimes},
    tickets::TicketFilter,
};
use portico_testkit::{TestEnv, env, on_each_database};
use time::Duration;

use crate::fixtures::{at_once, stored_tenant, stored_user};

fn attachment(env: &Env) -> Attachment {
    Attachment {
        asset_id: env.new_id(),
        filename: "señal.png".to_owned(),
        content_type: "image/png".to_owned(),
        size: 5_000_000_000,
        scan: AttachmentScan::Pending,
        signature: None,
    }
}

fn ticket(env: &Env, tenant_id: TenantId, author_id: UserId, number: u64) -> SupportTicket {
    SupportTicket {
        id: env.new_id(),
        tenant_id,
        number,
        author_id,
        subject: format!("Óptica {number}"),
        description: "100% of it_".to_owned(),
        attachments: vec![attachment(env)],
        category: TicketCategory::Technical,
        priority: TicketPriority::Medium,
        status: TicketStatus::Open,
        assignee_id: None,
        tags: vec!["update".to_owned()],
        follows: None,
        merged_into: None,
        satisfaction: None,
        times: TicketTimes {
            first_reply_at: None,
            resolved_at: None,
            closed_at: None,
            created_at: env.now(),
            updated_at: env.now(),
            reply_due_at: Some(env.now() + Duration::HOUR),
            breached_at: None,
        },
    }
}

/// A message, a second after the one before.
pub fn message(env: &TestEnv, ticket: &SupportTicket, body: &str, internal: bool) -> SupportMessage {
    env.clock.advance(Duration::SECOND);
    let author = MessageAuthor { kind: AuthorKind::Customer, id: ticket.author_id, name: String::new() };
    SupportMessage {
        id: env.new_id(),
        tenant_id: ticket.tenant_id,
        ticket_id: ticket.id,
        author,
        body: body.to_owned(),
        attachments: vec![attachment(env)],
        internal,
        created_at: env.now(),
    }
}

/// Stores and commits a ticket of a tenant with the next number, by an author of its own, a second after the one before.
pub async fn stored(store: &SqlStore, env: &TestEnv, tenant: TenantId) -> SupportTicket {
    env.clock.advance(Duration::SECOND);
    let name: SupportTicketId = env.new_id();
    let author = stored_user(store, env, &format!("{name}@example.com")).await.id;
    let mut work = store.begin().await.unwrap();
    let number = work.tickets().next_number(tenant).await.unwrap();
    let ticket = ticket(env, tenant, author, number);
    work.tickets().insert(&ticket).await.unwrap();
    work.commit().await.unwrap();
    ticket
}

fn ids(tickets: &[SupportTicket]) -> Vec<SupportTicketId> {
    tickets.iter().map(|ticket| ticket.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_have_no_gaps_and_are_given_once() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "one").await.id;
        let other = stored_tenant(store, &env, "two").await.id;
        let mut numbers = at_once(store, 16, |store, place| async move {
            let mut work = store.begin().await.unwrap();
            let number = work.tickets().next_number(tenant).await.unwrap();
            // Every second one is given up: its number is free again.
            if place % 2 == 0 {
                return None;
            }
            work.commit().await.unwrap();
            Some(number)
        })
        .await;
        numbers.retain(Option::is_some);
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=8).map(Some).collect::<Vec<_>>());
        let mut work = store.begin().await.unwrap();
        assert_eq!(work.tickets().next_number(other).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_belong_to_their_tenant_and_keep_what_was_asked() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let first = stored(store, &env, ours).await;
        let second = stored(store, &env, ours).await;
        let mut reader = store.reader();
        assert_eq!(reader.tickets().find(ours, first.id).await.unwrap(), Some(first.clone()));
        assert_eq!(reader.tickets().find(theirs, first.id).await.unwrap(), None);
        assert_eq!(reader.tickets().desk(theirs, first.id).await.unwrap(), None);
        let desk = reader.tickets().desk(ours, first.id).await.unwrap().unwrap();
        assert_eq!((desk.customer_name.as_str(), desk.author_name.as_str()), ("one ltd", "Ada Lovelace"));
        assert_eq!((&desk.ticket, desk.reply_due_at), (&first, first.times.reply_due_at));
        assert_eq!(reader.tickets().tenant_of(first.id).await.unwrap(), Some(ours));
        assert_eq!(reader.tickets().tenant_of(env.new_id()).await.unwrap(), None);

        let (filter, page) = (TicketFilter::default(), PageRequest { page: 1, limit: 1 });
        let list = reader.tickets().list(ours, None, filter.clone(), page).await.unwrap();
        assert_eq!((ids(&list.items), list.total), (vec![second.id], 2));
        let own = reader.tickets().list(ours, Some(first.author_id), filter.clone(), page).await.unwrap();
        assert_eq!((ids(&own.items), own.total), (vec![first.id], 1));
        assert_eq!(reader.tickets().list(theirs, None, filter, page).await.unwrap().total, 0);

        let now = env.now();
        let mut ended = SupportTicket {
            status: TicketStatus::Closed,
            category: TicketCategory::Billing,
            priority: TicketPriority::Urgent,
            assignee_id: Some(second.author_id),
            tags: Vec::new(),
            merged_into: Some(second.id),
            satisfaction: Some(Satisfaction { rating: 4, comment: None, at: now }),
            ..first.clone()
        };
        ended.times.first_reply_at = Some(now);
        ended.times.resolved_at = Some(now);
        ended.times.closed_at = Some(now);
        ended.times.reply_due_at = None;
        ended.times.breached_at = Some(now);
        let mut work = store.begin().await.unwrap();
        // What was asked never changes, whatever is handed over.
        let spoilt = SupportTicket {
            number: 9,
            subject: "x".to_owned(),
            description: "x".to_owned(),
            attachments: Vec::new(),
            author_id: second.author_id,
            ..ended.clone()
        };
        work.tickets().update(&spoilt).await.unwrap();
        assert_eq!(work.tickets().lock(theirs, first.id).await.unwrap(), None);
        assert_eq!(work.tickets().lock(ours, first.id).await.unwrap(), Some(ended));
        assert_eq!(work.tickets().open_of(ours, first.author_id).await.unwrap(), 0);
        assert_eq!(work.tickets().open_of(ours, second.author_id).await.unwrap(), 1);
        drop(work);

        let mut work = store.begin().await.unwrap();
        let follows = SupportTicket { follows: Some(first.id), ..ticket(&env, theirs, first.author_id, 1) };
        let foreign = work.tickets().insert(&follows).await;
        assert!(matches!(foreign, Err(StoreError::MissingReference(_))), "{foreign:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_locks_a_ticket_sees_what_the_one_before_has_stored() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "one").await.id;
        let id = stored(store, &env, tenant).await.id;
        let mut seen = at_once(store, 8, |store, place| async move {
            let mut work = store.begin().await.unwrap();
            let mut locked = work.tickets().lock(tenant, id).await.unwrap().unwrap();
            locked.tags.push(format!("t{place}"));
            work.tickets().update(&locked).await.unwrap();
            work.commit().await.unwrap();
            locked.tags.len()
        })
        .await;
        seen.sort_unstable();
        assert_eq!(seen, (2..=9).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_found_by_whom_they_are_for() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let (one, two) = (stored(store, &env, ours).await, stored(store, &env, ours).await);
        let mut open = message(&env, &one, "The pangolin is gone.", false);
        let mut note = message(&env, &one, "A zebra.", true);
        let mut work = store.begin().await.unwrap();
        work.support_messages().insert(&open).await.unwrap();
        work.support_messages().insert(&note).await.unwrap();
        work.commit().await.unwrap();
        // The name is that of the account.
        open.author.name = "Ada Lovelace".to_owned();
        note.author.name = "Ada Lovelace".to_owned();
        let mut reader = store.reader();
        let mut messages = reader.support_messages();
        assert_eq!(messages.list(ours, one.id, false).await.unwrap(), [open.clone()]);
        assert_eq!(messages.list(ours, one.id, true).await.unwrap(), [open.clone(), note.clone()]);
        assert!(messages.list(theirs, one.id, true).await.unwrap().is_empty());
        assert_eq!(messages.find(ours, note.id).await.unwrap(), Some(note.clone()));
        assert_eq!(messages.find(theirs, note.id).await.unwrap(), None);
        assert_eq!(messages.count(ours, one.id).await.unwrap(), 2);
        drop(messages);

        let page = PageRequest::default();
        let search = async |part: &str| {
            let filter = TicketFilter { q: Some(part.to_owned()), ..TicketFilter::default() };
            ids(&store.reader().tickets().list(ours, None, filter, page).await.unwrap().items)
        };
        for (part, found) in [
            ("PANGOLIN", vec![one.id]),
            ("zebra", vec![]),
            ("óptica 1", vec![one.id]),
            ("100%", vec![two.id, one.id]),
            ("it_", vec![two.id, one.id]),
            ("_f", vec![]),
            ("#2", vec![two.id]),
        ] {
            assert_eq!(search(part).await, found, "{part}");
        }

        let foreign = SupportMessage { tenant_id: theirs, ..message(&env, &one, "x", false) };
        let mut work = store.begin().await.unwrap();
        let refused = work.support_messages().insert(&foreign).await;
        assert!(matches!(refused, Err(StoreError::MissingReference(_))), "{refused:?}");
        drop(work);
        let mut work = store.begin().await.unwrap();
        work.support_messages().move_all(ours, one.id, two.id).await.unwrap();
        assert_eq!(work.support_messages().count(ours, one.id).await.unwrap(), 0);
        assert_eq!(work.support_messages().count(ours, two.id).await.unwrap(), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_has_the_tickets_of_all_tenants() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (one, two) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let first = stored(store, &env, one).await;
        let mut second = stored(store, &env, two).await;
        second.assignee_id = Some(first.author_id);
        second.priority = TicketPriority::Urgent;
        second.tags = vec!["ventana \"azul\"".to_owned()];
        second.times.updated_at = env.now() - Duration::HOUR;
        second.times.breached_at = Some(env.now());
        let mut work = store.begin().await.unwrap();
        work.tickets().update(&second).await.unwrap();
        work.support_messages().insert(&message(&env, &first, "A zebra.", true)).await.unwrap();
        work.commit().await.unwrap();
        let (a, b) = (vec![first.id], vec![second.id]);
        let all = QueueFilter::default;
        for (filter, found) in [
            (all(), &vec![second.id, first.id]),
            (QueueFilter { latest_first: true, ..all() }, &vec![first.id, second.id]),
            (QueueFilter { status: Some(TicketStatus::Closed), ..all() }, &vec![]),
            (QueueFilter { assigned: Some(Assigned::ToNobody), ..all() }, &a),
            (QueueFilter { assigned: Some(Assigned::To(first.author_id)), ..all() }, &b),
            (QueueFilter { category: Some(TicketCategory::Billing), ..all() }, &vec![]),
            (QueueFilter { priority: Some(TicketPriority::Urgent), ..all() }, &b),
            (QueueFilter { tag: Some("update".to_owned()), ..all() }, &a),
            (QueueFilter { tag: Some("updat".to_owned()), ..all() }, &vec![]),
            (QueueFilter { tag: Some("ventana \"azul\"".to_owned()), ..all() }, &b),
            (QueueFilter { customer: Some(one), ..all() }, &a),
            (QueueFilter { breached: Some(true), ..all() }, &b),
            (QueueFilter { breached: Some(false), ..all() }, &a),
            (QueueFilter { q: Some("zebra".to_owned()), ..all() }, &a),
        ] {
            let list =
                store.reader().tickets().queue(true, filter.clone(), PageRequest::default()).await.unwrap();
            let tickets: Vec<_> = list.items.iter().map(|item| item.ticket.id).collect();
            assert_eq!((&tickets, list.total), (found, found.len() as u64), "{filter:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_overdue_once() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "one").await.id;
        let late = stored(store, &env, tenant).await;
        let mut answered = stored(store, &env, tenant).await;
        answered.times.first_reply_at = Some(env.now());
        let mut work = store.begin().await.unwrap();
        work.tickets().update(&answered).await.unwrap();
        work.commit().await.unwrap();
        let (now, due): (Timestamp, Timestamp) = (env.now(), env.now() + Duration::HOUR);
        let mut reader = store.reader();
        assert!(reader.tickets().overdue(now, 10).await.unwrap().is_empty());
        assert_eq!(ids(&reader.tickets().overdue(due, 10).await.unwrap()), [late.id]);
        let id = late.id;
        let noted = at_once(store, 8, |store, _| async move {
            let mut work = store.begin().await.unwrap();
            let noted = work.tickets().breach(tenant, id, due).await.unwrap();
            work.commit().await.unwrap();
            noted
        })
        .await;
        assert_eq!(noted.into_iter().filter(|noted| *noted).count(), 1);
        assert!(reader.tickets().overdue(due, 10).await.unwrap().is_empty());
        let mut work = store.begin().await.unwrap();
        assert!(!work.tickets().breach(tenant, answered.id, due).await.unwrap());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_kept_by_title() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let reply = |title: &str, body: &str| CannedReply {
            id: env.new_id(),
            title: title.to_owned(),
            body: body.to_owned(),
            created_at: env.now(),
            updated_at: env.now(),
        };
        let (version, bye) = (reply("Versión", "Which one?"), reply("Bye", "100%"));
        let mut work = store.begin().await.unwrap();
        for reply in [&version, &bye] {
            work.canned_replies().insert(reply).await.unwrap();
        }
        let mut replies = work.canned_replies();
        let page = PageRequest::default();
        assert_eq!(replies.list(None, page).await.unwrap().items, [bye.clone(), version.clone()]);
        for (part, found) in [("VERSIÓN", &version), ("which", &version), ("0%", &bye)] {
            let list = replies.list(Some(part.to_owned()), page).await.unwrap();
            assert_eq!((list.items, list.total), (vec![found.clone()], 1), "{part}");
        }
        let changed = CannedReply { body: "Which?".to_owned(), ..version.clone() };
        replies.update(&changed).await.unwrap();
        assert_eq!(replies.find(version.id).await.unwrap(), Some(changed));
        replies.delete(version.id).await.unwrap();
        assert_eq!(replies.find(version.id).await.unwrap(), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_files_is_stored_beside_their_names() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let ticket = stored(store, &env, ours).await;
        let written = message(&env, &ticket, "See this.", false);
        let mut work = store.begin().await.unwrap();
        work.support_messages().insert(&written).await.unwrap();
        let said = |attachments: &[Attachment], scan| -> Vec<Attachment> {
            let signature = Some("Eicar".to_owned());
            attachments
                .iter()
                .map(|file| Attachment { scan, signature: signature.clone(), ..file.clone() })
                .collect()
        };
        for (tenant, scan) in [(ours, AttachmentScan::Infected), (theirs, AttachmentScan::Clean)] {
            let attachments = said(&ticket.attachments, scan);
            work.tickets().set_attachments(tenant, ticket.id, &attachments).await.unwrap();
            let attachments = said(&written.attachments, scan);
            work.support_messages().set_attachments(tenant, written.id, &attachments).await.unwrap();
        }
        work.commit().await.unwrap();
        let mut reader = store.reader();
        let stored = reader.tickets().find(ours, ticket.id).await.unwrap().unwrap();
        let infected = said(&ticket.attachments, AttachmentScan::Infected);
        assert_eq!(stored, SupportTicket { attachments: infected, ..ticket });
        let stored = reader.support_messages().find(ours, written.id).await.unwrap().unwrap();
        assert_eq!(stored.attachments, said(&written.attachments, AttachmentScan::Infected));
        assert_eq!(stored.body, written.body);
    })
    .await;
}

#[test]
fn files_of_before_there_were_scans_are_not_scanned() {
    let before = serde_json::json!({
        "assetId": "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d", "filename": "a.pdf", "contentType": "application/pdf", "size": 5,
    });
    let read: Attachment = serde_json::from_value(before).unwrap();
    assert_eq!((read.scan, read.signature), (AttachmentScan::NotScanned, None));
}
