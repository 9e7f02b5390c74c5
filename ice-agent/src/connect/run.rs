//! Runs one [`Call`]: connects it with sockets, timers, relays and the room.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::sync::mpsc;

use super::arguments::Args;
use super::call::{Call, Output, Phase};
use super::candidate::{LocalCandidate, LocalPreferences};
use super::describe;
use super::event::Event;
use super::exchange::Plan;
use super::gathering::Problem;
use super::host::{self, Bound, HostPolicy};
use super::ice::Ice;
use super::ice_credentials::IceCredentials;
use super::meeting::Meeting;
use super::reflexive::{Found, Reflexive};
use super::relay::{Relay, RelayCommand, RelayEvent};
use super::report::Report;
use super::resolving::Resolving;
use super::signaling::{Membership, RoomEvent};
use super::sockets::{HostDatagram, HostSockets};
use super::trace::PairAddresses;
use crate::credentials::Credentials;
use crate::interrupt::interrupted;
use crate::output::{self, complain};
use crate::reach::Reach;
use crate::redact::Kind;
use crate::rendezvous::{Peer, Role, Signal};
use crate::transport::http::HttpClient;
use crate::uri::ServerUri;

/// Maximum number of queued events.
const MAX_EVENTS: usize = 1024;
/// Maximum number of problems in the report.
const MAX_PROBLEMS: usize = 64;

/// Runs one call from gathering to the report.
///
/// # Errors
/// The rendezvous does not answer, the room is full, there is no address to offer, no peer came in
/// time, or the program was interrupted.
pub(super) async fn call(args: Args, plan: Plan) -> anyhow::Result<Report> {
    let credentials = args.credentials.load()?;
    let reach = Arc::new(args.reach.load()?);
    let wait = Duration::from_secs(args.wait);
    let meeting = Meeting::of(&args.rendezvous, args.room.as_ref(), rand::random())?;
    output::learn(Kind::Host, meeting.base.host());
    let (events, inbox) = mpsc::channel(MAX_EVENTS);
    let policy = HostPolicy { only: args.bind.clone(), loopback: args.loopback };
    let Bound { sockets, incomplete } = match args.relay_only {
        true => Bound { sockets: Vec::new(), incomplete: None },
        false => host::bind(&policy).await.context("host candidates")?,
    };
    let shown = meeting.shown.clone();
    let membership = join_room(meeting, &reach, wait, &events).await?;
    let servers: &[ServerUri] = if args.no_relay { &[] } else { &args.turn };
    let relays = start_relays(servers, &reach, credentials.as_ref(), &events);

    let now = Instant::now();
    let mut run = Run {
        call: new_call(now, plan, membership.role()),
        plan,
        preferences: LocalPreferences::default(),
        sockets: HostSockets::start(sockets, &events),
        resolving: Resolving::start(&args.stun, &reach, &events),
        reflexives: Vec::new(),
        relays,
        membership,
        inbox,
        problems: incomplete
            .map(|reason| Problem::new("this host", "interfaces", reason))
            .into_iter()
            .collect(),
        wait,
        peer_by: now + wait,
        select_within: Duration::from_secs(args.timeout),
        checking_since: None,
        paired: None,
        newcomer: None,
        lost: None,
    };
    run.gather().await;
    let ended = run.drive().await;
    let Run { call, relays, membership, problems, checking_since, .. } = run;
    for relayed in relays {
        relayed.relay.close().await;
    }
    membership.leave().await;
    ended?;
    Ok(describe::report(shown, &call, checking_since, problems))
}

/// Joins the room of the meeting, and tells the user what to do next.
async fn join_room(
    meeting: Meeting,
    reach: &Reach,
    wait: Duration,
    events: &mpsc::Sender<Event>,
) -> anyhow::Result<Membership> {
    let http = HttpClient {
        proxy: reach.proxy_to_web(&meeting.base),
        trust: reach.trust().clone(),
        base: meeting.base,
    };
    let membership = Membership::join(http, meeting.key, wait, events.clone()).await?;
    if let Some(notice) = meeting.notice {
        // Not redacted: the other agent could not use a redacted link.
        causeway_cli::complain(notice);
    }
    complain(format_args!(
        "in room {} as {:?}; waiting for the peer",
        meeting.shown,
        membership.role()
    ));
    Ok(membership)
}

