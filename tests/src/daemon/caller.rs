//! A complete client: the workspace's TURN client on a blocking UDP socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use causeway_client::{
    Credentials, Event, Failure, HEADROOM, Received, TAILROOM, Transport, TurnClient, TurnConfig,
};
use causeway_wire::attribute::AddressFamily;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// How long a request may take: longer than all retransmissions that a busy machine may need.
const PATIENCE: Duration = Duration::from_secs(15);

/// A client with an allocation.
pub struct Caller {
    socket: UdpSocket,
    client: TurnClient,
    /// The client counts time from here.
    start: Instant,
}

impl Caller {
    /// Gets an allocation.
    ///
    /// # Errors
    /// The reason why the request failed.
    pub fn allocate(server: SocketAddr, user: &str, password: &str) -> Result<Self, Failure> {
        Self::allocate_of(None, server, user, password)
    }

    /// Gets an allocation with a relayed address of this family.
    ///
    /// # Errors
    /// The reason why the request failed.
    pub fn allocate_of(
        family: Option<AddressFamily>,
        server: SocketAddr,
        user: &str,
        password: &str,
    ) -> Result<Self, Failure> {
        let ours = if server.is_ipv4() {
            IpAddr::from(Ipv4Addr::LOCALHOST)
        } else {
            IpAddr::from(Ipv6Addr::LOCALHOST)
        };
        let socket = UdpSocket::bind((ours, 0)).expect("some port is free");
        socket.connect(server).expect("loopback exists");
        let config = TurnConfig {
            family,
            ..TurnConfig::new(server, Transport::Udp, Some(Credentials::new(user, password)))
        };
        let seed = socket.local_addr().expect("it is bound").port().into();
        let client = TurnClient::new(config, StdRng::seed_from_u64(seed));
        let mut caller = Self { socket, client, start: Instant::now() };
        caller.client.allocate(Duration::ZERO).expect("there is none yet");
        caller.settle(|event| matches!(event, Event::Allocated(_)))?;
        Ok(caller)
    }

    /// Installs a permission.
    ///
    /// # Errors
    /// The reason why the request failed.
    pub fn permit(&mut self, peer: IpAddr) -> Result<(), Failure> {
        self.client.permit(self.start.elapsed(), peer).expect("there is an allocation");
        self.settle(|event| matches!(event, Event::PermissionInstalled { .. }))
    }

    /// Binds a channel.
    ///
    /// # Errors
    /// The reason why the request failed.
    pub fn bind(&mut self, peer: SocketAddr) -> Result<(), Failure> {
        self.client.bind(self.start.elapsed(), peer).expect("there is an allocation");
        self.settle(|event| matches!(event, Event::ChannelBound { .. }))
    }

    /// Sends to the peer; whether the same bytes come back within the time.
    pub fn round_trip(&mut self, peer: SocketAddr, data: &[u8], limit: Duration) -> bool {
        self.send(peer, data);
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            let came = self.turn(|from, came| from == peer && came == data);
            if came == Some(true) {
                return true;
            }
        }
        false
    }

    /// Sends to the peer; whether anything comes from there within the time.
    pub fn is_answered(&mut self, peer: SocketAddr, data: &[u8], limit: Duration) -> bool {
        self.send(peer, data);
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if self.turn(|from, _| from == peer) == Some(true) {
                return true;
            }
        }
        false
    }

    /// Sends to another client's relayed address; whether it arrives there.
    pub fn reaches(&mut self, other: &mut Self, data: &[u8]) -> bool {
        let (ours, theirs) = (self.relayed(), other.relayed());
        self.send(theirs, data);
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if other.turn(|from, came| from == ours && came == data) == Some(true) {
                return true;
            }
        }
        false
    }

    /// The relayed address of the allocation.
    pub fn relayed(&self) -> SocketAddr {
        self.client.allocated().expect("there is an allocation").relayed
    }

    /// Sends to the peer without waiting for an answer.
    pub fn tell(&mut self, peer: SocketAddr, data: &[u8]) {
        self.send(peer, data);
    }

    /// Deletes the allocation and waits for the answer.
    pub fn close(mut self) {
        self.client.close(self.start.elapsed());
        self.settle(|event| *event == Event::Closed).expect("it can be deleted");
    }

    fn send(&mut self, peer: SocketAddr, data: &[u8]) {
        let mut buffer = [&[0; HEADROOM], data, &[0; TAILROOM]].concat();
        let data = HEADROOM..HEADROOM + data.len();
        let wrapped = self
            .client
            .wrap(self.start.elapsed(), peer, &mut buffer, data)
            .expect("the peer is permitted");
        self.socket.send(&buffer[wrapped]).expect("loopback accepts it");
    }

    fn settle(&mut self, done: impl Fn(&Event) -> bool) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            while let Some(event) = self.client.poll_event() {
                match event {
                    event if done(&event) => return Ok(()),
                    Event::Failed { failure, .. } => return Err(failure),
                    _ => {}
                }
            }
            self.turn(|_, _| false);
        }
        Err(Failure::TimedOut)
    }

    /// One turn of the loop: sends what is due, waits shortly, takes one datagram. Returns the
    /// answer of `check` when data arrive.
    fn turn(&mut self, check: impl Fn(SocketAddr, &[u8]) -> bool) -> Option<bool> {
        while let Some(transmit) = self.client.poll_transmit() {
            self.socket.send(&transmit.payload).expect("loopback accepts it");
        }
        self.socket
            .set_read_timeout(Some(Duration::from_millis(20)))
            .expect("a timeout can be set");
        let mut buffer = [0; 65_536];
        let data = match self.socket.recv(&mut buffer) {
            Ok(length) => {
                let server = self.socket.peer_addr().expect("it is connected");
                match self.client.handle_input(self.start.elapsed(), server, &buffer[..length]) {
                    Received::Data { peer, data } => Some(check(peer, data)),
                    _ => None,
                }
            }
            Err(_) => None,
        };
        if self.client.poll_timeout().is_some_and(|due| due <= self.start.elapsed()) {
            self.client.handle_timeout(self.start.elapsed());
        }
        data
    }
}
