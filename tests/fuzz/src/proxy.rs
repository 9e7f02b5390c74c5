//! The header that a trusted proxy puts before what it forwards.

// The parser alone: all of `net` would bring OpenSSL into each build for libFuzzer.
#[allow(unreachable_pub, reason = "it is public there")]
#[path = "../../../net/src/proxy/header.rs"]
mod header;

use header::{Endpoints, Header, MAX_HEADER, Parsed, is_header, parse};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Reads the bytes as what a proxy sends: as they are if the first is odd, else with the signature
/// in front of the rest.
///
/// # Panics
/// When a header is longer than it may be or than what is there, or when it depends on how much of
/// what follows it has arrived.
pub fn proxy(data: &[u8]) {
    let Some((&raw, rest)) = data.split_first() else { return };
    let bytes = if raw & 1 == 1 { rest.to_vec() } else { [&SIGNATURE, rest].concat() };
    let whole = parse(&bytes);
    assert!(whole.is_err() || bytes.len() < SIGNATURE.len() || is_header(&bytes));
    match whole {
        Ok(Parsed::Whole(Header { len, endpoints })) => {
            assert!((16..=MAX_HEADER.min(bytes.len())).contains(&len), "{len}");
            if let Some(Endpoints { source, destination }) = endpoints {
                assert_eq!(source.is_ipv4(), destination.is_ipv4());
            }
            assert_eq!(parse(&bytes[..len]), whole, "what follows a header changes nothing");
        }
        Ok(Parsed::Wanted(wanted)) => assert!(wanted > bytes.len() && wanted <= MAX_HEADER),
        Err(_) => {}
    }
    grows(&bytes);
}

/// Byte by byte: more is wanted, until it is whole or certainly none; and so it stays.
fn grows(bytes: &[u8]) {
    let mut decided = None;
    let mut wanted_before = 0;
    for len in 0..=bytes.len().min(MAX_HEADER + 8) {
        let now = parse(&bytes[..len]);
        if let Some(decided) = decided {
            assert_eq!(now, decided);
            continue;
        }
        match now {
            Ok(Parsed::Wanted(wanted)) => {
                assert!(wanted > len && wanted >= wanted_before);
                wanted_before = wanted;
            }
            _ => decided = Some(now),
        }
    }
}
