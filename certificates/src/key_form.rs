//! The kind of a private key, without its secret: the libraries' errors do not tell why they refuse
//! a key.

use x509_parser::asn1_rs::{Any, Class, FromDer, Tag};

const PKCS8: &str = "PRIVATE KEY";
const SEC1: &str = "EC PRIVATE KEY";
const PKCS1: &str = "RSA PRIVATE KEY";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

const ID_EC: &str = "1.2.840.10045.2.1";
const ID_RSA: &str = "1.2.840.113549.1.1.1";
const ID_ED25519: &str = "1.3.101.112";

/// Whether a label is that of a private key, for any use.
pub(crate) fn is_key(label: &str) -> bool {
    [PKCS8, SEC1, PKCS1, ENCRYPTED].contains(&label)
}

/// Whether a label says that the key is encrypted (RFC 7468 §11).
pub(crate) fn is_encrypted(label: &str) -> bool {
    label == ENCRYPTED
}

/// The kind of a key as its structure shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// On a supported curve.
    Curve(Public),
    /// On a curve that is not supported: its name.
    OtherCurve(&'static str),
    /// RSA, with this number of bits.
    Rsa(usize),
    Ed25519,
    /// RSA, for RSA-PSS alone.
    RsaPss,
    /// Another kind: its name.
    Other(&'static str),
    /// Not the structure that its label announces, or only a part of it.
    Damaged,
}

/// How the file has the public part of a key on a curve; the library requires the whole point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Public {
    Whole,
    Compressed,
    Missing,
}

impl Form {
    pub(crate) fn of(label: &str, der: &[u8]) -> Self {
        let form = match label {
            SEC1 => sec1(der, None),
            PKCS1 => pkcs1(der),
            _ => pkcs8(der),
        };
        form.unwrap_or(Self::Damaged)
    }
}

/// `OneAsymmetricKey` (RFC 5958 §2).
fn pkcs8(der: &[u8]) -> Option<Form> {
    let whole = sequence(der)?;
    let [_version, algorithm, private, ..] = &*whole else { return None };
    let algorithm = elements(algorithm.data)?;
    let kind = oid(algorithm.first()?)?;
    match &*kind {
        ID_EC => sec1(private.data, algorithm.get(1)),
        ID_RSA => pkcs1(private.data),
        ID_ED25519 => Some(Form::Ed25519),
        "1.2.840.113549.1.1.10" => Some(Form::RsaPss),
        "1.2.840.10040.4.1" => Some(Form::Other("DSA")),
        "1.3.101.113" => Some(Form::Other("Ed448")),
        "1.3.101.110" | "1.3.101.111" => Some(Form::Other("X25519 or X448, which signs nothing,")),
        "1.2.840.113549.1.3.1" => Some(Form::Other("Diffie-Hellman, which signs nothing,")),
        _ => Some(Form::Other("a kind that is not served")),
    }
}

/// `ECPrivateKey` (RFC 5915 §3); in PKCS#8 the curve stands with the algorithm.
fn sec1(der: &[u8], outer: Option<&Any<'_>>) -> Option<Form> {
    let whole = sequence(der)?;
    let tagged = |number: u32| {
        whole
            .iter()
            .find(|element| element.class() == Class::ContextSpecific && element.tag().0 == number)
    };
    let inner = tagged(0).and_then(|parameters| elements(parameters.data)?.into_iter().next());
    let public = match tagged(1) {
        None => Public::Missing,
        // A BIT STRING, its number of unused bits, and the form of the point (SEC 1 §2.3.3).
        Some(public) => match elements(public.data)?.first()?.data {
            [_, 2 | 3, ..] => Public::Compressed,
            _ => Public::Whole,
        },
    };
    let Some(curve) = inner.as_ref().or(outer) else {
        return Some(Form::OtherCurve("a curve that the file does not name"));
    };
    if curve.tag() == Tag::Sequence {
        return Some(Form::OtherCurve("a curve that is written out in figures"));
    }
    Some(match &*oid(curve)? {
        "1.2.840.10045.3.1.7" | "1.3.132.0.34" => Form::Curve(public),
        "1.3.132.0.35" => Form::OtherCurve("P-521"),
        "1.3.132.0.33" => Form::OtherCurve("P-224"),
        "1.3.132.0.10" => Form::OtherCurve("secp256k1"),
        brainpool if brainpool.starts_with("1.3.36.3.3.2.8.") => {
            Form::OtherCurve("a Brainpool curve")
        }
        _ => Form::OtherCurve("a curve that is not served"),
    })
}

/// `RSAPrivateKey` (RFC 8017 §A.1.2): the version, then the modulus.
fn pkcs1(der: &[u8]) -> Option<Form> {
    let whole = sequence(der)?;
    (whole.len() >= 9).then(|| Form::Rsa(bits(whole[1].data)))
}

/// Number of bits of a big-endian number.
pub(crate) fn bits(number: &[u8]) -> usize {
    let leading = number.iter().take_while(|byte| **byte == 0).count();
    number
        .get(leading)
        .map_or(0, |first| (number.len() - leading) * 8 - first.leading_zeros() as usize)
}

/// The elements of a sequence without trailing bytes.
fn sequence(der: &[u8]) -> Option<Vec<Any<'_>>> {
    let (rest, whole) = Any::from_der(der).ok()?;
    (rest.is_empty() && whole.tag() == Tag::Sequence).then_some(())?;
    elements(whole.data)
}

fn elements(mut content: &[u8]) -> Option<Vec<Any<'_>>> {
    let mut elements = Vec::new();
    while !content.is_empty() {
        let (rest, element) = Any::from_der(content).ok()?;
        elements.push(element);
        content = rest;
    }
    Some(elements)
}

fn oid(element: &Any<'_>) -> Option<String> {
    Some(element.as_oid().ok()?.to_id_string())
}
