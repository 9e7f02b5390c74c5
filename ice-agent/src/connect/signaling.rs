//! This agent's membership in a room: sends sealed signals in order, and receives the other
//! agent's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use hyper::{Method, StatusCode};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::output::complain;
use crate::rendezvous::http::{Joined, LONGEST_WAIT, MAX_POST, PostedSignals};
use crate::rendezvous::{Batch, NumberedSignal, Peer, Role, RoomKey, Signal};
use crate::transport::http::{HttpClient, HttpError};

/// Timeout of requests other than polls.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before a failed request is repeated.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Pause after a poll without signals.
const EMPTY_PAUSE: Duration = Duration::from_millis(20);
/// How long requests may fail before the rendezvous counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(10);
/// Maximum number of signals that are kept for the other member; an agent has fewer candidates.
const MAX_OUTGOING: usize = 256;
/// Pause before the agent tries to join a full room again: one of its members may be stale.
const FULL_PAUSE: Duration = Duration::from_secs(2);
/// How long the agent tries to join a full room. A stale member behind a proxy, which hides the
/// broken connection, expires only after its last poll.
const FULL_PATIENCE: Duration = LONGEST_WAIT.saturating_add(Duration::from_secs(10));
/// How long a leaving member waits until its last signals are posted.
const FLUSH: Duration = Duration::from_secs(2);

/// An event in the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RoomEvent {
    /// The other member sent a signal.
    Signal {
        /// The run of the agent that sent it. A call is with one run.
        from: u64,
        signal: Signal,
    },
    /// The other member came or left.
    Peer {
        /// The current state of the other member.
        peer: Peer,
        /// Whether this agent had to join again, because the rendezvous gave its seat away.
        rejoined: bool,
    },
    /// A request to the rendezvous failed and is repeated.
    Problem(String),
    /// The rendezvous has not answered for [`LOST_AFTER`], or a retry would not help.
    Lost(String),
}

/// A seat in a room. [`Membership::leave`] gives it up; if this is dropped without that, the
/// rendezvous notices the missing requests.
#[derive(Debug)]
pub(super) struct Membership {
    session: Arc<Session>,
    poster: JoinHandle<()>,
    poller: JoinHandle<()>,
}

#[derive(Debug)]
struct Session {
    http: HttpClient,
    key: RoomKey,
    /// The random id of this run of this agent.
    agent: u64,
    seat: Mutex<Joined>,
    outgoing: Mutex<Outgoing>,
    more: Notify,
}

/// The signals of this agent for the other one, and how many of them have been posted.
#[derive(Debug, Default)]
struct Outgoing {
    /// The member that gets the signals; `None` while there is none.
    to: Option<u64>,
    signals: Vec<Signal>,
    posted: usize,
    /// The number of the conversation, so that a completed post is counted in its own conversation
    /// only.
    conversation: u64,
}

impl Membership {
    /// Joins the room and sends its events to `events`. Tries to join a full room for `patience` at
    /// most.
    ///
    /// # Errors
    /// The rendezvous does not answer, or refuses: the room is full, or there are too many rooms.
    pub(super) async fn join<E: From<RoomEvent> + Send + 'static>(
        http: HttpClient,
        key: RoomKey,
        patience: Duration,
        events: mpsc::Sender<E>,
    ) -> anyhow::Result<Self> {
        let until = Instant::now() + patience.min(FULL_PATIENCE);
        let mut is_reported = false;
        let joined = loop {
            match join(&http, &key).await {
                Err(HttpError::Status { status: StatusCode::CONFLICT, reason })
                    if Instant::now() + FULL_PAUSE < until =>
                {
                    if !std::mem::replace(&mut is_reported, true) {
                        complain(format_args!("{reason}; waiting until one of them leaves"));
                    }
                    tokio::time::sleep(FULL_PAUSE).await;
                }
                joined => {
                    break joined
                        .with_context(|| format!("cannot join the room at {}", http.base))?;
                }
            }
        };
        let (seat, outgoing) = (Mutex::new(joined), Mutex::default());
        let session = Arc::new(Session {
            http,
            key,
            agent: rand::random(),
            seat,
            outgoing,
            more: Notify::new(),
        });
        let poster = tokio::spawn(post_all(Arc::clone(&session), events.clone()));
        let poller = tokio::spawn(poll_all(Arc::clone(&session), events));
        Ok(Self { session, poster, poller })
    }

    #[must_use]
    pub(super) fn role(&self) -> Role {
        self.session.seat().role
    }

    /// Queues a signal for the other member, in order. It is sent when [`send_to`](Self::send_to)
    /// has named the member.
    pub(super) fn send(&self, signal: Signal) {
        let mut outgoing = self.session.outgoing();
        if outgoing.signals.len() < MAX_OUTGOING {
            outgoing.signals.push(signal);
        }
        drop(outgoing);
        self.session.more.notify_one();
    }

    /// Sends all signals to this member from the first one on. `afresh` discards the signals so
    /// far.
    pub(super) fn send_to(&self, member: u64, afresh: bool) {
        let mut outgoing = self.session.outgoing();
        outgoing.to = Some(member);
        outgoing.posted = 0;
        outgoing.conversation += 1;
        if afresh {
            outgoing.signals.clear();
        }
        drop(outgoing);
        self.session.more.notify_one();
    }

    /// Stops sending until [`send_to`](Self::send_to) names a member.
    pub(super) fn pause(&self) {
        self.session.outgoing().to = None;
    }

    /// Posts the remaining signals, then gives the seat up.
    pub(super) async fn leave(self) {
        let Self { session, poster, poller } = self;
        let flushed = async {
            while session.outgoing().due().is_some() {
                tokio::time::sleep(EMPTY_PAUSE).await;
            }
        };
        let _ = tokio::time::timeout(FLUSH, flushed).await;
        poller.abort();
        poster.abort();
        // If this fails, the rendezvous notices that the member is gone.
        let _ = session.request(Method::DELETE, "members", Vec::new(), FLUSH).await;
    }
}

