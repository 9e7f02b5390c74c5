use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// "obMatJos2", followed by the 24 security-feature bits in base64 (RFC 8489 §9.2): none is offered yet.
const COOKIE: &str = "obMatJos2AAAA";
/// Time, salt and MAC.
const BODY_LEN: usize = 4 + 4 + MAC_LEN;
/// 96 bits: a forger gets one guess a datagram and is answered with the challenge that he gets anyhow.
const MAC_LEN: usize = 12;
/// The length of every nonce in bytes: the cookie and 27 characters for 20 bytes.
pub const MAX_NONCE_LEN: usize = COOKIE.len() + 27;
/// Clocks of a fleet may differ by so many seconds.
const SKEW: u64 = 60;

/// A key that nonces are made with.
#[derive(Clone)]
pub struct NonceKey(Hmac<Sha256>);

impl NonceKey {
    /// From 32 random bytes, or bytes derived from the fleet's key.
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

/// The key that mints and the one before it, which still verifies, so that rotation costs nobody a challenge.
#[derive(Clone, Debug)]
pub struct NonceKeys {
    current: NonceKey,
    previous: Option<NonceKey>,
    lifetime: u64,
}

/// A nonce as it stands in NONCE.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NonceText([u8; MAX_NONCE_LEN]);

impl NonceText {
    /// The text: qdtext without quotes (RFC 8489 §14.10).
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("cookie and base64 are ASCII")
    }
}

impl NonceKeys {
    /// `lifetime` in seconds: so long is a nonce good.
    #[must_use]
    pub fn new(current: NonceKey, previous: Option<NonceKey>, lifetime: u64) -> Self {
        Self { current, previous, lifetime }
    }

    /// Makes `next` the key that mints; the present one goes on verifying.
    pub fn rotate(&mut self, next: NonceKey) {
        self.previous = Some(std::mem::replace(&mut self.current, next));
    }

    /// A nonce for a client at `ip`. `unix` in seconds; `salt` from a CSPRNG makes it unique.
    // Deviation: RFC 8489 §9.2.4: the nonce is bound to the client's IP address, not to its port, or each new connection of a client would
    // cost a challenge; the salt makes it unique for each IP address and port all the same (H10).
    #[must_use]
    pub fn mint(&self, ip: IpAddr, realm: &str, unix: u64, salt: u32) -> NonceText {
        let (time, salt) = ((unix as u32).to_be_bytes(), salt.to_be_bytes());
        let mut body = [0; BODY_LEN];
        body[..4].copy_from_slice(&time);
        body[4..8].copy_from_slice(&salt);
        body[8..].copy_from_slice(&mac(&self.current, ip, realm, time, salt));
        let mut text = [0; MAX_NONCE_LEN];
        text[..COOKIE.len()].copy_from_slice(COOKIE.as_bytes());
        let written = STANDARD_NO_PAD.encode_slice(body, &mut text[COOKIE.len()..]);
        debug_assert_eq!(written, Ok(MAX_NONCE_LEN - COOKIE.len()));
        NonceText(text)
    }

    /// Whether a nonce is ours, for this IP address and realm, and not too old. No table is asked: nothing is kept for a client that has
    /// not shown a password (H10).
    #[must_use]
    pub fn verify(&self, nonce: &str, ip: IpAddr, realm: &str, unix: u64) -> bool {
        let Some(encoded) = nonce.strip_prefix(COOKIE) else { return false };
        // One byte more than needed: the decoder asks for its estimate.
        let mut body = [0; BODY_LEN + 1];
        if encoded.len() != MAX_NONCE_LEN - COOKIE.len() || STANDARD_NO_PAD.decode_slice(encoded, &mut body) != Ok(BODY_LEN) {
            return false;
        }
        let time = [body[0], body[1], body[2], body[3]];
        let salt = [body[4], body[5], body[6], body[7]];
        let made_with = |key: &NonceKey| bool::from(mac(key, ip, realm, time, salt).ct_eq(&body[8..BODY_LEN]));
        let issued = u64::from(u32::from_be_bytes(time));
        let in_time = issued <= unix + SKEW && unix <= issued + self.lifetime;
        in_time && (made_with(&self.current) || self.previous.as_ref().is_some_and(made_with))
    }
}

/// Over the client's address, the realm, the time and the salt.
fn mac(key: &NonceKey, ip: IpAddr, realm: &str, time: [u8; 4], salt: [u8; 4]) -> [u8; MAC_LEN] {
    let ip = match ip {
        IpAddr::V4(ip) => Ipv4Addr::to_ipv6_mapped(&ip),
        IpAddr::V6(ip) => ip,
    };
    let mut mac = key.0.clone();
    mac.update(&ip.octets());
    mac.update(&time);
    mac.update(&salt);
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

    fn keys() -> NonceKeys {
        NonceKeys::new(NonceKey::new(&[1; 32]), None, 3600)
    }

    #[test]
    fn h10_a_nonce_is_good_for_its_address_and_realm_and_time_only() {
        let keys = keys();
        let nonce = keys.mint(CLIENT, "example.org", NOW, 7);
        let good = |ip, realm, unix| keys.verify(nonce.as_str(), ip, realm, unix);
        assert!(good(CLIENT, "example.org", NOW) && good(CLIENT, "example.org", NOW + 3600));
        assert!(!good(OTHER, "example.org", NOW), "another address");
        assert!(!good(CLIENT, "example.com", NOW), "another realm");
        assert!(!good(CLIENT, "example.org", NOW + 3601), "too old");
        assert!(!good(CLIENT, "example.org", NOW - 61), "from the future");
    }

    #[test]
    fn h10_rotation_keeps_the_nonces_of_the_key_before() {
        let mut keys = keys();
        let nonce = keys.mint(CLIENT, "r", NOW, 7);
        keys.rotate(NonceKey::new(&[2; 32]));
        assert!(keys.verify(nonce.as_str(), CLIENT, "r", NOW));
        keys.rotate(NonceKey::new(&[3; 32]));
        assert!(!keys.verify(nonce.as_str(), CLIENT, "r", NOW));
    }

    #[test]
    fn rfc8489_9_2_a_nonce_starts_with_the_cookie_and_offers_nothing() {
        let text = keys().mint(CLIENT, "r", NOW, 7);
        assert!(text.as_str().starts_with("obMatJos2AAAA"));
        assert_ne!(text.as_str(), keys().mint(CLIENT, "r", NOW, 8).as_str(), "unique through the salt");
    }

    #[test]
    fn h10_what_is_not_ours_is_refused() {
        let keys = keys();
        let nonce = keys.mint(CLIENT, "r", NOW, 7);
        for at in 0..MAX_NONCE_LEN {
            let mut forged = nonce.as_str().as_bytes().to_vec();
            forged[at] = if forged[at] == b'B' { b'C' } else { b'B' };
            assert!(!keys.verify(std::str::from_utf8(&forged).unwrap(), CLIENT, "r", NOW), "byte {at}");
        }
        for text in ["", "obMatJos2", "obMatJos2AAAA", "obMatJos2AAAA!!!!!!!!!!!!!!!!!!!!!!!!!!!", &"a".repeat(700)] {
            assert!(!keys.verify(text, CLIENT, "r", NOW));
        }
    }
}
