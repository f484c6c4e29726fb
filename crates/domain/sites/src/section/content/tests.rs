use serde_json::{Value, json};

use super::*;

fn errors(kind: SectionType, content: Value) -> Vec<(String, String)> {
    match SectionContent::read(kind, content, "content") {
        Ok(content) => panic!("accepted: {content:?}"),
        Err(errors) => errors.into_iter().map(|error| (error.field, error.code.into_owned())).collect(),
    }
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(field, code)| ((*field).to_owned(), (*code).to_owned())).collect()
}

/// One good example of each type.
fn example(kind: SectionType) -> Value {
    match kind {
        SectionType::Hero => json!({
            "heading": "Fresh bread", "subheading": "Every day", "imageUrl": "https://cdn.example/bread.webp",
            "imageAlt": "Bread", "ctaLabel": "Visit us", "ctaUrl": "/contact",
        }),
        SectionType::Text => json!({"heading": "About", "html": "<p>Since 1950.</p>"}),
        SectionType::Features => json!({
            "heading": "What we do", "intro": "All of it", "items": [{"title": "Bread", "text": "Rye", "icon": "🍞"}],
        }),
        SectionType::Gallery => {
            json!({"heading": "Pictures", "images": [{"url": "/a.png", "alt": "A", "caption": "a"}]})
        }
        SectionType::Testimonials => {
            json!({"heading": "They say", "items": [{"quote": "Good!", "author": "Ana", "role": "Guest"}]})
        }
        SectionType::Pricing => json!({
            "heading": "Prices", "intro": "All included",
            "plans": [{"name": "Small", "price": "$ 5", "period": "a day", "features": ["Bread"], "highlighted": true,
                       "ctaLabel": "Buy", "ctaUrl": "https://shop.example"}],
        }),
        SectionType::Faq => {
            json!({"heading": "Questions", "items": [{"question": "Open?", "answer": "<p>Yes.</p>"}]})
        }
        SectionType::Contact => json!({
            "heading": "Contact", "text": "Say hello", "email": "hi@example.com", "phone": "+502 5555-1234",
            "address": "1 Street\nTown", "hours": "Mon–Fri: 9–5",
        }),
        SectionType::Cta => json!({"heading": "Come", "text": "Now", "label": "Go", "url": "tel:+5025555"}),
        SectionType::Html => json!({"html": "<table><tbody><tr><td>1</td></tr></tbody></table>"}),
    }
}

#[test]
fn every_type_keeps_a_good_example_and_its_stored_form_reads_back() {
    for kind in SectionType::ALL {
        let content = SectionContent::read(kind, example(kind), "content").unwrap();
        let stored = content.clone().into_json();
        for (key, value) in example(kind).as_object().unwrap() {
            if !value.is_array() && !value.is_object() {
                assert_eq!(&stored[key], value, "{kind:?}.{key}");
            }
        }
        assert_eq!(SectionContent::from_stored(kind, &stored).unwrap(), content);
        assert_eq!(SectionContent::read(kind, stored, "content").unwrap(), content, "normal form is stable");
    }
}

#[test]
fn every_type_refuses_what_is_no_object_or_has_unknown_fields() {
    for kind in SectionType::ALL {
        assert_eq!(errors(kind, Value::Null), pairs(&[("content", "required")]));
        for value in [json!([]), json!("text"), json!(1), json!(true)] {
            assert_eq!(errors(kind, value), pairs(&[("content", "invalid_type")]));
        }
        assert!(!errors(kind, json!({})).is_empty(), "{kind:?} has a required field");
        let mut content = example(kind);
        content["colour"] = json!("red");
        assert_eq!(errors(kind, content), pairs(&[("content.colour", "unknown_field")]));
    }
}

#[test]
fn all_errors_come_at_once() {
    let content = json!({
        "heading": "", "intro": 5, "extra": 1,
        "plans": [
            {"name": "a", "price": "x".repeat(41), "features": ["b", 1], "ctaLabel": "Buy", "ctaUrl": "javascript:alert(1)"},
            7,
            {"name": "a", "price": "b", "highlighted": "yes", "size": 3, "ctaLabel": "Buy"},
        ],
    });
    assert_eq!(
        errors(SectionType::Pricing, content),
        pairs(&[
            ("content.intro", "invalid_type"),
            ("content.plans[0].ctaUrl", "invalid_url"),
            ("content.plans[0].price", "too_long"),
            ("content.plans[0].features[1]", "invalid_type"),
            ("content.plans[1]", "invalid_type"),
            ("content.plans[2].ctaUrl", "required"),
            ("content.plans[2].highlighted", "invalid_type"),
            ("content.plans[2].size", "unknown_field"),
            ("content.extra", "unknown_field"),
        ])
    );
}

