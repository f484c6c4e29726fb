//! Deliveries of webhooks as members look after them: tests, lists, and sending again.

use std::time::Duration;

use portico_feature_tenancy::flows::deliveries;
use portico_kernel::{Job, JobState, JobType};
use portico_tenancy::delivery::ResendPlan;
use portico_testkit::{
    database::tamper,
    receiver::{Receiver, Reply},
    server::eventually,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    fixture::text,
    webhooks::{are_over, listed, make, refused, rename, webhook_path, with_receivers},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_test_is_sent_at_once_also_to_a_paused_webhook() {
    with_receivers(async |server| {
        let owner = server.customer(server.email("owner")).await;
        let receiver = Receiver::start().await;
        let webhook = make(&owner, &receiver.url, &["page.updated"]).await;
        for pause in [false, true] {
            if pause {
                owner.post_empty(&webhook_path(&owner, &webhook, "/pause")).await.expect(200);
                receiver.always(Reply::status(500).saying("a\u{0}b".repeat(1000)));
            }
            let answer = owner.post_empty(&webhook_path(&owner, &webhook, "/test")).await;
            let location = answer.header("location").to_owned();
            let delivery = answer.expect(202);
            assert_eq!(
                json!([delivery["eventType"], delivery["cause"], delivery["attempt"], delivery["status"]]),
                json!(["webhook.test", "test", 1, "pending"])
            );
            assert_eq!(location, owner.t(&format!("/deliveries/{}", text(&delivery, "id"))));
            let received = receiver.wait_for(if pause { 2 } else { 1 }).await;
            let message = received.last().unwrap().json();
            assert_eq!(json!([message["type"], message["id"]]), json!(["webhook.test", delivery["eventId"]]));
            assert_eq!(
                received.last().unwrap().header("webhook-id"),
                format!("evt_{}", text(&delivery, "eventId"))
            );
            let over = eventually(Duration::from_secs(20), async || {
                let read = owner.get(&location).await.expect(200);
                (read["status"] != "pending").then_some(read)
            })
            .await
            .unwrap();
            let (status, code) = if pause { ("failed", 500) } else { ("succeeded", 204) };
            assert_eq!((&over["status"], &over["responseStatus"]), (&json!(status), &json!(code)));
            if pause {
                assert_eq!(over["responseBody"], Value::Null, "what is no text is not kept");
            }
        }
        let trail = owner.get(&owner.t("/audit?type=webhook.tested")).await.expect(200);
        assert_eq!(trail["items"].as_array().unwrap().len(), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_and_what_a_pause_missed_is_sent_again_and_nothing_twice() {
    with_receivers(async |server| {
        let owner = server.customer(server.email("owner")).await;
        let receiver = Receiver::start().await;
        let since = server.app.core.env.now();
        let webhook = make(&owner, &receiver.url, &["tenant.updated"]).await;
        let log = webhook_path(&owner, &webhook, "/deliveries");
        rename(&owner, "Arrives").await;
        listed(&owner, &log, are_over(1)).await;
        receiver.always(Reply::status(503));
        rename(&owner, "Fails").await;
        let failed = listed(&owner, &log, are_over(2)).await.remove(0);
        assert_eq!((&failed["status"], &failed["responseStatus"]), (&json!("failed"), &json!(503)));
        owner.post_empty(&webhook_path(&owner, &webhook, "/pause")).await.expect(200);
        rename(&owner, "Is missed").await;
        // The event happens while the webhook is paused: the log is read in order, so a delivery to another webhook shows that it was read.
        let other = Receiver::start().await;
        make(&owner, &other.url, &["webhook.paused", "tenant.updated"]).await;
        rename(&owner, "Is missed, too").await;
        other.wait_for(1).await;

        refused(
            &owner.post_empty(&owner.t(&format!("/deliveries/{}/resend", text(&failed, "id")))).await,
            409,
            "webhook_not_enabled",
        );
        let body = json!({ "since": since });
        refused(
            &owner.post(&webhook_path(&owner, &webhook, "/resend"), body.clone()).await,
            409,
            "webhook_not_enabled",
        );
        owner.post_empty(&webhook_path(&owner, &webhook, "/resume")).await.expect(200);
        receiver.always(Reply::status(200));

        let answer = owner.post_empty(&owner.t(&format!("/deliveries/{}/resend", text(&failed, "id")))).await;
        let location = answer.header("location").to_owned();
        let again = answer.expect(202);
        assert_eq!(
            json!([again["cause"], again["attempt"], again["eventId"]]),
            json!(["resend", 1, failed["eventId"]])
        );
        assert_eq!(location, owner.t(&format!("/deliveries/{}", text(&again, "id"))));
        listed(&owner, &log, are_over(3)).await;

        let answer = owner.post(&webhook_path(&owner, &webhook, "/resend"), body.clone()).await;
        let of_these = answer.header("location").to_owned();
        let answered = answer.expect(202);
        assert_eq!((&answered["onlyFailed"], answered["to"].is_string()), (&json!(true), true));
        let sent = listed(&owner, &of_these, are_over(2)).await;
        assert!(
            sent.iter().all(|delivery| delivery["cause"] == "resend" && delivery["status"] == "succeeded")
        );
        let names: Vec<_> = receiver.received().iter().map(|one| text(&one.json()["data"], "name")).collect();
        let mut missed = names[3..].to_vec();
        missed.sort();
        assert_eq!(
            (&names[..3], missed),
            (
                &["Arrives", "Fails", "Fails"].map(str::to_owned)[..],
                vec!["Is missed".to_owned(), "Is missed, too".to_owned()]
            )
        );
        let ids: Vec<_> = receiver.received().iter().map(|one| one.header("webhook-id").to_owned()).collect();
        assert_eq!(ids[1], ids[2], "the same message has the same id");

        // Everything has arrived now: nothing to send. Then all of it, whether or not it has.
        owner.post(&webhook_path(&owner, &webhook, "/resend"), body).await.expect(202);
        let all = json!({"since": since, "onlyFailed": false});
        let answer = owner.post(&webhook_path(&owner, &webhook, "/resend"), all).await;
        let of_these = answer.header("location").to_owned();
        answer.expect(202);
        let sent = listed(&owner, &of_these, are_over(4)).await;
        let mut events: Vec<_> = sent.iter().map(|delivery| text(delivery, "eventId")).collect();
        events.sort();
        events.dedup();
        assert_eq!((events.len(), receiver.received().len()), (4, 9));
        let trail = owner.get(&owner.t("/audit?type=webhook.deliveries_resent")).await.expect(200);
        assert_eq!(trail["items"].as_array().unwrap().len(), 4);

        // After a worker died, another one runs the job again from the start.
        let now = server.app.core.env.now();
        let job = Job {
            id: server.app.core.env.new_id(),
            kind: ResendPlan::KIND.to_owned(),
            payload: json!({"webhookId": webhook["id"], "since": since, "until": now, "onlyFailed": false, "requestedAt": now}),
            tenant_id: owner.tenant.parse().unwrap(),
            state: JobState::Running,
            attempts: 1,
            max_attempts: 2,
            run_at: now,
            due_at: None,
            last_error: None,
            request_id: String::new(),
            trace_parent: None,
            created_at: now,
        };
        let plan = || serde_json::from_value::<ResendPlan>(job.payload.clone()).unwrap();
        for _ in 0..2 {
            deliveries::resend(&server.app.tenancy, plan(), &job).await.unwrap();
        }
        let path = format!("{log}?from={now}");
        listed(&owner, &path, are_over(4)).await;
        deliveries::resend(&server.app.tenancy, plan(), &job).await.unwrap();
        assert_eq!(listed(&owner, &path, are_over(4)).await.len(), 4, "also when they have arrived meanwhile");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_found_by_what_is_asked_for() {
    with_receivers(async |server| {
        let owner = server.customer(server.email("owner")).await;
        let receiver = Receiver::start().await;
        receiver.next([Reply::status(200), Reply::status(404)]);
        let webhook = make(&owner, &receiver.url, &["tenant.updated"]).await;
        rename(&owner, "One").await;
        listed(&owner, &owner.t("/deliveries"), are_over(1)).await;
        rename(&owner, "Two").await;
        let [failed, good] = listed(&owner, &owner.t("/deliveries"), are_over(2)).await.try_into().unwrap();
        let id = text(&webhook, "id");
        let find = async |query: &str| -> Vec<String> {
            let found = owner.get(&owner.t(&format!("/deliveries?{query}"))).await.expect(200);
            found["items"].as_array().unwrap().iter().map(|delivery| text(delivery, "id")).collect()
        };
        let (bad, fine) = (text(&failed, "id"), text(&good, "id"));
        assert_eq!(find(&format!("webhookId={id}")).await, [bad.clone(), fine.clone()]);
        assert_eq!(find(&format!("webhookId={}", server.app.core.env.random_uuid())).await, [""; 0]);
        assert_eq!(find("status=failed").await, std::slice::from_ref(&bad));
        assert_eq!(find("status=succeeded").await, std::slice::from_ref(&fine));
        assert_eq!(find("status=pending").await, [""; 0]);
        assert_eq!(find("eventType=tenant.updated").await.len(), 2);
        assert_eq!(find("eventType=webhook.test").await, [""; 0]);
        assert_eq!(
            find(&format!("eventId=evt_{}", text(&good, "eventId"))).await,
            std::slice::from_ref(&fine)
        );
        assert_eq!(find(&format!("eventId={}", text(&failed, "eventId"))).await, std::slice::from_ref(&bad));
        assert_eq!(find(&format!("from={}", text(&failed, "createdAt"))).await, std::slice::from_ref(&bad));
        assert_eq!(find(&format!("until={}", text(&failed, "createdAt"))).await, std::slice::from_ref(&fine));
        let first = owner.get(&owner.t("/deliveries?limit=1")).await.expect(200);
        assert_eq!(text(&first["items"][0], "id"), bad);
        assert_eq!(
            find(&format!("limit=1&cursor={}", text(&first, "nextCursor"))).await,
            std::slice::from_ref(&fine)
        );

        let stranger = server.customer(server.email("stranger")).await;
        let foreign = stranger.t(&format!("/deliveries/{fine}"));
        refused(&stranger.get(&foreign).await, 404, "not_found");
        refused(&stranger.post_empty(&format!("{foreign}/resend")).await, 404, "not_found");
        refused(&stranger.get(&stranger.t(&format!("/webhooks/{id}/deliveries"))).await, 404, "not_found");
        assert_eq!(stranger.get(&stranger.t("/deliveries")).await.expect(200)["items"], json!([]));
        let all = stranger.get(&stranger.t(&format!("/deliveries?webhookId={id}"))).await.expect(200);
        assert_eq!(all["items"], json!([]));

        // Old deliveries are deleted; without its event a delivery cannot be sent again.
        let url = server.app.settings.database_url();
        let old = "update webhook_deliveries set created_at = '2020-01-01 00:00:00' where id = $1";
        assert_eq!(tamper(url.expose_secret(), old, &[fine.parse().unwrap()]).await, 1);
        deliveries::forget(&server.app.tenancy).await.unwrap();
        assert_eq!(find("").await, std::slice::from_ref(&bad));
        let expired = "delete from events where id = $1";
        assert_eq!(
            tamper(url.expose_secret(), expired, &[text(&failed, "eventId").parse().unwrap()]).await,
            1
        );
        let answer = owner.post_empty(&owner.t(&format!("/deliveries/{bad}/resend"))).await;
        refused(&answer, 409, "event_forgotten");
    })
    .await;
}
