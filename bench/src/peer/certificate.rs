use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::x509::{X509, X509NameBuilder};

/// The PEM files of a certificate and its key, of which both servers have the same.
pub(crate) struct Certificate {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificate {
    /// A self-signed RSA certificate of a day, in two files of `directory`.
    pub(crate) fn write(directory: &Path) -> Result<Self> {
        let key = PKey::from_rsa(Rsa::generate(2048)?)?;
        let mut name = X509NameBuilder::new()?;
        name.append_entry_by_text("CN", "bench.example")?;
        let name = name.build();
        let mut builder = X509::builder()?;
        builder.set_version(2)?;
        builder.set_serial_number(&*BigNum::from_u32(1)?.to_asn1_integer()?)?;
        builder.set_subject_name(&name)?;
        builder.set_issuer_name(&name)?;
        builder.set_pubkey(&key)?;
        builder.set_not_before(&*Asn1Time::days_from_now(0)?)?;
        builder.set_not_after(&*Asn1Time::days_from_now(1)?)?;
        builder.sign(&key, MessageDigest::sha256())?;
        let files = Self { chain: directory.join("chain.pem"), key: directory.join("key.pem") };
        fs::write(&files.chain, builder.build().to_pem()?)?;
        fs::write(&files.key, key.private_key_to_pem_pkcs8()?)?;
        Ok(files)
    }
}