/// Starts a task for each TURN server.
fn start_relays(
    servers: &[ServerUri],
    reach: &Arc<Reach>,
    credentials: Option<&Credentials>,
    events: &mpsc::Sender<Event>,
) -> Vec<Relayed> {
    let start = |(index, server): (usize, &ServerUri)| Relayed {
        relay: Relay::start(
            index,
            server.clone(),
            Arc::clone(reach),
            credentials.cloned(),
            events.clone(),
        ),
        server: server.clone(),
        addresses: Vec::new(),
        ended: false,
    };
    servers.iter().enumerate().map(start).collect()
}

fn new_call(now: Instant, plan: Plan, role: Role) -> Call {
    let credentials = IceCredentials::from_random(rand::random());
    let ice = Ice::new(now, &credentials, role == Role::Controlling, rand::random());
    Call::new(now, ice, credentials, plan, rand::random())
}

struct Run {
    call: Call,
    plan: Plan,
    preferences: LocalPreferences,
    sockets: HostSockets,
    resolving: Resolving,
    reflexives: Vec<Reflexive>,
    relays: Vec<Relayed>,
    membership: Membership,
    inbox: mpsc::Receiver<Event>,
    problems: Vec<Problem>,
    wait: Duration,
    peer_by: Instant,
    select_within: Duration,
    checking_since: Option<Instant>,
    /// The run of the peer's agent that this call is with.
    paired: Option<u64>,
    /// A member that came later and has not sent a signal, so that its agent is still unknown.
    newcomer: Option<u64>,
    /// Why the rendezvous counts as lost.
    lost: Option<String>,
}

/// A relay and its candidates.
struct Relayed {
    relay: Relay,
    server: ServerUri,
    /// The relayed addresses: none yet, one, or one of each family.
    addresses: Vec<SocketAddr>,
    ended: bool,
}

impl Run {
    /// Offers the host candidates. Requests for reflexive ones start as soon as the servers'
    /// addresses are known.
    async fn gather(&mut self) {
        let now = Instant::now();
        for base in self.sockets.bases() {
            self.offer(now, LocalCandidate::host(base));
            self.reflexives.push(Reflexive::new(base, Instant::now()));
        }
        self.carry_out().await;
    }

    fn offer(&mut self, now: Instant, mut candidate: LocalCandidate) {
        self.preferences.assign(&mut candidate);
        self.call.add_local(now, candidate);
    }

    /// Runs until the call is over or a deadline has passed.
    async fn drive(&mut self) -> anyhow::Result<()> {
        let interrupted = interrupted();
        tokio::pin!(interrupted);
        loop {
            let now = Instant::now();
            self.take_reflexive(now);
            let relays_known =
                self.relays.iter().all(|relayed| relayed.ended || !relayed.addresses.is_empty());
            if relays_known
                && self.resolving.is_over()
                && self.reflexives.iter().all(Reflexive::is_over)
            {
                self.call.end_gathering(now);
            }
            self.carry_out().await;
            if self.call.phase() == Phase::Over {
                return Ok(());
            }
            if let Some(reason) = self
                .lost
                .as_ref()
                .filter(|_| self.checking_since.is_none() && self.call.selected().is_none())
            {
                bail!("the rendezvous is lost before a peer came: {reason}");
            }
            let deadline = self.deadline();
            if deadline.is_some_and(|deadline| deadline <= now) {
                match (self.checking_since, self.paired) {
                    (Some(_), _) => return Ok(()),
                    (None, None) => bail!("no peer came into the room in time (see --wait)"),
                    (None, Some(_)) => bail!(
                        "the peer disappeared before a pair was selected, and did not come back \
                        in time"
                    ),
                }
            }
            let timers = self.reflexives.iter().filter_map(Reflexive::poll_timeout);
            let due = timers.chain(self.call.poll_timeout()).chain(deadline).min();
            let due = due.unwrap_or_else(|| now + Duration::from_secs(1));
            tokio::select! {
                event = self.inbox.recv() => match event {
                    Some(event) => self.handle(event),
                    None => bail!("all sources of events ended"),
                },
                () = tokio::time::sleep_until(due.into()) => {
                    let now = Instant::now();
                    self.reflexives.iter_mut().for_each(|reflexive| reflexive.handle_timeout(now));
                    self.call.handle_timeout(now);
                }
                ended = &mut interrupted => {
                    ended.context("waiting for an interrupt")?;
                    bail!("interrupted");
                }
            }
        }
    }

