//! The DNS queries for each kind of URI.

use std::net::{IpAddr, SocketAddr};

use causeway_wire::Transport;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::dns::{Dns, DnsError, Found};
use super::endpoint::{Discovered, Endpoint};
use super::naptr::{self, EndKind, shown};
use super::order::{self, Families};
use super::srv;
use crate::uri::{Scheme, ServerUri};

/// Maximum number of endpoints, and of addresses of each.
const MAX_ENDPOINTS: usize = 16;
/// Anycast addresses of TURN (RFC 8155 §8.1, §8.2).
pub(super) const ANYCAST: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 0, 10)),
    IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 2)),
];

/// The caller's choice among transports, families and services.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// The only transport to use; it must suit the URI.
    pub transport: Option<Transport>,
    /// The address families to use.
    pub families: Families,
    /// Whether the caller knows the name in the server's certificate (`--server-name`).
    pub names_server: bool,
    /// Whether to prefer STUN servers that support NAT behaviour discovery (RFC 5780 §5.1).
    pub nat_behaviour: bool,
}

impl Choice {
    /// The same choice with these families only.
    #[must_use]
    pub fn only(&self, families: Families) -> Self {
        Self { families, ..self.clone() }
    }
}

/// Why discovery found no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// The chosen transport does not suit the URI.
    #[error("{uri} cannot be used over {transport}")]
    Transport {
        uri: String,
        /// The chosen transport.
        transport: Transport,
    },
    /// "A "stuns" URI containing an IP address MUST be rejected" (RFC 8489 §8.1); the same for TURN
    /// over DTLS (RFC 7350 §4.6.1), "unless the domain name is provided by the same mechanism".
    #[error(
        "{0}: an IP address is not enough to verify the server's certificate; write the host \
        name, or give --server-name"
    )]
    Nameless(String),
    /// An SRV record says that the service does not exist.
    #[error("{0} offers no such service")]
    Denied(String),
    /// There are NAPTR records for TURN, but none for a transport that the URI allows.
    #[error("the NAPTR records of {0} name no server that this URI allows")]
    OtherTransports(String),
    /// The name has no address of the families that may be used.
    #[error("{0} has no address")]
    NoAddress(String),
    /// The DNS query failed.
    #[error(transparent)]
    Dns(#[from] DnsError),
}

/// Finds every address that the URI leads to, in the order in which to try them.
///
/// "After an allocation succeeds or all the allocations fail, the resolution context MUST be
/// discarded, and the resolution algorithm MUST be restarted from the beginning for any subsequent
/// allocation" (RFC 5928 §3): so call this again for the next allocation.
///
/// # Errors
/// [`DiscoveryError`].
pub async fn discover(
    uri: &ServerUri,
    choice: &Choice,
    dns: &Dns,
) -> Result<Discovered, DiscoveryError> {
    let transports = transports(uri, choice)?;
    let mut resolution = Resolution::new(dns, choice.families);
    match (uri.host.name(), uri.host.ip()) {
        (None, ip) => {
            let ip = ip
                .filter(|ip| choice.families.has(*ip))
                .ok_or_else(|| DiscoveryError::NoAddress(uri.host.to_string()))?;
            for transport in transports {
                resolution.found(
                    transport,
                    vec![ip],
                    uri.port.unwrap_or(ServerUri::default_port(transport)),
                    None,
                );
            }
        }
        (Some(host), _) => resolution.by_name(uri, host, &transports, choice).await?,
    }
    let mut discovered = resolution.finish(&uri.host.to_string())?;
    for address in discovered.endpoints.iter_mut().flat_map(|endpoint| &mut endpoint.addresses) {
        *address = uri.host.in_zone(*address);
    }
    Ok(discovered)
}

/// Finds the TURN servers of this host's network: by the NAPTR records of its domain (RFC 8155 §4),
/// then by anycast (RFC 8155 §6), whose server redirects.
///
/// # Errors
/// [`DiscoveryError`].
// Deviation: RFC 8155 §3: DNS service discovery (RFC 8155 §5) is not tried: it needs an mDNS
// resolver, and we know of no network that announces its relay only in that way.
pub async fn discover_local(
    domain: Option<&str>,
    choice: &Choice,
    dns: &Dns,
) -> Result<Discovered, DiscoveryError> {
    let mut resolution = Resolution::new(dns, choice.families);
    let transports: Vec<Transport> = PREFERENCE
        .into_iter()
        .filter(|transport| choice.transport.is_none_or(|one| one == *transport))
        .collect();
    match domain {
        Some(domain) => match resolution.by_naptr(domain, &transports).await {
            Ok(true) => {}
            Ok(false) => resolution
                .note(format!("The domain {} has no NAPTR records for TURN.", shown(domain))),
            Err(error) => resolution.note(error.to_string()),
        },
        None => resolution.note("The system's configuration names no domain of this host.".into()),
    }
    if transports.contains(&Transport::Udp) {
        let addresses = ANYCAST.into_iter().filter(|ip| choice.families.has(*ip)).collect();
        resolution.found(
            Transport::Udp,
            addresses,
            ServerUri::default_port(Transport::Udp),
            Some("anycast".into()),
        );
    }
    resolution.finish("this network")
}

