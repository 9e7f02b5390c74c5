//! Verifies a server's certificates and records them, so that a report can show them even when the
//! handshake fails because of them.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

/// The certificates that a server presented, and whether this host trusts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// The name that the server's own certificate must be for.
    pub name: String,
    /// The certificates in DER, the server's own first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Whether the chain leads to a trusted authority, is for the name, and is valid now; otherwise
    /// the reason.
    pub verdict: Result<(), String>,
}

/// Verifies and records the certificates of one handshake.
#[derive(Debug)]
pub(super) struct CertificateVerifier {
    name: String,
    /// `None` if this host trusts no authority at all.
    verifier: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    must_verify: bool,
    seen: Mutex<Option<Presented>>,
}

impl CertificateVerifier {
    /// A verifier for one handshake. Unless `must_verify`, the handshake continues with any
    /// certificate.
    pub(super) fn new(
        name: &str,
        verifier: Option<Arc<WebPkiServerVerifier>>,
        provider: Arc<CryptoProvider>,
        must_verify: bool,
    ) -> Self {
        Self { name: name.into(), verifier, provider, must_verify, seen: Mutex::new(None) }
    }

    /// The certificates that the server has presented so far.
    pub(super) fn seen(&self) -> Option<Presented> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Verifies a chain at the current time and records it; an error ends the handshake.
    pub(super) fn judge(&self, chain: Vec<CertificateDer<'static>>) -> Result<(), Error> {
        let judged = match ServerName::try_from(self.name.clone()) {
            Ok(name) => self.verify(&chain, &name),
            Err(_) => Err(Error::General(format!(
                "{:?} is not a name that a certificate can have",
                self.name
            ))),
        };
        let verdict = judged.clone().map_err(|error| reason(&error));
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Presented { name: self.name.clone(), chain, verdict });
        if self.must_verify { judged } else { Ok(()) }
    }

    fn verify(
        &self,
        chain: &[CertificateDer<'static>],
        name: &ServerName<'_>,
    ) -> Result<(), Error> {
        let (own, others) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
        let verifier = self.verifier.as_ref().ok_or(CertificateError::UnknownIssuer)?;
        verifier.verify_server_cert(own, others, name, &[], UnixTime::now()).map(|_| ())
    }
}

impl ServerCertVerifier for CertificateVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = std::iter::once(end_entity)
            .chain(intermediates)
            .map(|certificate| certificate.clone().into_owned())
            .collect();
        self.judge(chain).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The problem with `SSL_CERT_FILE` and `SSL_CERT_DIR`, if they are set but lead to no authority.
/// If they are set, the system's own authorities are not read.
fn environment_problem() -> Option<String> {
    let named = |variable: &str| {
        std::env::var_os(variable).map(|value| format!("{variable}={}", value.display()))
    };
    let named: Vec<_> = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().filter_map(named).collect();
    let loaded = (!named.is_empty()).then(rustls_native_certs::load_native_certs)?;
    let why = || {
        loaded
            .errors
            .first()
            .map_or_else(|| "it contains no certificate".into(), ToString::to_string)
    };
    loaded.certs.is_empty().then(|| format!("{} names no authority: {}", named.join(", "), why()))
}

/// Why a chain is not trusted, in words.
fn reason(error: &Error) -> String {
    let Error::InvalidCertificate(error) = error else { return error.to_string() };
    match error {
        CertificateError::UnknownIssuer => {
            let problem =
                environment_problem().map_or_else(String::new, |problem| format!("; {problem}"));
            format!("it leads to no authority that this host trusts{problem}")
        }
        CertificateError::NotValidForName => "it is for another name".into(),
        CertificateError::NotValidForNameContext { expected, .. } => {
            format!("it is not for {}", expected.to_str())
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "one of the certificates has expired".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "one of the certificates is not valid yet".into()
        }
        CertificateError::BadSignature => "one of the signatures is invalid".into(),
        CertificateError::BadEncoding => "one of the certificates cannot be parsed".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is not for servers".into()
        }
        other => other.to_string(),
    }
}
