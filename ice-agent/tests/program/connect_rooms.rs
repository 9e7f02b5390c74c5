//! How two `ice-agent connect` processes find each other: secret rooms, restarted agents, and a
//! rendezvous that fails or is behind TLS.

use std::process::{Output, Stdio};

use crate::connect_support::{SHORT, Side, turn};
use crate::small_turn::authority::Authority;
use crate::small_turn::{Fault, PASSWORD, SmallTurn, USER};
use crate::support::Rendezvous;
use crate::tunnel::{ProxyBehaviour, Tunnel};
use causeway_wire::{ErrorCode, Method};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

/// Asserts that both agents have connected.
#[track_caller]
fn are_connected(outputs: [Output; 2]) {
    for output in outputs {
        let side = Side::read(&output);
        let told = (side.status, &side.report["outcome"]);
        assert_eq!(told, (0, &"connected".into()), "{:#}", side.report);
    }
}

/// Starts the first agent of a secret room, and returns it with the link that it printed.
async fn first_of_secret_room(
    rendezvous: &str,
    arguments: &[&str],
) -> (Child, String, Lines<BufReader<ChildStderr>>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ice-agent"));
    command
        .args(["connect", "--json", "--bind", "127.0.0.1", "--rendezvous", rendezvous])
        .args(SHORT)
        .args(arguments);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let link = loop {
        let line = lines.next_line().await.unwrap().expect("a link");
        if let Some(link) = line.split('\'').nth(1) {
            break link.to_owned();
        }
    };
    (child, link, lines)
}

/// The second agent, which uses the link.
fn second_of_secret_room(link: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ice-agent"));
    command
        .args(["connect", "--json", "--bind", "127.0.0.1", "--rendezvous", link])
        .args(SHORT)
        .args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn wait_for_line(lines: &mut Lines<BufReader<ChildStderr>>, part: &str) {
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains(part) {
            return;
        }
    }
    panic!("{part:?} was not printed");
}

#[tokio::test]
async fn the_link_that_one_agent_prints_brings_the_other() {
    let rendezvous = Rendezvous::start(&[]).await;
    let (first, link, _lines) = first_of_secret_room(&rendezvous.base.to_string(), &[]).await;
    let second = second_of_secret_room(&link, &[]).output().await.unwrap();
    let first = first.wait_with_output().await.unwrap();
    let secret = link.split('#').nth(1).unwrap();
    for output in [&first, &second] {
        let side = Side::read(output);
        assert_eq!((side.status, &side.report["path"]), (0, &"direct".into()), "{:#}", side.report);
        assert!(
            !String::from_utf8_lossy(&output.stdout).contains(secret),
            "the report can be shared"
        );
    }
    let other = format!("{}/#{}", rendezvous.base, "A".repeat(22));
    let stranger = second_of_secret_room(&other, &["--wait", "1"]).output().await.unwrap();
    assert_eq!(stranger.status.code(), Some(2), "another secret is another room");
}

#[tokio::test]
async fn a_killed_agent_that_starts_again_meets_its_peer_and_not_its_ghost() {
    let rendezvous = Rendezvous::start(&[]).await;
    let (mut killed, link, _) = first_of_secret_room(&rendezvous.base.to_string(), &[]).await;
    killed.kill().await.unwrap();
    let [mut again, mut peer] =
        [second_of_secret_room(&link, &[]), second_of_secret_room(&link, &[])];
    let again = tokio::spawn(async move { again.output().await.unwrap() });
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let peer = peer.output().await.unwrap();
    are_connected([again.await.unwrap(), peer]);
}

