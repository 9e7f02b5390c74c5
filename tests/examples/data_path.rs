//! Measures the server's decisions without the kernel: nanoseconds for each message, of an
//! allocation chosen at random.
#![allow(clippy::print_stdout)] // it prints its measurements
#![allow(clippy::disallowed_methods)] // a stopwatch

use std::hint::black_box;
use std::time::Instant;

use causeway_relay::{FiveTuple, PeerAddress, RelayId, Transport};
use causeway_tests::addresses::{client, peer};
use causeway_tests::{Client, Lab};
use causeway_wire::attribute::{ChannelNumberAttribute, RequestedTransport, XorPeerAddress};
use causeway_wire::{ChannelData, ChannelNumber, Method};

const ROUNDS: usize = 60;
const CALLS: usize = 20_000;
const DATA: [u8; 160] = [0x5A; 160];

struct Call {
    five_tuple: FiveTuple,
    relay: RelayId,
    bind: Vec<u8>,
}

fn main() {
    for count in [100u16, 1000, 5000, 16_000] {
        let mut lab = Lab::with(|setup| {
            (setup.ports, setup.quota, setup.unauthenticated) = (count, usize::from(count), None);
        });
        let calls: Vec<_> = (0..count)
            .map(|index| {
                let mut client =
                    Client::at(client((index % 250) as u8, 1000 + index), Transport::Udp);
                client.fetch_nonce(&mut lab);
                let id = client.next_transaction();
                let request = client
                    .signed(id, Method::ALLOCATE, &|w| w.put(&RequestedTransport::UDP).map(drop));
                let answer = lab.client_sends(&client.five_tuple, &request).answer();
                let relayed = answer.relayed().expect("allocated");
                assert_eq!(client.bind(&mut lab, 0x4000, peer(1, 5000)), None);
                let id = client.next_transaction();
                let bind = client.signed(id, Method::CHANNEL_BIND, &|w| {
                    w.put(&ChannelNumberAttribute(0x4000))?
                        .put(&XorPeerAddress(peer(1, 5000)))
                        .map(drop)
                });
                Call {
                    five_tuple: client.five_tuple,
                    relay: lab.pool.relay(relayed).expect("bound"),
                    bind,
                }
            })
            .collect();
        let data =
            [&ChannelData::header(ChannelNumber::FIRST, DATA.len() as u16)[..], &DATA].concat();
        let (mut out, now) = ([0; 1500], lab.now());
        let mut random = 0x9E37_79B9_7F4A_7C15u64;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % u64::from(count)) as usize
        };
        let empty = best(&mut next);
        let up = best(|| lab.server.handle_client(now, &calls[next()].five_tuple, &data, &mut out));
        let from = PeerAddress(peer(1, 5000));
        let down = best(|| lab.server.handle_peer(now, calls[next()].relay, from, DATA.len()));
        let bind = best(|| {
            let call = &calls[next()];
            lab.server.handle_client(now, &call.five_tuple, &call.bind, &mut out)
        });
        let (up, down) = (up - empty, down - empty);
        println!(
            "{count:6} allocations: ChannelData of a client {up:.1} ns, \
             datagram of a peer {down:.1} ns, ChannelBind {bind:.0} ns"
        );
    }
}

/// Nanoseconds of one call, the best of many rounds: other work of the machine only adds to it.
fn best<T>(mut call: impl FnMut() -> T) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..CALLS {
            black_box(call());
        }
        best = best.min(start.elapsed().as_nanos() as f64 / CALLS as f64);
    }
    best
}
