//! Calls during a flood of half-open handshakes.

mod client;
mod leg;
mod stranger;

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use causeway_cli::{answer_line, print_line};
use causeway_wire::{ChannelData, ChannelNumber};

use crate::load::Transport;
use crate::peer::{Choice, Place};
use client::Client;
use stranger::Stranger;

/// Number of calls over each transport.
const CALLS: usize = 5;
/// Interval of a call's datagrams, as in a voice call.
const PACE: Duration = Duration::from_millis(20);
/// How long a half-open handshake is held, as an attacker would.
const HELD: Duration = Duration::from_secs(5);
const SIZE: u16 = 160;
/// The relay ports of turnd.
const RELAY_PORTS: [u16; 2] = [10_000, 10_999];

/// A call with the latencies that it measures.
struct Felt {
    transport: Transport,
    clients: Vec<Client>,
    latencies: Vec<Duration>,
    lost: usize,
}

/// Measures the calls while `rate` strangers a second, half of them over TLS and half over DTLS,
/// start a handshake and abandon it.
///
/// # Errors
/// If turnd does not start or does not relay.
pub fn run(turnd: &Path, rate: u32, flood: Duration) -> Result<()> {
    let choice = Choice { program: Some(turnd.to_owned()), ..Choice::find("turnd")? };
    let mut place = Place::loopback();
    place.pin()?;
    let server = choice.start(&place, RELAY_PORTS, true)?;
    let peer = UdpSocket::bind("127.0.0.1:0")?;
    peer.set_read_timeout(Some(Duration::from_secs(1)))?;
    let address = peer.local_addr()?;
    let mut calls = Vec::new();
    for transport in [Transport::Udp, Transport::Tls, Transport::Dtls] {
        let clients = (0..CALLS)
            .map(|_| {
                Client::new(transport, server.address(transport), address, server.credentials())
            })
            .collect::<Result<_>>()?;
        calls.push(Felt { transport, clients, latencies: Vec::new(), lost: 0 });
    }
    talk(&mut calls, &peer, Duration::from_secs(1))?; // warms the caches
    let before = server.process().memory()?.resident;
    let quiet = percentiles(&mut calls, &peer, flood)?;
    let stop = AtomicBool::new(false);
    let (loud, begun) = thread::scope(|scope| {
        let strangers = scope.spawn(|| begin(server.address(Transport::Tls), rate, &stop));
        let loud = percentiles(&mut calls, &peer, flood);
        stop.store(true, Ordering::Relaxed);
        (loud, strangers.join())
    });
    let (loud, begun) = (loud?, begun.ok().context("the strangers' thread failed")??);
    let during = server.process().memory()?.resident;
    thread::sleep(HELD + Duration::from_secs(10));
    let after = server.process().memory()?.resident;
    print_line(format_args!("{begun} handshakes begun and left in {} s", flood.as_secs()))?;
    for ((transport, quiet, _), (_, loud, lost)) in quiet.iter().zip(&loud) {
        let ratio = loud[1].as_secs_f64() / quiet[1].as_secs_f64();
        print_line(format_args!(
            "{transport:?}: p50 {:?}, p99 {:?} when quiet; {:?}, {:?} in the flood; p99 × \
             {ratio:.2}; lost {lost}",
            quiet[0], quiet[1], loud[0], loud[1]
        ))?;
    }
    Ok(answer_line(format_args!(
        "resident memory: {before} KiB before, {during} KiB in the flood, {after} KiB {} s later",
        (HELD + Duration::from_secs(10)).as_secs()
    ))?)
}

/// The median and the 99th percentile of each transport, and the number of lost datagrams.
fn percentiles(
    calls: &mut [Felt],
    peer: &UdpSocket,
    time: Duration,
) -> Result<Vec<(Transport, [Duration; 2], usize)>> {
    for felt in calls.iter_mut() {
        (felt.latencies, felt.lost) = (Vec::new(), 0);
    }
    talk(calls, peer, time)?;
    Ok(calls
        .iter_mut()
        .map(|felt| {
            felt.latencies.sort();
            let at = |part: f64| {
                felt.latencies
                    .get((felt.latencies.len() as f64 * part) as usize)
                    .copied()
                    .unwrap_or(Duration::MAX)
            };
            (felt.transport, [at(0.5), at(0.99)], felt.lost)
        })
        .collect())
}

/// Sends a datagram of each call in turn, every 20 ms.
fn talk(calls: &mut [Felt], peer: &UdpSocket, time: Duration) -> Result<()> {
    let (start, mut buffer) = (Instant::now(), [0; 2048]);
    let mut next = start;
    let mut number = 0u32;
    while start.elapsed() < time {
        thread::sleep(next.saturating_duration_since(Instant::now()));
        next += PACE;
        for felt in calls.iter_mut() {
            for client in &mut felt.clients {
                number += 1;
                let mut frame =
                    [&ChannelData::header(ChannelNumber::FIRST, SIZE)[..], &[0xA5; SIZE as usize]]
                        .concat();
                frame[4..8].copy_from_slice(&number.to_be_bytes());
                let sent = Instant::now();
                client.leg.send(&frame)?;
                let mut arrived = false;
                // A datagram of an earlier turn is not this one.
                while let Ok(len) = peer.recv(&mut buffer) {
                    if buffer[..len] == frame[4..] {
                        arrived = true;
                        break;
                    }
                }
                if arrived { felt.latencies.push(sent.elapsed()) } else { felt.lost += 1 }
            }
        }
    }
    Ok(())
}

/// Starts handshakes until `stop`; returns their number.
fn begin(server: SocketAddr, rate: u32, stop: &AtomicBool) -> Result<usize> {
    let mut stranger = Stranger::new()?;
    let mut held = VecDeque::new();
    let (start, mut begun) = (Instant::now(), 0usize);
    while !stop.load(Ordering::Relaxed) {
        let due = start + Duration::from_secs_f64(begun as f64 / f64::from(rate));
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let handshake = if begun.is_multiple_of(2) {
            stranger.begin_tls(server)
        } else {
            stranger.begin_dtls(server)
        };
        // A server may refuse a stranger at once.
        held.extend(handshake.ok().map(|handshake| (Instant::now(), handshake)));
        while held.front().is_some_and(|(since, _)| since.elapsed() > HELD) {
            held.pop_front();
        }
        begun += 1;
    }
    Ok(begun)
}
