//! The tree of keys before it has types: every value with the place where it was written. Layers
//! are laid over each other here.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::error::Problem;
use super::origin::Origin;

/// The reason why a value cannot be set.
enum Conflict {
    /// The lower layers have no such element or table.
    Nothing(String),
    /// The same layer sets the table around it as a whole.
    Whole(Origin),
    /// The same layer has set the key already.
    Twice(Origin),
}

impl Conflict {
    fn within(self, outer: &str) -> Self {
        match self {
            Conflict::Nothing(inner) => Conflict::Nothing(format!("{outer}.{inner}")),
            other => other,
        }
    }

    fn problem(self, key: String) -> Problem {
        match self {
            Conflict::Nothing(at) => Problem::new(key, format!("there is nothing at {at} to set")),
            Conflict::Whole(whole) => {
                Problem::new(key, format!("{whole} sets the table around it as a whole"))
                    .hint("set the table as a whole, or key by key")
            }
            Conflict::Twice(before) => {
                Problem::new(key, format!("{before} sets it, too")).hint("keep one of the two")
            }
        }
    }
}

/// A value and its origin.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// The value of a key. Text is wiped when dropped: it may be a secret.
#[derive(Clone)]
pub(super) enum Value {
    Table(BTreeMap<String, Node>),
    Array(Vec<Node>),
    Text(Zeroizing<String>),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// Text from the environment or `--set`. The schema decides its type.
    Raw(Zeroizing<String>),
}

impl Value {
    /// The kind of value, with its article, for error messages. It never shows the value itself.
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

    /// Whether it is blank text from the environment or `--set`.
    fn is_empty_text(&self) -> bool {
        matches!(&self.value, Value::Raw(text) if text.trim().is_empty())
    }

    /// Lays a lower layer's tree under `above`: tables are merged key by key, other values
    /// replaced.
    pub(super) fn overlay(&mut self, above: Node) {
        let Node { value, origin } = above;
        match (&mut self.value, value) {
            (Value::Table(below), Value::Table(table)) => {
                for (key, node) in table {
                    match below.get_mut(&key) {
                        Some(child) => child.overlay(node),
                        None => drop(below.insert(key, node)),
                    }
                }
            }
            (below, value) => *below = value,
        }
        self.origin = origin;
    }

    /// Sets `path` to `node`, or returns the reason why that is impossible. Blank text from a
    /// variable or `--set` is refused: it could mean "none" as well as "not set".
    pub(super) fn set(&mut self, path: &[String], node: Node) -> Option<Problem> {
        let (key, origin) = (path.join("."), node.origin.clone());
        let problem = if node.is_empty_text() {
            Problem::new(key, "the value is empty")
                .hint("leave it out, or write \"\" for an empty text and [] for an empty list")
        } else {
            self.insert(path, node).err()?.problem(key)
        };
        Some(problem.at(origin))
    }

    /// Puts `node` at `path`, creates tables on the way and replaces the value of a lower layer. A
    /// key that the same layer has set is an error (H56).
    ///
    /// In a list that exists, a number addresses an element, or the place after the last one. Where
    /// no list exists yet, `listen.0` creates a table with the key `0`, which reads as a list where
    /// the schema wants one: only the schema tells a list's index from a user called 1001.
    fn insert(&mut self, path: &[String], node: Node) -> Result<(), Conflict> {
        let Some((first, rest)) = path.split_first() else {
            if let Some(before) = self.leaf_of_layer(&node.origin) {
                return Err(Conflict::Twice(before.clone()));
            }
            *self = node;
            return Ok(());
        };
        let empty = || Node::empty_table(node.origin.clone());
        let child = match &mut self.value {
            Value::Table(table) => table.entry(first.clone()).or_insert_with(empty),
            Value::Array(array) => {
                let index = first
                    .parse::<usize>()
                    .ok()
                    .filter(|&index| index <= array.len())
                    .ok_or_else(|| Conflict::Nothing(first.clone()))?;
                if index == array.len() {
                    array.push(empty());
                }
                &mut array[index]
            }
            _ => return Err(Conflict::Nothing(first.clone())),
        };
        // A table of a higher layer replaces a scalar of a lower one.
        if !rest.is_empty() && !matches!(child.value, Value::Table(_) | Value::Array(_)) {
            if matches!(child.value, Value::Raw(_)) || child.origin.is_of_layer(&node.origin) {
                return Err(Conflict::Whole(child.origin.clone()));
            }
            *child = empty();
        }
        child.insert(rest, node).map_err(|inner| inner.within(first))
    }

    /// The origin of a value within this node that the same layer has set.
    fn leaf_of_layer(&self, origin: &Origin) -> Option<&Origin> {
        match &self.value {
            Value::Table(table) => table.values().find_map(|child| child.leaf_of_layer(origin)),
            Value::Array(items) => items.iter().find_map(|child| child.leaf_of_layer(origin)),
            _ => Some(&self.origin).filter(|own| own.is_of_layer(origin)),
        }
    }

    /// The elements of a list, or of a table with the keys 0, 1, … without a gap.
    pub(super) fn elements(&self) -> Option<Vec<&Node>> {
        match &self.value {
            Value::Array(items) => Some(items.iter().collect()),
            Value::Table(table) => {
                let all = (0..table.len())
                    .map(|index| table.get(&index.to_string()))
                    .collect::<Option<Vec<_>>>()?;
                (!all.is_empty()).then_some(all)
            }
            _ => None,
        }
    }

    /// The origin of the value at a dotted `key`, or of the nearest table around it that a layer
    /// above the defaults has written.
    pub(super) fn origin_of(&self, key: &str) -> Option<&Origin> {
        let mut node = self;
        let mut rest = key;
        let mut found = None;
        while !rest.is_empty() {
            let Value::Table(table) = &node.value else { break };
            // A user's name may hold dots: take the entry that the rest of the key starts with.
            let Some((name, child)) = table.iter().find(|(name, _)| {
                rest.strip_prefix(name.as_str())
                    .is_some_and(|tail| tail.is_empty() || tail.starts_with(['.', '[']))
            }) else {
                break;
            };
            if child.origin != Origin::Default || !matches!(child.value, Value::Table(_)) {
                found = Some(&child.origin);
            }
            rest = rest[name.len()..].trim_start_matches('.');
            node = child;
            if let Some(open) = rest.strip_prefix('[') {
                let Some((index, tail)) = open.split_once(']') else { break };
                let (Some(elements), Ok(index)) = (node.elements(), index.parse::<usize>()) else {
                    break;
                };
                let Some(&element) = elements.get(index) else { break };
                found = Some(&element.origin);
                node = element;
                rest = tail.trim_start_matches('.');
            }
        }
        found
    }
}
