//! Nonces without a table: minted and verified with keys that rotate.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::offers::Offers;

/// Length of the nonce cookie (RFC 8489 §9.2).
const COOKIE_LEN: usize = "obMatJos2AAAA".len();
/// Length of the body: the low 24 bits of the seconds, which name a second within half a year; the
/// client's port; the MAC.
const BODY_LEN: usize = 3 + 2 + MAC_LEN;
/// Length of the MAC, 48 bits: an attacker has one guess for each datagram, gets the challenge that
/// any datagram gets, and could win answers without a limit (H11). A longer MAC would make the
/// challenge too long for its request.
const MAC_LEN: usize = 6;
/// Length of every nonce in bytes: the cookie and 15 characters for 11 bytes.
pub const MAX_NONCE_LEN: usize = COOKIE_LEN + 15;
/// Maximum difference of the clocks in a fleet, in seconds.
const SKEW: u64 = 60;
/// The number of seconds after which the 24 bits repeat.
const ROUND: u64 = 1 << 24;

/// A key that mints nonces.
#[derive(Clone)]
pub struct NonceKey(Hmac<Sha256>);

impl NonceKey {
    /// Creates it from 32 random bytes, or bytes derived from the fleet's key.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(bytes).expect("HMAC takes keys of any length"))
    }
}

impl fmt::Debug for NonceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NonceKey([redacted])")
    }
}

/// The key that mints nonces and its predecessor, which still verifies them, so that rotation costs
/// no client a challenge.
#[derive(Clone, Debug)]
pub struct NonceKeys {
    current: NonceKey,
    previous: Option<NonceKey>,
    lifetime: u64,
}

/// The text of a nonce, as NONCE carries it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NonceText([u8; MAX_NONCE_LEN]);

impl NonceText {
    /// The nonce as text: qdtext without quotes (RFC 8489 §14.10).
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("cookie and base64 are ASCII")
    }
}

impl NonceKeys {
    /// `lifetime` is the time in seconds for which a nonce is valid.
    #[must_use]
    pub fn new(current: NonceKey, previous: Option<NonceKey>, lifetime: u64) -> Self {
        Self { current, previous, lifetime }
    }

    /// Makes `next` the minting key; the current one goes on verifying.
    pub fn rotate(&mut self, next: NonceKey) {
        self.previous = Some(std::mem::replace(&mut self.current, next));
    }

    /// Mints a nonce for `client` that announces `offers`. `unix` is the Unix time in seconds.
    // Deviation: RFC 8489 §9.2.4: the nonce is bound to the client's IP address, not to its port,
    // because otherwise each new connection of a client would cost a challenge; it includes the
    // port, so that no two clients get the same one (H10).
    #[must_use]
    pub fn mint(&self, client: SocketAddr, realm: &str, unix: u64, offers: Offers) -> NonceText {
        let port = client.port().to_be_bytes();
        let mut body = [0; BODY_LEN];
        body[..3].copy_from_slice(&(unix as u32).to_be_bytes()[1..]);
        body[3..5].copy_from_slice(&port);
        body[5..].copy_from_slice(&mac(&self.current, client.ip(), realm, unix, port, offers));
        let mut text = [0; MAX_NONCE_LEN];
        text[..COOKIE_LEN].copy_from_slice(offers.cookie().as_bytes());
        let written = STANDARD_NO_PAD.encode_slice(body, &mut text[COOKIE_LEN..]);
        debug_assert_eq!(written, Ok(MAX_NONCE_LEN - COOKIE_LEN));
        NonceText(text)
    }

    /// Whether a nonce is ours, for this IP address and realm, announces these offers, and has not
    /// expired. There is no table: nothing is stored for a client that has not shown a password
    /// (H10).
    #[must_use]
    pub fn verify(&self, nonce: &str, ip: IpAddr, realm: &str, unix: u64, offers: Offers) -> bool {
        let Some(encoded) = nonce.strip_prefix(offers.cookie()) else { return false };
        // One byte more than needed, because the decoder requires its estimate.
        let mut body = [0; BODY_LEN + 1];
        if encoded.len() != MAX_NONCE_LEN - COOKIE_LEN
            || STANDARD_NO_PAD.decode_slice(encoded, &mut body) != Ok(BODY_LEN)
        {
            return false;
        }
        let seconds = u64::from(u32::from_be_bytes([0, body[0], body[1], body[2]]));
        // The latest second with these 24 bits; the MAC tells whether it was meant.
        let latest = unix.wrapping_add(SKEW);
        let issued = latest.wrapping_sub(latest.wrapping_sub(seconds) % ROUND);
        let port = [body[3], body[4]];
        let made_with = |key: &NonceKey| {
            bool::from(mac(key, ip, realm, issued, port, offers).ct_eq(&body[5..BODY_LEN]))
        };
        let in_time = unix <= issued.saturating_add(self.lifetime);
        in_time && (made_with(&self.current) || self.previous.as_ref().is_some_and(made_with))
    }
}

