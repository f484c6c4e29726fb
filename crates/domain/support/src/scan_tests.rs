use portico_kernel::{Fault, JobType, Kind, RequestInfo, UserId, malware::Verdict};
use serde_json::json;

use super::*;
use crate::{
    desk::Desk,
    inbound::{InboundMails, Reading, read},
    message::{AuthorKind, NewMessage},
    priority::ReplyTargets,
    scan_job::{ScanAttachment, ScanMail},
    testing::{Repositories, customer, env, staff},
    ticket::NewTicket,
    tickets::Tickets,
};

fn found() -> Finding {
    Verdict::Infected("Eicar-Test-Signature".to_owned()).into()
}

fn clean() -> Finding {
    Verdict::Clean.into()
}

/// A file that a tenant has, of which this is said.
fn file(env: &Env, scan: AttachmentScan) -> Attachment {
    Attachment {
        asset_id: env.new_id(),
        filename: "a.pdf".to_owned(),
        content_type: "application/pdf".to_owned(),
        size: 5,
        scan,
        signature: None,
    }
}

async fn opened(
    repositories: &mut Repositories,
    env: &Env,
    scope: &Scope,
    files: &[Attachment],
) -> SupportTicket {
    let input = NewTicket {
        subject: "Mine".to_owned(),
        description: "It closes.".to_owned(),
        attachments: files.iter().map(|file| file.asset_id).collect(),
        ..NewTicket::default()
    };
    Tickets::new(repositories, scope, env).open(input, files, &ReplyTargets::default()).await.unwrap()
}

async fn answered(
    repositories: &mut Repositories,
    env: &Env,
    scope: &Scope,
    (ticket, file): (SupportTicketId, &Attachment),
) {
    let input = NewMessage { body: "See this.".to_owned(), attachments: vec![file.asset_id] };
    let files = std::slice::from_ref(file);
    Tickets::new(repositories, scope, env).answer(ticket, input, files).await.unwrap();
}

/// What is said of a file, wherever it came with a ticket.
fn said(repositories: &Repositories, asset: AssetId) -> Vec<AttachmentScan> {
    let rows = repositories.rows();
    let described = rows.tickets.iter().flat_map(|ticket| &ticket.attachments);
    let written = rows.messages.iter().flat_map(|message| &message.attachments);
    described.chain(written).filter(|file| file.asset_id == asset).map(|file| file.scan).collect()
}

/// The events about infected files: of which ticket, and what they name.
fn told(repositories: &Repositories) -> Vec<(uuid::Uuid, serde_json::Value)> {
    let events = repositories.events().into_iter();
    let infected = events.filter(|event| event.kind.is(&events::TICKET_ATTACHMENT_INFECTED));
    infected.map(|event| (event.resource.id, event.after.unwrap())).collect()
}

#[tokio::test]
async fn files_wait_for_a_scanner_where_there_is_one_and_the_desk_waits_with_them() {
    use AttachmentScan::{Clean, Infected, NotScanned, Pending, TooLargeToScan};
    let (env, clerk) = (env(), staff(env().new_id()));
    for (before, finding, after, loaded) in [
        (NotScanned, None, NotScanned, [Ok(()), Ok(())]),
        (Pending, None, Pending, [Err("attachment_not_scanned"); 2]),
        (Pending, Some(clean()), Clean, [Ok(()), Ok(())]),
        (Pending, Some(found()), Infected, [Err("attachment_infected"); 2]),
        (Pending, Some(Verdict::TooLarge.into()), TooLargeToScan, [Err("attachment_not_scanned"), Ok(())]),
        (Pending, Some(Finding::NOT_SCANNED), NotScanned, [Ok(()), Ok(())]),
        // Passed once, it stays so.
        (Clean, Some(Verdict::TooLarge.into()), Clean, [Ok(()), Ok(())]),
        (NotScanned, Some(found()), Infected, [Err("attachment_infected"); 2]),
    ] {
        let mut repositories = Repositories::default();
        let tenant: TenantId = env.new_id();
        let (author, sent) = (customer(tenant, env.new_id()), file(&env, before));
        let ticket = opened(&mut repositories, &env, &author, std::slice::from_ref(&sent)).await;
        let jobs = std::mem::take(&mut repositories.rows().jobs);
        assert_eq!(jobs.len(), usize::from(before == Pending));
        if let Some(job) = jobs.first() {
            let scan: ScanAttachment = serde_json::from_value(job.payload.clone()).unwrap();
            assert_eq!((scan.ticket_id, scan.asset_id, job.tenant), (ticket.id, sent.asset_id, tenant));
            assert_eq!(job.kind, ScanAttachment::KIND);
        }
        let system = Scope::system(Some(tenant), RequestInfo::default());
        if let Some(finding) = finding {
            let mut scans = AttachmentScans::new(&mut repositories, &system, &env);
            scans.note((tenant, ticket.id), sent.asset_id, &finding).await.unwrap();
        }
        assert_eq!(said(&repositories, sent.asset_id), [after]);
        for (unscannable, expected) in [(false, loaded[0]), (true, loaded[1])] {
            let mut desk = Desk::new(&mut repositories, &clerk, &env);
            let answer = desk.attachment(tenant, ticket.id, sent.asset_id, unscannable).await;
            let code = answer.as_ref().map(|_| ()).map_err(Fault::code);
            assert_eq!(code, expected, "{after:?}");
            if let Err(refused) = answer {
                let kind = if after == Infected { Kind::Gone } else { Kind::Conflict };
                assert_eq!((refused.kind(), refused.retry_after().is_some()), (kind, after == Pending));
            }
        }
    }
}

