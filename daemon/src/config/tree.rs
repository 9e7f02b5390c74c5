//! The tree of keys before it has types: every value with the place where it was written.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A line of the configuration file, counted from 1.
    File {
        /// The file, as it was named.
        path: Arc<str>,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable, by name.
    Environment(String),
    /// `--set`, with the key as it was written.
    Set(String),
    /// A flag of its own, such as `--realm`.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { path, line } => write!(f, "{path}:{line}"),
            Origin::Environment(name) => write!(f, "environment variable {name}"),
            Origin::Set(key) => write!(f, "--set {key}"),
            Origin::Flag(flag) => f.write_str(flag),
        }
    }
}

/// A value and its origin.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// What may stand behind a key. Text is wiped when dropped: it may be a secret.
#[derive(Clone)]
pub(super) enum Value {
    Table(BTreeMap<String, Node>),
    Array(Vec<Node>),
    Text(Zeroizing<String>),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// From the environment or `--set`: its type is the one that the schema asks for.
    Raw(Zeroizing<String>),
}

impl Value {
    /// The kind of value, with its article, for error messages. Never the value itself.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Table(_) => "a table",
            Value::Array(_) => "a list",
            Value::Text(_) | Value::Raw(_) => "a string",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number with a fraction",
            Value::Boolean(_) => "true or false",
        }
    }
}

impl Node {
    pub(super) fn empty_table(origin: Origin) -> Self {
        Node { value: Value::Table(BTreeMap::new()), origin }
    }

    /// Puts `node` at `path`, making tables on the way and replacing what stood there.
    ///
    /// In a list that is there, a number addresses an element, or the place after the last. Where nothing is there yet, `listen.0`
    /// makes a table with the key `0`, which reads as a list if the schema wants one: only the schema knows a list's index from a
    /// user who is called 1001. The error is the part of the path that cannot be entered.
    pub(super) fn insert(&mut self, path: &[String], node: Node) -> Result<(), String> {
        let Some((first, rest)) = path.split_first() else {
            *self = node;
            return Ok(());
        };
        let empty = || Node::empty_table(node.origin.clone());
        let child = match &mut self.value {
            Value::Table(table) => table.entry(first.clone()).or_insert_with(empty),
            Value::Array(array) => {
                let index = first.parse::<usize>().ok().filter(|&index| index <= array.len()).ok_or_else(|| first.clone())?;
                if index == array.len() {
                    array.push(empty());
                }
                &mut array[index]
            }
            _ => return Err(first.clone()),
        };
        // A scalar of a lower layer gives way to a table of a higher one.
        if !rest.is_empty() && !matches!(child.value, Value::Table(_) | Value::Array(_)) {
            *child = empty();
        }
        child.insert(rest, node).map_err(|inner| format!("{first}.{inner}"))
    }

    /// The elements, where this is a list, or a table with the keys 0, 1, … without a gap.
    pub(super) fn elements(&self) -> Option<Vec<&Node>> {
        match &self.value {
            Value::Array(items) => Some(items.iter().collect()),
            Value::Table(table) => {
                let all = (0..table.len()).map(|index| table.get(&index.to_string())).collect::<Option<Vec<_>>>()?;
                (!all.is_empty()).then_some(all)
            }
            _ => None,
        }
    }

    /// The origin of the value at a dotted `key`, or of the nearest table around it that was written.
    pub(super) fn origin_of(&self, key: &str) -> Option<&Origin> {
        let mut node = self;
        let mut rest = key;
        let mut found = None;
        while !rest.is_empty() {
            let Value::Table(table) = &node.value else { break };
            // A user's name may hold dots: take the entry that the rest of the key starts with.
            let Some((name, child)) = table
                .iter()
                .find(|(name, _)| rest.strip_prefix(name.as_str()).is_some_and(|tail| tail.is_empty() || tail.starts_with(['.', '['])))
            else {
                break;
            };
            found = Some(&child.origin);
            rest = rest[name.len()..].trim_start_matches('.');
            node = child;
            if let Some(open) = rest.strip_prefix('[') {
                let Some((index, tail)) = open.split_once(']') else { break };
                let (Some(elements), Ok(index)) = (node.elements(), index.parse::<usize>()) else { break };
                let Some(&element) = elements.get(index) else { break };
                found = Some(&element.origin);
                node = element;
                rest = tail.trim_start_matches('.');
            }
        }
        found
    }
}
