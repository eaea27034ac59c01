//! The house rules that a machine can check: sizes, arrows between rooms, circles, dead code, names, prose.
//!
//! Each rule is a function from files to findings, with a test that shows it a bad sample. `cargo test --test tidy`.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

#[path = "tidy/allowed.rs"]
mod allowed;
#[path = "tidy/crates.rs"]
mod crates;
#[path = "tidy/graph.rs"]
mod graph;
#[path = "tidy/items.rs"]
mod items;
#[path = "tidy/prose.rs"]
mod prose;
#[path = "tidy/size.rs"]
mod size;
#[path = "tidy/source.rs"]
mod source;

use std::fs;

use source::{File, Finding};

/// Fails with every finding in a line of its own.
fn none(rule: &str, mut found: Vec<Finding>) {
    found.sort();
    let lines: Vec<String> = found.iter().map(|finding| format!("  {finding}")).collect();
    assert!(found.is_empty(), "{rule}: {} places\n{}\n", found.len(), lines.join("\n"));
}

/// Takes out what is allowed; an exception that nothing needs is a finding.
fn without(allowed: &[(&str, &str)], found: Vec<Finding>, key: impl Fn(&Finding) -> String) -> Vec<Finding> {
    let keys: Vec<String> = found.iter().map(&key).collect();
    let stale = allowed.iter().filter(|(name, _)| !keys.iter().any(|key| key == name));
    let stale = stale.map(|(name, _)| Finding::new("tests/tidy/allowed.rs", 0, format!("`{name}` needs no exception")));
    let kept = found.into_iter().zip(&keys).filter(|(_, key)| !allowed.iter().any(|(name, _)| name == key));
    kept.map(|(finding, _)| finding).chain(stale).collect()
}

fn rust(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| file.is(&["rs"]))
}

/// The name that a finding has in backticks.
fn named(finding: &Finding) -> String {
    finding.advice.split('`').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn lines_are_at_most_120_columns() {
    none("long lines", source::project().iter().flat_map(size::lines).collect());
}

#[test]
fn files_have_one_purpose() {
    let found = source::project().iter().filter_map(size::file).collect();
    none("long files", without(&allowed::LONG_FILES, found, |finding| finding.path.clone()));
}

#[test]
fn functions_fit_a_screen() {
    let found = rust(&source::project()).flat_map(size::functions).collect();
    let key = |finding: &Finding| format!("{}: {}", finding.path, named(finding));
    none("long functions", without(&allowed::LONG_FUNCTIONS, found, key));
}

#[test]
fn rooms_import_what_the_table_allows() {
    none("arrows between rooms", graph::Graph::of(&source::project()).forbidden());
}

#[test]
fn no_circles_of_imports() {
    none("circles", graph::Graph::of(&source::project()).circles());
}

#[test]
fn nothing_public_is_dead() {
    none("dead code", without(&allowed::TESTS_ONLY, items::dead(&source::project()), named));
}

#[test]
fn one_word_for_one_thing() {
    let found = items::twice(&source::project()).into_values().flatten().collect();
    none("type names", without(&allowed::SAME_NAME, found, named));
}

#[test]
fn files_that_are_named_exist() {
    let (files, paths) = (source::project(), source::paths());
    none("names of files", files.iter().flat_map(|file| prose::broken_names(file, &paths)).collect());
}

#[test]
fn prose_is_plain_english() {
    let files = source::project();
    // The rules quote what they forbid.
    let read = files.iter().filter(|file| !file.path.starts_with("tests/tidy"));
    none("phrases", read.flat_map(prose::phrases).collect());
}

#[test]
fn crates_are_allowed_and_there_once() {
    let read = |name: &str| fs::read_to_string(source::root().join(name)).unwrap();
    let rules = crates::Rules::read(&read("deny.toml"));
    let licences = crates::licences(&rules, &crates::packages());
    none("crates", licences.into_iter().chain(crates::lock(&rules, &read("Cargo.lock"))).collect());
}

#[test]
fn exceptions_are_used_and_only_once_they_are_needed() {
    let found = || vec![Finding::new("a.rs", 1, "`f` is long"), Finding::new("b.rs", 1, "`g` is long")];
    let left = without(&[("f", "reason")], found(), named);
    assert_eq!(left.iter().map(named).collect::<Vec<_>>(), ["g"]);
    let stale = without(&[("f", ""), ("g", ""), ("h", "")], found(), named);
    assert_eq!(stale.iter().map(named).collect::<Vec<_>>(), ["h"]);
}
