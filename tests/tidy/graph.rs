//! Who imports whom: modules of `src` as nodes, what one names of another as arrows.
//!
//! An arrow leads to the file where the name is *defined*: a `pub use` on the way is an address, not a dependence. Test
//! modules do not count.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    spanned::Spanned,
    visit::{self, Visit},
};

use crate::source::{File, Finding};

/// A module as its path below the crate's root: `["queue", "put"]`.
type Path = Vec<String>;

/// The rooms of `src`, and what each may import: `docs/architecture.md` has the table.
const ARROWS: [(&str, &[&str]); 10] = [
    ("queue", &[]),
    ("store", &["queue"]),
    ("wire", &["queue"]),
    ("inference", &["queue", "wire"]),
    ("broker", &["queue", "store", "wire", "inference"]),
    ("client", &["wire", "queue"]),
    ("worker", &["queue", "store", "wire", "inference", "broker"]),
    ("browser", &["client", "wire", "queue"]),
    ("cli", &["client", "wire", "queue"]),
    ("bin", &[]),
];

/// Everything the rules ask of the imports.
#[derive(Debug, Default)]
pub struct Graph {
    modules: BTreeMap<Path, Module>,
}

#[derive(Debug, Default)]
struct Module {
    file: String,
    /// Names that are defined here.
    items: BTreeSet<String>,
    /// Names that are brought here, with the absolute path they come from; `*` is a glob.
    imports: Vec<(String, Path)>,
    /// Everything that is named: the line, and the absolute path.
    uses: Vec<(usize, Path)>,
}

impl Graph {
    /// Of the Rust files below `src`.
    pub fn of(files: &[File]) -> Self {
        let mut graph = Self::default();
        for file in files.iter().filter(|file| file.path.starts_with("src/") && file.is(&["rs"])) {
            let path = module_path(&file.path);
            let parsed = syn::parse_file(&file.text).unwrap_or_else(|error| panic!("{}: {error}", file.path));
            let module = Module { file: file.path.clone(), ..Module::default() };
            let mut reader = Reader { module, path: path.clone() };
            reader.visit_file(&parsed);
            graph.modules.insert(path, reader.module);
        }
        graph
    }

    /// From each file to the files it depends on, with the line that says so first.
    fn arrows(&self) -> BTreeMap<&str, BTreeMap<&str, usize>> {
        let mut arrows: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
        for module in self.modules.values() {
            for (line, path) in &module.uses {
                let target = self.home(path, 0).map(|home| self.modules[&home].file.as_str());
                if let Some(target) = target.filter(|target| *target != module.file) {
                    arrows.entry(&module.file).or_default().entry(target).or_insert(*line);
                }
            }
        }
        arrows
    }

    /// The module that defines what an absolute path names, if it is one of ours.
    fn home(&self, path: &[String], depth: usize) -> Option<Path> {
        let known = (1..=path.len()).rev().find(|length| self.modules.contains_key(&path[..*length]))?;
        let module = &self.modules[&path[..known]];
        let Some(name) = path.get(known) else { return Some(path.to_vec()) };
        if depth < 8 && !module.items.contains(name) {
            let named = module.imports.iter().filter(|(brought, _)| brought == name);
            let globs = module.imports.iter().filter(|(brought, _)| brought == "*");
            for (brought, from) in named.chain(globs) {
                let mut whole = from.clone();
                whole.extend((brought == "*").then(|| name.clone()));
                whole.extend_from_slice(&path[known + 1..]);
                if let Some(home) = self.home(&whole, depth + 1) {
                    return Some(home);
                }
            }
        }
        Some(path[..known].to_vec())
    }

    /// Arrows between rooms that the table does not have.
    pub fn forbidden(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for (from, targets) in self.arrows() {
            for (to, line) in targets {
                let (Some(here), Some(there)) = (room(from), room(to)) else { continue };
                let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == here) else {
                    found.push(Finding::new(from, 0, format!("the room `{here}` has no row in tests/tidy/graph.rs")));
                    continue;
                };
                if here != there && !allowed.contains(&there) {
                    found.push(Finding::new(from, line, format!("`{here}` must not import `{there}` (here {to})")));
                }
            }
        }
        found
    }

    /// Circles: files of which each needs the others. One finding for each knot.
    pub fn circles(&self) -> Vec<Finding> {
        let arrows = self.arrows();
        let reached = |from: &str| {
            let mut seen = BTreeSet::new();
            let mut next = vec![from.to_owned()];
            while let Some(file) = next.pop() {
                for target in arrows.get(file.as_str()).into_iter().flat_map(BTreeMap::keys) {
                    if seen.insert((*target).to_owned()) {
                        next.push((*target).to_owned());
                    }
                }
            }
            seen
        };
        let all: BTreeMap<&str, BTreeSet<String>> = arrows.keys().map(|file| (*file, reached(file))).collect();
        let mut knots: BTreeSet<Vec<&str>> = BTreeSet::new();
        for (file, ends) in all.iter().filter(|(file, ends)| ends.contains(**file)) {
            let both = all.iter().filter(|(other, back)| ends.contains(**other) && back.contains(*file));
            knots.insert(both.map(|(other, _)| *other).collect());
        }
        knots.into_iter().map(|knot| Finding::new(knot[0], 0, self.describe(&knot, &arrows))).collect()
    }

    fn describe(&self, knot: &[&str], arrows: &BTreeMap<&str, BTreeMap<&str, usize>>) -> String {
        let mut text = format!("a circle of {} files; move what both ends need to the ground floor:", knot.len());
        for from in knot {
            for (to, line) in arrows[from].iter().filter(|(to, _)| knot.contains(to)) {
                text += &format!("\n      {from}:{line} -> {to}");
            }
        }
        text
    }
}

