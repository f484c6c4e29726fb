use std::collections::BTreeMap;

use actix_web::{body::to_bytes, http::StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

#[derive(Serialize)]
struct Unit;

#[derive(Serialize)]
struct Newtype(&'static str);

#[derive(Serialize)]
struct Pair(u8, i16);

#[derive(Serialize)]
enum Kind {
    Unit,
    Newtype(u64),
    Tuple(i8, char),
    Struct { a: f32, b: Option<bool> },
}

#[derive(Serialize)]
struct Inner {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    absent: Option<u8>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Tagged {
    SomeKind { value: u16 },
}

#[derive(Serialize)]
struct All {
    #[serde(flatten)]
    inner: Inner,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
    unit: Unit,
    nothing: (),
    newtype: Newtype,
    pair: Pair,
    kinds: Vec<Kind>,
    tagged: Tagged,
    empty: (Vec<u8>, BTreeMap<u8, u8>),
    numbers: (u8, u16, u32, u64, i8, i16, i32, i64, f32, f64, f64),
    by_number: BTreeMap<i32, bool>,
    by_word: Vec<(char, Value)>,
    displayed: std::net::IpAddr,
}

fn compare(value: &impl Serialize) {
    assert_eq!(String::from_utf8(to_vec(value).unwrap()).unwrap(), serde_json::to_string(value).unwrap());
}

#[test]
fn every_kind_of_value_is_written_as_serde_json_writes_it() {
    compare(&All {
        inner: Inner {
            name: "quote \" backslash \\ line \n bell \u{7} é 🦀 \u{2028} </script>".to_owned(),
            absent: None,
        },
        rest: BTreeMap::from([("x\"y".to_owned(), json!({"a": [1, {"b": null}], "c": 1.5e300}))]),
        unit: Unit,
        nothing: (),
        newtype: Newtype(""),
        pair: Pair(u8::MAX, i16::MIN),
        kinds: vec![
            Kind::Unit,
            Kind::Newtype(u64::MAX),
            Kind::Tuple(-1, '"'),
            Kind::Struct { a: 0.1, b: Some(false) },
            Kind::Struct { a: f32::NAN, b: None },
        ],
        tagged: Tagged::SomeKind { value: 7 },
        empty: (Vec::new(), BTreeMap::new()),
        numbers: (1, 2, 3, 4, -1, -2, -3, i64::MIN, 1.0, 0.1, f64::INFINITY),
        by_number: BTreeMap::from([(-1, true), (2, false)]),
        by_word: vec![('é', json!([]))],
        displayed: [127, 0, 0, 1].into(),
    });
    compare(&BTreeMap::from([(true, 'a')]));
    compare(&BTreeMap::from([('"', "b")]));
}

#[test]
fn names_are_texts() {
    for (is_name, written) in [
        (to_vec(&BTreeMap::from([(Some(1), 1)])), Some("{\"1\":1}")),
        (to_vec(&BTreeMap::from([(None::<u8>, 1)])), None),
        (to_vec(&BTreeMap::from([((), 1)])), None),
        (to_vec(&BTreeMap::from([(vec![1], 1)])), None),
        (to_vec(&BTreeMap::from([(BTreeMap::from([(1, 1)]), 1)])), None),
    ] {
        assert_eq!(is_name.ok().map(|bytes| String::from_utf8(bytes).unwrap()).as_deref(), written);
    }
}

fn type_of(answer: &HttpResponse) -> &str {
    answer.headers().get(CONTENT_TYPE).unwrap().to_str().unwrap()
}

#[actix_web::test]
async fn an_answer_has_its_type_and_one_that_cannot_be_written_is_a_problem() {
    let answer = HttpResponse::Created().with_json(&[1]);
    assert_eq!((answer.status(), type_of(&answer)), (StatusCode::CREATED, "application/json"));
    assert_eq!(to_bytes(answer.into_body()).await.unwrap(), "[1]");
    let answer = HttpResponse::Ok().content_type("application/jose").with_json(&1);
    assert_eq!(type_of(&answer), "application/jose");
    let answer = HttpResponse::Ok().with_json(&BTreeMap::from([((), 1)]));
    assert_eq!(
        (answer.status(), type_of(&answer)),
        (StatusCode::INTERNAL_SERVER_ERROR, "application/problem+json")
    );
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| map.into_iter().collect::<Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_written_as_serde_json_writes_it(value in values()) {
        prop_assert_eq!(to_vec(&value).unwrap(), serde_json::to_vec(&value).unwrap());
    }
}
