//! What one relay's task does: find an address that serves, allocate, relay, delete.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use causeway_client::{Advice, Alternate, Event, Failure, Redirections, SendError};
use causeway_wire::attribute::AddressFamily;
use causeway_wire::{ErrorCode, Method};
use tokio::sync::mpsc;

use super::{RelayCommand, RelayEvent};
use crate::connect::gathering::{Problem, TIMING};
use crate::credentials::Credentials;
use crate::discovery::{Discovered, Endpoint};
use crate::reach::Reach;
use crate::transport::Usage;
use crate::transport::target::Target;
use crate::transport::turn::{SendFailure, TurnConnection};
use crate::uri::ServerUri;

/// Datagrams that wait for a peer's permission, of all peers: the checks that were faster than the
/// server's answer.
const MAX_WAITING: usize = 64;
/// Addresses and ports that are tried at a server in all: "up to three times" after a 437 (RFC 8656
/// §7.4), and where a 300 leads.
const MAX_ATTEMPTS: usize = 8;
/// Attempts at one address.
const ATTEMPTS: usize = 3;

pub(super) struct RelayTask<E> {
    relay: usize,
    server: ServerUri,
    reach: Arc<Reach>,
    credentials: Option<Credentials>,
    events: mpsc::Sender<E>,
    commands: mpsc::Receiver<RelayCommand>,
    /// Whether a relayed address of each family is asked for.
    both_families: bool,
    waiting: VecDeque<(SocketAddr, Vec<u8>)>,
}

/// What has been tried, so that addresses that DNS tells later do not begin it all again.
#[derive(Debug, Default)]
struct Tried {
    attempts: usize,
    refused: Vec<IpAddr>,
}

/// How one attempt ended.
enum End {
    /// The call is over, or the allocation was lost after it served.
    Over,
    /// Try again from another port.
    OtherPort,
    /// Try there.
    OtherServer(Alternate),
    /// Try again for one relayed address.
    OneFamily,
    /// The server answered, and will not do better at another of its ports.
    Refused,
    /// Nothing to be had at this address.
    Failed,
}

