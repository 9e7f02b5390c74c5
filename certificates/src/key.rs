//! The private key of a server.

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};

use crate::chain::CERTIFICATE;
use crate::fault::Fault;
use crate::key_form::{Form, Public, is_encrypted, is_key};
use crate::pem::{Block, blocks};
use crate::refusals::{no_block, unknown_label};

const NEW_KEY: &str = "make a key on P-256 and have a certificate issued for it: \
    `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out KEY.pem`";
/// `openssl ec` adds the public part, `openssl pkey` does not (3.0.22).
const WRITE_AGAIN: &str = "write it again: `openssl ec -in FILE -out NEW.pem`";
const WHOLE_POINT: &str =
    "write it again: `openssl ec -conv_form uncompressed -in FILE -out NEW.pem`";

/// A private key and the notes about its file.
pub(crate) struct Key {
    pub(crate) der: PrivateKeyDer<'static>,
    /// Whether there are certificates beside it.
    pub(crate) has_certificate: bool,
}

impl Key {
    /// Reads the file of a private key.
    pub(crate) fn read(file: &[u8]) -> Result<Self, Fault> {
        let fault = |(what, cure)| Fault::key(what, cure);
        let blocks = blocks(file).map_err(fault)?;
        if blocks.is_empty() {
            return Err(fault(no_block(file, "the private key", "pkey")));
        }
        let (mut keys, mut has_certificate) = (Vec::new(), false);
        for block in blocks {
            match &*block.label {
                // Files with everything that a server needs have them.
                "EC PARAMETERS" | "DH PARAMETERS" | "X9.42 DH PARAMETERS" => {}
                CERTIFICATE => has_certificate = true,
                label if is_key(label) => keys.push(block),
                label => return Err(fault(unknown_label(label, block.line))),
            }
        }
        let only = match (keys.pop(), keys.len()) {
            (Some(key), 0) => key,
            (Some(_), more) => {
                let what = format!("it has {} private keys", more + 1);
                return Err(Fault::key(what, "leave only that of the server's own certificate"));
            }
            (None, _) if has_certificate => {
                return Err(Fault::key(
                    "it has a certificate and no private key",
                    "name the file of the private key",
                ));
            }
            (None, _) => {
                return Err(Fault::key(
                    "it has no private key",
                    "name the file of the private key",
                ));
            }
        };
        Ok(Self { der: usable(&only)?, has_certificate })
    }
}

/// The key, if both libraries support its kind.
fn usable(block: &Block) -> Result<PrivateKeyDer<'static>, Fault> {
    let Block { label, line, encrypted, content } = block;
    if *encrypted || is_encrypted(label) {
        let cure = "there is no one to type its passphrase at a start: decrypt it with `openssl pkey -in FILE -out NEW.pem`, and let only \
            the service's user read it";
        return Err(Fault::key(format!("line {line}: the private key is encrypted"), cure));
    }
    match Form::of(label, content) {
        Form::Ed25519 | Form::Rsa(2048..=4096) | Form::Curve(Public::Whole) => {}
        Form::Curve(Public::Missing) => {
            return Err(Fault::key("the private key stands without its public part", WRITE_AGAIN));
        }
        Form::Curve(Public::Compressed) => {
            return Err(Fault::key(
                "the public part of the private key is a compressed point",
                WHOLE_POINT,
            ));
        }
        Form::OtherCurve(curve) => {
            return Err(Fault::key(
                format!("the private key is on {curve}; P-256 and P-384 are served"),
                NEW_KEY,
            ));
        }
        Form::Rsa(bits) => {
            return Err(Fault::key(
                format!("the private key is RSA with {bits} bits; 2048 to 4096 are served"),
                NEW_KEY,
            ));
        }
        Form::RsaPss => {
            return Err(Fault::key(
                "the private key is for RSA-PSS alone, which many clients cannot verify",
                NEW_KEY,
            ));
        }
        Form::Other(kind) => {
            let what = format!("the private key is of {kind}; ECDSA, RSA and Ed25519 are served")
                .replace(",;", ";");
            return Err(Fault::key(what, NEW_KEY));
        }
        Form::Damaged => {
            let what = format!("line {line}: the content is no `{label}`, or a part of one");
            return Err(Fault::key(what, "copy the whole file again"));
        }
    }
    let content = content.to_vec();
    Ok(match &**label {
        "EC PRIVATE KEY" => PrivateSec1KeyDer::from(content).into(),
        "RSA PRIVATE KEY" => PrivatePkcs1KeyDer::from(content).into(),
        _ => PrivatePkcs8KeyDer::from(content).into(),
    })
}

/// The fault for a key that the library refuses for its own reason.
pub(crate) fn refused(error: &rustls::Error) -> Fault {
    Fault::key(format!("the private key cannot be used: {error}"), NEW_KEY)
}
