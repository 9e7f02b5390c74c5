//! The binary header that stands before a proxied connection, and before each proxied datagram.
//!
//! Its format is HAProxy's "The PROXY protocol", section 2.2: a signature, version and command,
//! family and transport, the length of what follows; then two addresses and ports, and any number
//! of type-length-value fields, which are skipped here.

use std::net::{IpAddr, SocketAddr};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The part of fixed length.
const FIXED: usize = 16;
/// How the text form, version 1, begins.
const VERSION_1: &[u8] = b"PROXY";
/// Maximum length of a header. Proxies write fields that their operators choose, such as the names
/// in a client's certificate.
pub const MAX_HEADER: usize = 4_096;

/// The result of reading a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// It is not whole yet: at least this many bytes are needed in all.
    Wanted(usize),
    /// The whole header.
    Whole(Header),
}

/// A PROXY header, version 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its length in bytes: what the client sent begins behind it.
    pub len: usize,
    /// The ends that the proxy names. `None`: it speaks for itself, or for a client without an IP
    /// address; the connection's own ends count.
    pub endpoints: Option<Endpoints>,
}

/// The ends of the connection, or of the exchange of datagrams, that the proxy forwards. HAProxy
/// and nginx with a socket for both families say `::ffff:192.0.2.1` of an IPv4 client: here it is
/// 192.0.2.1 (H54).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoints {
    /// The client.
    pub source: SocketAddr,
    /// The address that the client sent to.
    pub destination: SocketAddr,
}

/// Why the bytes are no acceptable header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The bytes begin no header.
    Missing,
    /// A header of version 1, the text form.
    Version1,
    /// A version, command, transport or address family that the protocol does not have, or
    /// addresses that are cut short.
    Malformed,
    /// The header announces more than [`MAX_HEADER`] bytes.
    TooLong,
    /// A type-length-value field runs past the header's end.
    BadField,
}

/// Whether the bytes begin with a header of either version, good or bad.
pub fn is_header(bytes: &[u8]) -> bool {
    bytes.starts_with(&SIGNATURE)
        || bytes.strip_prefix(VERSION_1).is_some_and(|rest| rest.first() == Some(&b' '))
}

/// Reads the header that `bytes` begin with.
///
/// # Errors
/// [`Fault`] as soon as it is certain.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Fault> {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] != SIGNATURE[..known] {
        return match bytes {
            _ if bytes.starts_with(VERSION_1) => Err(Fault::Version1),
            // The reason must not depend on how the bytes were cut on their way.
            _ if VERSION_1.starts_with(bytes) => Ok(Parsed::Wanted(FIXED)),
            _ => Err(Fault::Missing),
        };
    }
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else {
        return Ok(Parsed::Wanted(FIXED));
    };
    let [.., version_command, family_transport, high, low] = *fixed;
    let follows = usize::from(u16::from_be_bytes([high, low]));
    let len = FIXED + follows;
    if version_command >> 4 != 2 || family_transport & 0xf > 2 {
        return Err(Fault::Malformed);
    }
    if len > MAX_HEADER {
        return Err(Fault::TooLong);
    }
    let Some(body) = rest.get(..follows) else {
        return Ok(Parsed::Wanted(len));
    };
    let endpoints = match (version_command & 0xf, family_transport >> 4) {
        (0, _) | (1, 0) => None, // the rest is skipped
        (1, 1) => Some(addresses::<4>(body)?),
        (1, 2) => Some(addresses::<16>(body)?),
        (1, 3) if body.len() >= 2 * 108 => None,
        _ => return Err(Fault::Malformed),
    };
    Ok(Parsed::Whole(Header { len, endpoints }))
}

/// Two addresses of `N` bytes, two ports, and fields.
fn addresses<const N: usize>(body: &[u8]) -> Result<Endpoints, Fault>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = body.split_first_chunk::<N>().ok_or(Fault::Malformed)?;
    let (destination, rest) = rest.split_first_chunk::<N>().ok_or(Fault::Malformed)?;
    let ([a, b, c, d], fields) = rest.split_first_chunk::<4>().ok_or(Fault::Malformed)?;
    skip(fields)?;
    Ok(Endpoints {
        source: SocketAddr::new(IpAddr::from(*source).to_canonical(), u16::from_be_bytes([*a, *b])),
        destination: SocketAddr::new(
            IpAddr::from(*destination).to_canonical(),
            u16::from_be_bytes([*c, *d]),
        ),
    })
}

