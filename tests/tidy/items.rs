//! What `src` defines: nothing that only tests use, and no name for two things.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

use crate::{
    graph::is_test,
    source::{File, Finding},
};

/// What the rules need of one file.
#[derive(Default)]
struct Items {
    /// Public items and methods, with their lines.
    public: Vec<(String, usize)>,
    /// Structs, enums, traits and type aliases that other files see, with their lines.
    types: Vec<(String, usize)>,
    /// How often each word stands in the code, without tests and without `pub use`.
    words: BTreeMap<String, usize>,
}

/// Public items whose name stands nowhere else in `src`: dead, or there for tests alone. What JavaScript calls is not
/// seen; the attribute of its binding tells.
pub fn dead(files: &[File]) -> Vec<Finding> {
    let read = read(files);
    let mut words: BTreeMap<&str, usize> = BTreeMap::new();
    for (word, count) in read.iter().flat_map(|(_, items)| &items.words) {
        *words.entry(word).or_default() += count;
    }
    let mut found = Vec::new();
    for (path, items) in &read {
        // The name in its own definition is one.
        for (name, line) in items.public.iter().filter(|(name, _)| words.get(name.as_str()) <= Some(&1)) {
            let advice = format!("`{name}` is used by no code of src: delete it, or make it private");
            found.push(Finding::new(path, *line, advice));
        }
    }
    found
}

/// Type names that more than one file offers to others, each with all its places. What a file keeps to itself may have
/// the name that is best there.
pub fn twice(files: &[File]) -> BTreeMap<String, Vec<Finding>> {
    let mut places: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
    for (path, items) in read(files) {
        for (name, line) in items.types {
            let advice = format!("`{name}` is the name of more than one type: one word for one thing");
            places.entry(name).or_default().push(Finding::new(path, line, advice));
        }
    }
    places.retain(|_, places| places.len() > 1);
    places
}

fn read(files: &[File]) -> Vec<(&str, Items)> {
    let ours = files.iter().filter(|file| file.path.starts_with("src/") && file.is(&["rs"]));
    ours.map(|file| {
        let parsed = syn::parse_file(&file.text).unwrap_or_else(|error| panic!("{}: {error}", file.path));
        let mut items = Items::default();
        items.visit_file(&parsed);
        (file.path.as_str(), items)
    })
    .collect()
}

/// Is the item called from outside Rust, or by the code of its attribute?
fn is_bound(attributes: &[syn::Attribute]) -> bool {
    let bindings: BTreeSet<&str> = ["wasm_bindgen", "durable_object", "event", "unsafe", "no_mangle"].into();
    attributes.iter().any(|attribute| {
        attribute.path().segments.last().is_some_and(|last| bindings.contains(last.ident.to_string().as_str()))
    })
}

impl Items {
    fn publish(&mut self, visibility: &syn::Visibility, attributes: &[syn::Attribute], ident: &syn::Ident) {
        if !matches!(visibility, syn::Visibility::Inherited) && !is_bound(attributes) {
            self.public.push((ident.to_string(), ident.span().start().line));
        }
    }

    fn define(&mut self, visibility: &syn::Visibility, ident: &syn::Ident) {
        if !matches!(visibility, syn::Visibility::Inherited) {
            self.types.push((ident.to_string(), ident.span().start().line));
        }
    }

    fn count(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => *self.words.entry(ident.to_string()).or_default() += 1,
                TokenTree::Group(group) => self.count(group.stream()),
                // `serde(with = "...")` and the like name functions in strings.
                TokenTree::Literal(literal) => {
                    for word in literal.to_string().split(|letter: char| !letter.is_alphanumeric() && letter != '_') {
                        *self.words.entry(word.to_owned()).or_default() += 1;
                    }
                }
                TokenTree::Punct(_) => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Items {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        match item {
            syn::Item::Const(item) => self.publish(&item.vis, &item.attrs, &item.ident),
            syn::Item::Static(item) => self.publish(&item.vis, &item.attrs, &item.ident),
            syn::Item::Fn(item) => self.publish(&item.vis, &item.attrs, &item.sig.ident),
            syn::Item::Struct(item) => {
                self.publish(&item.vis, &item.attrs, &item.ident);
                self.define(&item.vis, &item.ident);
            }
            syn::Item::Enum(item) => {
                self.publish(&item.vis, &item.attrs, &item.ident);
                self.define(&item.vis, &item.ident);
            }
            syn::Item::Trait(item) => {
                self.publish(&item.vis, &item.attrs, &item.ident);
                self.define(&item.vis, &item.ident);
            }
            syn::Item::Type(item) => {
                self.publish(&item.vis, &item.attrs, &item.ident);
                self.define(&item.vis, &item.ident);
            }
            // An address, not a use; and what tests need is no reason to be there.
            syn::Item::Use(item) if !matches!(item.vis, syn::Visibility::Inherited) || is_test(&item.attrs) => return,
            syn::Item::Mod(module) if is_test(&module.attrs) => return,
            syn::Item::Mod(module) if module.content.is_some() => return visit::visit_item(self, item),
            _ => {}
        }
        self.count(quote::ToTokens::to_token_stream(item));
        visit::visit_item(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !is_bound(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.publish(&function.vis, &function.attrs, &function.sig.ident);
    }

    /// Bodies hold no public items.
    fn visit_block(&mut self, _: &'ast syn::Block) {}
}

#[test]
fn what_only_tests_use_is_found() {
    let found = |text: &str| {
        let other = File::sample("src/queue/mod.rs", "mod a;\npub use a::used;\nfn f() { a::used() }");
        dead(&[other, File::sample("src/queue/a.rs", text)]).len()
    };
    assert_eq!(found("pub fn used() {}"), 0);
    assert_eq!(found("pub fn unused() {}"), 1);
    let method = "pub struct A;\nimpl A { pub fn unused(&self) {} fn own(self) -> A { self } }";
    assert_eq!(found(&format!("pub fn used() {{}}\n{method}")), 1);
    assert_eq!(found("pub fn used() {}\npub fn seen() {}\n#[cfg(test)]\nmod tests { fn t() { super::seen() } }"), 1);
    assert_eq!(found("#[wasm_bindgen]\npub fn called() { used() }"), 0);
    assert_eq!(found("pub const LIMIT: u8 = 1;\nfn f() -> u8 { LIMIT }"), 0);
}

#[test]
fn a_name_for_two_types_is_found() {
    let second = File::sample("src/wire/b.rs", "pub(crate) enum Batch {}\nstruct One;");
    let found = twice(&[File::sample("src/queue/a.rs", "pub struct Batch;"), second]);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["Batch"]);
    assert_eq!(found["Batch"].len(), 2);
    let own = [File::sample("src/queue/a.rs", "struct State;"), File::sample("src/wire/b.rs", "struct State;")];
    assert!(twice(&own).is_empty(), "nobody else sees them");
}