/// The MAC over the client's address, the time, the port, the cookie and the realm.
fn mac(
    key: &NonceKey,
    ip: IpAddr,
    realm: &str,
    issued: u64,
    port: [u8; 2],
    offers: Offers,
) -> [u8; MAC_LEN] {
    let ip = match ip {
        IpAddr::V4(ip) => Ipv4Addr::to_ipv6_mapped(&ip),
        IpAddr::V6(ip) => ip,
    };
    let mut mac = key.0.clone();
    mac.update(&ip.octets());
    mac.update(&issued.to_be_bytes());
    mac.update(&port);
    mac.update(offers.cookie().as_bytes());
    mac.update(realm.as_bytes());
    let mut short = [0; MAC_LEN];
    short.copy_from_slice(&mac.finalize().into_bytes()[..MAC_LEN]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    const NOW: u64 = 1_800_000_000;
    const PLAIN: Offers = Offers { sha256: false, anonymity: false };
    const SHA256: Offers = Offers { sha256: true, anonymity: false };

    fn keys() -> NonceKeys {
        NonceKeys::new(NonceKey::new(&[1; 32]), None, 3600)
    }

    fn mint(keys: &NonceKeys, realm: &str, unix: u64) -> NonceText {
        keys.mint(SocketAddr::new(CLIENT, 7), realm, unix, PLAIN)
    }

    #[test]
    fn h10_a_nonce_is_good_for_its_address_and_realm_and_time_only() {
        let keys = keys();
        for now in [NOW, 0, 30, ROUND - 30, ROUND + 3000, (1 << 32) - 30, (1 << 32) + 3000] {
            let nonce = mint(&keys, "example.org", now);
            let good = |ip, realm, unix| keys.verify(nonce.as_str(), ip, realm, unix, PLAIN);
            assert!(
                good(CLIENT, "example.org", now) && good(CLIENT, "example.org", now + 3600),
                "{now}"
            );
            assert!(!good(OTHER, "example.org", now), "another address");
            assert!(!good(CLIENT, "example.com", now), "another realm");
            assert!(!good(CLIENT, "example.org", now + 3601), "too old");
            assert!(now < 61 || !good(CLIENT, "example.org", now - 61), "from the future");
            assert!(
                now < 60 || good(CLIENT, "example.org", now - 60),
                "the clocks of a fleet may differ"
            );
            assert!(
                !good(CLIENT, "example.org", now + ROUND)
                    && !good(CLIENT, "example.org", now + 256 * ROUND),
                "of another half year"
            );
        }
    }

    #[test]
    fn h10_rotation_keeps_the_nonces_of_the_key_before() {
        let mut keys = keys();
        let nonce = mint(&keys, "r", NOW);
        keys.rotate(NonceKey::new(&[2; 32]));
        assert!(keys.verify(nonce.as_str(), CLIENT, "r", NOW, PLAIN));
        keys.rotate(NonceKey::new(&[3; 32]));
        assert!(!keys.verify(nonce.as_str(), CLIENT, "r", NOW, PLAIN));
    }

    #[test]
    fn rfc8489_9_2_a_nonce_starts_with_the_cookie_and_is_no_others() {
        let text = mint(&keys(), "r", NOW);
        assert!(text.as_str().starts_with("obMatJos2AAAA"));
        assert_ne!(
            text.as_str(),
            keys().mint(SocketAddr::new(CLIENT, 8), "r", NOW, PLAIN).as_str(),
            "another port"
        );
        assert!(
            keys()
                .mint(SocketAddr::new(CLIENT, 7), "r", NOW, SHA256)
                .as_str()
                .starts_with("obMatJos2gAAB")
        );
    }

    #[test]
    fn rfc8489_9_2_1_the_offers_that_a_nonce_tells_of_cannot_be_changed() {
        let keys = keys();
        let nonce = keys.mint(SocketAddr::new(CLIENT, 7), "r", NOW, SHA256);
        let stripped = nonce.as_str().replace(SHA256.cookie(), PLAIN.cookie());
        let good = |text: &str, offers| keys.verify(text, CLIENT, "r", NOW, offers);
        assert!(good(nonce.as_str(), SHA256));
        assert!(!good(nonce.as_str(), PLAIN), "what is offered has changed since");
        assert!(!good(&stripped, PLAIN) && !good(&stripped, SHA256));
    }

    #[test]
    fn h10_what_is_not_ours_is_refused() {
        let keys = keys();
        let nonce = mint(&keys, "r", NOW);
        for at in 0..MAX_NONCE_LEN {
            let mut forged = nonce.as_str().as_bytes().to_vec();
            forged[at] = if forged[at] == b'B' { b'C' } else { b'B' };
            assert!(
                !keys.verify(std::str::from_utf8(&forged).unwrap(), CLIENT, "r", NOW, PLAIN),
                "byte {at}"
            );
        }
        for text in
            ["", "obMatJos2", "obMatJos2AAAA", "obMatJos2AAAA!!!!!!!!!!!!!!!", &"a".repeat(700)]
        {
            assert!(!keys.verify(text, CLIENT, "r", NOW, PLAIN));
        }
    }
}
