//! The rules about dependencies between crates, read from `cargo metadata` and from our manifests.
//!
//! They keep the business rules free of databases, HTTP and each other. `docs/architecture.md` explains them.

#![allow(clippy::unwrap_used, reason = "a test; the lint spares only functions marked #[test]")]

#[path = "architecture/libraries.rs"]
mod libraries;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use self::libraries::{BANNED, OWNED_LIBRARIES, PURE_LIBRARIES};

/// Structs with more public fields than is good, and how many: the sections of the settings, rows with many columns, and the tables of a
/// database in memory. None is added, and one that gets slimmer changes its number.
const KNOWN_WIDE: [(&str, usize); 12] = [
    ("ApiKey", 17),
    ("Coupon", 18),
    ("Domain", 17),
    ("Invoice", 23),
    ("PlanCall", 19),
    ("ProviderInvoice", 18),
    ("Rows", 21),
    ("Security", 18),
    ("Settings", 35),
    ("TenantSubscription", 17),
    ("User", 18),
    ("Wizard", 19),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    Kernel,
    Compute,
    Domain,
    Adapter,
    Runtime,
    Web,
    Feature,
    App,
    Migrations,
    Development,
}

struct Member {
    name: String,
    layer: Layer,
    manifest: toml::Table,
    sources: PathBuf,
    /// Name and kind (`normal`, `dev`, `build`) of every direct dependency.
    dependencies: Vec<(String, String)>,
}

