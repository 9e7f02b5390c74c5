//! The attributes, one type each, with the RFC's name. A file holds the attributes that share a
//! form.

mod address;
mod credential;
mod discovery;
mod error;
mod family;
mod flag;
mod ice;
mod kind;
mod number;
mod password_algorithm;
mod text;
mod turn;

pub use address::{
    AlternateServer, ChangedAddress, MappedAddress, OtherAddress, ReflectedFrom, ResponseAddress,
    ResponseOrigin, SourceAddress, XorMappedAddress, XorPeerAddress, XorRelayedAddress,
};
pub use credential::Userhash;
pub use discovery::{ChangeRequest, Padding, ResponsePort};
pub use error::{AddressErrorCode, ErrorCodeAttribute, UnknownAttributes};
pub use family::{AdditionalAddressFamily, AddressFamily, RequestedAddressFamily};
pub use flag::{DontFragment, UseCandidate};
pub use ice::{IceControlled, IceControlling};
pub use kind::AttributeType;
pub use number::{CacheTimeout, Lifetime, Priority};
pub use password_algorithm::{PasswordAlgorithm, PasswordAlgorithmEntry, PasswordAlgorithms};
pub use text::{AlternateDomain, Nonce, Realm, Software, Username};
pub use turn::{
    ChannelNumberAttribute, Data, EvenPort, Icmp, RequestedTransport, ReservationToken,
};

/// One type of attribute: its number, its form, both ways.
pub trait Attribute<'a>: Sized {
    /// Its number.
    const KIND: AttributeType;

    /// Its value is never longer, in bytes: neither read nor written.
    const MAX_LEN: usize = 0xFFFF;

    /// Reads it from its value, without padding. `id` is the header's cookie and transaction id,
    /// which XORed addresses need.
    ///
    /// # Errors
    /// [`AttributeError`] when the value is not of this form.
    fn decode(value: &'a [u8], id: &[u8; 16]) -> Result<Self, AttributeError>;

    /// Length of its value in bytes, without padding.
    fn value_len(&self) -> usize;

    /// Writes its value; `value` has exactly [`value_len`](Self::value_len) bytes.
    fn write(&self, value: &mut [u8], id: &[u8; 16]);
}

/// Why a value is not of its attribute's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeError {
    /// A length that the form does not allow.
    Length,
    /// An address family other than IPv4 and IPv6.
    Family,
    /// Text that is no UTF-8.
    Utf8,
    /// A number outside the form's range.
    Range,
}

/// The value as an array, when it has exactly that length.
fn exactly<const N: usize>(value: &[u8]) -> Result<&[u8; N], AttributeError> {
    value.try_into().map_err(|_| AttributeError::Length)
}
