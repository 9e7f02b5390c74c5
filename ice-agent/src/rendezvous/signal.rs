//! The signals that two agents exchange through the rendezvous.

use serde::{Deserialize, Serialize};

use causeway_wire::Transport;

/// Maximum length of a candidate line, in bytes; an agent's longest has about 200.
const MAX_CANDIDATE: usize = 512;

/// A message from one agent to the other. It is transported [sealed](super::RoomKey); the receiver
/// calls [`Signal::validate`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Signal {
    /// The first signal: the ICE credentials (RFC 8445 §5.3), and the token for datagrams to the
    /// sender.
    Hello {
        /// The username fragment.
        ufrag: String,
        password: String,
        /// 16 hexadecimal digits that each numbered datagram to the sender must contain.
        exchange: String,
    },
    /// A trickled candidate (RFC 8838 §10).
    Candidate {
        /// The candidate attribute's value, `candidate:…` (RFC 8839 §5.1).
        candidate: String,
        /// For a relayed candidate, the transport between its agent and the TURN server. Only for
        /// the report.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        relayed_over: Option<Transport>,
    },
    /// No further candidate follows (RFC 8838 §13).
    EndOfCandidates {},
    /// The sender's selected pair has settled, so it can echo datagrams.
    Ready {},
    /// The sender's part of the exchange is over. It echoes datagrams until it gets the other's
    /// `Done`.
    Done {
        /// The number of datagrams that the sender sent.
        sent: u32,
    },
}

/// Why a parsed signal is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSignal {
    /// The ufrag is not 4 to 256 ice-chars (RFC 8839 §5.4), of which a sender uses at most 32.
    #[error("the ufrag is not 4 to 32 letters, digits, `+` or `/`")]
    Ufrag,
    /// The password is not 22 to 256 ice-chars (RFC 8839 §5.4).
    #[error("the password is not 22 to 256 letters, digits, `+` or `/`")]
    Password,
    /// The exchange token is not 16 hexadecimal digits.
    #[error("the exchange token is not 16 hexadecimal digits")]
    Exchange,
    /// The candidate is too long, or not printable ASCII that starts with `candidate:`.
    #[error(
        "the candidate is not a printable line of at most 512 bytes that starts with `candidate:`"
    )]
    Candidate,
}

impl Signal {
    /// Checks the text fields, so that no unprintable or long text is processed further.
    ///
    /// # Errors
    /// The first field that has the wrong form.
    pub fn validate(&self) -> Result<(), BadSignal> {
        match self {
            Self::Hello { ufrag, password, exchange } => {
                if !is_ice_text(ufrag, 4..=32) {
                    return Err(BadSignal::Ufrag);
                }
                if !is_ice_text(password, 22..=256) {
                    return Err(BadSignal::Password);
                }
                if exchange.len() != 16 || !exchange.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(BadSignal::Exchange);
                }
            }
            Self::Candidate { candidate, .. } => {
                let printable = candidate.bytes().all(|b| (b' '..=b'~').contains(&b));
                if candidate.len() > MAX_CANDIDATE
                    || !printable
                    || !candidate.starts_with("candidate:")
                {
                    return Err(BadSignal::Candidate);
                }
            }
            Self::EndOfCandidates {} | Self::Ready {} | Self::Done { .. } => {}
        }
        Ok(())
    }
}

/// ice-char = ALPHA / DIGIT / "+" / "/"
fn is_ice_text(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(ufrag: &str, password: &str, exchange: &str) -> Signal {
        Signal::Hello { ufrag: ufrag.into(), password: password.into(), exchange: exchange.into() }
    }

    #[test]
    fn rfc8839_5_4_credentials_have_their_length_and_characters() {
        let password = "p".repeat(22);
        assert_eq!(hello("abcd", &password, "0123456789abcdef").validate(), Ok(()));
        assert_eq!(hello("abc", &password, "0123456789abcdef").validate(), Err(BadSignal::Ufrag));
        assert_eq!(hello("ab:d", &password, "0123456789abcdef").validate(), Err(BadSignal::Ufrag));
        assert_eq!(hello("abcd", "short", "0123456789abcdef").validate(), Err(BadSignal::Password));
        assert_eq!(
            hello("abcd", &password, "0123456789abcdeg").validate(),
            Err(BadSignal::Exchange)
        );
    }

    #[test]
    fn a_candidate_is_one_printable_line() {
        let candidate = |text: &str| {
            Signal::Candidate { candidate: text.into(), relayed_over: None }.validate()
        };
        assert_eq!(candidate("candidate:1 1 udp 1 192.0.2.1 9 typ host"), Ok(()));
        for bad in [
            "",
            "candidat",
            "candidate:\u{1b}[2J",
            "candidate:1\n",
            &format!("candidate:{}", "1".repeat(512)),
        ] {
            assert_eq!(candidate(bad), Err(BadSignal::Candidate), "{bad:?}");
        }
    }

    #[test]
    fn the_json_form_is_stable_and_strict() {
        let text = r#"{"type":"candidate","candidate":"candidate:1","relayed_over":"tcp"}"#;
        let signal: Signal = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&signal).unwrap(), text);
        assert_eq!(
            serde_json::to_string(&Signal::EndOfCandidates {}).unwrap(),
            r#"{"type":"end_of_candidates"}"#
        );
        assert!(serde_json::from_str::<Signal>(r#"{"type":"done","sent":1,"x":1}"#).is_err());
        assert!(serde_json::from_str::<Signal>(r#"{"type":"restart"}"#).is_err());
    }
}
