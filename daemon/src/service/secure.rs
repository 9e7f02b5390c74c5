//! TLS and DTLS: the thread that does the handshakes, and the certificates that it offers.

use std::io;
use std::sync::Arc;

use causeway_net::secure::{Handshaker, Identity, Offer};

use super::limits::ConnectionLimits;
use crate::config::Listen;
use crate::metrics::{Samples, Source};
use crate::tls::{Tls, follow};

/// The handshake thread of a server that listens on TLS or DTLS.
pub struct Secure {
    handshaker: Handshaker,
    tls: Tls,
    alpn: &'static [&'static [u8]],
}

impl Secure {
    /// Starts the thread. Without a certificate there is none; without a listener that offers the
    /// certificates there is a warning instead. `alpn`: the application protocols to offer, the
    /// preferred one first (RFC 7443).
    ///
    /// # Errors
    /// A TLS library refuses a certificate, or the process is out of threads or descriptors.
    pub fn start(
        tls: Option<&Tls>,
        listen: &[Listen],
        limits: &ConnectionLimits,
        alpn: &'static [&'static [u8]],
    ) -> io::Result<Option<Self>> {
        let Some(tls) = tls.filter(|tls| !tls.warn_if_unused(listen)) else { return Ok(None) };
        let offer = Offer { identities: tls.identities(), alpn };
        let handshaker = Handshaker::start(offer, limits.handshakes()).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("tls: the certificates cannot be offered: {error}"),
            )
        })?;
        Ok(Some(Self { handshaker, tls: tls.clone(), alpn }))
    }

    /// The handle of the thread, for the workers' event loops.
    #[must_use]
    pub fn handshaker(&self) -> &Handshaker {
        &self.handshaker
    }

    /// Follows the certificates' files: new certificates are offered without a restart, and open
    /// connections stay. `changed` is told of each new set. Returns the metrics of handshakes and
    /// certificates.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn follow(self, changed: impl Fn(&[Arc<Identity>]) + Send + 'static) -> [Source; 2] {
        let Self { handshaker, tls, alpn } = self;
        let handshakes = handshaker.clone();
        let certificates = follow(tls, move |identities| {
            handshaker.set_offer(Offer { identities: identities.clone(), alpn })?;
            changed(&identities);
            Ok(())
        });
        [
            Box::new(certificates),
            Box::new(move |samples: &mut Samples| samples.add_readings(handshakes.readings())),
        ]
    }
}
