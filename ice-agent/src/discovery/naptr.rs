//! S-NAPTR for TURN (RFC 5928 §3, step 4).

use std::collections::HashSet;

use causeway_wire::Transport;

use super::dns::{Dns, DnsError, NaptrRecord};

/// Maximum number of queries in one resolution, since records may form a circle.
const MAX_QUERIES: usize = 16;
/// Maximum number of terminal records that are used.
const MAX_ENDS: usize = 16;

/// The end of a chain of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    /// The transport to the server.
    pub(super) transport: Transport,
    /// The kind of record to query next.
    pub(super) kind: EndKind,
    /// The name to query.
    pub(super) name: String,
    /// The names along the chain, for the report.
    pub(super) via: String,
}

/// The flag of a terminal record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndKind {
    /// Flag `S`: SRV records follow.
    Srv,
    /// Flag `A`: addresses follow.
    Address,
}

/// The protocol's tag (RFC 5928 §6.2, §6.3, §6.4; RFC 7350 §6.1).
const fn tag(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "turn.udp",
        Transport::Tcp => "turn.tcp",
        Transport::Tls => "turn.tls",
        Transport::Dtls => "turn.dtls",
    }
}

/// Follows the records from `host` for these transports, which are in order of preference. `None`
/// if there is no record for TURN. Adds a note about each unused record to `notes`.
///
/// # Errors
/// The first query failed.
pub(super) async fn follow(
    dns: &Dns,
    host: &str,
    transports: &[Transport],
    notes: &mut Vec<String>,
) -> Result<Option<Vec<End>>, DnsError> {
    let answer = dns.naptr(host).await?;
    notes.extend(answer.notes);
    let mut first = answer.records;
    notes.extend(unused(&first, host));
    first.retain(is_relay);
    if first.is_empty() {
        return Ok(None);
    }
    let mut queries = 1;
    let mut ends = Vec::new();
    for transport in ranked(&first, transports) {
        // The records still to follow, the next one last.
        let mut open = stacked(&first, transport, host);
        let mut passed = HashSet::from([host.to_owned()]);
        while let Some((record, via)) = open.pop() {
            if ends.len() >= MAX_ENDS {
                notes.push(format!(
                    "The NAPTR records of {} lead to more than {MAX_ENDS} servers; \
                    the rest are not used.",
                    shown(host)
                ));
                return Ok(Some(ends));
            }
            let kind = match record.flags.as_str() {
                "S" => EndKind::Srv,
                "A" => EndKind::Address,
                "" => {
                    let on = format!("{via} → {}", shown(&record.replacement));
                    if !passed.insert(record.replacement.clone()) {
                        notes.push(format!(
                            "NAPTR {on}: this name was queried before, so the records form a \
                            circle; the record is not used."
                        ));
                    } else if queries >= MAX_QUERIES {
                        notes.push(format!(
                            "NAPTR {on}: not queried after {MAX_QUERIES} queries without a result."
                        ));
                    } else {
                        queries += 1;
                        open.extend(branch(dns, &record.replacement, transport, &on, notes).await);
                    }
                    continue;
                }
                flags => {
                    notes.push(format!(
                        "NAPTR {via} → {}: unknown flag {flags:?}; the record is not used.",
                        shown(&record.replacement)
                    ));
                    continue;
                }
            };
            ends.push(End {
                transport,
                kind,
                name: record.replacement,
                via: format!("NAPTR {via}"),
            });
        }
    }
    Ok(Some(ends))
}

/// The records that a record without a flag leads to. A branch that fails does not end the
/// resolution (RFC 3958 §2.2.4).
async fn branch(
    dns: &Dns,
    name: &str,
    transport: Transport,
    via: &str,
    notes: &mut Vec<String>,
) -> Vec<(NaptrRecord, String)> {
    let records = match dns.naptr(name).await {
        Ok(answer) => {
            notes.extend(answer.notes);
            answer.records
        }
        Err(error) => {
            notes.push(error.to_string());
            return Vec::new();
        }
    };
    notes.extend(unused(&records, name));
    let stacked = stacked(&records, transport, via);
    if stacked.is_empty() {
        notes.push(format!("NAPTR {via}: there is no record for {}.", tag(transport)));
    }
    stacked
}

