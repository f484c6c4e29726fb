//! Statements of our documents about the code, checked against the code.

#![allow(clippy::unwrap_used, reason = "a test; the lint spares only functions marked #[test]")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// How many requirements each of the source systems has, by its letter.
const REQUIREMENTS: [(char, usize); 5] = [('L', 36), ('W', 21), ('P', 14), ('R', 12), ('N', 24)];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below a folder with this extension, and its text.
fn files(folder: &str, extension: &str) -> Vec<(String, String)> {
    let mut folders = vec![root().join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "no .{extension} in {folder}");
    found
}

/// The cells of every row of every table, without the lines of dashes.
fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'))
        .filter(|line| !line.starts_with(" ---"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect()
}

/// The texts between backticks.
fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The texts in double quotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

#[test]
fn every_requirement_has_one_line() {
    let coverage = read("docs/coverage.md");
    let known: BTreeSet<String> = REQUIREMENTS
        .iter()
        .flat_map(|(letter, count)| (1..=*count).map(move |number| format!("{letter}{number}")))
        .collect();
    let mut seen = BTreeSet::new();
    let table = rows(&coverage).into_iter().filter(|row| row.len() == 4 && row[0] != "id");
    for row in table {
        let [id, _, tests, state] = row[..] else { unreachable!("rows of four") };
        assert!(known.contains(id), "{id} is no requirement");
        assert!(seen.insert(id.to_owned()), "{id} has two lines");
        match state.split([':', ';', ' ']).next().unwrap_or_default() {
            "done" | "partly" => assert!(tests.contains("::"), "{id} is {state}, and names no test"),
            "later" => assert_eq!(tests, "–", "{id} is {state}, and claims a test"),
            _ => panic!("{id}: {state:?} is no state"),
        }
    }
    let missing: Vec<_> = known.difference(&seen).collect();
    assert!(missing.is_empty(), "no line for {missing:?}");
}

#[test]
fn every_test_that_is_named_exists() {
    let sources = files("crates", "rs");
    let (coverage, security) = (read("docs/coverage.md"), read("docs/security.md"));
    let named = [&coverage, &security].map(|text| {
        let named: Vec<_> = code_spans(text).filter_map(|span| span.split_once(".rs::")).collect();
        assert!(named.len() > 50, "the document was not read");
        named
    });
    for (file, test) in named.concat() {
        let ending = format!("/{file}.rs");
        let mut candidates = sources.iter().filter(|(path, _)| path.ends_with(&ending)).peekable();
        assert!(candidates.peek().is_some(), "there is no {ending}");
        assert!(candidates.any(|(_, text)| is_test(text, test)), "{file}.rs has no test {test}");
    }
}

/// Whether a function of this name has an attribute that makes it a test.
fn is_test(source: &str, name: &str) -> bool {
    let Some((before, _)) = source.split_once(&format!("fn {name}(")) else { return false };
    let above = before.rsplit_once('\n').map_or("", |(above, _)| above);
    let mut attributes = above.lines().rev().map(str::trim).take_while(|line| line.starts_with("#["));
    attributes.any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
}

#[test]
fn the_table_of_error_codes_is_complete() {
    let design = read("docs/api-design.md");
    let (_, section) = design.split_once("### Codes").unwrap();
    let section = section.split("\n#").next().unwrap_or_default();
    let documented: BTreeMap<&str, &str> =
        rows(section).into_iter().filter_map(|row| Some((code_spans(row[0]).next()?, row[1]))).collect();

    let mut codes = BTreeSet::new();
    for (path, text) in files("crates", "rs") {
        if path.contains("/tests/") || path.contains("/bench/") {
            continue;
        }
        // The bodies of `Fault::code`.
        for body in text.split("fn code(&self) -> &'static str {").skip(1) {
            let body = body.split("\n    }").next().unwrap_or_default();
            codes.extend(quoted(body).map(str::to_owned));
        }
        // What the HTTP layer makes itself: `Problem::new(Kind::TooLarge, "body_too_large", …)`.
        for call in text.split("::new(").skip(1).filter(|call| call.trim_start().starts_with("Kind::")) {
            let arguments = call.split(';').next().unwrap_or_default();
            codes.extend(quoted(arguments).take(1).map(str::to_owned));
        }
    }
    assert!(codes.len() > 20, "the sources were not read");
    for code in &codes {
        assert!(documented.contains_key(code.as_str()), "docs/api-design.md does not tell of {code}");
    }
    let listed = read("crates/web/src/openapi/codes.rs");
    let listed: BTreeSet<String> = quoted(&listed).map(str::to_owned).collect();
    assert_eq!(listed, codes, "crates/web/src/openapi/codes.rs lists others");
    for (code, status) in documented {
        assert!(codes.contains(code), "nothing answers {code}");
        assert!(status.parse::<u16>().is_ok_and(|status| (400..600).contains(&status)), "{code}: {status}");
    }
}

#[test]
fn figures_name_the_commit_they_were_measured_at() {
    let performance = read("docs/performance.md");
    let is_figure = |text: &str| {
        [" ms", " MB", "/s "].iter().any(|unit| {
            let before = text.match_indices(unit).filter_map(|(at, _)| text[..at].chars().next_back());
            before.into_iter().any(|last| last.is_ascii_digit())
        })
    };
    let names_commit = |text: &str| {
        code_spans(text).any(|span| span.len() == 7 && span.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    let sections: Vec<&str> = performance.split("\n## ").filter(|section| is_figure(section)).collect();
    assert!(sections.len() >= 5, "the document was not read");
    for section in sections {
        let title = section.lines().next().unwrap_or_default();
        assert!(names_commit(section), "docs/performance.md, {title}: at which commit was it measured?");
    }
    // Elsewhere figures of ours would be older than anybody remembers.
    for path in ["README.md", "docs/operations.md"] {
        let text = read(path);
        for claim in ["resident", " MB of memory", "starts in "] {
            assert!(!text.contains(claim), "{path} claims a figure: it belongs in docs/performance.md");
        }
    }
}

/// The reference to which the README leads; docs/coverage.md knows the test by this name.
#[test]
fn every_setting_is_in_the_readme() {
    assert!(read("README.md").contains("(docs/settings.md)"), "README.md does not lead to the settings");
    let reference = read("docs/settings.md");
    let mut settings = read("crates/app/src/settings.rs");
    for file in ["crates/features/sites/src/settings.rs", "crates/features/tenancy/src/settings.rs"] {
        settings.push_str(&read(file));
    }
    for folder in ["crates/app/src/settings", "crates/runtime/src/settings", "crates/web/src/settings"] {
        for (_, part) in files(folder, "rs") {
            settings.push_str(&part);
        }
    }
    // The reference is made of the types that the program reads; here it is compared with the text of their declarations.
    let documented: BTreeSet<&str> =
        rows(&reference).into_iter().filter_map(|row| code_spans(row[0]).next()).collect();
    let mut count = 0;
    for part in settings.split("#[serde(deny_unknown_fields").skip(1) {
        let Some(body) = part.split_once("\npub struct ").and_then(|(_, rest)| rest.split_once(" {")) else {
            continue;
        };
        for line in body.1.split("\n}").next().unwrap_or_default().lines() {
            let Some((field, kind)) = line.trim().strip_prefix("pub ").and_then(|l| l.split_once(": "))
            else {
                continue;
            };
            // A section of its own, and not a value.
            let kind = kind.trim_end_matches(',');
            if settings.contains(&format!("pub struct {kind} {{")) || kind.starts_with("BTreeMap") {
                continue;
            }
            let ending = format!(".{field}");
            let is_told = documented.iter().any(|name| *name == field || name.ends_with(&ending));
            assert!(is_told, "docs/settings.md does not tell of {} {field}", body.0);
            count += 1;
        }
    }
    assert!(count > 100 && documented.len() >= count, "the settings were not read");
}

#[test]
fn links_lead_to_files_that_exist() {
    let root = root();
    let mut documents = files("docs", "md");
    documents.extend(files("deploy", "md"));
    for name in ["README.md", "CONTRIBUTING.md", "SECURITY.md"] {
        documents.push((root.join(name).display().to_string(), read(name)));
    }
    for (path, text) in documents {
        let folder = Path::new(&path).parent().unwrap().to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            assert!(folder.join(target).exists(), "{path} leads to {target}, which is not there");
        }
    }
}
