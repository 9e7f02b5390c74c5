//! TLS and DTLS: the certificates that are offered, and the thread of the handshakes.

use std::io;
use std::sync::Arc;

use causeway_daemon::metrics::{Samples, Source};
use causeway_daemon::tls::{self, Tls};
use causeway_net::secure::{HandshakeLimits, Handshaker, Identity, Offer};

use crate::config::Limits;

/// The application protocol: "Label to identify the specific use of STUN over (D)TLS for NAT
/// discovery" (RFC 7443 §1).
const ALPN: &[&[u8]] = &[b"stun.nat-discovery"];

/// What TLS and DTLS need besides sockets.
pub(crate) struct Secure {
    handshaker: Handshaker,
    certificates: Arc<dyn Fn(&mut Samples) + Send + Sync>,
}

impl Secure {
    /// Starts the thread, and the task that follows the certificates' files: new ones are offered
    /// without a restart, and whoever is connected stays so.
    ///
    /// # Errors
    /// When a library does not take a certificate, or the process is out of threads or descriptors.
    pub(crate) fn start(tls: Tls, limits: &Limits) -> io::Result<Self> {
        let handshakes = HandshakeLimits {
            half_open: limits.half_open_handshakes,
            half_open_per_prefix: limits.half_open_handshakes_per_prefix,
            ..HandshakeLimits::default()
        };
        let handshaker = Handshaker::start(offer(tls.identities()), handshakes)?;
        let offering = handshaker.clone();
        let certificates =
            tls::follow(tls, move |identities| offering.set_offer(offer(identities)));
        Ok(Secure { handshaker, certificates: Arc::new(certificates) })
    }

    /// For the workers' loops.
    pub(crate) fn handshaker(&self) -> &Handshaker {
        &self.handshaker
    }

    /// What a scrape shows of handshakes and certificates.
    pub(crate) fn source(&self) -> Source {
        let (handshaker, certificates) = (self.handshaker.clone(), Arc::clone(&self.certificates));
        Box::new(move |samples| {
            samples.add_readings(handshaker.readings());
            certificates(samples);
        })
    }
}

// Deviation: RFC 8489 §6.2.3: of the two suites for old clients,
// TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 is offered and TLS_DHE_RSA_WITH_AES_128_GCM_SHA256 is not:
// rustls has no finite-field Diffie-Hellman, and DTLS offers what TLS does.

// Deviation: RFC 3489 §8.2: TLS_RSA_WITH_AES_128_CBC_SHA, which has no forward secrecy, is not
// offered.
fn offer(identities: Vec<Arc<Identity>>) -> Offer {
    Offer { identities, alpn: ALPN }
}
