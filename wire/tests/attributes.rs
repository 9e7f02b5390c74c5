//! The form of each attribute, byte by byte, named by the section that draws it; and what is no
//! such form.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

use std::fmt::Debug;

use causeway_wire::attribute::{
    AdditionalAddressFamily, AddressErrorCode, AddressFamily, AlternateDomain, AlternateServer,
    Attribute, AttributeError, CacheTimeout, ChangeRequest, ChannelNumberAttribute, Data,
    DontFragment, ErrorCodeAttribute, EvenPort, IceControlled, IceControlling, Icmp, Lifetime,
    MappedAddress, Nonce, OtherAddress, Padding, PasswordAlgorithm, PasswordAlgorithmEntry,
    PasswordAlgorithms, Priority, Realm, RequestedAddressFamily, RequestedTransport,
    ReservationToken, ResponseOrigin, ResponsePort, Software, UnknownAttributes, UseCandidate,
    Userhash, Username, XorMappedAddress, XorPeerAddress, XorRelayedAddress,
};
use causeway_wire::{Class, ErrorCode, Message, MessageWriter, Method, TransactionId};

const ID: TransactionId = TransactionId(*b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae");
const NO_ADDRESS: AttributeError = AttributeError::Length;

#[test]
fn rfc8489_14_1_addresses_in_the_clear() {
    let v4 = b"\0\x01\x13\x88\xc0\0\x02\x01";
    let address = "192.0.2.1:5000".parse().unwrap();
    is(&MappedAddress(address), v4);
    is(&AlternateServer(address), v4);
    is(&ResponseOrigin(address), v4);
    is(&OtherAddress(address), v4);
    is(
        &MappedAddress("[2001:db8::1]:5000".parse().unwrap()),
        b"\0\x02\x13\x88\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01",
    );
    // "The first 8 bits … MUST be ignored by receivers."
    reads(b"\xff\x01\x13\x88\xc0\0\x02\x01", MappedAddress(address));
    for value in [
        &b""[..],
        b"\0\x01\x13",
        b"\0\x01\x13\x88\xc0\0\x02",
        b"\0\x01\x13\x88\xc0\0\x02\x01\0",
        b"\0\x02\x13\x88\xc0\0\x02\x01",
    ] {
        refuses::<MappedAddress>(value, NO_ADDRESS);
    }
    for family in [0, 3, 0xFF] {
        refuses::<MappedAddress>(&[0, family, 0x13, 0x88, 192, 0, 2, 1], AttributeError::Family);
    }
}

#[test]
fn rfc8489_14_2_addresses_under_xor() {
    // The values of RFC 5769 §2.2 and §2.3, whose transaction id is used here.
    let v4 = b"\0\x01\xa1\x47\xe1\x12\xa6\x43";
    let address = "192.0.2.1:32853".parse().unwrap();
    is(&XorMappedAddress(address), v4);
    is(&XorPeerAddress(address), v4);
    is(&XorRelayedAddress(address), v4);
    let v6 = b"\0\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9";
    is(&XorPeerAddress("[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap()), v6);
    refuses::<XorPeerAddress>(&v6[..8], NO_ADDRESS);
    refuses::<XorPeerAddress>(&v6[..19], NO_ADDRESS);
}

#[test]
fn rfc8489_14_3_text_of_763_bytes_is_read() {
    let long = "x".repeat(763);
    is(&Username(&long), long.as_bytes());
    is(&Realm(&long), long.as_bytes());
    is(&Nonce(&long), long.as_bytes());
    is(&Software(&long), long.as_bytes());
    refuses::<Username<'_>>("x".repeat(764).as_bytes(), AttributeError::Length);
    refuses::<Username<'_>>(b"\xc3", AttributeError::Utf8);
    is(&Username(""), b"");
    is(&AlternateDomain(&long[..255]), &long.as_bytes()[..255]);
    refuses::<AlternateDomain<'_>>(&long.as_bytes()[..256], AttributeError::Length);
}

#[test]
fn rfc8489_14_4_userhash_is_32_bytes() {
    is(&Userhash([7; 32]), &[7; 32]);
    refuses::<Userhash>(&[7; 31], AttributeError::Length);
    refuses::<Userhash>(&[7; 33], AttributeError::Length);
}

#[test]
fn rfc8489_14_8_error_code() {
    is(&ErrorCodeAttribute::new(ErrorCode::UNKNOWN_ATTRIBUTE), b"\0\0\x04\x14Unknown Attribute");
    is(&ErrorCodeAttribute { code: ErrorCode::new(699).unwrap(), reason: "" }, b"\0\0\x06\x63");
    // "The Reserved bits SHOULD be 0 … Receivers MUST ignore them": 21 bits in front of the class.
    reads(b"\xff\xff\xfc\x26x", ErrorCodeAttribute { code: ErrorCode::STALE_NONCE, reason: "x" });
    for value in
        [b"\0\0\x02\x00", b"\0\0\x07\x00", b"\0\0\x00\x00", b"\0\0\x04\x64", b"\0\0\x04\xff"]
    {
        refuses::<ErrorCodeAttribute<'_>>(value, AttributeError::Range);
    }
    refuses::<ErrorCodeAttribute<'_>>(b"\0\0\x04", AttributeError::Length);
    refuses::<ErrorCodeAttribute<'_>>(b"\0\0\x04\x00\xff", AttributeError::Utf8);
    let long = [&b"\0\0\x04\x00"[..], &[b'x'; 764]].concat();
    refuses::<ErrorCodeAttribute<'_>>(&long, AttributeError::Length);
    reads(
        &long[..767],
        ErrorCodeAttribute { code: ErrorCode::BAD_REQUEST, reason: &"x".repeat(763) },
    );
}

#[test]
fn rfc8489_14_11_and_14_12_password_algorithms() {
    is(&PasswordAlgorithms::MD5, b"\0\x01\0\0");
    is(&PasswordAlgorithms::SHA256_MD5, b"\0\x02\0\0\0\x01\0\0");
    let entry = PasswordAlgorithmEntry { algorithm: 9, parameters: b"abcde" };
    is(&PasswordAlgorithm(entry), b"\0\x09\0\x05abcde\0\0\0");
    // The padding of the last one may be missing; that of another not.
    reads(b"\0\x09\0\x05abcde", PasswordAlgorithm(entry));
    for value in
        [&b"\0\x01\0"[..], b"\0\x01\0\x01", b"\0\x01\xff\xff", b"\0\x09\0\x05abcde\0\0\0\0\x01"]
    {
        refuses::<PasswordAlgorithms<'_>>(value, AttributeError::Length);
        refuses::<PasswordAlgorithm<'_>>(value, AttributeError::Length);
    }
    refuses::<PasswordAlgorithm<'_>>(b"\0\x02\0\0\0\x01\0\0", AttributeError::Length);
    let list = message(PasswordAlgorithms::KIND, b"\0\x09\0\x05abcde\xff\xff\xff\0\x02\0\0");
    let list =
        Message::decode(&list).unwrap().attribute::<PasswordAlgorithms<'_>>().unwrap().unwrap();
    assert_eq!(
        list.entries().collect::<Vec<_>>(),
        [entry, PasswordAlgorithmEntry { algorithm: 2, parameters: b"" }]
    );
}

#[test]
fn rfc8489_14_13_unknown_attributes() {
    let value = message(UnknownAttributes::KIND, b"\x7f\xff\0\x31");
    let read = Message::decode(&value).unwrap();
    let read = read.attribute::<UnknownAttributes<'_>>().unwrap().unwrap();
    assert_eq!(read.kinds().map(|kind| kind.0).collect::<Vec<_>>(), [0x7FFF, 0x0031]);
    assert_eq!(written(&UnknownAttributes::Kinds(&[0x7FFF, 0x0031])), b"\x7f\xff\0\x31");
    refuses::<UnknownAttributes<'_>>(b"\x7f\xff\0", AttributeError::Length);
}

#[test]
fn rfc8656_18_the_numbers() {
    is(&ChannelNumberAttribute(0x4001), b"\x40\x01\0\0");
    reads(b"\x40\x01\xff\xff", ChannelNumberAttribute(0x4001));
    is(&Lifetime(600), b"\0\0\x02\x58");
    is(&RequestedTransport::UDP, b"\x11\0\0\0");
    reads(b"\x11\xff\xff\xff", RequestedTransport::UDP);
    is(&ReservationToken(*b"reserved"), b"reserved");
    is(&Data(b""), b"");
    is(&DontFragment, b"");
    for value in [&b"\0\0\0"[..], b"\0\0\0\0\0"] {
        refuses::<ChannelNumberAttribute>(value, AttributeError::Length);
        refuses::<Lifetime>(value, AttributeError::Length);
        refuses::<RequestedTransport>(value, AttributeError::Length);
        refuses::<ReservationToken>(value, AttributeError::Length);
        refuses::<DontFragment>(value, AttributeError::Length);
    }
}

#[test]
fn rfc8656_18_6_and_18_11_families() {
    is(&RequestedAddressFamily(AddressFamily::Ipv4), b"\x01\0\0\0");
    is(&AdditionalAddressFamily(AddressFamily::Ipv6), b"\x02\0\0\0");
    reads(b"\x02\xff\xff\xff", RequestedAddressFamily(AddressFamily::Ipv6));
    refuses::<RequestedAddressFamily>(b"\x03\0\0\0", AttributeError::Family);
    refuses::<RequestedAddressFamily>(b"\x01", AttributeError::Length);
}

#[test]
fn rfc8656_18_7_even_port_is_one_byte() {
    is(&EvenPort { reserve: true }, b"\x80");
    is(&EvenPort { reserve: false }, b"\0");
    reads(b"\x7f", EvenPort { reserve: false });
    refuses::<EvenPort>(b"", AttributeError::Length);
    refuses::<EvenPort>(b"\x80\0\0\0", AttributeError::Length);
}

#[test]
fn rfc8656_18_12_address_error_code() {
    let error = AddressErrorCode {
        family: AddressFamily::Ipv6,
        code: ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED,
        reason: "no",
    };
    is(&error, b"\x02\0\x04\x28no");
    reads(b"\x02\xff\xfc\x28no", error);
    refuses::<AddressErrorCode<'_>>(b"\x03\0\x04\x28no", AttributeError::Family);
    refuses::<AddressErrorCode<'_>>(b"\x02\0\x04", AttributeError::Length);
}

#[test]
fn rfc8656_18_13_icmp() {
    let too_big = Icmp { icmp_type: 3, code: 4, error_data: [0, 0, 0x05, 0xDC] };
    is(&too_big, b"\0\0\x03\x04\0\0\x05\xdc");
    reads(b"\xff\xff\x03\x04\0\0\x05\xdc", too_big);
    refuses::<Icmp>(b"\0\0\x03\x04", AttributeError::Length);
}

#[test]
fn rfc5780_7_the_attributes_of_discovery() {
    for (bits, change_ip, change_port) in
        [(0, false, false), (2, false, true), (4, true, false), (6, true, true)]
    {
        is(&ChangeRequest { change_ip, change_port }, &[0, 0, 0, bits]);
    }
    reads(b"\xff\xff\xff\xf9", ChangeRequest::default());
    refuses::<ChangeRequest>(b"\x06", AttributeError::Length);
    is(&ResponsePort(0x1234), b"\x12\x34\0\0");
    reads(b"\x12\x34", ResponsePort(0x1234));
    refuses::<ResponsePort>(b"\x12", AttributeError::Length);
    is(&Padding(5), b"\0\0\0\0\0");
    reads(b"any", Padding(3));
    is(&CacheTimeout(60), b"\0\0\0\x3c");
}

#[test]
fn rfc8445_16_1_the_attributes_of_ice() {
    is(&Priority(0x6e00_01ff), b"\x6e\0\x01\xff");
    is(&IceControlled(0x932f_f9b1_5126_3b36), b"\x93\x2f\xf9\xb1\x51\x26\x3b\x36");
    is(&IceControlling(1), b"\0\0\0\0\0\0\0\x01");
    is(&UseCandidate, b"");
    refuses::<Priority>(b"\x6e\0\x01", AttributeError::Length);
    refuses::<IceControlled>(b"\0\0\0\x01", AttributeError::Length);
    refuses::<UseCandidate>(b"\0", AttributeError::Length);
}

/// The attribute has this value, both ways.
fn is<'a, A: Attribute<'a> + PartialEq + Debug>(attribute: &A, value: &'a [u8]) {
    assert_eq!(written(attribute), value, "{attribute:?}");
    assert_eq!(A::decode(value, &id()).as_ref(), Ok(attribute));
}

/// The value is read as the attribute, though it is not what we write.
fn reads<'a, A: Attribute<'a> + PartialEq + Debug>(value: &'a [u8], attribute: A) {
    assert_eq!(A::decode(value, &id()), Ok(attribute));
}

fn refuses<'a, A: Attribute<'a> + PartialEq + Debug>(value: &'a [u8], error: AttributeError) {
    assert_eq!(A::decode(value, &id()), Err(error), "{value:?}");
}

/// The attribute's value in a whole message, which is read again.
fn written<'a, A: Attribute<'a>>(attribute: &A) -> Vec<u8> {
    let mut buffer = vec![0xDD; 1024];
    let mut writer = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, ID).unwrap();
    writer.put(attribute).unwrap();
    let len = writer.finish();
    let message = Message::decode(&buffer[..len]).unwrap();
    let raw = message.attributes().next().unwrap();
    assert_eq!(raw.kind, A::KIND);
    raw.value.to_vec()
}

fn message(kind: causeway_wire::attribute::AttributeType, value: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; 1024];
    let mut writer = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, ID).unwrap();
    writer.put_raw(kind, value).unwrap();
    let len = writer.finish();
    buffer.truncate(len);
    buffer
}

/// Cookie and transaction id.
fn id() -> [u8; 16] {
    *b"\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae"
}