/// `src/queue/mod.rs` is `["queue"]`, `src/cli/main.rs` is `["cli"]`, `src/queue/put.rs` is `["queue", "put"]`.
fn module_path(file: &str) -> Path {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    let path = path.trim_end_matches("/mod").trim_end_matches("/main");
    if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

/// The room a file belongs to; `lib.rs` stands above them.
fn room(file: &str) -> Option<&str> {
    file.trim_start_matches("src/").split_once('/').map(|(room, _)| room)
}

/// Collects what one file defines and names.
struct Reader {
    module: Module,
    path: Path,
}

impl Reader {
    /// Where a written path leads, if its beginning says that it is ours. `cli` and `bin` are crates of their own:
    /// their `crate` is their folder, and the library is `edgequeue`.
    fn absolute(&self, written: &[String]) -> Option<Path> {
        let own_crate = matches!(self.path.first().map(String::as_str), Some("cli" | "bin"));
        let mut base = match written.first()?.as_str() {
            "crate" if own_crate => vec![self.path[0].clone()],
            "crate" | "edgequeue" => Vec::new(),
            "self" => self.path.clone(),
            "super" => self.path[..self.path.len().checked_sub(1)?].to_vec(),
            _ => return None,
        };
        let mut rest = &written[1..];
        while rest.first().is_some_and(|name| name == "super") {
            base.pop()?;
            rest = &rest[1..];
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    /// Also through a name from above: `use super::stream;`, and then `stream::Turn`.
    fn whole(&self, written: &[String]) -> Option<Path> {
        self.absolute(written).or_else(|| {
            let first = written.first()?;
            let (_, path) = self.module.imports.iter().find(|(brought, _)| brought == first)?;
            Some(path.iter().chain(&written[1..]).cloned().collect())
        })
    }

    fn see(&mut self, line: usize, written: &[String]) {
        self.module.uses.extend(self.whole(written).map(|path| (line, path)));
    }

    fn bring(&mut self, tree: &syn::UseTree, before: &[String], is_public: bool) {
        let mut path = before.to_vec();
        match tree {
            syn::UseTree::Path(inner) => {
                path.push(inner.ident.to_string());
                self.bring(&inner.tree, &path, is_public);
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.bring(item, &path, is_public)),
            syn::UseTree::Glob(glob) => {
                self.keep("*".to_owned(), &path, glob.star_token.span().start().line, is_public);
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                let last = path.last().cloned().unwrap_or_default();
                self.keep(last, &path, name.ident.span().start().line, is_public);
            }
            syn::UseTree::Name(name) => {
                path.push(name.ident.to_string());
                self.keep(name.ident.to_string(), &path, name.ident.span().start().line, is_public);
            }
            syn::UseTree::Rename(name) => {
                path.push(name.ident.to_string());
                self.keep(name.rename.to_string(), &path, name.ident.span().start().line, is_public);
            }
        }
    }

    fn keep(&mut self, name: String, written: &[String], line: usize, is_public: bool) {
        if let Some(path) = self.whole(written) {
            self.module.imports.push((name, path.clone()));
            if !is_public {
                self.module.uses.push((line, path));
            }
        }
    }

    /// Macros are not parsed: their paths are read from the tokens.
    fn see_tokens(&mut self, tokens: TokenStream) {
        let mut written: Path = Vec::new();
        let mut line = 0;
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if written.is_empty() || colons == 2 => {
                    if written.is_empty() {
                        line = ident.span().start().line;
                    }
                    written.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    if written.len() > 1 {
                        self.see(line, &written);
                    }
                    written.clear();
                    colons = 0;
                    match other {
                        TokenTree::Group(group) => self.see_tokens(group.stream()),
                        TokenTree::Ident(ident) => {
                            line = ident.span().start().line;
                            written.push(ident.to_string());
                        }
                        _ => {}
                    }
                }
            }
        }
        if written.len() > 1 {
            self.see(line, &written);
        }
    }
}

pub fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string().contains("test"))
    })
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_file(&mut self, file: &'ast syn::File) {
        // Names first: a path may stand above the `use` that it begins with.
        for item in &file.items {
            match item {
                syn::Item::Mod(module) if module.content.is_none() => {
                    let mut path = self.path.clone();
                    path.push(module.ident.to_string());
                    self.module.imports.push((module.ident.to_string(), path));
                }
                item => self.module.items.extend(name_of(item)),
            }
        }
        for item in &file.items {
            if let syn::Item::Use(import) = item
                && !is_test(&import.attrs)
            {
                self.bring(&import.tree, &[], !matches!(import.vis, syn::Visibility::Inherited));
            }
        }
        visit::visit_file(self, file);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    /// Read above, or inside a function.
    fn visit_item_use(&mut self, _: &'ast syn::ItemUse) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let written: Path = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if written.len() > 1 {
            self.see(path.segments[0].ident.span().start().line, &written);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        self.see_tokens(invocation.tokens.clone());
    }
}

