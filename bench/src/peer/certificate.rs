//! The certificate of measured servers: RSA, as most operators have it.

use anyhow::Result;
use causeway_kit::Scratch;
use causeway_kit::certificates::{Files, Key, ServerCertificate};
use openssl::pkey::PKey;
use openssl::rsa::Rsa;

/// Writes a self-signed certificate with a new RSA key; every server of a comparison has one of the
/// same kind.
pub(super) fn write(directory: &Scratch) -> Result<Files> {
    let key = PKey::from_rsa(Rsa::generate(2048)?)?.private_key_to_pem_pkcs8()?;
    let key = Key::from_pem(std::str::from_utf8(&key)?);
    Ok(ServerCertificate::self_signed(&["bench.example"], key).write(directory))
}
