//! All crates have the same list of lints, and only one has unsafe code.

use toml::{Table, Value};

use crate::{assert_none, tree};

/// The crate that makes the system calls.
const UNSAFE: &str = "net";

fn complaints(folder: &str, manifest: &str) -> Vec<String> {
    let manifest: Table = manifest.parse().expect("cargo has read it too");
    let lints = manifest.get("lints").and_then(Value::as_table);
    let of = |group: &str, lint: &str| {
        let lints = lints?.get(group)?.get(lint)?;
        Some(lints.as_str().unwrap_or_default().to_owned())
    };
    let inherits = lints.is_some_and(|lints| lints.get("workspace") == Some(&Value::Boolean(true)));
    let mut complaints = Vec::new();
    if folder == UNSAFE {
        if of("rust", "unsafe_op_in_unsafe_fn").as_deref() != Some("deny") {
            complaints.push(format!("{folder}: unsafe_op_in_unsafe_fn is not denied"));
        }
        if of("clippy", "undocumented_unsafe_blocks").is_none() {
            complaints.push(format!("{folder}: a block without its SAFETY line goes unseen"));
        }
    } else if !inherits {
        complaints
            .push(format!("{folder}: does not have the workspace's lints, and so may be unsafe"));
    }
    complaints
}

#[test]
fn each_crate_but_one_forbids_unsafe_code() {
    let workspace: Table = tree::read("Cargo.toml").parse().expect("cargo has read it too");
    let workspace = &workspace["workspace"];
    assert_eq!(
        workspace["lints"]["rust"]["unsafe_code"].as_str(),
        Some("forbid"),
        "the workspace's lints forbid unsafe code"
    );
    let members = workspace["members"].as_array().expect("a list");
    let found: Vec<String> = members
        .iter()
        .map(|member| member.as_str().expect("a folder"))
        .flat_map(|folder| complaints(folder, &tree::read(&format!("{folder}/Cargo.toml"))))
        .collect();
    assert_none(&found);
}

#[test]
fn lints_of_its_own_are_found() {
    let own = "[lints.rust]\nunsafe_code = \"allow\"\n";
    assert_eq!(complaints("wire", own).len(), 1);
    assert_eq!(complaints("wire", "[package]\n").len(), 1);
    assert_eq!(complaints("wire", "[lints]\nworkspace = true\n").len(), 0);
    assert_eq!(complaints("net", own).len(), 2);
}
