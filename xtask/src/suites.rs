//! `cargo xtask test`: the suites of tests, in the order in which CI runs them.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::command::{build, cargo, command, run, run_until};
use crate::suite::{Suite, run_all};
use crate::test_targets::{self, TestTarget};
use crate::{chart, clients, man, python, redis, statically, toolchain, tools, workspace};

/// The suites to run.
#[derive(clap::Args)]
pub(crate) struct Selection {
    /// Run only the suites that need no root, no tools and little time
    #[arg(long, conflicts_with = "long")]
    fast: bool,
    /// Also run the suites that take too long for every day: calls of six minutes, five minutes of
    /// fuzzing for each target
    #[arg(long)]
    long: bool,
    /// Run only these suites, by their names in the table
    suites: Vec<String>,
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

// All of them ask cargo for the whole workspace, so that each crate has one set of features and is
// built once.
static SUITES: &[Suite] = &[
    Suite {
        name: "tools",
        shows: "the programs that the tests use are installed",
        limit: minutes(10),
        run: tools::provide,
    },
    Suite {
        name: "format",
        shows: "rustfmt has nothing to change",
        limit: minutes(1),
        run: format,
    },
    Suite { name: "lint", shows: "clippy has nothing to say", limit: minutes(18), run: lint },
    Suite { name: "build", shows: "binaries and tests build", limit: minutes(18), run: build },
    Suite {
        name: "docs",
        shows: "the documentation and the man pages build, no link is dead",
        limit: minutes(10),
        run: docs,
    },
    Suite {
        name: "unit",
        shows: "each crate by itself, and the examples in its documentation",
        limit: minutes(6),
        run: unit,
    },
    Suite {
        name: "conformance",
        shows: "RFC vectors, MUSTs, hardening, properties, fuzz corpus",
        limit: minutes(8),
        run: conformance,
    },
    Suite {
        name: "backends",
        shows: "the running servers over epoll and over io_uring",
        limit: minutes(6),
        run: backends,
    },
    Suite {
        name: "architecture",
        shows: "the shape that the documents promise",
        limit: minutes(2),
        run: architecture,
    },
    Suite {
        name: "demo",
        shows: "the demonstration works and ends cleanly",
        limit: minutes(2),
        run: demo,
    },
    Suite {
        name: "windows",
        shows: "ice-agent type-checks for Windows",
        limit: minutes(10),
        run: windows,
    },
    Suite {
        name: "static",
        shows: "the programs as static executables, and the demo with them",
        limit: minutes(18),
        run: statically::check,
    },
    Suite {
        name: "chart",
        shows: "Helm, Kubernetes' schemas and the binaries accept the chart",
        limit: minutes(8),
        run: chart::check,
    },
    Suite {
        name: "store",
        shows: "what outlives the process, against Redis 6 to 8 and Valkey",
        limit: minutes(12),
        run: store,
    },
    Suite {
        name: "interop",
        shows: "coturn's tools and WebRTC clients against the real binaries",
        limit: minutes(10),
        run: interop,
    },
    Suite {
        name: "natlab",
        shows: "calls across every pair of NATs",
        limit: minutes(10),
        run: natlab,
    },
];

/// The suites that run only with `--long`, or by name.
static LONG: &[Suite] = &[
    Suite {
        name: "calls",
        shows: "calls of six minutes, waited for",
        limit: minutes(20),
        run: calls,
    },
    Suite {
        name: "fuzz",
        shows: "five minutes of libFuzzer a target",
        limit: minutes(60),
        run: fuzz,
    },
];

/// The suites that `--fast` leaves out.
const SLOW: &[&str] = &["tools", "windows", "static", "chart", "store", "interop", "natlab"];

/// Runs the selected suites.
pub(crate) fn run_selection(selection: &Selection) -> Result<()> {
    run_all(&chosen(selection)?)
}

/// Writes docs/deviations.md or docs/conformance.md. The test that compares the page with its
/// sources does it.
pub(crate) fn write_document(name: &str) -> Result<()> {
    let mut writes = cargo(&["test", "--workspace", "--test", "architecture", name]);
    run(writes.env(format!("CAUSEWAY_WRITE_{}", name.to_uppercase()), "1"))
}

fn chosen(selection: &Selection) -> Result<Vec<&'static Suite>> {
    let all = || SUITES.iter().chain(LONG);
    for name in &selection.suites {
        let known: Vec<&str> = all().map(|suite| suite.name).collect();
        ensure!(
            known.contains(&name.as_str()),
            "there is no suite {name}; choose from: {}",
            known.join(", ")
        );
    }
    let chosen: Vec<_> = all()
        .filter(|suite| match &*selection.suites {
            [] if selection.fast => !is_long(suite) && !SLOW.contains(&suite.name),
            [] => selection.long || !is_long(suite),
            names => names.iter().any(|name| name == suite.name),
        })
        .collect();
    Ok(chosen)
}

fn is_long(suite: &Suite) -> bool {
    LONG.iter().any(|long| long.name == suite.name)
}

fn format(by: Instant) -> Result<()> {
    run_until(&mut cargo(&["fmt", "--all", "--check"]), by)
}

