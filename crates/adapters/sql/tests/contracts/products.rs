//! `portico_billing::ports::ProductRepository`, and policies of licenses of products.

use portico_billing::{
    ports::BillingRepositories,
    product::{Product, catalogue},
};
use portico_kernel::{Money, PageRequest, StoreError};
use portico_licensing::{
    policy::{LicensePolicy, catalogue as policies},
    ports::LicensingRepositories,
};
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::fixtures::at_once;

fn money(amount: i64, currency: &str) -> Money {
    Money { amount, currency: currency.to_owned() }
}

fn product(id: &str, prices: &[Money]) -> Product {
    Product { id: id.to_owned(), prices: prices.to_vec(), ..catalogue().remove(0) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_is_replaced_and_its_versions_stay() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let first = product("first", &[money(100, "usd"), money(800, "gtq")]);
        let other = product("other", &[money(5, "usd")]);
        let mut work = store.begin().await.unwrap();
        work.products().insert(&first, env.now()).await.unwrap();
        work.products().insert(&other, env.now() + Duration::SECOND).await.unwrap();
        work.commit().await.unwrap();
        let mut work = store.begin().await.unwrap();
        let twice = work.products().insert(&product("first", &[]), env.now()).await;
        assert!(matches!(twice, Err(StoreError::Conflict(_))), "{twice:?}");
        drop(work);

        let later = env.now() + Duration::DAY;
        let changed = Product {
            name: "Ñandú".to_owned(),
            is_active: false,
            prices: vec![money(90, "eur"), money(120, "usd")],
            ..first.clone()
        };
        let mut work = store.begin().await.unwrap();
        assert_eq!(work.products().lock("first").await.unwrap(), Some(first.clone()));
        work.products().update(&changed, later).await.unwrap();
        work.commit().await.unwrap();
        let mut reader = store.reader();
        assert_eq!(
            reader.products().find("first").await.unwrap(),
            Some(changed.clone()),
            "the first is in front"
        );
        assert_eq!(reader.products().find("other").await.unwrap(), Some(other.clone()), "and stays");
        assert_eq!(reader.products().find("none").await.unwrap(), None);
        let versions = reader.products().prices("first", 10).await.unwrap();
        let versions: Vec<_> = versions
            .iter()
            .map(|price| {
                (price.price.amount, price.price.currency.as_str(), price.version, price.replaced_at)
            })
            .collect();
        let expected = [
            (90, "eur", 1, None),
            (120, "usd", 2, None),
            (800, "gtq", 1, Some(later)),
            (100, "usd", 1, Some(later)),
        ];
        assert_eq!(versions, expected);
        assert_eq!(reader.products().prices("first", 1).await.unwrap().len(), 1);
        // One that comes back is the next version.
        let back = Product { prices: vec![money(800, "gtq")], ..changed };
        let mut work = store.begin().await.unwrap();
        work.products().update(&back, later + Duration::DAY).await.unwrap();
        work.commit().await.unwrap();
        let newest = reader.products().prices("first", 1).await.unwrap().remove(0);
        assert_eq!((newest.version, newest.price), (2, money(800, "gtq")));

        let page = |page| PageRequest { page, limit: 1 };
        let first = reader.products().on_sale(page(1)).await.unwrap();
        assert_eq!((first.items, first.total), (vec![other.clone()], 1));
        let second = reader.products().on_sale(page(2)).await.unwrap();
        assert_eq!((second.items, second.total), (vec![], 1));
        let ids = ["first", "other"].map(str::to_owned);
        assert_eq!(reader.products().active(&ids).await.unwrap(), std::slice::from_ref(&other));
        let page = reader.products().managed(PageRequest { page: 2, limit: 1 }).await.unwrap();
        assert_eq!((page.items, page.total), (vec![other], 2));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_16_that_change_a_price_at_once_each_makes_a_version() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let stored = product("raced", &[money(1, "usd")]);
        let mut work = store.begin().await.unwrap();
        work.products().insert(&stored, env.now()).await.unwrap();
        work.commit().await.unwrap();
        let now = env.now();
        at_once(store, 16, move |store, number| async move {
            let mut work = store.begin().await.unwrap();
            let before = work.products().lock("raced").await.unwrap().unwrap();
            let after = Product { prices: vec![money(100 + number as i64, "usd")], ..before };
            work.products().update(&after, now).await.unwrap();
            work.commit().await.unwrap();
        })
        .await;
        let versions = store.reader().products().prices("raced", 100).await.unwrap();
        assert_eq!(versions.len(), 17);
        assert_eq!(versions.iter().filter(|price| price.replaced_at.is_none()).count(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_added_once_and_changed() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let policy = LicensePolicy { product_type: "pack".to_owned(), ..policies().remove(0) };
        let mut work = store.begin().await.unwrap();
        assert!(work.license_policies().insert_missing(&policy, env.now()).await.unwrap());
        assert!(!work.license_policies().insert_missing(&policy, env.now()).await.unwrap());
        let changed = LicensePolicy { seats: None, term_days: Some(30), ..policy.clone() };
        assert_eq!(work.license_policies().lock("pack").await.unwrap(), Some(policy.clone()));
        work.license_policies().update(&changed).await.unwrap();
        let absent = LicensePolicy { product_type: "none".to_owned(), ..policy };
        work.license_policies().update(&absent).await.unwrap();
        work.commit().await.unwrap();
        let mut reader = store.reader();
        assert_eq!(reader.license_policies().find("pack").await.unwrap(), Some(changed));
        assert_eq!(reader.license_policies().find("none").await.unwrap(), None);
    })
    .await;
}
