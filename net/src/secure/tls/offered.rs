//! An offer in the form of rustls.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SignatureScheme};

use crate::secure::{Identity, Offer};

/// The configuration of new connections.
pub(crate) struct Offered {
    pub(super) config: Arc<ServerConfig>,
}

impl Offered {
    pub(crate) fn new(offer: &Offer) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])?;
        let identities = Identities(offer.identities.clone());
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(identities));
        config.alpn_protocols = offer.alpn.iter().map(|protocol| protocol.to_vec()).collect();
        // Sessions are resumed by tickets, which the client keeps: nothing is kept here for clients
        // that may never come back.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Ticketer::new()?;
        config.send_tls13_tickets = 1;
        Ok(Self { config: Arc::new(config) })
    }
}

/// Chooses among the operator's identities.
struct Identities(Vec<Arc<Identity>>);

impl Identities {
    /// The first identity whose key makes signatures that the client can verify: of those for the
    /// name that the client asks for, then of all. If there is none, the first of all: the client
    /// then reports what it lacks.
    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<&Arc<Identity>> {
        let named = self.0.iter().filter(|identity| name.is_some_and(|name| identity.is_for(name)));
        let mut candidates = named.chain(&self.0);
        let usable =
            |identity: &&Arc<Identity>| identity.certified().key.choose_scheme(schemes).is_some();
        candidates.find(usable).or(self.0.first())
    }
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let chosen = self.choose(hello.server_name(), hello.signature_schemes())?;
        Some(Arc::clone(chosen.certified()))
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}
