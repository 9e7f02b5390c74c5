//! The address family, and the two attributes with which a client requests one.

use std::net::IpAddr;

use super::{Attribute, AttributeError, AttributeType, exactly};

/// An address family (RFC 8489 §14.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AddressFamily {
    /// IPv4, number 0x01.
    Ipv4,
    /// IPv6, number 0x02.
    Ipv6,
}

impl AddressFamily {
    /// The family of an address.
    #[must_use]
    pub const fn of(ip: &IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Ipv4 => 0x01,
            Self::Ipv6 => 0x02,
        }
    }

    pub(super) const fn from_number(number: u8) -> Result<Self, AttributeError> {
        match number {
            0x01 => Ok(Self::Ipv4),
            0x02 => Ok(Self::Ipv6),
            _ => Err(AttributeError::Family),
        }
    }
}

/// Defines the two attributes that hold a family and 24 reserved bits.
macro_rules! families {
    ($($(#[$doc:meta])* $name:ident: $kind:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub AddressFamily);

        impl<'a> Attribute<'a> for $name {
            const KIND: AttributeType = AttributeType::$kind;

            #[inline]
            fn decode(value: &'a [u8], _: &[u8; 16]) -> Result<Self, AttributeError> {
                let [family, ..] = *exactly::<4>(value)?;
                AddressFamily::from_number(family).map(Self)
            }

            fn value_len(&self) -> usize {
                4
            }

            fn write(&self, value: &mut [u8], _: &[u8; 16]) {
                value.copy_from_slice(&[self.0.number(), 0, 0, 0]);
            }
        }
    )*};
}

families! {
    /// RFC 8656 §18.6: the family of the relayed address. One that is neither IPv4 nor IPv6 is
    /// [`AttributeError::Family`], which is answered with 440; any other error is 400.
    RequestedAddressFamily: REQUESTED_ADDRESS_FAMILY;
    /// RFC 8656 §18.11: the family of a second relayed address.
    AdditionalAddressFamily: ADDITIONAL_ADDRESS_FAMILY;
}
