//! The ports of `portico_billing` that purchases need: products, purchases, checkouts, and the ledger.

use portico_billing::{
    checkout::{CheckoutStage, PurchaseCheckout},
    ledger::{LedgerTransaction, SourceKind, Unbalanced},
    payment::Provider,
    ports::BillingRepositories,
    product::catalogue,
    purchase::{Purchase, PurchaseItem, PurchaseStatus},
};
use portico_kernel::{Env, Money, PageRequest, StoreError, TenantId};
use portico_sql::SqlStore;
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::fixtures::{at_once, stored_tenant, stored_user};

fn payment(id: &str, price: &Money, env: &Env) -> Result<LedgerTransaction, Unbalanced> {
    LedgerTransaction::moved(Provider::Stripe, false, SourceKind::Payment, id, price, env.now())
}

/// Stores and commits a purchase of a tenant with a checkout that is to be made.
pub async fn stored(store: &SqlStore, env: &Env, tenant: TenantId) -> (Purchase, PurchaseCheckout) {
    let id = env.new_id();
    let buyer = stored_user(store, env, &format!("{id}@example.com")).await;
    let item = PurchaseItem {
        product_type: "base_product".to_owned(),
        description: "Licencia ñ".to_owned(),
        amount: 36800,
        quantity: 2,
        discount: 1800,
    };
    let purchase = Purchase {
        id,
        tenant_id: tenant,
        user_id: buyer.id,
        amount: 71800,
        currency: "usd".to_owned(),
        status: PurchaseStatus::Pending,
        items: vec![item],
        discount: 1800,
        coupon: Some("SUMMER".to_owned()),
        refunded_amount: 0,
        created_at: env.now(),
        completed_at: None,
    };
    let checkout = PurchaseCheckout {
        id: env.new_id(),
        tenant_id: tenant,
        purchase_id: purchase.id,
        provider: Provider::Stripe,
        live: false,
        stage: CheckoutStage::Creating,
        session_id: None,
        url: None,
        payment_id: None,
        success_url: "https://app.example.com/paid".to_owned(),
        cancel_url: "https://app.example.com/".to_owned(),
        created_at: env.now(),
        expires_at: env.now() + Duration::HOUR,
        check_at: Some(env.now() + Duration::MINUTE),
    };
    let mut work = store.begin().await.unwrap();
    work.purchases().insert(&purchase).await.unwrap();
    work.checkouts().insert(&checkout).await.unwrap();
    work.commit().await.unwrap();
    (purchase, checkout)
}