#[test]
fn rules_of_each_type() {
    let cases = [
        (SectionType::Hero, json!({"heading": " "}), ("content.heading", "required")),
        (SectionType::Hero, json!({"heading": "a\u{0}b"}), ("content.heading", "invalid_characters")),
        (SectionType::Hero, json!({"heading": "x".repeat(201)}), ("content.heading", "too_long")),
        (SectionType::Text, json!({"html": "<script>x</script>"}), ("content.html", "required")),
        (SectionType::Text, json!({"html": "x".repeat(50_001)}), ("content.html", "too_long")),
        (SectionType::Html, json!({"html": "<b>".repeat(6000)}), ("content.html", "too_complex")),
        (SectionType::Html, json!({"html": ["<b>"]}), ("content.html", "invalid_type")),
        (SectionType::Features, json!({"items": []}), ("content.items", "too_few")),
        (SectionType::Features, json!({"items": {"0": 1}}), ("content.items", "invalid_type")),
        (
            SectionType::Gallery,
            json!({"images": [{"url": "//x.example/a"}]}),
            ("content.images[0].url", "invalid_url"),
        ),
        (
            SectionType::Gallery,
            json!({"images": vec![json!({"url": "/a"}); 61]}),
            ("content.images", "too_many"),
        ),
        (SectionType::Hero, json!({"heading": "a", "ctaUrl": "/a"}), ("content.ctaLabel", "required")),
        (
            SectionType::Hero,
            json!({"heading": "a", "imageUrl": "http://x.example/a"}),
            ("content.imageUrl", "invalid_url"),
        ),
        (
            SectionType::Testimonials,
            json!({"items": [{"quote": "a"}]}),
            ("content.items[0].author", "required"),
        ),
        (SectionType::Faq, json!({"items": [{"question": "a"}]}), ("content.items[0].answer", "required")),
        (SectionType::Contact, json!({"heading": "Contact"}), ("content.email", "required")),
        (SectionType::Contact, json!({"email": "a@b.c?bcc=x@y.z"}), ("content.email", "invalid_email")),
        (SectionType::Contact, json!({"phone": "call me"}), ("content.phone", "invalid_phone")),
        (
            SectionType::Contact,
            json!({"phone": "5", "socialUrls": ["https://x.com/luz", "javascript:alert(1)"]}),
            ("content.socialUrls[1]", "invalid_url"),
        ),
        (
            SectionType::Contact,
            json!({"phone": "5", "socialUrls": vec!["https://x.com/luz"; 9]}),
            ("content.socialUrls", "too_many"),
        ),
        (SectionType::Cta, json!({"heading": "a", "label": "b"}), ("content.url", "required")),
        (
            SectionType::Cta,
            json!({"heading": "a", "label": "b", "url": "//c"}),
            ("content.url", "invalid_url"),
        ),
    ];
    for (kind, content, expected) in cases {
        assert_eq!(errors(kind, content.clone()), pairs(&[expected]), "{kind:?} {content}");
    }
}

#[test]
fn html_is_sanitised_and_plain_text_is_left_plain() {
    let content = json!({"heading": "1 < 2 & <b>", "html": "<p onclick=x>a</p><script>b</script>"});
    let stored = SectionContent::read(SectionType::Text, content, "content").unwrap().into_json();
    assert_eq!(stored, json!({"heading": "1 < 2 & <b>", "html": "<p>a</p>"}));

    let faq = json!({"items": [{"question": "<i>?", "answer": "<iframe src=x></iframe><em>yes</em>"}]});
    let stored = SectionContent::read(SectionType::Faq, faq, "content").unwrap().into_json();
    assert_eq!(stored["items"][0], json!({"question": "<i>?", "answer": "<em>yes</em>"}));
}

#[test]
fn deep_nesting_and_many_fields_are_bounded() {
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!({"heading": deep});
    }
    assert!(errors(SectionType::Hero, deep).len() < 10);
    let many: Value =
        (0..10_000).map(|n| (format!("field{n}"), json!(1))).collect::<serde_json::Map<_, _>>().into();
    assert!(errors(SectionType::Hero, many).len() < 30);
}
