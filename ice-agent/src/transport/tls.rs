//! TLS 1.2 and 1.3 over a TCP stream (RFC 8489 §6.2.3).

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::handshake::{OpenError, Secured, Usage};
use super::trust::Trust;

const PROTOCOL: &str = "TLS";

/// Performs the handshake with the server; the certificate must be for `name`.
pub(super) async fn connect(
    stream: TcpStream,
    name: &str,
    usage: Usage,
    trust: &Trust,
) -> Result<(TlsStream<TcpStream>, Secured), OpenError> {
    let failed = |reason: String| OpenError::Handshake { protocol: PROTOCOL, reason };
    let server_name = ServerName::try_from(name.to_owned())
        .map_err(|_| failed(format!("{name:?} is not a valid server name")))?;
    let verifier = trust.verifier_for(name);
    // Deviation: RFC 8489 §6.2.3: TLS_DHE_RSA_WITH_AES_128_GCM_SHA256 is not offered: current
    // libraries no longer have finite-field DHE, and BCP 195 advises against it;
    // TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 is.
    let versions = ClientConfig::builder_with_provider(trust.provider().clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.to_string()))?;
    let mut config = versions
        .dangerous()
        .with_custom_certificate_verifier(verifier.clone())
        .with_no_client_auth();
    config.alpn_protocols = vec![usage.alpn().into()];
    let stream = TlsConnector::from(Arc::new(config)).connect(server_name, stream).await.map_err(
        |error| {
            OpenError::of_handshake(
                PROTOCOL,
                error.to_string(),
                verifier.seen(),
                trust.must_verify(),
            )
        },
    )?;
    let (_, connection) = stream.get_ref();
    let secured = Secured {
        version: match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => PROTOCOL,
        },
        cipher: connection
            .negotiated_cipher_suite()
            .map_or_else(String::new, |suite| iana(suite.suite().as_str().unwrap_or_default())),
        alpn: connection
            .alpn_protocol()
            .map(|protocol| String::from_utf8_lossy(protocol).into_owned()),
        presented: verifier
            .seen()
            .ok_or_else(|| failed("the server presented no certificate".into()))?,
    };
    Ok((stream, secured))
}

/// The suite's name in the IANA registry; the library writes TLS13_ instead of TLS_ for TLS 1.3.
fn iana(name: &str) -> String {
    name.strip_prefix("TLS13_").map_or_else(|| name.to_owned(), |rest| format!("TLS_{rest}"))
}
