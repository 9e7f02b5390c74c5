//! The codec of stun-rs 0.1.11, as an oracle for ours.

use causeway_wire::Class;
use causeway_wire::attribute::{AddressFamily as Family, AttributeType as Kind};
use stun_rs::attributes::discovery::{
    ChangeRequest, ChangeRequestFlags, OtherAddress, Padding, ResponseOrigin, ResponsePort,
};
use stun_rs::attributes::ice::{IceControlled, IceControlling, Priority, UseCandidate};
use stun_rs::attributes::stun::{
    AlternateServer, ErrorCode, Fingerprint, MappedAddress, MessageIntegrity,
    MessageIntegritySha256, Nonce, PasswordAlgorithm, PasswordAlgorithms, Realm, Software,
    UnknownAttributes, UserName, XorMappedAddress,
};
use stun_rs::attributes::turn::{
    AdditionalAddressFamily, AddressErrorCode, ChannelNumber, Data, DontFragment, EvenPort, Icmp,
    IcmpCode, IcmpType, LifeTime, RequestedAddressFamily, RequestedTrasport, ReservationToken,
    XorPeerAddress, XorRelayedAddress,
};
use stun_rs::{
    AddressFamily, Algorithm, AlgorithmId, DecoderContextBuilder, HMACKey, MessageClass,
    MessageDecoderBuilder, MessageEncoderBuilder, MessageMethod, MessageType, StunAttribute,
    StunMessageBuilder, TransactionId,
};

use crate::message::{Message, PASSWORD};
use crate::oracles::Reading;
use crate::value::Value;

/// Attribute types that stun-rs does not know.
pub(crate) const KNOWS_NOT: &[Kind] = &[
    Kind::SOURCE_ADDRESS,
    Kind::CHANGED_ADDRESS,
    Kind::RESPONSE_ADDRESS,
    Kind::REFLECTED_FROM,
    Kind::ALTERNATE_DOMAIN,
    Kind::CACHE_TIMEOUT,
];

/// Reads a message, its integrity and its fingerprint with it: a wrong one is an error.
pub(crate) fn read(_: &Message, bytes: &[u8]) -> Reading {
    let key = HMACKey::new_short_term(PASSWORD).unwrap();
    let context = DecoderContextBuilder::default()
        .with_key(key)
        .with_validation()
        .with_unknown_data()
        .build();
    let (theirs, size) =
        MessageDecoderBuilder::default().with_context(context).build().decode(bytes).unwrap();
    assert_eq!(size, bytes.len());
    let integrity = |attribute: &&StunAttribute| {
        attribute.is_message_integrity()
            || attribute.is_message_integrity_sha256()
            || attribute.is_fingerprint()
    };
    let values =
        theirs.attributes().iter().filter(|attribute| !integrity(attribute)).map(value).collect();
    let class_and_method = MessageType::new(theirs.method(), theirs.class()).as_u16();
    Reading { class_and_method, id: *theirs.transaction_id().as_bytes(), values }
}

