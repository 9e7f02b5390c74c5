/// What the CRC is XORed with (RFC 8489 §14.7): the letters "STUN".
const XOR: u32 = 0x5354_554E;

/// The value of FINGERPRINT over `before`, the message up to the attribute, with `length` (that
/// includes the attribute) in its header.
pub(crate) fn value(before: &[u8], length: u16) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&before[..2]);
    crc.update(&length.to_be_bytes());
    crc.update(&before[4..]);
    crc.finalize() ^ XOR
}
