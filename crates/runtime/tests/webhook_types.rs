//! Compares the list of event types in `docs/webhooks.md` with the catalogue.
//!
//! `UPDATE_DOCUMENTS=1 cargo test -p portico-runtime --test webhook_types` rewrites it.

use std::{collections::BTreeMap, fs, path::Path};

use portico_runtime::events::catalogue;

const BEGIN: &str = "<!-- event types: written by `UPDATE_DOCUMENTS=1 cargo test -p portico-runtime --test webhook_types` -->\n";
const END: &str = "<!-- end of event types -->\n";

/// One row for each published name; it describes all kinds of the log that share the name.
fn table() -> String {
    let mut rows: BTreeMap<&str, (&str, Vec<&str>)> = BTreeMap::new();
    for published in catalogue().all() {
        let row = rows.entry(published.name).or_insert((published.permission.as_str(), Vec::new()));
        assert_eq!(row.0, published.permission.as_str(), "{} has two permissions", published.name);
        row.1.push(published.description);
    }
    let mut text = String::from("\n| type | when | permission |\n| --- | --- | --- |\n");
    for (name, (permission, descriptions)) in rows {
        text += &format!("| `{name}` | {} | `{permission}` |\n", descriptions.join(" "));
    }
    text + "\n"
}

#[test]
fn every_type_of_event_is_in_the_guide() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/webhooks.md");
    let document = fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (documented, after) = rest.split_once(END).unwrap();
    let expected = table();
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
        return;
    }
    assert!(documented == expected, "docs/webhooks.md is behind the catalogue; {BEGIN}");
}
