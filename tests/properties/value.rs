//! One attribute's value, owned and named by its form, so that three codecs can be compared.

use std::net::SocketAddr;

use causeway_wire::attribute::{
    AdditionalAddressFamily, AddressErrorCode, AddressFamily, AlternateDomain, AlternateServer,
    AttributeType as Kind, CacheTimeout, ChangeRequest, ChangedAddress, ChannelNumberAttribute,
    Data, DontFragment, ErrorCodeAttribute, EvenPort, IceControlled, IceControlling, Icmp,
    Lifetime, MappedAddress, Nonce, OtherAddress, Padding, PasswordAlgorithm,
    PasswordAlgorithmEntry, PasswordAlgorithms, Priority, Realm, ReflectedFrom,
    RequestedAddressFamily, RequestedTransport, ReservationToken, ResponseAddress, ResponseOrigin,
    ResponsePort, Software, SourceAddress, UnknownAttributes, UseCandidate, Userhash, Username,
    XorMappedAddress, XorPeerAddress, XorRelayedAddress,
};
use causeway_wire::{EncodeError, ErrorCode, Message, MessageWriter};
use proptest::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Address(Kind, SocketAddr),
    Text(Kind, String),
    Number(Kind, u32),
    TieBreaker(Kind, u64),
    Flag(Kind),
    Family(Kind, AddressFamily),
    Error(u16, String),
    AddressError(AddressFamily, u16, String),
    Unknown(Vec<u16>),
    Algorithm(u16, Vec<u8>),
    /// SHA-256 and MD5, or MD5 alone.
    Algorithms(bool),
    Channel(u16),
    Data(Vec<u8>),
    EvenPort(bool),
    Transport(u8),
    Token([u8; 8]),
    Icmp(u8, u8, [u8; 4]),
    Change(bool, bool),
    ResponsePort(u16),
    Padding(usize),
    Userhash([u8; 32]),
    /// A type that the codec does not know.
    Raw(Kind, Vec<u8>),
}

pub(crate) const ADDRESSES: [Kind; 11] = [
    Kind::MAPPED_ADDRESS,
    Kind::XOR_MAPPED_ADDRESS,
    Kind::XOR_PEER_ADDRESS,
    Kind::XOR_RELAYED_ADDRESS,
    Kind::ALTERNATE_SERVER,
    Kind::RESPONSE_ORIGIN,
    Kind::OTHER_ADDRESS,
    Kind::SOURCE_ADDRESS,
    Kind::CHANGED_ADDRESS,
    Kind::RESPONSE_ADDRESS,
    Kind::REFLECTED_FROM,
];
const TEXTS: [Kind; 4] = [Kind::USERNAME, Kind::REALM, Kind::NONCE, Kind::SOFTWARE];
const NUMBERS: [Kind; 3] = [Kind::LIFETIME, Kind::PRIORITY, Kind::CACHE_TIMEOUT];
const TIE_BREAKERS: [Kind; 2] = [Kind::ICE_CONTROLLED, Kind::ICE_CONTROLLING];
const FLAGS: [Kind; 2] = [Kind::DONT_FRAGMENT, Kind::USE_CANDIDATE];
const FAMILIES: [Kind; 2] = [Kind::REQUESTED_ADDRESS_FAMILY, Kind::ADDITIONAL_ADDRESS_FAMILY];

impl Value {
    pub(crate) fn kind(&self) -> Kind {
        match *self {
            Self::Address(kind, _)
            | Self::Text(kind, _)
            | Self::Number(kind, _)
            | Self::TieBreaker(kind, _)
            | Self::Flag(kind)
            | Self::Family(kind, _)
            | Self::Raw(kind, _) => kind,
            Self::Error(..) => Kind::ERROR_CODE,
            Self::AddressError(..) => Kind::ADDRESS_ERROR_CODE,
            Self::Unknown(_) => Kind::UNKNOWN_ATTRIBUTES,
            Self::Algorithm(..) => Kind::PASSWORD_ALGORITHM,
            Self::Algorithms(_) => Kind::PASSWORD_ALGORITHMS,
            Self::Channel(_) => Kind::CHANNEL_NUMBER,
            Self::Data(_) => Kind::DATA,
            Self::EvenPort(_) => Kind::EVEN_PORT,
            Self::Transport(_) => Kind::REQUESTED_TRANSPORT,
            Self::Token(_) => Kind::RESERVATION_TOKEN,
            Self::Icmp(..) => Kind::ICMP,
            Self::Change(..) => Kind::CHANGE_REQUEST,
            Self::ResponsePort(_) => Kind::RESPONSE_PORT,
            Self::Padding(_) => Kind::PADDING,
            Self::Userhash(_) => Kind::USERHASH,
        }
    }