impl<E: From<RelayEvent> + Send + 'static> RelayTask<E> {
    pub(super) fn new(
        relay: usize,
        server: ServerUri,
        reach: Arc<Reach>,
        credentials: Option<Credentials>,
        events: mpsc::Sender<E>,
        commands: mpsc::Receiver<RelayCommand>,
    ) -> Self {
        Self {
            relay,
            server,
            reach,
            credentials,
            events,
            commands,
            both_families: true,
            waiting: VecDeque::new(),
        }
    }

    pub(super) async fn run(mut self) {
        self.allocate_anywhere().await;
        self.tell(RelayEvent::Ended { relay: self.relay }).await;
    }

    /// Tries what the URI leads to until one server serves, and serves; last what DNS told later.
    async fn allocate_anywhere(&mut self) {
        let discovered = match self.reach.discover(&self.server).await {
            Ok(discovered) => discovered,
            Err(error) => return self.problem("resolve", None, error.to_string()).await,
        };
        for note in &discovered.notes {
            self.problem("resolve", None, note.clone()).await;
        }
        let mut tried = Tried::default();
        if self.allocate_at(&discovered, &mut tried).await {
            return;
        }
        if let Some(late) = self.reach.discover_late(&self.server, &discovered).await {
            self.allocate_at(&late, &mut tried).await;
        }
    }

    /// Whether a server has served until the end.
    async fn allocate_at(&mut self, discovered: &Discovered, tried: &mut Tried) -> bool {
        for endpoint in &discovered.endpoints {
            let mut targets = self.targets(endpoint).await;
            let mut ports = 0;
            let (start, mut redirections) = (Instant::now(), Redirections::default());
            while let Some(target) = targets.pop_front()
                && tried.attempts < MAX_ATTEMPTS
            {
                if tried.refused.contains(&target.address.ip()) {
                    continue;
                }
                tried.attempts += 1;
                ports += 1;
                let now = start.elapsed();
                match self.attempt(&target).await {
                    End::Over => return true,
                    End::OtherPort if ports < ATTEMPTS => targets.push_front(target),
                    End::OneFamily if self.both_families => {
                        self.both_families = false;
                        targets.push_front(target);
                    }
                    End::OtherServer(Alternate { server, domain }) => {
                        redirections.send_to(target.address, now);
                        if redirections.send_to(server, now) {
                            ports = 0;
                            let proxied = self.reach.target(&self.server, target.transport, server);
                            targets.push_front(Target {
                                server_name: domain.or(target.server_name),
                                ..proxied
                            });
                        }
                    }
                    End::Refused => tried.refused.push(target.address.ip()),
                    End::OtherPort | End::OneFamily | End::Failed => ports = 0,
                }
            }
        }
        false
    }

    /// The addresses of one server, the one that answers first in front; those that failed are told
    /// and left out.
    async fn targets(&mut self, endpoint: &Endpoint) -> VecDeque<Target> {
        let (targets, failed) =
            self.reach.nearest(&self.server, endpoint, Usage::Turn, TIMING).await;
        for (target, error) in failed {
            self.problem("connect", None, format!("{}: {error}", target.address)).await;
        }
        targets.into()
    }

    async fn attempt(&mut self, target: &Target) -> End {
        let mut config = target.turn_config(self.credentials.as_ref());
        config.timing = TIMING;
        // A relayed address of each family where the server has both, else one of the family that
        // the server is reached by.
        config.both_families = self.both_families;
        config.family =
            (!self.both_families && target.address.is_ipv6()).then_some(AddressFamily::Ipv6);
        let mut connection =
            match TurnConnection::allocate(target, self.reach.trust(), config).await {
                Ok(connection) => connection,
                Err(error) => {
                    self.problem("connect", None, format!("{}: {error}", target.address)).await;
                    return End::Failed;
                }
            };
        let end = self.serve(&mut connection, target).await;
        if connection.allocated().is_some() {
            connection.close().await;
        }
        end
    }

    async fn serve(&mut self, connection: &mut TurnConnection, target: &Target) -> End {
        loop {
            if let Err(error) = connection.flush().await {
                self.problem("send", None, error.to_string()).await;
                connection.transport_failed();
            }
            while let Some(event) = connection.poll_event() {
                if let Some(end) = self.take(connection, target, event).await {
                    return end;
                }
            }
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(connection, command).await,
                    None => return End::Over,
                },
                received = connection.wait() => match received {
                    Ok(None) => {}
                    Ok(Some(datagram)) => {
                        let family = AddressFamily::of(&datagram.peer.ip());
                        if let Some(relayed) = connection.allocated().and_then(|allocated| allocated.relayed_of(family)) {
                            self.tell(RelayEvent::Datagram { relayed, peer: datagram.peer, data: datagram.data }).await;
                        }
                    }
                    Err(error) => {
                        self.problem("receive", None, error.to_string()).await;
                        connection.transport_failed();
                    }
                },
            }
        }
    }

    /// Before the allocation there is nothing to ask for, and a peer of another family has no way
    /// to this relay. The call repeats the permissions once it has the candidate.
    async fn obey(&mut self, connection: &mut TurnConnection, command: RelayCommand) {
        match command {
            RelayCommand::Permit(peer) => drop(connection.permit(peer)),
            RelayCommand::Bind(peer) => drop(connection.bind(peer)),
            RelayCommand::Send(peer, data) => self.send(connection, peer, data).await,
        }
    }

    async fn send(&mut self, connection: &mut TurnConnection, peer: SocketAddr, data: Vec<u8>) {
        match connection.send(peer, &data).await {
            Ok(()) => {}
            Err(SendFailure::Client(SendError::NoPermission)) => {
                if self.waiting.len() >= MAX_WAITING {
                    self.waiting.pop_front();
                }
                self.waiting.push_back((peer, data));
            }
            Err(failure) => self.problem("send", Some(peer), failure.to_string()).await,
        }
    }

    /// What an event means for the task: `Some` ends the attempt.
    async fn take(
        &mut self,
        connection: &mut TurnConnection,
        target: &Target,
        event: Event,
    ) -> Option<End> {
        match event {
            Event::Allocated(allocated) => {
                self.tell(RelayEvent::Allocated {
                    relay: self.relay,
                    allocated,
                    transport: target.transport,
                })
                .await;
            }
            Event::PermissionInstalled { peer } => {
                let (sendable, still) = std::mem::take(&mut self.waiting)
                    .into_iter()
                    .partition(|(to, _)| to.ip() == peer);
                self.waiting = still;
                let sendable: VecDeque<_> = sendable;
                for (peer, data) in sendable {
                    self.send(connection, peer, data).await;
                }
            }
            Event::Failed { method, peer, failure, advice } => {
                if let (Method::CREATE_PERMISSION, Some(peer)) = (method, peer) {
                    self.waiting.retain(|(to, _)| to.ip() != peer.ip());
                }
                let peer = peer.map(|peer| peer.ip());
                self.tell(RelayEvent::Problem(Problem::at_server(
                    &self.server,
                    method_name(method),
                    peer,
                    &failure,
                )))
                .await;
                if method == Method::ALLOCATE {
                    return Some(match advice {
                        _ if self.both_families && is_unsupported_family(&failure) => {
                            End::OneFamily
                        }
                        Advice::OtherLocalAddress => End::OtherPort,
                        Advice::OtherServer(server) => End::OtherServer(server),
                        _ if matches!(failure, Failure::Refused(_)) => End::Refused,
                        _ => End::Failed,
                    });
                }
            }
            Event::Lost(loss) => {
                self.problem("allocation", None, format!("lost: {loss:?}")).await;
                return Some(End::Over);
            }
            Event::Closed => return Some(End::Over),
            Event::Refreshed { .. }
            | Event::FamilyReleased { .. }
            | Event::ChannelBound { .. }
            | Event::PermissionExpired { .. }
            | Event::ChannelExpired { .. }
            | Event::Unreachable { .. } => {}
        }
        None
    }

    async fn problem(&mut self, step: &str, peer: Option<SocketAddr>, reason: String) {
        let problem = Problem {
            peer: peer.map(|peer| peer.ip()),
            ..Problem::new(&self.server.to_string(), step, reason)
        };
        self.tell(RelayEvent::Problem(problem)).await;
    }

    async fn tell(&mut self, event: RelayEvent) {
        // If nobody listens the call is over, which the end of the commands says next.
        let _ = self.events.send(event.into()).await;
    }
}

/// 440: a server that has one family only, and does not give that one where both are asked for.
fn is_unsupported_family(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused(refusal) if refusal.code == ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED)
}

fn method_name(method: Method) -> &'static str {
    match method {
        Method::ALLOCATE => "Allocate",
        Method::REFRESH => "Refresh",
        Method::CREATE_PERMISSION => "CreatePermission",
        Method::CHANNEL_BIND => "ChannelBind",
        _ => "request",
    }
}
