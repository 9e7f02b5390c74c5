//! The reasons for refusing a file whose content is of another kind, with the cure.

use crate::pem::Reason;

/// The reason for a file without any block; `command` is the openssl command for the expected
/// content.
pub(crate) fn no_block(file: &[u8], wanted: &str, command: &str) -> Reason {
    let reason = |what: &str, cure: String| (what.to_owned(), cure);
    match file {
        [] => reason("the file is empty", format!("write {wanted} into it, as PEM")),
        [0x30, length, ..] if *length >= 0x80 || usize::from(*length) + 2 == file.len() => {
            match after_length(file) {
                Some([0x02, 0x01, 0x03, ..]) => reason(
                    "the file is PKCS#12, not PEM",
                    "convert it: `openssl pkcs12 -in FILE -nodes -out NEW.pem`".into(),
                ),
                Some([0x06, 0x09, ..]) => reason(
                    "the file is PKCS#7, not PEM",
                    "convert it: `openssl pkcs7 -inform DER -in FILE -print_certs -out NEW.pem`"
                        .into(),
                ),
                _ => reason(
                    "the file is DER, not PEM",
                    format!("convert it: `openssl {command} -inform DER -in FILE -out NEW.pem`"),
                ),
            }
        }
        _ => reason(
            "the file has no PEM block",
            format!("it must have {wanted}, between lines such as `-----BEGIN CERTIFICATE-----`"),
        ),
    }
}

/// The content of the first DER sequence.
fn after_length(der: &[u8]) -> Option<&[u8]> {
    let first = *der.get(1)?;
    der.get(if first < 0x80 { 2 } else { 2 + usize::from(first & 0x7F) }..)
}

/// The reason for a block that is neither a certificate nor a private key.
pub(crate) fn unknown_label(label: &str, line: usize) -> Reason {
    let what = format!("line {line}: a block `{label}`, which is not used here");
    let cure = match label {
        "TRUSTED CERTIFICATE" | "X509 CERTIFICATE" | "X.509 CERTIFICATE" => {
            "convert it: `openssl x509 -in FILE -out NEW.pem`"
        }
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => {
            "this is a request: use the certificate that the authority made of it"
        }
        "PKCS7" | "CMS" => "convert it: `openssl pkcs7 -in FILE -print_certs -out NEW.pem`",
        "PUBLIC KEY" | "RSA PUBLIC KEY" => "name the private key, which was made with it",
        "OPENSSH PRIVATE KEY" => "convert a copy of it: `ssh-keygen -p -m PEM -f COPY`",
        "DSA PRIVATE KEY" => {
            "TLS has no DSA any more: make a key on P-256 and have a certificate issued for it"
        }
        _ => "take the block out",
    };
    (what, cure.into())
}