impl Member {
    fn depends_on(&self, kinds: &[&str]) -> BTreeSet<&str> {
        let wanted = self.dependencies.iter().filter(|(_, kind)| kinds.contains(&kind.as_str()));
        wanted.map(|(name, _)| name.as_str()).collect()
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn table(path: &str) -> toml::Table {
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

fn members() -> Vec<Member> {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--format-version=1", "--no-deps"])).unwrap();
    let root = root();
    let text = |value: &Value| value.as_str().unwrap_or("normal").to_owned();
    let members: Vec<_> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let path = text(&package["manifest_path"]);
            let folder = PathBuf::from(&path).strip_prefix(&root).unwrap().display().to_string();
            let layer = match folder.as_str() {
                // Both depend on nothing of ours.
                "crates/kernel/Cargo.toml" | "crates/embedded/Cargo.toml" => Layer::Kernel,
                "crates/compute/Cargo.toml" => Layer::Compute,
                "crates/runtime/Cargo.toml" => Layer::Runtime,
                "crates/web/Cargo.toml" => Layer::Web,
                "crates/app/Cargo.toml" => Layer::App,
                "migrations/Cargo.toml" => Layer::Migrations,
                "crates/testkit/Cargo.toml" | "crates/bench/Cargo.toml" => Layer::Development,
                path if path.starts_with("crates/features/") => Layer::Feature,
                path if path.starts_with("crates/domain/") => Layer::Domain,
                path if path.starts_with("crates/adapters/") => Layer::Adapter,
                other => panic!("{other} belongs to no layer; say here which rules it follows"),
            };
            let dependencies = package["dependencies"].as_array().unwrap();
            Member {
                name: text(&package["name"]),
                layer,
                sources: PathBuf::from(&path).with_file_name("src"),
                manifest: table(&path),
                dependencies: dependencies.iter().map(|d| (text(&d["name"]), text(&d["kind"]))).collect(),
            }
        })
        .collect();
    for layer in [
        Layer::Kernel,
        Layer::Compute,
        Layer::Domain,
        Layer::Adapter,
        Layer::Runtime,
        Layer::Web,
        Layer::Feature,
        Layer::App,
        Layer::Migrations,
        Layer::Development,
    ] {
        assert!(members.iter().any(|member| member.layer == layer), "no crate in the layer {layer:?}");
    }
    members
}

fn names(members: &[Member], layers: &[Layer]) -> BTreeSet<String> {
    members.iter().filter(|member| layers.contains(&member.layer)).map(|member| member.name.clone()).collect()
}

#[test]
fn the_kernel_and_the_pools_of_threads_depend_on_nothing_of_ours() {
    let lowest = [Layer::Kernel, Layer::Compute];
    for member in members().iter().filter(|member| lowest.contains(&member.layer)) {
        for name in member.depends_on(&["normal", "build", "dev"]) {
            assert!(!name.starts_with("portico"), "{} depends on {name}", member.name);
        }
    }
}

#[test]
fn domain_crates_depend_on_the_kernel_and_pure_libraries_only() {
    let members = members();
    let ours = names(
        &members,
        &[
            Layer::Domain,
            Layer::Adapter,
            Layer::Runtime,
            Layer::Web,
            Layer::Feature,
            Layer::App,
            Layer::Migrations,
        ],
    );
    for member in members.iter().filter(|member| member.layer == Layer::Domain) {
        for name in member.depends_on(&["normal", "build"]) {
            assert!(
                name == "portico-kernel" || PURE_LIBRARIES.contains(&name),
                "{} depends on {name}; if that library does no I/O, see ADR 0009",
                member.name
            );
        }
        for name in member.depends_on(&["dev"]) {
            assert!(
                name == member.name || !ours.contains(name),
                "the tests of {} depend on {name}",
                member.name
            );
        }
    }
}

#[test]
fn adapters_depend_neither_on_each_other_nor_on_what_uses_them() {
    let members = members();
    let forbidden =
        names(&members, &[Layer::Adapter, Layer::Runtime, Layer::Web, Layer::Feature, Layer::App]);
    for member in members.iter().filter(|member| member.layer == Layer::Adapter) {
        for name in member.depends_on(&["normal", "build"]) {
            assert!(!forbidden.contains(name), "{} depends on {name}", member.name);
        }
    }
}

/// The runtime, which works without HTTP, depends on no feature, not on HTTP, and of the adapters only on the database (whose
/// transactions it runs), the signatures of webhooks and the export of telemetry.
#[test]
fn the_runtime_depends_on_nothing_above_it() {
    let members = members();
    let forbidden = names(&members, &[Layer::Web, Layer::Feature, Layer::App, Layer::Migrations]);
    let adapters = names(&members, &[Layer::Adapter]);
    for member in members.iter().filter(|member| member.layer == Layer::Runtime) {
        for name in member.depends_on(&["normal", "build", "dev"]) {
            let is_http = name.starts_with("actix") || name.starts_with("utoipa");
            assert!(!forbidden.contains(name) && !is_http, "{} depends on {name}", member.name);
            let is_allowed = ["portico-sql", "portico-security", "portico-otlp"].contains(&name);
            assert!(!adapters.contains(name) || is_allowed, "{} depends on {name}", member.name);
        }
    }
}

/// What every route uses depends on no domain and no adapter, so that a domain's routes need nothing of another domain.
#[test]
fn the_web_knows_no_domain() {
    let members = members();
    let forbidden =
        names(&members, &[Layer::Domain, Layer::Adapter, Layer::Feature, Layer::App, Layer::Migrations]);
    for member in members.iter().filter(|member| member.layer == Layer::Web) {
        for name in member.depends_on(&["normal", "build"]) {
            assert!(!forbidden.contains(name), "{} depends on {name}", member.name);
        }
    }
}

/// A change of a feature recompiles that feature and the application, and nothing else.
#[test]
fn a_feature_knows_no_other_feature_and_no_adapter() {
    let members = members();
    let forbidden = names(&members, &[Layer::Feature, Layer::Adapter, Layer::App, Layer::Migrations]);
    for member in members.iter().filter(|member| member.layer == Layer::Feature) {
        for name in member.depends_on(&["normal", "build"]) {
            // Templates that come with the product are data.
            let is_data = name == "portico-library";
            assert!(is_data || !forbidden.contains(name), "{} depends on {name}", member.name);
        }
    }
}

/// A struct that holds everything is passed everywhere, and then everything depends on everything.
#[test]
fn no_struct_has_more_than_a_few_public_fields() {
    const MOST: usize = 16;
    let mut wide = BTreeMap::new();
    for member in members().iter().filter(|member| member.layer != Layer::Development) {
        for file in rust_files(&member.sources) {
            let text = std::fs::read_to_string(&file).unwrap();
            for part in text.split("\npub struct ").skip(1) {
                let Some((name, body)) = part.split_once(" {\n") else { continue };
                let body = body.split("\n}").next().unwrap();
                let fields = body.lines().filter(|line| line.starts_with("    pub ")).count();
                if fields > MOST {
                    wide.insert(name.to_owned(), fields);
                }
            }
        }
    }
    let known: BTreeMap<String, usize> =
        KNOWN_WIDE.into_iter().map(|(name, fields)| (name.to_owned(), fields)).collect();
    assert_eq!(wide, known);
}

/// A file that is longer has more than one topic, is read in parts only, and is what several people change at once: it is cut by topic.
/// The aim is 500 lines; the rest is for what is added before the cut.
#[test]
fn no_source_file_is_longer_than_520_lines() {
    const MOST: usize = 520;
    let folders = ["crates", "migrations"].map(|folder| rust_files(&root().join(folder)));
    for path in folders.concat() {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= MOST, "{} has {lines} lines", path.display());
    }
}

/// Modules that depend on each other can only be understood, moved and tested together.
#[test]
fn the_modules_of_a_crate_form_no_circle() {
    for member in members() {
        let all = modules(&member.sources);
        // The domain's ports speak of its aggregates, and the aggregates use the ports.
        let ports = (member.layer == Layer::Domain).then_some("ports");
        let mut left: BTreeMap<String, BTreeSet<String>> = all.clone();
        left.retain(|name, _| Some(name.as_str()) != ports);
        // Modules that use no remaining module are removed until there are none: what remains is cycles and their users.
        loop {
            let names: BTreeSet<String> = left.keys().cloned().collect();
            let before = left.len();
            left.retain(|_, used| used.iter().any(|name| names.contains(name)));
            if left.len() == before {
                break;
            }
        }
        assert!(left.is_empty(), "{}: {:?}", member.name, left.keys());
    }
}