fn lint(by: Instant) -> Result<()> {
    run_until(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]), by)
}

fn docs(by: Instant) -> Result<()> {
    let mut docs = cargo(&["doc", "--workspace", "--no-deps"]);
    run_until(docs.env("RUSTDOCFLAGS", "-D warnings"), by)?;
    man::write(by)?;
    // The programs that wrote the manual are not those that the tests are about.
    build(by)
}

fn unit(by: Instant) -> Result<()> {
    run_until(&mut cargo(&["test", "--workspace", "--lib", "--bins", "--no-fail-fast"]), by)?;
    run_until(&mut cargo(&["test", "--workspace", "--doc", "--no-fail-fast"]), by)
}

/// Runs every test target that no other suite runs, so that a new file of tests need not be named
/// here.
fn conformance(by: Instant) -> Result<()> {
    run_targets(|target| target.package != NATLAB && !NAMED.contains(&&*target.name), &[], by)
}

/// Runs the tests of the running servers over each backend, whichever of them this machine would
/// choose.
fn backends(by: Instant) -> Result<()> {
    for backend in ["epoll", "io_uring"] {
        run_until(named(DAEMON).env("CAUSEWAY_TEST_BACKEND", backend), by)?;
    }
    Ok(())
}

/// Runs all of the wanted test targets, also after a failure.
fn run_targets(wanted: impl Fn(&TestTarget) -> bool, flags: &[&str], by: Instant) -> Result<()> {
    let targets = test_targets::all()?.into_iter().filter(wanted);
    let mut names: Vec<String> = targets.map(|target| target.name).collect();
    names.sort();
    names.dedup();
    ensure!(!names.is_empty(), "no test target matches");
    let mut test = cargo(&["test", "--workspace", "--no-fail-fast"]);
    for name in &names {
        test.args(["--test", name]);
    }
    run_until(test.arg("--").args(flags), by)
}

const ARCHITECTURE: &str = "architecture";
const INTEROP: &str = "interop";
const DAEMON: &str = "daemon";
const NATLAB: &str = "causeway-natlab";
/// The services in namespaces of their own, whose addresses come and go.
const NAMESPACES: &str = "namespaces";
/// The crate's own tests against Redis, and those of the services with it.
const STORE: &[&str] = &["redis", "store"];
/// The tests of the services that run over each version of Redis: those of scripts, users, the
/// stream and a crash.
const OVER_EACH_REDIS: &[&str] =
    &["crash::calls", "damage::h47", "eviction", "accounts::h50_a_stop", "users::a_"];
/// The targets that have a suite of their own.
const NAMED: &[&str] = &[ARCHITECTURE, DAEMON, INTEROP, NAMESPACES, STORE[0], STORE[1]];

fn store(by: Instant) -> Result<()> {
    python::provide_interop(by)?;
    let servers = redis::provide(by)?;
    let flags = ["--nocapture", "--test-threads=1"];
    run_targets(|target| STORE.contains(&&*target.name), &flags, by)?;
    // Over the other versions: the commands of the store, and one call that survives a crash.
    for (server, program) in &servers {
        causeway_cli::print_line(format_args!("\n{}", server.says))?;
        let over = |test: &mut Command| {
            run_until(test.env("CAUSEWAY_REDIS_SERVER", program), by).context(server.says)
        };
        over(named(STORE[0]).arg("--").args(flags))?;
        over(named(STORE[1]).arg("--").args(flags).args(OVER_EACH_REDIS))?;
    }
    Ok(())
}

fn architecture(by: Instant) -> Result<()> {
    run_until(&mut named(ARCHITECTURE), by)
}

fn demo(by: Instant) -> Result<()> {
    // A process of its own, because it catches Ctrl-C. By its path and not as the running program,
    // because an earlier suite may have rebuilt it.
    let this = workspace::target().join("debug/xtask");
    run_until(&mut command(&this.display().to_string(), &["demo", "--built"]), by)
}

fn windows(by: Instant) -> Result<()> {
    let target = "x86_64-pc-windows-gnu";
    run_until(&mut toolchain::cargo_for(target, &["check", "--package", "ice-agent"], by)?, by)
}

fn interop(by: Instant) -> Result<()> {
    clients::provide(by)?;
    run_until(named(INTEROP).args(["--", "--nocapture", "--test-threads=1"]), by)
}

/// Runs the calls for which the interop suite moves the server's clock, in real time.
fn calls(by: Instant) -> Result<()> {
    clients::provide(by)?;
    run_until(
        named(INTEROP).args(["--", "--nocapture", "long_calls"]).env("CAUSEWAY_REAL_TIME", "1"),
        by,
    )
}

fn natlab(by: Instant) -> Result<()> {
    clients::provide(by)?;
    run_targets(
        |target| target.package == NATLAB || target.name == NAMESPACES,
        &["--nocapture", "--test-threads=1"],
        by,
    )
}

fn named(test: &str) -> Command {
    cargo(&["test", "--workspace", "--test", test])
}

fn fuzz(_: Instant) -> Result<()> {
    run(&mut cargo(&["xtask", "fuzz", "--seconds", "300"]))
}
