//! The attributes of TURN that have a form of their own (RFC 8656 §18).

use super::{Attribute, AttributeError, AttributeType, exactly};

/// RFC 8656 §18.1, CHANNEL-NUMBER: the number as received; [`crate::ChannelRange`] decides whether
/// it is a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelNumberAttribute(pub u16);

impl<'a> Attribute<'a> for ChannelNumberAttribute {
    const KIND: AttributeType = AttributeType::CHANNEL_NUMBER;

    #[inline]
    fn decode(value: &'a [u8], _: &[u8; 16]) -> Result<Self, AttributeError> {
        let [high, low, _, _] = *exactly::<4>(value)?;
        Ok(Self(u16::from_be_bytes([high, low])))
    }

    fn value_len(&self) -> usize {
        4
    }

    fn write(&self, value: &mut [u8], _: &[u8; 16]) {
        let [high, low] = self.0.to_be_bytes();
        value.copy_from_slice(&[high, low, 0, 0]);
    }
}

/// RFC 8656 §18.4, DATA: the bytes of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a>(pub &'a [u8]);

impl<'a> Attribute<'a> for Data<'a> {
    const KIND: AttributeType = AttributeType::DATA;

    #[inline]
    fn decode(value: &'a [u8], _: &[u8; 16]) -> Result<Self, AttributeError> {
        Ok(Self(value))
    }

    fn value_len(&self) -> usize {
        self.0.len()
    }

    fn write(&self, value: &mut [u8], _: &[u8; 16]) {
        value.copy_from_slice(self.0);
    }
}

/// RFC 8656 §18.7, EVEN-PORT: the relayed address must have an even port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvenPort {
    /// R: whether to reserve the next-higher port too.
    pub reserve: bool,
}

impl<'a> Attribute<'a> for EvenPort {
    const KIND: AttributeType = AttributeType::EVEN_PORT;

    #[inline]
    fn decode(value: &'a [u8], _: &[u8; 16]) -> Result<Self, AttributeError> {
        let [bits] = *exactly::<1>(value)?;
        Ok(Self { reserve: bits & 0x80 != 0 })
    }

    fn value_len(&self) -> usize {
        1
    }

    fn write(&self, value: &mut [u8], _: &[u8; 16]) {
        value[0] = if self.reserve { 0x80 } else { 0 };
    }
}

/// RFC 8656 §18.8, REQUESTED-TRANSPORT: an IP protocol number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestedTransport(pub u8);

impl RequestedTransport {
    /// UDP, the only protocol that RFC 8656 allows.
    pub const UDP: Self = Self(17);
    /// TCP (RFC 6062 §4.1).
    pub const TCP: Self = Self(6);
}

impl<'a> Attribute<'a> for RequestedTransport {
    const KIND: AttributeType = AttributeType::REQUESTED_TRANSPORT;

    #[inline]
    fn decode(value: &'a [u8], _: &[u8; 16]) -> Result<Self, AttributeError> {
        let [protocol, ..] = *exactly::<4>(value)?;
        Ok(Self(protocol))
    }

    fn value_len(&self) -> usize {
        4
    }

    fn write(&self, value: &mut [u8], _: &[u8; 16]) {
        value.copy_from_slice(&[self.0, 0, 0, 0]);
    }
}

/// RFC 8656 §18.10, RESERVATION-TOKEN: names a port that an earlier EVEN-PORT reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservationToken(pub [u8; 8]);

impl<'a> Attribute<'a> for ReservationToken {
    const KIND: AttributeType = AttributeType::RESERVATION_TOKEN;

    #[inline]
    fn decode(value: &'a [u8], _: &[u8; 16]) -> Result<Self, AttributeError> {
        exactly(value).copied().map(Self)
    }

    fn value_len(&self) -> usize {
        8
    }

    fn write(&self, value: &mut [u8], _: &[u8; 16]) {
        value.copy_from_slice(&self.0);
    }
}

/// RFC 8656 §18.13, ICMP: why a datagram did not reach the peer.
// Deviation: RFC 8656 §18.13: type and code take a byte each, as in ICMP itself and as clients read
// them; the figure draws 7 and 9 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// The ICMP type for an IPv4 peer, the ICMPv6 type for an IPv6 peer.
    pub icmp_type: u8,
    /// The ICMP or ICMPv6 code.
    pub code: u8,
    /// The MTU of the next hop for "packet too big" and the equivalent in IPv4; otherwise zero.
    pub error_data: [u8; 4],
}

impl<'a> Attribute<'a> for Icmp {
    const KIND: AttributeType = AttributeType::ICMP;

    #[inline]
    fn decode(value: &'a [u8], _: &[u8; 16]) -> Result<Self, AttributeError> {
        let [_, _, icmp_type, code, a, b, c, d] = *exactly::<8>(value)?;
        Ok(Self { icmp_type, code, error_data: [a, b, c, d] })
    }

    fn value_len(&self) -> usize {
        8
    }

    fn write(&self, value: &mut [u8], _: &[u8; 16]) {
        let [a, b, c, d] = self.error_data;
        value.copy_from_slice(&[0, 0, self.icmp_type, self.code, a, b, c, d]);
    }
}
