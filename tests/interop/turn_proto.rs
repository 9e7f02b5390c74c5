//! turn-client-proto on a blocking UDP socket: a client that reads the nonce's feature bits as RFC
//! 8489 draws them, from the left.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use turn_client_proto::api::{
    Transmit, TurnClientApi as _, TurnConfig, TurnEvent, TurnPeerData, TurnRecvRet,
};
use turn_client_proto::stun;
use turn_client_proto::stun::auth::Feature;
use turn_client_proto::types::stun::TransportType;
use turn_client_proto::types::stun::message::IntegrityAlgorithm;
use turn_client_proto::types::{AddressFamily, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;

const PATIENCE: Duration = Duration::from_secs(10);

/// The algorithms and address families that the client insists on.
#[derive(Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) integrity: IntegrityAlgorithm,
    pub(crate) hidden_name: Feature,
    pub(crate) families: &'static [AddressFamily],
}

/// A client with its allocations.
pub(crate) struct TurnProto {
    client: TurnClientUdp,
    socket: UdpSocket,
    started: Instant,
}

impl TurnProto {
    /// Gets them; nothing if it is refused, or cannot have what it insists on.
    pub(crate) fn allocate(
        server: SocketAddr,
        user: &str,
        password: &str,
        wish: Wish,
    ) -> Option<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("some port is free");
        socket.connect(server).expect("loopback is there");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout can be set");
        let mut config = TurnConfig::new(TurnCredentials::new(user, password));
        config.set_supported_integrity(wish.integrity);
        config.set_anonymous_username(wish.hidden_name);
        config.set_address_family(wish.families[0]);
        wish.families[1..].iter().for_each(|family| config.add_address_family(*family));
        let client =
            TurnClientUdp::allocate(socket.local_addr().expect("it is bound"), server, config);
        let mut this = Self { client, socket, started: Instant::now() };
        for _ in wish.families {
            this.until(|event| match event {
                TurnEvent::AllocationCreated(..) => Some(true),
                TurnEvent::AllocationCreateFailed(_) => Some(false),
                _ => None,
            })?;
        }
        Some(this)
    }

    pub(crate) fn relayed(&self) -> Vec<SocketAddr> {
        self.client.relayed_addresses().map(|(_, address)| address).collect()
    }

    /// Permits the peer, sends to it, and says whether the same comes back.
    pub(crate) fn round_trip(&mut self, peer: SocketAddr, data: &[u8]) -> bool {
        let now = self.now();
        self.client
            .create_permission(TransportType::Udp, peer.ip(), now)
            .expect("there is an allocation");
        let permitted = self.until(|event| match event {
            TurnEvent::PermissionCreated(_, ip) => Some(IpAddr::eq(&ip, &peer.ip())),
            TurnEvent::PermissionCreateFailed(..) => Some(false),
            _ => None,
        });
        if permitted.is_none() {
            return false;
        }
        let now = self.now();
        let sent = self
            .client
            .send_to(TransportType::Udp, peer, data, now)
            .expect("the peer is permitted");
        let datagram = sent.expect("it is sent at once").build();
        self.socket.send(&datagram.data).expect("loopback takes it");
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.turn().is_some_and(|came| came.peer == peer && came.data() == data) {
                return true;
            }
        }
        false
    }

    /// Deletes the allocation.
    pub(crate) fn close(mut self) {
        let now = self.now();
        self.client.delete(now).expect("there is one");
        self.turn();
    }

    /// Waits for an event that decides: nothing if it decides against us, or does not come.
    fn until(&mut self, decides: impl Fn(TurnEvent) -> Option<bool>) -> Option<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            while let Some(event) = self.client.poll_event() {
                if let Some(good) = decides(event) {
                    return good.then_some(());
                }
            }
            self.turn();
        }
        None
    }

    /// Sends what is to be sent, waits shortly, takes one datagram: what a peer sent, if it is
    /// that.
    fn turn(&mut self) -> Option<TurnPeerData<Vec<u8>>> {
        let now = self.now();
        let _ = self.client.poll(now);
        while let Some(transmit) = self.client.poll_transmit(now) {
            self.socket.send(&transmit.data).expect("loopback takes it");
        }
        let mut buffer = vec![0; 2_048];
        let length = self.socket.recv(&mut buffer).ok()?;
        buffer.truncate(length);
        let (from, to) = (self.client.remote_addr(), self.client.local_addr());
        let now = self.now();
        match self
            .client
            .recv(Transmit { data: buffer, transport: TransportType::Udp, from, to }, now)
        {
            TurnRecvRet::PeerData(data) => Some(data.into_owned()),
            _ => self.client.poll_recv(now),
        }
    }

    fn now(&self) -> stun::Instant {
        stun::Instant::from_std(self.started)
    }
}
