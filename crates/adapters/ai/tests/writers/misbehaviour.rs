//! Faulty servers and models.

use std::time::{Duration, Instant};

use portico_sites::{
    ports::{ContentGenerator, GeneratorError, RewriteBrief, SectionDraft, SeoBrief, Tokens, Tone},
    section::SectionType,
};
use serde_json::{Value, json};

use crate::{
    business,
    server::{Reply, Server},
    writer,
};

fn brief(kind: SectionType, content: Value) -> RewriteBrief {
    RewriteBrief {
        business: business(),
        language: "en".to_owned(),
        tone: Tone::Friendly,
        kind,
        content,
        instructions: None,
    }
}

async fn rewrite(server: &Server, kind: SectionType, content: Value) -> Result<SectionDraft, GeneratorError> {
    writer(server, |_| {}).rewrite(&brief(kind, content)).await
}

/// The result when the model answers with `content`.
async fn written(kind: SectionType, before: Value, content: Value) -> Result<Value, GeneratorError> {
    let server = Server::start([Reply::Content(json!({ "content": content }).to_string())]).await;
    rewrite(&server, kind, before).await.map(|draft| draft.content)
}

fn is_unusable<T>(result: &Result<T, GeneratorError>) -> bool {
    matches!(result, Err(GeneratorError::Unusable(_)))
}

fn is_unavailable<T>(result: &Result<T, GeneratorError>) -> bool {
    matches!(result, Err(GeneratorError::Unavailable(_)))
}

#[tokio::test]
async fn scripts_and_foreign_links_do_not_come_through() {
    let html = "<p onclick=\"x()\">Bread</p><script>alert(1)</script><img src=\"https://evil.example/pixel.gif\" alt=\"x\">\
                <a href=\"javascript:alert(1)\">one</a> <a href=\"https://evil.example/?q=1\">two</a> \
                <a href=\"https://luz.example/menu\">menu</a> <a href=\"#contact\">write</a> visit www.evil.example now, \
                or mail thief@evil.example. <iframe src=\"https://evil.example\"></iframe><style>p{}</style>";
    let content =
        written(SectionType::Text, json!({"html": "<p>x</p>"}), json!({"heading": null, "html": html})).await;
    let html = content.unwrap()["html"].as_str().unwrap().to_owned();
    for bad in ["evil", "script", "onclick", "iframe", "<img", "style"] {
        assert!(!html.contains(bad), "{bad} in {html}");
    }
    for good in [
        "<p>Bread</p>",
        "one",
        "two",
        "href=\"https://luz.example/menu\"",
        "href=\"#contact\"",
        "now, or mail",
    ] {
        assert!(html.contains(good), "{good} not in {html}");
    }

    let hero = json!({"heading": "Hello https://evil.example friends", "ctaLabel": "Go", "ctaUrl": "https://evil.example", "imageUrl": "https://evil.example/p.gif", "imageAlt": "x"});
    let content = written(SectionType::Hero, Value::Null, hero).await.unwrap();
    assert_eq!(content["heading"], "Hello friends");
    for gone in ["ctaUrl", "ctaLabel", "imageUrl", "imageAlt", "imageAssetId"] {
        assert_eq!(content[gone], Value::Null, "{gone}: {content}");
    }
    let cta = json!({"heading": "Come", "text": null, "label": "Go", "url": "javascript:alert(1)"});
    assert_eq!(written(SectionType::Cta, Value::Null, cta).await.unwrap()["url"], "/");
}

#[tokio::test]
async fn made_up_facts_are_refused() {
    let quotes =
        |quote: &str| json!({"heading": null, "items": [{"quote": quote, "author": "Ana", "role": null}]});
    assert!(written(SectionType::Testimonials, quotes("Best bread."), quotes("best  bread.")).await.is_ok());
    let praised =
        written(SectionType::Testimonials, quotes("Best bread."), quotes("Best bread in the world!")).await;
    assert!(is_unusable(&praised), "{praised:?}");

    let price = |price: &str| json!({"plans": [{"name": "Loaf", "price": price}]});
    assert!(written(SectionType::Pricing, price("Q 25"), price("Q25")).await.is_ok());
    assert!(is_unusable(&written(SectionType::Pricing, price("Q 25"), price("Q 15")).await));

    for text in ["Call us at +1 (555) 010-9999", "Only $ 9.99 today", "Solo 15 años: € 20"] {
        let hero = written(SectionType::Hero, Value::Null, json!({"heading": text})).await;
        assert!(is_unusable(&hero), "{text}: {hero:?}");
    }
    let phone = json!({"heading": "Hi", "email": null, "phone": "+1 555 010 9999", "address": null});
    assert!(is_unusable(&written(SectionType::Contact, json!({"email": "luz@example.com"}), phone).await));
}

