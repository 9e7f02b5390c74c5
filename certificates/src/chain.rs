//! The chain of a server: its own certificate first, and each one issued by the next.

use rustls::pki_types::CertificateDer;
use x509_parser::error::X509Error;
use x509_parser::oid_registry::{OID_KEY_TYPE_EC_PUBLIC_KEY, OID_PKCS1_RSASSAPSS};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name, X509Version};
use x509_parser::public_key::PublicKey;

use crate::fault::Fault;
use crate::key_form::{bits, is_key};
use crate::names::Names;
use crate::pem::{Block, blocks};
use crate::refusals::{no_block, unknown_label};
use crate::validity::Validity;

/// The label of a certificate (RFC 7468 §5.1).
pub(crate) const CERTIFICATE: &str = "CERTIFICATE";

/// The cure for a chain in the wrong order.
const ORDER: &str = "put the server's own certificate first, then the one that issued it, and so \
                     on; the root may be left out";
/// The signature algorithms with MD5 and SHA-1, for RSA and ECDSA.
const WEAK: [&str; 4] =
    ["1.2.840.113549.1.1.4", "1.2.840.113549.1.1.5", "1.3.14.3.2.29", "1.2.840.10045.4.1"];
/// Maximum length of a subject or an issuer in a message.
const MAX_TEXT: usize = 120;

/// A parsed chain and the notes about its file.
pub(crate) struct Chain {
    pub(crate) certificates: Vec<CertificateDer<'static>>,
    /// Whether there are private keys between the certificates.
    pub(crate) has_key: bool,
    pub(crate) names: Names,
    pub(crate) validity: Validity,
    /// The issuer of the last certificate, unless it is self-signed.
    pub(crate) issuer: Option<String>,
    /// Notes about blocks of the file that are not used.
    pub(crate) notes: Vec<String>,
}

impl Chain {
    /// Reads the file of a chain. The caller reports a file without any certificate, because it
    /// knows the other file.
    pub(crate) fn read(file: &[u8]) -> Result<Self, Fault> {
        let (certificates, notes, has_key) = sorted(file)?;
        if certificates.is_empty() && has_key {
            return Err(Fault::chain(
                "it has a private key and no certificate",
                "name the file of the certificate",
            ));
        }
        if certificates.is_empty() {
            return Err(Fault::chain("it has no certificate", "name the file of the certificate"));
        }
        let mut parsed = Vec::new();
        for (index, (line, der)) in certificates.iter().enumerate() {
            parsed.push(parse(der).map_err(|what| {
                Fault::chain(
                    format!("certificate {} (line {line}) {what}", index + 1),
                    "have it issued again, or copy the file again",
                )
            })?);
        }
        check(&parsed)?;
        let (leaf, last) = (&parsed[0], &parsed[parsed.len() - 1]);
        let validity =
            parsed.iter().skip(1).filter(|issuer| !is_self_issued(issuer)).map(Validity::of);
        Ok(Self {
            names: Names::of(leaf),
            validity: validity.fold(Validity::of(leaf), Validity::and),
            issuer: (!is_self_issued(last)).then(|| text(last.issuer())),
            has_key,
            notes,
            certificates: certificates
                .into_iter()
                .map(|(_, der)| CertificateDer::from(der))
                .collect(),
        })
    }
}

type Sorted = (Vec<(usize, Vec<u8>)>, Vec<String>, bool);

/// The certificates of a file with their lines, the notes, and whether there is a key.
fn sorted(file: &[u8]) -> Result<Sorted, Fault> {
    let fault = |(what, cure)| Fault::chain(what, cure);
    let blocks = blocks(file).map_err(fault)?;
    if blocks.is_empty() {
        return Err(fault(no_block(file, "the chain", "x509")));
    }
    let (mut certificates, mut notes, mut has_key) = (Vec::new(), Vec::new(), false);
    for Block { label, line, content, .. } in blocks {
        match &*label {
            CERTIFICATE => certificates.push((line, content.to_vec())),
            // Files with everything that a server needs have them.
            "DH PARAMETERS" | "X9.42 DH PARAMETERS" => {
                notes.push(format!("line {line}: `{label}` is not used"));
            }
            "EC PARAMETERS" => {}
            _ if is_key(&label) => has_key = true,
            _ => return Err(fault(unknown_label(&label, line))),
        }
    }
    Ok((certificates, notes, has_key))
}

