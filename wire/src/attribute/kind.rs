//! The numbers and names of attribute types: the one list of every attribute that this crate knows.

use std::fmt;

/// The number of an attribute's type (RFC 8489 §18.3 and the RFCs that extend it).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeType(pub u16);

impl AttributeType {
    /// Whether a receiver that does not know the type must refuse the message: types below 0x8000
    /// (RFC 8489 §14).
    #[must_use]
    pub const fn is_comprehension_required(self) -> bool {
        self.0 < 0x8000
    }

    /// Whether every STUN agent knows the type (RFC 8489 §18.3) and it stands in front of the
    /// integrity attributes. Agents ignore such an attribute in a message where they do not expect
    /// it (RFC 8489 §6.3).
    #[must_use]
    pub const fn is_known_to_every_agent(self) -> bool {
        matches!(
            self,
            Self::MAPPED_ADDRESS
                | Self::USERNAME
                | Self::USERHASH
                | Self::ERROR_CODE
                | Self::UNKNOWN_ATTRIBUTES
                | Self::REALM
                | Self::NONCE
                | Self::PASSWORD_ALGORITHM
                | Self::XOR_MAPPED_ADDRESS
        )
    }
}

macro_rules! types {
    ($($(#[$doc:meta])* $constant:ident = $number:literal $name:literal;)*) => {
        impl AttributeType {
            $($(#[$doc])* pub const $constant: Self = Self($number);)*

            /// The name that the RFC uses; `None` for a number that this crate does not know.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($name),)*
                    _ => None,
                }
            }
        }
    };
}

types! {
    /// RFC 8489 §14.1.
    MAPPED_ADDRESS = 0x0001 "MAPPED-ADDRESS";
    /// RFC 3489 §11.2.2; reserved since.
    RESPONSE_ADDRESS = 0x0002 "RESPONSE-ADDRESS";
    /// RFC 5780 §7.2.
    CHANGE_REQUEST = 0x0003 "CHANGE-REQUEST";
    /// RFC 3489 §11.2.5; reserved since.
    SOURCE_ADDRESS = 0x0004 "SOURCE-ADDRESS";
    /// RFC 3489 §11.2.3; reserved since.
    CHANGED_ADDRESS = 0x0005 "CHANGED-ADDRESS";
    /// RFC 8489 §14.3.
    USERNAME = 0x0006 "USERNAME";
    /// RFC 3489 §11.2.7; reserved since.
    PASSWORD = 0x0007 "PASSWORD";
    /// RFC 8489 §14.5.
    MESSAGE_INTEGRITY = 0x0008 "MESSAGE-INTEGRITY";
    /// RFC 8489 §14.8.
    ERROR_CODE = 0x0009 "ERROR-CODE";
    /// RFC 8489 §14.13.
    UNKNOWN_ATTRIBUTES = 0x000A "UNKNOWN-ATTRIBUTES";
    /// RFC 3489 §11.2.11; reserved since.
    REFLECTED_FROM = 0x000B "REFLECTED-FROM";
    /// RFC 8656 §18.1.
    CHANNEL_NUMBER = 0x000C "CHANNEL-NUMBER";
    /// RFC 8656 §18.2.
    LIFETIME = 0x000D "LIFETIME";
    /// RFC 8656 §18.3.
    XOR_PEER_ADDRESS = 0x0012 "XOR-PEER-ADDRESS";
    /// RFC 8656 §18.4.
    DATA = 0x0013 "DATA";
    /// RFC 8489 §14.9.
    REALM = 0x0014 "REALM";
    /// RFC 8489 §14.10.
    NONCE = 0x0015 "NONCE";
    /// RFC 8656 §18.5.
    XOR_RELAYED_ADDRESS = 0x0016 "XOR-RELAYED-ADDRESS";
    /// RFC 8656 §18.6.
    REQUESTED_ADDRESS_FAMILY = 0x0017 "REQUESTED-ADDRESS-FAMILY";
    /// RFC 8656 §18.7.
    EVEN_PORT = 0x0018 "EVEN-PORT";
    /// RFC 8656 §18.8.
    REQUESTED_TRANSPORT = 0x0019 "REQUESTED-TRANSPORT";
    /// RFC 8656 §18.9.
    DONT_FRAGMENT = 0x001A "DONT-FRAGMENT";
    /// RFC 7635 §6.2.
    ACCESS_TOKEN = 0x001B "ACCESS-TOKEN";
    /// RFC 8489 §14.6.
    MESSAGE_INTEGRITY_SHA256 = 0x001C "MESSAGE-INTEGRITY-SHA256";
    /// RFC 8489 §14.12.
    PASSWORD_ALGORITHM = 0x001D "PASSWORD-ALGORITHM";
    /// RFC 8489 §14.4.
    USERHASH = 0x001E "USERHASH";
    /// RFC 8489 §14.2.
    XOR_MAPPED_ADDRESS = 0x0020 "XOR-MAPPED-ADDRESS";
    /// RFC 8656 §18.10.
    RESERVATION_TOKEN = 0x0022 "RESERVATION-TOKEN";
    /// RFC 8445 §16.1.
    PRIORITY = 0x0024 "PRIORITY";
    /// RFC 8445 §16.1.
    USE_CANDIDATE = 0x0025 "USE-CANDIDATE";
    /// RFC 5780 §7.6.
    PADDING = 0x0026 "PADDING";
    /// RFC 5780 §7.5.
    RESPONSE_PORT = 0x0027 "RESPONSE-PORT";
    /// RFC 6062 §6.2.
    CONNECTION_ID = 0x002A "CONNECTION-ID";
    /// RFC 8656 §18.11.
    ADDITIONAL_ADDRESS_FAMILY = 0x8000 "ADDITIONAL-ADDRESS-FAMILY";
    /// RFC 8656 §18.12.
    ADDRESS_ERROR_CODE = 0x8001 "ADDRESS-ERROR-CODE";
    /// RFC 8489 §14.11.
    PASSWORD_ALGORITHMS = 0x8002 "PASSWORD-ALGORITHMS";
    /// RFC 8489 §14.16.
    ALTERNATE_DOMAIN = 0x8003 "ALTERNATE-DOMAIN";
    /// RFC 8656 §18.13.
    ICMP = 0x8004 "ICMP";
    /// RFC 8489 §14.14.
    SOFTWARE = 0x8022 "SOFTWARE";
    /// RFC 8489 §14.15.
    ALTERNATE_SERVER = 0x8023 "ALTERNATE-SERVER";
    /// RFC 5780 §9.1: reserved there as CACHE-TIMEOUT.
    CACHE_TIMEOUT = 0x8027 "CACHE-TIMEOUT";
    /// RFC 8489 §14.7.
    FINGERPRINT = 0x8028 "FINGERPRINT";
    /// RFC 8445 §16.1.
    ICE_CONTROLLED = 0x8029 "ICE-CONTROLLED";
    /// RFC 8445 §16.1.
    ICE_CONTROLLING = 0x802A "ICE-CONTROLLING";
    /// RFC 5780 §7.3.
    RESPONSE_ORIGIN = 0x802B "RESPONSE-ORIGIN";
    /// RFC 5780 §7.4.
    OTHER_ADDRESS = 0x802C "OTHER-ADDRESS";
    /// RFC 7635 §6.1.
    THIRD_PARTY_AUTHORIZATION = 0x802E "THIRD-PARTY-AUTHORIZATION";
    /// RFC 8016 §3.3.
    MOBILITY_TICKET = 0x8030 "MOBILITY-TICKET";
}

impl fmt::Debug for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "attribute {:#06x}", self.0),
        }
    }
}
