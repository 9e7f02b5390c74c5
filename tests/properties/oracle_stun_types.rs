//! The codec of stun-types 2.0, with turn-types 0.7 for TURN's attributes, as an oracle for ours.

use std::net::SocketAddr;

use causeway_wire::Class;
use causeway_wire::attribute::{AddressFamily as Family, AttributeType as Kind};
use stun_types::AddressFamily;
use stun_types::attribute::{
    AlternateDomain, AlternateServer, Attribute as _, AttributeFromRaw, AttributeWrite, ErrorCode,
    MappedSocketAddr, Nonce, PasswordAlgorithm, PasswordAlgorithmValue, PasswordAlgorithms,
    RawAttribute, Realm, Software, UnknownAttributes, Userhash, Username, XorMappedAddress,
};
use stun_types::message::{
    IntegrityAlgorithm, Message as Theirs, MessageClass, MessageIntegrityCredentials, MessageType,
    MessageWrite, MessageWriteExt, MessageWriteVec, Method, ShortTermCredentials, TransactionId,
};
use turn_types::attribute as turn;

use crate::message::{Message, PASSWORD};
use crate::oracles::Reading;
use crate::value::Value;

/// Types that the crate does not know, or whose value it does not show.
pub(crate) const KNOWS_NOT: &[Kind] = &[
    Kind::RESPONSE_ORIGIN,
    Kind::OTHER_ADDRESS,
    Kind::SOURCE_ADDRESS,
    Kind::CHANGED_ADDRESS,
    Kind::RESPONSE_ADDRESS,
    Kind::REFLECTED_FROM,
    Kind::PRIORITY,
    Kind::CACHE_TIMEOUT,
    Kind::ICE_CONTROLLED,
    Kind::ICE_CONTROLLING,
    Kind::USE_CANDIDATE,
    Kind::CHANGE_REQUEST,
    Kind::RESPONSE_PORT,
    Kind::PADDING,
];

/// Reads a message, its integrity and its fingerprint with it.
pub(crate) fn read(like: &Message, bytes: &[u8]) -> Reading {
    // A wrong FINGERPRINT is an error here.
    let theirs = Theirs::from_bytes(bytes).unwrap();
    let credentials: MessageIntegrityCredentials =
        ShortTermCredentials::new(PASSWORD.into()).into();
    let validated = theirs.validate_integrity(&credentials).ok();
    let expected = match (like.sha1, like.sha256) {
        (_, true) => Some(IntegrityAlgorithm::Sha256),
        (true, false) => Some(IntegrityAlgorithm::Sha1),
        (false, false) => None,
    };
    assert_eq!(validated, expected);
    let values = theirs
        .iter_attributes()
        .map(|(_, raw)| raw)
        .filter(|raw| !matches!(raw.get_type().value(), 0x0008 | 0x001C | 0x8028))
        .map(|raw| value(&raw, theirs.transaction_id()))
        .collect();
    let id: u128 = theirs.transaction_id().into();
    let message_type = theirs.get_type().to_bytes();
    let class_and_method = u16::from_be_bytes([message_type[0], message_type[1]]);
    Reading { class_and_method, id: id.to_be_bytes()[4..].try_into().unwrap(), values }
}

fn value(raw: &RawAttribute<'_>, id: TransactionId) -> Value {
    let kind = Kind(raw.get_type().value());
    match kind {
        Kind::MAPPED_ADDRESS => {
            Value::Address(kind, MappedSocketAddr::from_raw(raw).unwrap().addr())
        }
        Kind::XOR_MAPPED_ADDRESS => Value::Address(kind, of::<XorMappedAddress>(raw).addr(id)),
        Kind::XOR_PEER_ADDRESS => Value::Address(kind, of::<turn::XorPeerAddress>(raw).addr(id)),
        Kind::XOR_RELAYED_ADDRESS => {
            Value::Address(kind, of::<turn::XorRelayedAddress>(raw).addr(id))
        }
        Kind::ALTERNATE_SERVER => Value::Address(kind, of::<AlternateServer>(raw).server()),
        Kind::USERNAME => Value::Text(kind, of::<Username>(raw).username().into()),
        Kind::REALM => Value::Text(kind, of::<Realm>(raw).realm().into()),
        Kind::NONCE => Value::Text(kind, of::<Nonce>(raw).nonce().into()),
        Kind::SOFTWARE => Value::Text(kind, of::<Software>(raw).software().into()),
        Kind::ALTERNATE_DOMAIN => Value::Text(kind, of::<AlternateDomain>(raw).domain().into()),
        Kind::ERROR_CODE => {
            let error = of::<ErrorCode>(raw);
            Value::Error(error.code(), error.reason().into())
        }
        Kind::UNKNOWN_ATTRIBUTES => {
            let unknown = of::<UnknownAttributes>(raw);
            let kinds: Vec<u16> =
                (0..=u16::MAX).filter(|&kind| unknown.has_attribute(kind.into())).collect();
            Value::Unknown(kinds)
        }
        Kind::PASSWORD_ALGORITHM => {
            Value::Algorithm(algorithm(&of::<PasswordAlgorithm>(raw).algorithm()), Vec::new())
        }
        Kind::PASSWORD_ALGORITHMS => {
            let list: Vec<_> =
                of::<PasswordAlgorithms>(raw).algorithms().iter().map(algorithm).collect();
            assert!(list == [2, 1] || list == [1]);
            Value::Algorithms(list == [2, 1])
        }
        Kind::USERHASH => Value::Userhash(*of::<Userhash>(raw).hash()),
        kind => turn_value(raw, kind),
    }
}

