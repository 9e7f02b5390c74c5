//! The memory of a silent association. Alone in its process, whose memory it counts.

#![allow(dead_code, clippy::unwrap_used)] // the helpers are those of the other DTLS tests

#[path = "support/authority.rs"]
mod authority;
#[path = "dtls/client.rs"]
mod client;
#[path = "dtls/server.rs"]
mod server;

use authority::{Authority, Kind};
use client::{Client, Path, Wish, faithful};
use server::{Server, socket};

/// Bytes allocated and not freed.
fn in_use() -> usize {
    // SAFETY: the call only counts.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}

#[test]
fn a_silent_association_holds_no_buffers_for_records() {
    const MANY: usize = 200;
    let authority = Authority::new(Kind::Rsa, "turn.example.org");
    let server = Server::start(vec![authority.identity()]);
    // Kept, so that none is used again: that would replace an association.
    let mut ports = Vec::with_capacity(MANY + 20);
    let mut connect = || {
        let path = Path::new(socket("127.0.0.1:0"), server.address, faithful(), faithful());
        let mut client =
            Client::connect(path, &Wish::verified(&authority.root, "turn.example.org")).unwrap();
        client.assert_echo(b"an Allocate request");
        server.associated();
        server.datagram();
        ports.push(client.stream.get_ref().socket.try_clone().unwrap());
    };
    (0..20).for_each(|_| connect()); // tables and buffers grow to their size
    let before = in_use();
    (0..MANY).for_each(|_| connect());
    let each = (in_use() - before) / MANY;
    assert_eq!(server.stats.associations_open.value(), 220);
    println!("{each} bytes an association");
    // OpenSSL keeps 72 KB itself, 22 of them for handshake messages that may come again; a buffer
    // for records would be 17 more.
    assert!(each < 80 << 10, "{each} bytes");
}
