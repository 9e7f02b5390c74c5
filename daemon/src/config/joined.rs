//! Two structs that are read from one table.
//!
//! serde's `flatten` would lose the origin of each value and the names of the fields, by which
//! unknown keys are found. So a [`Joined`] asks the deserializer for the same table twice, by the
//! name of a newtype that only this crate's deserializers know.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use strsim::osa_distance;

use super::error::Problem;

/// The newtype name by which [`Joined`] asks for one table twice.
pub(super) const JOINED: &str = "$causeway::Joined";

/// Two structs whose keys stand side by side in one table, such as the limits that every server has
/// and those of one server.
#[derive(Clone, Debug)]
pub struct Joined<A, B>(pub A, pub B);

impl<'de, A: Deserialize<'de>, B: Deserialize<'de>> Deserialize<'de> for Joined<A, B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(JOINED, Halves(PhantomData))
    }
}

struct Halves<A, B>(PhantomData<(A, B)>);

impl<'de, A: Deserialize<'de>, B: Deserialize<'de>> Visitor<'de> for Halves<A, B> {
    type Value = Joined<A, B>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut halves: S) -> Result<Self::Value, S::Error> {
        // The second half is read even where the first one fails: without it, all of its keys would
        // count as unknown.
        let (first, second) = (halves.next_element(), halves.next_element());
        let missing = || S::Error::custom("expected a table");
        Ok(Joined(first?.ok_or_else(missing)?, second?.ok_or_else(missing)?))
    }
}

/// The keys that neither half knows. Each half has noted the keys that are unknown to it, and with
/// them those of the other half.
pub(super) fn unknown_to_both(first: &[Problem], second: &[Problem]) -> Vec<Problem> {
    let covers = |outer: &Problem, inner: &Problem| {
        inner.key.strip_prefix(&outer.key).is_some_and(|rest| rest.starts_with('.'))
    };
    let in_both = first.iter().filter_map(|one| {
        let other = second.iter().find(|other| other.key == one.key || covers(other, one))?;
        // Each half suggests the nearest of its own keys.
        let hints = [&one.hint, &other.hint].into_iter().flatten();
        let hint = hints.min_by_key(|hint| osa_distance(hint, &one.key)).cloned();
        Some(Problem { hint, ..one.clone() })
    });
    let in_second =
        second.iter().filter(|one| first.iter().any(|other| covers(other, one))).cloned();
    in_both.chain(in_second).collect()
}