    /// The deadline for the peer to come, then the deadline for a pair to be selected; `None`
    /// afterwards.
    fn deadline(&self) -> Option<Instant> {
        match self.checking_since {
            _ if self.call.selected().is_some() => None,
            None => Some(self.peer_by),
            Some(since) => Some(since + self.select_within),
        }
    }

    fn handle(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Host(HostDatagram { base, from, datagram }) => {
                let mut reflexives =
                    self.reflexives.iter_mut().filter(|reflexive| reflexive.base() == base);
                if !reflexives.any(|reflexive| reflexive.handle_input(now, from, &datagram)) {
                    self.call.handle_datagram(
                        now,
                        PairAddresses { local: base, remote: from },
                        &datagram,
                    );
                }
            }
            Event::Relay(event) => self.handle_relay(now, event),
            Event::Room(event) => self.handle_room(now, event),
            Event::Resolved(resolved) => {
                self.resolving.notes(&resolved).into_iter().for_each(|note| self.problem(note));
                match self.resolving.handle(resolved) {
                    Some(Ok((server, addresses))) => {
                        for reflexive in &mut self.reflexives {
                            reflexive.request(now, &server, &addresses);
                        }
                    }
                    Some(Err(problem)) => self.problem(problem),
                    None => {}
                }
            }
        }
    }

    fn handle_room(&mut self, now: Instant, event: RoomEvent) {
        match event {
            RoomEvent::Signal { from, signal } => self.handle_signal(now, from, signal),
            RoomEvent::Peer { peer: Peer::Present(member), rejoined }
                if rejoined || self.paired.is_none() =>
            {
                self.newcomer = None;
                self.membership.send_to(member, false);
            }
            // The peer's agent with another seat, or another agent: the first signal will show.
            RoomEvent::Peer { peer: Peer::Present(member), .. } => {
                self.newcomer = Some(member);
                self.membership.pause();
            }
            RoomEvent::Peer { peer: Peer::Left, .. } => {
                self.membership.pause();
                if self.paired.is_some() {
                    if self.call.selected().is_none() {
                        self.problem(Problem::new(
                            "peer",
                            "ICE",
                            "left before a pair was selected",
                        ));
                    }
                    self.call.peer_left(now);
                }
            }
            RoomEvent::Peer { peer: Peer::Absent, .. } => {
                self.membership.pause();
                if self.paired.is_some() && self.call.selected().is_none() {
                    self.problem(Problem::new(
                        "peer",
                        "signals",
                        "disappeared before a pair was selected; waiting for it",
                    ));
                    self.checking_since = None;
                    self.peer_by = now + self.wait;
                }
            }
            RoomEvent::Problem(reason) => {
                self.problem(Problem::new("rendezvous", "signals", reason));
            }
            RoomEvent::Lost(reason) => {
                self.problem(Problem::new("rendezvous", "signals", format!("lost: {reason}")));
                self.lost = Some(reason);
            }
        }
    }

    fn handle_signal(&mut self, now: Instant, from: u64, signal: Signal) {
        if let Some(member) = self.newcomer.take() {
            if self.paired == Some(from) {
                self.membership.send_to(member, false);
            } else if self.call.selected().is_none() {
                self.start_over(now, member);
            }
        }
        // Once a pair is selected, the call stays with the agent that it began with.
        if *self.paired.get_or_insert(from) != from {
            return;
        }
        self.checking_since.get_or_insert(now);
        self.call.handle_signal(now, signal);
    }

    /// Restarts the call with the same candidates, because the peer's agent was restarted.
    fn start_over(&mut self, now: Instant, member: u64) {
        let locals: Vec<LocalCandidate> =
            self.call.ice().locals().iter().map(|(local, _)| local.clone()).collect();
        self.call = new_call(now, self.plan, self.membership.role());
        self.membership.send_to(member, true);
        for local in locals {
            self.call.add_local(now, local);
        }
        self.paired = None;
        self.checking_since = None;
        self.peer_by = now + self.wait;
    }

    fn handle_relay(&mut self, now: Instant, event: RelayEvent) {
        match event {
            RelayEvent::Allocated { relay, allocated, transport } => {
                let relayed = &mut self.relays[relay];
                relayed.addresses =
                    [Some(allocated.relayed), allocated.additional].into_iter().flatten().collect();
                let (server, addresses) = (relayed.server.clone(), relayed.addresses.clone());
                for address in addresses {
                    self.offer(now, LocalCandidate::relayed(address, &server, transport));
                }
            }
            RelayEvent::Ended { relay } => self.relays[relay].ended = true,
            RelayEvent::Problem(problem) => self.problem(problem),
            RelayEvent::Datagram { relayed, peer, data } => {
                self.call.handle_datagram(
                    now,
                    PairAddresses { local: relayed, remote: peer },
                    &data,
                );
            }
        }
    }

    /// Offers the reflexive candidates that were found.
    fn take_reflexive(&mut self, now: Instant) {
        for index in 0..self.reflexives.len() {
            while let Some(found) = self.reflexives[index].poll_found(now) {
                match found {
                    Ok(found) => {
                        let base = self.reflexives[index].base();
                        let Found { server, mapped } = found;
                        self.offer(now, LocalCandidate::reflexive(mapped, base, &server));
                    }
                    Err(problem) => self.problem(problem),
                }
            }
        }
    }

    async fn carry_out(&mut self) {
        for reflexive in &mut self.reflexives {
            while let Some(transmit) = reflexive.poll_transmit() {
                self.sockets.send(reflexive.base(), transmit.destination, &transmit.payload).await;
            }
        }
        while let Some(output) = self.call.poll_output() {
            match output {
                Output::Send(pair, datagram) => match self.relay_at(pair.local) {
                    Some(relay) => relay.command(RelayCommand::Send(pair.remote, datagram)),
                    None => self.sockets.send(pair.local, pair.remote, &datagram).await,
                },
                Output::Signal(signal) => self.membership.send(signal),
                Output::Permit(ip) => {
                    for relayed in &self.relays {
                        relayed.relay.command(RelayCommand::Permit(ip));
                    }
                }
                Output::Selected(pair) => {
                    complain(format_args!("selected {} <-> {}", pair.local, pair.remote));
                    if let Some(relay) = self.relay_at(pair.local) {
                        relay.command(RelayCommand::Bind(pair.remote));
                    }
                }
                Output::Problem(reason) => self.problem(Problem::new("peer", "ICE", reason)),
            }
        }
    }

    fn relay_at(&self, address: SocketAddr) -> Option<&Relay> {
        self.relays
            .iter()
            .find(|relayed| relayed.addresses.contains(&address))
            .map(|relayed| &relayed.relay)
    }

    /// Prints a problem and adds it to the report, up to a limit: a peer must not be able to flood
    /// the terminal.
    fn problem(&mut self, problem: Problem) {
        if self.problems.len() < MAX_PROBLEMS && !self.problems.contains(&problem) {
            complain(&problem);
            self.problems.push(problem);
        }
    }
}
