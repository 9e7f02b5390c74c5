//! Percent-encoding (RFC 3986 §2.1). The usual library leaves malformed sequences as they are; in a
//! host or a password they are a mistake that the user should see.

use zeroize::Zeroizing;

/// Decodes `pct-encoded` bytes; the rest stays. `None` for a `%` without two hexadecimal digits, or
/// for bytes that are not UTF-8. The result may be a password, so it is wiped when dropped.
pub(crate) fn percent_decoded(text: &str) -> Option<Zeroizing<String>> {
    let mut octets = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(if octet == b'%' {
            let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
            (digit()? * 16 + digit()?) as u8
        } else {
            octet
        });
    }
    std::str::from_utf8(&octets).ok().map(|text| Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3986_2_1_a_malformed_sequence_is_refused() {
        let decoded = |text| percent_decoded(text).map(|text| text.to_string());
        assert_eq!(decoded("p%40ss%3A"), Some("p@ss:".into()));
        for bad in ["%", "%4", "%zz", "%FF"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }
}
