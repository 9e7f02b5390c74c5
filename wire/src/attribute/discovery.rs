//! The attributes of NAT behaviour discovery that a request carries (RFC 5780 §7).

use super::{Attribute, AttributeError, AttributeType, exactly};

/// RFC 5780 §7.2, CHANGE-REQUEST: which of the server's addresses the answer comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeRequest {
    /// Whether the answer comes from the server's other IP address.
    pub change_ip: bool,
    /// Whether the answer comes from the server's other port.
    pub change_port: bool,
}

impl<'a> Attribute<'a> for ChangeRequest {
    const KIND: AttributeType = AttributeType::CHANGE_REQUEST;

    #[inline]
    fn decode(value: &'a [u8], _: &[u8; 16]) -> Result<Self, AttributeError> {
        let [.., bits] = *exactly::<4>(value)?;
        Ok(Self { change_ip: bits & 0x04 != 0, change_port: bits & 0x02 != 0 })
    }

    fn value_len(&self) -> usize {
        4
    }

    fn write(&self, value: &mut [u8], _: &[u8; 16]) {
        let bits = u8::from(self.change_ip) << 2 | u8::from(self.change_port) << 1;
        value.copy_from_slice(&[0, 0, 0, bits]);
    }
}

/// RFC 5780 §7.5, RESPONSE-PORT: the port of the source's address that the answer goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponsePort(pub u16);

impl<'a> Attribute<'a> for ResponsePort {
    const KIND: AttributeType = AttributeType::RESPONSE_PORT;

    #[inline]
    fn decode(value: &'a [u8], _: &[u8; 16]) -> Result<Self, AttributeError> {
        // "a 16-bit unsigned integer … followed by 2 bytes of padding": some writers count the
        // padding, some do not.
        match *value {
            [high, low] | [high, low, _, _] => Ok(Self(u16::from_be_bytes([high, low]))),
            _ => Err(AttributeError::Length),
        }
    }

    fn value_len(&self) -> usize {
        4
    }

    fn write(&self, value: &mut [u8], _: &[u8; 16]) {
        let [high, low] = self.0.to_be_bytes();
        value.copy_from_slice(&[high, low, 0, 0]);
    }
}

/// RFC 5780 §7.6, PADDING: its length in bytes. Readers ignore the value; it is written as zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Padding(pub usize);

impl<'a> Attribute<'a> for Padding {
    const KIND: AttributeType = AttributeType::PADDING;

    #[inline]
    fn decode(value: &'a [u8], _: &[u8; 16]) -> Result<Self, AttributeError> {
        Ok(Self(value.len()))
    }

    fn value_len(&self) -> usize {
        self.0
    }

    fn write(&self, value: &mut [u8], _: &[u8; 16]) {
        value.fill(0);
    }
}