/// The top-level modules of a crate, and which of the others each one uses outside of tests.
fn modules(sources: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in rust_files(sources) {
        let path = file.strip_prefix(sources).unwrap();
        let top = path.iter().next().unwrap().to_str().unwrap();
        let name = top.trim_end_matches(".rs");
        if ["lib", "main"].contains(&name) || path.ends_with("tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let used = all.entry(name.to_owned()).or_default();
        used.extend(named_after("crate::", text));
        if top.ends_with(".rs") {
            used.extend(named_after("super::", text));
        }
    }
    let names: BTreeSet<String> = all.keys().cloned().collect();
    for (name, used) in &mut all {
        used.retain(|other| other != name && names.contains(other));
    }
    all
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let nested = entries.map(|path| match path.is_dir() {
        true => rust_files(&path),
        false => Vec::from_iter(path.extension().is_some_and(|kind| kind == "rs").then_some(path)),
    });
    nested.flatten().collect()
}

/// The first names after a prefix of paths: `b` of `a::b::c`, and `b` and `d` of `a::{b::c, d}`.
fn named_after(prefix: &str, text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let text = lines.collect::<Vec<_>>().join("\n");
    for (at, _) in text.match_indices(prefix) {
        if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &text[at + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(word(rest));
            continue;
        };
        let (mut depth, mut begins) = (1, true);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => begins = true,
                c if c.is_whitespace() => {}
                _ if begins => {
                    names.insert(word(&group[at..]));
                    begins = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    names
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn names_are_found_in_paths_and_in_groups() {
    let text =
        "use crate::{\n    a::{b, c},\n    d,\n};\n// crate::x\nfn f() { crate::e::g(); mycrate::h(); }";
    assert_eq!(named_after("crate::", text).into_iter().collect::<Vec<_>>(), ["a", "d", "e"]);
}

#[test]
fn crates_for_development_stay_out_of_the_product() {
    let members = members();
    let development = names(&members, &[Layer::Development]);
    for member in members.iter().filter(|member| member.layer != Layer::Development) {
        for name in member.depends_on(&["normal", "build"]) {
            assert!(!development.contains(name), "{} depends on {name}", member.name);
        }
    }
}

#[test]
fn libraries_that_reach_outside_are_used_in_one_place() {
    for member in &members() {
        for name in member.depends_on(&["normal", "build"]) {
            if let Some((_, owners)) = OWNED_LIBRARIES.iter().find(|(library, _)| *library == name) {
                assert!(
                    owners.contains(&member.name.as_str()),
                    "{} depends on {name}: only {owners:?} may",
                    member.name
                );
            }
        }
    }
}

#[test]
fn every_crate_follows_the_lints_of_the_workspace_and_those_forbid_unsafe_code() {
    let workspace = table(root().join("Cargo.toml").to_str().unwrap());
    assert_eq!(workspace["workspace"]["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
    for member in &members() {
        let inherited = member.manifest.get("lints").and_then(|lints| lints.get("workspace"));
        assert_eq!(inherited.and_then(toml::Value::as_bool), Some(true), "[lints] of {}", member.name);
    }
}

#[test]
fn versions_of_dependencies_are_named_once_in_the_workspace() {
    for member in &members() {
        let targets = member.manifest.get("target").and_then(toml::Value::as_table);
        let tables =
            targets.into_iter().flat_map(|targets| targets.values().filter_map(toml::Value::as_table));
        for manifest in tables.chain([&member.manifest]) {
            for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
                for (name, dependency) in
                    manifest.get(section).and_then(toml::Value::as_table).into_iter().flatten()
                {
                    let inherited = dependency.get("workspace").and_then(toml::Value::as_bool) == Some(true);
                    // A crate that uses its own mocks in its tests depends on itself by path.
                    let itself = *name == member.name && dependency.get("version").is_none();
                    assert!(inherited || itself, "{name} in {} must be `workspace = true`", member.name);
                }
            }
        }
    }
}

/// `cargo tree` and not `cargo metadata`: only the former leaves out what the lock file names but no feature turns on.
#[test]
fn banned_crates_are_in_no_build() {
    let tree =
        cargo(&["tree", "--workspace", "--all-features", "--target=all", "--prefix=none", "--format={p}"]);
    let built: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(built.contains("portico-kernel"), "the tree was not read");
    for name in BANNED {
        assert!(
            !built.contains(name),
            "{name} is in the build; `cargo tree -i {name} --target all` tells through whom"
        );
    }
}
