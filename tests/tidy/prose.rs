//! What is written for people: files that are named must exist, and words that nobody else uses stay out.

use std::sync::LazyLock;

use regex::Regex;

use crate::source::{File, Finding};

/// A link in Markdown, or a file in backticks with or without a line.
static LINK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\]\(([^)\s#]+)(?:#[^)]*)?\)").unwrap());
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"`((?:\.{0,2}/)?(?:[\w.-]+/)*[\w.-]*\w\.(?:rs|mjs|js|ts|css|html|toml|md|py))(?::\d+)?`").unwrap()
});
/// A folder of the project in backticks.
static FOLDER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"`((?:src|tests|www|docs|tools|examples|clients)/(?:[\w.-]+/?)*)`").unwrap());

/// Files and folders that a text names and that do not exist. `paths` are all files of the project.
pub fn broken_names(file: &File, paths: &[String]) -> Vec<Finding> {
    let mut found = Vec::new();
    let exists = |name: &str| paths.iter().any(|path| path == name);
    let ends_so = |name: &str| paths.iter().any(|path| path.ends_with(&format!("/{name}")));
    let begins_so = |name: &str| paths.iter().any(|path| path.starts_with(&format!("{name}/")));
    for (at, line) in file.lines().filter(|(_, line)| is_prose(file, line)) {
        if file.is(&["md"]) {
            for link in LINK.captures_iter(line).map(|link| link[1].to_owned()) {
                let address = link.contains("://") || link.starts_with("mailto:");
                if !address && !exists(&resolved(&file.path, &link)) {
                    found.push(Finding::new(&file.path, at, format!("the link to `{link}` leads nowhere")));
                }
            }
        }
        for named in NAMED.captures_iter(line).filter(|named| !is_made(&named[1])) {
            let name = named[1].trim_start_matches(['.', '/']);
            if !exists(name) && !ends_so(name) {
                found.push(Finding::new(&file.path, at, format!("there is no `{name}`: name the file that it became")));
            }
        }
        for folder in FOLDER.captures_iter(line).map(|folder| folder[1].trim_end_matches('/').to_owned()) {
            let is_file = folder.rsplit('/').next().is_some_and(|last| last.contains('.'));
            if !is_file && !is_made(&folder) && !begins_so(&folder) && !exists(&folder) {
                found.push(Finding::new(&file.path, at, format!("there is no `{folder}`: name what it became")));
            }
        }
    }
    found
}

/// Files of others, or that a build, a user or a browser makes.
fn is_made(name: &str) -> bool {
    let made = ["www/pkg", "edgequeue.js", "glue.js", "index.d.ts"];
    made.iter().any(|made| name == *made || name.starts_with(&format!("{made}/")))
}

/// Prose is Markdown, and the comments of everything else.
fn is_prose(file: &File, line: &str) -> bool {
    let text = line.trim_start();
    file.is(&["md"]) || ["//", "/*", "*", "#"].iter().any(|mark| text.starts_with(mark))
}

/// `link` as seen from `path`.
fn resolved(path: &str, link: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// A phrase that a reader stumbles over.
struct Phrase {
    pattern: &'static str,
    /// What it also matches and is good English; none if empty.
    fine: &'static str,
    instead: &'static str,
}

const fn phrase(pattern: &'static str, instead: &'static str) -> Phrase {
    Phrase { pattern, fine: "", instead }
}

const PHRASES: [Phrase; 18] = [
    phrase("how many-th", "name the number: an attempt, a position"),
    phrase(r"\bwork(?:s|ed|ing)? (?:\w+ ){0,3}off\b", "\"serve\", \"consume\" or \"process\""),
    phrase(r"\bSee there\b", "say where, or leave it out"),
    Phrase { pattern: r"\b[Ss]o many\b.{0,5}", fine: r"so many (?:as|that)\b", instead: "say which number it is" },
    Phrase {
        pattern: r"\b\S+ is no \w+",
        fine: r"(?i)there is no|\bis no (?:longer|such|more|other|reason|time|way|moment|room)$",
        instead: "\"is not a ...\", or name the subject",
    },
    phrase(r"\bnot any more\b|\bnothing (?:\w+ ){0,3}any more\b|\bno \w+ any more\b", "\"no longer\""),
    phrase(r"\bNothing is owed\b|\bowes? nobody\b", "say what no longer waits for an answer"),
    phrase(r"\bminds (?:him|it)(?:self)?\b", "\"keeps track of\" or \"enforces\""),
    phrase(r"\ba mistake and no\b|\band no wish\b", "\"is a mistake, not a ...\""),
    phrase(r"\bburial\b|\bbury\b|\bburied\b|\bburies\b", "\"dead-letter\" an entry, \"replace\" an instance"),
    phrase(r"\bsigns? of life\b", "\"heartbeat\""),
    phrase(r"\blife line\b", "\"watchdog\""),
    phrase(r"\bin vain\b", "say what failed"),
    phrase(r"\bto the power of it\b", "write the formula"),
    phrase(r"\bof the wheel\b", "say \"round-robin\""),
    phrase(r"\bafter all\.", "leave it out"),
    phrase(r"\bat the most\b", "\"at most\""),
    phrase(r"allow\(clippy::too_many_arguments\)", "group the arguments in a struct"),
];

static BANNED: LazyLock<Vec<(Regex, Option<Regex>, &str)>> = LazyLock::new(|| {
    let compiled = |pattern: &str| Regex::new(pattern).unwrap();
    let row = |phrase: &Phrase| {
        let fine = (!phrase.fine.is_empty()).then(|| compiled(phrase.fine));
        (compiled(phrase.pattern), fine, phrase.instead)
    };
    PHRASES.iter().map(row).collect()
});

/// Banned phrases, in comments, documents and messages alike.
pub fn phrases(file: &File) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, line) in file.lines() {
        for (pattern, fine, instead) in BANNED.iter() {
            let matches = pattern.find_iter(line).map(|found| found.as_str());
            for words in matches.filter(|words| !fine.as_ref().is_some_and(|fine| fine.is_match(words))) {
                found.push(Finding::new(&file.path, at, format!("\"{}\": {instead}", words.trim())));
            }
        }
    }
    found
}

#[test]
fn names_of_files_that_are_gone_are_found() {
    let paths = ["docs/a.md", "src/queue/put.rs"].map(str::to_owned);
    let names = |path: &str, text: &str| broken_names(&File::sample(path, text), &paths).len();
    assert_eq!(names("docs/a.md", "see `put.rs`, `src/queue/put.rs:12`, `src/queue` and [a](a.md#top)"), 0);
    assert_eq!(names("docs/a.md", "see `gone.rs`"), 1);
    assert_eq!(names("docs/a.md", "see `src/gone`"), 1);
    assert_eq!(names("docs/a.md", "[a](b.md) and [b](https://example.com/b.md)"), 1);
    assert_eq!(names("src/queue/put.rs", "//! after `gone.rs`\nlet x = \"`gone.rs`\";"), 1);
}

#[test]
fn phrases_are_found_in_comments_and_messages() {
    let at = |text: &str| phrases(&File::sample("a.rs", text)).len();
    assert_eq!(at("// The how many-th delivery this is."), 1);
    assert_eq!(at("let text = \"the queue is worked off\";"), 1);
    assert_eq!(at("/// Who is no browser sends what origin it likes."), 1);
    assert_eq!(at("// The value is no number."), 1);
    assert_eq!(at("// There is no room; it is no longer there."), 0);
    assert_eq!(at("// Entries are served in order, at most `window` at a time."), 0);
}
