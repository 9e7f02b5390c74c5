//! Files as openssl writes them, and as people damage them: taken whole, or refused with a sentence
//! and a cure.

#![allow(clippy::unwrap_used)] // what a test calls fails as the test would

mod support;

use causeway_certificates::{Fault, Part, ServerCertificate, authorities};
use support::{file, files, openssl};

fn taken(chain: &[u8], key: &[u8]) -> ServerCertificate {
    ServerCertificate::from_pem(chain, key).unwrap_or_else(|fault| panic!("refused: {fault}"))
}

fn refused(chain: &[u8], key: &[u8]) -> Fault {
    ServerCertificate::from_pem(chain, key).expect_err("taken")
}

/// The chain is refused with these words.
fn chain_says(chain: &[u8], words: &[&str]) {
    says(&refused(chain, &file("leaf.key")), Part::Chain, words);
}

/// The key is refused with these words.
fn key_says(key: &[u8], words: &[&str]) {
    says(&refused(&file("chain.pem"), key), Part::Key, words);
}

fn says(fault: &Fault, part: Part, words: &[&str]) {
    let text = fault.to_string();
    assert_eq!(fault.part, part, "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is missing: {text}");
    }
    assert!(!text.contains("PrivateKey") && !text.contains("Error"), "a library's words: {text}");
}

fn joined(one: &str, other: &str) -> Vec<u8> {
    let mut joined = file(one).trim_ascii_end().to_vec();
    joined.extend(file(other));
    joined
}

fn edited(name: &str, from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(file(name)).unwrap();
    assert!(text.contains(from));
    text.replacen(from, to, 1).into_bytes()
}

#[test]
fn a_chain_says_how_many_certificates_it_has_for_whom_until_when_and_who_issued_the_last() {
    let whole = taken(&file("chain.pem"), &file("leaf.key"));
    assert_eq!(whole.chain().len(), 3);
    let text = whole.to_string();
    assert!(
        text.starts_with("3 certificates, for turn.example.org, 192.0.2.1, 2001:db8::1, until 20")
            && text.ends_with('Z'),
        "{text}"
    );
    assert!(whole.notes().is_empty());
    let alone = taken(&file("leaf.pem"), &file("leaf.key")).to_string();
    assert!(
        alone.starts_with("1 certificate, ") && alone.ends_with("issued by CN=Test intermediate"),
        "{alone}"
    );
    let days = (whole.validity().not_after - whole.validity().not_before) / 86_400;
    assert_eq!(days, 30, "the root's 40 days do not count, and the earliest of the others does");
}

#[test]
fn h56_blocks_joined_without_a_line_end_are_refused_and_not_lost() {
    chain_says(&joined("leaf.pem", "intermediate.pem"), &["two markers on one line", "line break"]);
    let joined_key = [file("leaf.pem").trim_ascii_end().to_vec(), file("leaf.key")].concat();
    chain_says(&joined_key, &["two markers on one line"]);
    key_says(&joined("with-parameters.key", "leaf.pem"), &["two markers on one line"]);
    let authority = authorities(&joined("root.pem", "intermediate.pem")).unwrap_err();
    says(&authority, Part::Chain, &["two markers on one line"]);
}

#[test]
fn h56_whatever_looks_like_a_marker_is_one_or_is_refused() {
    let begin = "-----BEGIN CERTIFICATE-----";
    for (damaged, words) in [
        ("----BEGIN CERTIFICATE-----", "almost a marker"),
        ("-----BEGIN CERTIFICATE----", "no proper end"),
        ("------BEGIN CERTIFICATE-----", "hyphen too many"),
        ("-----BEGIN CERTIFICATE------", "no proper end"),
        ("-----begin certificate-----", "almost a marker"),
        ("\u{2014}BEGIN CERTIFICATE\u{2014}", "almost a marker"),
        ("  -----BEGIN CERTIFICATE-----", "indented"),
        (
            "my certificate: -----BEGIN CERTIFICATE-----",
            "text or a hyphen too many before the marker",
        ),
        ("-----BEGIN CERTIFICATE----- # mine", "no proper end"),
    ] {
        chain_says(&edited("chain.pem", begin, damaged), &["line 1: ", words]);
        let second = files(&["leaf.pem"])
            .iter()
            .chain(edited("intermediate.pem", begin, damaged).iter())
            .copied()
            .collect::<Vec<_>>();
        chain_says(&second, &[words]);
        assert!(authorities(&second).is_err(), "{damaged}");
    }
    chain_says(
        &edited("chain.pem", "-----END CERTIFICATE-----", "-----END CERTIFICAT-----"),
        &["`END CERTIFICAT`"],
    );
    chain_says(
        &edited("chain.pem", "-----END CERTIFICATE-----\n", ""),
        &["a block begins before the end of the one"],
    );
    chain_says(&edited("chain.pem", "-----BEGIN CERTIFICATE-----\n", ""), &["without a beginning"]);
}

