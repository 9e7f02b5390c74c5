//! Resolves URIs to addresses with a name server on loopback: RFC 5928 §3, RFC 7350 §4.6.2, RFC
//! 8489 §8.1.

use std::time::{Duration, Instant};

use crate::name_server::{NameServer, Quirk};
use causeway_wire::Transport;
use hickory_resolver::proto::rr::RecordType;
use ice_agent::discovery::{Choice, Discovered, DiscoveryError, Dns, Families, discover};

/// RFC 5928 §4.1, figure 1; RFC 5928 §4.2, figure 2; RFC 7350's appendix, figure 1, under another
/// name.
const FIGURES: &str = r#"
example.net.
    NAPTR 100 10 "" RELAY:turn.udp "" datagram.example.net.
    NAPTR 200 10 "" RELAY:turn.tcp:turn.tls "" stream.example.net.
datagram.example.net.
    NAPTR 100 10 S RELAY:turn.udp "" _turn._udp.example.net.
stream.example.net.
    NAPTR 100 10 S RELAY:turn.tcp "" _turn._tcp.example.net.
    NAPTR 200 10 A RELAY:turn.tls "" a.example.net.
_turn._udp.example.net.
    SRV 0 0 3478 a.example.net.
_turn._tcp.example.net.
    SRV 0 0 5000 a.example.net.
a.example.net.
    A 192.0.2.1
example.com.
    NAPTR 100 10 "" RELAY:turn.udp:turn.tcp:turn.tls "" example.net.
dtls.example.
    NAPTR 100 10 "" RELAY:turn.udp:turn.dtls "" datagram.dtls.example.
    NAPTR 200 10 "" RELAY:turn.tcp:turn.tls "" stream.dtls.example.
datagram.dtls.example.
    NAPTR 100 10 S RELAY:turn.udp "" _turn._udp.dtls.example.
    NAPTR 200 10 S RELAY:turn.dtls "" _turns._udp.dtls.example.
stream.dtls.example.
    NAPTR 100 10 S RELAY:turn.tcp "" _turn._tcp.dtls.example.
    NAPTR 200 10 A RELAY:turn.tls "" a.dtls.example.
_turn._udp.dtls.example.
    SRV 0 0 3478 a.dtls.example.
_turns._udp.dtls.example.
    SRV 0 0 5349 a.dtls.example.
a.dtls.example.
    A 192.0.2.1
"#;

async fn resolve(
    server: &NameServer,
    uri: &str,
    choice: &Choice,
) -> Result<Discovered, DiscoveryError> {
    discover(&uri.parse().unwrap(), choice, &Dns::at(server.address)).await
}

/// The attempts in order, as in `udp 192.0.2.1:3478`.
fn attempts(discovered: &Discovered) -> Vec<String> {
    discovered.attempts().map(|(transport, address)| format!("{transport} {address}")).collect()
}

async fn attempts_at(server: &NameServer, uri: &str) -> Vec<String> {
    attempts(
        &resolve(server, uri, &Choice::default())
            .await
            .unwrap_or_else(|error| panic!("{uri}: {error}")),
    )
}

