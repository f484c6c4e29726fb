//! Lists by the numbers of their pages: the pages are pieces of one order, equals and filters included, and each knows how many items there
//! are, also one beyond the last.

use std::cmp::Reverse;

use portico_billing::{
    ports::BillingRepositories,
    site_sale::{SiteSale, SiteSaleFilter},
    subscription::SubscriptionStatus,
};
use portico_identity::ports::IdentityRepositories;
use portico_kernel::{
    LicenseId, PageRequest, PlatformRole, PurchaseId, SupportTicketId, TenantId, TenantRole,
};
use portico_licensing::{
    license::{License, Move},
    ports::{LicenseFilter, LicensingRepositories},
    succession::LicensePlace,
    transfer::TransferOffer,
};
use portico_support::{desk::QueueFilter, ports::SupportRepositories};
use portico_tenancy::{
    ports::TenancyRepositories,
    tenant::{Tenant, TenantFilter, TenantSortKey},
};
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::{
    fixtures::{join, stored_tenant, stored_user, subscribe, tenant},
    licenses::{insert, license, machine},
    site_sales::{insert as insert_sale, sale},
    support::stored as stored_ticket,
};

/// The items of all pages of two, up to the first one without any; `read` answers those of a page and the number of all.
async fn walked<T>(read: impl AsyncFn(PageRequest) -> (Vec<T>, u64)) -> Vec<T> {
    let (mut page, mut seen, mut totals) = (1, Vec::new(), Vec::new());
    loop {
        let (items, total) = read(PageRequest { page, limit: 2 }).await;
        totals.push(total);
        if items.is_empty() {
            assert_eq!(totals, vec![seen.len() as u64; totals.len()]);
            return seen;
        }
        seen.extend(items);
        page += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_and_tenants_in_every_order() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let mut stored = Vec::new();
        // Some were made at the same moment, some changed at the same moment, and some have the same name.
        for (name, made, changed) in
            [("bread", 0, 3), ("acme", 1, 1), ("bread", 0, 2), ("cafe", 1, 0), ("acme", 0, 1)]
        {
            env.clock.advance(Duration::seconds(made));
            let updated_at = env.now() + Duration::days(changed);
            let subdomain = format!("t{}", stored.len());
            let made = Tenant { name: name.to_owned(), updated_at, ..tenant(&env, &subdomain) };
            let mut work = store.begin().await.unwrap();
            work.tenants().insert(&made).await.unwrap();
            work.commit().await.unwrap();
            stored.push(made);
        }
        for key in [TenantSortKey::CreatedAt, TenantSortKey::UpdatedAt, TenantSortKey::Name] {
            let mut expected: Vec<&Tenant> = stored.iter().collect();
            expected.sort_by(|one, other| {
                let order = match key {
                    TenantSortKey::CreatedAt => one.created_at.cmp(&other.created_at),
                    TenantSortKey::UpdatedAt => one.updated_at.cmp(&other.updated_at),
                    TenantSortKey::Name => one.name.cmp(&other.name),
                };
                order.then(one.id.cmp(&other.id))
            });
            let mut expected: Vec<TenantId> = expected.into_iter().map(|tenant| tenant.id).collect();
            for descending in [false, true] {
                if descending {
                    expected.reverse();
                }
                let filter = TenantFilter { sort: Some((key, descending)), ..TenantFilter::default() };
                let customers = walked(async |page| {
                    let found = store.reader().customers().list(true, filter.clone(), page).await.unwrap();
                    (found.items.into_iter().map(|customer| customer.id).collect::<Vec<_>>(), found.total)
                });
                assert_eq!(customers.await, expected, "{key:?} {descending}");
                let tenants = walked(async |page| {
                    let found = store.reader().tenants().list(None, filter.clone(), page).await.unwrap();
                    (found.items.into_iter().map(|tenant| tenant.id).collect::<Vec<_>>(), found.total)
                });
                assert_eq!(tenants.await, expected, "{key:?} {descending}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filtered_customers_with_what_belongs_to_each() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let mut stored = Vec::new();
        for name in ["acme", "office", "bread", "cafe"] {
            env.clock.advance(Duration::SECOND);
            let tenant = stored_tenant(store, &env, name).await.id;
            let mut owner = stored_user(store, &env, &format!("{name}@example.com")).await;
            join(store, &env, owner.id, tenant, TenantRole::Owner).await;
            if name == "office" {
                owner.role = PlatformRole::Staff;
                let mut work = store.begin().await.unwrap();
                work.users().update(&owner).await.unwrap();
                work.commit().await.unwrap();
            }
            stored.push(tenant);
        }
        let [acme, _, bread, cafe] = stored[..] else { panic!("four") };
        subscribe(store, &env, cafe, "starter", SubscriptionStatus::Active).await;
        let any = TenantFilter::default;
        let q = |part: &str| TenantFilter { q: Some(part.to_owned()), ..any() };
        let plan = |plan: &str| TenantFilter { plan: Some(plan.to_owned()), ..any() };
        for (filter, expected) in [
            (any(), vec![(cafe, "cafe", "starter"), (bread, "bread", "free"), (acme, "acme", "free")]),
            (
                q("@example"),
                vec![(cafe, "cafe", "starter"), (bread, "bread", "free"), (acme, "acme", "free")],
            ),
            (q("READ"), vec![(bread, "bread", "free")]),
            (q("office"), vec![]),
            (plan("free"), vec![(bread, "bread", "free"), (acme, "acme", "free")]),
            (plan("starter"), vec![(cafe, "cafe", "starter")]),
        ] {
            let found = walked(async |page| {
                let found = store.reader().customers().list(false, filter.clone(), page).await.unwrap();
                (found.items, found.total)
            });
            let found: Vec<_> = found
                .await
                .into_iter()
                .map(|customer| {
                    let owner = customer.owner.unwrap().email;
                    (customer.id, owner.replace("@example.com", ""), customer.plan, customer.members)
                })
                .collect();
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(id, owner, plan)| (id, owner.to_owned(), plan.to_owned(), 1_u64))
                .collect();
            assert_eq!(found, expected, "{filter:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn licenses_with_their_machines_and_what_became_of_each() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (one, other) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let mut stored: Vec<License> = Vec::new();
        for (tenant, later) in [(one, 0), (one, 1), (other, 0), (one, 1), (other, 0)] {
            env.clock.advance(Duration::seconds(later));
            let license = license(&env, tenant, None, 0);
            insert(store, &license).await.unwrap();
            stored.push(license);
        }
        let [used, given, heir, offered, plain] = &stored[..] else { panic!("five") };
        let offer = |license: &License| TransferOffer {
            tenant_id: license.tenant_id,
            license_id: license.id,
            digest: env.random_bytes(),
            email: "bob@example.com".to_owned(),
            expires_at: env.now() + Duration::DAY,
            created_at: env.now(),
        };
        let mut work = store.begin().await.unwrap();
        work.activations().insert(&machine(&env, used, "f1")).await.unwrap();
        work.activations().insert(&machine(&env, used, "f2")).await.unwrap();
        for license in [given, offered] {
            work.license_transfers().offer(&offer(license)).await.unwrap();
        }
        assert!(work.license_transfers().accept(one, given.id, (other, heir.id)).await.unwrap());
        work.licenses().update(&given.after(Move::Revoke)).await.unwrap();
        work.commit().await.unwrap();

        let mut newest_first: Vec<&License> = stored.iter().collect();
        newest_first.sort_by_key(|license| Reverse((license.created_at, license.id)));
        let (from, to) = (LicensePlace::of(given), LicensePlace::of(heir));
        let said = |license: &License| {
            let activations: u64 = if license.id == used.id { 2 } else { 0 };
            let follower = (license.id == given.id).then_some(to);
            let origin = (license.id == heir.id).then_some(from);
            (license.id, activations, follower, origin)
        };
        let of_other: Vec<&License> =
            newest_first.iter().copied().filter(|license| license.tenant_id == other).collect();
        let any = LicenseFilter::default;
        for (filter, expected) in [
            (any(), newest_first),
            (LicenseFilter { tenant: Some(other), ..any() }, of_other),
            (LicenseFilter { digests: Some(vec![plain.key.digest]), ..any() }, vec![plain]),
            (LicenseFilter { product_type: Some("mug".to_owned()), ..any() }, vec![]),
        ] {
            let found = walked(async |page| {
                let mut reader = store.reader();
                let found = reader.licenses().managed(true, &filter, env.now(), page).await.unwrap();
                (found.items, found.total)
            });
            let found: Vec<_> = found
                .await
                .into_iter()
                .map(|found| {
                    let counted = found.counted;
                    (counted.license.id, counted.activations, counted.heir, found.follows)
                })
                .collect();
            let expected: Vec<_> = expected.into_iter().map(said).collect();
            assert_eq!(found, expected, "{filter:?}");
        }

        let mut own: Vec<&License> = stored.iter().filter(|license| license.tenant_id == one).collect();
        own.sort_by_key(|license| Reverse(license.id));
        let listed = walked(async |page| {
            let found = store.reader().licenses().list(one, env.now(), page).await.unwrap();
            (found.items, found.total)
        });
        let listed: Vec<(LicenseId, u64, Option<LicensePlace>)> = listed
            .await
            .into_iter()
            .map(|counted| (counted.license.id, counted.activations, counted.heir))
            .collect();
        let expected: Vec<_> = own
            .into_iter()
            .map(|license| {
                let (id, activations, follower, _) = said(license);
                (id, activations, follower)
            })
            .collect();
        assert_eq!(listed, expected);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sales_and_tickets_of_all_customers() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (one, other) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let (mut sales, mut tickets) = (Vec::new(), Vec::new());
        for (tenant, later) in [(one, 0), (other, 1), (one, 0), (other, 1), (one, 0)] {
            env.clock.advance(Duration::seconds(later));
            let sale = sale(&env, tenant, env.new_id());
            insert_sale(store, &sale).await.unwrap();
            sales.push(sale);
        }
        for tenant in [one, other, one, one] {
            tickets.push((stored_ticket(store, &env, tenant).await.id, tenant));
        }
        sales.sort_by_key(|sale| Reverse((sale.created_at, sale.id)));
        let any = SiteSaleFilter::default;
        for (filter, whose) in [(any(), None), (SiteSaleFilter { seller: Some(one), ..any() }, Some(one))] {
            let found = walked(async |page| {
                let found = store.reader().site_sales().managed(&filter, page).await.unwrap();
                (found.items.into_iter().map(|found| found.sale.id).collect::<Vec<_>>(), found.total)
            });
            let wanted = |sale: &&SiteSale| whose.is_none_or(|tenant| tenant == sale.tenant_id);
            let expected: Vec<PurchaseId> = sales.iter().filter(wanted).map(|sale| sale.id).collect();
            assert_eq!(found.await, expected, "{filter:?}");
        }
        for latest_first in [false, true] {
            for customer in [None, Some(one)] {
                let filter = QueueFilter { latest_first, customer, ..QueueFilter::default() };
                let found = walked(async |page| {
                    let mut reader = store.reader();
                    let found = reader.tickets().queue(true, filter.clone(), page).await.unwrap();
                    let items = found.items.into_iter().map(|item| (item.ticket.id, item.customer_name));
                    (items.collect::<Vec<_>>(), found.total)
                });
                let mut expected: Vec<(SupportTicketId, String)> = tickets
                    .iter()
                    .filter(|(_, tenant)| customer.is_none_or(|wanted| wanted == *tenant))
                    .map(|(id, tenant)| (*id, if *tenant == one { "one ltd" } else { "two ltd" }.to_owned()))
                    .collect();
                if latest_first {
                    expected.reverse();
                }
                assert_eq!(found.await, expected, "{filter:?}");
            }
        }
    })
    .await;
}
