//! Seals records and secrets, and opens them.

use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use super::encoding::{decode, encode, version};
use super::{Record, RecordError, RecordId};
use crate::fleet_key::{FleetKey, Purpose, epoch_at};
use crate::node::NodeId;

/// The record versions that this release reads.
const VERSIONS: std::ops::RangeInclusive<u8> = 1..=2;
/// The version of a sealed secret.
const SECRET_VERSION: u8 = 1;
/// Length of the version and the epoch, which are in clear.
const HEADER_LEN: usize = 1 + 8;
/// Bytes that a seal adds: header, nonce and tag.
const OVERHEAD: usize = HEADER_LEN + NONCE_LEN + 16;

/// Seals the records of one node, and opens them: ChaCha20-Poly1305 under the fleet's key.
///
/// The version, the epoch, the record's id and the node's name are authenticated, so that a record
/// cannot be passed off as another. The key changes with the epoch, so that random nonces of 96
/// bits stay unique: 2^32 writes in an epoch collide with a probability of 2^-33.
#[derive(Clone)]
pub struct Sealer {
    fleet_key: FleetKey,
    node: NodeId,
}

impl Sealer {
    /// Creates the sealer for the records of `node`.
    #[must_use]
    pub fn new(fleet_key: FleetKey, node: NodeId) -> Self {
        Self { fleet_key, node }
    }

    /// The node whose records it seals.
    #[must_use]
    pub fn node(&self) -> &NodeId {
        &self.node
    }

    /// Seals a record for the store. `unix` is in seconds.
    #[must_use]
    pub fn seal(&self, record: &Record, unix: u64) -> Vec<u8> {
        let mut header = [version(record); HEADER_LEN];
        header[1..].copy_from_slice(&epoch_at(unix).to_be_bytes());
        let mut plain = encode(record);
        seal_bytes(&self.fleet_key, header, &self.aad(header, record.id), &mut plain)
    }

    /// Opens a record that [`seal`](Self::seal) has sealed.
    ///
    /// # Errors
    /// The record cannot be read. Other records are not affected.
    pub fn open(&self, id: RecordId, sealed: &[u8]) -> Result<Record, RecordError> {
        match sealed.first() {
            None => return Err(RecordError::Truncated),
            Some(version) if VERSIONS.contains(version) => {}
            Some(&version) => return Err(RecordError::UnknownVersion(version)),
        }
        if sealed.len() < OVERHEAD {
            return Err(RecordError::Truncated);
        }
        let header = *sealed.first_chunk::<HEADER_LEN>().expect("the overhead includes the header");
        let plain = open_bytes(&self.fleet_key, &self.aad(header, id), sealed)?;
        decode(id, header[0], &plain)
    }

    fn aad(&self, header: [u8; HEADER_LEN], id: RecordId) -> Vec<u8> {
        [b"record", &header[..], &id.0.to_be_bytes()[..], self.node.as_str().as_bytes()].concat()
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("node", &self.node).finish_non_exhaustive()
    }
}

/// Seals a secret in the form of a record: version, epoch, nonce, ciphertext. `purpose_and_place`
/// is authenticated with it.
pub(crate) fn seal_secret(
    fleet_key: &FleetKey,
    purpose_and_place: &[u8],
    secret: &[u8],
    unix: u64,
) -> Vec<u8> {
    let mut header = [SECRET_VERSION; HEADER_LEN];
    header[1..].copy_from_slice(&epoch_at(unix).to_be_bytes());
    let mut plain = zeroize::Zeroizing::new(secret.to_vec());
    seal_bytes(fleet_key, header, &[&header[..], purpose_and_place].concat(), &mut plain)
}

/// Opens a secret that [`seal_secret`] has sealed.
pub(crate) fn open_secret(
    fleet_key: &FleetKey,
    purpose_and_place: &[u8],
    sealed: &[u8],
) -> Result<zeroize::Zeroizing<Vec<u8>>, RecordError> {
    let header = sealed
        .first_chunk::<HEADER_LEN>()
        .filter(|_| sealed.len() >= OVERHEAD)
        .ok_or(RecordError::Truncated)?;
    if header[0] != SECRET_VERSION {
        return Err(RecordError::UnknownVersion(header[0]));
    }
    open_bytes(fleet_key, &[&header[..], purpose_and_place].concat(), sealed)
}

fn seal_bytes(
    fleet_key: &FleetKey,
    header: [u8; HEADER_LEN],
    aad: &[u8],
    plain: &mut zeroize::Zeroizing<Vec<u8>>,
) -> Vec<u8> {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).expect("the operating system has randomness");
    let key = aead_key(fleet_key, header);
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), plain)
        .expect("a record is far shorter than the cipher's limit of 256 GiB");
    [&header[..], &nonce, plain, tag.as_ref()].concat()
}

fn open_bytes(
    fleet_key: &FleetKey,
    aad: &[u8],
    sealed: &[u8],
) -> Result<zeroize::Zeroizing<Vec<u8>>, RecordError> {
    let (header, rest) = sealed.split_first_chunk::<HEADER_LEN>().ok_or(RecordError::Truncated)?;
    let (nonce, ciphertext) =
        rest.split_first_chunk::<NONCE_LEN>().ok_or(RecordError::Truncated)?;
    let mut text = zeroize::Zeroizing::new(ciphertext.to_vec());
    let len = aead_key(fleet_key, *header)
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), &mut text)
        .map_err(|_| RecordError::Seal)?
        .len();
    text.truncate(len);
    Ok(text)
}

fn aead_key(fleet_key: &FleetKey, header: [u8; HEADER_LEN]) -> LessSafeKey {
    let epoch = u64::from_be_bytes(*header.last_chunk().expect("the header ends with the epoch"));
    let subkey = fleet_key.subkey(Purpose::Seal, epoch);
    LessSafeKey::new(
        UnboundKey::new(&CHACHA20_POLY1305, subkey.as_bytes())
            .expect("a subkey has the cipher's 32 bytes"),
    )
}
