//! The rendezvous as a process, tested over HTTP.

use std::time::{Duration, Instant};

use crate::support::Rendezvous;
use hyper::{Method, StatusCode};
use ice_agent::rendezvous::http::{Joined, MAX_BODY};
use ice_agent::rendezvous::{Batch, Peer, Role};
use ice_agent::transport::http::{HttpClient, HttpError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const TIMEOUT: Duration = Duration::from_secs(10);
const ROOM: &str = "00112233445566778899aabbccddeeff";
const OTHER_ROOM: &str = "ff112233445566778899aabbccddeeff";

async fn call(
    client: &HttpClient,
    method: Method,
    path: &str,
    token: Option<&str>,
    body: &[u8],
) -> Result<Vec<u8>, StatusCode> {
    match client.request(method, path, token, body.to_vec(), TIMEOUT).await {
        Ok(body) => Ok(body),
        Err(HttpError::Status { status, .. }) => Err(status),
        Err(error) => panic!("{path}: {error}"),
    }
}

async fn join(client: &HttpClient, room: &str) -> Result<Joined, StatusCode> {
    let body = call(client, Method::POST, &format!("/rooms/{room}/members"), None, b"").await?;
    Ok(serde_json::from_slice(&body).unwrap())
}

async fn post(client: &HttpClient, member: &Joined, body: &[u8]) -> Result<(), StatusCode> {
    call(client, Method::POST, &format!("/rooms/{ROOM}/signals"), Some(&member.token), body)
        .await
        .map(|_| ())
}

async fn poll(client: &HttpClient, member: &Joined, query: &str) -> Result<Batch, StatusCode> {
    let path = format!("/rooms/{ROOM}/signals?{query}");
    let body = call(client, Method::GET, &path, Some(&member.token), b"").await?;
    Ok(serde_json::from_slice(&body).unwrap())
}

async fn leave(client: &HttpClient, member: &Joined) {
    call(client, Method::DELETE, &format!("/rooms/{ROOM}/members"), Some(&member.token), b"")
        .await
        .unwrap();
}

/// Keeps a member present, as an agent's poll does, while `during` runs.
async fn while_polling<T>(
    client: &HttpClient,
    member: &Joined,
    during: impl Future<Output = T>,
) -> T {
    tokio::select! {
        result = during => result,
        _ = async { loop { let _ = poll(client, member, "wait=25").await; } } => unreachable!(),
    }
}

#[tokio::test]
async fn two_members_have_roles_and_the_third_is_refused_while_both_are_there() {
    let rendezvous = Rendezvous::start(&[]).await;
    let client = &rendezvous.client();
    let first = join(client, ROOM).await.unwrap();
    let second = join(client, ROOM).await.unwrap();
    assert_eq!((first.role, second.role), (Role::Controlling, Role::Controlled));
    assert_ne!(first.token, second.token);
    let third = while_polling(
        client,
        &first,
        while_polling(client, &second, async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            join(client, ROOM).await.unwrap_err()
        }),
    );
    assert_eq!(third.await, StatusCode::CONFLICT);
    assert_eq!(join(client, OTHER_ROOM).await.unwrap().role, Role::Controlling);
}

#[tokio::test]
async fn a_dead_member_gives_its_seat_to_the_next() {
    let rendezvous = Rendezvous::start(&[]).await;
    let client = &rendezvous.client();
    let ghost = join(client, ROOM).await.unwrap();
    // The agent is killed in the middle of its poll.
    let killed =
        tokio::time::timeout(Duration::from_millis(300), poll(client, &ghost, "wait=25")).await;
    assert!(killed.is_err());
    let again = join(client, ROOM).await.unwrap();
    let peer = while_polling(client, &again, async { join(client, ROOM).await.unwrap() }).await;
    assert_eq!(poll(client, &again, "wait=0").await.unwrap().peer, Peer::Present(peer.member));
    assert_eq!(poll(client, &ghost, "wait=0").await.unwrap_err(), StatusCode::FORBIDDEN);
    assert_ne!(again.role, peer.role);
}