#[tokio::test(flavor = "multi_thread")]
async fn products_that_are_there_stay_as_they_are() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let product = catalogue().remove(0);
        let cheap = portico_billing::product::Product { name: "Cheap".to_owned(), ..product.clone() };
        let off =
            portico_billing::product::Product { id: "old".to_owned(), is_active: false, ..product.clone() };
        let ids = ["old", "base_product", "unknown"].map(str::to_owned);
        let mut work = store.begin().await.unwrap();
        assert!(work.products().insert_missing(&product, env.now()).await.unwrap());
        assert!(!work.products().insert_missing(&cheap, env.now()).await.unwrap());
        assert!(work.products().insert_missing(&off, env.now()).await.unwrap());
        assert_eq!(work.products().active(&ids).await.unwrap(), [product]);
        assert_eq!(work.products().active(&[]).await.unwrap(), []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn purchases_belong_to_their_tenant_and_keep_what_was_bought() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let (first, _) = stored(store, &env, ours).await;
        let (second, _) = stored(store, &env, ours).await;
        let mut reader = store.reader();
        assert_eq!(reader.purchases().find(ours, first.id).await.unwrap(), Some(first.clone()));
        assert_eq!(reader.purchases().find(theirs, first.id).await.unwrap(), None);
        let page = PageRequest { page: 1, limit: 1 };
        let list = reader.purchases().list(ours, page).await.unwrap();
        assert_eq!((list.items, list.total), (vec![second], 2));
        assert_eq!(reader.purchases().list(theirs, page).await.unwrap().total, 0);
        let completed = Purchase {
            status: PurchaseStatus::Completed,
            completed_at: Some(env.now()),
            refunded_amount: 5,
            ..first.clone()
        };
        let mut work = store.begin().await.unwrap();
        // What was bought at which price never changes, whatever is handed over.
        let spoilt =
            Purchase { amount: 1, items: Vec::new(), currency: "eur".to_owned(), ..completed.clone() };
        work.purchases().update(&spoilt).await.unwrap();
        assert_eq!(work.purchases().lock(theirs, first.id).await.unwrap(), None);
        assert_eq!(work.purchases().lock(ours, first.id).await.unwrap(), Some(completed));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_locks_a_purchase_sees_what_the_one_before_has_stored() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "one").await.id;
        let (purchase, _) = stored(store, &env, tenant).await;
        let id = purchase.id;
        let mut seen = at_once(store, 16, |store, _| async move {
            let mut work = store.begin().await.unwrap();
            let mut locked = work.purchases().lock(tenant, id).await.unwrap().unwrap();
            locked.refunded_amount += 1;
            work.purchases().update(&locked).await.unwrap();
            work.commit().await.unwrap();
            locked.refunded_amount
        })
        .await;
        seen.sort_unstable();
        assert_eq!(seen, (1..=16).collect::<Vec<i64>>());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_of_one_checkout_and_those_that_are_due_come_in_order() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let (purchase, first) = stored(store, &env, ours).await;
        let (_, second) = stored(store, &env, theirs).await;
        let mut work = store.begin().await.unwrap();
        let foreign = PurchaseCheckout { id: env.new_id(), tenant_id: theirs, ..first.clone() };
        let refused = work.checkouts().insert(&foreign).await;
        assert!(matches!(refused, Err(StoreError::MissingReference(_))), "{refused:?}");
        drop(work);

        let open = PurchaseCheckout {
            stage: CheckoutStage::Open,
            session_id: Some("cs_1".to_owned()),
            url: Some("https://pay.example.com/cs_1".to_owned()),
            check_at: Some(env.now() + Duration::seconds(2)),
            ..first.clone()
        };
        let mut work = store.begin().await.unwrap();
        let spoilt = PurchaseCheckout { live: true, success_url: String::new(), ..open.clone() };
        work.checkouts().update(&spoilt).await.unwrap();
        work.commit().await.unwrap();
        let mut reader = store.reader();
        assert_eq!(reader.checkouts().find(ours, first.id).await.unwrap(), Some(open.clone()));
        assert_eq!(reader.checkouts().find(theirs, first.id).await.unwrap(), None);
        let of = async |tenant, session: &str| {
            let mut reader = store.reader();
            reader
                .checkouts()
                .of_session(tenant, Provider::Stripe, session)
                .await
                .unwrap()
                .map(|found| found.id)
        };
        assert_eq!(of(ours, "cs_1").await, Some(first.id));
        assert_eq!(of(theirs, "cs_1").await, None);
        assert_eq!(of(ours, "cs_2").await, None);
        // One that is paid, by its purchase.
        assert_eq!(reader.checkouts().paid(ours, purchase.id).await.unwrap(), None);
        let paid = PurchaseCheckout {
            stage: CheckoutStage::Paid,
            payment_id: Some("pi_1".to_owned()),
            ..open.clone()
        };
        let mut work = store.begin().await.unwrap();
        work.checkouts().update(&paid).await.unwrap();
        assert_eq!(work.checkouts().paid(ours, purchase.id).await.unwrap(), Some(paid));
        assert_eq!(work.checkouts().paid(theirs, purchase.id).await.unwrap(), None);
        drop(work);

        let later = PurchaseCheckout { id: env.new_id(), purchase_id: purchase.id, ..first.clone() };
        let mut work = store.begin().await.unwrap();
        work.checkouts().insert(&later).await.unwrap();
        let twice =
            work.checkouts().update(&PurchaseCheckout { session_id: open.session_id.clone(), ..later }).await;
        assert!(matches!(twice, Err(StoreError::Conflict(_))), "{twice:?}");
        drop(work);

        assert_eq!(reader.checkouts().due(env.now(), 10).await.unwrap(), []);
        let soon = env.now() + Duration::minutes(2);
        let due: Vec<_> =
            reader.checkouts().due(soon, 10).await.unwrap().into_iter().map(|checkout| checkout.id).collect();
        assert_eq!(due, [first.id, second.id], "of all tenants, the one that has waited longest first");
        assert_eq!(reader.checkouts().due(soon, 1).await.unwrap().len(), 1);
        let mut work = store.begin().await.unwrap();
        work.checkouts().update(&PurchaseCheckout { check_at: None, ..open }).await.unwrap();
        work.commit().await.unwrap();
        assert_eq!(reader.checkouts().due(soon, 10).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_booked_once_for_a_tenant() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let price = Money { amount: 71800, currency: "usd".to_owned() };
        let paid = payment("pi_1", &price, &env).unwrap();
        let transaction = paid.clone();
        let booked = at_once(store, 16, move |store, _| {
            let paid = transaction.clone();
            async move {
                let mut work = store.begin().await.unwrap();
                let booked = work.ledger().book(ours, &paid).await;
                match booked {
                    Ok(()) => work.commit().await.is_ok(),
                    Err(StoreError::Conflict(_)) => false,
                    Err(error) => panic!("{error}"),
                }
            }
        })
        .await;
        assert_eq!(booked.into_iter().filter(|booked| *booked).count(), 1);
        let mut work = store.begin().await.unwrap();
        work.ledger().book(theirs, &paid).await.unwrap();
        let other = payment("pi_2", &price, &env).unwrap();
        work.ledger().book(ours, &other).await.unwrap();
        work.commit().await.unwrap();
    })
    .await;
}
