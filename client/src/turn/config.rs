use std::net::SocketAddr;
use std::time::Duration;

use causeway_wire::Transport;
use causeway_wire::attribute::AddressFamily;

use crate::credentials::Credentials;
use crate::timing::Timing;

/// Where and how a [`TurnClient`](crate::TurnClient) allocates.
#[derive(Clone, Debug)]
pub struct TurnConfig {
    /// The server.
    pub server: SocketAddr,
    /// How it is reached.
    pub transport: Transport,
    /// The long-term credential, which nearly every server demands.
    pub credentials: Option<Credentials>,
    /// LIFETIME to ask for; the server's default (10 minutes) without (RFC 8656 §7.1). Whole
    /// seconds.
    pub lifetime: Option<Duration>,
    /// REQUESTED-ADDRESS-FAMILY; the server's default (IPv4) without (RFC 8656 §7.1).
    pub family: Option<AddressFamily>,
    /// ADDITIONAL-ADDRESS-FAMILY: a relayed address of each family (RFC 8656 §7.1). Not together
    /// with [`family`](Self::family).
    pub both_families: bool,
    /// EVEN-PORT and RESERVATION-TOKEN: which port the relayed address shall have (RFC 8656 §7.1).
    pub port: RelayPort,
    /// DONT-FRAGMENT: the allocation is to be had only where
    /// [`wrap_unfragmented`](crate::TurnClient::wrap_unfragmented) works (RFC 8656 §7.1).
    pub dont_fragment: bool,
    /// How patiently requests are repeated.
    pub timing: Timing,
    /// SOFTWARE, if it shall be told.
    pub software: Option<String>,
    /// Whether requests carry FINGERPRINT.
    pub fingerprint: bool,
}

impl TurnConfig {
    /// The usual: everything else as the server likes it.
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

    /// Whether it asks for what no request may: "Clients MUST NOT include REQUESTED-ADDRESS-FAMILY
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

/// Which port a relayed address shall have (RFC 8656 §7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RelayPort {
    /// Any.
    #[default]
    Any,
    /// An even one.
    Even,
    /// An even one, and the next one reserved: its token is in
    /// [`Allocated::reservation`](crate::Allocated::reservation).
    EvenAndNext,
    /// The one that was reserved under this token.
    Reserved([u8; 8]),
}
