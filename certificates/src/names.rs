//! The names that a certificate is for.

use std::net::IpAddr;

use x509_parser::prelude::{GeneralName, X509Certificate};

/// The host names and addresses that a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names(Vec<Name>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    /// A host name in lower case; may start with `*.`.
    Dns(String),
    Ip(IpAddr),
}

impl Names {
    /// Reads the alternative names, or the common name if there are none, as old private
    /// authorities write it.
    pub(crate) fn of(leaf: &X509Certificate<'_>) -> Self {
        let alternative = leaf.subject_alternative_name().ok().flatten();
        let named =
            alternative.iter().flat_map(|names| &names.value.general_names).filter_map(|name| {
                match name {
                    GeneralName::DNSName(name) => Some(Name::Dns(name.to_ascii_lowercase())),
                    GeneralName::IPAddress(octets) => match **octets {
                        [a, b, c, d] => Some(Name::Ip([a, b, c, d].into())),
                        _ => Some(Name::Ip(<[u8; 16]>::try_from(*octets).ok()?.into())),
                    },
                    _ => None,
                }
            });
        let named: Vec<_> = named.collect();
        if !named.is_empty() {
            return Self(named);
        }
        let common = leaf.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        Self(common.map(|name| Name::Dns(name.to_ascii_lowercase())).collect())
    }

    /// The names as in the certificate; a name may start with `*.`.
    pub fn iter(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|name| match name {
            Name::Dns(name) => name.clone(),
            Name::Ip(address) => address.to_string(),
        })
    }

    /// Whether the certificate is for `name`: a host name in any case, or an address as text. A
    /// `*.` stands for one label.
    #[must_use]
    pub fn contain(&self, name: &str) -> bool {
        let address = name.parse::<IpAddr>().ok();
        self.0.iter().any(|own| match own {
            Name::Ip(own) => Some(*own) == address,
            Name::Dns(own) => address.is_none() && matches(own, name),
        })
    }
}

/// Whether the certificate's `own` name covers `name`.
fn matches(own: &str, name: &str) -> bool {
    match own.strip_prefix("*.") {
        Some(domain) => name
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(domain)),
        None => own.eq_ignore_ascii_case(name),
    }
}
