//! The port of `portico_support` for mails that messages came by.

use portico_identity::ports::IdentityRepositories;
use portico_kernel::Env;
use portico_support::{
    inbound::StoredMail, message::SupportMessage, ports::SupportRepositories, scan_state::AttachmentScan,
};
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::{
    fixtures::{at_once, stored_tenant},
    support::{message, stored},
};

/// The mail that a message came by, still to be scanned.
fn mail_of(env: &Env, written: &SupportMessage) -> StoredMail {
    StoredMail {
        tenant_id: written.tenant_id,
        message_id: written.id,
        ticket_id: written.ticket_id,
        digest: [7; 32],
        raw: b"From: a@example.com\r\n\r\nx".to_vec(),
        scan: AttachmentScan::Pending,
        signature: None,
        received_at: env.now(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_is_kept_once() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (tenant, other) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let ticket = stored(store, &env, tenant).await;
        let mut work = store.begin().await.unwrap();
        let mut mails = Vec::new();
        for _ in 0..2 {
            let written = message(&env, &ticket, "x", false);
            work.support_messages().insert(&written).await.unwrap();
            let raw = b"From: a@example.com\r\n\r\n\xff".to_vec();
            mails.push(StoredMail { raw, ..mail_of(&env, &written) });
        }
        assert!(work.inbound_mails().insert(&mails[0]).await.unwrap());
        assert!(!work.inbound_mails().insert(&mails[1]).await.unwrap());
        let found = work.inbound_mails().find(tenant, mails[0].message_id).await.unwrap();
        assert_eq!(found.as_ref(), Some(&mails[0]));
        assert_eq!(work.inbound_mails().find(other, mails[0].message_id).await.unwrap(), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_bring_the_same_mail_at_once_one_has_brought_it() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "one").await.id;
        let ticket = stored(store, &env, tenant).await;
        let written: Vec<SupportMessage> = (0..8).map(|_| message(&env, &ticket, "x", false)).collect();
        let taken = at_once(store, 8, |store, place| {
            let message = written[place].clone();
            let mail = mail_of(&env, &message);
            async move {
                let mut work = store.begin().await.unwrap();
                work.support_messages().insert(&message).await.unwrap();
                let is_new = work.inbound_mails().insert(&mail).await.unwrap();
                // As whoever takes mails does: what was there before leaves nothing.
                if is_new {
                    work.commit().await.unwrap();
                }
                is_new
            }
        });
        assert_eq!(taken.await.into_iter().filter(|is_new| *is_new).count(), 1);
        assert_eq!(store.reader().support_messages().count(tenant, ticket.id).await.unwrap(), 1);
        let now = env.now();
        let refused = at_once(store, 8, |store, _| async move {
            let mut work = store.begin().await.unwrap();
            let is_new = work.inbound_mails().refuse(tenant, [8; 32], now).await.unwrap();
            work.commit().await.unwrap();
            is_new
        });
        assert_eq!(refused.await.into_iter().filter(|is_new| *is_new).count(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_that_came_before_are_known_to_their_tenant() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let ticket = stored(store, &env, ours).await;
        let written = message(&env, &ticket, "x", false);
        let mail = mail_of(&env, &written);
        let mut work = store.begin().await.unwrap();
        work.support_messages().insert(&written).await.unwrap();
        assert!(work.inbound_mails().insert(&mail).await.unwrap());
        assert!(work.inbound_mails().refuse(ours, [8; 32], env.now()).await.unwrap());
        assert!(!work.inbound_mails().refuse(ours, [8; 32], env.now()).await.unwrap());
        for (tenant, digest, known) in [
            (ours, [7; 32], true),
            (ours, [8; 32], true),
            (ours, [9; 32], false),
            (theirs, [7; 32], false),
            (theirs, [8; 32], false),
        ] {
            assert_eq!(work.inbound_mails().has(tenant, digest).await.unwrap(), known, "{}", digest[0]);
        }
        assert!(work.inbound_mails().refuse(theirs, [8; 32], env.now()).await.unwrap());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_mails_are_known_for_as_long_as_they_may_come_again() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "one").await.id;
        let now = env.now();
        let mut work = store.begin().await.unwrap();
        for (digest, refused_at) in [([1; 32], now - Duration::days(61)), ([2; 32], now - Duration::days(59))]
        {
            assert!(work.inbound_mails().refuse(tenant, digest, refused_at).await.unwrap());
        }
        work.commit().await.unwrap();
        assert_eq!(store.sweep(now).await.unwrap(), 1);
        let mut reader = store.reader();
        assert!(!reader.inbound_mails().has(tenant, [1; 32]).await.unwrap());
        assert!(reader.inbound_mails().has(tenant, [2; 32]).await.unwrap());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_go_with_whoever_wrote_them_and_messages_stay() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "one").await.id;
        let (hers, his) = (stored(store, &env, tenant).await, stored(store, &env, tenant).await);
        let mut work = store.begin().await.unwrap();
        let mut kept = Vec::new();
        for ticket in [&hers, &his] {
            let written = message(&env, ticket, "It is 2.4.1.", false);
            let mail = StoredMail {
                digest: env.random_bytes(),
                raw: b"From: ada@example.com\r\n\r\nIt is 2.4.1.\r\n-- \r\nAda".to_vec(),
                ..mail_of(&env, &written)
            };
            work.support_messages().insert(&written).await.unwrap();
            assert!(work.inbound_mails().insert(&mail).await.unwrap());
            kept.push(mail);
        }
        work.personal_data().erase(hers.author_id).await.unwrap();
        work.commit().await.unwrap();
        let mut reader = store.reader();
        let [gone, left] = [&kept[0], &kept[1]];
        assert_eq!(reader.inbound_mails().find(tenant, gone.message_id).await.unwrap(), None);
        assert_eq!(reader.inbound_mails().find(tenant, left.message_id).await.unwrap().as_ref(), Some(left));
        assert_eq!(reader.support_messages().count(tenant, hers.id).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_scan_a_mail_at_once_one_says_what_came_of_it() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (tenant, other) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let ticket = stored(store, &env, tenant).await;
        let written = message(&env, &ticket, "x", false);
        let mail = mail_of(&env, &written);
        let mut work = store.begin().await.unwrap();
        work.support_messages().insert(&written).await.unwrap();
        assert!(work.inbound_mails().insert(&mail).await.unwrap());
        let infected = StoredMail {
            raw: Vec::new(),
            scan: AttachmentScan::Infected,
            signature: Some("Eicar".to_owned()),
            ..mail.clone()
        };
        let foreign = StoredMail { tenant_id: other, ..infected.clone() };
        assert!(!work.inbound_mails().scanned(&foreign).await.unwrap());
        work.commit().await.unwrap();
        let noted = at_once(store, 8, |store, _| {
            let infected = infected.clone();
            async move {
                let mut work = store.begin().await.unwrap();
                let noted = work.inbound_mails().scanned(&infected).await.unwrap();
                work.commit().await.unwrap();
                noted
            }
        });
        assert_eq!(noted.await.into_iter().filter(|noted| *noted).count(), 1);
        let stored = store.reader().inbound_mails().find(tenant, written.id).await.unwrap();
        assert_eq!(stored, Some(infected));
    })
    .await;
}
