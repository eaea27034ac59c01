//! How long a line, a function and a file may be: what a reader takes in at once.

use syn::{
    spanned::Spanned,
    visit::{self, Visit},
};

use crate::source::{File, Finding};

/// Columns of a line, in every language. rustfmt and Prettier break code here; text and strings are broken by hand.
const COLUMNS_MAX: usize = 120;
/// Lines of a function: a screen.
const FUNCTION_LINES_MAX: usize = 60;
/// Lines of a file: with more it has more than one purpose.
const FILE_LINES_MAX: usize = 500;

/// Lines over the limit. A line of prose that nothing can break is let go: a row of a table, or a single long word (an
/// address). So is the first line of a JSON or path sample that a test compares as a whole, which stands in a data
/// file.
pub fn lines(file: &File) -> Vec<Finding> {
    let long = file.lines().filter(|(_, line)| line.chars().count() > COLUMNS_MAX && !unbreakable(file, line));
    long.map(|(at, line)| {
        let columns = line.chars().count();
        Finding::new(&file.path, at, format!("{columns} columns, at most {COLUMNS_MAX}: break the line"))
    })
    .collect()
}

fn unbreakable(file: &File, line: &str) -> bool {
    let text = line.trim_start().trim_start_matches(['/', '#', '*', '!', ' ']);
    // The outline of an icon.
    let markup = file.is(&["html"]) && text.starts_with("<symbol ");
    !text.contains(' ') || markup || (file.is(&["md"]) && text.starts_with('|'))
}

/// Files over the limit.
pub fn file(file: &File) -> Option<Finding> {
    let lines = file.text.lines().count();
    let prose = file.is(&["md"]);
    (lines > FILE_LINES_MAX && !prose).then(|| {
        let advice = format!("{lines} lines, at most {FILE_LINES_MAX}: which of its purposes moves out?");
        Finding::new(&file.path, 0, advice)
    })
}

/// Functions over the limit, in Rust.
pub fn functions(file: &File) -> Vec<Finding> {
    let mut finder = Functions { path: &file.path, found: Vec::new() };
    finder.visit_file(&syn::parse_file(&file.text).unwrap_or_else(|error| panic!("{}: {error}", file.path)));
    finder.found
}

struct Functions<'a> {
    path: &'a str,
    found: Vec<Finding>,
}

impl Functions<'_> {
    /// From the signature to the closing brace: doc comments and attributes do not count.
    fn measure(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let first = signature.span().start().line;
        let lines = block.brace_token.span.close().end().line + 1 - first;
        if lines > FUNCTION_LINES_MAX {
            let advice = format!("`{}` has {lines} lines, at most {FUNCTION_LINES_MAX}: cut it", signature.ident);
            self.found.push(Finding::new(self.path, first, advice));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.measure(&function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[test]
fn a_long_line_is_found() {
    let wide = format!("let x = \"{}\";", "y ".repeat(60));
    assert_eq!(lines(&File::sample("a.rs", &format!("fn f() {{}}\n{wide}\n")))[0].line, 2);
    assert_eq!(lines(&File::sample("a.rs", &format!("// {}\n", "x".repeat(120)))), [], "an address");
    assert_eq!(lines(&File::sample("a.md", &format!("| {wide} |\n"))), [], "a row of a table");
    assert_eq!(lines(&File::sample("a.md", &wide)).len(), 1);
}

#[test]
fn a_long_file_is_found() {
    assert_eq!(file(&File::sample("a.rs", &"\n".repeat(FILE_LINES_MAX))), None);
    assert!(file(&File::sample("a.rs", &"\n".repeat(FILE_LINES_MAX + 1))).is_some());
}

#[test]
fn a_long_function_is_found_wherever_it_stands() {
    let body = "    f();\n".repeat(FUNCTION_LINES_MAX - 1);
    let at = |text: String| functions(&File::sample("a.rs", &text)).iter().map(|found| found.line).collect::<Vec<_>>();
    assert_eq!(at(format!("fn long() {{\n{body}}}\n")), [1]);
    assert_eq!(at(format!("struct A;\nimpl A {{\n/// Doc.\nfn long() {{\n{body}}}\n}}\n")), [4]);
    assert_eq!(at(format!("trait A {{\nfn long() {{\n{body}}}\n}}\n")), [2]);
    assert!(at(format!("fn short() {{\n{}}}\n", "    f();\n".repeat(FUNCTION_LINES_MAX - 2))).is_empty());
}
