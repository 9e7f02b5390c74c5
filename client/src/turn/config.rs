//! The configuration of a TURN client.

use std::net::SocketAddr;
use std::time::Duration;

use causeway_wire::Transport;
use causeway_wire::attribute::AddressFamily;

use crate::credentials::Credentials;
use crate::timing::Timing;

/// The server and the options of the allocation that a [`TurnClient`](crate::TurnClient) requests.
#[derive(Clone, Debug)]
pub struct TurnConfig {
    /// The server's transport address.
    pub server: SocketAddr,
    /// The transport to the server.
    pub transport: Transport,
    /// The long-term credential, which nearly every server requires.
    pub credentials: Option<Credentials>,
    /// The lifetime to request, in whole seconds; `None` for the server's default, 10 minutes (RFC
    /// 8656 §7.1).
    pub lifetime: Option<Duration>,
    /// REQUESTED-ADDRESS-FAMILY; `None` for the server's default, IPv4 (RFC 8656 §7.1).
    pub family: Option<AddressFamily>,
    /// ADDITIONAL-ADDRESS-FAMILY: whether to request a relayed address of each family (RFC 8656
    /// §7.1). Excludes [`family`](Self::family).
    pub both_families: bool,
    /// EVEN-PORT and RESERVATION-TOKEN: the port to request for the relayed address (RFC 8656
    /// §7.1).
    pub port: RelayPort,
    /// DONT-FRAGMENT: whether the server must support
    /// [`wrap_unfragmented`](crate::TurnClient::wrap_unfragmented); otherwise the allocation fails
    /// (RFC 8656 §7.1).
    pub dont_fragment: bool,
    /// How long requests are repeated and waited for.
    pub timing: Timing,
    /// The value of SOFTWARE in requests; `None` to leave it out.
    pub software: Option<String>,
    /// Whether requests carry FINGERPRINT.
    pub fingerprint: bool,
}

impl TurnConfig {
    /// The usual configuration: no lifetime, family or port is requested.
    #[must_use]
    pub fn new(server: SocketAddr, transport: Transport, credentials: Option<Credentials>) -> Self {
        Self {
            server,
            transport,
            credentials,
            lifetime: None,
            family: None,
            both_families: false,
            port: RelayPort::Any,
            dont_fragment: false,
            timing: Timing::default(),
            software: None,
            fingerprint: false,
        }
    }

    /// Whether the options exclude each other: "Clients MUST NOT include REQUESTED-ADDRESS-FAMILY
    /// and ADDITIONAL-ADDRESS-FAMILY attributes in the same request", nor either with
    /// RESERVATION-TOKEN, nor ADDITIONAL-ADDRESS-FAMILY with EVEN-PORT that reserves (RFC 8656
    /// §7.1).
    pub(super) fn is_contradictory(&self) -> bool {
        let one_and_both = self.both_families && self.family.is_some();
        one_and_both
            || match self.port {
                RelayPort::Reserved(_) => self.both_families || self.family.is_some(),
                RelayPort::EvenAndNext => self.both_families,
                RelayPort::Any | RelayPort::Even => false,
            }
    }
}

/// The port to request for a relayed address (RFC 8656 §7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RelayPort {
    /// Any free port.
    #[default]
    Any,
    /// An even port.
    Even,
    /// An even port, and the next one reserved; the token is in
    /// [`Allocated::reservation`](crate::Allocated::reservation).
    EvenAndNext,
    /// The port that an earlier request reserved under this token.
    Reserved([u8; 8]),
}
