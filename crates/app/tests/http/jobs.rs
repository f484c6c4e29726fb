//! Background jobs: a job that cannot be done waits for staff, one of an unknown kind is left to a newer version, and jobs go on while
//! requests wait.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use portico::settings::Settings;
use portico_identity::{
    mail::{MailBrand, Recipient},
    ports::Mailer,
};
use portico_kernel::{
    JobId, JobState, NewJob, PageRequest, PlatformRole, TenantId,
    mail::{MailContent, MailError, MailId},
};
use portico_testkit::server::{Client, Database, TestServer, eventually};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// Gives the client's account a platform-wide role.
async fn appoint(server: &TestServer, client: &Client, role: PlatformRole) {
    let profile = client.get("/api/v1/profile").await.expect(200);
    let mut work = server.app.core.begin().await.unwrap();
    let id = profile["id"].as_str().unwrap().parse().unwrap();
    let mut user = work.users().find(id).await.unwrap().unwrap();
    user.role = role;
    work.users().update(&user).await.unwrap();
    work.commit().await.unwrap();
}

fn new_job(server: &TestServer, kind: &'static str, payload: Value) -> NewJob {
    NewJob {
        id: server.app.core.env.new_id(),
        kind,
        payload,
        tenant: TenantId::PLATFORM,
        run_at: server.app.core.env.now(),
        max_attempts: 3,
        request_id: "r1".into(),
    }
}

/// A job that nobody can do: its payload cannot be read.
fn hopeless(server: &TestServer) -> NewJob {
    new_job(server, "email.verification", json!({"a": 1}))
}

/// Enqueues jobs, all at once.
async fn enqueue(server: &TestServer, jobs: impl IntoIterator<Item = NewJob>) {
    let mut work = server.app.core.begin().await.unwrap();
    for job in jobs {
        work.jobs().enqueue(job).await.unwrap();
    }
    work.commit().await.unwrap();
}

/// Enqueues a job that nobody can do, and answers its id.
async fn enqueue_hopeless(server: &TestServer) -> String {
    let job = hopeless(server);
    let id = job.id.to_string();
    enqueue(server, [job]).await;
    id
}

/// Waits until a job is dead.
async fn dead(staff: &Client, id: &str) -> Option<Value> {
    let found = async || {
        let answer = staff.get("/api/v1/admin/jobs?state=dead").await;
        let items = answer.json["items"].as_array()?.clone();
        items.into_iter().find(|job| job["id"] == id)
    };
    eventually(Duration::from_secs(10), found).await
}

/// Hands messages to some addresses over while there is a permit, or when the test is at its end.
struct Stuck {
    inner: Arc<dyn Mailer>,
    /// Closed at the end.
    end: Arc<Semaphore>,
    begun: Arc<AtomicUsize>,
}

/// A server whose messages to `stuck…` wait for a permit or the end, and how many of them have begun.
async fn stuck(
    permits: usize,
    adjust: impl FnOnce(&mut Settings),
) -> (TestServer, Arc<Semaphore>, Arc<AtomicUsize>) {
    let (end, begun) = (Arc::new(Semaphore::new(permits)), Arc::new(AtomicUsize::new(0)));
    let server = TestServer::start_changed(Database::Sqlite, adjust, |app| {
        let inner = app.identity.mail.mailer.clone();
        app.identity.mail.mailer = Arc::new(Stuck { inner, end: end.clone(), begun: begun.clone() });
    })
    .await;
    (server, end, begun)
}

/// Waits until so many messages have begun; answers whether they have.
async fn have_begun(begun: &AtomicUsize, number: usize) -> bool {
    let enough = async || (begun.load(Ordering::Relaxed) >= number).then_some(());
    eventually(Duration::from_secs(10), enough).await.is_some()
}

