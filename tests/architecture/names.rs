//! Files and folders that texts and comments name exist.

use crate::tree::SourceFile;
use crate::{assert_none, tree};

/// Folders at the root that a name may begin with, and extensions that make a name a file's.
struct Tree {
    folders: Vec<String>,
    exists: fn(&str) -> bool,
}

impl Tree {
    fn of_repository() -> Self {
        let entries = std::fs::read_dir(tree::root()).expect("the root can be read");
        let folders = entries.filter_map(|entry| {
            let entry = entry.expect("the root can be read");
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_built = name.starts_with("target") || name.starts_with('.');
            (entry.path().is_dir() && !is_built).then_some(name)
        });
        Self { folders: folders.collect(), exists: |path| tree::root().join(path).exists() }
    }

    /// The files that the text names, between backquotes or as the target of a link, and that are
    /// missing.
    fn complaints(&self, file: &SourceFile) -> Vec<String> {
        let mut complaints = Vec::new();
        for (number, line) in file.text.lines().enumerate() {
            let comment = if file.path.ends_with(".rs") {
                line.find("//").map_or("", |at| &line[at..])
            } else {
                line
            };
            for name in comment.split('`').skip(1).step_by(2).flat_map(expanded) {
                let first = name.split('/').next().unwrap_or_default();
                let is_path = name.contains('/')
                    && self.folders.iter().any(|folder| folder == first)
                    && name.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
                if is_path && !(self.exists)(name.trim_end_matches('/')) {
                    complaints.push(format!("{}:{}: no {name}", file.path, number + 1));
                }
            }
        }
        complaints
    }
}

/// `a/{b,c}.rs` as two names.
fn expanded(name: &str) -> Vec<String> {
    let Some((before, rest)) = name.split_once('{') else { return vec![name.to_owned()] };
    let Some((choices, after)) = rest.split_once('}') else { return vec![name.to_owned()] };
    choices.split(',').map(|choice| format!("{before}{}{after}", choice.trim())).collect()
}

/// Old versions are told with the names that they had; this file plants names of its own.
const APART: &[&str] = &["CHANGELOG.md", "tests/architecture/names.rs"];

#[test]
fn named_files_exist() {
    let tree = Tree::of_repository();
    assert!(tree.folders.iter().any(|folder| folder == "turnd"), "{:?}", tree.folders);
    let found: Vec<String> = ["md", "rs", "toml", "yaml"]
        .iter()
        .flat_map(|extension| tree::files(extension))
        .filter(|file| !APART.contains(&&*file.path))
        .flat_map(|file| tree.complaints(&file))
        .collect();
    assert_none(&found);
}

#[test]
fn a_file_that_has_moved_is_found() {
    let tree = Tree {
        folders: ["turnd", "net"].map(str::to_owned).to_vec(),
        exists: |path| path == "turnd/src/mail.rs",
    };
    let told = |path: &str, text: &str| tree.complaints(&SourceFile::new(path, text));
    let text = "See `turnd/src/{mail,post}.rs`, `TURN/UDP` and `net/`.\n";
    assert_eq!(told("a.md", text), ["a.md:1: no turnd/src/post.rs", "a.md:1: no net/"]);
    assert_eq!(told("a.rs", "let a = 1 / 2; // `turnd/src/gone.rs`\n").len(), 1);
}
