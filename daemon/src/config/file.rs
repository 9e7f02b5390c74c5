//! TOML text into the tree, with the line of each value.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use super::error::Problem;
use super::origin::Origin;
use super::tree::{Node, Value};

/// Maximum size of a configuration file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Reads a configuration file.
///
/// # Errors
/// The file cannot be read, or its text is not TOML, with the line.
pub(super) fn read(path: &Path) -> Result<Node, Problem> {
    let text = read_bounded(path, MAX_FILE)
        .map_err(|error| Problem::new("--config", error).hint("name a readable TOML file"))?;
    parse(&text, &path.display().to_string())
}

/// The text of a file of at most `longest` bytes.
pub(crate) fn read_bounded(path: &Path, longest: u64) -> Result<Zeroizing<String>, String> {
    let bytes = read_bytes_bounded(path, longest)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(format!("cannot read {}: it is not UTF-8 text", path.display())),
    }
}

/// The bytes of a file of at most `longest` bytes. The bound keeps a device without an end from
/// filling the memory.
pub(crate) fn read_bytes_bounded(path: &Path, longest: u64) -> Result<Zeroizing<Vec<u8>>, String> {
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mut bytes = Zeroizing::new(Vec::new());
    let file = std::fs::File::open(path).map_err(cannot)?;
    let read = file.take(longest + 1).read_to_end(&mut bytes).map_err(cannot)?;
    match u64::try_from(read) {
        Ok(read) if read <= longest => Ok(bytes),
        _ => Err(format!("cannot read {}: it has more than {longest} bytes", path.display())),
    }
}

/// Parses TOML text; `name` stands for the file in messages.
pub(super) fn parse(text: &str, name: &str) -> Result<Node, Problem> {
    let lines = Lines { path: name.into(), text };
    let table = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        Problem::new("", format!("invalid TOML: {}", error.message())).at(lines.origin(offset))
    })?;
    let origin = lines.origin(0);
    Ok(Node { value: lines.table(table.into_inner()), origin })
}

/// One TOML value, as `--set` and the environment may hold it; `None` where the text is not TOML.
pub(super) fn parse_value(text: &str, origin: &Origin) -> Option<Node> {
    let value = DeValue::parse(text).ok()?;
    let lines = Lines { path: "".into(), text };
    let mut node = lines.node(value, 0);
    restamp(&mut node, origin);
    Some(node)
}

/// Gives `node` and everything in it the origin `origin`.
pub(super) fn restamp(node: &mut Node, origin: &Origin) {
    node.origin = origin.clone();
    match &mut node.value {
        Value::Table(table) => table.values_mut().for_each(|child| restamp(child, origin)),
        Value::Array(array) => array.iter_mut().for_each(|child| restamp(child, origin)),
        _ => {}
    }
}

struct Lines<'a> {
    path: Arc<str>,
    text: &'a str,
}

impl Lines<'_> {
    fn origin(&self, offset: usize) -> Origin {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        Origin::File { path: self.path.clone(), line }
    }

    fn table(&self, table: DeTable<'_>) -> Value {
        let entry = |(key, value): (Spanned<_>, Spanned<DeValue<'_>>)| {
            let at = key.span().start;
            let key: std::borrow::Cow<'_, str> = key.into_inner();
            (key.into_owned(), self.node(value, at))
        };
        Value::Table(table.into_iter().map(entry).collect())
    }

    /// `at` is the offset of the key (or of the element), so that the line of a value that spans
    /// several is the one where it starts.
    fn node(&self, value: Spanned<DeValue<'_>>, at: usize) -> Node {
        let origin = self.origin(at);
        let value = match value.into_inner() {
            DeValue::String(text) => Value::Text(Zeroizing::new(text.into_owned())),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => Value::Integer(number),
                    Err(_) => Value::Text(Zeroizing::new(number.to_string())),
                }
            }
            DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(flag) => Value::Boolean(flag),
            DeValue::Datetime(time) => Value::Text(Zeroizing::new(time.to_string())),
            DeValue::Array(array) => {
                let element = |value: Spanned<DeValue<'_>>| {
                    let at = value.span().start;
                    self.node(value, at)
                };
                Value::Array(array.into_iter().map(element).collect())
            }
            DeValue::Table(table) => self.table(table),
        };
        Node { value, origin }
    }
}
