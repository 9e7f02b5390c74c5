//! `ice-agent nat` as a shell sees it, against a STUN server (RFC 5780) that treats its clients as a NAT in front of them would.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod discovery;

use std::net::SocketAddr;

use discovery::{Depends, Nat, NatServer, Quirk};
use serde_json::Value;
use tokio::process::Command;

struct Outcome {
    status: i32,
    report: Value,
}

async fn nat(server: SocketAddr) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_ice-agent"))
        .args(["nat", "--json", "--timeout", "0.6", "--server", &server.to_string()])
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let report = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    Outcome { status: output.status.code().unwrap(), report }
}

#[tokio::test(flavor = "multi_thread")]
async fn rfc5780_4_3_and_4_4_every_behaviour_is_recognised() {
    use Depends::{Address, AddressAndPort, Nothing};
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
        let server = NatServer::start(nat, Quirk::None).await;
        let Outcome { status, report } = nat_of(&server).await;
        assert_eq!((status, report["classic"].as_str()), (0, Some(classic)), "{nat:?}: {report:#}");
        assert_eq!(report["nat"], nat.mapping.is_some(), "{report:#}");
        assert_eq!(report["mapping"], nat.mapping.unwrap_or(Nothing).name(), "{report:#}");
        assert_eq!(report["filtering"], nat.filtering.name(), "{report:#}");
        assert_eq!(report["port_preserved"], nat.mapping.is_none(), "{report:#}");
        assert_eq!(report["other_address"], server.other().to_string());
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
    assert_eq!((&report["nat"], &report["classic"]), (&Value::Bool(true), &Value::from("unknown")), "{report:#}");
    assert_eq!((&report["mapping"], &report["filtering"]), (&Value::from("unknown"), &Value::from("unknown")));
    assert!(report["notes"][0].as_str().unwrap().contains("OTHER-ADDRESS"), "{report:#}");
}

#[tokio::test]
async fn silence_of_a_server_that_cannot_answer_from_elsewhere_is_no_filter() {
    let behind = Nat { mapping: Some(Depends::Nothing), filtering: Depends::Nothing };
    for quirk in [Quirk::OtherAddressDead, Quirk::ChangeRequestIgnored, Quirk::ChangeRequestRefused] {
        let server = NatServer::start(behind, quirk).await;
        let Outcome { status, report } = nat_of(&server).await;
        assert_eq!((status, &report["filtering"]), (0, &Value::from("unknown")), "{quirk:?}: {report:#}");
        assert_eq!(report["classic"], "unknown");
        assert!(report["notes"].as_array().is_some_and(|notes| !notes.is_empty()), "{quirk:?}: {report:#}");
    }
}

#[tokio::test]
async fn udp_blocked_tcp_works() {
    let server = NatServer::start(Nat { mapping: None, filtering: Depends::Nothing }, Quirk::TcpOnly).await;
    let Outcome { status, report } = nat_of(&server).await;
    assert_eq!((status, &report["classic"], &report["tcp"]), (1, &Value::from("udp-blocked"), &Value::Bool(true)), "{report:#}");
    assert_eq!(report["mapped"], Value::Null);
}

#[tokio::test]
async fn nobody_there_at_all() {
    let server = NatServer::start(Nat { mapping: None, filtering: Depends::Nothing }, Quirk::Silent).await;
    let Outcome { status, report } = nat_of(&server).await;
    assert_eq!((status, &report["tcp"]), (1, &Value::Bool(false)), "{report:#}");
}

#[tokio::test]
async fn what_cannot_run_exits_with_2_and_says_why() {
    for (arguments, said) in [
        (&["nat"][..], "--server"),
        (&["nat", "--server", "turn:127.0.0.1"], "name a STUN server"),
        (&["nat", "--server", "127.0.0.1", "--timeout", "0"], "seconds"),
        (&["nat", "--server", "no-such-host.invalid"], "no-such-host.invalid"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_ice-agent")).args(arguments).output().await.unwrap();
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
    for part in ["full cone", "endpoint-independent", "port preserved", &server.primary().to_string(), &server.other().to_string()] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
}
