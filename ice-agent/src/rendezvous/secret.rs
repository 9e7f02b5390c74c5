//! The secret or name that two agents share, and the room key that they derive from it.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::{hkdf, pbkdf2};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::id::RoomId;
use super::signal::Signal;

/// Size of a secret in bytes: 128 bits cannot be guessed.
const SECRET: usize = 16;
/// Maximum length of a room's name, in characters.
const MAX_NAME: usize = 64;
/// The number of HMACs that each guess at a name costs, also for the operator of the rendezvous.
const NAME_ROUNDS: NonZeroU32 = NonZeroU32::new(100_000).expect("not zero");
const NAME_SALT: &[u8] = b"causeway rendezvous, room by name";
const SECRET_SALT: &[u8] = b"causeway rendezvous, room by secret";
/// Maximum length of a sealed signal, in characters; an agent's longest has about 1,000.
pub(crate) const MAX_SEALED: usize = 2_048;

/// The secret of a room: 128 random bits; as text 22 letters, digits, `-` and `_`.
#[derive(Clone, PartialEq, Eq)]
pub struct RoomSecret(Zeroizing<[u8; SECRET]>);

impl RoomSecret {
    /// Makes a secret from bytes of a cryptographic generator.
    #[must_use]
    pub fn from_random(octets: [u8; SECRET]) -> Self {
        Self(Zeroizing::new(octets))
    }
}

/// The secret as a link contains it; `Debug` does not show it.
impl fmt::Display for RoomSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(*self.0))
    }
}

impl fmt::Debug for RoomSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoomSecret(…)")
    }
}

/// The text is not a secret. The message does not repeat it, since most of a secret is still a
/// secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the part of the link after `#` is not a room's secret of 22 characters; copy the whole link"
)]
pub struct BadRoomSecret;

impl FromStr for RoomSecret {
    type Err = BadRoomSecret;

    fn from_str(text: &str) -> Result<Self, BadRoomSecret> {
        let octets = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).map_err(|_| BadRoomSecret)?);
        octets.as_slice().try_into().map(Self::from_random).map_err(|_| BadRoomSecret)
    }
}

/// A room's name that users choose: 1 to 64 ASCII letters, digits, `-`, `_` and `.`. It can be
/// guessed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomName(String);

/// The text is not a room's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a room's name is 1 to 64 letters, digits, `-`, `_` or `.`")]
pub struct BadRoomName;

impl FromStr for RoomName {
    type Err = BadRoomName;

    fn from_str(text: &str) -> Result<Self, BadRoomName> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let is_name = (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(allowed);
        if is_name { Ok(Self(text.into())) } else { Err(BadRoomName) }
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a room, and the key that seals its signals. The rendezvous sees the id and cannot
/// derive the key from it.
pub struct RoomKey {
    id: RoomId,
    key: LessSafeKey,
}

/// A signal with its sender and its number in the conversation, which are sealed together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberedSignal {
    /// The random id of one run of one agent, which reveals reflected signals.
    pub from: u64,
    /// The number from 1, which reveals repeated signals.
    pub number: u64,
    pub signal: Signal,
}

/// The text was not sealed with this room's key, or is not a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signal arrived that the other agent did not seal")]
pub struct BadSeal;

impl RoomKey {
    /// Derives the key from a random secret.
    #[must_use]
    pub fn of_secret(secret: &RoomSecret) -> Self {
        Self::derive(SECRET_SALT, &*secret.0)
    }

    /// Derives the key from a name. This takes a moment, as each guess does.
    #[must_use]
    pub fn of_name(name: &RoomName) -> Self {
        let mut stretched = Zeroizing::new([0; 32]);
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            NAME_ROUNDS,
            NAME_SALT,
            name.0.as_bytes(),
            &mut *stretched,
        );
        Self::derive(NAME_SALT, &*stretched)
    }

    fn derive(salt: &[u8], secret: &[u8]) -> Self {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
        let expand = |purpose: &[u8], out: &mut [u8]| {
            let info = [purpose];
            let output = root.expand(&info, Octets(out.len())).expect("far below 255 hashes");
            output.fill(out).expect("of the length that was asked for");
        };
        let mut id = [0; 16];
        expand(b"room id", &mut id);
        let mut key = Zeroizing::new([0; 32]);
        expand(b"signals", &mut *key);
        let key = UnboundKey::new(&CHACHA20_POLY1305, &*key).expect("32 octets");
        Self { id: RoomId(u128::from_be_bytes(id)), key: LessSafeKey::new(key) }
    }

    /// The room's id, which the rendezvous sees.
    #[must_use]
    pub fn id(&self) -> RoomId {
        self.id
    }