/// "a list, ordered by preference of supported TURN transports" (RFC 5928 §3): UDP first for media,
/// then encrypted before plain, and DTLS last, since few servers offer it and each one that does
/// not costs seconds.
const PREFERENCE: [Transport; 4] =
    [Transport::Udp, Transport::Tls, Transport::Tcp, Transport::Dtls];

/// The transports that both the URI and the caller allow, in order of preference.
fn transports(uri: &ServerUri, choice: &Choice) -> Result<Vec<Transport>, DiscoveryError> {
    let mut allowed: Vec<Transport> =
        PREFERENCE.into_iter().filter(|transport| transport.is_secure() == uri.secure).collect();
    if let Some(one) = uri.transport() {
        allowed.retain(|transport| *transport == one);
    }
    match choice.transport {
        Some(one) if !allowed.contains(&one) => {
            return Err(DiscoveryError::Transport { uri: uri.to_string(), transport: one });
        }
        Some(one) => allowed = vec![one],
        // "the "stun" URI scheme implies UDP as the transport protocol for SRV lookup, and the
        // "stuns" URI scheme indicates TCP" (RFC 7064 §3.2).
        None if uri.scheme == Scheme::Stun => allowed.truncate(1),
        None => {}
    }
    if uri.host.ip().is_some() && !choice.names_server {
        allowed.retain(|transport| match uri.scheme {
            Scheme::Stun => !transport.is_secure(),
            Scheme::Turn => *transport != Transport::Dtls,
        });
        if allowed.is_empty() {
            return Err(DiscoveryError::Nameless(uri.to_string()));
        }
    }
    Ok(allowed)
}

/// `_stun-behavior._udp.example.org`
fn behaviour_service(transport: Transport, host: &str) -> String {
    match transport {
        Transport::Udp => format!("_stun-behavior._udp.{host}"),
        Transport::Tcp => format!("_stun-behavior._tcp.{host}"),
        Transport::Tls | Transport::Dtls => format!("_stun-behaviors._tcp.{host}"),
    }
}

/// `_turns._tcp.example.org`
fn service(scheme: Scheme, transport: Transport, host: &str) -> String {
    let service = match (scheme, transport.is_secure()) {
        (Scheme::Stun, false) => "stun",
        (Scheme::Stun, true) => "stuns",
        (Scheme::Turn, false) => "turn",
        (Scheme::Turn, true) => "turns",
    };
    let protocol = match transport {
        Transport::Udp | Transport::Dtls => "udp",
        Transport::Tcp | Transport::Tls => "tcp",
    };
    format!("_{service}._{protocol}.{host}")
}

struct Resolution<'a> {
    dns: &'a Dns,
    families: Families,
    rng: StdRng,
    endpoints: Vec<Endpoint>,
    notes: Vec<String>,
    denied: Option<String>,
    failed: Option<DnsError>,
    late: Option<Families>,
}

impl<'a> Resolution<'a> {
    fn new(dns: &'a Dns, families: Families) -> Self {
        let rng = StdRng::from_rng(&mut rand::rng());
        Self {
            dns,
            families,
            rng,
            endpoints: Vec::new(),
            notes: Vec::new(),
            denied: None,
            failed: None,
            late: None,
        }
    }

