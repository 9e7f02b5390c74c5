//! Which of the servers' addresses are asked, and in which order.

use std::net::SocketAddr;

/// Maximum number of servers without another address whose answers are compared.
pub(super) const MAX_COMPARED: usize = 4;
/// Maximum number of addresses that are asked.
const MAX_ASKED: usize = 8;

/// The first address of each server, then the second ones, and so on.
pub(super) fn in_turns(servers: &[Vec<SocketAddr>]) -> Vec<SocketAddr> {
    let longest = servers.iter().map(Vec::len).max().unwrap_or_default();
    let in_turn = (0..longest)
        .flat_map(|at| servers.iter().filter_map(move |addresses| addresses.get(at).copied()));
    in_turn.take(MAX_ASKED).collect()
}

/// Whether a server's other address differs in address and port, as the tests of RFC 5780 require
/// (§7.4).
pub(super) fn differs(server: SocketAddr, other: SocketAddr) -> bool {
    other.ip() != server.ip()
        && other.port() != server.port()
        && other.is_ipv4() == server.is_ipv4()
}