#[tokio::test]
async fn answers_of_another_shape_are_refused_after_one_repair() {
    let giant = json!({"content": {"html": "<p>x</p>".repeat(6000)}}).to_string();
    let deep = format!("{{\"content\": {}{}}}", "[".repeat(300), "]".repeat(300));
    for text in [
        String::new(),
        "I am sorry".to_owned(),
        "[1, 2]".to_owned(),
        "{\"content\": {\"html\": \"<p>trunc".to_owned(),
        "{\"content\": 5}".to_owned(),
        "{\"content\": {\"html\": 5}}".to_owned(),
        "{\"content\": {\"html\": \"<p>x</p>\", \"extra\": \"y\"}}".to_owned(),
        "{\"content\": {\"heading\": \"<b>x</b>\", \"html\": \"<p>x</p>\"}}".to_owned(),
        "{\"other\": {}}".to_owned(),
        giant,
        deep,
    ] {
        let server = Server::start([Reply::Content(text.clone())]).await;
        let result = rewrite(&server, SectionType::Text, Value::Null).await;
        let shown: String = text.chars().take(60).collect();
        assert!(is_unusable(&result), "{shown}: {result:?}");
        assert_eq!(server.requests().len(), 2, "{shown}: asked once more, and not again");
    }
}

#[tokio::test]
async fn an_answer_is_repaired_with_its_errors() {
    let good = json!({"content": {"heading": null, "html": "<p>Good</p>"}}).to_string();
    for bad in [
        Reply::Content("{\"content\": {\"heading\": \"x\"}}".to_owned()),
        Reply::CutOff("{\"cont".to_owned()),
    ] {
        let server = Server::start([bad, Reply::Content(good.clone())]).await;
        let draft = rewrite(&server, SectionType::Text, Value::Null).await.unwrap();
        assert_eq!(draft.content["html"], "<p>Good</p>");
        assert_eq!(draft.tokens, Tokens { input: 200, output: 100 }, "both answers count");
        let messages = server.requests().remove(1)["messages"].as_array().unwrap().clone();
        let roles: Vec<_> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
        assert_eq!(roles, ["system", "user", "assistant", "user"]);
        let repair: Value = serde_json::from_str(messages[3]["content"].as_str().unwrap()).unwrap();
        assert!(!repair["errors"].as_array().unwrap().is_empty(), "{repair}");
    }
}

#[tokio::test]
async fn an_overloaded_server_is_asked_again_when_it_says() {
    let busy = |status| Reply::Status(status, vec![("retry-after", "1".to_owned())], "{}".to_owned());
    let server = Server::start([busy(429), busy(503), Reply::Model]).await;
    let began = Instant::now();
    rewrite(&server, SectionType::Hero, Value::Null).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(2), "it waits as long as it is told");
    assert_eq!(server.requests().len(), 3);

    let server = Server::start([Reply::Status(500, Vec::new(), "oops".to_owned())]).await;
    let result = rewrite(&server, SectionType::Hero, Value::Null).await;
    assert!(is_unavailable(&result), "{result:?}");
    assert_eq!(server.requests().len(), 3, "as often as the settings say");

    let later = Reply::Status(429, vec![("retry-after", "3600".to_owned())], "{}".to_owned());
    let server = Server::start([later]).await;
    let began = Instant::now();
    assert!(is_unavailable(&rewrite(&server, SectionType::Hero, Value::Null).await));
    assert!(
        began.elapsed() < Duration::from_secs(8) && server.requests().len() == 1,
        "nobody waits for an hour"
    );
}