    /// Seals a signal as text that only a holder of the key can read. `nonce` must be new each
    /// time, from a cryptographic generator.
    #[must_use]
    pub fn seal(&self, nonce: [u8; NONCE_LEN], signal: &NumberedSignal) -> String {
        let mut sealed = serde_json::to_vec(signal).expect("string keys only");
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), self.aad(), &mut sealed)
            .expect("shorter than 256 GB");
        URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat())
    }

    /// Opens a sealed signal.
    ///
    /// # Errors
    /// [`BadSeal`].
    pub fn open(&self, text: &str) -> Result<NumberedSignal, BadSeal> {
        if text.len() > MAX_SEALED {
            return Err(BadSeal);
        }
        let mut octets = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadSeal)?;
        let (nonce, sealed) = octets.split_first_chunk_mut::<NONCE_LEN>().ok_or(BadSeal)?;
        let opened = self
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), self.aad(), sealed)
            .map_err(|_| BadSeal)?;
        serde_json::from_slice(opened).map_err(|_| BadSeal)
    }

    fn aad(&self) -> Aad<[u8; 16]> {
        Aad::from(self.id.0.to_be_bytes())
    }
}

impl fmt::Debug for RoomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The number of bytes that HKDF should derive.
struct Octets(usize);

impl hkdf::KeyType for Octets {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(number: u64) -> NumberedSignal {
        NumberedSignal { from: 5, number, signal: Signal::Done { sent: 7 } }
    }

    #[test]
    fn a_secret_has_one_text_and_is_shown_nowhere_else() {
        let secret = RoomSecret::from_random([0xfb; 16]);
        let text = secret.to_string();
        assert_eq!((text.len(), text.parse()), (22, Ok(secret.clone())));
        assert!(!format!("{secret:?}").contains(&text[..4]));
        for bad in [
            "",
            "blue",
            &text[1..],
            &format!("{text}A"),
            &format!("{text}="),
            "~~~~~~~~~~~~~~~~~~~~~~",
        ] {
            assert_eq!(bad.parse::<RoomSecret>(), Err(BadRoomSecret), "{bad:?}");
        }
    }

    #[test]
    fn a_name_is_what_people_can_tell_each_other() {
        for good in ["a", "standup-7", "A_b.c", &"x".repeat(64)] {
            assert_eq!(good.parse::<RoomName>().unwrap().to_string(), good);
        }
        for bad in ["", "a/b", "a b", "é", "a\n", "%41", &"x".repeat(65)] {
            assert_eq!(bad.parse::<RoomName>(), Err(BadRoomName), "{bad:?}");
        }
    }

    #[test]
    fn only_who_shares_the_secret_reads_what_passes() {
        let secret = RoomSecret::from_random([1; 16]);
        let [ours, theirs] = [RoomKey::of_secret(&secret), RoomKey::of_secret(&secret)];
        assert_eq!(ours.id(), theirs.id());
        let sealed = ours.seal([9; 12], &signal(1));
        assert!(!sealed.contains("done") && sealed.len() < MAX_SEALED);
        assert_eq!(theirs.open(&sealed), Ok(signal(1)));
        let stranger = RoomKey::of_secret(&RoomSecret::from_random([2; 16]));
        assert_ne!(stranger.id(), ours.id());
        assert_eq!(stranger.open(&sealed), Err(BadSeal));
        let other = if sealed.ends_with('A') { "B" } else { "A" };
        for bad in [
            "",
            "AAAA",
            &sealed[..sealed.len() - 4],
            &format!("{other}{}", &sealed[1..]),
            &"A".repeat(MAX_SEALED + 1),
        ] {
            assert_eq!(theirs.open(bad), Err(BadSeal), "{bad}");
        }
    }

    #[test]
    fn a_name_and_a_secret_of_the_same_letters_are_two_rooms() {
        let name: RoomName = "blue".parse().unwrap();
        let [first, second] = [RoomKey::of_name(&name), RoomKey::of_name(&name)];
        assert_eq!(first.id(), second.id());
        assert_eq!(second.open(&first.seal([0; 12], &signal(3))), Ok(signal(3)));
        assert_ne!(
            first.id(),
            RoomKey::of_secret(&RoomSecret::from_random(*b"blueblueblueblue")).id()
        );
    }

    #[test]
    fn the_longest_signal_fits() {
        let key = RoomKey::of_secret(&RoomSecret::from_random([1; 16]));
        let candidate = format!("candidate:{}", "\"".repeat(502));
        let signal =
            Signal::Candidate { candidate, relayed_over: Some(causeway_wire::Transport::Dtls) };
        assert_eq!(signal.validate(), Ok(()));
        assert!(
            key.seal([0; 12], &NumberedSignal { from: u64::MAX, number: u64::MAX, signal }).len()
                <= MAX_SEALED
        );
    }
}
