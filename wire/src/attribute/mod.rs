//! The attributes: a type for each, with the name that the RFC gives it. A file holds the
//! attributes that share a form.

mod address;
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
pub use discovery::{ChangeRequest, Padding, ResponsePort};
pub use error::{AddressErrorCode, ErrorCodeAttribute, UnknownAttributes};
pub use family::{AdditionalAddressFamily, AddressFamily, RequestedAddressFamily};
pub use flag::{DontFragment, UseCandidate};
pub use ice::{IceControlled, IceControlling};
pub use kind::AttributeType;
pub use number::{CacheTimeout, Lifetime, Priority};
pub use password_algorithm::{PasswordAlgorithm, PasswordAlgorithmEntry, PasswordAlgorithms};
pub use text::{AlternateDomain, Nonce, Realm, Software, Userhash, Username};
pub use turn::{
    ChannelNumberAttribute, Data, EvenPort, Icmp, RequestedTransport, ReservationToken,
};

/// A type of attribute: its number, and how to read and write its value.
pub trait Attribute<'a>: Sized {
    /// The number of the attribute's type.
    const KIND: AttributeType;

    /// Maximum length of the value in bytes. A longer one is neither read nor written.
    const MAX_LEN: usize = 0xFFFF;

    /// Reads the attribute from its value, without padding. `id` is the cookie and the transaction
    /// id of the header, which XORed addresses need.
    ///
    /// # Errors
    /// [`AttributeError`] when the value is not of this form.
    fn decode(value: &'a [u8], id: &[u8; 16]) -> Result<Self, AttributeError>;

    /// Length of the value in bytes, without padding.
    fn value_len(&self) -> usize;

    /// Writes the value into `value`, which has exactly [`value_len`](Self::value_len) bytes. `id`
    /// is as in [`decode`](Self::decode).
    fn write(&self, value: &mut [u8], id: &[u8; 16]);
}

/// Why a value does not have the form of its attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeError {
    /// A length that the form does not allow.
    Length,
    /// An address family other than IPv4 and IPv6.
    Family,
    /// Text that is not UTF-8.
    Utf8,
    /// A number outside the form's range.
    Range,
}

/// Returns the value as an array if it has exactly that length.
fn exactly<const N: usize>(value: &[u8]) -> Result<&[u8; N], AttributeError> {
    value.try_into().map_err(|_| AttributeError::Length)
}
