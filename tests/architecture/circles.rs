//! No import circle inside a crate: a reader can start at the bottom and never meets a file that
//! needs one above it.
//!
//! Files are modules. A `use` or a path in one file is an edge to the module that declares the
//! item: a re-export is followed to where it points, and an index file (`mod.rs`, `lib.rs`) that
//! re-exports an item does not depend on it. A module may use the one that it is a part of, as a
//! file does that implements a method of its parent's type. What `#[cfg(test)]` guards is left out.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, Macro, UseTree, Visibility};

use crate::tree::SourceFile;
use crate::{assert_none, tree};

/// The segments of a path, from the root of the crate.
type Segments = Vec<String>;

/// The names that one file declares and uses.
#[derive(Default)]
struct Module {
    /// Name of an imported item, and the path that it stands for.
    imports: BTreeMap<String, Segments>,
    /// Paths that the file uses: what it imports for itself, and what it names in its code.
    uses: BTreeSet<Segments>,
    /// Child modules that are compiled for tests alone.
    tests: Vec<String>,
}

/// Collects the paths of one file.
struct Reader<'a> {
    at: &'a [String],
    module: Module,
    /// Re-exports, which count as used only if the file itself names the item.
    exports: Vec<(String, Segments)>,
    names: BTreeSet<String>,
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_test = attribute.meta.require_list().is_ok_and(|list| {
            let condition = list.tokens.to_string();
            condition == "test" || condition.starts_with("all (test")
        });
        attribute.path().is_ident("cfg") && is_test
    })
}

/// A path that is written in the module `at`, from the root; `None` for one that leaves the crate.
fn absolute(at: &[String], written: &[String]) -> Option<Segments> {
    let supers = written.iter().take_while(|segment| *segment == "super").count();
    match written.first()?.as_str() {
        "crate" => Some(written[1..].to_vec()),
        "self" => Some([at, &written[1..]].concat()),
        "super" => Some([&at[..at.len().checked_sub(supers)?], &written[supers..]].concat()),
        _ => None,
    }
}

impl Reader<'_> {
    fn import(&mut self, tree: &UseTree, before: &[String], is_export: bool) {
        let with = |name: &dyn ToString| [before, &[name.to_string()]].concat();
        let (name, path) = match tree {
            UseTree::Path(path) => {
                return self.import(&path.tree, &with(&path.ident), is_export);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.import(tree, before, is_export));
            }
            UseTree::Name(name) if name.ident == "self" => {
                (before.last().cloned().unwrap_or_default(), before.to_vec())
            }
            UseTree::Name(name) => (name.ident.to_string(), with(&name.ident)),
            UseTree::Rename(rename) => (rename.rename.to_string(), with(&rename.ident)),
            UseTree::Glob(_) => (String::new(), before.to_vec()),
        };
        let Some(path) = absolute(self.at, &path).or_else(|| self.child(&path)) else { return };
        self.module.imports.insert(name.clone(), path.clone());
        if is_export {
            self.exports.push((name, path));
        } else {
            self.module.uses.insert(path);
        }
    }

    /// `pub use child::Item`, which names a module without `self`.
    fn child(&self, path: &[String]) -> Option<Segments> {
        (path.len() > 1).then(|| [self.at, path].concat())
    }

    fn path(&mut self, written: &[String]) {
        if let Some(path) = absolute(self.at, written) {
            self.module.uses.insert(path);
        } else if let [first, rest @ ..] = written {
            self.names.insert(first.clone());
            if !rest.is_empty() {
                self.module.uses.insert([self.at, written].concat());
            }
        }
    }

    /// Paths in what a macro is given, which is no syntax tree.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut written: Segments = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 && !written.is_empty() {
                        self.path(&std::mem::take(&mut written));
                    }
                    written.push(ident.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && colons < 2 => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            colons = 0;
            if !written.is_empty() {
                self.path(&std::mem::take(&mut written));
            }
        }
        if !written.is_empty() {
            self.path(&written);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Const(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_for_tests(attributes) {
            return visit::visit_item(self, item);
        }
        if let Item::Mod(module) = item {
            self.module.tests.push(module.ident.to_string());
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.import(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let written: Segments = path.segments.iter().map(|part| part.ident.to_string()).collect();
        self.path(&written);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.path(
            &call.path.segments.iter().map(|part| part.ident.to_string()).collect::<Vec<_>>(),
        );
        self.tokens(call.tokens.clone());
    }
}

fn read(at: &[String], text: &str) -> Module {
    let file = syn::parse_file(text).expect("the compiler has read it, too");
    let mut reader =
        Reader { at, module: Module::default(), exports: Vec::new(), names: BTreeSet::new() };
    reader.visit_file(&file);
    let Reader { mut module, exports, names, .. } = reader;
    module
        .uses
        .extend(exports.into_iter().filter(|(name, _)| names.contains(name)).map(|(_, path)| path));
    module
}

/// The modules of one crate by their paths.
struct Crate(BTreeMap<Segments, Module>);

impl Crate {
    /// From files below `source`, which ends with `/src/`.
    fn of(source: &str, files: &[SourceFile]) -> Self {
        let mut modules = BTreeMap::new();
        for file in files {
            let Some(below) = file.path.strip_prefix(source) else { continue };
            let mut at: Segments =
                below.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            if at.last().is_some_and(|name| name == "mod") || matches!(below, "lib.rs" | "main.rs")
            {
                at.pop();
            }
            let module = read(&at, &file.text);
            // A program's `main.rs` beside its `lib.rs` is a crate of its own, above all of it.
            if below != "main.rs"
                || !files.iter().any(|file| file.path == format!("{source}lib.rs"))
            {
                modules.insert(at, module);
            }
        }
        let for_tests: Vec<Segments> = modules
            .iter()
            .flat_map(|(at, module)| {
                module
                    .tests
                    .iter()
                    .map(move |name| [at.as_slice(), std::slice::from_ref(name)].concat())
            })
            .collect();
        modules.retain(|at, _| !for_tests.iter().any(|tests| at.starts_with(tests)));
        Self(modules)
    }

    /// The module that declares what the path names.
    fn declares(&self, path: &[String], hops: usize) -> Option<&Segments> {
        let length = (0..=path.len()).rev().find(|&n| self.0.contains_key(&path[..n]))?;
        let (at, module) = self.0.get_key_value(&path[..length])?;
        let import = path.get(length).and_then(|name| module.imports.get(name));
        match import {
            Some(import) if hops > 0 && import != path => {
                self.declares(&[import.as_slice(), &path[length + 1..]].concat(), hops - 1)
            }
            _ => Some(at),
        }
    }

    /// Which modules each module needs, apart from those that it is a part of.
    fn edges(&self) -> BTreeMap<&Segments, BTreeSet<&Segments>> {
        const MOST_HOPS: usize = 8;
        let edges = self.0.iter().map(|(at, module)| {
            let needed = module.uses.iter().filter_map(|path| self.declares(path, MOST_HOPS));
            (at, needed.filter(|needed| !at.starts_with(needed)).collect())
        });
        edges.collect()
    }

    /// Each circle as its modules with the neighbours in the circle that they need.
    fn circles(&self) -> Vec<String> {
        let edges = self.edges();
        let reached: BTreeMap<&Segments, BTreeSet<&Segments>> =
            edges.keys().map(|from| (*from, reach(&edges, from))).collect();
        let mut seen: BTreeSet<&Segments> = BTreeSet::new();
        let mut circles = Vec::new();
        for (at, to) in &reached {
            let circle: BTreeSet<&Segments> =
                to.iter().copied().filter(|other| reached[other].contains(at)).collect();
            if circle.is_empty() || !circle.contains(at) || !seen.insert(at) {
                continue;
            }
            seen.extend(circle.iter().copied());
            let lines = circle.iter().map(|from| {
                let needs = edges[from].intersection(&circle).map(|to| to.join("::"));
                format!("{} -> {}", from.join("::"), needs.collect::<Vec<_>>().join(", "))
            });
            circles.push(lines.collect::<Vec<_>>().join("; "));
        }
        circles
    }
}

/// All modules that `from` needs, directly or not; itself only if a circle leads back.
fn reach<'a>(
    edges: &BTreeMap<&'a Segments, BTreeSet<&'a Segments>>,
    from: &Segments,
) -> BTreeSet<&'a Segments> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&Segments> = edges[from].iter().copied().collect();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(edges[next].iter().copied());
        }
    }
    reached
}

