//! The relay core under any sequence of datagrams, completions, commands and time.

use std::net::SocketAddr;
use std::time::Duration;

use causeway_auth::{Algorithm, Key, userhash};
use causeway_relay::{Command, FiveTuple, IcmpNotice, PeerPolicy, Rule, Transport};
use causeway_wire::attribute::{
    AdditionalAddressFamily, AddressFamily, AttributeType, ChannelNumberAttribute, Data,
    DontFragment, EvenPort, Lifetime, Nonce, PasswordAlgorithm, PasswordAlgorithmEntry,
    PasswordAlgorithms, Realm, RequestedAddressFamily, RequestedTransport, ReservationToken,
    Userhash, Username, XorPeerAddress,
};
use causeway_wire::{Class, MessageWriter, Method, TransactionId};

mod input;
mod shell;

use input::Input;
use shell::{LISTENER, PASSWORD, REALM, Shell, USERS};

/// Runs a server through what the bytes say. A step is a byte that names it, and what it needs.
///
/// # Panics
/// When a verdict points outside its datagram, a table outgrows its limit, a port is bound or
/// released twice, or something is left when all allocations have ended.
pub fn server(data: &[u8]) {
    let mut input = Input::new(data);
    let flags = input.byte();
    let mut shell = Shell::new(flags & 1 == 1, flags & 2 == 2);
    while !input.is_empty() {
        step(&mut shell, &mut input);
        shell.settle();
    }
    shell.end();
}

fn step(shell: &mut Shell, input: &mut Input<'_>) {
    match input.byte() % 9 {
        0 => {
            let from = five_tuple(input.byte());
            let len = usize::from(input.short() % 2048);
            shell.client_sends(&from, input.take(len));
        }
        1..=3 => {
            let from = five_tuple(input.byte());
            let request = request(shell, &from, input);
            shell.client_sends(&from, &request);
        }
        4 => {
            let (which, peer, len) = (input.byte(), peer(input.byte()), input.short());
            shell.peer_sends(which, peer, usize::from(len) * 2);
        }
        5 => {
            let milliseconds =
                u64::from(input.short()) * if input.byte() & 1 == 1 { 1 } else { 50 };
            shell.pass(Duration::from_millis(milliseconds));
        }
        6 => shell.complete(input.byte()),
        7 => {
            let (which, peer, kind, code) =
                (input.byte(), peer(input.byte()), input.byte() % 16, input.byte());
            shell.icmp_arrives(
                which,
                peer,
                IcmpNotice { kind, code, data: u32::from(input.short()) },
            );
        }
        _ => command(shell, input),
    }
}

fn command(shell: &mut Shell, input: &mut Input<'_>) {
    match input.byte() % 8 {
        0 => shell.command(Command::ClientGone(five_tuple(input.byte()))),
        1 => shell.command(Command::SetPolicy(policy(input.byte()))),
        2 => shell.end_one(input.byte()),
        3 => shell.succeed(),
        4 => shell.command(Command::ForgetKeys),
        _ => shell.key(input.byte()),
    }
}

pub(crate) fn policy(denied: u8) -> PeerPolicy {
    let rule = Rule { allow: false, net: format!("20.0.0.{denied}/32").parse().expect("a range") };
    PeerPolicy::new(
        &[rule],
        vec![LISTENER.parse().expect("an address")],
        vec![shell::RELAY],
        49_152..=65_535,
    )
}

fn five_tuple(which: u8) -> FiveTuple {
    let transport =
        [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Dtls][usize::from(which >> 6)];
    let client = match which & 8 {
        0 => SocketAddr::new([192, 0, 2, which & 3].into(), 1000 + u16::from(which & 4)),
        _ => SocketAddr::new([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(which & 3)].into(), 1000),
    };
    FiveTuple { client, server: LISTENER.parse().expect("an address"), transport }
}

fn peer(which: u8) -> SocketAddr {
    let port = u16::from(which & 3);
    match which >> 2 {
        0 => SocketAddr::new([127, 0, 0, 1].into(), port),
        1 => SocketAddr::new([0, 0, 0, 0, 0, 0xFFFF, 0x1400, 1].into(), port),
        2 => LISTENER.parse().expect("an address"),
        host if host & 1 == 0 => SocketAddr::new([20, 0, 0, host].into(), port),
        host => SocketAddr::new([0x2a02, 0, 0, 0, 0, 0, 0, u16::from(host)].into(), port),
    }
}

