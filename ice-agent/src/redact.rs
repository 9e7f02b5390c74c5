//! `--redact`: replaces addresses, names of hosts and users, and file paths by placeholders, so
//! that a report can be shared. One name always gets the same placeholder.
//!
//! Ports and the kind of each address stay, so that the report is still useful. Loopback and
//! unspecified addresses identify no host, and stay too. Everything that looks like an address or a
//! domain name is replaced; other names have to be [registered](Redactor::learn).

use std::net::{IpAddr, Ipv6Addr};

use serde_json::Value;

use crate::table;

/// Names of protocols that look like host names.
const PROTOCOLS: &[&str] = &["stun.turn", "stun.nat-discovery"];
/// The name that every host has for itself.
const LOCALHOST: &str = "localhost";

/// The kind of a name; the placeholder starts with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A host name or domain.
    Host,
    User,
    /// The name of a room at a rendezvous.
    Room,
    /// The subject or issuer of a certificate.
    Certificate,
    File,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::User => "user",
            Self::Room => "room",
            Self::Certificate => "certificate",
            Self::File => "file",
        }
    }
}

/// The addresses and names that have a placeholder. A placeholder's number is its position.
#[derive(Debug, Default)]
pub struct Redactor {
    addresses: Vec<IpAddr>,
    names: Vec<(Kind, String)>,
}

impl Redactor {
    /// Registers a name, which is then replaced wherever it stands as a whole word.
    pub fn learn(&mut self, kind: Kind, name: &str) {
        let name = name.trim_end_matches('.');
        let stays = name.is_empty() || name == LOCALHOST || name.parse::<IpAddr>().is_ok();
        if !stays {
            self.know(kind, name);
        }
    }

    /// Replaces names and addresses in a text, and realigns its tables.
    pub fn text(&mut self, text: &str) -> String {
        let learned = self.replace_learned(text);
        let mut out = String::with_capacity(learned.len());
        let is_inside = |letter: char| {
            letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-' | ':' | '%')
        };
        let mut rest = learned.as_str();
        while let Some(start) = rest.find(is_inside) {
            let (before, word) = rest.split_at(start);
            let (word, after) =
                word.split_at(word.find(|letter| !is_inside(letter)).unwrap_or(word.len()));
            out.push_str(before);
            out.push_str(&self.word(word));
            rest = after;
        }
        out.push_str(rest);
        table::set_again(&out)
    }

    /// Replaces names and addresses in every string of a JSON document; the keys stay.
    pub fn json(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.json(value)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.json(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn replace_learned(&self, text: &str) -> String {
        let mut names: Vec<&(Kind, String)> = self.names.iter().collect();
        // Longest first, since a shorter name may be part of a longer one.
        names.sort_by_key(|(_, name)| std::cmp::Reverse(name.len()));
        let mut text = text.to_owned();
        for (kind, name) in names {
            if text.contains(name.as_str()) {
                text = replace_whole(&text, name, &self.placeholder(*kind, name));
            }
        }
        text
    }

    /// Replaces in a run of letters, digits, and the punctuation of addresses and names.
    fn word(&mut self, word: &str) -> String {
        let trimmed = word.trim_end_matches(['.', ':', '-']);
        for candidate in [word, trimmed] {
            if let Some(shown) = self.address(candidate) {
                return shown + &word[candidate.len()..];
            }
        }
        // An IPv6 address after a word and a colon.
        for (colon, _) in trimmed.match_indices(':') {
            let (before, after) = trimmed.split_at(colon + 1);
            if after.matches(':').count() > 1
                && let Some(shown) = self.address(after)
            {
                return format!("{before}{shown}{}", &word[trimmed.len()..]);
            }
        }
        let parts: Vec<String> = trimmed.split(':').map(|part| self.part(part)).collect();
        parts.join(":") + &word[trimmed.len()..]
    }

    /// Replaces in the text between two colons: an IPv4 address, a domain name, or anything else.
    fn part(&mut self, part: &str) -> String {
        if let Some(shown) = self.address(part) {
            return shown;
        }
        let bare = part.trim_end_matches('.');
        // Of `_turns._tcp.example.org` the service part stays.
        let mut name = bare;
        while let Some((label, rest)) = name.split_once('.')
            && label.starts_with('_')
        {
            name = rest;
        }
        if !is_domain(name) || PROTOCOLS.contains(&name) {
            return part.to_owned();
        }
        let service = &bare[..bare.len() - name.len()];
        self.know(Kind::Host, name);
        format!("{service}{}{}", self.placeholder(Kind::Host, name), &part[bare.len()..])
    }

    /// The placeholder of an address, which may have a zone; `None` if the text is no address.
    fn address(&mut self, text: &str) -> Option<String> {
        let (bare, zone) = text.find('%').map_or((text, ""), |percent| text.split_at(percent));
        let address = bare.parse::<IpAddr>().ok()?.to_canonical();
        if address.is_loopback() || address.is_unspecified() {
            return Some(text.to_owned());
        }
        let known = self.addresses.iter().position(|known| *known == address);
        let number = known.unwrap_or_else(|| {
            self.addresses.push(address);
            self.addresses.len() - 1
        });
        Some(format!("{}-{}{zone}", kind_of(address), number + 1))
    }

    fn know(&mut self, kind: Kind, name: &str) {
        let name = if kind == Kind::Host { name.to_ascii_lowercase() } else { name.to_owned() };
        let known = (kind, name);
        if !self.names.contains(&known) {
            self.names.push(known);
        }
    }

    fn placeholder(&self, kind: Kind, name: &str) -> String {
        let of_kind = self.names.iter().filter(|(other, _)| *other == kind);
        let is_same = |known: &str| {
            if kind == Kind::Host { known.eq_ignore_ascii_case(name) } else { known == name }
        };
        let number = of_kind
            .map(|(_, known)| known)
            .position(|known| is_same(known))
            .map_or(0, |index| index + 1);
        format!("{}-{number}", kind.word())
    }
}

/// Whether the text looks like a domain name: labels between dots, the last of them not a number.
fn is_domain(text: &str) -> bool {
    let Some((_, last)) = text.rsplit_once('.') else { return false };
    let is_label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_'))
    };
    let is_last = last.starts_with("xn--")
        || (last.chars().count() > 1 && last.chars().all(char::is_alphabetic));
    is_last && text.split('.').all(is_label)
}

/// The kind of an address that the placeholder shows.
fn kind_of(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(ip) if ip.is_private() => "private-ipv4",
        IpAddr::V4(ip) if ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64 => "shared-ipv4",
        IpAddr::V4(ip) if ip.is_link_local() => "link-local-ipv4",
        IpAddr::V4(_) => "ipv4",
        IpAddr::V6(ip) if Ipv6Addr::is_unique_local(&ip) => "private-ipv6",
        IpAddr::V6(ip) if ip.is_unicast_link_local() => "link-local-ipv6",
        IpAddr::V6(_) => "ipv6",
    }
}

