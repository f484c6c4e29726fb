//! Opening, migrating, and what the schema itself refuses.

use std::time::Duration as Patience;

use portico_identity::ports::IdentityRepositories;
use portico_kernel::{Outbox, StoreError, TenantId};
use portico_sql::{SqlStore, StoreOptions};
use portico_tenancy::ports::TenancyRepositories;
use portico_testkit::{TestDatabase, env, on_each_database};

use crate::fixtures::{event, stored_event, stored_tenant, stored_user, user};

#[tokio::test(flavor = "multi_thread")]
async fn migrations_go_down_and_up_on_a_populated_database() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        stored_tenant(store, &env, "acme").await;
        stored_event(store, &env, TenantId::PLATFORM, "page.created").await;
        let migrations = store.migration_status().await.unwrap();
        assert!(migrations.len() >= 5 && migrations.iter().all(|migration| migration.applied));
        store.migrate().await.unwrap();

        store.migrate_down(migrations.len() as u32).await.unwrap();
        assert!(store.migration_status().await.unwrap().iter().all(|migration| !migration.applied));
        store.migrate().await.unwrap();
        stored_tenant(store, &env, "acme").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_applied_and_a_database_of_a_later_program_is_refused() {
    on_each_database(async |database| {
        let store = database.store();
        store.migrate_down(1).await.unwrap();
        store.migrate().await.unwrap();
        assert!(store.migration_status().await.unwrap().iter().all(|migration| migration.applied));
        let later = "insert into seaql_migrations (version, applied_at) values ('m99991231_000001_later', 0)";
        assert_eq!(database.tamper(later, &[]).await, 1);
        assert!(store.migrate().await.is_err());
        let gone = "delete from seaql_migrations where version like 'm9999%'";
        assert_eq!(database.tamper(gone, &[]).await, 1);
        store.migrate().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_migrate_at_once_take_turns() {
    on_each_database(async |database| {
        let store = database.store();
        let count = store.migration_status().await.unwrap().len();
        store.migrate_down(count as u32).await.unwrap();
        let other = SqlStore::connect(&StoreOptions {
            acquire_timeout: Patience::from_secs(30),
            ..StoreOptions::new(database.url())
        })
        .await
        .unwrap();
        let (first, second) = tokio::join!(store.migrate(), other.migrate());
        first.unwrap();
        second.unwrap();
        assert!(other.migration_status().await.unwrap().iter().all(|migration| migration.applied));
        other.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_a_free_connection_is_unavailable() {
    on_each_database(async |database| {
        let options = StoreOptions {
            max_connections: 1,
            acquire_timeout: Patience::from_secs(1),
            ..StoreOptions::new(database.url())
        };
        let store = SqlStore::connect(&options).await.unwrap();
        store.ping().await.unwrap();
        assert!(store.pool_figures().open >= 1);
        let mut holder = store.begin().await.unwrap();
        holder.events().append(event(&env(), TenantId::PLATFORM, "page.created")).await.unwrap();
        let busy = store.begin().await.err();
        assert!(matches!(busy, Some(StoreError::Unavailable(_))), "{busy:?}");
        drop(holder);
        store.begin().await.unwrap().commit().await.unwrap();
        store.close().await;
        assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))), "closed");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_in_which_a_statement_failed_is_not_committed() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let stored = stored_user(store, &env, "ada@example.com").await;
        let other = user(&env, "grace@example.com");
        // Somebody takes no notice of the error of a statement, or of a row that was to be added with it.
        let mut work = store.begin().await.unwrap();
        work.users().insert(&other, None).await.unwrap();
        assert!(matches!(work.users().insert(&stored, None).await, Err(StoreError::Conflict(_))));
        assert!(matches!(work.commit().await, Err(StoreError::Internal(_))));

        let again = event(&env, TenantId::PLATFORM, "page.created");
        let mut work = store.begin().await.unwrap();
        work.events().append(again.clone()).await.unwrap();
        work.commit().await.unwrap();
        let mut work = store.begin().await.unwrap();
        work.users().insert(&other, None).await.unwrap();
        work.events().append(again).await.unwrap();
        assert!(matches!(work.readers().take(vec!["failures"], 10).await, Err(StoreError::Conflict(_))));
        assert!(matches!(work.commit().await, Err(StoreError::Internal(_))));
        assert_eq!(store.reader().users().find(other.id).await.unwrap(), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_that_writes_makes_sqlite_wait_then_unavailable() {
    let database = TestDatabase::sqlite().await;
    let options =
        StoreOptions { acquire_timeout: Patience::from_secs(1), ..StoreOptions::new(database.url()) };
    let other = SqlStore::connect(&options).await.unwrap();
    let holder = database.store().begin().await.unwrap();
    let busy = other.begin().await.err();
    assert!(matches!(busy, Some(StoreError::Unavailable(_))), "{busy:?}");
    assert!(other.reader().tenants().find(env().new_id()).await.unwrap().is_none(), "readers do not wait");
    holder.commit().await.unwrap();
    other.begin().await.unwrap().commit().await.unwrap();
    other.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_is_unavailable() {
    for url in ["postgres://nobody@127.0.0.1:1/none", "sqlite:///no/such/folder/portico.db"] {
        let options = StoreOptions { acquire_timeout: Patience::from_secs(1), ..StoreOptions::new(url) };
        let error = SqlStore::connect(&options).await.err();
        assert!(matches!(error, Some(StoreError::Unavailable(_))), "{url}: {error:?}");
    }
}
