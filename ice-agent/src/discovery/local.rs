//! Discovery where no server was named (RFC 8155).

use hickory_resolver::proto::rr::Name;
use hickory_resolver::system_conf::read_system_conf;

/// The system does not say which domain this host is in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the system does not say which domain this host is in")]
pub struct DomainError;

/// The DNS domain that the system's configuration places this host in: what DHCP told (RFC 8155 §4.1.1) as far as the system passes it on.
///
/// # Errors
/// There is none.
pub fn local_domain() -> Result<String, DomainError> {
    let (config, _) = read_system_conf().map_err(|_| DomainError)?;
    let named = config.domain().into_iter().chain(config.search());
    let mut names = named.filter(|name| !name.is_root() && !name.is_localhost()).map(Name::to_ascii);
    names.next().ok_or(DomainError)
}
