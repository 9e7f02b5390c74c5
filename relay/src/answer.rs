use causeway_wire::attribute::{
    ErrorCodeAttribute, Lifetime, Nonce, Realm, Software, UnknownAttributes, XorMappedAddress, XorRelayedAddress,
};
use causeway_wire::{Class, EncodeError, ErrorCode, Header, IntegrityKey, MessageWriter, Method};

use crate::allocation::Allocation;
use crate::five_tuple::FiveTuple;
use crate::verdict::{Discard, Respond, Verdict};

/// Writes the answer to one request. What is answered to an authenticated request carries integrity, errors included (H29).
// Deviation: RFC 8656 §5: SOFTWARE, which the server SHOULD include in Allocate and Refresh responses, is left out unless it is configured,
// and always where nobody has logged in: it makes answers longer than what asked for them, and tells an attacker what to try (H11).
pub(crate) struct Answer<'a> {
    pub(crate) to: FiveTuple,
    pub(crate) header: Header,
    pub(crate) key: Option<&'a IntegrityKey>,
    pub(crate) fingerprint: bool,
    pub(crate) software: Option<&'a str>,
}

type Filled = Result<(), EncodeError>;

impl Answer<'_> {
    /// A success response.
    pub(crate) fn success(&self, out: &mut [u8], fill: impl FnOnce(&mut MessageWriter<'_>) -> Filled) -> Verdict {
        self.write(Class::SuccessResponse, None, out, fill)
    }

    /// An error response; `unknown` are the types for UNKNOWN-ATTRIBUTES.
    pub(crate) fn error(&self, code: ErrorCode, unknown: &[u16], out: &mut [u8]) -> Verdict {
        self.write(Class::ErrorResponse, Some(code), out, |writer| {
            writer.put(&ErrorCodeAttribute::new(code))?;
            if !unknown.is_empty() {
                writer.put(&UnknownAttributes::Kinds(unknown))?;
            }
            Ok(())
        })
    }

    /// An error response that asks for credentials (RFC 8489 §9.2.4). `asked` is the length of the request.
    // Deviation: RFC 8489 §9.2.4: PASSWORD-ALGORITHMS, which an answer to an unknown user or a stale nonce MUST include, is left out as long
    // as MD5 is the only algorithm: the nonce says so by its cookie, and a client that finds the attribute has to use SHA-256.
    // Deviation: RFC 8489 §6.3.1.1: the reason phrase, which SHOULD suit the code, is empty where the answer to a datagram would else be more
    // than 2.6 times as long as what asked for it, IP and UDP counted (H11).
    pub(crate) fn challenge(&self, asked: usize, code: ErrorCode, realm: &str, nonce: &str, out: &mut [u8]) -> Verdict {
        let mut challenge = |reason| {
            self.write(Class::ErrorResponse, Some(code), out, |writer| {
                writer.put(&ErrorCodeAttribute { code, reason })?.put(&Realm(realm))?.put(&Nonce(nonce))?;
                Ok(())
            })
        };
        match challenge(code.reason()) {
            Verdict::Respond(respond) if !self.is_modest(asked, respond.len) => challenge(""),
            verdict => verdict,
        }
    }

    /// Whether an answer is at most 2.6 times its request, as the network carries them; a connection has proven its address.
    fn is_modest(&self, asked: usize, answered: usize) -> bool {
        let around = if self.to.client.is_ipv4() { 20 + 8 } else { 40 + 8 };
        self.to.transport.is_stream() || 5 * (answered + around) <= 13 * (asked + around)
    }

    fn write(
        &self,
        class: Class,
        error: Option<ErrorCode>,
        out: &mut [u8],
        fill: impl FnOnce(&mut MessageWriter<'_>) -> Filled,
    ) -> Verdict {
        let written = MessageWriter::answer(out, &self.header, class).and_then(|mut writer| {
            fill(&mut writer)?;
            if let Some(key) = self.key {
                if let (Some(software), Method::ALLOCATE | Method::REFRESH) = (self.software, self.header.message_type.method) {
                    writer.put(&Software(software))?;
                }
                writer.integrity(key)?;
            }
            if self.fingerprint {
                writer.fingerprint()?;
            }
            Ok(writer.finish())
        });
        match written {
            Ok(len) => Verdict::Respond(Respond { to: self.to, len, method: self.header.message_type.method, error, refusal: None }),
            Err(_) => Verdict::Discard(Discard::NoSpace),
        }
    }
}

/// What an Allocate success response contains (RFC 8656 §7.2), first or repeated.
pub(crate) fn allocated<G>(allocation: &Allocation<G>, lifetime: u32, writer: &mut MessageWriter<'_>) -> Filled {
    for (_, relay) in allocation.bound() {
        writer.put(&XorRelayedAddress(relay.advertised))?;
    }
    writer.put(&Lifetime(lifetime))?.put(&XorMappedAddress(allocation.five_tuple.client))?;
    Ok(())
}