    /// Steps 2 to 5 of RFC 5928 §3; steps 2 and 3 are RFC 8489 §8.1's too.
    async fn by_name(
        &mut self,
        uri: &ServerUri,
        host: &str,
        transports: &[Transport],
        choice: &Choice,
    ) -> Result<(), DiscoveryError> {
        if let Some(port) = uri.port {
            for transport in transports {
                self.by_address(*transport, host, port, None).await;
            }
            return Ok(());
        }
        let undecided =
            uri.scheme == Scheme::Turn && uri.transport().is_none() && choice.transport.is_none();
        if undecided {
            // "turn:" leads to TLS and DTLS too where the domain's NAPTR records say so, as in RFC
            // 5928 §4.1's example.
            let all: Vec<Transport> = PREFERENCE
                .into_iter()
                .filter(|transport| transport.is_secure() || !uri.secure)
                .collect();
            match self.by_naptr(host, &all).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error @ DiscoveryError::OtherTransports(_)) => return Err(error),
                // "If the first NAPTR query fails, the processing continues in step 5."
                Err(error) => self.note(error.to_string()),
            }
        }
        // Deviation: RFC 5928 §3: without NAPTR records, "turn:" is not tried over TLS and DTLS:
        // the only port would be that of UDP and TCP.
        for transport in transports {
            let behaviour = choice.nat_behaviour
                && self.by_srv(*transport, &behaviour_service(*transport, host), None).await;
            if !behaviour
                && !self.by_srv(*transport, &service(uri.scheme, *transport, host), None).await
            {
                self.by_address(*transport, host, ServerUri::default_port(*transport), None).await;
            }
        }
        Ok(())
    }

    /// Follows the NAPTR records for TURN; `false` if there are none.
    async fn by_naptr(
        &mut self,
        host: &str,
        transports: &[Transport],
    ) -> Result<bool, DiscoveryError> {
        let mut notes = Vec::new();
        let ends = naptr::follow(self.dns, host, transports, &mut notes).await;
        notes.into_iter().for_each(|note| self.note(note));
        let Some(ends) = ends? else { return Ok(false) };
        if ends.is_empty() {
            return Err(DiscoveryError::OtherTransports(shown(host).into()));
        }
        for end in ends {
            match end.kind {
                EndKind::Srv => {
                    if !self.by_srv(end.transport, &end.name, Some(&end.via)).await {
                        self.note(format!(
                            "{} → {}: there is no such SRV record.",
                            end.via,
                            shown(&end.name)
                        ));
                    }
                }
                EndKind::Address => {
                    self.by_address(
                        end.transport,
                        &end.name,
                        ServerUri::default_port(end.transport),
                        Some(&end.via),
                    )
                    .await;
                }
            }
        }
        Ok(true)
    }

    /// Follows the SRV records of that name; `false` if there are none.
    async fn by_srv(&mut self, transport: Transport, name: &str, via: Option<&str>) -> bool {
        let records = match self.dns.srv(name).await {
            Ok(answer) => {
                answer.notes.into_iter().for_each(|note| self.note(note));
                answer.records
            }
            Err(error) => {
                self.note(error.to_string());
                return false;
            }
        };
        if records.is_empty() {
            return false;
        }
        if srv::is_denial(&records) {
            self.note(format!("SRV {} says that the service does not exist.", shown(name)));
            self.denied = Some(shown(name).into());
            return true;
        }
        let before = via.map(|via| format!("{via} → ")).unwrap_or_default();
        for record in srv::ordered(records, &mut self.rng) {
            let via = format!("{before}SRV {}", shown(name));
            if record.target == "." || record.port == 0 {
                self.note(format!(
                    "{via} → {}, port {}: not a valid server; the record is not used.",
                    shown(&record.target),
                    record.port
                ));
                continue;
            }
            self.by_address(transport, &record.target, record.port, Some(&via)).await;
        }
        true
    }

    /// Looks up the addresses of a name: A and AAAA records.
    async fn by_address(&mut self, transport: Transport, name: &str, port: u16, via: Option<&str>) {
        match self.dns.addresses(name, self.families).await {
            Ok(Found { addresses, late, notes }) => {
                notes.into_iter().for_each(|note| self.note(note));
                self.late = match (self.late, late) {
                    (Some(before), Some(late)) if before != late => Some(Families::Both),
                    (before, late) => before.or(late),
                };
                if addresses.is_empty() {
                    let family = match self.families {
                        Families::Both => "address",
                        Families::V4 => "IPv4 address",
                        Families::V6 => "IPv6 address",
                    };
                    return self.note(format!("{} has no {family}.", shown(name)));
                }
                let before = via.map(|via| format!("{via} → ")).unwrap_or_default();
                self.found(
                    transport,
                    order::ordered(addresses),
                    port,
                    Some(format!("{before}{}", shown(name))),
                );
            }
            Err(error) => {
                self.note(error.to_string());
                self.failed.get_or_insert(error);
            }
        }
    }

    fn found(
        &mut self,
        transport: Transport,
        addresses: Vec<IpAddr>,
        port: u16,
        via: Option<String>,
    ) {
        let address = |ip: IpAddr| SocketAddr::new(ip.to_canonical(), port);
        let number = addresses.len();
        let addresses: Vec<SocketAddr> =
            addresses.into_iter().take(MAX_ENDPOINTS).map(address).collect();
        let known = self
            .endpoints
            .iter()
            .any(|known| known.transport == transport && known.addresses == addresses);
        if addresses.is_empty() || known {
            return;
        }
        if number > MAX_ENDPOINTS {
            let whose = via.as_deref().unwrap_or("The server");
            self.note(format!(
                "{whose} has {number} addresses; only the first {MAX_ENDPOINTS} are used."
            ));
        }
        if self.endpoints.len() < MAX_ENDPOINTS {
            self.endpoints.push(Endpoint { transport, addresses, via });
        } else {
            self.note(format!(
                "DNS names more than {MAX_ENDPOINTS} servers; the rest are not used."
            ));
        }
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn finish(self, host: &str) -> Result<Discovered, DiscoveryError> {
        match (self.endpoints.is_empty(), self.failed, self.denied) {
            (false, _, _) => {
                Ok(Discovered { endpoints: self.endpoints, notes: self.notes, late: self.late })
            }
            (true, Some(error), _) => Err(error.into()),
            (true, None, Some(name)) => Err(DiscoveryError::Denied(name)),
            (true, None, None) => Err(DiscoveryError::NoAddress(shown(host).into())),
        }
    }
}
