//! Bytes to STUN messages and back: no I/O, no clock, no allocation.
//!
//! Reading is zero-copy: [`Message::decode`] checks the whole frame once and then borrows from the
//! datagram. Writing goes into the caller's buffer through [`MessageWriter`], which reports what
//! does not fit and never truncates. Neither requires alignment.
//!
//! | noun | file | source |
//! |---|---|---|
//! | header, class, method, id | `header.rs`, `method.rs` | RFC 8489 §5, RFC 3489 §11.1 |
//! | message, reading | `message.rs` | RFC 8489 §5, §14 |
//! | message, writing | `writer.rs` | RFC 8489 §5, §14 |
//! | attributes | `attribute/` | RFC 8489 §14, RFC 8656 §18, RFC 5780 §7, RFC 8445 §7.1 |
//! | integrity, fingerprint | `integrity.rs` | RFC 8489 §14.5, §14.6, §14.7 |
//! | channels | `channel.rs` | RFC 8656 §12 |
//! | frames of a stream | `stream.rs` | RFC 8489 §6.2.2, RFC 8656 §12.5 |
//! | transport protocol | `transport.rs` | RFC 8489 §6.2, RFC 8656 §3.1 |
//! | first byte | `demux.rs` | RFC 7983 §7, RFC 8656 §12 |
//! | special-purpose addresses | `special_purpose.rs` | IANA's registries, RFC 6890 §2.2 |
//! | the Binding decision | `binding/` | RFC 8489 §6.3.1, RFC 5780 §6.1, RFC 3489 §8.1 |

pub mod attribute;
pub mod binding;
mod channel;
pub mod demux;
mod error_code;
mod header;
mod integrity;
mod message;
mod method;
mod special_purpose;
pub mod stream;
mod transport;
mod writer;

pub use channel::{ChannelData, ChannelDataError, ChannelNumber, ChannelRange};
pub use error_code::ErrorCode;
pub use header::{HEADER_LEN, Header, MAGIC_COOKIE, TransactionId};
pub use integrity::IntegrityKey;
pub use message::{DecodeError, Message, RawAttribute, RawAttributes, UnknownRequired};
pub use method::{Class, MessageType, Method};
pub use special_purpose::{Purpose, SPECIAL_PURPOSE, SpecialPurpose};
pub use transport::{Transport, UnknownTransport};
pub use writer::{EncodeError, MessageWriter};

/// Maximum length of a STUN message that this crate writes or accepts: 20 bytes of header and
/// 65,532 of attributes (RFC 8489 §5: the length is a multiple of four in 16 bits).
pub const MAX_MESSAGE_LEN: usize = HEADER_LEN + 65_532;

/// `len` rounded up to the boundary of four bytes at which attributes start (RFC 8489 §14).
#[must_use]
pub const fn padded(len: usize) -> usize {
    (len + 3) & !3
}
