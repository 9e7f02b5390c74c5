//! The rendezvous' HTTP surface.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use serde::{Deserialize, Serialize};

use super::{BadRoomName, Batch, Limits, MemberToken, Peer, Refusal, Role, RoomName, Rooms, Signal};

/// Largest signal in octets of JSON.
pub const MAX_BODY: usize = 4 * 1024;
/// Longest that a poll waits, whatever the client asks for: shorter than the idle timeouts of common proxies.
pub const LONGEST_WAIT: Duration = Duration::from_secs(25);
/// How often silent members and old rooms are looked for.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(5);

type Shared = Arc<Mutex<Rooms>>;

/// The answer to a join.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Joined {
    /// The bearer token of every further request, 32 hexadecimal digits.
    pub token: String,
    /// Whether the member nominates.
    pub role: Role,
}

/// The query of a poll.
#[derive(Debug, Deserialize)]
struct Poll {
    #[serde(default)]
    after: u64,
    /// Seconds.
    #[serde(default)]
    wait: u64,
    /// What the member last heard of the other one: a change is news.
    peer: Option<Peer>,
}

/// The routes over an empty set of rooms; starts the task that expires them, which ends with the last router.
pub fn router(limits: Limits) -> Router {
    let rooms: Shared = Arc::new(Mutex::new(Rooms::new(limits)));
    let weak = Arc::downgrade(&rooms);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(EXPIRY_INTERVAL).await;
            let Some(rooms) = weak.upgrade() else { break };
            lock(&rooms).expire(Instant::now());
        }
    });
    Router::new()
        .route("/rooms/{room}/members", post(join).delete(leave))
        .route("/rooms/{room}/signals", post(send).get(poll))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(rooms)
}

/// Every request that is refused, with what the client reads.
enum Failure {
    Name(BadRoomName),
    Refused(Refusal),
    NoToken,
    Signal(String),
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, reason) = match self {
            Self::Name(error) => (StatusCode::BAD_REQUEST, error.to_string()),
            Self::NoToken => (StatusCode::UNAUTHORIZED, "a member's bearer token is missing".into()),
            Self::Signal(reason) => (StatusCode::UNPROCESSABLE_ENTITY, reason),
            Self::Refused(refusal) => {
                let status = match refusal {
                    Refusal::Full => StatusCode::CONFLICT,
                    Refusal::TooManyRooms => StatusCode::SERVICE_UNAVAILABLE,
                    Refusal::NotAMember => StatusCode::FORBIDDEN,
                    Refusal::InboxFull => StatusCode::TOO_MANY_REQUESTS,
                };
                (status, refusal.to_string())
            }
        };
        (status, Json(serde_json::json!({ "error": reason }))).into_response()
    }
}

impl From<BadRoomName> for Failure {
    fn from(error: BadRoomName) -> Self {
        Self::Name(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

async fn join(State(rooms): State<Shared>, Path(room): Path<String>) -> Result<impl IntoResponse, Failure> {
    let room: RoomName = room.parse()?;
    let token = MemberToken(rand::random());
    let role = lock(&rooms).join(Instant::now(), &room, token)?;
    Ok((StatusCode::CREATED, Json(Joined { token: token.to_string(), role })))
}

async fn leave(State(rooms): State<Shared>, Path(room): Path<String>, headers: HeaderMap) -> Result<StatusCode, Failure> {
    let room: RoomName = room.parse()?;
    lock(&rooms).leave(Instant::now(), &room, bearer(&headers)?)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn send(State(rooms): State<Shared>, Path(room): Path<String>, headers: HeaderMap, body: Bytes) -> Result<StatusCode, Failure> {
    let room: RoomName = room.parse()?;
    let token = bearer(&headers)?;
    let signal: Signal = serde_json::from_slice(&body).map_err(|error| Failure::Signal(error.to_string()))?;
    signal.validate().map_err(|error| Failure::Signal(error.to_string()))?;
    lock(&rooms).post(Instant::now(), &room, token, signal)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn poll(
    State(rooms): State<Shared>,
    Path(room): Path<String>,
    Query(query): Query<Poll>,
    headers: HeaderMap,
) -> Result<Json<Batch>, Failure> {
    let room: RoomName = room.parse()?;
    let token = bearer(&headers)?;
    let news = lock(&rooms).news(Instant::now(), &room, token)?;
    let wait = Duration::from_secs(query.wait).min(LONGEST_WAIT);
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        let batch = lock(&rooms).take(Instant::now(), &room, token, query.after)?;
        let peer_changed = query.peer.is_some_and(|known| known != batch.peer);
        if !batch.signals.is_empty() || peer_changed {
            return Ok(Json(batch));
        }
        // The permit of a notification that came since `take` is kept, so none is missed.
        if tokio::time::timeout_at(deadline, news.notified()).await.is_err() {
            return Ok(Json(batch));
        }
    }
}

/// The member's token from `Authorization: Bearer …`.
fn bearer(headers: &HeaderMap) -> Result<MemberToken, Failure> {
    let digits = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or(Failure::NoToken)?;
    if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Failure::NoToken);
    }
    u128::from_str_radix(digits, 16).map(MemberToken).map_err(|_| Failure::NoToken)
}

/// A panic elsewhere leaves the rooms whole: every change to them is made at once.
fn lock(rooms: &Shared) -> MutexGuard<'_, Rooms> {
    rooms.lock().unwrap_or_else(PoisonError::into_inner)
}
