//! The codec beside stun-types and stun-rs, in one run: `cargo bench -p causeway-wire`. Only the
//! ratio within one run is meaningful.

use std::hint::black_box;
use std::net::SocketAddr;

use causeway_wire::attribute::{
    AttributeType, Data, Lifetime, Nonce, Realm, RequestedTransport, Username, XorMappedAddress,
    XorPeerAddress,
};
use causeway_wire::{
    ChannelData, ChannelNumber, ChannelRange, Class, IntegrityKey, Message, MessageWriter, Method,
    TransactionId,
};
use criterion::{Criterion, criterion_group, criterion_main};

const ID: TransactionId = TransactionId(*b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae");
const PEER: &str = "198.51.100.7:50000";
const PASSWORD: &str = "a password";
const USERNAME: &str = "1785000000:alice";
const REALM: &str = "example.org";
const NONCE: &str = "obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA";
/// The length of an audio packet.
const PAYLOAD: [u8; 160] = [0x5A; 160];

criterion_main!(benches);
criterion_group!(benches, allocate, send_indication, binding_success, channel_data);

/// The work of a server on an Allocate request before it decides: check the frame, find unknown
/// attributes, read the credentials, verify the integrity.
fn allocate(c: &mut Criterion) {
    let long_term = stun_types::message::LongTermKeyCredentials::new(
        USERNAME.into(),
        PASSWORD.into(),
        REALM.into(),
    );
    let stun_types_key = long_term.make_key(stun_types::message::IntegrityAlgorithm::Sha1);
    let stun_rs_key = stun_rs::HMACKey::new_long_term(
        USERNAME,
        REALM,
        PASSWORD,
        stun_rs::Algorithm::from(stun_rs::AlgorithmId::MD5),
    )
    .expect("a key");
    let key = IntegrityKey::new(stun_rs_key.as_bytes());
    let bytes = write(Class::Request, Method::ALLOCATE, |writer| {
        writer.put(&RequestedTransport::UDP).expect("room").put(&Lifetime(600)).expect("room");
        writer
            .put(&Username(USERNAME))
            .expect("room")
            .put(&Realm(REALM))
            .expect("room")
            .put(&Nonce(NONCE))
            .expect("room");
        writer.integrity(&key).expect("room");
    });

    let mut group = c.benchmark_group("Allocate request, decoded and verified");
    group.bench_function("causeway", |b| {
        b.iter(|| {
            let message = Message::decode(black_box(&bytes)).expect("a message");
            assert!(message.unknown_required(is_known).is_empty());
            let username = message.attribute::<Username<'_>>().expect("its form").expect("there");
            let realm = message.attribute::<Realm<'_>>().expect("its form").expect("there");
            let nonce = message.attribute::<Nonce<'_>>().expect("its form").expect("there");
            let transport =
                message.attribute::<RequestedTransport>().expect("its form").expect("there");
            assert!(message.verify_integrity(black_box(&key)));
            (username.0.len(), realm.0.len(), nonce.0.len(), transport)
        });
    });
    group.bench_function("stun-types", |b| {
        use stun_types::attribute::{Nonce, Realm, Username};
        b.iter(|| {
            let message =
                stun_types::message::Message::from_bytes(black_box(&bytes)).expect("a message");
            let username = message.attribute::<Username>().expect("there");
            let realm = message.attribute::<Realm>().expect("there");
            let nonce = message.attribute::<Nonce>().expect("there");
            message.validate_integrity_with_key(black_box(&stun_types_key)).expect("right");
            (username.username().len(), realm.realm().len(), nonce.nonce().len())
        });
    });
    let context =
        stun_rs::DecoderContextBuilder::default().with_key(stun_rs_key).with_validation().build();
    let decoder = stun_rs::MessageDecoderBuilder::default().with_context(context).build();
    group.bench_function("stun-rs", |b| {
        b.iter(|| decoder.decode(black_box(&bytes)).expect("a message").1);
    });
    group.finish();
}

fn send_indication(c: &mut Criterion) {
    let bytes = write(Class::Indication, Method::SEND, |writer| {
        writer
            .put(&XorPeerAddress(address(PEER)))
            .expect("room")
            .put(&Data(&PAYLOAD))
            .expect("room");
    });
    let mut group = c.benchmark_group("Send indication, decoded");
    group.bench_function("causeway", |b| {
        b.iter(|| {
            let message = Message::decode(black_box(&bytes)).expect("a message");
            let peer = message.attribute::<XorPeerAddress>().expect("its form").expect("there");
            let data = message.attribute::<Data<'_>>().expect("its form").expect("there");
            (peer.0, data.0.len())
        });
    });
    group.bench_function("stun-types", |b| {
        b.iter(|| {
            let message =
                stun_types::message::Message::from_bytes(black_box(&bytes)).expect("a message");
            // TURN's attributes are not in stun-types; the address has the same form as
            // XOR-MAPPED-ADDRESS.
            let peer =
                message.raw_attribute(AttributeType::XOR_PEER_ADDRESS.0.into()).expect("there");
            let peer = stun_types::attribute::XorSocketAddr::from_raw(&peer)
                .expect("its form")
                .addr(message.transaction_id());
            let data = message.raw_attribute(AttributeType::DATA.0.into()).expect("there");
            (peer, data.value.len())
        });
    });
    let decoder = stun_rs::MessageDecoderBuilder::default().build();
    group.bench_function("stun-rs", |b| {
        b.iter(|| decoder.decode(black_box(&bytes)).expect("a message").1);
    });
    group.finish();
}

fn binding_success(c: &mut Criterion) {
    let request = write(Class::Request, Method::BINDING, |_| {});
    let source = address(PEER);
    let mut buffer = [0; 128];
    let mut group = c.benchmark_group("Binding success, written");
    let request_header = *Message::decode(&request).expect("a message").header();
    group.bench_function("causeway", |b| {
        b.iter(|| {
            let mut writer = MessageWriter::answer(
                &mut buffer,
                black_box(&request_header),
                Class::SuccessResponse,
            )
            .expect("room");
            writer.put(&XorMappedAddress(black_box(source))).expect("room");
            black_box(writer.finish())
        });
    });
    let theirs = stun_types::message::Message::from_bytes(&request).expect("a message");
    group.bench_function("stun-types", |b| {
        use stun_types::message::{Message, MessageWrite, MessageWriteExt, MessageWriteMutSlice};
        b.iter(|| {
            let mut writer = Message::builder_success(
                black_box(&theirs),
                MessageWriteMutSlice::new(&mut buffer),
            );
            writer
                .add_attribute(&stun_types::attribute::XorMappedAddress::new(
                    black_box(source),
                    theirs.transaction_id(),
                ))
                .expect("room");
            black_box(writer.finish())
        });
    });
    group.bench_function("stun-rs", |b| {
        use stun_rs::{MessageClass, MessageEncoderBuilder, MessageMethod, StunMessageBuilder};
        let encoder = MessageEncoderBuilder::default().build();
        let method = MessageMethod::try_from(1).expect("Binding");
        b.iter(|| {
            let answer = StunMessageBuilder::new(method, MessageClass::SuccessResponse)
                .with_transaction_id(stun_rs::TransactionId::from(ID.0))
                .with_attribute(stun_rs::attributes::stun::XorMappedAddress::from(black_box(
                    source,
                )))
                .build();
            encoder.encode(&mut buffer, &answer).expect("room")
        });
    });
    group.finish();
}

fn channel_data(c: &mut Criterion) {
    let mut bytes = ChannelData::header(ChannelNumber::FIRST, 160).to_vec();
    bytes.extend(PAYLOAD);
    let mut group = c.benchmark_group("ChannelData");
    group.bench_function("decoded", |b| {
        b.iter(|| {
            let message = ChannelData::decode(black_box(&bytes), black_box(ChannelRange::Rfc8656))
                .expect("a message");
            (message.channel, message.data.len())
        });
    });
    group.bench_function("header", |b| {
        b.iter(|| ChannelData::header(black_box(ChannelNumber::FIRST), black_box(160)));
    });
    group.finish();
}

/// The attributes that a server knows in an Allocate request.
fn is_known(kind: AttributeType) -> bool {
    use AttributeType as T;
    matches!(
        kind,
        T::USERNAME
            | T::USERHASH
            | T::REALM
            | T::NONCE
            | T::REQUESTED_TRANSPORT
            | T::LIFETIME
            | T::DONT_FRAGMENT
            | T::EVEN_PORT
            | T::RESERVATION_TOKEN
            | T::REQUESTED_ADDRESS_FAMILY
    )
}

fn write(class: Class, method: Method, fill: impl FnOnce(&mut MessageWriter<'_>)) -> Vec<u8> {
    let mut buffer = vec![0; 512];
    let mut writer = MessageWriter::new(&mut buffer, class, method, ID).expect("room");
    fill(&mut writer);
    let len = writer.finish();
    buffer.truncate(len);
    buffer
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}
