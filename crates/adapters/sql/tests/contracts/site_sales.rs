//! The port `SiteSaleRepository`.

use portico_billing::{
    checkout::{CheckoutStage, PurchaseCheckout},
    ledger::{LedgerTransaction, SourceKind},
    ledger_check::check_ledger,
    payment::Provider,
    ports::BillingRepositories,
    refund::{PurchaseRefund, RefundStatus},
    site_sale::{SiteSale, SiteSaleFilter, SiteSaleStatus},
};
use portico_kernel::{CheckoutId, Env, PageRequest, PurchaseId, SiteId, StoreError, TenantId};
use portico_sql::SqlStore;
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::fixtures::{at_once, stored_tenant, stored_user};

/// A sale that is to be paid, not stored yet.
pub fn sale(env: &Env, tenant: TenantId, site: SiteId) -> SiteSale {
    let id: PurchaseId = env.new_id();
    SiteSale {
        id,
        tenant_id: tenant,
        site_id: site,
        site_name: "Panadería Luz".to_owned(),
        slug: format!("luz-{}", site.uuid().simple()),
        buyer_email: "ada@example.com".to_owned(),
        buyer_name: "Ada ñ".to_owned(),
        buyer: None,
        amount: 150_000,
        currency: "gtq".to_owned(),
        status: SiteSaleStatus::Pending,
        created_at: env.now(),
        paid_at: None,
        returns_site: false,
        checkout: PurchaseCheckout {
            id: CheckoutId::from_uuid(id.uuid()),
            tenant_id: tenant,
            purchase_id: id,
            provider: Provider::Recurrente,
            live: true,
            stage: CheckoutStage::Creating,
            session_id: None,
            url: None,
            payment_id: None,
            success_url: "https://app.example.com/paid".to_owned(),
            cancel_url: "https://app.example.com/".to_owned(),
            created_at: env.now(),
            expires_at: env.now() + Duration::minutes(30),
            check_at: Some(env.now() + Duration::MINUTE),
        },
    }
}

pub async fn insert(store: &SqlStore, sale: &SiteSale) -> Result<(), StoreError> {
    let mut work = store.begin().await.unwrap();
    work.site_sales().insert(sale).await?;
    work.commit().await
}