/// Replaces `name` where no letter or digit is next to it.
fn replace_whole(text: &str, name: &str, by: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let (before, after) = (&rest[..at], &rest[at + name.len()..]);
        let is_apart =
            |neighbour: Option<char>| neighbour.is_none_or(|letter| !letter.is_alphanumeric());
        let last = before.chars().next_back().or_else(|| out.chars().next_back());
        out.push_str(before);
        out.push_str(if is_apart(last) && is_apart(after.chars().next()) { by } else { name });
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redact(text: &str) -> String {
        Redactor::default().text(text)
    }

    #[test]
    fn addresses_become_numbered_and_keep_their_kind_and_port() {
        assert_eq!(
            redact("192.0.2.1:3478 and 192.0.2.1, then 198.51.100.7."),
            "ipv4-1:3478 and ipv4-1, then ipv4-2."
        );
        assert_eq!(
            redact("[2001:db8::1]:3478 <-> 10.0.0.7:9"),
            "[ipv6-1]:3478 <-> private-ipv4-2:9"
        );
        assert_eq!(redact("2001:db8::1: no answer"), "ipv6-1: no answer");
        assert_eq!(
            redact("fe80::1%eth0 100.64.0.1 169.254.3.4 fd00::1"),
            "link-local-ipv6-1%eth0 shared-ipv4-2 link-local-ipv4-3 private-ipv6-4"
        );
        assert_eq!(redact("::ffff:192.0.2.1 is 192.0.2.1"), "ipv4-1 is ipv4-1");
        assert_eq!(
            redact("turn:192.0.2.1:3478?transport=udp turn:[2001:db8::1]"),
            "turn:ipv4-1:3478?transport=udp turn:[ipv6-2]"
        );
        assert_eq!(redact("at 2001:db8::/48 or peer:2001:db8::5"), "at ipv6-1/48 or peer:ipv6-2");
    }

    #[test]
    fn names_of_hosts_are_known_by_their_form_and_others_are_learned() {
        assert_eq!(
            redact("SRV _turns._tcp.example.org → t1.example.org."),
            "SRV _turns._tcp.host-1 → host-2."
        );
        assert_eq!(redact("Turn.Example.ORG is turn.example.org"), "host-1 is host-1");
        assert_eq!(redact("https://meet.example.org:8443/meet"), "https://host-1:8443/meet");
        let mut redactor = Redactor::default();
        redactor.learn(Kind::Host, "relay1");
        redactor.learn(Kind::User, "1800000000:anna");
        redactor.learn(Kind::User, "anna");
        redactor.learn(Kind::Certificate, "C=DE, O=Anna's Ltd, CN=turn.example.org");
        let text = "turn:relay1:3478: user \"1800000000:anna\", anna and hanna: C=DE, O=Anna's \
            Ltd, CN=turn.example.org";
        assert_eq!(
            redactor.text(text),
            "turn:host-1:3478: user \"user-1\", user-2 and hanna: certificate-1"
        );
    }

    #[test]
    fn what_tells_nothing_of_anyone_stays() {
        let text = "TLS 1.3 TLS_AES_128_GCM_SHA256 stun.turn http/1.1 127.0.0.1:3478 [::1]:9 \
            0.0.0.0 localhost 12:30:59 1.5 ms, RFC 8489 §9.2. \
                    std::io 0.21.1 2026-11-21 16:00:00";
        assert_eq!(redact(text), text);
    }

    #[test]
    fn json_is_redacted_in_its_texts_alone() {
        let mut value = serde_json::json!({
            "a.example.org": ["a.example.org:1", 5, { "x": "b.example.org" }]
        });
        Redactor::default().json(&mut value);
        assert_eq!(
            value,
            serde_json::json!({ "a.example.org": ["host-1:1", 5, { "x": "host-2" }] })
        );
    }
}
