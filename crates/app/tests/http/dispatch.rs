//! From an event to the receiver: what is sent, again and again, and when it ends.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use portico::settings::Settings;
use portico_security::webhook_signature;
use portico_testkit::{
    receiver::{Received, Receiver, Reply},
    server::{Client, Database, TestServer, eventually},
};
use serde_json::{Value, json};

/// Quick retries, and receivers on this machine.
fn quick(settings: &mut Settings) {
    settings.webhooks.allow_networks = vec!["127.0.0.0/8".parse().unwrap()];
    settings.webhooks.retries = vec![Duration::from_millis(30), Duration::from_millis(60)];
    settings.webhooks.timeout = Duration::from_millis(400);
}

/// Runs a test on each database.
async fn on_each(adjust: fn(&mut Settings), test: impl AsyncFn(&TestServer)) {
    for database in [Database::Sqlite, Database::Postgres] {
        let server = TestServer::start_with(database, |settings| {
            quick(settings);
            adjust(settings);
        })
        .await;
        test(&server).await;
        server.stop().await;
    }
}

/// Makes a webhook, and returns it as it was made.
async fn hook(owner: &Client, receiver: &Receiver, events: &[&str]) -> Value {
    let body = json!({"url": receiver.url, "events": events});
    owner.post(&owner.t("/webhooks"), body).await.expect(201)
}

/// Makes a change that webhooks receive as `tenant.updated`.
async fn change(owner: &Client, name: &str) {
    owner.put(&owner.t(""), json!({ "name": name })).await.expect(200);
}

fn key(secret: &Value) -> Vec<u8> {
    let secret = secret["secret"].as_str().unwrap();
    STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap()
}

/// What a receiver has to check.
fn is_signed(received: &Received, keys: &[Vec<u8>]) -> bool {
    let timestamp: i64 = received.header("webhook-timestamp").parse().unwrap();
    let expected = webhook_signature(keys, received.header("webhook-id"), timestamp, &received.body);
    received.header("webhook-signature") == expected
}