/// Parses a certificate without trailing bytes.
pub(crate) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok((rest, _)) => Err(format!("has {} bytes too many", rest.len())),
        Err(_) => Err("is no X.509 certificate, or a part of one".into()),
    }
}

/// Checks what both libraries and the clients require of a chain.
fn check(chain: &[X509Certificate<'_>]) -> Result<(), Fault> {
    if chain[0].version() != X509Version::V3 {
        let cure = "have it issued with version 3 and subjectAltName: `openssl x509 -req … \
                    -extfile`, or `openssl req -x509 -addext`";
        return Err(Fault::chain(
            "the certificate is of X.509 version 1, without names, which clients refuse",
            cure,
        ));
    }
    if is_compressed(&chain[0]) {
        let what = "the key in the certificate is a compressed point, which clients refuse";
        return Err(Fault::chain(
            what,
            "have a certificate issued for a key with `-conv_form uncompressed`",
        ));
    }
    for (index, pair) in chain.windows(2).enumerate() {
        let (number, one, next) = (index + 1, &pair[0], &pair[1]);
        if chain[..=index].iter().any(|earlier| earlier.as_raw() == next.as_raw()) {
            return Err(Fault::chain(
                format!("certificate {} stands in the file twice", number + 1),
                "take the second one out",
            ));
        }
        if is_small(next) {
            let what = format!(
                "certificate {} ({}) has an RSA key of less than 2048 bits",
                number + 1,
                text(next.subject())
            );
            return Err(Fault::chain(
                what,
                "clients refuse it: have the chain issued by another authority",
            ));
        }
        is_issued(one, next).map_err(|why| {
            let (one, next, by) = (text(one.subject()), text(next.subject()), text(one.issuer()));
            let what = format!(
                "certificate {} ({next}) did not issue certificate {number} ({one}, issued by \
                 {by}){why}",
                number + 1
            );
            Fault::chain(what, ORDER)
        })?;
    }
    for (index, certificate) in chain.iter().enumerate() {
        if is_weak(certificate) && !is_self_issued(certificate) {
            let what = format!(
                "certificate {} ({}) is signed with SHA-1 or MD5",
                index + 1,
                text(certificate.subject())
            );
            return Err(Fault::chain(what, "clients refuse it: have it issued again with SHA-256"));
        }
    }
    Ok(())
}

/// Whether `issuer` signed `certificate`. If this library cannot verify the signature, matching
/// names are enough.
fn is_issued(
    certificate: &X509Certificate<'_>,
    issuer: &X509Certificate<'_>,
) -> Result<(), &'static str> {
    let (by, who) = (certificate.issuer(), issuer.subject());
    if by.as_raw() != who.as_raw() && !by.to_string().eq_ignore_ascii_case(&who.to_string()) {
        return Err("");
    }
    if is_compressed(issuer) || certificate.signature_algorithm.algorithm == OID_PKCS1_RSASSAPSS {
        return Ok(());
    }
    match certificate.verify_signature(Some(issuer.public_key())) {
        Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm) => Ok(()),
        Err(_) => Err(": it has the name of the issuer, but another key"),
    }
}

fn is_compressed(certificate: &X509Certificate<'_>) -> bool {
    let key = certificate.public_key();
    key.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY
        && key.subject_public_key.data.first() != Some(&4)
}

fn is_self_issued(certificate: &X509Certificate<'_>) -> bool {
    certificate.issuer().as_raw() == certificate.subject().as_raw()
}

fn is_small(certificate: &X509Certificate<'_>) -> bool {
    matches!(certificate.public_key().parsed(), Ok(PublicKey::RSA(key)) if bits(key.modulus) < 2048)
}

fn is_weak(certificate: &X509Certificate<'_>) -> bool {
    WEAK.contains(&&*certificate.signature_algorithm.algorithm.to_id_string())
}

/// The text of a name, made safe for a terminal.
fn text(name: &X509Name<'_>) -> String {
    name.to_string().chars().filter(|letter| !letter.is_control()).take(MAX_TEXT).collect()
}