    /// Writes it with the codec under test.
    pub(crate) fn put(&self, writer: &mut MessageWriter<'_>) -> Result<(), EncodeError> {
        let code = |code: u16| ErrorCode::new(code).unwrap();
        match self {
            Self::Address(kind, address) => return put_address(writer, *kind, *address),
            Self::Text(Kind::USERNAME, text) => writer.put(&Username(text)),
            Self::Text(Kind::REALM, text) => writer.put(&Realm(text)),
            Self::Text(Kind::NONCE, text) => writer.put(&Nonce(text)),
            Self::Text(Kind::SOFTWARE, text) => writer.put(&Software(text)),
            Self::Text(_, text) => writer.put(&AlternateDomain(text)),
            Self::Number(Kind::LIFETIME, number) => writer.put(&Lifetime(*number)),
            Self::Number(Kind::PRIORITY, number) => writer.put(&Priority(*number)),
            Self::Number(_, number) => writer.put(&CacheTimeout(*number)),
            Self::TieBreaker(Kind::ICE_CONTROLLED, number) => writer.put(&IceControlled(*number)),
            Self::TieBreaker(_, number) => writer.put(&IceControlling(*number)),
            Self::Flag(Kind::DONT_FRAGMENT) => writer.put(&DontFragment),
            Self::Flag(_) => writer.put(&UseCandidate),
            Self::Family(Kind::REQUESTED_ADDRESS_FAMILY, family) => {
                writer.put(&RequestedAddressFamily(*family))
            }
            Self::Family(_, family) => writer.put(&AdditionalAddressFamily(*family)),
            Self::Error(number, reason) => {
                writer.put(&ErrorCodeAttribute { code: code(*number), reason })
            }
            Self::AddressError(family, number, reason) => {
                writer.put(&AddressErrorCode { family: *family, code: code(*number), reason })
            }
            Self::Unknown(kinds) => writer.put(&UnknownAttributes::Kinds(kinds)),
            Self::Algorithm(algorithm, parameters) => {
                writer.put(&PasswordAlgorithm(PasswordAlgorithmEntry {
                    algorithm: *algorithm,
                    parameters,
                }))
            }
            Self::Algorithms(true) => writer.put(&PasswordAlgorithms::SHA256_MD5),
            Self::Algorithms(false) => writer.put(&PasswordAlgorithms::MD5),
            Self::Channel(number) => writer.put(&ChannelNumberAttribute(*number)),
            Self::Data(bytes) => writer.put(&Data(bytes)),
            Self::EvenPort(reserve) => writer.put(&EvenPort { reserve: *reserve }),
            Self::Transport(protocol) => writer.put(&RequestedTransport(*protocol)),
            Self::Token(token) => writer.put(&ReservationToken(*token)),
            Self::Icmp(icmp_type, code, error_data) => {
                writer.put(&Icmp { icmp_type: *icmp_type, code: *code, error_data: *error_data })
            }
            Self::Change(change_ip, change_port) => {
                writer.put(&ChangeRequest { change_ip: *change_ip, change_port: *change_port })
            }
            Self::ResponsePort(port) => writer.put(&ResponsePort(*port)),
            Self::Padding(len) => writer.put(&Padding(*len)),
            Self::Userhash(hash) => writer.put(&Userhash(*hash)),
            Self::Raw(kind, value) => writer.put_raw(*kind, value),
        }
        .map(drop)
    }

