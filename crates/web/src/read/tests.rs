//! What is read, and what is said about what cannot be read.

use std::{any::type_name, collections::BTreeMap, fmt::Debug};

use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Item {
    product_type: String,
    quantity: u32,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Order {
    items: Vec<Item>,
    note: Option<String>,
    express: Option<bool>,
}

fn fields(errors: Vec<FieldError>) -> Vec<(String, String)> {
    let mut fields: Vec<_> = errors.into_iter().map(|e| (e.field, e.code.into_owned())).collect();
    fields.sort();
    fields
}

#[test]
fn what_is_right_is_read() {
    let order: Order = from_json(json!({"items": [{"productType": "x", "quantity": 2}]})).unwrap();
    assert_eq!(order.items, [Item { product_type: "x".into(), quantity: 2 }]);
}

#[test]
fn every_wrong_field_is_named() {
    let errors = from_json::<Order>(json!({
        "items": [{"productType": 7, "quantity": "two", "color": 1}, 5],
        "note": {"a": 1}, "express": "yes", "other": null
    }))
    .unwrap_err();
    let expected = [
        ("express", "invalid_type"),
        ("items[0].color", "unknown_field"),
        ("items[0].productType", "invalid_type"),
        ("items[0].quantity", "invalid_type"),
        ("items[1]", "invalid_type"),
        ("note", "invalid_type"),
        ("other", "unknown_field"),
    ];
    let expected: Vec<_> = expected.iter().map(|(f, c)| ((*f).to_owned(), (*c).to_owned())).collect();
    assert_eq!(fields(errors), expected);
}

#[test]
fn a_body_of_another_shape_is_refused() {
    for json in [json!(null), json!(3), json!("x"), json!([1]), json!([[]])] {
        assert!(from_json::<Order>(json).is_err());
    }
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Filter {
    page: Option<u64>,
    limit: Option<u64>,
    q: Option<String>,
    visible: Option<bool>,
}

#[test]
fn a_nul_is_refused_wherever_it_is() {
    let errors =
        from_json::<Order>(json!({"note": "a\u{0}b", "items": [{"productType": "\u{0}"}], "x\u{0}": 1}))
            .unwrap_err();
    let named: Vec<_> = fields(errors).into_iter().map(|(field, _)| field).collect();
    assert_eq!(named, ["items[0].productType", "note", "x"]);
    assert!(from_query::<Filter>("q=a%00b").is_err());
}

#[test]
fn a_query_is_read() {
    let filter: Filter = from_query("page=2&q=a%20b&visible=true&limit=").unwrap();
    assert_eq!(filter, Filter { page: Some(2), limit: None, q: Some("a b".into()), visible: Some(true) });
}

#[test]
fn every_wrong_parameter_is_named() {
    let errors = from_query::<Filter>("page=two&limit=-1&visible=maybe&colour=red").unwrap_err();
    let named: Vec<_> = fields(errors).into_iter().map(|(field, _)| field).collect();
    assert_eq!(named, ["colour", "limit", "page", "visible"]);
}

/// What may be wrong, or right, about a value.
fn values() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(255),
        json!(256),
        json!(u64::from(u32::MAX) + 1),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1.5),
        json!(1e300),
        json!(""),
        json!("x"),
        json!("5"),
        json!("true"),
        json!("plain"),
        json!("wrapped"),
        json!("018f0000-0000-7000-8000-000000000000"),
        json!("2026-11-23T10:03:12Z"),
        json!([]),
        json!([1, 2]),
        json!([1, 2, 3]),
        json!([1, "two"]),
        json!([[1]]),
        json!([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        json!({}),
        json!({"x": 1}),
        json!({"x": -1, "y": {"z": [null]}}),
        json!({"plain": null}),
        json!({"plain": 1}),
        json!({"wrapped": 7}),
        json!({"wrapped": "x"}),
        json!({"wrapped": 7, "plain": null}),
        json!({"pair": [1, 2]}),
        json!({"shape": {"x": 1}}),
        json!({"kind": "shape", "x": 1}),
        json!({"kind": "shape"}),
        json!({"kind": "round"}),
        json!({"\u{1f992}": "\u{10ffff}"}),
    ]
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Word {
    Plain,
    Wrapped,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Variants {
    Plain,
    Wrapped(u32),
    Pair(u8, u8),
    Shape { x: i32 },
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
enum Tagged {
    Shape { x: i32 },
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u8),
    List(Vec<i64>),
    Object { x: i32 },
}

#[derive(Debug, PartialEq, Deserialize)]
struct Newtype(Option<u16>);

#[derive(Debug, PartialEq, Deserialize)]
struct Unit;

#[derive(Debug, PartialEq, Deserialize)]
struct Required {
    x: i32,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Flattened {
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

/// Reads every value as a `T`, with serde_json and with ours.
fn compare<T: DeserializeOwned + PartialEq + Debug>(has_same_words: impl Fn(&Value) -> bool) {
    for json in values() {
        let expected = T::deserialize(&json).map_err(|error| error.to_string());
        let mut record = Record::default();
        let read = T::deserialize(Node { input: Input::Json(&json), record: &mut record });
        let read = read.map_err(|error| error.to_string());
        let what = format!("{json} as {}", type_name::<T>());
        if has_same_words(&json) {
            assert_eq!(read, expected, "{what}");
        } else {
            assert_eq!(read.as_ref().ok(), expected.as_ref().ok(), "{what}");
        }
    }
}

#[test]
fn values_and_errors_are_those_of_serde_json() {
    fn same<T: DeserializeOwned + PartialEq + Debug>() {
        compare::<T>(|_| true);
        compare::<Option<T>>(|_| true);
        compare::<Vec<T>>(|_| true);
        compare::<BTreeMap<String, T>>(|_| true);
    }
    same::<bool>();
    same::<u8>();
    same::<u32>();
    same::<u64>();
    same::<u128>();
    same::<i8>();
    same::<i64>();
    same::<i128>();
    same::<f32>();
    same::<f64>();
    same::<char>();
    same::<String>();
    same::<()>();
    same::<(u8, u8)>();
    same::<Vec<Vec<u8>>>();
    same::<Value>();
    same::<uuid::Uuid>();
    same::<portico_kernel::Timestamp>();
    same::<Word>();
    same::<BTreeMap<Word, u8>>();
    same::<Tagged>();
    same::<Untagged>();
    same::<Newtype>();
    same::<Unit>();
    same::<Flattened>();
    // Variants that contain something are expected in other words, where a word or the wrong thing comes.
    compare::<Variants>(|json| !json.is_object());
    // No list is taken for an object.
    compare::<Required>(|json| !json.is_array());
    for json in values().iter().filter(|json| json.is_array()) {
        let mut record = Record::default();
        let read = Required::deserialize(Node { input: Input::Json(json), record: &mut record });
        let error = read.unwrap_err().to_string();
        assert_eq!(error, "invalid type: sequence, expected struct Required");
    }
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Everything {
    #[serde(deserialize_with = "portico_kernel::patch::double_option")]
    cleared: Option<Option<String>>,
    #[serde(alias = "snake_case")]
    renamed: Option<u64>,
    small: u8,
    signed: i64,
    ratio: f64,
    word: Option<Word>,
    variants: Vec<Variants>,
    by_name: BTreeMap<String, Item>,
    by_word: BTreeMap<Word, Option<u64>>,
    required: Option<Required>,
    pairs: Vec<(u8, String)>,
    raw: Value,
}

fn named<T: DeserializeOwned>(json: Value) -> Vec<(String, String, String)> {
    let errors = from_json::<T>(json).err().unwrap_or_default();
    let mut named: Vec<_> = errors
        .into_iter()
        .map(|error| (error.field, error.code.into_owned(), error.message.into_owned()))
        .collect();
    named.sort();
    named
}

fn one<T: DeserializeOwned>(json: Value) -> (String, String, String) {
    let mut errors = named::<T>(json.clone());
    assert_eq!(errors.len(), 1, "{json}: {errors:?}");
    errors.remove(0)
}

fn error(field: &str, code: &str, message: &str) -> (String, String, String) {
    (field.to_owned(), code.to_owned(), message.to_owned())
}

#[test]
fn an_error_names_its_place() {
    let unknown = "There is no such field.";
    let cases = [
        // Fields that are not there, by the object that they belong to.
        (json!({"required": {}}), error("required", "invalid_type", "Missing field `x`.")),
        (json!({"byName": {"a.b[0]": {"color": 1}}}), error("byName.a.b[0].color", "unknown_field", unknown)),
        (
            json!({"variants": [{"shape": {"x": 1, "y": 2}}]}),
            error("variants[0].shape.y", "unknown_field", unknown),
        ),
        (
            json!({"variants": ["plain", {"shape": {"x": "1"}}]}),
            error("variants[1].shape.x", "invalid_type", "Invalid type: string \"1\", expected i32."),
        ),
        (
            json!({"pairs": [[1, "a"], [2, 3]]}),
            error("pairs[1][1]", "invalid_type", "Invalid type: integer `3`, expected a string."),
        ),
        (
            json!({"byWord": {"plain": 1, "wrapped": -1}}),
            error("byWord.wrapped", "invalid_type", "Invalid value: integer `-1`, expected u64."),
        ),
        (
            json!({"byWord": {"colour": 1}}),
            error(
                "byWord.colour",
                "invalid_type",
                "Unknown variant `colour`, expected `plain` or `wrapped`.",
            ),
        ),
        (
            json!({"renamed": 1, "snake_case": 1}),
            error("snake_case", "invalid_type", "Duplicate field `renamed`."),
        ),
        (
            json!({"cleared": 1}),
            error("cleared", "invalid_type", "Invalid type: integer `1`, expected a string."),
        ),
    ];
    for (json, expected) in cases {
        assert_eq!(one::<Everything>(json), expected);
    }
    let (field, code, message) = one::<Everything>(json!({"word": "colour"}));
    assert_eq!((field.as_str(), code.as_str()), ("word", "invalid_type"));
    assert_eq!(message, "Unknown variant `colour`, expected `plain` or `wrapped`.");
    let errors = from_json::<Everything>(json!({"word": "a, expected `b`"})).unwrap_err();
    assert_eq!(errors[0].params.as_ref().unwrap().allowed, ["plain", "wrapped"]);
    assert_eq!(one::<Everything>(json!({"a~/b": 1})), error("a~/b", "unknown_field", unknown));
}

#[test]
fn a_required_field_of_a_wrong_type_is_not_missing_as_well() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Line {
        amount: Required,
        unit: String,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct Bill {
        lines: Vec<Line>,
        total: u32,
    }
    let errors = named::<Bill>(json!({
        "lines": [{"amount": {"x": "1"}, "unit": "kg"}, {"amount": 5, "unit": "kg"}, {"unit": "kg"}], "total": "3"
    }));
    let expected = [
        error("lines[0].amount.x", "invalid_type", "Invalid type: string \"1\", expected i32."),
        error("lines[1].amount", "invalid_type", "Invalid type: integer `5`, expected struct Required."),
        error("lines[2]", "invalid_type", "Missing field `amount`."),
        error("total", "invalid_type", "Invalid type: string \"3\", expected u32."),
    ];
    assert_eq!(errors, expected);
    assert_eq!(one::<Bill>(json!({"lines": []})), error("", "invalid_type", "Missing field `total`."));

    #[derive(Debug, PartialEq, Deserialize)]
    struct Page {
        page: u64,
    }
    let errors = from_query::<Page>("page=x").unwrap_err();
    assert_eq!(fields(errors), [("page".to_owned(), "invalid_value".to_owned())]);
}

#[test]
fn what_is_beside_an_error_is_read_too() {
    let errors = named::<Everything>(json!({
        "byName": {"a.b": {"quantity": "x"}, "c": {"quantity": -1, "d": {}}}, "small": 256, "signed": 9_223_372_036_854_775_808_u64,
        "ratio": "1", "word": {}, "required": [1], "raw": {"color": [{}]}, "other": {"x": {"y": 1}}
    }));
    let fields: Vec<_> = errors.iter().map(|(field, ..)| field.as_str()).collect();
    let expected = [
        "byName.a.b.quantity",
        "byName.c.d",
        "byName.c.quantity",
        "other",
        "ratio",
        "required",
        "signed",
        "small",
        "word",
    ];
    assert_eq!(fields, expected);
}

#[test]
fn numbers_are_read_to_their_ends() {
    for (json, expected) in [
        (json!({"renamed": u64::MAX}), Everything { renamed: Some(u64::MAX), ..Everything::default() }),
        (json!({"signed": i64::MIN}), Everything { signed: i64::MIN, ..Everything::default() }),
        (json!({"ratio": 3}), Everything { ratio: 3.0, ..Everything::default() }),
        (json!({"ratio": f64::MAX}), Everything { ratio: f64::MAX, ..Everything::default() }),
        (
            json!({"cleared": null, "small": 255}),
            Everything { cleared: Some(None), small: 255, ..Everything::default() },
        ),
    ] {
        assert_eq!(from_json::<Everything>(json).unwrap(), expected);
    }
    assert_eq!(from_query::<Filter>("page=18446744073709551615").unwrap().page, Some(u64::MAX));
    assert!(from_query::<Filter>("page=18446744073709551616").is_err());
}

/// Parsing stops at 128 levels; what was parsed can be read however deep it is.
#[test]
fn deep_values_are_read() {
    let deep = crate::json::parse(format!("{}{}", "[".repeat(120), "]".repeat(120)).as_bytes()).unwrap();
    let read: Everything = from_json(json!({"raw": deep.clone()})).unwrap();
    assert_eq!(read.raw, deep);
}

#[test]
fn every_wrong_element_of_a_list_is_named_once() {
    #[derive(Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Lists {
        ids: Vec<uuid::Uuid>,
        required: Vec<Required>,
        variants: Vec<Variants>,
        width: u8,
    }
    let errors = named::<Lists>(json!({
        "ids": [5, "018f0000-0000-7000-8000-000000000000", "x", {}],
        "required": [{"x": 1}, {}, null, {"x": 2, "y": 3}],
        "variants": ["plain", "round", {}, {"wrapped": 1}],
        "width": "wide"
    }));
    let fields: Vec<_> = errors.iter().map(|(field, ..)| field.as_str()).collect();
    let expected = [
        "ids[0]",
        "ids[2]",
        "ids[3]",
        "required[1]",
        "required[2]",
        "required[3].y",
        "variants[1]",
        "variants[2]",
        "width",
    ];
    assert_eq!(fields, expected);
}

#[test]
fn no_more_errors_are_told_than_are_of_use() {
    let fields = |value: Value| (0..60).map(|n| (format!("f{n}"), value.clone())).collect::<Value>();
    for (json, code) in [
        (json!({"byName": fields(json!({"quantity": "x"}))}), "invalid_type"),
        (fields(json!(1)), "unknown_field"),
        (fields(json!("\0")), "invalid_characters"),
        (json!({ "\0": vec!["\0"; 60] }), "invalid_characters"),
        (json!({"variants": vec![1; 60]}), "invalid_type"),
    ] {
        let errors = named::<Everything>(json);
        assert_eq!(errors.len(), MAX_ERRORS, "{code}");
        assert!(errors.iter().all(|(_, found, _)| found == code), "{errors:?}");
    }
    assert_eq!(from_query::<Filter>(&"x=%00&".repeat(60)).unwrap_err().len(), MAX_ERRORS);
    let unknown: String = (0..60).map(|n| format!("x{n}=1&")).collect();
    assert_eq!(from_query::<Filter>(&unknown).unwrap_err().len(), MAX_ERRORS);
}

/// A body of 1 MB is not answered with one of 50 MB.
#[test]
fn a_long_name_is_told_in_part() {
    let long = "x".repeat(500_000);
    for json in [
        json!({ &long: vec!["\0"; 50_000] }),
        json!({"byName": { &long: {"quantity": "x", "color": 1} }}),
        json!({ &long: 1 }),
    ] {
        let errors = named::<Everything>(json);
        assert!(!errors.is_empty());
        assert!(errors.iter().all(|(field, ..)| field.len() < 200), "{}", errors[0].0.len());
    }
    let errors = from_query::<BTreeMap<String, u64>>(&format!("{long}=a&y=b")).unwrap_err();
    assert_eq!((errors.len(), errors[0].field.len()), (2, MAX_NAME));
}

#[test]
fn a_parameter_that_is_there_twice_is_named() {
    let errors = from_query::<Filter>("q=a&q=b&page=x").unwrap_err();
    assert_eq!(
        fields(errors),
        [("page".to_owned(), "invalid_value".to_owned()), ("q".to_owned(), "invalid_value".to_owned())]
    );
}