/// Skips the fields, each a type, a length of two bytes and that many bytes.
fn skip(mut fields: &[u8]) -> Result<(), Fault> {
    while let [_, high, low, rest @ ..] = fields {
        fields =
            rest.get(usize::from(u16::from_be_bytes([*high, *low]))..).ok_or(Fault::BadField)?;
    }
    if fields.is_empty() { Ok(()) } else { Err(Fault::BadField) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version_command: u8, family_transport: u8, body: &[u8]) -> Vec<u8> {
        [
            &SIGNATURE[..],
            &[version_command, family_transport],
            &(body.len() as u16).to_be_bytes(),
            body,
        ]
        .concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 7, 0x30, 0x39, 0x0d, 0x96];

    fn endpoints(source: &str, destination: &str) -> Option<Endpoints> {
        Some(Endpoints {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        })
    }

    #[test]
    fn both_families_are_read_over_streams_and_datagrams() {
        let v6 = [&[0x20; 16][..], &[0x30; 16], &[0, 1, 0, 2]].concat();
        let six = endpoints(
            "[2020:2020:2020:2020:2020:2020:2020:2020]:1",
            "[3030:3030:3030:3030:3030:3030:3030:3030]:2",
        );
        let four = endpoints("192.0.2.1:12345", "198.51.100.7:3478");
        for (family_transport, body, expected) in
            [(0x11, &V4[..], four), (0x12, &V4, four), (0x21, &v6, six), (0x22, &v6, six)]
        {
            let bytes = header(0x21, family_transport, body);
            let whole = Parsed::Whole(Header { len: bytes.len(), endpoints: expected });
            assert_eq!(parse(&bytes), Ok(whole));
            assert_eq!(parse(&[&bytes[..], b"what the client sent"].concat()), Ok(whole));
        }
    }

    #[test]
    fn h54_a_mapped_address_in_a_header_is_the_ipv4_address_that_it_is() {
        let mapped = |ip: [u8; 4]| [&[0; 10][..], &[0xff; 2], &ip].concat();
        let body = [&mapped([192, 0, 2, 1])[..], &mapped([198, 51, 100, 7]), &V4[8..]].concat();
        for family_transport in [0x21, 0x22] {
            let Ok(Parsed::Whole(found)) = parse(&header(0x21, family_transport, &body)) else {
                panic!("a header")
            };
            assert_eq!(found.endpoints, endpoints("192.0.2.1:12345", "198.51.100.7:3478"));
        }
    }

    #[test]
    fn fields_are_skipped_and_must_be_whole() {
        let field = [0x04, 0, 3, 1, 2, 3];
        let empty = [0x20, 0, 0];
        let bytes = header(0x21, 0x11, &[&V4[..], &field, &empty].concat());
        let Ok(Parsed::Whole(found)) = parse(&bytes) else { panic!("a header") };
        assert_eq!(
            (found.len, found.endpoints),
            (bytes.len(), endpoints("192.0.2.1:12345", "198.51.100.7:3478"))
        );
        for broken in [&field[..5], &field[..2], &[0x04, 0xff, 0xff, 1]] {
            assert_eq!(
                parse(&header(0x21, 0x11, &[&V4[..], broken].concat())),
                Err(Fault::BadField)
            );
        }
    }

    #[test]
    fn a_proxy_that_speaks_for_itself_or_for_no_address_leaves_the_connection_s_own() {
        for (version_command, family_transport, body) in [
            (0x20, 0x00, &[][..]),
            (0x20, 0x11, &V4),
            (0x20, 0xf1, &[1, 2, 3]),
            (0x21, 0x00, &[9; 20]),
            (0x21, 0x31, &[b'/'; 216]),
        ] {
            let bytes = header(version_command, family_transport, body);
            assert_eq!(
                parse(&bytes),
                Ok(Parsed::Whole(Header { len: bytes.len(), endpoints: None }))
            );
        }
    }

    #[test]
    fn a_part_of_a_header_says_how_much_is_wanted() {
        let bytes = header(0x21, 0x11, &V4);
        for len in 0..bytes.len() {
            let wanted = if len < FIXED { FIXED } else { bytes.len() };
            assert_eq!(parse(&bytes[..len]), Ok(Parsed::Wanted(wanted)));
        }
    }

    #[test]
    fn h23_what_is_no_header_is_refused_at_once() {
        let long = header(0x21, 0x11, &[0; MAX_HEADER - FIXED + 1]);
        use Fault::{Malformed, Missing, TooLong, Version1};
        for (bytes, fault) in [
            (&b"\x16\x03\x01"[..], Missing),
            (b"PROXY TCP4 192.0.2.1 198.51.100.7 1 2\r\n", Version1),
            (b"POST / HTTP/1.1\r\n", Missing),
            (b"PRO\r\n", Missing),
            (b"\r\n\r\n\0\r\nQUIX\n", Missing),
            (&header(0x11, 0x11, &V4), Malformed),
            (&header(0x22, 0x11, &V4), Malformed),
            (&header(0x21, 0x13, &V4), Malformed),
            (&header(0x21, 0x41, &V4), Malformed),
            (&header(0x21, 0x11, &V4[..11]), Malformed),
            (&header(0x21, 0x21, &V4), Malformed),
            (&header(0x21, 0x31, &[0; 215]), Malformed),
            (&long[..FIXED], TooLong),
        ] {
            assert_eq!(parse(bytes), Err(fault), "{bytes:?}");
        }
        let at_most = header(0x20, 0, &[0; MAX_HEADER - FIXED]);
        assert!(parse(&at_most).is_ok());
    }

    #[test]
    fn a_header_of_two_kibibytes_is_read() {
        let fields = [&[0x04, 8, 0][..], &[7; 2_048]].concat();
        let bytes = header(0x21, 0x11, &[&V4[..], &fields].concat());
        assert_eq!(
            parse(&bytes).unwrap(),
            Parsed::Whole(Header {
                len: bytes.len(),
                endpoints: endpoints("192.0.2.1:12345", "198.51.100.7:3478")
            })
        );
    }

    #[test]
    fn headers_of_both_versions_are_told_from_what_clients_send() {
        for (bytes, is) in [
            (&header(0x21, 0x11, &V4)[..], true),
            (b"PROXY TCP4 192.0.2.1", true),
            (b"PROXYING", false),
            (&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42], false),
            (b"\x16\x03\x01", false),
            (b"", false),
        ] {
            assert_eq!(is_header(bytes), is, "{bytes:?}");
        }
    }
}
