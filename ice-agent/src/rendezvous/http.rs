//! The HTTP interface of the rendezvous.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use axum::{Extension, Router};
use http_body_util::{BodyExt as _, Limited};
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::id::{BadRoomId, RoomId};
use super::limits::{Limits, Refusal};
use super::room::{Batch, MemberToken, Peer, Role, Seated};
use super::rooms::Rooms;
use super::secret::MAX_SEALED;

/// Maximum size of the body of a post, in bytes.
pub const MAX_BODY: usize = 16 * 1024;
/// Maximum number of signals in one post.
pub const MAX_POST: usize = 32;
/// Maximum time for the body of a post.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time that a poll waits: shorter than the idle timeouts of common proxies.
pub const LONGEST_WAIT: Duration = Duration::from_secs(25);
/// How often silent members and old rooms are removed.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(5);

type Shared = Arc<Mutex<Rooms>>;

/// The response to a join.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Joined {
    /// The bearer token for further requests: 32 hexadecimal digits.
    pub token: String,
    /// The member's ICE role.
    pub role: Role,
    /// The member's number in its room.
    pub member: u64,
}

/// The body of a post: signals for the other member.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostedSignals {
    /// The number of the member that is to get them.
    pub to: u64,
    /// The sealed signals, in URL-safe base64.
    pub signals: Vec<String>,
}

/// The query of a poll.
#[derive(Debug, Deserialize)]
struct Poll {
    #[serde(default)]
    after: u64,
    /// Maximum wait in seconds.
    #[serde(default)]
    wait: u64,
    /// The other member's state that the client knows; a change ends the poll.
    peer: Option<Peer>,
}

/// The routes below `path`, with no rooms yet. Starts the task that expires rooms; it ends with the
/// last router.
pub(super) fn router(path: &str, limits: Limits) -> Router {
    let rooms: Shared = Arc::new(Mutex::new(Rooms::new(limits)));
    let weak = Arc::downgrade(&rooms);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(EXPIRY_INTERVAL).await;
            let Some(rooms) = weak.upgrade() else { break };
            lock(&rooms).expire(Instant::now());
        }
    });
    let routes = Router::new()
        .route("/rooms/{room}/members", post(join).delete(leave))
        .route("/rooms/{room}/signals", post(send).get(poll))
        .with_state(rooms);
    if path.is_empty() { routes } else { Router::new().nest(path, routes) }
}

