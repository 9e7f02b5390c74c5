//! Certificate chains in OpenSSL's contexts.

use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslContext, SslContextBuilder, SslMethod};
use openssl::stack::Stack;
use openssl::x509::X509;

use super::ffi;

/// Whether OpenSSL serves this chain with this key: it has rules of its own for keys and
/// signatures, which it applies only here.
pub(in crate::secure) fn check_chain(
    chain: &[X509],
    key: &PKey<Private>,
) -> Result<(), ErrorStack> {
    add(&mut SslContext::builder(SslMethod::dtls_server())?, chain, key)
}

/// Gives the context a chain, the leaf first, and the leaf's key.
pub(super) fn add(
    builder: &mut SslContextBuilder,
    chain: &[X509],
    key: &PKey<Private>,
) -> Result<(), ErrorStack> {
    let mut issuers: Stack<X509> = Stack::new()?;
    let (leaf, rest) = chain.split_first().expect("a chain has a leaf");
    for issuer in rest {
        issuers.push(issuer.clone())?;
    }
    ffi::add_identity(builder, leaf, key, &issuers)
}
