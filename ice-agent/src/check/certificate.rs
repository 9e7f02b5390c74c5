//! The contents of a certificate, as the report shows them.

use serde::Serialize;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;

/// Maximum number of names of a certificate that are shown.
const MAX_NAMES: usize = 50;
/// Maximum length of a text from a certificate that is shown, in characters.
const MAX_TEXT: usize = 200;
const DAY: i64 = 86_400;

/// The contents of a certificate, whether it is trusted or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CertificateReport {
    pub subject: String,
    pub issuer: String,
    /// The names and addresses that the certificate is for (subjectAltName).
    pub names: Vec<String>,
    /// The start of the validity, in UTC.
    pub not_before: String,
    /// The end of the validity, in UTC.
    pub not_after: String,
    /// Whole days until the end of the validity; negative if the certificate has expired.
    pub days_left: i64,
    /// The type and size of the public key.
    pub key: String,
}

impl CertificateReport {
    /// Parses a certificate; `now` is in Unix seconds. `None` if the bytes are not a certificate.
    pub(super) fn read(der: &[u8], now: i64) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let validity = certificate.validity();
        Some(Self {
            subject: printable(&certificate.subject().to_string()),
            issuer: printable(&certificate.issuer().to_string()),
            names: names(&certificate),
            not_before: utc(&validity.not_before),
            not_after: utc(&validity.not_after),
            days_left: (validity.not_after.timestamp() - now).div_euclid(DAY),
            key: key(&certificate),
        })
    }

    /// Whether subject and issuer are the same, as in an authority's own certificate.
    pub(super) fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let read = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(printable(name)),
        GeneralName::IPAddress(octets) => match octets.len() {
            4 => <[u8; 4]>::try_from(*octets)
                .ok()
                .map(|octets| std::net::Ipv4Addr::from(octets).to_string()),
            16 => <[u8; 16]>::try_from(*octets)
                .ok()
                .map(|octets| std::net::Ipv6Addr::from(octets).to_string()),
            _ => None,
        },
        _ => None,
    };
    names.value.general_names.iter().filter_map(read).take(MAX_NAMES).collect()
}

fn key(certificate: &X509Certificate<'_>) -> String {
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => format!("RSA {}", key.key_size()),
        Ok(PublicKey::EC(point)) => format!("EC {}", point.key_size()),
        _ if certificate.public_key().algorithm.algorithm.to_id_string() == "1.3.101.112" => {
            "Ed25519".into()
        }
        _ => "unknown".into(),
    }
}

/// A time as text, such as `2026-11-21 16:00:00`.
fn utc(time: &ASN1Time) -> String {
    let time = time.to_datetime();
    format!("{} {:02}:{:02}:{:02}", time.date(), time.hour(), time.minute(), time.second())
}

/// Removes control characters: the text comes from the server and goes to a terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    #[test]
    fn a_certificate_is_told_in_words() {
        let mut params = CertificateParams::new(vec![
            "turn.example.org".into(),
            "192.0.2.1".into(),
            "2001:db8::1".into(),
        ])
        .unwrap();
        params.distinguished_name.push(DnType::CommonName, "turn\u{1b}[2J.example.org");
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 2, 1);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let january_31 = 1_769_817_600;
        let report = CertificateReport::read(certificate.der(), january_31).unwrap();
        assert!(report.subject.contains("turn[2J.example.org"), "{report:?}");
        assert_eq!(report.names, ["turn.example.org", "192.0.2.1", "2001:db8::1"]);
        assert_eq!((report.not_after.as_str(), report.days_left), ("2026-02-01 00:00:00", 1));
        assert_eq!((report.key.as_str(), report.is_self_issued()), ("EC 256", true));
        assert_eq!(
            CertificateReport::read(certificate.der(), january_31 + 2 * DAY).unwrap().days_left,
            -1
        );
        assert_eq!(CertificateReport::read(b"\x30\x03junk", 0), None);
    }
}