#[tokio::test]
async fn an_agent_goes_on_with_a_peer_that_was_killed_and_started_again() {
    let rendezvous = Rendezvous::start(&[]).await;
    let server =
        SmallTurn::start(Fault::Refuses(Method::CREATE_PERMISSION, ErrorCode::FORBIDDEN)).await;
    let uri = turn(&server, "udp");
    let (first, link, mut lines) = first_of_secret_room(&rendezvous.base.to_string(), &[]).await;
    wait_for_line(&mut lines, "waiting for the peer").await;
    // It sends its Hello and offers a relay that refuses all permissions, so that it is killed in
    // the middle of the checks.
    let mut command = Command::new(env!("CARGO_BIN_EXE_ice-agent"));
    command
        .args([
            "connect",
            "--relay-only",
            "--turn",
            &uri,
            "--username",
            USER,
            "--rendezvous",
            &link,
        ])
        .env("ICE_AGENT_PASSWORD", PASSWORD);
    let mut killed = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut told = BufReader::new(killed.stderr.take().unwrap()).lines();
    wait_for_line(&mut told, "CreatePermission").await;
    killed.kill().await.unwrap();
    let second = second_of_secret_room(&link, &[]).output().await.unwrap();
    let first = first.wait_with_output().await.unwrap();
    are_connected([first, second]);
}

#[tokio::test]
async fn a_lost_rendezvous_is_reported_at_once() {
    let mut rendezvous = Rendezvous::start(&[]).await;
    let (first, _, mut lines) =
        first_of_secret_room(&rendezvous.base.to_string(), &["--wait", "600"]).await;
    wait_for_line(&mut lines, "waiting for the peer").await;
    let start = std::time::Instant::now();
    rendezvous.kill().await;
    wait_for_line(&mut lines, "; retrying").await;
    assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
    let output = first.wait_with_output().await.unwrap();
    let side = Side::read(&output);
    assert_eq!(
        (side.status, &side.report["outcome"]),
        (2, &"could_not_run".into()),
        "{:#}",
        side.report
    );
    assert!(
        side.report["error"].as_str().unwrap().contains("the rendezvous is lost"),
        "{:#}",
        side.report
    );
    assert!(start.elapsed() < std::time::Duration::from_secs(30), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_rendezvous_with_a_certificate_is_verified_and_reached_through_a_proxy() {
    let authority = Authority::new();
    let (ca, certificate) = (authority.file(), authority.server(90).files());
    let rendezvous = Rendezvous::start(&[
        "--tls-certificate",
        certificate[0].path(),
        "--tls-key",
        certificate[1].path(),
        "--path",
        "/meet",
    ])
    .await;
    let url = rendezvous.base.to_string();
    assert!(url.starts_with("https://") && url.ends_with("/meet"), "{url}");
    let untrusted = second_of_secret_room(&url, &["--wait", "1"]).output().await.unwrap();
    let side = Side::read(&untrusted);
    assert!(
        side.status == 2 && side.report["error"].as_str().unwrap().contains("not trusted"),
        "{:#}",
        side.report
    );

    let tunnel = Tunnel::start(ProxyBehaviour::Open).await;
    let proxy = format!("http://{}", tunnel.address);
    let (first, link, _lines) =
        first_of_secret_room(&url, &["--ca", ca.path(), "--proxy", &proxy]).await;
    let second = second_of_secret_room(&link, &["--ca", ca.path()]).output().await.unwrap();
    for output in [first.wait_with_output().await.unwrap(), second] {
        assert_eq!(Side::read(&output).status, 0, "{}", String::from_utf8_lossy(&output.stderr));
    }
    let asked = tunnel.asked();
    assert!(
        !asked.is_empty()
            && asked
                .iter()
                .all(|request| request.starts_with(&format!("CONNECT {} ", rendezvous.address))),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_full_room_is_refused() {
    let rendezvous = Rendezvous::start(&[]).await;
    let (_first, link, mut lines) =
        first_of_secret_room(&rendezvous.base.to_string(), &["--timeout", "20"]).await;
    wait_for_line(&mut lines, "waiting for the peer").await;
    // Two agents that cannot reach each other stay in their room for a while.
    let mut second = second_of_secret_room(&link, &["--bind", "::1", "--timeout", "20"]);
    let mut second = second.spawn().unwrap();
    let mut told = BufReader::new(second.stderr.take().unwrap()).lines();
    wait_for_line(&mut told, "waiting for the peer").await;
    let third = second_of_secret_room(&link, &["--wait", "3"]).output().await.unwrap();
    assert_eq!(third.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&third.stderr).contains("has its two members"), "{third:?}");
}