/// Notes about records for TURN, or parts of them, that this program never uses.
fn unused(records: &[NaptrRecord], name: &str) -> Vec<String> {
    let of_turn =
        records.iter().filter(|record| record.services.split(':').next() == Some("relay"));
    let mut notes = Vec::new();
    for record in of_turn {
        let services = &record.services;
        let why = if record.has_regexp {
            "it has a regular expression, which S-NAPTR does not allow".to_owned()
        } else if let Some(unknown) = record
            .services
            .split(':')
            .skip(1)
            .find(|protocol| !Transport::ALL.iter().any(|one| tag(*one) == *protocol))
        {
            format!("unknown protocol {unknown:?}")
        } else {
            continue;
        };
        let scope =
            if record.has_regexp { "the record is not used" } else { "that part is not used" };
        notes.push(format!("NAPTR record {services:?} of {}: {why}; {scope}.", shown(name)));
    }
    notes
}

/// "The order to try the application protocol tags is provided by the ranking of the first set of
/// NAPTR records. If multiple application protocol tags have the same ranking, the preferred order
/// set by the application is used" (RFC 5928 §3).
fn ranked(first: &[NaptrRecord], transports: &[Transport]) -> Vec<Transport> {
    let rank = |transport: Transport| {
        first
            .iter()
            .filter(|record| offers(record, transport))
            .map(|record| (record.order, record.preference))
            .min()
    };
    let mut ranked: Vec<_> = transports
        .iter()
        .filter_map(|transport| rank(*transport).map(|rank| (rank, *transport)))
        .collect();
    // A stable sort keeps equal ranks in the order of preference.
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, transport)| transport).collect()
}

/// The records for the transport, in reverse order, so that the first to follow is last.
fn stacked(records: &[NaptrRecord], transport: Transport, via: &str) -> Vec<(NaptrRecord, String)> {
    let mut stacked: Vec<_> =
        records.iter().filter(|record| offers(record, transport)).cloned().collect();
    stacked.sort_by_key(|record| (record.order, record.preference));
    stacked.into_iter().rev().map(|record| (record, shown(via).to_owned())).collect()
}

fn is_relay(record: &NaptrRecord) -> bool {
    record.services.split(':').next() == Some("relay") && !record.has_regexp
}

fn offers(record: &NaptrRecord, transport: Transport) -> bool {
    is_relay(record)
        && record.services.split(':').skip(1).any(|protocol| protocol == tag(transport))
}

/// A name without its trailing dot.
pub(super) fn shown(name: &str) -> &str {
    name.strip_suffix('.').filter(|name| !name.is_empty()).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Transport::{Dtls, Tcp, Tls, Udp};

    fn record(order: u16, preference: u16, services: &str) -> NaptrRecord {
        let replacement = "next.example.".into();
        NaptrRecord {
            order,
            preference,
            flags: String::new(),
            services: services.into(),
            has_regexp: false,
            replacement,
        }
    }

    #[test]
    fn rfc5928_3_the_first_set_ranks_and_preference_decides_ties() {
        let first = [record(200, 10, "relay:turn.tcp:turn.tls"), record(100, 10, "relay:turn.udp")];
        assert_eq!(ranked(&first, &[Tls, Tcp, Udp]), [Udp, Tls, Tcp]);
        assert_eq!(ranked(&first, &[Tcp, Tls, Udp]), [Udp, Tcp, Tls]);
        assert_eq!(ranked(&first, &[Dtls]), []);
    }

    #[test]
    fn rfc5928_3_the_preference_counts_within_an_order() {
        let first = [record(100, 20, "relay:turn.udp"), record(100, 10, "relay:turn.tcp")];
        assert_eq!(ranked(&first, &[Udp, Tcp]), [Tcp, Udp]);
    }

    #[test]
    fn records_of_other_applications_are_none() {
        assert!(!is_relay(&record(1, 1, "sip+d2u")));
        assert!(!is_relay(&NaptrRecord { has_regexp: true, ..record(1, 1, "relay:turn.udp") }));
        assert!(offers(&record(1, 1, "relay:turn.udp:turn.dtls"), Dtls));
        assert!(!offers(&record(1, 1, "relay:turn.udp"), Dtls));
    }
}
