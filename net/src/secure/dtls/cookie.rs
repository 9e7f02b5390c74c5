//! Cookies that prove a client's address without any state for it (RFC 6347 §4.2.1; row H13).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ring::digest::{self, Digest, SHA256};
use ring::hmac::{self, HMAC_SHA256, Key};
use ring::rand::SystemRandom;

use super::hello::{COOKIE_LEN, ClientHello};

/// How long a secret makes cookies. Its cookies are accepted for as long again.
const PERIOD: Duration = Duration::from_secs(60);

/// Makes and checks the cookies of one worker.
pub(crate) struct Cookies {
    random: SystemRandom,
    current: Key,
    previous: Option<Key>,
    /// When the current secret began, in monotonic time.
    since: Duration,
}

impl Cookies {
    /// # Errors
    /// The system has no randomness.
    pub(crate) fn new(now: Duration) -> io::Result<Self> {
        let random = SystemRandom::new();
        let current = Key::generate(HMAC_SHA256, &random)
            .map_err(|_| io::Error::other("the system has no randomness"))?;
        Ok(Self { random, current, previous: None, since: now })
    }

    /// The cookie for a client at `peer` that speaks to `local`.
    pub(crate) fn bake(
        &mut self,
        now: Duration,
        peer: SocketAddr,
        local: SocketAddr,
        hello: &ClientHello<'_>,
    ) -> [u8; COOKIE_LEN] {
        self.rotate(now);
        let tag = hmac::sign(&self.current, client(peer, local, hello).as_ref());
        tag.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes")
    }

    /// Whether the ClientHello has the cookie that was made for the same client and the same
    /// parameters.
    pub(crate) fn accepts(
        &mut self,
        now: Duration,
        peer: SocketAddr,
        local: SocketAddr,
        hello: &ClientHello<'_>,
    ) -> bool {
        if hello.cookie.len() != COOKIE_LEN {
            return false;
        }
        self.rotate(now);
        let client = client(peer, local, hello);
        let mut keys = std::iter::once(&self.current).chain(&self.previous);
        keys.any(|key| hmac::verify(key, client.as_ref(), hello.cookie).is_ok())
    }

    fn rotate(&mut self, now: Duration) {
        let age = now.saturating_sub(self.since);
        if age < PERIOD {
            return;
        }
        // Without randomness the old secret stays: only a client that collects cookies gains by
        // that.
        if let Ok(secret) = Key::generate(HMAC_SHA256, &self.random) {
            let old = std::mem::replace(&mut self.current, secret);
            self.previous = (age < 2 * PERIOD).then_some(old);
            self.since = now;
        }
    }
}

/// The digest that a cookie authenticates: of both addresses, and of the ClientHello.
fn client(peer: SocketAddr, local: SocketAddr, hello: &ClientHello<'_>) -> Digest {
    let mut digest = digest::Context::new(&SHA256);
    for address in [peer, local] {
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        digest.update(&ip.octets());
        digest.update(&address.port().to_be_bytes());
    }
    digest.update(hello.front); // its own fields tell its length
    digest.update(hello.back);
    digest.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: [u8; 67] = {
        let mut hello = [0; 67];
        hello[0] = 22;
        hello[1] = 254;
        hello[2] = 255;
        hello[12] = 54;
        hello[13] = 1;
        hello[16] = 42;
        hello[24] = 42;
        hello[62] = 2; // after version, random, no session id, no cookie: one suite
        hello[65] = 1; // and no compression
        hello
    };
    const SECOND: Duration = Duration::from_secs(1);

    fn hello() -> ClientHello<'static> {
        ClientHello::read(&HELLO).expect("it is one")
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn h13_a_cookie_is_good_for_one_client_one_server_and_one_hello() {
        let (peer, local) = (address("192.0.2.1:1000"), address("198.51.100.1:3478"));
        let mut cookies = Cookies::new(SECOND).unwrap();
        let cookie = cookies.bake(SECOND, peer, local, &hello());
        let with_cookie = ClientHello { cookie: &cookie, ..hello() };
        assert!(cookies.accepts(SECOND, peer, local, &with_cookie));
        assert!(!cookies.accepts(SECOND, address("192.0.2.1:1001"), local, &with_cookie));
        assert!(!cookies.accepts(SECOND, address("192.0.2.2:1000"), local, &with_cookie));
        assert!(!cookies.accepts(SECOND, peer, address("198.51.100.1:5349"), &with_cookie));
        assert!(!cookies.accepts(
            SECOND,
            peer,
            local,
            &ClientHello { back: &[0, 2, 0, 1, 1, 0], ..with_cookie }
        ));
        assert!(!cookies.accepts(
            SECOND,
            peer,
            local,
            &ClientHello { cookie: &cookie[..31], ..with_cookie }
        ));
        assert!(!cookies.accepts(SECOND, peer, local, &hello()));
        assert!(
            !Cookies::new(SECOND).unwrap().accepts(SECOND, peer, local, &with_cookie),
            "another worker's secret"
        );
    }

    #[test]
    fn rfc6347_4_2_1_a_cookie_outlives_one_change_of_the_secret() {
        let (peer, local) = (address("[2001:db8::1]:1000"), address("[2001:db8::2]:3478"));
        for (asked, good) in [(59, true), (61, true), (119, true), (181, false)] {
            let mut cookies = Cookies::new(Duration::ZERO).unwrap();
            let cookie = cookies.bake(SECOND, peer, local, &hello());
            let with_cookie = ClientHello { cookie: &cookie, ..hello() };
            // Clients come all the time; each may turn the secret over.
            for now in (0..asked).step_by(10) {
                cookies.bake(now * SECOND, peer, local, &hello());
            }
            assert_eq!(
                cookies.accepts(asked * SECOND, peer, local, &with_cookie),
                good,
                "after {asked} s"
            );
        }
        let mut cookies = Cookies::new(Duration::ZERO).unwrap();
        let cookie = cookies.bake(SECOND, peer, local, &hello());
        let with_cookie = ClientHello { cookie: &cookie, ..hello() };
        assert!(
            !cookies.accepts(120 * SECOND, peer, local, &with_cookie),
            "no client came for two periods"
        );
    }
}
