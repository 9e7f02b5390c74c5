//! The peers that clients may reach.

use super::*;

#[test]
fn h44_peer_rules_that_allow_everything_need_the_flag() {
    for rules in
        ["allow 0.0.0.0/0", "allow ::/0", "deny 10.0.0.1,allow 0.0.0.0/1,allow 128.0.0.0/1"]
    {
        let set = format!("peers.rules={rules}");
        refused(with(&["--set", &set]), &["peers.rules", "--insecure-allow-all-peers"]);
        assert!(with(&["--set", &set, "--insecure-allow-all-peers"]).is_ok());
    }
    assert!(with(&["--set", "peers.rules=deny 0.0.0.0/0"]).is_ok());
}

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