/// The attempts at a webhook, oldest first, once so many have ended.
async fn ended(owner: &Client, webhook: &Value, count: usize) -> Vec<Value> {
    let path = owner.t(&format!("/webhooks/{}/deliveries", webhook["id"].as_str().unwrap()));
    let found = eventually(Duration::from_secs(20), async || {
        let answer = owner.get(&path).await.expect(200);
        let mut items = answer["items"].as_array()?.clone();
        items.retain(|delivery| delivery["status"] != "pending");
        items.reverse();
        (items.len() >= count).then_some(items)
    });
    found.await.unwrap_or_else(|| panic!("{count} attempts do not end"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_sent_signed_and_noted() {
    on_each(
        |_| {},
        async |server| {
            let owner = server.customer("owner@example.com").await;
            let receiver = Receiver::start().await;
            receiver.always(Reply::status(200).saying("thanks"));
            let webhook = hook(&owner, &receiver, &["tenant.updated"]).await;
            change(&owner, "First").await;
            owner.put(&owner.t("/branding"), json!({"fonts": {"heading": "Inter"}})).await;
            change(&owner, "Second").await;
            let received = receiver.wait_for(2).await;
            let (mut first, mut second) = (&received[0], &received[1]);
            if first.json()["data"]["name"] == "Second" {
                (first, second) = (second, first);
            }
            assert_eq!((first.path.as_str(), first.header("content-type")), ("/hook", "application/json"));
            assert!(first.header("user-agent").starts_with("Portico/"));
            for one in [first, second] {
                assert!(is_signed(one, &[key(&webhook)]), "{one:?}");
                let message = one.json();
                assert_eq!(one.header("webhook-id"), format!("evt_{}", message["id"].as_str().unwrap()));
                assert_eq!(
                    (&message["type"], &message["tenantId"]),
                    (&json!("tenant.updated"), &json!(owner.tenant))
                );
            }
            let message = second.json();
            assert_eq!(message["changes"]["name"], json!({"from": "First", "to": "Second"}));
            assert_eq!(message["data"]["name"], "Second");
            assert!(first.json()["sequence"].as_i64() < message["sequence"].as_i64());

            let attempts = ended(&owner, &webhook, 2).await;
            assert_eq!(attempts.len(), 2, "what it does not want is not sent");
            for attempt in &attempts {
                assert_eq!(
                    (&attempt["status"], &attempt["responseStatus"]),
                    (&json!("succeeded"), &json!(200))
                );
                assert_eq!((&attempt["attempt"], &attempt["cause"]), (&json!(1), &json!("event")));
                assert!(attempt["durationMs"].is_u64() && attempt["deliveredAt"].is_string(), "{attempt}");
            }
            let one = owner.t(&format!("/deliveries/{}", attempts[0]["id"].as_str().unwrap()));
            assert_eq!(owner.get(&one).await.expect(200)["responseBody"], "thanks");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_is_called_again_with_the_same_id_and_not_before_it_wants() {
    on_each(
        |_| {},
        async |server| {
            let owner = server.customer("owner@example.com").await;
            let receiver = Receiver::start().await;
            let good = Receiver::start().await;
            receiver.next([
                Reply::status(500).saying("ñ".repeat(2000)),
                Reply::status(503).with("retry-after", "1").saying([b'a', 0, b'b']),
            ]);
            let webhook = hook(&owner, &receiver, &["tenant.updated"]).await;
            let unlike = hook(&owner, &good, &["*"]).await;
            change(&owner, "Changed").await;
            let received = receiver.wait_for(3).await;
            for one in &received {
                assert!(is_signed(one, &[key(&webhook)]), "each attempt with its own time: {one:?}");
                assert_eq!(
                    (one.header("webhook-id"), &one.body),
                    (received[0].header("webhook-id"), &received[0].body)
                );
            }
            let pause = received[2].at - received[1].at;
            assert!(pause >= Duration::from_secs(1), "it wanted to be left alone, and had {pause:?}");
            let attempts = ended(&owner, &webhook, 3).await;
            let facts: Vec<_> = attempts
                .iter()
                .map(|one| (one["attempt"].clone(), one["status"].clone(), one["responseStatus"].clone()))
                .collect();
            let fact = |attempt, status, code| (json!(attempt), json!(status), json!(code));
            assert_eq!(facts, [fact(1, "failed", 500), fact(2, "failed", 503), fact(3, "succeeded", 204)]);
            assert_eq!(attempts[0]["error"], "answered 500");
            for (attempt, body) in attempts.iter().zip([json!("ñ".repeat(256)), Value::Null, Value::Null]) {
                let path = owner.t(&format!("/deliveries/{}", attempt["id"].as_str().unwrap()));
                assert_eq!(owner.get(&path).await.expect(200)["responseBody"], body);
            }
            // The other webhook got it at once, and the creation of the webhooks after it.
            let delivered = good.wait_for(1).await;
            let message = delivered.iter().find(|one| one.json()["type"] == "tenant.updated").unwrap();
            assert!(message.at < received[2].at && is_signed(message, &[key(&unlike)]));
            assert_eq!(message.header("webhook-id"), received[0].header("webhook-id"));
            let now = owner
                .get(&owner.t(&format!("/webhooks/{}", webhook["id"].as_str().unwrap())))
                .await
                .expect(200);
            assert_eq!((&now["status"], &now["failures"]), (&json!("enabled"), &json!(0)));
        },
    )
    .await;
}

/// The webhook once it is switched off.
async fn disabled(owner: &Client, webhook: &Value) -> Value {
    let path = owner.t(&format!("/webhooks/{}", webhook["id"].as_str().unwrap()));
    let off = eventually(Duration::from_secs(20), async || {
        let now = owner.get(&path).await.expect(200);
        (now["status"] == "disabled").then_some(now)
    });
    off.await.expect("it is switched off")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_goes_on_failing_is_given_up_and_the_owner_hears_of_it() {
    fn impatient(settings: &mut Settings) {
        settings.webhooks.disable_after = Duration::ZERO;
        settings.webhooks.retries.truncate(1);
    }
    on_each(impatient, async |server| {
        let owner = server.customer("owner@example.com").await;
        let receiver = Receiver::start().await;
        let witness = Receiver::start().await;
        receiver.always(Reply::HangUp);
        let webhook = hook(&owner, &receiver, &["tenant.updated"]).await;
        hook(&owner, &witness, &["tenant.updated", "webhook.disabled"]).await;
        change(&owner, "First").await;
        let off = disabled(&owner, &webhook).await;
        assert_eq!((&off["active"], &off["failures"]), (&json!(false), &json!(2)));
        assert!(off["disabledAt"].is_string() && off["failingSince"].is_string());
        assert_eq!(off["disabledReason"], "Every attempt failed for too long.");
        let attempts = ended(&owner, &webhook, 2).await;
        assert_eq!(attempts.len(), 2);
        assert!(attempts[1]["error"].as_str().unwrap().starts_with("unreachable"), "{}", attempts[1]);

        // By mail, by an event, and by other webhooks.
        let mail = server.mail("owner@example.com", "was switched off").await;
        assert!(mail.contains(&receiver.url) && mail.contains("failed for too long"), "{mail}");
        let log = owner.get(&owner.t("/audit?type=webhook.disabled")).await.expect(200);
        let entry = &log["items"][0];
        assert_eq!(
            (&entry["actor"]["kind"], &entry["after"]["status"]),
            (&json!("system"), &json!("disabled"))
        );
        let received = witness.wait_for(2).await;
        let message =
            received.iter().map(Received::json).find(|one| one["type"] == "webhook.disabled").unwrap();
        assert_eq!(message["changes"]["status"], json!({"from": "enabled", "to": "disabled"}));

        // It misses what happens now, and receives what happens once it is resumed.
        let before = receiver.received().len();
        change(&owner, "Second").await;
        witness.wait_for(3).await;
        receiver.always(Reply::status(200));
        let resume = owner.t(&format!("/webhooks/{}/resume", webhook["id"].as_str().unwrap()));
        owner.post(&resume, json!({})).await.expect(200);
        change(&owner, "Third").await;
        let received = receiver.wait_for(before + 1).await;
        assert_eq!(received[before].json()["data"]["name"], "Third");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_is_called_no_more() {
    fn patient(settings: &mut Settings) {
        settings.webhooks.retries = vec![Duration::from_secs(3600)];
    }
    on_each(patient, async |server| {
        let owner = server.customer("owner@example.com").await;
        let receiver = Receiver::start().await;
        receiver.next([Reply::status(500), Reply::status(410)]);
        let webhook = hook(&owner, &receiver, &["tenant.updated"]).await;
        change(&owner, "First").await;
        receiver.wait_for(1).await;
        ended(&owner, &webhook, 1).await;
        change(&owner, "Second").await;
        let off = disabled(&owner, &webhook).await;
        assert_eq!(off["disabledReason"], "The receiver answered 410 Gone.");
        // The attempt that was planned for later is given up, too.
        let attempts = ended(&owner, &webhook, 3).await;
        let given_up: Vec<_> =
            attempts.iter().filter(|one| one["error"] == "the webhook was switched off").collect();
        assert_eq!((given_up.len(), &given_up[0]["attempt"]), (1, &json!(2)));
        let mail = server.mail("owner@example.com", "was switched off").await;
        assert!(mail.contains("410 Gone"), "{mail}");
        assert_eq!(receiver.received().len(), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_not_followed_and_nobody_is_waited_for_without_end() {
    fn once(settings: &mut Settings) {
        settings.webhooks.retries.clear();
    }
    on_each(once, async |server| {
        let owner = server.customer("owner@example.com").await;
        let [moved, silent, elsewhere] =
            [Receiver::start().await, Receiver::start().await, Receiver::start().await];
        moved.always(Reply::status(307).with("location", elsewhere.url.as_str()));
        silent.always(Reply::Never);
        let webhooks = [
            hook(&owner, &moved, &["tenant.updated"]).await,
            hook(&owner, &silent, &["tenant.updated"]).await,
        ];
        change(&owner, "Changed").await;
        for (webhook, error) in webhooks.iter().zip(["answered 307; redirects are not followed", "timed out"])
        {
            let attempts = ended(&owner, webhook, 1).await;
            assert_eq!((attempts.len(), &attempts[0]["error"]), (1, &json!(error)));
        }
        assert_eq!(elsewhere.connections(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_inside_is_not_called() {
    let receiver = Receiver::start().await;
    let port = receiver.address.port();
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.webhooks.retries.clear();
        settings.webhooks.allow_ports = vec![port];
    })
    .await;
    let owner = server.customer("owner@example.com").await;
    let url = format!("https://localhost:{port}/hook");
    let body = json!({"url": url, "events": ["tenant.updated"]});
    let webhook = owner.post(&owner.t("/webhooks"), body).await.expect(201);
    change(&owner, "Changed").await;
    let attempts = ended(&owner, &webhook, 1).await;
    assert_eq!(attempts[0]["error"], "address refused: the name leads to no address that may be called");
    assert_eq!((receiver.connections(), &attempts[0]["responseStatus"]), (0, &Value::Null));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_never_answer_delay_nobody_elses_deliveries() {
    fn crowded(settings: &mut Settings) {
        settings.webhooks.concurrency = 8;
        settings.webhooks.retries = vec![Duration::from_millis(10); 10];
    }
    on_each(crowded, async |server| {
        let (one, two) = (server.customer("one@example.com").await, server.customer("two@example.com").await);
        let silent = Receiver::start().await;
        silent.always(Reply::Never);
        for _ in 0..8 {
            hook(&one, &silent, &["tenant.updated"]).await;
        }
        let [mine, others] = [Receiver::start().await, Receiver::start().await];
        hook(&one, &mine, &["tenant.updated"]).await;
        hook(&two, &others, &["tenant.updated"]).await;
        for round in 1..=4 {
            for (customer, receiver) in [(&one, &mine), (&two, &others)] {
                let begun = Instant::now();
                change(customer, &format!("Round {round}")).await;
                receiver.wait_for(round).await;
                assert!(begun.elapsed() < Duration::from_secs(2), "round {round}: {:?}", begun.elapsed());
            }
        }
        assert!(silent.received().len() > 8, "they are called meanwhile");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_gets_no_more_at_once_and_no_faster_than_it_may() {
    fn narrow(settings: &mut Settings) {
        settings.webhooks.per_webhook = 2;
        settings.webhooks.timeout = Duration::from_secs(5);
    }
    on_each(narrow, async |server| {
        let owner = server.customer("owner@example.com").await;
        let [narrow, slow] = [Receiver::start().await, Receiver::start().await];
        let Reply::Answer { status, headers, body, .. } = Reply::status(200) else { unreachable!() };
        narrow.always(Reply::Answer { status, headers, body, after: Duration::from_millis(40) });
        hook(&owner, &narrow, &["tenant.updated"]).await;
        let body = json!({"url": slow.url, "events": ["tenant.updated"], "ratePerSecond": 20});
        owner.post(&owner.t("/webhooks"), body).await.expect(201);
        for number in 0..10 {
            change(&owner, &format!("Name {number}")).await;
        }
        let received = slow.wait_for(10).await;
        narrow.wait_for(10).await;
        assert_eq!(narrow.most_at_once(), 2);
        let took = received[9].at - received[0].at;
        assert!(took >= Duration::from_millis(9 * 50 - 100), "{took:?}");
        // Connections are used again.
        assert!(narrow.connections() <= 3 && slow.connections() <= 3, "{}", narrow.connections());
        let mut places: Vec<i64> =
            narrow.received().iter().filter_map(|one| one.json()["sequence"].as_i64()).collect();
        places.sort_unstable();
        assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "{places:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pending_waits_for_the_end_of_a_pause_and_both_secrets_sign_for_a_while() {
    on_each(
        |settings| settings.webhooks.retries = vec![Duration::from_millis(300)],
        async |server| {
            let owner = server.customer("owner@example.com").await;
            let receiver = Receiver::start().await;
            receiver.next([Reply::status(500)]);
            let webhook = hook(&owner, &receiver, &["tenant.updated"]).await;
            let path = |rest: &str| owner.t(&format!("/webhooks/{}{rest}", webhook["id"].as_str().unwrap()));
            change(&owner, "First").await;
            receiver.wait_for(1).await;
            owner.post(&path("/pause"), json!({})).await.expect(200);
            let renewed = owner.post(&path("/rotate-secret"), json!({"overlapHours": 1})).await.expect(200);
            owner.post(&path("/resume"), json!({})).await.expect(200);
            let received = receiver.wait_for(2).await;
            assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
            assert!(is_signed(&received[1], &[key(&renewed), key(&webhook)]), "{:?}", received[1]);
            let last = owner.post(&path("/rotate-secret"), json!({"overlapHours": 0})).await.expect(200);
            change(&owner, "Second").await;
            let received = receiver.wait_for(3).await;
            assert!(is_signed(&received[2], &[key(&last)]), "{:?}", received[2]);
        },
    )
    .await;
}