#[test]
fn each_certificate_is_issued_by_the_next() {
    let leaf = || file("leaf.pem");
    chain_says(
        &files(&["leaf.pem", "root.pem", "intermediate.pem"]),
        &[
            "certificate 2 (CN=Test root) did not issue certificate 1",
            "issued by CN=Test intermediate",
        ],
    );
    chain_says(
        &files(&["intermediate.pem", "leaf.pem"]),
        &["did not issue", "put the server's own certificate first"],
    );
    chain_says(&[leaf(), leaf()].concat(), &["certificate 2 stands in the file twice"]);
    chain_says(
        &[leaf(), file("namesake.pem")].concat(),
        &["the name of the issuer, but another key"],
    );
    taken(&files(&["leaf.pem", "intermediate.pem"]), &file("leaf.key"));
}

#[test]
fn h56_blocks_of_other_kinds_are_named_or_refused() {
    let leaf = |more: &str| files(&["leaf.pem", more, "intermediate.pem"]);
    chain_says(&leaf("leaf.csr"), &["CERTIFICATE REQUEST", "this is a request"]);
    chain_says(&leaf("leaf.public"), &["`PUBLIC KEY`"]);
    chain_says(&file("leaf.trusted"), &["TRUSTED CERTIFICATE", "openssl x509 -in FILE"]);
    chain_says(&file("chain.p7b"), &["PKCS7", "openssl pkcs7 -in FILE -print_certs"]);
    key_says(&file("leaf.public"), &["`PUBLIC KEY`", "private key"]);
    key_says(&files(&["leaf.key", "rsa.key"]), &["2 private keys"]);
    says(
        &authorities(&leaf("leaf.key")).unwrap_err(),
        Part::Chain,
        &["`PRIVATE KEY`", "take the block out"],
    );
    let noted = taken(&leaf("dh.pem"), &file("leaf.key"));
    assert_eq!(noted.notes().len(), 1, "{:?}", noted.notes());
    assert!(noted.notes()[0].contains("DH PARAMETERS"));
}

#[test]
fn one_file_of_all_that_a_server_needs_is_taken_and_what_two_files_have_too_much_is_said() {
    let combined = file("combined.pem");
    assert!(taken(&combined, &combined).notes().is_empty());
    assert_eq!(
        taken(&combined, &file("leaf.key")).notes(),
        ["the private key beside the certificates is not used"]
    );
    assert_eq!(
        taken(&file("chain.pem"), &combined).notes(),
        ["the certificates beside the private key are not used"]
    );
    taken(&file("leaf.unpacked"), &file("leaf.unpacked"));
}

#[test]
fn keys_of_each_kind_and_form_that_is_served_are_taken() {
    for name in ["p384", "rsa", "ed25519", "with-parameters"] {
        taken(&file(&format!("{name}.pem")), &file(&format!("{name}.key")));
    }
    taken(&file("leaf.pem"), &file("leaf.sec1"));
    taken(&file("rsa.pem"), &file("rsa.pkcs1"));
}

#[test]
fn keys_that_are_not_served_are_told_by_their_kind() {
    for (name, words) in [
        ("p521.key", "P-521"),
        ("secp256k1.key", "secp256k1"),
        ("brainpool.key", "Brainpool"),
        ("explicit.key", "written out in figures"),
        ("pss.key", "RSA-PSS alone"),
        ("rsa1024.key", "RSA with 1024 bits; 2048 to 4096 are served"),
        ("ed448.key", "Ed448"),
        ("x25519.key", "X25519"),
    ] {
        key_says(&file(name), &[words, "openssl genpkey -algorithm EC"]);
    }
}

#[test]
fn keys_without_their_public_part_are_told_and_the_cure_works() {
    for name in ["leaf.no-public", "leaf.no-public-pkcs8"] {
        key_says(&file(name), &["without its public part", "openssl ec -in FILE -out NEW.pem"]);
        taken(&file("chain.pem"), &openssl(&format!("ec -in {name}")));
    }
    key_says(&file("leaf.compressed"), &["compressed point", "openssl ec -conv_form uncompressed"]);
    taken(&file("chain.pem"), &openssl("ec -conv_form uncompressed -in leaf.compressed"));
}

#[test]
fn encrypted_keys_of_both_forms_are_told_and_the_cure_works() {
    for name in ["leaf.encrypted", "leaf.proc-type"] {
        key_says(&file(name), &["encrypted", "openssl pkey -in FILE -out NEW.pem"]);
        taken(&file("chain.pem"), &openssl(&format!("pkey -in {name} -passin pass:secret")));
    }
}

