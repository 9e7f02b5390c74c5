//! Steering: the choice of the worker that a client's datagrams reach.
//!
//! A classic BPF program on the SO_REUSEPORT group of a listener chooses the worker from the source
//! address and port, and [`worker_of`] computes the same in user space, so that a restored
//! allocation is given to the worker that its client will reach. Attaching one needs no privilege.
//!
//! The program's answer is an index into the group, in the order in which its sockets were bound;
//! closing one moves the last to its index. So bind all of them, in the order of the workers,
//! before the first thread starts, and close none by itself.
//!
//! # Send-only sockets
//! Behind the workers' sockets, at indexes that the program never returns, each of them has a
//! second socket: small datagrams leave through it, with DF set
//! ([`DontFragment::Small`](crate::DontFragment)). It receives nothing and is not watched, so that
//! the end of a send wakes no worker. These sockets are bound only after the program is attached:
//! without it, the kernel would give them datagrams that no worker reads.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use crate::tcp::Listener;
use crate::udp::{UdpOptions, UdpSocket};

/// Multipliers of a 32-bit finaliser with full avalanche.
const MIX: [u32; 2] = [0x85eb_ca6b, 0xc2b2_ae35];

/// The worker, below `workers`, that datagrams from `source` reach through a group that was
/// [`attach`]ed to.
///
/// An IPv4-mapped IPv6 address counts as IPv4. Exception: an IPv6 datagram with extension headers
/// is steered as if its source port were 0.
///
/// # Panics
/// If `workers` is 0.
pub fn worker_of(source: SocketAddr, workers: usize) -> usize {
    let mut hash = 0u32;
    match source.ip().to_canonical() {
        IpAddr::V4(address) => hash = fold(hash, u32::from(address)),
        IpAddr::V6(address) => {
            let bits = u128::from(address);
            for shift in [96, 64, 32, 0] {
                hash = fold(hash, (bits >> shift) as u32);
            }
        }
    }
    hash = fold(hash, u32::from(source.port()));
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(MIX[1]);
    hash ^= hash >> 13;
    hash as usize % workers
}

fn fold(hash: u32, word: u32) -> u32 {
    let mixed = (hash ^ word).wrapping_mul(MIX[0]);
    mixed ^ (mixed >> 15)
}

/// The sockets of one address and port, one for each worker, in their order.
#[derive(Debug)]
pub struct UdpGroup {
    /// Worker `i` owns socket `i`.
    pub sockets: Vec<UdpSocket>,
    /// Why datagrams are not steered, if they are not. It is for the log, and not fatal (see
    /// [`attach`]).
    pub unsteered: Option<io::Error>,
}

/// Binds `local` for each of `workers` and steers the group. What arrives before the group is
/// steered is dropped, as on a port that is not yet open: it could reach any worker, and one that
/// does not hold a client's allocation would reply that there is none.
///
/// Takes a descriptor for each worker; two over IPv4, where the group is steered and
/// `options.dont_fragment` is [`DontFragment::Small`](crate::DontFragment::Small): one socket
/// receives, and sends what is large, the other sends what is small.
///
/// # Errors
/// As [`UdpSocket::bind`], also when another process of the same user shares the port with
/// SO_REUSEPORT, which alone would let two servers split one port's clients unnoticed.
pub fn bind_udp_group(
    local: SocketAddr,
    options: &UdpOptions,
    workers: usize,
) -> io::Result<UdpGroup> {
    let probe = UdpSocket::bind(local, &UdpOptions { reuse_port: false, ..*options })?;
    let local = probe.local_addr();
    drop(probe);
    let options = UdpOptions { reuse_port: true, ..*options };
    let mut sockets = (0..workers)
        .map(|_| UdpSocket::bind_dropping(local, &options))
        .collect::<io::Result<Vec<_>>>()?;
    let unsteered = attach(&sockets).err();
    if unsteered.is_none() {
        sockets.iter_mut().try_for_each(|socket| socket.add_send_only(&options))?;
    }
    sockets.iter().try_for_each(UdpSocket::stop_dropping)?;
    Ok(UdpGroup { sockets, unsteered })
}

