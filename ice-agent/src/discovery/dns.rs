use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ProtocolConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::order::Families;

/// A name server that has not answered after so long is asked again.
const PATIENCE: Duration = Duration::from_secs(1);
/// So often.
const ATTEMPTS: usize = 2;
/// "The recommended value for the Resolution Delay is 50 milliseconds" (RFC 8305 §3).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
/// Maximum number of records of one answer that are used.
const MAX_RECORDS: usize = 32;

/// Asks DNS, by the system's name servers or one that was named.
pub struct Dns {
    resolver: Option<TokioResolver>,
    /// Whether the system may be asked for what its name servers do not know: it has other
    /// sources, as mDNS.
    system: bool,
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns").field("system", &self.system).finish_non_exhaustive()
    }
}

/// No answer that could be used. An answer that there is no such record is none of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DnsError(String);

/// The records of one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// Those that are used; none if there is no such record.
    pub records: Vec<T>,
    /// What is not used, in sentences for people.
    pub notes: Vec<String>,
}

/// RFC 3403 §4.1, as far as S-NAPTR uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NaptrRecord {
    /// Lower first.
    pub order: u16,
    /// Within an order: lower first.
    pub preference: u16,
    /// `S` leads to SRV records, `A` to addresses, nothing to more NAPTR records. In upper case.
    pub flags: String,
    /// The application service and its protocols: `RELAY:turn.udp:turn.tcp`. In lower case.
    pub services: String,
    /// S-NAPTR has none.
    pub has_regexp: bool,
    /// The name to go on with.
    pub replacement: String,
}

/// RFC 2782.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrvRecord {
    /// Lower first.
    pub priority: u16,
    /// The share within a priority.
    pub weight: u16,
    /// The server's port.
    pub port: u16,
    /// The server's name, with its final dot; `.` if there is no such service.
    pub target: String,
}

/// The addresses of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Those that are known.
    pub addresses: Vec<IpAddr>,
    /// The family whose answer was not waited for.
    pub late: Option<Families>,
    /// What is not known or not used, in sentences for people.
    pub notes: Vec<String>,
}

impl From<Answer<IpAddr>> for Found {
    fn from(Answer { records, notes }: Answer<IpAddr>) -> Self {
        Self { addresses: records, late: None, notes }
    }
}

impl<T> Answer<T> {
    /// As many of the records as are used.
    fn limited(mut records: Vec<T>, kind: &str, name: &str) -> Self {
        let number = records.len();
        records.truncate(MAX_RECORDS);
        let note = format!(
            "{name} has {number} records of type {kind}; the first {MAX_RECORDS} are used."
        );
        Self { records, notes: if number > MAX_RECORDS { vec![note] } else { Vec::new() } }
    }
}

impl Dns {
    /// The system's name servers. Where they cannot be found out, only addresses can be asked for.
    #[must_use]
    pub fn system() -> Self {
        let resolver = TokioResolver::builder_tokio().ok().and_then(|mut builder| {
            set(builder.options_mut());
            builder.build().ok()
        });
        Self { resolver, system: true }
    }

    /// One name server, and neither the hosts file nor anything else of the system.
    #[must_use]
    pub fn at(name_server: SocketAddr) -> Self {
        let connection = |protocol| {
            let mut connection = ConnectionConfig::new(protocol);
            connection.port = name_server.port();
            connection
        };
        let connections = vec![connection(ProtocolConfig::Udp), connection(ProtocolConfig::Tcp)];
        let config = ResolverConfig::from_name_servers(vec![NameServerConfig::new(
            name_server.ip(),
            true,
            connections,
        )]);
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        set(builder.options_mut());
        builder.options_mut().use_hosts_file = ResolveHosts::Never;
        Self { resolver: builder.build().ok(), system: false }
    }

    /// NAPTR records; none is an empty list.
    ///
    /// # Errors
    /// No answer.
    pub async fn naptr(&self, name: &str) -> Result<Answer<NaptrRecord>, DnsError> {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        self.lookup(name, RecordType::NAPTR, |data| match data {
            RData::NAPTR(naptr) => Some(NaptrRecord {
                order: naptr.order,
                preference: naptr.preference,
                flags: text(&naptr.flags).to_ascii_uppercase(),
                services: text(&naptr.services).to_ascii_lowercase(),
                has_regexp: !naptr.regexp.is_empty(),
                replacement: naptr.replacement.to_ascii(),
            }),
            _ => None,
        })
        .await
    }