#[test]
fn files_that_are_not_pem_are_told_and_the_cures_work() {
    chain_says(&file("leaf.der"), &["DER", "openssl x509 -inform DER -in FILE -out NEW.pem"]);
    taken(&openssl("x509 -inform DER -in leaf.der"), &file("leaf.key"));
    key_says(&file("leaf.key.der"), &["DER", "openssl pkey -inform DER -in FILE"]);
    taken(&file("chain.pem"), &openssl("pkey -inform DER -in leaf.key.der"));
    chain_says(&file("leaf.p12"), &["PKCS#12", "openssl pkcs12 -in FILE -nodes"]);
    chain_says(&file("chain.p7"), &["PKCS#7", "openssl pkcs7 -inform DER"]);
    taken(&openssl("pkcs7 -inform DER -in chain.p7 -print_certs"), &file("leaf.key"));
    taken(&openssl("x509 -in leaf.trusted"), &file("leaf.key"));
    chain_says(b"", &["empty"]);
    key_says(b"", &["empty"]);
    chain_says(b"<html>", &["no PEM block"]);
}

#[test]
fn comments_in_any_character_set_line_ends_of_all_systems_and_text_forms_are_taken() {
    let latin1 = [b"# Schl\xfcssel von M\xfcller\n".to_vec(), file("chain.pem")].concat();
    taken(&latin1, &[b"# M\xfcller\n".to_vec(), file("leaf.key")].concat());
    assert_eq!(authorities(&latin1).unwrap().len(), 3);
    for end in ["\r\n", "\r", " \t\n", "\n\n"] {
        let with =
            |name: &str| String::from_utf8(file(name)).unwrap().replace('\n', end).into_bytes();
        assert_eq!(taken(&with("chain.pem"), &with("leaf.key")).chain().len(), 3, "{end:?}");
    }
    taken(&file("leaf.text"), &file("leaf.key"));
    taken(file("chain.pem").trim_ascii_end(), &file("leaf.key"));
}

#[test]
fn byte_order_marks_and_indentation_are_told() {
    let marked = |mark: &[u8], name: &str| [mark.to_vec(), file(name)].concat();
    chain_says(&marked(b"\xef\xbb\xbf", "chain.pem"), &["byte order mark", "sed -i"]);
    key_says(&marked(b"\xef\xbb\xbf", "leaf.key"), &["byte order mark"]);
    chain_says(&marked(b"\xff\xfe", "chain.pem"), &["UTF-16", "iconv"]);
    let indented = String::from_utf8(file("chain.pem"))
        .unwrap()
        .lines()
        .map(|line| format!("    {line}\n"))
        .collect::<String>();
    chain_says(indented.as_bytes(), &["line 1: the marker is indented", "sed -i"]);
}

#[test]
fn half_a_file_is_told_wherever_it_is_cut() {
    let (chain, key) = (file("chain.pem"), file("leaf.key"));
    let whole = [file("leaf.pem").len(), files(&["leaf.pem", "intermediate.pem"]).len()];
    for length in 0..chain.len() - 1 {
        let made = ServerCertificate::from_pem(&chain[..length], &key);
        // A cut between two certificates leaves a chain that is shorter and right.
        let may_be_taken = whole.iter().any(|end| [*end, *end - 1].contains(&length));
        assert_eq!(made.is_ok(), may_be_taken, "{length} bytes: {made:?}");
    }
    for length in 0..key.len() - 1 {
        assert!(ServerCertificate::from_pem(&chain, &key[..length]).is_err(), "{length} bytes");
    }
    chain_says(&chain[..chain.len() / 2], &["the file is cut"]);
}

#[test]
fn no_changed_byte_is_a_panic() {
    let (chain, key) = (file("chain.pem"), file("leaf.key"));
    for (position, byte) in chain.iter().enumerate().step_by(7) {
        let mut changed = chain.clone();
        changed[position] = byte ^ 0x21;
        let _ = ServerCertificate::from_pem(&changed, &key);
    }
    for (position, byte) in key.iter().enumerate() {
        let mut changed = key.clone();
        changed[position] = byte ^ 0x05;
        let _ = ServerCertificate::from_pem(&chain, &changed);
    }
}

#[test]
fn swapped_files_and_keys_of_others_are_told() {
    says(
        &refused(&file("leaf.key"), &file("chain.pem")),
        Part::Chain,
        &["private key and no certificate", "the two files are swapped"],
    );
    key_says(&file("chain.pem"), &["a certificate and no private key"]);
    key_says(
        &file("p384.key"),
        &[
            "does not belong to the first certificate",
            "name the key that the certificate was issued for",
        ],
    );
    key_says(
        &file("intermediate.key"),
        &["but to certificate 2", "put the server's own certificate first"],
    );
}

#[test]
fn certificates_that_clients_refuse_are_told() {
    let tried = |chain: &str, key: &str, words: &[&str]| {
        says(&refused(&file(chain), &file(key)), Part::Chain, words);
    };
    tried("v1.pem", "rsa.key", &["version 1", "subjectAltName"]);
    tried("sha1.pem", "sha1.key", &["SHA-1", "SHA-256"]);
    tried("small-chain.pem", "small.key", &["RSA key of less than 2048 bits"]);
}
