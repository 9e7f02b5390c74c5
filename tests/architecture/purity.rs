//! The core crates get time, randomness and bytes; they fetch none.

use crate::tree::SourceFile;
use crate::{assert_none, tree};

const CORE: &[&str] = &["wire/src/", "auth/src/", "relay/src/", "client/src/"];

const FETCHES: &[(&str, &str)] = &[
    (
        "Instant::now",
        "`now` is a parameter: the clock is read once a batch, and tests make time pass",
    ),
    (
        "SystemTime::now",
        "`now` is a parameter: the clock is read once a batch, and tests make time pass",
    ),
    ("thread::", "the core does not wait, and is not shared"),
    ("rand::rng(", "randomness is a parameter: the OS seeds it once, tests seed it with a number"),
    (
        "SystemRandom::new",
        "randomness is a parameter: the OS seeds it once, tests seed it with a number",
    ),
    ("UdpSocket", "no I/O"),
    ("TcpStream", "no I/O"),
    ("TcpListener", "no I/O"),
    ("std::fs", "no I/O"),
    ("std::env", "the configuration is a parameter"),
    ("println!", "an effect or a verdict says what happened; the shell logs it"),
    ("tracing::", "an effect or a verdict says what happened; the shell logs it"),
];

fn complaints(file: &SourceFile) -> Vec<String> {
    if !CORE.iter().any(|folder| file.path.starts_with(folder)) {
        return Vec::new();
    }
    let code = file
        .text
        .lines()
        .take_while(|line| *line != "#[cfg(test)]")
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.flat_map(|(number, line)| {
        FETCHES
            .iter()
            .filter(|(fetch, _)| line.contains(fetch))
            .map(move |(fetch, why)| (number, fetch, why))
    })
    .map(|(number, fetch, why)| format!("{}:{}: {fetch}: {why}", file.path, number + 1))
    .collect()
}

#[test]
fn the_core_fetches_nothing_by_itself() {
    let found: Vec<String> = tree::files("rs").iter().flat_map(complaints).collect();
    assert_none(&found);
}

#[test]
fn a_look_at_the_clock_is_found() {
    let planted = "// Instant::now is for the shell\nlet now = std::time::Instant::now();\n";
    assert_eq!(complaints(&SourceFile::new("net/src/clock.rs", planted)).len(), 0);
    let found = complaints(&SourceFile::new("relay/src/server.rs", planted));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("relay/src/server.rs:2: Instant::now: "));
}