/// Why a request is refused.
enum Failure {
    Id(BadRoomId),
    Refused(Refusal),
    NoToken,
    Evicted,
    Body(&'static str),
    BodyTooLong,
    BodyTooSlow,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, reason) = match self {
            Self::Id(error) => (StatusCode::BAD_REQUEST, error.to_string()),
            Self::NoToken => {
                (StatusCode::UNAUTHORIZED, "the member's bearer token is missing".into())
            }
            Self::Evicted => {
                (StatusCode::SERVICE_UNAVAILABLE, "too many connections; try later".into())
            }
            Self::Body(reason) => (StatusCode::UNPROCESSABLE_ENTITY, reason.into()),
            Self::BodyTooLong => {
                (StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {MAX_BODY} bytes"))
            }
            Self::BodyTooSlow => {
                (StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time".into())
            }
            Self::Refused(refusal) => {
                let status = match refusal {
                    Refusal::Full | Refusal::Undecided(_) => StatusCode::CONFLICT,
                    Refusal::TooManyRooms => StatusCode::SERVICE_UNAVAILABLE,
                    Refusal::NotAMember => StatusCode::FORBIDDEN,
                    Refusal::PeerGone => StatusCode::GONE,
                    Refusal::TooManySeats | Refusal::InboxFull | Refusal::TooManyRequests => {
                        StatusCode::TOO_MANY_REQUESTS
                    }
                };
                (status, refusal.to_string())
            }
        };
        (status, Json(serde_json::json!({ "error": reason }))).into_response()
    }
}

impl From<BadRoomId> for Failure {
    fn from(error: BadRoomId) -> Self {
        Self::Id(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// An open request of a member. While it exists, the member counts as present, and its connection
/// needs no slot.
struct MemberRequest {
    rooms: Shared,
    room: RoomId,
    token: MemberToken,
}

impl MemberRequest {
    fn begin(
        rooms: &Shared,
        caller: &Caller,
        room: &str,
        headers: &HeaderMap,
    ) -> Result<Self, Failure> {
        let (room, token) = (room.parse()?, bearer(headers)?);
        lock(rooms).begin_request(Instant::now(), room, token)?;
        let member = Self { rooms: Arc::clone(rooms), room, token };
        if caller.slot.promote() { Ok(member) } else { Err(Failure::Evicted) }
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        lock(&self.rooms)
    }
}

impl Drop for MemberRequest {
    fn drop(&mut self) {
        self.rooms().end_request(Instant::now(), self.room, self.token);
    }
}

async fn join(
    State(rooms): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(room): Path<String>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Failure> {
    let client = caller.client(&headers);
    let (room, token) = (room.parse()?, MemberToken(rand::random()));
    let Seated { role, member } = match seat(&rooms, room, token, client) {
        // One of the members may be stale, which shows within a few seconds.
        Err(Refusal::Undecided(at)) => {
            tokio::time::sleep_until(at.into()).await;
            seat(&rooms, room, token, client)?
        }
        decided => decided?,
    };
    Ok((StatusCode::CREATED, Json(Joined { token: token.to_string(), role, member })))
}

fn seat(
    rooms: &Shared,
    room: RoomId,
    token: MemberToken,
    client: IpAddr,
) -> Result<Seated, Refusal> {
    lock(rooms).join(Instant::now(), room, token, client)
}

async fn leave(
    State(rooms): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(room): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    let member = MemberRequest::begin(&rooms, &caller, &room, &headers)?;
    member.rooms().leave(Instant::now(), member.room, member.token)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn send(
    State(rooms): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(room): Path<String>,
    request: Request,
) -> Result<StatusCode, Failure> {
    let member = MemberRequest::begin(&rooms, &caller, &room, request.headers())?;
    let body = body(request.into_body()).await?;
    let PostedSignals { to, signals } = serde_json::from_slice(&body)
        .map_err(|_| Failure::Body("the body is not a list of sealed signals"))?;
    let is_sealed = |text: &String| {
        text.len() <= MAX_SEALED
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if signals.len() > MAX_POST || !signals.iter().all(is_sealed) {
        return Err(Failure::Body(
            "too many signals in one body, or one is too long or not sealed",
        ));
    }
    member.rooms().post(Instant::now(), member.room, member.token, to, signals)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn body(body: Body) -> Result<axum::body::Bytes, Failure> {
    let collected =
        tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await;
    Ok(collected.map_err(|_| Failure::BodyTooSlow)?.map_err(|_| Failure::BodyTooLong)?.to_bytes())
}

async fn poll(
    State(rooms): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(room): Path<String>,
    Query(query): Query<Poll>,
    headers: HeaderMap,
) -> Result<Json<Batch>, Failure> {
    let member = MemberRequest::begin(&rooms, &caller, &room, &headers)?;
    let (room, token) = (member.room, member.token);
    let mut news = member.rooms().news(Instant::now(), room, token)?;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(query.wait).min(LONGEST_WAIT);
    loop {
        let batch = member.rooms().take(Instant::now(), room, token, query.after)?;
        let peer_changed = query.peer.is_some_and(|known| known != batch.peer);
        if !batch.signals.is_empty() || peer_changed {
            return Ok(Json(batch));
        }
        match tokio::time::timeout_at(deadline, news.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(Refusal::NotAMember.into()),
            Err(_) => return Ok(Json(batch)),
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

/// Ignores poisoning: each change to the rooms is complete before a panic could happen.
fn lock(rooms: &Shared) -> MutexGuard<'_, Rooms> {
    rooms.lock().unwrap_or_else(PoisonError::into_inner)
}
