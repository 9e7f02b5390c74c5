//! An answer of the server, and its attributes as tests compare them.

use std::net::SocketAddr;

use causeway_relay::{FiveTuple, Respond};
use causeway_wire::attribute::{
    AddressErrorCode, AddressFamily, Attribute, AttributeType, ErrorCodeAttribute, Lifetime, Nonce,
    Realm, ReservationToken, UnknownAttributes, XorMappedAddress, XorRelayedAddress,
};
use causeway_wire::{Class, IntegrityKey, Message, Method};

/// An answer as its client receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The whole message, as received.
    pub bytes: Vec<u8>,
    /// The client that it was sent to.
    pub to: FiveTuple,
}

impl Answer {
    /// Takes an answer out of the server's buffer, and checks what holds for every answer.
    ///
    /// # Panics
    /// When the answer is not a STUN response, or differs from its verdict.
    #[must_use]
    pub fn new(respond: &Respond, out: &[u8]) -> Self {
        assert!(respond.len <= out.len());
        let answer = Self { bytes: out[..respond.len].to_vec(), to: respond.to };
        let message = answer.message();
        assert!(matches!(message.class(), Class::SuccessResponse | Class::ErrorResponse));
        assert_eq!(message.method(), respond.method);
        assert_eq!(answer.error(), respond.error.map(causeway_wire::ErrorCode::number));
        assert_eq!(answer.error().is_some(), message.class() == Class::ErrorResponse);
        assert_ne!(message.fingerprint(), Some(false));
        answer
    }

    /// The bytes, decoded.
    ///
    /// # Panics
    /// When they are not a STUN message.
    #[must_use]
    pub fn message(&self) -> Message<'_> {
        Message::decode(&self.bytes).expect("an answer is a STUN message")
    }

    /// The method that it answers.
    #[must_use]
    pub fn method(&self) -> Method {
        self.message().method()
    }

    /// The error code; `None` for a success.
    #[must_use]
    pub fn error(&self) -> Option<u16> {
        self.attribute::<ErrorCodeAttribute<'_>>().map(|error| error.code.number())
    }

    /// The value of LIFETIME in seconds.
    #[must_use]
    pub fn lifetime(&self) -> Option<u32> {
        self.attribute::<Lifetime>().map(|lifetime| lifetime.0)
    }

    /// The first relayed address.
    #[must_use]
    pub fn relayed(&self) -> Option<SocketAddr> {
        self.attribute::<XorRelayedAddress>().map(|relayed| relayed.0)
    }

    /// All relayed addresses, in their order.
    #[must_use]
    pub fn all_relayed(&self) -> Vec<SocketAddr> {
        self.message()
            .all::<XorRelayedAddress>()
            .map(|relayed| relayed.expect("the server writes attributes of their form").0)
            .collect()
    }

    /// The family that was not allocated, and why.
    #[must_use]
    pub fn address_error(&self) -> Option<(AddressFamily, u16)> {
        self.attribute::<AddressErrorCode<'_>>().map(|error| (error.family, error.code.number()))
    }

    /// The token of the reserved port.
    #[must_use]
    pub fn token(&self) -> Option<ReservationToken> {
        self.attribute()
    }

    /// The client's address as the server sees it.
    #[must_use]
    pub fn mapped(&self) -> Option<SocketAddr> {
        self.attribute::<XorMappedAddress>().map(|mapped| mapped.0)
    }

    /// The value of REALM.
    #[must_use]
    pub fn realm(&self) -> Option<String> {
        self.attribute::<Realm<'_>>().map(|realm| realm.0.to_owned())
    }

    /// The value of NONCE.
    #[must_use]
    pub fn nonce(&self) -> Option<String> {
        self.attribute::<Nonce<'_>>().map(|nonce| nonce.0.to_owned())
    }

    /// The list of UNKNOWN-ATTRIBUTES; empty without it.
    #[must_use]
    pub fn unknown(&self) -> Vec<AttributeType> {
        self.attribute::<UnknownAttributes<'_>>()
            .map(|unknown| unknown.kinds().collect())
            .unwrap_or_default()
    }

    /// Whether it has an attribute of this type.
    #[must_use]
    pub fn has(&self, kind: AttributeType) -> bool {
        self.message().has(kind)
    }

    /// Whether it has MESSAGE-INTEGRITY, valid under this key, and no MESSAGE-INTEGRITY-SHA256.
    #[must_use]
    pub fn is_signed_with(&self, key: &IntegrityKey) -> bool {
        let message = self.message();
        message.verify_integrity(key) && !message.has_integrity_sha256()
    }

    /// Whether it has no integrity attribute.
    #[must_use]
    pub fn is_unsigned(&self) -> bool {
        let message = self.message();
        !message.has_integrity() && !message.has_integrity_sha256()
    }

    fn attribute<'a, A: Attribute<'a>>(&'a self) -> Option<A> {
        self.message().attribute().expect("the server writes attributes of their form")
    }
}