#[async_trait]
impl Mailer for Stuck {
    async fn send(
        &self,
        id: MailId,
        to: &Recipient,
        mail: &MailContent,
        brand: &MailBrand,
    ) -> Result<(), MailError> {
        if to.email.as_str().starts_with("stuck") {
            self.begun.fetch_add(1, Ordering::Relaxed);
            drop(self.end.acquire().await);
        }
        self.inner.send(id, to, mail, brand).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_go_on_while_requests_wait_however_long_the_first_ones_take() {
    let (server, end, begun) = stuck(0, |_| {}).await;
    let staff = server.customer("staff@example.com").await;
    appoint(&server, &staff, PlatformRole::Staff).await;
    // As if there was a request that never has its turn.
    let waits = server.app.core.signals.waiting.join();
    for number in 1..=3 {
        server.unverified(&format!("stuck-{number}@example.com")).await;
        assert!(have_begun(&begun, number).await, "mail {number} began");
    }
    for _ in 0..5 {
        let id = enqueue_hopeless(&server).await;
        assert!(dead(&staff, &id).await.is_some(), "there is a worker slot left");
    }
    drop(waits);
    end.close();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_were_claimed_and_handed_back_are_claimed_again_before_the_next_poll() {
    let (server, end, begun) = stuck(1, |settings| settings.worker.poll = Duration::from_secs(3600)).await;
    let email = "stuck@example.com";
    server.unverified(email).await;
    assert!(have_begun(&begun, 1).await);
    // Short jobs: the next ones are claimed many at a time.
    enqueue(&server, (0..16).map(|_| hopeless(&server))).await;
    let all_done = async || {
        let figures = server.app.core.jobs.figures(server.app.core.env.now()).await.unwrap();
        ((figures.running, figures.dead) == (0, 16)).then_some(())
    };
    assert!(eventually(Duration::from_secs(10), all_done).await.is_some());
    end.try_acquire().unwrap().forget();
    // As if there was a request that never has its turn: the third one waits for longer than a claimed job may.
    let waits = server.app.core.signals.waiting.join();
    let payload = json!({"email": email});
    let mails = (0..3).map(|_| new_job(&server, "email.verification", payload.clone()));
    enqueue(&server, mails).await;
    assert!(have_begun(&begun, 4).await, "{begun:?} have begun");
    drop(waits);
    end.close();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cannot_be_done_is_listed_and_can_be_replayed() {
    TestServer::on_each_database(async |server| {
        let staff = server.customer("staff@example.com").await;
        appoint(server, &staff, PlatformRole::Staff).await;
        let id = enqueue_hopeless(server).await;
        let listed = dead(&staff, &id).await.expect("the job is dead");
        assert_eq!((&listed["kind"], &listed["requestId"]), (&json!("email.verification"), &json!("r1")));
        assert!(listed["lastError"].as_str().unwrap().contains("payload"), "{listed}");

        let path = format!("/api/v1/admin/jobs/{id}/replay");
        assert_eq!(staff.post_empty(&path).await.expect(202)["state"], "queued");
        let again = dead(&staff, &id).await.expect("the job is dead again");
        assert_eq!(again["attempts"], 1, "attempts start again");
        let unknown = format!("/api/v1/admin/jobs/{}/replay", TenantId::PLATFORM);
        assert_eq!(staff.post_empty(&unknown).await.expect(404)["code"], "not_found");
        let customer = server.customer("customer@example.com").await;
        assert_eq!(customer.get("/api/v1/admin/jobs").await.status.as_u16(), 403);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_an_unknown_kind_is_left_to_a_newer_version_for_a_day() {
    TestServer::on_each_database(async |server| {
        let now = server.app.core.env.now();
        let young = new_job(server, "nobody.knows", json!({}));
        // Enqueued in 2024, for now.
        let id = "018f1a2b-3c4d-7e5f-8a6b-7c8d9e0f1a2b".parse().unwrap();
        let planned = NewJob { id, run_at: now, ..new_job(server, "nobody.knows", json!({})) };
        let old = NewJob { run_at: now - time::Duration::DAY, ..new_job(server, "nobody.knows", json!({})) };
        enqueue(server, [young.clone(), planned.clone(), old.clone()]).await;
        let given_back = async |id: JobId| {
            let page = PageRequest { page: 1, limit: 100 };
            let listed = server.app.core.jobs.list(None, page).await.unwrap();
            listed.items.into_iter().find(|job| job.id == id && job.last_error.is_some())
        };
        let left = eventually(Duration::from_secs(10), async || given_back(young.id).await);
        let left = left.await.expect("the job is put back");
        assert_eq!((left.state, left.attempts), (JobState::Queued, 0), "and the attempt did not count");
        assert!(left.run_at > now, "for a later time");
        let planned = eventually(Duration::from_secs(10), async || given_back(planned.id).await);
        assert_eq!(planned.await.unwrap().state, JobState::Queued, "also one that was enqueued long before");
        let dead = eventually(Duration::from_secs(10), async || given_back(old.id).await);
        let dead = dead.await.expect("the old one is given up");
        assert_eq!((dead.state, dead.attempts), (JobState::Dead, 1));
        assert!([left, dead].iter().all(|job| job.last_error.as_ref().unwrap().contains("no handler")));
    })
    .await;
}
