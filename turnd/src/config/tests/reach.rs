//! Which peers are refused, and which addresses are bound.

use super::*;

#[test]
fn h3_denied_peers_are_refused_unless_they_are_to_be_ignored() {
    assert_eq!(with(&[]).unwrap().peers.denied, DeniedPeers::Refuse);
    let ignoring = with(&["--set", "peers.denied=ignore"]).unwrap();
    assert_eq!(ignoring.peers.denied, DeniedPeers::Ignore);
    assert!(ignoring.describe().iter().any(|line| line.contains("denied peers are ignored")));
    refused(
        with(&["--set", "peers.denied=drop"]),
        &["peers.denied", "expected one of refuse, ignore"],
    );
}

#[test]
fn an_ipv6_wildcard_says_whether_ipv4_is_served_beside_it() {
    let line = |listen: &str| {
        let lines = with(&["--listen", listen]).unwrap().describe();
        lines.into_iter().find(|line| line.contains("serves IPv6 only")).unwrap_or_default()
    };
    assert_eq!(
        line("[::]:3478"),
        "[::]:3478 serves IPv6 only: no IPv4 over udp, tcp; for IPv4 listen on 0.0.0.0:3478, too"
    );
    assert_eq!(line("[::]:3478,0.0.0.0:3479"), line("[::]:3478"), "another port");
    assert_eq!(
        line("[::]:3478,0.0.0.0:3478"),
        "[::]:3478 serves IPv6 only; IPv4 has a listener of its own"
    );
    assert_eq!((line("[2001:db8::1]:3478"), line("0.0.0.0:3478")), (String::new(), String::new()));
}

#[test]
fn a_wait_for_addresses_is_bounded_and_not_combined_with_freebind() {
    let default = with(&[]).unwrap().net;
    assert_eq!((default.address_wait.as_secs(), default.freebind), (0, false));
    let waiting = with(&["--set", "net.address_wait=30s"]).unwrap();
    assert_eq!(waiting.net.address_wait.as_secs(), 30);
    assert!(
        waiting
            .describe()
            .iter()
            .any(|line| line == "waits up to 30s for an address that this host does not have yet")
    );
    let free = with(&["--set", "net.freebind=true"]).unwrap();
    assert!(
        free.net.freebind
            && free
                .describe()
                .iter()
                .any(|line| line.contains("whether this host has them or not"))
    );
    refused(
        with(&["--set", "net.address_wait=11m"]),
        &["net.address_wait", "is too long; the maximum is 600s"],
    );
    refused(
        with(&["--set", "net.address_wait=1s", "--set", "net.freebind=true"]),
        &["net.address_wait", "nothing is waited for"],
    );
    let named: Vec<_> = waiting.addresses().into_iter().map(|named| named.key).collect();
    assert!(
        named.contains(&"listen[0].address".into())
            && named.contains(&"relay.addresses".into())
            && named.contains(&"admin.listen".into())
    );
}
