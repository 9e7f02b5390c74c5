//! An offer in the form of OpenSSL.

use std::error::Error;
use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::ssl::{
    AlpnError, NameType, SniError, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions,
    SslRef, SslSessionCacheMode, SslVersion,
};

use super::chain;
use crate::secure::Offer;

/// Forward secrecy and authenticated encryption. All of libwebrtc, pion, OpenSSL, GnuTLS and
/// mbedTLS offer some of these.
const CIPHERS: &str = "ECDHE+AESGCM:ECDHE+CHACHA20";
/// All of them have P-256.
const GROUPS: &str = "X25519:P-256:P-384";

/// The contexts of new handshakes.
pub(crate) struct Offered {
    /// The context of the first identity; it switches to the others by the name that a client asks
    /// for.
    pub(super) context: SslContext,
}

impl Offered {
    pub(crate) fn new(offer: &Offer) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut named = Vec::new();
        for index in 0..offer.identities.len() {
            named.push((Arc::clone(&offer.identities[index]), context(offer, index)?.build()));
        }
        let mut context = context(offer, 0)?;
        context.set_servername_callback(move |ssl, _| {
            let name = ssl.servername(NameType::HOST_NAME);
            let chosen =
                name.and_then(|name| named.iter().find(|(identity, _)| identity.is_for(name)));
            if let Some((_, context)) = chosen {
                ssl.set_ssl_context(context).map_err(|_| SniError::ALERT_FATAL)?;
            }
            // Deviation: RFC 6066 §3: the name is followed and not acknowledged: pion takes the
            // acknowledgement, which has no content, for a broken one, and drops the
            // ServerHello without a word.
            Err(SniError::NOACK)
        });
        Ok(Self { context: context.build() })
    }
}

/// The context with the identity at `index`, and with those identities for the same names whose
/// keys are of other kinds: OpenSSL chooses among them by what the client can verify.
fn context(offer: &Offer, index: usize) -> Result<SslContextBuilder, ErrorStack> {
    let mut builder = SslContext::builder(SslMethod::dtls_server())?;
    builder.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
    builder.set_cipher_list(CIPHERS)?;
    builder.set_groups_list(GROUPS)?;
    // The MTU is set for each handshake: there is no socket to ask.
    builder.set_options(SslOptions::NO_QUERY_MTU | SslOptions::NO_RENEGOTIATION);
    builder.set_options(SslOptions::CIPHER_SERVER_PREFERENCE | SslOptions::PRIORITIZE_CHACHA);
    // No session is resumed. A client that resumes sends data right behind the last message of the
    // handshake, which is still being computed then: the data would be lost, and its
    // retransmission would take longer than the full handshake that resumption saves.
    builder.set_options(SslOptions::NO_TICKET);
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_mode(SslMode::RELEASE_BUFFERS);
    builder.set_read_ahead(true);
    // The worker has checked the cookie of every ClientHello that comes here.
    builder.set_cookie_verify_cb(|_, _| true);
    let alpn = offer.alpn;
    if !alpn.is_empty() {
        builder.set_alpn_select_callback(move |_: &mut SslRef, offered| {
            select(alpn, offered).ok_or(AlpnError::ALERT_FATAL)
        });
    }
    let identity = &offer.identities[index];
    chain::add(&mut builder, identity.chain(), identity.key())?;
    let mut kinds = vec![identity.key().id()];
    for other in &offer.identities[index + 1..] {
        let kind = other.key().id();
        if !kinds.contains(&kind) && identity.names().all(|name| other.is_for(&name)) {
            chain::add(&mut builder, other.chain(), other.key())?;
            kinds.push(kind);
        }
    }
    Ok(builder)
}

/// The first of `ours` that the client offers too (RFC 7301's form: each name behind its length).
fn select<'a>(ours: &[&[u8]], offered: &'a [u8]) -> Option<&'a [u8]> {
    ours.iter().find_map(|own| names(offered).find(|name| name == own))
}

fn names(mut list: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = list.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(*len))?;
        list = rest;
        Some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7443_3_the_server_s_first_protocol_that_the_client_offers_is_chosen() {
        let ours: [&[u8]; 2] = [b"stun.turn", b"stun.nat-discovery"];
        assert_eq!(
            select(&ours, b"\x12stun.nat-discovery\x09stun.turn"),
            Some(b"stun.turn".as_slice())
        );
        assert_eq!(
            select(&ours, b"\x02h2\x12stun.nat-discovery"),
            Some(b"stun.nat-discovery".as_slice())
        );
        assert_eq!(select(&ours, b"\x02h2"), None);
        assert_eq!(select(&ours, b"\x40stun.turn"), None, "cut");
    }
}
