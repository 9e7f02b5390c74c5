//! Listeners, certificates, proxies, the admin listener, and the wait for their addresses.

use std::time::Duration;

use causeway_daemon::config::Transport;

use causeway_kit::certificates::{Key, ServerCertificate};

use super::*;

#[test]
fn h41_an_admin_listener_that_others_reach_needs_a_token() {
    for address in ["0.0.0.0:9641", "203.0.113.7:9641", "[::]:9641", "[::ffff:10.0.0.1]:9641"] {
        refused(with(&["--admin-listen", address]), &["admin.listen (--admin-listen)", "token"]);
        assert!(with(&["--admin-listen", address, "--set", "admin.token=t"]).is_ok(), "{address}");
    }
    for address in ["127.0.0.1:9641", "127.9.9.9:1", "[::1]:9641", "[::ffff:127.0.0.1]:9641"] {
        assert!(with(&["--admin-listen", address]).is_ok(), "{address}");
    }
    assert_eq!(with(&["--set", "admin.listen=off"]).unwrap().admin.listen, None);
}

#[test]
fn h44_listeners_that_cannot_be_meant_are_refused() {
    refused(
        with(&["--listen", "203.0.113.7:3478,203.0.113.7:3478"]),
        &["listen[1].address", "an earlier entry"],
    );
    refused(with(&["--listen", "203.0.113.7:0"]), &["listen[0].address", "port 0"]);
    refused(with(&["--listen", "127.0.0.1:9641"]), &["listen[0].address", "admin.listen"]);
    refused(
        with(&["--listen", "0.0.0.0:9641"]),
        &["listen[0].address", "0.0.0.0:9641", "admin.listen (127.0.0.1:9641)"],
    );
    assert!(with(&["--listen", "[::]:9641"]).is_ok(), "an IPv6 socket of ours takes no IPv4");
    let transports = |names: &str| {
        with(&[
            "--set",
            "listen.0.address=203.0.113.7:3478",
            "--set",
            &format!("listen.0.transports={names}"),
        ])
    };
    refused(
        transports("tls"),
        &["listen[0].transports", "tls needs a certificate", "tls.certificate"],
    );
    refused(transports("udp,dtls"), &["listen[0].transports", "dtls needs a certificate"]);
    refused(
        transports("udp,tcp,udp"),
        &["listen[0].transports", "udp is listed twice for 203.0.113.7:3478"],
    );
    refused(transports("upd"), &["did you mean \"udp\"?"]);
    refused(transports("[]"), &["has no transport"]);
}

#[test]
fn h44_a_certificate_is_there_and_its_key_is_its_own() {
    let scratch = Scratch::new();
    let [one, other] =
        [(); 2].map(|()| ServerCertificate::self_signed(&["turn.example.org"], Key::ecdsa()));
    let chain = scratch.write("chain.pem", &one.chain_pem());
    let key = scratch.write("key.pem", &one.key_pem());
    let foreign = scratch.write("foreign.pem", &other.key_pem());
    let empty = scratch.write("empty.pem", "");
    let tls = |chain: &str, key: &str| with(&["--tls-certificate", chain, "--tls-key", key]);
    let config = tls(&chain, &key).unwrap();
    assert!(config.listen.iter().any(|listen| listen.address.port() == 5349
        && listen.transports == [Transport::Tls, Transport::Dtls]));
    assert!(config.describe().iter().any(|line| line.contains("turn.example.org")));
    refused(
        tls("/nowhere/chain.pem", &key),
        &["tls.certificate", "cannot read /nowhere/chain.pem"],
    );
    refused(tls(&chain, "/nowhere/key.pem"), &["tls.key", "cannot read /nowhere/key.pem"]);
    refused(tls(&empty, &key), &["tls.certificate", "empty.pem"]);
    refused(tls(&chain, &chain), &["tls.key", "chain.pem"]);
    refused(tls(&chain, &foreign), &["tls.key", "foreign.pem", "does not belong"]);
    refused(with(&["--tls-certificate", &chain]), &["tls.key", "without its key"]);
    refused(
        with(&["--set", "tls.further.0.key=x", "--tls-certificate", &chain, "--tls-key", &key]),
        &["tls.further[0].certificate"],
    );
}

#[test]
fn h44_proxies_are_named_and_send_no_header_before_dtls() {
    let scratch = Scratch::new();
    let listen = |rest: &str| {
        let text = format!(
            "realm = \"r\"\nlisten = [{{ address = \"203.0.113.7:3478\", {rest} }}]\n[auth]\nusers.a.password = \"b\"\n"
        );
        configure(&["--config", &scratch.write("turnd.toml", &text)], &[])
    };
    let good =
        listen("proxy_protocol = { trusted = [\"10.0.0.0/8\", \"2001:db8::1/128\"] }").unwrap();
    assert_eq!(good.listen[0].proxy_protocol.trusted.len(), 2);
    refused(
        listen("proxy_protocol = { trusted = [] }"),
        &["proxy_protocol.trusted", "no proxy is named"],
    );
    refused(
        listen("proxy_protocol = { trusted = [\"0.0.0.0/0\"] }"),
        &["listen[0].proxy_protocol.trusted", "a prefix of length 0"],
    );
    let dtls = "transports = [\"udp\", \"dtls\"], proxy_protocol = { trusted = [\"10.0.0.0/8\"] }";
    refused(listen(dtls), &["listen[0].proxy_protocol", "DTLS"]);
}

#[test]
fn own_endpoints_are_all_listeners_and_the_admin() {
    let endpoints = with(&["--listen", "203.0.113.7:3478"]).unwrap().own_endpoints();
    assert_eq!(endpoints, ["203.0.113.7:3478".parse().unwrap(), ADMIN.parse().unwrap()]);
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
    assert_eq!((default.address_wait, default.freebind), (None, false));
    let waiting = with(&["--set", "net.address_wait=30s"]).unwrap();
    assert_eq!(waiting.net.address_wait, Some(Duration::from_secs(30)));
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
        &["net.address_wait", "without a wait"],
    );
    let named: Vec<_> = waiting.addresses().into_iter().map(|named| named.key).collect();
    assert!(
        named.contains(&"listen[0].address".into())
            && named.contains(&"relay.addresses".into())
            && named.contains(&"admin.listen".into())
    );
}