fn algorithm(value: &PasswordAlgorithmValue) -> u16 {
    if *value == PasswordAlgorithmValue::MD5 { 1 } else { 2 }
}

/// The value of an attribute of TURN, or of one that the crate does not know.
fn turn_value(raw: &RawAttribute<'_>, kind: Kind) -> Value {
    let family = |family: AddressFamily| {
        if family == AddressFamily::IPV4 { Family::Ipv4 } else { Family::Ipv6 }
    };
    match kind {
        Kind::LIFETIME => Value::Number(kind, of::<turn::Lifetime>(raw).seconds()),
        Kind::DONT_FRAGMENT => (Value::Flag(kind), of::<turn::DontFragment>(raw)).0,
        Kind::REQUESTED_ADDRESS_FAMILY => {
            Value::Family(kind, family(of::<turn::RequestedAddressFamily>(raw).family()))
        }
        Kind::ADDITIONAL_ADDRESS_FAMILY => {
            Value::Family(kind, family(of::<turn::AdditionalAddressFamily>(raw).family()))
        }
        Kind::ADDRESS_ERROR_CODE => {
            let error = of::<turn::AddressErrorCode>(raw);
            Value::AddressError(
                family(error.family()),
                error.error().code(),
                error.error().reason().into(),
            )
        }
        Kind::CHANNEL_NUMBER => Value::Channel(of::<turn::ChannelNumber>(raw).channel()),
        Kind::DATA => Value::Data(turn::Data::from_raw_ref(raw).unwrap().data().into()),
        Kind::EVEN_PORT => Value::EvenPort(of::<turn::EvenPort>(raw).requested()),
        Kind::REQUESTED_TRANSPORT => {
            Value::Transport(of::<turn::RequestedTransport>(raw).protocol())
        }
        Kind::RESERVATION_TOKEN => {
            Value::Token(of::<turn::ReservationToken>(raw).token().to_be_bytes())
        }
        Kind::ICMP => {
            let icmp = of::<turn::Icmp>(raw);
            Value::Icmp(icmp.icmp_type(), icmp.code(), icmp.data().to_be_bytes())
        }
        kind => Value::Raw(kind, raw.value.to_vec()),
    }
}

fn of<A: for<'a> AttributeFromRaw<'a>>(raw: &RawAttribute<'_>) -> A {
    A::from_raw_ref(raw).unwrap()
}

/// Leaves out ADDITIONAL-ADDRESS-FAMILY for IPv4, which it refuses. No client may send it (RFC 8656
/// §18.11), but a server must read it in order to answer.
pub(crate) fn restrict(message: &mut Message) {
    message
        .values
        .retain(|value| *value != Value::Family(Kind::ADDITIONAL_ADDRESS_FAMILY, Family::Ipv4));
}

pub(crate) fn write(message: &Message) -> Vec<u8> {
    let class = match message.class {
        Class::Request => MessageClass::Request,
        Class::Indication => MessageClass::Indication,
        Class::SuccessResponse => MessageClass::Success,
        Class::ErrorResponse => MessageClass::Error,
    };
    let mut id = [0; 16];
    id[4..].copy_from_slice(&message.id);
    let id = TransactionId::from(u128::from_be_bytes(id));
    let message_type = MessageType::from_class_method(class, Method::new(message.method));
    let mut writer = Theirs::builder(message_type, id, MessageWriteVec::new());
    for value in &message.values {
        put(value, id, &mut |attribute| writer.add_attribute(attribute).unwrap());
    }
    let credentials = ShortTermCredentials::new(PASSWORD.into()).into();
    if message.sha1 {
        writer.add_message_integrity(&credentials, IntegrityAlgorithm::Sha1).unwrap();
    }
    if message.sha256 {
        writer.add_message_integrity(&credentials, IntegrityAlgorithm::Sha256).unwrap();
    }
    if message.fingerprint {
        writer.add_fingerprint().unwrap();
    }
    writer.finish()
}

