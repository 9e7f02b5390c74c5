//! Dependencies that the crates must not have, and the reasons.

use crate::assert_none;
use crate::graph::Graph;

struct Rule {
    who: &'static [&'static str],
    must_not_use: &'static [&'static str],
    because: &'static str,
}

const CORE: &[&str] = &["causeway-wire", "causeway-auth", "causeway-relay", "causeway-client"];

const RULES: &[Rule] = &[
    Rule {
        who: CORE,
        must_not_use: &[
            "tokio",
            "mio",
            "async-io",
            "async-std",
            "smol",
            "futures-executor",
            "socket2",
            "nix",
            "rustix",
            "polling",
            "io-uring",
            "hyper",
            "reqwest",
            "axum",
            "redis",
            "causeway-net",
            "causeway-daemon",
        ],
        because: "the core decides and performs no I/O: it is tested in virtual time, fuzzed, and \
                  used on every platform",
    },
    Rule {
        who: CORE,
        must_not_use: &["tracing-subscriber", "chrono", "time", "quanta", "clap", "toml", "anyhow"],
        because: "the core reads no clock, writes no log, and knows neither flags nor files: the \
                  shell passes it all of that",
    },
    Rule {
        who: &["causeway-wire"],
        must_not_use: &["causeway-auth", "causeway-relay", "causeway-client"],
        because: "wire <- auth <- relay, client",
    },
    Rule {
        who: &["causeway-auth"],
        must_not_use: &["causeway-relay", "causeway-client"],
        because: "wire <- auth <- relay, client",
    },
    Rule {
        who: &["causeway-relay"],
        must_not_use: &["causeway-client"],
        because: "the server's decisions and the client's are tested against each other: neither \
                  may depend on the other",
    },
    Rule {
        who: &["causeway-client"],
        must_not_use: &["causeway-relay"],
        because: "the server's decisions and the client's are tested against each other: neither \
                  may depend on the other",
    },
    Rule {
        who: &["causeway-net"],
        must_not_use: &[
            "causeway-wire",
            "causeway-auth",
            "causeway-relay",
            "causeway-client",
            "causeway-daemon",
        ],
        because: "`net` moves bytes and knows nothing of STUN, so that the only unsafe code stays \
                  small",
    },
    Rule {
        who: &["causeway-net"],
        must_not_use: &["tokio", "mio", "async-io", "futures-executor"],
        because: "a worker is one loop of our own: a task or a wakeup per socket was measured to \
                  be too slow",
    },
    Rule {
        who: &["causeway-store"],
        must_not_use: &[
            "causeway-wire",
            "causeway-auth",
            "causeway-relay",
            "causeway-client",
            "causeway-net",
            "causeway-daemon",
        ],
        because: "the store has a public format with its own types: a change of the server's types \
                  must not change it unnoticed",
    },
    Rule {
        who: &[
            "causeway-wire",
            "causeway-auth",
            "causeway-relay",
            "causeway-client",
            "causeway-net",
        ],
        must_not_use: &["causeway-store"],
        because: "the shell writes to the store later: a slow Redis must not delay a packet (H45)",
    },
    Rule {
        who: &["ice-agent"],
        must_not_use: &["causeway-net"],
        because: "ice-agent runs on every platform, `net` only on Linux",
    },
    Rule {
        who: &["stund", "turnd", "ice-agent", "causeway-daemon", "causeway-net"],
        must_not_use: &["native-tls", "aws-lc-sys"],
        because: "one static binary, one crypto library: ring, and OpenSSL for DTLS alone",
    },
    Rule {
        who: &["ice-agent", "causeway-client", "causeway-store"],
        must_not_use: &["openssl-sys"],
        because: "OpenSSL is for the DTLS of the servers' workers, and takes minutes to build",
    },
];

/// No crate may use these, not even in its tests: they are run as programs.
const SERVICES: &[&str] = &["stund", "turnd", "ice-agent", "causeway-bench", "xtask"];

fn complaints(graph: &Graph) -> Vec<String> {
    let mut complaints = Vec::new();
    for (id, package) in graph.members() {
        for rule in RULES.iter().filter(|rule| rule.who.contains(&&*package.name)) {
            for reached in graph.reached_from(id) {
                if rule.must_not_use.contains(&&*graph.0[reached].name) {
                    complaints.push(format!("{}: {}", graph.way(id, reached), rule.because));
                }
            }
        }
        if CORE.contains(&&*package.name)
            && package.links.iter().any(|id| graph.0[id].name == "libc")
        {
            complaints
                .push(format!("{} -> libc: system calls are made in `net` alone", package.name));
        }
        for named in &package.names {
            let named = &graph.0[named].name;
            if SERVICES.contains(&&**named) {
                complaints.push(format!("{} -> {named}: nothing uses a service", package.name));
            }
        }
    }
    complaints
}

#[test]
fn no_crate_has_a_forbidden_dependency() {
    let graph = Graph::of_workspace();
    for name in RULES.iter().flat_map(|rule| rule.who) {
        assert!(
            graph.members().any(|(_, package)| package.name == *name),
            "{name} is no crate: mend the rule"
        );
    }
    assert_none(&complaints(&graph));
}

#[test]
fn a_forbidden_dependency_is_found_with_its_way() {
    let graph = Graph::planted(&[
        ("causeway-relay", &["causeway-auth"]),
        ("causeway-auth", &["helpful"]),
        ("helpful", &["tokio"]),
        ("tokio", &[]),
    ]);
    let complaints = complaints(&graph);
    assert_eq!(complaints.len(), 2, "{complaints:?}");
    assert!(
        complaints[1].starts_with("causeway-relay -> causeway-auth -> helpful -> tokio: the core")
    );
}

#[test]
fn a_use_of_a_service_is_found() {
    let graph = Graph::planted(&[("causeway-tests", &["turnd"]), ("turnd", &[])]);
    assert_eq!(complaints(&graph), ["causeway-tests -> turnd: nothing uses a service"]);
}

#[test]
fn a_direction_turned_round_is_found() {
    let graph = Graph::planted(&[
        ("causeway-wire", &["causeway-auth", "libc"]),
        ("causeway-auth", &[]),
        ("libc", &[]),
    ]);
    assert_eq!(
        complaints(&graph),
        [
            "causeway-wire -> causeway-auth: wire <- auth <- relay, client",
            "causeway-wire -> libc: system calls are made in `net` alone",
        ]
    );
}
