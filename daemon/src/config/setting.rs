//! The keys that dedicated flags set.

use zeroize::Zeroizing;

use super::origin::Origin;
use super::tree::{Node, Value};

/// A key that a dedicated flag sets.
///
/// A program lists its flags as a table: flag, key, value. Each constructor returns `None` where
/// the flag was not given.
#[derive(Clone)]
pub struct Setting {
    pub(super) path: Vec<String>,
    pub(super) node: Node,
}

impl Setting {
    /// A text. It is taken as it stands, even where it looks like a number or a list.
    pub fn text(flag: &'static str, key: &str, value: Option<&impl ToString>) -> Option<Self> {
        value.map(|value| Self::at(flag, key, text(value.to_string())))
    }

    /// A whole number.
    pub fn number(flag: &'static str, key: &str, value: Option<impl Into<i64>>) -> Option<Self> {
        value.map(|value| Self::at(flag, key, Value::Integer(value.into())))
    }

    /// A list of texts, which replaces the list of the layers below.
    pub fn list(flag: &'static str, key: &str, values: &[impl ToString]) -> Option<Self> {
        let item = |value: &_| node(flag, text(ToString::to_string(value)));
        let items = || Value::Array(values.iter().map(item).collect());
        (!values.is_empty()).then(|| Self::at(flag, key, items()))
    }

    /// A list of tables with one key each, such as `listen` with `address`.
    pub fn tables(
        flag: &'static str,
        key: &str,
        inner: &str,
        values: &[impl ToString],
    ) -> Option<Self> {
        let table = |value: &_| {
            let value = node(flag, text(ToString::to_string(value)));
            node(flag, Value::Table([(inner.to_owned(), value)].into()))
        };
        let items = || Value::Array(values.iter().map(table).collect());
        (!values.is_empty()).then(|| Self::at(flag, key, items()))
    }

    /// A table with one text, which replaces the table of the layers below. `name` is the last
    /// segment of its key and may hold dots.
    pub fn named(
        flag: &'static str,
        key: &str,
        name: &str,
        (inner, value): (&str, String),
    ) -> Self {
        let table = Value::Table([(inner.to_owned(), node(flag, text(value)))].into());
        Self::within(flag, key, name, table)
    }

    /// Addresses as the Internet sees them: a table of `BOUND=ADVERTISED`, or a list of addresses.
    /// The table replaces that of the layers below; an address that is bound twice is an error.
    pub fn external(flag: &'static str, key: &str, values: &[String]) -> Vec<Self> {
        if values.is_empty() {
            return Vec::new();
        }
        let pairs: Option<Vec<_>> = values.iter().map(|value| value.split_once('=')).collect();
        let Some(pairs) = pairs else {
            return vec![Self::at(flag, key, text(values.join(",")))];
        };
        let pair = |(bound, advertised): (&str, &str)| {
            Self::within(flag, key, bound, text(advertised.into()))
        };
        let empty = Self::at(flag, key, Value::Table([].into()));
        std::iter::once(empty).chain(pairs.into_iter().map(pair)).collect()
    }

    fn at(flag: &'static str, key: &str, value: Value) -> Self {
        Self { path: key.split('.').map(str::to_owned).collect(), node: node(flag, value) }
    }

    fn within(flag: &'static str, key: &str, name: &str, value: Value) -> Self {
        let mut setting = Self::at(flag, key, value);
        setting.path.push(name.to_owned());
        setting
    }
}

fn node(flag: &'static str, value: Value) -> Node {
    Node { value, origin: Origin::Flag(flag) }
}

fn text(value: String) -> Value {
    Value::Text(Zeroizing::new(value))
}
