//! Both servers have the same keys and flags, except those for the purpose of only one of them
//! (H44).

use std::collections::BTreeSet;

use crate::{assert_none, tree};

/// Keys that only one server has, each with the reason: a section (with a dot at its end) or a
/// whole key.
const OWN: &[(&str, &str)] = &[
    ("realm", "users belong to turnd"),
    ("relay.", "turnd relays; stund's counterparts of `external` and `scope` are in nat_discovery"),
    ("auth.", "stund demands no credentials"),
    ("peers.", "turnd relays"),
    ("protocol.", "about allocations, nonces, and SOFTWARE in authenticated answers"),
    ("accounting.", "about allocations"),
    ("store.", "stund stores nothing"),
    ("limits.allocations_per_prefix", "about allocations"),
    ("limits.allocations_per_user", "about allocations"),
    ("limits.channels_per_allocation", "about allocations"),
    ("limits.permissions_per_allocation", "about allocations"),
    ("limits.default_lifetime", "about allocations"),
    ("limits.max_lifetime", "about allocations"),
    ("limits.tcp_unauthenticated_timeout", "stund's counterpart is limits.tcp_idle_timeout"),
    ("limits.tcp_idle_timeout", "turnd's counterpart is limits.tcp_unauthenticated_timeout"),
    ("nat_discovery.", "RFC 5780 is stund's"),
];

/// Flags that only one server has.
const OWN_FLAGS: &[&str] = &[
    "alternate_address",
    "alternate_port",
    "realm",
    "user",
    "rest_secret_file",
    "relay_address",
    "relay_ports",
    "take_over",
    "allow_all_peers",
    "wildcard_listeners",
];

/// The keys that a default configuration documents.
fn keys(text: &str) -> BTreeSet<String> {
    let mut section = String::new();
    let mut keys = BTreeSet::new();
    for line in text.lines() {
        let bare = line.trim_start_matches('#');
        if bare.starts_with('[') && !line.starts_with("# ") {
            section = bare.trim_matches(['[', ']']).to_owned() + ".";
        } else if let Some((key, _)) = bare.split_once(" = ")
            && key.chars().all(|letter| {
                letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_'
            })
        {
            keys.insert(format!("{section}{key}"));
        }
    }
    keys
}

/// The fields of the flags' types: a line with a type behind an attribute of clap.
fn flags(text: &str) -> BTreeSet<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let fields = lines.windows(2).filter(|pair| pair[0].starts_with("#[arg(long"));
    fields
        .filter_map(|pair| pair[1].split(':').next()?.split(' ').next_back())
        .map(str::to_owned)
        .collect()
}

fn differences(
    stund: &BTreeSet<String>,
    turnd: &BTreeSet<String>,
    is_own: impl Fn(&str) -> bool,
) -> Vec<String> {
    let missing = |of: &'static str, other: &'static str| {
        move |key: &String| format!("{key} is in {of} and not in {other}")
    };
    let alone = stund.difference(turnd).filter(|key| !is_own(key)).map(missing("stund", "turnd"));
    alone
        .chain(turnd.difference(stund).filter(|key| !is_own(key)).map(missing("turnd", "stund")))
        .collect()
}

fn is_own_key(key: &str) -> bool {
    OWN.iter().any(|(own, _)| key == *own || (own.ends_with('.') && key.starts_with(own)))
}

#[test]
fn h44_each_key_of_one_server_is_in_the_other_unless_its_purpose_is_its_own() {
    let [stund, turnd] = ["stund", "turnd"]
        .map(|name| keys(&tree::read(&format!("{name}/src/config/default.toml"))));
    assert!(
        stund.contains("listen.proxy_protocol") && turnd.contains("relay.external"),
        "they are read"
    );
    assert_none(&differences(&stund, &turnd, is_own_key));
    for (own, _) in OWN {
        let is_there = stund
            .iter()
            .chain(&turnd)
            .any(|key| key == own || (own.ends_with('.') && key.starts_with(own)));
        assert!(is_there, "no server has {own}");
    }
}

#[test]
fn h44_each_flag_of_one_server_is_in_the_other_unless_its_purpose_is_its_own() {
    let [stund, turnd] =
        ["stund", "turnd"].map(|name| flags(&tree::read(&format!("{name}/src/config/flags.rs"))));
    assert!(stund.contains("listen") && turnd.contains("tls_key"), "they are read: {stund:?}");
    assert_none(&differences(&stund, &turnd, |flag| OWN_FLAGS.contains(&flag)));
}

#[test]
fn a_planted_key_and_a_planted_flag_are_found() {
    let keys = |more: &str| {
        keys(&format!(
            "#realm = \"x\"\n[tls]\n#key = \"k\"\n# not = a key\n#[[listen]]\n##address = 1\n{more}"
        ))
    };
    assert_eq!(keys("").into_iter().collect::<Vec<_>>(), ["listen.address", "realm", "tls.key"]);
    assert_eq!(
        differences(&keys("[tls]\n#new = 1"), &keys(""), is_own_key),
        ["tls.new is in stund and not in turnd"]
    );
    assert_eq!(differences(&keys(""), &keys("[relay]\n#new = 1"), is_own_key), [""; 0]);
    let planted = flags(
        "#[arg(long, value_name = \"X\")]\npub(crate) new_one: Option<u16>,\n\
         #[arg(long)]\nother: bool,",
    );
    assert_eq!(planted.into_iter().collect::<Vec<_>>(), ["new_one", "other"]);
}