    /// SRV records; none is an empty list.
    ///
    /// # Errors
    /// No answer.
    pub async fn srv(&self, name: &str) -> Result<Answer<SrvRecord>, DnsError> {
        self.lookup(name, RecordType::SRV, |data| match data {
            RData::SRV(srv) => Some(SrvRecord {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: srv.target.to_ascii(),
            }),
            _ => None,
        })
        .await
    }

    /// The addresses of these families, IPv6 first; none is an empty list. "A dual-stack IPv4/IPv6
    /// client MUST query both" (RFC 8489 §8.1), and
    /// "implementations SHOULD NOT wait for both families of answers to return" (RFC 8305 §3): a
    /// family that is much later than the other is [`Found::late`].
    ///
    /// # Errors
    /// No answer for any family.
    pub async fn addresses(&self, name: &str, families: Families) -> Result<Found, DnsError> {
        let mut found = match families {
            Families::V4 => self.family(name, RecordType::A).await.map(Found::from),
            Families::V6 => self.family(name, RecordType::AAAA).await.map(Found::from),
            Families::Both => self.both(name).await,
        };
        if self.system && found.as_ref().map_or(true, |found| found.addresses.is_empty()) {
            let known = tokio::time::timeout(
                PATIENCE * 2,
                tokio::net::lookup_host((name.trim_end_matches('.'), 0)),
            )
            .await;
            if let Ok(Ok(known)) = known {
                let known = known.map(|address| address.ip()).filter(|ip| families.has(*ip));
                found = Ok(Answer::limited(known.collect(), "address", name).into());
            }
        }
        found
    }

    async fn both(&self, name: &str) -> Result<Found, DnsError> {
        let mut v6 = pin!(self.family(name, RecordType::AAAA));
        let mut v4 = pin!(self.family(name, RecordType::A));
        let (first, is_v6) = tokio::select! {
            biased;
            found = &mut v6 => (found, true),
            found = &mut v4 => (found, false),
        };
        let other = async { if is_v6 { v4.await } else { v6.await } };
        // Deviation: RFC 8305 §3: where AAAA comes first, A is waited for the 50 ms, too, so that
        // both families can be tried if both are there.
        let is_positive = first.as_ref().is_ok_and(|found| !found.records.is_empty());
        // Only addresses are worth going on with: without any, the other family is all that there
        // can be.
        let other = if is_positive {
            tokio::time::timeout(RESOLUTION_DELAY, other).await.ok()
        } else {
            Some(other.await)
        };
        let late = other.is_none().then_some(if is_v6 { Families::V4 } else { Families::V6 });
        match (first, other) {
            (Err(error), Some(Err(_))) => Err(error),
            (first, other) => {
                let mut notes = Vec::new();
                let [first, other] = [Some(first), other].map(|answer| match answer {
                    Some(Ok(answer)) => {
                        notes.extend(answer.notes);
                        answer.records
                    }
                    Some(Err(error)) => {
                        notes.push(error.to_string());
                        Vec::new()
                    }
                    None => Vec::new(),
                });
                let addresses = if is_v6 { [first, other] } else { [other, first] }.concat();
                Ok(Found { addresses, late, notes })
            }
        }
    }

    async fn family(&self, name: &str, kind: RecordType) -> Result<Answer<IpAddr>, DnsError> {
        self.lookup(name, kind, RData::ip_addr).await
    }

    async fn lookup<T>(
        &self,
        name: &str,
        kind: RecordType,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Result<Answer<T>, DnsError> {
        let Some(resolver) = &self.resolver else {
            return Err(DnsError("this system's name servers are not known".into()));
        };
        let mut asked = Name::from_ascii(name)
            .map_err(|error| DnsError(format!("{name:?} is no name in DNS: {error}")))?;
        // The domains that the system searches are for short names.
        if asked.num_labels() > 1 {
            asked.set_fqdn(true);
        }
        match resolver.lookup(asked, kind).await {
            Ok(answer) => {
                let records =
                    answer.answers().iter().filter_map(|record| read(&record.data)).collect();
                Ok(Answer::limited(records, &kind.to_string(), name))
            }
            Err(error) if error.is_no_records_found() => {
                Ok(Answer { records: Vec::new(), notes: Vec::new() })
            }
            Err(NetError::Timeout) => {
                Err(DnsError(format!("no name server answered the question for {kind} of {name}")))
            }
            Err(error) => Err(DnsError(format!("{kind} of {name}: {error}"))),
        }
    }
}

fn set(options: &mut ResolverOpts) {
    options.timeout = PATIENCE;
    options.attempts = ATTEMPTS;
}
