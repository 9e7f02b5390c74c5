//! What one relay's task does: find an address that serves, allocate, relay, delete.

use std::collections::VecDeque;
use std::net::SocketAddr;

use causeway_client::{Advice, Event, SendError};
use causeway_wire::Method;
use tokio::sync::mpsc;

use super::{RelayCommand, RelayEvent};
use crate::connect::gathering::{TIMING, Trouble};
use crate::credentials::Credentials;
use crate::net::turn_leg::{SendFailure, TurnLeg};
use crate::uri::ServerUri;

/// Datagrams that wait for a peer's permission, of all peers: the checks that were faster than the server's answer.
const MAX_WAITING: usize = 64;
/// Addresses and ports that are tried at a server in all: "up to three times" after a 437 (RFC 8656 §7.4), and where a 300
/// leads.
const MAX_ATTEMPTS: usize = 8;
/// Attempts at one address.
const ATTEMPTS: usize = 3;

pub(super) struct RelayTask<E> {
    relay: usize,
    server: ServerUri,
    credentials: Option<Credentials>,
    events: mpsc::Sender<E>,
    commands: mpsc::Receiver<RelayCommand>,
    waiting: VecDeque<(SocketAddr, Vec<u8>)>,
}

/// How one attempt ended.
enum End {
    /// The call is over, or the allocation was lost after it served.
    Over,
    /// Try again from another port.
    OtherPort,
    /// Try there.
    OtherServer(SocketAddr),
    /// Nothing to be had at this address.
    Failed,
}

impl<E: From<RelayEvent> + Send + 'static> RelayTask<E> {
    pub(super) fn new(
        relay: usize,
        server: ServerUri,
        credentials: Option<Credentials>,
        events: mpsc::Sender<E>,
        commands: mpsc::Receiver<RelayCommand>,
    ) -> Self {
        Self { relay, server, credentials, events, commands, waiting: VecDeque::new() }
    }

    pub(super) async fn run(mut self) {
        self.allocate_anywhere().await;
        self.tell(RelayEvent::Ended { relay: self.relay }).await;
    }

    /// Tries the server's addresses one after the other until one serves, and serves.
    async fn allocate_anywhere(&mut self) {
        let mut addresses: VecDeque<SocketAddr> = match self.server.resolve().await {
            Ok(addresses) => addresses.into(),
            Err(error) => return self.trouble("resolve", None, error.to_string()).await,
        };
        let mut tried: Vec<SocketAddr> = Vec::new();
        while let Some(address) = addresses.pop_front()
            && tried.len() < MAX_ATTEMPTS
        {
            tried.push(address);
            match self.attempt(address).await {
                End::Over => return,
                End::OtherPort if tried.iter().filter(|before| **before == address).count() < ATTEMPTS => addresses.push_front(address),
                End::OtherServer(other) if !tried.contains(&other) => addresses.push_front(other),
                End::OtherPort | End::OtherServer(_) | End::Failed => {}
            }
        }
    }

    async fn attempt(&mut self, address: SocketAddr) -> End {
        let mut leg = match TurnLeg::allocate(address, self.server.transport, self.credentials.as_ref(), TIMING).await {
            Ok(leg) => leg,
            Err(error) => {
                self.trouble("connect", None, format!("{address}: {error}")).await;
                return End::Failed;
            }
        };
        let end = self.serve(&mut leg).await;
        if leg.allocated().is_some() {
            leg.close().await;
        }
        end
    }

    async fn serve(&mut self, leg: &mut TurnLeg) -> End {
        loop {
            if let Err(error) = leg.flush().await {
                self.trouble("send", None, error.to_string()).await;
                leg.transport_failed();
            }
            while let Some(event) = leg.poll_event() {
                if let Some(end) = self.take(leg, event).await {
                    return end;
                }
            }
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(leg, command).await,
                    None => return End::Over,
                },
                received = leg.wait() => match received {
                    Ok(None) => {}
                    Ok(Some(datagram)) => if let Some(allocated) = leg.allocated() {
                        let event = RelayEvent::Datagram { relayed: allocated.relayed, peer: datagram.peer, data: datagram.data };
                        self.tell(event).await;
                    },
                    Err(error) => {
                        self.trouble("receive", None, error.to_string()).await;
                        leg.transport_failed();
                    }
                },
            }
        }
    }

    /// Before the allocation there is nothing to ask for, and a peer of another family has no way to this relay. The call
    /// repeats the permissions once it has the candidate.
    async fn obey(&mut self, leg: &mut TurnLeg, command: RelayCommand) {
        match command {
            RelayCommand::Permit(peer) => drop(leg.permit(peer)),
            RelayCommand::Bind(peer) => drop(leg.bind(peer)),
            RelayCommand::Send(peer, data) => self.send(leg, peer, data).await,
        }
    }

    async fn send(&mut self, leg: &mut TurnLeg, peer: SocketAddr, data: Vec<u8>) {
        match leg.send(peer, &data).await {
            Ok(()) => {}
            Err(SendFailure::Client(SendError::NoPermission)) => {
                if self.waiting.len() >= MAX_WAITING {
                    self.waiting.pop_front();
                }
                self.waiting.push_back((peer, data));
            }
            Err(failure) => self.trouble("send", Some(peer), failure.to_string()).await,
        }
    }

    /// What an event means for the task: `Some` ends the attempt.
    async fn take(&mut self, leg: &mut TurnLeg, event: Event) -> Option<End> {
        match event {
            Event::Allocated(allocated) => self.tell(RelayEvent::Allocated { relay: self.relay, allocated }).await,
            Event::PermissionInstalled { peer } => {
                let (sendable, still) = std::mem::take(&mut self.waiting).into_iter().partition(|(to, _)| to.ip() == peer);
                self.waiting = still;
                let sendable: VecDeque<_> = sendable;
                for (peer, data) in sendable {
                    self.send(leg, peer, data).await;
                }
            }
            Event::Failed { method, peer, failure, advice } => {
                if let (Method::CREATE_PERMISSION, Some(peer)) = (method, peer) {
                    self.waiting.retain(|(to, _)| to.ip() != peer.ip());
                }
                let peer = peer.map(|peer| peer.ip());
                self.tell(RelayEvent::Trouble(Trouble::at_server(&self.server, method_name(method), peer, &failure))).await;
                if method == Method::ALLOCATE {
                    return Some(match advice {
                        Advice::OtherLocalAddress => End::OtherPort,
                        Advice::OtherServer(server) => End::OtherServer(server),
                        _ => End::Failed,
                    });
                }
            }
            Event::Lost(loss) => {
                self.trouble("allocation", None, format!("lost: {loss:?}")).await;
                return Some(End::Over);
            }
            Event::Closed => return Some(End::Over),
            Event::Refreshed { .. }
            | Event::ChannelBound { .. }
            | Event::PermissionExpired { .. }
            | Event::ChannelExpired { .. }
            | Event::Unreachable { .. } => {}
        }
        None
    }

    async fn trouble(&mut self, step: &str, peer: Option<SocketAddr>, reason: String) {
        let trouble = Trouble { peer: peer.map(|peer| peer.ip()), ..Trouble::new(&self.server.to_string(), step, reason) };
        self.tell(RelayEvent::Trouble(trouble)).await;
    }

    async fn tell(&mut self, event: RelayEvent) {
        // If nobody listens the call is over, which the end of the commands says next.
        let _ = self.events.send(event.into()).await;
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