#[tokio::test]
async fn rfc5928_3_1_an_address_needs_no_dns() {
    let server = NameServer::start("", &[]).await;
    for (uri, expected) in [
        ("turn:192.0.2.1", &["udp 192.0.2.1:3478", "tcp 192.0.2.1:3478"][..]),
        ("turn:192.0.2.1:80?transport=tcp", &["tcp 192.0.2.1:80"]),
        ("turns:192.0.2.1", &["tls 192.0.2.1:5349"]),
        ("turn:[2001:db8::1]?transport=udp", &["udp [2001:db8::1]:3478"]),
        ("stun:192.0.2.1", &["udp 192.0.2.1:3478"]),
    ] {
        assert_eq!(attempts_at(&server, uri).await, expected, "{uri}");
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn rfc8489_8_1_a_stuns_uri_with_an_address_is_rejected() {
    let server = NameServer::start("", &[]).await;
    // RFC 7350 §4.6.1 has the same for TURN over DTLS.
    for uri in ["stuns:192.0.2.1", "turns:192.0.2.1?transport=udp"] {
        let error = resolve(&server, uri, &Choice::default()).await.unwrap_err();
        assert!(matches!(error, DiscoveryError::Nameless(_)), "{uri}: {error}");
        let named = Choice { names_server: true, ..Choice::default() };
        assert_eq!(resolve(&server, uri, &named).await.unwrap().endpoints.len(), 1);
    }
}

#[tokio::test]
async fn rfc5928_3_2_a_port_leaves_only_addresses_to_be_asked_for() {
    let server = NameServer::start("example.org.\n    A 192.0.2.1\n    A 192.0.2.2\n", &[]).await;
    assert_eq!(
        attempts_at(&server, "turn:example.org:80").await,
        ["udp 192.0.2.1:80", "udp 192.0.2.2:80", "tcp 192.0.2.1:80", "tcp 192.0.2.2:80"]
    );
    assert!(
        server
            .asked()
            .iter()
            .all(|asked| asked == "A example.org." || asked == "AAAA example.org."),
        "{:?}",
        server.asked()
    );
}

#[tokio::test]
async fn rfc5928_3_3_a_transport_leads_to_srv() {
    let zone = r"
_turn._tcp.example.org.
    SRV 20 0 5003 c.example.org.
    SRV 10 0 5002 b.example.org.
_turns._tcp.example.org.
    SRV 0 0 443 b.example.org.
_turns._udp.example.org.
    SRV 0 0 444 c.example.org.
b.example.org.
    A 192.0.2.2
c.example.org.
    A 192.0.2.3
example.org.
    A 192.0.2.9
";
    let server = NameServer::start(zone, &[]).await;
    assert_eq!(
        attempts_at(&server, "turn:example.org?transport=tcp").await,
        ["tcp 192.0.2.2:5002", "tcp 192.0.2.3:5003"]
    );
    assert_eq!(
        attempts_at(&server, "turns:example.org?transport=tcp").await,
        ["tls 192.0.2.2:443"]
    );
    assert_eq!(
        attempts_at(&server, "turns:example.org?transport=udp").await,
        ["dtls 192.0.2.3:444"]
    );
    // No SRV record: the name's own address, at the default port.
    assert_eq!(
        attempts_at(&server, "turn:example.org?transport=udp").await,
        ["udp 192.0.2.9:3478"]
    );
    assert!(!server.asked().iter().any(|asked| asked.starts_with("NAPTR")));
}

#[tokio::test]
async fn rfc5928_4_1_the_example() {
    let server = NameServer::start(FIGURES, &[]).await;
    let table = ["udp 192.0.2.1:3478", "tls 192.0.2.1:5349", "tcp 192.0.2.1:5000"];
    assert_eq!(attempts_at(&server, "turn:example.net").await, table);
    let shown = resolve(&server, "turn:example.net", &Choice::default()).await.unwrap().to_string();
    let first = "udp via NAPTR example.net → datagram.example.net → SRV _turn._udp.example.net → \
        a.example.net → 192.0.2.1:3478; ";
    assert!(shown.starts_with(first), "{shown}");
}

#[tokio::test]
async fn rfc5928_4_2_a_provider_hosts_for_another_domain() {
    let server = NameServer::start(FIGURES, &[]).await;
    // All protocols have one rank here, so that preference decides: TLS before TCP.
    let found = attempts_at(&server, "turn:example.com").await;
    assert_eq!(found, ["udp 192.0.2.1:3478", "tls 192.0.2.1:5349", "tcp 192.0.2.1:5000"]);
}

#[tokio::test]
async fn rfc7350_a_the_example_with_dtls() {
    let server = NameServer::start(FIGURES, &[]).await;
    assert_eq!(
        attempts_at(&server, "turns:dtls.example").await,
        ["dtls 192.0.2.1:5349", "tls 192.0.2.1:5349"]
    );
}

#[tokio::test]
async fn rfc5928_3_5_without_naptr_srv_for_every_transport() {
    let zone = r"
_turn._udp.example.org.
    SRV 0 0 3479 t.example.org.
_turns._tcp.example.org.
    SRV 0 0 443 t.example.org.
t.example.org.
    A 192.0.2.1
example.org.
    A 192.0.2.9
";
    let server = NameServer::start(zone, &[]).await;
    assert_eq!(
        attempts_at(&server, "turn:example.org").await,
        ["udp 192.0.2.1:3479", "tcp 192.0.2.9:3478"]
    );
    assert_eq!(
        attempts_at(&server, "turns:example.org").await,
        ["tls 192.0.2.1:443", "dtls 192.0.2.9:5349"]
    );
}

#[tokio::test]
async fn rfc5928_3_5_naptr_and_srv_that_fail_lead_to_addresses() {
    let zone = "example.org.\n    A 192.0.2.1\n";
    let quirks = [(RecordType::NAPTR, Quirk::Fails), (RecordType::SRV, Quirk::Fails)];
    let server = NameServer::start(zone, &quirks).await;
    let found = resolve(&server, "turn:example.org", &Choice::default()).await.unwrap();
    assert_eq!(attempts(&found), ["udp 192.0.2.1:3478", "tcp 192.0.2.1:3478"]);
    assert!(found.notes.iter().any(|note| note.contains("NAPTR")), "{:?}", found.notes);
}

#[tokio::test]
async fn silence_for_one_type_does_not_end_the_search() {
    let server =
        NameServer::start("example.org.\n    A 192.0.2.1\n", &[(RecordType::NAPTR, Quirk::Silent)])
            .await;
    let start = Instant::now();
    assert_eq!(attempts_at(&server, "turn:example.org").await.len(), 2);
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

#[tokio::test]
async fn naptr_records_of_other_applications_are_passed_over() {
    let zone = r#"
example.org.
    NAPTR 10 10 S SIP+D2U "" _sip._udp.example.org.
    NAPTR 20 10 U RELAY:turn.udp "!.*!x!" .
    A 192.0.2.1
"#;
    let server = NameServer::start(zone, &[]).await;
    assert_eq!(
        attempts_at(&server, "turn:example.org").await,
        ["udp 192.0.2.1:3478", "tcp 192.0.2.1:3478"]
    );
}

#[tokio::test]
async fn rfc5928_3_4_records_for_other_transports_end_the_resolution() {
    let zone = "example.org.\n    NAPTR 10 10 A RELAY:turn.udp \"\" t.example.org.\n    A \
        192.0.2.1\nt.example.org.\n    A 192.0.2.2\n";
    let server = NameServer::start(zone, &[]).await;
    assert_eq!(attempts_at(&server, "turn:example.org").await, ["udp 192.0.2.2:3478"]);
    let error = resolve(&server, "turns:example.org", &Choice::default()).await.unwrap_err();
    assert!(matches!(error, DiscoveryError::OtherTransports(_)), "{error}");
}

#[tokio::test]
async fn records_that_lead_in_circles_or_nowhere_end() {
    let zone = r#"
example.org.
    NAPTR 10 10 "" RELAY:turn.udp "" loop.example.org.
    NAPTR 20 10 "" RELAY:turn.udp "" gone.example.org.
    NAPTR 30 10 A RELAY:turn.udp "" t.example.org.
loop.example.org.
    NAPTR 10 10 "" RELAY:turn.udp "" example.org.
    NAPTR 20 10 "" RELAY:turn.udp "" loop.example.org.
t.example.org.
    A 192.0.2.1
"#;
    let server = NameServer::start(zone, &[]).await;
    assert_eq!(attempts_at(&server, "turn:example.org").await, ["udp 192.0.2.1:3478"]);
    assert!(server.asked().len() < 10, "{:?}", server.asked());
}

#[tokio::test]
async fn a_name_with_too_many_servers_is_used_in_part() {
    let mut zone = String::from("_turn._udp.example.org.\n");
    for port in 1..=30 {
        zone.push_str(&format!("    SRV 1 1 {port} t.example.org.\n"));
    }
    zone.push_str("t.example.org.\n");
    for last in 1..=30 {
        zone.push_str(&format!("    A 192.0.2.{last}\n"));
    }
    let server = NameServer::start(&zone, &[]).await;
    let found =
        resolve(&server, "turn:example.org?transport=udp", &Choice::default()).await.unwrap();
    assert_eq!(found.endpoints.len(), 16);
    assert!(found.endpoints.iter().all(|endpoint| endpoint.addresses.len() == 16));
}

#[tokio::test]
async fn rfc2782_a_root_target_says_that_there_is_no_such_service() {
    let zone = "_turn._udp.example.org.\n    SRV 0 0 0 .\nexample.org.\n    A 192.0.2.1\n";
    let server = NameServer::start(zone, &[]).await;
    let error =
        resolve(&server, "turn:example.org?transport=udp", &Choice::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "_turn._udp.example.org offers no such service");
    assert_eq!(attempts_at(&server, "turn:example.org").await, ["tcp 192.0.2.1:3478"]);
}

#[tokio::test]
async fn rfc8489_8_1_stun_by_srv_and_both_families() {
    let zone = r"
_stun._udp.example.org.
    SRV 0 0 3479 s.example.org.
_stun._tcp.example.org.
    SRV 0 0 3480 s.example.org.
_stuns._tcp.example.org.
    SRV 0 0 443 s.example.org.
s.example.org.
    A 127.0.0.1
    A 127.0.0.2
    AAAA ::1
plain.example.
    A 127.0.0.1
    AAAA ::1
";
    let server = NameServer::start(zone, &[]).await;
    let found = attempts_at(&server, "stun:example.org").await;
    assert_eq!(found.len(), 3);
    // The families alternate, whether loopback has IPv6 here or not.
    assert_ne!(found[0].contains('['), found[1].contains('['), "{found:?}");
    for (transport, expected) in
        [(Transport::Tcp, "tcp 127.0.0.1:3480"), (Transport::Udp, "udp 127.0.0.1:3479")]
    {
        let choice =
            Choice { transport: Some(transport), families: Families::V4, ..Choice::default() };
        assert_eq!(
            attempts(&resolve(&server, "stun:example.org", &choice).await.unwrap())[0],
            expected
        );
    }
    let v6 = Choice { families: Families::V6, ..Choice::default() };
    assert_eq!(
        attempts(&resolve(&server, "stuns:example.org", &v6).await.unwrap()),
        ["tls [::1]:443"]
    );
    assert_eq!(
        attempts(&resolve(&server, "stun:plain.example", &v6).await.unwrap()),
        ["udp [::1]:3478"]
    );
}

#[tokio::test]
async fn rfc5780_5_1_a_server_for_nat_behaviour_is_preferred_where_it_is_wanted() {
    let zone = r"
_stun-behavior._udp.both.example.
    SRV 0 0 3479 s.example.
_stun._udp.both.example.
    SRV 0 0 3478 s.example.
_stun._udp.plain.example.
    SRV 0 0 3480 s.example.
s.example.
    A 192.0.2.1
";
    let server = NameServer::start(zone, &[]).await;
    let behaviour = Choice { nat_behaviour: true, ..Choice::default() };
    for (uri, choice, expected) in [
        ("stun:both.example", &behaviour, "udp 192.0.2.1:3479"),
        ("stun:plain.example", &behaviour, "udp 192.0.2.1:3480"),
        ("stun:both.example", &Choice::default(), "udp 192.0.2.1:3478"),
        ("stun:s.example", &behaviour, "udp 192.0.2.1:3478"),
    ] {
        assert_eq!(attempts(&resolve(&server, uri, choice).await.unwrap()), [expected], "{uri}");
    }
}

#[tokio::test]
async fn what_cannot_be_is_said() {
    let server = NameServer::start("v4.example.\n    A 192.0.2.1\n", &[]).await;
    for (uri, choice, said) in [
        (
            "turn:v4.example",
            Choice { transport: Some(Transport::Tls), ..Choice::default() },
            "turn:v4.example cannot be used over tls",
        ),
        (
            "turns:v4.example?transport=tcp",
            Choice { transport: Some(Transport::Dtls), ..Choice::default() },
            "cannot be used over dtls",
        ),
        (
            "turn:v4.example",
            Choice { families: Families::V6, ..Choice::default() },
            "v4.example has no address",
        ),
        (
            "turn:192.0.2.1",
            Choice { families: Families::V6, ..Choice::default() },
            "192.0.2.1 has no address",
        ),
        ("turn:gone.example", Choice::default(), "gone.example has no address"),
    ] {
        let error = resolve(&server, uri, &choice).await.unwrap_err().to_string();
        assert!(error.contains(said), "{uri}: {error}");
    }
}

#[tokio::test]
async fn a_name_server_that_is_not_there_is_named() {
    let closed = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let dns = Dns::at(closed.local_addr().unwrap());
    drop(closed);
    let error =
        discover(&"stun:example.org".parse().unwrap(), &Choice::default(), &dns).await.unwrap_err();
    assert!(matches!(error, DiscoveryError::Dns(_)), "{error}");
}

#[tokio::test]
async fn rfc8305_3_the_families_are_not_waited_for_together() {
    const ZONE: &str = "both.example.\n    A 192.0.2.1\n    AAAA 2001:db8::1\n";
    for (quirks, late, addresses) in [
        (&[][..], None, 2),
        (&[(RecordType::AAAA, Quirk::Late)], Some(Families::V6), 1),
        (&[(RecordType::A, Quirk::Late)], Some(Families::V4), 1),
        (&[(RecordType::AAAA, Quirk::Silent)], Some(Families::V6), 1),
        // An error is an answer.
        (&[(RecordType::AAAA, Quirk::Fails)], None, 1),
    ] {
        let server = NameServer::start(ZONE, quirks).await;
        let found = resolve(&server, "stun:both.example:3478", &Choice::default()).await.unwrap();
        assert_eq!((found.late, attempts(&found).len()), (late, addresses), "{quirks:?}: {found}");
        if let Some(late) = late.filter(|_| quirks[0].1 == Quirk::Late) {
            let late = resolve(&server, "stun:both.example:3478", &Choice::default().only(late))
                .await
                .unwrap();
            assert_eq!((late.late, attempts(&late).len()), (None, 1), "{quirks:?}: {late}");
        }
    }
    // If only the late family has addresses, the resolver waits for it.
    let server = NameServer::start(
        "six.example.\n    AAAA 2001:db8::1\n",
        &[(RecordType::AAAA, Quirk::Late)],
    )
    .await;
    assert_eq!(attempts_at(&server, "stun:six.example:3478").await, ["udp [2001:db8::1]:3478"]);
    // A family that the caller does not want is not queried.
    let server = NameServer::start(ZONE, &[]).await;
    resolve(&server, "stun:both.example:3478", &Choice::default().only(Families::V4))
        .await
        .unwrap();
    assert_eq!(server.asked(), ["A both.example."]);
}

#[tokio::test]
async fn h56_no_record_is_passed_over_silently() {
    const TO_ADDRESS: &str = "A RELAY:turn.udp \"\" t.example.";
    const ADDRESS: &str = "t.example.\n    A 192.0.2.1\n";
    let many = |record: &str, number: u8| {
        (1..=number)
            .map(|n| format!("    {}\n", record.replace("{n}", &n.to_string())))
            .collect::<String>()
    };
    let naptr = |record: &str| {
        format!("example.org.\n    NAPTR {record}\n    NAPTR 9 1 {TO_ADDRESS}\n{ADDRESS}")
    };
    let srv = |first: &str, second: &str| {
        format!("_turn._udp.example.org.\n    SRV {first}\n    SRV {second}\n{ADDRESS}")
    };
    let zones = [
        (
            "example.org.\n    NAPTR 20 10 U RELAY:turn.udp \"!.*!x!\" .\n    A 192.0.2.1\n".into(),
            "has a regular expression",
        ),
        (naptr("1 1 A RELAY:turn.udp:turn.upd \"\" t.example."), "unknown protocol \"turn.upd\""),
        (naptr("1 1 X RELAY:turn.udp \"\" t.example."), "unknown flag \"X\""),
        (naptr("1 1 \"\" RELAY:turn.udp \"\" gone.example."), "no record for turn.udp"),
        (naptr("1 1 \"\" RELAY:turn.udp \"\" example.org."), "was queried before"),
        (srv("0 0 0 t.example.", "1 0 9 t.example."), "port 0"),
        (srv("0 0 9 .", "1 0 9 t.example."), "→ ., port 9"),
        (
            "_turn._udp.example.org.\n    SRV 0 0 0 .\nexample.org.\n    A 192.0.2.1\n".into(),
            "the service does not exist",
        ),
        (
            format!("example.org.\n{}", many("A 192.0.2.{n}", 20)),
            "has 20 addresses; only the first 16 are used",
        ),
        (
            format!("example.org.\n{}", many("A 192.0.2.{n}", 40)),
            "has 40 records of type A; only the first 32 are used",
        ),
        (
            format!("_turn._udp.example.org.\n{}{ADDRESS}", many("SRV 1 1 {n} t.example.", 20)),
            "DNS names more than 16 servers",
        ),
    ];
    for (zone, told) in zones {
        let server = NameServer::start(&zone, &[]).await;
        let found = resolve(&server, "turn:example.org", &Choice::default()).await.unwrap();
        assert!(found.notes.iter().any(|note| note.contains(told)), "{told}: {:?}", found.notes);
    }
    let server =
        NameServer::start("example.org.\n    A 192.0.2.1\n", &[(RecordType::AAAA, Quirk::Fails)])
            .await;
    let found = resolve(&server, "turn:example.org:9", &Choice::default()).await.unwrap();
    assert!(
        found.notes.iter().any(|note| note.contains("AAAA of example.org")),
        "{:?}",
        found.notes
    );
    let server = NameServer::start(FIGURES, &[]).await;
    let found = resolve(&server, "turn:example.net", &Choice::default()).await.unwrap();
    assert!(found.notes.is_empty(), "no notes if all records are used: {:?}", found.notes);
}
