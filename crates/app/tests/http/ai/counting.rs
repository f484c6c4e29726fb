//! What texts are counted as: within the plan and within the installation, and given back when nothing comes of them.

use portico_billing::{
    generation::{Generations, TokenLimit},
    period::Period,
};
use portico_kernel::{Meter, TenantId};
use portico_testkit::server::{Database, TestServer, at_once};
use serde_json::json;

use super::{CONTENT, allow_texts, used, with_model, written_by};
use crate::{
    model::{Reply, Server},
    sites::events,
};

#[tokio::test(flavor = "multi_thread")]
async fn of_64_at_once_with_one_left_one_gets_a_text() {
    TestServer::on_each_database(async |server| {
        let client = server.customer(server.email("race")).await;
        allow_texts(server, 3).await;
        let input = json!({"type": "cta", "business": {"name": "Luz"}});
        for _ in 0..2 {
            client.post(CONTENT, input.clone()).await.expect(200);
        }
        let statuses: Vec<u16> = at_once(64, |_| {
            let (client, input) = (client.clone(), input.clone());
            async move {
                let answer = client.post(CONTENT, input).await;
                if answer.status.as_u16() == 402 {
                    assert_eq!(answer.json["code"], "quota_exceeded");
                    assert_eq!(
                        (&answer.json["meter"], &answer.json["plan"]),
                        (&json!("ai_generations"), &json!("starter"))
                    );
                }
                answer.status.as_u16()
            }
        })
        .await;
        let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
        assert_eq!((count(200), count(402)), (1, 63), "{statuses:?}");
        assert_eq!((used(&client).await, events(&client, "ai.generated").await), (3, 3));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_month_begins_at_zero_and_other_tenants_do_not_count() {
    TestServer::alone(async |server| {
        let client = server.customer(server.email("month")).await;
        let other = server.customer(server.email("neighbour")).await;
        allow_texts(server, 1).await;
        let tenant: TenantId = client.tenant.parse().unwrap();
        let last_month = Period::month_of(server.app.core.env.now() - time::Duration::days(32));
        let mut work = server.app.core.begin().await.unwrap();
        assert!(work.meters().add(tenant, Meter::AiGenerations, last_month, 1, Some(1)).await.unwrap());
        work.commit().await.unwrap();
        assert_eq!(used(&client).await, 0);
        let input = json!({"type": "text", "business": {"name": "Luz"}});
        for client in [&client, &other] {
            client.post(CONTENT, input.clone()).await.expect(200);
            client.post(CONTENT, input.clone()).await.expect(402);
            assert_eq!(used(client).await, 1);
        }
        let before =
            server.app.core.reader().meters().used(tenant, Meter::AiGenerations, last_month).await.unwrap();
        assert_eq!(before, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_fails_costs_nothing() {
    let broken = Reply::Content("no json".to_owned());
    let replies = [
        Reply::Status(500, Vec::new(), "oops".to_owned()),
        Reply::Status(401, Vec::new(), "{\"error\": {\"message\": \"secret detail\"}}".to_owned()),
        Reply::Raw(Vec::new()),
        broken.clone(),
        broken,
        Reply::Model,
    ];
    with_model(&replies, async |server, _| {
        let client = server.customer(server.email("fails")).await;
        allow_texts(server, 1).await;
        let input = json!({"type": "hero", "business": {"name": "Luz"}});
        for code in
            ["generator_unavailable", "generator_unavailable", "generator_unavailable", "generation_failed"]
        {
            let answer = client.post(CONTENT, input.clone()).await;
            assert!(answer.header("retry-after").parse::<u32>().is_ok(), "{answer:?}");
            assert!(!answer.text.contains("secret detail"), "{answer:?}");
            assert_eq!(answer.expect(503)["code"], code);
            assert_eq!(used(&client).await, 0);
        }
        client.post(CONTENT, input.clone()).await.expect(200);
        client.post(CONTENT, input).await.expect(402);
        assert_eq!(events(&client, "ai.generated").await, 1);
        let trail = client.get(&client.t("/audit?type=ai.generated")).await.expect(200);
        assert_eq!(trail["items"][0]["after"]["tokens"], json!({"input": 100, "output": 50}));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_that_died_has_left_is_given_back() {
    TestServer::alone(async |server| {
        let client = server.customer(server.email("died")).await;
        allow_texts(server, 1).await;
        let tenant: TenantId = client.tenant.parse().unwrap();
        let env = &server.app.core.env;
        let limit = TokenLimit { each: 10, month: None };
        let reserve = async |id, at| {
            let mut work = server.app.core.begin().await.unwrap();
            let result = Generations::new(&mut *work).reserve(tenant, id, limit, at).await;
            work.commit().await.unwrap();
            result
        };
        let (id, now) = (env.new_id(), env.now());
        let first = reserve(id, now).await.unwrap();
        assert_eq!(reserve(id, now).await.unwrap(), first, "the same use again is counted once");
        assert_eq!(used(&client).await, 1);
        let input = json!({"type": "hero", "business": {"name": "Luz"}});
        client.post(CONTENT, input.clone()).await.expect(402);
        // As if it had begun half an hour ago: in the same month, whatever the date is.
        let mut work = server.app.core.begin().await.unwrap();
        let mut left = work.generations().take(tenant, id).await.unwrap().unwrap();
        left.expires_at = now - time::Duration::minutes(10);
        work.generations().insert(&left).await.unwrap();
        work.commit().await.unwrap();
        client.post(CONTENT, input).await.expect(200);
        assert_eq!(used(&client).await, 1);
        // An operation that comes back after its reservation has expired settles nothing.
        let mut work = server.app.core.begin().await.unwrap();
        assert!(!Generations::new(&mut *work).settle(&first, 5).await.unwrap());
        assert!(!Generations::new(&mut *work).give_back(&first, None).await.unwrap());
        work.commit().await.unwrap();
        assert_eq!(used(&client).await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_the_installation_are_bounded() {
    for database in [Database::Sqlite, Database::Postgres] {
        let model = Server::start([Reply::Model]).await;
        let server = TestServer::start_with(database, |settings| {
            written_by(&model, settings);
            // Room for one use at a time, as much as it may take; each takes 150 in the end.
            settings.ai.monthly_token_limit = Some(settings.ai.most_tokens() + 200);
        })
        .await;
        let client = server.customer(server.email("tokens")).await;
        allow_texts(&server, 100).await;
        let input = json!({"type": "hero", "business": {"name": "Luz"}});
        for _ in 0..2 {
            client.post(CONTENT, input.clone()).await.expect(200);
        }
        let refused = client.post(CONTENT, input).await;
        assert_eq!(refused.header("retry-after"), "3600");
        assert_eq!(refused.expect(503)["code"], "generator_unavailable");
        assert_eq!((used(&client).await, model.requests().len()), (2, 2));
        let period = Period::month_of(server.app.core.env.now());
        assert_eq!(server.app.core.reader().generations().spent(period).await.unwrap(), 300);
        server.stop().await;
    }
}
