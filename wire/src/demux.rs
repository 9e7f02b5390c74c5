//! Telling protocols apart by their first byte (RFC 7983 §7, updated by RFC 9443; RFC 8656 §12,
//! table 3).

/// The protocol of a datagram or of the next frame of a stream, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// 0..=3: STUN, TURN's requests and indications included.
    Stun,
    /// 16..=19: ZRTP, which `turnd` drops.
    Zrtp,
    /// 20..=63: DTLS; on a stream, TLS.
    Dtls,
    /// 64..=79: a ChannelData message.
    Channel,
    /// 128..=191: RTP or RTCP.
    Rtp,
    /// 80..=127 and 192..=255: QUIC (RFC 9443); the lower part is where RFC 5766 had channels.
    Quic,
    /// Any other value: the datagram is dropped.
    Reserved,
}

/// The protocol that a first byte belongs to.
#[must_use]
pub const fn protocol(first: u8) -> Protocol {
    match first {
        0..=3 => Protocol::Stun,
        16..=19 => Protocol::Zrtp,
        20..=63 => Protocol::Dtls,
        64..=79 => Protocol::Channel,
        128..=191 => Protocol::Rtp,
        80..=127 | 192..=255 => Protocol::Quic,
        4..=15 => Protocol::Reserved,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7983_7_the_ranges() {
        let of =
            |range: std::ops::RangeInclusive<u8>, p| range.clone().all(|byte| protocol(byte) == p);
        assert!(
            of(0..=3, Protocol::Stun)
                && of(4..=15, Protocol::Reserved)
                && of(16..=19, Protocol::Zrtp)
        );
        assert!(
            of(20..=63, Protocol::Dtls)
                && of(64..=79, Protocol::Channel)
                && of(80..=127, Protocol::Quic)
        );
        assert!(of(128..=191, Protocol::Rtp) && of(192..=255, Protocol::Quic));
    }
}