#[test]
fn no_crate_has_an_import_circle() {
    let files = tree::files("rs");
    let mut sources: Vec<String> = files
        .iter()
        .filter_map(|file| Some(format!("{}/src/", file.path.split_once("/src/")?.0)))
        .collect();
    sources.dedup();
    assert!(sources.len() > 10, "{sources:?}");
    let complaints: Vec<String> = sources
        .iter()
        .flat_map(|source| {
            let circles = Crate::of(source, &files).circles();
            circles.into_iter().map(move |circle| format!("{source}: {circle}"))
        })
        .collect();
    assert_none(&complaints);
}

#[test]
fn a_circle_is_found_through_imports_paths_macros_and_re_exports() {
    let lib = ("x/src/lib.rs", "mod a;\nmod b;\npub use a::A;\n");
    let b = ("x/src/b.rs", "use crate::a::A;\npub struct B(A);\n");
    for (a, is_circle) in [
        ("pub struct A;", false),
        ("use crate::b::B;\npub struct A(Box<B>);", true),
        ("pub struct A(Box<super::b::B>);", true),
        ("pub struct A;\nfn f() { println!(\"{}\", crate::b::N); }", true),
        ("pub struct A;\n#[cfg(test)]\nmod tests { use crate::b::B; }", false),
    ] {
        let files = [lib, b, ("x/src/a.rs", a)].map(|(path, text)| SourceFile::new(path, text));
        let circles = Crate::of("x/src/", &files).circles();
        assert_eq!(circles.len(), usize::from(is_circle), "{a}: {circles:?}");
    }
    // An index that re-exports is no part of a circle, and hides none either.
    let index = ("x/src/a/mod.rs", "mod c;\nmod d;\npub use c::C;\npub use d::D;\n");
    for (c, is_circle) in [("pub struct C;", false), ("use super::D;\npub struct C(Box<D>);", true)]
    {
        let d = ("x/src/a/d.rs", "use super::C;\npub struct D(C);");
        let files = [index, d, ("x/src/a/c.rs", c)].map(|(path, text)| SourceFile::new(path, text));
        let circles = Crate::of("x/src/", &files).circles();
        assert_eq!(circles.len(), usize::from(is_circle), "{c}: {circles:?}");
    }
}
