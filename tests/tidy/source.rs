//! The project's text files, and what a rule has to say about one of them.

use std::{fmt, fs, path::Path};

/// A file of ours. The path is relative to the project's folder, with `/` on every machine.
#[derive(Debug)]
pub struct File {
    pub path: String,
    pub text: String,
}

/// A place that breaks a rule, and what to do about it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub path: String,
    /// From 1; 0 where the file as a whole is meant.
    pub line: usize,
    pub advice: String,
}

impl Finding {
    pub fn new(path: &str, line: usize, advice: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, advice: advice.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.advice),
            line => write!(f, "{}:{line}: {}", self.path, self.advice),
        }
    }
}

impl File {
    /// A file that exists only for a rule's own test.
    pub fn sample(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub fn is(&self, extensions: &[&str]) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension))
    }

    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, line))
    }
}

/// Folders that are installed or built, never written.
const MADE: [&str; 6] = [".git", ".venv", ".wrangler", "build", "node_modules", "www/pkg"];
/// How the names of the text we write end. Golden files (.txt, .hex, .json) are data.
const WRITTEN: [&str; 10] = [".rs", ".mjs", ".js", ".ts", ".css", ".html", ".toml", ".md", ".py", ".sh"];

/// The project's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The paths of everything that is not made, text or not, in order.
pub fn paths() -> Vec<String> {
    let mut paths = Vec::new();
    collect(root(), &mut paths);
    paths.sort();
    assert!(paths.len() > 200, "only {} files below {}: is this the project's folder?", paths.len(), root().display());
    paths
}

/// Every text file of the project, in the order of the paths.
pub fn project() -> Vec<File> {
    let is_text = |path: &String| path.ends_with(".ci/run") || WRITTEN.iter().any(|end| path.ends_with(end));
    let read = |path: String| File { text: fs::read_to_string(root().join(&path)).unwrap(), path };
    paths().into_iter().filter(is_text).map(read).collect()
}

fn collect(folder: &Path, paths: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
        if MADE.contains(&name.as_str()) || name.starts_with("target") || name.ends_with("__pycache__") {
            continue;
        }
        if path.is_dir() {
            collect(&path, paths);
        } else {
            paths.push(name);
        }
    }
}