fn value(attribute: &StunAttribute) -> Value {
    use StunAttribute as A;
    let kind = Kind(attribute.attribute_type().as_u16());
    let family = |family: AddressFamily| {
        if family == AddressFamily::IPv4 { Family::Ipv4 } else { Family::Ipv6 }
    };
    let algorithm = |algorithm: &PasswordAlgorithm| u16::from(algorithm.algorithm());
    match attribute {
        A::MappedAddress(address) => Value::Address(kind, *address.socket_address()),
        A::XorMappedAddress(address) => Value::Address(kind, *address.socket_address()),
        A::XorPeerAddress(address) => Value::Address(kind, *address.socket_address()),
        A::XorRelayedAddress(address) => Value::Address(kind, *address.socket_address()),
        A::AlternateServer(address) => Value::Address(kind, *address.socket_address()),
        A::ResponseOrigin(address) => Value::Address(kind, *address.socket_address()),
        A::OtherAddress(address) => Value::Address(kind, *address.socket_address()),
        A::UserName(text) => Value::Text(kind, text.as_str().into()),
        A::Realm(text) => Value::Text(kind, text.as_str().into()),
        A::Nonce(text) => Value::Text(kind, text.as_str().into()),
        A::Software(text) => Value::Text(kind, text.as_str().into()),
        A::LifeTime(number) => Value::Number(kind, number.as_u32()),
        A::Priority(number) => Value::Number(kind, number.as_u32()),
        A::IceControlled(number) => Value::TieBreaker(kind, number.as_u64()),
        A::IceControlling(number) => Value::TieBreaker(kind, number.as_u64()),
        A::DontFragment(_) | A::UseCandidate(_) => Value::Flag(kind),
        A::RequestedAddressFamily(of) => Value::Family(kind, family(of.family())),
        A::AdditionalAddressFamily(of) => Value::Family(kind, family(of.family())),
        A::ErrorCode(error) => {
            Value::Error(error.error_code().error_code(), error.error_code().reason().into())
        }
        A::AddressErrorCode(error) => Value::AddressError(
            family(error.family()),
            error.error_code().error_code(),
            error.error_code().reason().into(),
        ),
        A::UnknownAttributes(unknown) => Value::Unknown(unknown.attributes().into()),
        A::PasswordAlgorithm(of) => {
            Value::Algorithm(algorithm(of), of.parameters().unwrap_or_default().into())
        }
        A::PasswordAlgorithms(list) => {
            let list: Vec<_> = list.iter().map(algorithm).collect();
            assert!(list == [2, 1] || list == [1]);
            Value::Algorithms(list == [2, 1])
        }
        A::ChannelNumber(channel) => Value::Channel(channel.number()),
        A::Data(data) => Value::Data(data.as_bytes().into()),
        A::EvenPort(port) => Value::EvenPort(port.reserve()),
        A::RequestedTrasport(transport) => Value::Transport(transport.protocol().as_u8()),
        A::ReservationToken(token) => Value::Token(token.token().try_into().unwrap()),
        A::Icmp(icmp) => {
            // It reads the figure of RFC 8656 §18.13 as drawn, 7 and 9 bits; the 16 bits are the
            // same.
            let [icmp_type, code] =
                (u16::from(icmp.icmp_type().get()) << 9 | icmp.icmp_code().get()).to_be_bytes();
            Value::Icmp(icmp_type, code, icmp.error_data().try_into().unwrap())
        }
        A::ChangeRequest(change) => {
            let flags = change.flags();
            Value::Change(
                flags.contains(ChangeRequestFlags::ChangeIp),
                flags.contains(ChangeRequestFlags::ChangePort),
            )
        }
        A::ResponsePort(port) => Value::ResponsePort(port.as_u16()),
        A::Padding(padding) => Value::Padding(padding.as_str().len()),
        A::UserHash(hash) => Value::Userhash(hash.hash().try_into().unwrap()),
        A::Unknown(unknown) => Value::Raw(kind, unknown.attribute_data().unwrap().into()),
        other => panic!("{other:?}"),
    }
}

/// Leaves REALM and NONCE in ASCII: its grammar takes the bytes of RFC 3261's UTF8-NONASCII for
/// code points, and refuses most text beyond it.
pub(crate) fn restrict(message: &mut Message) {
    for value in &mut message.values {
        if let Value::Text(Kind::REALM | Kind::NONCE, text) = value {
            *text = text.replace(|char: char| !char.is_ascii(), "x");
        }
    }
}

/// Whether it can write this: only types that it knows, USERHASH only from a name and a realm, and
/// of protocols only UDP.
pub(crate) fn writes(value: &Value) -> bool {
    match value {
        Value::Raw(..) | Value::Userhash(_) => false,
        Value::Transport(protocol) => *protocol == 17,
        value => !KNOWS_NOT.contains(&value.kind()),
    }
}

pub(crate) fn write(message: &Message) -> Vec<u8> {
    let class = match message.class {
        Class::Request => MessageClass::Request,
        Class::Indication => MessageClass::Indication,
        Class::SuccessResponse => MessageClass::SuccessResponse,
        Class::ErrorResponse => MessageClass::ErrorResponse,
    };
    let method = MessageMethod::try_from(message.method).unwrap();
    let mut builder =
        StunMessageBuilder::new(method, class).with_transaction_id(TransactionId::from(message.id));
    for value in &message.values {
        builder = builder.with_attribute(attribute(value));
    }
    let key = HMACKey::new_short_term(PASSWORD).unwrap();
    if message.sha1 {
        builder = builder.with_attribute(MessageIntegrity::new(key.clone()));
    }
    if message.sha256 {
        builder = builder.with_attribute(MessageIntegritySha256::new(key));
    }
    if message.fingerprint {
        builder = builder.with_attribute(Fingerprint::default());
    }
    let mut buffer = vec![0xDD; 64 * 1024];
    let len =
        MessageEncoderBuilder::default().build().encode(&mut buffer, &builder.build()).unwrap();
    buffer.truncate(len);
    buffer
}

