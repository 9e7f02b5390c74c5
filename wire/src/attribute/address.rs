//! The attributes that hold one transport address, in the clear or XORed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Attribute, AttributeError, AttributeType};

/// Defines attributes that hold one transport address: plain as MAPPED-ADDRESS (RFC 8489 §14.1) or
/// XORed (RFC 8489 §14.2).
macro_rules! addresses {
    ($($(#[$doc:meta])* $name:ident: $kind:ident, $xor:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub SocketAddr);

        impl<'a> Attribute<'a> for $name {
            const KIND: AttributeType = AttributeType::$kind;

            #[inline]
            fn decode(value: &'a [u8], id: &[u8; 16]) -> Result<Self, AttributeError> {
                read(value, if $xor { id } else { &[0; 16] }).map(Self)
            }

            fn value_len(&self) -> usize {
                if self.0.is_ipv4() { 8 } else { 20 }
            }

            fn write(&self, value: &mut [u8], id: &[u8; 16]) {
                write(self.0, value, if $xor { id } else { &[0; 16] });
            }
        }
    )*};
}

addresses! {
    /// RFC 8489 §14.1: the client's address as the server sees it, in the clear.
    MappedAddress: MAPPED_ADDRESS, false;
    /// RFC 8489 §14.2: the client's address as the server sees it.
    XorMappedAddress: XOR_MAPPED_ADDRESS, true;
    /// RFC 8656 §18.3: the peer's transport address.
    XorPeerAddress: XOR_PEER_ADDRESS, true;
    /// RFC 8656 §18.5: the relayed transport address.
    XorRelayedAddress: XOR_RELAYED_ADDRESS, true;
    /// RFC 8489 §14.15: another server to try.
    AlternateServer: ALTERNATE_SERVER, false;
    /// RFC 5780 §7.3: the address that the answer was sent from.
    ResponseOrigin: RESPONSE_ORIGIN, false;
    /// RFC 5780 §7.4: the address that the server answers from when CHANGE-REQUEST has both flags
    /// set.
    OtherAddress: OTHER_ADDRESS, false;
    /// RFC 3489 §11.2.5: the address that the answer was sent from; RFC 5780 has RESPONSE-ORIGIN.
    SourceAddress: SOURCE_ADDRESS, false;
    /// RFC 3489 §11.2.3: the server's other address and port; RFC 5780 has OTHER-ADDRESS.
    ChangedAddress: CHANGED_ADDRESS, false;
    /// RFC 3489 §11.2.2: the address that the answer is to go to; never honoured (H17).
    ResponseAddress: RESPONSE_ADDRESS, false;
    /// RFC 3489 §11.2.11: the source of a request whose answer went elsewhere.
    ReflectedFrom: REFLECTED_FROM, false;
}

#[inline]
fn read(value: &[u8], id: &[u8; 16]) -> Result<SocketAddr, AttributeError> {
    let (head, address) = value.split_first_chunk::<4>().ok_or(AttributeError::Length)?;
    let port = u16::from_be_bytes([head[2] ^ id[0], head[3] ^ id[1]]);
    let ip: IpAddr = match head[1] {
        0x01 => {
            Ipv4Addr::from(xor(address.try_into().map_err(|_| AttributeError::Length)?, id)).into()
        }
        0x02 => {
            Ipv6Addr::from(xor(address.try_into().map_err(|_| AttributeError::Length)?, id)).into()
        }
        _ => return Err(AttributeError::Family),
    };
    Ok(SocketAddr::new(ip, port))
}

fn write(address: SocketAddr, value: &mut [u8], id: &[u8; 16]) {
    let [high, low] = address.port().to_be_bytes();
    value[0] = 0;
    value[2] = high ^ id[0];
    value[3] = low ^ id[1];
    match address.ip() {
        IpAddr::V4(ip) => {
            value[1] = 0x01;
            value[4..].copy_from_slice(&xor(ip.octets(), id));
        }
        IpAddr::V6(ip) => {
            value[1] = 0x02;
            value[4..].copy_from_slice(&xor(ip.octets(), id));
        }
    }
}

fn xor<const N: usize>(mut octets: [u8; N], id: &[u8; 16]) -> [u8; N] {
    for (octet, with) in octets.iter_mut().zip(id) {
        *octet ^= with;
    }
    octets
}
