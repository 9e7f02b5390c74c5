//! The class and the method of a message, and how they share its first two bytes.

use std::fmt;

/// The class of a message: two bits of its type (RFC 8489 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Expects a response.
    Request,
    /// Expects no response.
    Indication,
    /// Answers a request that succeeded.
    SuccessResponse,
    /// Answers a request that failed.
    ErrorResponse,
}

/// The method of a message: twelve bits of its type (RFC 8489 §5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Method(u16);

impl Method {
    /// Binding (RFC 8489 §18.2).
    pub const BINDING: Self = Self(0x001);
    /// Shared Secret (RFC 3489 §8.2); reserved since.
    pub const SHARED_SECRET: Self = Self(0x002);
    /// Allocate (RFC 8656 §17).
    pub const ALLOCATE: Self = Self(0x003);
    /// Refresh (RFC 8656 §17).
    pub const REFRESH: Self = Self(0x004);
    /// Send, indications only (RFC 8656 §17).
    pub const SEND: Self = Self(0x006);
    /// Data, indications only (RFC 8656 §17).
    pub const DATA: Self = Self(0x007);
    /// `CreatePermission` (RFC 8656 §17).
    pub const CREATE_PERMISSION: Self = Self(0x008);
    /// `ChannelBind` (RFC 8656 §17).
    pub const CHANNEL_BIND: Self = Self(0x009);
    /// Connect, of TURN's TCP relaying (RFC 6062 §6.1).
    pub const CONNECT: Self = Self(0x00A);
    /// `ConnectionBind`, of TURN's TCP relaying (RFC 6062 §6.1).
    pub const CONNECTION_BIND: Self = Self(0x00B);
    /// `ConnectionAttempt`, indications only (RFC 6062 §6.1).
    pub const CONNECTION_ATTEMPT: Self = Self(0x00C);

    /// The method with this number; `None` above 0xFFF.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if number <= 0xFFF { Some(Self(number)) } else { None }
    }

    /// The number, 0 to 0xFFF.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::BINDING => "Binding",
            Self::SHARED_SECRET => "SharedSecret",
            Self::ALLOCATE => "Allocate",
            Self::REFRESH => "Refresh",
            Self::SEND => "Send",
            Self::DATA => "Data",
            Self::CREATE_PERMISSION => "CreatePermission",
            Self::CHANNEL_BIND => "ChannelBind",
            Self::CONNECT => "Connect",
            Self::CONNECTION_BIND => "ConnectionBind",
            Self::CONNECTION_ATTEMPT => "ConnectionAttempt",
            Self(number) => return write!(f, "method {number:#05x}"),
        };
        f.write_str(name)
    }
}

/// The class and the method, which share the first two bytes of a message (RFC 8489 §5, figure 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageType {
    /// The message's class.
    pub class: Class,
    /// The message's method.
    pub method: Method,
}

impl MessageType {
    /// Reads them from the first two bytes; `None` if one of the two first bits is set.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Option<Self> {
        if bits & 0xC000 != 0 {
            return None;
        }
        let class = match bits & 0x0110 {
            0x0000 => Class::Request,
            0x0010 => Class::Indication,
            0x0100 => Class::SuccessResponse,
            _ => Class::ErrorResponse,
        };
        let number = (bits & 0x000F) | ((bits & 0x00E0) >> 1) | ((bits & 0x3E00) >> 2);
        Some(Self { class, method: Method(number) })
    }

    /// The first two bytes of a message.
    #[must_use]
    pub const fn to_bits(self) -> u16 {
        let class = match self.class {
            Class::Request => 0x0000,
            Class::Indication => 0x0010,
            Class::SuccessResponse => 0x0100,
            Class::ErrorResponse => 0x0110,
        };
        let number = self.method.0;
        class | (number & 0x000F) | ((number & 0x0070) << 1) | ((number & 0x0F80) << 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8489_5_every_type_survives_the_round_trip() {
        for bits in 0..0x4000 {
            assert_eq!(MessageType::from_bits(bits).unwrap().to_bits(), bits);
        }
        assert_eq!(MessageType::from_bits(0x4000), None);
        assert_eq!(MessageType::from_bits(0x8001), None);
    }

    #[test]
    fn rfc8489_5_the_example_of_the_text() {
        // "a Binding request has class=0b00 and method=0b000000000001 and is encoded into the first
        // 16 bits as 0x0001. A Binding response has class=0b10 … encoded … as 0x0101."
        let request = MessageType { class: Class::Request, method: Method::BINDING };
        let response = MessageType { class: Class::SuccessResponse, method: Method::BINDING };
        assert_eq!((request.to_bits(), response.to_bits()), (0x0001, 0x0101));
    }
}
