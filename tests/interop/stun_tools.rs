//! coturn's STUN tools against `stund`.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use causeway_kit::program::{self, Output};
use causeway_tests::daemon::service;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn stunclient_gets_its_mapped_address() {
    let stund = service::stund_with_one_address();
    let output = tool("turnutils_stunclient", &[], stund.address, LIMIT);
    assert!(output.succeeded, "{}", output.text);
    let mapped = values(&output.text, "UDP reflexive addr: ");
    // XOR-MAPPED-ADDRESS, and MAPPED-ADDRESS beside it.
    assert!(mapped.len() == 2 && mapped[0] == mapped[1], "{}", output.text);
    assert!(
        mapped[0].ip() == stund.address.ip() && mapped[0].port() != stund.address.port(),
        "{}",
        output.text
    );
    stund.end();
}

#[test]
fn stunclient_learns_the_other_address_and_gets_answers_from_there_and_at_another_port() {
    let (stund, alternate) = service::stund();
    let Output { succeeded, text } = tool("turnutils_stunclient", &[], stund.address, LIMIT);
    assert!(succeeded, "{text}");
    // First a plain request; then CHANGE-REQUEST with both flags; then RESPONSE-PORT, which names
    // the port above the client's.
    let origins = values(&text, "Response origin: : ");
    assert!(origins.contains(&stund.address) && origins.contains(&alternate), "{text}");
    assert!(values(&text, "Other addr: : ").iter().all(|other| *other == alternate), "{text}");
    assert!(text.contains("RFC 5780 response 3"), "{text}");
    stund.end();
}

#[test]
fn natdiscovery_sees_that_there_is_no_nat_with_and_without_padding() {
    let (stund, alternate) = service::stund();
    for flags in [&["-m", "-f"][..], &["-m", "-f", "-P"]] {
        let Output { succeeded, text } =
            tool("turnutils_natdiscovery", flags, stund.address, LIMIT);
        assert!(succeeded, "{text}");
        for finding in
            ["NAT with Endpoint Independent Mapping!", "NAT with Endpoint Independent Filtering!"]
        {
            assert!(text.contains(finding), "{finding}:\n{text}");
        }
        // MAPPED-ADDRESS comes beside XOR-MAPPED-ADDRESS, for clients that want to see whether
        // something on the way rewrites addresses.
        assert!(text.contains("No ALG: Mapped == XOR-Mapped"), "{text}");
        assert!(values(&text, "Other addr: : ").contains(&alternate), "{text}");
    }
    stund.end();
}

#[test]
fn natdiscovery_measures_lifetime_hairpinning_and_collisions() {
    let (stund, alternate) = service::stund();
    // RESPONSE-PORT, after a second: the answer comes to the port that asked first.
    let lifetime = tool("turnutils_natdiscovery", &["-t", "-T", "1"], stund.address, LIMIT);
    assert!(
        lifetime.succeeded && lifetime.text.contains("RFC 5780 response 2"),
        "{}",
        lifetime.text
    );
    let flags = ["-H", "-c", "-L", "127.0.0.1", "-A", "127.0.0.3"];
    let others = tool("turnutils_natdiscovery", &flags, stund.address, LIMIT);
    assert!(
        others.succeeded && others.text.contains("a successful hairpinning"),
        "{}",
        others.text
    );
    assert!(values(&others.text, "Other addr: : ").contains(&alternate), "{}", others.text);
    stund.end();
}

fn tool(name: &str, flags: &[&str], server: SocketAddr, limit: Duration) -> Output {
    let mut command = Command::new(name);
    command.args(flags).args(["-p", &server.port().to_string(), &server.ip().to_string()]);
    program::run(command, limit)
}

/// The text behind each occurrence of the name, to the end of its line.
fn values(text: &str, name: &str) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| line.split_once(name))
        .map(|(_, value)| {
            value.trim().parse().unwrap_or_else(|_| panic!("{value:?} is no address:\n{text}"))
        })
        .collect()
}
