//! The authorities that a client trusts.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use crate::chain::{CERTIFICATE, parse};
use crate::fault::Fault;
use crate::pem::{Block, blocks};
use crate::refusals::{no_block, unknown_label};

/// Reads a file of the authorities that a client trusts: PEM, one or more certificates, in any
/// order.
///
/// # Errors
/// [`Fault`]: what is wrong and what to do. A file is accepted as a whole or not at all.
pub fn authorities(file: &[u8]) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let fault = |(what, cure)| Fault::chain(what, cure);
    let blocks = blocks(file).map_err(fault)?;
    if blocks.is_empty() {
        return Err(fault(no_block(file, "the certificates of the authorities", "x509")));
    }
    let (mut trusted, mut tried) = (Vec::new(), RootCertStore::empty());
    for Block { label, line, content, .. } in blocks {
        if label != CERTIFICATE {
            return Err(fault(unknown_label(&label, line)));
        }
        let refused = |what: String| {
            Fault::chain(
                format!("certificate {} (line {line}) {what}", trusted.len() + 1),
                "take it out, or copy the file again",
            )
        };
        parse(&content).map_err(refused)?;
        let der = CertificateDer::from(content.to_vec());
        tried.add(der.clone()).map_err(|error| refused(format!("cannot be trusted: {error}")))?;
        trusted.push(der);
    }
    Ok(trusted)
}
