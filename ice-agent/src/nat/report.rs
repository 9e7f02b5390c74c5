//! The report of one family, as a table and as JSON.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use causeway_wire::Transport;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde::Serialize;

use super::behaviour::{Behaviour, Classic};
use super::observations::{LossReport, Ports, Test, percent};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    /// The family of an address.
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

/// The findings of one family; docs/ice-agent.md has the JSON form.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The family that was measured.
    pub family: Family,
    /// The transport of the tests: UDP or TCP.
    pub transport: Transport,
    /// The classic name of the NAT.
    pub classic: Classic,
    /// Mapping behaviour (RFC 5780 §4.3).
    pub mapping: Behaviour,
    /// Filtering behaviour (RFC 5780 §4.4).
    pub filtering: Behaviour,
    /// Whether addresses are translated.
    pub nat: Option<bool>,
    /// This host's address and port in the first test.
    pub local: Option<SocketAddr>,
    /// The mapped address in the first test.
    pub mapped: Option<SocketAddr>,
    /// Whether the NAT kept this host's ports in these tests.
    pub ports: Option<Ports>,
    /// Whether the NAT supports hairpinning; not tested without a NAT.
    pub hairpin: Option<bool>,
    /// The server's address in the tests.
    pub server: SocketAddr,
    /// The server's other address and port.
    pub other_address: Option<SocketAddr>,
    /// Round trip of the first test, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// Whether the server answers over TCP; only tested if it does not answer over UDP.
    pub tcp: Option<bool>,
    /// How much was lost on the path.
    pub loss: Option<LossReport>,
    /// The chance that a negative finding (filtered, blocked, no hairpinning) was only loss; `None`
    /// if the report has no such finding.
    pub doubt: Option<f64>,
    /// Notes on unknown results, their reasons, and the consequences of the findings, in sentences.
    pub notes: Vec<String>,
    /// The tests in the order in which they ended.
    pub tests: Vec<Test>,
}

impl Report {
    /// A report without findings.
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
            ports: None,
            hairpin: None,
            server,
            other_address: None,
            round_trip_ms: None,
            tcp: None,
            loss: None,
            doubt: None,
            notes: Vec::new(),
            tests: Vec::new(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut summary = Table::new();
        summary.load_style(UTF8_FULL_CONDENSED);
        let or_unknown = |address: Option<SocketAddr>| {
            address.map_or_else(|| "unknown".into(), |address| address.to_string())
        };
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
        row("own port", self.own_port());
        if self.nat == Some(true) && self.transport == Transport::Udp {
            row("hairpin", yes_no(self.hairpin).into());
        }
        row("server", self.server.to_string());
        row(
            "server's other address",
            self.other_address.map_or_else(|| "none".into(), |address| address.to_string()),
        );
        if let Some(round_trip) = self.round_trip_ms {
            row("round trip", format!("{round_trip:.1} ms"));
        }
        if let Some(tcp) = self.tcp {
            row("server over TCP", if tcp { "answers" } else { "no answer" }.into());
        }
        if let Some(loss) = &self.loss {
            row("loss", format!("{} of {} requests", loss.lost, loss.requests));
        }
        if let Some(doubt) = self.doubt {
            row("doubt", percent(doubt));
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
    /// The classic name; for IPv6, which has no such names, a description.
    fn kind(&self) -> String {
        match (self.family, self.nat, self.filtering) {
            (Family::Ipv4, ..) | (Family::Ipv6, None, _) => self.classic.to_string(),
            (Family::Ipv6, Some(true), _) => "translated (NAT66 or NPTv6)".into(),
            (Family::Ipv6, Some(false), Behaviour::EndpointIndependent) => {
                "no NAT, no firewall".into()
            }
            (Family::Ipv6, Some(false), Behaviour::Unknown) => {
                "no NAT; whether there is a firewall is unknown".into()
            }
            (Family::Ipv6, Some(false), filtering) => {
                format!("no NAT; a firewall that filters, {filtering}")
            }
        }
    }

    fn own_port(&self) -> String {
        match self.ports {
            None => "unknown".into(),
            Some(Ports { sockets, kept, .. }) => {
                format!("kept by {kept} of {sockets} sockets in these tests")
            }
        }
    }

    /// Adds notes about loss, ports and keepalives.
    pub(super) fn explain(&mut self) {
        if let Some(LossReport { requests, lost, .. }) = self.loss.filter(|loss| loss.lost > 0) {
            let doubt = self.doubt.map_or_else(String::new, |doubt| {
                format!(
                    " The chance that a finding of this report is wrong because of loss is {}.",
                    percent(doubt)
                )
            });
            self.notes.push(format!("{lost} of {requests} requests were lost.{doubt}"));
        }
        if self.nat != Some(true) {
            return;
        }
        if let Some(Ports { sockets, kept, partly, destinations }) = self.ports
            && (kept + partly > 0 || self.mapping == Behaviour::EndpointIndependent)
        {
            self.notes.push(format!(
                "{kept} of {sockets} sockets kept their port for all {destinations} destinations \
                 in these tests. Tests from one host cannot show what the NAT does when another \
                 host uses the same port: Linux masquerade then changes the port, and a socket \
                 whose port was changed once keeps the changed one for later destinations."
            ));
            if partly > 0 {
                self.notes.push(format!(
                    "{partly} sockets kept their port for some destinations only. They may have \
                     met the same port of another host; then the mapping depends on the \
                     destination less than it seems. Run the test again, which uses other ports."
                ));
            }
        }
        if self.transport == Transport::Udp {
            self.notes.push(
                "An application should send something at least every 25 s: a NAT on Linux \
                 removes a mapping after 30 s of silence if all its packets were in its first \
                 2 s, and after 120 s otherwise."
                    .into(),
            );
        }
    }

    fn tests_table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header([
            "test",
            "from",
            "to",
            "answer asked from",
            "sent",
            "result",
        ]);
        for test in &self.tests {
            let result = match (&test.failure, test.mapped) {
                (Some(failure), _) => failure.clone(),
                (None, Some(mapped)) => format!("mapped {mapped}"),
                (None, None) => "answered".into(),
            };
            let (local, to, sent) =
                (test.local.to_string(), test.sent_to.to_string(), test.requests.to_string());
            table.add_row([test.name.into(), local, to, test.asked.to_owned(), sent, result]);
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
