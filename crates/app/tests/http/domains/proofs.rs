//! Proofs of domains: between two tenants, without an answer of a name server, and in the background.

use portico_kernel::{Job, JobState};
use portico_testkit::{
    jobs,
    server::{Database, at_once},
};
use serde_json::json;

use super::{Shop, alone, on_each_database, prove};
use crate::fixture::text;

#[tokio::test(flavor = "multi_thread")]
async fn two_tenants_with_proofs_cannot_both_have_a_domain() {
    on_each_database(async |server, dns| {
        for round in 0..4 {
            let name = format!("contested{round}.example");
            let mut shops = Vec::new();
            let mut texts = Vec::new();
            for side in ["a", "b"] {
                let shop = Shop::new(server, server.email(&format!("{side}{round}"))).await;
                let domain = shop.add(json!({"name": name})).await.expect(201);
                texts.push(text(&domain["records"][0], "expected"));
                shops.push((shop.client.clone(), format!("{}/verify", shop.domain(&text(&domain, "id")))));
            }
            assert_ne!(texts[0], texts[1]);
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            dns.txt(&format!("_portico-challenge.{name}"), &texts);
            let answers = at_once(8, |number| {
                let (client, path) = shops[number % 2].clone();
                async move { (number % 2, client.post_empty(&path).await) }
            })
            .await;
            let winners: Vec<_> = answers
                .iter()
                .filter(|(_, a)| a.json["status"] == "verified")
                .map(|(side, _)| *side)
                .collect();
            assert!(!winners.is_empty(), "{answers:?}");
            assert!(winners.iter().all(|side| *side == winners[0]), "both have it: {answers:?}");
            for (side, answer) in &answers {
                let expected = if *side == winners[0] { 200 } else { 409 };
                assert_eq!(answer.status.as_u16(), expected, "{answer:?}");
                if expected == 409 {
                    assert_eq!(answer.json["code"], "domain_taken");
                }
            }
            let (loser, path) = &shops[1 - winners[0]];
            let domain = loser.get(path.trim_end_matches("/verify")).await.expect(200);
            assert_eq!((&domain["status"], &domain["reason"]), (&json!("pending"), &json!("taken")));
            // The winner releases the name.
            let (winner, won) = &shops[winners[0]];
            winner.delete(won.trim_end_matches("/verify")).await.expect(204);
            assert_eq!(loser.post_empty(path).await.expect(200)["status"], "verified");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn name_servers_that_do_not_answer_leave_a_domain_as_it_was() {
    alone(Database::Postgres, async |server, dns| {
        let shop = Shop::new(server, server.email("silent")).await;
        let domain = shop.add(json!({"name": "silent.example"})).await.expect(201);
        let id = text(&domain, "id");
        dns.silence("_portico-challenge.silent.example");
        let silent = shop.verify(&id).await.expect(200);
        assert_eq!((&silent["status"], &silent["reason"]), (&json!("pending"), &json!("dns_timeout")));
        dns.fail("_portico-challenge.silent.example");
        let broken = shop.verify(&id).await.expect(200);
        assert_eq!((&broken["status"], &broken["reason"]), (&json!("pending"), &json!("dns_failed")));
        // A proof behind aliases is one.
        dns.cname("_portico-challenge.silent.example", "a.proofs.example");
        dns.cname("a.proofs.example", "b.proofs.example");
        dns.txt("b.proofs.example", &[&text(&domain["records"][0], "expected")]);
        assert_eq!(shop.verify(&id).await.expect(200)["status"], "verified");
        // And a verified domain outlives name servers that are down.
        dns.silence("_portico-challenge.silent.example");
        let still = shop.verify(&id).await.expect(200);
        assert_eq!((&still["status"], &still["reason"]), (&json!("verified"), &json!("dns_timeout")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proof_is_looked_for_in_the_background() {
    alone(Database::Postgres, async |server, dns| {
        let shop = Shop::new(server, server.email("background")).await;
        let domain = shop.add(json!({"name": "background.example"})).await.expect(201);
        let id = text(&domain, "id");
        let queued = async || {
            let mut page = portico_kernel::PageRequest { page: 1, limit: 100 };
            let mut found: Vec<Job> = Vec::new();
            loop {
                let jobs = server.app.core.jobs.list(Some(JobState::Queued), page).await.unwrap();
                let last = jobs.items.len() < 100;
                found.extend(jobs.items.into_iter().filter(|job| job.payload["domainId"] == id));
                if last {
                    return found;
                }
                page.page += 1;
            }
        };
        let [first] = queued().await.try_into().unwrap();
        let wait = first.run_at - server.app.core.env.now();
        assert!(wait > time::Duration::seconds(30) && wait <= time::Duration::MINUTE, "{wait}");
        jobs::handle(&server.app, &first).await.unwrap();
        assert_eq!(shop.client.get(&shop.domain(&id)).await.expect(200)["reason"], "txt_missing");
        assert_eq!(queued().await.len(), 2, "the next look is planned");

        prove(dns, &domain);
        let second = queued().await.into_iter().find(|job| job.id != first.id).unwrap();
        // The worker died and the job runs again and again, and so does the one before it.
        for _ in 0..3 {
            jobs::handle(&server.app, &second).await.unwrap();
            jobs::handle(&server.app, &first).await.unwrap();
        }
        assert_eq!(shop.client.get(&shop.domain(&id)).await.expect(200)["status"], "verified");
        let jobs = queued().await;
        assert_eq!(jobs.len(), 3, "one more look, in a day: {jobs:?}");
        let next = jobs.iter().map(|job| job.run_at).max().unwrap() - server.app.core.env.now();
        assert!(next > time::Duration::hours(23), "{next}");

        // Removed: nothing is left to look at.
        shop.client.delete(&shop.domain(&id)).await.expect(204);
        for job in queued().await {
            jobs::handle(&server.app, &job).await.unwrap();
        }
        assert_eq!(queued().await.len(), 3);
    })
    .await;
}
