use std::path::PathBuf;

use super::*;

/// A file of its own, removed when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("portico_{name}_{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    async fn open(&self) -> SqlStore {
        let url = format!("sqlite://{}", self.0.join("portico.db").display());
        SqlStore::connect(&StoreOptions::new(url)).await.unwrap()
    }

    /// Opened for the first time, with a table to fill.
    async fn with_table(&self) -> SqlStore {
        let store = self.open().await;
        let table = "create table filler (number integer primary key, content blob)";
        store.write().execute(table, ()).await.unwrap();
        store
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn write(store: &SqlStore, number: i64) -> Result<(), StoreError> {
    let work = store.begin().await?;
    let sql = "insert into filler (number, content) values ($1, zeroblob(20000))";
    work.connection.db().execute(sql, [number]).await?;
    work.commit().await
}

async fn numbers(store: &SqlStore) -> Vec<i64> {
    store.read().rows("select number from filler order by number", ()).await.unwrap()
}

#[tokio::test]
async fn what_is_acknowledged_around_a_full_disk_is_there_after_a_restart() {
    let folder = Folder::new("full_disk");
    let store = folder.with_table().await;
    store.ping().await.unwrap();
    let (mut acknowledged, mut number) = (Vec::new(), 0);
    for round in 0..3 {
        // A quota of the connection, which goes with it: the disk is full until somebody opens the file anew.
        let pages: Option<i64> = store.write().row("pragma page_count", ()).await.unwrap();
        let quota = 20 + pages.unwrap();
        store.write().script(&format!("pragma max_page_count = {quota}")).await.unwrap();
        let refused = loop {
            number += 1;
            match write(&store, number).await {
                Ok(()) => acknowledged.push(number),
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");
        assert!(acknowledged.len() > round * 2, "there was room for some");
        assert!(store.health.has_failed(), "known to readiness");
        // The very next one is in a transaction of its own again.
        number += 1;
        write(&store, number).await.unwrap();
        acknowledged.push(number);
        assert!(!store.health.has_failed());
        store.ping().await.unwrap();
    }
    store.close().await;
    let store = folder.open().await;
    assert_eq!(numbers(&store).await, acknowledged);
    store.close().await;
}

#[tokio::test]
async fn a_file_that_takes_nothing_is_not_ready_until_it_does() {
    let folder = Folder::new("not_ready");
    let store = folder.with_table().await;
    write(&store, 1).await.unwrap();
    store.health.failed_to_write();
    // Another program has the write lock for longer than a probe waits.
    let other = folder.open().await;
    let holder = other.begin().await.unwrap();
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
    drop(holder);
    store.ping().await.unwrap();
    assert!(!store.health.has_failed());
    assert_eq!(numbers(&store).await, [1]);
    other.close().await;
    store.close().await;
}

#[tokio::test]
async fn a_transaction_that_met_a_failure_takes_no_more_statements() {
    let folder = Folder::new("broken");
    let store = folder.with_table().await;
    store.write().script("pragma max_page_count = 4").await.unwrap();
    let work = store.begin().await.unwrap();
    let insert = "insert into filler (number, content) values ($1, zeroblob($2))";
    work.connection.db().execute(insert, [1, 200_000]).await.unwrap_err();
    // SQLite has rolled back: this would be written for good, outside of any transaction.
    work.connection.db().execute(insert, [2, 1]).await.unwrap_err();
    work.commit().await.unwrap_err();
    assert_eq!(numbers(&store).await, [0; 0]);
    store.close().await;
}

#[tokio::test]
async fn a_conflict_says_nothing_about_the_database() {
    let folder = Folder::new("conflict");
    let store = folder.with_table().await;
    write(&store, 1).await.unwrap();
    let work = store.begin().await.unwrap();
    let insert = "insert into filler (number) values ($1)";
    let refused = work.connection.db().execute(insert, [1]).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict(_)), "{refused:?}");
    work.commit().await.unwrap_err();
    assert!(!store.health.take_doubt() && !store.health.has_failed());
    write(&store, 2).await.unwrap();
    assert_eq!(numbers(&store).await, [1, 2]);
    store.close().await;
}

#[tokio::test]
async fn a_reader_does_not_write() {
    let folder = Folder::new("reader");
    let store = folder.open().await;
    store
        .write()
        .execute("create table filler (number integer primary key, content blob)", ())
        .await
        .unwrap();
    write(&store, 1).await.unwrap();
    let reader = store.reader();
    let db = reader.connection.db();
    let is_refused = |error: StoreError| match error {
        StoreError::Internal(cause) => cause.to_string().contains("a reader does not write"),
        _ => false,
    };
    assert!(is_refused(db.execute("insert into filler (number) values ($1)", [2]).await.unwrap_err()));
    assert!(is_refused(db.script("delete from filler").await.unwrap_err()));
    let read: Vec<i64> = db.rows("select number from filler", ()).await.unwrap();
    assert_eq!(read, [1]);
    store.close().await;
}
