//! Budgets: a file is one noun, a function one thought, `main.rs` a table of contents.

use crate::tree::SourceFile;
use crate::{assert_none, tree};

const FILE: usize = 500;
const MAIN: usize = 150;
const FUNCTION: usize = 70;

fn complaints(file: &SourceFile) -> Vec<String> {
    let mut complaints = Vec::new();
    let lines: Vec<&str> = file.text.lines().collect();
    let before_tests = lines.iter().position(|line| *line == "#[cfg(test)]").unwrap_or(lines.len());
    let budget = if file.path.ends_with("/main.rs") { MAIN } else { FILE };
    if before_tests > budget {
        complaints
            .push(format!("{}: {before_tests} lines before its tests, of {budget}", file.path));
    }
    for (start, name) in functions(&lines) {
        let length = length(&lines[start..]);
        if length > FUNCTION {
            complaints.push(format!(
                "{}:{}: fn {name}: {length} lines, of {FUNCTION}",
                file.path,
                start + 1
            ));
        }
    }
    complaints
}

/// The line on which each function starts, and its name.
fn functions<'a>(lines: &'a [&'a str]) -> impl Iterator<Item = (usize, &'a str)> {
    const BEFORE: &[&str] = &["pub", "const", "async", "unsafe", "extern", "default"];
    lines.iter().enumerate().filter_map(|(number, line)| {
        let (before, after) = line.split_once("fn ")?;
        let is_item = before.split_whitespace().all(|word| {
            word.starts_with("pub(") || word.starts_with('"') || BEFORE.contains(&word)
        });
        let name = after.split(['(', '<']).next()?;
        is_item.then_some((number, name))
    })
}

/// From the function's first line to the brace that closes it, which rustfmt puts below its first
/// letter.
fn length(lines: &[&str]) -> usize {
    let indent = lines[0].len() - lines[0].trim_start().len();
    let closes = format!("{:indent$}}}", "");
    for (number, line) in lines.iter().enumerate() {
        let is_signature_only = line.ends_with(';') && number == 0;
        let is_one_line = number == 0 && line.ends_with('}');
        if is_signature_only
            || is_one_line
            || *line == closes
            || *line == format!("{:indent$});", "")
        {
            return number + 1;
        }
    }
    lines.len()
}

#[test]
fn files_and_functions_keep_to_their_budgets() {
    let found: Vec<String> = tree::files("rs").iter().flat_map(complaints).collect();
    assert_none(&found);
}

#[test]
fn what_grew_too_long_is_found() {
    let body = "    work();\n".repeat(FUNCTION - 1);
    let long = format!("impl X {{\n    pub(crate) const fn f<T>() {{\n{body}    }}\n}}\n");
    assert_eq!(
        complaints(&SourceFile::new("a.rs", &long)),
        [format!("a.rs:2: fn f: {} lines, of {FUNCTION}", FUNCTION + 1)]
    );
    let fits = long.replacen("    work();\n", "", 1);
    assert_eq!(complaints(&SourceFile::new("a.rs", &fits)).len(), 0);
    let lines = "//\n".repeat(FILE + 1);
    assert_eq!(
        complaints(&SourceFile::new("a.rs", &lines)),
        [format!("a.rs: {} lines before its tests, of {FILE}", FILE + 1)]
    );
    assert_eq!(complaints(&SourceFile::new("turnd/src/main.rs", &lines)).len(), 1);
    let tests = format!("//\n#[cfg(test)]\n{lines}");
    assert_eq!(complaints(&SourceFile::new("a.rs", &tests)).len(), 0);
}
