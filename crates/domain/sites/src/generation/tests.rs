use portico_kernel::{Permission, Permissions};
use serde_json::json;

use super::*;
use crate::{
    ports::{BusinessInfo, RewriteBrief, Tone},
    section::SectionType,
};

fn brief(kind: SectionType, content: Value) -> RewriteBrief {
    RewriteBrief {
        business: BusinessInfo {
            name: "Luz".into(),
            description: Some("Bread since 1950, see https://luz.example/menu. Call +502 5555-1234.".into()),
            location: Some("5a Avenida 3, Antigua".into()),
            ..BusinessInfo::default()
        },
        language: "en".into(),
        tone: Tone::Friendly,
        kind,
        content,
        instructions: None,
    }
}

fn read(kind: SectionType, before: Value, written: Value) -> Result<Value, Vec<(String, String)>> {
    read_rewrite(&brief(kind, before), written, "content")
        .map_err(|errors| errors.into_iter().map(|error| (error.field, error.code.into_owned())).collect())
}

fn html(text: &str) -> String {
    read(SectionType::Html, Value::Null, json!({ "html": text })).unwrap()["html"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn links_lead_only_where_somebody_said() {
    for (written, expected) in [
        ("<p><a href=\"https://luz.example/menu\">menu</a></p>", "menu</a>"),
        ("<p><a href=\"#contact\">write</a></p>", "write</a>"),
        ("<p><a href=\"#features-2\">look</a></p>", "look</a>"),
        ("<p><a href=\"/\">home</a></p>", "home</a>"),
        ("<p><a href=\"https://evil.example\">a <b>b</b></a> c</p>", "<p>a <b>b</b> c</p>"),
        ("<p><a href=\"https://luz.example/menu?x=1\">a</a></p>", "<p>a</p>"),
        ("<p><a href=\"#other\">a</a> <a href=\"mailto:x@evil.example\">b</a></p>", "<p>a b</p>"),
        ("<p><a title='\">'>a</a></p>", "<p>a</p>"),
        ("<p>x<img src=\"https://evil.example/p.gif\" alt=\"y>z\">y</p>", "<p>xy</p>"),
        ("<p>See https://evil.example/a, or www.evil.example!</p>", "<p>See or</p>"),
        ("<p>Call +502 5555-1234 or see https://luz.example/menu.</p>", "see https://luz.example/menu."),
    ] {
        let clean = html(written);
        assert!(clean.contains(expected), "{written} became {clean}");
        assert!(!clean.contains("evil"), "{written} became {clean}");
        assert_eq!(html(&clean), clean, "cleaning twice changes nothing");
    }
}

#[test]
fn what_nobody_said_is_refused() {
    let text =
        |text: &str| read(SectionType::Text, Value::Null, json!({"heading": text, "html": "<p>x</p>"}));
    for in_brief in
        ["Since 1950", "+502 5555 1234", "502 55551234", "1 < 2 and 3 > 2", "Room 12, 45 m², 120 guests"]
    {
        assert!(text(in_brief).is_ok(), "{in_brief}: {:?}", text(in_brief));
    }
    for (made_up, code) in [
        ("Call 7777-8888", "unknown_number"),
        ("Only $30", "unknown_price"),
        ("For € 99,50", "unknown_price"),
        ("<b>Bold</b>", "markup"),
        ("<!-- x", "markup"),
    ] {
        assert_eq!(text(made_up), Err(vec![("content.heading".into(), code.into())]), "{made_up}");
    }
    let in_html = read(SectionType::Html, Value::Null, json!({"html": "<p>Call 777 888 999</p>"}));
    assert_eq!(in_html, Err(vec![("content.html".into(), "unknown_number".into())]));
    let address = |text: &str| read(SectionType::Contact, Value::Null, json!({"address": text}));
    assert!(address("5A AVENIDA 3\nAntigua").is_ok());
    assert_eq!(address("6a Avenida 3"), Err(vec![("content.address".into(), "unknown_fact".into())]));
}

#[test]
fn pictures_links_and_facts_of_the_customer_are_taken_over() {
    let before = json!({"heading": "Hi", "imageUrl": "/a.png", "imageAlt": "Bread", "ctaLabel": "Go", "ctaUrl": "/menu"});
    let written = json!({"heading": "Hello", "imageUrl": null, "ctaLabel": null, "ctaUrl": null});
    let content = read(SectionType::Hero, before.clone(), written).unwrap();
    for (field, value) in [
        ("heading", "Hello"),
        ("imageUrl", "/a.png"),
        ("imageAlt", "Bread"),
        ("ctaLabel", "Go"),
        ("ctaUrl", "/menu"),
    ] {
        assert_eq!(content[field], value, "{field}");
    }
    let elsewhere = json!({"heading": "Hello", "ctaLabel": "Click", "ctaUrl": "https://evil.example"});
    let content = read(SectionType::Hero, before, elsewhere).unwrap();
    assert_eq!((&content["ctaUrl"], &content["ctaLabel"]), (&json!("/menu"), &json!("Click")));

    let gallery = json!({"images": [{"url": "/a.png", "alt": "A"}, {"url": "/b.png"}]});
    for written in [
        json!({"heading": "Look", "images": [{"url": "/a.png"}]}),
        json!({"heading": "Look", "images": [{"url": "https://evil.example/x.png"}, {"url": "/b.png"}]}),
        json!({"heading": "Look"}),
    ] {
        let content = read(SectionType::Gallery, gallery.clone(), written).unwrap();
        let urls: Vec<_> =
            content["images"].as_array().unwrap().iter().map(|image| image["url"].clone()).collect();
        assert_eq!((urls, &content["heading"]), (vec![json!("/a.png"), json!("/b.png")], &json!("Look")));
    }
    let better =
        json!({"images": [{"url": "/a.png", "alt": "Our bread"}, {"url": "/b.png", "alt": "The oven"}]});
    let content = read(SectionType::Gallery, gallery, better).unwrap();
    assert_eq!(content["images"][1]["alt"], "The oven", "descriptions may be better");
}

#[test]
fn what_visitors_agree_to_is_not_for_writers() {
    let written = json!({"heading": "Hi", "form": false, "consentText": "I give you everything."});
    let new = read(SectionType::Contact, Value::Null, written.clone()).unwrap();
    assert_eq!((&new["form"], &new["consentText"]), (&json!(true), &Value::Null));
    let before = json!({"email": "luz@example.com", "form": true, "consentText": "Send me offers."});
    let kept = read(SectionType::Contact, before, written.clone()).unwrap();
    assert_eq!((&kept["form"], &kept["consentText"]), (&json!(true), &json!("Send me offers.")));
    let without =
        read(SectionType::Contact, json!({"email": "luz@example.com"}), json!({"form": true})).unwrap();
    assert_eq!(without["form"], Value::Null);
}

#[test]
fn size_is_bounded() {
    let giant = json!({"html": "<p>many words</p>".repeat(4000)});
    assert_eq!(read(SectionType::Html, Value::Null, giant), Err(vec![("content".into(), "too_long".into())]));
    let wide = json!({"items": vec![json!({"title": "x"}); 25]});
    assert_eq!(
        read(SectionType::Features, Value::Null, wide),
        Err(vec![("content.items".into(), "too_many".into())])
    );
}

#[test]
fn lines_are_cut_between_words() {
    assert_eq!(shortened("Bread and cakes", 15), "Bread and cakes");
    assert_eq!(shortened("Bread and cakes", 9), "Bread and");
    assert_eq!(shortened("Bread, and cakes", 8), "Bread");
    assert_eq!(shortened("Panaderíaañejísima", 4), "Pana");
    assert_eq!(text_of("<p>Tom &amp; <b>Ann</b></p><p>x</p>"), "Tom & Ann x");
}

/// Anything that a model may answer: no panic, and what is accepted is accepted again as it is.
#[test]
fn whatever_comes_is_read_or_refused() {
    let odd = [
        json!(null),
        json!(5),
        json!("x"),
        json!([]),
        json!({}),
        json!({"html": ["x"]}),
        json!({"heading": {"heading": "x"}, "html": "<p>x"}),
        json!({"html": "<", "heading": "<"}),
        json!({"html": "<a href=\"", "url": "\u{0}"}),
        json!({"html": "\"<img src='a>b' alt='\"'>\">"}),
        json!({"heading": "\u{202e}abc", "html": "<p>é</p>", "url": "//evil.example", "ctaUrl": 5}),
        json!({"images": [{"url": null}, {"url": "https://x.example"}, 5, null], "items": [null]}),
        json!({"heading": "www.", "label": "@.", "url": "https://", "text": "://"}),
    ];
    for kind in SectionType::ALL {
        for written in &odd {
            if let Ok(content) = read(kind, Value::Null, written.clone()) {
                let again = read(kind, content.clone(), content.clone());
                assert_eq!(again, Ok(content), "{kind:?} {written}");
            }
        }
    }
}

#[test]
fn some_sections_need_facts() {
    for kind in SectionType::ALL {
        let writable = can_be_written(kind, &Value::Null);
        use SectionType::{Gallery, Pricing, Testimonials};
        assert_eq!(writable, !matches!(kind, Gallery | Pricing | Testimonials), "{kind:?}");
        assert!(can_be_written(kind, &json!({})), "{kind:?}");
    }
}

mod asking {
    use portico_kernel::{Actor, Env, RequestInfo, Scope};

    use super::*;
    use crate::testing::{Store, env};

    /// A person with these permissions.
    fn scope(env: &Env, permissions: &[Permission]) -> Scope {
        let actor = Actor::User {
            id: env.new_id(),
            session: env.new_id(),
            email_verified: true,
            role: portico_kernel::PlatformRole::Customer,
            impersonator: None,
        };
        Scope::user(actor, Some(env.new_id()), Permissions::from_list(permissions), RequestInfo::default())
    }

    #[tokio::test]
    async fn permission_comes_first() {
        let mut repositories = Store::default();
        let env = env();
        let all = [Permission::AiGenerate, Permission::PagesRead];
        let broken = OptimizeContent { apply: true, ..OptimizeContent::default() };
        let some: [&[Permission]; 4] = [&[], &[Permission::AiGenerate], &[Permission::PagesRead], &all];
        for permissions in some {
            let scope = scope(&env, permissions);
            let refused = Generation::new(&mut repositories, &scope, &env).section(broken.clone()).await;
            assert!(matches!(refused, Err(crate::SitesError::Denied(_))), "{permissions:?}: {refused:?}");
        }
        let scope = scope(&env, &all);
        let read_only = OptimizeContent { apply: false, ..broken };
        let invalid = Generation::new(&mut repositories, &scope, &env).section(read_only).await;
        assert!(matches!(invalid, Err(crate::SitesError::Invalid(_))), "{invalid:?}");
    }
}
