//! Hours of an allocation over a network that loses, repeats and reorders, in virtual time.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::scripted::*;
use causeway_client::{
    Credentials, Event, HEADROOM, Received, TAILROOM, Transport, TurnClient, TurnConfig,
};
use causeway_wire::attribute::{ChannelNumberAttribute, XorPeerAddress};
use causeway_wire::{ErrorCode, Message, Method};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A server that forgets what is not refreshed, and changes its nonce each ten minutes.
#[derive(Default)]
struct Forgetful {
    allocated_until: Option<Duration>,
    permission_until: Option<Duration>,
    channels: HashMap<u16, (SocketAddr, Duration)>,
}

impl Forgetful {
    fn serve(&mut self, request: &[u8], start: Duration, now: Duration) -> Vec<u8> {
        let message = Message::decode(request).unwrap();
        let nonce = format!("nonce-{}", (now - start).as_secs() / 600);
        let current = message
            .attribute::<causeway_wire::attribute::Nonce<'_>>()
            .unwrap()
            .map(|nonce| nonce.0.to_owned());
        match current {
            None => return challenge(request, ErrorCode::UNAUTHENTICATED, &nonce),
            Some(used) if used != nonce => {
                return challenge(request, ErrorCode::STALE_NONCE, &nonce);
            }
            Some(_) => assert!(message.verify_integrity(&key())),
        }
        if message.method() != Method::ALLOCATE {
            assert!(
                self.allocated_until.is_some_and(|until| now < until),
                "{:?} after the allocation expired",
                message.method()
            );
        }
        match message.method() {
            Method::CREATE_PERMISSION => self.permission_until = Some(now + seconds(300)),
            Method::CHANNEL_BIND => {
                let number = message.attribute::<ChannelNumberAttribute>().unwrap().unwrap().0;
                let peer = message.attribute::<XorPeerAddress>().unwrap().unwrap().0;
                self.channels.insert(number, (peer, now + seconds(600)));
                self.permission_until = Some(now + seconds(300));
            }
            _ => self.allocated_until = Some(now + seconds(600)),
        }
        success(request)
    }
}

/// Three hours; every ten seconds data must find its way.
fn survives(seed: u64, loss: f64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let start = epoch();
    let config =
        TurnConfig::new(server_address(), Transport::Udp, Some(Credentials::new("anna", PASSWORD)));
    let mut client = TurnClient::new(config, StdRng::seed_from_u64(seed + 1));
    let mut server = Forgetful::default();
    // Messages under way: the time of arrival, the direction and the bytes.
    let mut network: Vec<(Duration, bool, Vec<u8>)> = Vec::new();
    let (mut now, end, mut probe) = (start, start + seconds(3 * 3600), start + seconds(120));
    let (mut bound, mut probes) = (false, 0);
    client.allocate(start).unwrap();
    while now < end {
        while let Some(transmit) = client.poll_transmit() {
            throw(&mut network, &mut rng, loss, now, true, &transmit.payload);
        }
        while let Some(event) = client.poll_event() {
            match event {
                Event::Allocated(_) => client.bind(now, peer()).unwrap(),
                Event::ChannelBound { .. } => bound = true,
                Event::Refreshed { .. } | Event::PermissionInstalled { .. } => {}
                event => panic!("seed {seed}, after {:?}: {event:?}", now - start),
            }
        }
        let arrival = network
            .iter()
            .enumerate()
            .min_by_key(|(_, (at, ..))| *at)
            .map(|(index, (at, ..))| (index, *at));
        let deadline = client.poll_timeout().unwrap_or(end).min(probe);
        match arrival {
            Some((index, at)) if at <= deadline => {
                now = now.max(at);
                let (_, to_server, bytes) = network.swap_remove(index);
                if to_server {
                    let answer = server.serve(&bytes, start, now);
                    throw(&mut network, &mut rng, loss, now, false, &answer);
                } else {
                    let _: Received<'_> = client.handle_input(now, server_address(), &bytes);
                }
            }
            _ if deadline == probe => {
                now = probe;
                probe += seconds(10);
                probes += 1;
                assert!(bound, "seed {seed}: no channel after two minutes");
                let mut buffer = [0; HEADROOM + 1 + TAILROOM];
                let frame = client.wrap(now, peer(), &mut buffer, HEADROOM..HEADROOM + 1).unwrap();
                assert_eq!(buffer[frame.start], 0x40, "over the channel");
                assert!(
                    server.permission_until.unwrap() > now && server.channels[&0x4000].1 > now,
                    "seed {seed}: the server forgot"
                );
                assert_eq!(server.channels[&0x4000].0, peer());
            }
            _ => {
                now = now.max(deadline);
                client.handle_timeout(now);
            }
        }
    }
    assert!(probes > 1000 && client.allocated().is_some());
}

/// A tenth of what is not lost arrives twice; each takes 1 to 400 ms.
fn throw(
    network: &mut Vec<(Duration, bool, Vec<u8>)>,
    rng: &mut StdRng,
    loss: f64,
    now: Duration,
    to_server: bool,
    bytes: &[u8],
) {
    if rng.random_bool(loss) {
        return;
    }
    for _ in 0..1 + u32::from(rng.random_bool(0.1)) {
        network.push((
            now + Duration::from_millis(rng.random_range(1..400)),
            to_server,
            bytes.to_vec(),
        ));
    }
}

#[test]
fn an_allocation_survives_hours_of_loss_reordering_and_new_nonces() {
    for seed in 0..20 {
        survives(seed, 0.2);
    }
}

#[test]
fn without_loss_it_is_no_different() {
    survives(100, 0.0);
}
