//! A serde deserializer that turns the tree into a service's types and knows where it is.
//!
//! An error gains the key and the origin of the innermost value that caused it. Keys that a struct
//! does not name are collected, so that one run reports them all.

use std::cell::RefCell;

use serde::de::value::StrDeserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};
use zeroize::Zeroizing;

use super::error::Problem;
use super::failure::{Failure, plain};
use super::file::parse_value;
use super::joined::{JOINED, unknown_to_both};
use super::nearest::nearest;
use super::secret::SECRET;
use super::tree::{Node, Value};

/// Reads `tree` as a `T`.
///
/// # Errors
/// All unknown keys, and the first value that its type refuses.
pub(super) fn read<T: for<'de> Deserialize<'de>>(tree: &Node) -> Result<T, Vec<Problem>> {
    let unknown = RefCell::new(Vec::new());
    let outcome = T::deserialize(At { node: tree, key: String::new(), unknown: &unknown });
    let mut problems = unknown.into_inner();
    match outcome {
        Ok(value) if problems.is_empty() => return Ok(value),
        Ok(_) => {}
        Err(Failure(problem)) => problems.push(problem),
    }
    Err(problems)
}

/// A node and its key.
struct At<'a> {
    node: &'a Node,
    key: String,
    unknown: &'a RefCell<Vec<Problem>>,
}

impl<'a> At<'a> {
    fn child(&self, name: &str, node: &'a Node) -> At<'a> {
        let key = match self.key.is_empty() {
            true => name.to_owned(),
            false => format!("{}.{name}", self.key),
        };
        At { node, key, unknown: self.unknown }
    }

    fn refused(&self, expected: &dyn Expected) -> Failure {
        Failure(Problem::new(
            "",
            format!("expected {}, found {}", plain(expected), self.node.value.kind()),
        ))
    }

    /// The text, if it is text, without TOML quotes around a raw value.
    fn text(&self) -> Option<Zeroizing<String>> {
        match &self.node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Raw(raw) => match parse_value(raw, &self.node.origin) {
                Some(Node { value: Value::Text(text), .. }) if raw.starts_with(['"', '\'']) => {
                    Some(text)
                }
                _ => Some(raw.clone()),
            },
            _ => None,
        }
    }

    /// A raw value as TOML, if it is TOML.
    fn parsed(&self) -> Option<Node> {
        match &self.node.value {
            Value::Raw(raw) => parse_value(raw, &self.node.origin),
            _ => None,
        }
    }

    /// A raw value as a list: TOML in brackets, or items between commas.
    fn raw_list(&self) -> Result<Option<Node>, Failure> {
        let Value::Raw(raw) = &self.node.value else { return Ok(None) };
        if raw.trim_start().starts_with('[') {
            return Ok(self.parsed());
        }
        if raw.split(',').any(|text| text.trim().is_empty()) {
            return Err(Failure(
                Problem::new("", "an item of the list is empty")
                    .hint("separate items by single commas"),
            ));
        }
        let origin = &self.node.origin;
        let item = |text: &str| Node {
            value: Value::Raw(Zeroizing::new(text.trim().into())),
            origin: origin.clone(),
        };
        let items = raw.split(',').map(item).collect();
        Ok(Some(Node { value: Value::Array(items), origin: origin.clone() }))
    }

    fn visit_text<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Failure> {
        match self.text() {
            Some(text) => visitor.visit_str(&text).map_err(|failure: Failure| failure.found(&text)),
            None => Err(self.refused(&visitor)),
        }
    }

    /// A secret, which no error quotes.
    fn secret<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Failure> {
        if matches!(&self.node.value, Value::Raw(raw) if raw.trim() != raw.as_str()) {
            let problem = Problem::new("", "the value starts or ends with a blank");
            return Err(Failure(
                problem.hint("remove the blank, or quote the value if it belongs to the secret"),
            ));
        }
        match self.text() {
            Some(text) => visitor.visit_str(&text),
            None => Err(self.refused(&visitor)),
        }
    }

    fn note_unknown(&self, name: &str, node: &Node, fields: &[&str]) {
        let at = self.child(name, node);
        let problem = Problem::new(at.key, "unknown key").at(node.origin.clone());
        let problem = match nearest(name, fields.iter().copied()) {
            Some(field) => problem.hint(format!("did you mean {}?", self.child(field, node).key)),
            None => problem,
        };
        self.unknown.borrow_mut().push(problem);
    }
}

