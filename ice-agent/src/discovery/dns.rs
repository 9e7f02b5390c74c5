//! DNS queries: by the system's name servers, or by one that the user named.

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

/// How long to wait for a name server before the query is repeated.
const QUERY_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a query is sent.
const ATTEMPTS: usize = 2;
/// "The recommended value for the Resolution Delay is 50 milliseconds" (RFC 8305 §3).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
/// Maximum number of records that are used of one answer.
const MAX_RECORDS: usize = 32;

/// Sends queries to the system's name servers, or to one that the user named.
pub struct Dns {
    resolver: Option<TokioResolver>,
    /// Whether to ask the system's resolver for names that DNS does not know; it has other sources,
    /// such as mDNS.
    system: bool,
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns").field("system", &self.system).finish_non_exhaustive()
    }
}

/// A query failed. An answer without records is not an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DnsError(String);

/// The records of one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// The records that are used; empty if there is no such record.
    pub records: Vec<T>,
    /// Notes about records that are not used, in sentences.
    pub notes: Vec<String>,
}

/// A NAPTR record (RFC 3403 §4.1), as far as S-NAPTR uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NaptrRecord {
    /// Lower values are tried first.
    pub order: u16,
    /// Within an order, lower values are tried first.
    pub preference: u16,
    /// `S` leads to SRV records, `A` to addresses, an empty text to more NAPTR records. In upper
    /// case.
    pub flags: String,
    /// The application service and its protocols: `RELAY:turn.udp:turn.tcp`. In lower case.
    pub services: String,
    /// Whether the record has a regular expression, which S-NAPTR does not use.
    pub has_regexp: bool,
    /// The next name to query.
    pub replacement: String,
}

/// An SRV record (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrvRecord {
    /// Lower values are tried first.
    pub priority: u16,
    /// The relative share of clients within a priority.
    pub weight: u16,
    pub port: u16,
    /// The server's name, with its final dot; `.` if there is no such service.
    pub target: String,
}

/// The addresses of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub addresses: Vec<IpAddr>,
    /// The family whose answer was late and is not included.
    pub late: Option<Families>,
    /// Notes about failed queries and unused records, in sentences.
    pub notes: Vec<String>,
}

impl From<Answer<IpAddr>> for Found {
    fn from(Answer { records, notes }: Answer<IpAddr>) -> Self {
        Self { addresses: records, late: None, notes }
    }
}

impl<T> Answer<T> {
    /// Keeps the first [`MAX_RECORDS`] records.
    fn limited(mut records: Vec<T>, kind: &str, name: &str) -> Self {
        let number = records.len();
        records.truncate(MAX_RECORDS);
        let note = format!(
            "{name} has {number} records of type {kind}; only the first {MAX_RECORDS} are used."
        );
        Self { records, notes: if number > MAX_RECORDS { vec![note] } else { Vec::new() } }
    }
}

impl Dns {
    /// Uses the system's name servers. If they are unknown, only address lookups work.
    #[must_use]
    pub fn system() -> Self {
        let resolver = TokioResolver::builder_tokio().ok().and_then(|mut builder| {
            set(builder.options_mut());
            builder.build().ok()
        });
        Self { resolver, system: true }
    }

    /// Uses one name server, without the hosts file and the system's other sources.
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

    /// Queries NAPTR records; the answer may be empty.
    ///
    /// # Errors
    /// The query failed.
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

    /// Queries SRV records; the answer may be empty.
    ///
    /// # Errors
    /// The query failed.
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

    /// Queries the addresses of these families, IPv6 first; the answer may be empty. "A dual-stack
    /// IPv4/IPv6 client MUST query both" (RFC 8489 §8.1), and "implementations SHOULD NOT wait for
    /// both families of answers to return" (RFC 8305 §3): a family that is much later than the
    /// other is [`Found::late`].
    ///
    /// # Errors
    /// The queries for all families failed.
    pub async fn addresses(&self, name: &str, families: Families) -> Result<Found, DnsError> {
        let mut found = match families {
            Families::V4 => self.family(name, RecordType::A).await.map(Found::from),
            Families::V6 => self.family(name, RecordType::AAAA).await.map(Found::from),
            Families::Both => self.both(name).await,
        };
        if self.system && found.as_ref().map_or(true, |found| found.addresses.is_empty()) {
            let known = tokio::time::timeout(
                QUERY_TIMEOUT * 2,
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
        // Deviation: RFC 8305 §3: if AAAA comes first, the resolver waits the 50 ms for A too, so
        // that both families can be tried.
        let is_positive = first.as_ref().is_ok_and(|found| !found.records.is_empty());
        // Only an answer with addresses ends the wait: without one, the other family is all there
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
            return Err(DnsError("the system's name servers are unknown".into()));
        };
        let mut asked = Name::from_ascii(name)
            .map_err(|error| DnsError(format!("{name:?} is not a valid DNS name: {error}")))?;
        // The system's search domains are for names of one label.
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
                Err(DnsError(format!("no name server answered the query for {kind} of {name}")))
            }
            Err(error) => Err(DnsError(format!("{kind} of {name}: {error}"))),
        }
    }
}

fn set(options: &mut ResolverOpts) {
    options.timeout = QUERY_TIMEOUT;
    options.attempts = ATTEMPTS;
}
