//! `ice-agent nat` as a process, against a STUN server (RFC 5780) that answers its clients as if
//! they were behind a NAT.

use std::net::SocketAddr;

use crate::discovery::{self, Depends, Nat, NatServer, Quirk};
use crate::name_server::{self, NameServer};
use hickory_resolver::proto::rr::RecordType;
use serde_json::Value;
use tokio::process::Command;

struct Outcome {
    status: i32,
    report: Value,
}

async fn nat(server: SocketAddr) -> Outcome {
    nat_by(&["--server", &server.to_string()]).await
}

async fn nat_by(arguments: &[&str]) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_ice-agent"))
        .args(["nat", "--json", "--timeout", "0.6"])
        .args(arguments)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let report = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    Outcome { status: output.status.code().unwrap(), report }
}

#[tokio::test(flavor = "multi_thread")]
async fn rfc5780_4_3_and_4_4_every_behaviour_is_recognised() {
    use Depends::{Address, AddressAndPort, Nothing};
    // All at once, since finding a filter takes seconds.
    let mut measured = Vec::new();
    for (nat, classic) in [
        (Nat { mapping: None, filtering: Nothing }, "open-internet"),
        (Nat { mapping: None, filtering: Address }, "symmetric-udp-firewall"),
        (Nat { mapping: None, filtering: AddressAndPort }, "symmetric-udp-firewall"),
        (Nat { mapping: Some(Nothing), filtering: Nothing }, "full-cone"),
        (Nat { mapping: Some(Nothing), filtering: Address }, "address-restricted-cone"),
        (Nat { mapping: Some(Nothing), filtering: AddressAndPort }, "port-restricted-cone"),
        (Nat { mapping: Some(Address), filtering: Address }, "symmetric"),
        (Nat { mapping: Some(Address), filtering: AddressAndPort }, "symmetric"),
        (Nat { mapping: Some(AddressAndPort), filtering: Nothing }, "symmetric"),
        (Nat { mapping: Some(AddressAndPort), filtering: AddressAndPort }, "symmetric"),
    ] {
        measured.push(tokio::spawn(async move {
            let server = NatServer::start(nat, Quirk::None).await;
            (nat, classic, nat_of(&server).await, server.other())
        }));
    }
    for measured in measured {
        let (nat, classic, Outcome { status, report }, other) = measured.await.unwrap();
        assert_eq!((status, report["classic"].as_str()), (0, Some(classic)), "{nat:?}: {report:#}");
        assert_eq!(report["nat"], nat.mapping.is_some(), "{report:#}");
        assert_eq!(report["mapping"], nat.mapping.unwrap_or(Nothing).name(), "{report:#}");
        assert_eq!(report["filtering"], nat.filtering.name(), "{report:#}");
        let (sockets, kept) = (&report["ports"]["sockets"], &report["ports"]["kept"]);
        assert_eq!(
            *kept,
            if nat.mapping.is_none() { sockets.clone() } else { Value::from(0) },
            "{report:#}"
        );
        assert_eq!(report["other_address"], other.to_string());
        assert_eq!(
            (&report["family"], &report["other_family"]),
            (&"ipv4".into(), &Value::Null),
            "{report:#}"
        );
    }
}

async fn nat_of(server: &NatServer) -> Outcome {
    nat(server.primary()).await
}

#[tokio::test]
async fn rfc5780_4_3_a_server_without_other_address_tells_of_the_nat_only() {
    let behind = Nat { mapping: Some(Depends::Nothing), filtering: Depends::Nothing };
    let server = NatServer::start(behind, Quirk::NoOtherAddress).await;
    let Outcome { status, report } = nat_of(&server).await;
    assert_eq!(status, 0);
    assert_eq!(
        (&report["nat"], &report["classic"]),
        (&Value::Bool(true), &Value::from("unknown")),
        "{report:#}"
    );
    assert_eq!(
        (&report["mapping"], &report["filtering"]),
        (&Value::from("unknown"), &Value::from("unknown"))
    );
    assert!(report["notes"][0].as_str().unwrap().contains("OTHER-ADDRESS"), "{report:#}");
}

/// The report of `ice-agent nat` when it is given these of the server's four addresses, which do
/// not name each other.
async fn by_plain_servers(mapping: Option<Depends>, which: &[usize]) -> Value {
    let server =
        NatServer::start(Nat { mapping, filtering: Depends::Nothing }, Quirk::NoOtherAddress).await;
    let servers: Vec<String> = which.iter().map(|at| server.addresses()[*at].to_string()).collect();
    let arguments: Vec<&str> = servers.iter().flat_map(|server| ["--server", server]).collect();
    let Outcome { status, report } = nat_by(&arguments).await;
    assert_eq!(status, 0, "{report:#}");
    report
}