/// A message whose frame, nonce and integrity are right unless the input wants them wrong, so that
/// what is behind them is reached.
fn request(shell: &Shell, from: &FiveTuple, input: &mut Input<'_>) -> Vec<u8> {
    let flags = input.byte();
    let (class, method) = match input.byte() % 8 {
        0 => (Class::Indication, Method::SEND),
        1 => (Class::Request, Method::BINDING),
        2 | 3 => (Class::Request, Method::ALLOCATE),
        4 => (Class::Request, Method::REFRESH),
        5 => (Class::Request, Method::CREATE_PERMISSION),
        _ => (Class::Request, Method::CHANNEL_BIND),
    };
    let mut buffer = vec![0; 4096];
    let mut writer =
        MessageWriter::new(&mut buffer, class, method, TransactionId([input.byte(); 12]))
            .expect("room");
    for _ in 0..input.byte() % 8 {
        attribute(&mut writer, input);
    }
    if class == Class::Request && flags & 1 == 0 {
        let username = USERS[usize::from(flags >> 1 & 1) + usize::from(flags >> 6 & 1)];
        let nonce = shell.nonce(from.client);
        let password = if flags & 0x1C == 0x1C { "wrong" } else { PASSWORD };
        let named = if flags & 0x80 != 0 { Some(input.byte()) } else { None };
        match named {
            Some(how) if how & 1 != 0 => writer.put(&Userhash(userhash(username, REALM))),
            _ => writer.put(&Username(username)),
        }
        .and_then(|w| w.put(&Realm(REALM)))
        .and_then(|w| w.put(&Nonce(nonce.as_str())))
        .expect("room");
        protect(&mut writer, username, password, named);
    }
    if flags & 0x20 != 0 {
        writer.fingerprint().expect("room");
    }
    let len = writer.finish();
    buffer.truncate(len);
    buffer
}

/// The integrity, with PASSWORD-ALGORITHMS and PASSWORD-ALGORITHM if the request names an
/// algorithm; at times one that was not offered.
fn protect(writer: &mut MessageWriter<'_>, username: &str, password: &str, named: Option<u8>) {
    let algorithm =
        if named.is_some_and(|how| how & 2 == 0) { Algorithm::Sha256 } else { Algorithm::Md5 };
    let key = Key::long_term(algorithm, username, REALM, password).integrity_key();
    if let Some(how) = named {
        let list = if how & 0x1C == 0x1C {
            PasswordAlgorithms::MD5
        } else {
            PasswordAlgorithms::SHA256_MD5
        };
        let number = if how & 0xE0 == 0xE0 { u16::from(how) } else { algorithm.number() };
        let choice =
            PasswordAlgorithm(PasswordAlgorithmEntry { algorithm: number, parameters: &[] });
        writer.put(&list).and_then(|w| w.put(&choice)).expect("room");
    }
    match named {
        Some(_) => writer.integrity_sha256(&key),
        None => writer.integrity(&key),
    }
    .expect("room");
}

/// One in four is IPv4 unless bit 1 is set.
fn family(which: u8) -> AddressFamily {
    if which & 3 == 0 { AddressFamily::Ipv4 } else { AddressFamily::Ipv6 }
}

fn attribute(writer: &mut MessageWriter<'_>, input: &mut Input<'_>) {
    let put = match input.byte() % 12 {
        0 => {
            let (kind, len) = (AttributeType(input.short()), usize::from(input.byte()));
            writer.put_raw(kind, input.take(len))
        }
        1 => writer.put(&RequestedTransport::UDP),
        2 => writer.put(&Lifetime(u32::from(input.short()))),
        3 => writer.put(&ChannelNumberAttribute(0x4000 | u16::from(input.byte()))),
        4 => writer.put(&RequestedAddressFamily(family(input.byte()))),
        6 => writer.put(&AdditionalAddressFamily(family(input.byte() | 2))),
        7 => writer.put(&EvenPort { reserve: input.byte() & 1 == 0 }),
        8 => writer.put(&DontFragment),
        9 => writer.put(&ReservationToken([input.byte(); 8])),
        5 => {
            let len = usize::from(input.byte());
            writer.put(&Data(input.take(len)))
        }
        _ => writer.put(&XorPeerAddress(peer(input.byte()))),
    };
    put.expect("at most eight attributes of 255 bytes");
}
