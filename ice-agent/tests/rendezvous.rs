//! The rendezvous as its clients see it: the real binary, spoken to over HTTP.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

mod support;

use std::time::{Duration, Instant};

use hyper::{Method, StatusCode};
use ice_agent::net::http::{HttpError, Origin, request};
use ice_agent::rendezvous::http::{Joined, MAX_BODY};
use ice_agent::rendezvous::{Batch, Peer, Role, Signal};
use support::Rendezvous;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const TIMEOUT: Duration = Duration::from_secs(10);

async fn call(origin: &Origin, method: Method, path: &str, token: Option<&str>, body: &[u8]) -> Result<Vec<u8>, StatusCode> {
    match request(origin, method, path, token, body.to_vec(), TIMEOUT).await {
        Ok(body) => Ok(body),
        Err(HttpError::Status { status, .. }) => Err(status),
        Err(error) => panic!("{path}: {error}"),
    }
}

async fn join(origin: &Origin, room: &str) -> Result<Joined, StatusCode> {
    let body = call(origin, Method::POST, &format!("/rooms/{room}/members"), None, b"").await?;
    Ok(serde_json::from_slice(&body).unwrap())
}

async fn post(origin: &Origin, room: &str, member: &Joined, signal: &[u8]) -> Result<(), StatusCode> {
    call(origin, Method::POST, &format!("/rooms/{room}/signals"), Some(&member.token), signal).await.map(|_| ())
}

async fn poll(origin: &Origin, room: &str, member: &Joined, query: &str) -> Result<Batch, StatusCode> {
    let path = format!("/rooms/{room}/signals?{query}");
    let body = call(origin, Method::GET, &path, Some(&member.token), b"").await?;
    Ok(serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn two_members_have_roles_and_the_third_is_refused() {
    let rendezvous = Rendezvous::start(&[]).await;
    let origin = &rendezvous.origin;
    let first = join(origin, "standup").await.unwrap();
    let second = join(origin, "standup").await.unwrap();
    assert_eq!((first.role, second.role), (Role::Controlling, Role::Controlled));
    assert_ne!(first.token, second.token);
    assert_eq!(join(origin, "standup").await.unwrap_err(), StatusCode::CONFLICT);
    assert_eq!(join(origin, "another").await.unwrap().role, Role::Controlling);
}

#[tokio::test]
async fn a_long_poll_answers_with_news_at_once_and_without_news_in_time() {
    let rendezvous = Rendezvous::start(&[]).await;
    let origin = &rendezvous.origin;
    let (a, b) = (join(origin, "r").await.unwrap(), join(origin, "r").await.unwrap());

    let start = Instant::now();
    let batch = poll(origin, "r", &b, "after=0&wait=1").await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    assert_eq!((batch.signals.len(), batch.last, batch.peer), (0, 0, Peer::Present));

    let start = Instant::now();
    let (batch, ()) = tokio::join!(async { poll(origin, "r", &b, "after=0&wait=20").await.unwrap() }, async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        post(origin, "r", &a, br#"{"type":"end_of_candidates"}"#).await.unwrap();
    },);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!((batch.signals, batch.last), (vec![Signal::EndOfCandidates {}], 1));
}

#[tokio::test]
async fn the_peers_coming_and_leaving_end_a_poll() {
    let rendezvous = Rendezvous::start(&[]).await;
    let origin = &rendezvous.origin;
    let a = join(origin, "r").await.unwrap();
    let (batch, b) = tokio::join!(async { poll(origin, "r", &a, "wait=20&peer=absent").await.unwrap() }, async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        join(origin, "r").await.unwrap()
    },);
    assert_eq!(batch.peer, Peer::Present);
    call(origin, Method::DELETE, "/rooms/r/members", Some(&b.token), b"").await.unwrap();
    assert_eq!(poll(origin, "r", &a, "wait=20&peer=present").await.unwrap().peer, Peer::Left);
    call(origin, Method::DELETE, "/rooms/r/members", Some(&a.token), b"").await.unwrap();
    assert_eq!(poll(origin, "r", &a, "wait=0").await.unwrap_err(), StatusCode::FORBIDDEN, "the room is gone");
    assert_eq!(join(origin, "r").await.unwrap().role, Role::Controlling, "and its name is free");
}

#[tokio::test]
async fn bad_names_tokens_and_signals_are_refused_each_with_its_status() {
    let rendezvous = Rendezvous::start(&[]).await;
    let origin = &rendezvous.origin;
    for bad in ["a%20b", "%2e%2e", "x%1b", &"n".repeat(65)] {
        assert_eq!(join(origin, bad).await.unwrap_err(), StatusCode::BAD_REQUEST, "{bad}");
    }
    let a = join(origin, "r").await.unwrap();
    let signals = "/rooms/r/signals";
    assert_eq!(call(origin, Method::GET, signals, None, b"").await, Err(StatusCode::UNAUTHORIZED));
    assert_eq!(call(origin, Method::GET, signals, Some("+1"), b"").await, Err(StatusCode::UNAUTHORIZED));
    assert_eq!(call(origin, Method::GET, signals, Some(&"0".repeat(32)), b"").await, Err(StatusCode::FORBIDDEN));
    for bad in [&b"{"[..], b"[]", br#"{"type":"shout"}"#, br#"{"type":"candidate","candidate":"candidate:\u0007"}"#] {
        assert_eq!(post(origin, "r", &a, bad).await, Err(StatusCode::UNPROCESSABLE_ENTITY));
    }
    assert_eq!(post(origin, "r", &a, &vec![b' '; MAX_BODY + 1]).await, Err(StatusCode::PAYLOAD_TOO_LARGE));
    assert_eq!(call(origin, Method::GET, "/rooms", None, b"").await, Err(StatusCode::NOT_FOUND));
}

#[tokio::test]
async fn rooms_and_inboxes_are_bounded() {
    let rendezvous = Rendezvous::start(&["--max-rooms", "2", "--max-signals", "3"]).await;
    let origin = &rendezvous.origin;
    let a = join(origin, "a").await.unwrap();
    join(origin, "b").await.unwrap();
    assert_eq!(join(origin, "c").await.unwrap_err(), StatusCode::SERVICE_UNAVAILABLE);
    for _ in 0..3 {
        post(origin, "a", &a, br#"{"type":"end_of_candidates"}"#).await.unwrap();
    }
    let refused = post(origin, "a", &a, br#"{"type":"end_of_candidates"}"#).await;
    assert_eq!(refused, Err(StatusCode::TOO_MANY_REQUESTS));
}

#[tokio::test]
async fn what_is_no_http_is_cut_off_and_others_are_still_served() {
    let rendezvous = Rendezvous::start(&[]).await;
    let mut junk = tokio::net::TcpStream::connect(rendezvous.address).await.unwrap();
    junk.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1]).await.unwrap();
    junk.write_all(b"\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // Either an HTTP error or a plain close; in both cases the stream ends.
    tokio::time::timeout(TIMEOUT, junk.read_to_end(&mut answer)).await.expect("cut off").ok();
    let mut silent = tokio::net::TcpStream::connect(rendezvous.address).await.unwrap();
    silent.write_all(b"POST /rooms/r/members HTTP/1.1\r\n").await.unwrap();
    assert!(join(&rendezvous.origin, "r").await.is_ok());
}
