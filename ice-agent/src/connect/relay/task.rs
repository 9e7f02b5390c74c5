//! The task of one relay: finds an address that works, allocates, relays data, and deletes the
//! allocation.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use causeway_client::{Advice, Alternate, Event, Failure, Redirections, SendError};
use causeway_wire::attribute::AddressFamily;
use causeway_wire::{ErrorCode, Method};
use tokio::sync::mpsc;

use super::message::{RelayCommand, RelayEvent};
use crate::connect::gathering::{Problem, TIMING};
use crate::credentials::Credentials;
use crate::discovery::{Discovered, Endpoint};
use crate::reach::Reach;
use crate::transport::Usage;
use crate::transport::target::Target;
use crate::transport::turn::{PeerDatagram, SendFailure, TurnConnection};
use crate::uri::ServerUri;

/// Maximum number of datagrams that wait for a permission: checks that were faster than the
/// server's answer.
const MAX_WAITING: usize = 64;
/// Maximum number of attempts at a server: "up to three times" after a 437 (RFC 8656 §7.4), and
/// after redirections (300).
const MAX_ATTEMPTS: usize = 8;
/// Maximum number of attempts at one address.
const ATTEMPTS: usize = 3;

pub(super) struct RelayTask<E> {
    relay: usize,
    server: ServerUri,
    reach: Arc<Reach>,
    credentials: Option<Credentials>,
    events: mpsc::Sender<E>,
    commands: mpsc::Receiver<RelayCommand>,
    /// Whether to request a relayed address of each family.
    both_families: bool,
    waiting: VecDeque<(SocketAddr, Vec<u8>)>,
}

/// The attempts so far, so that addresses from a late DNS answer do not start from the beginning.
#[derive(Debug, Default)]
struct Tried {
    attempts: usize,
    refused: Vec<IpAddr>,
}

/// How one attempt ended.
enum End {
    /// The call is over, or the allocation was lost after it was in use.
    Over,
    /// Try again from another local port.
    OtherPort,
    /// Try the server that this one redirects to.
    OtherServer(Alternate),
    /// Try again with a single relayed address.
    OneFamily,
    /// The server refused; another of its ports would do the same.
    Refused,
    /// The address does not work.
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

    /// Tries the addresses of the URI until one works, and relays there; addresses from a late DNS
    /// answer come last.
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

    /// Tries these addresses; `true` if one of them worked until the end.
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

    /// The addresses of one server, the one that answers first in front. Those that failed are
    /// reported and left out.
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
        // Request a relayed address of each family if the server has both; otherwise one of the
        // family that the server is reached with.
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
                    Some(command) => self.execute(connection, command).await,
                    None => return End::Over,
                },
                received = connection.wait() => match received {
                    Ok(None) => {}
                    Ok(Some(datagram)) => {
                        let family = AddressFamily::of(&datagram.peer.ip());
                        let allocated = connection.allocated();
                        if let Some(relayed) = allocated.and_then(|it| it.relayed_of(family)) {
                            let PeerDatagram { peer, data } = datagram;
                            self.tell(RelayEvent::Datagram { relayed, peer, data }).await;
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

    /// Executes a command. Errors are ignored: before the allocation there is nothing to request,
    /// and a peer of another family cannot use this relay. The call repeats the permissions when it
    /// has the candidate.
    async fn execute(&mut self, connection: &mut TurnConnection, command: RelayCommand) {
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

    /// Processes an event; `Some` ends the attempt.
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
        // If there is no receiver, the call is over, and the command queue ends next.
        let _ = self.events.send(event.into()).await;
    }
}

/// Whether the failure is 440: the server has one family only, and refuses requests for both.
fn is_unsupported_family(failure: &Failure) -> bool {
    match failure {
        Failure::Refused(refusal) => refusal.code == ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED,
        _ => false,
    }
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
