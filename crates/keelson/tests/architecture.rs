//! Holds the direction of dependencies between the crates, from `cargo metadata`: who may import whom.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// For each crate, the crates of this workspace that it may depend on in code that ships.
const ALLOWED: [(&str, &[&str]); 18] = [
    ("keelson-proto", &[]),
    ("keelson-types", &[]),
    ("keelson-schema", &["keelson-types"]),
    ("keelson-store", &["keelson-proto", "keelson-types"]),
    ("keelson-client", &["keelson-proto", "keelson-types"]),
    ("keelson-sessions", &["keelson-proto"]),
    ("keelson-api", &["keelson-proto", "keelson-types", "keelson-schema", "keelson-store", "keelson-sessions"]),
    ("keelson-scheduler", LOOPS),
    ("keelson-controllers", LOOPS),
    ("keelson-agent", &["keelson-proto", "keelson-types", "keelson-client", "keelson-sessions"]),
    ("keelson-network", LOOPS),
    ("keelson-cli", LOOPS),
    ("keelson", ANY),
    ("keelson-bench", ANY),
    ("keelson-checkers", &[]),
    ("keelson-fuzzing", &[]),
    ("keelson-simulation", &["keelson-proto", "keelson-types", "keelson-store", "keelson-checkers"]),
    ("jepsen-like-tests", ANY),
];
/// Clients of the API: they never see the store.
const LOOPS: &[&str] = &["keelson-proto", "keelson-types", "keelson-client"];
const ANY: &[&str] = &["*"];

/// Libraries that only some crates may name.
const CONFINED: [(&str, &[&str]); 4] = [
    ("openraft", &["keelson-store"]),
    ("rocksdb", &["keelson-store"]),
    ("axum", &["keelson-api", "keelson-store"]),
    ("clap", &["keelson", "keelson-cli", "keelson-bench", "jepsen-like-tests"]),
];

/// The object model must stay free of I/O.
const BANNED_FROM_TYPES: [&str; 5] = ["tokio", "tonic", "rocksdb", "prost", "hyper"];

#[test]
fn crates_depend_only_on_what_the_architecture_allows() {
    let edges = dependencies();
    let names: BTreeSet<&str> = edges.keys().map(String::as_str).collect();
    let mut faults = Vec::new();
    for (name, dependencies) in &edges {
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| known == name) else {
            faults.push(format!("{name} is not in the table of this test"));
            continue;
        };
        for dependency in dependencies.iter().filter(|dependency| names.contains(dependency.as_str())) {
            if *allowed != ANY && !allowed.contains(&dependency.as_str()) {
                faults.push(format!("{name} must not depend on {dependency}"));
            }
        }
        if dependencies.contains("keelson-fuzzing") {
            faults.push(format!("{name} ships with keelson-fuzzing, which is for tests"));
        }
        for (library, owners) in CONFINED {
            if dependencies.contains(library) && !owners.contains(&name.as_str()) {
                faults.push(format!("{name} must not name {library}; only {owners:?} may"));
            }
        }
    }
    for library in BANNED_FROM_TYPES {
        if edges["keelson-types"].contains(library) {
            faults.push(format!("keelson-types must stay free of {library}"));
        }
    }
    assert!(edges.len() >= 12, "cargo metadata listed only {} crates", edges.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The normal (not dev, not build) dependencies of each crate of the workspace.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let text = |value: &serde_json::Value| value.as_str().expect("a string").to_owned();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("a list of dependencies");
            let normal = dependencies.iter().filter(|dependency| dependency["kind"].is_null());
            (text(&package["name"]), normal.map(|dependency| text(&dependency["name"])).collect())
        })
        .collect()
}

/// The README compares this project with others, and names the tests of each thing that it has. They must be there.
#[test]
fn the_readme_names_tests_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = std::fs::read_to_string(root.join("README.md")).expect("the README");
    let table = readme.split("## Beside other control planes").nth(1).expect("the comparison");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() > 20, "{} rows", rows.len());
    let mut sources = String::new();
    for folder in ["crates", "simulation", "jepsen-like-tests"] {
        read_sources(&root.join(folder), &mut sources);
    }
    for row in rows {
        let (feature, ours) = (row[1], row[2]);
        let tests: Vec<&str> =
            row[3].split(", ").filter(|name| !name.is_empty()).map(|name| name.trim_matches('`')).collect();
        let has_not = ours.starts_with("no");
        assert_eq!(tests.is_empty(), has_not, "{feature}: a test for each that is there, and for no other");
        for test in tests {
            let is_there =
                sources.contains(&format!("fn {test}(")) || sources.contains(&format!("Trial::test(\"{test}\""));
            assert!(is_there, "{feature}: there is no test {test}");
        }
    }
}

/// What the documents call a file or a folder is one, from the root or, as they abbreviate it, from a crate's `src`.
#[test]
fn the_documents_name_files_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut faults = Vec::new();
    let mut named = 0;
    for (page, places) in [
        ("ARCHITECTURE.md", &["", "crates/api/src"][..]),
        ("CONTRIBUTING.md", &["", "crates/api/src", "crates/types/src", "crates/types/src/kinds", "crates/bench/src"]),
        ("crates/api/OVERVIEW.md", &["", "crates/api/src", "crates/api/src/pipeline"]),
        ("crates/store/OVERVIEW.md", &["", "crates/store/src", "crates/store/src/etcd_v3"]),
    ] {
        let text = std::fs::read_to_string(root.join(page)).expect("a page");
        for word in text.split(|c: char| c.is_whitespace() || "`,;()".contains(c)) {
            let word = word.trim_end_matches(['.', ':']);
            let is_path = (word.contains('/') && word.ends_with(".rs")) || word.starts_with("crates/");
            if !is_path || word.contains(['<', '*', '…', '{']) {
                continue;
            }
            named += 1;
            if !places.iter().any(|place| root.join(place).join(word).exists()) {
                faults.push(format!("{page} names {word}, which is not there"));
            }
        }
    }
    assert!(named > 40, "{named} files are named");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The programs for kube-rs are a workspace of their own, which inherits nothing.
#[test]
fn programs_for_kube_rs_are_linted_as_the_product_is() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = |manifest: &Path, heading: &str| -> BTreeSet<String> {
        let text = std::fs::read_to_string(manifest).expect("a manifest");
        let lines = text.lines().skip_while(|line| *line != heading).skip(1);
        lines.take_while(|line| !line.is_empty()).map(str::to_owned).collect()
    };
    for tool in ["rust", "clippy"] {
        let product = table(&package.join("../../Cargo.toml"), &format!("[workspace.lints.{tool}]"));
        let programs = table(&package.join("tests/clients/rust/Cargo.toml"), &format!("[lints.{tool}]"));
        assert!(!product.is_empty());
        assert_eq!(programs, product, "{tool}");
    }
}

/// Appends all Rust below `folder`.
fn read_sources(folder: &Path, sources: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_sources(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&std::fs::read_to_string(&path).expect("a source"));
        }
    }
}
