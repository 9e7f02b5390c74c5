//! The relayed addresses that an Allocate request asks for.

use causeway_wire::attribute::{
    AdditionalAddressFamily, AddressFamily, AttributeError, AttributeType, EvenPort,
    RequestedAddressFamily, ReservationToken,
};
use causeway_wire::{ErrorCode, Message};

use crate::config::Families;
use crate::effect::WantedPort;

/// The relayed addresses that an Allocate request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The family of the only address, or of the first of two, which is IPv4 then.
    pub(crate) family: AddressFamily,
    /// The port of each address.
    pub(crate) port: WantedPort,
    /// Whether an IPv6 address is wanted as well.
    pub(crate) dual: bool,
}

impl Wanted {
    /// Reads the request: the checks 5 to 9 of RFC 8656 §7.2 with their numbers, as far as they do
    /// not depend on the ports.
    pub(crate) fn read(message: &Message<'_>, families: Families) -> Result<Self, ErrorCode> {
        let has = |kind| message.has(kind);
        // 5. "The server checks if the request contains a RESERVATION-TOKEN attribute." The caller,
        //    which keeps the reservations, checks whether it is valid.
        if has(AttributeType::RESERVATION_TOKEN) {
            let excluded = [
                AttributeType::EVEN_PORT,
                AttributeType::REQUESTED_ADDRESS_FAMILY,
                AttributeType::ADDITIONAL_ADDRESS_FAMILY,
            ];
            return match message.attribute() {
                Ok(Some(ReservationToken(token))) if !excluded.into_iter().any(has) => {
                    // The reserved port decides the family.
                    Ok(Self {
                        family: AddressFamily::Ipv4,
                        port: WantedPort::Reserved(token),
                        dual: false,
                    })
                }
                _ => Err(ErrorCode::BAD_REQUEST),
            };
        }
        let dual = has(AttributeType::ADDITIONAL_ADDRESS_FAMILY) || asks_as_drafts_did(message);
        // 6. "… both REQUESTED-ADDRESS-FAMILY and ADDITIONAL-ADDRESS-FAMILY attributes."
        if dual && has(AttributeType::REQUESTED_ADDRESS_FAMILY) {
            return Err(ErrorCode::BAD_REQUEST);
        }
        // 7. "If the server does not support the address family requested by the client …"
        let family = match message.attribute() {
            Ok(requested) => {
                requested.map_or(AddressFamily::Ipv4, |RequestedAddressFamily(family)| family)
            }
            Err(AttributeError::Family) => return Err(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED),
            Err(_) => return Err(ErrorCode::BAD_REQUEST),
        };
        if !families.has(family) {
            return Err(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED);
        }
        // 8. "… an EVEN-PORT attribute with the R bit set to 1 …"
        let port = match message.attribute() {
            Ok(None) => WantedPort::Any,
            Ok(Some(EvenPort { reserve: false })) => WantedPort::Even,
            Ok(Some(EvenPort { reserve: true })) if dual => return Err(ErrorCode::BAD_REQUEST),
            Ok(Some(EvenPort { reserve: true })) => WantedPort::EvenAndReserve,
            Err(_) => return Err(ErrorCode::BAD_REQUEST),
        };
        // 9. "… an ADDITIONAL-ADDRESS-FAMILY attribute": "0x02 (IPv6 address) is the only valid
        //    value" (RFC 8656 §18.11).
        match message.attribute() {
            Ok(None | Some(AdditionalAddressFamily(AddressFamily::Ipv6))) => {
                Ok(Self { family, port, dual })
            }
            Ok(Some(AdditionalAddressFamily(AddressFamily::Ipv4))) | Err(_) => {
                Err(ErrorCode::BAD_REQUEST)
            }
        }
    }
}

/// The number of ADDITIONAL-ADDRESS-FAMILY in drafts, which coturn's clients (4.6)
/// still send.
const DRAFT_ADDITIONAL_ADDRESS_FAMILY: AttributeType = AttributeType(0x8032);

/// Whether a relayed address of each family is asked for by that number.
// Deviation: RFC 8489 §6.3: one attribute that is in no RFC is not ignored, 0x8032 with IPv6 in it:
// coturn's clients (4.6) ask by it for both families, and are lost without the second address.
pub(crate) fn asks_as_drafts_did(message: &Message<'_>) -> bool {
    !message.has(AttributeType::REQUESTED_ADDRESS_FAMILY)
        && message.attributes().any(|attribute| {
            attribute.kind == DRAFT_ADDITIONAL_ADDRESS_FAMILY && attribute.value == [2, 0, 0, 0]
        })
}