#[tokio::test]
async fn a_long_poll_answers_with_news_at_once_and_without_news_in_time() {
    let rendezvous = Rendezvous::start(&[]).await;
    let client = &rendezvous.client();
    let (a, b) = (join(client, ROOM).await.unwrap(), join(client, ROOM).await.unwrap());

    let start = Instant::now();
    let batch = poll(client, &b, "after=0&wait=1").await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    assert_eq!((batch.signals.len(), batch.last, batch.peer), (0, 0, Peer::Present(a.member)));

    let start = Instant::now();
    let (batch, ()) =
        tokio::join!(async { poll(client, &b, "after=0&wait=20").await.unwrap() }, async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            post(client, &a, br#"{"to":2,"signals":["c2VhbGVk"]}"#).await.unwrap();
        },);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!((batch.signals, batch.last), (vec!["c2VhbGVk".to_owned()], 1));
    assert_eq!(post(client, &a, br#"{"to":7,"signals":[]}"#).await, Err(StatusCode::GONE));
}

#[tokio::test]
async fn the_peers_coming_and_leaving_end_a_poll() {
    let rendezvous = Rendezvous::start(&[]).await;
    let client = &rendezvous.client();
    let a = join(client, ROOM).await.unwrap();
    let (batch, b) =
        tokio::join!(async { poll(client, &a, "wait=20&peer=absent").await.unwrap() }, async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            join(client, ROOM).await.unwrap()
        },);
    assert_eq!(batch.peer, Peer::Present(b.member));
    leave(client, &b).await;
    let known = format!("wait=20&peer={}", batch.peer);
    assert_eq!(poll(client, &a, &known).await.unwrap().peer, Peer::Left);
    leave(client, &a).await;
    assert_eq!(
        poll(client, &a, "wait=0").await.unwrap_err(),
        StatusCode::FORBIDDEN,
        "the room is gone"
    );
    assert_eq!(
        join(client, ROOM).await.unwrap().role,
        Role::Controlling,
        "and may be made once more"
    );
}

#[tokio::test]
async fn bad_ids_tokens_and_signals_are_refused_each_with_its_status() {
    let rendezvous = Rendezvous::start(&[]).await;
    let client = &rendezvous.client();
    for bad in ["blue", "a%20b", "%2e%2e", "x%1b", &"n".repeat(32), &"a".repeat(33)] {
        assert_eq!(join(client, bad).await.unwrap_err(), StatusCode::BAD_REQUEST, "{bad}");
    }
    let a = join(client, ROOM).await.unwrap();
    let signals = &format!("/rooms/{ROOM}/signals");
    assert_eq!(call(client, Method::GET, signals, None, b"").await, Err(StatusCode::UNAUTHORIZED));
    assert_eq!(
        call(client, Method::GET, signals, Some("+1"), b"").await,
        Err(StatusCode::UNAUTHORIZED)
    );
    assert_eq!(
        call(client, Method::GET, signals, Some(&"0".repeat(32)), b"").await,
        Err(StatusCode::FORBIDDEN)
    );
    let long = format!(r#"{{"to":2,"signals":["{}"]}}"#, "A".repeat(2_049));
    let many = format!(r#"{{"to":2,"signals":[{}]}}"#, ["\"A\""; 33].join(","));
    for bad in
        [&b"{"[..], b"[]", br#"{"to":2,"signals":["\u0007"]}"#, long.as_bytes(), many.as_bytes()]
    {
        assert_eq!(post(client, &a, bad).await, Err(StatusCode::UNPROCESSABLE_ENTITY));
    }
    assert_eq!(
        post(client, &a, &vec![b' '; MAX_BODY + 1]).await,
        Err(StatusCode::PAYLOAD_TOO_LARGE)
    );
    assert_eq!(call(client, Method::GET, "/rooms", None, b"").await, Err(StatusCode::NOT_FOUND));
}

#[tokio::test]
async fn rooms_seats_and_inboxes_are_bounded() {
    let rendezvous = Rendezvous::start(&[
        "--max-rooms",
        "2",
        "--max-signals",
        "3",
        "--max-seats-per-address",
        "4",
    ])
    .await;
    let client = &rendezvous.client();
    let a = join(client, ROOM).await.unwrap();
    let b = join(client, ROOM).await.unwrap();
    join(client, OTHER_ROOM).await.unwrap();
    assert_eq!(join(client, &"1".repeat(32)).await.unwrap_err(), StatusCode::SERVICE_UNAVAILABLE);
    join(client, OTHER_ROOM).await.unwrap();
    for _ in 0..3 {
        post(client, &a, format!(r#"{{"to":{},"signals":["AA"]}}"#, b.member).as_bytes())
            .await
            .unwrap();
    }
    let refused =
        post(client, &a, format!(r#"{{"to":{},"signals":["AA"]}}"#, b.member).as_bytes()).await;
    assert_eq!(refused, Err(StatusCode::TOO_MANY_REQUESTS));
    leave(client, &b).await;
    join(client, ROOM).await.unwrap();
    leave(client, &a).await;
    join(client, ROOM).await.unwrap();
    assert_eq!(
        join(client, &"1".repeat(32)).await.unwrap_err(),
        StatusCode::TOO_MANY_REQUESTS,
        "four seats are one address' share"
    );
}

#[tokio::test]
async fn a_path_is_served_where_the_proxy_leaves_it() {
    let rendezvous = Rendezvous::start(&["--path", "/meet/"]).await;
    assert!(rendezvous.base.to_string().ends_with("/meet"));
    assert!(join(&rendezvous.client(), ROOM).await.is_ok());
    let bare = HttpClient::direct(format!("http://{}", rendezvous.address).parse().unwrap());
    assert_eq!(join(&bare, ROOM).await.unwrap_err(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn junk_instead_of_http_is_cut_off_and_others_are_still_served() {
    let rendezvous = Rendezvous::start(&[]).await;
    let mut junk = tokio::net::TcpStream::connect(rendezvous.address).await.unwrap();
    junk.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1]).await.unwrap();
    junk.write_all(b"\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // Either an HTTP error or a closed connection; in both cases the stream ends.
    tokio::time::timeout(TIMEOUT, junk.read_to_end(&mut answer)).await.expect("cut off").ok();
    let mut silent = tokio::net::TcpStream::connect(rendezvous.address).await.unwrap();
    silent.write_all(b"POST /rooms/r/members HTTP/1.1\r\n").await.unwrap();
    assert!(join(&rendezvous.client(), ROOM).await.is_ok());
}