fn attribute(value: &Value) -> StunAttribute {
    let family = |family: &Family| {
        if *family == Family::Ipv4 { AddressFamily::IPv4 } else { AddressFamily::IPv6 }
    };
    let error = |code: u16, reason: &str| stun_rs::ErrorCode::new(code, reason).unwrap();
    let algorithm = |id: AlgorithmId| PasswordAlgorithm::new(Algorithm::from(id));
    match value {
        Value::Address(Kind::MAPPED_ADDRESS, address) => MappedAddress::from(*address).into(),
        Value::Address(Kind::XOR_MAPPED_ADDRESS, address) => {
            XorMappedAddress::from(*address).into()
        }
        Value::Address(Kind::XOR_PEER_ADDRESS, address) => XorPeerAddress::from(*address).into(),
        Value::Address(Kind::XOR_RELAYED_ADDRESS, address) => {
            XorRelayedAddress::from(*address).into()
        }
        Value::Address(Kind::ALTERNATE_SERVER, address) => AlternateServer::from(*address).into(),
        Value::Address(Kind::RESPONSE_ORIGIN, address) => ResponseOrigin::from(*address).into(),
        Value::Address(Kind::OTHER_ADDRESS, address) => OtherAddress::from(*address).into(),
        Value::Text(Kind::USERNAME, text) => UserName::new(text).unwrap().into(),
        Value::Text(Kind::REALM, text) => Realm::new(text).unwrap().into(),
        Value::Text(Kind::NONCE, text) => Nonce::new(text).unwrap().into(),
        Value::Text(Kind::SOFTWARE, text) => Software::new(text).unwrap().into(),
        Value::Number(Kind::LIFETIME, number) => LifeTime::new(*number).into(),
        Value::Number(Kind::PRIORITY, number) => Priority::new(*number).into(),
        Value::TieBreaker(Kind::ICE_CONTROLLED, number) => IceControlled::new(*number).into(),
        Value::TieBreaker(_, number) => IceControlling::new(*number).into(),
        Value::Flag(Kind::DONT_FRAGMENT) => DontFragment::default().into(),
        Value::Flag(_) => UseCandidate::default().into(),
        Value::Family(Kind::REQUESTED_ADDRESS_FAMILY, of) => {
            RequestedAddressFamily::new(family(of)).into()
        }
        Value::Family(_, of) => AdditionalAddressFamily::new(family(of)).into(),
        Value::Error(code, reason) => ErrorCode::new(error(*code, reason)).into(),
        Value::AddressError(of, code, reason) => {
            AddressErrorCode::new(family(of), error(*code, reason)).into()
        }
        Value::Unknown(kinds) => UnknownAttributes::from(&kinds[..]).into(),
        Value::Algorithm(id, _) => algorithm(AlgorithmId::from(*id)).into(),
        Value::Algorithms(true) => PasswordAlgorithms::from(vec![
            algorithm(AlgorithmId::SHA256),
            algorithm(AlgorithmId::MD5),
        ])
        .into(),
        Value::Algorithms(false) => {
            PasswordAlgorithms::from(vec![algorithm(AlgorithmId::MD5)]).into()
        }
        Value::Channel(number) => ChannelNumber::new(*number).into(),
        Value::Data(bytes) => Data::new(bytes).into(),
        Value::EvenPort(reserve) => EvenPort::new(*reserve).into(),
        Value::Transport(_) => RequestedTrasport::default().into(),
        Value::Token(token) => ReservationToken::from(token).into(),
        Value::Icmp(icmp_type, code, data) => {
            let bits = u16::from_be_bytes([*icmp_type, *code]);
            Icmp::new(
                IcmpType::new((bits >> 9) as u8).unwrap(),
                IcmpCode::new(bits & 0x1FF).unwrap(),
                *data,
            )
            .into()
        }
        Value::Change(ip, port) => {
            let ip = ip.then_some(ChangeRequestFlags::ChangeIp);
            let port = port.then_some(ChangeRequestFlags::ChangePort);
            ChangeRequest::new(Some(ip.into_iter().chain(port).collect())).into()
        }
        Value::ResponsePort(port) => ResponsePort::new(*port).into(),
        Value::Padding(len) => Padding::new("p".repeat(*len)).unwrap().into(),
        other => panic!("not for stun-rs: {other:?}"),
    }
}
