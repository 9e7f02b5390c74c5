//! A rendezvous under attack: an honest pair of agents still meets.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Output, Stdio};
use std::time::Duration;

use crate::support::Rendezvous;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;

/// The attacker's address; the agents have 127.0.0.1.
const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 66, 0, 1);

async fn connect_from(source: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((source, 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

/// Sends a whole request and reads the status line.
async fn status(source: Ipv4Addr, to: SocketAddr, request: &str) -> String {
    let mut stream = connect_from(source, to).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer.lines().next().unwrap_or_default().to_owned()
}

fn join_request(room: u32) -> String {
    format!("POST /rooms/{room:032x}/members HTTP/1.1\r\nHost: h\r\n\r\n")
}

/// Runs two agents with the link of one secret room.
async fn call(rendezvous: &Rendezvous) -> [Output; 2] {
    let agent = |url: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ice-agent"));
        command.args([
            "connect",
            "--json",
            "--bind",
            "127.0.0.1",
            "--count",
            "5",
            "--interval",
            "5",
            "--rendezvous",
            url,
        ]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    };
    let url = format!(
        "{}/#{}",
        rendezvous.base,
        ice_agent::rendezvous::RoomSecret::from_random(rand::random())
    );
    let [mut first, mut second] = [agent(&url), agent(&url)];
    let (first, second) = tokio::join!(first.output(), second.output());
    [first.unwrap(), second.unwrap()]
}

fn assert_met(outputs: &[Output; 2]) {
    for output in outputs {
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test]
async fn nine_hundred_and_ninety_nine_rooms_of_one_address_keep_no_other_out() {
    let rendezvous = Rendezvous::start(&[]).await;
    let mut made = 0;
    for room in 0..999 {
        let status = status(ATTACKER, rendezvous.address, &join_request(room)).await;
        made += usize::from(status.contains(" 201 "));
    }
    assert_eq!(made, 32, "the seats of one address");
    assert_met(&call(&rendezvous).await);
}

#[tokio::test]
async fn five_hundred_and_twelve_half_requests_of_one_address_keep_no_other_out() {
    let rendezvous = Rendezvous::start(&[]).await;
    let mut held = Vec::new();
    for number in 0..512 {
        let mut stream = connect_from(ATTACKER, rendezvous.address).await;
        let half = match number % 3 {
            0 => "POST /rooms/".to_owned(),
            1 => format!(
                "POST /rooms/{number:032x}/signals HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer \
                {number:032x}\r\nContent-Length: 9\r\n"
            ),
            _ => String::new(),
        };
        let _ = stream.write_all(half.as_bytes()).await;
        held.push(stream);
    }
    assert_met(&call(&rendezvous).await);
    // Of the attacker's connections, only as many as its limit are still open.
    let mut open = 0;
    for stream in &mut held {
        let ended =
            tokio::time::timeout(Duration::from_millis(5), stream.read(&mut [0; 512])).await;
        open += usize::from(ended.is_err());
    }
    assert!(open <= 32, "{open} are open");
}

#[tokio::test]
async fn half_requests_of_many_networks_that_never_stop_keep_no_agent_out() {
    let rendezvous = Rendezvous::start(&[]).await;
    let to = rendezvous.address;
    let mut attackers = JoinSet::new();
    for attacker in 0..16_u8 {
        attackers.spawn(async move {
            let mut held = std::collections::VecDeque::new();
            for host in (0..=255_u8).cycle() {
                let mut stream =
                    connect_from(Ipv4Addr::new(127, 70, attacker * 8 + host / 32, host), to).await;
                let _ = stream.write_all(b"POST /rooms/").await;
                held.push_back(stream);
                if held.len() > 64 {
                    held.pop_front();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_met(&call(&rendezvous).await);
    attackers.abort_all();
}

#[tokio::test]
async fn every_room_has_its_two_long_polls() {
    let rendezvous =
        Rendezvous::start(&["--max-seats-per-address", "2000", "--max-rooms", "300"]).await;
    let to = rendezvous.address;
    let mut polls = Vec::new();
    for room in 0..299_u32 {
        for _ in 0..2 {
            let mut stream = connect_from(Ipv4Addr::LOCALHOST, to).await;
            stream.write_all(join_request(room).as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            let token = answer.split("\"token\":\"").nth(1).unwrap().split('"').next().unwrap();
            let mut stream = connect_from(Ipv4Addr::LOCALHOST, to).await;
            let poll = format!(
                "GET /rooms/{room:032x}/signals?wait=25 HTTP/1.1\r\nHost: h\r\nAuthorization: \
                Bearer {token}\r\n\r\n"
            );
            stream.write_all(poll.as_bytes()).await.unwrap();
            polls.push(stream);
        }
    }
    assert_met(&call(&rendezvous).await);
    for stream in &mut polls {
        let ended = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut [0; 64])).await;
        assert!(ended.is_err(), "a poll was cut off");
    }
}