#[tokio::test]
async fn what_the_server_refuses_is_not_asked_again() {
    for status in [301, 401, 403, 404, 409, 418] {
        let server = Server::start([Reply::Status(status, Vec::new(), "{\"error\": {}}".to_owned())]).await;
        let result = rewrite(&server, SectionType::Hero, Value::Null).await;
        assert!(is_unavailable(&result), "{status}: {result:?}");
        assert_eq!(server.requests().len(), 1, "{status}");
    }
    let server = Server::start([Reply::Model]).await;
    let keyless = writer(&server, |config| config.api_key = None);
    assert!(is_unavailable(&keyless.rewrite(&brief(SectionType::Hero, Value::Null)).await));
    // Three forms, and then it gives up.
    let server = Server::start([Reply::Status(
        400,
        Vec::new(),
        "{\"error\": {\"message\": \"response_format\"}}".to_owned(),
    )])
    .await;
    assert!(is_unavailable(&rewrite(&server, SectionType::Hero, Value::Null).await));
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn what_a_server_does_not_know_is_asked_of_it_once() {
    let server = Server::start([Reply::Old]).await;
    let writer = writer(&server, |_| {});
    for _ in 0..2 {
        writer.rewrite(&brief(SectionType::Hero, Value::Null)).await.unwrap();
    }
    assert_eq!(server.requests().len(), 5, "the newer bound, two forms, then two answers");
    let last = server.requests().pop().unwrap();
    assert!(last.get("response_format").is_none() && last.get("max_tokens").is_none(), "{last}");
}

#[tokio::test]
async fn broken_answers_and_broken_connections() {
    let html =
        Reply::Status(200, vec![("content-type", "text/html".to_owned())], "<h1>Welcome</h1>".to_owned());
    let server = Server::start([html]).await;
    assert!(is_unavailable(&rewrite(&server, SectionType::Hero, Value::Null).await), "a web page");
    assert_eq!(server.requests().len(), 1);

    for bytes in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"choices\": [",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 12\r\nconnection: close\r\n\r\n{\"choices\":[",
        b"garbage\r\n\r\n",
    ] {
        let server = Server::start([Reply::Raw(bytes.to_vec()), Reply::Model]).await;
        let result = rewrite(&server, SectionType::Hero, Value::Null).await;
        assert!(result.is_ok(), "{:?}: {result:?}", String::from_utf8_lossy(bytes));
        let server = Server::start([Reply::Raw(bytes.to_vec())]).await;
        assert!(is_unavailable(&rewrite(&server, SectionType::Hero, Value::Null).await));
    }

    let giant = Reply::Status(200, Vec::new(), "x".repeat(100 * 1024));
    let server = Server::start([giant]).await;
    assert!(is_unusable(&rewrite(&server, SectionType::Hero, Value::Null).await), "more bytes than are read");
    assert_eq!(server.requests().len(), 1);

    let server = Server::start([Reply::Refusal]).await;
    assert!(is_unusable(&rewrite(&server, SectionType::Hero, Value::Null).await));
}

#[tokio::test]
async fn time_is_bounded_over_all_attempts() {
    let server = Server::start([Reply::Held]).await;
    let writer = writer(&server, |config| config.timeout = Duration::from_secs(1));
    let began = Instant::now();
    let result = writer.rewrite(&brief(SectionType::Hero, Value::Null)).await;
    assert!(is_unavailable(&result), "{result:?}");
    assert!(server.requests().len() <= 1, "the first attempt has taken all of it");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_server_that_is_not_allowed_is_not_called() {
    let server = Server::start([Reply::Model]).await;
    let writer = writer(&server, |config| config.base_url = "http://10.255.255.1/v1".to_owned());
    let result = writer.rewrite(&brief(SectionType::Hero, Value::Null)).await;
    let Err(GeneratorError::Unavailable(reason)) = result else { panic!("{result:?}") };
    assert!(reason.contains("ai.allow_networks"), "{reason}");
}

#[tokio::test]
async fn search_engines_are_told_nothing_odd() {
    let content = json!({
        "title": "Bread https://evil.example ".repeat(4),
        "description": "Good bread for everybody. ".repeat(8),
        "keywords": ["Bread", "bread", "<b>", 5, "x".repeat(80), "evil.example@evil.example", "rolls"],
        "robots": "noindex",
    });
    let server = Server::start([Reply::Content(content.to_string())]).await;
    let brief =
        SeoBrief { business: business(), language: "en".into(), title: "Bread".into(), text: "x".into() };
    let seo = writer(&server, |_| {}).seo(&brief).await.unwrap();
    assert_eq!(seo.title, "Bread Bread Bread Bread");
    assert!(seo.description.chars().count() <= 155 && seo.description.ends_with("everybody."), "{seo:?}");
    assert_eq!(seo.keywords, ["bread", "rolls"]);
}