impl<'de> Deserializer<'de> for At<'_> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.node.value {
            Value::Text(text) => {
                visitor.visit_str(text).map_err(|failure: Failure| failure.found(text))
            }
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Boolean(flag) => visitor.visit_bool(*flag),
            Value::Array(items) => {
                visitor.visit_seq(Items { at: &self, items: items.iter().enumerate() })
            }
            Value::Table(table) => visitor.visit_map(Entries {
                at: &self,
                entries: table.iter().collect(),
                value: None,
            }),
            Value::Raw(_) => match self.parsed() {
                Some(node) => At { node: &node, ..self }.deserialize_any(visitor),
                None => self.visit_text(visitor),
            },
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.visit_text(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.visit_text(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        match name {
            SECRET => self.secret(visitor),
            JOINED => {
                let unknown = [RefCell::default(), RefCell::default()];
                let halves = Halves { at: &self, unknown: unknown.iter() };
                let outcome = visitor.visit_seq(halves);
                let [first, second] = unknown.map(RefCell::into_inner);
                self.unknown.borrow_mut().extend(unknown_to_both(&first, &second));
                outcome
            }
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let parsed = self.raw_list()?;
        match parsed.as_ref().unwrap_or(self.node).elements() {
            Some(items) => {
                visitor.visit_seq(Items { at: &self, items: items.into_iter().enumerate() })
            }
            None => Err(self.refused(&visitor)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let parsed = self.parsed();
        match &parsed.as_ref().unwrap_or(self.node).value {
            Value::Table(table) => visitor.visit_map(Entries {
                at: &self,
                entries: table.iter().collect(),
                value: None,
            }),
            _ => Err(self.refused(&visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let parsed = self.parsed();
        let Value::Table(table) = &parsed.as_ref().unwrap_or(self.node).value else {
            return Err(self.refused(&visitor));
        };
        let (known, unknown): (Vec<_>, Vec<_>) =
            table.iter().partition(|(name, _)| fields.contains(&name.as_str()));
        for (name, node) in unknown {
            self.note_unknown(name, node, fields);
        }
        visitor.visit_map(Entries { at: &self, entries: known.into_iter().collect(), value: None })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        match self.text() {
            Some(text) => {
                visitor.visit_enum(IntoDeserializer::<Failure>::into_deserializer(text.as_str()))
            }
            None => {
                let what = format!(
                    "expected one of {}, found {}",
                    variants.join(", "),
                    self.node.value.kind()
                );
                Err(Failure(Problem::new("", what)))
            }
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
        identifier ignored_any
    }
}

/// One node for each half of a `Joined`, with a list of unknown keys of its own.
struct Halves<'a, I> {
    at: &'a At<'a>,
    unknown: I,
}

impl<'de, 'a, I: Iterator<Item = &'a RefCell<Vec<Problem>>>> SeqAccess<'de> for Halves<'a, I> {
    type Error = Failure;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Failure> {
        let Some(unknown) = self.unknown.next() else { return Ok(None) };
        seed.deserialize(At { node: self.at.node, key: self.at.key.clone(), unknown }).map(Some)
    }
}

struct Items<'a, I> {
    at: &'a At<'a>,
    items: I,
}

impl<'de, 'a, I: Iterator<Item = (usize, &'a Node)>> SeqAccess<'de> for Items<'a, I> {
    type Error = Failure;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Failure> {
        let Some((index, node)) = self.items.next() else { return Ok(None) };
        let key = format!("{}[{index}]", self.at.key);
        let at = At { node, key: key.clone(), unknown: self.at.unknown };
        seed.deserialize(at).map(Some).map_err(|failure| failure.at(&key, &node.origin))
    }
}

struct Entries<'a> {
    at: &'a At<'a>,
    entries: std::collections::VecDeque<(&'a String, &'a Node)>,
    value: Option<(&'a String, &'a Node)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Failure;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Failure> {
        self.value = self.entries.pop_front();
        let Some((name, node)) = self.value else { return Ok(None) };
        let key: StrDeserializer<'_, Failure> = name.as_str().into_deserializer();
        let outcome = seed.deserialize(key).map(Some);
        outcome
            .map_err(|failure| failure.found(name).at(&self.at.child(name, node).key, &node.origin))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Failure> {
        let (name, node) = self.value.take().expect("serde asks for a value only after its key");
        let at = self.at.child(name, node);
        let key = at.key.clone();
        seed.deserialize(at).map_err(|failure| failure.at(&key, &node.origin))
    }
}
