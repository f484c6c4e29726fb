//! Which tenants staff look after: the lists of staff leave out those of the operator's own people.

use portico_identity::ports::IdentityRepositories;
use portico_kernel::{
    Outbox, PageRequest, PlatformRole, TenantId, TenantRole,
    feed::{EventFeed, Followed, LogPosition},
};
use portico_licensing::ports::{LicenseFilter, LicensingRepositories};
use portico_sql::SqlStore;
use portico_support::{desk::QueueFilter, ports::SupportRepositories};
use portico_testkit::{TestEnv, env, on_each_database};

use crate::{
    fixtures::{event, join, stored_tenant, stored_user},
    licenses::{insert, license},
    releases::{note, release, store, used},
    support::stored,
};

/// One that staff look after, and one that a member of staff owns.
async fn tenants(sql: &SqlStore, env: &TestEnv) -> (TenantId, TenantId) {
    let mut staff = stored_user(sql, env, "staff@example.com").await;
    staff.role = PlatformRole::Staff;
    let mut work = sql.begin().await.unwrap();
    work.users().update(&staff).await.unwrap();
    work.commit().await.unwrap();
    let customer = stored_tenant(sql, env, "acme").await.id;
    let office = stored_tenant(sql, env, "office").await.id;
    // Staff who only help are no owners.
    join(sql, env, staff.id, customer, TenantRole::Admin).await;
    join(sql, env, staff.id, office, TenantRole::Owner).await;
    (customer, office)
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_staff_leave_out_tenants_that_the_operators_people_own() {
    on_each_database(async |database| {
        let (env, sql) = (env(), database.store());
        let released = release(&env, "base_product", "software_v2", "2.0.0");
        store(sql, std::slice::from_ref(&released)).await;
        let (customer, office) = tenants(sql, &env).await;
        for tenant in [customer, office] {
            let license = license(&env, tenant, None, 0);
            insert(sql, &license).await.unwrap();
            note(sql, &used(&env, &license, released.id)).await.unwrap();
            stored(sql, &env, tenant).await;
        }
        let (mut reader, page, filter) = (sql.reader(), PageRequest::default(), LicenseFilter::default());
        for (all, expected) in [(false, vec![customer]), (true, vec![customer, office])] {
            let licenses = reader.licenses().managed(all, &filter, env.now(), page).await.unwrap();
            let downloads = reader.downloads().of_release(all, released.id, page).await.unwrap();
            let tickets = reader.tickets().queue(all, QueueFilter::default(), page).await.unwrap();
            let totals = [licenses.total, downloads.total, tickets.total];
            assert_eq!(totals, [expected.len() as u64; 3], "{all}");
            for mut tenants in [
                licenses.items.iter().map(|item| item.counted.license.tenant_id).collect::<Vec<_>>(),
                downloads.items.iter().map(|item| item.customer_id).collect(),
                tickets.items.iter().map(|item| item.customer_id).collect(),
            ] {
                tenants.sort_unstable();
                let mut expected = expected.clone();
                expected.sort_unstable();
                assert_eq!(tenants, expected, "{all}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_about_tickets_are_left_out_like_the_tickets() {
    on_each_database(async |database| {
        let (env, sql) = (env(), database.store());
        let (customer, office) = tenants(sql, &env).await;
        let mut appended = Vec::new();
        for tenant in [office, customer] {
            let ticket = stored(sql, &env, tenant).await.id.uuid();
            // That of a note belongs to the platform.
            for (owner, kind) in
                [(tenant, "support_ticket.created"), (TenantId::PLATFORM, "support_ticket.noted")]
            {
                let mut about = event(&env, owner, kind);
                about.resource.id = ticket;
                appended.push(about.id);
                let mut work = sql.begin().await.unwrap();
                work.events().append(about).await.unwrap();
                work.commit().await.unwrap();
            }
        }
        for (all, expected) in [(true, appended.as_slice()), (false, &appended[2..])] {
            let desk = Followed::Tickets { all };
            let (mut place, mut found) = (LogPosition::default(), Vec::new());
            while found.len() < expected.len() {
                let piece = sql.after(desk, place, 1).await.unwrap();
                place = piece.events.last().map_or(place, |placed| placed.place);
                found.extend(piece.events.iter().map(|placed| placed.event.id));
            }
            assert_eq!(found, expected, "{all}");
            assert_eq!(
                sql.count_after(desk, LogPosition::default(), 10).await.unwrap() as usize,
                found.len()
            );
            assert_eq!(sql.find(desk, appended[0]).await.unwrap().is_some(), all);
            assert_eq!(sql.newest(desk).await.unwrap(), Some((place, appended[3])));
        }
    })
    .await;
}