/// The name that an item defines in its module.
pub fn name_of(item: &syn::Item) -> Option<String> {
    let ident = match item {
        syn::Item::Const(item) => &item.ident,
        syn::Item::Enum(item) => &item.ident,
        syn::Item::Fn(item) => &item.sig.ident,
        syn::Item::Macro(item) => item.ident.as_ref()?,
        syn::Item::Static(item) => &item.ident,
        syn::Item::Struct(item) => &item.ident,
        syn::Item::Trait(item) => &item.ident,
        syn::Item::Type(item) => &item.ident,
        syn::Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

#[cfg(test)]
fn sample(files: &[(&str, &str)]) -> Graph {
    Graph::of(&files.iter().map(|(path, text)| File::sample(path, text)).collect::<Vec<_>>())
}

#[test]
fn an_arrow_that_the_table_lacks_is_found() {
    let lib = ("src/lib.rs", "pub mod queue; pub mod wire;");
    let wire = ("src/wire/mod.rs", "pub fn parse() {}\nuse crate::queue::Event;");
    let queue = ("src/queue/mod.rs", "pub struct Event;\nfn f() { crate::wire::parse() }");
    let found = sample(&[lib, wire, queue]).forbidden();
    assert_eq!((found.len(), found[0].path.as_str(), found[0].line), (1, "src/queue/mod.rs", 2));
    assert_eq!(sample(&[lib, wire, ("src/queue/mod.rs", "pub struct Event;")]).forbidden(), []);
    let cli = [("src/client/mod.rs", "pub struct Url;"), ("src/worker/mod.rs", "pub struct Object;")];
    let main = ("src/cli/main.rs", "use edgequeue::client::Url;\nuse edgequeue::worker::Object;");
    assert_eq!(sample(&[cli[0], cli[1], main]).forbidden()[0].line, 2);
    let attic = ("src/attic/mod.rs", "use crate::queue::A;");
    assert_eq!(sample(&[attic, ("src/queue/mod.rs", "struct A;")]).forbidden().len(), 1, "a room without a row");
}

#[test]
fn circles_are_found_through_re_exports_macros_and_modules() {
    let root = ("src/queue/mod.rs", "mod a;\nmod b;\npub use a::A;\npub use b::B;\npub struct Own;");
    let circles = |a: &str, b: &str| sample(&[root, ("src/queue/a.rs", a), ("src/queue/b.rs", b)]).circles().len();
    assert_eq!(circles("pub struct A;", "use super::A;\npub struct B(A);"), 0);
    assert_eq!(circles("use super::B;\npub struct A(B);", "use super::A;\npub struct B(A);"), 1);
    assert_eq!(circles("pub struct A; fn f() { vec![super::b::B] }", "use super::A;\npub struct B(A);"), 1);
    assert_eq!(circles("use super::b;\npub struct A(b::B);", "pub struct B; fn f() { super::a::g() }"), 1);
    let tested = "pub struct A;\n#[cfg(test)]\nmod tests { use super::super::B; }";
    assert_eq!(circles(tested, "use super::A;\npub struct B(A);"), 0, "tests do not count");
    assert_eq!(circles("use super::Own;\npub struct A(Own);", "pub struct B;"), 0, "the parent only declares");
    let needy = ("src/queue/mod.rs", "mod a;\nuse a::A;\npub struct Own(A);");
    assert_eq!(sample(&[needy, ("src/queue/a.rs", "pub struct A; impl super::Own {}")]).circles().len(), 1);
}
