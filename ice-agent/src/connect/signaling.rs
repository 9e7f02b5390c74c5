//! This agent's membership in a room of the rendezvous: signals go out in order, the other's come in.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hyper::{Method, StatusCode};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::net::http::{self, HttpError, Origin};
use crate::rendezvous::http::{Joined, LONGEST_WAIT};
use crate::rendezvous::{Batch, Peer, Role, RoomName, Signal};

/// Longest wait for an answer that is not a poll.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before a request that failed is repeated.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Pause after a poll without signals.
const EMPTY_PAUSE: Duration = Duration::from_millis(20);
/// Failures in a row after which the rendezvous counts as lost.
const MAX_FAILURES: u32 = 10;
/// Signals that wait to be posted: more than an agent has candidates.
const OUTBOX: usize = 256;

/// What comes out of the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RoomEvent {
    /// The other member said this.
    Signal(Signal),
    /// The other member came or left.
    Peer(Peer),
    /// The rendezvous does not answer any more, or put us out.
    Lost(String),
}

/// A seat in a room. [`Membership::leave`] gives it up; a dropped one is noticed by the rendezvous after its absence time.
#[derive(Debug)]
pub(super) struct Membership {
    seat: Arc<Seat>,
    role: Role,
    outbox: mpsc::Sender<Signal>,
    poster: JoinHandle<()>,
    poller: JoinHandle<()>,
}

#[derive(Debug)]
struct Seat {
    origin: Origin,
    room: RoomName,
    token: String,
}

impl Membership {
    /// Joins the room; from now on `events` gets what comes.
    ///
    /// # Errors
    /// No rendezvous answers there, or it refuses: the room is full, or there are too many.
    pub(super) async fn join<E: From<RoomEvent> + Send + 'static>(
        origin: Origin,
        room: RoomName,
        events: mpsc::Sender<E>,
    ) -> anyhow::Result<Self> {
        let path = format!("/rooms/{room}/members");
        let body = http::request(&origin, Method::POST, &path, None, Vec::new(), REQUEST_TIMEOUT)
            .await
            .with_context(|| format!("cannot join room {room} at {origin}"))?;
        let joined: Joined = serde_json::from_slice(&body).with_context(|| format!("{origin} is no rendezvous"))?;
        let seat = Arc::new(Seat { origin, room, token: joined.token });
        let (outbox, posts) = mpsc::channel(OUTBOX);
        let poster = tokio::spawn(post_all(Arc::clone(&seat), posts, events.clone()));
        let poller = tokio::spawn(poll_all(Arc::clone(&seat), events));
        Ok(Self { seat, role: joined.role, outbox, poster, poller })
    }

    /// Who nominates.
    #[must_use]
    pub(super) fn role(&self) -> Role {
        self.role
    }

    /// Tells the other member, after what was said before. Dropped if the rendezvous is that far behind.
    pub(super) fn tell(&self, signal: Signal) {
        // A full outbox means a rendezvous that does not answer, which the poster reports.
        let _ = self.outbox.try_send(signal);
    }

    /// Posts what waits, then gives the seat up.
    pub(super) async fn leave(self) {
        let Self { seat, outbox, poster, poller, .. } = self;
        poller.abort();
        drop(outbox);
        let _ = tokio::time::timeout(Duration::from_secs(2), poster).await;
        let path = format!("/rooms/{}/members", seat.room);
        // If it fails, the rendezvous finds out by itself.
        let _ = seat.request(Method::DELETE, &path, Vec::new(), Duration::from_secs(2)).await;
    }
}

impl Seat {
    async fn request(&self, method: Method, path: &str, body: Vec<u8>, timeout: Duration) -> Result<Vec<u8>, HttpError> {
        http::request(&self.origin, method, path, Some(&self.token), body, timeout).await
    }
}

/// Whether the same request may succeed later.
fn is_passing(error: &HttpError) -> bool {
    match error {
        HttpError::Status { status, .. } => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
        HttpError::Io(_) | HttpError::Timeout | HttpError::Protocol(_) => true,
    }
}

async fn post_all<E: From<RoomEvent>>(seat: Arc<Seat>, mut posts: mpsc::Receiver<Signal>, events: mpsc::Sender<E>) {
    let path = format!("/rooms/{}/signals", seat.room);
    while let Some(signal) = posts.recv().await {
        let body = serde_json::to_vec(&signal).expect("a signal has string keys only");
        let mut failures = 0;
        while let Err(error) = seat.request(Method::POST, &path, body.clone(), REQUEST_TIMEOUT).await {
            failures += 1;
            if !is_passing(&error) || failures >= MAX_FAILURES {
                let _ = events.send(RoomEvent::Lost(error.to_string()).into()).await;
                return;
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

async fn poll_all<E: From<RoomEvent>>(seat: Arc<Seat>, events: mpsc::Sender<E>) {
    let (mut after, mut peer, mut failures) = (0, Peer::Absent, 0);
    loop {
        let known = serde_json::to_value(peer).expect("a unit variant");
        let path = format!(
            "/rooms/{}/signals?after={after}&wait={}&peer={}",
            seat.room,
            LONGEST_WAIT.as_secs(),
            known.as_str().unwrap_or_default(),
        );
        let answer = seat.request(Method::GET, &path, Vec::new(), LONGEST_WAIT + REQUEST_TIMEOUT).await;
        let batch = answer.and_then(|body| serde_json::from_slice::<Batch>(&body).map_err(|error| HttpError::Protocol(error.to_string())));
        match batch {
            Ok(batch) => {
                failures = 0;
                after = batch.last;
                if batch.signals.is_empty() {
                    // A rendezvous that does not hold the poll must not make us spin.
                    tokio::time::sleep(EMPTY_PAUSE).await;
                }
                for signal in batch.signals {
                    if events.send(RoomEvent::Signal(signal).into()).await.is_err() {
                        return;
                    }
                }
                if batch.peer != peer {
                    peer = batch.peer;
                    if events.send(RoomEvent::Peer(peer).into()).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => {
                failures += 1;
                if !is_passing(&error) || failures >= MAX_FAILURES {
                    let _ = events.send(RoomEvent::Lost(error.to_string()).into()).await;
                    return;
                }
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}
