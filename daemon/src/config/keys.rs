//! The keys that a schema has, found by asking its types.
//!
//! serde tells a struct's field names to the deserializer that it reads from. A probe walks one
//! path at a time, notes the fields at its end and fails; the walk over all fields finds every key.

use std::cell::RefCell;

use serde::de::value::{Error, StrDeserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};

use super::joined::JOINED;

/// The name that stands for any name in a table of tables, as in `auth.users.NAME.password`.
pub(super) const ANY_NAME: &str = "NAME";

/// Every key of the schema `T`, dotted. A list's elements have no index (`listen.address`); a name
/// that the operator chooses is `NAME`.
pub fn keys<T: for<'de> Deserialize<'de>>() -> Vec<String> {
    let mut keys = Vec::new();
    walk::<T>(&mut Vec::new(), &mut keys);
    keys
}

/// The type at the end of a path.
enum End {
    /// A value.
    Leaf,
    /// A struct, or several that are read from one table.
    Fields(Vec<&'static str>),
    /// A table whose keys the operator chooses.
    Names,
}

fn walk<T: for<'de> Deserialize<'de>>(path: &mut Vec<&'static str>, keys: &mut Vec<String>) {
    let end = RefCell::new(End::Leaf);
    // The probe always fails and leaves its finding in `end`.
    let _ = T::deserialize(Probe { path, end: &end }).is_ok();
    let fields = match end.into_inner() {
        End::Leaf => return keys.push(path.join(".")),
        End::Fields(fields) => fields,
        End::Names => vec![ANY_NAME],
    };
    for field in fields {
        path.push(field);
        walk::<T>(path, keys);
        path.pop();
    }
}

#[derive(Clone, Copy)]
struct Probe<'a> {
    path: &'a [&'static str],
    end: &'a RefCell<End>,
}

impl Probe<'_> {
    /// Takes one step along the path, or notes `here` at its end.
    fn step<'de, V: Visitor<'de>>(self, here: End, visitor: V) -> Result<V::Value, Error> {
        let Some((first, rest)) = self.path.split_first() else {
            let mut end = self.end.borrow_mut();
            match (&mut *end, here) {
                (End::Fields(fields), End::Fields(more)) => fields.extend(more),
                (end, here) => *end = here,
            }
            return Err(Error::custom("the end of the path"));
        };
        visitor.visit_map(One { key: Some(first), value: Probe { path: rest, end: self.end } })
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(Error::custom("a leaf"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.step(End::Fields(fields.to_vec()), visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.step(End::Names, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match name {
            JOINED => visitor.visit_seq(Elements { probe: self, left: 2 }),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Elements { probe: self, left: 1 })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct enum identifier ignored_any
    }
}

/// The same probe for each of several elements.
struct Elements<'a> {
    probe: Probe<'a>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(self.probe).map(Some)
    }
}

struct One<'a> {
    key: Option<&'static str>,
    value: Probe<'a>,
}

impl<'de> MapAccess<'de> for One<'_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let Some(key) = self.key.take() else { return Ok(None) };
        let key: StrDeserializer<'_, Error> = key.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self.value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::Joined;
    use super::*;

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape is read")]
    struct Top {
        realm: String,
        joined: Joined<Listen, User>,
        listen: Vec<Listen>,
        users: Option<BTreeMap<String, User>>,
    }

    #[derive(serde::Deserialize)]
    #[expect(dead_code, reason = "only its shape is read")]
    struct Listen {
        address: std::net::SocketAddr,
        transports: Vec<String>,
    }

    #[derive(serde::Deserialize)]
    #[expect(dead_code, reason = "only its shape is read")]
    struct User {
        password: super::super::Secret,
    }

    #[test]
    fn every_key_is_found_once() {
        assert_eq!(
            keys::<Top>(),
            [
                "realm",
                "joined.address",
                "joined.transports",
                "joined.password",
                "listen.address",
                "listen.transports",
                "users.NAME.password"
            ]
        );
    }
}
