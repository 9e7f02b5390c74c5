//! A short comparison of turnd with itself: checks every delivery, and no time.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use causeway_kit::Scratch;
use serde_json::Value;

const TURNLOAD: &str = env!("CARGO_BIN_EXE_turnload");

/// turnd is in the same folder, where all binaries of the workspace are built.
fn turnd() -> PathBuf {
    let turnd = Path::new(TURNLOAD).with_file_name("turnd");
    assert!(turnd.is_file(), "{} is not built: cargo build --workspace --bins", turnd.display());
    turnd
}

fn compare(arguments: &[&str]) -> Output {
    Command::new(TURNLOAD).arg("compare").args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).concat()
}

#[test]
fn every_delivery_of_every_shape_is_right() {
    turnd();
    let scratch = Scratch::new();
    let [json, svg] = ["report.json", "report.svg"].map(|name| scratch.path(name));
    let scenarios = "c2p-100,p2c-100,both-100,c2p-1200,relay,burst-c2p,burst-p2c-single,mixed-p2c,\
                     frames-c2p,calls,paced,send-both,binding,allocate,channel-bind,\
                     tcp-both,tls-both,dtls-both,send-c2p-own";
    let output = compare(&[
        "--against",
        "turnd",
        "--scenario",
        scenarios,
        "--allocations",
        "20",
        "--pairs",
        "1",
        "--slice",
        "100",
        "--settle",
        "0",
        "--unpinned",
        "--markdown",
        "--json",
        json.to_str().unwrap(),
        "--svg",
        svg.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let svg = std::fs::read_to_string(&svg).unwrap();
    let outcomes = report["outcomes"].as_array().unwrap();
    assert_eq!(outcomes.len(), scenarios.split(',').count());
    for outcome in outcomes {
        for server in outcome["servers"].as_array().unwrap() {
            // A wrong delivery ends the comparison; these are delivered and correct.
            let (sent, lost) = (server["sent"].as_u64().unwrap(), server["lost"].as_u64().unwrap());
            assert!(sent > lost, "{outcome}");
            assert_eq!(server["late"], 0, "{outcome}");
            assert!(server["deliveries_a_core"].as_f64().unwrap() > 0.0, "{outcome}");
            assert!(server["cpu_ns"].as_f64().unwrap() > 0.0, "{outcome}");
        }
    }
    assert_eq!(svg.matches("class=\"bar\"").count(), outcomes.len());
    assert!(
        said(&output)
            .contains("| client to peer, 160 bytes, 100 allocations, here with 20 allocations |")
    );
    // The settings of a measurement are printed with it.
    assert!(said(&output).contains("limits.unauthenticated_per_prefix = off"));
}

#[test]
fn pairs_are_spread_over_starts_of_the_servers() {
    turnd();
    let scratch = Scratch::new();
    let json = scratch.path("starts.json");
    let wanted = [
        "--scenario",
        "c2p-100",
        "--pairs",
        "5",
        "--starts",
        "2",
        "--slice",
        "20",
        "--settle",
        "0",
        "--unpinned",
    ];
    let output =
        compare(&[&["--against", "turnd", "--json", json.to_str().unwrap()], &wanted[..]].concat());
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!((&report["pairs"], &report["starts"]), (&6.into(), &2.into()));
    assert!(said(&output).contains("6 pairs of 20 ms over 2 starts"));
}

#[test]
fn what_cannot_be_compared_is_named() {
    turnd();
    let output = compare(&["--against", "no-such-server"]);
    assert!(
        !output.status.success() && said(&output).contains("no peer no-such-server"),
        "{}",
        said(&output)
    );
    let output = compare(&["--against", "coturn", "--program", "/no/such/turnserver"]);
    assert!(
        !output.status.success() && said(&output).contains("/no/such/turnserver is not there"),
        "{}",
        said(&output)
    );
    let output = compare(&["--scenario", "no-such-scenario"]);
    assert!(
        !output.status.success() && said(&output).contains("no scenario no-such-scenario"),
        "{}",
        said(&output)
    );
}
