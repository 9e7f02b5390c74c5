//! Relayed candidates: one task for each TURN server, which holds the allocation as long as the call lasts.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use causeway_client::{Allocated, Event, Failure, HEADROOM, Received, SendError, TAILROOM, TurnClient, TurnConfig};
use causeway_wire::{ErrorCode, Method};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::gathering::{self, Trouble};
use crate::credentials::Credentials;
use crate::net::leg::Leg;
use crate::uri::{ServerUri, Transport};

/// Datagrams that wait for a peer's permission, of all peers: the checks that were faster than the server's answer.
const MAX_WAITING: usize = 64;
/// Commands under way; a call that is faster loses datagrams, as a network would.
const MAX_COMMANDS: usize = 1024;
/// Longest wait for the deletion of the allocation.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// "retry [...] up to three times" (RFC 8656 §7.4, 437).
const ATTEMPTS: u32 = 3;

/// What the call wants from a relay.
#[derive(Debug)]
pub(super) enum RelayCommand {
    /// Let this peer in.
    Permit(IpAddr),
    /// Data to this peer goes over a channel.
    Bind(SocketAddr),
    /// Send to this peer.
    Send(SocketAddr, Vec<u8>),
}

/// What a relay makes known.
#[derive(Debug)]
pub(super) enum RelayEvent {
    /// There is an allocation.
    Allocated {
        /// Which relay.
        relay: usize,
        /// What the server allocated.
        allocated: Allocated,
    },
    /// There will be no candidate from this server, or no longer.
    Ended {
        /// Which relay.
        relay: usize,
    },
    /// Something failed; the rest goes on.
    Trouble(Trouble),
    /// A peer's datagram.
    Datagram {
        /// Where the peer sent it.
        relayed: SocketAddr,
        /// The peer.
        peer: SocketAddr,
        /// What.
        data: Vec<u8>,
    },
}

/// The call's end of a relay. When it is dropped, the task deletes the allocation and ends.
#[derive(Debug)]
pub(super) struct Relay {
    commands: mpsc::Sender<RelayCommand>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Begins to allocate at `server`; `relay` names it in the events.
    #[must_use]
    pub(super) fn start<E: From<RelayEvent> + Send + 'static>(
        relay: usize,
        server: ServerUri,
        credentials: Option<Credentials>,
        events: mpsc::Sender<E>,
    ) -> Self {
        let (commands, receiver) = mpsc::channel(MAX_COMMANDS);
        let mut run = Run { relay, server, credentials, events, commands: receiver, waiting: VecDeque::new() };
        let task = tokio::spawn(async move {
            run.run().await;
            run.tell(RelayEvent::Ended { relay }).await;
        });
        Self { commands, task }
    }

    /// Tells the relay. What it cannot take is lost.
    pub(super) fn command(&self, command: RelayCommand) {
        let _ = self.commands.try_send(command);
    }

    /// Deletes the allocation (RFC 8656 §8.1) and waits for it, not for long.
    pub(super) async fn close(self) {
        drop(self.commands);
        let _ = tokio::time::timeout(CLOSE_TIMEOUT + Duration::from_secs(1), self.task).await;
    }
}

struct Run<E> {
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
    /// Nothing to be had at this address.
    Failed,
}

