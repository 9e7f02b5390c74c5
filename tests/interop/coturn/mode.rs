//! The modes of coturn's load generator.
//!
//! Not among them, since Debian's own server (4.6.1) does not pass them: `-N` and `-R`, which come
//! to no end or say that they failed, `-M` (405 unless it is told to allow mobility), `-P` (half of
//! the messages are lost). `-T` is TCP behind the relay, RFC 6062.

/// Where the messages go.
#[derive(Clone, Copy, Debug)]
pub(super) enum To {
    /// To a peer that sends them back, over IPv4.
    Ipv4Peer,
    /// The same over IPv6.
    Ipv6Peer,
    /// Each client to another one's relayed address.
    EachOther,
}

/// A way to run it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mode {
    /// The feature that this mode shows.
    pub(super) shows: &'static str,
    /// The flags beside those of the leg.
    pub(super) flags: &'static [&'static str],
    pub(super) to: To,
}

const fn mode(shows: &'static str, flags: &'static [&'static str], to: To) -> Mode {
    Mode { shows, flags, to }
}

/// Without `-c` a client has two allocations, for RTP and RTCP, and asks for an even port, in turns
/// with its neighbour reserved.
pub(super) const MODES: &[Mode] = &[
    mode("channels", &["-c"], To::Ipv4Peer),
    mode("Send indications", &["-c", "-s"], To::Ipv4Peer),
    mode("channels with padding", &["-c", "-D"], To::Ipv4Peer),
    mode("clients to each other", &["-c", "-y"], To::EachOther),
    mode("even port and reserved port", &[], To::Ipv4Peer),
    mode("even and reserved, to each other", &["-y", "-s"], To::EachOther),
    mode("IPv6 relayed address", &["-c", "-x"], To::Ipv6Peer),
    mode("IPv6, Send indications", &["-c", "-x", "-s"], To::Ipv6Peer),
    mode("IPv6, to each other", &["-c", "-x", "-y"], To::EachOther),
    mode("IPv4 by name", &["-c", "-X"], To::Ipv4Peer),
    mode("both families, IPv4 peer", &["-Z"], To::Ipv4Peer),
    mode("both families, IPv6 peer", &["-Z"], To::Ipv6Peer),
    mode("both families, to each other", &["-Z", "-y"], To::EachOther),
    mode("fragments in channels", &["-c", "-l", "3000"], To::Ipv4Peer),
    mode("fragments in indications", &["-c", "-s", "-l", "3000"], To::Ipv4Peer),
    mode("DONT-FRAGMENT", &["-c", "-s", "-g"], To::Ipv4Peer),
    mode("DONT-FRAGMENT asked for, channels", &["-c", "-g"], To::Ipv4Peer),
    mode("many permissions and channels", &["-c", "-G"], To::Ipv4Peer),
    mode("disconnects at random", &["-c", "-B"], To::Ipv4Peer),
    mode("BANDWIDTH of old drafts", &["-c", "-a", "100000"], To::Ipv4Peer),
];