/// Binds `local` for each of `workers` and listens, with `freebind` also at an address that this
/// host does not have. The kernel spreads connections; each stays where it was accepted.
///
/// # Errors
/// As [`Listener::bind`], also when another process of the same user shares the port with
/// SO_REUSEPORT.
pub fn bind_tcp_group(
    local: SocketAddr,
    freebind: bool,
    workers: usize,
) -> io::Result<Vec<Listener>> {
    let local = Listener::probe(local, freebind)?;
    (0..workers).map(|_| Listener::bind_freely(local, freebind)).collect()
}

/// Makes the group of `sockets`, one for each worker in their order, choose by [`worker_of`].
///
/// # Errors
/// The kernel refuses the program. Datagrams are then spread by the kernel's own hash: a
/// 5-tuple still always reaches the same worker, but not the one that `worker_of` names.
pub fn attach(sockets: &[UdpSocket]) -> io::Result<()> {
    let Some(first) = sockets.first() else {
        return Ok(());
    };
    let program = program(first.local_addr().is_ipv6(), sockets.len() as u32);
    let program =
        libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    // SAFETY: `program` describes an array that lives through the call; the kernel copies it.
    let result = unsafe {
        libc::setsockopt(
            first.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Base of offsets in the network header.
const NETWORK: u32 = libc::SKF_NET_OFF as u32;

fn program(ipv6: bool, workers: u32) -> Vec<libc::sock_filter> {
    use libc::*;
    let mut code = Vec::new();
    let mut put = |op: u32, k: u32| {
        code.push(sock_filter { code: op as u16, jt: 0, jf: 0, k });
    };
    /// `hash ^= hash >> n`, with the hash in A.
    fn shift_in(put: &mut impl FnMut(u32, u32), n: u32) {
        put(BPF_MISC | BPF_TAX, 0);
        put(BPF_ALU | BPF_RSH | BPF_K, n);
        put(BPF_ALU | BPF_XOR | BPF_X, 0);
    }
    /// Folds the word in A into the hash in M[0], and leaves the hash in A and M[0].
    fn fold(put: &mut impl FnMut(u32, u32)) {
        put(BPF_LDX | BPF_MEM, 0);
        put(BPF_ALU | BPF_XOR | BPF_X, 0);
        put(BPF_ALU | BPF_MUL | BPF_K, MIX[0]);
        shift_in(put, 15);
        put(BPF_ST, 0);
    }
    put(BPF_LD | BPF_IMM, 0);
    put(BPF_ST, 0);
    let source = if ipv6 { 8..24 } else { 12..16 };
    for offset in source.step_by(4) {
        put(BPF_LD | BPF_W | BPF_ABS, NETWORK.wrapping_add(offset));
        fold(&mut put);
    }
    if ipv6 {
        // The port follows the header, if UDP does.
        put(BPF_LD | BPF_B | BPF_ABS, NETWORK.wrapping_add(6));
        code.push(sock_filter {
            code: (BPF_JMP | BPF_JEQ | BPF_K) as u16,
            jt: 2,
            jf: 0,
            k: IPPROTO_UDP as u32,
        });
    }
    let mut put = |op: u32, k: u32| {
        code.push(sock_filter { code: op as u16, jt: 0, jf: 0, k });
    };
    if ipv6 {
        put(BPF_LD | BPF_IMM, 0);
        put(BPF_JMP | BPF_JA, 1);
        put(BPF_LD | BPF_H | BPF_ABS, NETWORK.wrapping_add(40));
    } else {
        put(BPF_LDX | BPF_B | BPF_MSH, NETWORK); // X = length of the IPv4 header with options
        put(BPF_LD | BPF_H | BPF_IND, NETWORK);
    }
    fold(&mut put);
    shift_in(&mut put, 16);
    put(BPF_ALU | BPF_MUL | BPF_K, MIX[1]);
    shift_in(&mut put, 13);
    put(BPF_ALU | BPF_MOD | BPF_K, workers);
    put(BPF_RET | BPF_A, 0);
    code
}
