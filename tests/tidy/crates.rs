//! What we depend on: licences, versions and sources, as `deny.toml` allows them.
//!
//! The same rules as cargo-deny's, in few lines: it is not installed everywhere, and compiling it takes longer than all
//! our tests. Advisories need the internet and are left to it.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

use crate::source::{Finding, root};

/// The parts of `deny.toml` that are checked here.
pub struct Rules {
    licences: BTreeSet<String>,
    /// As `name@version`.
    skipped: BTreeSet<String>,
}

impl Rules {
    pub fn read(text: &str) -> Self {
        let table: toml::Table = text.parse().unwrap();
        let texts = |section: &str, key: &str, text: fn(&toml::Value) -> &toml::Value| -> BTreeSet<String> {
            let list = table[section][key].as_array().unwrap().iter();
            list.map(|entry| text(entry).as_str().unwrap().to_owned()).collect()
        };
        Self {
            licences: texts("licenses", "allow", |entry| entry),
            skipped: texts("bans", "skip", |entry| &entry["crate"]),
        }
    }

    /// A licence expression: alternatives, of which one must be allowed with all its parts. Parentheses only ever stand
    /// around alternatives, and an exception (`WITH`) allows more than the licence does.
    fn allows(&self, expression: &str) -> bool {
        let expression = expression.replace('/', " OR ");
        let all = |part: &str| part.split(" OR ").any(|one| self.licences.contains(plain(one)));
        if expression.contains('(') || !expression.contains(" AND ") {
            return expression.split(" AND ").all(all);
        }
        // AND binds more tightly than OR.
        expression.split(" OR ").any(|part| part.split(" AND ").all(|one| self.licences.contains(plain(one))))
    }
}

/// The name of a licence without parentheses and exception.
fn plain(licence: &str) -> &str {
    let licence = licence.trim().trim_matches(['(', ')']);
    licence.split_once(" WITH ").map_or(licence, |(name, _)| name).trim()
}

/// Crates that are compiled on this machine and for the platform, whose licence is not allowed.
pub fn licences(rules: &Rules, packages: &[Value]) -> Vec<Finding> {
    let theirs = packages.iter().filter(|package| !package["source"].is_null());
    let found = theirs.filter(|package| !rules.allows(package["license"].as_str().unwrap_or("none")));
    found
        .map(|package| {
            let advice =
                format!("{} has the licence {}: allow it or replace the crate", package["name"], package["license"]);
            Finding::new("deny.toml", 0, advice)
        })
        .collect()
}

/// Versions beside the newest one, and sources that are not the public registry, in `Cargo.lock`.
pub fn lock(rules: &Rules, text: &str) -> Vec<Finding> {
    let lock: toml::Table = text.parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    let of = |package: &toml::Value, key: &str| package.get(key).map(|value| value.as_str().unwrap().to_owned());
    let mut found = Vec::new();
    let mut needed = BTreeSet::new();
    // Cargo sorts them, so the newest of a name is the last.
    for (at, package) in packages.iter().enumerate() {
        let name = of(package, "name").unwrap();
        if of(package, "source").is_some_and(|source| !source.starts_with("registry+https://github.com/rust-lang/")) {
            found.push(Finding::new("Cargo.lock", 0, format!("{name} does not come from the public registry")));
        }
        if packages.get(at + 1).is_some_and(|next| of(next, "name").as_ref() == Some(&name)) {
            let key = format!("{name}@{}", of(package, "version").unwrap());
            if !rules.skipped.contains(&key) {
                found.push(Finding::new(
                    "Cargo.lock",
                    0,
                    format!("{key} is a second version: unify, or say who keeps it"),
                ));
            }
            needed.insert(key);
        }
    }
    let stale = rules.skipped.difference(&needed);
    found.extend(stale.map(|key| Finding::new("deny.toml", 0, format!("{key} needs no exception"))));
    found
}

/// The crates that this machine and the platform compile, from `cargo metadata`.
pub fn packages() -> Vec<Value> {
    let host = Command::new("rustc").args(["--print", "host-tuple"]).output().unwrap();
    let host = String::from_utf8(host.stdout).unwrap();
    let args = ["metadata", "--format-version", "1", "--locked", "--all-features", "--filter-platform", host.trim()];
    let done = Command::new(env!("CARGO"))
        .args(args)
        .args(["--filter-platform", "wasm32-unknown-unknown"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut metadata: Value = serde_json::from_slice(&done.stdout).unwrap();
    let Value::Array(packages) = metadata["packages"].take() else { panic!("no packages in the metadata") };
    packages
}

#[cfg(test)]
const RULES: &str = "licenses.allow = ['MIT', 'ISC']\nbans.skip = [{ crate = 'a@1.0.0', reason = 'b' }]";

#[test]
fn a_licence_that_is_not_allowed_is_found() {
    let found = |licence: Value| {
        let package = serde_json::json!({ "name": "a", "source": "registry", "license": licence });
        licences(&Rules::read(RULES), &[package]).len()
    };
    for allowed in ["MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "ISC AND MIT", "(MIT OR X) AND ISC", "MIT WITH Y OR Z"] {
        assert_eq!(found(allowed.into()), 0, "{allowed}");
    }
    for refused in ["GPL-3.0", "ISC AND GPL-3.0", "(X OR Y) AND MIT", "X OR MIT AND Y"] {
        assert_eq!(found(refused.into()), 1, "{refused}");
    }
    assert_eq!(found(Value::Null), 1, "no licence at all");
}

#[test]
fn second_versions_and_other_sources_are_found() {
    let package = |name: &str, version: &str, source: &str| {
        format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = \"{source}\"\n")
    };
    let registry = "registry+https://github.com/rust-lang/crates.io-index";
    let known = package("a", "1.0.0", registry) + &package("a", "2.0.0", registry);
    let found = |text: &str| lock(&Rules::read(RULES), text).len();
    assert_eq!(found(&known), 0);
    assert_eq!(found(&(known.clone() + &package("b", "1.0.0", registry) + &package("b", "2.0.0", registry))), 1);
    assert_eq!(found(&(known + &package("c", "1.0.0", "git+https://example.com/c"))), 1);
    assert_eq!(found(&package("a", "2.0.0", registry)), 1, "an exception that nothing needs");
}