#[tokio::test]
async fn an_infected_file_is_told_of_once_in_each_ticket_that_has_it() {
    let (env, mut repositories) = (env(), Repositories::default());
    let tenant: TenantId = env.new_id();
    let (author, sent) = (customer(tenant, env.new_id()), file(&env, AttachmentScan::Pending));
    let other = file(&env, AttachmentScan::Pending);
    let files = [sent.clone(), other.clone()];
    let one = opened(&mut repositories, &env, &author, &files).await;
    answered(&mut repositories, &env, &author, (one.id, &sent)).await;
    let two = opened(&mut repositories, &env, &author, std::slice::from_ref(&sent)).await;
    assert_eq!(repositories.rows().jobs.len(), 4);
    let system = Scope::system(Some(tenant), RequestInfo::default());
    // Jobs may run twice, and late.
    for ticket in [one.id, one.id, two.id, env.new_id()] {
        let mut scans = AttachmentScans::new(&mut repositories, &system, &env);
        scans.note((tenant, ticket), sent.asset_id, &found()).await.unwrap();
        scans.note((tenant, ticket), sent.asset_id, &Finding::NOT_SCANNED).await.unwrap();
        scans.note((env.new_id(), ticket), other.asset_id, &found()).await.unwrap();
    }
    assert_eq!(said(&repositories, sent.asset_id), [AttachmentScan::Infected; 3]);
    assert_eq!(
        said(&repositories, other.asset_id),
        [AttachmentScan::Pending],
        "another file, or another tenant"
    );
    let told = told(&repositories);
    assert_eq!(told.iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>(), [one.id.uuid(), two.id.uuid()]);
    for (_, after) in told {
        assert_eq!(
            (&after["assetId"], &after["signature"]),
            (&json!(sent.asset_id), &json!("Eicar-Test-Signature"))
        );
        assert!(after.get("filename").is_none() && after["authorId"].is_string(), "{after}");
    }
}

#[tokio::test]
async fn a_file_is_found_where_its_ticket_was_merged_to() {
    let (env, mut repositories) = (env(), Repositories::default());
    let (tenant, clerk) = (env.new_id(), staff(env.new_id()));
    let (author, sent) = (customer(tenant, env.new_id()), file(&env, AttachmentScan::Pending));
    let from = opened(&mut repositories, &env, &author, std::slice::from_ref(&sent)).await;
    answered(&mut repositories, &env, &author, (from.id, &sent)).await;
    let middle = opened(&mut repositories, &env, &author, &[]).await;
    let last = opened(&mut repositories, &env, &author, &[]).await;
    let mut desk = Desk::new(&mut repositories, &clerk, &env);
    desk.merge(tenant, from.id, middle.id).await.unwrap();
    desk.merge(tenant, middle.id, last.id).await.unwrap();
    let system = Scope::system(Some(tenant), RequestInfo::default());
    let mut scans = AttachmentScans::new(&mut repositories, &system, &env);
    scans.note((tenant, from.id), sent.asset_id, &found()).await.unwrap();
    assert_eq!(said(&repositories, sent.asset_id), [AttachmentScan::Infected; 3]);
    assert_eq!(told(&repositories).iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>(), [last.id.uuid()]);
}

