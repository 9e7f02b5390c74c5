//! A call: a client with one allocation, and a peer of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use causeway_client::{
    Credentials, Event, Failure, HEADROOM, Received, TAILROOM, Transport, TurnClient, TurnConfig,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// How long a request may take: longer than all retransmissions that a busy machine may need.
const PATIENCE: Duration = Duration::from_secs(15);

/// How the client sends to its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Channel,
    Permission,
}

pub(crate) struct Call {
    pub(crate) way: Way,
    pub(crate) relayed: SocketAddr,
    socket: UdpSocket,
    peer: UdpSocket,
    client: TurnClient,
    /// The client counts time from here.
    start: Instant,
    /// How far the client's clock is ahead of ours.
    ahead: Duration,
    /// Number of requests without an answer.
    unanswered: usize,
}

impl Call {
    /// Gets an allocation, and permits the peer or binds a channel to it.
    ///
    /// # Errors
    /// The reason why the request failed.
    pub(crate) fn open(
        server: SocketAddr,
        user: &str,
        password: &str,
        way: Way,
    ) -> Result<Self, Failure> {
        let (socket, peer) = (udp(), udp());
        socket.connect(server).expect("loopback exists");
        let seed = socket.local_addr().expect("it is bound").port().into();
        let config =
            TurnConfig::new(server, Transport::Udp, Some(Credentials::new(user, password)));
        let client = TurnClient::new(config, StdRng::seed_from_u64(seed));
        let mut call = Self {
            way,
            relayed: server,
            socket,
            peer,
            client,
            start: Instant::now(),
            ahead: Duration::ZERO,
            unanswered: 0,
        };
        call.client.allocate(call.now()).expect("there is none yet");
        call.settle()?;
        call.relayed = call.client.allocated().expect("the server said so").relayed;
        match way {
            Way::Channel => call.bind(call.peer())?,
            Way::Permission => {
                call.client.permit(call.now(), call.peer().ip()).expect("there is an allocation");
                call.settle()?;
            }
        }
        Ok(call)
    }

    /// Binds one more channel.
    ///
    /// # Errors
    /// The reason why the request failed.
    pub(crate) fn bind(&mut self, peer: SocketAddr) -> Result<(), Failure> {
        self.client.bind(self.now(), peer).expect("there is an allocation");
        let events = self.settle()?;
        let bound = events.iter().any(
            |event| matches!(event, Event::ChannelBound { peer: bound, .. } if *bound == peer),
        );
        assert!(bound, "{events:?}");
        Ok(())
    }

    /// Advances the client's clock until it has refreshed its permission (twice), the allocation
    /// and the channel. Returns the lifetime that the server granted.
    ///
    /// # Errors
    /// The reason why the request failed.
    pub(crate) fn renew(&mut self) -> Result<Duration, Failure> {
        let mut granted = None;
        // Permissions are refreshed after 240 s, allocations and channels after 540 s.
        for step in [241, 241, 60] {
            self.ahead += Duration::from_secs(step);
            self.client.handle_timeout(self.now());
            for event in self.settle()? {
                match event {
                    Event::Refreshed { lifetime } => granted = Some(lifetime),
                    event => panic!("{event:?}"),
                }
            }
        }
        Ok(granted.expect("the allocation was refreshed"))
    }

    /// Gets and deletes an allocation, again and again, from one socket.
    ///
    /// # Errors
    /// The reason why the request failed.
    pub(crate) fn come_and_go(
        server: SocketAddr,
        user: &str,
        password: &str,
        times: usize,
    ) -> Result<(), Failure> {
        let mut call = Self::open(server, user, password, Way::Permission)?;
        for _ in 0..times {
            call.client.close(call.now());
            call.settle()?;
            call.client.allocate(call.now()).expect("it was deleted");
            call.settle()?;
        }
        call.close();
        Ok(())
    }

    /// Deletes the allocation and waits for the answer.
    pub(crate) fn close(mut self) {
        self.client.close(self.now());
        self.settle().expect("it can be deleted");
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer.local_addr().expect("it is bound")
    }

    /// Sends to the peer. Errors of the socket are ignored: the relay may be down.
    pub(crate) fn say(&mut self, data: &[u8]) {
        let mut buffer = [&[0; HEADROOM], data, &[0; TAILROOM]].concat();
        let data = HEADROOM..HEADROOM + data.len();
        let wrapped = self
            .client
            .wrap(self.now(), self.peer(), &mut buffer, data)
            .expect("the peer is permitted");
        let _ = self.socket.send(&buffer[wrapped]);
    }

    /// Sends from the peer to the client; errors are ignored as in [`say`](Self::say).
    pub(crate) fn answer(&mut self, data: &[u8]) {
        let _ = self.peer.send_to(data, self.relayed);
    }

    /// The next datagram that the peer has received from the relayed address, if any.
    pub(crate) fn heard_by_peer(&mut self) -> Option<Vec<u8>> {
        let mut buffer = [0; 2048];
        let (length, from) = self.peer.recv_from(&mut buffer).ok()?;
        assert_eq!(from, self.relayed, "the relayed address has changed");
        Some(buffer[..length].to_vec())
    }

    /// The next data that the client has received from its peer, if any.
    pub(crate) fn heard_by_client(&mut self) -> Option<Vec<u8>> {
        let mut buffer = [0; 2048];
        loop {
            let length = self.socket.recv(&mut buffer).ok()?;
            if let Some(data) = self.take(&buffer[..length]) {
                return Some(data);
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let server = self.socket.peer_addr().expect("it is connected");
        match self.client.handle_input(self.now(), server, bytes) {
            Received::Data { peer, data } => {
                assert_eq!(
                    peer,
                    self.peer.local_addr().expect("it is bound"),
                    "the data come from another peer"
                );
                Some(data.to_vec())
            }
            Received::Consumed | Received::Discarded(_) => {
                self.unanswered = self.unanswered.saturating_sub(1);
                None
            }
        }
    }

    /// Runs the client until each request has its answer.
    fn settle(&mut self) -> Result<Vec<Event>, Failure> {
        let deadline = Instant::now() + PATIENCE;
        let mut events = Vec::new();
        loop {
            while let Some(transmit) = self.client.poll_transmit() {
                let _ = self.socket.send(&transmit.payload);
                self.unanswered += 1;
            }
            while let Some(event) = self.client.poll_event() {
                match event {
                    Event::Failed { failure, .. } => return Err(failure),
                    event => events.push(event),
                }
            }
            if self.unanswered == 0 {
                return Ok(events);
            }
            if Instant::now() > deadline {
                return Err(Failure::TimedOut);
            }
            // Data that were still on their way are dropped here.
            while self.heard_by_client().is_some() {}
            if self.client.poll_timeout().is_some_and(|due| due <= self.now()) {
                self.client.handle_timeout(self.now());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed() + self.ahead
    }
}

fn udp() -> UdpSocket {
    let socket =
        UdpSocket::bind((IpAddr::from(Ipv4Addr::LOCALHOST), 0)).expect("some port is free");
    socket.set_nonblocking(true).expect("a socket can be");
    socket
}
