use causeway_wire::{EncodeError, MessageWriter, Method};

/// What a request asks for: enough to write it again, under another transaction id and with other
/// credentials.
pub(crate) trait Ask {
    /// The request's method.
    fn method(&self) -> Method;

    /// Writes its attributes, without those of the credential mechanism.
    fn write(&self, writer: &mut MessageWriter<'_>) -> Result<(), EncodeError>;

    /// Bytes that its attributes may need beyond the usual.
    fn size(&self) -> usize {
        0
    }

    /// Whether the answer may come from another address than the one asked (RFC 5780 §4.4).
    fn answered_from_elsewhere(&self) -> bool {
        false
    }
}