async fn update(store: &SqlStore, sale: &SiteSale) {
    let mut work = store.begin().await.unwrap();
    work.site_sales().update(sale).await.unwrap();
    work.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_has_one_buyer_at_a_time() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "seller").await.id;
        let site: SiteId = env.new_id();
        let sales: Vec<SiteSale> = (0..16).map(|_| sale(&env, tenant, site)).collect();
        let all = sales.clone();
        let stored: Vec<Option<usize>> = at_once(store, 16, move |store, number| {
            let sale = all[number].clone();
            async move { insert(&store, &sale).await.ok().map(|()| number) }
        })
        .await;
        let winners: Vec<usize> = stored.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1);
        let winner = sales[winners[0]].clone();
        for status in [SiteSaleStatus::Pending, SiteSaleStatus::Paid, SiteSaleStatus::Waiting] {
            update(store, &SiteSale { status, ..winner.clone() }).await;
            let lost = insert(store, &sale(&env, tenant, site)).await;
            assert!(matches!(lost, Err(StoreError::Conflict(_))), "{status:?}: {lost:?}");
        }
        update(store, &SiteSale { status: SiteSaleStatus::Failed, ..winner }).await;
        insert(store, &sale(&env, tenant, site)).await.unwrap();
        insert(store, &sale(&env, tenant, env.new_id())).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_belongs_to_its_seller_and_keeps_what_was_sold() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let seller = stored_tenant(store, &env, "seller").await.id;
        let buyer = stored_tenant(store, &env, "buyer").await.id;
        let user = stored_user(store, &env, "ada@example.com").await.id;
        let stored = sale(&env, seller, env.new_id());
        insert(store, &stored).await.unwrap();
        let mut reader = store.reader();
        assert_eq!(reader.site_sales().find(seller, stored.id).await.unwrap(), Some(stored.clone()));
        assert_eq!(reader.site_sales().find(buyer, stored.id).await.unwrap(), None);
        let mut paid = SiteSale {
            buyer: Some((user, buyer)),
            buyer_email: String::new(),
            buyer_name: String::new(),
            status: SiteSaleStatus::Paid,
            paid_at: Some(env.now()),
            returns_site: true,
            ..stored.clone()
        };
        paid.checkout.stage = CheckoutStage::Paid;
        paid.checkout.session_id = Some("ch_1".to_owned());
        paid.checkout.url = Some("https://pay.example.com/ch_1".to_owned());
        paid.checkout.payment_id = Some("ch_1".to_owned());
        paid.checkout.check_at = None;
        let mut spoilt = SiteSale { amount: 1, slug: "other".to_owned(), ..paid.clone() };
        spoilt.checkout.live = false;
        spoilt.checkout.success_url = "https://evil.example/".to_owned();
        update(store, &spoilt).await;
        let mut work = store.begin().await.unwrap();
        assert_eq!(work.site_sales().lock(buyer, stored.id).await.unwrap(), None);
        assert_eq!(work.site_sales().lock(seller, stored.id).await.unwrap(), Some(paid));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_paid_is_sold_and_what_is_due_comes_in_order() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (one, two) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let first = sale(&env, one, env.new_id());
        let mut second = sale(&env, two, env.new_id());
        second.checkout.check_at = Some(env.now());
        for sale in [&first, &second] {
            insert(store, sale).await.unwrap();
        }
        let mut reader = store.reader();
        let due = reader.site_sales().due(env.now() + Duration::HOUR, 10).await.unwrap();
        assert_eq!(due, [second.clone(), first.clone()]);
        assert_eq!(reader.site_sales().due(env.now(), 10).await.unwrap(), [second.clone()]);
        assert_eq!(reader.site_sales().due(env.now() + Duration::HOUR, 1).await.unwrap().len(), 1);
        for status in SiteSaleStatus::ALL {
            update(store, &SiteSale { status, ..first.clone() }).await;
            assert_eq!(
                reader.site_sales().sold_at(&first.slug).await.unwrap(),
                status.is_paid(),
                "{status:?}"
            );
        }
        assert!(!reader.site_sales().sold_at("elsewhere").await.unwrap());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sales_are_compared_with_what_is_booked_about_them() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let first = stored_tenant(store, &env, "one").await.id;
        env.clock.advance(Duration::SECOND);
        let second = stored_tenant(store, &env, "two").await.id;
        let (pending, sold) = (sale(&env, first, env.new_id()), sale(&env, second, env.new_id()));
        insert(store, &pending).await.unwrap();
        insert(store, &sold).await.unwrap();
        let mut paid = SiteSale { status: SiteSaleStatus::Paid, paid_at: Some(env.now()), ..sold.clone() };
        paid.checkout.payment_id = Some("ch_1".to_owned());
        update(store, &paid).await;
        let report = check_ledger(&mut store.reader(), true).await.unwrap();
        assert_eq!((report.sales, report.differing), (2, 1));
        let line = format!("tenant {second}: sale {} has paid 150000, the ledger 0", sold.id);
        assert!(report.to_string().contains(&line), "{report}");

        let moved = LedgerTransaction::moved(
            Provider::Recurrente,
            true,
            SourceKind::Payment,
            "ch_1",
            &paid.price(),
            env.now(),
        )
        .unwrap();
        let mut work = store.begin().await.unwrap();
        work.ledger().book(second, &moved).await.unwrap();
        work.commit().await.unwrap();
        let mut reader = store.reader();
        assert_eq!(check_ledger(&mut reader, true).await.unwrap().differing, 0);
        let one = reader.ledger().sales(true, None, 1).await.unwrap();
        assert_eq!((one.len(), one[0].id, one[0].is_paid, one[0].paid), (1, pending.id, false, 0));
        let rest = reader.ledger().sales(true, Some((first, pending.id)), 10).await.unwrap();
        assert_eq!((rest.len(), rest[0].id, rest[0].paid), (1, sold.id, 150_000));
        assert_eq!(reader.ledger().sales(true, Some((second, sold.id)), 10).await.unwrap(), []);

        update(store, &SiteSale { paid_at: None, ..paid }).await;
        let report = check_ledger(&mut store.reader(), true).await.unwrap().to_string();
        assert!(report.contains("has paid 0, the ledger 150000"), "{report}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_belong_to_a_sale_and_are_compared_with_what_is_booked() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let sold = sale(&env, ours, env.new_id());
        insert(store, &sold).await.unwrap();
        let mut reader = store.reader();
        assert_eq!(reader.site_sales().tenant_of(sold.id).await.unwrap(), Some(ours));
        assert_eq!(reader.site_sales().tenant_of(env.new_id()).await.unwrap(), None);
        let refund = PurchaseRefund {
            id: env.new_id(),
            tenant_id: ours,
            purchase_id: sold.id,
            provider: Provider::Recurrente,
            payment_id: "ch_1".to_owned(),
            provider_id: None,
            amount: 150_000,
            currency: "gtq".to_owned(),
            status: RefundStatus::Requested,
            reason: Some("Otro sitio ñ".to_owned()),
            created_at: env.now(),
            updated_at: env.now(),
        };
        let mut work = store.begin().await.unwrap();
        work.site_refunds().store(&refund).await.unwrap();
        assert_eq!(
            work.site_refunds().of_purchase(ours, sold.id).await.unwrap(),
            std::slice::from_ref(&refund)
        );
        assert_eq!(work.site_refunds().of_purchase(theirs, sold.id).await.unwrap(), []);
        assert_eq!(work.refunds().of_purchase(ours, sold.id).await.unwrap(), []);
        work.commit().await.unwrap();
        let mut work = store.begin().await.unwrap();
        let foreign = PurchaseRefund { id: env.new_id(), tenant_id: theirs, ..refund.clone() };
        let refused = work.site_refunds().store(&foreign).await;
        assert!(matches!(refused, Err(StoreError::MissingReference(_))), "{refused:?}");
        drop(work);
        assert_eq!(check_ledger(&mut reader, true).await.unwrap().differing, 0, "nothing was taken out yet");

        let made = PurchaseRefund {
            provider_id: Some("re_1".to_owned()),
            status: RefundStatus::Succeeded,
            ..refund
        };
        let mut work = store.begin().await.unwrap();
        work.site_refunds().store(&made).await.unwrap();
        work.commit().await.unwrap();
        let report = check_ledger(&mut reader, true).await.unwrap().to_string();
        assert!(report.contains("has refunded 150000, the ledger 0"), "{report}");
        let back = LedgerTransaction::moved(
            Provider::Recurrente,
            true,
            SourceKind::Refund,
            "re_1",
            &made.money(),
            env.now(),
        );
        let mut work = store.begin().await.unwrap();
        work.ledger().book(ours, &back.unwrap()).await.unwrap();
        work.commit().await.unwrap();
        assert_eq!(check_ledger(&mut reader, true).await.unwrap().differing, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sales_are_listed_for_their_seller_and_found_for_staff() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (one, two) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let buyer = stored_tenant(store, &env, "buyer").await.id;
        let user = stored_user(store, &env, "bea@example.com").await.id;
        let first = sale(&env, one, env.new_id());
        env.clock.advance(Duration::SECOND);
        let mut second = SiteSale {
            buyer: Some((user, buyer)),
            buyer_email: String::new(),
            status: SiteSaleStatus::Completed,
            ..sale(&env, two, env.new_id())
        };
        second.checkout.session_id = Some("ch_2".to_owned());
        second.checkout.payment_id = Some("pa_2".to_owned());
        env.clock.advance(Duration::SECOND);
        let third = sale(&env, one, env.new_id());
        for sale in [&first, &second, &third] {
            insert(store, sale).await.unwrap();
        }
        let mut refund = PurchaseRefund {
            id: env.new_id(),
            tenant_id: two,
            purchase_id: second.id,
            provider: Provider::Recurrente,
            payment_id: "pa_2".to_owned(),
            provider_id: Some("re_2".to_owned()),
            amount: 150_000,
            currency: "gtq".to_owned(),
            status: RefundStatus::Pending,
            reason: None,
            created_at: env.now(),
            updated_at: env.now(),
        };
        let mut work = store.begin().await.unwrap();
        work.site_refunds().store(&refund).await.unwrap();
        work.commit().await.unwrap();

        let mut reader = store.reader();
        let page = PageRequest::default();
        let own = reader.site_sales().list(one, page).await.unwrap();
        assert_eq!((own.items, own.total), (vec![third.clone(), first.clone()], 2));
        assert_eq!(reader.site_sales().list(buyer, page).await.unwrap().total, 0);

        let all = SiteSaleFilter::default();
        let found = reader.site_sales().managed(&all, page).await.unwrap();
        let shown: Vec<_> = found.items.iter().map(|found| (found.sale.id, found.is_refunding)).collect();
        assert_eq!(shown, [(third.id, false), (second.id, true), (first.id, false)]);
        assert_eq!(found.items[1].account_email.as_deref(), Some("bea@example.com"));
        assert_eq!((&found.items[1].sale, &found.items[0].account_email), (&second, &None));
        let last = PageRequest { page: 2, limit: 2 };
        let rest = reader.site_sales().managed(&all, last).await.unwrap();
        assert_eq!((rest.total, rest.items[0].sale.id, rest.items.len()), (3, first.id, 1));

        let text = |text: &str| Some(text.to_owned());
        for (filter, expected) in [
            (SiteSaleFilter { id: Some(first.id), ..all.clone() }, vec![first.id]),
            (
                SiteSaleFilter { status: Some(SiteSaleStatus::Pending), ..all.clone() },
                vec![third.id, first.id],
            ),
            (SiteSaleFilter { seller: Some(two), ..all.clone() }, vec![second.id]),
            (SiteSaleFilter { site: Some(third.site_id), ..all.clone() }, vec![third.id]),
            (SiteSaleFilter { buyer: Some(buyer), ..all.clone() }, vec![second.id]),
            (SiteSaleFilter { email: text("ada@example.com"), ..all.clone() }, vec![third.id, first.id]),
            (SiteSaleFilter { email: text("bea@example.com"), ..all.clone() }, vec![second.id]),
            (SiteSaleFilter { reference: text("ch_2"), ..all.clone() }, vec![second.id]),
            (SiteSaleFilter { reference: text("pa_2"), ..all.clone() }, vec![second.id]),
            (SiteSaleFilter { reference: text("re_2"), ..all.clone() }, vec![second.id]),
            (SiteSaleFilter { reference: text("re_"), ..all.clone() }, vec![]),
            (SiteSaleFilter { from: Some(second.created_at), ..all.clone() }, vec![third.id, second.id]),
            (SiteSaleFilter { to: Some(second.created_at), ..all.clone() }, vec![first.id]),
            (SiteSaleFilter { seller: Some(one), email: text("bea@example.com"), ..all.clone() }, vec![]),
        ] {
            let found = reader.site_sales().managed(&filter, page).await.unwrap();
            let ids: Vec<PurchaseId> = found.items.iter().map(|found| found.sale.id).collect();
            assert_eq!((ids.len() as u64, &ids), (found.total, &expected), "{filter:?}");
        }

        refund.status = RefundStatus::Failed;
        let mut work = store.begin().await.unwrap();
        work.site_refunds().store(&refund).await.unwrap();
        work.commit().await.unwrap();
        let found = reader.site_sales().managed(&all, page).await.unwrap();
        assert!(!found.items[1].is_refunding, "nothing is on its way any more");
    })
    .await;
}