/// The signals of one POST request.
#[derive(Debug, PartialEq, Eq)]
struct Delivery {
    /// The member that gets them.
    to: u64,
    /// The number of the first signal.
    first: usize,
    signals: Vec<Signal>,
}

impl Outgoing {
    /// The next delivery, if there is a receiver and a signal.
    fn due(&self) -> Option<Delivery> {
        let to = self.to?;
        let waiting = &self.signals[self.posted.min(self.signals.len())..];
        let signals: Vec<Signal> = waiting.iter().take(MAX_POST / 2).cloned().collect();
        (!signals.is_empty()).then_some(Delivery { to, first: self.posted + 1, signals })
    }
}

async fn join(http: &HttpClient, key: &RoomKey) -> Result<Joined, HttpError> {
    let body = http
        .request(
            Method::POST,
            &format!("/rooms/{}/members", key.id()),
            None,
            Vec::new(),
            REQUEST_TIMEOUT,
        )
        .await?;
    serde_json::from_slice(&body)
        .map_err(|_| HttpError::Protocol("the server is not a rendezvous".into()))
}

impl Session {
    // Each change under these locks is complete before a panic could poison them.
    fn seat(&self) -> MutexGuard<'_, Joined> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn request(
        &self,
        method: Method,
        what: &str,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, HttpError> {
        let token = self.seat().token.clone();
        self.http
            .request(
                method,
                &format!("/rooms/{}/{what}", self.key.id()),
                Some(&token),
                body,
                timeout,
            )
            .await
    }

    fn seal(&self, number: usize, signal: Signal) -> String {
        self.key.seal(
            rand::random(),
            &NumberedSignal { from: self.agent, number: number as u64, signal },
        )
    }

    async fn post(&self, Delivery { to, first, signals }: Delivery) -> Result<(), HttpError> {
        let sealed =
            signals.into_iter().enumerate().map(|(index, signal)| self.seal(first + index, signal));
        let body = serde_json::to_vec(&PostedSignals { to, signals: sealed.collect() })
            .expect("texts and a number");
        self.request(Method::POST, "signals", body, REQUEST_TIMEOUT).await.map(|_| ())
    }
}

/// The start of an outage, while there is one.
#[derive(Debug, Default)]
struct Outage(Option<Instant>);

impl Outage {
    /// The event for a failure: the first failure and the loss are reported, those between are not.
    fn note(&mut self, error: &HttpError) -> Option<RoomEvent> {
        let is_first = self.0.is_none();
        let since = *self.0.get_or_insert_with(Instant::now);
        if !is_passing(error) || since.elapsed() >= LOST_AFTER {
            Some(RoomEvent::Lost(error.to_string()))
        } else {
            is_first.then(|| RoomEvent::Problem(format!("{error}; retrying")))
        }
    }

    fn end(&mut self) {
        self.0 = None;
    }
}

