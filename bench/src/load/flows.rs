//! The flows of data: addresses, channels and headers of all clients.

use std::net::SocketAddr;

use causeway_wire::attribute::{Data, XorPeerAddress};
use causeway_wire::{
    ChannelData, ChannelNumber, ChannelRange, Class, EncodeError, Message, MessageWriter, Method,
    TransactionId,
};

use crate::load::scenario::MAX_SIZE;
use crate::load::{Access, Direction, Operation, Scenario};

/// The header of data between client and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrapping {
    /// ChannelData messages.
    Channel,
    /// Send and Data indications.
    Indication,
    /// The four bytes of the floors' protocol.
    Floor,
}

/// The addresses and channels of all clients.
pub(crate) struct Flows {
    pub(crate) wrapping: Wrapping,
    direction: Direction,
    is_stream: bool,
    /// The relayed address of each client; its own address until it has an allocation.
    pub(crate) relayed: Vec<SocketAddr>,
    /// The peer address of each client, as the server sees it.
    pub(crate) peers: Vec<SocketAddr>,
}

/// The content of a message from the server to a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Held<'a> {
    /// Data; `right` if it came on the client's channel, or from its peer, and with the expected
    /// header.
    Data { data: &'a [u8], right: bool },
    /// A STUN message without data.
    Stun,
    /// No message of a server.
    Broken,
}

impl Flows {
    pub(crate) fn new(
        scenario: &Scenario,
        access: &Access,
        is_stream: bool,
        peers: Vec<SocketAddr>,
    ) -> Self {
        let wrapping = match (access, scenario.operation) {
            (Access::Floor, _) => Wrapping::Floor,
            (Access::Turn { .. }, Operation::Send) => Wrapping::Indication,
            (Access::Turn { .. }, _) => Wrapping::Channel,
        };
        Self { wrapping, direction: scenario.direction, is_stream, relayed: peers.clone(), peers }
    }

    /// The client of the n-th burst, and whether the client sends it.
    pub(crate) fn turn(&self, burst: usize) -> (usize, bool) {
        let count = self.peers.len();
        match self.direction {
            Direction::ToPeer | Direction::Echo | Direction::Relay => (burst % count, true),
            Direction::ToClient => (burst % count, false),
            Direction::Both => (burst / 2 % count, burst.is_multiple_of(2)),
        }
    }

    /// Number of flows of this many clients; flow numbers are below it.
    pub(crate) fn count(clients: usize) -> usize {
        2 * clients
    }

    /// The number of the flow that `client` sends, or that its peer sends.
    pub(crate) fn flow(client: usize, up: bool) -> u32 {
        client as u32 * 2 + u32::from(!up)
    }

    /// The number of the flow that ends at `client`.
    pub(crate) fn flow_to(&self, client: usize) -> u32 {
        match self.direction {
            Direction::Echo => Self::flow(client, true),
            Direction::Relay => Self::flow(partner(client), true),
            Direction::ToPeer | Direction::ToClient | Direction::Both => Self::flow(client, false),
        }
    }

    /// The channel of a client: each has its own, as far as there are numbers, so that a wrong one
    /// is noticed.
    pub(crate) fn channel(client: usize) -> ChannelNumber {
        let number = ChannelNumber::FIRST.number() + (client % 0x1000) as u16;
        ChannelRange::Rfc8656
            .channel(number)
            .expect("0x1000 numbers from the first on are channels")
    }

    /// Length of `size` bytes with the header for the server.
    pub(crate) fn wrapped(&self, size: usize) -> usize {
        match self.wrapping {
            Wrapping::Channel | Wrapping::Floor => 4 + size + self.padding(size),
            // The header, XOR-PEER-ADDRESS, DATA.
            Wrapping::Indication => 20 + 12 + 4 + size.next_multiple_of(4),
        }
    }

    fn padding(&self, size: usize) -> usize {
        if self.is_stream { ChannelData::stream_padding(size) } else { 0 }
    }

    /// Writes the header around the data that `data` writes; returns the total length.
    pub(crate) fn wrap(
        &self,
        room: &mut [u8],
        client: usize,
        size: usize,
        id: u64,
        data: impl FnOnce(&mut [u8]),
    ) -> usize {
        let header = match self.wrapping {
            Wrapping::Channel => ChannelData::header(Self::channel(client), size as u16),
            Wrapping::Floor => ChannelData::header(ChannelNumber::FIRST, size as u16),
            Wrapping::Indication => {
                let mut scratch = [0; MAX_SIZE];
                data(&mut scratch[..size]);
                return indicate(room, self.peers[client], id, &scratch[..size])
                    .expect("the room is made for it");
            }
        };
        room[..4].copy_from_slice(&header);
        data(&mut room[4..4 + size]);
        let padding = self.padding(size);
        room[4 + size..4 + size + padding].fill(0);
        4 + size + padding
    }

    /// Reads a message that `client` has received.
    pub(crate) fn unwrap<'a>(&self, client: usize, message: &'a [u8]) -> Held<'a> {
        let Some(first) = message.first() else { return Held::Broken };
        if *first < 4 {
            return self.unwrap_stun(client, message);
        }
        let Ok(channel) = ChannelData::decode(message, ChannelRange::Rfc8656) else {
            return Held::Broken;
        };
        let right = match self.wrapping {
            Wrapping::Channel => channel.channel == Self::channel(client),
            Wrapping::Floor => channel.channel == ChannelNumber::FIRST,
            Wrapping::Indication => false,
        };
        Held::Data { data: channel.data, right }
    }

    fn unwrap_stun<'a>(&self, client: usize, message: &'a [u8]) -> Held<'a> {
        let Ok(message) = Message::decode(message) else { return Held::Broken };
        if message.class() != Class::Indication {
            return Held::Stun;
        }
        let data = message.attribute::<Data<'_>>().ok().flatten();
        let peer = message.attribute::<XorPeerAddress>().ok().flatten();
        match (message.method(), data, peer) {
            (Method::DATA, Some(data), Some(peer)) => Held::Data {
                data: data.0,
                right: self.wrapping == Wrapping::Indication && peer.0 == self.peers[client],
            },
            _ => Held::Broken,
        }
    }
}

/// The other client of a pair that call each other.
pub(crate) fn partner(client: usize) -> usize {
    client ^ 1
}

fn indicate(room: &mut [u8], peer: SocketAddr, id: u64, data: &[u8]) -> Result<usize, EncodeError> {
    let mut transaction = [0x5D; 12];
    transaction[4..].copy_from_slice(&id.to_be_bytes());
    let mut writer =
        MessageWriter::new(room, Class::Indication, Method::SEND, TransactionId(transaction))?;
    writer.put(&XorPeerAddress(peer))?.put(&Data(data))?;
    Ok(writer.finish())
}