#[tokio::test]
async fn rfc4787_4_1_servers_without_another_address_are_compared() {
    use Depends::{Address, AddressAndPort, Nothing};
    // The addresses are 0: A:p, 1: A:q, 2: B:p, 3: B:q. All at once, since it takes seconds to find
    // that hairpinning does not work.
    let mut measured = Vec::new();
    for (mapping, which, told, classic) in [
        (Nothing, &[0, 2][..], "endpoint-independent", "unknown"),
        (Address, &[0, 2], "endpoint-dependent", "symmetric"),
        (Address, &[0, 1, 2], "address-dependent", "symmetric"),
        (AddressAndPort, &[0, 1], "address-and-port-dependent", "symmetric"),
        (AddressAndPort, &[0, 3], "endpoint-dependent", "symmetric"),
        (Nothing, &[0, 1], "unknown", "unknown"),
        (AddressAndPort, &[0], "unknown", "unknown"),
    ] {
        measured.push(tokio::spawn(async move {
            (which, told, classic, by_plain_servers(Some(mapping), which).await)
        }));
    }
    for measured in measured {
        let (which, told, classic, report) = measured.await.unwrap();
        assert_eq!(
            (&report["mapping"], &report["classic"]),
            (&told.into(), &classic.into()),
            "{which:?} {report:#}"
        );
        assert_eq!(
            (&report["filtering"], &report["ports"]["kept"]),
            (&"unknown".into(), &0.into())
        );
        let notes = report["notes"].to_string();
        assert!(notes.contains("filtering behaviour is unknown"), "{notes}");
        assert_eq!(told == "unknown", notes.contains("give a second server"), "{notes}");
    }
    let report = by_plain_servers(None, &[0, 2]).await;
    assert_eq!(
        (&report["nat"], &report["mapping"], &report["hairpin"]),
        (&false.into(), &"endpoint-independent".into(), &Value::Null)
    );
}

#[tokio::test]
async fn a_server_with_another_address_is_taken_before_those_without() {
    let behind = Nat { mapping: Some(Depends::Address), filtering: Depends::Address };
    let plain = NatServer::start(behind, Quirk::NoOtherAddress).await;
    let full = NatServer::start(behind, Quirk::None).await;
    let Outcome { report, .. } = nat_by(&[
        "--server",
        &plain.primary().to_string(),
        "--server",
        &full.primary().to_string(),
    ])
    .await;
    assert_eq!(
        (&report["server"], &report["mapping"]),
        (&full.primary().to_string().into(), &"address-dependent".into()),
        "{report:#}"
    );
    assert_eq!(report["filtering"], "address-dependent");
}

#[tokio::test]
async fn rfc3489_11_2_3_an_old_server_tells_by_changed_address() {
    use Depends::{Address, AddressAndPort, Nothing};
    let mut measured = Vec::new();
    for (nat, classic) in [
        (Nat { mapping: None, filtering: Nothing }, "open-internet"),
        (Nat { mapping: Some(Nothing), filtering: AddressAndPort }, "port-restricted-cone"),
        (Nat { mapping: Some(Nothing), filtering: Address }, "address-restricted-cone"),
        (Nat { mapping: Some(AddressAndPort), filtering: AddressAndPort }, "symmetric"),
    ] {
        measured.push(tokio::spawn(async move {
            let server = NatServer::start(nat, Quirk::Rfc3489).await;
            (nat, classic, nat_of(&server).await, server.other())
        }));
    }
    for measured in measured {
        let (nat, classic, Outcome { status, report }, other) = measured.await.unwrap();
        assert_eq!((status, &report["classic"]), (0, &classic.into()), "{nat:?}: {report:#}");
        assert_eq!(report["other_address"], other.to_string());
    }
}

#[tokio::test]
async fn rfc5780_3_4_what_the_nat_does_not_turn_around_is_told() {
    // The mapped address in the answers does not exist, so nothing can come back from it.
    let server = NatServer::start(
        Nat { mapping: Some(Depends::Nothing), filtering: Depends::Nothing },
        Quirk::None,
    )
    .await;
    let Outcome { report, .. } = nat_of(&server).await;
    assert_eq!(report["hairpin"], false, "{report:#}");
    let server = NatServer::start(
        Nat { mapping: Some(Depends::Address), filtering: Depends::Nothing },
        Quirk::None,
    )
    .await;
    let Outcome { report, .. } = nat_of(&server).await;
    assert_eq!(report["hairpin"], Value::Null, "{report:#}");
    assert!(report["notes"].to_string().contains("hairpinning is unknown"), "{report:#}");
}