impl<E: From<RelayEvent> + Send + 'static> Run<E> {
    /// Tries the server's addresses one after the other until one serves.
    async fn run(&mut self) {
        let addresses = match self.server.resolve().await {
            Ok(addresses) => addresses,
            Err(error) => return self.trouble("resolve", None, error.to_string()).await,
        };
        for address in addresses.into_iter().take(4) {
            for _ in 0..ATTEMPTS {
                match self.attempt(address).await {
                    End::Over => return,
                    End::OtherPort => {}
                    End::Failed => break,
                }
            }
        }
    }

    async fn attempt(&mut self, address: SocketAddr) -> End {
        let mut leg = match Leg::connect(address, self.server.transport).await {
            Ok(leg) => leg,
            Err(error) => {
                self.trouble("connect", None, format!("{address}: {error}")).await;
                return End::Failed;
            }
        };
        let mut config = TurnConfig::new(address, client_transport(self.server.transport), self.client_credentials());
        config.timing = gathering::TIMING;
        // The relayed address is of the family that the server is reached by: such a peer can be met without a translation.
        config.family = address.is_ipv6().then_some(causeway_wire::attribute::AddressFamily::Ipv6);
        let mut client = TurnClient::new(config, StdRng::from_rng(&mut rand::rng()));
        client.allocate(Instant::now()).expect("a new client has no allocation");
        let end = self.serve(&mut client, &mut leg, address).await;
        if client.allocated().is_some() {
            close(&mut client, &mut leg, address).await;
        }
        end
    }

    async fn serve(&mut self, client: &mut TurnClient, leg: &mut Leg, address: SocketAddr) -> End {
        loop {
            if let Err(error) = flush(client, leg).await {
                self.trouble("send", None, error.to_string()).await;
                client.handle_transport_error(Instant::now());
            }
            while let Some(event) = client.poll_event() {
                if let Some(end) = self.take(client, leg, event).await {
                    return end;
                }
            }
            let due = client.poll_timeout().unwrap_or_else(|| Instant::now() + Duration::from_secs(60));
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(client, leg, command).await,
                    None => return End::Over,
                },
                message = leg.receive() => match message {
                    Ok(message) => self.receive(client, address, &message).await,
                    Err(error) => {
                        self.trouble("receive", None, error.to_string()).await;
                        client.handle_transport_error(Instant::now());
                    }
                },
                () = tokio::time::sleep_until(due.into()) => client.handle_timeout(Instant::now()),
            }
        }
    }

    async fn receive(&mut self, client: &mut TurnClient, address: SocketAddr, message: &[u8]) {
        let received = client.handle_input(Instant::now(), address, message);
        if let Received::Data { peer, data } = received {
            let data = data.to_vec();
            if let Some(allocated) = client.allocated() {
                self.tell(RelayEvent::Datagram { relayed: allocated.relayed, peer, data }).await;
            }
        }
    }

    async fn obey(&mut self, client: &mut TurnClient, leg: &mut Leg, command: RelayCommand) {
        let now = Instant::now();
        // A peer of another family has no way to this relay, and before the allocation there is nothing to ask for: the
        // call repeats the permissions once it has the candidate.
        match command {
            RelayCommand::Permit(peer) => drop(client.permit(now, peer)),
            RelayCommand::Bind(peer) => drop(client.bind(now, peer)),
            RelayCommand::Send(peer, data) => self.send(client, leg, peer, data).await,
        }
    }

    async fn send(&mut self, client: &mut TurnClient, leg: &mut Leg, peer: SocketAddr, data: Vec<u8>) {
        let mut buffer = vec![0; HEADROOM + data.len() + TAILROOM];
        let range = HEADROOM..HEADROOM + data.len();
        buffer[range.clone()].copy_from_slice(&data);
        match client.wrap(Instant::now(), peer, &mut buffer, range) {
            Ok(range) => {
                if let Err(error) = leg.send(&buffer[range]).await {
                    self.trouble("send", Some(peer), error.to_string()).await;
                }
            }
            Err(SendError::NoPermission) => {
                if self.waiting.len() >= MAX_WAITING {
                    self.waiting.pop_front();
                }
                self.waiting.push_back((peer, data));
            }
            Err(error) => self.trouble("send", Some(peer), error.to_string()).await,
        }
    }

    /// What an event means for the task: `Some` ends the attempt.
    async fn take(&mut self, client: &mut TurnClient, leg: &mut Leg, event: Event) -> Option<End> {
        match event {
            Event::Allocated(allocated) => {
                self.tell(RelayEvent::Allocated { relay: self.relay, allocated }).await;
            }
            Event::PermissionInstalled { peer } => {
                let waiting = std::mem::take(&mut self.waiting);
                let (now_free, still): (VecDeque<_>, _) = waiting.into_iter().partition(|(to, _)| to.ip() == peer);
                self.waiting = still;
                for (peer, data) in now_free {
                    self.send(client, leg, peer, data).await;
                }
            }
            Event::Failed { method, peer, failure, .. } => {
                let other_port = is_mismatch(&failure);
                self.failed(method, peer, failure).await;
                if method == Method::ALLOCATE {
                    return Some(if other_port { End::OtherPort } else { End::Failed });
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

    async fn failed(&mut self, method: Method, peer: Option<SocketAddr>, failure: Failure) {
        if method == Method::CREATE_PERMISSION
            && let Some(peer) = peer
        {
            self.waiting.retain(|(to, _)| to.ip() != peer.ip());
        }
        let trouble = Trouble::at_server(&self.server, method_name(method), peer.map(|peer| peer.ip()), &failure);
        self.tell(RelayEvent::Trouble(trouble)).await;
    }

    async fn trouble(&mut self, step: &str, peer: Option<SocketAddr>, reason: String) {
        let trouble = Trouble { at: self.server.to_string(), step: step.into(), peer: peer.map(|peer| peer.ip()), code: None, reason };
        self.tell(RelayEvent::Trouble(trouble)).await;
    }

    async fn tell(&mut self, event: RelayEvent) {
        // The call is over if nobody listens; the commands' end tells so next.
        let _ = self.events.send(event.into()).await;
    }

    fn client_credentials(&self) -> Option<causeway_client::Credentials> {
        let credentials = self.credentials.as_ref()?;
        Some(causeway_client::Credentials::new(credentials.username.as_str(), credentials.password.as_str()))
    }
}

async fn flush(client: &mut TurnClient, leg: &mut Leg) -> std::io::Result<()> {
    while let Some(transmit) = client.poll_transmit() {
        leg.send(&transmit.payload).await?;
    }
    Ok(())
}

/// Deletes the allocation and waits for the server's confirmation.
async fn close(client: &mut TurnClient, leg: &mut Leg, address: SocketAddr) {
    client.close(Instant::now());
    let closing = async {
        loop {
            if flush(client, leg).await.is_err() {
                return;
            }
            while let Some(event) = client.poll_event() {
                if event == Event::Closed {
                    return;
                }
            }
            let due = client.poll_timeout().unwrap_or_else(|| Instant::now() + CLOSE_TIMEOUT);
            tokio::select! {
                message = leg.receive() => match message {
                    Ok(message) => drop(client.handle_input(Instant::now(), address, &message)),
                    Err(_) => return,
                },
                () = tokio::time::sleep_until(due.into()) => client.handle_timeout(Instant::now()),
            }
        }
    };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
}

fn is_mismatch(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused(refusal) if refusal.code == ErrorCode::ALLOCATION_MISMATCH)
}

fn client_transport(transport: Transport) -> causeway_client::Transport {
    match transport {
        Transport::Udp => causeway_client::Transport::Udp,
        Transport::Tcp => causeway_client::Transport::Tcp,
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
