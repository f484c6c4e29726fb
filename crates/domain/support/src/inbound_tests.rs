use portico_kernel::RequestInfo;
use proptest::prelude::*;

use super::*;
use crate::{
    message::NewMessage,
    priority::ReplyTargets,
    status::{REOPEN_WITHIN, TicketStatus},
    testing::{Repositories, customer, env, moved},
    thread::MESSAGES_MAX,
    ticket::NewTicket,
    tickets::Tickets,
};

fn mail(head: &str, body: &str) -> Vec<u8> {
    format!(
        "From: Ada <ada@example.com>\r\nMessage-ID: <1@example.com>\r\nSubject: Re: x\r\n{head}\r\n{body}"
    )
    .into_bytes()
}

fn letter(raw: &[u8]) -> Letter {
    match read(raw) {
        Reading::Letter(letter) => letter,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_somebody_wrote_is_read() {
    let read = letter(&mail("", "It is 2.4.1.\r\n\r\nOn Mon, Support wrote:\r\n> Which version?\r\n"));
    assert_eq!((read.from.as_str(), read.text.as_str()), ("ada@example.com", "It is 2.4.1."));
    let html = mail("Content-Type: text/html; charset=utf-8\r\n", "<p>It is <b>2.4.1</b> &amp; new.</p>");
    assert_eq!(letter(&html).text, "It is 2.4.1 & new.");
    let quoted = mail(
        "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n",
        "Versi=F3n 2",
    );
    assert_eq!(letter(&quoted).text, "Versión 2");
    let no = mail("Auto-Submitted: no\r\n", "It is 2.4.1.");
    assert_eq!(letter(&no).digest, read.digest, "the same id is the same mail");
    let other = b"From: ada@example.com\r\n\r\nIt is 2.4.1.".to_vec();
    assert_ne!(letter(&other).digest, read.digest);
    let long = letter(&mail("", &"x".repeat(TEXT_MAX + 1)));
    assert_eq!(long.text.chars().count(), TEXT_MAX);
}

#[test]
fn programs_are_recognised() {
    for (head, sign) in [
        ("Auto-Submitted: auto-replied\r\n", "auto-submitted"),
        ("Auto-Submitted: auto-generated (rejected)\r\n", "auto-submitted"),
        ("Precedence: Bulk\r\n", "precedence"),
        ("List-Id: Talk <talk.example.com>\r\n", "list-id"),
        ("Return-Path: <>\r\n", "return-path"),
        ("Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n", "report"),
        ("X-Autoreply: yes\r\n", "autoreply"),
    ] {
        assert_eq!(read(&mail(head, "I am away.")), Reading::Automatic(sign), "{head}");
    }
    let daemon = b"From: MAILER-DAEMON@mx.example.com\r\n\r\nCould not be delivered.".to_vec();
    assert_eq!(read(&daemon), Reading::Automatic("sender"));
}

#[test]
fn mails_of_nobody_of_several_and_without_text_are_not_read() {
    for raw in [
        b"".to_vec(),
        b"To: a@example.com\r\n\r\nHello".to_vec(),
        b"From: a@example.com, b@example.com\r\n\r\nHello".to_vec(),
        b"From: a@example.com\r\nFrom: b@example.com\r\n\r\nHello".to_vec(),
        b"From: Ada\r\n\r\n".to_vec(),
        mail("", "\r\n\r\n"),
        mail("Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n", "AAAA"),
        mail("", &"x".repeat(MAIL_MAX)),
    ] {
        let shown = String::from_utf8_lossy(&raw).chars().take(60).collect::<String>();
        assert_eq!(read(&raw), Reading::Unreadable, "{shown}");
    }
}

#[test]
fn nested_mails_are_bounded() {
    let mut raw = String::from("From: ada@example.com\r\n");
    for depth in 0..2000 {
        raw.push_str(&format!("Content-Type: multipart/mixed; boundary=b{depth}\r\n\r\n--b{depth}\r\n"));
    }
    raw.push_str("\r\nDeep\r\n");
    let zips = "Content-Type: message/rfc822\r\n\r\n".repeat(5000);
    for raw in [raw, format!("From: ada@example.com\r\n{zips}")] {
        assert!(!matches!(read(raw.as_bytes()), Reading::Automatic(_)));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = read(&bytes);
        let mut raw = b"From: ada@example.com\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n".to_vec();
        raw.extend(bytes);
        let _ = read(&raw);
    }
}

#[tokio::test]
async fn a_letter_is_a_message_once_and_its_mail_is_kept() {
    let ((env, clock), mut repositories) = (moved(), Repositories::default());
    let (tenant, author) = (env.new_id(), env.new_id());
    let scope = customer(tenant, author);
    let input = NewTicket {
        subject: "Mine".to_owned(),
        description: "It closes.".to_owned(),
        ..NewTicket::default()
    };
    let mut tickets = Tickets::new(&mut repositories, &scope, &env);
    let ticket = tickets.open(input, &[], &ReplyTargets::default()).await.unwrap();
    tickets.close(ticket.id).await.unwrap();
    let system = Scope::system(Some(tenant), RequestInfo::default());
    let raw = mail("", "Again.");
    let place = (tenant, ticket.id);
    let who = (AuthorKind::Customer, author);
    let mut inbound = InboundMails::new(&mut repositories, &system, &env);
    let Receipt::Taken(id) =
        inbound.take(place, who, letter(&raw), (raw.as_slice(), AttachmentScan::NotScanned)).await.unwrap()
    else {
        panic!()
    };
    assert!(matches!(
        inbound.take(place, who, letter(&raw), (raw.as_slice(), AttachmentScan::NotScanned)).await.unwrap(),
        Receipt::Twice
    ));
    let thread = Tickets::new(&mut repositories, &scope, &env).get(ticket.id).await.unwrap();
    assert_eq!((thread.ticket.status, thread.messages[0].id), (TicketStatus::WaitingOnStaff, id));
    assert_eq!((thread.messages[0].body.as_str(), thread.messages[0].author.id), ("Again.", author));
    assert_eq!(repositories.inbound_mails().find(tenant, id).await.unwrap().unwrap().raw, raw);
    let told = repositories
        .events()
        .into_iter()
        .find(|event| event.kind.is(&crate::events::TICKET_ANSWERED))
        .unwrap();
    assert_eq!((told.actor_id, told.tenant), (Some(author.uuid()), tenant), "the act of whoever wrote");
    Tickets::new(&mut repositories, &scope, &env).close(ticket.id).await.unwrap();
    clock.advance(REOPEN_WITHIN);
    let late = b"From: ada@example.com\r\n\r\nOnce more.".to_vec();
    let mut inbound = InboundMails::new(&mut repositories, &system, &env);
    // What was taken is not refused for coming again.
    assert!(matches!(
        inbound.take(place, who, letter(&raw), (raw.as_slice(), AttachmentScan::NotScanned)).await.unwrap(),
        Receipt::Twice
    ));
    assert!(matches!(
        inbound.take(place, who, letter(&late), (late.as_slice(), AttachmentScan::NotScanned)).await.unwrap(),
        Receipt::Refused
    ));
    assert!(matches!(
        inbound.take(place, who, letter(&late), (late.as_slice(), AttachmentScan::NotScanned)).await.unwrap(),
        Receipt::Twice
    ));
    assert_eq!(repositories.rows().messages.len(), 1);
}

#[tokio::test]
async fn a_full_ticket_refuses_a_letter_once_and_knows_the_one_that_filled_it() {
    let (env, mut repositories) = (env(), Repositories::default());
    let (tenant, author) = (env.new_id(), env.new_id());
    let scope = customer(tenant, author);
    let input = NewTicket {
        subject: "Mine".to_owned(),
        description: "It closes.".to_owned(),
        ..NewTicket::default()
    };
    let mut tickets = Tickets::new(&mut repositories, &scope, &env);
    let ticket = tickets.open(input, &[], &ReplyTargets::default()).await.unwrap();
    for _ in 1..MESSAGES_MAX {
        let message = NewMessage { body: "And more.".to_owned(), ..NewMessage::default() };
        tickets.answer(ticket.id, message, &[]).await.unwrap();
    }
    let system = Scope::system(Some(tenant), RequestInfo::default());
    let (place, who) = ((tenant, ticket.id), (AuthorKind::Customer, author));
    let last = mail("", "The last one.");
    let beyond = b"From: ada@example.com\r\n\r\nOne too many.".to_vec();
    let mut inbound = InboundMails::new(&mut repositories, &system, &env);
    assert!(matches!(
        inbound.take(place, who, letter(&last), (last.as_slice(), AttachmentScan::NotScanned)).await.unwrap(),
        Receipt::Taken(_)
    ));
    assert!(matches!(
        inbound.take(place, who, letter(&last), (last.as_slice(), AttachmentScan::NotScanned)).await.unwrap(),
        Receipt::Twice
    ));
    assert!(matches!(
        inbound
            .take(place, who, letter(&beyond), (beyond.as_slice(), AttachmentScan::NotScanned))
            .await
            .unwrap(),
        Receipt::Refused
    ));
    assert!(matches!(
        inbound
            .take(place, who, letter(&beyond), (beyond.as_slice(), AttachmentScan::NotScanned))
            .await
            .unwrap(),
        Receipt::Twice
    ));
    assert_eq!(repositories.rows().messages.len() as u64, MESSAGES_MAX);
}