#[tokio::test]
async fn rfc5780_3_1_mapping_over_tcp() {
    use Depends::{Address, AddressAndPort, Nothing};
    for (mapping, told, classic) in [
        (None, "endpoint-independent", "unknown"),
        (Some(Nothing), "endpoint-independent", "unknown"),
        (Some(Address), "address-dependent", "symmetric"),
        (Some(AddressAndPort), "address-and-port-dependent", "symmetric"),
    ] {
        let server = NatServer::start(Nat { mapping, filtering: Nothing }, Quirk::None).await;
        let Outcome { status, report } =
            nat_by(&["--transport", "tcp", "--server", &server.primary().to_string()]).await;
        assert_eq!(
            (status, &report["mapping"], &report["classic"]),
            (0, &told.into(), &classic.into()),
            "{report:#}"
        );
        assert_eq!(
            (&report["nat"], &report["transport"]),
            (&mapping.is_some().into(), &"tcp".into()),
            "{report:#}"
        );
        let tests = report["tests"].as_array().unwrap();
        assert!(
            tests.len() == 3 && tests.iter().all(|test| test["local"] == tests[0]["local"]),
            "{report:#}"
        );
    }
    let server =
        NatServer::start(Nat { mapping: Some(Address), filtering: Nothing }, Quirk::NoOtherAddress)
            .await;
    let [first, _, second, _] = server.addresses().map(|address| address.to_string());
    let Outcome { report, .. } =
        nat_by(&["--transport", "tcp", "--server", &first, "--server", &second]).await;
    assert_eq!(report["mapping"], "endpoint-dependent", "{report:#}");
    let gone =
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let Outcome { status, report } = nat_by(&["--transport", "tcp", "--server", &gone]).await;
    assert!(
        status == 1 && report["tests"][0]["failure"].as_str().unwrap().contains("refused"),
        "{report:#}"
    );
}

#[tokio::test]
async fn both_families_are_measured_where_the_name_has_both() {
    let server =
        NatServer::start(Nat { mapping: None, filtering: Depends::Nothing }, Quirk::None).await;
    // The server does not listen on IPv6, so UDP looks blocked there.
    let dns = NameServer::start(
        "both.example.\n    A 127.0.0.1\n    AAAA ::1\nfour.example.\n    A 127.0.0.1\n",
        &[],
    )
    .await;
    let (name_server, port) = (dns.address.to_string(), server.primary().port());
    let Outcome { status, report } =
        nat_by(&["--nameserver", &name_server, "--server", &format!("both.example:{port}")]).await;
    assert_eq!(
        (status, &report["family"], &report["classic"]),
        (0, &"ipv4".into(), &"open-internet".into()),
        "{report:#}"
    );
    let other = &report["other_family"];
    assert_eq!(
        (&other["family"], &other["classic"]),
        (&"ipv6".into(), &"udp-blocked".into()),
        "{report:#}"
    );

    let Outcome { report, .. } =
        nat_by(&["--nameserver", &name_server, "--server", &format!("four.example:{port}")]).await;
    assert_eq!(report["other_family"], Value::Null);
    assert_eq!(
        report["left_out"],
        serde_json::json!(["IPv6: no server has an address of this family."])
    );
    let Outcome { report, .. } =
        nat_by(&["-4", "--nameserver", &name_server, "--server", &format!("both.example:{port}")])
            .await;
    assert_eq!(
        (&report["other_family"], &report["left_out"]),
        (&Value::Null, &serde_json::json!([])),
        "{report:#}"
    );
}

#[tokio::test]
async fn rfc8305_3_a_family_that_dns_is_silent_about_is_left_out_and_a_late_one_is_not() {
    let server =
        NatServer::start(Nat { mapping: None, filtering: Depends::Nothing }, Quirk::None).await;
    let zone = "both.example.\n    A 127.0.0.1\n    AAAA ::1\n";
    let uri = format!("both.example:{}", server.primary().port());
    let silent = NameServer::start(zone, &[(RecordType::AAAA, name_server::Quirk::Silent)]).await;
    let Outcome { status, report } =
        nat_by(&["--nameserver", &silent.address.to_string(), "--server", &uri]).await;
    assert_eq!(
        (status, &report["classic"], &report["other_family"]),
        (0, &"open-internet".into(), &Value::Null),
        "{report:#}"
    );
    assert!(
        report["left_out"][0]
            .as_str()
            .is_some_and(|note| note.contains("IPv6") && note.contains("AAAA")),
        "{report:#}"
    );

    // There is no server at the address that DNS answers first.
    let socket = tokio::net::UdpSocket::bind("[::1]:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let serving = tokio::spawn(discovery::serve_plainly(socket));
    let late = NameServer::start(zone, &[(RecordType::AAAA, name_server::Quirk::Late)]).await;
    let uri = format!("stun:both.example:{port}");
    let output = Command::new(env!("CARGO_BIN_EXE_ice-agent"))
        .args([
            "check",
            "--json",
            "--timeout",
            "1",
            "--nameserver",
            &late.address.to_string(),
            &uri,
        ])
        .output()
        .await
        .unwrap();
    serving.abort();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["ok"] == true && report["server"] == format!("[::1]:{port}"), "{report:#}");
    assert!(report["notes"].to_string().contains("DNS answered late"), "{report:#}");
}

