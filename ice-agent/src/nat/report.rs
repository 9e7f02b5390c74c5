use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde::Serialize;

use super::behaviour::{Behaviour, Classic};
use crate::net::target::Transport;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// An address' family.
    #[must_use]
    pub const fn of(address: SocketAddr) -> Self {
        if address.is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }

    /// The family's unspecified address.
    pub(super) const fn unspecified(self) -> IpAddr {
        match self {
            Self::Ipv4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::Ipv6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}

/// What was found out of one family; see the [module](super) for the JSON form.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Of which.
    pub family: Family,
    /// Over which transport: UDP or TCP.
    pub transport: Transport,
    /// The name that people use.
    pub classic: Classic,
    /// Mapping behaviour (RFC 5780 §4.3).
    pub mapping: Behaviour,
    /// Filtering behaviour (RFC 5780 §4.4).
    pub filtering: Behaviour,
    /// Whether addresses are translated.
    pub nat: Option<bool>,
    /// This host's address and port in the first test.
    pub local: Option<SocketAddr>,
    /// What the server saw in the first test.
    pub mapped: Option<SocketAddr>,
    /// Whether the two ports are equal.
    pub port_preserved: Option<bool>,
    /// Whether the NAT turns datagrams around that are meant for its own outside; not tried without a NAT.
    pub hairpin: Option<bool>,
    /// The server's address that was asked.
    pub server: SocketAddr,
    /// The server's other address and port.
    pub other_address: Option<SocketAddr>,
    /// Round trip of the first test.
    pub round_trip_ms: Option<f64>,
    /// Whether the server answers over TCP; only tried if it does not over UDP.
    pub tcp: Option<bool>,
    /// What could not be told, and why.
    pub notes: Vec<String>,
    /// The tests in their order.
    pub tests: Vec<Test>,
}

/// One test.
#[derive(Debug, Clone, Serialize)]
pub struct Test {
    /// Which.
    pub name: &'static str,
    /// From where; a socket of its own for each filtering test.
    pub local: SocketAddr,
    /// To where.
    pub sent_to: SocketAddr,
    /// From where the answer was asked to come.
    pub asked: &'static str,
    /// What the server saw.
    pub mapped: Option<SocketAddr>,
    /// From where the answer came.
    pub answered_from: Option<SocketAddr>,
    /// Why there is no answer.
    pub failure: Option<String>,
}

impl Report {
    /// A report in which nothing is known yet.
    pub(super) fn new(server: SocketAddr) -> Self {
        Self {
            family: Family::of(server),
            transport: Transport::Udp,
            classic: Classic::Unknown,
            mapping: Behaviour::Unknown,
            filtering: Behaviour::Unknown,
            nat: None,
            local: None,
            mapped: None,
            port_preserved: None,
            hairpin: None,
            server,
            other_address: None,
            round_trip_ms: None,
            tcp: None,
            notes: Vec::new(),
            tests: Vec::new(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut summary = Table::new();
        summary.load_style(UTF8_FULL_CONDENSED);
        let or_unknown = |address: Option<SocketAddr>| address.map_or_else(|| "unknown".into(), |address| address.to_string());
        let mut row = |name: &str, value: String| {
            summary.add_row([name.to_owned(), value]);
        };
        row("family", self.family.to_string());
        row("transport", self.transport.to_string());
        row("type", self.kind());
        row("NAT", yes_no(self.nat).into());
        row("mapping", self.mapping.to_string());
        row("filtering", self.filtering.to_string());
        row("local address", or_unknown(self.local));
        row("mapped address", or_unknown(self.mapped));
        row("port preserved", yes_no(self.port_preserved).into());
        if self.nat == Some(true) && self.transport == Transport::Udp {
            row("hairpin", yes_no(self.hairpin).into());
        }
        row("server", self.server.to_string());
        row("server's other address", self.other_address.map_or_else(|| "none".into(), |address| address.to_string()));
        if let Some(round_trip) = self.round_trip_ms {
            row("round trip", format!("{round_trip:.1} ms"));
        }
        if let Some(tcp) = self.tcp {
            row("server over TCP", if tcp { "answers" } else { "no answer" }.into());
        }
        writeln!(f, "{summary}")?;
        writeln!(f, "{}", self.tests_table())?;
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        Ok(())
    }
}

impl Report {
    /// RFC 3489's name; for IPv6, which has no such names, in words.
    fn kind(&self) -> String {
        match (self.family, self.nat, self.filtering) {
            (Family::Ipv4, ..) | (Family::Ipv6, None, _) => self.classic.to_string(),
            (Family::Ipv6, Some(true), _) => "translated (NAT66 or NPTv6)".into(),
            (Family::Ipv6, Some(false), Behaviour::EndpointIndependent) => "no NAT, no firewall".into(),
            (Family::Ipv6, Some(false), Behaviour::Unknown) => "no NAT; whether there is a firewall is unknown".into(),
            (Family::Ipv6, Some(false), filtering) => format!("no NAT; a firewall that filters, {filtering}"),
        }
    }

    fn tests_table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header(["test", "from", "to", "answer asked from", "result"]);
        for test in &self.tests {
            let result = match (&test.failure, test.mapped) {
                (Some(failure), _) => failure.clone(),
                (None, Some(mapped)) => format!("mapped {mapped}"),
                (None, None) => "answered".into(),
            };
            table.add_row([test.name.into(), test.local.to_string(), test.sent_to.to_string(), test.asked.to_owned(), result]);
        }
        table
    }
}

fn yes_no(answer: Option<bool>) -> &'static str {
    match answer {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    }
}
