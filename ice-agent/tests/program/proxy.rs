//! Connections through an HTTP proxy: by the program and by the library.

use std::net::SocketAddr;

use crate::small_turn::{Fault, PASSWORD, SmallTurn, USER};
use crate::tunnel::{ProxyBehaviour, Tunnel};
use ice_agent::transport::proxy::{HttpProxy, ProxyError};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

fn proxy(text: &str) -> HttpProxy {
    text.parse().unwrap()
}

/// A local address without a listener.
fn unused_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn check(uri: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ice-agent"));
    command.args([
        "check",
        uri,
        "--json",
        "--count",
        "5",
        "--interval",
        "5",
        "--timeout",
        "2",
        "--username",
        USER,
    ]);
    command.env("ICE_AGENT_PASSWORD", PASSWORD).kill_on_drop(true);
    for variable in [
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
        "no_proxy",
        "NO_PROXY",
        "ICE_AGENT_PROXY",
    ] {
        command.env_remove(variable);
    }
    command
}

struct Outcome {
    status: i32,
    report: Value,
}

async fn run(command: &mut Command) -> Outcome {
    let output = command.output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    Outcome { status: output.status.code().unwrap(), report }
}

#[tokio::test]
async fn a_tunnel_is_the_servers_from_the_first_octet_on() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let tunnel = Tunnel::start(ProxyBehaviour::Open).await;
    let connecting = proxy(&tunnel.address.to_string()).connect(server).await;
    let mut client = connecting.unwrap();
    let (mut accepted, _) = listener.accept().await.unwrap();
    accepted.write_all(b"HTTP is over").await.unwrap();
    let mut came = [0; 12];
    client.read_exact(&mut came).await.unwrap();
    assert_eq!(&came, b"HTTP is over");
    assert_eq!(tunnel.asked(), [format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n\r\n")]);
}

#[tokio::test]
async fn each_refusal_has_its_words() {
    let server = unused_address();
    for (behaviour, credentials, said) in [
        (
            ProxyBehaviour::Password("anna:s3cret"),
            "",
            "requires a user name and a password: 407 Proxy Authentication Required",
        ),
        (
            ProxyBehaviour::Password("anna:s3cret"),
            "anna:wrong@",
            "requires another user name or password: 407",
        ),
        (
            ProxyBehaviour::Answers(
                "HTTP/1.1 403 Forbidden by policy\r\nContent-Length: 0\r\n\r\n",
            ),
            "",
            "403 Forbidden by policy",
        ),
        (ProxyBehaviour::Answers("HTTP/1.1 502 Bad Gateway\r\n\r\n"), "", "502 Bad Gateway"),
        (ProxyBehaviour::Answers("SSH-2.0-OpenSSH_9.9\r\n"), "", "is not an HTTP proxy"),
        (ProxyBehaviour::Answers(""), "", "did not answer"),
    ] {
        let tunnel = Tunnel::start(behaviour).await;
        let error = proxy(&format!("http://{credentials}{}", tunnel.address))
            .connect(server)
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains(said) && text.contains(&tunnel.address.to_string()), "{text}");
        assert!(!text.contains("wrong"), "{text}");
    }
    let gone = unused_address();
    let error = proxy(&gone.to_string()).connect(server).await.unwrap_err();
    assert!(matches!(error, ProxyError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn an_endless_header_is_cut() {
    let tunnel = Tunnel::start(ProxyBehaviour::Endless).await;
    let error = proxy(&tunnel.address.to_string()).connect(unused_address()).await.unwrap_err();
    assert!(matches!(error, ProxyError::NotHttp { .. }), "{error}");
}

#[tokio::test]
async fn a_check_over_tcp_goes_through_the_proxy_and_one_over_udp_does_not() {
    let server = SmallTurn::start(Fault::None).await;
    let tunnel = Tunnel::start(ProxyBehaviour::Password("anna:p@ss")).await;
    let through = format!("http://anna:p%40ss@{}", tunnel.address);
    let tcp =
        run(check(&format!("turn:{}?transport=tcp", server.address))
            .env("ICE_AGENT_PROXY", &through))
        .await;
    assert_eq!((tcp.status, &tcp.report["ok"]), (0, &true.into()), "{:#}", tcp.report);
    let asked = tunnel.asked();
    assert!(
        asked.len() >= 2
            && asked.iter().all(|asked| asked.starts_with(&format!("CONNECT {} ", server.address))),
        "{asked:?}"
    );

    let udp =
        run(check(&format!("turn:{}?transport=udp", server.address)).args(["--proxy", &through]))
            .await;
    assert_eq!(udp.status, 0);
    assert_eq!(tunnel.asked().len(), asked.len());
}

#[tokio::test]
async fn a_name_that_only_the_proxy_knows_is_left_to_it() {
    let server = SmallTurn::start(Fault::None).await;
    let tunnel = Tunnel::start(ProxyBehaviour::Open).await;
    let through = format!("http://{}", tunnel.address);
    // A name server that never answers.
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let name_server = silent.local_addr().unwrap().to_string();
    let authority = format!("only-the-proxy-knows.test:{}", server.address.port());
    let uri = format!("turn:{authority}?transport=tcp");
    let tcp = run(check(&uri).args(["--proxy", &through, "--nameserver", &name_server])).await;
    assert_eq!((tcp.status, &tcp.report["ok"]), (0, &true.into()), "{:#}", tcp.report);
    assert!(
        tunnel.asked().iter().all(|asked| asked.starts_with(&format!("CONNECT {authority} "))),
        "{:?}",
        tunnel.asked()
    );

    let udp = run(check(&uri.replace("tcp", "udp")).args([
        "--proxy",
        &through,
        "--nameserver",
        &name_server,
    ]))
    .await;
    assert_eq!(
        (udp.status, &udp.report["steps"][0]["ok"]),
        (1, &false.into()),
        "UDP cannot use a proxy: {:#}",
        udp.report
    );
}

#[tokio::test]
async fn the_report_says_what_the_proxy_said() {
    let server = SmallTurn::start(Fault::None).await;
    let uri = format!("turn:{}?transport=tcp", server.address);
    let tunnel = Tunnel::start(ProxyBehaviour::Password("anna:p@ss")).await;
    let refused = run(check(&uri).args(["--proxy", &format!("http://{}", tunnel.address)])).await;
    assert_eq!(refused.status, 1);
    assert!(refused.report["steps"].to_string().contains("407"), "{:#}", refused.report);
}

#[tokio::test]
async fn the_environments_proxy_is_not_for_loopback_and_no_proxy_ignores_it() {
    let server = SmallTurn::start(Fault::None).await;
    let uri = format!("turn:{}?transport=tcp", server.address);
    let gone = format!("http://{}", unused_address());
    assert_eq!(run(check(&uri).env("https_proxy", &gone)).await.status, 0);
    assert_eq!(
        run(check(&uri).arg("--no-proxy").env("https_proxy", "gopher://nonsense")).await.status,
        0
    );
    assert_eq!(run(check(&uri).arg("--no-proxy").env("ICE_AGENT_PROXY", &gone)).await.status, 0);
    assert_eq!(
        run(check(&uri).env("ICE_AGENT_PROXY", &gone)).await.status,
        1,
        "the variable is for every server"
    );
    let output = check(&uri).env("https_proxy", "gopher://nonsense").output().await.unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && error.contains("$https_proxy"), "{error}");
}
