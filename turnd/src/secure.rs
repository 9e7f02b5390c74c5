use std::sync::Arc;

use anyhow::{Context, Result};
use causeway_daemon::metrics::{Samples, Source};
use causeway_daemon::tls::{Tls, follow};
use causeway_net::secure::{HandshakeLimits, Handshaker, Identity, Offer};

use crate::config::Config;
use crate::store::registry::TlsName;

/// The protocols of ALPN that lead here (RFC 7443 §2): this server answers plain Binding requests,
/// too.
const ALPN: &[&[u8]] = &[b"stun.turn", b"stun.nat-discovery"];

/// TLS and DTLS: the thread of the handshakes, and the certificates that it shows.
pub(crate) struct Secure {
    handshaker: Handshaker,
    tls: Tls,
}

impl Secure {
    /// Starts the thread, if anything is listened on that needs it.
    ///
    /// # Errors
    /// A library does not take the certificates, or the process is out of something.
    pub(crate) fn start(config: &Config) -> Result<Option<Self>> {
        let Some(tls) = &config.tls else { return Ok(None) };
        if tls.warn_if_unused(&config.listen) {
            return Ok(None);
        }
        let limits = HandshakeLimits {
            half_open: config.limits.connections.half_open_handshakes,
            half_open_per_prefix: config.limits.connections.half_open_handshakes_per_prefix,
            ..HandshakeLimits::default()
        };
        let handshaker = Handshaker::start(offer(tls.identities()), limits)
            .context("tls: the certificates cannot be offered")?;
        Ok(Some(Self { handshaker, tls: tls.clone() }))
    }

    /// What the workers' loops are made with.
    pub(crate) fn handshaker(&self) -> &Handshaker {
        &self.handshaker
    }

    /// Follows the certificates' files, with the name that the registry tells. What it yields is
    /// for the metrics. Within the control side's runtime.
    pub(crate) fn follow(self, name: TlsName) -> [Source; 2] {
        let Self { handshaker, tls } = self;
        let handshakes = handshaker.clone();
        let certificates = follow(tls, move |identities| {
            handshaker.set_offer(offer(identities.clone()))?;
            name.set(&identities);
            Ok(())
        });
        [
            Box::new(certificates),
            Box::new(move |samples: &mut Samples| samples.add_readings(handshakes.readings())),
        ]
    }
}

fn offer(identities: Vec<Arc<Identity>>) -> Offer {
    Offer { identities, alpn: ALPN }
}