fn put(value: &Value, id: TransactionId, add: &mut dyn FnMut(&dyn AttributeWrite)) {
    match value {
        Value::Address(kind, address) => put_address(*kind, *address, id, add),
        Value::Text(Kind::USERNAME, text) => add(&Username::new(text).unwrap()),
        Value::Text(Kind::REALM, text) => add(&Realm::new(text).unwrap()),
        Value::Text(Kind::NONCE, text) => add(&Nonce::new(text).unwrap()),
        Value::Text(Kind::SOFTWARE, text) => add(&Software::new(text).unwrap()),
        Value::Text(_, text) => add(&AlternateDomain::new(text)),
        Value::Number(kind, number) if *kind != Kind::LIFETIME => {
            add(&RawAttribute::new(kind.0.into(), &number.to_be_bytes()));
        }
        Value::TieBreaker(kind, number) => {
            add(&RawAttribute::new(kind.0.into(), &number.to_be_bytes()));
        }
        Value::Flag(kind) if *kind != Kind::DONT_FRAGMENT => {
            add(&RawAttribute::new(kind.0.into(), &[]));
        }
        Value::Error(code, reason) => add(&ErrorCode::new(*code, reason).unwrap()),
        Value::Unknown(kinds) => {
            add(&UnknownAttributes::new(
                &kinds.iter().map(|&kind| kind.into()).collect::<Vec<_>>(),
            ));
        }
        Value::Algorithm(1, _) => add(&PasswordAlgorithm::new(PasswordAlgorithmValue::MD5)),
        Value::Algorithm(..) => add(&PasswordAlgorithm::new(PasswordAlgorithmValue::SHA256)),
        Value::Algorithms(true) => add(&PasswordAlgorithms::new(&[
            PasswordAlgorithmValue::SHA256,
            PasswordAlgorithmValue::MD5,
        ])),
        Value::Algorithms(false) => add(&PasswordAlgorithms::new(&[PasswordAlgorithmValue::MD5])),
        Value::Change(ip, port) => {
            add(&RawAttribute::new(
                3.into(),
                &[0, 0, 0, u8::from(*ip) << 2 | u8::from(*port) << 1],
            ));
        }
        Value::ResponsePort(port) => add(&RawAttribute::new(0x0027.into(), &port.to_be_bytes())),
        Value::Padding(len) => add(&RawAttribute::new(0x0026.into(), &vec![0xFF; *len])),
        Value::Userhash(hash) => add(&Userhash::new(*hash)),
        Value::Raw(kind, value) => add(&RawAttribute::new(kind.0.into(), value)),
        value => put_turn(value, add),
    }
}

fn put_address(
    kind: Kind,
    address: SocketAddr,
    id: TransactionId,
    add: &mut dyn FnMut(&dyn AttributeWrite),
) {
    match kind {
        Kind::XOR_MAPPED_ADDRESS => add(&XorMappedAddress::new(address, id)),
        Kind::XOR_PEER_ADDRESS => add(&turn::XorPeerAddress::new(address, id)),
        Kind::XOR_RELAYED_ADDRESS => add(&turn::XorRelayedAddress::new(address, id)),
        Kind::ALTERNATE_SERVER => add(&AlternateServer::new(address)),
        // The others have the form of MAPPED-ADDRESS, but no type of their own.
        kind => add(&MappedSocketAddr::new(address).to_raw(kind.0.into())),
    }
}

/// Writes an attribute of TURN.
fn put_turn(value: &Value, add: &mut dyn FnMut(&dyn AttributeWrite)) {
    let family = |family: &Family| {
        if *family == Family::Ipv4 { AddressFamily::IPV4 } else { AddressFamily::IPV6 }
    };
    match value {
        Value::Number(_, seconds) => add(&turn::Lifetime::new(*seconds)),
        Value::Flag(_) => add(&turn::DontFragment::new()),
        Value::Family(Kind::REQUESTED_ADDRESS_FAMILY, of) => {
            add(&turn::RequestedAddressFamily::new(family(of)));
        }
        Value::Family(_, of) => add(&turn::AdditionalAddressFamily::new(family(of))),
        Value::AddressError(of, code, reason) => {
            let error = ErrorCode::new(*code, reason).unwrap();
            add(&turn::AddressErrorCode::new(family(of), error));
        }
        Value::Channel(number) => add(&turn::ChannelNumber::new(*number)),
        Value::Data(bytes) => add(&turn::Data::new(bytes)),
        Value::EvenPort(reserve) => add(&turn::EvenPort::new(*reserve)),
        Value::Transport(protocol) => add(&turn::RequestedTransport::new(*protocol)),
        Value::Token(token) => add(&turn::ReservationToken::new(u64::from_be_bytes(*token))),
        Value::Icmp(icmp_type, code, data) => {
            add(&turn::Icmp::new(*icmp_type, *code, u32::from_be_bytes(*data)));
        }
        value => unreachable!("{value:?} is not of TURN"),
    }
}