/// Whether the same request may succeed later.
fn is_passing(error: &HttpError) -> bool {
    match error {
        HttpError::Status { status, .. } => {
            status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
        }
        HttpError::Io(_) | HttpError::Timeout | HttpError::Protocol(_) => true,
        HttpError::Tls(_) => false,
    }
}

async fn post_all<E: From<RoomEvent>>(session: Arc<Session>, events: mpsc::Sender<E>) {
    let mut outage = Outage::default();
    loop {
        let (due, conversation) = {
            let outgoing = session.outgoing();
            (outgoing.due(), outgoing.conversation)
        };
        let Some(post) = due else {
            session.more.notified().await;
            continue;
        };
        let count = post.signals.len();
        let posted = session.post(post).await;
        let is_current = |outgoing: &Outgoing| outgoing.conversation == conversation;
        match posted {
            Ok(()) => {
                outage.end();
                let mut outgoing = session.outgoing();
                if is_current(&outgoing) {
                    outgoing.posted += count;
                }
            }
            // The other member is gone, or our seat is: the poller will notice, and name the next
            // member.
            Err(HttpError::Status { status: StatusCode::GONE | StatusCode::FORBIDDEN, .. }) => {
                let mut outgoing = session.outgoing();
                if is_current(&outgoing) {
                    outgoing.to = None;
                }
            }
            Err(error) => {
                if let Some(event) = outage.note(&error)
                    && !tell(&events, event).await
                {
                    return;
                }
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

async fn poll_all<E: From<RoomEvent>>(session: Arc<Session>, events: mpsc::Sender<E>) {
    let mut state = PollState::new();
    let mut outage = Outage::default();
    loop {
        let what = format!(
            "signals?after={}&wait={}&peer={}",
            state.after,
            LONGEST_WAIT.as_secs(),
            state.peer
        );
        let answer =
            session.request(Method::GET, &what, Vec::new(), LONGEST_WAIT + REQUEST_TIMEOUT).await;
        let batch = answer.and_then(|body| {
            serde_json::from_slice(&body).map_err(|error| HttpError::Protocol(error.to_string()))
        });
        let told = match batch {
            Ok(batch) => {
                outage.end();
                let news = state.listen(&session, &batch);
                if news.is_empty() {
                    // A rendezvous that answers polls at once must not make us spin.
                    tokio::time::sleep(EMPTY_PAUSE).await;
                }
                news
            }
            // The rendezvous gave the seat away while our requests did not arrive, or was
            // restarted.
            Err(HttpError::Status { status: StatusCode::FORBIDDEN, .. }) => {
                tokio::time::sleep(RETRY_PAUSE).await;
                match join(&session.http, &session.key).await {
                    Ok(joined) => {
                        *session.seat() = joined;
                        state = PollState { rejoined: true, ..PollState::new() };
                        Vec::new()
                    }
                    Err(error) => outage.note(&error).into_iter().collect(),
                }
            }
            Err(error) => {
                let told = outage.note(&error).into_iter().collect();
                tokio::time::sleep(RETRY_PAUSE).await;
                told
            }
        };
        for event in told {
            if !tell(&events, event).await {
                return;
            }
        }
    }
}

/// Sends an event to the call, and returns whether to continue: neither the rendezvous is lost nor
/// the call over.
async fn tell<E: From<RoomEvent>>(events: &mpsc::Sender<E>, event: RoomEvent) -> bool {
    let is_lost = matches!(event, RoomEvent::Lost(_));
    events.send(event.into()).await.is_ok() && !is_lost
}

/// The state of the long poll: how far this agent has received signals.
struct PollState {
    after: u64,
    peer: Peer,
    rejoined: bool,
    /// The run of the other agent and the number of its last signal.
    heard: Option<(u64, u64)>,
}

impl PollState {
    fn new() -> Self {
        Self { after: 0, peer: Peer::Absent, rejoined: false, heard: None }
    }

    fn listen(&mut self, session: &Session, batch: &Batch) -> Vec<RoomEvent> {
        let mut news = Vec::new();
        self.after = batch.last;
        let is_new = batch.peer != self.peer;
        // A member's signals come before the event that it left, and after the event that it came.
        let comes = is_new && matches!(batch.peer, Peer::Present(_));
        if comes {
            self.heard = None;
            news.push(RoomEvent::Peer {
                peer: batch.peer,
                rejoined: std::mem::take(&mut self.rejoined),
            });
        }
        for sealed in &batch.signals {
            match session.key.open(sealed) {
                Ok(signal) => news.extend(self.take(session, signal)),
                Err(error) => news.push(RoomEvent::Problem(error.to_string())),
            }
        }
        if is_new && !comes {
            news.push(RoomEvent::Peer { peer: batch.peer, rejoined: false });
        }
        self.peer = batch.peer;
        news
    }

    /// Accepts a signal, unless the rendezvous repeated it, reflected it, or took it from another
    /// conversation.
    fn take(
        &mut self,
        session: &Session,
        NumberedSignal { from, number, signal }: NumberedSignal,
    ) -> Option<RoomEvent> {
        let is_next = self.heard.is_none_or(|(agent, last)| agent == from && number > last);
        if from == session.agent || !is_next {
            return None;
        }
        self.heard = Some((from, number));
        Some(RoomEvent::Signal { from, signal })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rendezvous::RoomSecret;

    const DONE: Signal = Signal::EndOfCandidates {};

    fn session(agent: u64) -> Session {
        let seat = Mutex::new(Joined { token: String::new(), role: Role::Controlling, member: 1 });
        let http = HttpClient::direct("http://127.0.0.1:9".parse().unwrap());
        let key = RoomKey::of_secret(&RoomSecret::from_random([3; 16]));
        Session { http, key, agent, seat, outgoing: Mutex::default(), more: Notify::new() }
    }

    fn batch(last: u64, peer: Peer, signals: Vec<String>) -> Batch {
        Batch { signals, last, peer }
    }

    #[test]
    fn a_rendezvous_that_repeats_reflects_or_invents_is_not_believed() {
        let (ours, theirs) = (session(1), session(2));
        let mut state = PollState::new();
        let first = theirs.seal(1, DONE);
        let news = state.listen(
            &ours,
            &batch(3, Peer::Present(2), vec![first.clone(), ours.seal(1, DONE), "AAAA".into()]),
        );
        let came = RoomEvent::Peer { peer: Peer::Present(2), rejoined: false };
        let (outgoing, invented) = (
            RoomEvent::Signal { from: 2, signal: DONE },
            RoomEvent::Problem(crate::rendezvous::BadSeal.to_string()),
        );
        assert_eq!(news, [came, outgoing.clone(), invented]);
        assert!(
            state
                .listen(
                    &ours,
                    &batch(6, Peer::Present(2), vec![first.clone(), session(3).seal(9, DONE)])
                )
                .is_empty()
        );
        assert_eq!(
            state.listen(&ours, &batch(7, Peer::Present(2), vec![theirs.seal(2, DONE)])),
            [outgoing]
        );
    }

    #[test]
    fn last_words_are_heard_before_the_leaving() {
        let (ours, theirs) = (session(1), session(2));
        let mut state = PollState::new();
        state.listen(&ours, &batch(0, Peer::Present(2), Vec::new()));
        let news = state.listen(&ours, &batch(1, Peer::Left, vec![theirs.seal(1, DONE)]));
        assert!(
            matches!(
                news[..],
                [RoomEvent::Signal { .. }, RoomEvent::Peer { peer: Peer::Left, .. }]
            ),
            "{news:?}"
        );
    }

    #[test]
    fn who_comes_later_is_told_everything_from_the_first_word() {
        let mut outgoing = Outgoing { signals: vec![DONE; 3], ..Outgoing::default() };
        assert!(outgoing.due().is_none(), "there is no receiver");
        outgoing.to = Some(2);
        assert_eq!(outgoing.due(), Some(Delivery { to: 2, first: 1, signals: vec![DONE; 3] }));
        outgoing.posted = 3;
        assert!(outgoing.due().is_none());
    }

    #[test]
    fn a_certificate_that_is_not_trusted_is_not_tried_again() {
        let mut outage = Outage::default();
        let refused = HttpError::Io(std::io::ErrorKind::ConnectionRefused.into());
        assert!(matches!(outage.note(&refused), Some(RoomEvent::Problem(_))), "reported at once");
        assert_eq!(outage.note(&refused), None, "and once");
        outage.end();
        assert!(
            matches!(outage.note(&refused), Some(RoomEvent::Problem(_))),
            "the next outage is another one"
        );
        let untrusted = HttpError::Tls(crate::transport::OpenError::Handshake {
            protocol: "TLS",
            reason: "x".into(),
        });
        assert!(matches!(outage.note(&untrusted), Some(RoomEvent::Lost(_))));
    }
}
