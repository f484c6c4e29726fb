//! No transaction is open while an external system is called: it would hold locks and a connection for as long as the call takes.
//!
//! Each port to the outside is wrapped: a call first begins a transaction, and SQLite allows one writer. Where the caller has a
//! transaction open, that fails, and is counted.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use portico::state::App;
use portico_identity::{
    mail::{MailBrand, Recipient},
    ports::Mailer,
};
use portico_kernel::{
    files::{FileError, FileStore, FileUpload},
    http::{HttpClient, HttpError, HttpRequest, HttpResponse},
    mail::{MailContent, MailError, MailId},
};
use portico_runtime::store::Store;
use portico_sites::ports::{
    ContentGenerator, DomainResolver, GeneratorError, PageBrief, PageDraft, Pointing, ResolveError,
    RewriteBrief, SectionDraft, SeoBrief, SeoDraft,
};
use portico_testkit::server::{Database, TestServer, eventually};
use serde_json::json;

use crate::fixture::{Fixture, unlimited};

/// How often each port was called, and how often a transaction was open then.
type Calls = Arc<Mutex<BTreeMap<&'static str, (usize, usize)>>>;

/// A port to the outside that is watched.
struct Watched<T: ?Sized> {
    way: &'static str,
    inner: Arc<T>,
    store: Arc<dyn Store>,
    calls: Calls,
}

impl<T: ?Sized> Watched<T> {
    /// Whether no other transaction is open: waiting for the writer of the database does not time out.
    async fn is_free(&self) -> bool {
        let free = self.store.begin().await.is_ok();
        let mut calls = self.calls.lock().unwrap();
        let (all, held) = calls.entry(self.way).or_default();
        *all += 1;
        *held += usize::from(!free);
        free
    }
}

#[async_trait]
impl HttpClient for Watched<dyn HttpClient> {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.is_free().await;
        self.inner.send(request).await
    }

    fn admits(&self, url: &str) -> Result<(), HttpError> {
        self.inner.admits(url)
    }
}

#[async_trait]
impl ContentGenerator for Watched<dyn ContentGenerator> {
    async fn page(&self, brief: &PageBrief) -> Result<PageDraft, GeneratorError> {
        self.is_free().await;
        self.inner.page(brief).await
    }

    async fn rewrite(&self, brief: &RewriteBrief) -> Result<SectionDraft, GeneratorError> {
        self.is_free().await;
        self.inner.rewrite(brief).await
    }

    async fn seo(&self, brief: &SeoBrief) -> Result<SeoDraft, GeneratorError> {
        self.is_free().await;
        self.inner.seo(brief).await
    }
}

#[async_trait]
impl DomainResolver for Watched<dyn DomainResolver> {
    async fn texts(&self, name: &str) -> Result<Vec<String>, ResolveError> {
        self.is_free().await;
        self.inner.texts(name).await
    }

    async fn pointing(&self, name: &str) -> Result<Pointing, ResolveError> {
        self.is_free().await;
        self.inner.pointing(name).await
    }
}

#[async_trait]
impl Mailer for Watched<dyn Mailer> {
    async fn send(
        &self,
        id: MailId,
        to: &Recipient,
        mail: &MailContent,
        brand: &MailBrand,
    ) -> Result<(), MailError> {
        self.is_free().await;
        self.inner.send(id, to, mail, brand).await
    }
}

#[async_trait]
impl FileStore for Watched<dyn FileStore> {
    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), FileError> {
        self.is_free().await;
        self.inner.put(key, bytes).await
    }

    async fn begin(&self, key: &str) -> Result<Box<dyn FileUpload>, FileError> {
        self.is_free().await;
        self.inner.begin(key).await
    }

    async fn direct_url(&self, key: &str, lifetime: Duration) -> Result<Option<String>, FileError> {
        self.is_free().await;
        self.inner.direct_url(key, lifetime).await
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, FileError> {
        self.is_free().await;
        self.inner.get(key).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Vec<u8>>, FileError> {
        self.is_free().await;
        self.inner.get_range(key, range).await
    }

    async fn delete(&self, key: &str) -> Result<(), FileError> {
        self.is_free().await;
        self.inner.delete(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, FileError> {
        self.is_free().await;
        self.inner.list(prefix).await
    }

    async fn delete_prefix(&self, prefix: &str) -> Result<(), FileError> {
        self.is_free().await;
        self.inner.delete_prefix(prefix).await
    }

    async fn ping(&self) -> Result<(), FileError> {
        self.is_free().await;
        self.inner.ping().await
    }
}

/// Wraps every port to the outside.
fn watch(app: &mut App, calls: &Calls) {
    let store = app.core.store.clone();
    let (mailer, files) = (app.identity.mail.mailer.clone(), app.sites.files.clone());
    let mailer: Arc<dyn Mailer> =
        Arc::new(Watched { way: "mail", inner: mailer, store: store.clone(), calls: calls.clone() });
    for mail in [&mut app.identity.mail, &mut app.tenancy.mail, &mut app.sites.mail] {
        mail.mailer = mailer.clone();
    }
    let files: Arc<dyn FileStore> =
        Arc::new(Watched { way: "files", inner: files, store: store.clone(), calls: calls.clone() });
    for place in [
        &mut app.identity.files,
        &mut app.sites.files,
        &mut app.sites.hosting.files,
        &mut app.licensing.files,
    ] {
        *place = files.clone();
    }
    let (inner, way) = (app.tenancy.webhook_client.clone(), "webhooks");
    app.tenancy.webhook_client = Arc::new(Watched { way, inner, store: store.clone(), calls: calls.clone() });
    let (inner, way) = (app.sites.resolver.clone(), "dns");
    app.sites.resolver = Arc::new(Watched { way, inner, store: store.clone(), calls: calls.clone() });
    let inner = app.sites.generator.clone().unwrap();
    app.sites.generator = Some(Arc::new(Watched { way: "texts", inner, store, calls: calls.clone() }));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_transaction_is_open_while_something_outside_is_called() {
    let calls = Calls::default();
    let server = TestServer::start_changed(Database::Sqlite, |_| {}, |app| watch(app, &calls)).await;
    unlimited(&server).await;
    // Mail, files of uploads and of a deployment, a picture, a test of a webhook.
    let fixture = Fixture::new(&server, "okapi").await;
    let client = &fixture.owner.client;
    client.post_empty(&fixture.path("/api/v1/sites/{siteId}/domains/{domainId}/verify")).await.expect(200);
    let page = json!({"title": "Bread", "purpose": "What we bake", "sections": ["hero"]});
    client.post("/api/v1/ai/generate-page", page).await.expect(200);
    let taken = async || {
        let calls = calls.lock().unwrap();
        let all = ["dns", "files", "mail", "texts", "webhooks"];
        all.iter().all(|way| calls.contains_key(way)).then_some(())
    };
    let all = eventually(Duration::from_secs(20), taken).await;
    server.stop().await;
    let calls = calls.lock().unwrap();
    assert!(all.is_some(), "not every way was taken: {calls:?}");
    assert!(calls.values().all(|(_, held)| *held == 0), "(calls, with a transaction open): {calls:?}");
}

/// Shows that the test above can fail.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_with_a_transaction_open_is_noticed() {
    let calls = Calls::default();
    let server = TestServer::start_changed(Database::Sqlite, |_| {}, |app| watch(app, &calls)).await;
    let open = server.app.core.begin().await.unwrap();
    let _ = server.app.sites.resolver.texts("example.com").await;
    drop(open);
    assert_eq!(calls.lock().unwrap().get("dns"), Some(&(1, 1)));
    server.stop().await;
}