    /// Reads the first attribute of this kind with the codec under test.
    pub(crate) fn read(message: &Message<'_>, kind: Kind) -> Self {
        macro_rules! first {
            ($attribute:ty) => {
                message.attribute::<$attribute>().unwrap().unwrap()
            };
        }
        let entry =
            |entry: PasswordAlgorithmEntry<'_>| (entry.algorithm, entry.parameters.to_vec());
        match kind {
            kind if ADDRESSES.contains(&kind) => Self::Address(kind, read_address(message, kind)),
            Kind::USERNAME => Self::Text(kind, first!(Username<'_>).0.into()),
            Kind::REALM => Self::Text(kind, first!(Realm<'_>).0.into()),
            Kind::NONCE => Self::Text(kind, first!(Nonce<'_>).0.into()),
            Kind::SOFTWARE => Self::Text(kind, first!(Software<'_>).0.into()),
            Kind::ALTERNATE_DOMAIN => Self::Text(kind, first!(AlternateDomain<'_>).0.into()),
            Kind::LIFETIME => Self::Number(kind, first!(Lifetime).0),
            Kind::PRIORITY => Self::Number(kind, first!(Priority).0),
            Kind::CACHE_TIMEOUT => Self::Number(kind, first!(CacheTimeout).0),
            Kind::ICE_CONTROLLED => Self::TieBreaker(kind, first!(IceControlled).0),
            Kind::ICE_CONTROLLING => Self::TieBreaker(kind, first!(IceControlling).0),
            Kind::DONT_FRAGMENT => (Self::Flag(kind), first!(DontFragment)).0,
            Kind::USE_CANDIDATE => (Self::Flag(kind), first!(UseCandidate)).0,
            Kind::REQUESTED_ADDRESS_FAMILY => Self::Family(kind, first!(RequestedAddressFamily).0),
            Kind::ADDITIONAL_ADDRESS_FAMILY => {
                Self::Family(kind, first!(AdditionalAddressFamily).0)
            }
            Kind::ERROR_CODE => {
                let error = first!(ErrorCodeAttribute<'_>);
                Self::Error(error.code.number(), error.reason.into())
            }
            Kind::ADDRESS_ERROR_CODE => {
                let error = first!(AddressErrorCode<'_>);
                Self::AddressError(error.family, error.code.number(), error.reason.into())
            }
            Kind::UNKNOWN_ATTRIBUTES => {
                Self::Unknown(first!(UnknownAttributes<'_>).kinds().map(|kind| kind.0).collect())
            }
            Kind::PASSWORD_ALGORITHM => {
                let (algorithm, parameters) = entry(first!(PasswordAlgorithm<'_>).0);
                Self::Algorithm(algorithm, parameters)
            }
            Kind::PASSWORD_ALGORITHMS => {
                let entries: Vec<_> = first!(PasswordAlgorithms<'_>).entries().map(entry).collect();
                let (sha256, md5) = ((2, vec![]), (1, vec![]));
                assert!(entries == [sha256, md5.clone()] || entries == [md5]);
                Self::Algorithms(entries.len() == 2)
            }
            Kind::CHANNEL_NUMBER => Self::Channel(first!(ChannelNumberAttribute).0),
            Kind::DATA => Self::Data(first!(Data<'_>).0.into()),
            Kind::EVEN_PORT => Self::EvenPort(first!(EvenPort).reserve),
            Kind::REQUESTED_TRANSPORT => Self::Transport(first!(RequestedTransport).0),
            Kind::RESERVATION_TOKEN => Self::Token(first!(ReservationToken).0),
            Kind::ICMP => {
                let icmp = first!(Icmp);
                Self::Icmp(icmp.icmp_type, icmp.code, icmp.error_data)
            }
            Kind::CHANGE_REQUEST => {
                let change = first!(ChangeRequest);
                Self::Change(change.change_ip, change.change_port)
            }
            Kind::RESPONSE_PORT => Self::ResponsePort(first!(ResponsePort).0),
            Kind::PADDING => Self::Padding(first!(Padding).0),
            Kind::USERHASH => Self::Userhash(first!(Userhash).0),
            kind => Self::Raw(
                kind,
                message.attributes().find(|raw| raw.kind == kind).unwrap().value.into(),
            ),
        }
    }
}

/// Any value of any attribute, with text of at most 127 characters (RFC 8489 §14.9) made of `text`.
pub(crate) fn value(text: &'static str) -> impl Strategy<Value = Value> {
    let of = |kinds: &'static [Kind]| proptest::sample::select(kinds);
    let family = || proptest::sample::select(&[AddressFamily::Ipv4, AddressFamily::Ipv6][..]);
    let reason = || proptest::string::string_regex(text).unwrap();
    let bytes = |max: usize| proptest::collection::vec(any::<u8>(), 0..=max);
    prop_oneof![
        4 => (of(&ADDRESSES), any::<SocketAddr>())
            .prop_map(|(kind, address)| Value::Address(kind, without_scope(address))),
        3 => (of(&TEXTS), reason()).prop_map(|(kind, text)| Value::Text(kind, text)),
        1 => "[a-z0-9.-]{0,255}".prop_map(|text| Value::Text(Kind::ALTERNATE_DOMAIN, text)),
        2 => (of(&NUMBERS), any::<u32>()).prop_map(|(kind, number)| Value::Number(kind, number)),
        1 => (of(&TIE_BREAKERS), any::<u64>())
            .prop_map(|(kind, number)| Value::TieBreaker(kind, number)),
        1 => of(&FLAGS).prop_map(Value::Flag),
        1 => (of(&FAMILIES), family()).prop_map(|(kind, family)| Value::Family(kind, family)),
        1 => (300u16..=699, reason()).prop_map(|(code, reason)| Value::Error(code, reason)),
        1 => (family(), 300u16..=699, reason())
            .prop_map(|(family, code, reason)| Value::AddressError(family, code, reason)),
        1 => proptest::collection::btree_set(any::<u16>(), 0..20)
            .prop_map(|kinds| Value::Unknown(kinds.into_iter().collect())),
        1 => (1u16..=2).prop_map(|algorithm| Value::Algorithm(algorithm, Vec::new())),
        1 => any::<bool>().prop_map(Value::Algorithms),
        1 => any::<u16>().prop_map(Value::Channel),
        2 => bytes(1500).prop_map(Value::Data),
        1 => any::<bool>().prop_map(Value::EvenPort),
        1 => any::<u8>().prop_map(Value::Transport),
        1 => any::<[u8; 8]>().prop_map(Value::Token),
        1 => any::<(u8, u8, [u8; 4])>()
            .prop_map(|(icmp_type, code, data)| Value::Icmp(icmp_type, code, data)),
        1 => any::<(bool, bool)>().prop_map(|(ip, port)| Value::Change(ip, port)),
        1 => any::<u16>().prop_map(Value::ResponsePort),
        1 => (0usize..=300).prop_map(Value::Padding),
        1 => any::<[u8; 32]>().prop_map(Value::Userhash),
        1 => (0x4000u16..=0xFFFF, bytes(40))
            .prop_filter("a type without a name", |(kind, _)| {
                Kind(*kind).name().is_none() && *kind != 0x8050
            })
            .prop_map(|(kind, value)| Value::Raw(Kind(kind), value)),
    ]
}

/// A STUN address has no scope and no flow label.
fn without_scope(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}

fn put_address(
    writer: &mut MessageWriter<'_>,
    kind: Kind,
    address: SocketAddr,
) -> Result<(), EncodeError> {
    match kind {
        Kind::MAPPED_ADDRESS => writer.put(&MappedAddress(address)),
        Kind::XOR_MAPPED_ADDRESS => writer.put(&XorMappedAddress(address)),
        Kind::XOR_PEER_ADDRESS => writer.put(&XorPeerAddress(address)),
        Kind::XOR_RELAYED_ADDRESS => writer.put(&XorRelayedAddress(address)),
        Kind::ALTERNATE_SERVER => writer.put(&AlternateServer(address)),
        Kind::RESPONSE_ORIGIN => writer.put(&ResponseOrigin(address)),
        Kind::OTHER_ADDRESS => writer.put(&OtherAddress(address)),
        Kind::SOURCE_ADDRESS => writer.put(&SourceAddress(address)),
        Kind::CHANGED_ADDRESS => writer.put(&ChangedAddress(address)),
        Kind::RESPONSE_ADDRESS => writer.put(&ResponseAddress(address)),
        _ => writer.put(&ReflectedFrom(address)),
    }
    .map(drop)
}

fn read_address(message: &Message<'_>, kind: Kind) -> SocketAddr {
    macro_rules! first {
        ($attribute:ty) => {
            message.attribute::<$attribute>().unwrap().unwrap().0
        };
    }
    match kind {
        Kind::MAPPED_ADDRESS => first!(MappedAddress),
        Kind::XOR_MAPPED_ADDRESS => first!(XorMappedAddress),
        Kind::XOR_PEER_ADDRESS => first!(XorPeerAddress),
        Kind::XOR_RELAYED_ADDRESS => first!(XorRelayedAddress),
        Kind::ALTERNATE_SERVER => first!(AlternateServer),
        Kind::RESPONSE_ORIGIN => first!(ResponseOrigin),
        Kind::OTHER_ADDRESS => first!(OtherAddress),
        Kind::SOURCE_ADDRESS => first!(SourceAddress),
        Kind::CHANGED_ADDRESS => first!(ChangedAddress),
        Kind::RESPONSE_ADDRESS => first!(ResponseAddress),
        _ => first!(ReflectedFrom),
    }
}
