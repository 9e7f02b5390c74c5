//! The comprehension-required attributes that the server understands (RFC 8489 §6.3.1).

use causeway_wire::attribute::{
    AdditionalAddressFamily, AddressFamily, AttributeType, RequestedAddressFamily,
};
use causeway_wire::{Message, Method, UnknownRequired};

use crate::five_tuple::FiveTuple;
use crate::request::requested::asks_as_drafts_did;

/// The comprehension-required attributes of a request that the server does not understand, each
/// once.
pub(crate) fn unknown(message: &Message<'_>, from: &FiveTuple) -> UnknownRequired {
    let honoured = honours_dont_fragment(message, from);
    message.unknown_required(|kind| {
        is_known(kind) && (honoured || kind != AttributeType::DONT_FRAGMENT)
    })
}

/// Whether a request or a Send indication may carry this attribute.
pub(crate) fn is_known(kind: AttributeType) -> bool {
    use AttributeType as T;
    let of_the_usage = matches!(
        kind,
        T::CHANNEL_NUMBER
            | T::LIFETIME
            | T::XOR_PEER_ADDRESS
            | T::DATA
            | T::XOR_RELAYED_ADDRESS
            | T::REQUESTED_ADDRESS_FAMILY
            | T::REQUESTED_TRANSPORT
            | T::EVEN_PORT
            | T::DONT_FRAGMENT
            | T::RESERVATION_TOKEN
    );
    of_the_usage || kind.is_known_to_every_agent()
}

/// Whether DONT-FRAGMENT is understood. A socket does not tell the DF bit of what has arrived, and
/// "if the TURN server carrying out packet translation from IPv4-to-IPv6 is unable to access the
/// state of the Don't Fragment (DF) bit in the IPv4 header, it MUST reject the Allocate
/// request with the DONT-FRAGMENT attribute" (RFC 8656 §3.7). Nothing is translated between a
/// connection and datagrams (RFC 8656 §15).
fn honours_dont_fragment(message: &Message<'_>, from: &FiveTuple) -> bool {
    let asks_for_ipv6 = message.attribute()
        == Ok(Some(RequestedAddressFamily(AddressFamily::Ipv6)))
        || message.attribute() == Ok(Some(AdditionalAddressFamily(AddressFamily::Ipv6)))
        || asks_as_drafts_did(message);
    let translates = from.client.is_ipv4() && !from.transport.is_stream() && asks_for_ipv6;
    !(message.method() == Method::ALLOCATE && translates)
}