#[tokio::test]
async fn ipv6_has_no_classic_names_for_people() {
    let socket = tokio::net::UdpSocket::bind("[::1]:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    let serving = tokio::spawn(discovery::serve_plainly(socket));
    let output = Command::new(env!("CARGO_BIN_EXE_ice-agent"))
        .args(["nat", "--timeout", "0.6", "--server", &server.to_string()])
        .output()
        .await
        .unwrap();
    serving.abort();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("IPv6") && text.contains("no NAT; whether there is a firewall is unknown"),
        "{text}"
    );
}

#[tokio::test]
async fn silence_of_a_server_that_cannot_answer_from_elsewhere_is_no_filter() {
    let behind = Nat { mapping: Some(Depends::Nothing), filtering: Depends::Nothing };
    let of = async |quirk| {
        let server = NatServer::start(behind, quirk).await;
        (quirk, nat_of(&server).await)
    };
    let (dead, ignored, refused) = tokio::join!(
        of(Quirk::OtherAddressDead),
        of(Quirk::ChangeRequestIgnored),
        of(Quirk::ChangeRequestRefused)
    );
    for (quirk, Outcome { status, report }) in [dead, ignored, refused] {
        assert_eq!(
            (status, &report["filtering"]),
            (0, &Value::from("unknown")),
            "{quirk:?}: {report:#}"
        );
        assert_eq!(report["classic"], "unknown");
        assert!(
            report["notes"].as_array().is_some_and(|notes| !notes.is_empty()),
            "{quirk:?}: {report:#}"
        );
    }
}

#[tokio::test]
async fn udp_blocked_tcp_works() {
    let server =
        NatServer::start(Nat { mapping: None, filtering: Depends::Nothing }, Quirk::TcpOnly).await;
    let Outcome { status, report } = nat_of(&server).await;
    assert_eq!(
        (status, &report["classic"], &report["tcp"]),
        (1, &Value::from("udp-blocked"), &Value::Bool(true)),
        "{report:#}"
    );
    assert_eq!(report["mapped"], Value::Null);
}

#[tokio::test]
async fn no_server_at_all() {
    let server =
        NatServer::start(Nat { mapping: None, filtering: Depends::Nothing }, Quirk::Silent).await;
    let Outcome { status, report } = nat_of(&server).await;
    assert_eq!((status, &report["tcp"]), (1, &Value::Bool(false)), "{report:#}");
}

#[tokio::test]
async fn a_program_that_cannot_run_exits_with_2_and_says_why() {
    for (arguments, said) in [
        (&["nat"][..], "--server"),
        (&["nat", "--server", "turn:127.0.0.1"], "give a STUN server"),
        (&["nat", "--server", "127.0.0.1", "--timeout", "0"], "seconds"),
        (&["nat", "--server", "no-such-host.invalid"], "no-such-host.invalid"),
        (&["nat", "--server", "stuns:127.0.0.1"], "over UDP"),
        (&["nat", "--server", "127.0.0.1", "--transport", "tls"], "over UDP or TCP"),
        (&["nat", "--server", "127.0.0.1", "-6"], "has no address"),
        (&["nat", "--server", "127.0.0.1", "-6", "-4"], "cannot be used with"),
    ] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_ice-agent")).args(arguments).output().await.unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
}

#[tokio::test]
async fn the_table_for_people_names_the_nat() {
    let behind = Nat { mapping: Some(Depends::Nothing), filtering: Depends::Nothing };
    let server = NatServer::start(behind, Quirk::None).await;
    let output = Command::new(env!("CARGO_BIN_EXE_ice-agent"))
        .args(["nat", "--server", &format!("stun:{}", server.primary())])
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "full cone",
        "endpoint-independent",
        "own port",
        &server.primary().to_string(),
        &server.other().to_string(),
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
}
