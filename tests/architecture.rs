//! Tests that the repository has the shape that `docs/architecture.md` describes.
//!
//! Each rule is a function from a text or a graph to complaints. It is tested on a planted fault,
//! and then on the repository.

#[path = "architecture/circles.rs"]
mod circles;
#[path = "architecture/citations.rs"]
mod citations;
#[path = "architecture/conformance.rs"]
mod conformance;
#[path = "architecture/dependencies.rs"]
mod dependencies;
#[path = "architecture/deviations.rs"]
mod deviations;
#[path = "architecture/graph.rs"]
mod graph;
#[path = "architecture/hardening.rs"]
mod hardening;
#[path = "architecture/heads.rs"]
mod heads;
#[path = "architecture/licences.rs"]
mod licences;
#[path = "architecture/lints.rs"]
mod lints;
#[path = "architecture/names.rs"]
mod names;
#[path = "architecture/purity.rs"]
mod purity;
#[path = "architecture/shared_keys.rs"]
mod shared_keys;
#[path = "architecture/sizes.rs"]
mod sizes;
#[path = "architecture/tree.rs"]
mod tree;
#[path = "architecture/words.rs"]
mod words;

/// Fails with all complaints at once, so that they can be mended together.
#[track_caller]
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}