#[tokio::test]
async fn an_infected_mail_is_told_of_by_the_ticket_that_goes_on() {
    let (env, mut repositories) = (env(), Repositories::default());
    let (tenant, author, clerk): (TenantId, UserId, _) = (env.new_id(), env.new_id(), staff(env.new_id()));
    let from = opened(&mut repositories, &env, &customer(tenant, author), &[]).await;
    let into = opened(&mut repositories, &env, &customer(tenant, author), &[]).await;
    let raw = b"From: ada@example.com\r\n\r\nSee this.".as_slice();
    let Reading::Letter(letter) = read(raw) else { panic!() };
    let system = Scope::system(Some(tenant), RequestInfo::default());
    let mut inbound = InboundMails::new(&mut repositories, &system, &env);
    let who = (AuthorKind::Customer, author);
    inbound.take((tenant, from.id), who, letter, (raw, AttachmentScan::Pending)).await.unwrap();
    // Merged while the scanner looks at it.
    let mail = repositories.rows().mails[0].clone();
    Desk::new(&mut repositories, &clerk, &env).merge(tenant, from.id, into.id).await.unwrap();
    let mut scans = AttachmentScans::new(&mut repositories, &system, &env);
    scans.note_mail(&mail, &found()).await.unwrap();
    assert_eq!(told(&repositories).iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>(), [into.id.uuid()]);
}

#[tokio::test]
async fn a_mail_waits_with_what_is_in_it_and_an_infected_one_is_deleted() {
    let (env, clerk) = (env(), staff(env().new_id()));
    for (scan, finding, code) in [
        (AttachmentScan::NotScanned, clean(), None),
        (AttachmentScan::Pending, clean(), None),
        (AttachmentScan::Pending, found(), Some("attachment_infected")),
    ] {
        let mut repositories = Repositories::default();
        let (tenant, author): (TenantId, UserId) = (env.new_id(), env.new_id());
        let ticket = opened(&mut repositories, &env, &customer(tenant, author), &[]).await;
        let raw = b"From: ada@example.com\r\n\r\nSee this.".as_slice();
        let Reading::Letter(letter) = read(raw) else { panic!() };
        let system = Scope::system(Some(tenant), RequestInfo::default());
        let who = (AuthorKind::Customer, author);
        let mut inbound = InboundMails::new(&mut repositories, &system, &env);
        inbound.take((tenant, ticket.id), who, letter, (raw, scan)).await.unwrap();
        let jobs = std::mem::take(&mut repositories.rows().jobs);
        let mail = repositories.rows().mails[0].clone();
        let named: Vec<_> = jobs
            .into_iter()
            .map(|job| serde_json::from_value::<ScanMail>(job.payload).unwrap().message_id)
            .collect();
        let waits = scan == AttachmentScan::Pending;
        assert_eq!(named, if waits { vec![mail.message_id] } else { Vec::new() });
        let mut desk = Desk::new(&mut repositories, &clerk, &env);
        let early = desk.mail(tenant, mail.message_id, false).await;
        assert_eq!(early.is_err(), waits);
        for _ in 0..2 {
            let mut scans = AttachmentScans::new(&mut repositories, &system, &env);
            scans.note_mail(&mail, &finding).await.unwrap();
        }
        let answer = Desk::new(&mut repositories, &clerk, &env).mail(tenant, mail.message_id, false).await;
        assert_eq!(answer.as_ref().err().map(Fault::code), code);
        let left = repositories.rows().mails[0].raw.len();
        assert_eq!(left, if code.is_some() { 0 } else { raw.len() });
        assert_eq!(repositories.rows().messages[0].body, "See this.", "what was read in it stays");
        let told = told(&repositories);
        assert_eq!(told.len(), usize::from(code.is_some()));
        if let Some((about, after)) = told.first() {
            assert_eq!((*about, &after["messageId"]), (ticket.id.uuid(), &json!(mail.message_id)));
        }
    }
}
