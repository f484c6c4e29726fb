//! The sections of a page: their types, their order, changes of many of them.

use portico_testkit::server::{Client, TestServer, at_once};
use serde_json::{Value, json};

use super::{id, page, sections};
use crate::sites::{column, events, site};

pub(super) fn text(html: &str) -> Value {
    json!({"type": "text", "content": {"html": html}})
}

/// The texts of a page in their order, given that the positions are 0, 1, 2 …
pub(super) async fn texts(client: &Client, sections: &str) -> Vec<String> {
    let list = client.get(sections).await.expect(200);
    let items = list["items"].as_array().cloned().unwrap_or_default();
    for (position, item) in items.iter().enumerate() {
        assert_eq!(item["position"], position, "positions are dense: {list}");
    }
    items.iter().map(|item| item["content"]["html"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sections_of_every_type_are_taken() {
    TestServer::shared(async |server| {
        let client = server.unverified(server.email("types")).await;
        site(&client, "Bakery").await;
        let home = page(&client, json!({"title": "Home"})).await;
        let path = sections(&client, &home);
        let all = [
            ("hero", json!({"heading": "Bread", "subheading": "Daily", "imageUrl": "https://example.com/a.jpg",
                "imageAlt": "A loaf", "ctaLabel": "Order", "ctaUrl": "/order"})),
            ("text", json!({"heading": "About", "html": "<p>We <strong>bake</strong>.</p>"})),
            ("features", json!({"heading": "Why", "intro": "So", "items": [{"title": "Fresh", "text": "t", "icon": "🍞"}]})),
            ("gallery", json!({"images": [{"url": "/a.png", "alt": "A", "caption": "B"}]})),
            ("testimonials", json!({"items": [{"quote": "Good", "author": "Ana", "role": "Guest"}]})),
            ("pricing", json!({"plans": [{"name": "Loaf", "price": "$ 4", "period": "each", "features": ["Rye"],
                "highlighted": true, "ctaLabel": "Buy", "ctaUrl": "https://example.com/buy"}]})),
            ("faq", json!({"items": [{"question": "Gluten?", "answer": "<p>Yes.</p>"}]})),
            ("contact", json!({"email": server.email("a"), "phone": "+1 (234) 5", "address": "Road 1\nTown", "hours": "9-5"})),
            ("cta", json!({"heading": "Come", "text": "Now", "label": "Map", "url": "tel:+12345"})),
            ("html", json!({"html": "<div>x</div>"})),
        ];
        for (kind, content) in &all {
            let made = client.post(&path, json!({"type": kind, "content": content})).await.expect(201);
            assert_eq!((&made["type"], made["visible"].as_bool()), (&json!(kind), Some(true)));
            for (field, value) in content.as_object().unwrap() {
                if !value.is_array() {
                    assert_eq!(&made["content"][field], value, "{kind}.{field}");
                }
            }
            let answer = client.get(&format!("{path}/{}", id(&made))).await;
            assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, "\"v1\""));
            assert_eq!(answer.json, made, "{kind} is read as it was answered");
        }
        let kinds: Vec<&str> = all.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(column(&client.get(&path).await.expect(200), "type"), kinds);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_sections_are_refused_with_every_error_at_once() {
    let server = TestServer::start().await;
    let client = server.unverified(server.email("wrong")).await;
    site(&client, "Bakery").await;
    let home = page(&client, json!({"title": "Home"})).await;
    let path = sections(&client, &home);
    for (kind, content, fields) in [
        (
            "hero",
            json!({"heading": " ", "imageUrl": "http://a.example/x.png", "ctaLabel": "Go", "colour": 1}),
            vec!["content.colour", "content.ctaUrl", "content.heading", "content.imageUrl"],
        ),
        ("text", json!({"heading": 7}), vec!["content.heading", "content.html"]),
        ("text", json!({"html": "<script>alert(1)</script>"}), vec!["content.html"]),
        (
            "features",
            json!({"items": [{"text": "t"}, 3, {"title": "ok", "size": 1}]}),
            vec!["content.items[0].title", "content.items[1]", "content.items[2].size"],
        ),
        ("features", json!({"items": []}), vec!["content.items"]),
        (
            "gallery",
            json!({"images": [{"url": "javascript:alert(1)"}, {"alt": "x"}]}),
            vec!["content.images[0].url", "content.images[1].url"],
        ),
        ("testimonials", json!({"items": "x"}), vec!["content.items"]),
        ("testimonials", json!({"items": [{}]}), vec!["content.items[0].author", "content.items[0].quote"]),
        (
            "pricing",
            json!({"plans": [{"name": "A", "features": [1], "highlighted": "yes", "ctaUrl": "/x"}]}),
            vec![
                "content.plans[0].ctaLabel",
                "content.plans[0].features[0]",
                "content.plans[0].highlighted",
                "content.plans[0].price",
            ],
        ),
        ("faq", json!({"items": [{"question": "?", "answer": ""}]}), vec!["content.items[0].answer"]),
        ("contact", json!({}), vec!["content.email"]),
        ("contact", json!({"email": "a b@c", "phone": "call me"}), vec!["content.email", "content.phone"]),
        (
            "cta",
            json!({"url": "javascript:alert(1)"}),
            vec!["content.heading", "content.label", "content.url"],
        ),
        ("html", json!("<p>x</p>"), vec!["content"]),
        ("html", Value::Null, vec!["content"]),
    ] {
        let answer = client.post(&path, json!({"type": kind, "content": content})).await;
        assert_eq!(
            (answer.status.as_u16(), answer.fields()),
            (422, fields.iter().map(|f| (*f).to_owned()).collect()),
            "{kind} {content}: {}",
            answer.text
        );
    }
    for (body, fields) in [
        (json!({}), vec!["type"]),
        (json!({"type": "map", "content": {}}), vec!["type"]),
        (
            json!({"type": "html", "content": {"html": "x"}, "position": -1, "visible": 1, "order": 2}),
            vec!["order", "position", "visible"],
        ),
    ] {
        let answer = client.post(&path, body.clone()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.fields()),
            (422, fields.iter().map(|f| (*f).to_owned()).collect()),
            "{body}: {}",
            answer.text
        );
    }
    assert_eq!(client.get(&path).await.expect(200)["total"], 0);
    assert_eq!(events(&client, "section.created").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_sanitised() {
    TestServer::shared(async |server| {
        let client = server.unverified(server.email("clean")).await;
        site(&client, "Bakery").await;
        let home = page(&client, json!({"title": "Home"})).await;
        let path = sections(&client, &home);
        let dirty = "<p onclick=\"steal()\">Good<script>steal()</script></p><img src=\"/a.png\" onerror=\"steal()\">\
            <a href=\"JaVaScRiPt:steal()\">link</a><iframe src=\"https://evil.example\"></iframe>";
        let clean = "<p>Good</p><img src=\"/a.png\"><a rel=\"noopener nofollow ugc\">link</a>";
        let made = client.post(&path, text(dirty)).await.expect(201);
        assert_eq!(made["content"]["html"], clean);
        let one = format!("{path}/{}", id(&made));
        client.put(&one, json!({"content": {"html": format!("{dirty}again")}})).await.expect(200);
        let faq = json!({"items": [{"question": "<script>?", "answer": dirty}]});
        let bulk = json!({"create": [{"type": "faq", "content": faq}, {"type": "html", "content": {"html": dirty}}]});
        client.post(&format!("{path}/bulk"), bulk).await.expect(200);
        let list = client.get(&path).await.expect(200);
        assert_eq!(list["items"][0]["content"]["html"], format!("{clean}again"));
        assert_eq!(list["items"][1]["content"]["items"][0]["answer"], clean);
        assert_eq!(list["items"][1]["content"]["items"][0]["question"], "<script>?", "plain text stays as written");
        assert_eq!(list["items"][2]["content"]["html"], clean);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sections_are_moved_and_reordered() {
    TestServer::shared(async |server| {
        let client = server.unverified(server.email("order")).await;
        site(&client, "Bakery").await;
        let home = page(&client, json!({"title": "Home"})).await;
        let path = sections(&client, &home);
        let mut ids = Vec::new();
        for letter in ["a", "b", "c"] {
            ids.push(id(&client.post(&path, text(letter)).await.expect(201)).to_owned());
        }
        let order = format!("{path}/reorder");
        let list = client.put(&order, json!({"ids": [ids[2], ids[0], ids[1]]})).await.expect(200);
        assert_eq!(column(&list, "id"), [ids[2].clone(), ids[0].clone(), ids[1].clone()]);
        assert_eq!(texts(&client, &path).await, ["c", "a", "b"]);
        let stranger = "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d";
        for (wrong, field) in [
            (json!({"ids": []}), "ids"),
            (json!({}), "ids"),
            (json!({"ids": [ids[0], ids[1]]}), "ids"),
            (json!({"ids": [ids[0], ids[1], ids[1]]}), "ids[2]"),
            (json!({"ids": [ids[0], ids[1], stranger]}), "ids[2]"),
            (json!({"ids": [ids[0], ids[1], ids[2], stranger]}), "ids[3]"),
        ] {
            let answer = client.put(&order, wrong.clone()).await;
            assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec![field.to_owned()]), "{wrong}");
        }
        assert_eq!(texts(&client, &path).await, ["c", "a", "b"]);
        let moved = client
            .put(&format!("{path}/{}", ids[1]), json!({"position": 0, "visible": false}))
            .await
            .expect(200);
        assert_eq!((&moved["position"], &moved["visible"]), (&json!(0), &json!(false)));
        assert_eq!(texts(&client, &path).await, ["b", "c", "a"]);
        assert_eq!(events(&client, "page.sections_reordered").await, 1);

        let one = format!("{path}/{}", ids[0]);
        client.with("if-match", "\"v99\"").put(&one, json!({"visible": false})).await.expect(412);
        client.with("if-match", "\"v99\"").delete(&one).await.expect(412);
        client.delete(&one).await.expect(204);
        client.delete(&one).await.expect(404);
        assert_eq!(texts(&client, &path).await, ["b", "c"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_changes_happen_in_whole_or_not_at_all() {
    TestServer::shared(async |server| {
        let client = server.unverified(server.email("bulk")).await;
        site(&client, "Bakery").await;
        let home = page(&client, json!({"title": "Home"})).await;
        let path = sections(&client, &home);
        let bulk = format!("{path}/bulk");
        let create: Vec<Value> = ["a", "b", "c"].into_iter().map(text).collect();
        let list = client.post(&bulk, json!({ "create": create })).await.expect(200);
        let ids = column(&list, "id");
        assert_eq!(events(&client, "section.created").await, 3);
        let before = client.get(&path).await.expect(200);

        let mut wrong = json!({
            "create": [text("fine"), {"type": "hero", "content": {}}],
            "update": [{"id": ids[0], "content": {"html": "changed"}}, {"id": ids[2], "content": {"html": 7}}],
            "delete": [ids[1], "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d"],
        });
        let answer = client.post(&bulk, wrong.clone()).await;
        assert_eq!(answer.status.as_u16(), 422);
        assert_eq!(answer.fields(), ["create[1].content.heading", "delete[1]", "update[1].content.html"]);
        // One bad entry is enough.
        wrong["delete"] = json!([ids[1]]);
        wrong["update"] = json!([wrong["update"][0]]);
        let answer = client.post(&bulk, wrong).await;
        assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec!["create[1].content.heading".to_owned()]));
        assert_eq!(client.get(&path).await.expect(200), before, "nothing changed");
        for (kind, count) in [("section.created", 3), ("section.updated", 0), ("section.deleted", 0)] {
            assert_eq!(events(&client, kind).await, count, "{kind}");
        }

        let right = json!({
            "create": [{"type": "text", "content": {"html": "first"}, "position": 0}],
            "update": [{"id": ids[0], "content": {"html": "changed"}}],
            "delete": [ids[1]],
        });
        client.post(&bulk, right).await.expect(200);
        assert_eq!(texts(&client, &path).await, ["first", "changed", "c"]);
        for (kind, count) in [("section.created", 4), ("section.updated", 1), ("section.deleted", 1)] {
            assert_eq!(events(&client, kind).await, count, "{kind}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_stay_dense_under_twenty_at_once() {
    TestServer::on_each_database(async |server| {
        let client = server.unverified(server.email("dense")).await;
        site(&client, "Bakery").await;
        let home = page(&client, json!({"title": "Home"})).await;
        let path = sections(&client, &home);
        let answers = at_once(20, |number| {
            let (client, path) = (client.clone(), path.clone());
            let mut body = text(&format!("<p>{number}</p>"));
            body["position"] = json!(number % 3);
            async move { client.post(&path, body).await.status.as_u16() }
        })
        .await;
        assert_eq!(answers, [201; 20]);
        assert_eq!(texts(&client, &path).await.len(), 20);
        let ids = column(&client.get(&path).await.expect(200), "id");
        // Ten go, five move, five come.
        let answers = at_once(20, |number| {
            let (client, path, id) = (client.clone(), path.clone(), ids[number].clone());
            async move {
                let answer = match number {
                    0..10 => client.delete(&format!("{path}/{id}")).await,
                    10..15 => client.put(&format!("{path}/{id}"), json!({"position": 1})).await,
                    _ => client.post(&path, text("<p>new</p>")).await,
                };
                answer.status.as_u16()
            }
        })
        .await;
        assert!(answers.iter().all(|status| (200..300).contains(status)), "{answers:?}");
        assert_eq!(texts(&client, &path).await.len(), 15);
    })
    .await;
}
