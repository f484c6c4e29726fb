//! Files that are gone: what a killed upload leaves behind, and what was deleted.

use super::*;

/// A job as a worker gets it.
fn claimed(server: &TestServer, client: &Client, payload: Value) -> Job {
    let now = server.app.core.env.now();
    Job {
        id: server.app.core.env.new_id(),
        kind: "asset.purge".to_owned(),
        payload,
        tenant_id: client.tenant.parse().unwrap(),
        state: JobState::Running,
        attempts: 1,
        max_attempts: 1,
        run_at: now,
        due_at: None,
        last_error: None,
        request_id: "test".to_owned(),
        trace_parent: None,
        created_at: now,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_upload_leaves_behind_is_deleted_and_nothing_else() {
    TestServer::shared(async |server| {
        let ada = Person::new(server, server.email("ada"), |_| {}).await;
        let kept = uploaded(&ada.client, "a.png", &png(10, 10, 0)).await;
        let before = stored(server, &ada.client).await;
        // Killed after its files were stored, and before its row was.
        let orphan = server.app.core.env.new_id::<()>();
        let folder = format!("assets/{}/{orphan}", ada.client.tenant);
        server.app.sites.files.put(&format!("{folder}/original"), PDF.to_vec()).await.unwrap();
        let job = claimed(server, &ada.client, json!({"assetIds": [orphan, text(&kept, "id")]}));
        for _ in 0..2 {
            assert!(jobs::handle(&server.app, &job).await.is_ok());
            assert_eq!(stored(server, &ada.client).await, before);
        }
        assert_eq!(used(&ada.client).await, size(&kept));
        assert_eq!(server.client().get(&path(server, &kept["url"])).await.status.as_u16(), 200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_of_a_deleted_file_go_when_its_time_is_over() {
    let no_grace = |settings: &mut Settings| settings.assets.deletion_grace = Duration::ZERO;
    let database = Database::Postgres;
    let server = TestServer::start_with(database, no_grace).await;
    let ada = Person::new(&server, server.email("ada"), |_| {}).await;
    let one = uploaded(&ada.client, "a.png", &png(10, 10, 0)).await;
    assert_eq!(stored(&server, &ada.client).await.len(), 2);
    let address = ada.client.t(&format!("/assets/{}", text(&one, "id")));
    ada.client.delete(&address).await.expect(204);
    ada.client.post_empty(&format!("{address}/restore")).await.expect(404);
    let gone = eventually(Duration::from_secs(20), async || {
        stored(&server, &ada.client).await.is_empty().then_some(())
    });
    gone.await.expect("the files go");
    assert_eq!(used(&ada.client).await, 0);
    server.stop().await;
}
